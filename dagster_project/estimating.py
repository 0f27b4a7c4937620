"""What asking a model behind a server would cost at most: the same files, the same program, no request.

The asking itself is in ``asking.py``; how a bound is made, in ``prompts.teachers.account``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from benchmark.asking.exchange import write_items
from benchmark.asking.under_test import ServedModel
from benchmark.errors import BenchmarkError
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TASKS
from dagster_project.asking import sent_items, write_asked_pages
from dagster_project.assets.models import program_environment
from dagster_project.failures import PermanentFailure
from dagster_project.resources import Workspace
from dagster_project.under_test import leaving_corpora, other_models, words_for


def estimate_asking(
    workspace: Workspace, task: str, model: str, *, controls: Sequence[str] = (), seed: int = 0
) -> str:
    """Say in one line what asking would take at most; nothing is sent.

    Parameters
    ----------
    workspace
        Where items and pages lie.
    task, model
        What is asked of whom; the task's items are stored.
    controls
        Those wanted; all of the task where empty.
    seed
        Of the controls.

    Raises
    ------
    BenchmarkError
        If the task is not known or the model is behind no server.
    PermanentFailure
        If the task has no items, or the program refuses.
    """
    if task not in TASKS:
        raise BenchmarkError(unknown("task", task, tuple(TASKS)))
    served = {name for name, found in other_models().items() if isinstance(found, ServedModel)}
    if model not in served:
        raise BenchmarkError(unknown("model behind a server", model, tuple(served)))
    store = workspace.store()
    if store.manifest("benchmark_items", task) is None:
        raise PermanentFailure(f"task {task!r} has no items yet; materialise 'benchmark_items'")
    items = store.read("benchmark_items", task).to_dicts()
    if not items:
        raise PermanentFailure(f"task {task!r} has no items; its materialisation says why")
    folder = workspace.folder("answers", f"{task}--{model}")
    folder.mkdir(parents=True, exist_ok=True)
    pages, shown = folder / "pages.parquet", folder / "items.parquet"
    chosen = write_asked_pages(workspace, task, sent_items(model, items), pages, controls)
    write_items(shown, items, workspace.walls(), leaving=leaving_corpora())
    command = [sys.executable, "-m", "benchmark", "answer", "--items", str(shown), "--pages"]
    command += [str(pages), *words_for(workspace, model, pages_may_leave=True), "--name", model]
    command += ["--task", task, "--controls", ",".join(chosen.names), "--seed", str(seed)]
    command += ["--out", str(folder / "none.parquet"), "--estimate"]
    done = subprocess.run(
        command, env=program_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise PermanentFailure(f"no estimate: {last[0]}")
    return done.stdout.strip()
