from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.timed import (
    Mark,
    TimedEvent,
    TimedLabel,
    TimedParams,
    clean,
    timed_labels,
)
from dagster_project.corpora.labels.types import RecordingLabels


def marks(*rows: tuple[float, float, str]) -> list[Mark]:
    return [Mark(onset, length, {"trial_type": word}) for onset, length, word in rows]


def apply(rule: TimedLabel, *rows: tuple[float, float, str], end_s: float = 100) -> RecordingLabels:
    return timed_labels(marks(*rows), TimedParams(labels=(rule,)), end_s, "here")


def spans(found: RecordingLabels) -> list[tuple[float, float, str]]:
    return [(i.t0_s, i.t1_s, i.label.value) for i in found.intervals]


EYES = {"EO": "open", "EC": "closed"}


def test_a_word_holds_as_long_as_its_row_says() -> None:
    rule = TimedLabel(name="eyes", values=EYES)
    found = apply(rule, (5, 10, "eo"), (40, 0, "EC"), (95, 30, "EC"))
    assert spans(found) == [(5, 15, "open"), (40, 40.001, "closed"), (95, 100, "closed")]


def test_a_word_holds_until_the_next_or_the_end() -> None:
    rule = TimedLabel(name="eyes", values=EYES, lasts="until_next", ends=("stop",))
    found = apply(rule, (60, 0, "EO"), (5, 0, "EC"), (30, 0, "stop"), (50, 0, "talk"))
    assert spans(found) == [(5, 30, "closed"), (60, 100, "open")]
    assert [(x.name, x.value) for x in found.labels] == [("events_not_mapped", "1")]


def test_repeated_marks_hold_while_they_are_repeated() -> None:
    rule = TimedLabel(name="eyes", values=EYES, lasts="marks", gap_s=3)
    rows = [(t, 0, "EO") for t in (1, 3, 5, 20, 22)] + [(t, 0, "EC") for t in (7, 9)]
    assert spans(apply(rule, *rows)) == [(1, 5, "open"), (7, 9, "closed"), (20, 22, "open")]


def test_two_words_of_one_meaning_that_touch_are_one_stretch() -> None:
    rule = TimedLabel(name="eyes", values={"A": "open", "B": "open"})
    assert spans(apply(rule, (0, 10, "A"), (10, 10, "B"), (25, 5, "A"))) == [
        (0, 20, "open"), (25, 30, "open"),
    ]  # fmt: skip


def test_a_type_before_a_slash_does_not_count() -> None:
    rule = TimedLabel(name="eyes", values={"S200": "open"})
    assert spans(apply(rule, (1, 2, "Stimulus/S200"))) == [(1, 3, "open")]


def test_case_blanks_and_control_characters_do_not_count() -> None:
    assert clean(" Open\x1a\x1a  EYES \x00") == "open eyes"


def test_a_required_value_that_never_occurs_is_a_contradiction() -> None:
    rule = TimedLabel(name="eyes", values=EYES, required=("open", "closed"))
    with pytest.raises(CorpusError, match="bad_labels: here has no eyes = closed"):
        apply(rule, (1, 2, "EO"))


def test_events_need_a_length_from_the_row_or_the_entry() -> None:
    params = TimedParams(
        events=(
            TimedEvent(kind="spike", words=("spike",)),
            TimedEvent(kind="blink", words=("blink",), lasts_s=0.4),
        )
    )
    rows = marks((1, 0.2, "spike"), (2, 0, "spike"), (3, 0, "blink"), (99.9, 0, "blink"))
    found = timed_labels(rows, params, 100, "here")
    assert [(e.kind, e.t0_s, e.t1_s) for e in found.events] == [
        ("spike", 1, 1.2), ("blink", 3, 3.4), ("blink", 99.9, 100),
    ]  # fmt: skip
    assert [(x.name, x.value) for x in found.labels] == [("events_without_duration", "1")]


def test_only_electrodes_of_the_channel_column_are_kept() -> None:
    params = TimedParams(events=(TimedEvent(kind="spike", words=("spike",)),))
    rows = [Mark(1, 1, {"trial_type": "spike", "channel": "FP1-F7, T3,Mrs Planted-Name, n/a"})]
    (event,) = timed_labels(rows, params, 10, "here").events
    assert event.channels == ("Fp1-F7", "T7")


ROWS = st.lists(
    st.tuples(
        st.floats(-50, 200), st.floats(0, 100), st.sampled_from(["EO", "EC", "stop", "other words"])
    ),
    max_size=12,
)
RULES = st.builds(
    TimedLabel,
    name=st.just("eyes"),
    values=st.just(EYES),
    lasts=st.sampled_from(["duration", "until_next", "marks"]),
    ends=st.just(("stop",)),
)


@given(ROWS, RULES)
def test_stretches_lie_inside_in_order_and_hold_no_foreign_word(
    rows: list[tuple[float, float, str]], rule: TimedLabel
) -> None:
    try:
        found = apply(rule, *rows)
    except CorpusError:  # every known word lies outside
        assert all(not 0 <= t < 100 for t, _, word in rows if word in EYES and t >= 0)
        return
    assert all(0 <= a < b <= 100 for a, b, _ in spans(found))
    assert spans(found) == sorted(spans(found))
    assert {v for _, _, v in spans(found)} <= {"open", "closed"}
    assert apply(rule, *reversed(rows)).labels == found.labels
    if rule.lasts == "until_next":
        pairs = zip(spans(found), spans(found)[1:], strict=False)
        assert all(a[1] <= b[0] for a, b in pairs)
