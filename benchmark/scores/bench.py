"""``neurogloss benchmark speed``: how long scoring takes, on answers made for it.

What is timed is scoring alone: parsing, metrics, bootstrap, controls' differences. No model is asked.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.asking.answers import LETTERS, Item, Reply, answer_row
from benchmark.asking.ask import grade
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS, Row

N_SUBJECTS = 50
AIM_S = 30.0
"""For 10,000 answers: seconds, not minutes (issue: "takes seconds")."""
_BANDS = ("delta", "theta", "alpha", "beta")


@dataclass(frozen=True, slots=True)
class ScoringSpeed:
    """Seconds of CPU to score so many answers of each kind."""

    n_answers: int
    choice_s: float
    text_s: float

    def misses(self) -> list[str]:
        """Return what is slower than the aim, scaled to 10,000 answers."""
        each = {"choice": self.choice_s, "text": self.text_s}
        return [
            f"{name}: {10_000 * s / self.n_answers:.1f} s for 10,000 answers, aim {AIM_S:.0f}"
            for name, s in each.items()
            if 10_000 * s / self.n_answers > AIM_S
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain data; keys are stable."""
        return {**asdict(self), "misses": self.misses()}


def bench_scoring(n_answers: int = 10_000, *, seed: int = 0) -> ScoringSpeed:
    """Score made answers and take the time.

    Parameters
    ----------
    n_answers
        Answers of each kind, one model without controls.
    seed
        Of items and answers.
    """
    rng = random.Random(seed)
    return ScoringSpeed(
        n_answers,
        _timed("mcq", [_choice(i, rng) for i in range(n_answers)], rng),
        _timed("caption", [_text(i, rng) for i in range(n_answers)], rng),
    )


def _timed(name: str, made: list[tuple[Row, Reply]], rng: random.Random) -> float:
    task = TASKS[name]
    items = [row for row, _ in made]
    start = time.process_time()
    answers = [answer_row(task.kind, Item.from_row(row), reply, "m", "none") for row, reply in made]
    score(task, items, grade(task, items, answers), seed=0)
    return time.process_time() - start


def _item(i: int, task: str, **other: Any) -> Row:
    shared = {"item_id": f"b-{i}", "task": task, "segment_id": f"s{i}", "is_simulated": False}
    return {**shared, "subject_id": f"p{i % N_SUBJECTS}", "corpus": "made", **other}


def _choice(i: int, rng: random.Random) -> tuple[Row, Reply]:
    options = rng.sample(_BANDS, 4)
    row = _item(
        i, "mcq", prompt="?", options=options, answer=rng.choice(LETTERS[:4]), category="band"
    )
    said = rng.choice([*LETTERS[:4], "hm"])
    return row, Reply(said, tuple(-rng.random() for _ in options))


def _text(i: int, rng: random.Random) -> tuple[Row, Reply]:
    row = _item(i, "caption", prompt="?", options=[], answer=_sentence(rng), category="description")
    return row, Reply(_sentence(rng))


def _sentence(rng: random.Random) -> str:
    side, where = rng.choice(("left", "right")), rng.choice(("T7", "T8", "O1", "O2"))
    return (
        f"The posterior rhythm is {rng.randrange(70, 130) / 10} Hz at {rng.randrange(10, 90)} \u00b5V. "
        f"There are {rng.randrange(1, 9)} {side} sharp waves at {where} near {rng.randrange(90) / 10} s. "
        f"{rng.choice(_BANDS).capitalize()} has most power. No sleep spindle was seen."
    )
