"""Planted pages: who may serve as background, what stays as it was, and who they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dagster_project.corpora.annotations.boxes import Tally
from dagster_project.corpora.annotations.gather import planted_rows
from dagster_project.corpora.annotations.planted import (
    KEPT_FOR_TESTS,
    UNREADABLE,
    Origin,
    draw,
    ongoing_draws,
    ongoing_pages,
    planted_pages,
    why_not_background,
)
from dagster_project.corpora.simulated.ongoing import ongoing_page
from dagster_project.corpora.simulated.planting import PlantingSettings
from dagster_project.tables.registry import table
from dagster_project.tables.store import arrow_schema, to_arrow
from detectors.types import CANONICAL19

FINE: dict[str, Any] = {
    "segment_id": "g", "recording_id": "r", "corpus": "pd31", "subject_id": "s", "split": "train",
    "channel_schema": "referential19", "mask": [True] * 19, "recorded_s": 10.0, "clip_count": 0,
    "labels": [], "events": [], "is_simulated": False,
}  # fmt: skip
ALWAYS = PlantingSettings(bare_chance=0.0)
ORIGINS = [
    Origin(f"g{i}", "pd31-01-of-01", "pd31", f"s{i % 5}", "train", "CC0-1.0", False)
    for i in range(20)
]


def label(name: str, value: str) -> list[dict[str, str]]:
    return [{"scope": "recording", "name": name, "value": value, "source": "x"}]


@pytest.mark.parametrize(
    ("changes", "is_gated", "found", "told"),
    [
        ({}, False, {"voltage", "posterior_rhythm"}, ""),
        ({}, True, (), "gated corpus"),
        ({"corpus": sorted(KEPT_FOR_TESTS)[0]}, False, (), "kept for bench detectors"),
        ({"corpus": "chb-mit"}, False, (), "epilepsy corpus or patient"),
        ({"labels": label("diagnosis", "epilepsy")}, False, (), "epilepsy corpus or patient"),
        ({"labels": label("diagnosis", "parkinson")}, False, (), ""),
        ({"channel_schema": "bipolar:C3-P3"}, False, (), "not referential"),
        ({"mask": [True] * 15 + [False] * 4}, False, (), "too few rows"),
        ({"recorded_s": 4.0}, False, (), "not recorded to its end"),
        ({"clip_count": 3}, False, (), "clipped"),
        ({"events": [{"kind": "blink"}]}, False, (), "labelled events in it"),
        ({}, False, {UNREADABLE}, "not interpretable"),
        ({}, False, {"sharp"}, "candidates found on it"),
        ({}, False, {"vertex_wave"}, "candidates found on it"),
    ],
)
def test_only_clean_open_rest_serves_as_background(
    changes: Any, is_gated: bool, found: Any, told: str
) -> None:
    assert why_not_background({**FINE, **changes}, is_gated, found) == told


def test_every_background_serves_once_before_any_serves_twice() -> None:
    first = draw(ORIGINS, 20, "demo|0")
    assert {d.origin.segment_id for d in first} == {o.segment_id for o in ORIGINS}
    every = draw(ORIGINS, 10_000, "demo|0")
    assert len(every) == len({d.segment_id for d in every}) == 80
    assert every[:20] == first
    assert draw(ORIGINS[::-1], 20, "demo|0") == first
    assert [d.origin for d in draw(ORIGINS, 20, "demo|1")] != [d.origin for d in first]


def stored(mask: list[bool] | None = None) -> dict[str, Any]:
    page = ongoing_page(np.random.default_rng(3))
    kept = np.array(mask or [True] * 19)
    steps = np.where(kept[:, None], np.rint(page.data_uv / 0.05), 0).astype(np.int16)
    return {
        "segment_id": "g0", "mask": kept.tolist(), "signal": steps.ravel(), "line_freq_hz": 60.0,
        "band_low_hz": page.band_hz[0], "band_high_hz": page.band_hz[1],
    }  # fmt: skip


def test_a_planted_page_is_its_origin_with_events_in_it() -> None:
    mask = [True] * 17 + [False, False]
    row = stored(mask)
    (one,) = draw(ORIGINS[:1], 1, "demo|0")
    made, events = planted_pages([one], {"g0": row}, ALWAYS, "demo|0")
    to_arrow(table("planted_segments"), made.cast(arrow_schema(table("planted_segments"))))
    (page,) = made.to_pylist()
    assert (page["subject_id"], page["split"], page["origin_segment_id"]) == ("s0", "train", "g0")
    assert (page["licence"], page["is_simulated"], page["mask"]) == ("CC0-1.0", False, mask)
    moved = np.array(page["signal"]) - np.array(row["signal"])
    changed = moved.reshape(19, -1).any(axis=1)
    assert changed[:17].any()
    assert not changed[17:].any()
    tally = Tally()
    rows = planted_rows([one], events, [mask], tally)
    assert page["n_planted"] == len(events[one.segment_id]) > 0
    assert {r["channel"] for r in rows} <= set(CANONICAL19[:17])
    for box in rows:
        start, stop = (round(200 * box[name]) for name in ("t0_s", "t1_s"))
        inside = moved.reshape(19, -1)[CANONICAL19.index(box["channel"]), start:stop]
        assert inside.any()
        assert (box["origin"], box["split"], box["subject_id"]) == ("planted", "train", "s0")
        assert box["size_k"] >= 1.0
    assert sum(tally.counts.values()) >= len(rows)


def test_a_planted_page_does_not_depend_on_the_others() -> None:
    draws = draw(ORIGINS[:1], 3, "demo|0")
    together, _ = planted_pages(draws, {"g0": stored()}, ALWAYS, "demo|0")
    alone, _ = planted_pages(draws[2:], {"g0": stored()}, ALWAYS, "demo|0")
    assert together.slice(2).to_pylist() == alone.to_pylist()
    assert together["signal"][0] != together["signal"][1]


def test_drawn_backgrounds_are_people_of_their_own() -> None:
    draws = ongoing_draws(40, "demo|0", "Apache-2.0")
    assert len({d.origin.subject_id for d in draws}) == 40
    assert {d.origin.split for d in draws} == {"train", "validation", "test"}
    made, events = ongoing_pages(draws[:2], ALWAYS, "demo|0")
    again, _ = ongoing_pages(draws[:2], ALWAYS, "demo|0")
    assert made.equals(again)
    assert made["is_simulated"].to_pylist() == [True, True]
    assert made["origin_segment_id"].to_pylist() == ["", ""]
    assert all(events.values())
    assert isinstance(made, pa.Table)
