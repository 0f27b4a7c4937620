"""Vertex waves and positive occipital sharp transients (POSTS).

Both are told from look-alikes by place, sign and length on the page's own background: a vertex wave
is shorter than a K-complex and has its maximum at Cz, and POSTS cannot be told from lambda waves of
an open-eyed reader, so they are judged only on pages that show another sign of sleep. Positive waves
elsewhere, as the rolandic ones of newborns, are not looked for. Definitions: AASM and the IFCN
glossary 2017 (``clinical.md`` 6); runs of sawtooth waves are in :mod:`detectors.sleep.sawtooth`,
filters in :mod:`detectors.sleep.white_page`, the chain in :mod:`detectors.sleep.chain`.
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
from detectors.sleep.sawtooth import find_sawtooth
from detectors.sleep.white_page import (
    WhitePage,
    correlate,
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

VERSION = "2"
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
_POINTS = 256
_CENTRAL, _OCCIPITAL = rows_of("C3", "Cz", "C4"), rows_of("O1", "O2")
_FIELDS = rows_of("Cz", "O1", "O2")
_CZ = int(rows_of("Cz")[0])

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
    """Find vertex waves and POSTS, and call the rule of sawtooth runs.

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
    runs = find_sawtooth(batch, spectrum, (page.freqs_hz, rows[:, 0]), clean, has_row & is_calm)
    return [*vertex, *runs, *posts], is_asleep


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
