"""What the sleep corpora's scorings have in common: words, epochs, overlaps, coverage.

Stages are AASM's W, N1, N2, N3, REM, whatever rules the scorer followed. Which file a scoring is in
and how it spells things is with each corpus' label reader beside this module.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Annotation, Recording
from dagster_project.corpora.spec import Choice

EPOCH_S = 30.0
"""Length of a scored epoch (AASM manual; Rechtschaffen & Kales 1968)."""
SLEEP_MARGIN_S = 1800.0
"""Wake kept on both sides of sleep where a record runs round the clock (corpus practice)."""
TOUCH_S = 1e-6
"""Below this, two edges are the same instant."""

RK_STAGES = {"W": "W", "1": "N1", "2": "N2", "3": "N3", "4": "N3", "R": "REM"}
"""Rechtschaffen & Kales to AASM: stages 3 and 4 are N3 (AASM manual, corpus practice)."""
AASM_STAGES = {"W": "W", "N1": "N1", "N2": "N2", "N3": "N3", "R": "REM"}
"""How AASM scorings spell their stages."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One entry of a scoring: an epoch or a run of them; ``stage`` None where it names no stage."""

    onset_s: float
    duration_s: float
    stage: str | None


def check_scored(scored: Sequence[Scored], duration_s: float) -> tuple[Scored, ...]:
    """Return a scoring in order of time.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is void, holds an entry without length, two that overlap, or none
        inside the recording.
    """
    ordered = tuple(sorted(scored, key=lambda s: s.onset_s))
    end = float("-inf")
    for entry in ordered:
        if not (math.isfinite(entry.onset_s) and 0 < entry.duration_s < math.inf):
            raise CorpusError("bad_labels", "a stage without a finite onset and length")
        if entry.onset_s < end - TOUCH_S:
            raise CorpusError("bad_labels", f"stages overlap at {entry.onset_s:g} s")
        end = entry.onset_s + entry.duration_s
    if not ordered:
        raise CorpusError("bad_labels", "a scoring without a single epoch")
    if covered_s(ordered, duration_s) <= 0:
        raise CorpusError("bad_labels", f"no epoch inside the {duration_s:g} s recorded")
    return ordered


def covered_s(scored: Iterable[Scored], duration_s: float) -> float:
    """Return how much of the recording the entries of a scoring cover."""
    ends = ((max(s.onset_s, 0.0), min(s.onset_s + s.duration_s, duration_s)) for s in scored)
    return sum(max(b - a, 0.0) for a, b in ends)


def stage_intervals(
    scored: Sequence[Scored], duration_s: float, source: str
) -> tuple[Interval, ...]:
    """Return the stages inside a recording, neighbours of one stage joined.

    Parameters
    ----------
    scored
        From :func:`check_scored`.
    duration_s
        Length of the recording; what overruns it is cut off.
    source
        Where the stages were read.
    """
    found: list[Interval] = []
    for entry in scored:
        t0_s = max(entry.onset_s, 0.0)
        t1_s = min(entry.onset_s + entry.duration_s, duration_s)
        if entry.stage is None or t1_s - t0_s <= TOUCH_S:
            continue
        label = Label("epoch", "stage", entry.stage, source)
        last = found[-1] if found else None
        if last and last.label == label and t0_s - last.t1_s <= TOUCH_S:
            found[-1] = Interval(last.t0_s, t1_s, label)
        else:
            found.append(Interval(t0_s, t1_s, label))
    return tuple(found)


def hypnogram_label(scored: Sequence[Scored], duration_s: float, source: str) -> Label:
    """Say whether the scoring covers the recording, an epoch's length aside."""
    is_whole = duration_s - covered_s(scored, duration_s) <= EPOCH_S + TOUCH_S
    return Label("file", "hypnogram", "present" if is_whole else "partial", source)


def missing_hypnogram() -> Label:
    """Return the label of a recording whose scoring is not there."""
    return Label("file", "hypnogram", "missing", "no sidecar")


def grid_of(scored: Sequence[Scored]) -> float:
    """Return the offset of the scorer's grid of epochs."""
    return scored[0].onset_s % EPOCH_S


def around_sleep(
    stages: Sequence[Interval], duration_s: float
) -> tuple[tuple[float, float], ...] | None:
    """Return the stretch from before the first to after the last epoch of sleep.

    None, for all of it, where no sleep was scored: there is nothing to trim around.
    """
    asleep = [i for i in stages if i.label.value != "W"]
    if not asleep:
        return None
    t0_s = max(asleep[0].t0_s - SLEEP_MARGIN_S, 0.0)
    return ((t0_s, min(asleep[-1].t1_s + SLEEP_MARGIN_S, duration_s)),)


def edf_annotations(path: Path, recording: Recording) -> list[Annotation]:
    """Return the annotations of an EDF+ scoring on the clock of the recording it belongs to."""
    with open_recording(path, Choice(name="edf")) as scoring:
        notes, start = scoring.annotations(), scoring.start
    late_s = 0.0
    if start and recording.start:
        late_s = (start - recording.start).total_seconds()
    return [Annotation(a.onset_s + late_s, a.duration_s, a.text) for a in notes]
