from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.csv import CsvParams, CsvRecording, open_csv


def params(**changes: Any) -> CsvParams:
    base = {"others": ("id",), "sfreq_hz": 100.0, "unit": "uV"}
    return CsvParams.model_validate(base | changes)


def write(path: Path, data: np.ndarray, head: str = "id,Fz,Cz\n") -> Path:
    rows = (f"r_{i},{a:g},{b:g}" for i, (a, b) in enumerate(data.T))
    path.write_text(head + "\n".join(rows) + "\n")
    return path


def read(recording: CsvRecording) -> np.ndarray:
    traces = recording.pick(range(len(recording.signals)))
    (run,) = traces.runs
    out = np.empty((len(recording.signals), run.n_samples), dtype=np.float32)
    traces.read_uv(0, run.n_samples, out)
    return out


def steps(n: int, seed: int = 0, scale: float = 20) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).standard_normal((2, n)) * scale)


def test_columns_are_signals_in_blocks_of_any_size(tmp_path: Path) -> None:
    data = steps(200_000)  # several blocks of a megabyte
    with open_csv(write(tmp_path / "a.csv", data), params()) as recording:
        assert [s.label for s in recording.signals] == ["Fz", "Cz"]
        traces = recording.pick([1])
        for start, stop in ((0, 10), (5, 120_000), (119_999, 200_000), (3, 4)):
            np.testing.assert_array_equal(traces.stored(start, stop)[0], data[1, start:stop])
        np.testing.assert_allclose(read(recording), data)


@pytest.mark.parametrize(("step_uv", "rms_uv"), [(0.1, 6), (0.1, 25), (1.0, 6), (1.0, 25)])
def test_the_amplitude_decides_between_units(tmp_path: Path, step_uv: float, rms_uv: float) -> None:
    drift = 3000 * np.sin(2 * np.pi * 0.02 * np.arange(4000) / 100)
    data = np.rint((steps(4000, scale=rms_uv) + drift) / step_uv)
    entry = params(unit=None, unit_candidates_uv=(0.1, 1.0))
    with open_csv(write(tmp_path / "a.csv", data), entry) as recording:
        assert {s.unit_uv for s in recording.signals} == {step_uv}
        np.testing.assert_allclose(read(recording), data * step_uv, rtol=1e-5)


@pytest.mark.parametrize(("scale", "cause"), [(1e5, "wrong_unit"), (0, "flat")])
def test_an_amplitude_that_fits_no_unit_is_refused(
    tmp_path: Path, scale: float, cause: str
) -> None:
    path = write(tmp_path / "a.csv", steps(4000, scale=scale))
    with pytest.raises(CorpusError) as refused:
        open_csv(path, params(unit=None, unit_candidates_uv=(0.1, 1.0)))
    assert refused.value.cause == cause


def test_empty_cells_are_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,Fz,Cz\r\na,1,2\r\nb,,4\r\nc,NaN,6\r\n")
    with open_csv(tmp_path / "a.csv", params()) as recording:
        np.testing.assert_array_equal(read(recording), [[1, np.nan, np.nan], [2, 4, 6]])


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "header only": (b"id,Fz,Cz\n", "empty"),
    "text in a cell": (b"id,Fz,Cz\na,1,2\nb,x,4\n", "bad_header"),
    "a cell too many": (b"id,Fz,Cz\na,1,2\nb,3,4,5\n", "bad_header"),
    "a cell too few": (b"id,Fz,Cz\na,1,2\nb,3\n", "bad_header"),
    "binary": (b"id,Fz,Cz\na,1,2\n\0\0\0", "not_edf"),
    "column missing": (b"id,Fz\na,1\n", "bad_header"),
    "column twice": (b"id,Cz,Cz\na,1,2\n", "bad_header"),
    "a line without end": (b"id,Fz,Cz\na,1," + b"2" * (3 << 20), "bad_header"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_such_table_is_refused(tmp_path: Path, kind: str) -> None:
    content, cause = BAD[kind]
    (tmp_path / "a.csv").write_bytes(content)
    with (
        pytest.raises(CorpusError) as refused,
        open_csv(tmp_path / "a.csv", params(signals=("Fz", "Cz"))) as recording,
    ):
        read(recording)
    assert refused.value.cause == cause


@pytest.mark.parametrize(
    "changes",
    [{"unit": None}, {"unit_candidates_uv": (0.1,)}, {"unit": None, "unit_candidates_uv": (0.0,)}],
)
def test_an_entry_without_one_unit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unit"):
        params(**changes)


def test_a_real_arff_file(data_root: Path) -> None:
    path = data_root / "uci-eeg-eye-state" / "EEG Eye State.arff"
    names = [
        "AF3",
        "F7",
        "F3",
        "FC5",
        "T7",
        "P7",
        "O1",
        "O2",
        "P8",
        "T8",
        "FC6",
        "F4",
        "F8",
        "AF4",
        "eyeDetection",
    ]
    entry = params(columns=tuple(names), others=(names[-1],), skip_through="@DATA", sfreq_hz=128.0)
    rows = [line for line in path.read_text().splitlines() if line[:1].isdigit()]
    expected = np.array([row.split(",")[:14] for row in rows], dtype=float).T
    with open_csv(path, entry) as recording:
        assert [s.label for s in recording.signals] == names[:14]
        np.testing.assert_allclose(read(recording), expected, rtol=1e-6)
    assert expected.shape == (14, 14_980)


def test_a_real_table_behind_comments_with_repeated_columns(data_root: Path) -> None:
    path = data_root / "openbci-gui" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
    names = tuple(f"EXG Channel {i}" for i in range(8))
    entry = params(comment="%", signals=names, others=(), sfreq_hz=250.0)
    with open_csv(path, entry) as recording:
        out = read(recording)
    assert out.shape == (8, 22_490)
    assert out[:2, 0].tolist() == pytest.approx([61379.36, 49492.89])
    expected = np.genfromtxt(path, delimiter=",", skip_header=5, usecols=range(1, 9))
    np.testing.assert_allclose(out, expected.T, rtol=1e-6)
