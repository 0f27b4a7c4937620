"""When events happen: onsets that leave every event room of its own.

Events that a reader tells apart by shape do not overlap, so the truth of one is not altered by
another; slow waves may run under the rest, as they do in deep sleep. What an event looks like is
drawn in ``subject``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dagster_project.corpora.simulated.config import SimulatorConfig

_EDGE_S = 0.35
_GUARD_S = 0.12
_TRIES = 12

_CONDITIONS: dict[str, tuple[str, ...]] = {
    "blink": ("eyes_open",),
    "lateral_eye": ("eyes_open", "eyes_closed"),
    "muscle": ("eyes_open", "eyes_closed"),
    "electrode_pop": ("eyes_open", "eyes_closed", "N2", "N3"),
    "movement": ("eyes_open", "eyes_closed", "N2", "N3"),
    "rhythm": ("eyes_open", "eyes_closed", "N2", "N3"),
    "spindle": ("N2", "N3"),
    "kcomplex": ("N2",),
    "slow_wave": ("N3",),
    "vertex": ("N2",),
    "spike": ("eyes_open", "eyes_closed", "N2", "N3"),
    "sharp": ("eyes_open", "eyes_closed", "N2", "N3"),
    "spsw": ("eyes_open", "eyes_closed", "N2", "N3"),
}
"""Conditions in which a kind may occur."""

_KINDS_OF_STATE: dict[str, tuple[str, ...]] = {
    "wake": ("movement", "muscle", "lateral_eye", "electrode_pop", "blink", "rhythm"),
    "sleep": ("movement", "kcomplex", "spindle", "electrode_pop", "vertex", "rhythm", "slow_wave"),
    "epileptiform": (
        "movement", "spsw", "sharp", "spike", "muscle", "blink", "spindle", "rhythm", "slow_wave",
    ),
}  # fmt: skip
"""Kinds of each recording, rarer and longer ones placed first."""

_SHARE_IN_EPILEPTIFORM = {
    "movement": 0.5, "muscle": 0.4, "blink": 0.5, "spindle": 0.4, "slow_wave": 0.4, "rhythm": 0.5,
}  # fmt: skip
"""Rates of what is not epileptiform are lowered in the epileptiform recording."""


class Condition(Protocol):
    """A named stretch of a recording."""

    @property
    def name(self) -> str:
        """``eyes_open``, ``eyes_closed``, ``N2`` or ``N3``."""

    @property
    def t0_s(self) -> float:
        """Start."""

    @property
    def t1_s(self) -> float:
        """End."""


class Schedule:
    """Taken stretches of one recording.

    Parameters
    ----------
    conditions
        What the recording consists of.
    duration_s
        Its length.
    """

    def __init__(self, conditions: Sequence[Condition], duration_s: float) -> None:
        self._conditions = conditions
        self._duration_s = duration_s
        # slow waves lie under everything else, so they keep a list of their own
        self._taken: dict[bool, list[tuple[float, float]]] = {True: [], False: []}

    def counts(
        self, rng: np.random.Generator, state: str, config: SimulatorConfig
    ) -> list[tuple[str, int]]:
        """Draw how many events of each kind the recording holds, in the order to place them."""
        out: list[tuple[str, int]] = []
        for kind in _KINDS_OF_STATE[state]:
            rate = config.rates_per_min[kind]
            if state == "epileptiform":
                rate *= _SHARE_IN_EPILEPTIFORM.get(kind, 1.0)
            minutes = sum(c.t1_s - c.t0_s for c in self._where(kind)) / 60
            out.append((kind, int(rng.poisson(rate * minutes))))
        return out

    def place(self, rng: np.random.Generator, kind: str, room_s: float) -> float | None:
        """Reserve room for an event and return where it starts, or None where it finds none.

        High rates therefore saturate rather than pile up.
        """
        where, taken = self._where(kind), self._taken[kind == "slow_wave"]
        for _ in range(_TRIES):
            spot = where[int(rng.integers(len(where)))]
            low = max(_EDGE_S, spot.t0_s)
            high = min(self._duration_s - _EDGE_S, spot.t1_s) - room_s
            t0_s = rng.uniform(low, max(low, high))
            is_free = all(t0_s >= b + _GUARD_S or a >= t0_s + room_s + _GUARD_S for a, b in taken)
            if high > low and is_free:
                taken.append((t0_s, t0_s + room_s))
                return t0_s
        return None

    def _where(self, kind: str) -> list[Condition]:
        return [c for c in self._conditions if c.name in _CONDITIONS[kind]]
