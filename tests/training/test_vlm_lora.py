"""Adapters: what they move, that a run taken up again changes no bit, and that every output loads."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.vlm.config import Recipe, parse_recipe
from training.vlm.errors import Interrupted, RecipeError
from training.vlm.freeze import apply_freeze_map, freeze_table
from training.vlm.lora import LAYERS, attach_adapters, is_adapter, merge_adapters
from training.vlm.report import StepReport
from training.vlm.result import StageResult
from training.vlm.run import StageRequest, run_stage

tied_only = pytest.mark.parametrize("base_folder", [True], indirect=True, ids=["tied"])
LORA: dict[str, Any] = {"rank": 4, "alpha": 8, "dropout": 0.1}
Train = Callable[..., StageResult]


class Stops:
    """Asks for the end of the run after a step, as a signal does."""

    def __init__(self, after: int) -> None:
        self._after = after

    def message(self, text: str) -> None: ...

    def step(self, report: StepReport) -> None:
        if report.step == self._after:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def train(release: Path, base_folder: Path, recipe: Callable[..., Recipe], tmp_path: Path) -> Train:
    def run(
        out: str = "out",
        base: Path | None = None,
        after: int = 0,
        precision: str = "fp32",
        **lora: Any,
    ) -> StageResult:
        stage = {"train": ["merger"], "lr": 1e-2, "max_steps": 4, "lora": LORA | lora}
        stage["precision"] = precision
        made = recipe(stage2=stage)
        request = StageRequest("test", made, "stage2", release, tmp_path / out, base or base_folder)
        return run_stage(request, [Stops(after)] if after else [])

    return run


def _tensors(folder: Path | str) -> dict[str, Any]:
    """The stored tensors, under the names of the published checkpoint."""
    from safetensors.torch import load_file

    return load_file(Path(folder) / "model.safetensors")


def _logits(folder: Path | str) -> Any:
    """What plain transformers makes of a folder: the logits of a text of twelve tokens."""
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        return model(input_ids=torch.arange(12)[None] + 40).logits


def test_merged_adapters_move_exactly_the_layers_they_sit_beside(
    train: Train, base_folder: Path
) -> None:
    result = train()
    before, after = _tensors(base_folder), _tensors(result.model)
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    beside = {
        n
        for n in before
        if n.startswith("model.layers.")
        and n.endswith("_proj.weight")
        and n.split(".")[-2] in LAYERS["language_model"]
    }
    assert len(beside) == 2 * 7
    assert moved == beside | {n for n in before if n.startswith("visual.merger.")}
    table = json.loads((Path(result.model) / "training.json").read_text())["freeze_map"]
    assert "| language_model | 26" in table
    assert "| adapters |" in table
    assert "adapter tensors" in table


@tied_only
def test_kept_adapters_leave_the_frozen_weights_and_say_the_same(
    train: Train, base_folder: Path
) -> None:
    import torch

    merged, kept = train("merged"), train("kept", output="adapters")
    assert kept.losses == merged.losses
    before, after = _tensors(base_folder), _tensors(kept.model)
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved == {n for n in before if n.startswith("visual.merger.")}
    folder = Path(kept.model)
    names = {p.name for p in folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert "adapter_config.json" not in {p.name for p in Path(merged.model).iterdir()}
    torch.testing.assert_close(_logits(folder), _logits(merged.model), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(_logits(folder), _logits(base_folder), atol=1e-3)


@tied_only
@pytest.mark.parametrize("output", ["merged", "adapters"])
def test_frozen_weights_of_a_float32_base_are_not_rounded_by_bf16(
    train: Train, base_folder: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    """On a processor, which computes in bf16 too where it is let."""
    monkeypatch.setattr("training.vlm.run.check_machine", lambda config: "cpu")
    before = _tensors(base_folder)
    after = _tensors(train(output=output, precision="bf16").model)
    frozen = [n for n in before if "_proj." not in n and ".merger." not in n]
    frozen += [n for n in before if n.startswith("visual.blocks.")]
    assert [n for n in frozen if not before[n].equal(after[n])] == []


VLLM_PREFIXES = (
    ("model.language_model.", "language_model.model."),
    ("model.visual.", "visual."),
    ("lm_head.", "language_model.lm_head."),
    ("model.", "language_model.model."),
)
"""vLLM's ``Qwen2_5_VLForConditionalGeneration.hf_to_vllm_mapper``; a name takes the first that fits.
As in vLLM 0.32; ``test_vlm_vllm.py`` runs it, where it is installed."""


def _in_vllm(name: str) -> str:
    found = (new + name.removeprefix(old) for old, new in VLLM_PREFIXES if name.startswith(old))
    return next(found, name)


@tied_only
def test_names_are_those_that_vllm_maps(train: Train) -> None:
    from safetensors.torch import load_file

    folder = Path(train(output="adapters").model)
    names = {_in_vllm(n) for n in _tensors(folder)}
    assert {n.split(".")[0] for n in names} == {"visual", "language_model"}
    for name in (
        "visual.patch_embed.proj.weight",
        "visual.blocks.0.attn.qkv.weight",
        "visual.merger.ln_q.weight",
        "visual.merger.mlp.2.bias",
        "language_model.model.embed_tokens.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "language_model.model.layers.1.mlp.down_proj.weight",
        "language_model.model.norm.weight",
    ):
        assert name in names
    # its loader reads every *.safetensors of a folder but for those an index leaves out
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {"model.safetensors"}
    assert index["weight_map"].keys() == _tensors(folder).keys()
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["Qwen2_5_VLForConditionalGeneration"]
    assert config["model_type"] == "qwen2_5_vl"
    adapters = json.loads((folder / "adapter_config.json").read_text())
    assert (adapters["r"], adapters["lora_alpha"], adapters["bias"]) == (4, 8, "none")
    assert not adapters["modules_to_save"]
    assert not adapters["use_dora"]
    for name in load_file(folder / "adapter_model.safetensors"):
        head, _, inner = name.partition("base_model.model.")
        module, matrix = _in_vllm(inner).rsplit(".", 2)[0], inner.split(".")[-2]
        assert head == ""
        assert matrix in ("lora_A", "lora_B")
        assert f"{module}.weight" in names


@tied_only
@pytest.mark.parametrize("output", ["merged", "adapters"])
def test_run_with_adapters_taken_up_again_changes_no_bit(train: Train, output: str) -> None:
    unbroken = train("whole", output=output)
    with pytest.raises(Interrupted):
        train("broken", after=2, output=output)
    resumed = train("broken", output=output)
    assert resumed.losses == unbroken.losses
    for file in Path(unbroken.model).iterdir():
        if file.name not in ("metrics.jsonl", "result.json"):
            assert (Path(resumed.model) / file.name).read_bytes() == file.read_bytes(), file.name


@tied_only
def test_next_stage_begins_from_the_sum_of_weights_and_adapters(train: Train) -> None:
    merged, kept = train("merged"), train("kept", output="adapters")
    after_merged = train("a", base=Path(merged.model))
    after_kept = train("b", base=Path(kept.model))
    assert after_kept.losses == pytest.approx(after_merged.losses, rel=1e-5)


@tied_only
def test_adapters_begin_as_nothing_and_merge_back_to_the_same_model(base_folder: Path) -> None:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(base_folder)
    plain = dict(model.state_dict())
    everything = {c: list(layers) for c, layers in LAYERS.items() if c != "head"}
    lora = _stage(lora=LORA | {"targets": everything}, train=[]).lora
    assert lora is not None
    attach_adapters(model, lora, seed=0)
    rows = apply_freeze_map(model, [])
    assert [r.trained for r in rows] == ["adapters", "adapters", "adapters", "no"]
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all(is_adapter(n) for n in trained)
    assert sum(r.n_adapter_tensors for r in rows) == len(trained)
    assert sum(r.n_parameters + r.n_adapter_parameters for r in rows) == model.num_parameters()
    assert freeze_table(rows).count("adapter tensors") == 3
    # 5 layers in each of 2 blocks, 2 in the merger, 7 in each of 2 language layers
    assert merge_adapters(model) == 2 * 5 + 2 + 2 * 7
    assert model.state_dict().keys() == plain.keys()
    assert all(torch.equal(t, plain[n]) for n, t in model.state_dict().items())


def _stage(**changes: Any) -> Any:
    raw = {
        "description": "x",
        "release": "x",
        "model": {"source": "built"},
        "stage2": {"train": ["merger"]} | changes,
    }
    return parse_recipe(raw, "x").stage2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lora": {"targets": {"projector": ["mlp.0"]}}}, "'projector' is no component"),
        ({"lora": {"targets": {"merger": ["q_proj"]}}}, r"merger has no layers \['q_proj'\]"),
        ({"lora": {"targets": {"language_model": []}}}, "name some of q_proj"),
        ({"lora": {"targets": {"merger": ["mlp.0"]}}}, "merger in train and in lora.targets"),
        ({"lora": {"rank": 0}}, "lora.rank: .*greater than or equal to 1"),
        ({"lora": {"r": 8}}, "key 'stage2.lora.r' is not known"),
        ({"train": []}, "nothing would move"),
    ],
)
def test_wrong_lora_block_is_refused_in_a_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        _stage(**changes)


def test_adapter_on_a_tied_head_is_refused(vlm: Any) -> None:
    lora = _stage(lora={"targets": {"head": ["lm_head"]}}).lora
    with pytest.raises(RecipeError, match="leave 'head' out"):
        attach_adapters(copy.deepcopy(vlm.model), lora, seed=0)
