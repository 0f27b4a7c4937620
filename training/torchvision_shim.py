"""Makes torchvision importable beside a CPU build of torch; does nothing where it already is.

torchvision's only registry wheel is linked against CUDA. Beside a CPU torch its operator library
does not load and ``import torchvision`` fails, and with it every Qwen2.5-VL processor and
ultralytics. :func:`install` puts an import hook in place that costs nothing until torchvision is
imported: where the native library loads (a GPU machine) the hook steps aside; elsewhere it
registers a plain ``nms`` and decodes pictures with PIL.

This is the one module whose work is done at import time of another, and programs call
:func:`install` at their entry points. Transforms and ``batched_nms`` work under it; deformable
convolution and picture encoding do not.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_MODULE = "torchvision"
_OPERATORS = ("nms", "qnms")
_PIL_MODES = {"RGB": "RGB", "RGB_ALPHA": "RGBA", "GRAY": "L", "GRAY_ALPHA": "LA"}
_KEEP: list[Any] = []
"""Holds the operator library, which torch drops when nobody refers to it."""


def install() -> None:
    """Put the hook in place, once, unless torchvision is imported already."""
    if _MODULE in sys.modules or any(isinstance(f, _Finder) for f in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the loader of torchvision whenever it is looked for.

    It stays in place: libraries ask whether torchvision exists before they import it.
    """

    def __init__(self) -> None:
        self._is_asking = False

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._is_asking = False
        if spec is None or spec.loader is None:
            return spec
        spec.loader = _Loader(spec.loader, spec.submodule_search_locations or ())
        return spec


class _Loader(importlib.abc.Loader):
    """Registers the operators, runs torchvision's own loader, then replaces its decoder."""

    def __init__(self, inner: Any, folders: Sequence[str]) -> None:
        self._inner = inner
        self._folders = tuple(folders)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if _has_native_operators(self._folders):
            self._inner.exec_module(module)
            return
        import torch

        library = torch.library.Library(_MODULE, "DEF")
        _KEEP.append(library)
        for name in _OPERATORS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", _nms, "CPU")
        self._inner.exec_module(module)

        import torchvision.extension
        import torchvision.io.image

        torchvision.extension._has_ops = lambda: True
        torchvision.io.image.decode_image = _decode_image
        torchvision.io.decode_image = _decode_image


def _has_native_operators(folders: Sequence[str]) -> bool:
    """Whether torchvision's own operator library loads beside this torch."""
    import torch

    library = next((p for folder in folders for p in Path(folder).glob("_C*.so")), None)
    if library is None:
        return True  # no operators were built, so none are expected at import
    try:
        torch.ops.load_library(str(library))
    except OSError:
        return False
    return True


def _nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """Return the indices of the boxes kept by greedy non-maximum suppression, best first.

    Boxes are ``(n, 4)`` corners ``x0, y0, x1, y1``; scores ``(n,)``.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    boxes = dets[order].float()
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    is_alive = torch.ones(len(boxes), dtype=torch.bool)
    kept = []
    for i in range(len(boxes)):
        if not is_alive[i]:
            continue
        kept.append(i)
        rest = boxes[i + 1 :]
        low, high = (
            torch.maximum(boxes[i, :2], rest[:, :2]),
            torch.minimum(boxes[i, 2:], rest[:, 2:]),
        )
        overlap = (high - low).clamp(min=0).prod(dim=1)
        union = area[i] + area[i + 1 :] - overlap
        is_alive[i + 1 :] &= overlap <= iou_threshold * union
    return order[torch.tensor(kept, dtype=torch.int64)]


def _decode_image(data: Any, mode: Any = "UNCHANGED", apply_exif_orientation: bool = False) -> Any:
    """Decode encoded bytes or a file to ``uint8 (channels, height, width)`` with PIL."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    image: Any = Image.open(data if isinstance(data, str) else io.BytesIO(bytes(data.numpy())))
    if apply_exif_orientation:
        image = ImageOps.exif_transpose(image)
    pil_mode = _PIL_MODES.get(getattr(mode, "name", str(mode)))
    array = np.array(image.convert(pil_mode) if pil_mode else image)
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes))
