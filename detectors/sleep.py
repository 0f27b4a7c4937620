"""The chain of the sleep rules, and what keeps them off waking pages.

Definitions are AASM's (``clinical.md`` 6); a page carries graphoelements, never a stage. Single
electrodes are needed: amplitude and place are defined on them, so bipolar recordings are not
judged. Spindles are in :mod:`detectors.spindles`, K-complexes in :mod:`detectors.kcomplexes`, slow
waves in :mod:`detectors.slow_waves`, vertex, sawtooth and occipital waves in
:mod:`detectors.sleep_transients`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors import _white_page, kcomplexes, sleep_transients, slow_waves, spindles
from detectors._envelope import band_spectrum
from detectors._rule_common import Limit, conclude, unless
from detectors.background import posterior_rhythms
from detectors.montage import rows_of
from detectors.row_statistics import RowStatistics
from detectors.spectra import SpectralFeatures
from detectors.types import Finding, RuleResult, SegmentBatch

VERSION = f"{spindles.VERSION}.{kcomplexes.VERSION}.{sleep_transients.VERSION}.1"
"""Version of the sleep rules together, part of the rules' version."""

_E = "engineering default"
_OWN: dict[str, Limit] = {
    "alpha_low_hz": Limit(7.5, "Hz", _E + ": alpha of wakefulness, below the spindles"),
    "alpha_high_hz": Limit(11.0, "Hz", _E + ": alpha of wakefulness, below the spindles"),
    "alpha_db": Limit(8.0, "dB", _E + ": over the 1/f fit of O1 or O2, then the page is awake"),
    "lone_spindle_over_background": Limit(5.5, "1", _E + ": without the other kind on the page"),
    "lone_kcomplex_over_background": Limit(4.6, "1", _E + ": without the other kind on the page"),
}
LIMITS: dict[str, Limit] = _OWN | {
    f"{prefix}_{name}": limit
    for prefix, module in (
        ("spindle", spindles),
        ("kcomplex", kcomplexes),
        ("transient", sleep_transients),
        ("white_page", _white_page),
    )
    for name, limit in module.LIMITS.items()
}
"""Constants of the chain and of the rules below it, with their source marks."""

_L = {name: limit.value for name, limit in _OWN.items()}
_OCCIPITAL = rows_of("O1", "O2")
_SLOW_ROWS = rows_of("Fp1", "Fp2", "F3", "Fz", "F4", "C3", "Cz", "C4", "O1", "O2")
_KINDS = ("spindle", "kcomplex", "slow_wave", *sleep_transients.KINDS)
_BIPOLAR = "needs single electrodes"


def find_sleep(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    usable: NDArray[np.bool_],
) -> RuleResult:
    """Run all sleep rules.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    spectra, statistics
        Their spectra and row statistics.
    usable
        bool, shape (n, n_channels, 10): seconds free of artifacts.
    """
    if not batch.schema.is_referential:
        reasons = [_BIPOLAR] * len(batch)
        return RuleResult.joined(conclude(batch.segment_ids, k, [], reasons) for k in _KINDS)
    live = spectra.is_live
    clean = usable & live[..., None]
    sharp, smooth = (np.zeros_like(statistics.slow_uv) for _ in range(2))
    views = slow_waves.slow_views(statistics.slow_uv[:, _SLOW_ROWS], 5, 11)
    sharp[:, _SLOW_ROWS], smooth[:, _SLOW_ROWS] = views
    sharp[~live] = smooth[~live] = 0.0
    rows = batch.data_uv.reshape(-1, batch.data_uv.shape[-1])
    spectrum = band_spectrum(rows).reshape(*batch.data_uv.shape[:2], -1)
    graphoelements = spindles.find_spindles(batch, spectrum, live, clean)
    graphoelements += kcomplexes.find_kcomplexes(batch, spectrum, sharp, live, clean)
    known = _without_lone(_without_awake(batch, graphoelements, spectra, usable), batch)
    known += slow_waves.find_slow_waves(batch, smooth, clean)
    others = sleep_transients.find_sleep_transients(batch, spectrum, live, clean, known)
    result = known + _without_awake(batch, others, spectra, usable)
    return unless(result, batch.segment_ids, statistics.why_not)


def _without_awake(
    batch: SegmentBatch,
    result: RuleResult,
    spectra: SpectralFeatures,
    usable: NDArray[np.bool_],
) -> RuleResult:
    """Take findings off pages of wakefulness.

    A page is awake where a posterior rhythm fills half of it or a peak of alpha stands high over O1
    or O2. Awake, fast alpha, mu and beta bursts over the central rows have a spindle's shape.
    """
    found = {finding.segment_id for finding in result.findings}
    chosen = np.array([i for i, s in enumerate(batch.segment_ids) if s in found], dtype=np.intp)
    if not chosen.size:
        return result
    awake = {finding.segment_id for finding in posterior_rhythms(batch, spectra, usable, chosen)[0]}
    hz, height = (
        np.nan_to_num(values[chosen][:, _OCCIPITAL])
        for values in (spectra.dominant_hz, spectra.prominence_db)
    )
    is_alpha = (hz >= _L["alpha_low_hz"]) & (hz <= _L["alpha_high_hz"]) & (height >= _L["alpha_db"])
    awake |= {batch.segment_ids[i] for i in chosen[is_alpha.any(1)]}
    return _kept(batch, result, [f for f in result.findings if f.segment_id not in awake])


def _without_lone(result: RuleResult, batch: SegmentBatch) -> RuleResult:
    """Ask more of spindles on a page without a K-complex, and the reverse.

    Noise that looks like one is rare, noise that looks like both on one page is rarer still, and
    sleep with spindles has K-complexes as well; awake, mu and fast alpha come in many bursts.
    """
    kinds: dict[str, set[str]] = {}
    for finding in result.findings:
        kinds.setdefault(finding.segment_id, set()).add(finding.kind)
    kept = [
        f for f in result.findings
        if len(kinds[f.segment_id]) > 1
        or (f.measure("over_background") or 0.0) >= _L[f"lone_{f.kind}_over_background"]
    ]  # fmt: skip
    return _kept(batch, result, kept)


def _kept(batch: SegmentBatch, result: RuleResult, findings: Sequence[Finding]) -> RuleResult:
    """Conclude again on what is left, with the reasons there were."""
    reasons: dict[str, list[str]] = {}
    for judgement in result.judgements:
        reasons.setdefault(judgement.kind, []).append(judgement.reason)
    return RuleResult.joined(
        conclude(batch.segment_ids, kind, [f for f in findings if f.kind == kind], why)
        for kind, why in reasons.items()
    )
