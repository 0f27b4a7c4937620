"""The clinical page: geometry, determinism, quality against an independent drawing."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark.engine.page_reference import plot_box, psnr_db, reference_traces
from detectors.montage import LB18_NAMES
from detectors.pages.geometry import PAGE_STYLES, page_geometry, page_montage
from detectors.pages.overlay import PageBox, draw_boxes
from detectors.pages.page import (
    display_filter,
    page_png,
    page_rows,
    render_page,
    render_page_png,
    trace_ordinates,
)
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, SFREQ_HZ, ChannelSchema

STYLE = PAGE_STYLES["clinical-2"]
ALL19 = np.ones(19, dtype=bool)
TIME_S = np.arange(N_TIMES) / SFREQ_HZ


def eeg_like(seed: int = 0, n_channels: int = 19, scale_uv: float = 12.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    freqs = np.fft.rfftfreq(N_TIMES, 1 / SFREQ_HZ)
    noise = np.fft.rfft(rng.normal(size=(n_channels, N_TIMES))) * np.maximum(freqs, 0.5) ** -0.9
    rows = np.fft.irfft(noise, N_TIMES)
    return np.asarray(scale_uv * rows / rows.std(axis=1, keepdims=True), dtype=np.float32)


def one_electrode(name: str, trace_uv: NDArray[np.float64]) -> NDArray[np.float32]:
    data = np.zeros((19, N_TIMES), dtype=np.float32)
    data[CANONICAL19.index(name)] = trace_uv
    return data


def ink_rows(image: NDArray[np.uint8], x_px: int, y0: int, y1: int) -> NDArray[np.intp]:
    return y0 + np.flatnonzero(image[y0:y1, x_px] < 128)


def test_page_has_the_size_and_the_sixteen_levels_of_the_format() -> None:
    image = render_page(eeg_like(), ALL19, REFERENTIAL19)

    assert image.shape == (896, 1288)
    assert image.dtype == np.uint8
    assert not (image % 17).any()


def test_same_input_gives_the_same_bytes_and_leaves_the_input_alone() -> None:
    data = eeg_like(1)
    before = data.copy()

    first = page_png(render_page(data, ALL19, REFERENTIAL19))
    render_page(eeg_like(2), ALL19, REFERENTIAL19)
    second = page_png(render_page(data, ALL19, REFERENTIAL19))

    assert first == second
    assert np.array_equal(data, before)


def test_png_holds_exactly_the_page() -> None:
    image = render_page(eeg_like(3), ALL19, REFERENTIAL19)

    with Image.open(io.BytesIO(page_png(image))) as decoded:
        assert np.array_equal(np.asarray(decoded.convert("L")), image)


@pytest.mark.parametrize("scale_uv", [4.0, 12.0], ids=["quiet", "usual"])
def test_raster_is_close_to_an_independent_supersampled_drawing(scale_uv: float) -> None:
    data = eeg_like(4, scale_uv=scale_uv)
    geometry = page_geometry(REFERENTIAL19)
    rows_uv, _ = page_rows(data, ALL19, REFERENTIAL19)
    y_px, is_clipped = trace_ordinates(display_filter(rows_uv, STYLE), geometry)
    box = plot_box(geometry)

    page = render_page(data, ALL19, REFERENTIAL19)[box.rows, box.columns]

    assert not is_clipped.any()
    assert psnr_db(page, reference_traces(y_px, geometry)) >= 34.0


@given(time_s=st.floats(0, 10), uv=st.floats(-500, 500), row=st.integers(0, 17))
def test_geometry_maps_back_to_where_it_came_from(time_s: float, uv: float, row: int) -> None:
    geometry = page_geometry(REFERENTIAL19)

    assert geometry.x_to_time(geometry.time_to_x(time_s)) == pytest.approx(time_s, abs=1e-9)
    assert geometry.y_to_uv(row, geometry.uv_to_y(row, uv)) == pytest.approx(uv, abs=1e-9)
    assert geometry.row_at(geometry.uv_to_y(row, 0.0)) == row


def test_scales_are_those_printed_on_the_page() -> None:
    geometry = page_geometry(REFERENTIAL19)
    px_per_mm = STYLE.px_per_s / 30

    assert STYLE.px_per_s == 112
    assert geometry.time_to_x(1 / SFREQ_HZ) - geometry.time_to_x(0) == pytest.approx(0.56)
    assert geometry.uv_to_y(0, 7.0) - geometry.uv_to_y(0, 0.0) == pytest.approx(px_per_mm)


def test_rows_stand_in_acns_order_with_gaps_between_chains_only() -> None:
    geometry = page_geometry(REFERENTIAL19)
    steps = np.diff(geometry.baselines_px)

    assert geometry.rows == LB18_NAMES
    assert np.flatnonzero(steps > geometry.spacing_px + 2).tolist() == [3, 7, 9, 13]


@pytest.mark.parametrize(("sign", "is_up"), [(-1, True), (1, False)], ids=["negative", "positive"])
def test_negative_is_up_at_the_right_place_and_height(sign: int, is_up: bool) -> None:
    wave = sign * 60 * np.exp(-0.5 * ((TIME_S - 5.0) / 0.04) ** 2)
    geometry = page_geometry(REFERENTIAL19)
    row = geometry.row_of("Fp1-F7")

    image = render_page(one_electrode("Fp1", wave), ALL19, REFERENTIAL19)

    x = int(geometry.time_to_x(5.0 + 0.5 / SFREQ_HZ))
    baseline = geometry.baselines_px[row]
    near = ink_rows(image, x, int(baseline) - 38, int(baseline) + 38)
    extreme = near.min() if is_up else near.max()
    expected = geometry.uv_to_y(row, sign * 57.0)  # the high-pass takes a few uV off
    assert extreme == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("montage", ["longitudinal_bipolar", "average_reference"])
@pytest.mark.parametrize("gone", [(), ("T7",)], ids=["complete", "one missing"])
def test_a_page_drawn_straight_to_its_file_is_the_same_file(
    montage: str, gone: tuple[str, ...]
) -> None:
    mask = np.array([name not in gone for name in CANONICAL19])
    pages = [eeg_like(seed, scale_uv=scale) for seed, scale in ((3, 12.0), (4, 90.0))]

    direct = [render_page_png(data, mask, REFERENTIAL19, montage=montage) for data in pages]

    # the second page is drawn over the first one's buffer and must not show it
    assert direct == [
        page_png(render_page(data, mask, REFERENTIAL19, montage=montage)) for data in pages
    ]
    assert direct[0] != direct[1]


def test_threads_draw_their_pages_apart() -> None:
    pages = [eeg_like(seed) for seed in range(8)]
    alone = [render_page_png(data, ALL19, REFERENTIAL19) for data in pages]

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda d: render_page_png(d, ALL19, REFERENTIAL19), pages))

    assert together == alone


def test_drift_and_hum_outside_the_band_do_not_show() -> None:
    slow = 80 * np.sin(2 * np.pi * 0.1 * TIME_S) + 20 * TIME_S
    fast = 50 * np.sin(2 * np.pi * 90 * TIME_S)

    rows = display_filter(np.stack([slow, fast]).astype(np.float32), STYLE)

    assert np.abs(rows).max() < 10.0
    assert np.abs(rows[:, 200:-200]).max() < 2.5


@pytest.mark.parametrize("hz", [1.0, 10.0, 30.0, 60.0])
def test_display_filter_keeps_the_band_in_phase(hz: float) -> None:
    tone = (30 * np.sin(2 * np.pi * hz * TIME_S)).astype(np.float32)[None]

    shown = display_filter(tone, STYLE)

    assert np.abs(shown - tone)[:, 200:-200].max() < 0.07 * 30


def test_clipped_traces_stay_in_their_limits_and_are_capped() -> None:
    wave = 900 * np.exp(-0.5 * ((TIME_S - 4.0) / 0.1) ** 2)
    geometry = page_geometry(REFERENTIAL19)
    row = geometry.row_of("Cz-Pz")
    low, high = geometry.limits_px(row)

    image = render_page(one_electrode("Pz", wave), ALL19, REFERENTIAL19)

    x = int(geometry.time_to_x(4.0))
    assert (image[round(low) : round(low) + 4, x] == 0).all()
    above = int(geometry.baselines_px[geometry.row_of("P3-O1")]) + 4
    assert above < low - 1
    assert (image[above : round(low) - 1, x] > 200).all()
    assert high - geometry.baselines_px[row] == pytest.approx(1.5 * geometry.spacing_px)


def test_a_missing_electrode_dots_its_rows_and_leaves_the_others_alone() -> None:
    data = eeg_like(5)
    mask = ALL19.copy()
    mask[CANONICAL19.index("T7")] = False
    geometry = page_geometry(REFERENTIAL19)
    gone = [geometry.row_of("F7-T7"), geometry.row_of("T7-P7")]

    _, rows_mask = page_rows(data, mask, REFERENTIAL19)
    image = render_page(np.zeros_like(data), mask, REFERENTIAL19)

    assert np.flatnonzero(~rows_mask).tolist() == gone
    for row in range(18):
        y = int(geometry.baselines_px[row])
        line = image[y - 1 : y + 2, 400:1280].min(axis=0)
        assert (line < 128).mean() == (0.0 if row in gone else 1.0)


@pytest.mark.parametrize(
    "names",
    [("Fpz-Cz", "Pz-Oz"), ("Cz-Pz",), tuple(f"A{i}-B{i}" for i in range(30))],
    ids=["two", "one", "thirty"],
)
def test_bipolar_recordings_are_shown_as_recorded(names: tuple[str, ...]) -> None:
    schema = ChannelSchema.bipolar(names)
    geometry = page_geometry(schema)

    image = render_page(eeg_like(6, len(names)), np.ones(len(names), dtype=bool), schema)

    assert page_montage(schema, "longitudinal_bipolar") == "as_recorded"
    assert geometry.rows == names
    assert STYLE.plot_top_px < min(geometry.baselines_px)
    assert max(geometry.baselines_px) < STYLE.plot_bottom_px
    assert image.min() == 0


def test_all_rows_missing_still_gives_a_page() -> None:
    none = np.zeros(19, dtype=bool)

    image = render_page(np.zeros((19, N_TIMES), dtype=np.float32), none, REFERENTIAL19)

    assert image.shape == (896, 1288)


def test_boxes_go_on_a_copy_at_the_rows_that_show_the_channel() -> None:
    image = render_page(eeg_like(7), ALL19, REFERENTIAL19)
    before = image.copy()
    geometry = page_geometry(REFERENTIAL19)

    marked = draw_boxes(image, [PageBox("T7", 2.0, 2.5, "spike")], geometry)

    assert np.array_equal(image, before)
    red = (marked == np.array([214, 39, 40])).all(axis=-1)
    x0, x1 = geometry.time_to_x(2.0), geometry.time_to_x(2.5)
    for name in ("F7-T7", "T7-P7"):
        y = int(geometry.baselines_px[geometry.row_of(name)])
        columns = np.flatnonzero(red[y])
        assert columns.min() == pytest.approx(x0, abs=1)
        assert columns.max() + 1 == pytest.approx(x1, abs=1)


def test_unknown_names_are_refused_with_what_is_allowed() -> None:
    geometry = page_geometry(REFERENTIAL19)

    with pytest.raises(KeyError, match="Fp1-F7"):
        geometry.row_of("T3-T5")
    with pytest.raises(ValueError, match="longitudinal_bipolar"):
        page_montage(REFERENTIAL19, "double_banana")


@pytest.mark.parametrize(
    ("data", "mask"),
    [
        (np.zeros((18, N_TIMES), dtype=np.float32), ALL19),
        (np.zeros((19, 100), dtype=np.float32), ALL19),
        (np.full((19, N_TIMES), np.nan, dtype=np.float32), ALL19),
    ],
    ids=["rows", "samples", "nan"],
)
def test_bad_signals_are_refused(data: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match=r"expected|not finite"):
        render_page(data, mask, REFERENTIAL19)


def test_a_real_recording_fills_its_page(data_root: Path) -> None:
    import mne

    path = data_root / "workload-eegmat" / "Subject00_1.edf"
    if not path.exists():
        pytest.skip("the eegmat recording is not under NEUROGLOSS_DATA")
    raw = mne.io.read_raw_edf(path, verbose="ERROR").crop(20, 30, include_tmax=False).load_data()
    old = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
    raw.pick([f"EEG {old.get(name, name)}" for name in CANONICAL19]).resample(SFREQ_HZ)
    data = (raw.get_data(picks=raw.ch_names) * 1e6).astype(np.float32)

    image = render_page(data, ALL19, REFERENTIAL19)

    geometry = page_geometry(REFERENTIAL19)
    dark = image[:, STYLE.gutter_px :] < 128
    for y in geometry.baselines_px:
        assert dark[int(y) - 20 : int(y) + 20].any(axis=0).mean() > 0.9
