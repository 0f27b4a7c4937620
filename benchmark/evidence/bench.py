"""``neurogloss bench evidence``: whether the trainer makes a model learn from the engine's data.

A small Qwen2.5-VL is trained from random weights through stages 0, 1 and 2 on simulated people and
asked about people it never saw. Beside it stand its twin, trained the same on blank pages; the
model itself on blank pages; majority and prior of the training answers; and chance. Rooms of one
floor do not import each other, so the trainer is started as a program. What is asked is drawn in
:mod:`benchmark.evidence.material`; tables and plot are in :mod:`benchmark.evidence.report`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.asking.answers import Item
from benchmark.asking.ask import ask, ask_without_pages, grade
from benchmark.errors import BenchmarkError
from benchmark.evidence.material import CATEGORIES, Material, category_of, draw_material
from benchmark.evidence.releases import build_releases
from benchmark.evidence.report import EvidenceReport, Run, report_of
from benchmark.tasks.task import TASKS

TUNED, TWIN, ON_BLANK = "tuned", "twin", "tuned, blank page"
SHIM = "training.torchvision_shim:install"
PAGES, BLANK = "pages", "blank"


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """How much evidence.

    Parameters
    ----------
    n_subjects
        Simulated people, every sixth held out.
    categories
        What pages are asked.
    recipe
        Recipe of the model and its twin.
    ablations
        Suffixes of the recipes trained beside it, such as ``no_stage1``.
    n_items
        Most held-out questions asked.
    overrides
        ``key=value`` settings given to every run of the trainer.
    seed
        Of simulator, wordings and intervals; the recipe has its own.
    """

    n_subjects: int = 120
    categories: tuple[str, ...] = CATEGORIES
    recipe: str = "evidence/small"
    ablations: tuple[str, ...] = ()
    n_items: int = 600
    overrides: tuple[str, ...] = ()
    seed: int = 13


LARGE = EvidenceSettings(
    n_subjects=360,
    recipe="evidence/large",
    ablations=("no_stage1", "no_stage2", "no_teacher", "no_captions"),
    n_items=2000,
)


def bench_evidence(
    out: Path,
    settings: EvidenceSettings | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
) -> EvidenceReport:
    """Draw data, train model, twin and ablations, ask them, and score them.

    Parameters
    ----------
    out
        Gets releases and models; finished stages in it are used again.
    settings
        How much.
    on_progress
        Told what runs.

    Raises
    ------
    BenchmarkError
        If the trainer fails or a model cannot be asked.
    """
    given = settings or EvidenceSettings()
    begun = time.process_time()
    on_progress("drawing people")
    material = draw_material(given.n_subjects, on_progress, given.seed, given.categories)
    on_progress("building releases")
    build_releases(material, out / PAGES)
    build_releases(material, out / BLANK, is_blank=True)
    drawn_s = time.process_time() - begun
    models = _train_all(out, given, on_progress)
    items = held_out_items(material, given.n_items)
    on_progress(f"asking {len(items)} questions")
    runs = _ask_all(models, material, items, given.seed)
    return report_of(runs, items, settings=given, drawn_s=drawn_s)


def held_out_items(material: Material, n_most: int) -> list[dict[str, Any]]:
    """Return rows of table ``benchmark_items`` of people no model was trained on.

    Whole blocks in a fixed order, so that a cap keeps every option equally often right.
    """
    split = {page["segment_id"]: page for page in material.pages}
    blocks: dict[str, list[dict[str, Any]]] = {}
    for row in material.questions:
        page = split[row["segment_id"]]
        if page["split"] != "test":
            continue
        item = {
            "item_id": row["sample_id"],
            "task": "mcq",
            "segment_id": row["segment_id"],
            "subject_id": page["subject_id"],
            "corpus": page["corpus"],
            "prompt": row["question"],
            "options": list(row["options"]),
            "answer": row["answer"],
            "category": category_of(row["question_type"], row["question"]),
        }
        blocks.setdefault(row["block_id"], []).append(item)
    kept: list[dict[str, Any]] = []
    for _, block in sorted(blocks.items()):
        if len(kept) + len(block) <= n_most:
            kept += block
    if not kept:
        raise BenchmarkError("no question of a held-out person was drawn; draw more people")
    return sorted(kept, key=lambda row: row["item_id"])


def _train_all(
    out: Path, given: EvidenceSettings, on_progress: Callable[[str], None]
) -> dict[str, Path]:
    """Train every run and return the folder of its last stage."""
    runs = [(TUNED, given.recipe, PAGES), (TWIN, given.recipe, BLANK)]
    runs += [(name, f"{given.recipe}_{name}", PAGES) for name in given.ablations]
    last: dict[str, Path] = {}
    for name, recipe, releases in runs:
        on_progress(f"training {name}")
        folder = out / "models" / name
        if name not in (TUNED, TWIN):
            _lend_stages(out / "models" / TUNED, folder)
        words = ["recipe", "--recipe", recipe, "--releases", str(out / releases)]
        words += ["--out", str(folder), *(f"--set={o}" for o in given.overrides)]
        last[name] = folder / _trained_stages(words)[-1]
    return last


def _lend_stages(source: Path, folder: Path) -> None:
    """Give an ablation the finished stages it shares; the trainer checks that they are the same."""
    for stage in ("stage0", "stage1"):
        if (source / stage).is_dir() and not (folder / stage).exists():
            shutil.copytree(source / stage, folder / stage)


def _trained_stages(words: Sequence[str]) -> list[str]:
    import json

    done = subprocess.run(
        [sys.executable, "-m", "training", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BenchmarkError(f"the trainer ended with status {done.returncode}: {reason}")
    return [json.loads(line)["stage"] for line in done.stdout.splitlines() if line]


def _ask_all(
    models: dict[str, Path], material: Material, rows: Sequence[dict[str, Any]], seed: int
) -> list[Run]:
    from benchmark.__main__ import preload
    from benchmark.asking.models import baselines
    from benchmark.asking.option_words import ChoosesByWords

    preload(SHIM)
    task = TASKS["mcq"]
    items = [Item.from_row(row) for row in rows]
    pictures = {row["item_id"]: material.pictures[row["segment_id"]] for row in rows}
    answers: list[dict[str, Any]] = []
    for name, folder in models.items():
        model = ChoosesByWords(folder, name=name, batch_size=64)
        controls = {TUNED: ("none", "blank"), TWIN: ("blank",)}.get(name, ("none",))
        answers += ask(model, task, items, pictures, controls=controls, seed=seed)
    test = {page["segment_id"] for page in material.pages if page["split"] == "test"}
    seen = [q for q in material.questions if q["segment_id"] not in test]
    for baseline in baselines(task, seen, [], rows):
        answers += ask_without_pages(baseline, task, items)
    names = {(TUNED, "blank"): ON_BLANK}
    found: dict[str, dict[str, bool]] = {}
    parsed: dict[str, int] = {}
    for row in grade(task, rows, answers):
        name = names.get((row["model"], row["control"]), row["model"])
        found.setdefault(name, {})[row["item_id"]] = bool(row["is_correct"])
        parsed[name] = parsed.get(name, 0) + bool(row["is_parsed"])
    return [
        Run(name, tuple(right[row["item_id"]] for row in rows), len(rows) - parsed[name])
        for name, right in found.items()
    ]
