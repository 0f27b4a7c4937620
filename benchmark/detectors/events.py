"""What a system found on a page, in the one form all systems are scored in.

How systems find is in ``detectors.systems``; when a found event counts is in ``detectors.scores``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GROUP_IOU = 0.3
"""Rows of one event overlap in time at least so much; engineering default."""


@dataclass(frozen=True, slots=True)
class Found:
    """One event a system reports.

    Parameters
    ----------
    segment_id, kind, channels
        Where and what; channels may be empty where the system names none.
    t0_s, t1_s
        From the start of the page, or of the recording where ``segment_id`` names one.
    confidence
        Larger is surer; only its order is used.
    frequency_hz
        Of rhythms, else 0.
    """

    segment_id: str
    kind: str
    channels: tuple[str, ...]
    t0_s: float
    t1_s: float
    confidence: float
    frequency_hz: float = 0.0


def overlap(a0: float, a1: float, b0: float, b1: float) -> float:
    """Return the intersection over union of two intervals."""
    shared = min(a1, b1) - max(a0, b0)
    whole = max(a1, b1) - min(a0, b0)
    return shared / whole if shared > 0 and whole > 0 else 0.0


def grouped(found: Iterable[Found]) -> list[Found]:
    """Join single-row events of one kind and page that lie at the same time.

    The longest is the seed and gives the times; rows come in falling confidence.
    """
    left = sorted(found, key=lambda f: (f.t0_s - f.t1_s, f.t0_s, f.channels))
    out = []
    while left:
        seed = left[0]
        near = [f for f in left if overlap(seed.t0_s, seed.t1_s, f.t0_s, f.t1_s) >= GROUP_IOU]
        near = near or [seed]
        left = [f for f in left if f not in near]
        out.append(_joined(seed, near))
    return sorted(out, key=lambda f: (f.t0_s, f.t1_s))


def _joined(seed: Found, near: Sequence[Found]) -> Found:
    ranked = sorted(near, key=lambda f: (-f.confidence, f.channels))
    rows = tuple(dict.fromkeys(c for f in ranked for c in f.channels))
    return Found(seed.segment_id, seed.kind, rows, seed.t0_s, seed.t1_s, ranked[0].confidence)
