"""High-amplitude slow waves: 0.5-2 Hz, above 75 uV over the frontal rows (AASM).

Amplitude and place are defined on single frontal electrodes, so bipolar recordings are not judged.
A page says "slow waves", never a stage. Other sleep rules are in :mod:`detectors.sleep.chain`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Box,
    Limit,
    duration_of,
    make_finding,
    margin_confidence,
    runs,
    too_few,
)
from detectors.montage import rows_of
from detectors.signal.row_statistics import SLOW_HZ
from detectors.types import CANONICAL19, Finding, SegmentBatch

VERSION = "2"
"""Version of the slow-wave rule, part of every finding's source."""

_E = "engineering default"
LIMITS: dict[str, Limit] = {
    "slow_wave_p2p_uv": Limit(75.0, "uV", "AASM, over frontal leads"),
    "slow_wave_over_occipital": Limit(1.2, "1", "AASM 'over frontal leads', ratio is " + _E),
    "slow_wave_low_hz": Limit(0.5, "Hz", "AASM"),
    "slow_wave_high_hz": Limit(2.0, "Hz", "AASM"),
    "slow_wave_rows": Limit(2, "rows", _E),
    "gap_s": Limit(0.5, "s", "systems.md 6.6, engineering default"),
    "not_eye_ratio": Limit(1.5, "1", _E + ": Fp over F, else an eye movement"),
    "clean_s": Limit(4.0, "s", "clinical.md 3.1, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
VIEW_WIDTH = 11
"""Samples at 40 Hz over which rows are smoothed."""
_FRONTAL = rows_of("F3", "Fz", "F4")
_FRONTOPOLAR = rows_of("Fp1", "Fp2")
_OCCIPITAL = rows_of("O1", "O2")


def slow_view(slow_uv: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Smooth rows at 40 Hz and remove their 2-s moving mean.

    Parameters
    ----------
    slow_uv
        Shape (..., n_times), at 40 Hz.
    width
        Odd number of samples to smooth over; ends are padded by their own value.
    """
    from detectors.signal import _longitudinal_kernels

    rows = np.ascontiguousarray(slow_uv, dtype=np.float32).reshape(-1, slow_uv.shape[-1])
    view = np.empty_like(rows)
    _longitudinal_kernels.without_drift(rows, width // 2, SLOW_HZ, view)
    return view.reshape(slow_uv.shape)


def find_slow_waves(
    batch: SegmentBatch,
    view: NDArray[np.float32],
    clean: NDArray[np.bool_],
) -> list[Finding]:
    """Find stretches of frontal waves of 0.5-2 Hz above 75 uV peak-to-peak.

    A wave is a negative half between zero crossings and the positive half after it; waves less
    than 0.5 s apart make one finding.

    Parameters
    ----------
    batch
        Segments of ``referential19``.
    view
        Rows at 40 Hz from :func:`slow_view`, :data:`VIEW_WIDTH` wide, dead rows zero; shape (n, 19, 400).
    clean
        bool, shape (n, 19, 10): usable seconds of live rows.
    """
    is_judged = clean[:, _FRONTAL].sum(-1).max(1) >= _L["clean_s"]
    waves: list[list[Box]] = [[] for _ in batch.segment_ids]
    front = view[:, _FRONTAL]
    flat = front.reshape(-1, front.shape[-1])
    row, start, stop = runs(flat < 0)
    first = start + row * flat.shape[1]
    # from the start of one negative half to the start of the next lies one whole wave
    deepest = np.minimum.reduceat(flat.ravel(), first) if row.size else np.zeros(0)
    highest_uv = np.maximum.reduceat(flat.ravel(), first) if row.size else np.zeros(0)
    half = (stop - start) / SLOW_HZ
    lowest, highest = 0.5 / _L["slow_wave_high_hz"], 0.5 / _L["slow_wave_low_hz"]
    fits = (half >= lowest) & (half <= highest) & (deepest <= -_L["slow_wave_p2p_uv"] / 4)
    fits &= highest_uv - deepest >= _L["slow_wave_p2p_uv"]
    fits[:-1] &= row[1:] == row[:-1]
    fits[-1:] = False
    for r, a, b in zip(row[fits].tolist(), start[fits].tolist(), stop[fits].tolist(), strict=True):
        i, c = divmod(r, 3)
        box = _wave(flat[r], view[i], c, a, b)
        if box is not None and clean[i, _FRONTAL[c], int(box.t0_s) : int(np.ceil(box.t1_s))].all():
            waves[i].append(box)
    findings: list[Finding] = []
    for i in np.nonzero(is_judged)[0]:
        findings.extend(_wave_trains(batch, int(i), waves[i]))
    return findings


def slow_wave_reasons(clean: NDArray[np.bool_]) -> list[str]:
    """Say per segment why slow waves cannot be judged, ``""`` where they can.

    Parameters
    ----------
    clean
        As for :func:`find_slow_waves`.
    """
    return too_few(clean[:, _FRONTAL].sum(-1).max(1), _L["clean_s"], "F3, Fz and F4")


def _wave(
    row: NDArray[np.float32], view: NDArray[np.float32], c: int, start: int, stop: int
) -> Box | None:
    """Complete a negative half by the positive one after it; None where it is too small."""
    beyond = np.nonzero(row[stop:] < 0)[0]
    if not beyond.size or start == 0:
        return None
    end = stop + int(beyond[0])
    if not 0.5 / _L["slow_wave_high_hz"] <= (end - stop) / SLOW_HZ <= 0.5 / _L["slow_wave_low_hz"]:
        return None
    trough, peak = start + int(row[start:stop].argmin()), stop + int(row[stop:end].argmax())
    p2p = float(row[peak] - row[trough])
    each = view[:, peak] - view[:, trough]
    is_eye = float(each[_FRONTOPOLAR].max()) > _L["not_eye_ratio"] * p2p
    is_frontal = p2p >= _L["slow_wave_over_occipital"] * float(each[_OCCIPITAL].max())
    if p2p < _L["slow_wave_p2p_uv"] or is_eye or not is_frontal:
        return None
    return Box(c, start / SLOW_HZ, end / SLOW_HZ, p2p)


def _wave_trains(batch: SegmentBatch, i: int, waves: Sequence[Box]) -> list[Finding]:
    """Join waves of the frontal rows in time; a train needs two rows."""
    findings = []
    train: list[Box] = []
    for box in [*sorted(waves, key=lambda b: (b.t0_s, b.row)), None]:
        if box is not None and (not train or box.t0_s - max(b.t1_s for b in train) < _L["gap_s"]):
            train.append(box)
            continue
        by_row: dict[int, list[Box]] = {}
        for member in train:
            by_row.setdefault(member.row, []).append(member)
        if len(by_row) >= _L["slow_wave_rows"]:
            order = sorted(by_row, key=lambda r: (-max(b.weight for b in by_row[r]), r))
            amplitude = float(np.median([b.weight for b in train]))
            longest = max(by_row.values(), key=len)
            wave_s = float(np.median([b.t1_s - b.t0_s for b in train]))
            measures = [
                ("amplitude_uv_p2p", amplitude, "uV"),
                ("frequency_hz", 1 / wave_s, "Hz"),
                ("count", float(len(longest)), "1"),
                duration_of(train),
            ]
            span = (min(b.t0_s for b in train), max(b.t1_s for b in train))
            confidence = margin_confidence(amplitude / _L["slow_wave_p2p_uv"])
            names = [CANONICAL19[_FRONTAL[r]] for r in order]
            findings.append(
                make_finding(
                    batch.segment_ids[i], "slow_wave", names, span, measures, confidence, VERSION
                )
            )
        train = [box] if box is not None else []
    return findings
