from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.epileptiform.judge import DISCHARGES, epileptiform_findings
from detectors.merge import Page, merge_findings
from detectors.montage import HOMOLOGOUS, NEIGHBOURS, mirror_rows
from detectors.rows import is_masked
from detectors.types import CANONICAL19, SFREQ_HZ, Finding, Measure, RuleResult, SegmentBatch
from tests.detectors.planted_signals import add, batch_of, noise, rhythm

MIRROR = dict(HOMOLOGOUS) | {right: left for left, right in HOMOLOGOUS}
PEAK_S = 5.0
LENGTH_S = {"spike": 0.045, "sharp": 0.13, "spsw": 0.06}


def field(lead: str) -> dict[str, float]:
    """One maximum that falls to 0.5 next to it and to 0.15 one step on."""
    out = {lead: 1.0} | dict.fromkeys(NEIGHBOURS[lead], 0.5)
    for name in NEIGHBOURS[lead]:
        for other in NEIGHBOURS[name]:
            out.setdefault(other, 0.15)
    return out


def wave(kind: str, at_s: float = PEAK_S, sign: float = -1.0) -> NDArray[np.float64]:
    """A wave of height 1, steeper before its peak, with a slow wave after it where it has one."""
    t = np.arange(2000) / SFREQ_HZ - at_s
    rise, fall = 0.35 * LENGTH_S[kind], 0.65 * LENGTH_S[kind]
    out = np.clip(np.where(t < 0, 1 + t / rise, 1 - t / fall), 0, None)
    if kind == "spsw":
        out += 0.7 * np.sin(np.pi * np.clip((t - fall) / 0.28, 0, 1))
    return sign * out


def planted(
    kind: str, lead: str = "T7", uv: float = 45.0, seed: int = 0, at_s: float = PEAK_S
) -> SegmentBatch:
    return batch_of(add(noise(seed=seed, rms_uv=9.0), uv * wave(kind, at_s), field(lead)))


def found(batch: SegmentBatch, seen: tuple[Finding, ...] = ()) -> list[Finding]:
    judged = epileptiform_findings(batch, {}, {"s0": seen}, "")
    return [f for s in batch.segment_ids for f in judged[s] if not is_masked(f)]


@pytest.mark.parametrize("lead", ["T7", "F8", "F4", "O2"])
@pytest.mark.parametrize("kind", sorted(LENGTH_S))
def test_a_discharge_no_box_shows_is_found_with_its_record(kind: str, lead: str) -> None:
    (finding,) = found(planted(kind, lead, uv=60.0, seed=1))
    assert finding.kind == kind
    assert finding.channels[0] == lead
    assert finding.source.startswith("rule:discharge@")
    assert finding.measure("peak_s") == pytest.approx(PEAK_S, abs=0.02)
    assert (finding.measure("ifcn_n_criteria") or 0) >= 4
    assert finding.measure("ifcn_6_field") == 1.0
    names = {m.name for m in finding.measures}
    assert f"negative_pole_{lead}" in names
    assert names & {"dipole_radial", "dipole_tangential"}
    assert names & {"end_of_chain", f"phase_reversal_{lead}"}


def test_hardly_anything_is_found_where_nothing_is() -> None:
    n_minutes = 10
    assert len(found(batch_of(noise(n=6 * n_minutes, seed=3)))) <= 0.5 * n_minutes


@pytest.mark.parametrize("lead", ["T7", "Cz"])
def test_one_electrode_alone_is_no_discharge(lead: str) -> None:
    data = add(noise(), 80 * wave("sharp"), {lead: 1.0})
    assert not found(batch_of(data))


def test_a_positive_transient_is_not_named_by_the_rule_alone() -> None:
    assert not found(batch_of(add(noise(), 45 * wave("spike", sign=1.0), field("O1"))))


@pytest.mark.parametrize("hz", [6.0, 9.5, 12.0])
def test_a_rhythm_is_no_row_of_discharges(hz: float) -> None:
    assert not found(batch_of(add(noise(rms_uv=6.0), rhythm(hz, 50.0), field("O1"))))


def test_a_step_of_both_frontal_poles_is_an_eye() -> None:
    eyes = {"Fp1": 1.0, "Fp2": 1.0, "F7": 0.4, "F8": 0.4, "F3": 0.4, "F4": 0.4, "Fz": 0.4}
    assert not found(batch_of(add(noise(), 80 * wave("sharp"), eyes)))


@pytest.mark.parametrize("kind", sorted(LENGTH_S))
def test_a_mirrored_page_gives_the_mirrored_discharge(kind: str) -> None:
    batch = planted(kind)
    (here,) = found(batch)
    (there,) = found(replace(batch, data_uv=np.ascontiguousarray(batch.data_uv[:, mirror_rows()])))
    assert (here.side, there.side) == ("left", "right")
    assert there.kind == here.kind
    assert there.channels == tuple(MIRROR.get(c, c) for c in here.channels)
    assert there.measure("template_fit_sd") == pytest.approx(
        here.measure("template_fit_sd"), rel=1e-3
    )


@pytest.mark.parametrize("kind", sorted(LENGTH_S))
def test_gain_keeps_time_side_and_criteria(kind: str) -> None:
    batch = planted(kind)
    (one,), (two,) = found(batch), found(replace(batch, data_uv=2 * batch.data_uv))
    assert (two.kind, two.channels, two.t0_s, two.t1_s) == (
        one.kind,
        one.channels,
        one.t0_s,
        one.t1_s,
    )
    assert two.measure("ifcn_n_criteria") == one.measure("ifcn_n_criteria")
    assert two.measure("amplitude_uv_p2p") == pytest.approx(
        2 * (one.measure("amplitude_uv_p2p") or 0), rel=1e-3
    )


@pytest.mark.parametrize("kind", sorted(LENGTH_S))
def test_a_shift_in_time_moves_it(kind: str) -> None:
    batch = planted(kind)
    (here,), (there,) = (
        found(batch),
        found(replace(batch, data_uv=np.roll(batch.data_uv, 300, axis=2))),
    )
    assert there.t0_s == pytest.approx(here.t0_s + 1.5, abs=0.011)
    assert there.channels[0] == here.channels[0]


def test_a_silent_row_carries_none() -> None:
    batch = planted("spike")
    batch.data_uv[0, CANONICAL19.index("T7")] = 0.0
    assert all("T7" not in f.channels for f in found(batch))


def test_too_few_electrodes_are_not_searched_and_not_judged() -> None:
    mask = np.zeros((1, 19), dtype=np.bool_)
    mask[0, :8] = True
    batch = replace(planted("spike"), mask=mask)
    assert not found(batch)
    for recorded, verdict in ((CANONICAL19[:8], "not_judged"), (CANONICAL19, "absent")):
        whole = batch_of(noise(seed=2)) if len(recorded) == 19 else batch
        page = Page("s0", whole.schema, recorded)
        merged = merge_findings([page], RuleResult(), [], detector="", batches=[whole])
        assert {j.verdict for j in merged.judgements if j.kind in DISCHARGES} == {verdict}


def test_rule_and_detector_on_one_peak_are_one_finding_of_two_sources() -> None:
    from detectors.types import WaveformEvent

    batch = planted("spike")
    boxes = [WaveformEvent("s0", "spike", c, 4.97, 5.04, 0.9) for c in ("T7", "F7")]
    judged = epileptiform_findings(batch, {"s0": boxes}, {}, "w1")["s0"]
    (finding,) = (f for f in judged if not is_masked(f))
    assert finding.source.startswith("rule:discharge@")
    assert finding.source.endswith("+detector:w1")
    assert finding.confidence > 0.9 or finding.measure("ifcn_n_criteria") == 4


def test_a_discharge_on_a_heartbeat_is_not_one() -> None:
    def beats(first_s: float) -> Finding:
        at = tuple(Measure("beat_s", first_s + k, "s") for k in range(9))
        return Finding(
            "s0", "ecg", ("T7", "T8"), 0.0, 10.0, (Measure("frequency_hz", 1.0, "Hz"), *at)
        )

    assert not found(planted("spike"), (beats(1.0),))
    assert found(planted("spike"), (beats(0.5),))


def test_a_short_page_is_not_searched() -> None:
    batch = replace(planted("spike"), recorded_s=np.array([6.0], dtype=np.float32))
    assert not found(batch)
