"""What a simulated corpus is made of: sizes, rates and amplitude ranges, all in one frozen value.

Here live only numbers. How they become signals is in ``background``, ``transients``,
``artifacts`` and ``subject``; how signals become files is in ``writer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

STATES = ("wake", "sleep", "epileptiform")
"""Recordings written per subject, in order."""

RATES_PER_MIN: Mapping[str, float] = MappingProxyType(
    {
        # clinical.md 8 [E]: a waking adult blinks about 10-20 times a minute with eyes open
        "blink": 12.0,
        "lateral_eye": 5.0,
        "muscle": 4.0,
        "electrode_pop": 1.0,
        "movement": 0.5,
        # engineering defaults: dense enough that two minutes hold several of each
        "spindle": 6.0,
        "kcomplex": 3.0,
        "slow_wave": 8.0,
        "vertex": 1.5,
        "rhythm": 4.0,
        "spike": 8.0,
        "sharp": 7.0,
        "spsw": 2.5,
    }
)
"""Events per minute of the state they belong to. ``vertex`` waves and sharply contoured theta and
alpha bursts (``rhythm``) are planted as look-alikes and carry no label, because the vocabulary has
no kind for them."""

AMPLITUDES_UV: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        # peak-to-peak at the electrode of maximum, before re-referencing
        "blink": (80.0, 320.0),  # hundreds of uV at Fp (clinical.md 8)
        "lateral_eye": (40.0, 160.0),  # per side; step F7-F8 >= 40 uV (clinical.md 8)
        "muscle": (60.0, 280.0),  # >= 10 uV rms in 30-70 Hz is about 60 uV p-p (clinical.md 8)
        "electrode_pop": (70.0, 350.0),  # >= 50 uV within 20 ms (clinical.md 8)
        "movement": (330.0, 900.0),  # >= 300 uV on many channels (clinical.md 8)
        "rhythm": (25.0, 110.0),
        "spindle": (24.0, 75.0),  # mostly < 50 uV in adults (HED-SCORE), children higher
        "kcomplex": (90.0, 260.0),  # stands out from the background (AASM)
        "slow_wave": (85.0, 220.0),  # > 75 uV p-p (AASM)
        "vertex": (60.0, 140.0),  # rarely > 250 uV (HED-SCORE)
        "spike": (60.0, 200.0),
        "sharp": (60.0, 220.0),
        "spsw": (80.0, 320.0),
    }
)
"""Range of planted amplitudes by kind, uV peak to peak."""


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """A simulated corpus.

    Parameters
    ----------
    n_subjects
        Subjects, each with one recording per state.
    minutes_per_recording
        Length of one recording; rounded to whole seconds, the length of an EDF data record.
    sfreq_hz
        Sampling rate written, a whole number of Hz.
    line_freq_hz
        Mains of the simulated site, 50 or 60.
    seed
        The one source of randomness.
    states
        Which of :data:`STATES` are written.
    rates_per_min, amplitudes_uv
        Event rates and amplitude ranges by kind.

    Raises
    ------
    ValueError
        If a number is out of bounds or a state is not known.
    """

    n_subjects: int = 8
    minutes_per_recording: float = 1.5
    sfreq_hz: int = 256
    line_freq_hz: float = 50.0
    seed: int = 0
    states: tuple[str, ...] = STATES
    rates_per_min: Mapping[str, float] = field(default_factory=lambda: RATES_PER_MIN)
    amplitudes_uv: Mapping[str, tuple[float, float]] = field(default_factory=lambda: AMPLITUDES_UV)

    def __post_init__(self) -> None:
        _check(1 <= self.n_subjects <= 9999, f"n_subjects={self.n_subjects}", "1 to 9999")
        _check(self.n_samples >= 10 * self.sfreq_hz, f"{self.duration_s} s", "10 s or longer")
        _check(160 <= self.sfreq_hz <= 2048, f"sfreq_hz={self.sfreq_hz}", "160 to 2048")
        _check(self.line_freq_hz in (50.0, 60.0), f"line_freq_hz={self.line_freq_hz}", "50 or 60")
        unknown = set(self.states) - set(STATES)
        _check(bool(self.states) and not unknown, f"states={self.states}", ", ".join(STATES))
        missing = set(RATES_PER_MIN) ^ set(self.rates_per_min)
        _check(
            not missing, f"rates_per_min differs in {sorted(missing)}", "the keys of the default"
        )
        missing = set(AMPLITUDES_UV) ^ set(self.amplitudes_uv)
        _check(
            not missing, f"amplitudes_uv differs in {sorted(missing)}", "the keys of the default"
        )

    @property
    def duration_s(self) -> int:
        """Length of one recording in whole seconds."""
        return round(60 * self.minutes_per_recording)

    @property
    def n_samples(self) -> int:
        """Samples per channel of one recording."""
        return self.duration_s * self.sfreq_hz


def _check(is_fine: bool, found: str, allowed: str) -> None:
    if not is_fine:
        raise ValueError(f"simulator config: {found}; allowed: {allowed}")
