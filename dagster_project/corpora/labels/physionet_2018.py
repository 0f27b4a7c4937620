"""Labels of the PhysioNet/CinC Challenge 2018: stages, arousals and breathing from ``.arousal``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.stages import (
    AASM_STAGES,
    EPOCH_S,
    Scored,
    check_scored,
    hypnogram_label,
    missing_hypnogram,
    stage_intervals,
)
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.readers.types import Annotation
from dagster_project.corpora.spec import NoParams

_SOURCE = "arousal annotations"
_UNSCORED = {"U", "?"}
_BRACKET = re.compile(r"(\()?(?P<family>resp|arousal)_(?P<kind>[a-z]+)(\))?")
_RESPIRATORY = {
    "obstructiveapnea": "obstructive_apnea", "centralapnea": "central_apnea",
    "mixedapnea": "mixed_apnea", "hypopnea": "hypopnea", "hypoventilation": "hypoventilation",
    "partialobstructive": "partial_obstruction", "cheynestokesbreath": "cheyne_stokes",
}  # fmt: skip
_AROUSAL = {
    "rera": "respiratory_effort", "spontaneous": "spontaneous", "snore": "snore",
    "plm": "leg_movement", "bruxism": "bruxism", "noise": "noise",
}  # fmt: skip
_WORDS = {"resp": ("respiratory_event", _RESPIRATORY), "arousal": ("arousal", _AROUSAL)}
OTHER = "other"
"""Value of a kind of arousal or breathing event the corpus may add."""


def read_physionet_2018(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Stages, arousals and breathing events; test records have none and say so.

    The entry's reader hands out the ``.arousal`` file's texts as annotations of the recording.
    Outside interval label ``events_scored`` the absence of an event says nothing. A stage
    annotation marks where its stage begins: it holds until the next. How long the last one
    holds is not written, so it is given one epoch.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the file is void or a bracket stays open or was never opened.
    """
    if not request.path.with_suffix(".arousal").is_file():
        return RecordingLabels(labels=(missing_hypnogram(),))
    notes = sorted(request.recording.annotations(), key=lambda note: note.onset_s)
    entries = check_scored(_stages(notes), request.duration_s)
    end_s = min(entries[-1].onset_s + entries[-1].duration_s, request.duration_s)
    scored = Label("file", "events_scored", "arousals_and_breathing", _SOURCE)
    return RecordingLabels(
        labels=(hypnogram_label(entries, request.duration_s, _SOURCE),),
        intervals=(
            Interval(entries[0].onset_s, end_s, scored),
            *_brackets(notes, request.duration_s),
        ),
        stages=stage_intervals(entries, request.duration_s, _SOURCE),
        grid_s=entries[0].onset_s % EPOCH_S,
    )


def _stages(notes: Sequence[Annotation]) -> list[Scored]:
    begun = [
        (note.onset_s, AASM_STAGES.get(note.text))
        for note in notes
        if note.text in AASM_STAGES or note.text in _UNSCORED
    ]
    ends = [onset_s for onset_s, _ in begun[1:]] + [begun[-1][0] + EPOCH_S] if begun else []
    return [Scored(at, end - at, stage) for (at, stage), end in zip(begun, ends, strict=True)]


def _brackets(notes: Sequence[Annotation], duration_s: float) -> tuple[Interval, ...]:
    """Pairs ``(resp_hypopnea`` .. ``resp_hypopnea)`` as intervals, cut to the recording."""
    opened: dict[tuple[str, str], list[float]] = {}
    found = []
    for note in notes:
        match = _BRACKET.fullmatch(note.text)
        if not match:
            continue
        key = match["family"], match["kind"]
        opens, closes = bool(match[1]), bool(match[4])
        if opens == closes or (closes and not opened.get(key)):
            raise CorpusError("bad_labels", f"an event's brackets do not match at {note.onset_s:g}")
        if opens:
            opened.setdefault(key, []).append(note.onset_s)
            continue
        name, words = _WORDS[key[0]]
        label = Label("interval", name, words.get(key[1], OTHER), _SOURCE)
        found.append(Interval(opened[key].pop(), min(note.onset_s, duration_s), label))
    if any(opened.values()):
        raise CorpusError("bad_labels", "an event begins and never ends")
    return tuple(sorted((i for i in found if i.t0_s < i.t1_s), key=lambda i: i.t0_s))
