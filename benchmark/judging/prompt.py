"""Judge prompts as versioned files, and what of an item is put into one.

A rubric is ``judge_prompts/<name>.md`` with ``<name>.schema.json``; the number at its name's end is
its version and its hash covers all words sent, the texts judged included. Texts are written as JSON
strings, so a candidate cannot end its own quotation. The gateway's allow-list takes numbers and
closed words alone; the texts judged pass the guard below instead. Asking is in ``judging/judge.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from benchmark.asking.leaving import held_back
from benchmark.errors import BenchmarkError
from benchmark.tasks.registry import unknown
from prompts.teachers.prompt_files import Prompt

MAX_CHARS = 6000
"""Longest text judged; an answer of 1024 tokens fits (engineering default)."""


@dataclass(frozen=True, slots=True)
class Rubric:
    """One way of judging.

    Parameters
    ----------
    name
        File stem, its version at the end.
    axes
        Keys of the reply that carry scores.
    points
        Score of each word of the reply.
    top
        Highest sum over the axes.
    """

    name: str
    axes: tuple[str, ...]
    points: Mapping[str, float]
    top: float

    @property
    def instruction(self) -> str:
        """The words before the texts."""
        return _read(f"{self.name}.md").rstrip()

    @property
    def schema_text(self) -> str:
        """The JSON schema of the reply."""
        return _read(f"{self.name}.schema.json")

    @property
    def prompt_hash(self) -> str:
        """Hash of words and schema, without the texts."""
        return _hash(self.name, self.instruction, self.schema_text)

    def prompt(self, **texts: str) -> Prompt:
        """Return the prompt that judges these texts."""
        written = "\n".join(
            f"{name}: {json.dumps(words, ensure_ascii=False)}" for name, words in texts.items()
        )
        system = f"{self.instruction}\n\n{written}\n"
        return Prompt(
            self.name, system, self.schema_text, _hash(self.name, system, self.schema_text)
        )

    def fault(self, data: Mapping[str, Any]) -> str:
        """Return "" where a reply may stand, else one closed cause."""
        is_whole = set(data) == {"differences", *self.axes}
        fits = is_whole and all(str(data[axis]) in self.points for axis in self.axes)
        return "" if fits else "reply does not fit the schema"

    def scores(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the points of a reply by axis."""
        return {axis: self.points[str(data[axis])] for axis in self.axes}


RUBRICS: Mapping[str, Rubric] = {
    "five-axes": Rubric(
        "five-axes-v1", ("event", "place", "band", "trend", "other_bands"),
        {"right": 1.0, "wrong": 0.0}, 5.0,
    ),
    "anchored": Rubric("anchored-v1", ("grade",), {str(n): float(n) for n in range(1, 11)}, 10.0),
}  # fmt: skip
"""Five axes of one point (``systems.md`` 3.5); one grade of 1 to 10 with anchors (1.10)."""

PAIR = Rubric("pair-v1", ("better",), {"first": 1.0, "second": -1.0, "tie": 0.0}, 1.0)


def rubric(name: str) -> Rubric:
    """Return a rubric by name.

    Raises
    ------
    BenchmarkError
        If there is none of that name.
    """
    if name not in RUBRICS:
        raise BenchmarkError(unknown("rubric", name, tuple(RUBRICS)))
    return RUBRICS[name]


def assert_may_be_judged(words: str, forbidden: Collection[str] = ()) -> None:
    """Refuse a text that holds what may not leave.

    Parameters
    ----------
    words
        Question, reference or answer.
    forbidden
        Ids and names of the item itself: subject, segment, item.

    Raises
    ------
    BenchmarkError
        Naming what it holds, never the value.
    """
    fault = why_not_judged(words, forbidden)
    if fault:
        raise BenchmarkError(fault)


def why_not_judged(words: str, forbidden: Collection[str] = ()) -> str:
    """Say why a text may not be sent to a judge, "" where it may; as :func:`assert_may_be_judged`."""
    if len(words) > MAX_CHARS:
        return f"a text of {len(words)} characters is too long to judge; cut it to {MAX_CHARS}"
    found = held_back(words, forbidden)
    return f"a text to be judged holds {found}; leave the item out" if found else ""


@cache
def _read(name: str) -> str:
    return (resources.files("benchmark") / "judge_prompts" / name).read_text(encoding="utf-8")


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
