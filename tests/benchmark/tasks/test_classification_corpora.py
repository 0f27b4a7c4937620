"""Every classification task on small files of its corpora, taken in as the graph does, and on real ones.

By default the tasks the issue names; ``NEUROGLOSS_EVERY_CORPUS=1`` takes all.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from benchmark.tasks.classification import LABELLED_COLUMNS
from benchmark.tasks.items import ItemSet, Sources, build_items
from benchmark.tasks.protocol import protocol
from benchmark.tasks.task import PROTOCOL_NAMES, TASKS
from dagster_project.corpora.registry import corpus

sys.path.insert(0, str(Path(__file__).parents[2] / "corpora"))  # formats and trees

from every_corpus import take_in

LETTERS = "ABCDEFGH"
CLASSES = {
    "tusz": {"No seizure": 19, "Seizure": 6},
    "siena": {"No seizure": 11, "Seizure": 7},
    "chb_mit": {"No seizure": 14, "Seizure": 2},
    "helsinki_neonatal": {"No seizure": 10, "Seizure": 3},
    "hmc": {"Wake": 9, "N1": 9, "N2": 6, "N3": 2},
    "tuab": {"Abnormal": 12, "Normal": 12},
    "tuev": {
        "Generalised periodic discharges": 4, "Lateralised periodic discharges": 2, "Artifact": 1,
        "Spike and slow wave": 1, "Background": 2, "Eye movement": 1,
    },
    "tusl": {"Seizure": 1, "Background": 3, "Slowing": 2},
    "seed": {"Neutral": 25, "Positive": 25, "Negative": 25},
    "seed_iv": {"Negative": 60, "Positive": 30, "Neutral": 30},
    "workload": {"Mental arithmetic": 18, "Rest": 27},
    "depression_122": {"Control": 16, "High depression score": 8},
}  # fmt: skip
"""What the trees of ``tests/corpora`` hold; those of TUSZ and Siena follow from the plans there."""
NOT_IN_THE_TREES = {"motor_imagery"}
TREE_OF = {
    "helsinki-neonatal": "helsinki", "hfo-ds003555": "hfo", "dreams-subjects": "dreams",
    "dreams-patients": "dreams",
}  # fmt: skip
ASKED = PROTOCOL_NAMES if os.environ.get("NEUROGLOSS_EVERY_CORPUS") else tuple(CLASSES)


def labelled(root: Path, keys: Sequence[str]) -> pl.DataFrame:
    """Pages of some corpora; everybody is a test subject, since the trees hold few people."""
    frames = [
        pl.DataFrame(pl.from_arrow(shard.segments.select(list(LABELLED_COLUMNS))))
        for key in keys
        for shard in take_in(corpus(key), root)
        if shard.segments.num_rows
    ]
    return pl.concat(frames).with_columns(split=pl.lit("test"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    root = tmp_path_factory.mktemp("corpora")
    keys = sorted({key for name in ASKED for key in TASKS[name].corpora})
    for key in keys:
        importlib.import_module(f"trees.{TREE_OF.get(key, key.replace('-', '_'))}").write(root, 0)
    return labelled(root, keys)


def classes(built: ItemSet) -> dict[str, int]:
    return dict(Counter(row["options"][LETTERS.index(row["answer"])] for row in built.rows))


@pytest.mark.parametrize("name", ASKED)
def test_a_task_finds_its_classes_in_its_corpora(pages: pl.DataFrame, name: str) -> None:
    built = build_items(name, Sources(segments=pages))
    assert {row["corpus"] for row in built.rows} <= set(protocol(name).corpora)
    if name in CLASSES:
        assert classes(built) == CLASSES[name]
    elif name not in NOT_IN_THE_TREES:
        assert built.rows, built.skipped


def test_event_pages_lie_where_the_corpus_puts_its_seizures(pages: pl.DataFrame) -> None:
    """PN00-1 of the tree seizes from 21 to 33 s: the page from 20 s is covered by 9 s of it."""
    rows = [r for r in build_items("siena", Sources(segments=pages)).rows if r["truth_s"]]
    stretches = {tuple(round(t, 3) for t in r["truth_s"]) for r in rows if r["start_s"] == 20.0}
    assert (1.0, 10.0) in stretches
    for row in build_items("tusz", Sources(segments=pages)).rows:
        is_seizing = row["options"][LETTERS.index(row["answer"])] == "Seizure"
        edges = row["truth_s"]
        covered = sum(b - a for a, b in zip(edges[::2], edges[1::2], strict=True))
        assert covered >= 5 if is_seizing else covered == 0


def test_real_recordings_at_rest_and_calculating(data_root: Path) -> None:
    if not (data_root / "workload-eegmat").is_dir():
        pytest.skip("no real recordings of EEGMAT on this machine")
    pages = labelled(data_root, ["eegmat"])
    built = build_items("workload", Sources(segments=pages), cap=60)
    found = classes(built)
    assert found["Rest"] == found["Mental arithmetic"] == 30
    assert len({row["subject_id"] for row in built.rows}) == 6


def test_real_recordings_of_imagined_movements(data_root: Path) -> None:
    if not (data_root / "eegmmidb").is_dir():
        pytest.skip("no real recordings of EEGMMIDB on this machine")
    pages = labelled(data_root, ["eegmmidb"])
    built = build_items("motor_imagery", Sources(segments=pages))
    assert set(classes(built)) == set(protocol("motor_imagery").options)
    assert set(built.set_aside) == {"two labels disagree", "a label that is not asked about"}
