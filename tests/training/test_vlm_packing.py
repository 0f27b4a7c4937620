"""Packed samples cost what they cost alone, and a packed run is exact to stop and take up."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.vlm.batch import Batch, batches, collate, collate_packed
from training.vlm.config import Recipe, StageConfig
from training.vlm.data import Position, open_dataset
from training.vlm.encode import IGNORED, Encoder, Sample
from training.vlm.errors import DatasetError, Interrupted, RecipeError
from training.vlm.freeze import apply_freeze_map
from training.vlm.loop import answer_loss
from training.vlm.model import Vlm
from training.vlm.packing import (
    PACK_WINDOW,
    PACKED_ATTENTION,
    pack,
    packed_hidden,
    rope_positions,
    use_packed_attention,
)
from training.vlm.report import StepReport
from training.vlm.run import StageRequest, run_stage

CAPACITY = 512
START = Position()


def _text_only(make_sample: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    row: dict[str, Any] = make_sample(1, id="text", images=None, messages=turns)
    return row


def _two_pictures(make_sample: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": "<image>\n<image>\nWhich page is quiet?"},
        {"role": "assistant", "content": "The second."},
    ]
    images = [image for i in (2, 3) for image in make_sample(i)["images"]]
    row: dict[str, Any] = make_sample(2, id="two", images=images, messages=messages)
    return row


@pytest.fixture(scope="module")
def samples(vlm: Vlm, make_sample: Any) -> list[Sample]:
    """One picture, two turns, no picture, two pictures, in lengths that differ."""
    rows = [make_sample(0), _text_only(make_sample), _two_pictures(make_sample), make_sample(1)]
    made = [Encoder(vlm.processor, CAPACITY)(row) for row in rows]
    return [s for s in made if isinstance(s, Sample)]


@pytest.fixture
def packed_model(vlm: Vlm) -> Any:
    model = copy.deepcopy(vlm.model)
    assert use_packed_attention(model, "cpu", "fp32") == PACKED_ATTENTION
    return model


def _packed_losses(model: Any, samples: list[Sample]) -> list[float]:
    """Summed loss of every sample in one packed sequence."""
    batch = collate_packed(samples, START)
    hidden = packed_hidden(model, batch.inputs, batch.lengths)
    logits = model.lm_head(hidden[:, :-1])[0]
    losses = torch.nn.functional.cross_entropy(
        logits, batch.labels[0, 1:], reduction="none", ignore_index=IGNORED
    )
    # the loss at place k is that of token k + 1
    whole = torch.cat([torch.zeros(1), losses])
    return [float(part.sum()) for part in whole.split(list(batch.lengths))]


@torch.no_grad()
def test_every_sample_costs_in_a_pack_what_it_costs_alone(
    vlm: Vlm, packed_model: Any, samples: list[Sample]
) -> None:
    alone = [float(answer_loss(vlm.model, collate([s], 0, START), "cpu")) for s in samples]
    assert len(samples) == 4
    assert _packed_losses(packed_model, samples) == pytest.approx(alone, rel=1e-5)
    backwards = _packed_losses(packed_model, samples[::-1])
    assert backwards[::-1] == pytest.approx(alone, rel=1e-5)


@torch.no_grad()
def test_what_stands_before_a_sample_does_not_reach_it(
    packed_model: Any, samples: list[Sample], vlm: Vlm, make_sample: Any
) -> None:
    other = Encoder(vlm.processor, CAPACITY)(make_sample(7))
    assert isinstance(other, Sample)
    first = _packed_losses(packed_model, [samples[0], samples[3]])[1]
    second = _packed_losses(packed_model, [other, samples[3]])[1]
    assert second == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_without_a_gpu_samples_are_attended_one_by_one(vlm: Vlm, precision: str) -> None:
    model = copy.deepcopy(vlm.model)
    assert use_packed_attention(model, "cpu", precision) == PACKED_ATTENTION
    assert model.model.visual.config._attn_implementation != PACKED_ATTENTION


def test_gradients_of_a_pack_are_the_sum_of_its_samples(
    vlm: Vlm, packed_model: Any, samples: list[Sample]
) -> None:
    apart = copy.deepcopy(vlm.model)
    for model in (apart, packed_model):
        apply_freeze_map(model, ["merger", "language_model", "head"])
    for sample in samples:
        answer_loss(apart, collate([sample], 0, START), "cpu").backward()
    answer_loss(packed_model, collate_packed(samples, START), "cpu").backward()
    pairs = zip(apart.named_parameters(), packed_model.parameters(), strict=True)
    for (name, one), other in pairs:
        if one.requires_grad and one.grad is not None:
            torch.testing.assert_close(
                other.grad, one.grad, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_positions_are_those_of_transformers(vlm: Vlm, samples: list[Sample]) -> None:
    for sample in samples:
        grid = sample.image_grid_thw
        expected, _ = vlm.model.model.get_rope_index(
            torch.from_numpy(sample.input_ids)[None],
            image_grid_thw=None if grid is None else torch.from_numpy(grid),
            mm_token_type_ids=torch.from_numpy(sample.is_image.astype(np.int64))[None],
        )
        found = rope_positions(sample)
        np.testing.assert_array_equal(found[0], np.arange(len(sample.input_ids)))
        np.testing.assert_array_equal(found[1:], expected[:, 0].numpy())


def test_no_token_is_asked_for_the_first_of_the_next_sample(samples: list[Sample]) -> None:
    marked = [
        Sample(
            s.sample_id,
            s.input_ids,
            s.input_ids.copy(),
            s.is_image,
            s.pixel_values,
            s.image_grid_thw,
        )
        for s in samples
    ]
    batch = collate_packed(marked, START)
    starts = np.cumsum([0, *batch.lengths[:-1]])
    assert (batch.labels[0, starts] == IGNORED).all()
    assert int((batch.labels == IGNORED).sum()) == len(samples)


@given(
    lengths=st.lists(st.integers(1, 50), max_size=40),
    capacity=st.integers(50, 120),
)
@settings(max_examples=80, deadline=None)
def test_pack_places_every_item_once_and_wastes_little(lengths: list[int], capacity: int) -> None:
    bins = pack(lengths, capacity)
    assert sorted(i for items in bins for i in items) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in items) <= capacity for items in bins)
    assert bins == sorted(sorted(items) for items in bins)
    # of any two bins at most one is half empty
    assert sum(2 * sum(lengths[i] for i in items) <= capacity for items in bins) <= 1


def test_item_longer_than_a_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="item 1 of 9 does not fit a bin of 8"):
        pack([8, 9], 8)


@pytest.fixture
def made(
    vlm: Vlm, release: Path, recipe: Callable[..., Recipe]
) -> Callable[..., list[tuple[StageConfig, Batch]]]:
    data = open_dataset(release, "train")

    def make(**changes: Any) -> list[tuple[StageConfig, Batch]]:
        config = recipe(stage1=changes).stage1
        rows = data.rows(config.seed, config.shuffle_rows, START, 3)
        encode = Encoder(vlm.processor, config.max_length)
        return [(config, b) for b in batches(rows, encode, config, 0, 0)]

    return make


@pytest.mark.parametrize("accumulation", [2, PACK_WINDOW], ids=["small-step", "several-windows"])
def test_steps_hold_the_same_samples_packed_and_padded(made: Any, accumulation: int) -> None:
    def steps(**changes: Any) -> list[tuple[set[str], Position, int]]:
        found, ids, n_labels = [], [], 0
        all_batches = [batch for _, batch in made(accumulation=accumulation, **changes)]
        for batch in all_batches:
            ids += batch.sample_ids
            n_labels += batch.n_label_tokens
            if batch.is_step_end or batch is all_batches[-1]:
                found.append((set(ids), batch.position, n_labels))
                ids, n_labels = [], 0
        return found

    assert steps(packing=CAPACITY) == steps()


def test_packed_batches_hold_whole_samples_and_no_padding(made: Any) -> None:
    found = made(packing=CAPACITY, accumulation=8)
    assert any(len(b.sample_ids) > 2 for _, b in found)
    for _, batch in found:
        assert batch.n_slots == batch.n_tokens == sum(batch.lengths) <= CAPACITY
        # 4 patches of pixels stand behind every image token, none is parted from its tokens
        assert len(batch.inputs["pixel_values"]) == 4 * batch.n_image_tokens
        assert len(batch.grids) == len(batch.sample_ids)


def test_packing_below_max_length_is_refused_in_a_sentence(recipe: Callable[..., Recipe]) -> None:
    with pytest.raises(RecipeError, match="packing 64 is below max_length 512"):
        recipe(stage1={"packing": 64})


class Listener:
    """Keeps the reports; sends this program SIGTERM after a step if told to."""

    def __init__(self, stop_after: int = 0) -> None:
        self.reports: list[StepReport] = []
        self._stop_after = stop_after

    def message(self, text: str) -> None: ...

    def step(self, report: StepReport) -> None:
        self.reports.append(report)
        if report.step == self._stop_after:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def ask(
    release: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> Callable[..., StageRequest]:
    def make(out: str, **changes: Any) -> StageRequest:
        block = {"packing": CAPACITY, "accumulation": 4, "micro_batch": 2} | changes
        return StageRequest("test", recipe(stage2=block), "stage2", release, tmp_path / out)

    return make


def _files(folder: str) -> dict[str, bytes]:
    timed = ("metrics.jsonl", "result.json")
    return {p.name: p.read_bytes() for p in sorted(Path(folder).iterdir()) if p.name not in timed}


def test_packed_run_taken_up_again_equals_the_unbroken_one(ask: Any) -> None:
    unbroken = run_stage(ask("whole"))
    for after in (1, 3):
        with pytest.raises(Interrupted, match=f"after step {after}"):
            run_stage(ask("broken"), [Listener(after)])
    resumed = run_stage(ask("broken"))
    assert resumed.losses == unbroken.losses
    assert _files(resumed.model) == _files(unbroken.model)
    config = json.loads((Path(resumed.model) / "config.json").read_text())
    assert PACKED_ATTENTION not in json.dumps(config)


def test_packing_changes_the_cost_of_a_run_and_not_its_losses(ask: Any) -> None:
    packed, padded = Listener(), Listener()
    one = run_stage(ask("packed"), [packed])
    other = run_stage(ask("padded", packing=None), [padded])
    assert one.losses == pytest.approx(other.losses, rel=1e-4)
    assert (one.n_tokens, one.n_label_tokens) == (other.n_tokens, other.n_label_tokens)
    assert one.padded_share == 0 < other.padded_share
    assert all(r.padded_share == 0 and r.mfu is None for r in packed.reports)
    work = [r.tflops_per_s * r.step_s for r in packed.reports]
    assert work == pytest.approx([r.tflops_per_s * r.step_s for r in padded.reports])


def test_gradient_checkpointing_works_on_packs(ask: Any) -> None:
    one = run_stage(ask("one", max_steps=2))
    two = run_stage(ask("two", max_steps=2, is_checkpointing_gradients=True))
    assert two.losses == pytest.approx(one.losses, rel=1e-5)


def test_pages_beyond_the_limit_are_refused_with_what_to_do(
    release: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    block = {"max_length": 16, "packing": 16, "epochs": 1}
    made = recipe(image={"max_pixels": 75264}, stage2=block)
    request = StageRequest("test", made, "stage2", release, tmp_path / "out")
    with pytest.raises(DatasetError, match=r"pictures alone take more tokens .* image\.max_pixels"):
        run_stage(request)
    assert not request.out.exists()
