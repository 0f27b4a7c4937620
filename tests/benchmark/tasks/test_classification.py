"""From labelled pages to items: window rules, order of options, epochs, stretches, skipped tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from benchmark.errors import BenchmarkError
from benchmark.tasks.classification import epoch_offset_s, event_spans, training_rows
from benchmark.tasks.items import Sources, build_items
from benchmark.tasks.protocol import protocol
from benchmark.tasks.task import TASKS
from dagster_project.tables.registry import table
from dagster_project.tables.store import to_arrow

Row = dict[str, Any]
LETTERS = "ABCDEFGH"


def label(scope: str, name: str, value: str, source: str = "file") -> Row:
    return {"scope": scope, "name": name, "value": value, "source": source}


def event(kind: str, t0_s: float, t1_s: float, *channels: str) -> Row:
    return {"kind": kind, "channels": list(channels), "t0_s": t0_s, "t1_s": t1_s, "source": "x",
            "measures": []}  # fmt: skip


def page(
    number: int, labels: Sequence[Row], events: Sequence[Row] = (), *, corpus: str = "hmc",
    subject: str = "s1", recording: str = "", split: str = "test", start_s: float | None = None,
    recorded_s: float = 10.0,
) -> Row:  # fmt: skip
    recording = recording or f"r-{subject}"
    return {
        "segment_id": f"g-{recording}-{number}", "recording_id": recording, "corpus": corpus,
        "subject_id": subject, "split": split, "start_s": 10.0 * number if start_s is None else start_s,
        "recorded_s": recorded_s, "labels": list(labels), "events": list(events),
        "is_simulated": False,
    }  # fmt: skip


def sources(*pages: Row) -> Sources:
    shape = to_arrow(table("segments"), []).schema
    names = ("segment_id", "recording_id", "corpus", "subject_id", "split", "start_s", "recorded_s",
             "labels", "events", "is_simulated")  # fmt: skip
    import pyarrow as pa

    schema = pa.schema([shape.field(name) for name in names])
    frame = pl.from_arrow(pa.Table.from_pylist(list(pages), schema=schema))
    assert isinstance(frame, pl.DataFrame)
    return Sources(segments=frame)


def right(row: Row) -> str:
    option: str = row["options"][LETTERS.index(row["answer"])]
    return option


def seizure(value: str) -> Row:
    return label("segment", "seizure", value, "csv_bi")


@pytest.mark.parametrize(
    ("labels", "events", "expected"),
    [
        ([seizure("absent")], [], "No seizure"),
        ([seizure("present")], [event("seizure", 0, 5, "F7-T7")], "Seizure"),
        ([seizure("present")], [event("seizure", 0, 4.9)], "less than the rule asks"),
        ([seizure("present")], [event("seizure", 0, 3), event("seizure", 2, 6)], "Seizure"),
        ([seizure("present")], [event("seizure", 0, 3), event("seizure", 1, 4)], "less than"),
        ([seizure("present")], [], "not when"),
        ([seizure("present"), seizure("unknown")], [event("seizure", 0, 9)], "disagree"),
        ([seizure("unknown")], [], "not asked about"),
        ([seizure("absent")], [event("spsw", 0, 9)], "No seizure"),
        ([label("recording", "seizure", "present")], [], "no label"),
        ([], [event("seizure", 0, 10)], "no label"),
    ],
    ids=["none", "half", "less than half", "joined", "joined but less", "untimed", "part unknown",
         "unknown", "another event", "of the recording only", "no label"],
)  # fmt: skip
def test_a_seizure_page_is_one_that_seizures_cover_by_half(
    labels: list[Row], events: list[Row], expected: str
) -> None:
    built = build_items("tusz", sources(page(0, labels, events, corpus="tusz")))
    if expected in ("Seizure", "No seizure"):
        assert [right(row) for row in built.rows] == [expected]
    else:
        assert built.rows == ()
        assert expected in next(iter(built.set_aside))
        assert expected in built.skipped


def test_true_stretches_come_with_the_item() -> None:
    seizing = page(
        0, [seizure("present")], [event("seizure", 1, 4), event("seizure", 3, 9, "C3")],
        corpus="tusz", start_s=730.0,
    )  # fmt: skip
    (row,) = build_items("tusz", sources(seizing)).rows
    assert (row["truth_s"], row["start_s"], row["recording_id"]) == ([1.0, 9.0], 730.0, "r-s1")


def test_three_experts_are_put_to_the_vote() -> None:
    def said(*values: str) -> list[Row]:
        return [
            label("segment", "seizure", v, f"expert {e}")
            for e, v in zip("ABC", values, strict=False)
        ]

    pages = [
        page(0, said("absent", "absent", "absent"), corpus="helsinki-neonatal"),
        page(1, said("present", "absent", "absent"), corpus="helsinki-neonatal"),
        page(
            2,
            said("present", "present", "absent"),
            [event("seizure", 0, 10)],
            corpus="helsinki-neonatal",
        ),
        page(3, said("present", "absent"), corpus="helsinki-neonatal"),
    ]
    built = build_items("helsinki_neonatal", sources(*pages))
    assert sorted((row["start_s"], right(row)) for row in built.rows) == [
        (0.0, "No seizure"), (10.0, "No seizure"), (20.0, "Seizure"),
    ]  # fmt: skip
    assert dict(built.set_aside) == {"two labels disagree": 1}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["bckg"], "Background"),
        (["bckg", "gped"], "Generalised periodic discharges"),
        (["gped", "pled"], None),
        (["calb"], None),
    ],
    ids=["background", "background gives way", "two kinds", "not asked"],
)
def test_background_gives_way_to_one_other_kind(codes: list[str], expected: str | None) -> None:
    labels = [label("interval", "event_class", code) for code in codes]
    rows = build_items("tuev", sources(page(0, labels, corpus="tuev"))).rows
    assert [right(row) for row in rows] == ([expected] if expected else [])


def test_a_page_that_is_not_recorded_in_full_is_not_asked_about() -> None:
    short = page(0, [label("recording", "diagnosis", "adhd")], corpus="adhd-child", recorded_s=7.5)
    built = build_items("adhd_child", sources(short))
    assert dict(built.set_aside) == {"page is not recorded in full": 1}


def test_a_further_label_can_be_asked_for() -> None:
    task = label("recording", "task", "eyes_open_rest")
    pages = [
        page(0, [task, label("file", "timing", "regular")], corpus="eegmmidb"),
        page(1, [task, label("file", "timing", "irregular")], corpus="eegmmidb"),
    ]
    built = build_items("eegmmidb_eyes", sources(*pages))
    assert [right(row) for row in built.rows] == ["Eyes open"]
    assert dict(built.set_aside) == {"label timing is not regular": 1}


def night(stages: str, first_s: float = 0.0, **more: Any) -> list[Row]:
    """One page per letter: W 1 2 3 R."""
    words = {"W": "W", "1": "N1", "2": "N2", "3": "N3", "R": "REM"}
    return [
        page(
            n,
            [label("epoch", "stage", words[c])] if c in words else [],
            start_s=first_s + 10 * n,
            **more,
        )
        for n, c in enumerate(stages)
    ]


@pytest.mark.parametrize("first_s", [0.0, 10.0, 24.0])
def test_pages_of_an_epoch_are_found_from_where_stages_change(first_s: float) -> None:
    # a lone third, then epochs of three
    built = build_items("hmc", sources(*night("1222333WWW", first_s)))
    groups = Counter(row["group_id"] for row in built.rows)
    assert sorted(groups.values()) == [1, 3, 3, 3]
    assert groups[""] == 1
    for group in set(groups) - {""}:
        assert len({right(row) for row in built.rows if row["group_id"] == group}) == 1


def test_an_epoch_with_an_unscored_third_is_not_voted_on() -> None:
    built = build_items("hmc", sources(*night("111-22333")))
    assert Counter(bool(row["group_id"]) for row in built.rows) == {True: 6, False: 2}


def test_the_grid_of_epochs_is_where_most_stages_change() -> None:
    pages = [(4.0 + 10 * n, c) for n, c in enumerate("WW111222222333")]
    assert epoch_offset_s(pages) == 24.0
    assert epoch_offset_s([(4.0, "W"), (14.0, "W")]) == 4.0


def test_epochs_are_drawn_whole() -> None:
    people = [r for s in "abcd" for r in night("WWW111222333RRR", subject=s)]
    for cap in (3, 7, 12, 31):
        rows = build_items("hmc", sources(*people), cap=cap).rows
        assert len(rows) == cap - cap % 3
        assert set(Counter(row["group_id"] for row in rows).values()) == {3}


def test_classes_take_turns_and_a_smaller_cap_is_a_subset() -> None:
    people = [r for s in "abcd" for r in night("W" * 60 + "1" * 3 + "R" * 3, subject=s)]
    few = build_items("hmc", sources(*people), cap=36)
    assert Counter(map(right, few.rows)) == {"Wake": 12, "N1": 12, "REM": 12}
    many = build_items("hmc", sources(*people), cap=60)
    assert {r["item_id"] for r in few.rows} < {r["item_id"] for r in many.rows}


def test_a_model_sees_nothing_that_tells_the_class() -> None:
    rows = build_items("hmc", sources(*night("WWW111222333RRR"))).rows
    assert {row["category"] for row in rows} == {"stage"}
    question = protocol("hmc").question
    assert {row["prompt"].split("\n")[0] for row in rows} == {question}


def test_options_are_closed_and_their_order_is_drawn_per_page_for_ever() -> None:
    rows = build_items(
        "hmc", sources(*[r for s in "abcdefgh" for r in night("WWW111222333RRR", subject=s)])
    ).rows
    assert {tuple(sorted(row["options"])) for row in rows} == {
        tuple(sorted(protocol("hmc").options))
    }
    assert len({tuple(row["options"]) for row in rows}) > 40
    counts = Counter(row["answer"] for row in rows)
    assert max(counts.values()) < 3 * min(counts.values())
    again = build_items(
        "hmc", sources(*[r for s in "abcd" for r in night("WWW111", subject=s)]), seed=5
    )
    order = {row["segment_id"]: row["options"] for row in rows}
    assert all(order[row["segment_id"]] == row["options"] for row in again.rows)


def test_stretches_of_recordings_are_drawn_whole_with_and_without_seizures_in_turn() -> None:
    def hour(recording: str, seizing: set[int]) -> list[Row]:
        return [
            page(
                n, [seizure("present" if n in seizing else "absent")],
                [event("seizure", 0, 10)] if n in seizing else [], corpus="tusz", recording=recording,
            )
            for n in range(360)
        ]  # fmt: skip

    pages = [r for n in range(6) for r in hour(f"r{n}", {5, 6} if n == 4 else set())]
    rows = build_items("tusz", sources(*pages), cap=800).rows
    assert set(Counter(row["recording_id"] for row in rows).values()) == {360}
    assert len(rows) == 720
    assert "r4" in {row["recording_id"] for row in rows}
    built = build_items("tusz", sources(*pages), cap=100)
    assert "raise it" in built.skipped


def test_published_parts_are_told_apart() -> None:
    official = label("split", "official", "test")
    abnormal = label("recording", "abnormality", "abnormal")
    pages = [page(0, [abnormal, official], corpus="tuab"), page(1, [abnormal], corpus="tuab")]
    rows = build_items("tuab", sources(*pages)).rows
    assert sorted(row["parts"] for row in rows) == [[], ["official test"]]


def test_items_fit_the_table_and_ignore_the_order_of_rows() -> None:
    pages = [r for s in "abc" for r in night("WWW111", subject=s)]
    rows = build_items("hmc", sources(*pages)).rows
    assert to_arrow(table("benchmark_items"), rows).num_rows == len(rows) == 18
    assert build_items("hmc", sources(*pages[::-1])).rows == rows


def test_only_test_subjects_are_asked_about_and_baselines_learn_from_training_ones() -> None:
    pages = [*night("WWW", subject="a"), *night("222222", subject="b", split="train")]
    both = sources(*pages)
    assert {row["subject_id"] for row in build_items("hmc", both).rows} == {"a"}
    learnt = training_rows(TASKS["hmc"], both)
    assert Counter(row["answer_text"] for row in learnt) == {"N2": 6}
    assert all(row["options"][LETTERS.index(row["answer"])] == "N2" for row in learnt)


def test_a_person_in_two_splits_stops_the_build() -> None:
    pages = [*night("WWW"), *night("222", split="train", recording="other")]
    with pytest.raises(BenchmarkError, match="make the split disjoint"):
        build_items("hmc", sources(*pages))


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ([], "no segments of hmc are stored"),
        (night("WWW", split="train"), "are of a test subject"),
        (night("---"), "no label of this name"),
        (night("WWW", corpus="boas"), "no segments of hmc are stored"),
    ],
    ids=["no corpus", "no test subject", "no label", "another corpus"],
)
def test_a_task_without_pages_says_why_and_is_no_error(pages: list[Row], said: str) -> None:
    built = build_items("hmc", sources(*pages))
    assert built.rows == ()
    assert said in built.skipped


def test_columns_that_are_missing_are_named() -> None:
    whole = sources(*night("WWW"))
    with pytest.raises(BenchmarkError, match="'labels'"):
        build_items("hmc", Sources(segments=whole.segments.drop("labels")))


def test_events_of_other_kinds_and_channels_are_joined_as_one_time() -> None:
    events = [event("seizure", 2, 5, "a"), event("seizure", 4, 6, "b"), event("spsw", 0, 9),
              event("seizure", 8, 9)]  # fmt: skip
    assert event_spans(events, ("seizure",)) == [(2, 6), (8, 9)]
    assert event_spans(events, ()) == []


def test_everybody_is_asked_about_only_where_nobody_trained() -> None:
    diagnosed = label("recording", "depression", "depressed")
    pages = [
        page(0, [diagnosed], corpus="depression-122", subject=s, split=split)
        for s, split in (("a", "train"), ("b", "validation"), ("c", "test"))
    ]
    own = build_items("depression_122", sources(*pages))
    assert {row["subject_id"] for row in own.rows} == {"c"}
    every = build_items("depression_122", sources(*pages), is_everybody=True)
    assert {row["subject_id"] for row in every.rows} == {"a", "b", "c"}
    with pytest.raises(BenchmarkError, match="not zero-shot"):
        build_items("hmc", sources(*night("WWW")), is_everybody=True)
