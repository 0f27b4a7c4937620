"""Models under test as the graph knows them: their names, how they are asked, what they have seen.

A model is a recipe of this project, a waveform detector, or a model file (``benchmark.asking.under_test``).
Which one a name is decides what the asking program is given; nothing else in the graph needs to know.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.asking.exposure import Exposure, published, trained
from benchmark.asking.under_test import (
    FOLDER_VARIABLE,
    SHIPPED,
    FolderModel,
    ServedModel,
    models_under_test,
)
from benchmark.errors import BenchmarkError
from dagster_project.assets.models import model_folder, stage_folder
from dagster_project.corpora.registry import corpora
from dagster_project.detection import detector_folder, detector_for
from dagster_project.failures import PermanentFailure
from dagster_project.partitions import SHIPPED_DETECTOR
from dagster_project.resources import Workspace
from prompts.teachers.cache import CACHE_FILE
from training.recipes import detector_recipes, model_recipes

TRAINING_RECORD = "training.json"
RELEASE_RECORD = "manifest.json"
SIMULATED = "simulated"
STAGES = ("stage0", "stage1", "stage2")


@cache
def other_models() -> Mapping[str, FolderModel | ServedModel]:
    """Return the models under test that are no recipe, by name.

    Raises
    ------
    BenchmarkError
        If a model file is wrong, or has the name of a recipe.
    """
    found = models_under_test()
    taken = sorted(set(found) & {*model_recipes(), *detector_recipes()})
    if taken:
        raise BenchmarkError(
            f"model file {taken[0]!r} has the name of a recipe; rename the file, since both are "
            "partitions"
        )
    return found


def language_models() -> frozenset[str]:
    """Return the names of all models that answer in words."""
    return frozenset({*model_recipes(), *other_models()})


def leaving_corpora() -> frozenset[str]:
    """Return the corpora whose rows may be sent to a hosted model."""
    return frozenset(
        key
        for key, spec in corpora().items()
        if not spec.licence.is_gated and spec.licence.allows_hosted_teachers
    )


def asked_of(
    model: str, items: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Return the items a model could be asked, their answers, and how many items were not sent.

    A model behind a server outside is scored on what may leave, beside baselines on the same items.
    Any other model is scored on every item: what it did not answer is wrong.
    """
    other = other_models().get(model)
    if not isinstance(other, ServedModel) or other.is_within:
        return list(items), list(answers), 0
    free = {row["item_id"] for row in items if row["corpus"] in leaving_corpora()}
    kept = [row for row in items if row["item_id"] in free]
    return kept, [row for row in answers if row["item_id"] in free], len(items) - len(kept)


def words_for(workspace: Workspace, model: str, *, pages_may_leave: bool) -> list[str]:
    """Return the arguments that make the asking program ask a model.

    Parameters
    ----------
    workspace
        Where models and the record of paid answers lie.
    model
        Its name.
    pages_may_leave
        Pages of open corpora may be sent to a server outside, besides what its file says.

    Raises
    ------
    PermanentFailure
        If a recipe has no weights yet, or a folder does not exist.
    """
    other = other_models().get(model)
    if isinstance(other, ServedModel):
        cache_path = workspace.folder(CACHE_FILE)
        words = ["--model", str(_file_of(model)), "--cache", str(cache_path)]
        return [*words, "--pages-may-leave"] if pages_may_leave else words
    if isinstance(other, FolderModel):
        weights = other.path(workspace.folder())
        advice = "put the model there, or name another folder in its file"
    else:
        weights = model_folder(workspace, model)
        advice = "materialise 'tuned_model' first"
    if not weights.is_dir():
        raise PermanentFailure(f"model {model!r} has no weights in {str(weights)!r}; {advice}")
    return ["--model", str(weights), "--preload", "training.torchvision_shim:install"]


def _file_of(model: str) -> Path:
    folder = os.environ.get(FOLDER_VARIABLE, "")
    places = (SHIPPED, *([Path(folder)] if folder else []))
    return next(f for place in places if (f := place / f"{model}.yaml").is_file())


def exposures(workspace: Workspace, models: set[str]) -> dict[str, Exposure]:
    """Return what models under test have seen; of names that are none of ours nothing is said."""
    found = {}
    for model in sorted(models):
        other = other_models().get(model)
        if other is not None:
            found[model] = other.exposure
        elif model in model_recipes():
            exposure = _of_recipe(workspace, model)
            if exposure is not None:
                found[model] = exposure
        elif model == SHIPPED_DETECTOR or detector_folder(workspace, model).is_dir():
            found[model] = _of_detector(detector_for(workspace, model).card.data_description)
    return found


def _of_detector(description: str) -> Exposure:
    """Read a detector's card: it names the simulator, and counts real recordings without corpora."""
    seen = {SIMULATED: "its recordings and planted events"} if "simulat" in description else {}
    return Exposure(status="partly", corpora=seen, source=f"its card: {description}")


def _of_recipe(workspace: Workspace, model: str) -> Exposure | None:
    """Read what a recipe's model was trained on from its own record and its releases'."""
    records = [_read(stage_folder(workspace, model, stage) / TRAINING_RECORD) for stage in STAGES]
    written = [record for record in records if record]
    if not written:
        return None
    recipe = model_recipes()[model]
    seen: dict[str, str] = {}
    for release in recipe.all_releases:
        listed = _read(workspace.folder("releases", release) / RELEASE_RECORD).get("by_corpus", {})
        split = written[-1].get("dataset_split", "train")
        seen |= {corpus: f"split {split} of release {release}" for corpus, n in listed.items() if n}
    is_built = bool(written[0].get("is_tiny"))
    base = None if is_built else published(str(written[0].get("base", "")))
    releases = ", ".join(recipe.all_releases)
    return trained(base, seen, f"recipe {model} on release {releases}")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
