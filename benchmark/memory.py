"""Peak memory of a process, as every bench of this room states it.

Speed by stage is in :mod:`benchmark.stopwatch`.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_rss_mb() -> float:
    """Return the peak resident memory of this process in MB (2**20 bytes).

    Linux hands the peak of the process that started this one down to ``getrusage``, so the own
    one is read where it is told.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024**2)
