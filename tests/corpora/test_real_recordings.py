"""The four corpora on their authentic recordings: counts, times and labels as published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import polars as pl
import pytest

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.readers.edf import EdfRecording
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import ShardSegments, process_shard
from dagster_project.corpora.shards import shard_keys
from dagster_project.corpora.spec import Choice

Taken = tuple[list[dict[str, Any]], ShardSegments]


def take(root: Path, key: str) -> Taken:
    spec = corpus(key)
    rows = [r for s in shard_keys(key) for r in inventory(spec, root, s, salt="x").recordings]
    return rows, process_shard(spec, root, rows)


@pytest.mark.parametrize(
    ("key", "n_recordings", "n_segments", "duration_s", "sfreq_hz", "band"),
    [
        ("eegmat", 12, 133, 1356.0, 500.0, (0.5, 45.0)),
        ("eegmmidb", 4, 48, 500.0, 160.0, (0.1, 75.0)),
        ("chb-mit", 2, 8, 82.0, 256.0, (0.1, 75.0)),
        ("sleep-edfx", 1, 30, 300.0, 100.0, (0.5, 45.0)),
    ],
)
def test_counts(
    data_root: Path, key: str, n_recordings: int, n_segments: int, duration_s: float,
    sfreq_hz: float, band: tuple[float, float],
) -> None:  # fmt: skip
    rows, cut = take(data_root, key)
    assert [r["status"] for r in rows] == ["accepted"] * n_recordings
    assert sum(r["duration_s"] for r in rows) == duration_s
    assert {r["sfreq_hz"] for r in rows} == {sfreq_hz}
    assert {(r["band_low_hz"], r["band_high_hz"]) for r in rows} == {band}
    assert cut.segments.num_rows == n_segments
    assert cut.rejects.num_rows == 0
    assert cut.n_recordings == n_recordings
    frame = pl.from_arrow(cut.segments)
    assert isinstance(frame, pl.DataFrame)
    spread = [float(np.median(np.abs(b.data_uv[b.mask]))) for b in segment_batches(frame)]
    assert all(1 < value < 100 for value in spread)


def test_eegmat_trusts_its_table_not_its_headers(data_root: Path) -> None:
    rows, cut = take(data_root, "eegmat")
    by_path = {r["path"].rpartition("/")[2]: r for r in rows}
    first = by_path["Subject00_1.edf"]
    assert (first["age_band"], first["sex"]) == ("20-29", "F")
    quality = {
        name[7:9]: label["value"]
        for name, r in by_path.items()
        for label in r["labels"]
        if label["name"] == "count_quality"
    }
    assert quality == {
        "00": "bad", "04": "bad", "10": "bad", "01": "good", "31": "good", "35": "good",
    }  # fmt: skip
    assert all(all(mask) for mask in cut.segments["mask"].to_pylist())


def test_eegmmidb_intervals_follow_the_annotations(data_root: Path) -> None:
    rows, cut = take(data_root, "eegmmidb")
    assert [r["labels"][0]["value"] for r in rows] == [
        "executed_fist", "imagined_fist", "executed_fists_or_feet", "imagined_fists_or_feet",
    ]  # fmt: skip
    first = cut.segments.slice(0, 1).to_pylist()[0]
    assert [x["value"] for x in first["labels"] if x["scope"] == "interval"] == [
        "rest", "executed_right_fist",
    ]  # fmt: skip


def test_chb_mit_cuts_that_the_summary_does_not_name_stay_unknown(data_root: Path) -> None:
    rows, cut = take(data_root, "chb-mit")
    assert {r["labels"][0]["value"] for r in rows} == {"unknown"}
    assert {(r["age_band"], r["sex"]) for r in rows} == {("10-19", "F")}
    assert len(cut.segments["ch_names"].to_pylist()[0]) == 22
    scopes = {x["scope"] for labels in cut.segments["labels"].to_pylist() for x in labels}
    assert scopes == {"recording"}


def test_sleep_edfx_wakes_all_through_its_first_minutes(data_root: Path) -> None:
    _, cut = take(data_root, "sleep-edfx")
    assert cut.segments["stage_context"].to_pylist() == ["W"] * 30
    assert cut.segments["start_s"].to_pylist() == [10.0 * i for i in range(30)]


@pytest.mark.parametrize("case", range(1, 25))
def test_every_chb_mit_summary_is_understood(data_root: Path, case: int) -> None:
    from dagster_project.corpora.labels.chb_mit import chb_section, chb_seizures

    text = (data_root / f"chb-mit/chb{case:02d}/chb{case:02d}-summary.txt").read_text()
    names = [line.split(":")[1].strip() for line in text.splitlines() if "File Name" in line]
    found = {name: chb_seizures(chb_section(text, name) or "", 1e6) for name in names}
    assert sum(map(len, found.values())) == text.count("Start Time") - text.count("File Start Time")
    if case == 1:
        assert found["chb01_03.edf"] == [(2996.0, 3036.0)]


@pytest.mark.parametrize(
    "name",
    ["workload-eegmat/Subject31_1.edf", "eegmmidb/S001/S001R03.edf",
     "chb-mit/chb01/chb01_03_Seizure.edf", "mne-io/edf/test.edf"],
)  # fmt: skip
def test_samples_equal_mne(data_root: Path, name: str) -> None:
    raw = mne.io.read_raw_edf(data_root / name, verbose="ERROR", include=None)
    with EdfRecording(data_root / name) as recording:
        picks = list(range(min(19, len(recording.signals))))
        out = np.empty((len(picks), raw.n_times), dtype=np.float32)
        recording.pick(picks).read_uv(0, raw.n_times, out)
    np.testing.assert_allclose(out, raw.get_data(picks) * 1e6, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "n_signals", "n_annotations", "first"),
    [
        ("hmc-sleep-staging/recordings/test_edfann.edf", 0, 856, "Sleep stage W"),
        ("sleep-edfx/sleep-cassette/SC4001EC-Hypnogram.edf", 0, 154, "Sleep stage W"),
        ("mne-io/edf/test.edf", 139, 5, "start"),
        ("eegmmidb/S001/S001R03.edf", 64, 30, "T0"),
    ],
)
def test_annotations(
    data_root: Path, name: str, n_signals: int, n_annotations: int, first: str
) -> None:
    with EdfRecording(data_root / name) as recording:
        notes = recording.annotations()
        assert len(recording.signals) == n_signals
    assert len(notes) == n_annotations
    assert notes[0].text == first


@pytest.mark.parametrize("name", ["test.bdf", "test_bdf_stim_channel.bdf"])
def test_other_formats_go_through_mne(data_root: Path, name: str) -> None:
    path = data_root / "mne-io/edf" / name
    raw = mne.io.read_raw_bdf(path, verbose="ERROR")
    with open_recording(path, Choice(name="mne")) as recording:
        traces = recording.pick([0, 1])
        out = np.empty((2, 200), dtype=np.float32)
        traces.read_uv(100, 300, out)
        assert traces.sfreq == raw.info["sfreq"]
        assert recording.signals[-1].unit_uv is None
    np.testing.assert_allclose(out, raw.get_data([0, 1], 100, 300) * 1e6, rtol=1e-5)
