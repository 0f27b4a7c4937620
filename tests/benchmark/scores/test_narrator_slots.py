"""Slots of narratives: true ones from the template, said ones from the prose, one F1 a text."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import grade
from benchmark.scores.narrator_slots import slot_f1, template_slots, text_slots
from benchmark.scores.scoring import score
from benchmark.tasks.items import Sources, build_items
from benchmark.tasks.task import TASKS

TEMPLATE = """Labels: not stated.
Events: At 2.3 s there is an eye blink (0.5 s, 135 \u00b5V peak-to-peak) at 3 channels, first Fp1, Fp2 and F3.
Band power, mean of 19 channels (\u00b5V\u00b2): delta 203.05, theta 13.63, alpha 12.47, high-gamma 0.68.
Earlier pages (mean of 2, \u00b5V\u00b2): delta 208.76, theta 16.95, alpha 24.74, high-gamma 3.12.
Trends: delta stable, theta slight decrease, alpha marked increase, high-gamma consistently low.
Highest energy: F7 942.81 \u00b5V\u00b2.
High energy: Fp1, F7.
Medium energy: F3, F4.
Low energy: Fz, O2."""
TRUE = {
    "event=blink", "region:blink=frontal", "dominant_band=delta", "trend:delta=same",
    "trend:theta=down", "trend:alpha=up", "trend:high_gamma=low", "highest_channel=F7",
    "high_energy=Fp1", "high_energy=F7",
}  # fmt: skip
PROSE = (
    "Delta has the highest power. Against the mean of the previous 2 pages, delta power is stable; "
    "theta power shows a slight decrease; alpha power shows a marked increase; high-gamma power is "
    "consistently low. The highest energy lies at F7. High energy: Fp1 and F7. Eye blink, 500 ms, "
    "at 3 channels, first Fp1, Fp2 and F3, at 2.3 s. No spikes on this page."
)


def test_the_template_says_its_slots() -> None:
    found = set(template_slots(TEMPLATE))
    assert {s for s in found if not s.startswith("region")} == {
        s for s in TRUE if not s.startswith("region")
    }
    assert {s.split("=")[0] for s in found if s.startswith("region")} == {"region:blink"}


def test_the_prose_of_a_template_says_the_same() -> None:
    assert set(text_slots(PROSE)) == set(template_slots(TEMPLATE))


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("alpha power shows a marked increase", "alpha power shows a marked decrease"),
        ("Delta has the highest power", "Theta has the highest power"),
        ("energy lies at F7", "energy lies at O2"),
        ("Fp1 and F7. Eye", "T7 and F7. Eye"),
        ("No spikes", "Spikes at T7"),
    ],
    ids=["trend", "band", "channel", "tier", "event"],
)
def test_one_false_word_costs(true: str, false: str) -> None:
    assert true in PROSE
    true_slots = template_slots(TEMPLATE)
    assert slot_f1(true_slots, text_slots(PROSE.replace(true, false))) < 1.0


def test_an_absent_event_fills_no_slot() -> None:
    assert text_slots("No spikes, sharp waves or spindles on this page.") == ()


def test_a_model_that_repeats_a_digit_is_read_all_the_same() -> None:
    assert text_slots(f"A spike of {'9' * 400} Hz.") == ("event=spike",)


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_f1_is_that_of_precision_and_recall(true: set[int], said: set[int]) -> None:
    names = [tuple(f"s={n}" for n in part) for part in (true, said)]
    found = slot_f1(*names)
    shared = len(true & said)
    if shared:
        precision, recall = shared / len(said), shared / len(true)
        assert found == pytest.approx(2 * precision * recall / (precision + recall))
    else:
        assert found == float(not true and not said)


def items() -> list[dict[str, Any]]:
    segments = [
        {"segment_id": f"s{n}", "corpus": "eegmat", "subject_id": f"p{n}", "split": "test",
         "is_simulated": False}
        for n in range(4)
    ]  # fmt: skip
    narratives = [
        {"segment_id": f"s{n}", "grounding": "supported" if n else "contradicted", "text": PROSE,
         "template": TEMPLATE, "evidence": ["f"]}
        for n in range(4)
    ]  # fmt: skip
    found = build_items(
        "narrative", Sources(pl.DataFrame(segments), texts={"narratives": pl.DataFrame(narratives)})
    )
    assert found.set_aside == {"the text was dropped by the grounding check": 1}
    return list(found.rows)


def test_a_narrative_is_scored_by_slots_words_and_a_row_for_the_missing_encoder() -> None:
    asked = items()
    task = TASKS["narrative"]
    right = [answer_row("text", Item.from_row(r), Reply(r["answer"]), "m", "none") for r in asked]
    wrong = [answer_row("text", Item.from_row(r), Reply("Nothing."), "m", "blank") for r in asked]
    rows = {(r["control"], r["metric"]): r for r in score(task, asked, right + wrong)}
    assert rows["none", "narrator_slot_f1"]["value"] == 1.0
    assert rows["blank", "narrator_slot_f1"]["value"] == 0.0
    assert rows["none", "narrator_slot_f1-blank"]["value"] == 1.0
    assert rows["none", "rougeL"]["value"] == pytest.approx(100.0)
    assert math.isnan(rows["none", "bertscore_f1"]["value"])
    assert "no encoder folder" in rows["none", "bertscore_f1"]["note"]


@pytest.mark.parametrize(
    ("text", "f1"),
    [(" ", 0.0), (".", 0.0), ("I am sorry.", 0.0), ("Nothing.", 0.0), ("No spikes are seen.", 1.0)],
)
def test_an_answer_that_says_nothing_is_wrong_where_the_template_fills_no_slot(
    text: str, f1: float
) -> None:
    asked = [row | {"slots": []} for row in items()]
    said = [answer_row("text", Item.from_row(row), Reply(text), "m", "none") for row in asked]
    rows = {r["metric"]: r for r in score(TASKS["narrative"], asked, said)}
    assert rows["narrator_slot_f1"]["value"] == f1
    assert rows["narrator_slot_f1"]["n_unparsed"] == (0 if text.strip() else len(asked))
    assert {row["score"] for row in grade(TASKS["narrative"], asked, said)} == {f1}
