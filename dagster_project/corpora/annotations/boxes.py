"""From labelled events to the boxes a waveform detector is trained and scored on.

Here an event becomes boxes one channel high, or is refused for one of :data:`CAUSES`, so that no
label vanishes. Which electrode a bipolar mark belongs to is decided in ``rows``, what
several experts say together in ``votes``, what a user's own tables say in
``own``, planted pages are made in ``planted``. Visibility of planted
events is :mod:`detectors.waveform.boxes`; nothing is read from disk here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dagster_project.corpora.annotations.rows import PageSignal, placed_times, rows_of_channel
from dagster_project.corpora.identity import short_hash
from detectors._rule_common import Limit
from detectors.types import ChannelSchema, ExpertEvent, Measure
from detectors.waveform.boxes import VISIBILITY, waveform_boxes

CAUSES: Mapping[str, str] = {
    "no_class": "the kind is none of the nine waveform classes",
    "no_channel": "an interval of the whole record, no channel named",
    "not_a_row": "the channel is none of the 19 electrodes",
    "row_not_recorded": "the electrode was not recorded in this segment",
    "bipolar_segment": "the recording is bipolar; boxes are on single electrodes",
    "pair_unclear": "which electrode of a derivation it belongs to cannot be told",
    "longer_than_class": "the mark is longer than one wave of its class can be",
    "not_visible": "below the visible amplitude, or cut by the segment's edge",
    "no_duration": "a point mark of a kind whose length the kind does not give",
    "unknown_word": "a word or HED tag that maps to no kind of ours",
    "outside": "before the start or past the end of every stored segment",
    "unknown_recording": "a row of the table that names no accepted recording",
}
"""Why an event did not become a box."""

LIMITS: dict[str, Limit] = {
    "spike_longest_s": Limit(0.5, "s", "engineering default: IFCN 2017 has under 0.07 s"),
    "sharp_longest_s": Limit(0.5, "s", "engineering default: IFCN 2017 has 0.07-0.2 s"),
    "spsw_longest_s": Limit(1.0, "s", "engineering default: systems.md 6.3 has 0.25-0.6 s"),
    "spindle_longest_s": Limit(3.0, "s", "systems.md 6.3"),
    "kcomplex_longest_s": Limit(2.0, "s", "systems.md 6.3"),
    "blink_longest_s": Limit(2.0, "s", "engineering default"),
    "lateral_eye_longest_s": Limit(10.0, "s", "engineering default"),
    "eye_movement_longest_s": Limit(10.0, "s", "engineering default: a run of movements"),
    "muscle_longest_s": Limit(10.0, "s", "engineering default"),
}
"""Longest mark that is one wave of its class; a margin of a millisecond is given."""

BOXED_KINDS: Mapping[str, str] = {**{kind: kind for kind in VISIBILITY}, "eye_movement": "blink"}
"""Kind of an event to the kind it is boxed as. TUH's ``eyem`` is any eye movement (``corpora.md``
4.5): it becomes class ``eyem``, or a lateral one where F7 and F8 move against each other."""

GRID_S: Mapping[str, float] = {"tuev": 1.0}
"""Corpora whose marks are rows of a fixed length that hold a wave somewhere (``corpora.md``
5.14): spikes and complexes are placed within each row."""
PLACED_KINDS = frozenset({"spike", "sharp", "spsw"})

SIMULATOR = "simulator"
PLANTED = "planted"
_EXPERT = re.compile(r"expert_\d+\Z")
_ANNOTATOR = re.compile(r"@(annotator-\d+)\Z")


@dataclass(frozen=True, slots=True)
class AnnotatedPage:
    """One segment with what was said about it.

    Parameters
    ----------
    segment_id, corpus, subject_id, split
        As in table ``segments``.
    schema, recorded
        Rows, and the names of those recorded.
    events
        Timed from the segment's start.
    looked
        Annotator and kind, where the corpus says how far each annotator looked.
    is_simulated
        Made by the simulator.
    """

    segment_id: str
    corpus: str
    subject_id: str
    split: str
    schema: ChannelSchema
    recorded: tuple[str, ...]
    events: tuple[ExpertEvent, ...]
    looked: frozenset[tuple[str, str]] = frozenset()
    is_simulated: bool = False

    @property
    def needs_signal(self) -> bool:
        """Whether an event can only be boxed by looking at the signal."""
        return self.schema.is_referential and any(map(_needs_signal, self.events))


@dataclass(frozen=True, slots=True)
class Box:
    """One box, and who drew it.

    Parameters
    ----------
    waveform, channel, t0_s, t1_s
        Class, row and interval within the segment.
    kind
        Kind of the event it came from.
    source
        As the event says.
    annotator
        One person of several, ``corpus`` where the corpus speaks with one voice.
    is_placed
        The expert marked a longer stretch; a rule placed the wave within it.
    """

    waveform: str
    channel: str
    t0_s: float
    t1_s: float
    kind: str
    source: str
    annotator: str
    is_placed: bool = False


@dataclass(slots=True)
class Tally:
    """What became of events, by corpus, kind and outcome; ``boxed`` or one of :data:`CAUSES`."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, corpus: str, kind: str, outcome: str, n: int = 1) -> None:
        """Count an event and channel."""
        if n:
            self.counts[corpus, kind, outcome] += n

    def rows(self) -> list[dict[str, Any]]:
        """Return the counts as rows, sorted."""
        return [
            {"corpus": corpus, "kind": kind, "outcome": outcome, "n": n}
            for (corpus, kind, outcome), n in sorted(self.counts.items())
        ]

    def by_cause(self) -> dict[str, int]:
        """Return how many were refused, by cause."""
        total: Counter[str] = Counter()
        for (_, _, outcome), n in self.counts.items():
            if outcome != "boxed":
                total[outcome] += n
        return dict(sorted(total.items()))


def page_of(row: Mapping[str, Any], more: Sequence[ExpertEvent] = ()) -> AnnotatedPage:
    """Return a page from a row of table ``segments``.

    Parameters
    ----------
    row
        With ``segment_id``, ``corpus``, ``subject_id``, ``split``, ``channel_schema``, ``mask``,
        ``events``, ``labels`` and ``is_simulated``.
    more
        Events that other tables know of, timed from the segment's start.
    """
    schema = ChannelSchema.parse(row["channel_schema"])
    events = [
        ExpertEvent(
            e["kind"], tuple(e["channels"]), e["t0_s"], e["t1_s"], e["source"],
            tuple(Measure(m["name"], m["value"], m["unit"]) for m in e["measures"]),
        )
        for e in row["events"]
    ]  # fmt: skip
    events += [event for event in more if not any(_is_same(event, known) for known in events)]
    looked = frozenset(
        (label["name"].removesuffix("_scored"), label["value"])
        for label in row["labels"]
        if label["name"].endswith("_scored")
    )
    return AnnotatedPage(
        row["segment_id"], row["corpus"], row["subject_id"], row["split"], schema,
        tuple(n for n, is_there in zip(schema.ch_names, row["mask"], strict=True) if is_there),
        tuple(events), looked, row["is_simulated"],
    )  # fmt: skip


def boxes_of(page: AnnotatedPage, tally: Tally, signal: PageSignal | None = None) -> list[Box]:
    """Return the boxes of every annotator, and count what became of each event and channel.

    Parameters
    ----------
    page
        A segment with its events.
    tally
        Counts every event's channel once, an event without any as one.
    signal
        The segment's signal; needed where :attr:`AnnotatedPage.needs_signal`.

    Returns
    -------
    list of Box
        By class, row and time; boxes of one annotator that overlap on a row are joined.
    """
    found: list[Box] = []
    for event in page.events:
        cause = _why_not(event, page)
        if cause:
            tally.add(page.corpus, event.kind, cause, max(len(event.channels), 1))
        elif any(m.name.startswith("p2p_uv:") for m in event.measures):
            found += _planted_boxes(event, page, tally)
        else:
            for channel in event.channels:
                found += _marked_boxes(event, channel, page, tally, signal)
    return joined(found)


def annotator_of(source: str) -> str:
    """Return who said so: one of several experts, the simulator, or ``corpus``."""
    if source.startswith((SIMULATOR, PLANTED)):
        return SIMULATOR
    if _EXPERT.match(source):
        return source
    match = _ANNOTATOR.search(source)
    return match[1] if match else "corpus"


def joined(boxes: Iterable[Box]) -> list[Box]:
    """Join boxes of one class, row and annotator that overlap in time."""
    ordered = sorted(boxes, key=lambda b: (b.annotator, b.waveform, b.channel, b.t0_s, b.t1_s))
    out: list[Box] = []
    for box in ordered:
        last = out[-1] if out else None
        if last and _same_row(last, box) and box.t0_s < last.t1_s:
            out[-1] = replace(last, t1_s=max(last.t1_s, box.t1_s))
        else:
            out.append(box)
    return out


def annotation_id(segment_id: str, box: Box) -> str:
    """Return the stable id of a box on a segment."""
    key = f"{segment_id}|{box.waveform}|{box.channel}|{box.t0_s:.4f}|{box.t1_s:.4f}"
    return short_hash("a", key)


def _is_same(a: ExpertEvent, b: ExpertEvent) -> bool:
    """Whether two tables name one event: an entry may map a word that is known anyway."""
    is_near = abs(a.t0_s - b.t0_s) < 1e-3 and abs(a.t1_s - b.t1_s) < 1e-3
    return is_near and (a.kind, a.channels) == (b.kind, b.channels)


def _same_row(a: Box, b: Box) -> bool:
    return (a.annotator, a.waveform, a.channel) == (b.annotator, b.waveform, b.channel)


def _needs_signal(event: ExpertEvent) -> bool:
    if event.kind not in BOXED_KINDS or any(m.name.startswith("p2p_uv:") for m in event.measures):
        return False
    is_signed = any(m.name.startswith("sign:") for m in event.measures)
    return (
        any("-" in channel for channel in event.channels)
        or event.kind == "eye_movement"
        or (event.kind == "lateral_eye" and not is_signed)
        or _grid_s(event) > 0
    )


def _grid_s(event: ExpertEvent) -> float:
    """Return the length of the rows an event's marks are made of, 0 where it was drawn."""
    if event.kind not in PLACED_KINDS:
        return 0.0
    return GRID_S.get(event.source.partition(":")[0], 0.0)


def _why_not(event: ExpertEvent, page: AnnotatedPage) -> str:
    if event.kind not in BOXED_KINDS:
        return "no_class"
    if not page.schema.is_referential:
        return "bipolar_segment"
    if not event.channels:
        return "no_channel"
    length_s = event.t1_s - event.t0_s
    if not _grid_s(event) and length_s > LIMITS[f"{event.kind}_longest_s"].value + 1e-3:
        return "longer_than_class"
    return ""


def _planted_boxes(event: ExpertEvent, page: AnnotatedPage, tally: Tally) -> list[Box]:
    boxes = []
    for waveform, channel, t0_s, t1_s in waveform_boxes(event):
        if channel in page.recorded:
            boxes.append(Box(waveform, channel, t0_s, t1_s, event.kind, event.source, SIMULATOR))
    tally.add(page.corpus, event.kind, "boxed", len(boxes))
    tally.add(page.corpus, event.kind, "not_visible", not boxes)
    return boxes


def _marked_boxes(
    event: ExpertEvent,
    channel: str,
    page: AnnotatedPage,
    tally: Tally,
    signal: PageSignal | None,
) -> list[Box]:
    """Box one channel of an expert's mark: on its row, or on the row of a pair that shows it."""
    rows = rows_of_channel(channel, event, page.recorded, signal)
    if isinstance(rows, str):
        tally.add(page.corpus, event.kind, rows)
        return []
    tally.add(page.corpus, event.kind, "boxed")
    boxes = []
    for row in rows:
        spans = [(event.t0_s, event.t1_s)]
        if _grid_s(event) and signal is not None:
            spans = placed_times(event, row.channel, signal, _grid_s(event))
        signs = (Measure(f"sign:{row.channel}", row.sign, "1"),)
        for t0_s, t1_s in spans:
            part = ExpertEvent(row.kind, (row.channel,), t0_s, t1_s, event.source, signs)
            boxes += [
                Box(w, c, a, b, event.kind, event.source, annotator_of(event.source),
                    bool(_grid_s(event)))
                for w, c, a, b in waveform_boxes(part)
            ]  # fmt: skip
    return boxes
