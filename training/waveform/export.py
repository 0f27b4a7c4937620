"""From a trained network to what is shipped: ONNX files, safetensors and their card.

The exported graph reads compact rows (uint8, one pixel row per channel, any number of segments) and
gives centre, size and class probabilities of every anchor; suppression stays outside, in
``detectors.waveform.nms``. Names of files and machines are stripped from the graph.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import CARD_NAME, DetectorCard
from detectors.waveform.raster import N_GRID_ROWS, N_PLANES, WIDTH_PX, ZERO_GREY
from training.waveform.errors import TrainerError
from training.waveform.network import reader_of

OPSET = 18
LICENCE = "AGPL-3.0"
"""ultralytics claims weights trained with it under its own licence; see NOTICE."""

_TIMED_PASSES = 5
_LAYER = re.compile(r"/model\.(\d+)/")
"""Number of a network's layer in the names of its nodes."""

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

    reader = reader_of(model)
    shape = (1, N_PLANES, N_GRID_ROWS, WIDTH_PX)
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


def int8_bytes(content: bytes, rows: NDArray[np.uint8]) -> bytes:
    """Return an exported graph with its convolutions in int8, onnxruntime's static quantisation.

    Parameters
    ----------
    content
        The float32 graph.
    rows
        Rasters whose activations decide the ranges, shape (n, N_PLANES, 20, 2016): training ones.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(np.array_split(rows, max(1, len(rows) // 4)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            part = next(self._rest, None)
            return None if part is None else {"rows": part}

    with tempfile.TemporaryDirectory(prefix="int8-") as name:
        source, target = Path(name) / "float32.onnx", Path(name) / "int8.onnx"
        source.write_bytes(content)
        quantize_static(
            source,
            target,
            Reader(),
            per_channel=True,
            reduce_range=True,  # AVX2 adds pairs of products in 16 bits, which full range overflows
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_kept_convolutions(content),
        )
        return target.read_bytes()


def _kept_convolutions(content: bytes) -> list[str]:
    """Return the convolutions that stay in float32: the first, which reads faint grey, and the head.

    Quantised as well they cost 0.02 mAP and save a tenth of a millisecond (measured).
    """
    import onnx

    graph = onnx.load_from_string(content).graph
    names = [node.name for node in graph.node if node.op_type == "Conv"]
    layers = [int(found[1]) if (found := _LAYER.search(name)) else -1 for name in names]
    return [
        name
        for name, layer in zip(names, layers, strict=True)
        if name == names[0] or layer == max(layers)
    ]


def state_bytes(model: Any) -> bytes:
    """Return a network's weights as safetensors."""
    from safetensors.torch import save

    content: bytes = save({k: v.contiguous() for k, v in model.state_dict().items()})
    return content


def ms_per_segment(content: bytes, rows: NDArray[np.uint8]) -> float:
    """Return the milliseconds of CPU one segment takes on one thread, the best of a few passes.

    Segments go through one by one, as ``detectors.waveform.infer`` sends them on a CPU.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    taken = []
    for _ in range(_TIMED_PASSES):
        start = time.process_time()
        for i in range(len(rows)):
            session.run(None, {"rows": rows[i : i + 1]})
        taken.append(time.process_time() - start)
    return round(1e3 * min(taken) / len(rows), 2)


def weights_id_of(content: bytes) -> str:
    """Return the pinned id of exported weights."""
    return "waveform-" + hashlib.sha256(content).hexdigest()[:12]


def write_weights(folder: Path, files: Mapping[str, bytes], card: DetectorCard) -> None:
    """Write files and card; the card comes last, so a folder with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {**files, CARD_NAME: (card.model_dump_json(indent=1) + "\n").encode()}
    for name, data in whole.items():
        part = folder / f".{name}.{os.getpid()}.part"
        part.write_bytes(data)
        part.replace(folder / name)
