"""What the detectors benchmark found, and how it is shown: floors beside figures, misses marked.

How it was measured is in ``detectors.bench``, when an event counts in ``detectors.scores``. The JSON
keys ``scores``, ``false_per_hour``, ``map``, ``recall_by_size``, ``yasa_agreement``, ``misses`` and
``notes`` are fixed; scripts rely on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.detectors.scores import TASKS, Score
from benchmark.detectors.systems import OURS
from benchmark.detectors.yasa_agreement import AGREED_IOU, Agreement
from benchmark.scores.intervals import Interval

if TYPE_CHECKING:
    from rich.table import Table

FLOOR_SLICE = "k 2-4"
DEFINED_SLICE = "k 2-4, of the size its definition asks"
EVERYWHERE = "all"
REST_FLOORS_PER_HOUR: Mapping[str, float] = {"epileptiform": 60.0}
"""At most one false epileptiform transient per minute of clean rest (issue 4)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One score: who, what, on which background, on which part.

    Parameters
    ----------
    system, task, background
        ``background`` is ``all`` where the three are taken together.
    part
        :data:`FLOOR_SLICE`, :data:`DEFINED_SLICE`, ``k=...``, ``rate=...`` or ``labels``.
    score
        The figures.
    n_unjudged
        Pages on which our rules said they could not judge, where that was asked.
    """

    system: str
    task: str
    background: str
    part: str
    score: Score
    n_unjudged: int = 0


@dataclass(frozen=True, slots=True)
class SizeRecall:
    """Share found among events of a range of sizes, ours, all backgrounds."""

    system: str
    task: str
    low_uv: float
    high_uv: float
    recall: float
    n_true: int


@dataclass(frozen=True, slots=True)
class RestRate:
    """False events per hour on healthy rest with nothing planted."""

    system: str
    task: str
    pages: str
    per_hour: Interval
    hours: float


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """The whole result."""

    cells: tuple[Cell, ...]
    sizes: tuple[SizeRecall, ...] = ()
    rest: tuple[RestRate, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    maps: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    pages: Mapping[str, int] = field(default_factory=dict)
    systems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def cell(self, system: str, task: str, background: str, part: str) -> Cell | None:
        """Return one score, or None where there is none."""
        wanted = (system, task, background, part)
        return next(
            (c for c in self.cells if (c.system, c.task, c.background, c.part) == wanted), None
        )

    def misses(self) -> list[str]:
        """Return one sentence per floor that ours does not hold."""
        out = []
        for cell in self.cells:
            value = floor_value(cell)
            if cell.part == FLOOR_SLICE and cell.system == OURS and _is_missed(cell.task, value):
                task = TASKS[cell.task]
                out.append(
                    f"{cell.task} on {cell.background} background: {task.floor_of} {value:.2f}, "
                    f"{task.floor:.2f} is asked for"
                )
        for rate in self.rest:
            limit = REST_FLOORS_PER_HOUR.get(rate.task)
            is_asked = rate.system == OURS and rate.pages == "clean" and limit is not None
            if is_asked and limit is not None and rate.per_hour.value > limit:
                out.append(
                    f"{rate.task} on clean rest: {rate.per_hour.value:.0f} per hour, at most "
                    f"{limit:.0f} is asked for"
                )
        return out

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what could not be measured is null."""
        return _plain(
            {
                "scores": [
                    {**asdict(c), "floor": TASKS[c.task].floor if c.part == FLOOR_SLICE else None}
                    for c in self.cells
                ],
                "recall_by_size": [asdict(s) for s in self.sizes],
                "false_per_hour": [asdict(r) for r in self.rest],
                "yasa_agreement": [asdict(a) for a in self.agreement],
                "map": {b: {n: asdict(i) for n, i in m.items()} for b, m in self.maps.items()},
                "rules": {n: {**asdict(t), "kinds": list(t.kinds)} for n, t in TASKS.items()},
                "pages": dict(self.pages),
                "misses": self.misses(),
                "notes": list(self.notes),
                "environment": dict(self.environment),
            }
        )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def floor_value(cell: Cell) -> float:
    """Return the figure the task's floor is about."""
    score = cell.score
    return score.precision.value if TASKS[cell.task].floor_of == "precision" else score.f1.value


def _is_missed(task: str, value: float) -> bool:
    floor = TASKS[task].floor
    return floor is not None and not value >= floor


def report_tables(report: DetectorReport) -> Iterator[Table]:
    """Yield the tables of a report."""
    if any(c.part == "labels" for c in report.cells):
        yield _labels(report)
        return
    yield _headline(report)
    parts = list(dict.fromkeys(c.part for c in report.cells))
    ks = [p for p in parts if p.startswith("k=")]
    rates = [p for p in parts if p.startswith("rate=")]
    yield _by(report, "F1 of ours by size (times the background), all backgrounds", ks)
    yield _by(report, "F1 of ours by native rate, k 2-4, all backgrounds", rates)
    yield _sizes(report)
    if report.rest:
        yield _rest(report)
    if report.agreement:
        yield _agreement(report)
    yield _maps(report)


def _table(title: str, headings: Sequence[str], n_text: int = 1) -> Table:
    from rich.table import Table

    table = Table(title=title)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < n_text else "right")
    return table


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _interval(value: Interval, form: str = ".2f") -> str:
    if not math.isfinite(value.value):
        return "-"
    if value.low is None or value.high is None:
        return f"{value.value:{form}}"
    return f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"


def _figure(cell: Cell | None) -> str:
    return "-" if cell is None else _number(floor_value(cell))


def _headline(report: DetectorReport) -> Table:
    others = [s for s in report.systems if s != OURS]
    headings = (
        "event", "background", "n", "ours P", "ours R", "ours F1 [95 %]", "floor", "held",
        "F1 at defined size", *(f"{s} F1" for s in others),
    )  # fmt: skip
    table = _table("Planted events at 2-4 times the in-band background RMS", headings, 2)
    backgrounds = list(dict.fromkeys(c.background for c in report.cells))
    for task in TASKS:
        for background in backgrounds:
            ours = report.cell(OURS, task, background, FLOOR_SLICE)
            if ours is None:
                continue
            score, floor = ours.score, TASKS[task].floor
            held = "" if floor is None else "NO" if _is_missed(task, floor_value(ours)) else "yes"
            by = "P " if TASKS[task].floor_of == "precision" else ""
            table.add_row(
                task, background, str(score.n_true), _number(score.precision.value),
                _number(score.recall.value), _interval(score.f1),
                "" if floor is None else f"{by}{floor:.2f}", held,
                _defined(report, task, background),
                *(_figure(report.cell(s, task, background, FLOOR_SLICE)) for s in others),
            )  # fmt: skip
    table.caption = (
        "Posterior rhythm: P is the share within 0.5 Hz of those named; it stands for F1 in the "
        "other systems' columns too. 'Defined size': only events as large as clinical.md 8 asks."
    )
    return table


def _defined(report: DetectorReport, task: str, background: str) -> str:
    cell = report.cell(OURS, task, background, DEFINED_SLICE)
    return "" if cell is None else f"{floor_value(cell):.2f} (n {cell.score.n_true})"


def _by(report: DetectorReport, title: str, parts: Sequence[str]) -> Table:
    table = _table(title, ("event", *parts))
    for task in TASKS:
        cells = [report.cell(OURS, task, EVERYWHERE, part) for part in parts]
        if any(cells):
            table.add_row(task, *(_figure(c) for c in cells))
    return table


def _sizes(report: DetectorReport) -> Table:
    bins = list(dict.fromkeys((s.low_uv, s.high_uv) for s in report.sizes))
    names = [f"{a:g}-{b:g} uV" if math.isfinite(b) else f"{a:g}+ uV" for a, b in bins]
    table = _table("Recall of ours by planted peak, all k and backgrounds (n)", ("event", *names))
    found = {(s.task, s.low_uv): s for s in report.sizes}
    for task in TASKS:
        row = [found.get((task, low)) for low, _ in bins]
        if any(row):
            table.add_row(
                task, *("-" if s is None else f"{s.recall:.2f} ({s.n_true})" for s in row)
            )
    return table


def _rest(report: DetectorReport) -> Table:
    table = _table(
        "False events per hour on healthy rest, nothing planted",
        ("event", "pages", "hours", *report.systems, "at most"), 2,
    )  # fmt: skip
    rates = {(r.system, r.task, r.pages): r for r in report.rest}
    for task, pages in dict.fromkeys((r.task, r.pages) for r in report.rest):
        row = [rates.get((s, task, pages)) for s in report.systems]
        hours = next(r.hours for r in row if r is not None)
        limit = REST_FLOORS_PER_HOUR.get(task)
        table.add_row(
            task, pages, f"{hours:.2f}",
            *("-" if r is None else _interval(r.per_hour, ".0f") for r in row),
            f"{limit:.0f}" if limit is not None and pages == "clean" else "",
        )  # fmt: skip
    return table


def _agreement(report: DetectorReport) -> Table:
    table = _table(
        f"Agreement of ours with YASA: share of one's events the other has too, IoU {AGREED_IOU:g}",
        ("event", "pages", "ours", "YASA", "of ours in YASA", "of YASA's in ours"), 2,
    )  # fmt: skip
    for row in report.agreement:
        table.add_row(
            row.kind, row.pages, str(row.n_ours), str(row.n_yasa),
            _interval(row.ours_in_yasa), _interval(row.yasa_in_ours),
        )  # fmt: skip
    table.caption = "K-complexes and slow waves of ours beside YASA's slow waves."
    return table


def _maps(report: DetectorReport) -> Table:
    names = list(dict.fromkeys(n for m in report.maps.values() for n in m))
    table = _table(
        "Boxes of the waveform detector, k 2-4: average precision", ("figure", *report.maps)
    )
    for name in names:
        row = [m.get(name) for m in report.maps.values()]
        table.add_row(name, *("-" if i is None else _interval(i) for i in row))
    return table


def _labels(report: DetectorReport) -> Table:
    table = _table(
        "Recordings and labels given",
        ("event", "system", "labelled", "found", "P", "R", "F1 [95 %]", "pages not judged"), 2,
    )  # fmt: skip
    for cell in report.cells:
        score = cell.score
        table.add_row(
            cell.task, cell.system, str(score.n_true), str(score.n_found),
            _interval(score.precision), _interval(score.recall), _interval(score.f1),
            str(cell.n_unjudged) if cell.system == OURS else "",
        )  # fmt: skip
    return table
