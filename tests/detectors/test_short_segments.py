from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_signals import noise

from detectors.rules import rule_findings
from detectors.signal.spatial import spatial_features
from detectors.signal.spectra import spectral_features
from detectors.types import N_TIMES, REFERENTIAL19, SFREQ_HZ, SegmentBatch
from detectors.vocabulary import BAND_SCHEMES
from detectors.waveform.infer import load_detector

WHY = "only 6.0 of 10 s were recorded"


def batch(recorded_s: tuple[float, ...] | None) -> SegmentBatch:
    """Three pages of loud alpha behind, blinks in front and noise; silent after six seconds."""
    t = np.arange(N_TIMES) / SFREQ_HZ
    data = noise(3, rms_uv=6)
    data[:, [17, 18]] += 60 * np.sin(2 * np.pi * 10 * t)
    data[:, [0, 1]] += 250 * np.exp(-(((t - 3) / 0.12) ** 2))
    if recorded_s:
        data[..., 6 * SFREQ_HZ :] = 0
    return SegmentBatch(
        ("a", "b", "c"), data.astype(np.float32), np.ones((3, 19), dtype=bool), REFERENTIAL19,
        np.tile(np.float32([0.1, 75.0]), (3, 1)), 50.0,
        None if recorded_s is None else np.float32(recorded_s),
    )  # fmt: skip


def test_whole_segments_need_not_say_so() -> None:
    plain = batch(None)
    said = replace(plain, recorded_s=np.full(3, 10, dtype=np.float32))
    assert plain.is_whole.all()
    assert said.is_whole.all()
    assert rule_findings(said, spectral_features(said)) == rule_findings(
        plain, spectral_features(plain)
    )


def test_a_wrong_number_of_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="recorded_s has shape"):
        replace(batch(None), recorded_s=np.float32([10.0]))


def test_no_rule_judges_a_segment_that_was_not_recorded_to_its_end() -> None:
    short = batch((6.0, 6.0, 6.0))
    found = rule_findings(short, spectral_features(short))
    assert found.findings == ()
    assert {(j.verdict, j.reason) for j in found.judgements} == {("not_judged", WHY)}
    whole = rule_findings(batch(None), spectral_features(batch(None)))
    assert whole.findings
    assert [j.kind for j in found.judgements] == [j.kind for j in whole.judgements]


def test_its_whole_neighbours_are_judged_as_ever() -> None:
    whole = batch(None)
    data = whole.data_uv.copy()
    data[1, :, 6 * SFREQ_HZ :] = 0
    mixed = replace(whole, data_uv=data, recorded_s=np.float32([10.0, 6.0, 10.0]))
    found = rule_findings(mixed, spectral_features(mixed))
    expected = rule_findings(whole, spectral_features(whole))
    assert [f for f in expected.findings if f.segment_id != "b"] == list(found.findings)
    assert {j.reason for j in found.judgements if j.segment_id == "b"} == {WHY}


def test_its_spectrum_and_tiers_are_void() -> None:
    short = batch((6.0, 10.0, 6.0))
    rows = spectral_features(short).rows(short)
    every = {f"{scheme}:{band}" for scheme, bands in BAND_SCHEMES.items() for band in bands}
    assert set(rows[0]["void_bands"]) == every
    assert rows[0]["dominant_band"] == rows[0]["dominant_band_raw"] == ""
    assert np.isnan(rows[0]["clinical_alpha_uv2"]).all()
    assert np.isnan(rows[0]["dominant_hz"]).all()
    assert np.isnan(rows[0]["aperiodic_exponent"])
    assert rows[1]["void_bands"] == []
    tiers = spatial_features(short).rows(short)
    assert [(r["is_judged"], r["reason"]) for r in tiers] == [
        (False, WHY),
        (True, ""),
        (False, WHY),
    ]
    assert set(tiers[0]["tier"]) == {"missing"}
    assert tiers[0]["highest_channel"] == ""


def test_no_waveform_is_found_on_it() -> None:
    detector = load_detector()
    short = batch((6.0, 10.0, 6.0))
    seen = {event.segment_id for event in detector.detect(short, 0.001)}
    assert seen == {"b"}
