"""Page controls: what the picture is replaced by, to see whether an answer comes from it.

A control is a function of the items and their pages, deterministic under its seed. A score that
does not move under them does not depend on the page (``evaluation.md`` 6.4, ``systems.md`` 6.11).
Baselines that need no page at all are models (``asking/models.py``).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.asking.answers import Item
from benchmark.errors import BenchmarkError
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TaskKind

Pages = Mapping[str, bytes]
"""PNG bytes by item id; the mirrored page of an item under :func:`mirror_id`."""
_MIRROR = "--mirrored"
NOISE_PAGES = 32
"""Different pages of noise per size: one for each of thousands of items would fill the memory."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control.

    Parameters
    ----------
    meaning
        Words for the report.
    apply
        ``(items, pages, seed) -> pages``, one per item in order; None means no picture at all.
    """

    meaning: str
    apply: Callable[[Sequence[Item], Pages, int], list[bytes | None]]


def _none(items: Sequence[Item], pages: Pages, seed: int) -> list[bytes | None]:
    return [pages[item.item_id] for item in items]


def _text_only(items: Sequence[Item], pages: Pages, seed: int) -> list[bytes | None]:
    return [None] * len(items)


def _blank(items: Sequence[Item], pages: Pages, seed: int) -> list[bytes | None]:
    made: dict[tuple[int, int], bytes] = {}
    out: list[bytes | None] = []
    for item in items:
        size = _size(pages[item.item_id])
        if size not in made:
            made[size] = _png(np.full((size[1], size[0]), 255, dtype=np.uint8))
        out.append(made[size])
    return out


def _noise(items: Sequence[Item], pages: Pages, seed: int) -> list[bytes | None]:
    return [
        _noise_page(
            *_size(pages[item.item_id]), _number(f"{seed}|{item.item_id}") % NOISE_PAGES, seed
        )
        for item in items
    ]


@lru_cache(maxsize=2 * NOISE_PAGES)
def _noise_page(width: int, height: int, number: int, seed: int) -> bytes:
    rng = np.random.default_rng(_number(f"{seed}|noise|{number}"))
    return _png(rng.integers(0, 256, size=(height, width), dtype=np.uint8))


def _shuffled(items: Sequence[Item], pages: Pages, seed: int) -> list[bytes | None]:
    other = segment_shuffle(items, seed)
    return _swapped(items, pages, other)


def _other_subject(items: Sequence[Item], pages: Pages, seed: int) -> list[bytes | None]:
    other = subject_swap(items, seed)
    return _swapped(items, pages, other)


def mirror_id(item_id: str) -> str:
    """Return the key under which pages hold the mirrored page of an item."""
    return f"{item_id}{_MIRROR}"


def _mirrored(items: Sequence[Item], pages: Pages, seed: int) -> list[bytes | None]:
    without = [item.item_id for item in items if mirror_id(item.item_id) not in pages]
    if without:
        raise BenchmarkError(
            f"{len(without)} of {len(items)} items have no mirrored page, such as {without[0]!r}; "
            f"render it from the signal with left and right changed, under "
            f"{mirror_id(without[0])!r}, or leave out the control 'mirrored'"
        )
    return [pages[mirror_id(item.item_id)] for item in items]


CONTROLS: dict[str, Control] = {
    "none": Control("the page itself", _none),
    "blank": Control("a white page of the same size", _blank),
    "noise": Control("a page of uniform noise, one of 32", _noise),
    "shuffled": Control("the page of another item of the task", _shuffled),
    "other_subject": Control("a page of another subject", _other_subject),
    "mirrored": Control("the page with left and right changed", _mirrored),
    "text_only": Control("no picture, the question alone", _text_only),
}


KIND_CONTROLS: dict[TaskKind, tuple[str, ...]] = {
    "choice": tuple(CONTROLS),
    "text": tuple(CONTROLS),
    "boxes": ("none", "shuffled", "other_subject"),
}
"""Controls there are for a kind of task: boxes are asked of detectors, which read a signal."""

PAGE_CONTROLS = tuple(name for name in CONTROLS if name != "none")
"""What belongs beside every score of a model that looks at pages."""


def missing_controls(asked: Iterable[str]) -> tuple[str, ...]:
    """Return the page controls that were not asked, in order of the table."""
    there = set(asked)
    return tuple(name for name in PAGE_CONTROLS if name not in there)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Controls that can be applied, and why others cannot.

    Parameters
    ----------
    names
        In order of :data:`CONTROLS`.
    left_out
        Control to reason.
    """

    names: tuple[str, ...]
    left_out: Mapping[str, str]


def applicable(wanted: Iterable[str], items: Sequence[Item], *, unmirrored: str = "") -> Chosen:
    """Sort controls into those that can be applied to these items and those that cannot.

    Parameters
    ----------
    wanted
        Names of :data:`CONTROLS`.
    items
        The items of a task.
    unmirrored
        Why there are no mirrored pages, ``""`` where every item has one.

    Raises
    ------
    BenchmarkError
        If a control is not known.
    """
    asked = set(wanted)
    for name in sorted(asked - set(CONTROLS)):
        raise BenchmarkError(unknown("control", name, tuple(CONTROLS)))
    left_out = {}
    if len({item.segment_id for item in items}) < 2:
        left_out["shuffled"] = "all items are about one page"
    if len({item.subject_id for item in items}) < 2:
        left_out["other_subject"] = "all items are of one subject"
    if unmirrored:
        left_out["mirrored"] = unmirrored
    names = tuple(name for name in CONTROLS if name in asked and name not in left_out)
    return Chosen(names, {name: why for name, why in left_out.items() if name in asked})


def apply_control(
    name: str, items: Sequence[Item], pages: Pages, *, seed: int
) -> list[bytes | None]:
    """Return the pages a model sees under a control, one per item.

    Raises
    ------
    BenchmarkError
        If the control is not known, an item has no page, or there is no other page to swap with.
    """
    if name not in CONTROLS:
        raise BenchmarkError(unknown("control", name, tuple(CONTROLS)))
    without = [item.item_id for item in items if item.item_id not in pages]
    if without and name != "text_only":
        raise BenchmarkError(
            f"{len(without)} of {len(items)} items have no page, such as {without[0]!r}; "
            "render a page for every item, or ask for the control 'text_only' alone"
        )
    return CONTROLS[name].apply(items, pages, seed)


def segment_shuffle(items: Sequence[Item], seed: int) -> dict[str, str]:
    """Map every segment to another one of the task, one to one and none to itself.

    Raises
    ------
    BenchmarkError
        If all items share one segment.
    """
    ring = _ring({item.segment_id for item in items}, f"{seed}|shuffled")
    if len(ring) < 2:
        raise BenchmarkError(
            "control 'shuffled' needs items of two segments; build more items or leave it out"
        )
    return {s: ring[(i + 1) % len(ring)] for i, s in enumerate(ring)}


def subject_swap(items: Sequence[Item], seed: int) -> dict[str, str]:
    """Map every segment to a segment of another subject.

    Raises
    ------
    BenchmarkError
        If all items are of one subject.
    """
    by_subject: dict[str, set[str]] = {}
    for item in items:
        by_subject.setdefault(item.subject_id, set()).add(item.segment_id)
    ring = _ring(set(by_subject), f"{seed}|other_subject")
    if len(ring) < 2:
        raise BenchmarkError(
            "control 'other_subject' needs items of two subjects; build more items or leave it out"
        )
    other: dict[str, str] = {}
    for i, subject in enumerate(ring):
        theirs = sorted(by_subject[ring[(i + 1) % len(ring)]])
        for segment_id in by_subject[subject]:
            other[segment_id] = theirs[_number(f"{seed}|{segment_id}") % len(theirs)]
    return other


def _swapped(items: Sequence[Item], pages: Pages, other: Mapping[str, str]) -> list[bytes | None]:
    page_of = {item.segment_id: pages[item.item_id] for item in items}
    return [page_of[other[item.segment_id]] for item in items]


def _ring(names: set[str], key: str) -> list[str]:
    return sorted(names, key=lambda name: _number(f"{key}|{name}"))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _size(png: bytes) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png)) as image:
            return image.size
    except UnidentifiedImageError as error:
        raise BenchmarkError(
            f"a page of {len(png)} bytes is no picture; render it again"
        ) from error


def _png(grey: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
