"""Protocols: strict files, every corpus asked about or excused, words a reader needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.tasks.protocol import load_protocol, protocol, uncovered
from benchmark.tasks.task import PROTOCOL_NAMES, PROTOCOLS, TASKS
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.splits import SPLIT_PROTOCOLS

NAMED_IN_THE_ISSUE = (
    "tusz", "hmc", "tuab", "tuev", "tusl", "seed", "workload", "depression_122", "siena", "seed_iv",
)  # fmt: skip


def test_the_names_are_those_of_the_files() -> None:
    assert tuple(sorted(path.stem for path in PROTOCOLS.glob("*.yaml"))) == PROTOCOL_NAMES
    assert set(NAMED_IN_THE_ISSUE) <= set(PROTOCOL_NAMES)


@pytest.mark.parametrize("name", PROTOCOL_NAMES)
def test_a_protocol_says_what_a_reader_needs(name: str) -> None:
    found = protocol(name)
    task = TASKS[name]
    assert set(found.corpora) <= set(corpora())
    assert task.kind == "choice"
    assert task.primary_metric == "balanced_accuracy"
    assert found.published
    assert "our own split" in found.ours
    assert any(line.startswith("Here: ") for line in task.about)
    assert re.search(r"\{options\}", task.prompt)


@pytest.mark.parametrize("name", PROTOCOL_NAMES)
def test_a_published_split_is_one_the_corpus_entry_knows(name: str) -> None:
    found = protocol(name)
    known = {
        choice.parsed(SPLIT_PROTOCOLS[choice.name].params).protocol
        for key in found.corpora
        for choice in corpora()[key].splits
    }
    assert {part.protocol for part in found.parts} <= known


def test_every_corpus_is_asked_about_or_excused() -> None:
    asked = {key for name in PROTOCOL_NAMES for key in protocol(name).corpora}
    excused = uncovered()
    catalogue = {key for key in corpora() if key != "own"}
    assert asked | set(excused) == catalogue
    assert not asked & set(excused)
    assert all(len(reason) > 30 for reason in excused.values())


def test_fingerprints_tell_tasks_apart_that_share_a_prompt() -> None:
    assert len({TASKS[name].fingerprint for name in PROTOCOL_NAMES}) == len(PROTOCOL_NAMES)


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"question": "Is there a seizure on this page?"}, True),
        ({"option_seed": 1}, True),
        ({"label": {"covered_from": 0.3}}, True),
        ({"title": "Another title"}, False),
        ({"cap": 5}, False),
    ],
    ids=["question", "order of options", "rule", "title", "cap"],
)
def test_the_hash_moves_with_what_decides_an_item(
    tmp_path: Path, change: dict[str, object], moves: bool
) -> None:
    content = yaml.safe_load((PROTOCOLS / "tusz.yaml").read_text())
    if isinstance(more := change.get("label"), dict):
        change = {"label": {**content["label"], **more}}
    (tmp_path / "tusz.yaml").write_text(yaml.safe_dump({**content, **change}))
    assert (load_protocol(tmp_path / "tusz.yaml").digest != protocol("tusz").digest) is moves


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, "colour"),
        ({"options": ["Seizure"]}, "options"),
        ({"options": ["Seizure", "No seizure", "Unsure"]}, "every option"),
        ({"question": "A seizure"}, "question"),
        ({"draw": "pages"}, "stretches"),
        ({"name": "other"}, "names itself"),
        ({"cap": 0}, "cap"),
        ({"positive": "Yes"}, "one of two"),
        ({"label": {"present": "yes"}}, "present and absent"),
        ({"label": {"covered_from": 0.0}}, "covered_from"),
        ({"published": [{"by": "somebody"}]}, "published"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_a_wrong_file_is_refused_with_its_place(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    content = yaml.safe_load((PROTOCOLS / "tusz.yaml").read_text())
    if isinstance(more := change.get("label"), dict):
        change = {"label": {**content["label"], **more}}
    path = tmp_path / "tusz.yaml"
    path.write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(BenchmarkError, match=said):
        load_protocol(path)


@pytest.mark.parametrize("text", ["[1, 2", "just words", "", "a: &x [*x]"])
def test_a_file_that_is_no_protocol_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tusz.yaml"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=r"tusz\.yaml"):
        load_protocol(path)


def test_an_unknown_protocol_names_near_ones() -> None:
    with pytest.raises(BenchmarkError, match="did you mean 'tusz'"):
        protocol("tuszz")
