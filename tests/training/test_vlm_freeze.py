"""The freeze map: one step moves exactly the tensors of the named parts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.vlm.config import Component, Recipe
from training.vlm.errors import ModelError, RecipeError
from training.vlm.freeze import apply_freeze_map, component_of, freeze_table
from training.vlm.model import Vlm
from training.vlm.run import StageRequest, run_stage


@pytest.fixture
def vlm(vlm: Vlm) -> Vlm:
    """A copy: freezing marks the tensors themselves."""
    return replace(vlm, model=copy.deepcopy(vlm.model))


@pytest.mark.parametrize(
    ("stage", "moved_parts"),
    [
        ("stage1", {"merger"}),
        ("stage2", {"merger", "language_model", "head"}),
    ],
)
def test_one_step_moves_exactly_the_trained_tensors(
    release: Path,
    base_folder: Path,
    recipe: Callable[..., Recipe],
    tmp_path: Path,
    stage: str,
    moved_parts: set[str],
) -> None:
    one_step = {"max_steps": 1, "warmup_ratio": 0.0}
    made = recipe(stage1=one_step, stage2=one_step)
    request = StageRequest("test", made, stage, release, tmp_path / "out", base_folder)  # type: ignore[arg-type]
    run_stage(request)
    before, after = _tensors(base_folder), _tensors(tmp_path / "out")
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    expected = {name for name in before if component_of(name) in moved_parts}
    assert len(expected) == (5 if stage == "stage1" else 5 + 26 + ("lm_head.weight" in before))
    assert moved == expected


def _tensors(folder: Path) -> dict[str, Any]:
    """Every tensor of a stored model by its name in the module; a tied head only once."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    return dict(Qwen2_5_VLForConditionalGeneration.from_pretrained(folder).named_parameters())


@pytest.mark.parametrize(
    ("trained", "n_trained_parts"),
    [(["merger"], 1), (["language_model", "merger", "head"], 3), (["vision_tower"], 1)],
    ids=["stage1", "stage2", "tower"],
)
def test_map_counts_every_tensor_once(
    vlm: Vlm, trained: list[Component], n_trained_parts: int
) -> None:
    rows = apply_freeze_map(vlm.model, trained)
    assert sum(r.n_tensors for r in rows) == len(list(vlm.model.named_parameters()))
    assert sum(r.n_parameters for r in rows) == vlm.model.num_parameters()
    assert sum(r.is_trained for r in rows) == n_trained_parts
    assert all(
        p.requires_grad == (component_of(n) in trained) for n, p in vlm.model.named_parameters()
    )
    table = freeze_table(rows)
    assert table.count("\n") == 5
    assert "tied: the embeddings of the language model" in table


def test_merger_inside_the_tower_is_a_part_of_its_own() -> None:
    assert component_of("model.visual.merger.mlp.0.weight") == "merger"
    assert component_of("model.visual.blocks.0.norm1.weight") == "vision_tower"


def test_tied_head_cannot_be_trained_alone(vlm: Vlm) -> None:
    with pytest.raises(RecipeError, match="tied to the embeddings"):
        apply_freeze_map(vlm.model, ["head"])


def test_tensor_of_another_architecture_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'vision_tower\.x' belongs to no known part"):
        component_of("vision_tower.x")
