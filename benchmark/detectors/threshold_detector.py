"""A plain threshold detector: band-pass, amplitude above so many standard deviations.

What a reader could write in an afternoon, as a floor to beat. Its multiples and durations are
common ones of the literature taken as they are and tuned on nothing; it reads any rows, one by one.
The other systems are in ``detectors.systems``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, sosfiltfilt, welch

from benchmark.detectors.events import Found, grouped
from detectors.types import SFREQ_HZ, SegmentBatch

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Threshold:
    """One band-passed threshold.

    Parameters
    ----------
    low_hz, high_hz
        Pass band.
    n_sd
        Multiple of the row's robust standard deviation on the page (1.4826 times the median
        absolute deviation).
    low_s, high_s
        Durations kept.
    rows
        Electrodes looked at; all where empty. A recording that has none of them is read on all.
    is_envelope
        Whether the analytic envelope is compared, not the signal's absolute value.
    floor_uv
        Smallest amplitude, so that quiet rows are not searched in their noise.
    """

    low_hz: float
    high_hz: float
    n_sd: float
    low_s: float
    high_s: float
    rows: tuple[str, ...] = ()
    is_envelope: bool = False
    floor_uv: float = 0.0


_CENTRAL = ("F3", "Fz", "F4", "C3", "Cz", "C4")
THRESHOLDS: dict[str, Threshold] = {
    "spindle": Threshold(11.0, 16.0, 3.0, 0.4, 3.0, _CENTRAL, True),
    "kcomplex": Threshold(0.5, 4.0, 4.0, 0.2, 2.0, _CENTRAL),
    "spike": Threshold(5.0, 50.0, 5.0, 0.005, 0.2),
    "blink": Threshold(0.5, 8.0, 4.0, 0.05, 0.6, ("Fp1", "Fp2")),
    "muscle": Threshold(30.0, 70.0, 3.0, 0.2, 10.0, (), True, 5.0),
}
"""Engineering defaults: 3 to 5 SD, as in simple published detectors."""
_GAZE = Threshold(0.3, 8.0, 3.0, 0.1, 2.0)
_GAP_S = 0.1
_FLAT_UV, _FLAT_S = 0.5, 0.5
_POP_UV, _POP_S = 50.0, 0.02
_ALPHA_HZ = (7.0, 13.5)


def threshold_events(batch: SegmentBatch) -> list[Found]:
    """Find what crosses a threshold, one event per time, rows together."""
    found: list[Found] = []
    for i, segment_id in enumerate(batch.segment_ids):
        recorded = np.flatnonzero(batch.mask[i])
        names = [batch.schema.ch_names[r] for r in recorded]
        if not names:
            continue
        rows = batch.data_uv[i, recorded].astype(np.float64)
        for kind, limit in THRESHOLDS.items():
            found += grouped(_crossings(segment_id, kind, limit, rows, names))
        found += _gaze(segment_id, rows, names)
        found += _flat_and_pop(segment_id, rows, names)
        found += _rhythm(segment_id, rows, names)
    return found


def _filtered(rows: Floats, limit: Threshold) -> Floats:
    sos = butter(4, [limit.low_hz, limit.high_hz], "bandpass", fs=SFREQ_HZ, output="sos")
    out = sosfiltfilt(sos, rows, axis=1)
    return np.asarray(np.abs(hilbert(out, axis=1)) if limit.is_envelope else np.abs(out))


def _crossings(
    segment_id: str, kind: str, limit: Threshold, rows: Floats, names: Sequence[str]
) -> list[Found]:
    chosen = [r for r, n in enumerate(names) if n in limit.rows] or list(range(len(names)))
    size = _filtered(rows[chosen], limit)
    # the median of |x| is 0.6745 SD of a normal signal, that of its envelope 1.177 SD
    spread = np.median(size, axis=1, keepdims=True) / (1.1774 if limit.is_envelope else 0.6745)
    found = []
    for place, row in enumerate(chosen):
        level = max(limit.n_sd * float(spread[place, 0]), limit.floor_uv, 1e-6)
        for t0_s, t1_s, peak in _runs(size[place], level):
            if limit.low_s <= t1_s - t0_s <= limit.high_s:
                score = 1 - level / (level + peak)
                found.append(Found(segment_id, kind, (names[row],), t0_s, t1_s, score))
    return found


def _runs(size: Floats, level: float) -> list[tuple[float, float, float]]:
    """Return stretches above a level, joined over short gaps, and their peaks."""
    at = np.flatnonzero(size > level)
    if not at.size:
        return []
    parts = np.split(at, np.flatnonzero(np.diff(at) > _GAP_S * SFREQ_HZ) + 1)
    return [
        (float(p[0] / SFREQ_HZ), float((p[-1] + 1) / SFREQ_HZ), float(size[p[0] : p[-1] + 1].max()))
        for p in parts
    ]


def _gaze(segment_id: str, rows: Floats, names: Sequence[str]) -> list[Found]:
    if not {"F7", "F8"} <= set(names):
        return []
    difference = rows[names.index("F8")] - rows[names.index("F7")]
    found = _crossings(segment_id, "lateral_eye", _GAZE, difference[None], ["F8"])
    return [Found(f.segment_id, f.kind, ("F8", "F7"), f.t0_s, f.t1_s, f.confidence) for f in found]


def _flat_and_pop(segment_id: str, rows: Floats, names: Sequence[str]) -> list[Found]:
    found = []
    width = round(_FLAT_S * SFREQ_HZ)
    step = round(_POP_S * SFREQ_HZ)
    for row, name in zip(rows, names, strict=True):
        cells = row[: row.size // width * width].reshape(-1, width)
        quiet = np.repeat(cells.std(axis=1) < _FLAT_UV, width).astype(np.float64)
        found += [Found(segment_id, "flat", (name,), a, b, 1.0) for a, b, _ in _runs(quiet, 0.5)]
        jump = np.abs(row[step:] - row[:-step])
        found += [
            Found(segment_id, "electrode_pop", (name,), a, b, 1 - _POP_UV / (_POP_UV + peak))
            for a, b, peak in _runs(jump, _POP_UV)
        ]
    return found


def _rhythm(segment_id: str, rows: Floats, names: Sequence[str]) -> list[Found]:
    """Take the highest spectral peak at O1 and O2 for the posterior rhythm, whatever it is."""
    chosen = [r for r, n in enumerate(names) if n in ("O1", "O2")]
    if not chosen:
        return []
    freqs, power = welch(rows[chosen], SFREQ_HZ, nperseg=4 * SFREQ_HZ, axis=1)
    inside = (freqs >= _ALPHA_HZ[0]) & (freqs <= _ALPHA_HZ[1])
    hz = float(freqs[inside][np.argmax(power.mean(axis=0)[inside])])
    rows_seen = tuple(names[r] for r in chosen)
    return [Found(segment_id, "posterior_rhythm", rows_seen, 0.0, 10.0, 0.5, hz)]
