"""The order of rows: complete, repeatable, and taken up anywhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.vlm.data import InstructionDataset, Position, open_dataset, shuffled
from training.vlm.errors import DatasetError


def _ids(data: InstructionDataset, start: Position, n_epochs: int = 2) -> list[str]:
    return [row["id"] for _, row in data.rows(7, 8, start, n_epochs)]


def test_an_epoch_holds_every_row_of_the_split_once(release: Path) -> None:
    data = open_dataset(release, "train")
    ids = _ids(data, Position(), 1)
    assert sorted(ids) == [f"train-{i:03d}" for i in range(24)]
    assert ids != sorted(ids)


def test_epochs_differ_in_order(release: Path) -> None:
    ids = _ids(open_dataset(release, "train"), Position())
    assert sorted(ids[:24]) == sorted(ids[24:])
    assert ids[:24] != ids[24:]


@pytest.mark.parametrize("stop", [0, 1, 7, 8, 23, 24, 25, 47])
def test_taken_up_anywhere_the_rest_is_the_same(release: Path, stop: int) -> None:
    data = open_dataset(release, "train")
    whole = list(data.rows(7, 8, Position(), 2))
    start = whole[stop - 1][0] if stop else Position()
    assert _ids(data, start) == [row["id"] for _, row in whole[stop:]]


def test_position_counts_rows_of_the_epoch(release: Path) -> None:
    positions = [p for p, _ in open_dataset(release, "train").rows(7, 8, Position(), 2)]
    assert positions[23] == Position(0, 24)
    assert positions[24] == Position(1, 1)
    assert all((b.epoch, b.row) > (a.epoch, a.row) for a, b in pairwise(positions))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 2**63), st.integers(0, 99))
def test_shuffle_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    assert sorted(shuffled(n, seed, epoch, 1)) == list(range(n))


def test_shuffle_never_changes_between_versions() -> None:
    assert shuffled(10, 0, 0, 0).tolist() == [1, 2, 6, 5, 7, 4, 9, 3, 8, 0]


def test_pictures_stay_encoded(release: Path) -> None:
    _, row = next(open_dataset(release, "train").rows(0, 8, Position(), 1))
    assert row["images"][0]["bytes"].startswith(b"\x89PNG")


def test_fingerprint_follows_the_content(tmp_path: Path, write: Any, make_sample: Any) -> None:
    one = write(tmp_path / "one", [make_sample(1)])
    two = write(tmp_path / "two", [make_sample(2)])
    again = write(tmp_path / "again", [make_sample(1)])
    for folder in (one, two, again):
        (folder / "manifest.json").unlink()
    prints = [open_dataset(f, "train").fingerprint for f in (one, two, again)]
    assert prints[0] == prints[2] != prints[1]


def _absent(folder: Path) -> None:
    folder.rmdir()


def _no_rows_of_split(folder: Path) -> None:
    columns = {"id": ["a"], "images": [None], "messages": [None], "split": ["test"]}
    pq.write_table(pa.table(columns), folder / "a.parquet")


def _other_columns(folder: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "split": ["train"]}), folder / "a.parquet")


def _not_parquet(folder: Path) -> None:
    (folder / "a.parquet").write_bytes(b"PAR1 nonsense")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_absent, "holds no Parquet file"),
        (lambda folder: None, "holds no Parquet file"),
        (_no_rows_of_split, "no row of split 'train'; it has test"),
        (_other_columns, "lacks the column images, messages"),
        (_not_parquet, "a.parquet cannot be read"),
    ],
    ids=["absent", "empty", "split", "columns", "corrupt"],
)
def test_wrong_dataset_is_refused_in_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(DatasetError, match=says):
        open_dataset(folder, "train")
