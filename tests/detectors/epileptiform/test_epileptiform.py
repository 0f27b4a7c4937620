from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.epileptiform.ifcn import CRITERIA
from detectors.epileptiform.judge import epileptiform_findings
from detectors.epileptiform.localisation import likeness_to_slow
from detectors.merge import Page, merge_findings
from detectors.montage import HOMOLOGOUS, NEIGHBOURS, mirror_rows
from detectors.rows import is_masked
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    REFERENTIAL19,
    SFREQ_HZ,
    Finding,
    RuleResult,
    SegmentBatch,
    WaveformEvent,
)

PEAK_S = 5.0
MIRROR = dict(HOMOLOGOUS) | {right: left for left, right in HOMOLOGOUS}


def noise(seed: int = 0, rms_uv: float = 8.0) -> NDArray[np.float64]:
    """Background with a 1/f spectrum, independent rows plus a part common to neighbours."""
    rng = np.random.default_rng(seed)
    white = np.fft.rfft(rng.standard_normal((19, N_TIMES)), axis=1)
    f_hz = np.fft.rfftfreq(N_TIMES, 1 / SFREQ_HZ)
    rows = np.fft.irfft(white / np.maximum(f_hz, 1.0), axis=1)
    return np.asarray(rows * rms_uv / rows.std())


def discharge(at_s: float, amplitude_uv: float, with_wave: bool = True) -> NDArray[np.float64]:
    """Negative spike of 50 ms, steep first flank, then a slow negative wave of 300 ms."""
    wave = np.zeros(N_TIMES)
    at = round(at_s * SFREQ_HZ)
    wave[at - 3 : at + 1] = np.linspace(0, 1, 4)
    wave[at : at + 8] = np.linspace(1, 0, 8)
    if with_wave:
        wave[at + 10 : at + 70] += 0.6 * np.hanning(60)
    return -amplitude_uv * wave


def field(lead: str, share: float = 0.6) -> NDArray[np.float64]:
    near = NEIGHBOURS[lead]
    return np.array([1.0 if c == lead else share if c in near else 0.0 for c in CANONICAL19])


def planted(
    lead: str = "T7", share: float = 0.6, amplitude_uv: float = 120.0
) -> NDArray[np.float64]:
    return noise() + np.outer(field(lead, share), discharge(PEAK_S, amplitude_uv))


def batch_of(data: NDArray[np.float64], mask: NDArray[np.bool_] | None = None) -> SegmentBatch:
    return SegmentBatch(
        ("s",), data[None].astype(np.float32), np.ones((1, 19), bool) if mask is None else mask,
        REFERENTIAL19, np.array([[0.5, 70.0]], np.float32), 50.0,
    )  # fmt: skip


def boxes(*channels: str, waveform: str = "spsw", at_s: float = PEAK_S) -> list[WaveformEvent]:
    return [WaveformEvent("s", waveform, c, at_s - 0.02, at_s + 0.36, 0.95) for c in channels]


def judged(
    data: NDArray[np.float64],
    events: list[WaveformEvent],
    seen: tuple[Finding, ...] = (),
    mask: NDArray[np.bool_] | None = None,
) -> Finding:
    found = epileptiform_findings(batch_of(data, mask), {"s": events}, {"s": seen}, "w1")["s"]
    (finding,) = (f for f in found if "detector:w1" in f.source)
    return finding


def test_a_planted_complex_carries_the_whole_record_and_is_kept() -> None:
    finding = judged(planted(), boxes("T7", "F7"))
    assert not is_masked(finding)
    assert all(finding.measure(name) in (0.0, 1.0) for name in CRITERIA)
    assert finding.measure("ifcn_n_criteria") == sum(finding.measure(n) or 0 for n in CRITERIA) >= 5
    assert finding.measure("peak_s") == pytest.approx(PEAK_S, abs=0.006)
    assert finding.measure("amplitude_uv_p2p") == pytest.approx(100.0, rel=0.35)
    assert finding.channels[0] == "T7"
    assert set(finding.channels[1:]) <= set(NEIGHBOURS["T7"])
    assert (finding.side, finding.region) == ("left", "mid-temporal")


def test_poles_and_phase_reversal_are_named() -> None:
    names = {m.name for m in judged(planted(), boxes("T7", "F7")).measures}
    assert {"negative_pole_T7", "phase_reversal_T7", "dipole_radial"} <= names


def test_end_of_chain_is_said_where_no_phase_can_turn() -> None:
    names = {m.name for m in judged(planted("O1"), boxes("O1", "P7")).measures}
    assert "end_of_chain" in names


def test_no_dipole_words_with_fewer_than_16_channels() -> None:
    mask = np.ones((1, 19), bool)
    mask[0, [CANONICAL19.index(c) for c in ("O1", "O2", "P8", "T8")]] = False
    names = {m.name for m in judged(planted(), boxes("T7", "F7"), mask=mask).measures}
    assert not {n for n in names if "pole" in n}


def test_a_single_electrode_transient_is_an_artifact_until_shown_otherwise() -> None:
    finding = judged(planted(share=0.0), boxes("T7"))
    assert finding.measure("ifcn_6_field") == 0.0
    assert finding.mask_reason.startswith("single-electrode transient: fails")
    assert "physiological field" in finding.mask_reason


def test_without_recorded_neighbours_the_field_is_not_judged() -> None:
    mask = np.ones((1, 19), bool)
    mask[0, [CANONICAL19.index(c) for c in NEIGHBOURS["T7"]]] = False
    finding = judged(planted(), boxes("T7"), mask=mask)
    assert finding.measure("ifcn_6_field") is None
    assert finding.measure("ifcn_n_judged") == 5


def test_an_ongoing_rhythm_is_not_epileptiform() -> None:
    t = np.arange(N_TIMES) / SFREQ_HZ
    rhythm = np.outer(field("O1") + field("O2"), 40 * np.sin(2 * np.pi * 10 * t))
    finding = judged(noise(rms_uv=4.0) + rhythm, boxes("O1", "O2"))
    assert finding.mask_reason.startswith("sharply contoured transient, not classified: fails")
    assert (finding.measure("ifcn_n_criteria") or 0) <= 3


def test_boxes_of_several_classes_on_one_peak_are_one_finding() -> None:
    events = [
        *boxes("T7", "F7", "P7"),
        WaveformEvent("s", "spike", "C3", PEAK_S - 0.02, PEAK_S + 0.03, 0.6),
    ]
    assert judged(planted(), events).kind == "spsw"


def test_a_peak_at_the_page_edge_is_not_judged() -> None:
    data = noise() + np.outer(field("T7"), discharge(0.03, 120.0))
    finding = judged(data, boxes("T7", "F7", at_s=0.03))
    assert finding.mask_reason == "cut by the page edge, criteria not judgeable"


K_COMPLEX = Finding("s", "kcomplex", ("Fz", "F4", "F3", "Cz"), 4.8, 5.7, confidence=0.9)
FRONTAL = np.array(
    [{"Fz": 1.0, "F3": 0.85, "F4": 0.9, "Cz": 0.8, "C3": 0.6, "C4": 0.6, "Fp1": 0.5,
      "Fp2": 0.5}.get(c, 0.1) for c in CANONICAL19]
)  # fmt: skip


def k_complex(at_s: float = 4.8, amplitude_uv: float = 120.0) -> NDArray[np.float64]:
    """Sharp negative wave of 0.22 s, steeper before, then a positive one of 0.4 s, frontal."""
    wave = np.zeros(N_TIMES)
    at = round(at_s * SFREQ_HZ)
    wave[at : at + 44] = -(np.interp(np.arange(44), [0, 16, 44], [0.0, 1.0, 0.0]) ** 1.6)
    wave[at + 44 : at + 124] = 0.7 * np.hanning(80)
    return np.outer(FRONTAL, amplitude_uv * wave)


@pytest.mark.parametrize("waveform", ["spsw", "sharp"])
def test_the_crest_of_a_k_complex_is_no_discharge(waveform: str) -> None:
    data = noise() + k_complex()
    events = boxes("Fz", "F4", waveform=waveform, at_s=4.86)
    assert judged(data, events, (K_COMPLEX,)).mask_reason == "benign:K-complex"
    assert not is_masked(judged(data, events)), "nothing else would have told it"


@pytest.mark.parametrize(("lead", "near"), [("C3", "P3"), ("T7", "F7"), ("Fz", "F4")])
def test_a_spike_with_a_point_of_its_own_stays_in_a_k_complex(lead: str, near: str) -> None:
    spike = np.outer(field(lead), discharge(5.1, 90.0, with_wave=False))
    events = boxes(lead, near, waveform="spike", at_s=5.1)
    finding = judged(noise() + k_complex() + spike, events, (K_COMPLEX,))
    assert not is_masked(finding)
    assert finding.kind == "spike"
    assert finding.measure("differential K-complex") == 1.0


@pytest.mark.parametrize(("t0_s", "is_benign"), [(4.8, True), (4.95, False), (4.4, False)])
def test_only_the_negative_phase_of_a_k_complex_has_its_crest(t0_s: float, is_benign: bool) -> None:
    data, wave = noise() + k_complex(), replace(K_COMPLEX, t0_s=t0_s, t1_s=t0_s + 0.9)
    finding = judged(data, boxes("Fz", "F4", at_s=4.86), (wave,))
    assert (finding.mask_reason == "benign:K-complex") is is_benign


def hat(at_s: float, amplitude_uv: float, n: int, rise: float) -> NDArray[np.float64]:
    """Negative wave of ``n`` samples with straight flanks that peaks at ``at_s``."""
    wave, first = np.zeros(N_TIMES), round(at_s * SFREQ_HZ) - int(n * rise)
    wave[first : first + n] = np.interp(np.arange(n), [0, int(n * rise), n], [0.0, 1.0, 0.0])
    return -amplitude_uv * wave


def test_a_complexs_own_slow_wave_is_no_sign_of_sleep() -> None:
    slow = 0.6 * hat(PEAK_S + 0.26, 60.0, 60, 0.5)
    data = noise() + np.outer(FRONTAL, hat(PEAK_S, 60.0, 32, 0.3) + slow)
    own, other = (
        judged(data, boxes("Fz", "F4", at_s=4.98), (replace(K_COMPLEX, t0_s=t, t1_s=t + 0.6),))
        for t in (PEAK_S + 0.1, 8.0)
    )
    assert not is_masked(own)
    assert other.mask_reason == "benign:vertex wave"


@pytest.mark.parametrize(("t0_s", "kind"), [(4.8, "spike"), (PEAK_S + 0.06, "spsw")])
def test_a_k_complex_does_not_lend_its_wave_to_a_spike_on_it(t0_s: float, kind: str) -> None:
    shape = discharge(PEAK_S, 90.0, with_wave=False) + hat(PEAK_S + 0.2, 70.0, 70, 0.5)
    seen = {"s": (replace(K_COMPLEX, t0_s=t0_s, t1_s=t0_s + 0.9),)}
    data = batch_of(noise() + np.outer(field("C3"), shape))
    found = epileptiform_findings(data, {}, seen, "")["s"]
    assert [f.kind for f in found if not is_masked(f) and f.channels[0] == "C3"] == [kind]


def test_a_field_is_compared_with_that_of_the_slow_wave_below() -> None:
    page, good = k_complex(4.8).astype(np.float32), np.ones(19, dtype=np.bool_)
    own, other = (likeness_to_slow(page, 975, f, good) for f in (FRONTAL, field("O1")))
    assert own == pytest.approx(1.0, abs=1e-3)
    assert other < 0.7
    edge = likeness_to_slow(page, 3, FRONTAL, good)
    assert 0.0 <= edge <= 1.0


def test_the_detectors_k_complex_counts_where_the_page_is_not_awake() -> None:
    events = [
        *boxes("Fz", "F4", at_s=4.86),
        *(WaveformEvent("s", "Kcomplex", c, 4.8, 5.6, 0.8) for c in ("Fz", "F3", "Cz")),
    ]
    data = noise() + k_complex()
    rhythm = (Finding("s", "posterior_rhythm", ("O1", "O2"), 0.0, 10.0),)
    assert judged(data, events).mask_reason == "benign:K-complex"
    assert not is_masked(judged(data, events, rhythm))


def test_a_k_complex_stays_visible_whether_or_not_a_spike_rides_on_it() -> None:
    spike = np.outer(field("C3"), discharge(5.1, 90.0, with_wave=False))
    for extra, present in ((0.0, False), (spike, True)):
        page = Page("s", REFERENTIAL19, CANONICAL19)
        found = merge_findings(
            [page], RuleResult((K_COMPLEX,)), boxes("Fz", "F4", at_s=4.86), detector="w1",
            batches=[batch_of(noise() + k_complex() + extra)], is_strict=True,
        )  # fmt: skip
        shown = {f.kind for f in found.findings if not is_masked(f)}
        assert "kcomplex" in shown
        assert bool(shown & {"spike", "sharp", "spsw"}) is present


def test_a_vertex_transient_awake_carries_the_look_alike_beside_it() -> None:
    finding = judged(planted("Cz"), boxes("Cz", "Fz"))
    assert not is_masked(finding)
    assert finding.measure("differential vertex wave") == 1.0


def test_beside_an_artifact_more_sharpness_is_asked() -> None:
    muscle = (Finding("s", "muscle", ("T8",), 4.0, 6.0),)
    weak = planted(amplitude_uv=10.0)
    assert not is_masked(judged(planted(), boxes("T7", "F7"), muscle))
    assert not is_masked(judged(weak, boxes("T7", "F7")))
    finding = judged(weak, boxes("T7", "F7"), muscle)
    assert finding.mask_reason == "not sharp enough beside muscle activity"


def test_mirrored_signal_gives_the_mirrored_finding() -> None:
    data = planted()
    here = judged(data, boxes("T7", "F7"))
    there = judged(data[mirror_rows()], boxes("T8", "F8"))
    assert there.side == "right"
    assert there.channels == tuple(MIRROR.get(c, c) for c in here.channels)
    numbers = [m.value for m in here.measures if "pole" not in m.name]
    assert [m.value for m in there.measures if "pole" not in m.name] == pytest.approx(numbers)


def test_gain_keeps_every_criterion_and_doubles_voltage() -> None:
    one, two = (judged(g * planted(), boxes("T7", "F7")) for g in (1.0, 2.0))
    assert [two.measure(n) for n in CRITERIA] == [one.measure(n) for n in CRITERIA]
    assert (two.channels, two.t0_s) == (one.channels, one.t0_s)
    assert two.measure("amplitude_uv_p2p") == pytest.approx(
        2 * (one.measure("amplitude_uv_p2p") or 0), rel=1e-3
    )


def test_shift_in_time_moves_the_peak() -> None:
    shifted = judged(np.roll(planted(), 200, axis=1), boxes("T7", "F7", at_s=PEAK_S + 1))
    here = judged(planted(), boxes("T7", "F7"))
    assert shifted.measure("peak_s") == pytest.approx((here.measure("peak_s") or 0) + 1)
    assert shifted.channels == here.channels


def test_noise_boxed_by_mistake_is_masked() -> None:
    found = [
        judged(noise(seed), boxes(c, at_s=at_s))
        for seed in range(4)
        for c in ("T7", "C3", "O2", "F8")
        for at_s in (2.0, 4.0, 6.0, 8.0)
    ]
    assert sum(not is_masked(f) for f in found) <= 0.1 * len(found)


def merged(data: NDArray[np.float64], events: list[WaveformEvent], with_signal: bool) -> RuleResult:
    return merge_findings(
        [Page("s", REFERENTIAL19, CANONICAL19)], RuleResult(), events, detector="w1",
        batches=[batch_of(data)] if with_signal else (), is_strict=True,
    )  # fmt: skip


def test_merge_judges_by_the_signal_where_it_is_at_hand() -> None:
    events = boxes("T7", "F7")
    for data, verdict in ((planted(), "present"), (noise(), "absent")):
        with_signal = merged(data, events, True)
        judgement = next(j for j in with_signal.judgements if j.kind == "spsw")
        assert judgement.verdict == verdict
        assert merged(data, events, False).findings[0].measure("ifcn_n_criteria") is None


def test_kept_discharges_of_one_burst_are_joined_and_counted() -> None:
    times_s = (4.0, 4.6, 5.2)
    data = noise() + np.outer(field("T7"), sum(discharge(t, 150.0) for t in times_s))
    events = [e for t in times_s for e in boxes("T7", "F7", at_s=t)]
    (finding,) = [f for f in merged(data, events, True).findings if not is_masked(f)]
    assert finding.measure("count") == 3
    assert finding.t0_s < 4.0
    assert finding.t1_s > 5.5


def test_order_of_boxes_does_not_matter() -> None:
    events = [
        replace(e, confidence=p)
        for e, p in zip(boxes("T7", "F7", "P7"), (0.9, 0.8, 0.8), strict=True)
    ]
    assert judged(planted(), events) == judged(planted(), events[::-1])


def test_bipolar_rows_are_refused() -> None:
    from detectors.types import ChannelSchema

    batch = replace(batch_of(noise()), schema=ChannelSchema.bipolar(CANONICAL19))
    with pytest.raises(ValueError, match="referential19 only"):
        epileptiform_findings(batch, {"s": boxes("T7")}, {}, "w1")


@pytest.mark.parametrize("seed", range(3))
def test_white_noise_is_not_interpretable_whatever_a_detector_boxes(seed: int) -> None:
    from detectors.merge import merge_shard
    from detectors.rows import event_row, finding_row, judgement_row
    from detectors.rules import rule_findings
    from detectors.signal.spectra import spectral_features

    batch = batch_of(np.random.default_rng(seed).standard_normal((19, N_TIMES)) * 20)
    rules = rule_findings(batch, spectral_features(batch))
    boxes = [
        WaveformEvent(batch.segment_ids[0], "spsw", name, 4.8, 5.3, 0.9) for name in ("T7", "F7")
    ]
    stored = {
        "segment_id": batch.segment_ids[0], "channel_schema": batch.schema.name,
        "mask": [True] * 19, "recorded_s": 10.0,
    }  # fmt: skip
    found = merge_shard(
        [stored],
        [finding_row(f) for f in rules.findings],
        [judgement_row(j) for j in rules.judgements],
        [event_row(e, "w1") for e in boxes],
        detector="w1",
        batches=[batch],
    )
    assert not [f for f in found.findings if f.kind == "spsw" and not is_masked(f)]
    assert {j.verdict for j in found.judgements} <= {"not_judged", "present"}
    why = {j.kind: j.reason for j in found.judgements}
    assert why["spindle"].startswith("not interpretable")


def test_stored_boxes_are_judged_by_the_stored_signal() -> None:
    from detectors.merge import merge_shard
    from detectors.rows import event_row

    batch = batch_of(planted())
    boxes = [
        WaveformEvent(batch.segment_ids[0], "spsw", name, 4.95, 5.4, 0.9) for name in ("T7", "F7")
    ]
    stored = {
        "segment_id": batch.segment_ids[0], "channel_schema": batch.schema.name,
        "mask": [True] * 19, "recorded_s": 10.0,
    }  # fmt: skip
    found = merge_shard(
        [stored], [], [], [event_row(e, "w1") for e in boxes], detector="w1", batches=[batch]
    )
    names = {m.name for f in found.findings if f.kind == "spsw" for m in f.measures}
    assert any(name.startswith("ifcn") for name in names), names
