"""Look-alikes of epileptiform discharges: what a transient may be instead (``clinical.md`` 4.4).

A clue is decisive when everything the definition asks for was measured; then the transient is
masked. Where a part of the definition (sleep, drowsiness) cannot be seen on the page the look-alike
is only named beside the finding. Clues follow the HED-SCORE 2.1.0 definitions.

Sleep's own waves are told from discharges first: what stands in a K-complex, a vertex wave or a slow
wave of sleep is that wave's own crest unless it has a point of its own, measured on the sharp part
alone. How fields are compared is in :mod:`detectors.epileptiform.localisation`, who calls this in
:mod:`detectors.epileptiform.judge`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from detectors._rule_common import Limit
from detectors.epileptiform.ifcn import IfcnRecord
from detectors.epileptiform.transient_signal import Floats, Peaks
from detectors.types import N_TIMES, SFREQ_HZ

LIMITS: dict[str, Limit] = {
    "train_correlation": Limit(0.5, "1", "engineering default: a train repeats itself"),
    "train_half_s": Limit(0.6, "s", "engineering default: signal looked at on both sides"),
    "wicket_low_hz": Limit(6.0, "Hz", "HED-SCORE 2.1.0: wicket spikes"),
    "wicket_high_hz": Limit(11.0, "Hz", "HED-SCORE 2.1.0: wicket spikes"),
    "mu_low_hz": Limit(7.0, "Hz", "clinical.md 3.3: mu rhythm"),
    "mu_high_hz": Limit(12.0, "Hz", "clinical.md 3.3: mu rhythm, a step of the lag wide"),
    "posts_uv": Limit(50.0, "uV", "HED-SCORE 2.1.0: POSTS"),
    "bets_uv": Limit(50.0, "uV", "clinical.md 4.4 (unverified)"),
    "bets_s": Limit(0.05, "s", "clinical.md 4.4 (unverified)"),
    "point_criteria": Limit(3, "1", "engineering default: of the four measured on the sharp part"),
    "like_field": Limit(0.85, "1", "measured: first generator, K-complexes with spikes"),
    "unlike_slow_share": Limit(0.6, "1", "measured: same; a slow wave's fit, in another field"),
    "point_slow_share": Limit(0.5, "1", "measured: same; a slow wave's fit, in the same field"),
    "point_s": Limit(0.08, "s", "clinical.md 4.3: longest a spike may be measured as"),
    "steep_slow_share": Limit(0.4, "1", "measured: same; of a sharp wave of uneven flanks"),
    "steep_s": Limit(0.13, "s", "measured: same; longest such a sharp wave"),
    "fourteen_six_uv": Limit(75.0, "uV", "HED-SCORE 2.1.0: 14- and 6-Hz positive bursts"),
}
"""Constants of this module with their source marks."""

SLEEP_SIGNS = frozenset({"spindle", "kcomplex", "slow_wave", "vertex_wave", "posts", "sawtooth"})
EYE_SIGNS = frozenset({"blink", "lateral_eye"})
_SURE_SIGNS = SLEEP_SIGNS - {"slow_wave"}  # waves of spike-and-wave look like slow waves
_CARRIERS = {"kcomplex": "K-complex", "vertex_wave": "vertex wave", "slow_wave": "slow wave"}
_SHARP_PART = (0, 1, 2, 5)  # criteria that the wave below does not lend
_FIRST_TOP = 0.9  # share of the largest value that counts as equally large
_VERTEX = frozenset({"Cz", "Fz"})
_OCCIPITAL = frozenset({"O1", "O2"})
_TEMPORAL = frozenset({"F7", "T7", "P7", "F8", "T8", "P8"})
_MID_POSTERIOR_TEMPORAL = frozenset({"T7", "P7", "T8", "P8"})
_CENTRAL = frozenset({"C3", "C4"})


@dataclass(frozen=True, slots=True)
class Train:
    """How the leading row repeats itself around the peak: rate, and correlation one cycle on."""

    rate_hz: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Clues:
    """What is known of one transient and its page.

    Parameters
    ----------
    lead
        Electrode of the maximum.
    is_negative
        Polarity of the peak there.
    record
        Its six criteria.
    train
        Repetition around it.
    on_page
        Kinds seen on the page.
    at_once
        Kinds seen at the time of the transient.
    slow_share
        How well a slow wave fits beside the pointed template, 1 where as well.
    field_likeness
        Correlation of its field with that of the slow activity it stands on, see
        :func:`detectors.epileptiform.localisation.likeness_to_slow`.
    is_at_crest
        Whether it stands where a K-complex seen at that time has its sharp negative phase.
    """

    lead: str
    is_negative: bool
    record: IfcnRecord
    train: Train
    on_page: Collection[str]
    at_once: Collection[str]
    slow_share: float
    field_likeness: float
    is_at_crest: bool

    @property
    def has_after_wave(self) -> bool:
        """Whether criterion 4 is met."""
        return self.record.met[3] is True

    @property
    def sees_sleep(self) -> bool:
        """Whether the page shows a sign of sleep."""
        return bool(SLEEP_SIGNS & set(self.on_page))

    @property
    def has_own_point(self) -> bool:
        """Whether it is pointed by itself, not as the crest of the slow wave it stands on.

        The slow wave would lend a crest its after-wave and its change of the background, so only
        shape, duration, flanks and field are asked for; then either a field unlike the slow wave's,
        or a spike so short, or a sharp wave so steep, that no crest is.
        """
        own = sum(self.record.met[k] is True for k in _SHARP_PART)
        if self.record.met[0] is not True or own < LIMITS["point_criteria"].value:
            return False
        is_elsewhere = (
            self.field_likeness < LIMITS["like_field"].value
            and self.slow_share < LIMITS["unlike_slow_share"].value
        )
        length = self.record.duration_s
        is_spike = (
            length < LIMITS["point_s"].value and self.slow_share < LIMITS["point_slow_share"].value
        )
        is_steep = (
            self.record.met[2] is True
            and length < LIMITS["steep_s"].value
            and self.slow_share < LIMITS["steep_slow_share"].value
        )
        return is_elsewhere or is_spike or is_steep

    def repeats(self, low_hz: float, high_hz: float) -> bool:
        """Whether it is part of a train in a band."""
        is_train = self.train.correlation >= LIMITS["train_correlation"].value
        return is_train and low_hz <= self.train.rate_hz <= high_hz


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A benign pattern a transient may be.

    Parameters
    ----------
    name
        What it is called.
    is_decisive
        Whether that is decided.
    lies_below
        Whether a wave of that name lies below the transient and lends it what follows.
    """

    name: str
    is_decisive: bool
    lies_below: bool = False


def _crest(c: Clues) -> LookAlike | None:
    """Whatever stands in a wave of sleep, wherever its maximum lies."""
    is_asleep = bool(_SURE_SIGNS & set(c.on_page))
    for kind, name in _CARRIERS.items():
        if kind in c.at_once and (is_asleep or kind != "slow_wave"):
            is_crest = (kind != "kcomplex" or c.is_at_crest) and not c.has_own_point
            # what follows a point in a slow wave may be the wave of a complex
            return LookAlike(name, is_crest, lies_below=kind != "slow_wave")
    return None


def _vertex(c: Clues) -> LookAlike | None:
    if c.lead not in _VERTEX or not c.is_negative:
        return None
    is_seen = "vertex_wave" in c.at_once
    is_asleep = bool(_SURE_SIGNS & set(c.on_page)) and not c.has_own_point
    is_bare = c.sees_sleep and not c.has_after_wave
    return LookAlike("vertex wave", is_seen or is_asleep or is_bare)


def _occipital(c: Clues) -> LookAlike | None:
    if c.lead not in _OCCIPITAL or c.is_negative:
        return None
    is_bare = not c.has_after_wave
    if c.sees_sleep:
        is_small = c.record.amplitude_uv_p2p < LIMITS["posts_uv"].value
        return LookAlike("POSTS", is_bare or is_small or "posts" in c.at_once)
    # awake it is a lambda wave, asleep POSTS: where the page does not say which, it is still either
    is_looking = bool(EYE_SIGNS & set(c.on_page))
    return LookAlike("lambda wave" if is_looking else "lambda wave or POSTS", is_bare)


def _wicket(c: Clues) -> LookAlike | None:
    if c.lead not in _TEMPORAL or not c.is_negative or c.has_after_wave:
        return None
    is_train = c.repeats(LIMITS["wicket_low_hz"].value, LIMITS["wicket_high_hz"].value)
    return LookAlike("wicket spike", True) if is_train else None


def _bets(c: Clues) -> LookAlike | None:
    is_small = c.record.amplitude_uv_p2p < LIMITS["bets_uv"].value
    if c.lead not in _TEMPORAL or not is_small or c.record.duration_s >= LIMITS["bets_s"].value:
        return None
    return LookAlike("BETS", not c.has_after_wave)


def _fourteen_six(c: Clues) -> LookAlike | None:
    is_small = c.record.amplitude_uv_p2p < LIMITS["fourteen_six_uv"].value
    if c.lead not in _MID_POSTERIOR_TEMPORAL or c.is_negative or not is_small:
        return None
    is_train = c.repeats(5.0, 7.0) or c.repeats(13.0, 17.0)
    return LookAlike("14- and 6-Hz positive burst", True) if is_train else None


def _mu(c: Clues) -> LookAlike | None:
    if c.lead not in _CENTRAL or c.has_after_wave:
        return None
    is_train = c.repeats(LIMITS["mu_low_hz"].value, LIMITS["mu_high_hz"].value)
    return LookAlike("mu rhythm", True) if is_train else None


_RULES: tuple[Callable[[Clues], LookAlike | None], ...] = (
    _crest, _vertex, _occipital, _wicket, _bets, _fourteen_six, _mu,
)  # fmt: skip


def look_alike(clues: Clues) -> LookAlike | None:
    """Return the benign pattern a transient resembles; a decisive one goes first."""
    found = [match for rule in _RULES if (match := rule(clues)) is not None]
    return min(found, key=lambda match: not match.is_decisive, default=None)


def trains(peaks: Peaks) -> list[Train]:
    """Measure how each transient's row repeats around the peak.

    The autocorrelation of the seconds around is read at the first of its largest values between 4
    and 20 Hz.
    """
    from scipy import fft

    half = round(LIMITS["train_half_s"].value * SFREQ_HZ)
    at = np.clip(peaks.sample[:, None] + np.arange(-half, half), 0, N_TIMES - 1)
    x = np.take_along_axis(peaks.gathered_uv, at, axis=1)
    spectrum = np.abs(fft.rfft(x - x.mean(axis=1, keepdims=True), n=4 * half, axis=1)) ** 2
    lags = fft.irfft(spectrum, axis=1)[:, : half + 1]
    length = 2 * half - np.arange(half + 1)
    correlation: Floats = lags / np.maximum(lags[:, :1], 1e-9) * (2 * half / length)
    first, last = SFREQ_HZ // 20, SFREQ_HZ // 4
    inner = correlation[:, first : last + 1]
    is_top = (inner >= correlation[:, first - 1 : last]) & (
        inner >= correlation[:, first + 1 : last + 2]
    )
    tops = np.where(is_top, inner, 0.0)
    # two cycles on a train looks as much like itself as one cycle on: the first is its rate
    best = np.argmax(tops >= _FIRST_TOP * tops.max(axis=1, keepdims=True), axis=1)
    value = np.take_along_axis(tops, best[:, None], axis=1)[:, 0]
    return [
        Train(SFREQ_HZ / (first + lag), corr)
        for lag, corr in zip(best.tolist(), value.tolist(), strict=True)
    ]
