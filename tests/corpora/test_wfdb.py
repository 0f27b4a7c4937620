from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import wfdb
from formats.wfdb import WfdbFile, write, write_annotations
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Recording, remarks_of
from dagster_project.corpora.readers.wfdb import WfdbAnnotation, read_annotations
from dagster_project.corpora.spec import Choice

CHALLENGE = Choice(name="wfdb", params={"annotators": ["arousal"]})


def opened(path: Path, reader: Choice = CHALLENGE) -> Recording:
    return open_recording(path, reader)


def microvolts(path: Path, indices: tuple[int, ...]) -> np.ndarray:
    with opened(path) as recording:
        traces = recording.pick(indices)
        n = sum(run.n_samples for run in traces.runs)
        out = np.empty((len(indices), n), dtype=np.float32)
        traces.read_uv(0, n, out)
        return out


def steps(n_channels: int, n_times: int, top: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-top, top, (n_channels, n_times))


def challenge(folder: Path, **changes: object) -> Path:
    """A night as the 2018 challenge packs it: int16 in a MATLAB matrix, three units."""
    content: dict[str, object] = {
        "name": "tr03-0005.mat", "labels": ["F3-M2", "SaO2", "ECG"], "steps": steps(3, 4000),
        "gains": ["1(0)/uV", "1024(0)/%", "1000(-20)/mV"], "is_matlab": True,
    }  # fmt: skip
    file = WfdbFile(**(content | changes))  # type: ignore[arg-type]
    return write(folder, "tr03-0005", [file], tail="22:10:05 01/02/1990", comments=["Age: 55"])


@pytest.mark.parametrize("fmt", ["16", "24", "32", "212"])
@pytest.mark.parametrize("n_times", [3001, 3000])
def test_samples_equal_wfdb(tmp_path: Path, fmt: str, n_times: int) -> None:
    file = WfdbFile(
        "r.dat", ["F3-M2", "C4-M1", "O1-M2"], steps(3, n_times), fmt,
        gains=["10/uV", "0.5(100)/uV", "2000/mV"], zeros=[0, 5, -7],
    )  # fmt: skip
    path = write(tmp_path, "r", [file])
    record = wfdb.rdrecord(str(tmp_path / "r"), physical=True)
    factor = np.array([1.0, 1.0, 1e3])
    assert record.p_signal is not None
    np.testing.assert_allclose(
        microvolts(path, (0, 1, 2)), (record.p_signal * factor).T, rtol=1e-5, atol=1e-3
    )
    with opened(path) as recording:
        assert [s.label for s in recording.signals] == record.sig_name


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2999), st.integers(1, 3000), st.sampled_from(["16", "24", "32", "212"]))
def test_any_stretch_is_part_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, fmt: str
) -> None:
    folder = tmp_path_factory.mktemp("w")
    values = steps(3, 3000)
    path = write(folder, "r", [WfdbFile("r.dat", ["a", "b", "c"], values, fmt)])
    stop = min(start + length, 3000)
    with opened(path) as recording:
        found = recording.pick((2, 0)).stored(start, stop)
    np.testing.assert_array_equal(found, values[[2, 0], start:stop])


def test_a_night_of_the_2018_challenge_equals_wfdb(tmp_path: Path) -> None:
    path = challenge(tmp_path)
    record = wfdb.rdrecord(str(path.with_suffix("")))
    assert record.p_signal is not None
    np.testing.assert_allclose(microvolts(path, (0,))[0], record.p_signal[:, 0], rtol=1e-6)
    np.testing.assert_allclose(
        microvolts(path.with_suffix(".mat"), (2,))[0], 1e3 * record.p_signal[:, 2], rtol=1e-5
    )
    with opened(path) as recording:
        assert recording.start == record.base_datetime
        assert recording.signals[1].unit_uv is None
        assert recording.format == "wfdb"
        with pytest.raises(CorpusError, match="wrong_unit"):
            recording.pick([1])


def test_signals_may_lie_in_several_files_of_several_rates(tmp_path: Path) -> None:
    fast = WfdbFile("r.dat", ["C3", "C4", "SaO2"], steps(3, 4000), per_frame=[2, 2, 1])
    slow = WfdbFile("s.dat", ["O1"], steps(1, 2000, seed=3), "212")
    path = write(tmp_path, "r", [fast, slow], rate="100")
    with opened(path) as recording:
        assert [s.sfreq for s in recording.signals] == [200, 200, 100, 100]
        with pytest.raises(CorpusError, match="sampling_rate"):
            recording.pick([0, 3])
    np.testing.assert_array_equal(microvolts(path, (1,))[0], fast.steps[1])
    np.testing.assert_array_equal(microvolts(path, (3,))[0], slow.steps[0])
    np.testing.assert_array_equal(microvolts(path, (2,))[0], fast.steps[2, :2000])


def test_the_value_for_no_sample_is_nan_as_in_wfdb(tmp_path: Path) -> None:
    values = steps(1, 3000)
    values[0, [4, 900]] = -(2**15)
    path = write(tmp_path, "r", [WfdbFile("r.dat", ["C3"], values)])
    record = wfdb.rdrecord(str(tmp_path / "r"))
    assert record.p_signal is not None
    found = microvolts(path, (0,))[0]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(record.p_signal[:, 0]))
    assert np.flatnonzero(np.isnan(found)).tolist() == [4, 900]


@pytest.mark.parametrize("gain", ["0/uV", "200/uV"])
def test_a_gain_of_nought_is_the_formats_default(tmp_path: Path, gain: str) -> None:
    path = write(tmp_path, "r", [WfdbFile("r.dat", ["C3"], steps(1, 3000), gains=[gain])])
    np.testing.assert_allclose(microvolts(path, (0,))[0], steps(1, 3000)[0] / 200, rtol=1e-6)


NOTES = [(20, 22, "W"), (6000, 22, "N1"), (6400, 22, "(resp_hypopnea"), (70_000, 22, ""),
         (9_000_000, 1, "resp_hypopnea)"), (9_000_500, 30, "odd")]  # fmt: skip


def test_annotations_equal_wfdb(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "r.arousal", NOTES)
    record = wfdb.rdann(str(tmp_path / "r"), "arousal", return_label_elements=["label_store"])
    found = read_annotations(path)
    assert [a.sample for a in found] == record.sample.tolist()
    assert [a.code for a in found] == list(record.label_store)
    assert [a.aux for a in found] == record.aux_note
    assert found[2] == WfdbAnnotation(6400, 22, "(resp_hypopnea")


def test_annotators_of_the_entry_become_annotations(tmp_path: Path) -> None:
    path = challenge(tmp_path)
    write_annotations(tmp_path / "tr03-0005.arousal", NOTES[:4])
    with opened(path) as recording:
        assert [(a.onset_s, a.text) for a in recording.annotations()] == [
            (0.1, "W"), (30.0, "N1"), (32.0, "(resp_hypopnea"), (350.0, "code 22"),
        ]  # fmt: skip
        assert remarks_of(recording) == ()


def test_a_time_resolution_of_the_annotation_file_counts(tmp_path: Path) -> None:
    path = challenge(tmp_path)
    write_annotations(tmp_path / "tr03-0005.arousal", NOTES[:2], resolution="1000")
    with opened(path) as recording:
        assert [a.onset_s for a in recording.annotations()] == [0.02, 6.0]


def test_a_test_night_without_annotations_is_read_and_said(tmp_path: Path) -> None:
    with opened(challenge(tmp_path)) as recording:
        assert recording.annotations() == ()
        assert remarks_of(recording) == ("arousal_missing",)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ((b"tr03-0005 3", b"tr03-0005/2 3"), "bad_header"),
        ((b"tr03-0005 3 200", b"tr03-0005 3 0"), "sampling_rate"),
        ((b"tr03-0005 3", b"tr03-0005 99999"), "bad_header"),
        ((b" 4000", b" 4001"), "truncated"),
        ((b" 4000", b" 3999"), "bad_header"),
        ((b" 4000", b" 999999999999"), "truncated"),
        ((b"tr03-0005 3", b"<?xml 3"), "not_edf"),
        ((b"16+24 1(0)", b"80+24 1(0)"), "bad_header"),
        ((b"16+24 1(0)", b"16:5+24 1(0)"), "bad_header"),
        ((b"16+24 1(0)", b"16x0+24 1(0)"), "bad_header"),
        ((b"16+24 1(0)", b"16+24 nan(0)"), "bad_header"),
        ((b"tr03-0005.mat", b"../tr03-0005.mat"), "bad_header"),
        ((b"tr03-0005.mat", b"missing.mat"), "unreadable"),
    ],
    ids=str,
)
def test_a_void_header_is_refused(tmp_path: Path, change: tuple[bytes, bytes], cause: str) -> None:
    path = challenge(tmp_path)
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(CorpusError, match=cause):
        opened(path)


def test_a_matrix_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = challenge(tmp_path)
    data = path.with_suffix(".mat")
    raw = bytearray(data.read_bytes())
    raw[8:12] = (3999).to_bytes(4, "little")
    data.write_bytes(raw)
    with pytest.raises(CorpusError, match="bad_header"):
        opened(path)


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_annotations_cut_short_are_refused(tmp_path: Path, cut: int) -> None:
    path = write_annotations(tmp_path / "r.arousal", NOTES)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(CorpusError, match="bad_labels"):
        read_annotations(path)


def test_the_rate_may_be_a_fraction(tmp_path: Path) -> None:
    path = write(tmp_path, "r", [WfdbFile("r.dat", ["C3"], steps(1, 3000))], rate="199.5")
    with opened(path) as recording:
        assert recording.signals[0].sfreq == Fraction(399, 2)
