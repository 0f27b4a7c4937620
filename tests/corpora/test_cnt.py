from __future__ import annotations

import struct
from datetime import datetime
from pathlib import Path

import mne
import numpy as np
import pytest
from formats.cnt import CntSpec, write

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Recording, Run
from dagster_project.corpora.spec import Choice

SEED_NAMES = ("FP1", "FPZ", "FP2", "M1", "CZ", "M2", "O2", "VEO", "HEO")


def reader(width: int) -> Choice:
    return Choice(name="cnt", params={"data_format": f"int{8 * width}"})


def opened(path: Path, width: int = 4) -> Recording:
    return open_recording(path, reader(width))


def steps(n_channels: int, n_times: int, top: int = 3000) -> np.ndarray:
    return np.random.default_rng(0).integers(-top, top, (n_channels, n_times))


def spec(**changes: object) -> CntSpec:
    content: dict[str, object] = {
        "labels": SEED_NAMES, "steps": steps(9, 4000), "sensitivity": 1.17, "calibration": 0.93,
        "baselines": [0, 5, -9, 0, 0, 1, 2, 3, 4], "patient": "DOE JANE",
        "events": [(0, 1), (1000, 7), (3999, 12)],
    }  # fmt: skip
    return CntSpec(**(content | changes))  # type: ignore[arg-type]


def microvolts(path: Path, indices: tuple[int, ...], width: int) -> np.ndarray:
    with opened(path, width) as recording:
        traces = recording.pick(indices)
        n = sum(run.n_samples for run in traces.runs)
        out = np.empty((len(indices), n), dtype=np.float32)
        traces.read_uv(0, n, out)
        return out


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("block", [1, 40])
def test_samples_names_rate_and_start_equal_mne(tmp_path: Path, width: int, block: int) -> None:
    path = write(tmp_path / "1_1.cnt", spec(width=width, block=block))
    raw = mne.io.read_raw_cnt(path, data_format=f"int{8 * width}", verbose="ERROR")
    with opened(path, width) as recording:
        assert [s.label for s in recording.signals] == raw.ch_names == list(SEED_NAMES)
        assert {s.sfreq for s in recording.signals} == {int(raw.info["sfreq"])}
        assert recording.start == datetime(2013, 10, 27, 9, 30)
        assert recording.pick([0]).runs == (Run(0, raw.n_times, 0.0),)
    np.testing.assert_allclose(
        microvolts(path, (8, 2, 1), width), 1e6 * raw.get_data([8, 2, 1]), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("kind", [1, 2])
def test_events_are_those_of_mne(tmp_path: Path, kind: int) -> None:
    path = write(tmp_path / "1_1.cnt", spec(event_kind=kind))
    with opened(path) as recording:
        found = recording.annotations()
    assert [(a.onset_s, a.text) for a in found] == [(0.0, "1"), (1.0, "7"), (3.999, "12")]
    raw = mne.io.read_raw_cnt(path, data_format="int32", verbose="ERROR")
    assert [a.text for a in found] == [str(a["description"]) for a in raw.annotations]
    # MNE-Python takes one sample off every position
    onsets = [a["onset"] for a in raw.annotations]
    assert [a.onset_s for a in found[1:]] == pytest.approx([t + 0.001 for t in onsets[1:]])


def test_more_channels_than_the_montage_are_listed(tmp_path: Path) -> None:
    names = [f"E{i}" for i in range(66)]
    path = write(tmp_path / "1_1.cnt", CntSpec(names, steps(66, 2000)))
    with opened(path) as recording:
        assert len(recording.signals) == 66


@pytest.mark.parametrize(("width", "said"), [(2, 4), (4, 2)])
def test_a_wrong_width_is_refused_by_the_headers_own_counts(
    tmp_path: Path, width: int, said: int
) -> None:
    path = write(tmp_path / "1_1.cnt", spec(width=width))
    with pytest.raises(CorpusError, match=f"its samples are int{8 * width}"):
        opened(path, said)


def test_a_void_sample_count_is_recomputed(tmp_path: Path) -> None:
    path = write(tmp_path / "1_1.cnt", spec(n_samples=0))
    with opened(path) as recording:
        assert recording.pick([0]).runs == (Run(0, 4000, 0.0),)


def patched(path: Path, form: str, at: int, value: int | float) -> Path:
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, at, value)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("form", "at", "value", "cause"),
    [
        ("<H", 370, 0, "bad_header"),
        ("<H", 370, 65535, "bad_header"),
        ("<H", 370, 1000, "bad_header"),
        ("<H", 376, 0, "sampling_rate"),
        ("<I", 886, 2**32 - 1, "truncated"),
        ("<I", 886, 950, "bad_header"),
        ("<i", 894, 2**31 - 1, "bad_header"),
        ("<f", 900 + 59, float("nan"), "bad_header"),
        ("<f", 900 + 71, 0.0, "bad_header"),
        ("<B", 0, 7, "not_edf"),
    ],
)
def test_a_void_header_is_refused(
    tmp_path: Path, form: str, at: int, value: float, cause: str
) -> None:
    path = patched(write(tmp_path / "1_1.cnt", spec()), form, at, value)
    with pytest.raises(CorpusError, match=cause):
        opened(path)


@pytest.mark.parametrize("size", [0, 10, 899, 900 + 75 * 9, 5000])
def test_a_file_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "1_1.cnt", spec())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorpusError, match=r"empty|truncated"):
        opened(path)


def test_a_void_event_table_is_bad_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "1_1.cnt", spec())
    table = 900 + 75 * 9 + 9 * 4000 * 4
    with (
        opened(patched(path, "<B", table, 9)) as recording,
        pytest.raises(CorpusError, match="bad_labels"),
    ):
        recording.annotations()
