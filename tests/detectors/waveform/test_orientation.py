"""Every page is read with its livelier half on the same side, and its boxes come back where they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.montage import HOMOLOGOUS, mirror_rows, rows_of
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, SegmentBatch, WaveformEvent
from detectors.waveform.infer import Precision, load_detector
from detectors.waveform.nms import Boxes
from detectors.waveform.orientation import oriented, turned_back

ORDER = mirror_rows()
OPPOSITE = dict(HOMOLOGOUS) | {right: left for left, right in HOMOLOGOUS}


def pages(n: int, seed: int = 0, *, gain: float = 20.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (gain * rng.standard_normal((n, 19, N_TIMES))).astype(np.float32)


def all_there(n: int) -> NDArray[np.bool_]:
    return np.ones((n, 19), dtype=bool)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 5), gain=st.sampled_from([1e-3, 1.0, 1e4]))
def test_a_page_and_its_mirror_image_become_the_same_page(seed: int, n: int, gain: float) -> None:
    data, mask = pages(n, seed, gain=gain), all_there(n)
    mask[:, seed % 19] = False
    here = oriented(data, mask)
    there = oriented(np.ascontiguousarray(data[:, ORDER]), mask[:, ORDER])
    np.testing.assert_array_equal(here[0], there[0])
    np.testing.assert_array_equal(here[1], there[1])
    np.testing.assert_array_equal(here[2], ~there[2])


@pytest.mark.parametrize("side", [0, 1], ids=["left", "right"])
def test_the_livelier_half_comes_to_the_left_whatever_the_midline_does(side: int) -> None:
    data = pages(1)
    data[:, rows_of("Fz", "Cz", "Pz")] *= 50
    data[:, rows_of(*(pair[side] for pair in HOMOLOGOUS))] *= 2
    seen, _, is_turned = oriented(data, all_there(1))
    assert is_turned.tolist() == [bool(side)]
    np.testing.assert_array_equal(seen, data[:, ORDER] if side else data)


def test_pages_of_one_batch_are_turned_one_by_one_and_the_batch_stays_as_it_was() -> None:
    data = pages(2)
    data[0, rows_of("T8", "C4")] *= 9
    data[1, rows_of("T7", "C3")] *= 9
    before = data.copy()
    seen, _, is_turned = oriented(data, all_there(2))
    assert is_turned.tolist() == [True, False]
    np.testing.assert_array_equal(seen[1], before[1])
    np.testing.assert_array_equal(data, before)


def test_channels_that_were_not_recorded_or_hold_no_number_do_not_count() -> None:
    data, mask = pages(1), all_there(1)
    data[:, rows_of("C3", "P3")] *= 2
    data[:, rows_of("F8")] *= 99
    mask[:, rows_of("F8")] = False
    data[0, rows_of("T8"), 500] = np.nan
    assert oriented(data, mask)[2].tolist() == [False]
    assert oriented(data[:, ORDER], mask[:, ORDER])[2].tolist() == [True]


def test_a_page_that_is_its_own_mirror_image_stays() -> None:
    data = pages(1)
    data[:, rows_of(*(right for _, right in HOMOLOGOUS))] = data[
        :, rows_of(*(left for left, _ in HOMOLOGOUS))
    ]
    assert oriented(data, all_there(1))[2].tolist() == [False]


def test_boxes_return_to_the_channels_they_were_found_on() -> None:
    n = len(CANONICAL19)
    zeros = np.zeros(n)
    boxes = Boxes(
        np.zeros(n, dtype=np.int64), np.arange(n), zeros, zeros + 1, zeros.astype(np.float32)
    )
    names = [CANONICAL19[row] for row in turned_back(boxes, True).rows]
    assert names == [OPPOSITE.get(name, name) for name in CANONICAL19]
    np.testing.assert_array_equal(turned_back(boxes, False).rows, boxes.rows)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_every_box_of_a_mirrored_page_is_a_mirrored_box(precision: Precision) -> None:
    detector, batch = load_detector(precision=precision), lively()
    mirrored = replace(batch, data_uv=batch.data_uv[:, ORDER], mask=batch.mask[:, ORDER])
    here, there = (detector.detect(b, 0.01) for b in (batch, mirrored))
    assert len(here) > 50
    assert set(here) == {replace(e, channel=OPPOSITE.get(e.channel, e.channel)) for e in there}


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_segment_gives_the_same_boxes_alone_and_among_others(precision: Precision) -> None:
    detector, batch = load_detector(precision=precision), lively()
    together = detector.detect(batch, 0.01)
    alone: list[WaveformEvent] = []
    for i, name in enumerate(batch.segment_ids):
        part = slice(i, i + 1)
        one = replace(
            batch, segment_ids=(name,), data_uv=batch.data_uv[part], mask=batch.mask[part],
            band_hz=batch.band_hz[part],
        )  # fmt: skip
        alone += detector.detect(one, 0.01)
    assert alone == together


def lively() -> SegmentBatch:
    """Pages of coloured noise with a slow wave, a burst and a spike, one channel missing."""
    rng = np.random.default_rng(5)
    data = np.cumsum(pages(4, 5, gain=6.0), axis=-1)
    data -= data.mean(axis=-1, keepdims=True)
    t = np.arange(N_TIMES) / 200
    for page in data:
        page *= 12 / page.std()
        for row in rng.permutation(19)[:6]:
            at = rng.uniform(1, 9)
            page[row] += 120 * np.exp(-(((t - at) / 0.15) ** 2))
            page[row] += 40 * np.exp(-(((t - 10 + at) / 0.4) ** 2)) * np.sin(2 * np.pi * 13 * t)
            page[row] -= 150 * np.exp(-(((t - 5) / 0.02) ** 2))
    mask = all_there(4)
    mask[2, 3] = False
    data[2, 3] = 0
    band = np.tile(np.array([0.1, 75.0], dtype=np.float32), (4, 1))
    return SegmentBatch(("a", "b", "c", "d"), data, mask, REFERENTIAL19, band, 50.0)
