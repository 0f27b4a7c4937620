"""Labelled events become boxes on the right row at the right time, or are counted with a cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from annotated import boxed, bump, buzz, gathered, outcomes, page, places
from trees import dreams, tuar, tuev, tusz

from dagster_project.corpora.annotations.boxes import CAUSES, Tally, boxes_of
from dagster_project.corpora.annotations.report import box_counts, split_faults
from dagster_project.corpora.registry import corpus
from detectors.types import ChannelSchema, ExpertEvent, Measure

SPINDLES = "dreams-spindles/DatabaseSpindles"


def mark(
    kind: str, channels: tuple[str, ...], t0_s: float, t1_s: float, source: str = "tuar:x"
) -> ExpertEvent:
    return ExpertEvent(kind, channels, t0_s, t1_s, source)


def test_two_experts_stay_apart_and_vote(tmp_path: Path) -> None:
    dreams.write_excerpt(
        tmp_path / SPINDLES, 2, expert_1=[(12, 1.5), (31, 0.8)], expert_2=[(12.2, 1)]
    )
    marks, _, _ = gathered(corpus("dreams-spindles"), tmp_path)
    assert sorted((r["annotator"], *places([r])[0]) for r in marks.annotator_rows) == [
        ("expert_1", "spindle", "Cz", 1.0, 1.8), ("expert_1", "spindle", "Cz", 2.0, 3.5),
        ("expert_2", "spindle", "Cz", 2.2, 3.2),
    ]  # fmt: skip
    agreed, alone = sorted(marks.rows, key=lambda r: -r["weight"])
    assert (places([agreed]), agreed["weight"]) == ([("spindle", "Cz", 2.1, 3.35)], 1.0)
    assert agreed["annotators"] == ["expert_1", "expert_2"]
    assert (places([alone]), alone["weight"]) == ([("spindle", "Cz", 1.0, 1.8)], 0.5)
    assert {r["origin"] for r in marks.rows} == {"corpus"}


def test_an_expert_who_stopped_looking_has_no_vote(tmp_path: Path) -> None:
    dreams.write_excerpt(
        tmp_path / SPINDLES, 2, duration_s=1020, expert_1=[(990, 1)], expert_2=[(1005, 1)],
        codes=[2] * 204,
    )  # fmt: skip
    marks, _, _ = gathered(corpus("dreams-spindles"), tmp_path)
    found = {tuple(r["annotators"]): r["weight"] for r in marks.rows}
    assert found == {("expert_1",): 0.5, ("expert_2",): 1.0}


def test_kcomplexes_lie_on_the_channel_of_their_scoring(tmp_path: Path) -> None:
    folder = tmp_path / "dreams-kcomplexes/DatabaseKcomplexes"
    dreams.write_excerpt(
        folder, 1, what="Kcomplexes", expert_1=[(25.5, 1), (41, 3)], expert_2=None
    )  # fmt: skip
    marks, _, _ = gathered(corpus("dreams-kcomplexes"), tmp_path)
    assert places(marks.rows) == [("Kcomplex", "Cz", 5.5, 6.5)]
    assert outcomes(marks.tally) == {
        ("kcomplex", "boxed"): 1, ("kcomplex", "longer_than_class"): 1,
    }  # fmt: skip


def test_marks_of_tuev_are_placed_on_electrodes_within_their_second(tmp_path: Path) -> None:
    tuev.write(tmp_path)
    marks, _, _ = gathered(corpus("tuev"), tmp_path)
    spikes = [r for r in marks.rows if r["waveform"] == "spsw"]
    assert {r["is_placed"] for r in spikes} == {True}
    # A1-T3 from 3 to 6 s, T3-C3 from 3 to 5 s; A1-T3's ear is no row
    assert {r["channel"] for r in spikes} <= {"T7", "C3", "Cz"}
    early = [r for r in spikes if r["channel"] == "T7" and r["t0_s"] < 7]
    assert early
    assert all(r["t0_s"] >= 2.9 and r["t1_s"] <= 6.4 for r in early)
    assert outcomes(marks.tally)["lpd", "no_class"]
    assert outcomes(marks.tally)["gpd", "no_class"]
    assert outcomes(marks.tally)["background", "no_class"]


def test_a_seizure_is_no_waveform(tmp_path: Path) -> None:
    tusz.write(tmp_path)
    marks, _, _ = gathered(corpus("tusz"), tmp_path)
    assert marks.rows == []
    assert {what for what in outcomes(marks.tally)} == {("seizure", "no_class")}


@pytest.mark.parametrize(("key", "tree"), [("tuar", tuar), ("tuev", tuev), ("tusz", tusz)])
def test_every_mark_is_accounted_for(tmp_path: Path, key: str, tree: Any) -> None:
    tree.write(tmp_path)
    marks, segments, _ = gathered(corpus(key), tmp_path)
    n_marks = sum(max(len(e["channels"]), 1) for s in segments for e in s["events"])
    assert n_marks > 0
    assert sum(marks.tally.counts.values()) == n_marks
    assert {o for _, _, o in marks.tally.counts} <= {"boxed", *CAUSES}
    known = {s["segment_id"]: s for s in segments}
    for row in marks.rows:
        segment = known[row["segment_id"]]
        recorded = dict(zip(segment["ch_names"], segment["mask"], strict=True))
        assert recorded[row["channel"]]
        assert 0 <= row["t0_s"] < row["t1_s"] <= 10
        assert (row["split"], row["subject_id"]) == (segment["split"], segment["subject_id"])


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        ({"Fp1": bump(3, 0.4, 150)}, {("eyem", "Fp1")}),
        ({"Fp1": bump(3, 0.4, 150), "F7": bump(3, 0.4, 130)}, {("eyem", "Fp1"), ("eyem", "F7")}),
        ({"F7": bump(3, 1, -90), "F8": bump(3, 1, 80)}, {("eyer-", "F7")}),
        ({"F7": bump(3, 1, 90), "F8": bump(3, 1, -80)}, {("eyer+", "F7")}),
    ],
    ids=["blink", "wide blink", "to the right", "to the left"],
)
def test_an_eye_movement_goes_to_the_electrode_that_shows_it(waves: Any, expected: Any) -> None:
    found, counts = boxed(mark("eye_movement", ("Fp1-F7",), 2.8, 4.2), waves)
    assert {(b.waveform, b.channel) for b in found} == expected
    assert {(b.t0_s, b.t1_s) for b in found} == {(2.8, 4.2)}
    assert counts == {("eye_movement", "boxed"): 1}


def test_two_derivations_that_share_an_electrode_give_one_box() -> None:
    event = mark("muscle", ("F7-T7", "T7-P7"), 4.0, 5.5)
    found, counts = boxed(event, {"T7": buzz(4, 1.5, 40)})
    assert [(b.waveform, b.channel, b.t0_s, b.t1_s) for b in found] == [("hfnoise", "T7", 4.0, 5.5)]
    assert counts == {("muscle", "boxed"): 2}


def test_an_ear_leaves_the_scalp_electrode() -> None:
    found, _ = boxed(mark("muscle", ("A1-T7",), 4.0, 5.5))
    assert [(b.waveform, b.channel) for b in found] == [("hfnoise", "T7")]


def test_a_complex_is_placed_at_its_peak_within_each_second_of_the_mark() -> None:
    wave = bump(3.62, 0.06, -120) + bump(4.31, 0.06, -120)
    found, _ = boxed(mark("spsw", ("T7-C3",), 3.0, 5.0, "tuev:spsw"), {"C3": wave}, corpus="tuev")
    assert {b.channel for b in found} == {"C3"}
    assert [b.is_placed for b in found] == [True, True]
    for box, peak_s in zip(found, (3.65, 4.34), strict=True):
        assert box.t0_s < peak_s < box.t0_s + 0.15
        assert box.t1_s == pytest.approx(peak_s + 0.4, abs=0.02)


@pytest.mark.parametrize(
    ("event", "more", "cause"),
    [
        (mark("seizure", ("F7-T7",), 1, 9), {}, "no_class"),
        (mark("spindle", (), 1, 2), {}, "no_channel"),
        (mark("spindle", ("Oz",), 1, 2), {}, "not_a_row"),
        (mark("spindle", ("Cz",), 1, 2), {"recorded": ("Fp1", "O1")}, "row_not_recorded"),
        (mark("muscle", ("F7-T7",), 1, 2), {"recorded": ("F7", "O1")}, "row_not_recorded"),
        (mark("muscle", ("F7-T7",), 1, 2), {"recorded": ("F7", "T7")}, "pair_unclear"),
        (mark("spike", ("F7",), 1, 3), {}, "longer_than_class"),
        (mark("spindle", ("Cz",), 1, 5), {}, "longer_than_class"),
        (
            mark("spindle", ("C3-P3",), 1, 2),
            {"schema": ChannelSchema.bipolar(("C3-P3",)), "recorded": ("C3-P3",)},
            "bipolar_segment",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_box_says_why(event: ExpertEvent, more: Any, cause: str) -> None:
    found, counts = boxed(event, **more)
    assert found == []
    assert counts == {(event.kind, cause): 1}


def test_a_planted_event_that_cannot_be_seen_is_counted() -> None:
    measures = (Measure("duration_s", 1.0, "s"), Measure("p2p_uv:Cz", 5.0, "uV"))
    event = ExpertEvent("spindle", ("Cz",), 1.0, 2.0, "simulator@1", measures)
    tally = Tally()
    assert boxes_of(page(event), tally) == []
    assert outcomes(tally) == {("spindle", "not_visible"): 1}


def test_agreed_marks_settle_what_single_annotators_say() -> None:
    from dagster_project.corpora.annotations.votes import vote

    agreed = mark("muscle", ("T7",), 1, 3, "tusl:musc")
    single = mark("muscle", ("T7",), 1.2, 4, "tusl:musc@annotator-01")
    shown = page(agreed, single)
    found = vote(shown, boxes_of(shown, Tally()))
    assert [(v.box.t0_s, v.box.t1_s, v.weight, v.annotators) for v in found] == [
        (1, 3, 1.0, ("corpus",))
    ]


def test_counts_are_by_class_source_and_split() -> None:
    row = {
        "waveform": "spindle", "corpus": "a", "origin": "corpus", "split": "train",
        "segment_id": "1", "subject_id": "p",
    }  # fmt: skip
    found = box_counts([row, {**row, "segment_id": "2"}, {**row, "split": "test"}])
    assert [(r["split"], r["boxes"], r["segments"], r["subjects"]) for r in found] == [
        ("test", 1, 1, 1), ("train", 2, 2, 1),
    ]  # fmt: skip


FINE = {"segment_id": "g", "subject_id": "p", "split": "train"}


@pytest.mark.parametrize(
    ("annotated", "planted", "told"),
    [
        (FINE, {}, None),
        ({**FINE, "split": "test"}, {}, "lies in 2 splits"),
        (FINE, {"split": "test"}, "planted page of origin g"),
        (FINE, {"subject_id": "q"}, "planted page of origin g"),
        ({**FINE, "segment_id": "elsewhere"}, {}, "annotation of elsewhere"),
        (FINE, {"origin_segment_id": "", "subject_id": "drawn", "split": "test"}, None),
    ],
    ids=["disjoint", "two splits", "planted split", "planted person", "no page", "drawn"],
)
def test_splits_must_be_disjoint_by_subject(annotated: Any, planted: Any, told: str | None) -> None:
    frame = pl.DataFrame([{**FINE, "segment_id": "p-1", "origin_segment_id": "g", **planted}])
    found = split_faults(pl.DataFrame([annotated]), frame, pl.DataFrame([FINE]))
    assert bool(found) == (told is not None)
    assert told is None or any(told in fault for fault in found)


def test_rows_of_old_electrode_names_are_found() -> None:
    found, _ = boxed(mark("muscle", ("T3",), 4.0, 5.5))
    assert [b.channel for b in found] == ["T7"]
