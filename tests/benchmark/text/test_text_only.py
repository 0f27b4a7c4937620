from __future__ import annotations

import random
from typing import Any

import pytest

from benchmark.text.text_only import MIN_ITEMS, text_only

OPTIONS = ("Alpha", "Beta", "Delta", "Theta")


def item(n: int, block: int, right: str, rng: random.Random) -> dict[str, Any]:
    options = list(OPTIONS)
    rng.shuffle(options)
    return {
        "subject_id": f"s{n % 12}",
        "block_id": f"b{block}",
        "question": "Which band?",
        "options": options,
        "answer_text": right,
    }


def items(rights: list[str], seed: int = 1) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [item(n, n // 4, right, rng) for n, right in enumerate(rights)]


def test_balanced_blocks_are_at_chance() -> None:
    result = text_only(items(list(OPTIONS) * 100))
    assert result.n_items == 400
    assert result.is_chance
    assert result.accuracy.value == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_frequent_answer_is_found_out(share: float) -> None:
    rng = random.Random(3)
    rights = ["Alpha" if rng.random() < share else rng.choice(OPTIONS) for _ in range(400)]
    result = text_only(items(rights))
    assert not result.is_chance
    assert result.over_chance.low is not None
    assert result.over_chance.low > 0.1


def test_a_frequent_letter_is_found_out() -> None:
    fixed = items(list(OPTIONS) * 100)
    for row in fixed:
        row["options"].remove(row["answer_text"])
        row["options"].insert(0, row["answer_text"])
    assert not text_only(fixed).is_chance


def test_few_items_prove_nothing() -> None:
    result = text_only(items(["Alpha"] * (MIN_ITEMS - 4)))
    assert result.accuracy.value == 1.0
    assert result.is_chance
