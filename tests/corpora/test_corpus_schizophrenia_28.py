from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf_file
from trees import schizophrenia_28

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys
from detectors.types import CANONICAL19

SPEC = corpus("schizophrenia-28")
(SHARD,) = shard_keys("schizophrenia-28")
MODERN = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


def test_28_files_of_14_and_14_people_at_250_hz(tmp_path: Path) -> None:
    schizophrenia_28.write_all(tmp_path)
    rows = inventory(SPEC, tmp_path, SHARD, salt="x").recordings
    assert [r["status"] for r in rows] == ["accepted"] * 28
    assert {r["sfreq_hz"] for r in rows} == {250.0}
    assert {r["line_freq_hz"] for r in rows} == {50.0}
    assert len({r["subject_id"] for r in rows}) == 28
    labels = [(x["scope"], x["name"], x["value"]) for r in rows for x in r["labels"]]
    assert Counter(labels) == {
        ("recording", "diagnosis", "healthy"): 14, ("recording", "diagnosis", "schizophrenia"): 14,
    }  # fmt: skip


def test_h01_and_s01_are_two_people(tmp_path: Path) -> None:
    for stem in ("h01", "s01"):
        schizophrenia_28.write_file(tmp_path / schizophrenia_28.FOLDER, stem, duration_s=12)
    rows = inventory(SPEC, tmp_path, SHARD, salt="x").recordings
    assert len({r["subject_id"] for r in rows}) == 2


def test_channels_are_picked_by_name_whatever_their_order(tmp_path: Path) -> None:
    order = list(schizophrenia_28.LABELS)
    for stem, labels in (("h01", order), ("h02", order[::-1])):
        data = noise_uv(1, 12, 250, seed=len(stem) + (stem == "h02"))
        signals = [
            EdfSignalSpec(label, (order.index(label) + 1) * data[0] / 10, 250) for label in labels
        ]
        path = tmp_path / schizophrenia_28.FOLDER / f"{stem}.edf"
        write_edf_file(path, EdfFileSpec(signals))
    rows = inventory(SPEC, tmp_path, SHARD, salt="x").recordings
    cut = process_shard(SPEC, tmp_path, rows)
    frame = pl.from_arrow(cut.segments)
    assert isinstance(frame, pl.DataFrame)
    want = [order.index(next((o for o, n in MODERN.items() if n == c), c)) + 1 for c in CANONICAL19]
    for batch in segment_batches(frame):
        for data in batch.data_uv:
            spread = np.abs(data).mean(axis=1)
            np.testing.assert_allclose(spread / spread[CANONICAL19.index("Fp2")], want, rtol=0.02)


@pytest.mark.parametrize("name", ["x01.edf", "h1.edf", "sh01.edf"])
def test_other_names_are_accounted_for(tmp_path: Path, name: str) -> None:
    folder = tmp_path / schizophrenia_28.FOLDER
    schizophrenia_28.write_file(folder, "h01", duration_s=12).rename(folder / name)
    (row,) = inventory(SPEC, tmp_path, SHARD, salt="x").recordings
    assert row["reject_cause"] == "file_name"


def test_an_unread_licence_lets_nothing_out_and_no_age_is_made_up(tmp_path: Path) -> None:
    schizophrenia_28.write(tmp_path)
    rows = inventory(SPEC, tmp_path, SHARD, salt="x").recordings
    assert all(r["is_gated"] for r in rows)
    assert {(r["age_band"], r["sex"]) for r in rows} == {(None, None)}
    assert sorted(r["duration_s"] for r in rows) == [31.0, 31.0, 38.0, 45.0]
