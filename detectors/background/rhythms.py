"""Background rhythms: the posterior rhythm and the dominant rhythm of a page.

Each is measured on seconds that no artifact touches. "Posterior rhythm" is what a page can say;
"posterior dominant rhythm" or "alpha rhythm" need eye state and wakefulness, which ten seconds do
not give (``clinical.md`` 3.1, 10). Spectra come from :mod:`detectors.signal.spectra`, voltage and
asymmetry are in :mod:`detectors.background.voltage`, low-voltage intervals in
:mod:`detectors.background.continuity`, slow activity, which must know what sleep and artifacts
explain, in :mod:`detectors.background.slowing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, make_finding, margin_confidence, too_few, unless
from detectors.background.continuity import find_attenuation
from detectors.background.posterior import LIMITS as POSTERIOR_LIMITS
from detectors.background.posterior import (
    OCCIPITAL,
    WINDOW,
    Courses,
    Posterior,
    at_peaks,
    follow_courses,
    occipital_peaks,
    sides_apart,
)
from detectors.background.voltage import find_asymmetry, find_voltage, longitudinal_cells
from detectors.montage import rows_of
from detectors.signal.row_statistics import RowStatistics
from detectors.signal.spectra import LIMITS as SPECTRAL_LIMITS
from detectors.signal.spectra import SpectralFeatures
from detectors.types import (
    CANONICAL19,
    SEGMENT_S,
    SFREQ_HZ,
    Finding,
    RuleResult,
    SegmentBatch,
)
from detectors.vocabulary import CLINICAL_BANDS

VERSION = "4"
"""Version of the background rules, part of every finding's source."""

_E3 = "clinical.md 3.1, engineering default"
LIMITS: dict[str, Limit] = POSTERIOR_LIMITS | {
    "alpha_low_hz": Limit(7.5, "Hz", "clinical.md 3.1: lower than that it is slow, not alpha"),
    "alpha_high_hz": Limit(13.0, "Hz", "clinical.md 1.2"),
    "alpha_db": Limit(8.0, "dB", "engineering default: over the 1/f fit, as for wakefulness"),
    "band_db": Limit(3.3, "dB", "measured: 1 % of simulated pages without a rhythm pass"),
    "posterior_ratio": Limit(2.0, "1", _E3),
    "front_share": Limit(0.05, "1", "engineering default: less in front is not told from none"),
    "sustained_share": Limit(0.5, "1", _E3),
    "field_share": Limit(0.5, "1", "clinical.md 9, engineering default"),
    "same_rhythm_hz": Limit(1.0, "Hz", "engineering default: two spectral bins"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_POSTERIOR = rows_of("O1", "O2", "P3", "P4", "P7", "P8", "Pz")
_OCCIPITOPARIETAL = rows_of("O1", "O2", "P3", "P4")
_ANTERIOR = rows_of("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8")


RHYTHM_ALL_OVER = "a rhythm stands out behind as all over the head"
"""Why a posterior rhythm is neither named nor absent."""


def find_background(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    usable: NDArray[np.bool_],
) -> RuleResult:
    """Run all background rules.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    spectra, statistics
        Their spectra and row statistics.
    usable
        bool, shape (n, n_channels, 10): seconds free of artifacts.
    """
    cells = longitudinal_cells(batch, statistics, usable)
    result = (
        find_posterior_rhythm(batch, spectra, usable)
        + find_dominant_rhythm(batch, spectra)
        + find_voltage(batch, cells)
        + find_asymmetry(batch, spectra, statistics, usable)
        + find_attenuation(batch, cells)
    )
    return unless(result, batch.segment_ids, statistics.why_not)


def find_posterior_rhythm(
    batch: SegmentBatch, spectra: SpectralFeatures, usable: NDArray[np.bool_]
) -> RuleResult:
    """Find a sustained rhythm of 6-13.5 Hz that is larger behind than in front.

    The peak is taken on the mean of O1 and O2 over clean 4-s windows, over a 1/f fit; the rhythm's
    band must stand over the fit too, and fill half of the clean seconds; what the peak adds to its
    flanks in O1 O2 P3 P4 is compared with the frontal rows. Amplitude is the median peak-to-peak of
    the band-limited cycles at the leading occipital electrode **in the recording's own reference**.

    Parameters
    ----------
    batch, spectra, usable
        As for :func:`find_background`.
    """
    kind = "posterior_rhythm"
    if not batch.schema.is_referential:
        return conclude(batch.segment_ids, kind, [], ["needs single electrodes"] * len(batch))
    findings, is_judged = posterior_rhythms(batch, spectra, usable, np.arange(len(batch)))
    reasons = _posterior_reasons(usable & spectra.is_live[..., None], spectra, is_judged)
    named = {f.segment_id for f in findings}
    is_open = [s not in named for s in batch.segment_ids] & _has_alpha_behind(spectra)
    reasons = [
        why or (RHYTHM_ALL_OVER if is_undecided else "")
        for why, is_undecided in zip(reasons, is_open.tolist(), strict=True)
    ]
    return conclude(batch.segment_ids, kind, findings, reasons)


def _has_alpha_behind(spectra: SpectralFeatures) -> NDArray[np.bool_]:
    """Say on which pages alpha stands high over O1 or O2, shape (n,).

    Where it does and the rhythm is still not named, only its field kept it from the name: a
    reference near the back, such as linked ears, spreads it over the head. That is no absence.
    """
    hz, height = spectra.dominant_hz[:, OCCIPITAL], spectra.prominence_db[:, OCCIPITAL]
    with np.errstate(invalid="ignore"):
        is_alpha = (hz >= _L["alpha_low_hz"]) & (hz <= _L["alpha_high_hz"])
        return np.asarray((is_alpha & (height >= _L["alpha_db"])).any(1))


def _posterior_reasons(
    clean: NDArray[np.bool_], spectra: SpectralFeatures, is_judged: NDArray[np.bool_]
) -> list[str]:
    """Say what the posterior rhythm lacked: usable seconds, seconds in a row, a frontal row."""
    needed_s = WINDOW / SFREQ_HZ
    seconds = clean[:, OCCIPITAL].sum(-1).max(1)
    few = too_few(seconds, needed_s, "O1 and O2")
    has_front = spectra.is_live[:, _ANTERIOR].sum(1) > 0
    return [
        ""
        if judged
        else short
        or (
            f"fewer than {needed_s:g} usable s in a row on O1 and O2"
            if front
            else "no live frontal row"
        )
        for judged, short, front in zip(is_judged, few, has_front, strict=True)
    ]


def posterior_rhythms(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    usable: NDArray[np.bool_],
    segments: NDArray[np.intp],
) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Find the posterior rhythms of some segments of a batch, and say which could be judged.

    Parameters
    ----------
    batch, spectra, usable
        As for :func:`find_background`; ``referential19``.
    segments
        Numbers of the segments, shape (n_chosen,).

    Returns
    -------
    findings, is_judged
        At most one finding per segment; bool, shape (n_chosen,).
    """
    peaks = occipital_peaks(batch, usable & spectra.is_live[..., None], segments)
    has_front = np.logical_or.reduce(spectra.is_live[segments][:, _ANTERIOR], axis=1)
    is_judged = np.logical_or.reduce(peaks.used, axis=1) & has_front
    candidates = np.nonzero(is_judged & (np.nan_to_num(peaks.height_db) >= _L["posterior_db"]))[0]
    peaks, chosen = peaks.of(candidates), segments[candidates]
    courses = follow_courses(batch, peaks, usable, chosen)
    # the height at one bin is luck on many pages; the whole of the rhythm's band is not
    is_steady = (courses.strength_db >= _L["band_db"]) & (courses.share >= _L["sustained_share"])
    power, excess = at_peaks(spectra, chosen, peaks.peak_hz)
    live = spectra.is_live[chosen]
    behind = _mean_over(excess, live, _OCCIPITOPARIETAL)
    front = _mean_over(excess, live, _ANTERIOR)
    ratio = behind / np.maximum(np.maximum(front, _L["front_share"] * behind), 1e-9)
    is_found = is_steady & (behind > 0) & (ratio >= _L["posterior_ratio"])
    found = np.nonzero(is_found)[0]
    measured = _Measured(peaks.of(found), courses.of(found), power[found], ratio[found])
    findings = measured.findings(
        [batch.segment_ids[i] for i in chosen[found].tolist()], live[found]
    )
    return findings, is_judged


def _mean_over(
    values: NDArray[np.float32], is_live: NDArray[np.bool_], rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Mean over the live ones of some rows, shape (n,)."""
    part = is_live[:, rows]
    total = np.where(part, values[:, rows], 0.0).sum(1)
    return np.asarray(total / np.maximum(part.sum(1), 1))


@dataclass(frozen=True, slots=True)
class _Measured:
    """Rhythms that passed: peaks, courses, power of every row there, power behind over front."""

    peaks: Posterior
    courses: Courses
    power: NDArray[np.float32]
    ratio: NDArray[np.float64]

    def findings(self, segment_ids: Sequence[str], is_live: NDArray[np.bool_]) -> list[Finding]:
        """Measure every rhythm and make its finding."""
        peaks, courses = self.peaks, self.courses
        sides = np.where(peaks.used, self.power[:, OCCIPITAL], -np.inf).argmax(1)
        amplitude_uv = courses.amplitude_uv_p2p(peaks, sides).tolist()
        apart_hz = sides_apart(peaks).tolist()
        strength = 10 ** ((courses.strength_db - _L["band_db"]) / 10)
        found = []
        for k, (segment_id, ratio, share) in enumerate(
            zip(segment_ids, self.ratio.tolist(), courses.share.tolist(), strict=True)
        ):
            measures = [
                ("frequency_hz", float(peaks.peak_hz[k]), "Hz"),
                ("amplitude_uv_p2p", amplitude_uv[k], "uV"),
                ("prominence_db", float(peaks.height_db[k]), "dB"),
                ("posterior_anterior_ratio", ratio, "1"),
                ("sustained_share", share, "1"),
            ]
            if np.isfinite(apart_hz[k]):
                measures.append(("frequency_difference_hz", apart_hz[k], "Hz"))
            confidence = margin_confidence(
                float(strength[k]), ratio / _L["posterior_ratio"], share / _L["sustained_share"]
            )
            names = _field_names(self.power[k].tolist(), is_live[k], int(OCCIPITAL[sides[k]]))
            found.append(
                make_finding(
                    segment_id, "posterior_rhythm", names, (0, SEGMENT_S), measures, confidence,
                    VERSION,
                )
            )  # fmt: skip
        return found


def _field_names(power: list[float], is_live: NDArray[np.bool_], lead: int) -> list[str]:
    """Return the leading row, then those that show the rhythm too, by falling power."""
    least = _L["field_share"] * power[lead]
    field = [r for r in _POSTERIOR.tolist() if is_live[r] and r != lead and power[r] >= least]
    return [CANONICAL19[r] for r in (lead, *sorted(field, key=lambda r: (-power[r], r)))]


def find_dominant_rhythm(batch: SegmentBatch, spectra: SpectralFeatures) -> RuleResult:
    """Find the rhythm that stands highest over the 1/f line of the page.

    Works on any rows. The frequency is the one most rows agree on: the peak of a row inside the
    dominant band that has the largest summed height of rows within 1 Hz.

    Parameters
    ----------
    batch, spectra
        As for :func:`find_background`.
    """
    findings = []
    hz_of, height_of = spectra.dominant_hz, spectra.prominence_db
    low, high = (
        np.array([CLINICAL_BANDS[b][side] if b else np.nan for b in spectra.dominant_band])
        for side in (0, 1)
    )
    with np.errstate(invalid="ignore"):
        is_in = (hz_of >= low[:, None]) & (hz_of <= high[:, None])
        near = np.abs(hz_of[:, :, None] - hz_of[:, None]) <= _L["same_rhythm_hz"]
    support = np.matmul(near, np.where(is_in, height_of, 0.0)[..., None])[..., 0]
    seed = np.where(is_in, support, -np.inf).argmax(1)
    is_near = is_in & near[np.arange(len(batch)), seed]
    n_live = spectra.is_live.sum(1)
    for i in np.nonzero(is_in.any(1))[0].tolist():
        hz, height = hz_of[i], height_of[i]
        rows = np.nonzero(is_near[i])[0]
        rows = rows[np.argsort(-height[rows], kind="stable")]
        share = rows.size / int(n_live[i])
        measures = [
            ("frequency_hz", median(hz[rows].tolist()), "Hz"),
            ("prominence_db", float(height[rows[0]]), "dB"),
            ("row_share", share, "1"),
        ]
        confidence = margin_confidence(
            10 ** ((float(height[rows[0]]) - SPECTRAL_LIMITS["peak_db"].value) / 10), 1 + share
        )
        names = [batch.schema.ch_names[r] for r in rows]
        findings.append(
            make_finding(
                batch.segment_ids[i], "dominant_rhythm", names, (0, SEGMENT_S), measures,
                confidence, VERSION,
            )
        )  # fmt: skip
    reasons = ["" if n else "no live row" for n in n_live.tolist()]
    return conclude(batch.segment_ids, "dominant_rhythm", findings, reasons)
