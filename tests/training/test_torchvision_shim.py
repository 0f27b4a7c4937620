"""torchvision beside whatever torch there is: importable, with a true non-maximum suppression."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [float(np.prod(box[2:] - box[:2])) for box in (a, b)]
    return float(width * height) / (sum(areas) - float(width * height))


def _reference(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(_iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(int(i))
    return kept


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from([0.2, 0.5, 0.7]))
def test_suppression_keeps_what_the_definition_keeps(seed: int, n: int, threshold: float) -> None:
    import torch
    import torchvision

    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (n, 2))
    boxes = np.hstack([corner, corner + rng.uniform(1, 40, (n, 2))]).astype(np.float32)
    scores = rng.permutation(n).astype(np.float32)
    kept = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert kept.tolist() == _reference(boxes, scores, threshold)


@pytest.mark.parametrize(("mode", "n_channels"), [("RGB", 3), ("GRAY", 1)])
def test_picture_decodes_to_planes(mode: str, n_channels: int) -> None:
    import torch
    from torchvision.io import ImageReadMode, decode_image

    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    data = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
    planes = decode_image(data, mode=ImageReadMode[mode])
    assert tuple(planes.shape) == (n_channels, 4, 6)
    if mode == "RGB":
        np.testing.assert_array_equal(planes.numpy(), picture.transpose(2, 0, 1))


def test_hook_survives_being_asked_twice_and_imports_nothing() -> None:
    program = (
        "import sys, importlib.util\n"
        "from training import torchvision_shim as shim\n"
        "shim.install(); n = len(sys.meta_path); shim.install()\n"
        "assert len(sys.meta_path) == n, 'installed twice'\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "assert importlib.util.find_spec('torchvision') is not None\n"
        "import torchvision.transforms.v2, torchvision.ops\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
