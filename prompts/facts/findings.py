"""One stored finding and one stored judgement, as text reads them.

What a measure's name means for text is decided here: which is the frequency, which the voltage and of
what sort. Joining them into the facts of a page is in ``facts``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from detectors.types import SEGMENT_S

VOLTAGE_WORDS = {"p2p": "peak-to-peak", "rms": "rms", "step": "step"}
"""Part of a measure's name and the word its voltage carries in text."""


@lru_cache(maxsize=4096)
def _voltage_of(measures: tuple[tuple[str, float, str], ...]) -> tuple[str, float, str] | None:
    """Return the first peak-to-peak voltage, else the first voltage; a text asks for it often."""
    volts = [m for m in measures if m[2] == "uV" and math.isfinite(m[1])]
    return next((m for m in volts if "p2p" in m[0]), volts[0] if volts else None)


@dataclass(frozen=True, slots=True)
class FindingFact:
    """One stored finding, with its stored id.

    Parameters
    ----------
    finding_id, kind, channels, side, region, source, confidence
        As in the ``findings`` table.
    t0_s, t1_s
        Half-open interval within the segment.
    measures
        ``(name, value, unit)`` triples.
    is_masked, masked_by, mask_reason
        Why it may not be said.
    """

    finding_id: str
    kind: str
    channels: tuple[str, ...]
    side: str
    region: str
    t0_s: float
    t1_s: float
    measures: tuple[tuple[str, float, str], ...] = ()
    confidence: float = 1.0
    source: str = ""
    is_masked: bool = False
    masked_by: str = ""
    mask_reason: str = ""

    @property
    def centre_s(self) -> float:
        """Centre of the interval, seconds from page start."""
        return 0.5 * (self.t0_s + self.t1_s)

    @property
    def duration_s(self) -> float:
        """Measured duration where there is one, else the length of the interval."""
        measured = self.value("duration_s")
        return self.t1_s - self.t0_s if measured is None else measured

    @property
    def is_whole_page(self) -> bool:
        """Whether it lasts as long as the page, to one rounding step of text (0.1 s)."""
        return self.t0_s < 0.05 and self.t1_s > SEGMENT_S - 0.05

    def value(self, name: str) -> float | None:
        """Return one measure by name, or None where it was not taken."""
        for key, value, _ in self.measures:
            if key == name:
                return value
        return None

    @property
    def frequency_hz(self) -> float | None:
        """The finding's own frequency, or None; band edges and the like are not it."""
        value = self.value("frequency_hz")
        return value if value is not None and math.isfinite(value) else None

    @property
    def amplitude_uv(self) -> float | None:
        """The finding's voltage, or None; :attr:`amplitude_word` says of what sort."""
        voltage = _voltage_of(self.measures)
        return None if voltage is None else voltage[1]

    @property
    def amplitude_word(self) -> str:
        """What the voltage measures, from its name: peak-to-peak, rms, step or nothing."""
        voltage = _voltage_of(self.measures)
        name = "" if voltage is None else voltage[0]
        return next((word for part, word in VOLTAGE_WORDS.items() if part in name), "")

    @property
    def count(self) -> int:
        """How many events were grouped into this finding; 1 where it was not grouped."""
        value = self.value("count")
        return 1 if value is None else max(1, round(value))


@dataclass(frozen=True, slots=True)
class JudgementFact:
    """Whether one kind was found on the page, judged absent, or could not be judged, and why."""

    judgement_id: str
    kind: str
    verdict: str
    reason: str = ""
