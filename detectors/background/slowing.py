"""Irregular slow activity: focal, beside a healthier homologue, or generalised, over the 1/f line.

Delta and theta waves that repeat in no rhythm (``clinical.md`` 3.3, HED-SCORE). Whether a frequency
is slow for somebody's age is never said: ten seconds hold no age. What artifacts, sleep or a rhythm
explain is not called slowing, so this rule runs after theirs. Rhythms are in
:mod:`detectors.background.rhythms`, spectra of whole pages in :mod:`detectors.signal.spectra`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, make_finding, margin_confidence, unless
from detectors.background.slow_field import (
    Excess,
    SlowRows,
    bins_of,
    clusters,
    excess_db,
    homologous_rows,
    slow_pages,
    slow_rows,
)
from detectors.montage import LB18, LB18_NAMES, electrodes_of, rows_of, side_and_region
from detectors.signal.row_statistics import RowStatistics
from detectors.signal.spectra import SpectralFeatures
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch
from detectors.vocabulary import KINDS

VERSION = "1"
"""Version of the slowing rules, part of every finding's source."""

_E3 = "clinical.md 3.3"
LIMITS: dict[str, Limit] = {
    "delta_low_hz": Limit(1.0, "Hz", "engineering default: slower is drift as likely as not"),
    "delta_high_hz": Limit(4.0, "Hz", "HED-SCORE: waves > 250 ms"),
    "theta_high_hz": Limit(8.0, "Hz", "HED-SCORE: waves > 125 ms"),
    "fast_low_hz": Limit(13.0, "Hz", "engineering default: past the posterior rhythm"),
    "fast_high_hz": Limit(25.0, "Hz", "engineering default: below muscle"),
    "over_homologue": Limit(1.5, "1", f"{_E3}: 50 % over the homologue"),
    "over_fast": Limit(1.25, "1", "engineering default: more than the whole row is larger"),
    "neighbours": Limit(2, "rows", f"{_E3}: two neighbouring channels"),
    "screen_ratio": Limit(1.9, "1", "engineering default: power, 38 % of amplitude"),
    "screen_db": Limit(2.4, "dB", "engineering default: looser than the rule"),
    "excess_db": Limit(3.0, "dB", "clinical.md 3.1, engineering default: over the 1/f fit"),
    "row_share": Limit(0.6, "1", "clinical.md 9, engineering default: generalised"),
    "time_share": Limit(0.5, "1", "engineering default: of the clean 2-s windows"),
    "amplitude_uv_p2p": Limit(20.0, "uV", "ACNS 2021: below is low voltage; the largest row"),
    "row_uv_p2p": Limit(10.0, "uV", "ACNS 2021: below is nothing seen; every row"),
    "rhythmic_share": Limit(0.85, "1", "engineering default: power within 0.5 Hz of the peak"),
    "drift_ratio": Limit(1.0, "1", "engineering default: delta has a height of its own"),
    "clean_windows": Limit(3, "windows", "clinical.md 3.1: 4 s in windows of 2 s, half overlapped"),
    "least_rows": Limit(6, "rows", "engineering default: a third of LB-18.1"),
    "slow_rhythm_hz": Limit(8.5, "Hz", "engineering default: its theta is a rhythm's"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
SLOW_BANDS: dict[str, tuple[float, float]] = {
    "delta": (_L["delta_low_hz"], _L["delta_high_hz"]),
    "theta": (_L["delta_high_hz"], _L["theta_high_hz"]),
}
"""Bands slowing is looked for in, Hz."""
_RHYTHMIC = frozenset({"periodic_discharges", "rhythmic_delta", "rhythmic_spike_wave"})
_SLOW_ARTIFACTS = frozenset({"slow_drift", "chewing"})
_EXPLAINED = {
    "sleep": "sleep features on the page explain slow activity",
    "rhythm": "a rhythmic or periodic pattern on the page explains slow activity",
}
_FIT_HZ = {
    "delta": ((4.5, 7.0), (14.0, 30.0)),
    "theta": ((1.0, 3.5), (14.0, 30.0)),
}
"""Where the 1/f line of each band is fitted: on both sides of it, off the posterior rhythm."""
_LB_FIRST, _LB_SECOND = (rows_of(*(pair[end] for pair in LB18)) for end in (0, 1))


def find_slowing(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    usable: NDArray[np.bool_],
    known: Sequence[Finding],
) -> RuleResult:
    """Find focal and generalised irregular slow activity.

    Parameters
    ----------
    batch, spectra, statistics, usable
        As for :func:`detectors.background.rhythms.find_background`.
    known
        What the other rules found: artifacts, rhythms and sleep features explain slow activity.
    """
    clean = _without_slow_artifacts(batch, usable & spectra.is_live[..., None], known)
    context = _Context.of(known)
    result = _find_focal(batch, spectra, clean, context) + _find_generalised(
        batch, spectra, clean, context
    )
    return unless(result, batch.segment_ids, statistics.why_not)


def slow_band(finding: Finding) -> str:
    """Return ``delta`` or ``theta``, the band a finding of slowing was made in."""
    low_hz = finding.measure("band_low_hz")
    return next((name for name, (low, _) in SLOW_BANDS.items() if low == low_hz), "")


@dataclass(frozen=True, slots=True)
class _Context:
    """Segments whose slow activity something else may explain."""

    asleep: frozenset[str]
    rhythmic: frozenset[str]
    slow_rhythm: frozenset[str]

    @classmethod
    def of(cls, known: Sequence[Finding]) -> _Context:
        slow = (
            f.segment_id
            for f in known
            if f.kind == "posterior_rhythm"
            and (f.measure("frequency_hz") or np.inf) < _L["slow_rhythm_hz"]
        )
        return cls(
            frozenset(f.segment_id for f in known if KINDS[f.kind].family == "sleep"),
            frozenset(f.segment_id for f in known if f.kind in _RHYTHMIC),
            frozenset(slow),
        )

    def bands(self, segment_id: str) -> list[str]:
        """Bands in which slow activity of this segment is not a known rhythm's."""
        return [b for b in SLOW_BANDS if b == "delta" or segment_id not in self.slow_rhythm]


def _without_slow_artifacts(
    batch: SegmentBatch, usable: NDArray[np.bool_], known: Sequence[Finding]
) -> NDArray[np.bool_]:
    """Take out the seconds of rows under slow artifacts that hide nothing else."""
    found = [f for f in known if f.kind in _SLOW_ARTIFACTS]
    if not found:
        return usable
    clean = usable.copy()
    place = {segment_id: i for i, segment_id in enumerate(batch.segment_ids)}
    row = {name: r for r, name in enumerate(batch.schema.ch_names)}
    for f in found:
        rows = [row[name] for name in f.channels if name in row]
        clean[place[f.segment_id], rows, int(f.t0_s) : int(np.ceil(f.t1_s - 1e-9))] = False
    return clean


def _windows_clean(clean: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark 2-s windows, half overlapped, whose seconds are all clean; shape (..., 9)."""
    return clean[..., :-1] & clean[..., 1:]


def _find_focal(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    clean: NDArray[np.bool_],
    context: _Context,
) -> RuleResult:
    """Slow activity of neighbouring rows that is half as large again as over the other side.

    Single electrodes are referred to the mean of the usable ones; derivations are taken as they
    are. The row must be larger in the slow band beyond what it is larger at 13-25 Hz: a row that is
    larger altogether is an asymmetry. Frontopolar rows do not count, as eyes move them.
    """
    kind = "focal_slowing"
    left, right = homologous_rows(batch.schema.ch_names)
    if not left.size:
        return conclude(batch.segment_ids, kind, [], ["no homologous rows"] * len(batch))
    windows = _windows_clean(clean)
    both = (windows[:, left] & windows[:, right]).sum(-1) >= _L["clean_windows"]
    least = int(_L["neighbours"])
    reasons = [
        ""
        if n >= least
        else f"fewer than {least} pairs of homologous rows with 4 usable s in a row"
        for n in both.sum(1).tolist()
    ]
    bands = SLOW_BANDS.values()
    power = np.stack([spectra.psd_uv2_hz[..., bins_of(band)].sum(-1) for band in bands], axis=-1)
    ratio, least_ratio = power[:, left] / np.maximum(power[:, right], 1e-9), _L["screen_ratio"]
    over = [both[..., None] & hit for hit in (ratio >= least_ratio, ratio * least_ratio <= 1)]
    of_side = np.maximum(over[0].sum(1), over[1].sum(1))
    candidates = np.nonzero((of_side >= least).any(-1))[0]
    findings: list[Finding] = []
    for i, found in _focal_of_pages(batch, spectra, candidates, windows[candidates], context):
        if batch.segment_ids[i] in context.rhythmic:
            reasons[i] = _EXPLAINED["rhythm"]
        else:
            findings.extend(found)
    return conclude(batch.segment_ids, kind, findings, reasons)


def _focal_of_pages(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    pages: NDArray[np.intp],
    windows: NDArray[np.bool_],
    context: _Context,
) -> Iterator[tuple[int, list[Finding]]]:
    """Yield the pages with findings. The fast band is measured only where slow rows stand out."""
    if not pages.size:
        return
    is_row = windows.sum(-1) >= _L["clean_windows"]
    windows = windows & is_row[..., None]
    reference = is_row if batch.schema.is_referential else None
    names = batch.schema.ch_names
    slow = slow_pages(batch.data_uv[pages], windows, names, _L["theta_high_hz"], reference)
    excess = {band: slow.over_homologue(hz) for band, hz in SLOW_BANDS.items()}
    hits = {
        band: (here.ratio >= _L["over_homologue"])
        & (here.share >= _L["time_share"])
        & (here.amplitude_uv_p2p >= _L["row_uv_p2p"])
        for band, here in excess.items()
    }
    enough = [hit.sum(-1) >= _L["neighbours"] for hit in hits.values()]
    kept = np.nonzero(np.any(enough, axis=0))[0]
    if not kept.size:
        return
    some = None if reference is None else reference[kept]
    wide = slow_pages(
        batch.data_uv[pages[kept]], windows[kept], names, _L["fast_high_hz"], some
    ).over_homologue((_L["fast_low_hz"], _L["fast_high_hz"]))
    for k, fast in zip(kept.tolist(), np.maximum(wide.ratio, 0), strict=True):
        i, page, found = int(pages[k]), slow.page(k), []
        for band in context.bands(batch.segment_ids[i]):
            here = excess[band].page(k)
            is_hit = hits[band][k] & (here.ratio >= _L["over_fast"] * fast)
            n_live = int(spectra.is_live[i].sum())
            found += _focal_of(batch.segment_ids[i], page, band, here, is_hit, n_live)
        if found:
            yield i, _one_per_side(found)


def _focal_of(
    segment_id: str, page: SlowRows, band: str, here: Excess, is_hit: NDArray[np.bool_], n_live: int
) -> list[Finding]:
    findings = []
    for group in clusters(page.names, is_hit, int(_L["neighbours"])):
        group = sorted(group, key=lambda r: (-float(here.amplitude_uv_p2p[r]), r))
        lead = group[0]
        if here.amplitude_uv_p2p[lead] < _L["amplitude_uv_p2p"] or _is_other(page, lead, band):
            continue
        measures = [
            *_band_measures(band, page.mean_hz(lead, SLOW_BANDS[band])),
            ("amplitude_uv_p2p", float(here.amplitude_uv_p2p[lead]), "uV"),
            ("over_homologue", float(here.ratio[lead]), "1"),
            ("share", float(here.share[lead]), "1"),
            ("row_share", len(group) / max(n_live, 1), "1"),
        ]
        confidence = margin_confidence(
            float(here.ratio[lead]) / _L["over_homologue"],
            float(here.share[lead]) / _L["time_share"],
            float(here.amplitude_uv_p2p[lead]) / _L["amplitude_uv_p2p"],
        )
        findings.append(
            make_finding(
                segment_id, "focal_slowing", [page.names[r] for r in group],
                (0, SEGMENT_S), measures, confidence, VERSION,
            )
        )  # fmt: skip
    return findings


def _is_other(page: SlowRows, row: int, band: str) -> bool:
    """Whether a row's slow activity is one rhythm, or the tail of a drift."""
    if page.rhythmic_share(row, SLOW_BANDS[band]) >= _L["rhythmic_share"]:
        return True
    return band == "delta" and page.drift_ratio(row) >= _L["drift_ratio"]


def _one_per_side(findings: Sequence[Finding]) -> list[Finding]:
    """Keep the surest finding of each side: delta and theta of one focus are one finding."""
    best: dict[str, Finding] = {}
    for finding in findings:
        other = best.get(finding.side)
        if other is None or finding.confidence > other.confidence:
            best[finding.side] = finding
    return [best[side] for side in sorted(best)]


def _find_generalised(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    clean: NDArray[np.bool_],
    context: _Context,
) -> RuleResult:
    """Slow activity over the 1/f line on most longitudinal bipolar rows of both sides.

    Bipolar rows, because a noisy reference shows the same slow waves on every single electrode.
    """
    kind = "generalised_slowing"
    if batch.schema.is_referential:
        names, windows = LB18_NAMES, _windows_clean(clean[:, _LB_FIRST] & clean[:, _LB_SECOND])
        rows = np.arange(len(LB18))
    else:
        rows = np.array([r for r, n in enumerate(batch.schema.ch_names) if n in LB18_NAMES], int)
        names = tuple(batch.schema.ch_names[r] for r in rows)
        windows = _windows_clean(clean[:, rows])
    least = int(_L["least_rows"])
    is_row = windows.sum(-1) >= _L["clean_windows"]
    reasons = [
        ""
        if n >= least
        else f"fewer than {least} longitudinal bipolar rows with 4 usable s in a row"
        for n in is_row.sum(1).tolist()
    ]
    is_slow = _is_slow_page(batch, spectra) & (is_row.sum(1) >= least)
    findings: list[Finding] = []
    for i in np.nonzero(is_slow)[0].tolist():
        chosen = np.nonzero(is_row[i])[0]
        if batch.schema.is_referential:
            first, second = _LB_FIRST[chosen], _LB_SECOND[chosen]
            data = batch.data_uv[i, first] - batch.data_uv[i, second]
        else:
            data = batch.data_uv[i, rows[chosen]]
        page = slow_rows(data, windows[i, chosen], tuple(names[r] for r in chosen))
        segment_id = batch.segment_ids[i]
        top_hz = 0.9 * float(batch.band_hz[i, 1])
        found = [_generalised_of(segment_id, page, b, top_hz) for b in context.bands(segment_id)]
        sure = [f for f in found if f is not None]
        if not sure:
            continue
        if segment_id in context.rhythmic:
            reasons[i] = _EXPLAINED["rhythm"]
        elif segment_id in context.asleep:
            reasons[i] = _EXPLAINED["sleep"]
        else:
            findings.append(max(sure, key=lambda f: f.confidence))
    return conclude(batch.segment_ids, kind, findings, reasons)


def _is_slow_page(batch: SegmentBatch, spectra: SpectralFeatures) -> NDArray[np.bool_]:
    """Say of whole pages whether the mean spectrum of live rows stands over its line at all."""
    weight = spectra.is_live / np.maximum(spectra.psd_uv2_hz.sum(-1), 1e-9)
    mean = np.einsum("ncf,nc->nf", spectra.psd_uv2_hz, weight.astype(np.float32))
    top_hz = 0.9 * batch.band_hz[:, 1:]
    excess = [excess_db(mean, SLOW_BANDS[b], _FIT_HZ[b], top_hz) for b in SLOW_BANDS]
    return np.any([e >= _L["screen_db"] for e in excess], axis=0)


def _generalised_of(segment_id: str, page: SlowRows, band: str, top_hz: float) -> Finding | None:
    amplitude = page.amplitude_uv_p2p(SLOW_BANDS[band])
    is_hit = amplitude >= _L["row_uv_p2p"]
    if amplitude.max() < _L["amplitude_uv_p2p"] or is_hit.sum() < _L["row_share"] * len(is_hit):
        return None
    excess = excess_db(page.density, SLOW_BANDS[band], _FIT_HZ[band], top_hz)
    is_hit &= excess >= _L["excess_db"]
    if not is_hit.any() or amplitude[is_hit].max() < _L["amplitude_uv_p2p"]:
        return None
    for side in ("left", "right"):
        of_side = np.array([_side(name) == side for name in page.names])
        if not of_side.any() or is_hit[of_side].mean() < _L["time_share"]:
            return None
    hits = np.nonzero(is_hit)[0]
    if hits.size < _L["row_share"] * len(page.names):
        return None
    share = float(page.time_share(SLOW_BANDS[band], hits, excess))
    n_other = sum(_is_other(page, r, band) for r in hits.tolist())
    if share < _L["time_share"] or 2 * n_other >= hits.size:
        return None
    hits = hits[np.argsort(-amplitude[hits], kind="stable")]
    middle_db = float(np.median(excess[hits]))
    measures = [
        *_band_measures(
            band, float(np.median([page.mean_hz(int(r), SLOW_BANDS[band]) for r in hits]))
        ),
        ("amplitude_uv_p2p", float(np.median(amplitude[hits])), "uV"),
        ("excess_db", middle_db, "dB"),
        ("share", share, "1"),
        ("row_share", hits.size / len(page.names), "1"),
    ]
    confidence = margin_confidence(
        10 ** ((middle_db - _L["excess_db"]) / 10),
        hits.size / len(page.names) / _L["row_share"],
        share / _L["time_share"],
    )
    return make_finding(
        segment_id, "generalised_slowing", [page.names[r] for r in hits],
        (0, SEGMENT_S), measures, confidence, VERSION,
    )  # fmt: skip


def _band_measures(band: str, mean_hz: float) -> list[tuple[str, float, str]]:
    low, high = SLOW_BANDS[band]
    return [
        ("frequency_hz", mean_hz, "Hz"),
        ("band_low_hz", low, "Hz"),
        ("band_high_hz", high, "Hz"),
    ]


def _side(name: str) -> str:
    return side_and_region(electrodes_of(name))[0]
