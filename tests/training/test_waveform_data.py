"""Training sets of the detector: simulated, from tables, augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from detectors.types import CANONICAL19
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.raster import BANDS, N_PLANES, ZERO_GREY
from training.waveform.dataset import MIRROR, SegmentSet, make_batch, simulated_set
from training.waveform.errors import TrainerError
from training.waveform.recipe import (
    AugmentationRecipe,
    SimulationRecipe,
    load_recipe,
)
from training.waveform.tables import read_splits

SIMULATION = SimulationRecipe(n_train_subjects=3, n_validation_subjects=2)


@pytest.fixture(scope="module")
def train() -> SegmentSet:
    return simulated_set(SIMULATION, "train")


def rows_of(data: SegmentSet, split: str, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "segment_id": data.segment_ids[i],
            "corpus": "simulated",
            "subject_id": data.subject_ids[i],
            "split": split,
            "channel_schema": "referential19",
            "mask": data.masks[i].tolist(),
            "signal": data.signals[i].ravel().tolist(),
            "is_simulated": True,
            **changes,
        }
        for i in range(len(data))
    ]


def annotations_of(data: SegmentSet) -> list[dict[str, Any]]:
    names = tuple(WAVEFORMS)
    return [
        {
            "segment_id": segment_id,
            "corpus": "simulated",
            "waveform": names[boxes.classes[i]],
            "channel": CANONICAL19[boxes.rows[i]],
            "t0_s": boxes.t0_s[i],
            "t1_s": boxes.t1_s[i],
        }
        for segment_id, boxes in zip(data.segment_ids, data.boxes, strict=True)
        for i in range(len(boxes))
    ]


def test_simulated_splits_share_no_subject_and_repeat_by_seed(train: SegmentSet) -> None:
    validation = simulated_set(SIMULATION, "validation")
    assert len(train) == 3 * 3 * 2
    assert not set(train.subject_ids) & set(validation.subject_ids)
    assert simulated_set(SIMULATION, "train").data_hash == train.data_hash
    assert validation.data_hash != train.data_hash


def test_boxes_lie_in_their_segment(train: SegmentSet) -> None:
    assert sum(map(len, train.boxes)) > 50
    for boxes in train.boxes:
        assert (boxes.t0_s >= 0).all()
        assert (boxes.t1_s <= 10).all()
        assert (boxes.t1_s > boxes.t0_s).all()


def test_a_batch_says_where_its_boxes_are_in_fractions_of_the_raster(train: SegmentSet) -> None:
    index = np.array([0, 3, 5])
    batch = make_batch(train, index)
    assert batch.images.shape == (3, N_PLANES, 20, 2016)
    counts = np.bincount(batch.segment_index.astype(int), minlength=3)
    assert counts.tolist() == [len(train.boxes[i]) for i in index]
    rows = batch.boxes[:, 1] * 20 - 0.5
    np.testing.assert_allclose(rows, np.round(rows), atol=1e-4)
    np.testing.assert_allclose(batch.boxes[:, 3], 0.05)
    first = train.boxes[0]
    np.testing.assert_allclose(
        batch.boxes[: len(first), 2] * 2016 / 200, first.t1_s - first.t0_s, atol=1e-4
    )


def test_mirroring_swaps_homologues_and_nothing_else(train: SegmentSet) -> None:
    pairs = {CANONICAL19[i]: CANONICAL19[j] for i, j in enumerate(MIRROR)}
    assert pairs["F7"] == "F8"
    assert pairs["O2"] == "O1"
    assert pairs["Cz"] == "Cz"
    assert np.array(MIRROR)[list(MIRROR)].tolist() == list(range(19))
    plain = AugmentationRecipe(gain=(1, 1), mirror_chance=0, drop_channel_chance=0, noise_uv=0)
    mirror = plain.model_copy(update={"mirror_chance": 1.0})
    index = np.array([1])
    straight = make_batch(train, index, plain, np.random.default_rng(0))
    swapped = make_batch(train, index, mirror, np.random.default_rng(0))
    np.testing.assert_array_equal(
        swapped.images[:, : len(BANDS), :19],
        straight.images[:, : len(BANDS), :19][:, :, list(MIRROR)],
    )
    places = straight.images[:, len(BANDS) :]
    np.testing.assert_array_equal(swapped.images[:, len(BANDS) :], places)
    np.testing.assert_array_equal(swapped.classes, straight.classes)
    homologue = np.array(MIRROR)[np.floor(straight.boxes[:, 1] * 20).astype(int)]
    assert np.floor(swapped.boxes[:, 1] * 20).astype(int).tolist() == homologue.tolist()


def test_dropped_channels_are_grey_and_lose_their_boxes(train: SegmentSet) -> None:
    recipe = AugmentationRecipe(drop_channel_chance=1.0)
    batch = make_batch(train, np.arange(6), recipe, np.random.default_rng(1))
    is_grey = (batch.images[:, : len(BANDS)] == ZERO_GREY).all(axis=(1, 3))
    assert is_grey[:, :19].any(axis=1).all()
    rows = np.floor(batch.boxes[:, 1] * 20).astype(int)
    assert not is_grey[batch.segment_index.astype(int), rows].any()


def test_tables_give_back_the_segments_they_were_written_from(
    train: SegmentSet, tmp_path: Path
) -> None:
    segments, boxes = tmp_path / "segments.parquet", tmp_path / "annotations.parquet"
    bipolar = rows_of(train, "train", channel_schema="bipolar:Fp1-F7")[:1]
    unlabelled = rows_of(train, "train", corpus="eegmat")[1:2]
    frame = pl.DataFrame(rows_of(train, "train") + bipolar + unlabelled)
    frame.with_columns(pl.col("signal").cast(pl.List(pl.Int16))).write_parquet(segments)
    pl.DataFrame(annotations_of(train)).write_parquet(boxes)
    splits, is_simulated = read_splits([segments], [boxes])
    assert list(splits) == ["train"]
    assert is_simulated
    found = splits["train"]
    assert sorted(train.segment_ids) == list(found.segment_ids)
    for i, segment_id in enumerate(found.segment_ids):
        k = train.segment_ids.index(segment_id)
        np.testing.assert_array_equal(found.signals[i], train.signals[k])
        assert sorted(found.boxes[i].t0_s) == sorted(train.boxes[k].t0_s)


def test_a_missing_table_or_column_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="does not exist"):
        read_splits([tmp_path / "a.parquet"], [tmp_path / "b.parquet"])
    pl.DataFrame({"segment_id": ["a"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(TrainerError, match="lacks columns channel, corpus"):
        read_splits([tmp_path / "a.parquet"], [tmp_path / "b.parquet"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("release: simulated", "description"),
        ("{release: a, description: b, mosaic: 1}", "mosaic"),
        ("{release: a, description: b, optimiser: {epochs: 0}}", "optimiser.epochs"),
        ("[", "not YAML"),
    ],
    ids=["missing", "unknown", "bound", "no yaml"],
)
def test_a_bad_recipe_is_told_by_field(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(TrainerError, match=told):
        load_recipe(path)
