from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import edfio
import mne
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.cutting import cut_segments, events_inside
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segment_table import SEGMENTS_SCHEMA, quantise
from dagster_project.corpora.segments import ShardSegments, process_shard
from dagster_project.corpora.shards import shard_keys
from dagster_project.corpora.spec import Choice
from dagster_project.tables.registry import table
from dagster_project.tables.store import TableStore, to_arrow
from detectors.types import CANONICAL19, N_TIMES, ExpertEvent

WriteEdf = Callable[..., Path]
WriteGaps = Callable[..., np.ndarray]


def cut(root: Path, key: str = "eegmat", **keywords: Any) -> ShardSegments:
    spec = corpus(key)
    rows = [row for s in shard_keys(key) for row in inventory(spec, root, s, salt="x").recordings]
    return process_shard(spec, root, rows, **keywords)


def rows_of(found: ShardSegments) -> list[dict[str, Any]]:
    return found.segments.drop_columns(["signal"]).to_pylist()


def tone(sfreq_hz: int, duration_s: int, hz: float = 10.0, uv: float = 50.0) -> np.ndarray:
    t = np.arange(sfreq_hz * duration_s) / sfreq_hz
    return np.tile(uv * np.sin(2 * np.pi * hz * t), (19, 1))


def test_segments_hold_the_signal_in_microvolts_and_in_time(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    noise = np.random.default_rng(0).standard_normal((19, 512 * 65)) * 2
    write_edf(tmp_path / "eegmat/Subject00_1.edf", tone(512, 65) + noise, sfreq_hz=512)
    found = cut(tmp_path)
    assert found.segments.num_rows == 6
    frame = pl.from_arrow(found.segments)
    assert isinstance(frame, pl.DataFrame)
    (batch,) = segment_batches(frame)
    assert batch.schema.is_referential
    assert batch.mask.all()
    t = np.arange(N_TIMES) / 200
    for i, start_s in enumerate(frame["start_s"]):
        wave = 50 * np.sin(2 * np.pi * 10 * (t + start_s))
        gain = (batch.data_uv[i] @ wave) / (wave @ wave)
        assert gain == pytest.approx(np.ones(19), abs=0.02)
    assert frame["start_sample"].to_list() == [5120 * i for i in range(6)]
    np.testing.assert_allclose(batch.band_hz, [[0.5, 45.0]] * 6)


def test_rows_fit_the_table_registry_and_survive_the_store(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    write_edf(tmp_path / "eegmat/Subject00_1.edf", labels=["EEG Cz", "EEG T3"])
    found = cut(tmp_path)
    assert tuple(SEGMENTS_SCHEMA.names) == table("segments").column_names
    assert to_arrow(table("segments"), found.segments).num_rows == 3
    assert to_arrow(table("segment_rejects"), found.rejects).num_rows == 0
    store = TableStore(str(tmp_path / "store"))
    store.write("segments", "eegmat-01-of-01", found.segments)
    back = store.read("segments", "eegmat-01-of-01")
    (batch,) = segment_batches(back)
    recorded = [name in {"Cz", "T7"} for name in CANONICAL19]
    assert batch.mask.tolist() == [recorded] * 3
    assert not batch.data_uv[:, ~np.array(recorded)].any()
    direct = pl.from_arrow(found.segments)
    assert isinstance(direct, pl.DataFrame)
    np.testing.assert_array_equal(batch.data_uv, next(segment_batches(direct)).data_uv)


def test_the_same_files_give_the_same_bytes_for_any_number_of_workers(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    for n in range(3):
        write_edf(tmp_path / f"eegmat/Subject{n:02d}_1.edf", seed=n)
    seen: list[tuple[int, int]] = []
    one = cut(tmp_path, on_recording=lambda done, total: seen.append((done, total)))
    two = cut(tmp_path, n_workers=2, pool_from_s=0.0)
    assert one.segments.equals(two.segments)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    store = TableStore(str(tmp_path / "store"))
    first = store.write("segments", "eegmat-01-of-01", one.segments)
    assert store.write("segments", "eegmat-01-of-01", two.segments).sha256 == first.sha256


def test_a_file_that_went_bad_stops_nothing(tmp_path: Path, write_edf: WriteEdf) -> None:
    for n in range(3):
        write_edf(tmp_path / f"eegmat/Subject{n:02d}_1.edf", seed=n)
    spec = corpus("eegmat")
    rows = inventory(spec, tmp_path, "eegmat-01-of-01", salt="x").recordings
    bad = tmp_path / "eegmat/Subject01_1.edf"
    bad.write_bytes(bad.read_bytes()[:9000])
    (tmp_path / "eegmat/Subject02_1.edf").unlink()
    found = process_shard(spec, tmp_path, rows)
    assert found.n_recordings == 1
    assert found.segments.num_rows == 3
    assert [(r["cause"], r["stage"], r["is_retryable"]) for r in found.rejects.to_pylist()] == [
        ("truncated", "segments", False), ("unreadable", "segments", True),
    ]  # fmt: skip


def test_a_shard_of_nothing_is_an_empty_table(tmp_path: Path) -> None:
    found = process_shard(corpus("eegmat"), tmp_path, [])
    assert found.segments.num_rows == found.rejects.num_rows == 0
    assert list(segment_batches(pl.DataFrame(found.segments.to_pydict()))) == []


def test_flat_stretches_are_set_aside(tmp_path: Path, write_edf: WriteEdf) -> None:
    data = np.random.default_rng(0).standard_normal((19, 256 * 60)) * 20
    data[:, 256 * 20 : 256 * 40] = 300.0
    write_edf(tmp_path / "eegmat/Subject00_1.edf", data)
    found = cut(tmp_path)
    assert found.segments["start_s"].to_pylist() == [0, 10, 40, 50]
    assert [(r["cause"], r["start_s"]) for r in found.rejects.to_pylist()] == [
        ("flat", 20.0), ("flat", 30.0),
    ]  # fmt: skip


def test_one_dead_channel_is_no_flat_stretch(tmp_path: Path, write_edf: WriteEdf) -> None:
    data = np.random.default_rng(0).standard_normal((19, 256 * 30)) * 20
    data[4] = 0
    write_edf(tmp_path / "eegmat/Subject00_1.edf", data)
    assert cut(tmp_path).segments.num_rows == 3


def test_clipped_samples_are_counted(tmp_path: Path, write_edf: WriteEdf) -> None:
    data = tone(256, 40, uv=20.0)
    data[7, 256 * 15 : 256 * 16] += 9000 * np.sin(2 * np.pi * 5 * np.arange(256) / 256)
    write_edf(tmp_path / "eegmat/Subject00_1.edf", data, half_range=10_000)
    counts = cut(tmp_path).segments["clip_count"].to_pylist()
    assert counts[0] == counts[2] == 0
    assert 100 < counts[1] < 200


def test_repeated_stretches_are_kept_once() -> None:
    one = np.random.default_rng(0).standard_normal((19, N_TIMES)).astype(np.float32)
    signals, clipped = quantise(np.concatenate([one, one], axis=1), range(19), 19)
    np.testing.assert_array_equal(signals[0], signals[1])
    assert clipped.tolist() == [0, 0]


def test_a_recording_listed_twice_gives_its_segments_once(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    write_edf(tmp_path / "eegmat/Subject00_1.edf")
    spec = corpus("eegmat")
    rows = inventory(spec, tmp_path, "eegmat-01-of-01", salt="x").recordings
    found = process_shard(spec, tmp_path, [*rows, *rows])
    assert found.segments.num_rows == 3
    assert found.rejects["cause"].to_pylist() == ["duplicate"] * 3
    assert len(set(found.segments["segment_id"].to_pylist())) == 3


def test_segments_never_cross_a_gap(tmp_path: Path, edf_plus_d: WriteGaps) -> None:
    (tmp_path / "eegmat").mkdir()
    onsets = [*range(25), *range(100, 119), *range(200, 205), *range(300, 310)]
    edf_plus_d(tmp_path / "eegmat/Subject00_1.edf", [float(o) for o in onsets])
    spec = corpus("eegmat")
    (row,) = inventory(spec, tmp_path, "eegmat-01-of-01", salt="x").recordings
    assert (row["n_gaps"], row["duration_s"]) == (3, 59.0)
    found = process_shard(spec, tmp_path, [row])
    assert found.segments["start_s"].to_pylist() == [0.0, 10.0, 100.0, 300.0]
    assert found.segments["start_sample"].to_pylist() == [0, 1000, 2500, 4900]


def test_each_run_is_filtered_on_its_own(tmp_path: Path, edf_plus_d: WriteGaps) -> None:
    (tmp_path / "eegmat").mkdir()
    onsets = [*range(20), *range(50, 70)]
    edf_plus_d(tmp_path / "eegmat/Subject00_1.edf", [float(o) for o in onsets])
    both = cut(tmp_path).segments["signal"].to_pylist()
    edf_plus_d(tmp_path / "eegmat/Subject00_1.edf", [float(o) for o in range(20)])
    assert cut(tmp_path).segments["signal"].to_pylist() == both[:2]


def stages_file(path: Path, stages: list[tuple[float, float, str]]) -> None:
    edfio.Edf([], annotations=[edfio.EdfAnnotation(*s) for s in stages]).write(path)


def test_sleep_segments_lie_on_the_scorers_grid(tmp_path: Path, write_edf: WriteEdf) -> None:
    folder = tmp_path / "sleep-edfx"
    write_edf(
        folder / "SC4001E0-PSG.edf", sfreq_hz=100, duration_s=130,
        labels=["EEG Fpz-Cz", "EEG Pz-Oz"],
    )  # fmt: skip
    stages_file(
        folder / "SC4001EC-Hypnogram.edf",
        [(5, 30, "Sleep stage W"), (35, 60, "Sleep stage 3"), (95, 30, "Sleep stage ?")],
    )
    rows = rows_of(cut(tmp_path, "sleep-edfx"))
    assert [r["start_s"] for r in rows] == [5.0 + 10 * i for i in range(12)]
    assert [r["stage_context"] for r in rows] == ["W"] * 3 + ["N3"] * 6 + [None] * 3
    assert rows[0]["channel_schema"] == "bipolar:Fpz-Cz,Pz-Oz"
    assert rows[3]["labels"][-1]["scope"] == "epoch"


def test_seizures_mark_the_segments_they_touch(tmp_path: Path, write_edf: WriteEdf) -> None:
    write_edf(tmp_path / "chb-mit/chb02/chb02_16.edf", labels=["FP1-F7", "F7-T7"], duration_s=60)
    (tmp_path / "chb-mit/chb02/chb02-summary.txt").write_text(
        "File Name: chb02_16.edf\nNumber of Seizures in File: 1\n"
        "Seizure Start Time: 19 seconds\nSeizure End Time: 30 seconds\n"
    )
    rows = rows_of(cut(tmp_path, "chb-mit"))
    found = [label["value"] for r in rows for label in r["labels"] if label["scope"] == "segment"]
    assert found == ["absent", "present", "present", "absent", "absent", "absent"]
    assert {
        label["value"] for r in rows for label in r["labels"] if label["scope"] == "recording"
    } == {"present"}


def test_unknown_seizures_are_not_called_absent(tmp_path: Path, write_edf: WriteEdf) -> None:
    write_edf(tmp_path / "chb-mit/chb02/chb02_16.edf", labels=["FP1-F7"])
    rows = rows_of(cut(tmp_path, "chb-mit"))
    assert all([label["value"] for label in r["labels"]] == ["unknown"] for r in rows)


def test_intervals_are_labels_of_the_segments_they_overlap(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    write_edf(
        tmp_path / "eegmmidb/S001/S001R04.edf", sfreq_hz=160,
        annotations=[(0.0, 4.2, "T0"), (4.2, 4.1, "T1"), (8.3, 4.2, "T0"), (12.5, 4.1, "T2")],
    )  # fmt: skip
    rows = rows_of(cut(tmp_path, "eegmmidb"))
    tasks = [[x["value"] for x in r["labels"] if x["scope"] == "interval"] for r in rows]
    assert tasks == [["rest", "imagined_left_fist"], ["rest", "imagined_right_fist"], []]


def test_a_streamed_recording_equals_itself_in_any_order_of_reading(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    write_edf(tmp_path / "eegmat/Subject00_1.edf", duration_s=600, sfreq_hz=128)
    spec = corpus("eegmat")
    (row,) = inventory(spec, tmp_path, "eegmat-01-of-01", salt="x").recordings
    blocks = [block.batch for block in cut_segments(spec, tmp_path, row)]
    assert len(blocks) > 2
    assert sum(b.num_rows for b in blocks) == 60
    assert len({i for b in blocks for i in b["segment_id"].to_pylist()}) == 60


def test_simulated_segments_carry_every_planted_event(tmp_path: Path) -> None:
    from dagster_project.corpora.simulated.config import SimulatorConfig
    from dagster_project.corpora.simulated.truth import truth_events
    from dagster_project.corpora.simulated.writer import write_corpus

    write_corpus(
        tmp_path / "simulated", SimulatorConfig(n_subjects=2, minutes_per_recording=0.5, seed=3)
    )
    rows = rows_of(cut(tmp_path, "simulated"))
    planted = [
        event for path in (tmp_path / "simulated").rglob("*.json") for event in truth_events(path)
    ]
    assert planted
    assert all(r["is_simulated"] and r["corpus"] == "simulated" for r in rows)
    assert len({r["recording_id"] for r in rows}) * 3 == len(rows)
    found = [e for r in rows for e in r["events"]]
    assert len(found) >= len(planted)
    assert {e["kind"] for e in found} == {e.kind for e in planted}
    assert all(0 <= e["t0_s"] < e["t1_s"] <= 10 for e in found)
    assert all(e["measures"] for e in found if e["kind"] == "spike")
    short = [e for e in planted if int(e.t0_s // 10) == int((e.t1_s - 1e-9) // 10)]
    whole = {(e["kind"], tuple(e["channels"]), round(e["t1_s"] - e["t0_s"], 6)) for e in found}
    assert {(e.kind, e.channels, round(e.t1_s - e.t0_s, 6)) for e in short} <= whole
    assert any(r["stage_context"] in {"N2", "N3"} for r in rows)


@given(t0=st.floats(-20, 40), length=st.floats(0.01, 60), start=st.sampled_from([0.0, 10.0, 20.0]))
def test_events_are_clipped_and_slivers_dropped(t0: float, length: float, start: float) -> None:
    event = ExpertEvent("spike", ("C3",), t0, t0 + length, "expert")
    for found in events_inside((event,), start):
        assert 0.0 <= found.t0_s < found.t1_s <= 10.0
        kept = found.t1_s - found.t0_s
        assert kept >= min(0.5 * length, 1.0) - 1e-9
        assert found.t0_s + start >= t0 - 1e-9


def test_stretches_that_are_no_numbers_are_set_aside(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((2, 256 * 40)) * 2e-5
    data[1, 256 * 12 : 256 * 13] = np.nan
    raw = mne.io.RawArray(data, mne.create_info(["Cz", "Pz"], 256, "eeg"), verbose="ERROR")
    (tmp_path / "eegmat").mkdir()
    raw.save(tmp_path / "eegmat/Subject00_1_eeg.fif", verbose="ERROR")
    eegmat = corpus("eegmat")
    files = eegmat.files.model_copy(
        update={
            "suffixes": (".fif",),
            "pattern": r"(?P<subject>Subject\d{2})_(?P<session>1)_eeg\.fif$",
        }
    )
    spec = eegmat.model_copy(update={"files": files, "reader": Choice(name="mne")})
    rows = inventory(spec, tmp_path, "eegmat-01-of-01", salt="x").recordings
    found = process_shard(spec, tmp_path, rows)
    assert found.segments["start_s"].to_pylist() == [0.0, 20.0, 30.0]
    assert [(r["cause"], r["start_s"]) for r in found.rejects.to_pylist()] == [("nan", 10.0)]


@given(t0=st.floats(0, 29.9), length=st.floats(0.01, 60))
def test_every_event_is_somewhere(t0: float, length: float) -> None:
    event = ExpertEvent("spike", ("C3",), t0, min(t0 + length, 30.0), "expert")
    assert any(events_inside((event,), start) for start in (0.0, 10.0, 20.0))


def batch_row(i: int, **changes: Any) -> Mapping[str, Any]:
    base = {
        "segment_id": f"g-{i}", "channel_schema": "bipolar:Fp1-F7", "mask": [True],
        "signal": [i] * N_TIMES, "band_low_hz": 0.1, "band_high_hz": 75.0, "line_freq_hz": 60.0,
        "recorded_s": 10.0,
    }  # fmt: skip
    return base | changes


def frame_of(rows: list[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema_overrides={"signal": pl.List(pl.Int16)})


def test_batches_laid_end_to_end_are_the_frame() -> None:
    other = {"channel_schema": "bipolar:Fp1-F7,F7-T7", "mask": [True, True], "signal": [7] * 4000}
    rows = [batch_row(i, **(other if i in {3, 4} else {})) for i in range(9)]
    rows[8] = batch_row(8, line_freq_hz=50.0)
    batches = list(segment_batches(frame_of(rows), max_segments=2))
    assert [s for b in batches for s in b.segment_ids] == [f"g-{i}" for i in range(9)]
    assert [len(b) for b in batches] == [2, 1, 2, 2, 1, 1]
    assert batches[0].data_uv[1, 0, 0] == pytest.approx(0.05)
    assert batches[-1].line_freq_hz == 50.0
    assert batches[0].data_uv.dtype == np.float32


@pytest.mark.parametrize("n", [0, -1])
def test_batches_of_no_segment_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="use 1 or more"):
        next(segment_batches(frame_of([batch_row(0)]), n))


def test_signals_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="are expected"):
        next(segment_batches(frame_of([batch_row(0, signal=[0] * 1999)])))
