"""The task registry: lazy, frozen, helpful; hashes that move with what they cover."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmark.asking.controls import KIND_CONTROLS
from benchmark.reports.result import Result, make_result
from benchmark.tasks.items import Sources, build_items
from benchmark.tasks.registry import Registry
from benchmark.tasks.task import TASKS, Task, items_hash
from prompts.teachers.prompt_files import user_prompts

Rows = Callable[[str], list[dict[str, Any]]]


def test_every_task_loads_under_its_own_name() -> None:
    assert {name: TASKS[name].name for name in TASKS} == {n: n for n in TASKS}
    assert {"mcq", "caption", "waveform_boxes", "tusz", "hmc"} <= set(TASKS)


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_has_a_control_beside_its_score(name: str) -> None:
    assert set(TASKS[name].controls) <= set(KIND_CONTROLS[TASKS[name].kind])
    assert TASKS[name].controls[0] == "none"
    assert len(TASKS[name].controls) > 1


def test_an_unknown_name_lists_near_ones_first() -> None:
    with pytest.raises(KeyError, match="did you mean 'caption'"):
        TASKS["captoin"]


def test_a_frozen_registry_takes_nothing_more() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TASKS.register("late", "benchmark.tasks.catalogue:MCQ")


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("mcq", "benchmark.tasks.catalogue:MCQ", "twice"),
        ("other", "benchmark.tasks.catalogue", "module:attribute"),
    ],
    ids=["name taken", "no attribute"],
)
def test_a_bad_entry_is_refused(name: str, target: str, said: str) -> None:
    registry = Registry("task", Task, {"mcq": "benchmark.tasks.catalogue:MCQ"})
    with pytest.raises(ValueError, match=said):
        registry.register(name, target)


def test_an_entry_of_another_type_is_refused_when_asked_for() -> None:
    registry = Registry("task", Task, {"odd": "benchmark.tasks.task:TASKS"})
    with pytest.raises(TypeError, match="expected Task"):
        registry["odd"]


def test_listing_tasks_loads_no_task() -> None:
    code = (
        "import sys; from benchmark.tasks.task import TASKS; list(TASKS);"
        "loaded = {'benchmark.tasks.catalogue', 'benchmark.tasks.classification', 'yaml'};"
        "sys.exit(bool(loaded & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_hash_ignores_the_order_of_items(rows_of: Rows) -> None:
    rows = rows_of("mcq")
    assert items_hash(TASKS["mcq"], rows) == items_hash(TASKS["mcq"], rows[::-1])


@pytest.mark.parametrize("column", ["prompt", "answer", "options", "item_id"])
def test_the_hash_moves_with_every_part_of_an_item(rows_of: Rows, column: str) -> None:
    rows = rows_of("mcq")
    changed = {"options": ["x", "y"]}.get(column, "x")
    moved = [{**rows[0], column: changed}, *rows[1:]]
    assert items_hash(TASKS["mcq"], moved) != items_hash(TASKS["mcq"], rows)


@pytest.mark.parametrize("change", [{"version": "9"}, {"prompt": "?"}], ids=["version", "prompt"])
def test_the_hash_moves_with_the_task(rows_of: Rows, change: dict[str, str]) -> None:
    task = TASKS["mcq"]
    assert items_hash(replace(task, **change), rows_of("mcq")) != items_hash(task, rows_of("mcq"))


def test_a_mended_score_raises_a_version_and_draws_no_other_items(
    sources: Sources, rows_of: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TASKS["mcq"]

    def made(changed: Task) -> tuple[list[str], str, Result]:
        for room in ("tasks.items", "reports.result"):
            monkeypatch.setattr(f"benchmark.{room}.TASKS", {"mcq": changed})
        built = build_items("mcq", sources, cap=5)
        pages = [row["segment_id"] + row["prompt"] for row in built.rows]
        return pages, built.sha256, make_result([], {"mcq": rows_of("mcq")}, {})

    drawn, items, result = made(task)
    same, same_items, mended = made(replace(task, score_version="9"))
    assert (same, same_items) == (drawn, items)
    assert mended.tasks["mcq"].score_version == "9"
    assert mended.sha256 != result.sha256
    other, other_items, _ = made(replace(task, version="9"))
    assert other != drawn
    assert other_items != items


def test_prompts_are_phrasings_the_dataset_trains_on() -> None:
    phrasings, _ = user_prompts()
    assert TASKS["caption"].prompt in phrasings["captions"]
    trained = [phrase.replace("{question}", "Q\nA. x\nB. y") for phrase in phrasings["questions"]]
    assert TASKS["mcq"].prompt.format(question="Q", options="A. x\nB. y") in trained
