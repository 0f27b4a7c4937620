"""A cut extreme is seen after the filters of storage too, and natural peaks are not taken for one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import TIME_S, batch_of, noise, rhythm
from scipy import signal

from detectors.artifacts.chain import scan_artifacts
from detectors.artifacts.clipping import find_saturation
from detectors.signal.row_statistics import row_statistics
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, N_TIMES, Finding, RuleResult, SegmentBatch

Pages = NDArray[np.float32]
RAW_HZ = 250


def cut_in(batch: SegmentBatch) -> RuleResult:
    return find_saturation(batch, row_statistics(batch))


def rows_of_findings(findings: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(f.segment_id, name) for f in findings for name in f.channels}


def stored(raw_uv: NDArray[np.float64]) -> Pages:
    """Bring raw pages at 250 Hz to the stored band and rate, mains notch included."""
    low = signal.firwin(101, 75, fs=RAW_HZ)
    smooth = signal.filtfilt(low, 1.0, raw_uv, axis=-1)
    smooth = signal.filtfilt(*signal.iirnotch(50, 50, fs=RAW_HZ), smooth, axis=-1)
    slow = signal.butter(1, 0.1, fs=RAW_HZ, output="sos")
    high = smooth - signal.sosfiltfilt(slow, smooth, axis=-1)
    return np.asarray(signal.resample_poly(high, 4, 5, axis=-1)[..., :N_TIMES], dtype=np.float32)


def raw_pages(n: int, seed: int = 0, rms_uv: float = 10.0) -> NDArray[np.float64]:
    pages = noise(n, seed, rms_uv, exponent=1.2).astype(np.float64)
    return np.asarray(signal.resample_poly(pages, 5, 4, axis=-1))


@pytest.mark.parametrize("gain", [0.4, 1.0, 20.0], ids=["quiet", "usual", "huge"])
@pytest.mark.parametrize("sides", ["both", "upper", "lower"])
def test_a_row_cut_at_one_and_a_half_sd_is_found_after_the_filters(sides: str, gain: float) -> None:
    raw = raw_pages(6, rms_uv=10 * gain)
    level = 1.5 * raw[:, 4].std()
    high = np.inf if sides == "lower" else level
    low = -np.inf if sides == "upper" else -level
    raw[:, 4] = np.clip(raw[:, 4], low, high)
    found = rows_of_findings(cut_in(batch_of(stored(raw))).findings)
    assert {name for _, name in found} == {CANONICAL19[4]}
    assert len(found) >= 5


def test_only_the_time_at_the_rail_is_marked() -> None:
    raw = raw_pages(1)
    time_s = np.arange(raw.shape[-1]) / RAW_HZ
    swing = 300 * np.sin(2 * np.pi * 1.5 * time_s) * ((time_s > 4) & (time_s < 6))
    raw[0, 7] = np.clip(raw[0, 7] + swing, -180, 180)
    findings = cut_in(batch_of(stored(raw))).findings
    assert {name for f in findings for name in f.channels} == {CANONICAL19[7]}
    assert min(f.t0_s for f in findings) > 3.9
    assert max(f.t1_s for f in findings) < 6.1


@pytest.mark.parametrize("rail_uv", [400.0, 900.0])
def test_a_long_stay_at_the_rail_is_found_and_is_not_only_flat(rail_uv: float) -> None:
    raw = raw_pages(1)
    time_s = np.arange(raw.shape[-1]) / RAW_HZ
    swing = 2.5 * rail_uv * np.exp(-0.5 * ((time_s - 5) / 0.35) ** 2)
    raw[0, 7] = np.clip(raw[0, 7] + swing, -rail_uv, rail_uv)
    (finding,) = cut_in(batch_of(stored(raw))).findings
    assert finding.channels == (CANONICAL19[7],)
    assert finding.t1_s - finding.t0_s == pytest.approx(0.95, abs=0.15)


def test_a_level_at_the_rail_that_the_high_pass_bends_is_still_one() -> None:
    data = noise(1)
    row = data[0, 9]
    row[:] = np.where((TIME_S > 3) & (TIME_S < 3.4), 900 - 40 * (TIME_S - 3), row)
    (finding,) = cut_in(batch_of(data)).findings
    assert finding.channels == (CANONICAL19[9],)
    assert (finding.t0_s, finding.t1_s) == pytest.approx((3.0, 3.4), abs=0.05)


def test_samples_cut_at_the_stored_range_are_on_its_rail() -> None:
    data = noise(1)
    data[0, 2, 700:703] = 1638.35
    (finding,) = cut_in(batch_of(data)).findings
    assert finding.t0_s == pytest.approx(3.5, abs=0.02)
    assert finding.measure("level_uv") == pytest.approx(1638.35, abs=0.1)


def low_passed(pages: Pages, hz: float) -> Pages:
    sos = signal.butter(6, hz, fs=200, output="sos")
    return np.asarray(signal.sosfiltfilt(sos, pages, axis=-1), dtype=np.float32)


NATURAL: dict[str, Callable[[Pages], Pages]] = {
    "as-is": lambda x: x,
    "low-pass-15-hz": lambda x: low_passed(x, 15),
    "low-pass-30-hz": lambda x: low_passed(x, 30),
    "low-pass-45-hz": lambda x: low_passed(x, 45),
    "hardly-any-signal": lambda x: 0.05 * x,
    "steps-of-2-uv": lambda x: np.round(x / 2) * 2,
    "alpha": lambda x: x + rhythm(10, 120).astype(np.float32),
    "delta": lambda x: x + rhythm(0.8, 400).astype(np.float32),
    "delta-alone": lambda x: 0.001 * x + rhythm(0.8, 400).astype(np.float32),
}


@pytest.mark.parametrize("change", NATURAL.values(), ids=NATURAL.keys())
def test_natural_extremes_are_not_cut(change: Callable[[Pages], Pages]) -> None:
    found = rows_of_findings(cut_in(batch_of(change(noise(20, seed=5, exponent=1.4)))).findings)
    assert len(found) <= 1


@pytest.mark.parametrize("gap_s", [0.9, 2.2, 5.0])
def test_a_row_that_is_dead_for_a_while_is_flat_and_not_cut(gap_s: float) -> None:
    data = noise(1)
    data[0, 8, 600 : 600 + round(200 * gap_s)] = data[0, 8, 600]
    batch = batch_of(data)
    kinds = {f.kind for f in scan_artifacts(batch, spectral_features(batch)).result.findings}
    assert "flat" in kinds
    assert "saturation" not in kinds


def test_rows_that_were_not_recorded_are_left_out() -> None:
    mask = np.zeros((1, 19), dtype=bool)
    (judgement,) = cut_in(batch_of(noise(1), mask=mask)).judgements
    assert judgement.verdict == "not_judged"
