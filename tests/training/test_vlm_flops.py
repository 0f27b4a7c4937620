"""Operations counted by formula equal torch's own count of what was computed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.vlm.batch import Batch, collate, collate_packed
from training.vlm.config import Component
from training.vlm.data import Position
from training.vlm.encode import Encoder, Sample
from training.vlm.flops import FlopCounter, Forward, known_peak, peak_flops
from training.vlm.freeze import apply_freeze_map
from training.vlm.loop import answer_loss
from training.vlm.lora import LoraConfig, attach_adapters
from training.vlm.model import Vlm

STAGES: dict[str, list[Component]] = {
    "stage1": ["merger"],
    "stage2": ["merger", "language_model", "head"],
    "stage0": ["vision_tower", "merger", "language_model", "head"],
}


@pytest.fixture(scope="module")
def batch(vlm: Vlm, make_sample: Any) -> Batch:
    sample = Encoder(vlm.processor, 512)(make_sample(0))
    assert isinstance(sample, Sample)
    return collate([sample], 0, Position())


def _eager(vlm: Vlm, trained: list[Component]) -> Any:
    """A copy whose attention is plain matrix products, which the counter sees in full."""
    model = copy.deepcopy(vlm.model)
    model.model.language_model.config._attn_implementation = "eager"
    model.model.visual.config._attn_implementation = "eager"
    apply_freeze_map(model, trained)
    return model


def _whole(f: Forward) -> float:
    """Forward operations with attention that is not cut at the diagonal, as eager computes it."""
    return f.total + f.language_attention


def test_forward_count_is_torchs(vlm: Vlm, batch: Batch) -> None:
    model = _eager(vlm, STAGES["stage2"])
    with torch.no_grad(), FlopCounterMode(display=False) as seen:
        answer_loss(model, batch, "cpu")
    counter = FlopCounter(model, STAGES["stage2"])
    found = counter.forward(batch.lengths, batch.grids, batch.n_label_tokens)
    # torch also counts the rotary tables, outer products of positions and frequencies
    assert _whole(found) == pytest.approx(seen.get_total_flops(), rel=5e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_step_count_is_torchs(vlm: Vlm, batch: Batch, stage: str) -> None:
    model = _eager(vlm, STAGES[stage])
    with FlopCounterMode(display=False) as seen:
        answer_loss(model, batch, "cpu").backward()
    counter = FlopCounter(model, STAGES[stage])
    forward = counter.forward(batch.lengths, batch.grids, batch.n_label_tokens)
    found = counter.step(batch) + 3 * forward.language_attention
    assert found == pytest.approx(seen.get_total_flops(), rel=5e-3)


def test_step_count_with_thin_adapters_is_torchs_but_for_their_own(vlm: Vlm, batch: Batch) -> None:
    model = _eager(vlm, ["merger"])
    lora = LoraConfig(rank=1)
    attach_adapters(model, lora, seed=0)
    apply_freeze_map(model, ["merger"])
    with FlopCounterMode(display=False) as seen:
        answer_loss(model, batch, "cpu").backward()
    counter = FlopCounter(model, ["merger"], tuple(lora.targets))
    forward = counter.forward(batch.lengths, batch.grids, batch.n_label_tokens)
    found = counter.step(batch) + 3 * forward.language_attention
    assert 0.95 * seen.get_total_flops() < found <= seen.get_total_flops()
    # a text alone reaches the adapters too, where a frozen language model would be passed once
    text = replace(batch, grids=())
    assert counter.step(text) > 1.9 * FlopCounter(model, ["merger"]).step(text)


def test_count_is_of_samples_not_of_padding(vlm: Vlm, make_sample: Any) -> None:
    made = [Encoder(vlm.processor, 512)(make_sample(i)) for i in (0, 1, 2)]
    samples = [s for s in made if isinstance(s, Sample)]
    counter = FlopCounter(vlm.model, STAGES["stage2"])
    packed = counter.step(collate_packed(samples, Position()))
    assert packed == pytest.approx(counter.step(collate(samples, 0, Position())))
    alone = [counter.step(collate([s], 0, Position())) for s in samples]
    assert packed == pytest.approx(sum(alone))


def test_windows_are_cut_at_the_border_of_a_picture(vlm: Vlm) -> None:
    counter = FlopCounter(vlm.model, STAGES["stage2"])
    # windows of 8 x 8 patches; 10 x 12 patches make pieces of 64, 32, 16 and 8
    squares = counter.forward([1], [(1, 10, 12)], 0).tower_attention
    v = vlm.model.config.vision_config.hidden_size
    assert squares == 4 * v * (120**2 + 64**2 + 32**2 + 16**2 + 8**2)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40", None),
        ("NVIDIA GB200", None),
        ("NVIDIA H200 NVL", 835e12),
        ("Tesla V100-SXM2-16GB", None),
    ],
)
def test_peak_is_found_by_name(name: str, peak: float | None) -> None:
    assert known_peak(name) == peak


def test_a_cpu_has_no_peak() -> None:
    assert peak_flops("cpu", "fp32") is None
