"""``neurogloss bench text``: what can be measured of text, each part on its own.

Here is the report of one run and its printed form. How claims are scored is in ``text.claim_scores``.
A part is asked for by its option; without any, the report says which parts there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.text.claim_scores import (
    FLOOR_LEVEL,
    LEVELS,
    ClaimScores,
    Score,
    load_texts,
    score_reader,
)
from benchmark.text.gateway import GatewayFigures, bench_gateway, gateway_tables
from benchmark.text.grounding import GroundingScores, grounding_tables, score_grounding
from benchmark.text.teachers import TeacherAsked, TeacherFigures, bench_teacher, teacher_tables
from prompts.reading.reader import read_claims
from prompts.reading.records import claim_to_json

if TYPE_CHECKING:
    from rich.table import Table

PARTS = {
    "claims": "--claims FILE: precision and recall of the claim reader on labelled texts",
    "gateway": "--gateway ROWS: replies a second at a fixed latency, and memory over so many rows",
    "teacher": "--teacher FILE: what becomes of a real teacher's replies, accepted, repaired, dropped",
    "grounding": "--grounding PAGES: whether the check tells true from false on planted pages, and speeds",
}
"""Parts of the benchmark and the option that asks for each."""
MAX_SHOWN = 40
"""Errors printed; the JSON holds all."""


@dataclass(frozen=True, slots=True)
class TextReport:
    """What was measured; a part that was not asked for is None."""

    claims: ClaimScores | None = None
    grounding: GroundingScores | None = None
    gateway: GatewayFigures | None = None
    teacher: TeacherFigures | None = None
    notes: list[str] = field(default_factory=list)

    def misses(self) -> list[str]:
        """Return every figure below its floor."""
        parts = (self.claims, self.grounding, self.gateway, self.teacher)
        return [miss for part in parts if part for miss in part.misses()]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data; keys are stable."""
        written: dict[str, Any] = {"notes": self.notes, "misses": self.misses(), "parts": PARTS}
        if self.claims:
            written["claims"] = _claims_json(self.claims)
        if self.grounding:
            written["grounding"] = self.grounding.to_json()
        if self.gateway:
            written["gateway"] = self.gateway.to_json()
        if self.teacher:
            written["teacher"] = self.teacher.to_json()
        return written


def bench_text(
    *,
    claims: Path | None = None,
    grounding: int | None = None,
    gateway: int | None = None,
    teacher: TeacherAsked | None = None,
    seed: int = 0,
) -> TextReport:
    """Measure the parts that are asked for.

    Parameters
    ----------
    claims
        File of labelled texts (``data/claims``), or None.
    grounding
        Number of planted pages the check is measured on, or None.
    gateway
        Number of rows the gateway's memory is measured on, or None.
    teacher
        Which teacher is asked about what, or None.
    seed
        Of the bootstrap, and of planted pages.

    Raises
    ------
    BenchmarkError
        If a file cannot be read.
    """
    if claims is None and grounding is None and gateway is None and teacher is None:
        return TextReport(notes=[f"bench text measures: {what}" for what in PARTS.values()])
    scores = score_reader(load_texts(claims), read_claims, seed=seed) if claims else None
    note = "Matched cumulatively: type, label and band, polarity, value, place, time."
    grounded = score_grounding(grounding, seed=seed) if grounding else None
    figures = bench_gateway(n_rows=gateway) if gateway else None
    asked = bench_teacher(teacher, seed=seed) if teacher else None
    return TextReport(scores, grounded, figures, asked, [note] if scores else [])


def _claims_json(scores: ClaimScores) -> dict[str, Any]:
    return {
        "n_texts": scores.n_texts,
        "floor_level": FLOOR_LEVEL,
        "levels": _score_json(scores.levels),
        "by_style": {name: _score_json(by) for name, by in scores.by_style.items()},
        "by_type": {name: _score_json(by) for name, by in scores.by_type.items()},
        "hedge_share": scores.hedge_share,
        "errors": [
            {"id": e.text_id, "kind": e.kind, "agrees_to": e.level, "claim": claim_to_json(e.claim)}
            for e in scores.errors
        ],
    }


def _score_json(scores: dict[str, Score]) -> dict[str, Any]:
    """Write scores; what has no value, for want of claims, is null and not NaN."""
    written: dict[str, Any] = {}
    for level, score in scores.items():
        written[level] = asdict(score)
        for name in ("precision", "recall", "f1"):
            if written[level][name]["value"] != written[level][name]["value"]:
                written[level][name]["value"] = None
    return written


def report_tables(report: TextReport) -> Iterator[Table]:
    """Yield the tables of a report, for a terminal."""
    if report.grounding:
        yield from grounding_tables(report.grounding)
    if report.gateway:
        yield from gateway_tables(report.gateway)
    if report.teacher:
        yield from teacher_tables(report.teacher)
    if report.claims is None:
        return
    scores = report.claims
    yield _table(f"claims read in {scores.n_texts} texts", "agreeing in", scores.levels)
    for title, parts in (("by style", scores.by_style), ("by type", scores.by_type)):
        rows = {
            f"{name}, {level}": by[level]
            for name, by in parts.items()
            for level in (FLOOR_LEVEL, LEVELS[-1])
        }
        yield _table(f"claims {title}", title, rows)
    yield _error_table(scores)


def _table(title: str, head: str, rows: dict[str, Score]) -> Table:
    from rich.table import Table

    table = Table(title=title)
    for column in (head, "precision", "95 %", "recall", "95 %", "F1", "matched", "read", "true"):
        table.add_column(column, justify="left" if column == head else "right")
    for name, score in rows.items():
        table.add_row(
            name,
            f"{score.precision.value:.3f}", _range(score.precision.low, score.precision.high),
            f"{score.recall.value:.3f}", _range(score.recall.low, score.recall.high),
            f"{score.f1.value:.3f}", str(score.n_hits), str(score.n_read), str(score.n_true),
        )  # fmt: skip
    return table


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f}-{high:.3f}"


def _error_table(scores: ClaimScores) -> Table:
    from rich.table import Table

    title = f"errors, {min(MAX_SHOWN, len(scores.errors))} of {len(scores.errors)}"
    table = Table("text", "what", "agrees to", "claim", "span", title=title)
    for error in scores.errors[:MAX_SHOWN]:
        claim = error.claim
        said = {
            name: value
            for name, value in claim_to_json(claim).items()
            if value not in (None, [], "none", "present") and name != "span"
        }
        words = ", ".join(f"{name} {value}" for name, value in said.items())
        table.add_row(error.text_id, error.kind, error.level, words, claim.span)
    return table
