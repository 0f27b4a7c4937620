"""The detector's trainer on a tiny set: it learns, goes on where it stopped, and exports."""

from __future__ import annotations

import io
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from detectors.montage import mirror_rows
from detectors.types import CANONICAL19, REFERENTIAL19, SegmentBatch
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import DetectorCard, read_card
from detectors.waveform.infer import SHIPPED_WEIGHTS, load_detector
from detectors.waveform.nms import Boxes
from detectors.waveform.raster import N_PLANES, RASTER_VERSION, encode_rows
from training.waveform.cli import main
from training.waveform.dataset import SegmentSet, simulated_set, truth_boxes
from training.waveform.errors import TrainerError
from training.waveform.evaluate import (
    apply_curves,
    detect_set,
    fit_curves,
    halves,
    reliability,
    torch_forward,
)
from training.waveform.judging import onnx_forward
from training.waveform.network import build_network, reader_of
from training.waveform.recipe import DetectorRecipe
from training.waveform.run import TrainingData, recalibrate, train_detector
from training.waveform.train import Progress, learning_rate, train_network

pytestmark = pytest.mark.heavy

RECIPE = DetectorRecipe.model_validate(
    {
        "release": "simulated",
        "description": "tiny",
        "network": {"channels": [4, 4, 8, 8, 16]},
        "simulation": {"n_train_subjects": 4, "n_validation_subjects": 2},
        "optimiser": {"epochs": 7, "batch_size": 8, "warmup_steps": 2, "learning_rate": 0.01},
    }
)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return TrainingData(
        simulated_set(RECIPE.simulation, "train"),
        simulated_set(RECIPE.simulation, "validation"),
        "simulated",
        True,
    )


def with_epochs(n: int) -> DetectorRecipe:
    return RECIPE.model_copy(
        update={"optimiser": RECIPE.optimiser.model_copy(update={"epochs": n})}
    )


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def trained(
    data: TrainingData, told: list[Progress], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, DetectorCard]:
    folder = tmp_path_factory.mktemp("trained")
    return folder, train_detector(data, RECIPE, folder, told.append)


def test_a_network_leaves_pillow_as_it_is() -> None:
    from PIL import Image, UnidentifiedImageError

    build_network(RECIPE.network, RECIPE.optimiser, seed=0)
    assert Image.open.__module__ == "PIL.Image"
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"no picture"))


def test_loss_falls_and_the_shipped_folder_loads(
    trained: tuple[Path, DetectorCard], told: list[Progress], data: TrainingData
) -> None:
    tmp_path, card = trained
    assert [p.epoch for p in told] == list(range(1, 8))
    assert told[-1].loss < 0.8 * told[0].loss
    assert read_card(tmp_path / "card.json") == card
    assert card.classes == tuple(WAVEFORMS)
    assert set(card.scores) == set(card.thresholds) == set(WAVEFORMS)
    assert card.n_train_subjects == 4
    detector = load_detector(tmp_path)
    assert detector.weights_id == card.weights_id
    batch = SegmentBatch(
        data.train.segment_ids[:3],
        data.train.uv(np.arange(3)),
        data.train.masks[:3],
        REFERENTIAL19,
        np.tile(np.array([0.1, 75.0], dtype=np.float32), (3, 1)),
        50.0,
    )
    found = detector.detect(batch, 0.0)
    assert found
    assert {e.segment_id for e in found} <= set(batch.segment_ids)
    assert card.raster_version == RASTER_VERSION
    session = onnxruntime.InferenceSession(
        tmp_path / card.weights_file, providers=["CPUExecutionProvider"]
    )
    assert session.get_inputs()[0].shape[1:] == [N_PLANES, 20, 2016]
    assert N_PLANES > 3
    state = load_file(tmp_path / card.state_file)
    again = build_network(RECIPE.network, RECIPE.optimiser, seed=99)
    again.load_state_dict(state)
    rows = encode_rows(batch)
    (theirs,) = session.run(None, {"rows": rows})
    mine = torch_forward(reader_of(again))(rows)
    np.testing.assert_allclose(mine[:, 4:], theirs[:, 4:], atol=2e-3)
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_weights_calibrated_again_keep_their_files_and_get_back_their_card(
    trained: tuple[Path, DetectorCard], data: TrainingData, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(trained[0], folder, ignore=shutil.ignore_patterns("checkpoints"))
    spoilt = json.loads((folder / "card.json").read_text())
    spoilt["thresholds"] = dict.fromkeys(WAVEFORMS, 0.5)
    spoilt["calibration"] = {name: [[0, 0], [1, 1]] for name in WAVEFORMS}
    (folder / "card.json").write_text(json.dumps(spoilt))
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.name.startswith("waveform-")}
    card = recalibrate(data, folder)
    assert read_card(folder / "card.json") == card
    assert untimed(card) == untimed(trained[1])
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert load_detector(folder).precision == card.default_precision


def untimed(card: DetectorCard) -> dict[str, object]:
    told = card.model_dump(mode="json")
    for variant in told["variants"].values():
        del variant["ms_per_segment"]
    return told


def test_weights_are_not_calibrated_on_other_data_or_without_their_files(
    trained: tuple[Path, DetectorCard], data: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(TrainerError, match="were trained on data"):
        recalibrate(replace(data, train=head_of(data.train, 8)), trained[0])
    with pytest.raises(TrainerError, match=r"card\.json is missing"):
        recalibrate(data, tmp_path)
    shutil.copy(trained[0] / "card.json", tmp_path)
    with pytest.raises(TrainerError, match=r"\.onnx is missing or not the file"):
        recalibrate(data, tmp_path)


def test_scores_are_of_pages_read_the_way_inference_reads_them(data: TrainingData) -> None:
    card = read_card(SHIPPED_WEIGHTS / "card.json")
    content = (SHIPPED_WEIGHTS / card.variants[card.default_precision].file).read_bytes()
    part = head_of(data.validation, 6)
    scored = detect_set(onnx_forward(content), part, card.nms_iou)
    order = mirror_rows()
    mirrored = replace(part, signals=part.signals[:, order], masks=part.masks[:, order])
    turned = detect_set(onnx_forward(content), mirrored, card.nms_iou)
    assert sum(map(len, scored)) > 50
    for a, b in zip(scored, turned, strict=True):
        places = [
            sorted(zip(rows.tolist(), x.classes.tolist(), x.t0_s.tolist(), strict=True))
            for x, rows in ((a, order[a.rows]), (b, b.rows))
        ]
        assert places[0] == places[1]


def test_every_row_sees_every_other_and_every_plane_counts() -> None:
    network = build_network(RECIPE.network, RECIPE.optimiser, seed=0)
    rng = np.random.default_rng(0)
    rows = rng.integers(90, 160, (1, N_PLANES, 20, 2016)).astype(np.uint8)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # one pass sets the norms, else a fresh network fades to nothing
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(rows).float() / 255)
    forward = torch_forward(reader_of(network))
    plain = forward(rows).reshape(-1, 20, 252)
    for plane in range(N_PLANES):
        changed = rows.copy()
        changed[0, plane] = 255 - changed[0, plane]
        assert np.abs(forward(changed)[0, 4:] - plain.reshape(13, -1)[4:]).max() > 0
    first, last = CANONICAL19.index("Fp1"), CANONICAL19.index("O2")
    changed = rows.copy()
    changed[0, :, last, 900:1100] = 255
    moved = np.abs(forward(changed).reshape(-1, 20, 252) - plain)[4:]
    assert moved[:, first, 100:150].max() > 0
    assert moved[:, last].max() > moved[:, first].max()


def scored(scores: list[float], hits: list[bool]) -> tuple[list[Boxes], SegmentSet]:
    """Return one spike per segment at a score, right or on the wrong row."""
    n = len(scores)
    zeros, ones = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    spike, t0_s, t1_s = ones * WAVEFORMS["spike"].index, np.array([1.0]), np.array([1.05])
    found = [
        Boxes(spike, zeros, t0_s, t1_s, np.array([score], dtype=np.float32)) for score in scores
    ]
    truth = tuple(
        Boxes(spike, zeros if hit else ones, t0_s, t1_s, np.ones(1, dtype=np.float32))
        for hit in hits
    )
    names = tuple(f"s{i:04d}" for i in range(n))
    signals = np.zeros((n, 19, 1), dtype=np.int16)
    return found, SegmentSet(names, names, signals, np.ones((n, 19), dtype=bool), truth)


def test_calibrated_scores_are_shares_of_hits() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.9, 3000)
    hits = rng.random(3000) < scores**2
    found, data = scored(scores.tolist(), hits.tolist())
    curves = fit_curves(found, data)
    for curve in curves.values():
        assert curve[0] == (0.0, 0.0)
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(curve))
        assert curve[-1][0] == 1.0
        assert curve[-1][1] <= 1.0
    score, probability = np.array(curves["spike"]).T
    for value in (0.3, 0.6, 0.8):
        assert np.interp(value, score, probability) == pytest.approx(value**2, abs=0.08)
    told = reliability(apply_curves(found, curves), data)["spike"]
    assert len(told) >= 6
    assert all(abs(b["predicted"] - b["observed"]) < 0.1 for b in told)


def test_halves_share_no_subject() -> None:
    found, data = scored([0.5] * 7, [True] * 7)
    data = replace(data, subject_ids=("a", "a", "b", "c", "c", "d", "e"))
    first, second = halves(data)
    assert sorted([*first, *second]) == list(range(7))
    assert not {data.subject_ids[i] for i in first} & {data.subject_ids[i] for i in second}
    assert len(found) == len(data)


def test_a_run_stopped_between_epochs_ends_with_the_same_weights(
    data: TrainingData, tmp_path: Path
) -> None:
    recipe = with_epochs(2)
    small = head_of(data.train, 8)

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(small, recipe, tmp_path / "stopped", stop)
    resumed = train_network(small, recipe, tmp_path / "stopped")
    straight = train_network(small, recipe, tmp_path / "straight")
    for name, value in straight.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], value, err_msg=name)
    assert resumed.history == straight.history
    assert len(list((tmp_path / "stopped").glob("*.safetensors"))) == 1
    with pytest.raises(TrainerError, match="recipe"):
        train_network(small, with_epochs(3), tmp_path / "stopped")
    state = tmp_path / "stopped" / "checkpoint.json"
    known = json.loads(state.read_text())
    state.write_text(json.dumps({k: v for k, v in known.items() if k != "format"}))
    with pytest.raises(TrainerError, match="of format 0, this run is of 1"):
        train_network(small, recipe, tmp_path / "stopped")


def head_of(data: SegmentSet, n: int) -> SegmentSet:
    return SegmentSet(
        data.segment_ids[:n],
        data.subject_ids[:n],
        data.signals[:n],
        data.masks[:n],
        data.boxes[:n],
    )


def test_sets_without_boxes_or_with_shared_subjects_are_refused(data: TrainingData) -> None:
    empty = replace(data.train, boxes=tuple(truth_boxes([]) for _ in data.train.boxes))
    with pytest.raises(TrainerError, match="without any box"):
        TrainingData(empty, data.validation, "x", True)
    with pytest.raises(TrainerError, match="disjoint by subject"):
        TrainingData(data.train, data.train, "x", True)


def test_the_command_line_trains_and_tells_errors_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    small = with_epochs(1).model_dump(mode="json")
    small["simulation"] |= {"n_train_subjects": 1, "n_validation_subjects": 1}
    recipe.write_text(json.dumps(small))
    arguments = ["train", "--recipe", str(recipe), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert main([*arguments, "--simulate"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["weights_id"].startswith("waveform-")
    again = ["calibrate", "--weights", str(tmp_path / "out")]
    assert main([*again, "--simulate"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main(again) == 1
    assert "give --simulate" in capsys.readouterr().err
    assert main(["waveform", *arguments]) == 1
    assert "give --simulate" in capsys.readouterr().err


def test_the_rate_warms_up_and_falls_to_its_fraction() -> None:
    recipe = RECIPE.optimiser.model_copy(update={"warmup_steps": 10})
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert np.all(np.diff(rates[:10]) > 0)
    assert np.all(np.diff(rates[10:]) <= 0)
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates[-1] == pytest.approx(recipe.final_fraction * recipe.learning_rate, rel=0.1)


def test_a_restart_leaves_the_first_epochs_as_they_are_and_starts_lower() -> None:
    once = RECIPE.optimiser.model_copy(update={"warmup_steps": 10, "epochs": 6})
    twice = once.model_copy(update={"epochs": 10, "restart_epoch": 6, "restart_fraction": 0.4})
    first = [learning_rate(once, step, 120) for step in range(120)]
    rates = [learning_rate(twice, step, 200) for step in range(200)]
    assert rates[:120] == first
    assert max(rates[120:]) == pytest.approx(0.4 * twice.learning_rate)
    assert np.all(np.diff(rates[130:]) <= 0)
    assert rates[-1] == pytest.approx(first[-1], rel=0.1)
