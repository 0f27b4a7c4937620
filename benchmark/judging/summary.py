"""What is kept of judged text: scores by axis with intervals and spread, beside planted errors.

A strict file, written next to the run it belongs to and shown by ``reports/html.py``. It holds no
text of any page. Asking is in ``judging/judge.py``; the planted errors are made in ``judging/controls.py``.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

ON = " on "
"""Between model and task in the name of what was judged."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AxisScore(_Strict):
    """One axis, averaged over items; repeats of an item are averaged first."""

    axis: str
    value: float
    low: float | None = Field(description="interval clustered by subject; null with one subject")
    high: float | None
    spread: float = Field(description="mean over items of the standard deviation over repeats")
    n_items: int
    n_subjects: int


class PlantedScore(_Strict):
    """How often the judge scored a text lower once one error was planted in it."""

    kind: str
    n: int = Field(description="pairs of a true text and the same with the error")
    n_lower: int
    n_tied: int


class JudgeSummary(_Strict):
    """One model's text under one judge."""

    schema_version: int = 1
    model: str = Field(description="model and task, joined by ON")
    judge: str
    judge_family: str
    answerer_family: str | None = Field(
        default=None, description='of the model judged, "" for none; null: not looked at'
    )
    writers: tuple[str, ...] = Field(description="teacher column of the rows trained on")
    prompt: str
    prompt_hash: str
    n_repeats: int
    n_dropped: int = Field(description="replies that never fitted; left out and counted")
    n_held_back: int = Field(
        default=0, description="items of gated corpora or with a text that may not be sent"
    )
    n_silent: int = Field(
        default=0, description="answers that say nothing: the least on every axis, unasked"
    )
    cost_usd: float
    rows: tuple[AxisScore, ...]
    planted: tuple[PlantedScore, ...]
    agreement: dict[str, float]

    @property
    def answerer(self) -> str:
        """The model whose answers were judged."""
        return self.model.rpartition(ON)[0] or self.model

    @property
    def task(self) -> str:
        """The task they belong to, "" where it is not said."""
        return self.model.rpartition(ON)[2] if ON in self.model else ""

    @property
    def planted_share(self) -> float | None:
        """Share of planted errors scored lower; None where none were asked."""
        n = sum(p.n for p in self.planted)
        return sum(p.n_lower for p in self.planted) / n if n else None

    @property
    def planted_words(self) -> str:
        """The counts behind the share, by kind of error."""
        return ", ".join(f"{p.kind} {p.n_lower} of {p.n}" for p in self.planted) or "no pairs"
