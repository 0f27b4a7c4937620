"""Look-alikes of epileptiform discharges: what a transient may be instead (``clinical.md`` 4.4).

A clue is decisive when everything the definition asks for was measured; then the transient is
masked. Where a part of the definition (sleep, drowsiness) cannot be seen on the page the look-alike
is only named beside the finding. Clues follow the HED-SCORE 2.1.0 definitions.
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
    "fourteen_six_uv": Limit(75.0, "uV", "HED-SCORE 2.1.0: 14- and 6-Hz positive bursts"),
}
"""Constants of this module with their source marks."""

SLEEP_SIGNS = frozenset({"spindle", "kcomplex", "slow_wave", "vertex_wave", "posts", "sawtooth"})
EYE_SIGNS = frozenset({"blink", "lateral_eye"})
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
    """

    lead: str
    is_negative: bool
    record: IfcnRecord
    train: Train
    on_page: Collection[str]
    at_once: Collection[str]

    @property
    def has_after_wave(self) -> bool:
        """Whether criterion 4 is met."""
        return self.record.met[3] is True

    @property
    def sees_sleep(self) -> bool:
        """Whether the page shows a sign of sleep."""
        return bool(SLEEP_SIGNS & set(self.on_page))

    def repeats(self, low_hz: float, high_hz: float) -> bool:
        """Whether it is part of a train in a band."""
        is_train = self.train.correlation >= LIMITS["train_correlation"].value
        return is_train and low_hz <= self.train.rate_hz <= high_hz


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A benign pattern a transient may be, and whether that is decided."""

    name: str
    is_decisive: bool


def _vertex(c: Clues) -> LookAlike | None:
    if c.lead not in _VERTEX or not c.is_negative:
        return None
    if "kcomplex" in c.at_once:
        return LookAlike("K-complex", True)
    is_seen = "vertex_wave" in c.at_once
    return LookAlike("vertex wave", is_seen or (c.sees_sleep and not c.has_after_wave))


def _occipital(c: Clues) -> LookAlike | None:
    if c.lead not in _OCCIPITAL or c.is_negative:
        return None
    if c.sees_sleep:
        is_small = c.record.amplitude_uv_p2p < LIMITS["posts_uv"].value
        return LookAlike("POSTS", is_small or "posts" in c.at_once)
    is_looking = bool(EYE_SIGNS & set(c.on_page))
    return LookAlike("lambda wave", is_looking and not c.has_after_wave)


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
    _vertex, _occipital, _wicket, _bets, _fourteen_six, _mu,
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
