"""Findings over a page: colours, places, a legend below, and no way into a dataset."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from planted_signals import bell, noise

from detectors.pages.geometry import PAGE_STYLES, page_geometry
from detectors.pages.overlay import PageBox, draw_boxes, kind_colour, review_page, review_png
from detectors.pages.page import page_png, render_page
from detectors.types import CANONICAL19, REFERENTIAL19, ChannelSchema, Finding
from detectors.vocabulary import KINDS

ALL19 = np.ones(19, dtype=bool)
STYLE = PAGE_STYLES["clinical-2"]
MONTAGES = ("longitudinal_bipolar", "transverse_bipolar", "average_reference")
SPIKE = Finding("s", "spike", ("T7", "F7"), 3.96, 4.04)
BLINK = Finding("s", "blink", ("Fp1", "Fp2"), 7.0, 7.4)
RHYTHM = Finding("s", "posterior_rhythm", ("O1", "O2"), 0.0, 10.0)


def page_data() -> NDArray[np.float32]:
    data = noise(1, seed=4)[0]
    data[CANONICAL19.index("T7")] += bell(-180, 4.0, 0.03).astype(np.float32)
    return data


def has_colour(picture: NDArray[np.uint8], kind: str) -> NDArray[np.bool_]:
    return np.asarray((picture == np.array(kind_colour(kind))).all(axis=-1))


@pytest.mark.parametrize("montage", MONTAGES)
def test_page_keeps_its_pixels_and_the_legend_stands_below(montage: str) -> None:
    data = page_data()
    page = render_page(data, ALL19, REFERENTIAL19, montage=montage)
    picture = review_page(data, ALL19, REFERENTIAL19, [SPIKE, BLINK, RHYTHM], montage=montage)
    top, legend = picture[: STYLE.height_px], picture[STYLE.height_px :]
    marked = has_colour(top, "spike") | has_colour(top, "blink")

    assert legend.shape[0] > 20
    assert np.array_equal(top[~marked], np.repeat(page[~marked][:, None], 3, axis=1))
    for kind in ("spike", "blink", "posterior_rhythm"):
        assert has_colour(legend, kind).sum() >= 100
    rows, columns = np.nonzero(marked)
    assert columns.min() >= STYLE.gutter_px
    assert rows.min() >= STYLE.plot_top_px
    assert rows.max() < STYLE.plot_bottom_px


@pytest.mark.parametrize("montage", MONTAGES)
def test_boxes_stand_on_the_rows_of_their_channels_and_hold_the_wave(montage: str) -> None:
    geometry = page_geometry(REFERENTIAL19, montage)
    picture = review_page(page_data(), ALL19, REFERENTIAL19, [SPIKE], montage=montage)
    rows, columns = np.nonzero(has_colour(picture[: STYLE.height_px], "spike"))
    shown = geometry.rows_showing("T7")

    assert columns.min() <= geometry.time_to_x(3.96) <= columns.min() + 2
    assert columns.max() - 2 <= geometry.time_to_x(4.04) <= columns.max() + 2
    for row in shown:
        assert (np.abs(rows - geometry.baselines_px[row]) < geometry.spacing_px * 2).any()
    # the spike is taller than its row, and so is its box
    assert rows.max() - rows.min() > geometry.spacing_px


def test_a_reviewers_picture_is_no_dataset_page() -> None:
    picture = review_page(page_data(), ALL19, REFERENTIAL19, [SPIKE])

    with pytest.raises(ValueError, match="expected uint8"):
        page_png(picture)
    with Image.open(io.BytesIO(review_png(picture))) as decoded:
        assert np.array_equal(np.asarray(decoded), picture)


def test_same_findings_give_the_same_bytes_whatever_their_order() -> None:
    one = review_page(page_data(), ALL19, REFERENTIAL19, [SPIKE, BLINK])
    again = review_page(page_data(), ALL19, REFERENTIAL19, [BLINK, SPIKE])

    assert np.array_equal(one, again)


def test_every_kind_has_a_colour_of_its_own_that_shows_on_white() -> None:
    colours = [kind_colour(kind) for kind in KINDS]

    assert len(set(colours)) == len(KINDS)
    assert all(min(colour) < 180 for colour in colours)


def test_a_legend_of_every_kind_fits_the_page() -> None:
    findings = [Finding("s", kind, ("Cz",), 1.0, 2.0) for kind in KINDS]
    legend = review_page(page_data(), ALL19, REFERENTIAL19, findings)[STYLE.height_px :]

    assert all(has_colour(legend, kind).sum() >= 100 for kind in KINDS)
    assert (legend[1:, -2:] == 255).all()


@pytest.mark.parametrize(
    "finding",
    [
        Finding("s", "voltage", (), 0.0, 10.0),
        Finding("s", "spike", ("Cz-A1",), 1.0, 2.0),
        RHYTHM,
    ],
    ids=["no channel", "derivation not shown", "whole page"],
)
def test_what_has_no_place_stands_in_the_legend_only(finding: Finding) -> None:
    schema = ChannelSchema.bipolar(("Fp1-F7", "P3-O1"))
    data = noise(1, n_rows=2)[0]
    page = render_page(data, ALL19[:2], schema)

    picture = review_page(data, ALL19[:2], schema, [finding])

    assert np.array_equal(picture[: STYLE.height_px, :, 0], page)
    assert has_colour(picture[STYLE.height_px :], finding.kind).any()


def test_a_derivation_is_marked_where_the_montage_shows_its_electrodes() -> None:
    geometry = page_geometry(REFERENTIAL19, "transverse_bipolar")
    names = [geometry.rows[row] for row in geometry.rows_showing("Fp1-F7")]

    assert names == ["F7-Fp1", "Fp1-Fp2", "F7-F3"]


def test_no_findings_and_missing_rows_still_give_a_picture() -> None:
    mask = ALL19.copy()
    mask[CANONICAL19.index("T7")] = False

    empty = review_page(page_data(), ALL19, REFERENTIAL19, [])
    marked = review_page(page_data(), mask, REFERENTIAL19, [SPIKE])

    assert empty.shape[0] > STYLE.height_px
    assert has_colour(marked, "spike").any()


def test_unknown_names_are_refused() -> None:
    image = render_page(page_data(), ALL19, REFERENTIAL19)

    with pytest.raises(KeyError, match="vocabulary"):
        review_page(page_data(), ALL19, REFERENTIAL19, [Finding("s", "halo", ("Cz",), 1, 2)])
    with pytest.raises(KeyError, match="Fp1-F7"):
        draw_boxes(image, [PageBox("X9", 1.0, 2.0)], page_geometry(REFERENTIAL19))
