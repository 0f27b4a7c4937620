"""A small ADHD-Child tree: four folders of MATLAB v5 files, one array each, named like the file.

From the corpus' description: 19 columns at 128 Hz, integers in some files and floating point in
others, folder names whose case, blank and underscore vary, lengths that differ.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

CHILDREN = {
    "ADHD_part1": ("v10p", "v3p"), "ADHD_part2": ("v173",), "Control_part1": ("v107", "v41p"),
    "Control_part2": ("v129",),
}  # fmt: skip
RATE = 128


def write(root: Path, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Write the tree and return each child's microvolts, shape (n_samples, 19)."""
    rng = np.random.default_rng(seed)
    planted = {}
    for folder, stems in CHILDREN.items():
        for i, stem in enumerate(stems):
            n = RATE * (34 + 7 * i + len(stem))
            data = 18 * rng.standard_normal((n, 19)) + 10 * np.arange(19)
            data = np.rint(data).astype(np.int16) if stem.endswith("p") else data
            path = root / "adhd-child" / folder / f"{stem}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(path, {stem: data}, do_compression=stem == "v10p")
            planted[stem] = data.astype(np.float64)
    return planted
