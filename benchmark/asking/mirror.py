"""What a mirrored page is, and whether answers follow it: left becomes right, all else stays.

A page cannot be mirrored as a picture (that would turn time round), so the signal is: homologous
electrodes change places, and the page is rendered from that. A reader who looks says the same of the
mirrored page with the sides changed (``evaluation.md`` 6.4, counterfactual tests). The control
itself is in ``asking/controls.py``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.asking.answers import LETTERS
from benchmark.errors import BenchmarkError
from benchmark.scores.fact_scores import slots
from benchmark.scores.intervals import Floats
from benchmark.tasks.task import Row
from detectors.montage import HOMOLOGOUS
from detectors.types import ChannelSchema

_OLD_NAMES = (("T3", "T4"), ("T5", "T6"), ("A1", "A2"), ("M1", "M2"))
_PAIRS = (*HOMOLOGOUS, *_OLD_NAMES, ("left", "right"), ("leftward", "rightward"))
_OPPOSITE = {a.lower(): b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_SIDED = re.compile(rf"\b(?:{'|'.join(sorted(_OPPOSITE, key=len, reverse=True))})\b", re.I)


def swap_sides(text: str) -> str:
    """Return a text with side words and electrode names changed to the other side."""
    return _SIDED.sub(_other, text)


def _other(match: re.Match[str]) -> str:
    said = match[0]
    other = _OPPOSITE[said.lower()]
    if said.isupper() and len(said) > 3:
        return other.upper()
    return other.capitalize() if said[0].isupper() else other


def mirrored(
    data: NDArray[Any], mask: NDArray[np.bool_], ch_names: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a signal with left and right rows changed, whatever the channel schema.

    Parameters
    ----------
    data, mask
        Shape (n_channels, n_times) and (n_channels,), or with leading axes before these.
    ch_names
        Row names, single electrodes or derivations such as ``Fp1-F7``.

    Raises
    ------
    BenchmarkError
        If a row has no counterpart on the other side, such as one of a lone left chain.
    """
    at = {name: i for i, name in enumerate(ch_names)}
    without = [name for name in ch_names if swap_sides(name) not in at]
    if without:
        raise BenchmarkError(
            f"row {without[0]!r} has no row {swap_sides(without[0])!r} to change places with; "
            "leave out the control 'mirrored' for this page"
        )
    order = [at[swap_sides(name)] for name in ch_names]
    return data[..., order, :], mask[..., order]


def mirrored_segment(row: Row) -> dict[str, Any]:
    """Return a row of table ``segments`` with its signal and mask mirrored, to render a page from.

    Raises
    ------
    BenchmarkError
        If a row of the page has no counterpart.
    """
    names = ChannelSchema.parse(row["channel_schema"]).ch_names
    signal = np.asarray(row["signal"]).reshape(len(names), -1)
    turned, mask = mirrored(signal, np.asarray(row["mask"], dtype=bool), names)
    return {**row, "signal": turned.reshape(-1), "mask": mask.tolist()}


def expected_letter(item: Row, letter: str) -> str:
    """Return the letter that follows a choice onto the mirrored page, ``""`` where none is right.

    None is known where the question itself names a side, nothing was read, or the option with its
    sides changed is not offered.
    """
    question = item["prompt"]
    for option in sorted(item["options"], key=len, reverse=True):
        question = question.replace(option, "")
    if not letter or swap_sides(question) != question:
        return ""
    wanted = swap_sides(item["options"][LETTERS.index(letter)])
    return LETTERS[item["options"].index(wanted)] if wanted in item["options"] else ""


def choice_following(item: Row, letter: str, mirrored_letter: str) -> tuple[float, float]:
    """Return (followed, could follow) of one choice: both 0 where no side is at stake."""
    expected = expected_letter(item, letter)
    if not expected or (expected == letter and not _has_sides(item)):
        return 0.0, 0.0
    return float(expected == mirrored_letter), 1.0


def _has_sides(item: Row) -> bool:
    return any(swap_sides(option) != option for option in item["options"])


def text_following(text: str, mirrored_text: str) -> Floats:
    """Return twice the sided slots that follow and all sided slots of both texts, shape (2,)."""
    expected = Counter(_sided(swap_sides(text)))
    said = Counter(_sided(mirrored_text))
    shared = (expected & said).total()
    return np.array([2 * shared, expected.total() + said.total()], dtype=np.float64)


def _sided(text: str) -> list[Any]:
    return [s for s in slots(text) if _is_sided(s)]


def _is_sided(slot: Any) -> bool:
    channels, side = slot[4], slot[5]
    return side in ("left", "right") or any(swap_sides(c) != c for c in channels)
