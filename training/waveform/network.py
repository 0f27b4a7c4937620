"""The YOLO network of the waveform detector, built from ultralytics' modules.

A grid row is a channel from the first layer to the last; time is halved level by level to 160 ms
per cell and brought back to 40 ms, where the single detection head sits. Wider levels of a usual
YOLO would put two channels into one cell and could never hold a box one channel high. Neighbours in
the raster's order are not neighbours on the head, so three layers mix all rows with learnt weights:
what a reader does who looks for a field. Boxes are regressed without bins (``reg_max`` 1, as YOLO26
does) but on a sinh scale, because a spindle is 75 times as wide as a spike.

ultralytics is AGPL-3.0 and is imported inside functions only.
"""

from __future__ import annotations

import copy
import math
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from detectors.types import SFREQ_HZ
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.raster import N_GRID_ROWS, N_PLANES, ROW_PX
from training import torchvision_shim
from training.waveform.recipe import NetworkRecipe, OptimiserRecipe

MARGIN_S = 0.04
"""Added to both ends of every box while training and taken off in the exported graph. A box is
taught in proportion to the overlap already reached, and a bare spike of 5-13 pixels never overlaps
enough to start; with its margins it spans three anchors and learns like the rest."""

MIXED_LAYERS = (2, 6, 9)
"""Layers whose output is mixed over rows: after strides 4 and 16 along time, and the deepest."""

_INITIAL_STRIDES = 2.0
"""Distance of a fresh network's box edges from their anchor, as ultralytics sets it."""


def prepare_ultralytics() -> None:
    """Import ultralytics off the network, beside a torchvision that loads; call before using either.

    Values already in the environment stay as they are, and so does Pillow: ultralytics replaces
    ``PIL.Image.open`` for the whole process, after which a broken picture is no longer refused but
    asks for a package.
    """
    config_dir = Path(tempfile.gettempdir()) / "neurogloss-ultralytics"
    config_dir.mkdir(parents=True, exist_ok=True)
    defaults = {
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "0",
        "YOLO_VERBOSE": "0",
        "YOLO_CONFIG_DIR": str(config_dir),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    torchvision_shim.install()
    from PIL import Image

    kept = Image.open
    import ultralytics.nn.tasks  # noqa: F401

    vars(Image)["open"] = kept


def network_spec(recipe: NetworkRecipe) -> dict[str, Any]:
    """Return the network in ultralytics' own model format: ``[from, repeats, module, args]``."""
    stem, p2, p3, p4, p5 = recipe.channels
    narrower, wider = [3, 3], (1, 2)
    return {
        "nc": len(WAVEFORMS),
        "reg_max": 1,
        "channels": N_PLANES,
        "backbone": [
            [-1, 1, "Conv", [stem, [1, 7], [1, 2], [0, 3]]],
            [-1, 1, "Conv", [p2, [1, 5], [1, 2], [0, 2]]],
            [-1, 1, "C3k2", [p2, False, 0.25]],
            [-1, 1, "Conv", [p3, narrower, [1, 2], [1, 1]]],
            [-1, 1, "C3k2", [p3, False, 0.5]],
            [-1, 1, "Conv", [p4, narrower, [1, 2], [1, 1]]],
            [-1, 1, "C3k2", [p4, False, 0.5]],
            [-1, 1, "Conv", [p5, narrower, [1, 2], [1, 1]]],
            [-1, 1, "C3k2", [p5, False, 0.5]],
            [-1, 1, "SPPF", [p5, 5]],
        ],
        "head": [
            [-1, 1, "nn.Upsample", [None, wider, "nearest"]],
            [[-1, 6], 1, "Concat", [1]],
            [-1, 1, "C3k2", [p4, False, 0.5]],
            [-1, 1, "nn.Upsample", [None, wider, "nearest"]],
            [[-1, 4], 1, "Concat", [1]],
            [-1, 1, "C3k2", [p3, False, 0.5]],
            [[15], 1, "Detect", ["nc"]],
        ],
    }


def build_network(recipe: NetworkRecipe, optimiser: OptimiserRecipe, seed: int) -> Any:
    """Return an ``ultralytics.nn.tasks.DetectionModel`` with fresh weights.

    Parameters
    ----------
    recipe
        Widths.
    optimiser
        Gains of the loss.
    seed
        Seed of the initial weights.
    """
    prepare_ultralytics()
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from training.waveform._layers import MixRows, SinhDistance

    torch.manual_seed(seed)
    model = DetectionModel(network_spec(recipe), ch=N_PLANES, nc=len(WAVEFORMS), verbose=False)
    model.args = SimpleNamespace(
        box=optimiser.box_gain, cls=optimiser.class_gain, dfl=optimiser.distance_gain
    )
    head = model.model[-1]
    # rows are never halved, so ultralytics measures a stride of 1; that along time is the one to use
    head.stride.fill_(float(ROW_PX))
    model.stride = head.stride
    head.bias_init()
    branch = head.cv2[0]
    torch.nn.init.constant_(branch[-1].bias, math.asinh(_INITIAL_STRIDES))
    branch.append(SinhDistance())
    for index in MIXED_LAYERS:
        layer = model.model[index]
        n_channels = layer.cv2.conv.out_channels  # ultralytics rounds widths up to eights
        mixed = torch.nn.Sequential(layer, MixRows(n_channels, N_GRID_ROWS))
        for name in ("i", "f", "type", "np"):
            setattr(mixed, name, getattr(layer, name))
        model.model[index] = mixed
    return model


def reader_of(model: Any) -> Any:
    """Return a copy that reads uint8 rows and gives boxes without margins, for export."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, rows: Any) -> Any:
            output = self.inner(rows.float() / 255.0)
            margin = torch.zeros(1, output.shape[1], 1)
            margin[:, 2] = 2 * MARGIN_S * SFREQ_HZ
            return output - margin

    inner = copy.deepcopy(model).float().eval()
    inner.criterion = None
    head = inner.model[-1]
    head.export, head.dynamic, head.format = True, False, "onnx"
    return Reader(inner).eval()
