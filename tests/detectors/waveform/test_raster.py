"""The signal raster: pixels and (channel, time) map onto each other, amplitude survives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, ChannelSchema, SegmentBatch
from detectors.waveform.raster import (
    BANDS,
    N_PLANES,
    ZERO_GREY,
    PixelBox,
    box_to_pixels,
    encode_rows,
    pixels_to_box,
)


def batch_of(data_uv: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> SegmentBatch:
    n = len(data_uv)
    return SegmentBatch(
        segment_ids=tuple(f"s{i}" for i in range(n)),
        data_uv=data_uv,
        mask=np.ones((n, 19), dtype=bool) if mask is None else mask,
        schema=REFERENTIAL19,
        band_hz=np.tile(np.array([0.1, 75.0], dtype=np.float32), (n, 1)),
        line_freq_hz=50.0,
    )


def tone(frequency_hz: float, amplitude_uv: float) -> NDArray[np.float32]:
    t = np.arange(N_TIMES) / 200
    data = np.zeros((1, 19, N_TIMES), dtype=np.float32)
    data[0, 4] = amplitude_uv * np.sin(2 * np.pi * frequency_hz * t)
    return data


@given(
    st.sampled_from(CANONICAL19),
    st.floats(0, 9.9),
    st.floats(0.005, 3.0),
)
def test_boxes_survive_the_way_to_pixels_and_back(name: str, t0_s: float, width_s: float) -> None:
    t1_s = min(t0_s + width_s, 10.0)
    channel, start, stop = pixels_to_box(box_to_pixels(name, t0_s, t1_s))
    assert channel == name
    assert start == pytest.approx(t0_s, abs=1e-9)
    assert stop == pytest.approx(t1_s, abs=1e-9)


@given(st.floats(-3.9, 3.9), st.integers(0, 18))
def test_a_box_a_little_off_its_row_snaps_to_it(shift: float, row: int) -> None:
    box = PixelBox(100, row * 8 + shift, 200, row * 8 + 8 + shift)
    assert pixels_to_box(box) == (CANONICAL19[row], 0.5, 1.0)


@pytest.mark.parametrize(
    ("name", "t0_s", "t1_s"),
    [("A1", 1.0, 2.0), ("Cz", 2.0, 2.0), ("Cz", -0.1, 1.0), ("Cz", 9.0, 10.5)],
    ids=["channel", "empty", "before", "after"],
)
def test_impossible_boxes_are_refused(name: str, t0_s: float, t1_s: float) -> None:
    with pytest.raises(ValueError, match=r"box|raster row"):
        box_to_pixels(name, t0_s, t1_s)


def test_boxes_in_the_padding_belong_to_no_channel() -> None:
    with pytest.raises(ValueError, match="no channel"):
        pixels_to_box(PixelBox(0, 152, 10, 160))


def test_a_raster_has_a_row_per_channel_and_two_planes_of_place() -> None:
    data = np.random.default_rng(0).normal(0, 20, (2, 19, N_TIMES)).astype(np.float32)
    rows = encode_rows(batch_of(data))
    assert rows.shape == (2, N_PLANES, 20, 2016)
    assert N_PLANES == len(BANDS) + 2 > 3
    signal, place = rows[:, : len(BANDS)], rows[:, len(BANDS) :]
    assert (signal[:, :, 19] == ZERO_GREY).all()
    assert (signal[..., N_TIMES:] == ZERO_GREY).all()
    assert (place == place[:1, :, :, :1]).all()
    right, front = place[0, :, :19, 0].astype(int) - ZERO_GREY
    of = {name: i for i, name in enumerate(CANONICAL19)}
    assert right[of["T8"]] == -right[of["T7"]] > right[of["C4"]] > right[of["Cz"]] == 0
    assert front[of["Fp1"]] > front[of["F3"]] > front[of["C3"]] == 0 > front[of["O1"]]
    assert len({(int(x), int(y)) for x, y in zip(right, front, strict=True)}) == 19


@pytest.mark.parametrize("plane", [i for i, band in enumerate(BANDS) if band.floor_uv])
def test_relative_planes_show_an_event_alike_over_quiet_and_restless_pages(plane: int) -> None:
    band = BANDS[plane]
    rng = np.random.default_rng(plane)
    data = rng.normal(0, 20, (1, 19, N_TIMES)).astype(np.float32)
    t = np.arange(N_TIMES) / 200
    centre_hz = np.sqrt(band.low_hz * band.high_hz)
    data += (80 * np.exp(-(((t - 5) * 2) ** 2)) * np.sin(2 * np.pi * centre_hz * t)).astype(
        np.float32
    )
    quiet = encode_rows(batch_of(data)).astype(int)
    loud = encode_rows(batch_of(3 * data)).astype(int)
    assert np.abs(quiet[0, plane] - loud[0, plane]).max() <= 1
    assert np.ptp(quiet[0, plane, 4, 900:1100]) > 1.5 * np.ptp(quiet[0, plane, 4, 200:400])
    assert np.abs(quiet[0, 1] - loud[0, 1]).max() > 20


def test_a_row_without_background_is_held_against_the_floor() -> None:
    data = np.zeros((1, 19, N_TIMES), dtype=np.float32)
    data[0, 8] = 0.02 * np.random.default_rng(0).standard_normal(N_TIMES)
    rows = encode_rows(batch_of(data)).astype(int)
    assert np.abs(rows[0, : len(BANDS), 8] - ZERO_GREY).max() <= 4


@pytest.mark.parametrize(
    ("frequency_hz", "plane"), [(2.0, 0), (11.0, 1), (40.0, 2)], ids=["slow", "middle", "fast"]
)
def test_a_tone_shows_in_the_plane_of_its_band(frequency_hz: float, plane: int) -> None:
    rows = encode_rows(batch_of(tone(frequency_hz, 30.0))).astype(float)
    swing = np.ptp(rows[0, :3, 4, 200:1800], axis=-1)
    assert int(np.argmax(swing)) == plane
    assert np.delete(swing, plane).max() < 0.2 * swing[plane]


@pytest.mark.parametrize("plane_hz", [2.0, 11.0, 40.0])
def test_grey_grows_with_amplitude_on_a_fixed_scale(plane_hz: float) -> None:
    swings = [
        float(np.ptp(encode_rows(batch_of(tone(plane_hz, a))).astype(float)[0, :3, 4, 200:1800]))
        for a in (2.0, 10.0, 50.0, 250.0)
    ]
    assert all(b > a + 5 for a, b in itertools.pairwise(swings))
    assert swings[-1] <= 254


def test_missing_channels_and_silence_are_mid_grey() -> None:
    data = np.random.default_rng(0).normal(0, 20, (1, 19, N_TIMES)).astype(np.float32)
    mask = np.ones((1, 19), dtype=bool)
    mask[0, 3] = False
    rows = encode_rows(batch_of(data, mask))
    assert (rows[0, : len(BANDS), 3] == ZERO_GREY).all()
    assert rows[0, 0, 2].std() > 0
    silence = np.full((1, 19, N_TIMES), 7.0, dtype=np.float32)
    assert np.ptp(encode_rows(batch_of(silence))[0, : len(BANDS), 5, :N_TIMES]) == 0


def test_an_event_shows_at_its_own_time_and_not_at_the_other_end() -> None:
    data = np.zeros((1, 19, N_TIMES), dtype=np.float32)
    data[0, 8, 1990:1998] = -120.0
    rows = encode_rows(batch_of(data)).astype(float)
    away = np.abs(rows[0, :3, 8] - ZERO_GREY)
    assert away[1, 1980:2000].max() > 40
    assert away[:, :1500].max() <= 3


def test_no_segments_give_no_rasters() -> None:
    nothing = batch_of(np.zeros((0, 19, N_TIMES), dtype=np.float32))
    assert encode_rows(nothing).shape == (0, N_PLANES, 20, 2016)


def test_another_schema_is_refused_by_name() -> None:
    schema = ChannelSchema.parse("bipolar:Fp1-F7,F7-T7")
    batch = SegmentBatch(
        ("s0",), np.zeros((1, 2, N_TIMES), dtype=np.float32), np.ones((1, 2), dtype=bool), schema,
        np.array([[0.1, 75.0]], dtype=np.float32), 60.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="bipolar:Fp1-F7,F7-T7"):
        encode_rows(batch)
