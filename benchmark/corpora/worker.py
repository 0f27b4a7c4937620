"""One process of the corpora benchmark: reads one corpus, or sets one format against MNE-Python.

Takes an order as JSON on the command line, answers one JSON line. A fresh process each, with one
thread, so that peak memory is this corpus' alone. Orders come from :mod:`benchmark.corpora.bench`; what
is measured against MNE-Python is in :mod:`benchmark.corpora.floors`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.memory import peak_rss_mb

SALT = "benchmark"
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_s() -> float:
    """Return CPU seconds of this process and all its children, living ones included.

    Readers that hand bytes to C libraries run in a child that outlives the call, so the usual
    clocks miss it; living children are seen where the system has ``/proc``.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(int(f[11]) + int(f[12]) for f in _children().values()) / _TICKS
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


def _children() -> dict[str, list[str]]:
    """Return the fields of ``stat`` after the name, of every living child, by process id."""
    found = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found[stat.parent.name] = fields
    return found


def largest_rss_mb() -> float:
    """Return the peak resident memory of this process or its largest child, in MB (2**20)."""
    peaks = [peak_rss_mb()]
    for pid in _children():
        with contextlib.suppress(OSError):
            lines = (_PROC / pid / "status").read_text().splitlines()
            peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return max(peaks)


def measure_corpus(
    key: str, root: str, *, rounds: int, max_recordings: int, is_warmed: bool = True
) -> dict[str, Any]:
    """Take the inventory of a corpus and cut what it accepts, so many times over.

    Parameters
    ----------
    key, root
        Corpus and data root.
    rounds
        Times it is done; the CPU time of all is summed, so that short files are not lost in the
        clock's ticks.
    max_recordings
        Files read; shards are taken in order until there are so many.
    is_warmed
        Whether an unmeasured round goes before.

    Returns
    -------
    dict
        Hours per CPU-minute of both steps, what was read, and peak memory; ``n_accepted`` is 0
        and ``causes`` says why where nothing could be used.
    """
    from dagster_project.corpora.guard import n_bytes_of
    from dagster_project.corpora.registry import corpus
    from dagster_project.corpora.segments import process_shard

    spec, folder = corpus(key), Path(root)
    clock = cpu_s if _PROC.is_dir() else time.perf_counter
    taken_s, cut_s, n_segments = 0.0, 0.0, 0
    rows: list[Any] = []
    for i in range(rounds + is_warmed):
        is_counted = i >= is_warmed
        before = clock()
        rows = list(_rows(spec, folder, max_recordings))
        between = clock()
        accepted = [row for row in rows if row["status"] == "accepted"]
        if not accepted:
            break
        n_segments = process_shard(spec, folder, rows).segments.num_rows
        if is_counted:
            taken_s += between - before
            cut_s += clock() - between
    rss_mb = largest_rss_mb()
    accepted = [row for row in rows if row["status"] == "accepted"]
    hours = sum(row["duration_s"] for row in accepted) / 3600
    files = [folder / row["path"] for row in accepted]
    return {
        "n_files": len(rows),
        "n_accepted": len(accepted),
        "n_segments": n_segments,
        "causes": dict(Counter(row["reject_cause"] for row in rows if row["reject_cause"])),
        "hours": hours,
        "file_mb": sum(map(n_bytes_of, files)) / 1e6,
        "n_channels": _n_channels(spec, files[0]) if files else 0,
        "sfreq_hz": max((row["sfreq_hz"] for row in accepted), default=0.0),
        "inventory_h_per_cpu_min": _speed(hours, rounds, taken_s),
        "cut_h_per_cpu_min": _speed(hours, rounds, cut_s),
        "rss_mb": rss_mb,
    }


def _rows(spec: Any, root: Path, max_recordings: int) -> Iterator[dict[str, Any]]:
    from dagster_project.corpora.inventory import inventory
    from dagster_project.corpora.shards import shard_keys

    left = max_recordings
    for shard in shard_keys(spec.key):
        if left > 0:
            found = inventory(spec, root, shard, salt=SALT, max_recordings=left)
            left -= len(found.recordings)
            yield from found.recordings


def _speed(hours: float, rounds: int, cpu: float) -> float | None:
    return hours * rounds * 60 / cpu if cpu > 0 and hours > 0 else None


def _n_channels(spec: Any, path: Path) -> int:
    """Signals in a file the inventory accepted, those not taken included."""
    from dagster_project.corpora.readers.table import open_recording

    with open_recording(path, spec.reader) as recording:
        return len(recording.signals)


def _against_mne(**order: Any) -> dict[str, Any]:
    from benchmark.corpora.floors import against_mne

    return against_mne(**order)


ORDERS: dict[str, Callable[..., dict[str, Any]]] = {
    "corpus": measure_corpus,
    "against_mne": _against_mne,
}


def main(arguments: list[str]) -> None:
    """Carry out one order: its name and its arguments as JSON."""
    name, order = arguments
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        answer = ORDERS[name](**json.loads(order))
    answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
