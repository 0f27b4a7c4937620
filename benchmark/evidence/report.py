"""Tables and plot of the evidence: accuracy per question, with intervals over people.

What was trained and asked is :mod:`benchmark.evidence.bench`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.scores.intervals import Interval, mean_interval, sign_permutation_p

if TYPE_CHECKING:
    from benchmark.evidence.bench import EvidenceSettings

OVERALL = "all"


@dataclass(frozen=True, slots=True)
class Run:
    """One model on all questions: right or wrong in the order of the items, and unread answers."""

    name: str
    right: tuple[bool, ...]
    n_unparsed: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Accuracy of one run on one category, and how far it is above chance.

    Parameters
    ----------
    run, category
        Which.
    accuracy, above_chance
        With their intervals clustered by person; the second in points of share.
    p_chance
        Two-sided p of the second by flipping the signs of people.
    n_items
        Questions.
    """

    run: str
    category: str
    accuracy: Interval
    above_chance: Interval
    p_chance: float
    n_items: int


@dataclass(frozen=True, slots=True)
class Gap:
    """The tuned model minus another run, paired by question."""

    other: str
    category: str
    difference: Interval
    p: float


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """The evidence."""

    settings: Mapping[str, Any]
    chance: Mapping[str, float]
    cells: tuple[Cell, ...]
    gaps: tuple[Gap, ...]
    n_unparsed: Mapping[str, int]
    n_people: int
    drawn_s: float

    def cell(self, run: str, category: str = OVERALL) -> Cell:
        """Return one cell."""
        return next(c for c in self.cells if (c.run, c.category) == (run, category))

    def gap(self, other: str, category: str = OVERALL) -> Gap:
        """Return the tuned model minus another."""
        return next(g for g in self.gaps if (g.other, g.category) == (other, category))

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)

    def to_markdown(self) -> str:
        """Return the tables."""
        categories = list(self.chance)
        runs = list(dict.fromkeys(c.run for c in self.cells))
        lines = [
            f"Accuracy, %, on {self.cell(runs[0]).n_items} questions about {self.n_people} people "
            "no model was trained on; 95 % intervals resample people. Simulated data: this shows "
            "that the trainer makes a model learn, not that a model reads clinical EEG.",
            "",
            "| model | " + " | ".join(categories) + " | unread |",
            "| --- |" + " ---: |" * (len(categories) + 1),
            "| chance | " + " | ".join(f"{100 * v:.1f}" for v in self.chance.values()) + " | |",
        ]
        for run in runs:
            shown = [_words(self.cell(run, c).accuracy) for c in categories]
            lines.append(f"| {run} | " + " | ".join(shown) + f" | {self.n_unparsed[run]} |")
        lines += [
            "",
            "Tuned model minus another, points, paired by question; p by flipping the signs of "
            "people.",
            "",
            "| minus | " + " | ".join(categories) + " |",
            "| --- |" + " ---: |" * len(categories),
            "| chance | "
            + " | ".join(
                f"{_words(self.cell('tuned', c).above_chance)}, p {self.cell('tuned', c).p_chance:.4f}"
                for c in categories
            )
            + " |",
        ]
        for other in dict.fromkeys(g.other for g in self.gaps):
            gaps = [self.gap(other, c) for c in categories]
            lines.append(
                f"| {other} | "
                + " | ".join(f"{_words(g.difference)}, p {g.p:.4f}" for g in gaps)
                + " |"
            )
        return "\n".join(lines) + "\n"

    def plot_png(self) -> bytes:
        """Return the overall accuracies as a plot."""
        from benchmark.reports.plots import Bar, interval_plot

        cells = [c for c in self.cells if c.category == OVERALL]
        bars = [
            Bar(
                c.run,
                100 * c.accuracy.value,
                None if c.accuracy.low is None else 100 * c.accuracy.low,
                None if c.accuracy.high is None else 100 * c.accuracy.high,
                c.run == "tuned",
            )
            for c in cells
        ]
        return interval_plot(
            "Held-out multiple choice, simulated people", "accuracy, %", bars,
            x_max=100.0, chance=100 * self.chance[OVERALL],
        )  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write ``evidence.json``, ``evidence.md`` and ``evidence.png``."""
        import json

        from benchmark.asking.exchange import write_bytes

        write_bytes(
            folder / "evidence.json", (json.dumps(self.to_json(), indent=1) + "\n").encode()
        )
        write_bytes(folder / "evidence.md", self.to_markdown().encode())
        write_bytes(folder / "evidence.png", self.plot_png())


def report_of(
    runs: Sequence[Run],
    items: Sequence[Mapping[str, Any]],
    *,
    settings: EvidenceSettings,
    drawn_s: float,
) -> EvidenceReport:
    """Score the runs, overall and by category."""
    categories = [OVERALL, *sorted({item["category"] for item in items})]
    members = {
        c: [i for i, item in enumerate(items) if c in (OVERALL, item["category"])]
        for c in categories
    }
    chance = {
        c: sum(1 / len(items[i]["options"]) for i in at) / len(at) for c, at in members.items()
    }
    tuned = next(run for run in runs if run.name == "tuned")
    cells, gaps = [], []
    for category, at in members.items():
        people = [items[i]["subject_id"] for i in at]
        for run in runs:
            hits = [float(run.right[i]) for i in at]
            over = [float(run.right[i]) - 1 / len(items[i]["options"]) for i in at]
            cells.append(
                Cell(
                    run.name,
                    category,
                    mean_interval(people, hits, seed=settings.seed),
                    mean_interval(people, over, seed=settings.seed),
                    sign_permutation_p(people, over, seed=settings.seed),
                    len(at),
                )
            )
            if run is not tuned:
                pairs = [float(tuned.right[i]) - float(run.right[i]) for i in at]
                gaps.append(
                    Gap(
                        run.name,
                        category,
                        mean_interval(people, pairs, seed=settings.seed),
                        sign_permutation_p(people, pairs, seed=settings.seed),
                    )
                )
    return EvidenceReport(
        settings=asdict(settings),
        chance=chance,
        cells=tuple(cells),
        gaps=tuple(gaps),
        n_unparsed={run.name: run.n_unparsed for run in runs},
        n_people=len({item["subject_id"] for item in items}),
        drawn_s=drawn_s,
    )


def _words(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{100 * interval.value:.1f}"
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
