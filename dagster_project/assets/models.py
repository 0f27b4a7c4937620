"""Group ``models``: the waveform detector and the two stages of a vision-language model.

Training runs in programs of its own (``python -m training ...``), started through Dagster Pipes, so
the same program runs by hand, under torchrun or on another machine. Nothing here imports torch.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from dagster_project import partitions, plots, provenance
from dagster_project.assets.factory import Grain
from dagster_project.detection import detector_folder, detector_for
from dagster_project.failures import PermanentFailure, translated
from dagster_project.resources import Workspace
from prompts.releases.build import releases
from training.recipes import detector_recipes, model_recipes, recipe_path

_MODELS = Grain("models", ("torch", "huggingface"), partitions.model_partitions)
_DETECTORS = Grain("models", ("onnx", "pytorch"), partitions.detector_partitions)
_TRAINER_CODE = ("training/vlm",)
MAX_STEPS = 10_000_000


class TrainConfig(dg.Config):
    """What may be changed in the launchpad; the rest is the recipe's."""

    max_steps: int = Field(
        0, ge=0, le=MAX_STEPS, description="Stop after this many steps; 0 keeps the recipe's."
    )
    learning_rate: float = Field(
        0.0, ge=0.0, le=0.1, description="Peak learning rate, at most 0.1; 0 keeps the recipe's."
    )
    is_fresh: bool = Field(
        False, description="Start anew instead of resuming from the last checkpoint."
    )


class DetectorTrainConfig(dg.Config):
    """What may be changed in the launchpad when a detector is trained."""

    epochs: int = Field(0, ge=0, le=1000, description="Epochs; 0 keeps the recipe's.")


def stage_folder(workspace: Workspace, recipe: str, stage: str) -> Path:
    """Return the folder of one stage of a recipe."""
    return workspace.folder("models", "vlm", recipe, stage)


@_MODELS.asset(
    "aligned_model",
    code=_TRAINER_CODE,
    deps=[
        dg.AssetDep("instruction_dataset", partition_mapping=partitions.releases_to_models()),
    ],
    description="Stage 1: the projector alone (`model.visual.merger`) learns to put pages into the "
    "language model's words; everything else is frozen.",
    is_costly=True,
    pool="gpu",
)
def aligned_model(
    context: dg.AssetExecutionContext,
    config: TrainConfig,
    workspace: Workspace,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult[None]:
    """Run stage 1 of a recipe."""
    return _train(context, config, workspace, pipes, "stage1", base=None)


@_MODELS.asset(
    "tuned_model",
    code=_TRAINER_CODE,
    deps=[
        "aligned_model",
        dg.AssetDep("instruction_dataset", partition_mapping=partitions.releases_to_models()),
    ],
    description="Stage 2: the language model and the projector learn to answer; the rest of the "
    "vision tower stays frozen.",
    is_costly=True,
    pool="gpu",
)
def tuned_model(
    context: dg.AssetExecutionContext,
    config: TrainConfig,
    workspace: Workspace,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult[None]:
    """Run stage 2 of a recipe on the model of stage 1."""
    base = stage_folder(workspace, context.partition_key, "stage1")
    return _train(context, config, workspace, pipes, "stage2", base=base)


def _train(
    context: dg.AssetExecutionContext,
    config: TrainConfig,
    workspace: Workspace,
    pipes: dg.PipesSubprocessClient,
    stage: str,
    *,
    base: Path | None,
) -> dg.MaterializeResult[None]:
    recipe = context.partition_key
    release = workspace.folder("releases", model_recipes()[recipe].release)
    out = stage_folder(workspace, recipe, stage)
    with translated():
        command = [sys.executable, "-m", "training", stage, "--recipe", str(recipe_path(recipe))]
        command += ["--dataset", str(release), "--out", str(out)]
        command += ["--base", str(base)] if base else []
        command += ["--set", f"{stage}.max_steps={config.max_steps}"] if config.max_steps else []
        if config.learning_rate:
            command += ["--set", f"{stage}.lr={config.learning_rate}"]
        command += ["--fresh"] if config.is_fresh else []
    run = pipes.run(context=context, command=command, env=program_environment())
    reported = run.get_materialize_result()
    steps = _read_lines(out / "metrics.jsonl")
    losses = [(s["step"], s["loss"]) for s in steps if "loss" in s]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(weights_version(out)),
        metadata={
            **(reported.metadata or {}),
            "path": dg.MetadataValue.path(str(out)),
            "release": model_recipes()[recipe].release,
            "steps": len(losses),
            "first_loss": losses[0][1] if losses else float("nan"),
            "last_loss": losses[-1][1] if losses else float("nan"),
            "loss_curve": plots.loss_curve(losses, f"{recipe}, {stage}"),
            "code": provenance.code_version(*_TRAINER_CODE),
        },
    )


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
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult[None]:
    """Train a detector in a program of its own, or check the shipped one, and report its card."""
    recipe = context.partition_key
    if recipe != partitions.SHIPPED_DETECTOR:
        _train_detector(context, config, workspace, pipes)
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
    pipes: dg.PipesSubprocessClient,
) -> None:
    recipe, store = context.partition_key, workspace.store()
    release = detector_recipes()[recipe].release
    shards = [s for s in releases()[release].shards if store.manifest("segments", s)]
    if not shards:
        raise PermanentFailure(f"release {release!r} has no materialised shard to train from")
    command = [sys.executable, "-m", "training.waveform", "train"]
    command += ["--recipe", str(recipe_path(recipe))]
    command += ["--segments", *(store.path("segments", s) for s in shards)]
    command += [store.path("planted_segments", release)]
    command += ["--annotations", store.path("waveform_annotations", release)]
    command += ["--out", str(detector_folder(workspace, recipe))]
    command += ["--epochs", str(config.epochs)] if config.epochs else []
    pipes.run(context=context, command=command, env=program_environment())


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
    project = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (project, os.environ.get("PYTHONPATH", "")) if p)
    return {
        **os.environ,
        "PYTHONPATH": path,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "YOLO_OFFLINE": "1",
    }


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


ASSETS = (waveform_detector, aligned_model, tuned_model)
