"""Recipes by name: which model and detector recipes there are, and what one takes from another.

A recipe is a YAML file in the folder of its trainer; its file name is the recipe's name and the
partition key of the assets made from it. With ``extends: NAME`` a recipe holds only what differs
from another. Here the settings are put together and the head every recipe shares is read; each
trainer validates the whole of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

_ROOT = Path(__file__).parent
_STAGES = ("stage0", "stage1", "stage2")

EXTENDS = "extends"
"""The key that names the recipe another begins from."""


class RecipeFileError(ValueError):
    """A recipe file that cannot be read or put together; never retryable as it stands."""

    is_retryable = False


class RecipeHead(BaseModel):
    """The part every recipe has.

    Parameters
    ----------
    release
        Release the recipe is trained or scored on.
    releases
        Releases of single stages, where they differ.
    description
        One sentence for the UI.
    stages
        Stages the recipe declares, in their order; none for a detector.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    release: str
    releases: dict[str, str] = {}
    description: str
    stages: tuple[str, ...] = ()

    def release_of(self, stage: str) -> str:
        """Return the release a stage is trained on."""
        return self.releases.get(stage, self.release)

    def stage_before(self, stage: str) -> str | None:
        """Return the declared stage whose model a stage begins from; ``None``: the recipe's own."""
        before = [s for s in self.stages if s < stage]
        return before[-1] if before else None

    @property
    def all_releases(self) -> tuple[str, ...]:
        """Every release any stage reads, each once."""
        return tuple(sorted({self.release_of(s) for s in self.stages} or {self.release}))


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


def read_settings(path: Path) -> dict[str, Any]:
    """Return all settings of a recipe file, those of the recipes it extends among them.

    ``extends`` names a recipe beside the file, or a shipped one. Blocks are taken over key by key;
    anything else is replaced; ``null`` takes a key or a whole block away, so that its default holds
    again. A recipe always says its own ``description``.

    Raises
    ------
    RecipeFileError
        If a file is missing, is no YAML or holds no settings, or recipes extend each other in a
        circle.
    """
    chain = [path]
    settings = _mapping(path)
    parts = [settings]
    while (parent := settings.get(EXTENDS)) is not None:
        file = _parent_file(chain[-1], parent)
        if file.resolve() in {p.resolve() for p in chain}:
            circle = " -> ".join(p.stem for p in (*chain, file))
            raise RecipeFileError(f"recipe {path.name}: extends goes in a circle: {circle}")
        if not settings.get("description"):
            raise RecipeFileError(
                f"recipe {chain[-1].name} extends {parent!r} and has no description; say in one "
                "sentence what differs"
            )
        chain.append(file)
        settings = _mapping(file)
        parts.append(settings)
    whole: dict[str, Any] = {}
    for part in reversed(parts):
        whole = _merged(whole, {k: v for k, v in part.items() if k != EXTENDS})
    return whole


def _parent_file(child: Path, name: Any) -> Path:
    if not isinstance(name, str) or not name or "/" in name:
        raise RecipeFileError(f"recipe {child.name}: extends is {name!r}; give a recipe's name")
    beside, shipped = child.with_name(f"{name}.yaml"), _ROOT / "vlm" / "recipes"
    for file in (beside, shipped / f"{name}.yaml"):
        if file.is_file():
            return file
    known = sorted({p.stem for p in (*child.parent.glob("*.yaml"), *shipped.glob("*.yaml"))})
    raise RecipeFileError(
        f"recipe {child.name} extends {name!r}, which does not exist; "
        f"known: {', '.join(k for k in known if k != child.stem)}"
    )


def _mapping(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RecipeFileError(
            f"recipe {str(path)!r} is not a file; give a YAML file or a recipe name"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeFileError(f"recipe {path.name} is not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise RecipeFileError(f"recipe {path.name} must hold settings, found {type(raw).__name__}")
    return raw


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = _merged(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _heads(folder: Path) -> dict[str, RecipeHead]:
    return {path.stem: _head(path) for path in sorted(folder.glob("*.yaml"))}


def _head(path: Path) -> RecipeHead:
    settings = read_settings(path)
    return RecipeHead(**settings, stages=tuple(s for s in _STAGES if s in settings))
