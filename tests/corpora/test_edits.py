"""Edited pages: the wave is known, it is where it should be, and it can be taken out again."""

from __future__ import annotations

import numpy as np
import pytest

from dagster_project.corpora.edits import (
    ADDED_KINDS,
    ARTIFACT_ADDED,
    EVENT_REMOVED,
    MIRRORED,
    REMOVED_KINDS,
    edited_batch,
    edited_page,
    mirrored_rows,
    on_grid,
    steps_of,
)
from dagster_project.corpora.simulated.ongoing import ongoing_page
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, ChannelSchema, SegmentBatch

N = 6
EVENTS = [(ARTIFACT_ADDED, k) for k in ADDED_KINDS] + [(EVENT_REMOVED, k) for k in REMOVED_KINDS]


@pytest.fixture(scope="module")
def batch() -> SegmentBatch:
    rng = np.random.default_rng(4)
    data = np.stack([ongoing_page(rng).data_uv for _ in range(N)])
    mask = np.ones((N, 19), dtype=bool)
    mask[1, CANONICAL19.index("T7")] = False
    data[~mask] = 0.0
    band = np.tile(np.float32([0.1, 75.0]), (N, 1))
    ids = tuple(f"g-{i}" for i in range(N))
    return SegmentBatch(ids, on_grid(data), mask, REFERENTIAL19, band, 50.0)


def test_a_mirror_swaps_homologues_and_their_masks(batch: SegmentBatch) -> None:
    page = edited_page(batch, 1, MIRRORED, "", 0)
    assert page is not None
    for name, other in (("Fp1", "Fp2"), ("T7", "T8"), ("O2", "O1"), ("Cz", "Cz")):
        here, there = CANONICAL19.index(name), CANONICAL19.index(other)
        assert np.array_equal(page.after_uv[here], page.before_uv[there])
    assert not page.mask[CANONICAL19.index("T8")]
    assert page.mask[CANONICAL19.index("T7")]
    twice = mirrored_rows()[mirrored_rows()]
    assert twice.tolist() == list(range(19))


@pytest.mark.parametrize(("edit", "kind"), EVENTS)
def test_the_wave_lies_where_its_truth_says(batch: SegmentBatch, edit: str, kind: str) -> None:
    page = edited_page(batch, 2, edit, kind, 77)
    assert page is not None
    assert page.event is not None
    assert page.event.kind == kind
    changed = np.abs(page.after_uv - page.before_uv)
    assert CANONICAL19[int((changed**2).sum(axis=1).argmax())] in page.event.channels[:2]
    inside = changed[:, round(page.event.t0_s * 200) : round(page.event.t1_s * 200)]
    # filtered to the page's band a wave rings a little, so not all of it lies inside
    assert (inside**2).sum() > 0.9 * (changed**2).sum()
    untouched = page.before_uv if edit == ARTIFACT_ADDED else page.after_uv
    # taken out again what was planted leaves the page as it was, to one stored step
    assert np.abs(untouched - batch.data_uv[2]).max() < 0.0501


@pytest.mark.parametrize(("edit", "kind"), EVENTS)
def test_the_same_seed_gives_the_same_page(batch: SegmentBatch, edit: str, kind: str) -> None:
    first, again, other = (edited_page(batch, 3, edit, kind, seed) for seed in (5, 5, 6))
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first.before_uv, again.before_uv)
    assert np.array_equal(first.after_uv, again.after_uv)
    is_moved = not np.array_equal(
        first.after_uv - first.before_uv, other.after_uv - other.before_uv
    )
    assert is_moved


def test_nothing_is_planted_on_rows_that_were_not_recorded(batch: SegmentBatch) -> None:
    for kind in ADDED_KINDS:
        page = edited_page(batch, 1, ARTIFACT_ADDED, kind, 9)
        assert page is None or not page.after_uv[CANONICAL19.index("T7")].any()


def test_mains_above_the_usable_band_is_not_planted(batch: SegmentBatch) -> None:
    narrow = SegmentBatch(
        batch.segment_ids, batch.data_uv, batch.mask, batch.schema,
        np.tile(np.float32([0.5, 45.0]), (N, 1)), 50.0,
    )  # fmt: skip
    assert edited_page(narrow, 0, ARTIFACT_ADDED, "mains", 1) is None
    assert edited_page(batch, 0, ARTIFACT_ADDED, "mains", 1) is not None


@pytest.mark.parametrize(
    ("edit", "kind"),
    [(MIRRORED, "blink"), (EVENT_REMOVED, "mains"), (ARTIFACT_ADDED, "spike"), ("tilted", "")],
)
def test_an_edit_that_is_not_known_is_refused(batch: SegmentBatch, edit: str, kind: str) -> None:
    with pytest.raises(ValueError, match="is not known; allowed: mirrored"):
        edited_page(batch, 0, edit, kind, 0)


def test_bipolar_rows_are_refused() -> None:
    schema = ChannelSchema.bipolar(("F7-T7",))
    one = SegmentBatch(
        ("g-0",), np.zeros((1, 1, N_TIMES), np.float32), np.ones((1, 1), bool), schema,
        np.float32([[0.1, 75.0]]), 50.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="has bipolar rows"):
        edited_page(one, 0, MIRRORED, "", 0)


def test_both_sides_are_batches_of_the_edited_pages_alone(batch: SegmentBatch) -> None:
    pages = {at: edited_page(batch, at, MIRRORED, "", 0) for at in (1, 4)}
    before, after = (edited_batch(batch, pages, side) for side in ("before", "after"))  # type: ignore[arg-type]
    assert before.segment_ids == after.segment_ids == ("g-1", "g-4")
    assert np.array_equal(before.data_uv, batch.data_uv[[1, 4]])
    assert np.array_equal(after.data_uv, before.data_uv[:, mirrored_rows()])
    assert np.array_equal(after.mask, before.mask[:, mirrored_rows()])


def test_stored_steps_clip_and_come_back(batch: SegmentBatch) -> None:
    steps = steps_of(np.array([1e6, -1e6, 0.024, 0.026]))
    assert steps.tolist() == [32767, -32767, 0, 1]
    assert np.array_equal(on_grid(batch.data_uv), batch.data_uv)
