"""What the engine benchmark found: numbers, floors, and how they are shown.

How they were measured is in :mod:`benchmark.engine.bench`. The JSON keys ``end_to_end.ratio``,
``stages.<name>.{ratio,ms_per_segment,baseline_ms_per_segment}``, ``page.psnr_db``, ``rss_mb`` and
``orchestration_share`` are fixed, and ``floors`` holds ``floor, asked, reached, is_held``; scripts
rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

WITH_DETECTOR_MS = 25.0
"""Milliseconds per segment and core the whole chain may take with the detector."""
BUSY_SHARE = 0.9
"""Below this share of CPU in wall time the machine had other work, and times are loose."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage: medians over rounds; the ratio is the median of the rounds' ratios."""

    ms_per_segment: float
    baseline_ms_per_segment: float
    ratio: float


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """All stages together, detector left out.

    Parameters
    ----------
    ratio, ratio_per_round
        Baseline over engine; the median, and each round.
    ratio_cpu
        The same by CPU time, which other work on the machine disturbs less.
    ratio_reused_figure
        The same with the baseline's page drawn into one reused matplotlib figure.
    ms_per_segment, baseline_ms_per_segment
        Medians over rounds.
    """

    ratio: float
    ratio_per_round: tuple[float, ...]
    ratio_cpu: float
    ratio_reused_figure: float
    ms_per_segment: float
    baseline_ms_per_segment: float


@dataclass(frozen=True, slots=True)
class PageResult:
    """Quality and size of pages, and the cleverer baseline.

    Parameters
    ----------
    psnr_db, psnr_db_min
        Median and worst over pages, plot box against an 8x supersampled drawing.
    bytes_per_page, baseline_bytes_per_page
        Median size of the PNG files.
    reused_figure_ms, ratio_reused_figure
        A page drawn into one reused matplotlib figure, and its ratio.
    """

    psnr_db: float
    psnr_db_min: float
    bytes_per_page: float
    baseline_bytes_per_page: float
    reused_figure_ms: float
    ratio_reused_figure: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far both sides computed the same thing.

    Parameters
    ----------
    signal_uv
        Largest difference of the stored signals, first and last segment left out.
    alpha_power_rel
        Median relative difference of alpha power.
    tiers_equal
        Share of segments with the same tier on all 19 electrodes, of those where the engine took
        no electrode for silent; ten starts do not always find the best tiers.
    """

    signal_uv: float
    alpha_power_rel: float
    tiers_equal: float


@dataclass(frozen=True, slots=True)
class Floor:
    """One floor of ``performance.md`` 14 by its own definition: asked, reached, and whether held."""

    floor: str
    asked: str
    reached: str
    is_held: bool

    def words(self) -> tuple[str, str, str, str]:
        """Return the line of a table."""
        return self.floor, self.asked, self.reached, "yes" if self.is_held else "no"


@dataclass(frozen=True, slots=True)
class EngineReport:
    """The whole result.

    Parameters
    ----------
    stages
        By name, in order.
    rss_mb, baseline_rss_mb
        Peak resident memory of either worker process.
    detector_ms_per_segment
        The waveform detector by precision, and the merge, apart; None where it could not run.
    orchestration_share
        Share of wall time Dagster adds over the bare stages; None where not measured.
    busy_share
        CPU over wall time of the engine's rounds; low values mean a busy machine.
    floors
        What single steps were asked and reached.
    """

    minutes: float
    n_segments: int
    rounds: int
    n_pictures: int
    stages: Mapping[str, StageResult]
    end_to_end: EndToEnd
    page: PageResult
    agreement: Agreement
    rss_mb: float
    baseline_rss_mb: float
    busy_share: float
    detector_ms_per_segment: Mapping[str, float] | None = None
    orchestration_share: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    floors: tuple[Floor, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with what was missed under ``misses``."""
        values = asdict(self)
        values["misses"] = self.misses()
        return values

    def misses(self) -> list[str]:
        """Return one sentence per floor that was not held."""
        return [
            f"{bound.name} is {found:.3g}; {'at most' if bound.is_ceiling else 'at least'} "
            f"{bound.floor:g} is asked for"
            for bound in BOUNDS
            for found in [bound.of(self)]
            if (found > bound.floor if bound.is_ceiling else found < bound.floor)
        ]


@dataclass(frozen=True, slots=True)
class Bound:
    """A floor that must hold and the goal beyond it (``performance.md`` 14)."""

    name: str
    floor: float
    goal: float
    is_ceiling: bool = False

    def of(self, report: EngineReport) -> float:
        """Return the value this bound is about."""
        return {
            "end_to_end.ratio": report.end_to_end.ratio,
            "stages.page.ratio": report.stages["page"].ratio,
            "page.psnr_db": report.page.psnr_db,
            "rss_mb": report.rss_mb,
        }[self.name]


BOUNDS = (
    Bound("end_to_end.ratio", 18, 54),
    Bound("stages.page.ratio", 20, 68),
    Bound("page.psnr_db", 26, 35),
    Bound("rss_mb", 600, 505, is_ceiling=True),
)


FLOOR_HEADINGS = ("floor", "asked", "reached", "held")


def stage_rows(report: EngineReport) -> list[tuple[str, str, str, str]]:
    """Return stage, baseline ms, engine ms and ratio as text, totals last."""
    rows = [
        (name, f"{s.baseline_ms_per_segment:.3g}", f"{s.ms_per_segment:.3g}", f"{s.ratio:.3g}x")
        for name, s in report.stages.items()
    ]
    whole = report.end_to_end
    total = (f"{whole.baseline_ms_per_segment:.3g}", f"{whole.ms_per_segment:.3g}")
    return [*rows, ("end to end", *total, f"{whole.ratio:.3g}x")]


def notes(report: EngineReport) -> list[str]:
    """Return what a reader must know beside the stages, one sentence each."""
    page, whole, agreement = report.page, report.end_to_end, report.agreement
    rounds = ", ".join(f"{r:.0f}" for r in whole.ratio_per_round)
    found = [
        f"{report.minutes:g} min of 32-channel EEG, {report.n_segments} segments, {report.rounds} "
        f"interleaved rounds, one thread per process; medians (end to end by round: {rounds}; by "
        f"CPU time {whole.ratio_cpu:.0f}x).",
        f"The baseline drew {report.n_pictures} pages and maps per round and is scaled per "
        "segment; it is a reimplementation of how papers do it, not anyone's code.",
        f"Page: PSNR {page.psnr_db:.1f} dB (worst {page.psnr_db_min:.1f}), "
        f"{page.bytes_per_page / 1e3:.0f} kB against {page.baseline_bytes_per_page / 1e3:.0f} kB.",
        f"A matplotlib user who reuses one figure and its background needs "
        f"{page.reused_figure_ms:.0f} ms a page: "
        f"page {page.ratio_reused_figure:.0f}x, end to end {whole.ratio_reused_figure:.0f}x.",
        f"Same results: signals within {agreement.signal_uv:.3g} uV, alpha power within "
        f"{100 * agreement.alpha_power_rel:.2g} %, tiers equal on "
        f"{100 * agreement.tiers_equal:.0f} % of segments.",
        f"Peak memory {report.rss_mb:.0f} MB (baseline {report.baseline_rss_mb:.0f} MB).",
        _with_detector(report),
        _known("Orchestration", report.orchestration_share, 100, " % of wall time"),
    ]
    if report.floors:
        found.append(
            "P7 makes the baseline's seven flags from the engine's row statistics; the engine's own "
            "rules are others and more, and all of them together against those seven are "
            f"{report.stages['rules'].ratio:.3g}x."
        )
    if report.busy_share < BUSY_SHARE:
        found.append(
            f"The engine had {100 * report.busy_share:.0f} % of a core: other work ran on this "
            "machine; trust ratios, not milliseconds."
        )
    return [*found, *(f"Below the floor: {miss}." for miss in report.misses())]


def _with_detector(report: EngineReport) -> str:
    ms = report.detector_ms_per_segment
    if ms is None:
        return "Waveform detector: not measured."
    told = ", ".join(f"{name} {ms[name]:.3g} ms" for name in ("float32", "int8"))
    rest = report.end_to_end.ms_per_segment + ms["merge"]
    whole = " or ".join(f"{rest + ms[name]:.3g} ms ({name})" for name in ("float32", "int8"))
    return (
        f"Waveform detector, apart: {told} a segment; merge with the discharge search "
        f"{ms['merge']:.3g} ms; end to end with both {whole}, {WITH_DETECTOR_MS:g} ms asked for."
    )


def _known(label: str, value: float | None, factor: float, unit: str) -> str:
    return f"{label}: not measured." if value is None else f"{label}: {factor * value:.3g}{unit}."


def report_table(report: EngineReport) -> Table:
    """Return the result as a rich table, notes as its caption."""
    from rich.table import Table

    table = Table(title="Engine throughput", caption="\n".join(notes(report)))
    table.add_column("stage")
    for heading in ("baseline ms/segment", "engine ms/segment", "ratio"):
        table.add_column(heading, justify="right")
    *stages, total = stage_rows(report)
    for row in stages:
        table.add_row(*row)
    table.add_section()
    table.add_row(*total, style="bold")
    table.add_section()
    table.add_row(*FLOOR_HEADINGS, style="bold")
    for floor in report.floors:
        table.add_row(*floor.words())
    return table


def report_markdown(report: EngineReport) -> str:
    """Return the result as Markdown."""
    lines = [
        "| stage | baseline ms/segment | engine ms/segment | ratio |",
        "| --- | --: | --: | --: |",
    ]
    lines += [f"| {' | '.join(row)} |" for row in stage_rows(report)]
    lines += ["", f"| {' | '.join(FLOOR_HEADINGS)} |", "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(floor.words())} |" for floor in report.floors]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(report))]) + "\n"
