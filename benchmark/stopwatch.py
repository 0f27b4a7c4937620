"""Time by stage, with how many segments each stage handled.

What is timed is in :mod:`benchmark.engine_stages` and :mod:`benchmark.baseline`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("read", "harmonise", "spectra", "tiers", "rules", "page", "topomap", "write")
"""Stages both sides have, in order; the detector is measured apart."""


class Stopwatch:
    """Seconds and segments per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.segments: dict[str, int] = dict.fromkeys(STAGES, 0)

    @contextmanager
    def stage(self, name: str, n_segments: int = 0) -> Iterator[None]:
        """Add the time of a block to a stage, and the segments it finished."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start
            self.segments[name] += n_segments

    def ms_per_segment(self) -> dict[str, float]:
        """Return milliseconds per segment of every stage that finished one."""
        return {
            name: 1e3 * self.seconds[name] / self.segments[name]
            for name in STAGES
            if self.segments[name]
        }
