"""Group ``models``: the waveform detector and the two stages of a vision-language model.

Training runs in programs of its own (``python -m training ...``), started through Dagster Pipes, so
the same program runs by hand, under torchrun or on another machine; where, the launch settings say
(:mod:`dagster_project.launching`). Nothing here imports torch.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from dagster_project import partitions, plots, provenance
from dagster_project.assets.factory import Grain
from dagster_project.detection import detector_folder, detector_for
from dagster_project.failures import PermanentFailure, translated
from dagster_project.launching.launcher import Launcher, project_path
from dagster_project.launchpad import LaunchConfig
from dagster_project.resources import Workspace
from prompts.releases.build import releases
from training.recipes import detector_recipes, model_recipes, recipe_path

_MODELS = Grain("models", ("torch", "huggingface"), partitions.model_partitions)
_DETECTORS = Grain("models", ("onnx", "pytorch"), partitions.detector_partitions)
_TRAINER_CODE = ("training/vlm",)
MAX_STEPS = 10_000_000
_PARTITION = (
    "A partition is a recipe of `training/vlm/recipes`: `tiny` trains on a CPU in a minute, the "
    "others want a GPU and hours."
)


class TrainConfig(LaunchConfig):
    """What may be changed in the launchpad; the rest is the recipe's."""

    max_steps: int = Field(
        0,
        ge=0,
        le=MAX_STEPS,
        description="Stop after this many steps, at most 10,000,000; 0 keeps the recipe's.",
    )
    learning_rate: float = Field(
        0.0, ge=0.0, le=0.1, description="Peak learning rate, at most 0.1; 0 keeps the recipe's."
    )
    is_fresh: bool = Field(
        False, description="Start anew instead of resuming from the last checkpoint."
    )


class DetectorTrainConfig(LaunchConfig):
    """What may be changed in the launchpad when a detector is trained."""

    epochs: int = Field(0, ge=0, le=1000, description="Epochs; 0 keeps the recipe's.")


def stage_folder(workspace: Workspace, recipe: str, stage: str) -> Path:
    """Return the folder of one stage of a recipe."""
    return workspace.folder("models", "vlm", recipe, stage)


def model_folder(workspace: Workspace, recipe: str) -> Path:
    """Return the folder of a recipe's finished model: of the last stage it declares."""
    return stage_folder(workspace, recipe, model_recipes()[recipe].stages[-1])


@_MODELS.asset(
    "aligned_model",
    code=_TRAINER_CODE,
    deps=[
        dg.AssetDep(
            "instruction_dataset",
            partition_mapping=partitions.releases_to_models("stage0", "stage1"),
        ),
    ],
    description="Stage 1: the projector alone (`model.visual.merger`) learns to put pages into the "
    f"language model's words; everything else is frozen. {_PARTITION}",
    is_costly=True,
    pool="gpu",
)
def aligned_model(
    context: dg.AssetExecutionContext,
    config: TrainConfig,
    workspace: Workspace,
    launcher: Launcher,
) -> dg.MaterializeResult[None]:
    """Run stage 1 of a recipe."""
    return _train(context, config, workspace, launcher, "stage1")


@_MODELS.asset(
    "tuned_model",
    code=_TRAINER_CODE,
    deps=[
        "aligned_model",
        dg.AssetDep(
            "instruction_dataset",
            partition_mapping=partitions.releases_to_models("stage0", "stage2"),
        ),
    ],
    description="Stage 2: the language model and the projector learn to answer; the rest of the "
    f"vision tower stays frozen. {_PARTITION}",
    is_costly=True,
    pool="gpu",
)
def tuned_model(
    context: dg.AssetExecutionContext,
    config: TrainConfig,
    workspace: Workspace,
    launcher: Launcher,
) -> dg.MaterializeResult[None]:
    """Run stage 2 of a recipe on the model of the stage before."""
    return _train(context, config, workspace, launcher, "stage2")


def _train(
    context: dg.AssetExecutionContext,
    config: TrainConfig,
    workspace: Workspace,
    launcher: Launcher,
    stage: str,
) -> dg.MaterializeResult[None]:
    recipe = context.partition_key
    head, out = model_recipes()[recipe], stage_folder(workspace, recipe, stage)
    if stage not in head.stages:
        return _left_out(context, stage)
    if head.stage_before(stage) == "stage0":
        # no asset of its own: it stands in for the pretraining that a built model lacks. A finished
        # one is found and not repeated
        _launch(context, workspace, launcher, "stage0", ())
    words = [f"{stage}.max_steps={config.max_steps}"] if config.max_steps else []
    words += [f"{stage}.lr={config.learning_rate}"] if config.learning_rate else []
    overrides = [word for setting in words for word in ("--set", setting)]
    overrides += ["--fresh"] if config.is_fresh else []
    reported = _launch(context, workspace, launcher, stage, overrides)
    steps = _read_lines(out / "metrics.jsonl")
    losses = [(s["step"], s["loss"]) for s in steps if "loss" in s]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(weights_version(out)),
        metadata={
            **(reported.metadata or {}),
            "path": dg.MetadataValue.path(str(out)),
            "release": head.release_of(stage),
            "steps": len(losses),
            "loss_curve": plots.loss_curve(losses, f"{recipe}, {stage}"),
            "code": provenance.code_version(*_TRAINER_CODE),
        },
    )


def _left_out(context: dg.AssetExecutionContext, stage: str) -> dg.MaterializeResult[None]:
    """Pass over a stage that an ablation does without, so that the job ``train`` reaches the rest."""
    recipe = context.partition_key
    last = model_recipes()[recipe].stages[-1]
    told = f"recipe {recipe} is an ablation without {stage}: nothing was trained. Its model is that of {last}"
    context.log.info(told)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"without-{stage}"), metadata={"left out": told, "steps": 0}
    )


def _launch(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    launcher: Launcher,
    stage: str,
    overrides: Sequence[str],
) -> dg.MaterializeResult[None]:
    recipe = context.partition_key
    head, before = model_recipes()[recipe], model_recipes()[recipe].stage_before(stage)
    release = workspace.folder("releases", head.release_of(stage))
    # by name: another machine has the recipe in its own copy of this project
    words = [stage, "--recipe", recipe, "--dataset", str(release.resolve())]
    words += ["--out", str(stage_folder(workspace, recipe, stage).resolve())]
    if before:
        words += ["--base", str(stage_folder(workspace, recipe, before).resolve())]
    folder = workspace.folder("launches", stage, recipe)
    reported = launcher.run(context, "training", [*words, *overrides], folder, is_spread=True)
    if reported is None:
        raise PermanentFailure("the trainer ended well and reported no model; its output says more")
    return reported


@_DETECTORS.asset(
    "waveform_detector",
    code=("training/waveform", "detectors/waveform"),
    deps=[
        dg.AssetDep("waveform_annotations", partition_mapping=partitions.releases_to_detectors())
    ],
    description="YOLO waveform detector: weights, model card and per-class thresholds. `shipped` "
    "checks the weights inside the package; other recipes train from the annotations.",
    is_costly=True,
    pool="gpu",
)
def waveform_detector(
    context: dg.AssetExecutionContext,
    config: DetectorTrainConfig,
    workspace: Workspace,
    launcher: Launcher,
) -> dg.MaterializeResult[None]:
    """Train a detector in a program of its own, or check the shipped one, and report its card."""
    recipe = context.partition_key
    if recipe != partitions.SHIPPED_DETECTOR:
        _train_detector(context, config, workspace, launcher)
    with translated():
        detector = detector_for(workspace, recipe)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(detector.weights_id),
        metadata={
            "weights": detector.weights_id,
            "card": dg.MetadataValue.json(detector.card_json()),
            "licence": "AGPL-3.0 (trained with ultralytics; see NOTICE)",
        },
    )


def _train_detector(
    context: dg.AssetExecutionContext,
    config: DetectorTrainConfig,
    workspace: Workspace,
    launcher: Launcher,
) -> None:
    recipe, store = context.partition_key, workspace.store()
    release = detector_recipes()[recipe].release
    shards = [s for s in releases()[release].shards if store.manifest("segments", s)]
    if not shards:
        raise PermanentFailure(f"release {release!r} has no materialised shard to train from")
    command = ["train", "--recipe", str(recipe_path(recipe))]
    command += ["--segments", *(store.path("segments", s) for s in shards)]
    command += [store.path("planted_segments", release)]
    command += ["--annotations", store.path("waveform_annotations", release)]
    command += ["--out", str(detector_folder(workspace, recipe).resolve())]
    command += ["--epochs", str(config.epochs)] if config.epochs else []
    launch = workspace.folder("launches", context.asset_key.path[-1], recipe)
    launcher.run(context, "training.waveform", command, launch)


def weights_version(folder: Path) -> str:
    """Hash the weights of a saved model: the data version of its stage.

    Raises
    ------
    PermanentFailure
        If the folder holds no safetensors weights.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise PermanentFailure(f"no safetensors weights under {folder}; the trainer's log says why")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()[:16]


def program_environment() -> dict[str, str]:
    """Return the environment of a started program: no telemetry, this project on its path."""
    return {
        **os.environ,
        "PYTHONPATH": project_path(),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "YOLO_OFFLINE": "1",
    }


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


ASSETS = (waveform_detector, aligned_model, tuned_model)
