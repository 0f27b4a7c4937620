"""Recipes: what is accepted, and what a wrong one is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from training.recipes import model_recipes, recipe_path
from training.vlm.base_config import CheckpointModel, TextShape
from training.vlm.config import Recipe, load_recipe
from training.vlm.errors import MachineError, RecipeError
from training.vlm.optim import plan_steps
from training.vlm.prepare import check_machine


@pytest.mark.parametrize("name", sorted(model_recipes()))
def test_shipped_recipes_train_the_published_parts(name: str) -> None:
    recipe = load_recipe(recipe_path(name))
    parts = {"stage1": {"merger"}, "stage2": {"language_model", "merger", "head"}}
    for stage in recipe.stages:
        block = recipe.stage(stage)
        # adapters stand in for what they adapt
        assert set(block.train) == (parts[stage] if block.lora is None else {"merger"})


def test_published_recipe_has_the_published_numbers() -> None:
    recipe = load_recipe(recipe_path("qwen2_5_vl_3b"))
    for stage in (recipe.stage1, recipe.stage2):
        assert (stage.lr, stage.warmup_ratio, stage.effective_batch) == (1e-5, 0.1, 256)
        assert (stage.betas, stage.weight_decay, stage.max_grad_norm) == ([0.9, 0.999], 0, 1)
        assert stage.precision == "bf16"
    assert isinstance(recipe.model, CheckpointModel)
    assert recipe.model.revision is not None
    # the page itself, never rescaled: 46 x 32 tokens
    assert recipe.image.max_pixels == 1288 * 896
    assert plan_steps(recipe.stage1, 1_958_000).n_steps == 382
    assert plan_steps(recipe.stage2, 294_000).n_steps == 1149


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("stage1.learning_rate=1e-4", r"'stage1.learning_rate' is not known"),
        ("stage1.lr=0", r"stage1\.lr: .*greater than 0 \(got 0\)"),
        ("stage1.train=[projector]", r"stage1\.train\.0: .*'merger'.*\(got 'projector'\)"),
        ("stage1.max_steps=2.5", r"stage1\.max_steps"),
        ("model.source=scratch", r"model: .*'built', 'checkpoint'"),
        ("model.depth=4", r"'model.depth' is not known"),
        ("image.max_pixels=1000", r"image\.min_pixels|max_pixels"),
        ("model.text.hidden_size=60", r"hidden_size 60 over 4 heads"),
        ("stage1", r"must read key=value"),
        ("release.name=x", r"'release' is a value"),
    ],
    ids=lambda v: v.split("=")[0] if "=" in v else "",
)
def test_wrong_setting_is_refused_by_name(override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        load_recipe(recipe_path("tiny"), [override])


def test_exponent_without_point_is_a_number() -> None:
    assert load_recipe(recipe_path("tiny"), ["stage1.lr=3e-4"]).stage1.lr == 3e-4


def test_checkpoint_revision_must_be_a_commit(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"model\.revision"):
        load_recipe(recipe_path("qwen2_5_vl_3b"), ["model.revision=main"])


@pytest.mark.parametrize(
    ("text", "says"),
    [("[1, 2]", "must hold settings"), ("a: [", "is not YAML"), (None, "is not a file")],
    ids=["list", "broken", "absent"],
)
def test_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "r.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecipeError, match=says):
        load_recipe(path)


def test_rotary_sections_scale_like_the_real_ones() -> None:
    real = TextShape(hidden_size=2048, num_attention_heads=16, num_key_value_heads=2)
    assert real.mrope_section == [16, 24, 24]
    assert TextShape().mrope_section == [2, 3, 3]


def test_bf16_without_gpu_is_refused(recipe: Callable[..., Recipe]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MachineError, match=r"'bf16' needs a GPU .* shows no GPU"):
        check_machine(recipe(stage1={"precision": "bf16"}).stage1)
