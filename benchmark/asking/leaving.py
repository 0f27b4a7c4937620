"""What of an item may leave the machine: words without names, pages without anything but pixels.

Rows of gated corpora never leave; that is settled by the caller, who knows the licences, and carried
by :attr:`benchmark.asking.answers.Item.may_leave`. Here are the guards on what is then sent, for a
model under test (``asking/hosted.py``) and for a judge (``judging/prompt.py``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from benchmark.asking.answers import Item

_LEAVES_NOT = (
    ("an address or a path", re.compile(r"https?://|\\\\|[\w.-]+@[\w-]+\.\w|(?:^|\s)[~/]\w+/\w")),
    ("a date", re.compile(r"\b\d{1,4}[-./]\d{1,2}[-./]\d{2,4}\b")),
    ("a number of five digits or more", re.compile(r"(?<![\d.])\d{5,}")),
    ("a hash", re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,}\b")),
)  # fmt: skip


def held_back(words: str, forbidden: Collection[str] = ()) -> str:
    """Return what a text holds that may not leave, "" where it may; never the value itself.

    Parameters
    ----------
    words
        Question, reference or answer.
    forbidden
        Ids and names of the item itself: subject, segment, item.
    """
    found = next((what for what, pattern in _LEAVES_NOT if pattern.search(words)), "")
    if not found and any(name and name in words for name in forbidden):
        found = "an id of its own item"
    return found


def sendable(items: Sequence[Item]) -> tuple[list[Item], int]:
    """Return the items a hosted model may be asked, and how many of gated corpora stay here."""
    free = [item for item in items if item.may_leave]
    return free, len(items) - len(free)
