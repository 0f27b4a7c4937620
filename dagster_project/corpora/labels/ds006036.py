"""Marks of the photic companion of AD-65 (ds006036): flashes, eyes, calibration, the technician's.

Participants are those of AD-65 under the same numbers; a ``Group`` that differs from AD-65's is a
contradiction. What the groups are called is in the catalogue entry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.bids_events import SOURCE, event_marks
from dagster_project.corpora.labels.sidecars import table
from dagster_project.corpora.labels.timed import (
    Mark,
    TimedLabel,
    TimedParams,
    clean,
    timed_labels,
)
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

AD65_GROUPS = ((36, "A"), (65, "C"), (88, "F"))
"""Last subject number of each group of AD-65, as its ``participants.tsv`` 1.0.8 lists them."""
COLUMN = "value"
CALIBRATION, FLASH = "cal mode", "photo/hv mark"
_RATE = re.compile(r"photo (\d+)\s*hz\Z")
_DISPLAYS = {"pat mon-cz eeg": "monopolar_Cz", "pat comav eeg": "common_average"}
TRAIN_GAP_S = 1.5
"""Longer pauses between flashes end a train; the slowest rate is 3 Hz (engineering default)."""
RATE_TOLERANCE = 0.2
"""A train whose measured rate is farther off than this from its mark has no known rate."""
MIN_FLASHES = 3

_RULES = TimedParams(
    labels=(
        TimedLabel(name="eyes", column=COLUMN, lasts="until_next", ends=(CALIBRATION,),
                   values={"open eyes": "open", "closed eyes": "closed"}),
        TimedLabel(name="technician_mark", column=COLUMN, values={
            "eye movement": "eye_movement", "swallowing": "swallowing", "speech": "speech",
            "head movement": "head_movement", "muscle": "muscle"}),
        TimedLabel(name="equipment_mark", column=COLUMN, values={"reset condition": "reset"}),
    ),
)  # fmt: skip


def _check_group(request: LabelRequest) -> None:
    """Compare the subject's group with AD-65's."""
    rows = table(request.folder / "participants.tsv", "\t") or []
    mine = [r for r in rows if r.get("participant_id") == f"sub-{request.subject}"]
    expected = next((g for last, g in AD65_GROUPS if int(request.subject) <= last), None)
    if expected is None or any(r.get("Group") != expected for r in mine):
        raise CorpusError("bad_labels", "Group differs from AD-65's for the same subject number")


def _word(mark: Mark) -> str:
    return clean(mark.words.get(COLUMN, ""))


def _trains(marks: Sequence[Mark]) -> list[tuple[list[float], str]]:
    """Split flashes into trains at pauses and rate marks, each with the last rate marked."""
    trains: list[tuple[list[float], str]] = []
    rate, is_new = "", True
    for mark in marks:
        marked = _RATE.fullmatch(_word(mark))
        if marked:
            rate, is_new = marked[1], True
        elif _word(mark) == FLASH:
            if is_new or mark.onset_s - trains[-1][0][-1] > TRAIN_GAP_S:
                trains.append(([], rate))
            trains[-1][0].append(mark.onset_s)
            is_new = False
    return trains


def photic_intervals(marks: Sequence[Mark]) -> tuple[Interval, ...]:
    """Return the flash trains with their rate, ``unknown`` where mark and flashes disagree.

    Parameters
    ----------
    marks
        All marks of a recording in order of time.
    """
    found = []
    for onsets, nominal in _trains(marks):
        if len(onsets) < MIN_FLASHES or onsets[-1] <= onsets[0]:
            continue
        rate_hz = (len(onsets) - 1) / (onsets[-1] - onsets[0])
        agrees = nominal and abs(rate_hz - int(nominal)) <= RATE_TOLERANCE * int(nominal)
        label = Label("interval", "photic", f"{nominal} Hz" if agrees else "unknown", SOURCE)
        found.append(Interval(onsets[0], onsets[-1] + 1 / rate_hz, label))
    return tuple(found)


def read_ds006036(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Eyes, photic trains and marks of the recording up to its calibration, which is not cut.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the group differs from AD-65's or a row has no onset.
    """
    _check_group(request)
    marks = event_marks(request)
    if marks is None:
        return RecordingLabels((Label("file", "events", "missing", "no sidecar"),))
    marks.sort(key=lambda mark: mark.onset_s)
    end_s = next((m.onset_s for m in marks if _word(m) == CALIBRATION), None)
    used = [m for m in marks if end_s is None or m.onset_s <= end_s]
    plain = [m for m in used if not _RATE.fullmatch(_word(m)) and _word(m) != FLASH
             and _word(m) not in _DISPLAYS]  # fmt: skip
    said = timed_labels(plain, _RULES, request.duration_s if end_s is None else end_s, SOURCE)
    displays = dict.fromkeys(_DISPLAYS[_word(m)] for m in marks if _word(m) in _DISPLAYS)
    labels = [Label("file", "display_montage", name, SOURCE) for name in displays]
    calibration = "not_marked" if end_s is None else "cut_off"
    labels.append(Label("recording", "calibration", calibration, SOURCE))
    return RecordingLabels(
        labels=(*labels, *said.labels),
        intervals=said.intervals + photic_intervals(used),
        keep=None if end_s is None else ((0.0, max(end_s, 0.0)),),
    )
