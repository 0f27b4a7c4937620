"""The shipped detector finds planted events, and weights that do not fit are refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dagster_project.corpora.harmonise import harmonise, plan_for
from dagster_project.corpora.simulated.config import SimulatorConfig
from dagster_project.corpora.simulated.subject import simulate_subject
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, ChannelSchema, SegmentBatch
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.boxes import waveform_boxes
from detectors.waveform.card import WeightsError
from detectors.waveform.infer import SHIPPED_WEIGHTS, WaveformDetector, load_detector

SEED = 424_242
"""A seed the shipped weights were not trained on."""

Truth = list[tuple[str, str, str, float, float]]


@pytest.fixture(scope="module")
def detector() -> WaveformDetector:
    return load_detector()


@pytest.fixture(scope="module")
def unseen() -> tuple[SegmentBatch, Truth]:
    """One-segment recordings of subjects of another seed, with the boxes planted in them."""
    config = SimulatorConfig(minutes_per_recording=1 / 6)
    signals, truth, ids = [], [], []
    for index in range(1, 9):
        for recording in simulate_subject(SEED, index, config).recordings:
            data = recording.data_uv.astype(np.float32)
            plan = plan_for(Fraction(config.sfreq_hz), config.line_freq_hz, data.shape[1])

            def read(start: int, stop: int, out: Any, data: Any = data) -> None:
                out[:] = data[:, start:stop]

            blocks = harmonise(read, len(data), data.shape[1], plan)
            signals.append(np.concatenate(list(blocks), axis=1)[:, :N_TIMES])
            ids.append(f"{index}-{recording.state}")
            truth += [(ids[-1], *b) for e in recording.events for b in waveform_boxes(e)]
    return batch_of(np.stack(signals), tuple(ids)), truth


def batch_of(data_uv: np.ndarray[Any, Any], ids: tuple[str, ...]) -> SegmentBatch:
    return SegmentBatch(
        ids,
        data_uv.astype(np.float32),
        np.ones(data_uv.shape[:2], dtype=bool),
        REFERENTIAL19,
        np.tile(np.array([0.1, 75.0], dtype=np.float32), (len(ids), 1)),
        50.0,
    )


def iou(a0: float, a1: float, b0: float, b1: float) -> float:
    overlap = max(0.0, min(a1, b1) - max(a0, b0))
    return overlap / (a1 - a0 + b1 - b0 - overlap)


def test_most_planted_boxes_of_unseen_subjects_are_found(
    detector: WaveformDetector, unseen: tuple[SegmentBatch, Truth]
) -> None:
    batch, truth = unseen
    events = detector.detect(batch)
    hit = [
        any(
            (e.segment_id, e.waveform, e.channel) == (segment, waveform, channel)
            and iou(e.t0_s, e.t1_s, t0_s, t1_s) >= 0.2
            for e in events
        )
        for segment, waveform, channel, t0_s, t1_s in truth
    ]
    right = [
        any(
            (e.segment_id, e.waveform, e.channel) == t[:3] and iou(e.t0_s, e.t1_s, *t[3:]) >= 0.2
            for t in truth
        )
        for e in events
    ]
    assert len(truth) > 150
    assert np.mean(hit) >= 0.5
    assert np.mean(right) >= 0.6


def test_events_are_ordered_and_lie_in_their_segment(
    detector: WaveformDetector, unseen: tuple[SegmentBatch, Truth]
) -> None:
    events = detector.detect(unseen[0])
    assert {e.waveform for e in events} <= set(WAVEFORMS)
    for e in events:
        assert 0 <= e.t0_s < e.t1_s <= 10
        assert e.confidence >= detector.card.thresholds[e.waveform] - 1e-6
    order = [unseen[0].segment_ids.index(e.segment_id) for e in events]
    assert order == sorted(order)
    assert detector.detect(unseen[0]) == events


def test_a_segment_is_judged_alone_whatever_its_batch(
    detector: WaveformDetector, unseen: tuple[SegmentBatch, Truth]
) -> None:
    batch = unseen[0]
    together = detector.detect(batch)
    for i in (0, 5, 13):
        alone = detector.detect(batch_of(batch.data_uv[i : i + 1], (batch.segment_ids[i],)))
        mine = [e for e in together if e.segment_id == batch.segment_ids[i]]
        assert [(e.waveform, e.channel) for e in alone] == [(e.waveform, e.channel) for e in mine]
        for a, b in zip(alone, mine, strict=True):
            assert (a.t0_s, a.t1_s) == pytest.approx((b.t0_s, b.t1_s), abs=1e-3)


def test_the_low_threshold_gives_more_and_one_class_can_be_silenced(
    detector: WaveformDetector, unseen: tuple[SegmentBatch, Truth]
) -> None:
    usual, many = detector.detect(unseen[0]), detector.detect(unseen[0], 0.001)
    assert len(many) > len(usual)
    silenced = detector.detect(unseen[0], {"eyem": 1.1})
    assert {e.waveform for e in usual} - {e.waveform for e in silenced} == {"eyem"}
    with pytest.raises(ValueError, match="seizure"):
        detector.detect(unseen[0], {"seizure": 0.5})


def test_silence_and_missing_channels_hold_nothing(
    detector: WaveformDetector, unseen: tuple[SegmentBatch, Truth]
) -> None:
    assert detector.detect(batch_of(np.zeros((2, 19, N_TIMES)), ("a", "b"))) == []
    batch = unseen[0]
    batch.mask[:, CANONICAL19.index("Fp1")] = False
    try:
        assert all(e.channel != "Fp1" for e in detector.detect(batch, 0.001))
    finally:
        batch.mask[:] = True


def test_bipolar_segments_are_refused_by_name(detector: WaveformDetector) -> None:
    batch = SegmentBatch(
        ("a",), np.zeros((1, 1, N_TIMES), dtype=np.float32), np.ones((1, 1), dtype=bool),
        ChannelSchema.parse("bipolar:Fpz-Cz"), np.array([[0.1, 45.0]], dtype=np.float32), 50.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="bipolar:Fpz-Cz"):
        detector.detect(batch)


def test_the_shipped_card_tells_what_it_must(detector: WaveformDetector) -> None:
    card = detector.card_json()
    assert card["classes"] == list(WAVEFORMS)
    assert card["licence"] == "AGPL-3.0"
    assert card["n_validation_subjects"] >= 20
    assert any("simulated" in line for line in card["limits"])
    json.dumps(card)


def _rename_class(card: dict[str, Any]) -> None:
    card["classes"][0] = "seizure"


def _default_of(card: dict[str, Any]) -> dict[str, Any]:
    variant: dict[str, Any] = card["variants"][card["default_precision"]]
    return variant


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_rename_class, "classes seizure, spike"),
        (lambda card: card.update(raster_version=0), "raster version 0"),
        (lambda card: _default_of(card).update(sha256="0" * 64), "same run"),
        (lambda card: _default_of(card).update(file="other.onnx"), "other.onnx"),
        (lambda card: card["variants"].pop(card["default_precision"]), "no variant"),
        (lambda card: card.update(default_precision="int4"), "default_precision"),
        (lambda card: card["calibration"].update(spike=[[0, 0], [0.5, 0.4], [1, 0.4]]), "spike"),
        (lambda card: card.pop("thresholds"), "thresholds"),
    ],
    ids=["classes", "raster", "hash", "file", "variant", "default", "curve", "field"],
)
def test_weights_that_do_not_fit_are_refused_in_one_sentence(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], told: str
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(SHIPPED_WEIGHTS, folder)
    card = json.loads((folder / "card.json").read_text())
    spoil(card)
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=told) as error:
        load_detector(folder)
    assert not error.value.is_retryable
    assert "\n" not in str(error.value)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"card\.json is missing"):
        load_detector(tmp_path)


@pytest.mark.parametrize("is_alone", [True, False], ids=["the file", "its folder"])
@pytest.mark.parametrize("suffix", [".pt", ".PTH", ".pkl"])
def test_a_foreign_pickle_is_refused_unread(tmp_path: Path, suffix: str, is_alone: bool) -> None:
    path = tmp_path / f"best{suffix}"
    path.write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
    with pytest.raises(WeightsError, match="never loaded") as error:
        load_detector(path if is_alone else tmp_path)
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_a_file_that_is_no_folder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"weights\.onnx is a file"):
        load_detector(path)


def test_confidence_is_the_cards_calibration_of_the_score(
    detector: WaveformDetector, unseen: tuple[SegmentBatch, Truth], tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(SHIPPED_WEIGHTS, folder)
    card = json.loads((folder / "card.json").read_text())
    card["calibration"] = {name: [[0, 0], [1, 1]] for name in WAVEFORMS}
    (folder / "card.json").write_text(json.dumps(card))
    raw = load_detector(folder).detect(unseen[0], 0.05)
    curve = {n: np.array(c).T for n, c in detector.card.calibration.items()}
    expected = [float(np.interp(e.confidence, *curve[e.waveform])) for e in raw]
    found = detector.detect(unseen[0], 0.0)
    by_place = {(e.segment_id, e.waveform, e.channel, e.t0_s, e.t1_s): e.confidence for e in found}
    got = [by_place[e.segment_id, e.waveform, e.channel, e.t0_s, e.t1_s] for e in raw]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    limit = float(np.median(expected))
    kept = detector.detect(unseen[0], limit)
    assert min(e.confidence for e in kept) >= limit - 1e-6
    assert len(kept) >= sum(value > limit + 1e-6 for value in expected)


def test_int8_is_the_default_on_a_cpu_and_finds_nearly_what_float32_finds(
    detector: WaveformDetector, unseen: tuple[SegmentBatch, Truth]
) -> None:
    whole = load_detector(precision="float32")
    assert (detector.precision, whole.precision) == ("int8", "float32")
    maps = {name: variant.map50 for name, variant in detector.card.variants.items()}
    assert maps["int8"] == detector.card.map50
    assert maps["int8"] >= maps["float32"] - 0.005
    assert detector.card.variants["int8"].n_bytes < 1_000_000
    batch = unseen[0]
    usual = {(e.segment_id, e.waveform, e.channel) for e in whole.detect(batch)}
    mine = {(e.segment_id, e.waveform, e.channel) for e in detector.detect(batch)}
    assert usual != mine
    assert len(usual & mine) >= 0.9 * len(usual | mine)


def test_a_card_without_a_default_is_read_with_float32(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(SHIPPED_WEIGHTS, folder)
    card = json.loads((folder / "card.json").read_text())
    del card["default_precision"], card["variants"]["int8"]
    (folder / "card.json").write_text(json.dumps(card))
    assert load_detector(folder).precision == "float32"
    with pytest.raises(WeightsError, match="no variant int8"):
        load_detector(folder, precision="int8")


def test_the_shipped_card_reports_sizes_and_reliability(detector: WaveformDetector) -> None:
    card = detector.card
    for name in WAVEFORMS:
        recalls = [s.recall for s in card.scores_by_size[name] if s.recall is not None]
        assert len(recalls) == 4
        assert recalls[-1] > recalls[0]
        bins = card.reliability[name]
        assert bins
        weights = np.array([b.n for b in bins])
        gap = np.abs([b.predicted - b.observed for b in bins])
        assert np.average(gap, weights=weights) < 0.2
    assert sum((SHIPPED_WEIGHTS / v.file).stat().st_size == v.n_bytes
               for v in card.variants.values()) == len(card.variants)  # fmt: skip
    assert (SHIPPED_WEIGHTS / card.state_file).is_file()


def test_a_device_that_is_not_there_is_refused_in_one_sentence() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this installation can run on a GPU")
    with pytest.raises(WeightsError, match="needs onnxruntime's CUDAExecutionProvider"):
        load_detector(device="cuda")
