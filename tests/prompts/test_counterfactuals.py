"""Pairs of texts: what an edit must change, what it must leave, and that faults are noticed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dagster_project.corpora.edits import (
    ADDED_KINDS,
    ARTIFACT_ADDED,
    EVENT_REMOVED,
    MIRRORED,
    EditedPage,
    edited_batch,
    edited_page,
    on_grid,
)
from dagster_project.corpora.simulated.ongoing import ongoing_page
from dagster_project.corpora.simulated.planting import plant_segments
from detectors.types import CANONICAL19, REFERENTIAL19, ExpertEvent, SegmentBatch
from prompts.counterfactuals import (
    Edit,
    expected,
    facts_of_batch,
    mirrored_text,
    pair_row,
    tells,
    text_key,
)
from prompts.facts.page import PageFacts

N_PAGES = int(os.environ.get("NEUROGLOSS_COUNTERFACTUAL_PAGES", "100"))
"""Pages of the mirror test; 400 is the whole size."""
MOST_PAGES = 40
"""Pages of the other tests."""


@pytest.fixture(scope="module")
def pages() -> tuple[SegmentBatch, dict[str, dict[str, Any]], list[PageFacts]]:
    rng = np.random.default_rng(5)
    drawn = [ongoing_page(rng) for _ in range(N_PAGES)]
    mask = np.ones((N_PAGES, 19), dtype=bool)
    band = np.array([p.band_hz for p in drawn], dtype=np.float32)
    bare = np.stack([p.data_uv for p in drawn]).astype(np.float32)
    data, _ = plant_segments(bare, mask, band, rng)
    data[::3] = bare[::3]
    ids = tuple(f"g-{i}" for i in range(N_PAGES))
    batch = SegmentBatch(ids, on_grid(data), mask, REFERENTIAL19, band, 50.0)
    rows = {
        s: {
            "segment_id": s, "recording_id": "r-1", "corpus": "simulated", "subject_id": f"s-{i}",
            "split": "train", "start_s": 0.0, "channel_schema": "referential19",
            "ch_names": list(CANONICAL19), "band_low_hz": band[i, 0], "band_high_hz": band[i, 1],
            "labels": [], "is_simulated": True,
        }
        for i, s in enumerate(ids)
    }  # fmt: skip
    looked = {
        at: EditedPage(p, p, mask[at], None) for at, p in enumerate(batch.data_uv[:MOST_PAGES])
    }
    return batch, rows, facts_of_batch(edited_batch(batch, looked, "before"), rows)


def pairs(
    pages: tuple[SegmentBatch, dict[str, dict[str, Any]], list[PageFacts]], edit: str, kind: str
) -> list[dict[str, Any]]:
    """Edit every page on which a kind was judged absent."""
    batch, rows, facts = pages
    looked = len(batch) if not kind else len(facts)
    edited = {
        at: page
        for at in range(looked)
        if (not kind or facts[at].verdict(kind) == "absent")
        and (page := edited_page(batch, at, edit, kind, 1000 + at)) is not None
    }
    before, after = (
        facts_of_batch(edited_batch(batch, edited, side), rows) for side in ("before", "after")
    )
    return [
        pair_row(Edit(edit, 1000 + at, page.event), x, y)
        for (at, page), x, y in zip(edited.items(), before, after, strict=True)
    ]


def test_a_mirrored_page_has_the_mirrored_caption(pages: Any) -> None:
    rows = pairs(pages, MIRRORED, "")
    assert len(rows) == N_PAGES
    wrong = [r for r in rows if not r["is_consistent"]]
    assert len(wrong) <= 0.02 * N_PAGES, [d for r in wrong for d in r["differences"]]
    sided = [r for r in rows if r["must_change"]]
    assert len(sided) > N_PAGES / 4
    assert all(r["text_after"] != r["text_before"] for r in sided)
    assert {c["what"] for r in sided for c in r["must_change"]} == {"side"}


@pytest.mark.parametrize("kind", ADDED_KINDS)
def test_an_added_artifact_is_named(pages: Any, kind: str) -> None:
    rows = pairs(pages, ARTIFACT_ADDED, kind)
    assert len(rows) >= MOST_PAGES / 6
    told = [r for r in rows if not [d for d in r["differences"] if d.startswith(("text", kind))]]
    assert len(told) >= 0.95 * len(rows)
    for row in told:
        assert row["must_change"] == [
            {"kind": kind, "what": "verdict", "before": "absent", "after": "present"}
        ]
        assert kind in {f["kind"] for f in row["findings_after"]}
        assert kind not in {c["kind"] for c in row["must_not_change"]}


@pytest.mark.parametrize("kind", ["spike", "spsw", "blink"])
def test_a_removed_event_is_no_longer_told(pages: Any, kind: str) -> None:
    rows = [
        r
        for r in pairs(pages, EVENT_REMOVED, kind)
        if kind in {f["kind"] for f in r["findings_before"] if not f["is_masked"]}
    ]
    assert len(rows) >= MOST_PAGES / 8
    gone = [r for r in rows if not [d for d in r["differences"] if d.startswith(("text", kind))]]
    assert len(gone) >= 0.95 * len(rows)


def test_the_same_pages_give_the_same_rows(pages: Any) -> None:
    first, again = pairs(pages, ARTIFACT_ADDED, "mains"), pairs(pages, ARTIFACT_ADDED, "mains")
    assert first == again
    assert len({r["pair_id"] for r in first}) == len(first)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Sharp wave, maximum at T7 (left mid-temporal; field F7, P7).",
         "Sharp wave, maximum at T8 (right mid-temporal; field F8, P8)."),
        ("Fp1-F7 is flat; Cz and Fz are not.", "Fp2-F8 is flat; Cz and Fz are not."),
        ("Right more than left at O2.", "Left more than right at O1."),
        ("A bright, leftover PC31 T70.", "A bright, leftover PC31 T70."),
    ],
)  # fmt: skip
def test_words_are_mirrored_and_nothing_else_is(text: str, wanted: str) -> None:
    assert mirrored_text(text) == wanted
    assert mirrored_text(wanted) == text


def test_orders_that_say_nothing_are_not_compared() -> None:
    assert text_key(["At F7, T7 and P7."]) == text_key(["At P7, F7 and T7."])
    assert text_key(["At F7 and T7.", "No spikes."]) == text_key(["No spikes.", "At T7 and F7."])
    assert text_key(["At F7 and T7."]) != text_key(["At F7 and T8."])
    assert text_key(["One.", "One."]) != text_key(["One."])


@pytest.mark.parametrize(
    ("sentence", "is_told"),
    [
        ("Spike, 35 ms, maximum at T7, at 3 s.", True),
        ("At 3 s there is a possible spike at T7.", True),
        ("No spikes or sharp waves seen.", False),
        ("Not judged: spikes (no usable second on T7).", False),
        ("Spikes could not be judged: artifacts cover 6 of 10 s.", False),
        ("Set aside: 1 spike candidate at T7 (overlapped by eye blink).", False),
        ("Spike-and-slow-wave complex at 2 s.", False),
        ("Rhythmic spike-and-wave at 3 Hz.", False),
    ],
)
def test_a_kind_is_told_only_where_it_is_said_to_be_there(
    page: Any, sentence: str, is_told: bool
) -> None:
    assert tells([sentence], page(), "spike") is is_told


@pytest.fixture
def page(plant: Any) -> Any:
    return plant


def test_a_mirror_that_forgets_a_side_is_noticed(page: Any, rows: dict[str, Any]) -> None:
    energies = {"energy_uv2": [10.0] * 19, "highest_channel": "Cz", "tier": ["low"] * 19}
    before = page(spatial=energies)
    after = page([rows["mirrored"](f) for f in rows["planted"]("seg-0")], spatial=energies)
    assert pair_row(Edit(MIRRORED, 0), before, after)["differences"] == []
    forgotten = pair_row(Edit(MIRRORED, 0), before, before)
    assert not forgotten["is_consistent"]
    kinds = {c["kind"] for c in forgotten["must_change"]}
    assert {"sharp", "muscle", "asymmetry"} <= kinds
    assert any("no finding on the right" in d for d in forgotten["differences"])
    assert any(d.startswith("text: mirrored sentence is missing") for d in forgotten["differences"])


def test_an_event_that_stays_and_one_that_appears_are_noticed(page: Any) -> None:
    event = ExpertEvent("sharp", ("T7",), 3.3, 3.5, "planted@1")
    row = pair_row(Edit(EVENT_REMOVED, 0, event), page(), page())
    assert "sharp: present after the edit, absent expected" in row["differences"]
    assert "text: sharp wave is still told after the edit" in row["differences"]
    added = pair_row(Edit(ARTIFACT_ADDED, 0, replace(event, kind="mains")), page(), page())
    assert "mains: absent after the edit, present expected" in added["differences"]
    assert "text: mains interference is not named after the edit" in added["differences"]


def test_what_touches_the_edit_in_time_is_not_claimed_to_stay(page: Any) -> None:
    facts = page()
    event = ExpertEvent("mains", ("T7",), 5.5, 5.6, "planted@1")
    _, stays = expected(Edit(ARTIFACT_ADDED, 0, event), facts)
    claimed = {c.kind: c.after for c in stays}
    assert "muscle" not in claimed
    assert claimed["blink"] == "present"
    assert claimed["spindle"] == "absent"
    blink = replace(event, kind="blink")
    claimed = {c.kind for c in expected(Edit(ARTIFACT_ADDED, 0, blink), facts)[1]}
    assert "spindle" not in claimed
