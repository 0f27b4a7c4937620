"""Recipes that extend others, stage 0, and the ablations of systems.md 1.12."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from prompts.releases.build import releases
from training.recipes import RecipeFileError, model_recipes, read_settings, recipe_path
from training.vlm.config import Recipe, load_recipe, parse_recipe
from training.vlm.errors import RecipeError
from training.vlm.optim import plan_steps

Write = Callable[..., Path]

STAGE = {"train": ["merger"], "max_steps": 2, "epochs": 9}
ALL = ["vision_tower", "merger", "language_model", "head"]
HEAD = {"description": "x", "release": "demo", "model": {"source": "built"}}


def load(name: str) -> Recipe:
    return load_recipe(recipe_path(name))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str, **settings: object) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    return make


@pytest.mark.parametrize("name", sorted(model_recipes()))
def test_every_stage_reads_a_release_that_exists(name: str) -> None:
    recipe = load(name)
    assert {recipe.release_of(stage) for stage in recipe.stages} <= set(releases())
    head = model_recipes()[name]
    assert head.stages == recipe.stages
    assert set(head.all_releases) == {recipe.release_of(stage) for stage in recipe.stages}


@pytest.mark.parametrize("form", ["cerebragloss_3b", "tiny"])
def test_an_ablation_differs_from_the_full_recipe_in_what_it_says(form: str) -> None:
    full = load(form)
    assert full.stages == ("stage1", "stage2")
    assert load(f"{form}_no_stage1").stages == ("stage2",)
    assert load(f"{form}_no_stage2").stages == ("stage1",)
    longer = load(f"{form}_stage1_020").stage("stage1")
    assert longer.max_steps == pytest.approx(4 * (full.stage("stage1").max_steps or 0), abs=2)
    for name, gone in (
        ("no_teacher", ("descriptions", "teacher_questions", "dialogues", "narratives")),
        ("no_rule_captions", ("captions",)),
    ):
        ablated = load(f"{form}_{name}")
        assert ablated.stage("stage2") == full.stage("stage2")
        left, whole = (releases()[r.release_of("stage2")] for r in (ablated, full))
        assert all(left.wanted("train", kind) == 0 for kind in gone)
        assert any(whole.wanted("train", kind) for kind in gone)
        kept = [k for k in ("captions", "questions", "general") if k not in gone]
        assert all(left.wanted("train", k) == whole.wanted("train", k) for k in kept)
        assert left.shards == whole.shards


def test_both_readings_of_the_stage_1_schedule() -> None:
    n_rows = 1_958_000
    short = plan_steps(load("cerebragloss_3b").stage("stage1"), n_rows)
    whole = plan_steps(load("cerebragloss_3b_planned_full").stage("stage1"), n_rows)
    assert (short.n_steps, short.planned_steps, short.warmup_steps) == (382, 382, 39)
    assert (whole.n_steps, whole.planned_steps, whole.warmup_steps) == (382, 7648, 765)
    assert whole.lr(381) == pytest.approx(5e-6, rel=0.01)
    assert "stops inside the warm-up" in whole.describe()
    for reading in ("", "_planned_full"):
        assert load(f"cerebragloss_3b{reading}_projector_1e-3").stage("stage1").lr == 1e-3
        assert load(f"cerebragloss_3b{reading}").stage("stage1").lr == 1e-5


@pytest.mark.parametrize("name", ["cerebragloss_3b", "cerebragloss_7b"])
def test_published_rows_give_the_published_steps(name: str) -> None:
    """``systems.md`` 1.9: 7,648 and about 1,148 steps, which leave 112 rows over each time."""
    recipe = load(name)
    whole = recipe.stage("stage1").model_copy(update={"max_steps": None, "planned_steps": None})
    plan = plan_steps(whole, 1_958_000)
    assert (plan.n_steps, plan.planned_steps, plan.warmup_steps) == (7648, 7648, 765)
    assert plan_steps(recipe.stage("stage2"), 294_000).n_steps == 1148
    kept = whole.model_copy(update={"last_batch": "keep"})
    assert plan_steps(kept, 1_958_000).n_steps == 7649


def test_schedule_planned_for_the_published_count_may_be_run_to_its_end() -> None:
    block = load("cerebragloss_3b_planned_full").stage("stage1")
    plan = plan_steps(block.model_copy(update={"max_steps": None}), 1_958_000)
    assert (plan.n_steps, plan.planned_steps) == (7648, 7648)


def test_7b_keeps_the_effective_batch() -> None:
    for stage in ("stage1", "stage2"):
        assert load("cerebragloss_7b").stage(stage).effective_batch == 256  # type: ignore[arg-type]


def test_settings_are_taken_over_key_by_key_through_a_chain(write: Write) -> None:
    write("a", **HEAD, stage1=STAGE | {"lr": 1e-4}, stage2=STAGE, note="said")
    write("b", extends="a", description="b", stage1={"lr": 1e-3})
    path = write("c", extends="b", description="c", stage2=None, note=None)
    recipe = load_recipe(path, ["stage1.max_steps=7"])
    assert recipe.stages == ("stage1",)
    assert (recipe.stage("stage1").lr, recipe.stage("stage1").max_steps) == (1e-3, 7)
    assert (recipe.description, recipe.note) == ("c", "")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a": {"extends": "b", "description": "a"}, "b": {"extends": "a", "description": "b"}},
         "in a circle: a -> b -> a"),
        ({"a": {"extends": "a", "description": "a"}}, "in a circle: a -> a"),
        ({"a": {"extends": "nowhere", "description": "a"}}, "'nowhere', which does not exist"),
        ({"a": {"extends": "../tiny", "description": "a"}}, "give a recipe's name"),
        ({"a": {"extends": 3, "description": "a"}}, "give a recipe's name"),
        ({"a": {"extends": "tiny"}}, "has no description"),
        ({"a": {"extends": "tiny", "description": "a", "stage3": {}}}, "'stage3' is not known"),
    ],
)  # fmt: skip
def test_wrong_extends_is_told(
    write: Write, files: dict[str, dict[str, object]], says: str
) -> None:
    paths = [write(name, **settings) for name, settings in files.items()]
    with pytest.raises(RecipeError, match=says):
        load_recipe(paths[0])


def test_shipped_recipes_can_be_extended_from_elsewhere(write: Write) -> None:
    path = write("mine", extends="tiny", description="mine", release="lab")
    assert load_recipe(path).release == "lab"
    assert "extends" not in read_settings(path)
    with pytest.raises(RecipeFileError, match="not a file"):
        read_settings(path.with_name("none.yaml"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stage0": STAGE}, "add vision_tower, language_model, head to stage0.train"),
        ({"stage0": STAGE | {"train": ALL},
          "model": {"source": "checkpoint", "name": "a/b", "licence": "mit"}},
         "would overwrite what the checkpoint 'a/b' knows"),
        ({"stage1": None}, "at least one stage"),
        ({"releases": {"stage2": "lab"}}, "names stage2, which this recipe does not declare"),
    ],
)  # fmt: skip
def test_wrong_stages_are_told(changes: dict[str, object], says: str) -> None:
    settings = {**HEAD, "stage1": STAGE, **changes}
    with pytest.raises(RecipeError, match=says):
        parse_recipe(settings, "test")


def test_a_stage_that_is_not_declared_is_told() -> None:
    recipe = parse_recipe({**HEAD, "stage1": STAGE}, "test")
    with pytest.raises(RecipeError, match="declares no stage2; it declares stage1"):
        recipe.stage("stage2")
