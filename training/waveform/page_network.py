"""The YOLO network that reads pages, and its training: the other arm of ``compare``.

A plain YOLO11 of three levels - strides 8, 16 and 32 both ways - with the widths, the box branch
(no bins, a sinh scale), the loss and the optimiser of the raster's network, so that the picture is
what differs. A channel's row is 41 pixels high, so an anchor belongs to one row at strides 8 and 16.
Pictures and boxes are in ``page_encoding``; it is not shipped.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from detectors.vocabulary import WAVEFORMS
from training.waveform.dataset import Batch, SegmentSet
from training.waveform.errors import TrainerError
from training.waveform.export import OPSET
from training.waveform.network import prepare_ultralytics
from training.waveform.page_encoding import page_batch, picture_size
from training.waveform.recipe import DetectorRecipe, NetworkRecipe
from training.waveform.train import (
    Progress,
    ReportProgress,
    TrainedNetwork,
    _Run,
    _steps_per_epoch,
)

MARGIN_PX = 8
"""Added to both ends of every box while training and taken off in the exported graph: one finest
stride, as for the raster. A bare spike is 2-4 pixels wide and holds no anchor."""

_INITIAL_STRIDES = 2.0


def page_network_spec(recipe: NetworkRecipe) -> dict[str, Any]:
    """Return the network in ultralytics' own model format: ``[from, repeats, module, args]``."""
    stem, p2, p3, p4, p5 = recipe.channels
    return {
        "nc": len(WAVEFORMS),
        "reg_max": 1,
        "channels": 1,
        "backbone": [
            [-1, 1, "Conv", [stem, 3, 2]],
            [-1, 1, "Conv", [p2, 3, 2]],
            [-1, 1, "C3k2", [p2, False, 0.25]],
            [-1, 1, "Conv", [p3, 3, 2]],
            [-1, 1, "C3k2", [p3, False, 0.5]],
            [-1, 1, "Conv", [p4, 3, 2]],
            [-1, 1, "C3k2", [p4, False, 0.5]],
            [-1, 1, "Conv", [p5, 3, 2]],
            [-1, 1, "C3k2", [p5, False, 0.5]],
            [-1, 1, "SPPF", [p5, 5]],
        ],
        "head": [
            [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
            [[-1, 6], 1, "Concat", [1]],
            [-1, 1, "C3k2", [p4, False, 0.5]],
            [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
            [[-1, 4], 1, "Concat", [1]],
            [-1, 1, "C3k2", [p3, False, 0.5]],
            [-1, 1, "Conv", [p3, 3, 2]],
            [[-1, 12], 1, "Concat", [1]],
            [-1, 1, "C3k2", [p4, False, 0.5]],
            [-1, 1, "Conv", [p4, 3, 2]],
            [[-1, 9], 1, "Concat", [1]],
            [-1, 1, "C3k2", [p5, False, 0.5]],
            [[15, 18, 21], 1, "Detect", ["nc"]],
        ],
    }


def build_page_network(recipe: DetectorRecipe) -> Any:
    """Return an ``ultralytics.nn.tasks.DetectionModel`` for pages, with fresh weights."""
    prepare_ultralytics()
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from training.waveform._layers import SinhDistance

    torch.manual_seed(recipe.seed)
    spec = page_network_spec(recipe.network)
    model = DetectionModel(spec, ch=1, nc=len(WAVEFORMS), verbose=False)
    gains = recipe.optimiser
    model.args = SimpleNamespace(box=gains.box_gain, cls=gains.class_gain, dfl=gains.distance_gain)
    for branch in model.model[-1].cv2:
        torch.nn.init.constant_(branch[-1].bias, math.asinh(_INITIAL_STRIDES))
        branch.append(SinhDistance())
    return model


def train_page_network(
    data: SegmentSet,
    recipe: DetectorRecipe,
    out_dir: Path,
    report: ReportProgress = lambda _: None,
) -> TrainedNetwork:
    """Train from the recipe's seed, or go on from the checkpoint in ``out_dir``.

    Parameters and errors are those of :func:`training.waveform.train.train_network`; segments are
    taken with the boxes they have, nothing is planted on bare ones.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    run = _PageRun(data, recipe)
    run.resume(out_dir)
    steps, epochs = _steps_per_epoch(data, recipe.optimiser), recipe.optimiser.epochs
    for epoch in range(len(run.history), epochs):
        run.model.train()
        sums = np.zeros(3)
        for k, batch in enumerate(_batches(data, recipe, epoch)):
            sums += run.step(batch, epoch * steps + k, steps * epochs)
        total, box, class_ = sums / len(data)
        if not math.isfinite(total):
            raise TrainerError(f"loss is {total} in epoch {epoch}; lower the learning rate")
        rate = run.optimiser.param_groups[0]["lr"]
        run.history.append(Progress(epoch + 1, epochs, total, box, class_, rate))
        run.save(out_dir)
        report(run.history[-1])
    run.average.eval()
    return TrainedNetwork(run.average, tuple(run.history))


class _PageRun(_Run):
    """A run over pages; steps, averaging and checkpoints are those of the raster's run."""

    def build(self, recipe: DetectorRecipe) -> Any:
        """Return a fresh network."""
        return build_page_network(recipe)

    def losses(self, predicted: dict[str, Any], batch: Batch) -> Any:
        """Return box, class and distance loss, summed over the segments."""
        import torch

        boxes = batch.boxes.copy()
        boxes[:, 2] += 2 * MARGIN_PX / picture_size()[1]
        targets = {
            "batch_idx": torch.from_numpy(batch.segment_index),
            "cls": torch.from_numpy(batch.classes)[:, None],
            "bboxes": torch.from_numpy(boxes),
        }
        precise = {name: predicted[name].float() for name in ("boxes", "scores")}
        feats = [level.float() for level in predicted["feats"]]
        losses, _ = self.model.loss(targets, {**precise, "feats": feats})
        return losses


def _batches(data: SegmentSet, recipe: DetectorRecipe, epoch: int) -> Iterator[Batch]:
    # drawn as the raster's batches are, so both arms see the same signals in the same order
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(data))
    size = recipe.optimiser.batch_size
    for start in range(0, len(order), size):
        yield page_batch(data, order[start : start + size], recipe.augmentation, rng)


def page_reader_of(model: Any) -> Any:
    """Return a copy that reads uint8 pictures and gives boxes without margins, for export."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, rows: Any) -> Any:
            output = self.inner(rows.float() / 255.0)
            margin = torch.zeros(1, output.shape[1], 1)
            margin[:, 2] = 2.0 * MARGIN_PX
            return output - margin

    inner = copy.deepcopy(model).float().eval()
    inner.criterion = None
    head = inner.model[-1]
    head.export, head.dynamic, head.format = True, False, "onnx"
    return Reader(inner).eval()


def page_onnx_bytes(model: Any) -> bytes:
    """Export a network as ONNX: pictures (n, 1, 896, 1120) of uint8 in, boxes of every anchor out."""
    import torch

    buffer = io.BytesIO()
    torch.onnx.export(
        page_reader_of(model),
        (torch.full((1, 1, *picture_size()), 255, dtype=torch.uint8),),
        buffer,
        input_names=["rows"],
        output_names=["boxes"],
        dynamic_axes={"rows": {0: "segments"}, "boxes": {0: "segments"}},
        opset_version=OPSET,
        dynamo=False,
    )
    return buffer.getvalue()
