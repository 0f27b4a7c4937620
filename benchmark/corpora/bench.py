"""The corpora benchmark: how fast every corpus of the catalogue is read, filtered and cut.

Corpora found under the data root are measured on their own files, the others on a small file of
their format. One fresh process with one thread each, one after the other: machines are shared, so
speeds are per CPU-minute, and the floors are ratios inside one process. What a process does is in
:mod:`benchmark.corpora.worker`; what comes out in :mod:`benchmark.corpora.report`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmark.corpora.report import FLOORS, CorporaReport, CorpusLine, FloorResult, Speed
from benchmark.corpora.samples import SAMPLES, sample_of, write_edf, write_entry
from benchmark.engine.bench import PINS
from benchmark.errors import BenchmarkError

FLOOR_FILES: Mapping[str, tuple[str, int, int]] = {
    "EDF 256 Hz": (".edf", 256, 2),
    "EDF 500 Hz": (".edf", 500, 2),
    "BDF 512 Hz": (".bdf", 512, 3),
}
"""Suffix, rate and bytes of a sample of the files set against MNE-Python."""
N_STREAMED = 19
STREAMED_HZ = 256
LONG_H, SHORT_H = 24.0, 2.0
"""Length of the long recording that memory is measured on, with and without ``is_long``."""
ROOM_FACTOR = 3.0
"""Free disk asked for, in sizes of the long file: it, its segments, and something left."""
_VERSIONS = ("numpy", "scipy", "mne", "pyarrow")
_ENTRIES = "NEUROGLOSS_CORPORA"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Parameters
    ----------
    rounds
        Times each step is done.
    max_recordings
        Files of a real corpus read at most.
    sample_minutes, floor_minutes
        Length of the samples, and of the files set against MNE-Python.
    streamed_h
        Length of the short and of the long recording memory is measured on.
    formats
        Samples made, all by default; corpora of another format that are not there stay unmeasured.
    floor_files
        Names of :data:`FLOOR_FILES` that are set against MNE-Python.
    """

    rounds: int = 3
    max_recordings: int = 8
    sample_minutes: float = 10.0
    floor_minutes: float = 30.0
    streamed_h: tuple[float, float] = (1.0, SHORT_H)
    formats: tuple[str, ...] = tuple(SAMPLES)
    floor_files: tuple[str, ...] = tuple(FLOOR_FILES)

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.max_recordings < 1:
            raise BenchmarkError(
                f"rounds={self.rounds}, max_recordings={self.max_recordings} is not allowed; use "
                "at least 1"
            )


def bench_corpora(
    data_root: Path | None,
    *,
    settings: Settings | None = None,
    work_dir: Path | None = None,
    on_progress: Tell | None = None,
) -> CorporaReport:
    """Measure inventory and cutting of every corpus, and the floors of the fast path.

    Parameters
    ----------
    data_root
        Folder that holds corpora in their own layout; None measures samples only.
    settings
        How much is measured.
    work_dir
        Where files go; None takes a temporary folder that is removed.
    on_progress
        Called with a short phrase before each step.

    Raises
    ------
    BenchmarkError
        If the data root is no folder, or a process ended without an answer.
    """
    if data_root is not None and not data_root.is_dir():
        raise BenchmarkError(f"data root {str(data_root)!r} is not a folder; check --data")
    chosen, tell = settings or Settings(), on_progress or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="bench-corpora-", dir=work_dir) as folder:
        bench = _Bench(Path(folder), chosen, tell)
        speeds, lines = bench.corpora(data_root)
        floors = bench.against_mne()
        streamed, notes = bench.streamed()
    others = _others(speeds, lines)
    return CorporaReport(lines, speeds, floors | streamed, others, notes, _environment())


@dataclass(frozen=True, slots=True)
class _Bench:
    folder: Path
    settings: Settings
    tell: Tell

    def corpora(self, data_root: Path | None) -> tuple[dict[str, Speed], tuple[CorpusLine, ...]]:
        """Measure each format once, then each corpus that is there."""
        from dagster_project.corpora.registry import corpora

        speeds = {SAMPLES[name].key: self._sample(name) for name in self.settings.formats}
        lines = []
        for key in corpora():
            line, own = self._line(key, data_root)
            lines.append(line)
            if own:
                speeds[key] = own
        return speeds, tuple(lines)

    def _sample(self, name: str) -> Speed:
        self.tell(f"format {name}")
        root = self.folder / "samples" / name
        root.mkdir(parents=True)
        SAMPLES[name].make(root, self.settings.sample_minutes)
        found = self._speed(SAMPLES[name].key, root, entries=root / "entries")
        if not found.n_accepted:
            raise BenchmarkError(
                f"the sample of format {name} was set aside: {_told(found.causes)}; the reader and "
                "the benchmark no longer agree"
            )
        shutil.rmtree(root)
        return found

    def _line(self, key: str, data_root: Path | None) -> tuple[CorpusLine, Speed | None]:
        """Measure a corpus on its own files, or name the sample that stands for it."""
        from dagster_project.corpora.registry import corpus
        from dagster_project.corpora.shards import corpus_folder

        spec = corpus(key)
        reader, remark = spec.reader.name, ""
        is_fast = _is_fast(reader, spec.files.suffixes)
        if data_root is not None and corpus_folder(spec, data_root):
            self.tell(f"corpus {key}")
            found = self._speed(key, data_root)
            remark = _told(found.causes)
            if found.n_accepted:
                return CorpusLine(key, reader, is_fast, "corpus", key, remark), found
            remark = remark or "its folder holds no recordings"
        sample = sample_of(spec)
        if sample not in self.settings.formats:
            return CorpusLine(key, reader, is_fast, "not measured", "", remark), None
        name = SAMPLES[sample].key
        return CorpusLine(key, reader, is_fast, "format sample", name, remark), None

    def _speed(self, key: str, root: Path, *, entries: Path | None = None, **more: Any) -> Speed:
        order = {
            "key": key, "root": str(root), "rounds": self.settings.rounds,
            "max_recordings": self.settings.max_recordings,
        }  # fmt: skip
        return Speed(**run_order("corpus", order | more, self.folder, entries))

    def against_mne(self) -> dict[str, FloorResult]:
        """Set reading and filtering against MNE-Python (P3, P4)."""
        found: dict[str, FloorResult] = {}
        seconds = max(1, round(60 * self.settings.floor_minutes))
        for name in self.settings.floor_files:
            suffix, rate_hz, width = FLOOR_FILES[name]
            self.tell(f"{name} against MNE-Python")
            path = self.folder / f"floor{suffix}"
            write_edf(path, rate_hz, seconds, width=width)
            order = {"path": str(path), "rounds": self.settings.rounds}
            answer = run_order("against_mne", order, self.folder)
            path.unlink()
            reading, picked, filtering = (answer[n] for n in ("read", "read_picked", "filter"))
            error = answer["relative_error"]
            same = "" if error is None else f", relative difference {error:.1g}"
            found[f"P3 {name}"] = _floor(
                "P3", filtering["wall"], f"{filtering['cpu']:.3g}x by CPU time{same}"
            )
            found[f"P4 {name}"] = _floor(
                "P4", reading["wall"],
                f"{reading['cpu']:.3g}x by CPU time; {picked['wall']:.3g}x where MNE-Python loads "
                "19 channels only",
            )  # fmt: skip
        return found

    def streamed(self) -> tuple[dict[str, FloorResult], tuple[str, ...]]:
        """Measure memory over a long recording (P14)."""
        short_h, long_h = self.settings.streamed_h
        n_bytes = long_h * 3600 * STREAMED_HZ * N_STREAMED * 2
        free = shutil.disk_usage(self.folder).free
        if free < ROOM_FACTOR * n_bytes:
            return {}, (
                f"P14 not measured: {free / 1e9:.1f} GB free, "
                f"{ROOM_FACTOR * n_bytes / 1e9:.1f} GB are needed for {long_h:g} h.",
            )
        short, long = self._stream(short_h), self._stream(long_h)
        growth = 100 * (long.rss_mb / short.rss_mb - 1)
        speeds = (long.inventory_h_per_cpu_min or 0, long.cut_h_per_cpu_min or 0)
        found = {
            f"P14 peak, {long_h:g} h": _floor(
                "P14 peak", long.rss_mb,
                f"{N_STREAMED} ch, {STREAMED_HZ} Hz, {long.n_segments} segments; inventory "
                f"{speeds[0]:.0f}, cut {speeds[1]:.0f} h/CPU-min",
            ),
            f"P14 growth, {short_h:g} to {long_h:g} h": _floor(
                "P14 growth", growth, f"per cent; {short.rss_mb:.0f} MB at {short_h:g} h"
            ),
        }  # fmt: skip
        if long_h >= LONG_H:
            return found, ()
        return found, (f"P14 on {long_h:g} h only; --long takes {LONG_H:g} h.",)

    def _stream(self, hours: float) -> Speed:
        self.tell(f"streaming {hours:g} h")
        root = self.folder / f"stream-{hours:g}"
        (root / "streamed").mkdir(parents=True)
        write_edf(
            root / "streamed" / "s01.edf", STREAMED_HZ, round(hours * 3600), n_channels=N_STREAMED
        )
        write_entry(root, "streamed", "edf", {}, ".edf")
        found = self._speed("streamed", root, entries=root / "entries", rounds=1, is_warmed=False)
        shutil.rmtree(root)
        if not found.n_accepted:
            raise BenchmarkError(f"the long recording was set aside: {_told(found.causes)}")
        return found


def run_order(
    name: str, order: Mapping[str, Any], folder: Path, entries: Path | None = None
) -> dict[str, Any]:
    """Carry out one order of :mod:`benchmark.corpora.worker` in a fresh process.

    Parameters
    ----------
    name, order
        Order and its arguments.
    folder
        For its temporary files.
    entries
        Folder of further catalogue entries; None leaves the user's own.

    Raises
    ------
    BenchmarkError
        If the process ended without an answer; the message ends with its last words.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, **PINS, "PYTHONPATH": path, "TMPDIR": str(folder)}
    if entries is not None:
        environment[_ENTRIES] = str(entries)
    program = [sys.executable, "-m", "benchmark.corpora.worker", name, json.dumps(dict(order))]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        words = done.stderr.strip().splitlines()[-1:]
        raise BenchmarkError(
            f"the benchmark's process for {name} {order.get('key', '')} ended with status "
            f"{done.returncode}: {' '.join(words)}"
        )
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _is_fast(reader: str, suffixes: Sequence[str]) -> bool:
    """Whether files of these suffixes stream in the process, without a guarding child."""
    from dagster_project.corpora.readers.table import READERS

    return not any(READERS[reader].is_guarded(Path(f"x{suffix}")) for suffix in suffixes)


def _others(measured: Collection[str], lines: Sequence[CorpusLine]) -> tuple[CorpusLine, ...]:
    """Return a line for every sample that stands for no corpus."""
    known = {line.speed for line in lines}
    return tuple(
        CorpusLine(
            f"({s.meaning})", s.reader, _is_fast(s.reader, [s.suffix]), "format sample", s.key
        )
        for s in SAMPLES.values()
        if s.key in measured and s.key not in known
    )


def _floor(goal: str, value: float, detail: str) -> FloorResult:
    bound, is_ceiling = FLOORS[goal]
    return FloorResult(value, bound, is_ceiling, detail)


def _told(causes: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {cause}" for cause, n in sorted(causes.items()))


def _environment() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
    } | {name: metadata.version(name) for name in _VERSIONS}
