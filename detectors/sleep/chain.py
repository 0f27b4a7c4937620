"""The chain of the sleep rules, and what keeps them off waking pages.

Definitions are AASM's (``clinical.md`` 6); a page carries graphoelements, never a stage. Single
electrodes are needed: amplitude and place are defined on them, so bipolar recordings are not
judged. Spindles are in :mod:`detectors.sleep.spindles`, K-complexes in
:mod:`detectors.sleep.kcomplexes`, slow waves in :mod:`detectors.sleep.slow_waves`, vertex and
occipital waves in :mod:`detectors.sleep.transients`, sawtooth waves in :mod:`detectors.sleep.sawtooth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, unless
from detectors.background.rhythms import posterior_rhythms
from detectors.montage import rows_of
from detectors.signal.envelope import band_spectrum
from detectors.signal.row_statistics import RowStatistics
from detectors.signal.spectra import SpectralFeatures
from detectors.sleep import kcomplexes, sawtooth, slow_waves, spindles, transients, white_page
from detectors.types import Finding, RuleResult, SegmentBatch

VERSION = f"{spindles.VERSION}.{kcomplexes.VERSION}.{transients.VERSION}.{sawtooth.VERSION}.3"
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
    "sure_spindle_slow_db": Limit(
        9.0, "dB", _E + ": 2-7 over 8-11 Hz behind, half of simulated pages of sleep lie higher"
    ),
    "sure_kcomplex_slow_db": Limit(8.0, "dB", _E + ": likewise, a fifth of them lie lower"),
    "sure_spindle_theta_db": Limit(
        4.0, "dB", _E + ": 4-7 over 20-40 Hz behind, half of simulated pages of sleep lie higher"
    ),
    "sure_kcomplex_theta_db": Limit(3.0, "dB", _E + ": likewise, a quarter of them lie lower"),
    "more_per_slow_db": Limit(0.2, "1/dB", _E + ": asked of a wave for each dB short of it"),
    "more_per_theta_db": Limit(0.4, "1/dB", _E + ": asked of a wave for each dB short of it"),
    "more_lone_spindle": Limit(0.3, "1", _E + ": asked without a K-complex on the page"),
    "more_lone_kcomplex": Limit(0.3, "1", _E + ": asked without a spindle on the page"),
}
LIMITS: dict[str, Limit] = _OWN | {
    f"{prefix}_{name}": limit
    for prefix, module in (
        ("spindle", spindles),
        ("kcomplex", kcomplexes),
        ("transient", transients),
        ("sawtooth", sawtooth),
        ("white_page", white_page),
    )
    for name, limit in module.LIMITS.items()
}
"""Constants of the chain and of the rules below it, with their source marks."""

_L = {name: limit.value for name, limit in _OWN.items()}
_LEAST = {
    "spindle": spindles.LIMITS["over_background"].value,
    "kcomplex": kcomplexes.LIMITS["over_background"].value,
}
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
    levels = sleep_levels(batch, spectra)
    found, is_sure = _on_sleeping(batch, statistics.slow_uv, live, clean, asleep, slow, levels)
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
    levels: SleepLevels,
) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Look for what only sleep has on some pages; also return which have a sure sign of sleep."""
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
    both = spindles.find_spindles(part, spectrum, live, clean)
    both += kcomplexes.find_kcomplexes(part, spectrum, sharp, live, clean)
    both = _sure_enough(both, part.segment_ids, levels.of(pages))
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


@dataclass(frozen=True, slots=True)
class SleepLevels:
    """How much the background of pages is that of sleep, shape (n,) each.

    Parameters
    ----------
    slow_db
        Slow activity over alpha behind.
    theta_db
        Theta over beta and muscle behind; infinite where the recording's own low-pass took those
        away, which is no sign of sleep but none against it either.
    """

    slow_db: NDArray[np.float32]
    theta_db: NDArray[np.float32]

    def of(self, pages: NDArray[np.intp]) -> SleepLevels:
        """Return the levels of some pages."""
        return SleepLevels(self.slow_db[pages], self.theta_db[pages])

    @property
    def is_slowed(self) -> NDArray[np.bool_]:
        """Which pages may show spindles at all."""
        is_theta = self.theta_db >= _L["theta_over_fast_db"]
        return np.asarray((self.slow_db >= _L["slow_over_alpha_db"]) & is_theta)

    def asked_more(self, kind: str) -> NDArray[np.float32]:
        """How much more than its rule's own limit a wave of a kind has to stand out."""
        more = _L["more_per_slow_db"] * np.maximum(_L[f"sure_{kind}_slow_db"] - self.slow_db, 0)
        more += _L["more_per_theta_db"] * np.maximum(_L[f"sure_{kind}_theta_db"] - self.theta_db, 0)
        return np.asarray(more, dtype=np.float32)


def sleep_levels(batch: SegmentBatch, spectra: SpectralFeatures) -> SleepLevels:
    """Measure how much the background is that of sleep.

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

    theta_db = level_db(4, 7) - level_db(20, _FAST_TOP_HZ)
    theta_db = np.where(batch.band_hz[:, 1] < _FAST_TOP_HZ, np.float32(np.inf), theta_db)
    return SleepLevels(level_db(2, 7) - level_db(8, 11), theta_db)


def _sure_enough(
    findings: Sequence[Finding], segment_ids: Sequence[str], levels: SleepLevels
) -> list[Finding]:
    """Keep the spindles and K-complexes that stand out enough for their page.

    The less a page's background is that of sleep, the more is asked, and some more of one kind
    without the other: noise that looks like both on one page is rare, and awake, mu and fast alpha
    come in many bursts. Spindles need a slowed page.
    """
    place = {s: i for i, s in enumerate(segment_ids)}
    more = {kind: levels.asked_more(kind) for kind in _LEAST}
    is_slowed = levels.is_slowed
    kinds: dict[str, set[str]] = {}
    for finding in findings:
        kinds.setdefault(finding.segment_id, set()).add(finding.kind)
    kept = []
    for f in findings:
        i = place[f.segment_id]
        alone = 0.0 if len(kinds[f.segment_id]) > 1 else _L[f"more_lone_{f.kind}"]
        least = _LEAST[f.kind] + float(more[f.kind][i]) + alone
        if (f.measure("over_background") or 0.0) >= least and (f.kind != "spindle" or is_slowed[i]):
            kept.append(f)
    return kept
