from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.releases.recipe import Recipe
from prompts.releases.windows import keep_windows


def recipe(**windows: object) -> Recipe:
    return Recipe.model_validate({
        "name": "r", "version": "1.0.0", "shards": ["a-01-of-01"], "mixture": {},
        "windows": windows or None,
    })  # fmt: skip


def pool(
    n_pages: int, corpus: str = "tuab", split: str = "train", n_samples: int = 2
) -> pl.DataFrame:
    pages = [f"{corpus}-{split}-{i}" for i in range(n_pages)]
    return pl.DataFrame({
        "segment_id": [p for p in pages for _ in range(n_samples)],
        "sample_id": [f"{p}/{k}" for p in pages for k in range(n_samples)],
        "split": split, "corpus": corpus,
        "pathology": [(i % 5 == 0) + (i % 10 == 0) for i in range(n_pages) for _ in range(n_samples)],
    })  # fmt: skip


def test_without_a_cap_everything_stays() -> None:
    assert keep_windows(recipe(), pool(7)).equals(pool(7))


def test_the_cap_is_of_pages_per_corpus_and_split() -> None:
    frame = pl.concat([pool(30), pool(30, "hmc"), pool(4, "pd31"), pool(30, split="test")])
    kept = keep_windows(recipe(train=10, test=3), frame)
    pages = kept.unique("segment_id").group_by("corpus", "split").len().sort("corpus", "split")
    assert pages.rows() == [
        ("hmc", "train", 10), ("pd31", "train", 4), ("tuab", "test", 3), ("tuab", "train", 10),
    ]  # fmt: skip
    assert kept.height == 2 * (10 + 4 + 3 + 10)


@pytest.mark.parametrize(
    ("cap", "expected"), [(2, [2, 2]), (4, [2, 2, 2, 1]), (7, [2] * 3 + [1] * 3 + [0])]
)
def test_pathological_pages_come_first(cap: int, expected: list[int]) -> None:
    kept = keep_windows(recipe(train=cap), pool(30, n_samples=1))
    assert sorted(kept["pathology"], reverse=True) == expected


def test_a_seeded_order_does_not_look_at_pathology() -> None:
    kept = keep_windows(recipe(train=10, order="seeded"), pool(400, n_samples=1))
    assert kept["pathology"].to_list().count(0) > 0


@given(st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(random: object) -> None:
    frame = pool(20)
    order = list(range(frame.height))
    random.shuffle(order)  # type: ignore[attr-defined]
    kept = keep_windows(recipe(train=6), frame[order])
    assert set(kept["sample_id"]) == set(keep_windows(recipe(train=6), frame)["sample_id"])
