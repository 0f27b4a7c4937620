"""The engine throughput benchmark: the engine against the paper-style way, in interleaved rounds.

Each side lives in a fresh process with one thread (the environment is set before any import) and
works on the same recording; rounds alternate, so that other load on the machine hits both. What
the sides do is in :mod:`benchmark.engine.stages` and :mod:`benchmark.engine.baseline`, floors of single
steps are in :mod:`benchmark.engine.floors`, what comes out in :mod:`benchmark.engine.report`. Times
belong here and never into a test.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmark.engine.floors import judged
from benchmark.engine.recording import write_recording
from benchmark.engine.report import Agreement, EndToEnd, EngineReport, PageResult, StageResult
from benchmark.errors import BenchmarkError
from benchmark.stopwatch import STAGES

PINS: Mapping[str, str] = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
        "POLARS_MAX_THREADS", "NUMEXPR_NUM_THREADS",
    )
} | {"MPLBACKEND": "Agg", "MNE_LOGGING_LEVEL": "ERROR"}  # fmt: skip
"""Environment of a worker: one thread everywhere, no display."""

MIN_MINUTES = 1.0
_NEEDED = {"sklearn": "scikit-learn", "pandas": "pandas"}
_VERSIONS = ("numpy", "scipy", "numba", "mne", "matplotlib", "scikit-learn", "pyarrow", "isal")

WALL, CPU = "ms_per_segment", "cpu_ms_per_segment"

Rounds = dict[str, list[dict[str, Any]]]
"""Answers of the workers by side, one per round: engine, baseline, reused figure."""

Orchestration = float | Callable[[], float] | None


class _Worker:
    """One side's process.

    Parameters
    ----------
    side
        ``"engine"`` or ``"baseline"``.
    edf, folder, n_pictures
        Handed to :mod:`benchmark.engine.worker`.
    """

    def __init__(self, side: str, edf: Path, folder: Path, n_pictures: int) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        self._side, self._errors = side, folder.with_suffix(".log")
        program = [sys.executable, "-m", "benchmark.engine.worker"]
        with self._errors.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [*program, side, edf, folder, str(n_pictures)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, **PINS, "PYTHONPATH": path},
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.communicate()

    def order(self, name: str) -> dict[str, Any]:
        """Have one order carried out and return its answer.

        Raises
        ------
        BenchmarkError
            If the process ended instead; the message ends with its last words.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._process.stdin.write(name + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            words = self._errors.read_text(encoding="utf-8").strip().splitlines()[-1:]
            raise BenchmarkError(
                f"the {self._side} process of the benchmark ended during {name!r}: "
                f"{' '.join(words)}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def bench_engine(
    *,
    minutes: float = 10.0,
    rounds: int = 3,
    n_pictures: int = 8,
    has_detector: bool = True,
    orchestration: Orchestration = None,
    work_dir: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> EngineReport:
    """Measure the engine's throughput against the paper-style baseline.

    Parameters
    ----------
    minutes
        Length of the synthetic recording, at least :data:`MIN_MINUTES`. Memory is judged at 30.
    rounds
        Interleaved rounds after one warm-up of each side.
    n_pictures
        Pages and maps the baseline draws per round; also the pages whose quality is measured.
    has_detector
        Whether to time the waveform detector, apart from everything else.
    orchestration
        Share of wall time Dagster adds, or a function that measures it; only the rim can.
    work_dir
        Where files go; None takes a temporary folder that is removed.
    on_progress
        Called with a short phrase before each step.

    Returns
    -------
    EngineReport

    Raises
    ------
    BenchmarkError
        If a setting is out of bounds, the baseline's libraries are missing, or a worker ended.
    """
    _check(minutes, rounds, n_pictures)
    tell = on_progress or (lambda _: None)
    with ExitStack() as stack:
        folder = work_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = _measure(stack, folder, minutes, rounds, n_pictures, has_detector, tell)
    if callable(orchestration):
        tell("orchestration")
        orchestration = orchestration()
    return _report(found, minutes, rounds, n_pictures, orchestration)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the workers answered: every round, page quality, floors, sizes of the baseline's pages."""

    rounds: Rounds
    quality: Mapping[str, Any]
    floors: Any
    sizes: Sequence[int]
    agreement: Agreement
    detector_ms: Mapping[str, float] | None


def _measure(
    stack: ExitStack, folder: Path, minutes: float, rounds: int, n_pictures: int,
    has_detector: bool, tell: Callable[[str], None],
) -> _Measured:  # fmt: skip
    """Write the recording and have both sides work on it, each in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    edf = folder / "recording.edf"
    tell(f"writing {minutes:g} minutes of EEG")
    write_recording(edf, minutes)
    engine, baseline = (
        stack.enter_context(_Worker(side, edf, folder / side, n_pictures))
        for side in ("engine", "baseline")
    )
    measured: Rounds = {"engine": [], "baseline": [], "reused_figure": []}
    for i in range(rounds + 1):
        tell(f"round {i} of {rounds}" if i else "warming up both sides")
        answers = {
            "engine": engine.order("round"),
            "baseline": baseline.order("round"),
            "reused_figure": baseline.order("reused_figure"),
        }
        for side, answer in answers.items():
            measured[side] += [answer] if i else []
    tell("page quality")
    quality = baseline.order("page_quality")
    tell("floors of single steps")
    floors = baseline.order("floors")
    detector_ms = engine.order("detector")["ms_per_segment"] if has_detector else None
    sizes = [p.stat().st_size for p in sorted((folder / "baseline").glob("page_*.png"))]
    agreement = _agreement(folder / "engine" / "check.npz", folder / "baseline" / "check.npz")
    return _Measured(measured, quality, floors, sizes, agreement, detector_ms)


def _report(
    found: _Measured, minutes: float, rounds: int, n_pictures: int, share: float | None
) -> EngineReport:
    stages, end_to_end = _stages(found.rounds), _end_to_end(found.rounds)
    page = _page(found.quality, found.sizes, found.rounds)
    engine, baseline = found.rounds["engine"], found.rounds["baseline"]
    return EngineReport(
        minutes=minutes,
        n_segments=int(engine[0]["n_segments"]),
        rounds=rounds,
        n_pictures=n_pictures,
        stages=stages,
        end_to_end=end_to_end,
        page=page,
        agreement=found.agreement,
        rss_mb=max(answer["rss_mb"] for answer in engine),
        baseline_rss_mb=max(answer["rss_mb"] for answer in baseline),
        busy_share=median(a["cpu_s"] / a["wall_s"] for a in engine),
        detector_ms_per_segment=found.detector_ms,
        orchestration_share=share,
        environment=_environment(),
        floors=judged(found.floors, stages, page, end_to_end.ratio),
    )


def _check(minutes: float, rounds: int, n_pictures: int) -> None:
    if minutes < MIN_MINUTES or rounds < 1 or n_pictures < 1:
        raise BenchmarkError(
            f"minutes={minutes:g}, rounds={rounds}, n_pictures={n_pictures} is not allowed; use at "
            f"least {MIN_MINUTES:g} minute, 1 round and 1 picture"
        )
    missing = [package for name, package in _NEEDED.items() if not importlib.util.find_spec(name)]
    if missing:
        raise BenchmarkError(
            f"the baseline needs {', '.join(missing)}; install the extra: neurogloss[bench]"
        )


def _ratios(rounds: Rounds, clock: str, *, is_reused: bool = False) -> list[float]:
    """Return baseline over engine, all stages, per round."""
    found = []
    for ours, theirs, reused in zip(*rounds.values(), strict=True):
        total = sum(theirs[clock].values())
        if is_reused:
            total += reused[clock] - theirs[clock]["page"]
        found.append(total / sum(ours[clock].values()))
    return found


def _stages(rounds: Rounds) -> dict[str, StageResult]:
    ours = [answer[WALL] for answer in rounds["engine"]]
    theirs = [answer[WALL] for answer in rounds["baseline"]]
    return {
        name: StageResult(
            median(r[name] for r in ours),
            median(r[name] for r in theirs),
            median(b[name] / a[name] for a, b in zip(ours, theirs, strict=True)),
        )
        for name in STAGES
    }


def _end_to_end(rounds: Rounds) -> EndToEnd:
    ratios = _ratios(rounds, WALL)
    return EndToEnd(
        ratio=median(ratios),
        ratio_per_round=tuple(ratios),
        ratio_cpu=median(_ratios(rounds, CPU)),
        ratio_reused_figure=median(_ratios(rounds, WALL, is_reused=True)),
        ms_per_segment=median(sum(a[WALL].values()) for a in rounds["engine"]),
        baseline_ms_per_segment=median(sum(a[WALL].values()) for a in rounds["baseline"]),
    )


def _page(quality: Mapping[str, Any], sizes: Sequence[int], rounds: Rounds) -> PageResult:
    pairs = [
        (ours[WALL]["page"], reused[WALL])
        for ours, reused in zip(rounds["engine"], rounds["reused_figure"], strict=True)
    ]
    return PageResult(
        psnr_db=median(quality["psnr_db"]),
        psnr_db_min=min(quality["psnr_db"]),
        bytes_per_page=median(quality["n_bytes"]),
        baseline_bytes_per_page=median(sizes),
        reused_figure_ms=median(reused for _, reused in pairs),
        ratio_reused_figure=median(reused / ours for ours, reused in pairs),
    )


def _agreement(engine: Path, baseline: Path) -> Agreement:
    with np.load(engine) as ours, np.load(baseline) as theirs:
        n = min(len(ours["signal_uv"]), len(theirs["signal_uv"]), len(ours["tiers"]) - 1)
        difference = np.abs(ours["signal_uv"][1:n] - theirs["signal_uv"][1:n])
        alpha = theirs["alpha_uv2"]
        relative = np.abs(ours["alpha_uv2"] - alpha) / np.maximum(alpha, 1e-6)
        is_judged = (ours["tiers"] >= 0).all(axis=1)
        equal = (ours["tiers"] == theirs["tiers"]).all(axis=1)[is_judged]
    return Agreement(float(difference.max()), float(np.median(relative)), float(equal.mean()))


def _environment() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in _VERSIONS}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
    } | versions
