from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import POSTERIOR_FIELD, TIME_S, add, batch_of, noise, rhythm

from detectors.background.continuity import continuity_word
from detectors.guard import beyond_page
from detectors.montage import LB18_NAMES, longitudinal_bipolar, mirror_rows
from detectors.rules import rule_findings
from detectors.signal.spectra import spectral_features
from detectors.types import ChannelSchema, Finding, RuleResult, SegmentBatch


def ruled(batch: SegmentBatch) -> RuleResult:
    return rule_findings(batch, spectral_features(batch))


def intervals(batch: SegmentBatch) -> list[Finding]:
    return [f for f in ruled(batch).findings if f.kind == "attenuation"]


def held(gain: float, *spans: tuple[float, float], rms_uv: float = 20) -> NDArray[np.float32]:
    """Noise that falls to a gain within spans, over 0.05 s."""
    course = np.ones_like(TIME_S)
    for start, stop in spans:
        inside = np.clip(np.minimum(TIME_S - start, stop - TIME_S) / 0.05, 0, 1)
        course = course * (1 - (1 - gain) * inside)
    return (noise(1, seed=4, rms_uv=rms_uv, exponent=1.4) * course).astype(np.float32)


@pytest.mark.parametrize("gain", [0.04, 0.33], ids=["below 10 uV", "below half of the background"])
@pytest.mark.parametrize(("start_s", "stop_s"), [(3.0, 6.0), (2.0, 3.5), (5.0, 9.0)])
def test_a_low_interval_is_found_where_it_is(gain: float, start_s: float, stop_s: float) -> None:
    (finding,) = intervals(batch_of(held(gain, (start_s, stop_s))))
    assert (finding.t0_s, finding.t1_s) == pytest.approx((start_s, stop_s), abs=0.3)
    assert finding.measure("share") == pytest.approx((stop_s - start_s) / 10, abs=0.05)
    background = finding.measure("background_uv_p2p") or 0
    amplitude = finding.measure("amplitude_uv_p2p") or 0
    assert amplitude < 0.5 * background
    assert (amplitude < 10) == (gain < 0.1)
    assert (finding.measure("row_share") or 0) >= 0.8
    assert beyond_page(finding) == ""


def test_two_intervals_are_two_findings_of_one_share() -> None:
    found = intervals(batch_of(held(0.05, (1.0, 3.0), (6.0, 8.0))))
    assert [round(f.t0_s) for f in found] == [1, 6]
    assert [f.measure("share") for f in found] == pytest.approx([0.4, 0.4], abs=0.05)


def test_a_quiet_page_is_one_interval_that_fills_it() -> None:
    (finding,) = intervals(batch_of(noise(1, rms_uv=1.2, exponent=0.8)))
    assert (finding.t0_s, finding.t1_s) == (0, 10)
    assert finding.measure("share") == 1


@pytest.mark.parametrize("rms_uv", [8, 20, 40])
def test_an_even_page_has_no_low_interval(rms_uv: float) -> None:
    even = noise(60, seed=2, rms_uv=rms_uv, exponent=1.2)
    waxing = 1 + 0.8 * np.sin(2 * np.pi * 0.3 * TIME_S)
    alpha = add(even, waxing * rhythm(10, 3 * rms_uv), POSTERIOR_FIELD)
    for data in (even, alpha):
        assert len(intervals(batch_of(data))) <= 1


def test_low_rows_behind_alone_do_not_make_the_page_low() -> None:
    data = held(1.0)
    low = held(0.1, (3, 6))
    behind = slice(12, 19)
    data[:, behind] = low[:, behind]
    assert not intervals(batch_of(data))


def test_a_low_interval_is_the_same_in_a_mirrored_head_and_a_bipolar_recording() -> None:
    data = held(0.1, (3, 6))
    derived, mask = longitudinal_bipolar(data, np.ones((1, 19), dtype=bool))
    (one,) = intervals(batch_of(data))
    (two,) = intervals(batch_of(data[:, mirror_rows()]))
    schema = ChannelSchema.bipolar(LB18_NAMES)
    (three,) = intervals(batch_of(derived, mask=mask, schema=schema))
    assert (one.t0_s, one.t1_s, one.measures) == (two.t0_s, two.t1_s, two.measures)
    assert (one.t0_s, one.t1_s, one.channels) == (three.t0_s, three.t1_s, three.channels)


def test_too_few_rows_are_not_judged() -> None:
    result = ruled(batch_of(noise(1, n_rows=2), schema=ChannelSchema.bipolar(("Fpz-Cz", "Pz-Oz"))))
    (judged,) = [j for j in result.judgements if j.kind == "attenuation"]
    assert judged.verdict == "not_judged"
    assert judged.reason == "only 0 usable s on the best 6 longitudinal bipolar rows, 4 needed"


@pytest.mark.parametrize(
    ("share", "word"),
    [
        (0.0, "continuous"), (0.05, "nearly continuous"), (0.0999, "nearly continuous"),
        (0.1, "discontinuous"), (0.49, "discontinuous"), (0.5, "mostly low voltage"),
        (1.0, "low voltage throughout"),
    ],
)  # fmt: skip
def test_continuity_words_follow_their_edges_and_name_no_pattern(share: float, word: str) -> None:
    assert continuity_word(share) == word
    assert "suppression" not in continuity_word(share)
