"""Sawtooth waves: trains of 2-6 Hz, sharply contoured or triangular, largest at the vertex (AASM).

A train is told from midline theta by the shape of its waves: one flank steeper than the other, or
both tips pointed as a symmetric triangle's are. Serration on the flanks is not looked for. Called
by :mod:`detectors.sleep.transients`; filters are in :mod:`detectors.sleep.white_page`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, make_finding, margin_confidence
from detectors.montage import rows_of
from detectors.signal.envelope import filter_band
from detectors.sleep.white_page import envelope_scale, narrow_envelopes
from detectors.types import N_TIMES, SFREQ_HZ, Finding, SegmentBatch

VERSION = "2"
"""Version of this rule, part of every finding's source."""

_E = "engineering default"
LIMITS: dict[str, Limit] = {
    "low_hz": Limit(2.0, "Hz", "AASM"),
    "high_hz": Limit(6.0, "Hz", "AASM"),
    "waves": Limit(3.0, "1", _E + ": waves that make a run"),
    "over_background": Limit(5.5, "1", _E + ": envelope over the background's deviation"),
    "flank_ratio": Limit(1.4, "1", "AASM 'triangular', one flank steeper by " + _E),
    "over_central": Limit(1.2, "1", _E + ": C3 or C4 may be so much stronger than Cz"),
    "foot_share": Limit(0.5, "1", _E + "; of its peak, where a run begins and ends"),
    "pointed": Limit(
        0.06,
        "1",
        "AASM 'triangular': third harmonic over the first, 0.11 in a triangle; half is " + _E,
    ),
    "pointed_sure": Limit(2.5, "1", _E + ": pointedness over its error"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_RUN_POINTS = 64
_RUN_HZ = (2.4, 3.1, 3.8, 4.5, 5.2)
_RUN_S = 0.4
_SHAPE_HZ = 18.0
_CZ = int(rows_of("Cz")[0])
_MIDLINE = rows_of("Cz", "C3", "C4", "Fz", "Pz")


def find_sawtooth(
    batch: SegmentBatch,
    spectrum: NDArray[np.complex64],
    vertex: tuple[NDArray[np.float64], NDArray[np.complex64]],
    clean: NDArray[np.bool_],
    is_judged: NDArray[np.bool_],
) -> list[Finding]:
    """Find runs of waves of 2-6 Hz at the vertex that are triangular, symmetric or not.

    Parameters
    ----------
    batch
        Segments of ``referential19``.
    spectrum
        Of all rows, from :func:`detectors.signal.envelope.band_spectrum`, shape (n, 19, n_freqs).
    vertex
        Frequencies, shape (n_bins,), and white spectra through the filter of Cz, (n, n_bins).
    clean
        bool, shape (n, 19, 10): usable seconds of live rows.
    is_judged
        bool, shape (n,).
    """
    freqs_hz, through = vertex
    envelopes = narrow_envelopes(through, freqs_hz, _RUN_HZ, _RUN_S, _RUN_POINTS)
    envelopes /= envelope_scale(envelopes)[:, None, None]
    top = envelopes.max(1)
    is_peak = (top >= np.roll(top, 1, 1)) & (top > np.roll(top, -1, 1)) & is_judged[:, None]
    findings: list[Finding] = []
    for i, t in np.argwhere(is_peak & (top >= _L["over_background"])).tolist():
        finding = _run(batch, i, t, float(top[i, t]), spectrum[i], clean[i])
        if finding is not None and not (
            findings
            and findings[-1].segment_id == finding.segment_id
            and findings[-1].t1_s > finding.t0_s
        ):
            findings.append(finding)
    return findings


def _run(
    batch: SegmentBatch, i: int, time: int, strength: float, spectrum: NDArray[np.complex64],
    clean: NDArray[np.bool_],
) -> Finding | None:  # fmt: skip
    """Judge one run: central, enough waves, steep on one flank; None where it fails."""
    low, high = _L["low_hz"], _L["high_hz"]
    rows = filter_band(spectrum[_MIDLINE], low - 0.5, high + 0.5)
    signal = rows[0]
    at = time * N_TIMES // _RUN_POINTS
    size = np.sqrt(np.convolve(signal**2, np.ones(100) / 100, mode="same"))
    is_low = size < _L["foot_share"] * size[at]
    before, after = np.nonzero(is_low[:at])[0], np.nonzero(is_low[at:])[0]
    start = int(before[-1]) + 1 if before.size else 0
    stop = at + int(after[0]) if after.size else signal.size
    power = (rows[:, start:stop] ** 2).mean(1)
    if power[0] < power[3:].max() or power[:3].max() > _L["over_central"] * power[0]:
        return None
    inner = signal[start:stop]
    crossings = start + np.nonzero((inner[:-1] >= 0) & (inner[1:] < 0))[0]
    if crossings.size < 2:
        return None
    cycle = float(np.median(np.diff(crossings)))
    n_waves = round(float(crossings[-1] - crossings[0]) / cycle)
    hz = SFREQ_HZ / cycle
    if n_waves < _L["waves"]:
        return None
    shape = filter_band(spectrum[_CZ], low - 0.5, _SHAPE_HZ)
    ratio, (point, sure) = _flank_ratio(shape, crossings), _pointed(shape, crossings)
    is_steep = ratio >= _L["flank_ratio"]
    is_pointed = point >= _L["pointed"] and sure >= _L["pointed_sure"]
    span = (float(crossings[0]) / SFREQ_HZ, float(crossings[-1]) / SFREQ_HZ)
    is_clean = clean[_CZ, int(span[0]) : max(int(np.ceil(span[1])), int(span[0]) + 1)].all()
    if not (low <= hz <= high and (is_steep or is_pointed) and is_clean):
        return None
    measures = [
        ("frequency_hz", hz, "Hz"),
        ("amplitude_uv_p2p", 2 * float(np.sqrt(2 * power[0])), "uV"),
        ("count", float(n_waves), "1"),
        ("duration_s", span[1] - span[0], "s"),
        ("flank_ratio", ratio, "1"),
        ("pointed", point, "1"),
        ("over_background", strength, "1"),
    ]
    confidence = margin_confidence(
        strength / _L["over_background"],
        max(ratio / _L["flank_ratio"], point / _L["pointed"]),
    )
    return make_finding(
        batch.segment_ids[i], "sawtooth", ["Cz"], span, measures, confidence, VERSION
    )


def _flank_ratio(signal: NDArray[np.float32], crossings: NDArray[np.intp]) -> float:
    """Return how many times longer one flank of a wave lasts than the other, median of waves."""
    ratios = []
    for a, b in zip(crossings[:-1].tolist(), crossings[1:].tolist(), strict=True):
        wave = signal[a:b]
        trough, peak = int(wave.argmin()), int(wave.argmax())
        rise = (peak - trough) % wave.size
        fall = wave.size - rise
        ratios.append(np.log(max(rise, 1) / max(fall, 1)))
    return float(np.exp(abs(np.median(ratios))))


def _pointed(signal: NDArray[np.float32], crossings: NDArray[np.intp]) -> tuple[float, float]:
    """Return how pointed the waves of a run are, and how sure that is.

    Both tips of a triangle are pointed because its third harmonic, 1/9 of the first, adds to them; a
    sine and the rounded waves of theta have none. Sure is the mean of the waves over its error.
    """
    first, third = [], []
    for a, b in zip(crossings[:-1].tolist(), crossings[1:].tolist(), strict=True):
        phase = np.exp(-2j * np.pi * np.arange(b - a) / (b - a))
        first.append(complex(2 * (signal[a:b] * phase).mean()))
        third.append(complex(2 * (signal[a:b] * phase**3).mean()))
    turn = np.array(first) / np.maximum(np.abs(first), 1e-9)
    along = (np.array(third) * turn.conj() ** 3).real
    mean, size = float(along.mean()), float(np.abs(first).mean())
    error = float(along.std()) / np.sqrt(max(len(along) - 1, 1))
    return mean / max(size, 1e-9), mean / max(error, 1e-9)
