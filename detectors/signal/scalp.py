"""The head seen from above: where electrodes lie, and how values spread between them.

Positions are the ideal 10-20 system on a sphere, laid flat by the azimuthal equidistant projection
with nasion, inion and ears on the head outline. Between electrodes lies MNE-Python's interpolation
(Clough-Tocher over a Delaunay mesh, mean border, extrapolated to the head edge); it is linear in
the values, so it is worked out as a matrix. Painting is in :mod:`detectors.pages.topomap`.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19


@functools.cache
def electrode_positions() -> NDArray[np.float64]:
    """Return flat positions of the 19 electrodes, shape (19, 2), head outline = 1, y to the nose.

    Fp1-F7-T7-P7-O1 and its mirror lie on one ring, 72 degrees from the vertex and 36 degrees
    apart; Fz, C3, C4, Pz lie 36 degrees from the vertex; F3, F4, P3, P4 halve the arcs between
    ring and midline (10-20 system, 10 % and 20 % steps of 180 degrees).
    """
    flat: dict[str, tuple[float, float]] = {"Cz": (0.0, 0.0)}
    solid: dict[str, NDArray[np.float64]] = {}
    ring = {"Fp2": 18, "F8": 54, "T8": 90, "P8": 126, "O2": 162,
            "O1": 198, "P7": 234, "T7": 270, "F7": 306, "Fp1": 342}  # fmt: skip
    inner = {"Fz": 0, "C4": 90, "Pz": 180, "C3": 270}
    for names, from_vertex_deg in ((ring, 72.0), (inner, 36.0)):
        for name, azimuth_deg in names.items():
            solid[name] = _on_sphere(from_vertex_deg, azimuth_deg)
    for name, side, midline, other in (
        ("F3", "F7", "Fz", "F8"), ("F4", "F8", "Fz", "F7"),
        ("P3", "P7", "Pz", "P8"), ("P4", "P8", "Pz", "P7"),
    ):  # fmt: skip
        solid[name] = _half_arc(solid[side], solid[midline], solid[other])
    for name, (x, y, z) in solid.items():
        reach = np.degrees(np.arccos(z)) / 90.0 / np.hypot(x, y)
        flat[name] = (x * reach, y * reach)
    # exact to 1e-9, so that mirror electrodes are mirror images to the last bit
    return np.round(np.array([flat[name] for name in CANONICAL19]), 9) + 0.0


def _on_sphere(from_vertex_deg: float, azimuth_deg: float) -> NDArray[np.float64]:
    polar, azimuth = np.radians(from_vertex_deg), np.radians(azimuth_deg)
    return np.array(
        [np.sin(polar) * np.sin(azimuth), np.sin(polar) * np.cos(azimuth), np.cos(polar)]
    )


def _half_arc(
    start: NDArray[np.float64], end: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Middle of the arc from start to end on the circle through the three points."""
    normal = np.cross(start - end, other - end)
    normal /= np.linalg.norm(normal)
    centre = normal * (normal @ end)
    direction = (start + end) / 2 - centre
    return centre + direction / np.linalg.norm(direction) * np.linalg.norm(end - centre)


def interpolation_matrix(
    points: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Work out MNE-Python's topomap interpolation as a matrix.

    The mesh gets a ring of outer points (``extrapolate="head"``) whose values are the mean of
    their neighbours among the electrodes (``border="mean"``), then unit vectors go through it.

    Parameters
    ----------
    points
        Where values are wanted, shape (n_points, 2), head outline = 1.
    positions
        Electrodes, shape (n_channels, 2).

    Returns
    -------
    matrix : shape (n_points, n_channels)
        ``matrix @ values`` is the map; NaN rows lie outside the mesh.
    """
    from scipy.interpolate import CloughTocher2DInterpolator
    from scipy.spatial import Delaunay

    n_channels = len(positions)
    mesh = Delaunay(positions, incremental=True)
    first, second, third = mesh.simplices.T
    edges = np.concatenate(
        [positions[first] - positions[second], positions[second] - positions[third]]
    )
    distance = float(np.median(np.linalg.norm(edges, axis=1)))
    n_outer = max(12, round(2 * np.pi / np.arcsin(min(distance, 1.0))))
    angle = np.linspace(0, 2 * np.pi, n_outer, endpoint=False)
    outer = np.column_stack([np.cos(angle), np.sin(angle)]) * (1.1 + distance)
    mesh.add_points(outer)
    starts, neighbours = mesh.vertex_neighbor_vertices
    border = np.full((n_outer, n_channels), np.nan)
    for i in range(n_outer):
        near = neighbours[starts[n_channels + i] : starts[n_channels + i + 1]]
        near = near[near < n_channels]
        if len(near):
            border[i] = np.isin(np.arange(n_channels), near) / len(near)
    border[np.isnan(border[:, 0])] = np.nanmean(border, axis=0)
    unit = np.concatenate([np.eye(n_channels), border])
    matrix: NDArray[np.float64] = CloughTocher2DInterpolator(mesh, unit)(points)
    mesh.close()
    return matrix


def head_lines() -> tuple[NDArray[np.float64], ...]:
    """Return outline, nose and ears as polylines, head outline = 1 (MNE-Python's shapes)."""
    turn = np.linspace(0, 2 * np.pi, 181)
    ear_x = np.array(
        [0.994, 1.02, 1.036, 1.0598, 1.0838, 1.08, 1.094, 1.064, 1.02, 0.978]
    )  # fmt: skip
    ear_y = np.array(
        [0.111, 0.155, 0.1566, 0.1492, 0.111, -0.011, -0.1864, -0.2626, -0.2768, -0.2398]
    )
    return (
        np.column_stack([np.cos(turn), np.sin(turn)]),
        np.array([[-0.2094, 0.9778], [0.0, 1.15], [0.2094, 0.9778]]),
        np.column_stack([ear_x, ear_y]),
        np.column_stack([-ear_x, ear_y]),
    )
