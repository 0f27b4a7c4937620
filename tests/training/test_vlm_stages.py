"""A recipe run through all its stages, and stage 0, which trains everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from training.__main__ import main
from training.vlm.config import Recipe
from training.vlm.errors import RecipeError
from training.vlm.run import StageRequest, run_stage
from training.vlm.stages import run_recipe

PARTS = ["vision_tower", "merger", "language_model", "head"]


@pytest.fixture
def three_stages(recipe: Callable[..., Recipe]) -> Recipe:
    whole = recipe(stage1={"max_steps": 2}, stage2={"max_steps": 2}).model_dump()
    stage0 = whole["stage1"] | {"train": PARTS, "max_steps": 2, "warmup_ratio": 0.0}
    return Recipe.model_validate(whole | {"stage0": stage0})


def weights(folder: Path) -> dict[str, bytes]:
    return {k: v.tobytes() for k, v in load_file(folder / "model.safetensors").items()}


def test_stages_follow_each_other(three_stages: Recipe, release: Path, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    releases.mkdir()
    (releases / "test").symlink_to(release)
    out = tmp_path / "out"
    done = dict(run_recipe("three", three_stages, releases, out))
    assert list(done) == ["stage0", "stage1", "stage2"]
    assert done["stage1"].base_fingerprint == done["stage0"].model_fingerprint
    assert done["stage2"].base_fingerprint == done["stage1"].model_fingerprint
    before, after = weights(out / "stage0"), weights(out / "stage1")
    moved = {name for name in after if after[name] != before[name]}
    assert moved
    assert all(name.startswith("visual.merger") or ".merger." in name for name in moved)
    card = (out / "stage2" / "README.md").read_text()
    assert "stage1 of recipe three, from stage0 of recipe three, from built from a config" in card
    again = dict(run_recipe("three", three_stages, releases, out))
    assert [r.wall_s for r in again.values()] == [r.wall_s for r in done.values()]


def test_stage_0_moves_every_tensor(three_stages: Recipe, release: Path, tmp_path: Path) -> None:
    longer = three_stages.model_dump()
    few, more = (longer | {"stage0": longer["stage0"] | {"max_steps": n}} for n in (1, 2))
    made = []
    for name, settings in (("few", few), ("more", more)):
        request = StageRequest(
            name, Recipe.model_validate(settings), "stage0", release, tmp_path / name
        )
        run_stage(request)
        made.append(weights(tmp_path / name))
    assert made[0].keys() == made[1].keys()
    assert [name for name in made[0] if made[0][name] == made[1][name]] == []
    table = json.loads((tmp_path / "few" / "training.json").read_text())["freeze_map"]
    assert "| no " not in table


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_a_later_stage_does_not_begin_from_random_weights(
    three_stages: Recipe, release: Path, tmp_path: Path, stage: str
) -> None:
    request = StageRequest("three", three_stages, stage, release, tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=f"declares stage0, so {stage} begins from its output"):
        run_stage(request)


def test_the_command_tells_what_is_wrong(
    three_stages: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "three.yaml"
    path.write_text(yaml.safe_dump(three_stages.model_dump()))
    words = [
        "recipe",
        "--recipe",
        str(path),
        "--releases",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(words) == 3
    assert "holds no Parquet file" in capsys.readouterr().err
    assert main([*words, "--set", "stage0.train=[merger]"]) == 2
    assert "stage0 trains every part" in capsys.readouterr().err
