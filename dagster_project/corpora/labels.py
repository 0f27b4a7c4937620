"""What the corpora's own labels say, one reader per kind of label.

A reader takes one recording and its sidecars and returns plain values with their scope. Nothing is
guessed: a label that cannot be looked up is ``unknown`` and says so. Ages become bands and no free
text of a file is passed on. Sidecars that contradict the recording raise ``bad_labels``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.readers import Annotation, Recording, open_recording
from dagster_project.corpora.registry import CorpusSpec
from detectors.types import ExpertEvent

MAX_SIDECAR_BYTES = 8 << 20
"""No sidecar of these corpora comes near it; a larger one is not what its name says."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label with its scope: recording, segment, epoch or interval."""

    scope: str
    name: str
    value: str
    source: str

    def row(self) -> dict[str, str]:
        """Return the label as a table cell."""
        return {
            "scope": self.scope, "name": self.name, "value": self.value, "source": self.source,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """A label that holds for ``[t0_s, t1_s)`` of the recording."""

    t0_s: float
    t1_s: float
    label: Label


@dataclass(frozen=True, slots=True)
class RecordingLabels:
    """Everything the corpus says about one recording.

    Parameters
    ----------
    labels
        Labels of the whole recording.
    intervals
        Labels of parts of it; a segment carries those it overlaps.
    default
        Label of a segment that overlaps no interval, where the absence is known.
    stages
        Sleep stages; intervals whose label value is the stage, on the grid the scorer used.
    events
        Timed events, recording-relative.
    grid_s
        Offset of the annotation grid segments are aligned to, or None where there is none.
    age_band, sex
        From the corpus' own subject table.
    """

    labels: tuple[Label, ...] = ()
    intervals: tuple[Interval, ...] = ()
    default: Label | None = None
    stages: tuple[Interval, ...] = ()
    events: tuple[ExpertEvent, ...] = ()
    grid_s: float | None = None
    age_band: str | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """What a label reader may look at.

    Parameters
    ----------
    spec
        The corpus.
    path
        The recording file.
    subject, session
        As the file name gives them.
    recording
        The open file.
    duration_s
        Length on the recording's clock, gaps included.
    """

    spec: CorpusSpec
    path: Path
    subject: str
    session: str
    recording: Recording
    duration_s: float


LabelReader = Callable[[LabelRequest], RecordingLabels]


def _sidecar_text(path: Path) -> str | None:
    """Text of a sidecar, or None where there is none."""
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_SIDECAR_BYTES:
        raise CorpusError("bad_labels", f"a sidecar is larger than {MAX_SIDECAR_BYTES} bytes")
    return path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n")


def _nearest(path: Path, name: str) -> Path:
    """Sidecar beside the recording or one folder up."""
    beside = path.parent / name
    return beside if beside.exists() else path.parent.parent / name


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _sex(text: str | None) -> str | None:
    value = (text or "").strip().upper()
    return value if value in {"F", "M"} else None


_EEGMAT_TASKS = {"1": "rest", "2": "mental_arithmetic"}
_EEGMAT_QUALITY = {"0": "bad", "1": "good"}


def read_eegmat(request: LabelRequest) -> RecordingLabels:
    """Task by file suffix; counting quality, age and sex from ``subject-info.csv``.

    The EDF header's sex is a placeholder and is not looked at.
    """
    task = Label("recording", "task", _EEGMAT_TASKS[request.session], "file name")
    text = _sidecar_text(_nearest(request.path, "subject-info.csv"))
    if text is None:
        return RecordingLabels(labels=(task,))
    rows = [{k.strip(): v for k, v in row.items() if k and isinstance(v, str)}
            for row in csv.DictReader(text.splitlines())]  # fmt: skip
    mine = [row for row in rows if row.get("Subject", "").strip() == request.subject]
    if not mine:
        return RecordingLabels(labels=(task,))
    quality = _EEGMAT_QUALITY.get(mine[0].get("Count quality", "").strip())
    if len(mine) > 1 or quality is None:
        raise CorpusError(
            "bad_labels", f"{len(mine)} rows for the subject, or a void count quality"
        )
    counted = Label("recording", "count_quality", quality, "subject-info.csv")
    return RecordingLabels(
        labels=(task, counted),
        age_band=age_band(_number(mine[0].get("Age"))),
        sex=_sex(mine[0].get("Gender")),
    )


_FISTS = {"T0": "rest", "T1": "left_fist", "T2": "right_fist"}
_LIMBS = {"T0": "rest", "T1": "both_fists", "T2": "both_feet"}
_EEGMMIDB_RUNS: dict[int, tuple[str, dict[str, str]]] = {
    1: ("eyes_open_rest", {"T0": "rest"}),
    2: ("eyes_closed_rest", {"T0": "rest"}),
    **{run: ("executed_fist", _FISTS) for run in (3, 7, 11)},
    **{run: ("imagined_fist", _FISTS) for run in (4, 8, 12)},
    **{run: ("executed_fists_or_feet", _LIMBS) for run in (5, 9, 13)},
    **{run: ("imagined_fists_or_feet", _LIMBS) for run in (6, 10, 14)},
}


def read_eegmmidb(request: LabelRequest) -> RecordingLabels:
    """Task by run number; T0, T1, T2 with the meaning they have in that run."""
    run = int(request.session)
    if run not in _EEGMMIDB_RUNS:
        raise CorpusError("bad_labels", f"run {run} is not one of the corpus' 14 runs")
    task, codes = _EEGMMIDB_RUNS[run]
    manner = task.split("_")[0]
    found = request.recording.annotations()
    if any(re.fullmatch(r"T\d", a.text) and a.text not in codes for a in found):
        raise CorpusError("bad_labels", f"an annotation code has no meaning in run {run}")
    intervals = tuple(
        Interval(
            a.onset_s,
            min(a.onset_s + a.duration_s, request.duration_s),
            Label("interval", "task", _task_value(manner, codes[a.text]), f"annotation {a.text}"),
        )
        for a in found
        if a.text in codes and a.onset_s < request.duration_s
    )
    return RecordingLabels((Label("recording", "task", task, "run number"),), intervals)


def _task_value(manner: str, meaning: str) -> str:
    return meaning if meaning == "rest" else f"{manner}_{meaning}"


_SEIZURE_LINE = re.compile(r"Seizure\s*(?:\d+\s+)?(Start|End) Time\s*:\s*(\d+)\s*seconds", re.I)
_SEIZURE_COUNT = re.compile(r"Number of Seizures in File\s*:\s*(\d+)", re.I)


def chb_section(text: str, file_name: str) -> str | None:
    """Return the lines of a summary about one file."""
    for section in re.split(r"(?m)^File Name\s*:\s*", text)[1:]:
        if section.split("\n", 1)[0].strip() == file_name:
            return section
    return None


def chb_seizures(section: str, duration_s: float) -> list[tuple[float, float]]:
    """Return the seizures of a summary's section, clipped to the recording.

    Raises
    ------
    CorpusError
        ``bad_labels`` if starts, ends and the declared count differ, or one lies outside.
    """
    found = _SEIZURE_LINE.findall(section)
    starts = [float(t) for edge, t in found if edge.lower() == "start"]
    ends = [float(t) for edge, t in found if edge.lower() == "end"]
    count = _SEIZURE_COUNT.search(section)
    if count is None or not int(count[1]) == len(starts) == len(ends):
        raise CorpusError("bad_labels", f"{len(starts)} seizure starts, {len(ends)} ends, "
                          f"{count[1] if count else 'no'} declared")  # fmt: skip
    if any(end <= start or start >= duration_s for start, end in zip(starts, ends, strict=True)):
        raise CorpusError("bad_labels", f"a seizure lies outside the {duration_s:g} s recorded")
    return [(a, min(b, duration_s)) for a, b in zip(starts, ends, strict=True)]


def read_chb_mit(request: LabelRequest) -> RecordingLabels:
    """Seizures from ``chbNN-summary.txt``; sex and age from ``SUBJECT-INFO``.

    A file the summary does not name (a cut, a renamed copy) has seizures ``unknown``: its place in
    the original record is not guessed from clock times.
    """
    band, sex = _chb_subject(request)
    text = _sidecar_text(_nearest(request.path, f"{request.subject}-summary.txt"))
    section = None if text is None else chb_section(text, request.path.name)
    if section is None:
        why = "no summary" if text is None else "not named in the summary"
        unknown = Label("recording", "seizure", "unknown", why)
        return RecordingLabels(labels=(unknown,), age_band=band, sex=sex)
    source = f"{request.subject}-summary.txt"
    seizures = chb_seizures(section, request.duration_s)
    whole = Label("recording", "seizure", "present" if seizures else "absent", source)
    here = Label("segment", "seizure", "present", source)
    return RecordingLabels(
        labels=(whole,),
        intervals=tuple(Interval(a, b, here) for a, b in seizures),
        default=Label("segment", "seizure", "absent", source),
        age_band=band,
        sex=sex,
    )


def _chb_subject(request: LabelRequest) -> tuple[str | None, str | None]:
    text = _sidecar_text(_nearest(request.path, "SUBJECT-INFO")) or ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) == 3 and cells[0] == request.subject:
            return age_band(_number(cells[2])), _sex(cells[1])
    return None, None


_STAGES = {
    "Sleep stage W": "W", "Sleep stage 1": "N1", "Sleep stage 2": "N2", "Sleep stage 3": "N3",
    "Sleep stage 4": "N3", "Sleep stage R": "REM",
}  # fmt: skip
"""Rechtschaffen & Kales to AASM: stages 3 and 4 are N3 (AASM manual, corpus practice)."""
EPOCH_S = 30.0


def read_sleep_edfx(request: LabelRequest) -> RecordingLabels:
    """Stages from the hypnogram whose name shares subject and night with the recording's.

    The last letter of a hypnogram's name is its scorer and varies. Unscored (``?``) and movement
    time carry no stage.
    """
    stem = request.path.name.split("-")[0][:-1]
    pattern = re.compile(re.escape(stem) + r"\w-Hypnogram\.edf", re.I)
    beside = sorted(p for p in request.path.parent.iterdir() if pattern.fullmatch(p.name))
    if not beside:
        return RecordingLabels((Label("recording", "hypnogram", "missing", "no sidecar"),))
    if len(beside) > 1:
        raise CorpusError("bad_labels", f"{len(beside)} hypnograms for one recording")
    with open_recording(beside[0], request.spec.reader) as hypnogram:
        notes, start = hypnogram.annotations(), hypnogram.start
    late_s = 0.0
    if start and request.recording.start:
        late_s = (start - request.recording.start).total_seconds()
    scored = [Annotation(a.onset_s + late_s, a.duration_s, a.text) for a in notes]
    stages = _stages(scored, request.duration_s)
    grid_s = scored[0].onset_s % EPOCH_S if scored else None
    label = Label("recording", "hypnogram", "present", "hypnogram")
    return RecordingLabels(labels=(label,), stages=stages, grid_s=grid_s)


def _stages(notes: list[Annotation], duration_s: float) -> tuple[Interval, ...]:
    stages, end = [], float("-inf")
    for note in sorted(notes, key=lambda a: a.onset_s):
        if not note.text.startswith(("Sleep stage", "Movement time")):
            continue
        if note.onset_s < end - 1e-6 or note.duration_s <= 0:
            raise CorpusError("bad_labels", f"stages overlap at {note.onset_s:g} s")
        end = note.onset_s + note.duration_s
        stage = _STAGES.get(note.text)
        if stage and note.onset_s < duration_s and end > 0:
            label = Label("epoch", "stage", stage, "hypnogram")
            stages.append(Interval(note.onset_s, min(end, duration_s), label))
    return tuple(stages)


_SIMULATED_CONDITIONS = {
    "eyes_open": Label("interval", "eyes", "open", "simulator"),
    "eyes_closed": Label("interval", "eyes", "closed", "simulator"),
}
_SIMULATED_STAGES = {stage: Label("epoch", "stage", stage, "simulator") for stage in ("N2", "N3")}


def read_simulated(request: LabelRequest) -> RecordingLabels:
    """State by file name; conditions, stages and planted events from the simulator's sidecar."""
    from dagster_project.corpora.simulated.truth import read_truth, truth_events

    path = request.path.with_name(f"{request.path.stem}_truth.json")
    if not path.is_file():
        raise CorpusError("bad_labels", "a simulated recording without its truth sidecar")
    try:
        truth, events = read_truth(path), truth_events(path)
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError("bad_labels", f"truth sidecar: {type(error).__name__}") from error
    if any(event.t0_s >= request.duration_s for event in events):
        raise CorpusError("bad_labels", "a planted event lies behind the recording's end")

    def of(known: dict[str, Label]) -> tuple[Interval, ...]:
        found = truth.background.intervals
        return tuple(Interval(i.t0_s, i.t1_s, known[i.name]) for i in found if i.name in known)

    return RecordingLabels(
        labels=(Label("recording", "state", request.session, "simulator"),),
        intervals=of(_SIMULATED_CONDITIONS),
        stages=of(_SIMULATED_STAGES),
        events=events,
    )


LABEL_READERS: dict[str, LabelReader] = {
    "eegmat": read_eegmat,
    "eegmmidb": read_eegmmidb,
    "chb-mit": read_chb_mit,
    "sleep-edfx": read_sleep_edfx,
    "simulated": read_simulated,
}
"""Label readers by the name a corpus declares."""


def read_labels(
    spec: CorpusSpec, path: Path, relative_path: str, recording: Recording, duration_s: float
) -> RecordingLabels:
    """Read everything a corpus says about one recording.

    Raises
    ------
    CorpusError
        ``file_name`` if the name does not fit the corpus' layout, ``bad_labels`` if a sidecar is
        void or contradicts the recording, ``unreadable`` if it cannot be read.
    """
    match = spec.match_file(relative_path)
    if not match:
        raise CorpusError("file_name", "the file name carries no subject in the corpus' layout")
    request = LabelRequest(
        spec, path, match["subject"], match["session"].lstrip("_"), recording, duration_s
    )
    try:
        return LABEL_READERS[spec.label_reader](request)
    except OSError as error:
        raise CorpusError("unreadable", f"a sidecar: errno {error.errno}") from error
    except csv.Error as error:
        raise CorpusError("bad_labels", "a table sidecar is not a table") from error
