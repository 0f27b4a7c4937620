"""Wall and CPU time by stage, with how many segments each stage handled.

What is timed is in :mod:`benchmark.engine.stages` and :mod:`benchmark.engine.baseline`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("read", "harmonise", "spectra", "tiers", "rules", "page", "topomap", "write")
"""Stages both sides have, in order; the detector is measured apart."""


class Stopwatch:
    """Seconds, CPU seconds and segments per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.cpu_seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.segments: dict[str, int] = dict.fromkeys(STAGES, 0)

    @contextmanager
    def stage(self, name: str, n_segments: int = 0) -> Iterator[None]:
        """Add the time of a block to a stage, and the segments it finished."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - wall
            self.cpu_seconds[name] += time.process_time() - cpu
            self.segments[name] += n_segments

    def move(self, source: str, target: str) -> None:
        """Take what a stage measured so far out of the stage around it."""
        self.seconds[target] -= self.seconds[source]
        self.cpu_seconds[target] -= self.cpu_seconds[source]

    def ms_per_segment(self) -> dict[str, float]:
        """Return wall milliseconds per segment of every stage that finished one."""
        return self._per_segment(self.seconds)

    def cpu_ms_per_segment(self) -> dict[str, float]:
        """Return CPU milliseconds per segment of every stage that finished one."""
        return self._per_segment(self.cpu_seconds)

    def _per_segment(self, seconds: dict[str, float]) -> dict[str, float]:
        return {n: 1e3 * seconds[n] / self.segments[n] for n in STAGES if self.segments[n]}
