"""Pictures of a release's rows: the page always, the map where the electrodes carry one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dagster_project.previews import page_png_of_row, topomap_png_of_row
from detectors.types import CANONICAL19, N_TIMES

LEFT = ("F7", "T7", "P7", "F3", "C3", "P3")


def row(
    potential_uv: dict[str, float], schema: str = "referential19", n_missing: int = 0
) -> dict[str, Any]:
    names = CANONICAL19 if schema == "referential19" else tuple(schema.partition(":")[2].split(","))
    signal = np.zeros((len(names), N_TIMES), dtype=np.int16)
    for name, value in potential_uv.items():
        signal[names.index(name), N_TIMES // 2] = round(value / 0.05)
    mask = [i >= n_missing for i in range(len(names))]
    return {"channel_schema": schema, "mask": mask, "signal": signal.ravel().tolist()}


def colours(png: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Red minus blue over the head, left half and right half."""
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int16)
    difference = picture[100:190, :, 0] - picture[100:190, :, 2]
    return np.array([difference[:, 60:130].mean(), difference[:, 150:220].mean()])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_map_shows_the_middle_sample_on_its_side(sign: float) -> None:
    png = topomap_png_of_row(row(dict.fromkeys(LEFT, 50.0 * sign)))
    assert png is not None
    left, right = colours(png)
    assert sign * (left - right) > 60


def test_a_sample_elsewhere_does_not_show() -> None:
    moved = row({})
    flat = topomap_png_of_row(moved)
    signal = np.asarray(moved["signal"], dtype=np.int16).reshape(19, -1)
    signal[:6, 100] = 2000
    assert topomap_png_of_row(moved | {"signal": signal.ravel().tolist()}) == flat


@pytest.mark.parametrize(
    ("changes", "has_map"),
    [({}, True), ({"n_missing": 11}, True), ({"n_missing": 12}, False),
     ({"schema": "bipolar:C4-A1,C3-A2"}, False)],
    ids=["19 electrodes", "8 electrodes", "7 electrodes", "bipolar"],
)  # fmt: skip
def test_electrodes_that_carry_no_map_give_none_and_still_a_page(
    changes: dict[str, Any], has_map: bool
) -> None:
    segment = row({}, **changes)
    assert (topomap_png_of_row(segment) is not None) == has_map
    assert Image.open(io.BytesIO(page_png_of_row(segment))).size == (1288, 896)
