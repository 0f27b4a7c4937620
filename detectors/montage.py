"""Derivations and the geometry of the 19 electrodes: what is next to, opposite to and behind what.

Here live the longitudinal and transverse bipolar montages LB-18.1 and TB-18.1 (ACNS guideline 3,
2016), the average reference, and tables derived from electrode names. Words for regions and sides are in
:mod:`detectors.vocabulary`; drawing a montage is the page renderer's business.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19
from detectors.vocabulary import region_of, side_of_channels

LB18: tuple[tuple[str, str], ...] = (
    ("Fp1", "F7"), ("F7", "T7"), ("T7", "P7"), ("P7", "O1"),
    ("Fp1", "F3"), ("F3", "C3"), ("C3", "P3"), ("P3", "O1"),
    ("Fz", "Cz"), ("Cz", "Pz"),
    ("Fp2", "F4"), ("F4", "C4"), ("C4", "P4"), ("P4", "O2"),
    ("Fp2", "F8"), ("F8", "T8"), ("T8", "P8"), ("P8", "O2"),
)  # fmt: skip
"""LB-18.1 in its published order, ``V(first) - V(second)`` (ACNS guideline 3)."""

LB18_NAMES: tuple[str, ...] = tuple(f"{a}-{b}" for a, b in LB18)
"""Row names of LB-18.1."""

TB18: tuple[tuple[str, str], ...] = (
    ("F7", "Fp1"), ("Fp1", "Fp2"), ("Fp2", "F8"),
    ("F7", "F3"), ("F3", "Fz"), ("Fz", "F4"), ("F4", "F8"),
    ("T7", "C3"), ("C3", "Cz"), ("Cz", "C4"), ("C4", "T8"),
    ("P7", "P3"), ("P3", "Pz"), ("Pz", "P4"), ("P4", "P8"),
    ("P7", "O1"), ("O1", "O2"), ("O2", "P8"),
)  # fmt: skip
"""TB-18.1 in its published order: rows across the head, left to right, front to back (ACNS guideline
3). T7 and T8 are in one derivation only, so nothing reverses there."""

TB18_NAMES: tuple[str, ...] = tuple(f"{a}-{b}" for a, b in TB18)
"""Row names of TB-18.1."""

REFERENTIAL_BLOCKS: tuple[tuple[str, ...], ...] = (
    ("F7", "T7", "P7"), ("Fp1", "F3", "C3", "P3", "O1"), ("Fz", "Cz", "Pz"),
    ("Fp2", "F4", "C4", "P4", "O2"), ("F8", "T8", "P8"),
)  # fmt: skip
"""Single electrodes as a reader wants them: the blocks of LB-18.1, left above right and front above
back (ACNS guideline 3, 2.2)."""

HOMOLOGOUS: tuple[tuple[str, str], ...] = (
    ("Fp1", "Fp2"), ("F7", "F8"), ("F3", "F4"), ("T7", "T8"),
    ("C3", "C4"), ("P7", "P8"), ("P3", "P4"), ("O1", "O2"),
)  # fmt: skip
"""Left and right electrode of every homologous pair."""

NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "Fp1": ("Fp2", "F7", "F3"),
    "Fp2": ("Fp1", "F4", "F8"),
    "F7": ("Fp1", "F3", "T7"),
    "F3": ("Fp1", "F7", "Fz", "C3"),
    "Fz": ("F3", "F4", "Cz"),
    "F4": ("Fp2", "Fz", "F8", "C4"),
    "F8": ("Fp2", "F4", "T8"),
    "T7": ("F7", "C3", "P7"),
    "C3": ("F3", "T7", "Cz", "P3"),
    "Cz": ("Fz", "C3", "C4", "Pz"),
    "C4": ("F4", "Cz", "T8", "P4"),
    "T8": ("F8", "C4", "P8"),
    "P7": ("T7", "P3", "O1"),
    "P3": ("C3", "P7", "Pz", "O1"),
    "Pz": ("Cz", "P3", "P4"),
    "P4": ("C4", "Pz", "P8", "O2"),
    "P8": ("T8", "P4", "O2"),
    "O1": ("P7", "P3", "O2"),
    "O2": ("P4", "P8", "O1"),
}
"""Electrodes one step away along a chain or a row of the 10-20 grid; diagonals do not count."""

FRONTAL_ROWS = ("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8")
"""Electrodes an eye movement can reach; an artifact confined to them is not a body movement."""

_INDEX = {name: i for i, name in enumerate(CANONICAL19)}
_LB_ENDS, _TB_ENDS = (
    tuple(np.array([_INDEX[name] for name in ends]) for ends in zip(*pairs, strict=True))
    for pairs in (LB18, TB18)
)


def rows_of(*names: str) -> NDArray[np.intp]:
    """Return row numbers of electrodes in the canonical order of 19.

    Raises
    ------
    KeyError
        If a name is not one of the 19.
    """
    return np.array([_INDEX[name] for name in names], dtype=np.intp)


def longitudinal_bipolar(
    data_uv: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Derive LB-18.1 from 19 referential rows.

    Parameters
    ----------
    data_uv
        Shape (n, 19, n_times), microvolts, canonical order.
    mask
        Shape (n, 19), True where the electrode may be used.

    Returns
    -------
    data_uv
        Shape (n, 18, n_times); rows with a missing electrode are zero.
    mask
        Shape (n, 18), True where both electrodes are there.

    Raises
    ------
    ValueError
        If there are not 19 rows.
    """
    return _derived(data_uv, mask, *_LB_ENDS)


def transverse_bipolar(
    data_uv: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Derive TB-18.1 from 19 referential rows; see :func:`longitudinal_bipolar`."""
    return _derived(data_uv, mask, *_TB_ENDS)


def _derived(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    _check_19(data_uv, mask)
    both = mask[:, first] & mask[:, second]
    derived = data_uv[:, first]
    derived -= data_uv[:, second]
    derived[~both] = 0.0
    return derived, both


def average_reference(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Refer rows to the mean of the good ones.

    Parameters
    ----------
    data_uv
        Shape (n, n_channels, n_times), microvolts, any common reference.
    mask
        Shape (n, n_channels), True for the good rows: only they make the mean, so that one silent
        or broken electrode is not spread over the head (``clinical.md`` 11.3).

    Returns
    -------
    numpy.ndarray
        float32, same shape; rows outside ``mask`` are zero.
    """
    share = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    reference = np.matmul(share[:, None, :].astype(np.float32), data_uv)
    referred = data_uv - reference
    referred[~mask] = 0.0
    return referred


def electrodes_of(row_name: str) -> tuple[str, ...]:
    """Return the electrodes a row is made of: one, or two for a derivation ``A-B``."""
    return tuple(row_name.split("-"))


@cache
def side_and_region(row_names: tuple[str, ...]) -> tuple[str, str]:
    """Return the side of all rows together and the region of the leading one.

    Names outside the 10-20 system (such as ``FT9-FT10``) have no region word; a row that carries
    no number and no ``z`` has no side. Both are then ``""``.
    """
    electrodes = tuple(e for name in row_names for e in electrodes_of(name))
    try:
        side = side_of_channels(electrodes)
    except ValueError:
        side = ""
    try:
        region = region_of(electrodes_of(row_names[0])[0]) if row_names else ""
    except ValueError:
        region = ""
    return side, region


def mirror_rows() -> NDArray[np.intp]:
    """Return the row order that swaps left and right in the canonical 19."""
    opposite = dict(HOMOLOGOUS) | {right: left for left, right in HOMOLOGOUS}
    return rows_of(*(opposite.get(name, name) for name in CANONICAL19))


def _check_19(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    expected = (data_uv.shape[0], len(CANONICAL19))
    if data_uv.ndim != 3 or data_uv.shape[:2] != expected or mask.shape != expected:
        raise ValueError(
            f"a bipolar montage needs data (n, 19, n_times) and mask (n, 19), got "
            f"{data_uv.shape} and {mask.shape}; pass a referential19 batch"
        )
