from __future__ import annotations

import random
from dataclasses import replace

import pytest

from detectors.merge import DETECTOR_KINDS, Page, merge_findings, merge_shard
from detectors.rows import event_row, finding_row, is_masked, judgement_row
from detectors.types import (
    CANONICAL19,
    REFERENTIAL19,
    ChannelSchema,
    Finding,
    Judgement,
    Measure,
    RuleResult,
    WaveformEvent,
)
from detectors.vocabulary import KINDS

STORED = {
    "segment_id": "s", "channel_schema": "referential19", "mask": [True] * 19, "recorded_s": 10.0,
}  # fmt: skip

PAGE = Page("s", REFERENTIAL19, CANONICAL19)
BIPOLAR = Page("s", ChannelSchema.bipolar(("Fpz-Cz", "Pz-Oz")), ("Fpz-Cz", "Pz-Oz"))
RULED = [kind for kind, entry in KINDS.items() if entry.family != "epileptiform"]
UNRULED = tuple(Judgement("s", kind, "absent") for kind in RULED)


def box(waveform: str, channel: str, t0: float, t1: float, p: float = 0.8) -> WaveformEvent:
    return WaveformEvent("s", waveform, channel, t0, t1, p)


def rule(kind: str, channels: tuple[str, ...], t0: float, t1: float) -> Finding:
    return Finding(
        "s", kind, channels, t0, t1, (Measure("amplitude_uv_p2p", 100.0, "uV"),), 0.7,
        f"rule:{kind}@1",
    )  # fmt: skip


def merged(
    events: list[WaveformEvent],
    findings: tuple[Finding, ...] = (),
    *,
    page: Page = PAGE,
    judgements: tuple[Judgement, ...] = UNRULED,
    detector: str = "w1",
    thresholds: dict[str, float] | None = None,
) -> RuleResult:
    return merge_findings(
        [page], RuleResult(findings, judgements), events, detector=detector, thresholds=thresholds
    )


def shown(result: RuleResult, kind: str) -> list[Finding]:
    return [f for f in result.findings if f.kind == kind and not is_masked(f)]


def verdict(result: RuleResult, kind: str) -> tuple[str, str]:
    return next((j.verdict, j.reason) for j in result.judgements if j.kind == kind)


def test_every_kind_gets_exactly_one_judgement_whatever_comes_in() -> None:
    for page, detector in ((PAGE, "w1"), (PAGE, ""), (BIPOLAR, "w1")):
        result = merged([], page=page, detector=detector)
        assert [j.kind for j in result.judgements] == list(KINDS)


def test_boxes_of_several_rows_at_one_time_are_one_finding() -> None:
    events = [
        box("sharp", "F7", 3.40, 3.52, 0.7),
        box("sharp", "T7", 3.41, 3.53, 0.9),
        box("sharp", "P7", 3.40, 3.55, 0.6),
    ]
    (finding,) = shown(merged(events), "sharp")
    assert finding.channels == ("T7", "F7", "P7")
    assert (finding.t0_s, finding.t1_s) == (3.40, 3.55)
    assert (finding.side, finding.region) == ("left", "mid-temporal")
    assert finding.confidence == 0.9
    assert finding.measure("count") == 1
    assert finding.source == "detector:w1"


@pytest.mark.parametrize(
    ("events", "is_kept"),
    [
        ([box("spike", "T7", 3.0, 3.05)], False),
        ([box("spike", "T7", 3.0, 3.05), box("spike", "F7", 3.01, 3.06)], True),
        ([box("spike", "T7", 3.0, 3.05), box("sharp", "F7", 3.12, 3.22)], True),
        ([box("spike", "T7", 3.0, 3.05), box("spike", "F7", 3.2, 3.25)], False),
        ([box("spike", "T7", 3.0, 3.05), box("spike", "O2", 3.0, 3.05)], False),
        ([box("spike", "T7", 3.0, 3.05), box("eyem", "F7", 3.0, 3.3)], False),
    ],
    ids=["alone", "neighbour", "other-class", "too-late", "far-away", "not-epileptiform"],
)
def test_a_spike_needs_a_neighbour_within_100_ms(
    events: list[WaveformEvent], is_kept: bool
) -> None:
    result = merged(events)
    assert bool(shown(result, "spike")) is is_kept
    assert (verdict(result, "spike")[0] == "present") is is_kept
    pruned = [f for f in result.findings if f.kind == "spike" and f.mask_reason]
    assert is_kept or {f.mask_reason for f in pruned} == {"no support on an adjacent row"}


@pytest.mark.parametrize(
    ("waveform", "channels", "is_kept"),
    [
        ("spindle", ("C3", "Cz"), True),
        ("spindle", ("C3",), False),
        ("spindle", ("O1", "O2"), False),
        ("Kcomplex", ("Fz", "P3"), True),
        ("Kcomplex", ("Fz",), False),
        ("eyem", ("Fp1", "Fp2"), True),
        ("eyem", ("Fp1", "F3"), False),
        ("hfnoise", ("T7",), True),
    ],
)
def test_other_kinds_need_their_rows(
    waveform: str, channels: tuple[str, ...], is_kept: bool
) -> None:
    events = [box(waveform, name, 2.0, 3.0) for name in channels]
    result = merged(events)
    (finding,) = result.findings
    assert is_masked(finding) is not is_kept


def test_lateral_movement_needs_both_sides_and_says_where_the_eyes_went() -> None:
    events = [box("eyer+", "F8", 2.0, 2.6), box("eyer-", "F7", 2.0, 2.6)]
    (finding,) = shown(merged(events), "lateral_eye")
    assert finding.measure("gaze_right") == 1.0
    swapped = [replace(e, channel={"F7": "F8", "F8": "F7"}[e.channel]) for e in events]
    (other,) = shown(merged(swapped), "lateral_eye")
    assert other.measure("gaze_right") == -1.0
    assert not shown(merged(events[:1]), "lateral_eye")


def test_a_burst_is_one_finding_with_its_count() -> None:
    events = [box("spsw", name, t, t + 0.3) for t in (2.0, 2.35, 2.7, 6.0) for name in ("Fz", "Cz")]
    first, second = shown(merged(events), "spsw")
    assert (first.t0_s, first.t1_s, first.measure("count")) == (2.0, 3.0, 3)
    assert (second.t0_s, second.measure("count")) == (6.0, 1)
    assert first.measure("duration_s") == pytest.approx(0.3)


def test_a_rule_and_the_detector_that_agree_make_one_finding() -> None:
    by_rule = rule("blink", ("Fp1", "Fp2", "F3"), 2.0, 2.4)
    events = [box("eyem", "Fp1", 2.05, 2.5, 0.6), box("eyem", "Fp2", 2.05, 2.5, 0.5)]
    (finding,) = merged(events, (by_rule,)).findings
    assert finding.source == "rule:blink@1+detector:w1"
    assert (finding.t0_s, finding.t1_s) == (2.0, 2.5)
    assert finding.confidence == pytest.approx(1 - 0.3 * 0.4)
    assert finding.measure("amplitude_uv_p2p") == 100
    assert finding.measure("count") == 1


def test_findings_of_another_time_or_place_stay_apart() -> None:
    by_rule = rule("muscle", ("T7",), 1.0, 3.0)
    events = [box("hfnoise", "T7", 5.0, 6.0), box("hfnoise", "T8", 1.0, 3.0)]
    assert len(shown(merged(events, (by_rule,)), "muscle")) == 3


@pytest.mark.parametrize(
    ("strong", "is_hidden"),
    [
        (rule("muscle", ("C3", "Cz"), 1.5, 5.0), True),
        (rule("muscle", ("C3", "Cz"), 2.6, 5.0), False),
        (rule("muscle", ("T7", "T8"), 1.5, 5.0), False),
        (rule("muscle", ("C3",), 1.5, 5.0), True),
        (rule("mains", ("C3", "Cz"), 0.0, 10.0), False),
        (rule("posterior_rhythm", ("C3", "Cz"), 0.0, 10.0), False),
    ],
    ids=["covers", "covers-less-than-half", "other-rows", "half-of-rows", "mains", "weaker"],
)
def test_a_stronger_kind_masks_what_it_covers(strong: Finding, is_hidden: bool) -> None:
    events = [box("spindle", "C3", 2.0, 3.0), box("spindle", "Cz", 2.0, 3.0)]
    result = merged(events, (strong,))
    (spindle,) = [f for f in result.findings if f.kind == "spindle"]
    assert bool(spindle.masked_by) is is_hidden
    if is_hidden:
        assert spindle.masked_by == strong.finding_id
        assert spindle.mask_reason == "covered by muscle activity"
        assert verdict(result, "spindle")[0] == "absent"


def test_a_spike_inside_a_complex_is_the_complex() -> None:
    events = [box("spsw", n, 3.0, 3.4) for n in ("F3", "C3")]
    events += [box("spike", n, 3.0, 3.06) for n in ("F3", "C3")]
    result = merged(events)
    assert verdict(result, "spsw")[0] == "present"
    assert verdict(result, "spike")[0] == "absent"
    assert len(result.findings) == 2


SURE = replace(
    rule("spsw", ("Fz", "F3", "F4", "Fp1", "Fp2", "C3", "Cz", "C4"), 3.0, 3.5),
    measures=(Measure("ifcn_n_criteria", 5.0, "1"),),
)


@pytest.mark.parametrize(
    ("other", "whole", "is_hidden"),
    [
        (rule("slow_wave", ("Fz", "F3", "Cz"), 3.05, 3.9), SURE, True),
        (rule("kcomplex", ("Fz", "Cz"), 3.0, 3.9), SURE, False),
        (rule("blink", ("Fp1", "Fp2"), 3.1, 3.45), SURE, True),
        (rule("blink", ("Fp1", "Fp2"), 3.1, 3.45), replace(SURE, measures=()), False),
        (
            rule("blink", ("Fp1", "Fp2"), 3.1, 3.45),
            replace(SURE, channels=("Fp1", "Fp2", "Fz", "F3", "F4")),
            False,
        ),
        (rule("slow_wave", ("Fz", "F3", "Cz"), 3.4, 4.2), SURE, False),
        (rule("slow_wave", ("P7", "P8", "Fz"), 3.05, 3.5), SURE, False),
        (rule("slow_wave", ("Fz", "F3"), 3.05, 3.9), replace(SURE, kind="sharp", t1_s=3.1), False),
    ],
    ids=["slow-wave", "k-complex", "blink", "blink-four-criteria", "blink-frontopolar-maximum",
         "later", "elsewhere", "no-complex"],
)  # fmt: skip
def test_a_complex_and_its_own_wave_have_one_name(
    other: Finding, whole: Finding, is_hidden: bool
) -> None:
    result = merged([], (other, whole))
    (found,) = [f for f in result.findings if f.kind == other.kind]
    assert (found.mask_reason == "same wave as spike-and-slow-wave complex") is is_hidden
    if is_hidden:
        assert found.masked_by == whole.finding_id
        assert verdict(result, other.kind)[0] == "absent"
        assert shown(result, "spsw")


def test_pruned_findings_hide_nothing() -> None:
    events = [box("spsw", "F3", 3.0, 3.4), box("sharp", "C3", 3.9, 4.0),
              box("sharp", "F3", 3.9, 4.0), box("spindle", "F3", 3.0, 3.6),
              box("spindle", "C3", 3.0, 3.6)]  # fmt: skip
    result = merged(events)
    assert verdict(result, "spsw")[0] == "absent"
    assert verdict(result, "spindle")[0] == "present"


def test_background_is_not_masked_because_it_was_measured_on_clean_seconds() -> None:
    background = rule("posterior_rhythm", ("O1", "O2"), 0.0, 10.0)
    muscle = rule("muscle", ("O1", "O2"), 0.0, 6.0)
    result = merged([], (background, muscle))
    assert verdict(result, "posterior_rhythm")[0] == "present"


def test_thresholds_drop_weak_boxes_per_class() -> None:
    events = [box("hfnoise", "T7", 1, 2, 0.4), box("hfnoise", "T8", 5, 6, 0.6)]
    assert len(merged(events).findings) == 2
    (finding,) = merged(events, thresholds={"hfnoise": 0.5}).findings
    assert finding.channels == ("T8",)


@pytest.mark.parametrize(
    ("page", "detector", "expected"),
    [
        (PAGE, "w1", ("absent", "")),
        (PAGE, "", ("not_judged", "no detector ran")),
        (BIPOLAR, "w1", ("not_judged", "detector reads referential19 only")),
        (Page("s", REFERENTIAL19, ()), "w1", ("not_judged", "no recorded row")),
    ],
    ids=["looked-for", "no-detector", "bipolar", "no-rows"],
)
def test_spikes_are_absent_only_where_they_were_looked_for(
    page: Page, detector: str, expected: tuple[str, str]
) -> None:
    assert verdict(merged([], page=page, detector=detector, judgements=()), "spike") == expected


def test_a_kind_outside_the_detectors_classes_is_not_judged_by_it() -> None:
    result = merge_findings(
        [PAGE], RuleResult(), [], detector="w1", detector_kinds=DETECTOR_KINDS - {"spsw"}
    )
    assert verdict(result, "spsw") == ("not_judged", "neither rule nor detector knows it")
    assert verdict(result, "spike") == ("absent", "")


def test_a_rules_reason_is_kept_where_nobody_else_judges() -> None:
    reason = "needs single electrodes"
    judged = (Judgement("s", "spindle", "not_judged", reason),)
    result = merged([], page=BIPOLAR, judgements=judged)
    assert verdict(result, "spindle") == ("not_judged", reason)
    seen = merged([], judgements=judged)
    assert verdict(seen, "spindle") == ("absent", ""), "the detector looked"


def test_artifacts_over_most_of_the_page_leave_nothing_to_deny() -> None:
    movement = rule("movement", CANONICAL19, 1.0, 8.0)
    result = merged([], (movement,))
    for kind in ("spike", "sharp", "spsw"):
        assert verdict(result, kind) == ("not_judged", "artifacts cover 7 of 10 s")
    assert verdict(result, "blink") == ("absent", "")


def test_rows_a_kind_lives_on_must_have_a_usable_second() -> None:
    flat = rule("flat", ("Fp1",), 0.0, 10.0)
    assert verdict(merged([], (flat,)), "blink") == ("not_judged", "no usable second on Fp1")
    central = rule("flat", ("C3", "Cz", "C4"), 0.0, 10.0)
    result = merged([], (central,))
    assert verdict(result, "spindle") == ("not_judged", "no usable second on C3/C4/Cz")
    assert verdict(result, "spike") == ("absent", "")


def test_present_needs_a_finding_that_is_shown() -> None:
    result = merged([box("sharp", "T7", 3.0, 3.1), box("sharp", "F7", 3.0, 3.1)])
    for judgement in result.judgements:
        ids = {f.finding_id for f in result.findings if f.kind == judgement.kind}
        assert (judgement.verdict == "present") == bool(judgement.finding_ids)
        assert set(judgement.finding_ids) <= ids


def test_the_order_of_the_input_does_not_matter() -> None:
    events = [
        box(w, c, t, t + 0.3, 0.5 + 0.01 * k)
        for k, (w, c, t) in enumerate(
            (w, c, t)
            for w in ("spike", "spsw", "spindle", "eyem", "hfnoise")
            for c in ("Fp1", "Fp2", "F3", "C3", "Cz")
            for t in (1.0, 1.2, 4.0)
        )
    ]
    rules = (rule("blink", ("Fp1", "Fp2"), 1.0, 1.4), rule("muscle", ("C3",), 4.0, 5.0))
    expected = merged(events, rules)
    for seed in range(5):
        shuffled = events.copy()
        random.Random(seed).shuffle(shuffled)
        assert merged(shuffled, rules) == expected


def test_merging_stored_rows_is_the_same_as_merging_values() -> None:
    events = [box("sharp", "T7", 3.0, 3.1), box("sharp", "F7", 3.0, 3.1)]
    rules = (rule("blink", ("Fp1", "Fp2"), 1.0, 1.4),)
    segments = [STORED]
    stored = merge_shard(
        segments,
        [finding_row(f) for f in rules],
        [judgement_row(j) for j in UNRULED],
        [event_row(e, "w1") for e in events],
        detector="w1",
        batches=[],
    )
    assert stored == merged(events, rules)


@pytest.mark.parametrize(
    ("recorded_s", "reason"), [(4.26, "only 4.3 of 10 s were recorded"), (10.0, "")]
)
def test_a_page_not_recorded_to_its_end_is_judged_on_nothing(
    recorded_s: float, reason: str
) -> None:
    found = merge_shard(
        [STORED | {"recorded_s": recorded_s}], [], [], [], detector="w1", batches=[]
    )
    assert [j.kind for j in found.judgements] == list(KINDS)
    if reason:
        assert {(j.verdict, j.reason) for j in found.judgements} == {("not_judged", reason)}
    else:
        assert {j.verdict for j in found.judgements} == {"absent", "not_judged"}


def test_a_shard_without_boxes_was_still_read() -> None:
    segments = [STORED]
    assert verdict(merge_shard(segments, [], [], [], detector="w1", batches=[]), "spike") == (
        "absent",
        "",
    )


def test_a_shard_no_detector_read_is_not_judged_for_spikes() -> None:
    segments = [STORED]
    merged_rows = merge_shard(segments, [], [], [], detector="", batches=[])
    assert verdict(merged_rows, "spike") == ("not_judged", "no detector ran")


def test_mixed_detectors_and_foreign_segments_are_refused() -> None:
    segments = [STORED]
    events = [event_row(box("sharp", "T7", 3.0, 3.1), d) for d in ("w1", "w2")]
    with pytest.raises(ValueError, match="events of detectors w2 lie in a shard read by 'w1'"):
        merge_shard(segments, [], [], events, detector="w1", batches=[])
    foreign = replace(box("sharp", "T7", 3.0, 3.1), segment_id="t")
    with pytest.raises(ValueError, match="segment 't' of a WaveformEvent"):
        merged([foreign])
