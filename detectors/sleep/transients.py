"""Vertex waves, sawtooth waves and positive occipital sharp transients (POSTS).

All three are told from look-alikes by place, sign and length on the page's own background: a vertex
wave is shorter than a K-complex and has its maximum at Cz, a sawtooth run is steeper on one flank
than midline theta, and POSTS cannot be told from lambda waves of an open-eyed reader, so they are
judged only on pages that show another sign of sleep. Definitions: AASM and the IFCN glossary 2017
(``clinical.md`` 6); filters are in :mod:`detectors.sleep.white_page`, the chain in
:mod:`detectors.sleep.chain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, make_finding, margin_confidence, too_few
from detectors.montage import NEIGHBOURS, rows_of
from detectors.signal.envelope import filter_band
from detectors.sleep.white_page import (
    WhitePage,
    correlate,
    envelope_scale,
    narrow_envelopes,
    shape_spectra,
    signal_scale,
    white_page,
)
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    SEGMENT_S,
    SFREQ_HZ,
    Finding,
    SegmentBatch,
)

VERSION = "1"
"""Version of these rules, part of every finding's source."""

_E = "engineering default"
LIMITS: dict[str, Limit] = {
    "vertex_high_s": Limit(0.5, "s", "AASM"),
    "vertex_over_background": Limit(
        5.5, "1", _E + ": matched wave over the background's deviation"
    ),
    "vertex_over_spike": Limit(1.0, "1", _E + ": over a wave of 50 ms, else a spike"),
    "vertex_over_other": Limit(1.0, "1", "AASM maximum at Cz: over every other field"),
    "vertex_high_uv": Limit(250.0, "uV", "IFCN glossary 2017: rarely above"),
    "posts_high_uv": Limit(50.0, "uV", "IFCN glossary 2017"),
    "posts_over_background": Limit(5.0, "1", _E + ": matched wave over the background's deviation"),
    "posts_sign_over_background": Limit(
        5.5, "1", _E + ": of the spindle, K-complex or vertex wave that says the page is of sleep"
    ),
    "posts_over_other": Limit(1.0, "1", "IFCN glossary 2017: occipital maximum"),
    "sawtooth_low_hz": Limit(2.0, "Hz", "AASM"),
    "sawtooth_high_hz": Limit(6.0, "Hz", "AASM"),
    "sawtooth_waves": Limit(3.0, "1", _E + ": waves that make a run"),
    "sawtooth_over_background": Limit(5.5, "1", _E + ": envelope over the background's deviation"),
    "sawtooth_flank_ratio": Limit(1.4, "1", "AASM 'triangular', one flank steeper by " + _E),
    "sawtooth_over_central": Limit(1.2, "1", _E + ": C3 or C4 may be so much stronger than Cz"),
    "sawtooth_foot_share": Limit(0.5, "1", _E + "; of its peak, where a run begins and ends"),
    "neighbours": Limit(2.0, "rows", _E + ": that show a wave too, else it is the electrode's own"),
    "neighbour_share": Limit(0.25, "1", _E + ": of its size"),
    "foot_share": Limit(0.2, "1", _E + "; of its peak, where a wave begins and ends"),
    "patch_deg": Limit(26.0, "deg", _E + ": width of a field"),
    "clean_s": Limit(4.0, "s", "clinical.md 3.1, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_LENGTHS_S = (0.05, 0.12, 0.18, 0.27, 0.4)
_BAND_HZ = (1.0, 20.0)
_POINTS, _RUN_POINTS, _RUN_FINE = 256, 64, 256
_RUN_HZ = (2.4, 3.1, 3.8, 4.5, 5.2)
_RUN_S = 0.4
_CENTRAL, _OCCIPITAL = rows_of("C3", "Cz", "C4"), rows_of("O1", "O2")
_FIELDS = rows_of("Cz", "O1", "O2")
_CZ = int(rows_of("Cz")[0])
_MIDLINE = rows_of("Cz", "C3", "C4", "Fz", "Pz")

KINDS = ("vertex_wave", "sawtooth", "posts")
NO_SLEEP = "no sure sign of sleep on the page: lambda waves look the same"


@dataclass(frozen=True, slots=True)
class _Wave:
    """A single wave: where, when, how far out of the background."""

    page: int
    row: int
    t0_s: float
    t1_s: float
    p2p_uv: float
    strength: float


def find_sleep_transients(
    batch: SegmentBatch,
    spectrum: NDArray[np.complex64],
    is_live: NDArray[np.bool_],
    clean: NDArray[np.bool_],
    asleep: Sequence[Finding],
) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Find vertex waves, sawtooth runs and POSTS.

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
    asleep
        Spindles, K-complexes and slow waves: a vertex wave is no K-complex, sawtooth runs come
        without either, POSTS only beside one.

    Returns
    -------
    findings, is_asleep
        bool, shape (n,): the page has a sure sign of sleep, so that POSTS could be judged.
    """
    page = white_page(spectrum, is_live, (0.8, 24.0), (1.0, 20.0), _L["patch_deg"])
    inside = (page.freqs_hz >= _BAND_HZ[0]) & (page.freqs_hz <= _BAND_HZ[1])
    shapes = shape_spectra(_waves(), page, inside)
    rows = np.matmul(page.filters[:, :, _FIELDS].swapaxes(1, 2), page.bins)
    score = correlate(rows[..., inside], page.freqs_hz[inside], shapes, _POINTS)
    score /= signal_scale(score)[..., None, None]
    has_row = clean[:, _CZ].sum(-1) >= _L["clean_s"]
    has_back = clean[:, _OCCIPITAL].sum(-1).max(1) >= _L["clean_s"]
    signs = _by_page(batch, asleep)
    vertex = [
        _finding(batch, "vertex_wave", wave, _L["vertex_over_background"])
        for wave in _single_waves(spectrum, page, score, shapes, inside, has_row, "vertex")
        if wave.p2p_uv <= _L["vertex_high_uv"]
        and clean[wave.page, _CZ, _seconds(wave.t0_s, wave.t1_s)].all()
        and not _meets(signs[wave.page], wave, ("kcomplex", "slow_wave"))
    ]
    seen = _by_page(batch, [*asleep, *vertex])
    is_asleep = np.array([any(map(_is_sure, found)) for found in seen], dtype=np.bool_)
    posts = [
        _finding(batch, "posts", wave, _L["posts_over_background"])
        for wave in _single_waves(
            spectrum, page, score, shapes, inside, has_back & is_asleep, "posts"
        )
        if wave.p2p_uv <= _L["posts_high_uv"]
        and clean[wave.page, wave.row, _seconds(wave.t0_s, wave.t1_s)].all()
        and not _meets(seen[wave.page], wave, ("kcomplex", "slow_wave", "vertex_wave"))
    ]
    is_calm = np.array([not {f.kind for f in found} & {"spindle", "kcomplex"} for found in signs])
    sawtooth = _sawtooth(batch, spectrum, page, rows[:, 0], clean, has_row & is_calm)
    return [*vertex, *sawtooth, *posts], is_asleep


def transient_reasons(
    clean: NDArray[np.bool_], is_asleep: NDArray[np.bool_]
) -> dict[str, list[str]]:
    """Say per kind and segment why it cannot be judged, ``""`` where it can.

    Parameters
    ----------
    clean
        As for :func:`find_sleep_transients`.
    is_asleep
        bool, shape (n,): what it returned.
    """
    few = too_few(clean[:, _CZ].sum(-1), _L["clean_s"], "Cz")
    back = too_few(clean[:, _OCCIPITAL].sum(-1).max(1), _L["clean_s"], "O1 and O2")
    awake = [s or ("" if a else NO_SLEEP) for s, a in zip(back, is_asleep.tolist(), strict=True)]
    return dict(zip(KINDS, (few, few, awake), strict=True))


def _by_page(batch: SegmentBatch, findings: Sequence[Finding]) -> list[list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.segment_id, []).append(finding)
    return [found.get(segment_id, []) for segment_id in batch.segment_ids]


def _is_sure(sign: Finding) -> bool:
    """Whether a sign of sleep stands out so far that another finding may lean on it."""
    return (sign.measure("over_background") or 0.0) >= _L["posts_sign_over_background"]


def _meets(findings: Sequence[Finding], wave: _Wave, kinds: tuple[str, ...]) -> bool:
    return any(f.kind in kinds and f.t0_s < wave.t1_s and wave.t0_s < f.t1_s for f in findings)


def _seconds(t0_s: float, t1_s: float) -> slice:
    return slice(int(t0_s), max(int(np.ceil(t1_s)), int(t0_s) + 1))


@cache
def _waves() -> NDArray[np.float64]:
    """Return pointed negative waves of every length, from the start of the page."""
    time = np.arange(N_TIMES) / SFREQ_HZ
    return np.stack([-np.clip(1 - np.abs(2 * time / length - 1), 0, 1) for length in _LENGTHS_S])


def _single_waves(
    spectrum: NDArray[np.complex64],
    page: WhitePage,
    score: NDArray[np.float32],
    shapes: NDArray[np.complex64],
    inside: NDArray[np.bool_],
    is_judged: NDArray[np.bool_],
    kind: str,
) -> list[_Wave]:
    """Return the single waves of one kind that no other length, sign or field explains better."""
    sign, chosen = (1.0, slice(0, 1)) if kind == "vertex" else (-1.0, slice(1, 3))
    allowed = _FIELDS[chosen]
    part = sign * score[:, chosen]
    n_shapes = len(_LENGTHS_S)
    fit = part[:, :, 1:].reshape(len(part), -1, _POINTS)
    top = fit.max(1)
    segment, time = np.nonzero((top >= _L[f"{kind}_over_background"]) & is_judged[:, None])
    near = (time[:, None] + np.arange(-8, 9)) % _POINTS
    own = top[segment, time]
    spike = part[:, :, 0].max(1)
    is_best = own >= top[segment[:, None], near].max(1, initial=0.0)
    wide = (time[:, None] + np.arange(-12, 13)) % _POINTS
    opposite = -part[:, :, 1:].min((1, 2))
    # a filter answers to a wave of the other sign as well, before and after it
    is_best &= own >= opposite[segment[:, None], wide].max(1, initial=0.0)
    is_best &= own >= _L["vertex_over_spike"] * spike[segment[:, None], near].max(1, initial=0.0)
    waves = []
    for i, t in zip(segment[is_best].tolist(), time[is_best].tolist(), strict=True):
        field, shape = divmod(int(fit[i, :, t].argmax()), n_shapes - 1)
        start = t * SEGMENT_S / _POINTS
        turn = np.exp(2j * np.pi * page.freqs_hz[inside] * start)
        matched = page.bins[i][:, inside] @ (shapes[i, shape + 1].conj() * turn)
        through = sign * (page.filters[i].T @ matched).real
        if through[allowed].max() < _L[f"{kind}_over_other"] * np.abs(through).max():
            continue
        wave = _measured(
            spectrum[i], i, int(allowed[field]), sign, start, _LENGTHS_S[shape + 1],
            float(top[i, t]),
        )  # fmt: skip
        if wave is not None:
            waves.append(wave)
    return waves


def _measured(
    spectrum: NDArray[np.complex64], i: int, row: int, sign: float, start: float, length: float,
    strength: float,
) -> _Wave | None:  # fmt: skip
    """Measure one wave on its row, 0.8-30 Hz.

    None where it is not shorter than half a second, or where no neighbours show it: then it is the
    electrode's own.
    """
    near = rows_of(*NEIGHBOURS[CANONICAL19[row]])
    signals = -sign * filter_band(spectrum[[row, *near]], 0.8, 30.0)
    signal = signals[0]
    first, last = int(start * SFREQ_HZ), int((start + length) * SFREQ_HZ)
    if last >= signal.size:
        return None
    peak = first + int(signal[first : last + 1].argmax())
    low = signal <= _L["foot_share"] * signal[peak]
    before, after = np.nonzero(low[:peak])[0], np.nonzero(low[peak:])[0]
    if signal[peak] <= 0 or not before.size or not after.size:
        return None
    n_near = int((signals[1:, peak] >= _L["neighbour_share"] * signal[peak]).sum())
    t0, t1 = float(before[-1]) / SFREQ_HZ, (peak + float(after[0])) / SFREQ_HZ
    if n_near < _L["neighbours"] or not _LENGTHS_S[0] < t1 - t0 < _L["vertex_high_s"]:
        return None
    around = signal[max(peak - SFREQ_HZ // 4, 0) : peak + SFREQ_HZ // 4]
    return _Wave(i, row, t0, t1, float(signal[peak] - around.min()), strength)


def _finding(batch: SegmentBatch, kind: str, wave: _Wave, least: float) -> Finding:
    measures = [
        ("amplitude_uv_p2p", wave.p2p_uv, "uV"),
        ("duration_s", wave.t1_s - wave.t0_s, "s"),
        ("polarity", -1.0 if kind == "vertex_wave" else 1.0, "1"),
        ("over_background", wave.strength, "1"),
    ]
    return make_finding(
        batch.segment_ids[wave.page], kind, [CANONICAL19[wave.row]], (wave.t0_s, wave.t1_s),
        measures, margin_confidence(wave.strength / least), VERSION,
    )  # fmt: skip


def _sawtooth(
    batch: SegmentBatch,
    spectrum: NDArray[np.complex64],
    page: WhitePage,
    vertex: NDArray[np.complex64],
    clean: NDArray[np.bool_],
    is_judged: NDArray[np.bool_],
) -> list[Finding]:
    """Find runs of waves of 2-6 Hz at the vertex with one flank steeper than the other."""
    envelopes = narrow_envelopes(vertex, page.freqs_hz, _RUN_HZ, _RUN_S, _RUN_POINTS)
    envelopes /= envelope_scale(envelopes)[:, None, None]
    top = envelopes.max(1)
    is_peak = (top >= np.roll(top, 1, 1)) & (top > np.roll(top, -1, 1)) & is_judged[:, None]
    findings: list[Finding] = []
    for i, t in np.argwhere(is_peak & (top >= _L["sawtooth_over_background"])).tolist():
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
    low, high = _L["sawtooth_low_hz"], _L["sawtooth_high_hz"]
    rows = filter_band(spectrum[_MIDLINE], low - 0.5, high + 0.5)
    signal = rows[0]
    at = time * N_TIMES // _RUN_POINTS
    size = np.sqrt(np.convolve(signal**2, np.ones(100) / 100, mode="same"))
    is_low = size < _L["sawtooth_foot_share"] * size[at]
    before, after = np.nonzero(is_low[:at])[0], np.nonzero(is_low[at:])[0]
    start = int(before[-1]) + 1 if before.size else 0
    stop = at + int(after[0]) if after.size else signal.size
    power = (rows[:, start:stop] ** 2).mean(1)
    if power[0] < power[3:].max() or power[:3].max() > _L["sawtooth_over_central"] * power[0]:
        return None
    inner = signal[start:stop]
    crossings = start + np.nonzero((inner[:-1] >= 0) & (inner[1:] < 0))[0]
    if crossings.size < 2:
        return None
    cycle = float(np.median(np.diff(crossings)))
    n_waves = round(float(crossings[-1] - crossings[0]) / cycle)
    hz = SFREQ_HZ / cycle
    if n_waves < _L["sawtooth_waves"]:
        return None
    ratio = _flank_ratio(filter_band(spectrum[_CZ], low - 0.5, 18.0), crossings)
    span = (float(crossings[0]) / SFREQ_HZ, float(crossings[-1]) / SFREQ_HZ)
    is_clean = clean[_CZ, _seconds(*span)].all()
    if not (low <= hz <= high and ratio >= _L["sawtooth_flank_ratio"] and is_clean):
        return None
    measures = [
        ("frequency_hz", hz, "Hz"),
        ("amplitude_uv_p2p", 2 * float(np.sqrt(2 * power[0])), "uV"),
        ("count", float(n_waves), "1"),
        ("duration_s", span[1] - span[0], "s"),
        ("flank_ratio", ratio, "1"),
        ("over_background", strength, "1"),
    ]
    confidence = margin_confidence(
        strength / _L["sawtooth_over_background"], ratio / _L["sawtooth_flank_ratio"]
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
