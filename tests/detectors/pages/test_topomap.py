"""The scalp map: agreement with MNE-Python, orientation, scales, missing electrodes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from detectors.pages.topomap import (
    TOPOMAP_STYLES,
    render_topomap,
    render_topomaps,
    scale_limits,
    topomap_png,
)
from detectors.signal.scalp import electrode_positions, interpolation_matrix
from detectors.types import CANONICAL19

ALL19 = np.ones(19, dtype=bool)
STYLE = TOPOMAP_STYLES["scalp-1"]


def without(*names: str) -> NDArray[np.bool_]:
    return np.array([name not in names for name in CANONICAL19])


def pixel_of(name: str) -> tuple[int, int]:
    x, y = electrode_positions()[CANONICAL19.index(name)]
    return (
        int(STYLE.centre_px[1] - y * STYLE.radius_px),
        int(STYLE.centre_px[0] + x * STYLE.radius_px),
    )


@pytest.mark.parametrize("gone", [(), ("T7", "O2")], ids=["complete", "two missing"])
def test_grid_agrees_with_mne(gone: tuple[str, ...]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import mne

    kept = without(*gone)
    values = np.random.default_rng(3).normal(size=int(kept.sum()))
    positions = electrode_positions()[kept]
    figure, axes = plt.subplots()
    image, _ = mne.viz.plot_topomap(
        values, positions, sphere=(0, 0, 0, 1), axes=axes, show=False, res=64, contours=0
    )
    theirs = np.ma.filled(image.get_array(), np.nan)
    plt.close(figure)
    axis = np.linspace(-1, 1, 64)
    x, y = np.meshgrid(axis, axis)
    inside = np.hypot(x, y) <= 1

    ours = interpolation_matrix(np.column_stack([x[inside], y[inside]]), positions) @ values

    assert np.abs(ours - theirs[inside]).max() <= 1e-6 * np.ptp(values)


def test_map_passes_through_the_electrodes() -> None:
    positions = electrode_positions()
    values = np.random.default_rng(4).normal(size=19)

    assert interpolation_matrix(positions, positions) @ values == pytest.approx(values, abs=1e-9)


def test_positions_are_left_right_mirror_images_with_the_nose_up() -> None:
    where = dict(zip(CANONICAL19, electrode_positions(), strict=True))

    for left, right in (("Fp1", "Fp2"), ("F7", "F8"), ("T7", "T8"), ("P3", "P4"), ("O1", "O2")):
        assert where[left][0] == -where[right][0] < 0
        assert where[left][1] == where[right][1]
    assert where["Fz"][1] > 0 > where["Pz"][1]


@pytest.mark.parametrize("name", ["Fp1", "T8", "O2", "Cz"])
def test_the_strongest_electrode_is_where_the_map_is_brightest(name: str) -> None:
    values = np.zeros(19, dtype=np.float32)
    values[CANONICAL19.index(name)] = 10.0

    image = render_topomap(values, ALL19).astype(int)

    row, column = pixel_of(name)
    near = image[row - 5 : row + 6, column - 5 : column + 6].reshape(-1, 3)
    yellow = np.abs(near - np.array([253, 231, 37])).sum(axis=1)
    assert yellow.min() < 40


def test_same_input_gives_the_same_bytes_and_png_is_lossless() -> None:
    values = np.arange(19, dtype=np.float32)

    image = render_topomap(values, ALL19)
    png = topomap_png(image)

    assert png == topomap_png(render_topomap(values, ALL19))
    with Image.open(io.BytesIO(png)) as decoded:
        assert np.array_equal(np.asarray(decoded), image)
    assert image.shape == (STYLE.height_px, STYLE.width_px, 3)


def test_a_batch_gives_the_maps_of_its_members() -> None:
    values = np.random.default_rng(5).gamma(2.0, size=(4, 19)).astype(np.float32)
    limits = scale_limits(values, "sequential")

    together = render_topomaps(values, ALL19, limits=limits)

    for row, image in zip(values, together, strict=True):
        alone = render_topomap(row, ALL19, limits=limits)
        assert np.abs(image.astype(int) - alone).max() <= 2


def test_a_missing_electrode_takes_no_part_and_is_crossed_out() -> None:
    values = np.ones(19, dtype=np.float32)
    wild = values.copy()
    wild[CANONICAL19.index("C3")] = 1e6
    mask = without("C3")

    image = render_topomap(wild, mask)

    assert np.array_equal(image, render_topomap(values, mask))
    row, column = pixel_of("C3")
    near = image[row - 5 : row + 6, column - 5 : column + 6].astype(int)
    assert ((near[..., 0] > 150) & (near[..., 1] < 80)).any()


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=19),
    st.sampled_from(["sequential", "diverging"]),
)
def test_limits_hold_every_value_and_increase(values: list[float], scale: str) -> None:
    low, high = scale_limits(np.array(values, dtype=np.float32), scale)  # type: ignore[arg-type]

    assert low < high
    assert low <= min(values)
    assert max(values) <= high
    if scale == "diverging" and any(values):
        assert low == -high


@pytest.mark.parametrize(
    ("values", "mask", "limits"),
    [
        (np.zeros(18, dtype=np.float32), ALL19, None),
        (np.zeros(19, dtype=np.float32), np.arange(19) < 5, None),
        (np.full(19, np.nan, dtype=np.float32), ALL19, None),
        (np.zeros(19, dtype=np.float32), ALL19, (1.0, 1.0)),
    ],
    ids=["shape", "few electrodes", "nan", "limits"],
)
def test_bad_values_are_refused(
    values: NDArray[np.float32], mask: NDArray[np.bool_], limits: tuple[float, float] | None
) -> None:
    with pytest.raises(ValueError, match=r"shape|electrodes|finite|increasing"):
        render_topomap(values, mask, limits=limits)
