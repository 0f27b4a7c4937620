"""Mirrored pages: what changes sides, and whether answers are seen to follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.mirror import expected_letter, mirrored, mirrored_segment, swap_sides
from benchmark.errors import BenchmarkError
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from detectors.montage import LB18_NAMES
from detectors.types import CANONICAL19

Rows = Callable[[str], list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Left sharp waves at T7, not O2.", "Right sharp waves at T8, not O1."),
        ("Fp1-F7 and C3", "Fp2-F8 and C4"),
        ("T3 and A1", "T4 and A2"),
        ("RIGHT", "LEFT"),
        ("Cz, bilateral, brightly lefthand", "Cz, bilateral, brightly lefthand"),
    ],
)
def test_sides_change_and_change_back(text: str, other: str) -> None:
    assert (swap_sides(text), swap_sides(other)) == (other, text)


@pytest.mark.parametrize("names", [CANONICAL19, LB18_NAMES], ids=["electrodes", "derivations"])
def test_a_mirrored_signal_has_each_row_on_the_other_side(names: tuple[str, ...]) -> None:
    data = np.arange(len(names), dtype=np.float32)[:, None] * np.ones(4, dtype=np.float32)
    mask = np.arange(len(names)) % 3 > 0
    turned, turned_mask = mirrored(data, mask, names)
    for i, name in enumerate(names):
        j = names.index(swap_sides(name))
        assert (turned[i, 0], turned_mask[i]) == (data[j, 0], mask[j])
    again, _ = mirrored(turned, turned_mask, names)
    assert np.array_equal(again, data)


def test_a_stored_segment_is_mirrored_row_by_row() -> None:
    signal = np.repeat(np.arange(19, dtype=np.int16), 5)
    row = {"channel_schema": "referential19", "signal": signal, "mask": [True] * 18 + [False]}
    turned = mirrored_segment(row)
    assert turned["signal"].reshape(19, 5)[:, 0].tolist() != list(range(19))
    assert np.array_equal(mirrored_segment(turned)["signal"], signal)


def test_a_row_without_a_counterpart_is_told() -> None:
    with pytest.raises(BenchmarkError, match="has no row 'Fp2'"):
        mirrored(np.zeros((1, 2)), np.ones(1, dtype=bool), ("Fp1",))


@pytest.mark.parametrize(
    ("question", "letter", "expected"),
    [("Where?", "A", "B"), ("Where?", "C", "C"), ("Where?", "", ""), ("Is O1 higher?", "A", "")],
)
def test_the_letter_that_follows(question: str, letter: str, expected: str) -> None:
    item = {"prompt": f"{question}\nA. left\nB. right\nC. midline",
            "options": ["left", "right", "midline"]}  # fmt: skip
    assert expected_letter(item, letter) == expected


def _choices(rows: list[dict[str, Any]], kept: bool) -> list[dict[str, Any]]:
    said = []
    for row in rows:
        for control, letter in (("none", "A"), ("mirrored", "A" if kept else "B")):
            said.append(answer_row("choice", Item.from_row(row), Reply(letter), "m", control))
    return said


def _row(scores: list[dict[str, Any]], metric: str, control: str) -> dict[str, Any]:
    (row,) = [r for r in scores if (r["metric"], r["control"]) == (metric, control)]
    return row


@pytest.mark.parametrize("kept", [True, False])
def test_choices_that_follow_the_mirror_are_consistent(rows_of: Rows, kept: bool) -> None:
    rows = [
        {**r, "options": ["left", "right"], "prompt": "Side?\nA. left\nB. right", "answer": "A"}
        for r in rows_of("mcq")
    ]
    scores = score(TASKS["mcq"], rows, _choices(rows, kept))
    assert _row(scores, "mirror_consistency", "mirrored")["value"] == float(not kept)
    assert _row(scores, "unchanged", "mirrored")["value"] == float(kept)


def test_choices_without_sides_say_nothing_about_consistency(rows_of: Rows) -> None:
    rows = rows_of("mcq")
    value = _row(score(TASKS["mcq"], rows, _choices(rows, True)), "mirror_consistency", "mirrored")
    assert np.isnan(value["value"])


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ("Sharp waves over the right temporal region at T8.", 1.0),
        ("Sharp waves over the left temporal region at T7.", 0.0),
        ("", 0.0),
    ],
    ids=["follows", "stays", "falls silent"],
)
def test_texts_that_follow_the_mirror_are_consistent(
    rows_of: Rows, turned: str, expected: float
) -> None:
    rows = rows_of("caption")
    own = "Sharp waves over the left temporal region at T7."
    answers = [
        answer_row("text", Item.from_row(row), Reply(text), "m", control)
        for row in rows
        for control, text in (("none", own), ("mirrored", turned))
    ]
    scores = score(TASKS["caption"], rows, answers)
    assert _row(scores, "mirror_consistency", "mirrored")["value"] == expected
