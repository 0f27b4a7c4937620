"""The benchmarks as commands, and the one part only the rim can run: what Dagster adds.

The same assets are run on the same shard twice: as plain functions, and as a job on an instance
with its event log, checks, versions and metadata. The rest is in ``benchmark.corpora.bench`` and
``benchmark.engine.bench``.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from dagster_project.jobs import REBUILD_CORPUS
from dagster_project.resources import DATA_VARIABLE, Workspace

SHARD = "simulated-01-of-02"
CHAIN = (
    "recordings", "segments", "fingerprints", "spectral_features", "spatial_features", "waveform_events",
    "rule_findings", "findings", "captions", "questions",
)  # fmt: skip
WIDE = 190
"""Columns of a table that goes to a file or a pipe."""


def run_engine_bench(*, minutes: float, rounds: int, is_json: bool) -> int:
    """Run ``neurogloss bench engine`` and print its report."""
    from benchmark.engine.bench import bench_engine
    from benchmark.engine.report import report_table

    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    report = bench_engine(minutes=minutes, rounds=rounds, orchestration=orchestration_share)
    if is_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
    else:
        from rich.console import Console

        Console().print(report_table(report))
    return 0


def run_corpora_bench(*, data: str | None, is_long: bool, rounds: int, is_json: bool) -> int:
    """Run ``neurogloss bench corpora`` and print its report.

    Parameters
    ----------
    data
        Data root; None takes the variable's, and without it only samples are measured.
    is_long
        Whether memory is measured over a day.
    rounds, is_json
        Rounds of each step, and how the report is printed.
    """
    from rich.console import Console

    from benchmark.corpora.bench import LONG_H, SHORT_H, Settings, bench_corpora
    from benchmark.corpora.report import report_tables

    root = data or os.environ.get(DATA_VARIABLE)
    errors = Console(stderr=True)
    report = bench_corpora(
        Path(root) if root else None,
        settings=Settings(rounds=rounds, streamed_h=(1.0, LONG_H if is_long else SHORT_H)),
        on_progress=lambda step: errors.print(f"{step} ...", style="dim"),
    )
    if is_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
        return 0
    shown = Console(width=None if sys.stdout.isatty() else WIDE)
    for table in report_tables(report):
        shown.print(table)
    for miss in report.misses():
        shown.print(f"Below the floor: {miss}.")
    return 0


def run_detectors_bench(
    *, data: str | None, events: str | None, n_subjects: int, seed: int, is_json: bool
) -> int:
    """Run ``neurogloss bench detectors`` and print its report.

    Parameters
    ----------
    data
        Without ``events`` the data root with rest of healthy people, the variable's where None;
        with them the folder of the recordings they label.
    events
        Table of labels, or None for planted truth.
    n_subjects, seed
        Subjects of each made background, and the seed of everything drawn.
    is_json
        How the report is printed.
    """
    from rich.console import Console

    from benchmark.detectors.bench import bench_detectors
    from benchmark.detectors.labels import bench_labels
    from benchmark.detectors.pages import PageSettings
    from benchmark.detectors.report import report_tables

    errors = Console(stderr=True)

    def say(step: str) -> None:
        errors.print(f"{step} ...", style="dim")

    root = data or os.environ.get(DATA_VARIABLE)
    if events:
        report = bench_labels(Path(root or "."), Path(events), seed=seed, on_progress=say)
    else:
        settings = PageSettings(n_subjects=n_subjects, seed=seed)
        report = bench_detectors(Path(root) if root else None, settings=settings, on_progress=say)
    if is_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
        return 0
    shown = Console(width=None if sys.stdout.isatty() else WIDE)
    for table in report_tables(report):
        shown.print(table)
    for line in (*report.notes, *(f"Below the floor: {miss}." for miss in report.misses())):
        shown.print(line)
    return 0


def run_text_bench(
    *,
    claims: str | None,
    grounding: int | None,
    gateway: int | None,
    teacher: str | None,
    pages: int,
    data: str | None,
    minutes: float | None,
    seed: int,
    is_json: bool,
) -> int:
    """Run ``neurogloss bench text`` and print its report.

    Parameters
    ----------
    claims
        File of labelled texts to score the claim reader on, or None.
    grounding
        Number of planted pages to measure the grounding check on, or None.
    gateway
        Number of rows to measure the teacher gateway's memory on, or None.
    teacher
        File with a teacher's settings, YAML, to be asked about ``pages`` pages, or None.
    data
        Folder of corpora that half of those pages come from; None takes all of them planted.
    minutes
        Time after which the teacher is asked nothing more, or None.
    seed, is_json
        Seed of the bootstrap, and how the report is printed.
    """
    from rich.console import Console

    from benchmark.text.bench import bench_text, report_tables
    from benchmark.text.teachers import TeacherAsked

    labelled = Path(claims) if claims else None
    asked = None
    if teacher:
        asked = TeacherAsked.read(Path(teacher), pages, Path(data) if data else None, minutes)
    report = bench_text(
        claims=labelled, grounding=grounding, gateway=gateway, teacher=asked, seed=seed
    )
    if is_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
        return 0
    shown = Console(width=None if sys.stdout.isatty() else WIDE)
    for table in report_tables(report):
        shown.print(table)
    for line in (*report.notes, *(f"Below the floor: {miss}." for miss in report.misses())):
        shown.print(line, markup=False)
    return 0


def run_train_bench(
    *, dataset: str | None, recipe: str, micro_batch: int, steps: int, rounds: int, is_json: bool
) -> int:
    """Run ``neurogloss bench train`` and print its report.

    Parameters
    ----------
    dataset
        Folder of an instruction release; None takes the demo's under the storage root.
    recipe, micro_batch, steps, rounds
        See :class:`benchmark.train.bench.TrainSettings`.
    is_json
        How the report is printed.
    """
    from rich.console import Console

    from benchmark.train.bench import MFU_FORMULA, TrainSettings, bench_train, report_tables

    errors = Console(stderr=True)
    report = bench_train(
        Path(dataset) if dataset else Workspace().folder("releases", "demo"),
        TrainSettings(recipe=recipe, micro_batch=micro_batch, steps=steps, rounds=rounds),
        on_progress=lambda step: errors.print(f"{step} ...", style="dim"),
    )
    if is_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
        return 0
    shown = Console(width=None if sys.stdout.isatty() else WIDE)
    for table in report_tables(report):
        shown.print(table)
    lines = [f"{MFU_FORMULA}.", *(f"{note}." for note in report.notes)]
    for line in (*lines, *(f"Below the floor: {miss}." for miss in report.misses())):
        shown.print(line, markup=False)
    return 0


def orchestration_share(*, minutes: float = 10.0, rounds: int = 3) -> float:
    """Measure the share of a shard's wall time that is Dagster's.

    Parameters
    ----------
    minutes
        Length of each simulated recording.
    rounds
        Interleaved rounds; medians are compared.

    Returns
    -------
    float
        ``(job - plain) / job``, where plain is the same assets called as functions. Blocking checks
        count as Dagster's, since a plain run has none.
    """
    with tempfile.TemporaryDirectory() as home, _instance(home) as instance:
        workspace = Workspace(storage_root=f"{home}/root")
        _simulate(workspace, minutes)
        plain, job = [], []
        for _ in range(rounds):
            plain.append(_timed(lambda: _run_plain(workspace)))
            job.append(_timed(lambda: _run_job(instance, workspace)))
    whole = statistics.median(job)
    return max(0.0, (whole - statistics.median(plain)) / whole)


@contextmanager
def _instance(home: str) -> Iterator[dg.DagsterInstance]:
    folder = Path(home, "dagster_home")
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


def _simulate(workspace: Workspace, minutes: float) -> None:
    from dagster_project.assets.corpora import SimulationConfig, simulated_corpus

    config = SimulationConfig(n_subjects=4, minutes_per_recording=minutes, seed=1)
    simulated_corpus(dg.build_asset_context(partition_key="simulated"), config, workspace)


def _run_plain(workspace: Workspace) -> None:
    from dagster_project.assets import corpora, features, findings, leakage, text

    found = {
        asset.key.to_user_string(): asset
        for module in (corpora, leakage, features, findings, text)
        for asset in module.ASSETS
    }
    for name in CHAIN:
        found[name](dg.build_asset_context(partition_key=SHARD, resources={"workspace": workspace}))


def _run_job(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    from dagster_project.build import build_definitions

    job = build_definitions({"workspace": workspace}).resolve_job_def(REBUILD_CORPUS)
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job.execute_in_process(instance=instance, partition_key=SHARD, run_config=quiet)


def _timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
