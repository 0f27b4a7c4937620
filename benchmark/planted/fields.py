"""Where planted events are seen: electrodes on a unit sphere and the fields events leave on them.

Electrode angles follow the 10-20 rule (arcs in tenths of the pre-auricular arc), set down here so
that nothing is shared with any other generator. Cortical events have a Gaussian patch on the
sphere; eyes are current dipoles in an unbounded conductor. Time courses are in ``shapes``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19

Floats = NDArray[np.float64]

_ANGLES_DEG: dict[str, tuple[float, float]] = {
    "Fp1": (72, -18), "Fp2": (72, 18), "F7": (72, -54), "F3": (46, -39), "Fz": (36, 0),
    "F4": (46, 39), "F8": (72, 54), "T7": (72, -90), "C3": (36, -90), "Cz": (0, 0),
    "C4": (36, 90), "T8": (72, 90), "P7": (72, -126), "P3": (46, -141), "Pz": (36, 180),
    "P4": (46, 141), "P8": (72, 126), "O1": (72, -162), "O2": (72, 162),
    "A1": (104, -92), "A2": (104, 92),
}  # fmt: skip
"""Inclination from the vertex and azimuth from the nose, positive to the right."""

EARS = ("A1", "A2")
_EYES = np.array([(-0.33, 0.80, -0.12), (0.33, 0.80, -0.12)])
"""Dipole sites in head radii: right, front, up."""
_BLINK_MOMENT = np.array([0.0, 0.3, 1.0])
_GAZE_MOMENT = np.array([1.0, 0.15, 0.0])

REFERENCES = ("average", "linked_ears")


def position(name: str) -> Floats:
    """Return an electrode's place on the unit sphere: right, front, up."""
    inclination, azimuth = np.radians(_ANGLES_DEG[name])
    ring = np.sin(inclination)
    return np.array([ring * np.sin(azimuth), ring * np.cos(azimuth), np.cos(inclination)])


_SCALP = np.stack([position(n) for n in CANONICAL19])
_EAR = np.stack([position(n) for n in EARS])


def jittered(rng: np.random.Generator, name: str, spread: float = 0.12) -> Floats:
    """Return a place near an electrode, on the sphere."""
    place = position(name) + rng.normal(0.0, spread, 3)
    return np.asarray(place / np.linalg.norm(place))


def patch_field(centre: Floats, width_deg: float, reference: str) -> Floats:
    """Return the field of a cortical patch at the 19 electrodes, shape (19,).

    Parameters
    ----------
    centre
        Place on the unit sphere.
    width_deg
        Standard deviation of the Gaussian, in degrees of arc.
    reference
        One of :data:`REFERENCES`.
    """
    width = np.radians(width_deg)

    def at(sites: Floats) -> Floats:
        angle = np.arccos(np.clip(sites @ centre, -1.0, 1.0))
        return np.asarray(np.exp(-0.5 * (angle / width) ** 2))

    return _referenced(at(_SCALP), at(_EAR), reference)


def eye_field(is_blink: bool, reference: str) -> Floats:
    """Return the field of both eyes, shape (19,): a blink, or gaze to the right.

    The potential of a current dipole falls with the square of the distance (unbounded conductor).
    """
    moment = _BLINK_MOMENT if is_blink else _GAZE_MOMENT

    def at(sites: Floats) -> Floats:
        total = np.zeros(len(sites))
        for eye in _EYES:
            apart = sites - eye
            total += apart @ moment / np.linalg.norm(apart, axis=1) ** 3
        return total

    return _referenced(at(_SCALP), at(_EAR), reference)


def _referenced(scalp: Floats, ears: Floats, reference: str) -> Floats:
    if reference == "average":
        return scalp - scalp.mean()
    if reference == "linked_ears":
        return scalp - ears.mean()
    raise ValueError(f"reference {reference!r} is not known; use one of {', '.join(REFERENCES)}")


def mixing(centres: Floats, width_deg: Floats, reference: str) -> Floats:
    """Return the matrix from sources to electrodes, shape (19, n_sources)."""
    columns = [patch_field(c, float(w), reference) for c, w in zip(centres, width_deg, strict=True)]
    return np.stack(columns, axis=1)
