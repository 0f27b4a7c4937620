from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import (
    CENTRAL_FIELD,
    EVEN_FIELD,
    FRONTAL_FIELD,
    POSTERIOR_FIELD,
    TIME_S,
    add,
    batch_of,
    noise,
    rhythm,
)

from detectors.artifacts.chain import scan_artifacts
from detectors.background.rhythms import RHYTHM_ALL_OVER, find_background
from detectors.background.voltage import voltage_word
from detectors.montage import LB18_NAMES, longitudinal_bipolar, mirror_rows
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, ChannelSchema, Finding, RuleResult, SegmentBatch


def found_in(batch: SegmentBatch) -> RuleResult:
    spectra = spectral_features(batch)
    scan = scan_artifacts(batch, spectra)
    return find_background(batch, spectra, scan.statistics, scan.usable)


def of_kind(result: RuleResult, kind: str) -> list[Finding]:
    return [f for f in result.findings if f.kind == kind]


@pytest.mark.parametrize("hz", [6.8, 8.3, 9.5, 10.4, 12.6])
def test_a_posterior_rhythm_is_found_with_its_numbers(hz: float) -> None:
    data = add(noise(4, rms_uv=12), rhythm(hz, 45), POSTERIOR_FIELD)
    findings = of_kind(found_in(batch_of(data)), "posterior_rhythm")
    assert len(findings) == 4
    for finding in findings:
        assert finding.measure("frequency_hz") == pytest.approx(hz, abs=0.15)
        assert finding.measure("amplitude_uv_p2p") == pytest.approx(45, rel=0.2)
        assert set(finding.channels[:2]) == {"O1", "O2"}
        assert finding.measure("sustained_share") > 0.9


@pytest.mark.parametrize("seed", range(2))
def test_a_low_posterior_rhythm_is_found_at_its_frequency(seed: int) -> None:
    # 20 uV on a background whose own 8-13 Hz reach about 12 uV peak to peak
    data = add(noise(20, seed=seed, rms_uv=12, exponent=1.3), rhythm(9.5, 20), POSTERIOR_FIELD)
    findings = of_kind(found_in(batch_of(data)), "posterior_rhythm")
    assert len(findings) >= 19
    assert all(abs((f.measure("frequency_hz") or 0) - 9.5) <= 0.25 for f in findings)


def test_a_rhythm_that_differs_between_sides_says_by_how_much() -> None:
    left = {"O1": 1.0, "P3": 0.7, "P7": 0.6}
    right = {"O2": 1.0, "P4": 0.7, "P8": 0.6}
    base = noise(3, rms_uv=8, exponent=1.3)
    for apart in (0.0, 1.0):
        data = add(add(base, rhythm(9.0, 50), left), rhythm(9.0 + apart, 55), right)
        for finding in of_kind(found_in(batch_of(data)), "posterior_rhythm"):
            assert finding.measure("frequency_difference_hz") == pytest.approx(apart, abs=0.2)


@pytest.mark.parametrize(
    "field", [EVEN_FIELD, FRONTAL_FIELD, CENTRAL_FIELD], ids=["even", "frontal", "central"]
)
def test_a_rhythm_that_is_not_posterior_is_not_called_so(field: dict[str, float]) -> None:
    result = found_in(batch_of(add(noise(4), rhythm(10, 60), field)))
    assert not of_kind(result, "posterior_rhythm")
    assert len(of_kind(result, "dominant_rhythm")) == 4


@pytest.mark.parametrize(
    ("field", "verdict"),
    [(POSTERIOR_FIELD, "present"), (EVEN_FIELD, "not_judged"), ({}, "absent")],
    ids=["behind", "all over", "none"],
)
def test_alpha_all_over_the_head_is_neither_named_nor_denied(
    field: dict[str, float], verdict: str
) -> None:
    result = found_in(batch_of(add(noise(4), rhythm(10, 60), field)))
    judged = [j for j in result.judgements if j.kind == "posterior_rhythm"]
    assert [j.verdict for j in judged] == [verdict] * 4
    assert {j.reason for j in judged} == {RHYTHM_ALL_OVER if verdict == "not_judged" else ""}


def test_a_rhythm_of_two_seconds_is_not_sustained() -> None:
    wave = rhythm(10, 90) * (TIME_S < 2)
    assert not of_kind(found_in(batch_of(add(noise(3), wave, POSTERIOR_FIELD))), "posterior_rhythm")


@pytest.mark.parametrize("exponent", [0.7, 1.2, 2.0])
def test_noise_has_no_rhythm(exponent: float) -> None:
    result = found_in(batch_of(noise(100, seed=9, exponent=exponent)))
    assert len(of_kind(result, "posterior_rhythm")) <= 3
    assert len(of_kind(result, "dominant_rhythm")) <= 4


def test_the_posterior_rule_says_what_it_lacks() -> None:
    data = add(noise(1), rhythm(10, 60), POSTERIOR_FIELD)
    mask = np.ones((1, 19), dtype=bool)
    mask[0, -2:] = False
    (judgement,) = [
        j for j in found_in(batch_of(data, mask=mask)).judgements if j.kind == "posterior_rhythm"
    ]
    assert judgement.verdict == "not_judged"
    assert judgement.reason == "only 0 usable s on O1 and O2, 4 needed"


def test_dominant_rhythm_works_on_bipolar_rows_and_the_posterior_rule_does_not() -> None:
    data = add(noise(2), rhythm(7, 60), POSTERIOR_FIELD)
    derived, mask = longitudinal_bipolar(data, np.ones((2, 19), dtype=bool))
    result = found_in(batch_of(derived, mask=mask, schema=ChannelSchema.bipolar(LB18_NAMES)))
    assert not of_kind(result, "posterior_rhythm")
    rhythms = of_kind(result, "dominant_rhythm")
    assert [f.measure("frequency_hz") for f in rhythms] == pytest.approx([7, 7], abs=0.15)
    verdicts = {j.kind: j.verdict for j in result.judgements}
    assert verdicts["posterior_rhythm"] == "not_judged"
    assert verdicts["voltage"] == "present"


def reference_voltage(data: NDArray[np.float32]) -> float:
    derived, _ = longitudinal_bipolar(data, np.ones(data.shape[:2], dtype=bool))
    seconds = derived.reshape(*derived.shape[:2], 10, 200)
    return float(np.median(np.ptp(seconds, axis=-1)))


@pytest.mark.parametrize("rms_uv", [2.0, 5.0, 15.0, 30.0])
def test_voltage_is_full_peak_to_peak_on_longitudinal_rows(rms_uv: float) -> None:
    batch = batch_of(noise(1, rms_uv=rms_uv, exponent=1.8))
    (finding,) = of_kind(found_in(batch), "voltage")
    expected = reference_voltage(batch.data_uv)
    assert finding.measure("amplitude_uv_p2p") == pytest.approx(expected, rel=1e-3)
    assert finding.measure("amplitude_uv_half") == pytest.approx(expected / 2, rel=1e-3)
    low, high = (finding.measure(f"amplitude_uv_p2p_p{p}") for p in ("05", "95"))
    assert low < expected < high


def test_voltage_is_the_same_from_referential_and_bipolar_recordings() -> None:
    data, mask = noise(1), np.ones((1, 19), dtype=bool)
    derived, there = longitudinal_bipolar(data, mask)
    (one,) = of_kind(found_in(batch_of(data)), "voltage")
    schema = ChannelSchema.bipolar(LB18_NAMES)
    (two,) = of_kind(found_in(batch_of(derived, mask=there, schema=schema)), "voltage")
    assert one.measure("amplitude_uv_p2p") == pytest.approx(
        two.measure("amplitude_uv_p2p"), abs=0.2
    )


@pytest.mark.parametrize(
    ("amplitude_uv", "word"),
    [(9.9, "suppressed"), (10, "low"), (19.9, "low"), (20, "normal"), (150, "high")],
)
def test_voltage_words_follow_their_edges(amplitude_uv: float, word: str) -> None:
    assert voltage_word(amplitude_uv) == word


def test_voltage_is_not_judged_on_two_long_derivations() -> None:
    pair = ChannelSchema.bipolar(("Fpz-Cz", "Pz-Oz"))
    result = found_in(batch_of(noise(1, n_rows=2), schema=pair))
    reasons = {j.kind: j.reason for j in result.judgements if j.verdict == "not_judged"}
    assert reasons["voltage"] == "only 0 usable s on the best 6 longitudinal bipolar rows, 4 needed"
    assert reasons["asymmetry"] == "no homologous rows"


def test_a_marked_difference_is_an_asymmetry_of_the_larger_side() -> None:
    data = noise(1, rms_uv=20)
    data[0, CANONICAL19.index("C3")] *= 0.3
    (finding,) = of_kind(found_in(batch_of(data)), "asymmetry")
    assert finding.channels == ("C4", "C3")
    assert finding.side == "right"
    assert finding.measure("asymmetry") == pytest.approx(0.7, abs=0.12)


def test_a_mild_difference_is_no_finding() -> None:
    data = noise(3, rms_uv=20)
    data[:, CANONICAL19.index("O2")] *= 0.75
    assert not of_kind(found_in(batch_of(data)), "asymmetry")


def test_mirroring_swaps_sides_and_keeps_numbers() -> None:
    data = add(noise(1, rms_uv=20), rhythm(9.5, 70), POSTERIOR_FIELD)
    data[0, CANONICAL19.index("C3")] *= 0.3
    opposite = dict(zip(CANONICAL19, np.array(CANONICAL19)[mirror_rows()].tolist(), strict=True))
    one = found_in(batch_of(data))
    two = found_in(batch_of(data[:, mirror_rows()]))
    for kind in ("posterior_rhythm", "asymmetry"):
        (there,), (mirrored,) = of_kind(one, kind), of_kind(two, kind)
        assert tuple(opposite[c] for c in there.channels) == mirrored.channels
        assert there.measures == mirrored.measures
