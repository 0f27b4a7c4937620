"""Sleep spindles: 11-16 Hz, 0.5-3 s, central, out of the page's own sigma activity (AASM).

AASM sets no amplitude, so what counts is how far a train stands out of the page's background when
the rows its field reaches are taken together; the amplitude is a measure. The occipital gate is
compulsory, because alpha of 11.5 Hz and faster passes for a spindle elsewhere. The filters are in
:mod:`detectors.sleep.white_page`, the chain of the sleep rules in :mod:`detectors.sleep.chain`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, make_finding, margin_confidence, too_few
from detectors.montage import rows_of
from detectors.signal.envelope import filter_band
from detectors.sleep.white_page import WhitePage, envelope_scale, narrow_envelopes, white_page
from detectors.types import CANONICAL19, SEGMENT_S, SFREQ_HZ, Finding, SegmentBatch

VERSION = "3"
"""Version of the spindle rule, part of every finding's source."""

_E = "engineering default"
LIMITS: dict[str, Limit] = {
    "sigma_low_hz": Limit(11.0, "Hz", "AASM"),
    "sigma_high_hz": Limit(16.0, "Hz", "AASM"),
    "low_s": Limit(0.5, "s", "AASM"),
    "high_s": Limit(3.0, "s", "clinical.md 5, engineering default"),
    "over_background": Limit(
        4.5,
        "1",
        _E + ": envelope over the background's deviation, through the field's filter; 30 "
        "false ones per hour of simulated sleep background, 11 after the chain's gates",
    ),
    "flank_share": Limit(0.35, "1", _E + ": how much flanks in time raise the background"),
    "least_background": Limit(0.6, "1", _E + ": quiet flanks lower the background no further"),
    "over_flank": Limit(1.2, "1", _E + ": narrow peak, else beta or muscle"),
    "foot_share": Limit(0.35, "1", _E + "; of its peak, where a spindle begins and ends"),
    "foot_reach": Limit(
        1.15, "1", _E + ": foot to foot a waxing and waning train is so much longer than there"
    ),
    "over_occipital": Limit(1.0, "1", "clinical.md 5: never if occipital > central"),
    "over_frontal": Limit(0.5, "1", "AASM central maximum, share is " + _E),
    "best_field_share": Limit(
        0.93, "1", "AASM central maximum: of the largest of all 19 fields, share is " + _E
    ),
    "field_share": Limit(0.4, "1", _E + ": of the largest row, which rows show it"),
    "rows": Limit(2, "rows", "systems.md 6.6, engineering default"),
    "patch_deg": Limit(24.0, "deg", _E + ": width of a spindle's field"),
    "gabor_s": Limit(0.26, "s", _E + ": matched to spindles of about 1 s"),
    "feet_gabor_s": Limit(0.09, "s", _E + ": shorter, so that feet stay where they are"),
    "clean_s": Limit(4.0, "s", "clinical.md 3.1, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_CENTRES_HZ = (11.4, 12.1, 12.8, 13.5, 14.2, 14.9, 15.6)
_FLANKS_HZ = (8.6, 9.5, 17.7, 18.6, 19.6, 20.8)
_POINTS, _FINE_POINTS = 64, 256
_FLANK_POINTS = 7
_FIELDS = rows_of("Fz", "F3", "F4", "Cz", "C3", "C4", "Pz")
_CENTRAL, _FRONTAL = rows_of("C3", "Cz", "C4"), rows_of("F3", "Fz", "F4")
_FRONTOCENTRAL = rows_of("C3", "Cz", "C4", "F3", "Fz", "F4")
_OCCIPITAL = rows_of("O1", "O2")


@dataclass(frozen=True, slots=True)
class _Page:
    """What a candidate is judged on."""

    spectrum: NDArray[np.complex64]
    white: NDArray[np.complex64]
    filters: NDArray[np.float32]
    freqs_hz: NDArray[np.float64]
    is_live: NDArray[np.bool_]
    clean: NDArray[np.bool_]


def find_spindles(
    batch: SegmentBatch,
    spectrum: NDArray[np.complex64],
    is_live: NDArray[np.bool_],
    clean: NDArray[np.bool_],
) -> list[Finding]:
    """Find spindles: 11-16 Hz, 0.5-3 s, central, larger there than behind.

    Parameters
    ----------
    batch
        Segments of ``referential19``.
    spectrum
        Of all rows, from :func:`detectors.signal.envelope.band_spectrum`, shape (n, 19, n_freqs).
    is_live
        bool, shape (n, 19).
    clean
        bool, shape (n, 19, 10): usable seconds of live rows.
    """
    is_judged = np.array([not reason for reason in spindle_reasons(batch, is_live, clean)])
    page = white_page(spectrum, is_live, (6.0, 26.0), (7.0, 24.0), _L["patch_deg"])
    score, envelopes = _scores(page)
    findings: list[Finding] = []
    for i, field, hz, time in _candidates(score, is_judged):
        if not _is_narrow(envelopes[i, field, :, time], hz) or _is_long(
            envelopes[i, field, hz], time
        ):
            continue
        whole = _Page(
            spectrum[i], page.bins[i], page.filters[i], page.freqs_hz, is_live[i], clean[i]
        )
        strength = float(score[i, field, hz, time])
        finding = _spindle(batch.segment_ids[i], whole, hz, time, strength)
        if finding is not None and not any(_overlaps(finding, f) for f in findings[-4:]):
            findings.append(finding)
    return findings


def spindle_reasons(
    batch: SegmentBatch, is_live: NDArray[np.bool_], clean: NDArray[np.bool_]
) -> list[str]:
    """Say per segment why spindles cannot be judged, ``""`` where they can.

    Parameters
    ----------
    batch, is_live, clean
        As for :func:`find_spindles`.
    """
    few = too_few(clean[:, _CENTRAL].sum(-1).max(1), _L["clean_s"], "C3, Cz and C4")
    has_back = np.logical_or.reduce(is_live[:, _OCCIPITAL], axis=1)
    has_band = batch.band_hz[:, 1] >= _L["sigma_high_hz"]
    return [
        short or ("" if back else "no live occipital row") or ("" if band else "11-16 Hz is void")
        for short, back, band in zip(few, has_back, has_band, strict=True)
    ]


def _overlaps(a: Finding, b: Finding) -> bool:
    return a.segment_id == b.segment_id and a.t0_s < b.t1_s and b.t0_s < a.t1_s


def _scores(page: WhitePage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return envelopes over their background, shape (n, 7, n_centres, 64), and with the flanks."""
    rows = np.matmul(page.filters[:, :, _FIELDS].swapaxes(1, 2), page.bins)
    centres = (*_CENTRES_HZ, *_FLANKS_HZ)
    envelopes = narrow_envelopes(rows, page.freqs_hz, centres, _L["gabor_s"], _POINTS)
    n_sigma = len(_CENTRES_HZ)
    envelopes /= envelope_scale(envelopes[:, :, :n_sigma])[..., None, None]
    flanks = (envelopes[:, :, n_sigma:] ** 2).mean(2) / 2
    reach = _FLANK_POINTS // 2
    padded = np.pad(flanks, [(0, 0), (0, 0), (reach, reach)], mode="wrap")
    nearby = sum(padded[..., k : k + _POINTS] for k in range(_FLANK_POINTS)) / _FLANK_POINTS
    share = _L["flank_share"]
    background = np.maximum(1 - share + share * np.sqrt(nearby), _L["least_background"]).astype(
        np.float32
    )
    return envelopes[:, :, :n_sigma] / background[:, :, None], envelopes


def _candidates(
    score: NDArray[np.float32], is_judged: NDArray[np.bool_]
) -> list[tuple[int, int, int, int]]:
    """Return (page, field, frequency, time) of local maxima in time, largest first on each page."""
    n, _n_fields, n_hz, n_times = score.shape
    best = score.reshape(n, -1, n_times)
    top = best.max(1)
    left, right = np.roll(top, 1, axis=1), np.roll(top, -1, axis=1)
    is_peak = (top >= left) & (top > right) & (top >= _L["over_background"]) & is_judged[:, None]
    segment, time = np.nonzero(is_peak)
    order = np.lexsort((time, -top[segment, time], segment))
    found = []
    for i, t in zip(segment[order].tolist(), time[order].tolist(), strict=True):
        field, hz = divmod(int(best[i, :, t].argmax()), n_hz)
        found.append((i, field, hz, t))
    return found


def _is_narrow(envelopes: NDArray[np.float32], hz: int) -> bool:
    """Whether a peak stands over both flanks of its moment: not alpha, not beta, not muscle."""
    n_sigma = len(_CENTRES_HZ)
    return bool(envelopes[hz] >= _L["over_flank"] * envelopes[n_sigma:].max())


def _is_long(envelope: NDArray[np.float32], time: int) -> bool:
    """Whether a train lasts too long for a spindle, seen with the long filter that bridges dips."""
    low = np.nonzero(envelope < _L["foot_share"] * envelope[time])[0]
    before, after = low[low < time], low[low > time]
    start = int(before[-1]) if before.size else -1
    stop = int(after[0]) if after.size else envelope.size
    return (stop - start - 1) * SEGMENT_S / _POINTS > _L["high_s"] + 2 * _L["gabor_s"]


def _spindle(segment_id: str, page: _Page, hz: int, time: int, strength: float) -> Finding | None:
    """Judge one candidate: place, length, clean rows; None where it fails."""
    centre_hz = _CENTRES_HZ[hz]
    phases = np.exp(2j * np.pi * page.freqs_hz * (time * SEGMENT_S / _POINTS))
    gain = np.exp(-0.5 * ((page.freqs_hz - centre_hz) * 2 * np.pi * _L["gabor_s"]) ** 2) * phases
    through = np.abs(page.filters.T @ (page.white @ gain))
    peak_field = int(_FIELDS[through[_FIELDS].argmax()])
    if through[peak_field] < _L["best_field_share"] * through.max():
        return None
    span = _span(page, peak_field, centre_hz, time)
    if span is None:
        return None
    t0, t1 = span
    first = round(page.freqs_hz[0] * SEGMENT_S)
    own = page.spectrum[:, first : first + page.freqs_hz.size]
    level = np.abs(own @ gain) * page.is_live
    central, frontal, occipital = (
        float(level[part].max()) for part in (_CENTRAL, _FRONTAL, _OCCIPITAL)
    )
    is_behind = max(central, frontal) < _L["over_occipital"] * occipital
    if is_behind or central < _L["over_frontal"] * frontal:
        return None
    seconds = slice(int(t0), int(np.ceil(t1)))
    near = _FRONTOCENTRAL[level[_FRONTOCENTRAL] >= _L["field_share"] * level[_FRONTOCENTRAL].max()]
    rows = [int(r) for r in near if page.clean[r, seconds].all()]
    if len(rows) < _L["rows"]:
        return None
    rows.sort(key=lambda r: (-float(level[r]), r))
    measures = [
        *_sigma_measures(page.spectrum[rows[0]], t0, t1),
        ("duration_s", t1 - t0, "s"),
        ("over_background", strength, "1"),
        ("central_occipital_ratio", central / max(occipital, 1e-3), "1"),
    ]
    confidence = margin_confidence(
        strength / _L["over_background"], max(central, frontal) / max(occipital, 1e-3)
    )
    names = [CANONICAL19[r] for r in rows]
    return make_finding(segment_id, "spindle", names, (t0, t1), measures, confidence, VERSION)


def _span(page: _Page, field: int, centre_hz: float, time: int) -> tuple[float, float] | None:
    """Return the feet of a train seen through a field's filter; None where its length is wrong."""
    row = (page.filters[:, field] @ page.white)[None]
    envelope = narrow_envelopes(row, page.freqs_hz, (centre_hz,), _L["feet_gabor_s"], _FINE_POINTS)[
        0, 0
    ]
    step = _FINE_POINTS // _POINTS
    around = np.arange(time * step - 8, time * step + 9).clip(0, _FINE_POINTS - 1)
    peak = int(around[envelope[around].argmax()])
    low = envelope < _L["foot_share"] * envelope[peak]
    before, after = np.nonzero(low[:peak])[0], np.nonzero(low[peak:])[0]
    start = int(before[-1]) + 1 if before.size else 0
    stop = peak + int(after[0]) if after.size else _FINE_POINTS
    t0, t1 = start * SEGMENT_S / _FINE_POINTS, stop * SEGMENT_S / _FINE_POINTS
    # the filter lengthens what it passes: take its own length out, as widths of bells add
    smear = 2 * _L["feet_gabor_s"] * np.sqrt(2 * np.log(1 / _L["foot_share"]))
    length = _L["foot_reach"] * float(np.sqrt(max((t1 - t0) ** 2 - smear**2, 0.0)))
    if not _L["low_s"] <= length <= _L["high_s"]:
        return None
    inset = (t1 - t0 - length) / 2
    return max(t0 + inset, 0.0), min(t1 - inset, float(SEGMENT_S))


def _sigma_measures(
    spectrum: NDArray[np.complex64], t0: float, t1: float
) -> list[tuple[str, float, str]]:
    """Measure frequency, amplitude, and the share and correlation of sigma in the 1-30 Hz signal."""
    span = slice(int(t0 * SFREQ_HZ), int(t1 * SFREQ_HZ))
    sigma = filter_band(spectrum, _L["sigma_low_hz"], _L["sigma_high_hz"])[span].astype(np.float64)
    broad = filter_band(spectrum, 1.0, 30.0)[span].astype(np.float64)
    centred = broad - broad.mean()
    share = float((sigma**2).sum() / max((centred**2).sum(), 1e-9))
    norm = float(np.sqrt((sigma**2).sum() * (centred**2).sum()))
    crossings = np.nonzero((sigma[:-1] < 0) != (sigma[1:] < 0))[0]
    # interpolated crossings: whole samples would be off by 0.3 Hz on a half-second spindle
    at = crossings + sigma[crossings] / (sigma[crossings] - sigma[crossings + 1])
    hz = 0.5 * (at.size - 1) * SFREQ_HZ / (at[-1] - at[0]) if at.size > 2 else np.nan
    return [
        ("frequency_hz", float(hz), "Hz"),
        ("amplitude_uv_p2p", float(np.ptp(sigma)), "uV"),
        ("sigma_share", share, "1"),
        ("correlation", float((sigma * centred).sum() / max(norm, 1e-9)), "1"),
    ]
