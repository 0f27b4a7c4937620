"""Where the 19 electrodes lie, how a source spreads over them, and what a reference does to it.

Electrodes lie on the unit sphere at the angles of the 10-20 system; a source is a focus on that
sphere with a field that decays with the angle from it, so neighbours share sign and the field has
one maximum (``clinical.md`` 4.2, criterion 6). Waveforms in time live elsewhere.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19

FloatArray = NDArray[np.float64]

_SPHERICAL_DEG: dict[str, tuple[float, float]] = {
    "Fp1": (-92, -72), "Fp2": (92, 72), "F7": (-92, -36), "F3": (-60, -51), "Fz": (46, 90),
    "F4": (60, 51), "F8": (92, 36), "T7": (-92, 0), "C3": (-46, 0), "Cz": (0, 0), "C4": (46, 0),
    "T8": (92, 0), "P7": (-92, 36), "P3": (-60, 51), "Pz": (46, -90), "P4": (60, -51),
    "P8": (92, -36), "O1": (-92, 72), "O2": (92, -72),
}  # fmt: skip
"""Inclination from the vertex and azimuth, degrees: the 10-20 system on a sphere."""

REFERENCES = ("distant", "average", "linked_ears")
"""Reference schemes a simulated subject may be recorded with."""

_EAR_SHARE = 0.45
"""Share of the temporal field an ear electrode picks up; engineering default."""


@cache
def electrode_positions() -> FloatArray:
    """Return unit vectors of the 19 electrodes, shape (19, 3): x right, y front, z up."""
    angles = np.deg2rad([_SPHERICAL_DEG[name] for name in CANONICAL19])
    inclination, azimuth = angles[:, 0], angles[:, 1]
    return np.stack(
        [
            np.sin(inclination) * np.cos(azimuth),
            np.sin(inclination) * np.sin(azimuth),
            np.cos(inclination),
        ],
        axis=1,
    )


def angles_from(focus: FloatArray) -> FloatArray:
    """Return the angle of every electrode from a focus, shape (19,), radians."""
    unit = focus / np.linalg.norm(focus)
    return np.arccos(np.clip(electrode_positions() @ unit, -1.0, 1.0))


def field_of(focus: FloatArray, width_deg: float) -> FloatArray:
    """Return the field of a source, shape (19,), 1 at the electrode of maximum.

    Parameters
    ----------
    focus
        Direction of the source, shape (3,).
    width_deg
        Angle at which a Gaussian field falls to ``exp(-1/2)``; neighbours of the 10-20 system are
        about 40 degrees apart.
    """
    angle = angles_from(focus)
    field = np.exp(-0.5 * (angle / np.deg2rad(width_deg)) ** 2)
    return field / field.max()


def focus_near(ch_name: str, rng: np.random.Generator, jitter_deg: float = 10.0) -> FloatArray:
    """Return a direction near one electrode, moved by a normal angle of ``jitter_deg``."""
    centre = electrode_positions()[CANONICAL19.index(ch_name)]
    moved = centre + np.tan(np.deg2rad(jitter_deg)) * rng.standard_normal(3) / np.sqrt(2)
    return np.asarray(moved / np.linalg.norm(moved))


def weights(by_channel: dict[str, float]) -> FloatArray:
    """Return a field given by electrode name, zero elsewhere, shape (19,)."""
    field = np.zeros(len(CANONICAL19))
    for name, value in by_channel.items():
        field[CANONICAL19.index(name)] = value
    return field


def uneven(field: FloatArray, rng: np.random.Generator, spread: float = 0.06) -> FloatArray:
    """Return a field whose electrodes differ a little from event to event, as skin contacts do."""
    return np.asarray(field * (1 + spread * rng.standard_normal(len(field)).clip(-2, 2)))


@cache
def reference_matrix(name: str) -> FloatArray:
    """Return the matrix that turns potentials against a distant point into recorded ones.

    Parameters
    ----------
    name
        One of :data:`REFERENCES`.

    Returns
    -------
    ndarray, shape (19, 19)

    Raises
    ------
    ValueError
        If the scheme is not known.
    """
    identity = np.eye(len(CANONICAL19))
    if name == "distant":
        return identity
    if name == "average":
        return identity - 1.0 / len(CANONICAL19)
    if name == "linked_ears":
        ear = weights({"T7": 0.3, "P7": 0.2, "T8": 0.3, "P8": 0.2})
        return identity - _EAR_SHARE * ear[np.newaxis, :]
    raise ValueError(f"reference {name!r} is not known; use one of {', '.join(REFERENCES)}")


@cache
def spatial_root(width_deg: float) -> FloatArray:
    """Return a square root of the spatial covariance of background activity, shape (19, 19).

    Covariance falls with the angle between electrodes as a Gaussian of ``width_deg`` plus a
    twentieth of activity of each electrode's own, so that neighbours correlate at about 0.8.
    """
    positions = electrode_positions()
    angle = np.arccos(np.clip(positions @ positions.T, -1.0, 1.0))
    shared = np.exp(-0.5 * (angle / np.deg2rad(width_deg)) ** 2)
    covariance = 0.95 * shared + 0.05 * np.eye(len(positions))
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T)
