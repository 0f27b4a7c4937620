"""The three montages of a page: what they show, where, and that their looks are frozen."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.montage import REFERENTIAL_BLOCKS, TB18, mirror_rows, transverse_bipolar
from detectors.pages.geometry import PAGE_MONTAGES, PAGE_STYLES, page_geometry, page_id
from detectors.pages.overlay import box_pixels
from detectors.pages.page import page_rows, page_traces, render_page
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, SFREQ_HZ, ChannelSchema

ALL19 = np.ones(19, dtype=bool)
STYLE = PAGE_STYLES["clinical-2"]
MONTAGES = ("longitudinal_bipolar", "transverse_bipolar", "average_reference")
SAMPLE = np.arange(N_TIMES)


def exact_page() -> NDArray[np.float32]:
    """A page of whole numbers, the same on every machine."""
    rows = [
        (SAMPLE * (7 + 3 * c) + 13 * c * c) % (97 + c) - 48 - c / 2
        + 30 * np.sign(np.sin(2 * np.pi * SAMPLE * (c % 5 + 1) / 200))
        for c in range(19)
    ]  # fmt: skip
    return np.stack(rows).astype(np.float32)


def spike_on(electrode: str, sample: int, peak_uv: float) -> NDArray[np.float32]:
    """A triangle of 60 ms on one electrode of a silent head."""
    data = np.zeros((19, N_TIMES), dtype=np.float32)
    shape = np.clip(1 - np.abs(SAMPLE - sample) / 6, 0, 1)
    data[CANONICAL19.index(electrode)] = peak_uv * shape
    return data


@pytest.mark.parametrize(
    ("montage", "identity", "digest"),
    [
        ("longitudinal_bipolar", "clinical-2/longitudinal_bipolar-1", "6c864b0fa6507562"),
        ("transverse_bipolar", "clinical-2/transverse_bipolar-1", "9c7e0b70d386fb82"),
        ("average_reference", "clinical-2/average_reference-2", "9499b003356f3612"),
    ],
)
def test_pixels_change_only_with_the_identity(montage: str, identity: str, digest: str) -> None:
    image = render_page(exact_page(), ALL19, REFERENTIAL19, montage=montage)

    assert page_id(REFERENTIAL19, montage) == identity
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == digest


def test_identities_are_all_different_and_a_bipolar_schema_has_its_own() -> None:
    bipolar = ChannelSchema.bipolar(("Fpz-Cz", "Pz-Oz"))
    known = {page_id(REFERENTIAL19, montage) for montage in MONTAGES}

    assert len(known | {page_id(bipolar, "transverse_bipolar")}) == 4
    assert page_id(bipolar, "transverse_bipolar") == page_id(bipolar, "average_reference")


def test_transverse_rows_cross_the_head_from_left_to_right_and_front_to_back() -> None:
    geometry = page_geometry(REFERENTIAL19, "transverse_bipolar")
    steps = np.diff(geometry.baselines_px)

    assert len(TB18) == len(set(TB18)) == 18
    assert {name for pair in TB18 for name in pair} == set(CANONICAL19)
    assert geometry.rows == tuple(f"{a}-{b}" for a, b in TB18)
    assert np.flatnonzero(steps > geometry.spacing_px + 2).tolist() == [2, 6, 10, 14]


def test_mirrored_head_turns_every_transverse_chain_around() -> None:
    data = np.random.default_rng(0).normal(0, 10, (1, 19, N_TIMES)).astype(np.float32)
    rows, _ = transverse_bipolar(data, ALL19[None])
    mirrored, _ = transverse_bipolar(data[:, mirror_rows()], ALL19[None])
    lengths = np.cumsum([3, 4, 4, 4, 3])[:-1]
    turned = [-chain[:, ::-1] for chain in np.split(rows, lengths, axis=1)]

    assert np.array_equal(mirrored, np.concatenate(turned, axis=1))


def test_referential_rows_stand_in_blocks_and_sum_to_nothing() -> None:
    geometry = page_geometry(REFERENTIAL19, "average_reference")
    rows, _ = page_rows(exact_page(), ALL19, REFERENTIAL19, "average_reference")

    assert sorted(geometry.rows) == sorted(CANONICAL19)
    assert geometry.rows == tuple(name for block in REFERENTIAL_BLOCKS for name in block)
    assert np.abs(rows.sum(0)).max() < 0.01
    data = exact_page()
    cz, o1 = (geometry.row_of(name) for name in ("Cz", "O1"))
    expected = data[CANONICAL19.index("Cz")] - data[CANONICAL19.index("O1")]
    assert np.allclose(rows[cz] - rows[o1], expected, atol=1e-3)


@pytest.mark.parametrize("montage", MONTAGES)
def test_a_missing_electrode_is_missing_where_it_is_used(montage: str) -> None:
    mask = ALL19.copy()
    mask[CANONICAL19.index("C3")] = False
    geometry = page_geometry(REFERENTIAL19, montage)

    _, y_px = page_traces(exact_page(), mask, REFERENTIAL19, montage=montage)

    gone = np.flatnonzero(np.isnan(y_px).all(1)).tolist()
    assert gone == list(geometry.rows_showing("C3"))
    assert np.isfinite(np.delete(y_px, gone, axis=0)).all()


@pytest.mark.parametrize("montage", MONTAGES)
@settings(max_examples=15, deadline=None)
@given(
    electrode=st.sampled_from(CANONICAL19),
    sample=st.integers(30, N_TIMES - 31),
    peak_uv=st.sampled_from([-240.0, -60.0, -25.0, 25.0, 60.0, 240.0]),
)
def test_a_box_lands_on_the_wave(montage: str, electrode: str, sample: int, peak_uv: float) -> None:
    data = spike_on(electrode, sample, peak_uv)
    geometry = page_geometry(REFERENTIAL19, montage)
    image = render_page(data, ALL19, REFERENTIAL19, montage=montage)
    x_px, y_px = page_traces(data, ALL19, REFERENTIAL19, montage=montage)
    interval = (sample - 6) / SFREQ_HZ, (sample + 6) / SFREQ_HZ

    boxes = box_pixels(electrode, *interval, geometry, y_px)

    assert [box.row for box in boxes] == list(geometry.rows_showing(electrode))
    for box in boxes:
        far = np.abs(y_px[box.row] - geometry.baselines_px[box.row])
        extremum = int(far.argmax())
        assert abs(extremum - sample) <= 1 or far[sample] == far[extremum]
        x, y = x_px[sample], y_px[box.row, sample]
        assert geometry.x_to_sample(x) == sample
        assert x == pytest.approx(168 + 0.56 * sample)
        assert box.x0 <= x < box.x1
        assert box.y0 <= y < box.y1
        around = image[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
        assert around.min() < 128, "no ink at the extremum"


@pytest.mark.parametrize("montage", MONTAGES)
def test_the_outermost_ink_of_a_lone_spike_lies_in_its_box(montage: str) -> None:
    """Seen from the picture alone, without asking where the trace was drawn."""
    data = spike_on("C3", 1111, -35.0)
    geometry = page_geometry(REFERENTIAL19, montage)
    image = render_page(data, ALL19, REFERENTIAL19, montage=montage)
    _, y_px = page_traces(data, ALL19, REFERENTIAL19, montage=montage)
    for box in box_pixels("C3", 5.52, 5.59, geometry, y_px):
        middle = int(geometry.baselines_px[box.row])
        band = image[middle - 19 : middle + 20, STYLE.gutter_px :]
        rows, columns = np.nonzero(band < 128)
        outermost = np.abs(rows - 19).argmax()
        x, y = columns[outermost] + STYLE.gutter_px, rows[outermost] + middle - 19
        assert box.x0 <= x < box.x1
        assert box.y0 <= y < box.y1
        assert abs(x - geometry.sample_to_x(1111)) <= 1.5


@given(sample=st.integers(0, N_TIMES - 1))
def test_samples_and_pixels_map_both_ways(sample: int) -> None:
    geometry = page_geometry(REFERENTIAL19)
    assert geometry.x_to_sample(geometry.sample_to_x(sample)) == sample


def test_every_montage_of_the_table_can_be_drawn() -> None:
    for montage in PAGE_MONTAGES:
        image = render_page(exact_page(), ALL19, REFERENTIAL19, montage=montage)
        assert image.shape == (STYLE.height_px, STYLE.width_px)
