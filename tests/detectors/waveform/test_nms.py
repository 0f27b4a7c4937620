"""Decoding, suppression in time, and scoring of boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.vocabulary import WAVEFORMS
from detectors.waveform.nms import N_ANCHORS, Boxes, decode, interval_iou, suppress
from detectors.waveform.scoring import EVENT_RULES, Matches, match

COLUMNS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 2),
        st.floats(0, 9),
        st.floats(0.02, 1),
        st.floats(0.01, 1),
    ),
    max_size=40,
)


def boxes_of(columns: list[tuple[int, int, float, float, float]]) -> Boxes:
    ordered = sorted(columns, key=lambda c: -c[4])
    table = np.array(ordered, dtype=np.float64).reshape(-1, 5)
    return Boxes(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        table[:, 2],
        table[:, 2] + table[:, 3],
        table[:, 4].astype(np.float32),
    )


@given(COLUMNS, st.floats(0.1, 0.9))
def test_survivors_are_a_subset_that_no_longer_overlaps(
    columns: list[tuple[int, int, float, float, float]], limit: float
) -> None:
    boxes = boxes_of(columns)
    kept = suppress(boxes, limit)
    assert len(kept) <= len(boxes)
    assert np.all(np.diff(kept.scores) <= 0)
    for i in range(len(kept)):
        same = (kept.classes == kept.classes[i]) & (kept.rows == kept.rows[i])
        same[i] = False
        overlap = interval_iou(kept.t0_s[i], kept.t1_s[i], kept.t0_s[same], kept.t1_s[same])
        assert (overlap <= limit).all()
    again = suppress(kept, limit)
    np.testing.assert_array_equal(again.t0_s, kept.t0_s)


@given(COLUMNS)
def test_the_best_box_of_each_class_and_channel_survives(
    columns: list[tuple[int, int, float, float, float]],
) -> None:
    boxes, kept = boxes_of(columns), suppress(boxes_of(columns), 0.5)
    for key in {(c, r) for c, r in zip(boxes.classes, boxes.rows, strict=True)}:
        mine = (boxes.classes == key[0]) & (boxes.rows == key[1])
        left = (kept.classes == key[0]) & (kept.rows == key[1])
        assert kept.scores[left].max() == boxes.scores[mine].max()


@given(st.floats(0, 5), st.floats(0.01, 5), st.floats(0, 5), st.floats(0.01, 5))
def test_interval_overlap_is_symmetric_and_bounded(
    a: float, a_width: float, b: float, b_width: float
) -> None:
    one = np.array([a]), np.array([a + a_width])
    two = np.array([b]), np.array([b + b_width])
    forth, back = interval_iou(*one, *two)[0], interval_iou(*two, *one)[0]
    assert forth == pytest.approx(back)
    assert -1e-9 <= forth <= 1 + 1e-9
    assert interval_iou(*one, *one)[0] == pytest.approx(1.0)


def test_decoding_reads_rows_times_classes_and_thresholds() -> None:
    output = np.zeros((13, N_ANCHORS), dtype=np.float32)
    cz = 9 * 252 + 50
    output[:4, cz] = (400.0, 76.0, 100.0, 8.0)
    output[4 + 3, cz] = 0.7
    output[4 + 4, cz] = 0.3
    output[4 + 3, 19 * 252] = 0.9  # the padding row
    limits = np.full(9, 0.5, dtype=np.float32)
    mask = np.ones(19, dtype=bool)
    found = decode(output, limits, mask)
    assert (found.classes.tolist(), found.rows.tolist()) == ([3], [9])
    assert (found.t0_s[0], found.t1_s[0]) == (1.75, 2.25)
    assert len(decode(output, np.full(9, 0.2, dtype=np.float32), mask)) == 2
    mask[9] = False
    assert len(decode(output, limits, mask)) == 0


def test_decoding_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match="expected"):
        decode(np.zeros((13, 7)), np.zeros(9, dtype=np.float32), np.ones(19, dtype=bool))  # type: ignore[arg-type]


@given(COLUMNS)
@settings(max_examples=50)
def test_truth_found_as_it_is_scores_one(
    columns: list[tuple[int, int, float, float, float]],
) -> None:
    truth = suppress(boxes_of(columns), 0.5)
    for index in set(truth.classes.tolist()):
        matches = match([truth], [truth], index)
        assert matches.average_precision() == pytest.approx(1.0)
        assert matches.at(0.0) == pytest.approx((1.0, 1.0, 1.0))


def test_average_precision_of_a_known_ranking() -> None:
    hits = np.array([True, False, True, False])
    sizes = np.array([2.0, np.nan, 5.0, np.nan])
    scores = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)
    matches = Matches(scores, hits, 2, sizes, np.array([5.0, 2.0]))
    assert matches.average_precision() == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)
    assert matches.at(0.85) == pytest.approx((1.0, 0.5, 2 / 3))
    assert matches.threshold_for(0.6, min_detections=1) == pytest.approx(0.7)
    assert matches.threshold_for(0.6, min_detections=9) is None


def test_a_truth_is_matched_once_and_only_on_its_own_channel() -> None:
    truth = boxes_of([(0, 1, 1.0, 0.5, 1.0)])
    found = boxes_of([(0, 1, 1.0, 0.5, 0.9), (0, 1, 1.0, 0.45, 0.8), (0, 2, 1.0, 0.5, 0.7)])
    assert match([found], [truth], 0).is_hit.tolist() == [True, False, False]


def test_the_event_rule_of_spikes_forgives_edges_but_not_distance() -> None:
    truth = boxes_of([(1, 3, 2.0, 0.03, 1.0)])
    near, far = boxes_of([(1, 3, 1.99, 0.12, 0.9)]), boxes_of([(1, 3, 2.3, 0.03, 0.9)])
    assert not match([near], [truth], 1).is_hit.any()
    assert match([near], [truth], 1, EVENT_RULES["spike"]).is_hit.all()
    assert not match([far], [truth], 1, EVENT_RULES["spike"]).is_hit.any()
    assert set(EVENT_RULES) == set(WAVEFORMS)


def test_scores_by_size_leave_out_hits_of_other_sizes_and_keep_what_is_false() -> None:
    truth = boxes_of([(0, 1, 1.0, 0.5, 1.0), (0, 1, 3.0, 0.5, 1.0), (0, 1, 5.0, 0.5, 1.0)])
    found = boxes_of([(0, 1, 1.0, 0.5, 0.9), (0, 1, 3.0, 0.5, 0.8), (0, 1, 8.0, 0.5, 0.7)])
    sizes = [np.array([2.0, 6.0, 3.0])]
    matches = match([found], [truth], 0, sizes=sizes)
    small, large = matches.of_sizes(1.5, 4.0), matches.of_sizes(4.0, 8.0)
    assert small.at(0.0)[:2] == pytest.approx((0.5, 0.5))
    assert large.at(0.0)[:2] == pytest.approx((0.5, 1.0))
    assert matches.of_sizes(8.0, 12.0).n_truth == 0
    assert match([found], [truth], 0).of_sizes(0.0, 99.0).n_truth == 0
