from __future__ import annotations

import json
from collections.abc import Callable

import polars as pl
import pytest

from prompts.facts.page import FactsError, PageFacts, facts_of_shard, with_history
from prompts.teachers.payload import assert_payload_is_clean
from prompts.teachers.registry import make_gateway
from prompts.texts.narrative_template import HISTORY_LINE, narrative_template, trend_words
from prompts.texts.narratives import NARRATIVES
from prompts.texts.teacher_texts import TextTask, text_rows

Plant = Callable[..., PageFacts]
Tables = Callable[[int], dict[str, pl.DataFrame]]


def page(plant: Plant, number: int, delta: float, **powers: float) -> PageFacts:
    spectral = {f"narrator_{band}_uv2": [value] * 19 for band, value in powers.items()}
    return plant(
        segment_id=f"seg-{number}",
        segment={"start_s": 10.0 * number},
        spectral={"narrator_delta_uv2": [delta] * 19, **spectral},
    )


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (40.0, "stable"),
        (43.9, "stable"),
        (44.1, "slight_increase"),
        (49.0, "moderate_increase"),
        (57.0, "marked_increase"),
        (35.9, "slight_decrease"),
        (31.0, "moderate_decrease"),
        (20.0, "marked_decrease"),
    ],
)
def test_trend_words_follow_the_published_table(plant: Plant, now: float, word: str) -> None:
    history = [page(plant, 0, 30.0), page(plant, 1, 50.0)]
    assert trend_words(page(plant, 2, now), history)["delta"] == word


def test_small_band_is_consistently_low_only_if_low_on_every_page(plant: Plant) -> None:
    low = [page(plant, i, 40.0, high_gamma=0.5) for i in range(3)]
    assert trend_words(low[2], low[:2])["high_gamma"] == "consistently_low"
    once = page(plant, 0, 40.0, high_gamma=20.0)
    assert trend_words(low[2], [once, low[1]])["high_gamma"] == "marked_decrease"


def test_void_band_has_no_trend(plant: Plant) -> None:
    void = plant(segment_id="seg-9", segment={"start_s": 90.0},
                 spectral={"void_bands": ["narrator:high_gamma"]})  # fmt: skip
    assert "high_gamma" not in trend_words(void, [page(plant, 0, 40.0)])


def test_first_page_has_no_trend(plant: Plant) -> None:
    assert trend_words(plant(), []) == {}
    assert HISTORY_LINE not in narrative_template(plant()).text


@pytest.mark.parametrize(
    "segment", [{"recording_id": "rec-b"}, {"start_s": 99.0}], ids=["other recording", "later"]
)
def test_history_of_another_recording_is_refused(plant: Plant, segment: dict[str, object]) -> None:
    other = plant(segment_id="seg-x", segment=segment)
    with pytest.raises(FactsError, match="never cross recordings"):
        trend_words(page(plant, 3, 40.0), [other])


def test_template_lists_powers_trends_and_every_channel(plant: Plant) -> None:
    facts, history = page(plant, 1, 40.0), [page(plant, 0, 20.0)]
    text = narrative_template(facts, history).text
    assert "Band power, mean of 19 channels (µV²): delta 40.00, theta 12.00, alpha 60.00" in text
    assert f"{HISTORY_LINE} (mean of 1, µV²): delta 20.00" in text
    assert "delta marked increase" in text
    assert "Highest energy: O1 103.26 µV²." in text
    tiers = " ".join(line for line in text.splitlines() if " energy: " in line)
    assert all(name in tiers for name in facts.recorded)


def test_payload_holds_no_id_and_every_key_has_evidence(plant: Plant) -> None:
    facts = page(plant, 1, 40.0)
    template = narrative_template(facts, [page(plant, 0, 20.0)])
    assert_payload_is_clean(template.payload)
    sent = json.dumps(template.payload)
    for private in ("seg-", "rec-", "subj-", "planted", "f-", "j-", "s-"):
        assert f'"{private}' not in sent
    assert all(facts.has_evidence(e) for ids in template.evidence.values() for e in ids)


def test_labels_reach_the_text_only_when_asked_and_the_payload_never(plant: Plant) -> None:
    labels = [{"scope": "recording", "name": "diagnosis", "value": "case", "source": "x"}]
    facts = plant(segment={"labels": labels, "stage_context": "N2"})
    free = narrative_template(facts)
    aware = narrative_template(facts, is_label_aware=True)
    assert "case" not in free.text
    assert "stage" not in free.payload["page"]
    assert "stage: N2; diagnosis: case" in aware.text
    assert aware.payload["page"]["stage"] == "N2"
    assert "case" not in json.dumps(aware.payload)
    assert_payload_is_clean(aware.payload)


def test_offline_narratives_of_a_shard_are_grounded_marked_and_repeatable(
    shard_tables: Tables,
) -> None:
    pages = list(facts_of_shard(**shard_tables(64)))
    gateway = make_gateway({"provider": "template"}, None)
    rows = list(text_rows(NARRATIVES, with_history(pages, 2), gateway, is_gated=True))
    assert [row["segment_id"] for row in rows] == [page.segment_id for page in pages]
    for row in rows:
        assert row["grounding"] == "supported"
        assert row["text"]
        assert row["evidence"]
        assert row["is_offline_teacher"]
        assert row["cost_usd"] == 0.0
    again = text_rows(NARRATIVES, with_history(pages, 2), gateway, is_gated=True)
    assert rows == list(again)
    assert any("Compared with" in r["text"] or "Against" in r["text"] for r in rows)


def test_text_depends_on_what_is_measured_and_on_the_seed(plant: Plant) -> None:
    gateway = make_gateway({"provider": "template"}, None)

    def text(facts: PageFacts, seed: int) -> str:
        (row,) = text_rows(NARRATIVES, [(facts, ())], gateway, is_gated=False, seed=seed)
        return str(row["text"])

    assert text(plant(), 1) != text(plant([]), 1)
    assert len({text(plant(), s) for s in range(8)}) > 1


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Delta power shows a marked increase.", ""),
        ("Delta power shows a slight increase.", "contradicted"),
        ("Delta power shows a marked decrease.", "contradicted"),
        ("Delta power is stable.", "contradicted"),
    ],
)
def test_a_trend_is_true_or_refused(plant: Plant, said: str, cause: str) -> None:
    paired = (page(plant, 1, 40.0), [page(plant, 0, 20.0)])
    task = TextTask(NARRATIVES, paired, "x", is_gated=False, seed=0)
    assert task.check({"sentences": [{"text": said, "facts": ["spectrum"]}]}) == cause


def test_a_trend_without_earlier_pages_is_unsupported(plant: Plant) -> None:
    task = TextTask(NARRATIVES, (plant(), ()), "x", is_gated=False, seed=0)
    said = {"text": "Delta power shows a marked increase.", "facts": ["spectrum"]}
    assert task.check({"sentences": [said]}) == "unsupported"


def test_template_gives_relative_power_of_all_measured_bands(plant: Plant) -> None:
    assert "Relative power (% of all measured bands): delta 33" in narrative_template(plant()).text


@pytest.mark.parametrize("k", [0, 1, 2, 4])
def test_trends_look_back_k_pages_and_never_into_another_recording(plant: Plant, k: int) -> None:
    pages = [
        plant(
            segment_id=f"seg-{i}",
            segment={"recording_id": f"rec-{i // 6}", "start_s": 10.0 * (i % 6)},
            spectral={"narrator_delta_uv2": [10.0 + 7.0 * i] * 19},
        )
        for i in range(12)
    ]
    for i, (facts, history) in enumerate(with_history(pages, k)):
        assert [p.segment_id for p in history] == [
            f"seg-{j}" for j in range(max(i - k, 6 * (i // 6)), i)
        ]
        assert ("delta" in trend_words(facts, history)) == bool(history)
