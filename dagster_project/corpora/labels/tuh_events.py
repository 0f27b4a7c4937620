"""From TUH annotation rows to the labels and events of a recording.

Channel-wise marks stay events on their derivation; whole-record marks become intervals. Formats are
in ``tuh_files.py``, codes and montages in ``tuh_codes.py``, the header in ``tuh_header.py``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import field_validator

from dagster_project.corpora.channels import parse_label
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.tuh_codes import (
    EARS,
    KIND_OF_CODE,
    SEIZURE_CODES,
    TCP22,
    TCP_CERTAIN,
    montage_named,
    parts_of,
)
from dagster_project.corpora.labels.tuh_files import FORMATS, Row, Sheet, read_sheet
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry
from detectors.types import SEGMENT_S, ExpertEvent, Measure

DURATION_TOLERANCE_S = 1.0
"""A sidecar's duration may differ so much from the EDF's (``corpora.md`` 5.16)."""
ONSET_S = 1.0
"""What is known of an event without an end: that it began (least length an event shows up with)."""
LENGTH_TOLERANCE_S = 0.05
"""Slack on the length of events cut to one length (engineering default)."""
_NAMED_AFTER = re.compile(r"[a-z]{8}_s\d{3}_t\d{3}\Z")

Span = tuple[float, float]


def _check_files(files: tuple[str, ...]) -> tuple[str, ...]:
    for name in files:
        if Path(f"x{name}").suffix not in FORMATS:
            raise ValueError(f"{name!r} is no TUH format; use names ending {', '.join(FORMATS)}")
    return files


class EventParams(Entry):
    """Which file holds the marks, and what they are called.

    Parameters
    ----------
    files
        Ends of names after the recording's stem, best first; the first that is there is read.
    label
        Name of the interval label that carries the codes.
    codes
        Codes the corpus may hold, pairs included; empty: all of the TUH table.
    passed_over
        Codes that are the absence of a mark.
    annotators
        Ends of names after ``<stem>_<two digits>`` with single annotators' marks, best first; they
        become events of their own beside the agreed ones.
    length_s
        Length all events were cut to, 0 where they were not; others are counted.
    is_on_grid
        Segments are aligned to the events, where they share an offset.
    """

    files: tuple[str, ...]
    label: str
    codes: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ("null",)
    annotators: tuple[str, ...] = ()
    length_s: float = 0.0
    is_on_grid: bool = False

    _known = field_validator("files", "annotators")(_check_files)


class SeizureParams(Entry):
    """Ends of names after the recording's stem that say when seizures were, best first."""

    files: tuple[str, ...]

    _known = field_validator("files")(_check_files)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A row inside the recording; ``is_open`` where its end is not known."""

    row: Row
    t0_s: float
    t1_s: float
    is_open: bool


@dataclass(slots=True)
class _Marks:
    marks: list[_Mark] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def count_labels(self, source: str) -> tuple[Label, ...]:
        return tuple(
            Label("file", f"events_{why}", str(n), source)
            for why, n in sorted(self.counts.items())
            if n
        )


def _check_sheet(sheet: Sheet, request: LabelRequest) -> None:
    """Refuse annotations that say they are of another recording."""
    off_s = abs((sheet.duration_s or request.duration_s) - request.duration_s)
    if off_s > DURATION_TOLERANCE_S:
        raise CorpusError("bad_labels", f"annotations of a recording {off_s:g} s shorter or longer")
    name, stem = sheet.settings.get("bname", ""), request.path.stem
    if name != stem and _NAMED_AFTER.match(name) and _NAMED_AFTER.match(stem):
        raise CorpusError("bad_labels", "annotations that name another recording")


def _sheet(request: LabelRequest, ends: Iterable[str]) -> tuple[Sheet | None, str]:
    """Read the first file that is there; also how it is called in labels."""
    for end in ends:
        sheet = read_sheet(request.path.with_name(request.path.stem + end))
        if sheet:
            _check_sheet(sheet, request)
            return sheet, end.strip("._")
    return None, "no sidecar"


def _inside(rows: Iterable[Row], duration_s: float) -> _Marks:
    """Clip rows to the recording; drop what is void or lies outside, and count all of it."""
    found = _Marks()
    for row in dict.fromkeys(rows):
        is_open = row.stop_s is None
        stop_s = row.start_s + ONSET_S if row.stop_s is None else row.stop_s
        t0_s, t1_s = max(row.start_s, 0.0), min(stop_s, duration_s)
        if t1_s <= t0_s:
            found.counts["dropped"] += 1
            continue
        found.counts["clipped"] += (t0_s, t1_s) != (row.start_s, stop_s) and not is_open
        found.counts["without_end"] += is_open
        found.counts["of_doubtful_confidence"] += row.confidence < 1
        found.marks.append(_Mark(row, t0_s, t1_s, is_open))
    return found


def _union(spans: Iterable[Span]) -> list[Span]:
    """Join stretches that touch or overlap."""
    joined: list[Span] = []
    for t0_s, t1_s in sorted(spans):
        if joined and t0_s <= joined[-1][1] + 1e-6:
            joined[-1] = (joined[-1][0], max(joined[-1][1], t1_s))
        else:
            joined.append((t0_s, t1_s))
    return joined


def _gaps(spans: list[Span], duration_s: float) -> list[Span]:
    """Return what joined stretches leave uncovered; a rounded end of the file is no gap."""
    edges = [0.0, *(edge for span in spans for edge in span), duration_s]
    holes = list(zip(edges[::2], edges[1::2], strict=True))
    if spans and holes[-1][1] - holes[-1][0] <= DURATION_TOLERANCE_S:
        holes.pop()
    return [(a, b) for a, b in holes if b - a > 1e-3]


def _numbering(sheet: Sheet, request: LabelRequest) -> Mapping[int, str]:
    """Find what derivation numbers mean: the file's own list, its montage, or the folder's.

    Where none of these is there (TUEV), a recording with both ears or a number only the full
    montage has tells; else the numbers that differ between the montages stay unknown.
    """
    folder = request.match.groupdict().get("montage") or ""
    named = (
        sheet.montage
        or montage_named(sheet.settings.get("montage_file", ""))
        or montage_named(folder)
    )
    if named:
        return named
    present = {parse_label(signal.label).name for signal in request.recording.signals}
    numbers = [row.channel for row in sheet.rows if isinstance(row.channel, int)]
    is_full = present.issuperset(EARS) or max(numbers, default=0) not in range(20)
    return TCP22 if is_full else TCP_CERTAIN


def _channels(row: Row, numbering: Mapping[int, str]) -> tuple[str, ...]:
    if isinstance(row.channel, str):
        return (row.channel,) if row.channel else ()
    if row.channel in numbering:
        return (numbering[row.channel],)
    if numbering is TCP_CERTAIN:
        return ()
    raise CorpusError("bad_labels", f"derivation {row.channel} is not in the montage of the file")


def _events(
    marks: Iterable[_Mark], numbering: Mapping[int, str], source: str, annotator: str = ""
) -> tuple[ExpertEvent, ...]:
    """Return one event per single code and mark; the raw code stays in the source."""
    events = [
        ExpertEvent(
            KIND_OF_CODE[code],
            _channels(mark.row, numbering),
            mark.t0_s,
            mark.t1_s,
            f"{source}:{mark.row.code}{annotator}",
            (Measure("confidence", mark.row.confidence, "1"),) if mark.row.confidence < 1 else (),
        )
        for mark in marks
        for code in parts_of(mark.row.code)
    ]
    return tuple(sorted(events, key=lambda e: (e.t0_s, e.t1_s, e.channels, e.source, e.kind)))


def _wanted(rows: Iterable[Row], params: EventParams) -> list[Row]:
    kept = []
    for row in rows:
        if params.codes and row.code not in params.codes:
            raise CorpusError("bad_labels", f"a code that is none of {', '.join(params.codes)}")
        if row.code not in params.passed_over:
            kept.append(row)
    return kept


def _grid_s(marks: Iterable[_Mark]) -> float | None:
    """Return the commonest offset of events that fill a segment, the least of equals."""
    filling = (mark.t0_s for mark in marks if mark.t1_s - mark.t0_s >= SEGMENT_S - 1e-3)
    offsets = Counter(round(t0_s % SEGMENT_S, 3) % SEGMENT_S for t0_s in filling)
    return min(offsets, key=lambda offset: (-offsets[offset], offset), default=None)


def _is_of_length(mark: _Mark, length_s: float, duration_s: float) -> bool:
    is_last = mark.t1_s >= duration_s - DURATION_TOLERANCE_S
    return is_last or abs(mark.t1_s - mark.t0_s - length_s) <= LENGTH_TOLERANCE_S


def read_tuh_events(request: LabelRequest, params: EventParams) -> RecordingLabels:
    """Read the marks of a recording: events on their derivation, and which codes occur when.

    Time without a mark carries nothing: it was not certified to be free of what was looked for.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the file is void, is of another recording, or holds a code or derivation
        its corpus has not.
    """
    sheet, source = _sheet(request, params.files)
    name = f"{params.label}_annotations"
    alone = _annotators(request, params)
    if sheet is None:
        return RecordingLabels((Label("file", name, "missing", source),), events=alone)
    found = _inside(_wanted(sheet.rows, params), request.duration_s)
    if params.length_s:
        found.counts["of_other_length"] = sum(
            not _is_of_length(mark, params.length_s, request.duration_s) for mark in found.marks
        )
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for mark in found.marks:
        for code in parts_of(mark.row.code):
            spans[code].append((mark.t0_s, mark.t1_s))
    numbering = _numbering(sheet, request)
    events = _events(found.marks, numbering, request.spec.key)
    if numbering is TCP_CERTAIN:
        found.counts["of_unknown_channel"] = sum(
            isinstance(mark.row.channel, int) and mark.row.channel not in numbering
            for mark in found.marks
        )
    present = Label("file", name, "present", source)
    return RecordingLabels(
        labels=(present, *found.count_labels(source)),
        intervals=tuple(
            Interval(t0_s, t1_s, Label("interval", params.label, code, source))
            for code in sorted(spans)
            for t0_s, t1_s in _union(spans[code])
        ),
        events=events + alone,
        grid_s=_grid_s(found.marks) if params.is_on_grid else None,
    )


def _annotators(request: LabelRequest, params: EventParams) -> tuple[ExpertEvent, ...]:
    """Read single annotators' marks, each with its number in the source."""
    if not params.annotators:
        return ()
    stem = re.escape(request.path.stem)
    beside = sorted(path.name for path in request.path.parent.iterdir())
    numbers = {m[1] for name in beside if (m := re.match(rf"{stem}_(\d\d)\.", name))}
    events: tuple[ExpertEvent, ...] = ()
    for number in sorted(numbers):
        sheet, _ = _sheet(request, [f"_{number}{end}" for end in params.annotators])
        if sheet:
            found = _inside(_wanted(sheet.rows, params), request.duration_s)
            numbering = _numbering(sheet, request)
            events += _events(found.marks, numbering, request.spec.key, f"@annotator-{number}")
    return events


def _to_next(mark: _Mark, marks: list[_Mark], duration_s: float) -> Span:
    """Stretch from an event without an end to the next statement about the whole record."""
    later = (m.t0_s for m in marks if m.row.channel == "" and m.t0_s > mark.t0_s)
    return mark.t1_s, max(min(later, default=duration_s), mark.t1_s)


def read_tuh_seizures(request: LabelRequest, params: SeizureParams) -> RecordingLabels:
    """Read when seizures were: present inside one, absent only where the file says so.

    Stretches the file leaves uncovered, and what follows a seizure without an end, are unknown. A
    segment that touches both a seizure and such a stretch carries both, the seizure first.

    Raises
    ------
    CorpusError
        ``bad_labels`` as :func:`read_tuh_events`.
    """
    sheet, source = _sheet(request, params.files)
    if sheet is None:
        return RecordingLabels((Label("recording", "seizure", "unknown", source),))
    found = _inside(sheet.rows, request.duration_s)
    seizing = [mark for mark in found.marks if mark.row.code in SEIZURE_CODES]
    seizures = _union((mark.t0_s, mark.t1_s) for mark in seizing)
    after = [_to_next(mark, found.marks, request.duration_s) for mark in seizing if mark.is_open]
    covered = _union((mark.t0_s, mark.t1_s) for mark in found.marks)
    unknown = _union([*after, *_gaps(covered, request.duration_s)])
    whole = "present" if seizures else "unknown" if unknown else "absent"
    spans = [("present", span) for span in seizures] + [("unknown", span) for span in unknown]
    return RecordingLabels(
        labels=(Label("recording", "seizure", whole, source), *found.count_labels(source)),
        intervals=tuple(
            Interval(t0_s, t1_s, Label("segment", "seizure", value, source))
            for value, (t0_s, t1_s) in spans
            if t1_s > t0_s
        ),
        defaults=(Label("segment", "seizure", "absent", source),),
    )
