"""What the corpora's own labels say, as plain values with their scope.

Label readers are beside this module, their names in
:mod:`dagster_project.corpora.labels.table`. Nothing is guessed: a label that cannot be looked up is
``unknown`` and says so. Ages become bands and no free text of a file is passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.readers.types import Recording
from dagster_project.corpora.spec import CorpusSpec
from detectors.types import ExpertEvent

EDGE_S = 1e-6
"""Intervals that meet on a clock of sums must not overlap by rounding."""


SCOPES = ("recording", "segment", "interval", "epoch", "file", "split")


@dataclass(frozen=True, slots=True)
class Label:
    """A label with its scope.

    Parameters
    ----------
    scope
        ``recording`` (of the whole file or its person; says nothing of any one segment),
        ``segment`` (holds for the segment as such), ``interval`` (of a stretch the segment
        overlaps), ``epoch`` (a scorer's grid, such as 30-s stages), ``file`` (a remark on the file
        or its sidecars, such as dropped marks; never quoted in a text) or ``split`` (a published
        split; never a fact about the signal).
    name, value
        Closed words, ours or the corpus' codes; never free text of a file.
    source
        Where it was read.
    """

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

    def overlaps(self, start_s: float, stop_s: float) -> bool:
        """Whether it reaches into ``[start_s, stop_s)`` by more than rounding."""
        return self.t0_s < stop_s - EDGE_S and self.t1_s > start_s + EDGE_S


@dataclass(frozen=True, slots=True)
class RecordingLabels:
    """Everything the corpus says about one recording.

    Parameters
    ----------
    labels
        Labels of the whole recording.
    intervals
        Labels of parts of it; a segment carries those it overlaps.
    defaults
        Labels of a segment that overlaps no interval of the same name and source, where the absence
        is known; one per expert where several say so.
    stages
        Sleep stages; intervals whose label value is the stage, on the grid the scorer used.
    events
        Timed events, recording-relative.
    grid_s
        Offset of the annotation grid segments are aligned to, or None where there is none.
    keep
        The stretches ``(t0_s, t1_s)`` of the recording worth cutting, None for all of it.
    age_band, sex
        From the corpus' own subject table.
    """

    labels: tuple[Label, ...] = ()
    intervals: tuple[Interval, ...] = ()
    defaults: tuple[Label, ...] = ()
    stages: tuple[Interval, ...] = ()
    events: tuple[ExpertEvent, ...] = ()
    grid_s: float | None = None
    keep: tuple[tuple[float, float], ...] | None = None
    age_band: str | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """What a label reader may look at.

    Parameters
    ----------
    spec
        The corpus.
    folder
        The corpus' folder; tables about everybody lie in it.
    path
        The recording file.
    below
        Its path below the corpus' folder, with forward slashes.
    match
        The file pattern's match on ``below``.
    recording
        The open file.
    duration_s
        Length on the recording's clock, gaps included.
    """

    spec: CorpusSpec
    folder: Path
    path: Path
    below: str
    match: re.Match[str]
    recording: Recording
    duration_s: float

    @property
    def subject(self) -> str:
        """Subject as the file name gives it."""
        return self.match["subject"]

    @property
    def session(self) -> str:
        """Session or run as the file name gives it, empty where it has none."""
        return (self.match.groupdict().get("session") or "").lstrip("_")
