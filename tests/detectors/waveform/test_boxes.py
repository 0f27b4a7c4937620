"""Which channels of an event are boxed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.types import ExpertEvent, Measure
from detectors.waveform.boxes import VISIBILITY, waveform_boxes


def event(
    kind: str,
    p2p_uv: dict[str, float],
    signs: dict[str, float] | None = None,
    span: tuple[float, float] = (2.0, 2.5),
    duration_s: float | None = None,
) -> ExpertEvent:
    measures = [Measure(f"p2p_uv:{c}", v, "uV") for c, v in p2p_uv.items()]
    measures += [Measure(f"sign:{c}", v, "1") for c, v in (signs or {}).items()]
    if duration_s is not None:
        measures.append(Measure("duration_s", duration_s, "s"))
    return ExpertEvent(kind, tuple(p2p_uv), *span, "simulator@1", tuple(measures))


def test_small_channels_of_an_event_are_not_boxed() -> None:
    found = waveform_boxes(event("spike", {"T7": 100.0, "F7": 60.0, "C3": 35.0, "P7": 10.0}))
    assert [(w, c) for w, c, _, _ in found] == [("spike", "T7"), ("spike", "F7")]


def test_an_event_too_small_everywhere_has_no_box_unless_the_floor_is_lowered() -> None:
    small = event("spindle", {"Cz": 12.0, "C3": 9.0})
    assert waveform_boxes(small) == []
    assert [c for _, c, _, _ in waveform_boxes(small, {"spindle": 5.0})] == ["Cz", "C3"]


def test_a_lateral_eye_movement_is_boxed_by_the_sign_at_each_electrode() -> None:
    found = waveform_boxes(event("lateral_eye", {"F8": 80.0, "F7": 78.0}, {"F8": 1.0, "F7": -1.0}))
    assert [(w, c) for w, c, _, _ in found] == [("eyer+", "F8"), ("eyer-", "F7")]


def test_the_upside_down_image_of_a_blink_is_not_a_blink() -> None:
    found = waveform_boxes(event("blink", {"Fp1": 200.0, "O1": 60.0}, {"Fp1": 1.0, "O1": -1.0}))
    assert [c for _, c, _, _ in found] == ["Fp1"]


def test_events_without_amplitudes_are_boxed_on_every_channel_they_name() -> None:
    expert = ExpertEvent("kcomplex", ("Fz", "Cz"), 1.0, 1.8, "DREAMS:1")
    assert waveform_boxes(expert) == [
        ("Kcomplex", "Fz", 1.0, 1.8),
        ("Kcomplex", "Cz", 1.0, 1.8),
    ]


@pytest.mark.parametrize(
    ("kind", "kept_s", "whole_s", "is_boxed"),
    [
        ("blink", 0.1, 0.4, False),
        ("blink", 0.3, 0.4, True),
        ("muscle", 0.35, 2.0, True),
        ("spindle", 0.3, 1.0, False),
    ],
    ids=["cut blink", "most of a blink", "long rest", "short rest"],
)
def test_a_cut_event_is_boxed_if_enough_is_left(
    kind: str, kept_s: float, whole_s: float, is_boxed: bool
) -> None:
    cut = event(kind, {"Fp1": 150.0}, span=(0.0, kept_s), duration_s=whole_s)
    assert bool(waveform_boxes(cut)) == is_boxed


def test_kinds_without_a_detector_class_have_no_boxes() -> None:
    assert "electrode_pop" not in VISIBILITY
    assert waveform_boxes(event("electrode_pop", {"T7": 200.0})) == []


def test_planted_events_are_boxed_by_their_size_against_each_rows_background() -> None:
    p2p = {"T7": 12.0, "F7": 10.0, "C3": 8.0, "P7": 2.0}
    small = event("spike", p2p)
    assert waveform_boxes(small) == []
    sizes = {"T7": 2.0, "F7": 1.2, "C3": 0.8, "P7": 3.0}
    planted = replace(
        small,
        measures=small.measures + tuple(Measure(f"k:{c}", k, "1") for c, k in sizes.items()),
    )
    assert [c for _, c, _, _ in waveform_boxes(planted)] == ["T7", "F7"]
