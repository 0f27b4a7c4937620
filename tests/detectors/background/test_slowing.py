from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import (
    EVEN_FIELD,
    POSTERIOR_FIELD,
    TIME_S,
    add,
    batch_of,
    bell,
    noise,
    rhythm,
)

from detectors.artifacts.chain import scan_artifacts
from detectors.background.slowing import find_slowing, slow_band
from detectors.montage import LB18_NAMES, longitudinal_bipolar, mirror_rows
from detectors.rules import rule_findings
from detectors.signal.spectra import spectral_features
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    SFREQ_HZ,
    ChannelSchema,
    Finding,
    Judgement,
    RuleResult,
    SegmentBatch,
)

LEFT_TEMPORAL = {"T7": 1.0, "F7": 0.75, "P7": 0.7, "C3": 0.5, "F3": 0.3, "P3": 0.3}
KINDS = ("focal_slowing", "generalised_slowing")


def ruled(batch: SegmentBatch) -> RuleResult:
    return rule_findings(batch, spectral_features(batch))


def of_kind(result: RuleResult, kind: str) -> list[Finding]:
    return [f for f in result.findings if f.kind == kind]


def judgements(result: RuleResult) -> dict[str, Judgement]:
    return {j.kind: j for j in result.judgements if j.kind in KINDS}


def waves(low_hz: float, high_hz: float, uv: float, seed: int, n: int = 1) -> NDArray[np.float64]:
    """Irregular waves of a band, typical peak-to-peak ``uv``, shape (n, N_TIMES)."""
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(N_TIMES, 1 / SFREQ_HZ)
    spectrum = rng.standard_normal((n, hz.size)) + 1j * rng.standard_normal((n, hz.size))
    rows = np.fft.irfft(spectrum * ((hz >= low_hz) & (hz < high_hz)), N_TIMES)
    return np.asarray(uv / np.sqrt(8) * rows / rows.std(-1, keepdims=True))


def healthy(n: int, seed: int = 0) -> NDArray[np.float32]:
    return add(noise(n, seed=seed, rms_uv=8, exponent=1.3), rhythm(9.8, 35), POSTERIOR_FIELD)


def focal(field: Mapping[str, float], band: tuple[float, float], seed: int) -> NDArray[np.float32]:
    return add(healthy(1, seed), waves(*band, 70, seed)[0], field)


def everywhere(band: tuple[float, float], uv: float, seed: int) -> NDArray[np.float32]:
    """Several sources, so that neighbours differ as they do on a head."""
    data = healthy(1, seed)
    fields = ({"F3": 1, "F7": 0.8, "Fp1": 0.6, "C3": 0.5}, {"F4": 1, "F8": 0.8, "Fp2": 0.6, "C4": 0.5},
              {"P3": 1, "P7": 0.8, "O1": 0.7, "T7": 0.6}, {"P4": 1, "P8": 0.8, "O2": 0.7, "T8": 0.6},
              {"Cz": 1, "Fz": 0.8, "Pz": 0.8})  # fmt: skip
    for field, wave in zip(fields, waves(*band, uv, seed, len(fields)), strict=True):
        data = add(data, wave, field)
    return data


@pytest.mark.parametrize(("band", "word"), [((1.2, 3.6), "delta"), ((4.3, 7.5), "theta")])
@pytest.mark.parametrize("seed", [1, 5])
def test_focal_slowing_is_found_on_its_side_with_its_numbers(
    band: tuple[float, float], word: str, seed: int
) -> None:
    result = ruled(batch_of(focal(LEFT_TEMPORAL, band, seed)))
    (finding,) = of_kind(result, "focal_slowing")
    assert finding.channels[0] == "T7"
    assert set(finding.channels) <= {"T7", "F7", "P7", "C3", "F3", "P3"}
    assert finding.side == "left"
    assert slow_band(finding) == word
    assert band[0] <= (finding.measure("frequency_hz") or 0) <= band[1]
    assert (finding.measure("over_homologue") or 0) >= 1.5
    assert (finding.measure("share") or 0) >= 0.5
    assert finding.measure("amplitude_uv_p2p") == pytest.approx(70, rel=0.35)
    assert not of_kind(result, "generalised_slowing")


def test_focal_slowing_swaps_sides_with_the_head() -> None:
    data = focal(LEFT_TEMPORAL, (1.2, 3.6), 3)
    (one,), (two,) = (
        of_kind(ruled(batch_of(d)), "focal_slowing") for d in (data, data[:, mirror_rows()])
    )
    assert (one.side, two.side) == ("left", "right")
    assert (one.channels[0], two.channels[0]) == ("T7", "T8")
    assert one.measures == two.measures


def test_one_electrode_alone_is_not_focal_slowing() -> None:
    assert not of_kind(ruled(batch_of(focal({"T7": 1.0}, (1.2, 3.6), 4))), "focal_slowing")


def test_a_row_that_is_larger_altogether_is_an_asymmetry_and_no_slowing() -> None:
    data = healthy(1, 5)
    for name in ("T7", "F7", "P7", "C3"):
        data[0, CANONICAL19.index(name)] *= 3
    assert not of_kind(ruled(batch_of(data)), "focal_slowing")


@pytest.mark.parametrize(("band", "word"), [((1.2, 3.8), "delta"), ((4.2, 7.6), "theta")])
def test_generalised_slowing_is_found_on_most_rows(band: tuple[float, float], word: str) -> None:
    found = []
    for seed in range(4):
        result = ruled(batch_of(everywhere(band, 45, seed)))
        assert not of_kind(result, "focal_slowing")
        found += of_kind(result, "generalised_slowing")
    assert len(found) >= 2
    for finding in found:
        assert slow_band(finding) == word
        assert finding.side == "bilateral"
        assert (finding.measure("row_share") or 0) >= 0.6
        assert (finding.measure("excess_db") or 0) >= 3
        assert band[0] <= (finding.measure("frequency_hz") or 0) <= band[1]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("spindle", "sleep features on the page explain slow activity"),
        ("rhythmic_delta", "a rhythmic or periodic pattern on the page explains slow activity"),
        ("muscle", ""),
    ],
)
def test_sleep_and_rhythmic_patterns_explain_generalised_slowing(kind: str, reason: str) -> None:
    batch = batch_of(everywhere((1.2, 3.8), 45, 0))
    spectra = spectral_features(batch)
    scan = scan_artifacts(batch, spectra)
    known = Finding("s0", kind, ("Cz",), 2.0, 3.0)
    result = find_slowing(batch, spectra, scan.statistics, scan.usable, (known,))
    judged = judgements(result)["generalised_slowing"]
    assert (judged.verdict, judged.reason) == ("not_judged" if reason else "present", reason)


@pytest.mark.parametrize("seed", range(3))
def test_healthy_pages_are_not_slow(seed: int) -> None:
    result = ruled(batch_of(healthy(40, seed)))
    assert not [f for f in result.findings if f.kind in KINDS]
    verdicts = [j.verdict for j in result.judgements if j.kind in KINDS]
    assert verdicts.count("absent") >= 78


@pytest.mark.parametrize("exponent", [0.8, 1.5, 2.2])
def test_a_steep_spectrum_is_not_slow(exponent: float) -> None:
    result = ruled(batch_of(noise(40, seed=7, rms_uv=20, exponent=exponent)))
    assert len([f for f in result.findings if f.kind in KINDS]) <= 1


def test_a_slow_rhythm_behind_is_a_rhythm_and_no_slowing() -> None:
    data = add(noise(3, rms_uv=8, exponent=1.3), rhythm(6.8, 60), POSTERIOR_FIELD)
    result = ruled(batch_of(data))
    assert len(of_kind(result, "posterior_rhythm")) == 3
    assert not [f for f in result.findings if f.kind in KINDS]


def test_blinks_and_drift_are_not_slowing() -> None:
    blinks = sum(bell(160, at, 0.18) for at in (1.2, 3.0, 5.1, 7.3, 8.9))
    data = add(healthy(3), np.asarray(blinks), {"Fp1": 1, "Fp2": 0.97, "F3": 0.4, "F4": 0.4, "F7": 0.4,
                                                "F8": 0.4, "Fz": 0.4})  # fmt: skip
    drifting = add(data, 90 * np.sin(2 * np.pi * 0.3 * TIME_S), {"T7": 1.0, "F7": 0.9, "P7": 0.7})
    assert not [f for f in ruled(batch_of(drifting)).findings if f.kind in KINDS]


def test_bipolar_recordings_are_judged_on_their_own_rows() -> None:
    data = everywhere((1.2, 3.8), 45, 0)
    derived, mask = longitudinal_bipolar(data, np.ones((1, 19), dtype=bool))
    result = ruled(batch_of(derived, mask=mask, schema=ChannelSchema.bipolar(LB18_NAMES)))
    (one,) = of_kind(result, "generalised_slowing")
    (two,) = of_kind(ruled(batch_of(data)), "generalised_slowing")
    assert one.channels == two.channels
    assert one.measure("excess_db") == pytest.approx(two.measure("excess_db"), abs=0.05)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("focal_slowing", "fewer than 2 pairs of homologous rows with 4 usable s in a row"),
        ("generalised_slowing", "fewer than 6 longitudinal bipolar rows with 4 usable s in a row"),
    ],
)
def test_too_few_rows_are_not_judged(kind: str, reason: str) -> None:
    mask = np.array([[name in ("C3", "C4", "Cz", "O1") for name in CANONICAL19]])
    judged = judgements(ruled(batch_of(healthy(1), mask=mask)))[kind]
    assert (judged.verdict, judged.reason) == ("not_judged", reason)


def test_an_even_slow_reference_is_not_generalised_slowing() -> None:
    data = add(healthy(2), waves(1.2, 3.8, 80, 1)[0], EVEN_FIELD)
    assert not of_kind(ruled(batch_of(data)), "generalised_slowing")
