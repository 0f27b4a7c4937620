"""From a trained network to what is shipped: an ONNX file and its card.

The exported graph reads compact rows (uint8, one pixel row per channel, any number of segments) and
gives centre, size and class probabilities of every anchor; suppression stays outside, in
``detectors.waveform.nms``. Names of files and machines are stripped from the graph.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import CARD_NAME, DetectorCard
from detectors.waveform.raster import BANDS, N_GRID_ROWS, WIDTH_PX, ZERO_GREY
from training.waveform.errors import TrainerError
from training.waveform.network import compact

OPSET = 18
LICENCE = "AGPL-3.0"
"""ultralytics claims weights trained with it under its own licence; see NOTICE."""

_TOLERANCE = 2e-3
"""Largest difference of a class probability between torch and onnxruntime that passes."""


def onnx_bytes(model: Any) -> bytes:
    """Export a network and check the export against it.

    Parameters
    ----------
    model
        A trained ``DetectionModel``.

    Raises
    ------
    TrainerError
        If onnxruntime gives other class probabilities than torch, for one segment or for three.
    """
    import onnx
    import torch

    reader = compact(model)
    shape = (1, len(BANDS), N_GRID_ROWS, WIDTH_PX)
    buffer = io.BytesIO()
    torch.onnx.export(
        reader,
        (torch.full(shape, ZERO_GREY, dtype=torch.uint8),),
        buffer,
        input_names=["rows"],
        output_names=["boxes"],
        dynamic_axes={"rows": {0: "segments"}, "boxes": {0: "segments"}},
        opset_version=OPSET,
        dynamo=False,
    )
    graph = onnx.load_from_string(buffer.getvalue())
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.helper.set_model_props(graph, {"license": LICENCE, "classes": ",".join(WAVEFORMS)})
    content: bytes = graph.SerializeToString(deterministic=True)
    _compare(content, reader, shape)
    return content


def _compare(content: bytes, reader: Any, shape: tuple[int, ...]) -> None:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for n_segments in (1, 3):
        rows = rng.integers(0, 256, size=(n_segments, *shape[1:]), dtype=np.uint8)
        (mine,) = session.run(None, {"rows": rows})
        with torch.inference_mode():
            theirs = reader(torch.from_numpy(rows)).numpy()
        worst = float(np.abs(mine[:, 4:] - theirs[:, 4:]).max())
        if mine.shape != theirs.shape or worst > _TOLERANCE:
            raise TrainerError(
                f"the exported graph differs from the network: shapes {mine.shape} and "
                f"{theirs.shape}, class probabilities by {worst:.2g}, allowed {_TOLERANCE}"
            )


def weights_id_of(content: bytes) -> str:
    """Return the pinned id of exported weights."""
    return "waveform-" + hashlib.sha256(content).hexdigest()[:12]


def write_weights(folder: Path, content: bytes, card: DetectorCard) -> None:
    """Write weights and card; the card comes last, so a folder with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (
        (card.weights_file, content),
        (CARD_NAME, (card.model_dump_json(indent=1) + "\n").encode()),
    ):
        part = folder / f".{name}.{os.getpid()}.part"
        part.write_bytes(data)
        part.replace(folder / name)
