"""Controls: what they put in the page's place, and that they really replace it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.asking.answers import Item
from benchmark.asking.controls import (
    CONTROLS,
    NOISE_PAGES,
    applicable,
    apply_control,
    segment_shuffle,
    subject_swap,
)
from benchmark.errors import BenchmarkError

Rows = Callable[[str], list[dict[str, Any]]]
Pages = Callable[[Sequence[Item]], dict[str, bytes]]


@pytest.fixture(scope="module")
def items(rows_of: Rows) -> list[Item]:
    return [Item.from_row(row) for row in rows_of("mcq")]


@pytest.mark.parametrize("name", list(CONTROLS))
def test_a_control_is_repeatable_and_gives_one_page_per_item(
    items: list[Item], pages_of: Pages, name: str
) -> None:
    pages = pages_of(items)
    first = apply_control(name, items, pages, seed=3)
    assert len(first) == len(items)
    assert apply_control(name, items, pages, seed=3) == first


def _grey(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


def test_a_blank_page_is_white_and_as_large(items: list[Item], pages_of: Pages) -> None:
    shown = _grey(apply_control("blank", items, pages_of(items), seed=0)[0])
    assert shown.shape == (80, 120)
    assert shown.min() == 255


def test_noise_differs_between_items_and_seeds(items: list[Item], pages_of: Pages) -> None:
    one, other = (apply_control("noise", items, pages_of(items), seed=s) for s in (0, 1))
    assert not set(one) & set(other)
    assert len(items) / 4 < len(set(one)) <= NOISE_PAGES
    assert _grey(one[0]).std() == pytest.approx(255 / 12**0.5, rel=0.05)


def test_text_only_shows_nothing_and_needs_no_page(items: list[Item]) -> None:
    assert set(apply_control("text_only", items, {}, seed=0)) == {None}


def test_shuffled_pages_are_a_permutation_that_leaves_none_in_place(items: list[Item]) -> None:
    other = segment_shuffle(items, seed=0)
    assert sorted(other) == sorted(other.values())
    assert all(a != b for a, b in other.items())


def test_a_swapped_page_is_of_another_subject(items: list[Item], pages_of: Pages) -> None:
    pages = pages_of(items)
    subject_of_page = {pages[item.item_id]: item.subject_id for item in items}
    shown = apply_control("other_subject", items, pages, seed=0)
    for item, page in zip(items, shown, strict=True):
        assert page is not None
        assert subject_of_page[page] != item.subject_id


def test_the_order_of_items_moves_no_page(items: list[Item], pages_of: Pages) -> None:
    pages = pages_of(items)
    for name in CONTROLS:
        assert apply_control(name, items[::-1], pages, seed=0)[::-1] == apply_control(
            name, items, pages, seed=0
        )


def test_a_lone_segment_cannot_be_shuffled_and_a_lone_subject_not_swapped(
    items: list[Item],
) -> None:
    with pytest.raises(BenchmarkError, match="two segments"):
        segment_shuffle(items[:1], seed=0)
    with pytest.raises(BenchmarkError, match="two subjects"):
        subject_swap(items[:1], seed=0)


@pytest.mark.parametrize(
    ("name", "pages", "said"),
    [
        ("blnak", {}, "did you mean 'blank'"),
        ("none", {}, "have no page"),
        ("blank", {"all": b"no picture"}, "no picture"),
    ],
    ids=["unknown control", "missing page", "broken page"],
)
def test_what_cannot_be_shown_is_told(
    items: list[Item], name: str, pages: dict[str, bytes], said: str
) -> None:
    given = {item.item_id: pages["all"] for item in items} if pages else {}
    with pytest.raises(BenchmarkError, match=said):
        apply_control(name, items, given, seed=0)


def test_controls_that_cannot_be_applied_are_left_out_with_their_reason(items: list[Item]) -> None:
    assert applicable(CONTROLS, items).names == tuple(CONTROLS)
    own = [item for item in items if item.subject_id == items[0].subject_id]
    chosen = applicable(CONTROLS, own, unmirrored="a lone chain")
    assert (
        set(CONTROLS) - set(chosen.names) == {"other_subject", "mirrored"} == set(chosen.left_out)
    )
    assert chosen.left_out["mirrored"] == "a lone chain"
    alone = applicable(("none", "shuffled", "blank"), items[:1])
    assert alone.names == ("none", "blank")
    assert "one page" in alone.left_out["shuffled"]


def test_every_control_said_to_be_applicable_can_be_applied(
    items: list[Item], pages_of: Pages
) -> None:
    own = [item for item in items if item.subject_id == items[0].subject_id]
    for name in applicable(CONTROLS, own).names:
        assert len(apply_control(name, own, pages_of(own), seed=0)) == len(own)


def test_an_unknown_control_is_told(items: list[Item]) -> None:
    with pytest.raises(BenchmarkError, match="did you mean 'blank'"):
        applicable(("none", "blnk"), items)
