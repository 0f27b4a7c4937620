"""Recipes by name: which model and detector recipes there are and which release each names.

A recipe is a YAML file in the folder of its trainer; its file name is the recipe's name and the
partition key of the assets made from it. Here only the head every recipe shares is read; each
trainer validates the whole of its own.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

_ROOT = Path(__file__).parent


class RecipeHead(BaseModel):
    """The part every recipe has.

    Parameters
    ----------
    release
        Release the recipe is trained or scored on.
    description
        One sentence for the UI.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    release: str
    description: str


@cache
def model_recipes() -> dict[str, RecipeHead]:
    """Return the vision-language model recipes by name."""
    return _heads(_ROOT / "vlm" / "recipes")


@cache
def detector_recipes() -> dict[str, RecipeHead]:
    """Return the waveform detector recipes by name."""
    return _heads(_ROOT / "waveform" / "recipes")


def recipe_path(name: str) -> Path:
    """Return the file of a recipe.

    Raises
    ------
    ValueError
        If no recipe has that name; the message lists those that exist.
    """
    for folder in ("vlm", "waveform"):
        path = _ROOT / folder / "recipes" / f"{name}.yaml"
        if path.is_file():
            return path
    known = ", ".join([*model_recipes(), *detector_recipes()])
    raise ValueError(f"recipe {name!r} does not exist; known recipes: {known}")


def _heads(folder: Path) -> dict[str, RecipeHead]:
    files = sorted(folder.glob("*.yaml"))
    return {p.stem: RecipeHead(**yaml.safe_load(p.read_text(encoding="utf-8"))) for p in files}
