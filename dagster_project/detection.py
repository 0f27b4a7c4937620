"""Which waveform detector a recipe name means, and where its weights lie.

``shipped`` are the weights inside the package; any other name is a recipe of
``training/waveform/recipes`` whose weights the asset ``waveform_detector`` wrote.
"""

from __future__ import annotations

from pathlib import Path

from dagster_project.failures import PermanentFailure
from dagster_project.partitions import SHIPPED_DETECTOR
from dagster_project.resources import Workspace
from detectors.waveform.infer import Device, Precision, WaveformDetector, load_detector


def detector_folder(workspace: Workspace, recipe: str) -> Path:
    """Return the folder a trained detector's weights are written to."""
    return workspace.folder("models", "waveform_detector", recipe)


def detector_for(
    workspace: Workspace, recipe: str, device: Device = "cpu", precision: Precision = "auto"
) -> WaveformDetector:
    """Load the detector of a recipe.

    Raises
    ------
    PermanentFailure
        If the recipe's weights have not been trained yet.
    """
    if recipe == SHIPPED_DETECTOR:
        return load_detector(device=device, precision=precision)
    folder = detector_folder(workspace, recipe)
    if not folder.is_dir():
        raise PermanentFailure(
            f"detector {recipe!r} has no weights under {folder}; materialise 'waveform_detector' for "
            f"partition {recipe!r} first, or use {SHIPPED_DETECTOR!r}"
        )
    return load_detector(folder, device=device, precision=precision)
