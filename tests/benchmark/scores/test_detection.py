"""Average precision against a brute-force one and against scikit-learn's curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.asking.answers import Box
from benchmark.scores.detection import (
    EVENT_RULES,
    IOU_RANGE,
    average_precision,
    by_confidence,
    class_ap,
    event_counts,
    iou,
    iou_closeness,
    match,
)
from detectors.vocabulary import WAVEFORMS

SEGMENTS = {"s1": 0, "s2": 0, "s3": 1}


def _box(segment: str, channel: str, start: int, width: int, confidence: int) -> Box:
    return Box(segment, "spindle", channel, start / 10, (start + width) / 10, confidence / 20)


_BOX = st.builds(
    _box,
    st.sampled_from(list(SEGMENTS)),
    st.sampled_from(["C3", "C4"]),
    st.integers(0, 30),
    st.integers(1, 20),
    st.integers(0, 20),
)
_BOXES = st.lists(_BOX, max_size=10)


def _brute_force_ap(truth: list[Box], found: list[Box], limit: float) -> float:
    """COCO's rules by sets and loops: best free overlap, 101 points, highest later precision."""
    taken: set[int] = set()
    outcomes: list[bool] = []
    for box in by_confidence(found):
        overlaps = {}
        for number, true in enumerate(truth):
            if number in taken or (true.segment_id, true.channel) != (box.segment_id, box.channel):
                continue
            # count milliseconds instead of comparing edges
            a = set(range(round(true.t0_s * 1000), round(true.t1_s * 1000)))
            b = set(range(round(box.t0_s * 1000), round(box.t1_s * 1000)))
            overlaps[number] = round(len(a & b) / len(a | b), 9)
        best = max(
            overlaps, key=lambda n: (overlaps[n], -truth[n].t0_s, -truth[n].t1_s), default=None
        )
        is_hit = best is not None and overlaps[best] >= limit - 1e-9
        if is_hit and best is not None:
            taken.add(best)
        outcomes.append(is_hit)
    points = []
    for point in np.linspace(0, 1, 101):  # COCO's own floats: its 0.7 is a little above 7 / 10
        reached = [
            sum(outcomes[: k + 1]) / (k + 1)
            for k in range(len(outcomes))
            if sum(outcomes[: k + 1]) / len(truth) >= point
        ]
        points.append(max(reached, default=0.0))
    return sum(points) / 101


@settings(max_examples=150, deadline=None)
@given(_BOXES.filter(len), _BOXES, st.sampled_from(IOU_RANGE))
def test_average_precision_equals_brute_force(
    truth: list[Box], found: list[Box], limit: float
) -> None:
    ours = class_ap(truth, found, SEGMENTS, np.ones((1, 2)), limit)[0]
    assert ours == pytest.approx(_brute_force_ap(truth, found, limit), abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(_BOXES.filter(len), _BOXES.filter(len))
def test_on_one_page_the_curve_is_scikit_learns(truth: list[Box], found: list[Box]) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    truth = [Box("s1", b.waveform, b.channel, b.t0_s, b.t1_s) for b in truth]
    # distinct confidences: scikit-learn merges ties into one point of the curve
    found = [
        Box("s1", b.waveform, b.channel, b.t0_s, b.t1_s, 1 - i / 100) for i, b in enumerate(found)
    ]
    hits = match(truth, by_confidence(found), iou_closeness(0.5))
    if not hits.any():
        return
    precision, recall, _ = sklearn_metrics.precision_recall_curve(
        hits, [b.confidence for b in found]
    )
    recall = np.round(recall * hits.sum()) / len(truth)  # it knows nothing of missed boxes
    points = [max(precision[:-1][recall[:-1] >= r], default=0.0) for r in np.linspace(0, 1, 101)]
    ours = class_ap(truth, found, SEGMENTS, np.ones((1, 2)), 0.5)[0]
    assert ours == pytest.approx(np.mean(points), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(_BOXES.filter(len), _BOXES, st.integers(0, 3), st.integers(0, 3))
def test_a_weight_counts_as_so_many_copies_of_the_subject(
    truth: list[Box], found: list[Box], first: int, second: int
) -> None:
    copies = {s: [first, second][subject] for s, subject in SEGMENTS.items()}

    def repeated(boxes: list[Box]) -> list[Box]:
        return [
            Box(f"{b.segment_id}-{i}", b.waveform, b.channel, b.t0_s, b.t1_s, b.confidence)
            for b in boxes
            for i in range(copies[b.segment_id])
        ]

    # equal confidences of different pages have no order, so give each box its own
    found = [
        Box(b.segment_id, b.waveform, b.channel, b.t0_s, b.t1_s, 1 - i / 100)
        for i, b in enumerate(found)
    ]
    weighted = class_ap(truth, found, SEGMENTS, np.array([[first, second]], dtype=float), 0.5)[0]
    columns = {f"{s}-{i}": 0 for s in SEGMENTS for i in range(3)}
    copied = class_ap(repeated(truth), repeated(found), columns, np.ones((1, 1)), 0.5)[0]
    if np.isnan(copied):
        assert np.isnan(weighted)
    else:
        assert weighted == pytest.approx(copied, abs=1e-9)


@given(_BOX, _BOX)
def test_overlap_is_symmetric_and_whole_with_itself(a: Box, b: Box) -> None:
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1
    assert iou(a, a) == pytest.approx(1)


@given(_BOXES.filter(len))
def test_found_truth_has_full_precision(truth: list[Box]) -> None:
    assert class_ap(truth, truth, SEGMENTS, np.ones((1, 2)), 0.5)[0] == pytest.approx(1)


def test_a_box_on_another_channel_or_page_is_no_match() -> None:
    truth = [_box("s1", "C3", 10, 10, 20)]
    for stranger in (_box("s1", "C4", 10, 10, 20), _box("s2", "C3", 10, 10, 20)):
        assert not match(truth, [stranger], iou_closeness(0.5)).any()


def test_a_second_box_on_the_same_truth_is_false() -> None:
    truth = [_box("s1", "C3", 10, 10, 20)]
    found = by_confidence([_box("s1", "C3", 10, 10, 10), _box("s1", "C3", 11, 10, 20)])
    assert match(truth, found, iou_closeness(0.5)).tolist() == [True, False]


def test_an_overlap_of_exactly_one_half_counts() -> None:
    truth, found = [_box("s1", "C3", 0, 10, 20)], [_box("s1", "C3", 0, 20, 20)]
    assert match(truth, found, iou_closeness(0.5)).tolist() == [True]
    assert match(truth, found, iou_closeness(0.51)).tolist() == [False]


def test_without_truth_precision_is_void_and_without_boxes_it_is_nought() -> None:
    none = np.zeros(0, dtype=bool)
    values = average_precision(none, np.zeros(0, int), np.ones((2, 1)), np.array([0.0, 3.0]))
    assert np.isnan(values[0])
    assert values[1] == 0.0


def test_every_class_has_an_event_rule() -> None:
    assert set(EVENT_RULES) == set(WAVEFORMS)


@pytest.mark.parametrize(
    ("waveform", "shift_s", "is_true"),
    [
        ("spike", 0.10, True),
        ("spike", 0.11, False),
        ("spsw", 0.20, True),
        ("spsw", 0.21, False),
        ("spindle", 0.66, True),
        ("spindle", 0.68, False),
    ],
)
def test_events_follow_the_rule_of_their_class(
    waveform: str, shift_s: float, is_true: bool
) -> None:
    width_s = 1.0 if waveform == "spindle" else 0.06
    truth = Box("s1", waveform, "C3", 2.0, 2.0 + width_s)
    found = Box("s1", waveform, "C3", 2.0 + shift_s, 2.0 + shift_s + width_s, 0.9)
    counts = event_counts([truth], [found], SEGMENTS, 2, EVENT_RULES[waveform])
    assert counts.tolist() == [[1, 0, 0] if is_true else [0, 1, 1], [0, 0, 0]]
