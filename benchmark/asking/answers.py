"""What a model sees, what it says, and how that is read.

Here are items without their reference, replies and parsers. A parser either reads an answer or
says that it cannot; it never guesses and never maps an unreadable answer to an option (NeuroLM's
silent remap is the defect avoided, ``systems.md`` 6.11). Building items is in ``tasks/items.py``,
asking a model in ``asking/ask.py``, scoring in ``scores/scoring.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.tasks.task import Row, TaskKind
from detectors.types import SEGMENT_S
from detectors.vocabulary import WAVEFORMS

MAY_LEAVE = "may_leave"
"""Column of the items file that tells the asking program, and no model, what may be sent."""

LETTERS = "ABCDEFGH"
"""Option letters in shown order."""

_OPEN = r"[\s\"'*_(\[]*"
_LEAD = re.compile(
    rf"^{_OPEN}(?:the\s+)?(?:correct\s+)?(?:answer|option)(?:\s+is)?\s*[:\-]?\s*", re.I
)
_LETTER = re.compile(rf"^{_OPEN}([{LETTERS}])(?![A-Za-z0-9])[\"'*_)\].:,\-]*(.*)$", re.S)
_EDGE = " \t\r\n\"'*_.:;,()[]"


@dataclass(frozen=True, slots=True)
class Item:
    """What a model under test may see of a benchmark item: never the reference answer.

    Parameters
    ----------
    item_id, task, segment_id, subject_id
        Which item, and whose page it is.
    prompt
        Text shown to the model.
    options
        Option texts in shown order; empty for open tasks.
    category
        Sub-category, such as the question type.
    may_leave
        Its corpus' rows may be sent to a hosted model; what is not known may not.
    """

    item_id: str
    task: str
    segment_id: str
    subject_id: str
    prompt: str
    options: tuple[str, ...]
    category: str
    may_leave: bool = False

    @classmethod
    def from_row(cls, row: Row) -> Item:
        """Take the visible part of a row of table ``benchmark_items``."""
        return cls(
            row["item_id"], row["task"], row["segment_id"], row["subject_id"],
            row["prompt"], tuple(row["options"]), row["category"], bool(row.get(MAY_LEAVE)),
        )  # fmt: skip


VISIBLE_COLUMNS = (
    "item_id", "task", "segment_id", "subject_id", "prompt", "options", "category",
)  # fmt: skip
"""Columns of ``benchmark_items`` a model process reads; the reference answer is not among them."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said to one item.

    Parameters
    ----------
    output
        Its raw text.
    option_logprobs
        Natural log-probability of each option: of its letter as the first token of the answer, or,
        from :class:`benchmark.asking.option_words.ChoosesByWords`, of all its words and the end of
        the turn. Empty where the model gives none.
    """

    output: str
    option_logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """One box, one channel high, over ``[t0_s, t1_s)`` of a segment."""

    segment_id: str
    waveform: str
    channel: str
    t0_s: float
    t1_s: float
    confidence: float = 1.0


def letters(n_options: int) -> tuple[str, ...]:
    """Return the letters of the first ``n_options`` options.

    Raises
    ------
    ValueError
        If there are fewer than 2 or more than 8 options.
    """
    if not 2 <= n_options <= len(LETTERS):
        raise ValueError(f"{n_options} options; a choice has 2 to {len(LETTERS)}")
    return tuple(LETTERS[:n_options])


def parse_letter(output: str, options: Sequence[str]) -> str:
    """Read one option letter, strictly.

    Accepted is one capital letter of the shown options, alone or wrapped (``B``, ``(B)``,
    ``**B**``, ``B.``), after an optional "Answer:", optionally followed by the text of
    that very option. All else is not parsed: two letters, a lower-case letter ("a" is a word), an
    option's text without its letter, a letter with another option's text, reasoning around it.

    Parameters
    ----------
    output
        Raw text of the model.
    options
        Option texts in shown order.

    Returns
    -------
    str
        The letter, or ``""`` where the output could not be parsed.
    """
    match = _LETTER.match(_LEAD.sub("", output, count=1))
    if match is None or match[1] not in letters(len(options)):
        return ""
    rest = _plain(match[2])
    is_whole = not rest or rest == _plain(options[LETTERS.index(match[1])])
    return match[1] if is_whole else ""


def _plain(text: str) -> str:
    return " ".join(text.strip(_EDGE).lower().split())


def boxes_to_text(boxes: Sequence[Box]) -> str:
    """Write boxes of one segment, in a fixed order, as text that :func:`parse_boxes` reads."""
    rows = sorted(
        [b.waveform, b.channel, round(b.t0_s, 4), round(b.t1_s, 4), round(b.confidence, 6)]
        for b in boxes
    )
    return json.dumps(rows, separators=(",", ":"))


def parse_boxes(output: str, segment_id: str) -> tuple[Box, ...] | None:
    """Read a JSON list of boxes, strictly: one malformed box voids the whole answer.

    Parameters
    ----------
    output
        ``[[class, channel, t0_s, t1_s], ...]``, with the confidence in [0, 1] as an optional fifth
        value.
    segment_id
        The segment they lie in.

    Returns
    -------
    tuple of Box or None
        None where the output could not be parsed.
    """
    try:
        rows = json.loads(output)
        return tuple(_box(row, segment_id) for row in rows) if isinstance(rows, list) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _box(row: object, segment_id: str) -> Box:
    if not isinstance(row, list) or len(row) not in {4, 5}:
        raise ValueError("a box is a list of four or five values")
    waveform, channel, *numbers = row
    if waveform not in WAVEFORMS or not isinstance(channel, str):
        raise ValueError("unknown class or channel that is no text")
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise TypeError("times and confidence are numbers")
    t0_s, t1_s, confidence = (*map(float, numbers), 1.0)[:3]
    is_inside = 0.0 <= t0_s < t1_s <= SEGMENT_S and 0.0 <= confidence <= 1.0
    if not is_inside or not math.isfinite(t1_s):
        raise ValueError("times lie outside the segment or confidence outside [0, 1]")
    return Box(segment_id, waveform, channel, t0_s, t1_s, confidence)


def parse_answer(kind: TaskKind, output: str, item: Item) -> str:
    """Return the parsed answer of one item, ``""`` where it could not be parsed.

    A choice gives its letter, boxes their canonical JSON, a text its stripped self.
    """
    if kind == "choice":
        return parse_letter(output, item.options)
    if kind == "boxes":
        boxes = parse_boxes(output, item.segment_id)
        return "" if boxes is None else boxes_to_text(boxes)
    return output.strip()


def answer_row(
    kind: TaskKind, item: Item, reply: Reply, model: str, control: str
) -> dict[str, object]:
    """Make one row of table ``model_answers``, parsed but not yet graded."""
    answer = parse_answer(kind, reply.output, item)
    return {
        "item_id": item.item_id,
        "task": item.task,
        "model": model,
        "control": control,
        "subject_id": item.subject_id,
        "output": reply.output,
        "answer": answer,
        "is_parsed": bool(answer),
        "option_logprobs": list(reply.option_logprobs),
        "is_correct": None,
        "score": None,
    }
