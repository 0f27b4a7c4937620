"""The detector's trainer on a tiny set: it learns, goes on where it stopped, and exports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors.types import REFERENTIAL19, SegmentBatch
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import read_card
from detectors.waveform.infer import load_detector
from training.waveform.cli import main
from training.waveform.dataset import SegmentSet, simulated_set, truth_boxes
from training.waveform.errors import TrainerError
from training.waveform.recipe import DetectorRecipe
from training.waveform.run import TrainingData, train_detector
from training.waveform.train import Progress, learning_rate, train_network

pytestmark = pytest.mark.heavy

RECIPE = DetectorRecipe.model_validate(
    {
        "release": "simulated",
        "description": "tiny",
        "network": {"channels": [4, 4, 8, 8, 16]},
        "simulation": {"n_train_subjects": 4, "n_validation_subjects": 2},
        "optimiser": {"epochs": 4, "batch_size": 8, "warmup_steps": 2, "learning_rate": 0.01},
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


def test_loss_falls_and_the_shipped_folder_loads(data: TrainingData, tmp_path: Path) -> None:
    told: list[Progress] = []
    card = train_detector(data, RECIPE, tmp_path, told.append)
    assert [p.epoch for p in told] == [1, 2, 3, 4]
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
    found = detector.detect(batch, 1e-6)
    assert found
    assert {e.segment_id for e in found} <= set(batch.segment_ids)


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
    assert json.loads(capsys.readouterr().out)["weights_id"].startswith("waveform-")
    assert main(["waveform", *arguments]) == 1
    assert "give --simulate" in capsys.readouterr().err


def test_the_rate_warms_up_and_falls_to_its_fraction() -> None:
    recipe = RECIPE.optimiser.model_copy(update={"warmup_steps": 10})
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert np.all(np.diff(rates[:10]) > 0)
    assert np.all(np.diff(rates[10:]) <= 0)
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates[-1] == pytest.approx(recipe.final_fraction * recipe.learning_rate, rel=0.1)
