"""What the corpora benchmark found: speeds by corpus, floors, and how they are shown.

How they were measured is in :mod:`benchmark.corpora.bench`. The JSON keys ``corpora.<key>.measured_on``,
``speeds.<name>.{inventory_h_per_cpu_min,cut_h_per_cpu_min,rss_mb}``, ``floors.<name>.value`` and
``misses`` are fixed; scripts rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.table import Table

MeasuredOn = Literal["corpus", "format sample", "not measured"]

FLOORS: Mapping[str, tuple[float, bool]] = {
    "P3": (10.0, False),
    "P4": (6.0, False),
    "P14 peak": (350.0, True),
    "P14 growth": (5.0, True),
}
"""Bound by goal, and whether it is a ceiling (``performance.md`` 14): ratios to MNE-Python, MB, and
per cent of growth from one hour to the longest run."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one corpus or sample was read, filtered and cut.

    Parameters
    ----------
    n_files, n_accepted, n_segments
        Files looked at, of these accepted, and segments cut.
    causes
        Why the others were set aside.
    hours, file_mb
        Recorded time and size on disk of the accepted ones.
    n_channels, sfreq_hz
        Signals in the first file, and the highest rate.
    inventory_h_per_cpu_min, cut_h_per_cpu_min
        Recorded hours per CPU-minute, child processes included; None where nothing was read.
    rss_mb
        Peak resident memory of the process or its largest child.
    """

    n_files: int
    n_accepted: int
    n_segments: int
    causes: Mapping[str, int]
    hours: float
    file_mb: float
    n_channels: int
    sfreq_hz: float
    inventory_h_per_cpu_min: float | None
    cut_h_per_cpu_min: float | None
    rss_mb: float


@dataclass(frozen=True, slots=True)
class CorpusLine:
    """A corpus of the catalogue.

    Parameters
    ----------
    key, reader, is_fast
        Corpus, its row of the readers' table, and whether that is the fast path.
    measured_on
        Its own files, a sample of its format, or nothing.
    speed
        Name in ``CorporaReport.speeds``, empty where nothing was measured.
    remark
        Why not its own files, or what of them was set aside.
    """

    key: str
    reader: str
    is_fast: bool
    measured_on: MeasuredOn
    speed: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class FloorResult:
    """One bound and what was measured.

    Parameters
    ----------
    value
        By wall time where it is a ratio: the median of interleaved rounds.
    detail
        What else a reader must know, in a few words.
    """

    value: float
    floor: float
    is_ceiling: bool
    detail: str = ""

    @property
    def is_held(self) -> bool:
        """Whether the bound holds."""
        return self.value <= self.floor if self.is_ceiling else self.value >= self.floor


@dataclass(frozen=True, slots=True)
class CorporaReport:
    """The whole result.

    Parameters
    ----------
    lines
        Every corpus of the catalogue, in its order.
    speeds
        By corpus key, or by ``sample-<format>``.
    floors
        By goal and file, such as ``P4 EDF 256 Hz``.
    others
        Formats no corpus of the catalogue comes in.
    notes
        What was left out, and why.
    """

    lines: tuple[CorpusLine, ...]
    speeds: Mapping[str, Speed]
    floors: Mapping[str, FloorResult]
    others: tuple[CorpusLine, ...] = ()
    notes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with what was missed under ``misses``."""
        return {
            "corpora": {line.key: asdict(line) for line in self.lines},
            "speeds": {name: asdict(speed) for name, speed in self.speeds.items()},
            "floors": {
                name: {**asdict(floor), "is_held": floor.is_held}
                for name, floor in self.floors.items()
            },
            "misses": self.misses(),
            "notes": list(self.notes),
            "environment": dict(self.environment),
        }

    def misses(self) -> list[str]:
        """Return one sentence per floor that was not held."""
        return [
            f"{name} is {found.value:.3g}; {'at most' if found.is_ceiling else 'at least'} "
            f"{found.floor:g} is asked for"
            for name, found in self.floors.items()
            if not found.is_held
        ]


_COLUMNS = (
    "corpus", "reader", "fast", "measured on", "files", "MB", "ch", "Hz", "hours",
    "inventory h/CPU-min", "cut h/CPU-min", "RSS MB", "remark",
)  # fmt: skip
_N_TEXT = 4


def corpus_rows(report: CorporaReport) -> list[tuple[str, ...]]:
    """Return a row of text for every corpus, then for the formats none of them comes in."""
    return [_row(line, report.speeds.get(line.speed)) for line in (*report.lines, *report.others)]


def _row(line: CorpusLine, speed: Speed | None) -> tuple[str, ...]:
    head = (line.key, line.reader, "yes" if line.is_fast else "no", line.measured_on)
    if speed is None:
        return (*head, *[""] * (len(_COLUMNS) - _N_TEXT - 1), line.remark)
    return (
        *head,
        str(speed.n_accepted),
        f"{speed.file_mb:.3g}",
        str(speed.n_channels),
        f"{speed.sfreq_hz:g}",
        f"{speed.hours:.3g}",
        _number(speed.inventory_h_per_cpu_min),
        _number(speed.cut_h_per_cpu_min),
        f"{speed.rss_mb:.0f}",
        line.remark,
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def floor_rows(report: CorporaReport) -> list[tuple[str, ...]]:
    """Return a row of text for every floor."""
    return [
        (
            name,
            f"{found.value:.3g}",
            f"{'<=' if found.is_ceiling else '>='} {found.floor:g}",
            "yes" if found.is_held else "NO",
            found.detail,
        )
        for name, found in report.floors.items()
    ]


def report_tables(report: CorporaReport) -> tuple[Table, Table]:
    """Return speeds and floors as rich tables."""
    from rich.table import Table

    speeds = Table(title="Corpora: recorded hours per CPU-minute", caption="\n".join(report.notes))
    for i, heading in enumerate(_COLUMNS):
        is_text = i < _N_TEXT or heading == "remark"
        speeds.add_column(heading, justify="left" if is_text else "right")
    for row in corpus_rows(report):
        speeds.add_row(*row)
    floors = Table(title="Floors of the fast path")
    for heading in ("floor", "found", "asked", "held", "detail"):
        floors.add_column(heading)
    for row in floor_rows(report):
        floors.add_row(*row)
    return speeds, floors
