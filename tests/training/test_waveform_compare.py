"""Page and raster measured against each other: exact pixels, the same signals, one table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.types import CANONICAL19, N_TIMES
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.nms import Boxes
from training.waveform.cli import main
from training.waveform.compare import arms, small_budget, small_data
from training.waveform.dataset import SegmentSet, make_batch, truth_boxes
from training.waveform.errors import TrainerError
from training.waveform.page_encoding import (
    boxes_to_pixels,
    decode_page,
    page_batch,
    page_layout,
    page_pictures,
    picture_size,
    pixels_to_boxes,
)
from training.waveform.page_network import (
    build_page_network,
    page_onnx_bytes,
    page_reader_of,
    train_page_network,
)
from training.waveform.recipe import AugmentationRecipe, DetectorRecipe
from training.waveform.run import TrainingData
from training.waveform.train import Progress

RECIPE = DetectorRecipe.model_validate(
    {
        "release": "simulated",
        "description": "tiny",
        "network": {"channels": [8, 8, 8, 8, 16]},
        "simulation": {"n_train_subjects": 1, "n_validation_subjects": 1},
        "optimiser": {"batch_size": 3, "warmup_steps": 50, "precision": "float32"},
    }
)


def boxes_of(rows: list[int], starts: list[int], stops: list[int]) -> Boxes:
    names = list(WAVEFORMS)
    return truth_boxes(
        [
            (names[k % len(names)], CANONICAL19[row], start / 200, stop / 200)
            for k, (row, start, stop) in enumerate(zip(rows, starts, stops, strict=True))
        ]
    )


def segments(n: int, subject: str) -> SegmentSet:
    rng = np.random.default_rng(len(subject))
    return SegmentSet(
        tuple(f"{subject}-{k}" for k in range(n)),
        (subject,) * n,
        rng.integers(-400, 400, (n, 19, N_TIMES)).astype(np.int16),
        np.ones((n, 19), dtype=bool),
        tuple(
            boxes_of([k % 19, 18 - k % 19], [100 * k, 40], [100 * k + 14, 500]) for k in range(n)
        ),
    )


@given(
    row=st.integers(0, len(CANONICAL19) - 1),
    start=st.integers(0, N_TIMES - 1),
    width=st.integers(1, N_TIMES),
)
def test_boxes_come_back_from_the_page_to_the_sample_and_to_their_row(
    row: int, start: int, width: int
) -> None:
    boxes = boxes_of([row], [start], [min(start + width, N_TIMES)])
    pixels = boxes_to_pixels(boxes)
    height, page_width = picture_size()
    assert (pixels >= 0).all()
    assert (pixels <= (page_width, height, page_width, height)).all()
    found = pixels_to_boxes(pixels, boxes.classes, boxes.scores)
    assert found.rows.tolist() == [row]
    np.testing.assert_allclose(found.t0_s, boxes.t0_s, atol=1 / 200 / 100)
    np.testing.assert_allclose(found.t1_s, boxes.t1_s, atol=1 / 200 / 100)
    whole = pixels_to_boxes(np.rint(pixels), boxes.classes, boxes.scores)
    assert (
        np.abs(np.concatenate([whole.t0_s - boxes.t0_s, whole.t1_s - boxes.t1_s])).max() <= 1 / 200
    )
    assert whole.rows.tolist() == [row]


def test_rows_do_not_overlap_and_the_picture_fits_the_strides() -> None:
    pixels = boxes_to_pixels(boxes_of(list(range(19)), [0] * 19, [200] * 19))
    assert (np.diff(pixels[:, 1]) >= page_layout().spacing_px).all()
    assert all(size % 32 == 0 for size in picture_size())


@pytest.mark.parametrize(("row", "middle"), [(0, 30), (9, 1000), (18, 1985)], ids=str)
def test_a_box_lies_on_its_wave(row: int, middle: int) -> None:
    signal = np.zeros((1, 19, N_TIMES), dtype=np.float32)
    wave = np.exp(-0.5 * ((np.arange(N_TIMES) - middle) / 6) ** 2)
    signal[0, row] = -60 * wave
    picture = page_pictures(signal, np.ones((1, 19), dtype=bool))[0, 0]
    x0, y0, x1, y1 = boxes_to_pixels(boxes_of([row], [middle - 12], [middle + 12]))[0]
    band = picture[math.ceil(y0) : math.floor(y1)]
    tip = np.flatnonzero((band < 100).any(axis=1))[0]
    columns = np.flatnonzero(band[tip] < 100)
    assert columns.mean() + 0.5 == pytest.approx((x0 + x1) / 2, abs=1.0)


def test_both_encodings_are_given_the_same_augmented_segments() -> None:
    data, index = segments(5, "a"), np.array([4, 1, 2])
    augmentation = AugmentationRecipe(drop_channel_chance=0.5)
    raster = make_batch(data, index, augmentation, np.random.default_rng(3))
    page = page_batch(data, index, augmentation, np.random.default_rng(3))
    np.testing.assert_array_equal(page.classes, raster.classes)
    np.testing.assert_array_equal(page.segment_index, raster.segment_index)
    width = picture_size()[1]
    for column in (0, 2):
        samples = page.boxes[:, column] * width / 0.56
        np.testing.assert_allclose(samples, raster.boxes[:, column] * 2016, atol=0.01)
    rows = (page.boxes[:, 1] * picture_size()[0] - 61.5) / page_layout().spacing_px
    np.testing.assert_allclose(rows, raster.boxes[:, 1] * 20 - 0.5, atol=1e-3)


def test_nothing_is_decoded_on_rows_that_were_not_recorded() -> None:
    boxes = boxes_of([3, 4, 4], [100, 100, 500], [140, 140, 501])
    pixels = boxes_to_pixels(boxes)
    centre, size = (pixels[:, :2] + pixels[:, 2:]) / 2, pixels[:, 2:] - pixels[:, :2]
    scores = np.eye(len(WAVEFORMS))[:, :3] * 0.9
    output = np.concatenate([centre.T, size.T, scores]).astype(np.float32)
    mask = np.ones(19, dtype=bool)
    mask[3] = False
    found = decode_page(output, np.full(len(WAVEFORMS), 0.5, dtype=np.float32), mask)
    assert sorted(found.classes.tolist()) == [1, 2]
    assert set(found.rows.tolist()) == {4}


@pytest.mark.heavy
def test_the_exported_page_network_gives_what_the_network_gives() -> None:
    import onnxruntime
    import torch

    model = build_page_network(RECIPE).eval()
    session = onnxruntime.InferenceSession(
        page_onnx_bytes(model), providers=["CPUExecutionProvider"]
    )
    data = segments(2, "a")
    pictures = page_pictures(data.uv(np.arange(2)), data.masks)
    with torch.inference_mode():
        expected = page_reader_of(model)(torch.from_numpy(pictures)).numpy()
    (found,) = session.run(None, {"rows": pictures})
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.heavy
def test_a_killed_page_run_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    data, recipe = segments(2, "a"), small_budget(RECIPE, 2, 2)

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_page_network(data, recipe, tmp_path / "stopped", stop)
    resumed = train_page_network(data, recipe, tmp_path / "stopped")
    straight = train_page_network(data, recipe, tmp_path / "straight")
    assert resumed.history == straight.history
    for name, value in straight.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], value, err_msg=name)
    with pytest.raises(TrainerError, match="recipe"):
        train_page_network(data, small_budget(RECIPE, 2, 3), tmp_path / "stopped")


def test_a_small_budget_keeps_the_recipe_but_for_its_length() -> None:
    small = small_budget(RECIPE, 30, 4, 5)
    assert small.optimiser.epochs == 4
    assert small.optimiser.batch_size == 5
    assert small.optimiser.warmup_steps == 2
    assert small.network == RECIPE.network
    assert small.recipe_hash != RECIPE.recipe_hash


def test_segments_are_drawn_by_seed_and_subjects_stay_apart() -> None:
    data = TrainingData(segments(9, "a"), segments(9, "bb"), "noise", True)
    drawn = small_data(data, RECIPE, 4, 3)
    assert (len(drawn.train), len(drawn.validation)) == (4, 3)
    again = small_data(data, RECIPE, 4, 3)
    assert again.train.data_hash == drawn.train.data_hash
    other = small_data(data, RECIPE.model_copy(update={"seed": 1}), 4, 3)
    assert other.train.segment_ids != drawn.train.segment_ids


@pytest.mark.heavy
def test_both_arms_are_trained_scored_and_told_and_not_measured_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE.model_dump_json())
    words = f"compare --recipe {recipe} --segments 3 --validation 3 --epochs 1 --out {tmp_path}"
    assert main([*words.split(), "--threads", "1", "--json"]) == 0
    told = capsys.readouterr().out
    found: dict[str, Any] = json.loads(told)
    assert [arm["arm"] for arm in found["arms"]] == [arm.name for arm in arms()]
    assert found["better"] in ("raster", "page")
    for arm in found["arms"]:
        assert len(arm["losses"]) == 1
        assert all(math.isfinite(loss) for loss in arm["losses"])
        assert arm["train_cpu_s"] > 0
        assert arm["gflop_per_segment"] > 0
        assert set(arm["scores"]) == set(WAVEFORMS)
        assert 0 <= arm["map50"] <= 1
        assert found["speed"][arm["arm"]]["network_ms"] > 0
    assert json.loads((tmp_path / "compare.json").read_text()) == found
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")}
    assert len(before) == 2
    assert main([*words.split(), "--threads", "1"]) == 0
    table = capsys.readouterr().out
    assert all(word in table for word in ("raster", "page", "spindle", "recall at P 0.8"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
