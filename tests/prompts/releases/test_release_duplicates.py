"""Near-duplicate texts: what counts as one, what stays, and that nothing hangs on order."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.releases.duplicates import band_keys, shingles, without_duplicates
from prompts.releases.recipe import Duplicates

SETTINGS = Duplicates(threshold=0.8, kinds=("captions",))
WORDS = [f"word{i}" for i in range(400)]


def text_of(seed: int, n: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=n))


def changed(text: str, n: int, seed: int = 0) -> str:
    """Replace ``n`` words, spread evenly."""
    words = text.split()
    for i in range(n):
        words[(2 * i + 1) * len(words) // (2 * n)] = f"other{seed}x{i}"
    return " ".join(words)


def jaccard(a: str, b: str) -> float:
    one, two = set(shingles(a, 3)), set(shingles(b, 3))
    return len(one & two) / len(one | two)


def pool_of(
    texts: list[str], splits: list[str] | None = None, kind: str = "captions"
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "kind": [kind] * len(texts), "split": splits or ["train"] * len(texts),
            "rank": list(range(len(texts))), "sample_id": [f"{kind}{i}" for i in range(len(texts))],
            "bands": list(band_keys(SETTINGS, 1, texts)),
        },
        schema_overrides={"rank": pl.UInt64, "bands": pl.List(pl.UInt64)},
    )  # fmt: skip


def test_texts_that_differ_by_a_word_are_one_and_others_are_not() -> None:
    base = [text_of(i) for i in range(200)]
    near = [changed(text, 1) for text in base]
    far = [changed(text, 30) for text in base]
    assert min(jaccard(a, b) for a, b in zip(base, near, strict=True)) > 0.93
    assert max(jaccard(a, b) for a, b in zip(base, far, strict=True)) < 0.45
    kept, dropped = without_duplicates(pool_of([*base, *near, *far]))
    left = set(kept["sample_id"])
    assert {f"captions{i}" for i in range(200)} <= left
    assert sum(f"captions{i}" in left for i in range(200, 400)) <= 2
    assert sum(f"captions{i}" in left for i in range(400, 600)) == 200
    assert dropped == {"captions": 600 - kept.height}


def test_a_held_out_text_stays_and_its_copy_in_train_goes() -> None:
    text = text_of(1)
    kept, dropped = without_duplicates(
        pool_of([text, text, text_of(2)], ["train", "test", "validation"])
    )
    assert kept["sample_id"].to_list() == ["captions1", "captions2"]
    assert dropped == {"captions": 1}


def test_kinds_are_looked_through_apart_and_only_where_asked() -> None:
    text = text_of(1)
    unasked = pool_of([text, text], kind="questions").with_columns(
        bands=pl.lit(None, pl.List(pl.UInt64))
    )
    frame = pl.concat([pool_of([text]), pool_of([text], kind="narratives"), unasked])
    kept, dropped = without_duplicates(frame)
    assert kept.equals(frame)
    assert dropped == {"captions": 0, "narratives": 0}


@given(st.integers(0, 2**32), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_what_stays_does_not_hang_on_the_order_of_rows(shuffle: int, seed: int) -> None:
    base = [text_of(seed + i) for i in range(6)]
    frame = pool_of([*base, *(changed(t, 1, seed) for t in base), base[0]])
    order = list(range(frame.height))
    random.Random(shuffle).shuffle(order)
    assert set(without_duplicates(frame[order])[0]["sample_id"]) == set(
        without_duplicates(frame)[0]["sample_id"]
    )


def test_keys_are_the_same_again_and_follow_the_seed() -> None:
    texts = [text_of(i) for i in range(3)]
    assert list(band_keys(SETTINGS, 1, texts)) == list(band_keys(SETTINGS, 1, texts))
    assert list(band_keys(SETTINGS, 1, texts)) != list(band_keys(SETTINGS, 2, texts))


def test_numbers_count_and_case_and_stops_do_not() -> None:
    assert shingles("Alpha at 9.5 Hz.", 3) == shingles("alpha, at 9.5 hz", 3)
    assert shingles("Alpha at 9.5 Hz.", 3) != shingles("Alpha at 9 Hz.", 3)
    assert shingles("Yes.", 3) == [b"yes"]


def test_rule_questions_may_not_be_deduplicated() -> None:
    with pytest.raises(ValueError, match="repeat their wording by design"):
        Duplicates(threshold=0.9, kinds=("questions",))
