from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dagster_project.corpora.errors import CAUSES, CorpusError
from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import shard_keys
from dagster_project.corpora.spec import Choice
from dagster_project.tables.registry import table
from dagster_project.tables.store import to_arrow
from detectors.types import CANONICAL19

WriteEdf = Callable[..., Path]
EEGMAT = corpus("eegmat")


def take(root: Path, key: str = "eegmat", **keywords: object) -> Inventory:
    spec = corpus(key)
    parts = [inventory(spec, root, s, salt="salt", **keywords) for s in shard_keys(key)]  # type: ignore[arg-type]
    return Inventory(
        tuple(r for p in parts for r in p.recordings),
        tuple(r for p in parts for r in p.rejects),
        sum(p.n_found for p in parts),
        sum(p.n_skipped for p in parts),
    )


def noise(n_channels: int, n_times: int, scale: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_channels, n_times)) * scale


BadFile = Callable[[Path, WriteEdf], object]


def _truncated(path: Path, write: WriteEdf) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:-1000])


def _noise_bytes(path: Path, write: WriteEdf) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


BAD: dict[str, tuple[str, BadFile]] = {
    "empty": ("empty", lambda p, w: p.write_bytes(b"")),
    "noise": ("not_edf", _noise_bytes),
    "truncated": ("truncated", _truncated),
    "zero channels": ("no_eeg_channels", lambda p, w: w(p, labels=["ECG ECG", "EEG A2-A1"])),
    "bipolar": ("wrong_montage", lambda p, w: w(p, labels=["FP1-F7", "F7-T7"])),
    "other unit": ("wrong_unit", lambda p, w: w(p, unit="degC")),
    "volts said to be microvolts": (
        "wrong_unit",
        lambda p, w: w(p, noise(19, 7680, 2e-5), half_range=0.01),
    ),
    "too large": (
        "implausible_amplitude",
        lambda p, w: w(p, noise(19, 7680, 900), half_range=9999),
    ),
    "flat": ("flat", lambda p, w: w(p, np.zeros((19, 7680)))),
    "short": ("too_short", lambda p, w: w(p, duration_s=9)),
    "slow": ("sampling_rate", lambda p, w: w(p, sfreq_hz=20, duration_s=60)),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_set_aside_with_its_cause_and_stops_nothing(
    tmp_path: Path, write_edf: WriteEdf, kind: str
) -> None:
    cause, make = BAD[kind]
    folder = tmp_path / "eegmat"
    write_edf(folder / "Subject00_1.edf", seed=1)
    make(folder / "Subject00_2.edf", write_edf)
    write_edf(folder / "Subject01_1.edf", seed=2)
    found = take(tmp_path)
    status = [(r["path"], r["status"], r["reject_cause"]) for r in found.recordings]
    assert status == [
        ("eegmat/Subject00_1.edf", "accepted", None),
        ("eegmat/Subject00_2.edf", "rejected", cause),
        ("eegmat/Subject01_1.edf", "accepted", None),
    ]
    assert [(r["cause"], r["recording_id"], r["stage"]) for r in found.rejects] == [
        (cause, found.recordings[1]["recording_id"], "recordings")
    ]
    assert found.rejects[0]["is_retryable"] == CAUSES[cause].is_retryable
    assert "Subject" not in found.rejects[0]["detail"]


def test_rows_fit_the_table_registry(tmp_path: Path, write_edf: WriteEdf) -> None:
    write_edf(tmp_path / "eegmat/Subject00_1.edf")
    (tmp_path / "eegmat/Subject00_2.edf").write_bytes(b"")
    found = take(tmp_path)
    arrow = to_arrow(table("recordings"), found.recordings)
    assert arrow.num_rows == 2
    assert to_arrow(table("recording_rejects"), found.rejects).num_rows == 1


def test_a_misnamed_file_is_accounted_for(tmp_path: Path, write_edf: WriteEdf) -> None:
    write_edf(tmp_path / "eegmat/holiday.edf")
    (tmp_path / "eegmat/._Subject00_1.edf").write_bytes(b"litter")
    (tmp_path / "eegmat/notes.txt").write_text("nothing")
    found = take(tmp_path)
    assert [(r["path"], r["reject_cause"]) for r in found.recordings] == [
        ("eegmat/holiday.edf", "file_name")
    ]


def test_equal_samples_are_a_duplicate_whatever_header_and_order(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    data = noise(19, 7680, 20)
    labels = [f"EEG {name}" for name in CANONICAL19]
    write_edf(tmp_path / "eegmat/Subject02_1.edf", data, labels=labels)
    write_edf(tmp_path / "eegmat/Subject10_1.edf", data[::-1], labels=labels[::-1], record_s=2.0)
    write_edf(tmp_path / "eegmat/Subject11_1.edf", seed=9)
    found = take(tmp_path)
    first, second, third = found.recordings
    assert first["status"] == third["status"] == "accepted"
    assert second["reject_cause"] == "duplicate"
    assert first["recording_id"] in found.rejects[0]["detail"]


def test_wrong_labels_set_the_recording_aside(tmp_path: Path, write_edf: WriteEdf) -> None:
    write_edf(tmp_path / "chbmit/chb01/chb01_03.edf", labels=["FP1-F7", "F7-T7"])
    (tmp_path / "chbmit/chb01/chb01-summary.txt").write_text(
        "File Name: chb01_03.edf\nNumber of Seizures in File: 1\n"
        "Seizure Start Time: 2996 seconds\nSeizure End Time: 3036 seconds\n"
    )
    found = take(tmp_path, "chb-mit")
    assert [r["reject_cause"] for r in found.recordings] == ["bad_labels"]


def test_an_unreadable_file_is_retryable(tmp_path: Path) -> None:
    (tmp_path / "eegmat").mkdir()
    (tmp_path / "eegmat/Subject00_1.edf").symlink_to(tmp_path / "gone.edf")
    found = take(tmp_path)
    assert [(r["cause"], r["is_retryable"]) for r in found.rejects] == [("unreadable", True)]


def test_what_no_check_foresaw_is_a_row_too(
    tmp_path: Path, write_edf: WriteEdf, caplog: pytest.LogCaptureFixture
) -> None:
    files = EEGMAT.files.model_copy(
        update={"pattern": r"(?P<subject>Subject\d{2})_(?P<session>\d)\.edf$"}
    )
    spec = EEGMAT.model_copy(update={"files": files})
    write_edf(tmp_path / "eegmat/Subject00_7.edf", seed=1)  # a session the labels do not know
    write_edf(tmp_path / "eegmat/Subject01_1.edf", seed=2)
    found = inventory(spec, tmp_path, "eegmat-01-of-01", salt="x")
    assert [r["reject_cause"] for r in found.recordings] == ["unexpected", None]
    assert found.rejects[0]["detail"].startswith("KeyError in read_eegmat:")
    assert found.recordings[0]["recording_id"] in caplog.text
    assert "Subject00" not in caplog.text


def test_of_channels_at_two_rates_the_commoner_are_kept_and_the_rest_counted(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    import edfio

    slow = edfio.EdfSignal(
        noise(1, 30 * 128, 20)[0], 128, label="EEG Cz", physical_dimension="uV",
        physical_range=(-3000, 3000),
    )  # fmt: skip
    write_edf(tmp_path / "eegmat/Subject00_1.edf", labels=["EEG Fp1", "EEG Pz"], extra=[slow])
    row = take(tmp_path).recordings[0]
    assert (row["status"], row["sfreq_hz"]) == ("accepted", 256)
    assert {"scope": "file", "name": "other_rate_channels_dropped", "value": "1",
            "source": "file header"} in row["labels"]  # fmt: skip


def test_nobody_straddles_shards_and_file_order_does_not_matter(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    source = write_edf(tmp_path / "source.edf", duration_s=10, labels=["EEG Cz"])
    for n in (1, 2, 3, 10, 11):
        for session in (3, 4):
            target = tmp_path / f"eegmmidb/S{n:03d}/S{n:03d}R{session:02d}.edf"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    found = take(tmp_path, "eegmmidb")
    assert len(found.recordings) == found.n_found == 10
    shards: dict[str, set[str]] = {}
    splits: dict[str, set[str]] = {}
    for row in found.recordings:
        shards.setdefault(row["subject_id"], set()).add(row["shard"])
        splits.setdefault(row["subject_id"], set()).add(row["split"])
    assert len(shards) == 5
    assert all(len(s) == 1 for s in [*shards.values(), *splits.values()])
    again = tmp_path / "again"
    for path in sorted((tmp_path / "eegmmidb").rglob("*.edf"), reverse=True):
        target = again / path.relative_to(tmp_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert take(again, "eegmmidb") == found


def test_chb21_lands_with_chb01(tmp_path: Path, write_edf: WriteEdf) -> None:
    for case, seed in (("chb01", 1), ("chb21", 2)):
        write_edf(tmp_path / f"chb-mit/{case}/{case}_01.edf", labels=["FP1-F7"], seed=seed)
    rows = take(tmp_path, "chb-mit").recordings
    assert len({r["subject_id"] for r in rows}) == len({r["shard"] for r in rows}) == 1


def test_limits_are_counted(tmp_path: Path, write_edf: WriteEdf) -> None:
    for n in range(4):
        write_edf(tmp_path / f"eegmat/Subject{n:02d}_1.edf", seed=n, duration_s=12)
    capped = take(tmp_path, max_recordings=3)
    assert (len(capped.recordings), capped.n_found, capped.n_skipped) == (3, 4, 1)
    one = take(tmp_path, subjects={"eegmat:subject02"})
    assert [r["path"] for r in one.recordings] == ["eegmat/Subject02_1.edf"]
    assert one.n_skipped == 3


def test_salt_hides_subjects_but_moves_nobody(tmp_path: Path, write_edf: WriteEdf) -> None:
    write_edf(tmp_path / "eegmat/Subject00_1.edf")
    a = inventory(EEGMAT, tmp_path, "eegmat-01-of-01", salt="a").recordings[0]
    b = inventory(EEGMAT, tmp_path, "eegmat-01-of-01", salt="b").recordings[0]
    assert a["subject_id"] != b["subject_id"]
    assert {k: v for k, v in a.items() if k != "subject_id"} == {
        k: v for k, v in b.items() if k != "subject_id"
    }


def test_a_missing_root_is_no_empty_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        inventory(EEGMAT, tmp_path / "unmounted", "eegmat-01-of-01", salt="x")
    assert caught.value.cause == "data_root"
    assert caught.value.is_retryable


def test_workers_do_not_change_the_answer(tmp_path: Path, write_edf: WriteEdf) -> None:
    for n in range(3):
        write_edf(tmp_path / f"eegmat/Subject{n:02d}_1.edf", seed=n, duration_s=12)
    (tmp_path / "eegmat/Subject03_1.edf").write_bytes(b"")
    assert take(tmp_path) == take(tmp_path, n_workers=2, pool_from_bytes=0)


def test_a_corpus_in_another_format_goes_through_mne(tmp_path: Path, data_root: Path) -> None:
    files = EEGMAT.files.model_copy(
        update={"suffixes": (".bdf",), "pattern": r"(?P<subject>Subject\d{2})_(?P<session>1)"}
    )
    spec = EEGMAT.model_copy(update={"files": files, "reader": Choice(name="mne")})
    (tmp_path / "eegmat").mkdir()
    shutil.copy(
        data_root / "mne-io/edf/test_bdf_stim_channel.bdf", tmp_path / "eegmat/Subject00_1.bdf"
    )
    row = inventory(spec, tmp_path, "eegmat-01-of-01", salt="x").recordings[0]
    assert (row["status"], row["format"], row["sfreq_hz"]) == ("accepted", "bdf", 500.0)
