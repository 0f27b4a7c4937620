"""The chain of the sleep rules, and what keeps them off waking pages.

Definitions are AASM's (``clinical.md`` 6); a page carries graphoelements, never a stage. Single
electrodes are needed: amplitude and place are defined on them, so bipolar recordings are not
judged. Spindles are in :mod:`detectors.sleep.spindles`, K-complexes in
:mod:`detectors.sleep.kcomplexes`, slow waves in :mod:`detectors.sleep.slow_waves`, vertex, sawtooth
and occipital waves in :mod:`detectors.sleep.transients`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, unless
from detectors.background.rhythms import posterior_rhythms
from detectors.montage import rows_of
from detectors.signal.envelope import band_spectrum
from detectors.signal.row_statistics import RowStatistics
from detectors.signal.spectra import SpectralFeatures
from detectors.sleep import kcomplexes, slow_waves, spindles, transients, white_page
from detectors.types import Finding, RuleResult, SegmentBatch

VERSION = f"{spindles.VERSION}.{kcomplexes.VERSION}.{transients.VERSION}.2"
"""Version of the sleep rules together, part of the rules' version."""

_E = "engineering default"
_OWN: dict[str, Limit] = {
    "alpha_low_hz": Limit(7.5, "Hz", _E + ": alpha of wakefulness, below the spindles"),
    "alpha_high_hz": Limit(11.0, "Hz", _E + ": alpha of wakefulness, below the spindles"),
    "alpha_db": Limit(8.0, "dB", _E + ": over the 1/f fit of O1 or O2, then the page is awake"),
    "slow_over_alpha_db": Limit(
        6.5, "dB", _E + ": 2-7 over 8-11 Hz behind; 1 % of simulated pages of sleep lie lower"
    ),
    "theta_over_fast_db": Limit(
        1.5,
        "dB",
        _E + ": 4-7 over 20-40 Hz behind; 3 % of simulated pages of sleep lie lower, "
        "half of those of wakefulness",
    ),
    "lone_spindle_over_background": Limit(5.5, "1", _E + ": without the other kind on the page"),
    "lone_kcomplex_over_background": Limit(4.6, "1", _E + ": without the other kind on the page"),
}
LIMITS: dict[str, Limit] = _OWN | {
    f"{prefix}_{name}": limit
    for prefix, module in (
        ("spindle", spindles),
        ("kcomplex", kcomplexes),
        ("transient", transients),
        ("white_page", white_page),
    )
    for name, limit in module.LIMITS.items()
}
"""Constants of the chain and of the rules below it, with their source marks."""

_L = {name: limit.value for name, limit in _OWN.items()}
_OCCIPITAL = rows_of("O1", "O2")
_BEHIND = rows_of("P3", "Pz", "P4", "O1", "O2")
_FAST_TOP_HZ = 40.0
_SLOW_ROWS = rows_of("Fp1", "Fp2", "F3", "Fz", "F4", "C3", "Cz", "C4", "O1", "O2")
_KINDS = ("spindle", "kcomplex", "slow_wave", *transients.KINDS)
_BIPOLAR = "needs single electrodes"


def find_sleep(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    usable: NDArray[np.bool_],
    background: RuleResult | None = None,
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
    background
        What the artifact and background rules said of the batch; without it posterior rhythms are
        looked for here and blinks are not known.
    """
    if not batch.schema.is_referential:
        reasons = [_BIPOLAR] * len(batch)
        return RuleResult.joined(conclude(batch.segment_ids, k, [], reasons) for k in _KINDS)
    live = spectra.is_live
    clean = usable & live[..., None]
    is_awake = awake_pages(batch, spectra, usable, background)
    # nothing that is found on a waking page would be kept, but for slow waves
    is_open = ~is_awake & [not why for why in statistics.why_not or [""] * len(batch)]
    asleep = np.nonzero(is_open)[0]
    smooth = _slow_view(statistics.slow_uv, live, slow_waves.VIEW_WIDTH)
    slow = slow_waves.find_slow_waves(batch, smooth, clean)
    slowed = frozenset(
        s
        for s, is_slow in zip(batch.segment_ids, is_slowed(batch, spectra), strict=True)
        if is_slow
    )
    found, is_sure = _on_sleeping(batch, statistics.slow_uv, live, clean, asleep, slow, slowed)
    is_asleep = np.zeros(len(batch), dtype=np.bool_)
    is_asleep[asleep] = is_sure
    why = {
        "spindle": spindles.spindle_reasons(batch, live, clean),
        "kcomplex": kcomplexes.kcomplex_reasons(clean),
        "slow_wave": slow_waves.slow_wave_reasons(clean),
        **transients.transient_reasons(clean, is_asleep),
    }
    result = RuleResult.joined(
        conclude(batch.segment_ids, kind, [f for f in (*found, *slow) if f.kind == kind], why[kind])
        for kind in _KINDS
    )
    return unless(result, batch.segment_ids, statistics.why_not)


def _slow_view(
    slow_uv: NDArray[np.float32], is_live: NDArray[np.bool_], width: int
) -> NDArray[np.float32]:
    """Return the slow rows that rules look at, dead and other rows zero, shape (n, 19, 400)."""
    view = np.zeros_like(slow_uv)
    view[:, _SLOW_ROWS] = slow_waves.slow_view(slow_uv[:, _SLOW_ROWS], width)
    view[~is_live] = 0.0
    return view


def _on_sleeping(
    batch: SegmentBatch,
    slow_uv: NDArray[np.float32],
    is_live: NDArray[np.bool_],
    clean: NDArray[np.bool_],
    pages: NDArray[np.intp],
    slow: Sequence[Finding],
    slowed: frozenset[str],
) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Look for what only sleep has on some pages; also return which have a sure sign of sleep.

    Spindles are kept on ``slowed`` pages.
    """
    if not pages.size:
        return [], np.zeros(0, dtype=np.bool_)
    part = replace(
        batch,
        segment_ids=tuple(batch.segment_ids[i] for i in pages.tolist()),
        data_uv=batch.data_uv[pages],
        mask=batch.mask[pages],
        band_hz=batch.band_hz[pages],
        recorded_s=None if batch.recorded_s is None else batch.recorded_s[pages],
    )
    live, clean = is_live[pages], clean[pages]
    rows = part.data_uv.reshape(-1, part.data_uv.shape[-1])
    spectrum = band_spectrum(rows).reshape(*part.data_uv.shape[:2], -1)
    sharp = _slow_view(slow_uv[pages], live, kcomplexes.VIEW_WIDTH)
    both = [
        finding
        for finding in spindles.find_spindles(part, spectrum, live, clean)
        if finding.segment_id in slowed
    ]
    both += kcomplexes.find_kcomplexes(part, spectrum, sharp, live, clean)
    both = _without_lone(both)
    known = [*both, *slow]
    others, is_sure = transients.find_sleep_transients(part, spectrum, live, clean, known)
    return [*both, *others], is_sure


def awake_pages(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    usable: NDArray[np.bool_],
    background: RuleResult | None = None,
) -> NDArray[np.bool_]:
    """Say which pages are of wakefulness, shape (n,).

    A page is awake where a posterior rhythm fills half of it, a peak of alpha stands high over O1
    or O2, or eyes blink (AASM: blinks are a sign of wakefulness). Awake, fast alpha, mu and beta
    bursts over the central rows have a spindle's shape.

    Parameters
    ----------
    batch, spectra, usable, background
        As for :func:`find_sleep`; ``referential19``.
    """
    findings = (
        posterior_rhythms(batch, spectra, usable, np.arange(len(batch)))[0]
        if background is None
        else background.findings
    )
    signs = {
        f.segment_id
        for f in findings
        if f.kind == "posterior_rhythm"
        or (f.kind == "blink" and f.measure("reaches_definition") != 0.0)
    }
    hz, height = spectra.dominant_hz[:, _OCCIPITAL], spectra.prominence_db[:, _OCCIPITAL]
    with np.errstate(invalid="ignore"):
        is_alpha = (hz >= _L["alpha_low_hz"]) & (hz <= _L["alpha_high_hz"])
        is_alpha &= height >= _L["alpha_db"]
    return is_alpha.any(1) | np.array([s in signs for s in batch.segment_ids], dtype=np.bool_)


def is_slowed(batch: SegmentBatch, spectra: SpectralFeatures) -> NDArray[np.bool_]:
    """Say which pages have the slower background of sleep, shape (n,): spindles ask for it.

    AASM's spindles stand on a background of low-amplitude mixed, mostly theta activity or slower,
    from which alpha has gone. So slow activity must outweigh alpha over the parietal and occipital
    rows, which eyes and frontal muscles reach least, and theta must outweigh beta and muscle. Short
    bursts of fast mu and beta of a page that is awake but without a posterior rhythm, as with eyes
    open or at work, have a spindle's shape and place.

    Parameters
    ----------
    batch, spectra
        As for :func:`find_sleep`; ``referential19``.
    """
    power = spectra.psd_uv2_hz[:, _BEHIND]
    hz = spectra.freqs_hz

    def level_db(low: float, high: float) -> NDArray[np.float32]:
        total = power[..., (hz >= low) & (hz < high)].sum((1, 2))
        return np.asarray(10 * np.log10(np.maximum(total, 1e-9)))

    is_slow = level_db(2, 7) - level_db(8, 11) >= _L["slow_over_alpha_db"]
    is_theta = level_db(4, 7) - level_db(20, _FAST_TOP_HZ) >= _L["theta_over_fast_db"]
    # what the recording's own low-pass took away is no sign of sleep
    return np.asarray(is_slow & (is_theta | (batch.band_hz[:, 1] < _FAST_TOP_HZ)))


def _without_lone(findings: Sequence[Finding]) -> list[Finding]:
    """Ask more of spindles on a page without a K-complex, and the reverse.

    Noise that looks like one is rare, noise that looks like both on one page is rarer still, and
    sleep with spindles has K-complexes as well; awake, mu and fast alpha come in many bursts.
    """
    kinds: dict[str, set[str]] = {}
    for finding in findings:
        kinds.setdefault(finding.segment_id, set()).add(finding.kind)
    return [
        f for f in findings
        if len(kinds[f.segment_id]) > 1
        or (f.measure("over_background") or 0.0) >= _L[f"lone_{f.kind}_over_background"]
    ]  # fmt: skip
