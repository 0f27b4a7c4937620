from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers import edf as edf_module
from dagster_project.corpora.readers.edf import EdfRecording
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Run
from dagster_project.corpora.spec import Choice

WriteEdf = Callable[..., Path]
WriteGaps = Callable[..., np.ndarray]


def read_all(path: Path, indices: list[int]) -> np.ndarray:
    with EdfRecording(path) as recording:
        traces = recording.pick(indices)
        n = sum(run.n_samples for run in traces.runs)
        out = np.empty((len(indices), n), dtype=np.float32)
        traces.read_uv(0, n, out)
        return out


def header_fields() -> dict[str, tuple[int, int]]:
    at, where = 256, {}
    for name, width in (
        ("label", 16), ("transducer", 80), ("unit", 8), ("pmin", 8), ("pmax", 8), ("dmin", 8),
        ("dmax", 8), ("prefilter", 80), ("spr", 8), ("reserved", 32),
    ):  # fmt: skip
        where[name] = (at, width)
        at += width
    fixed = {"version": (0, 8), "n_bytes": (184, 8), "edfplus": (192, 44), "n_records": (236, 8),
             "record_s": (244, 8), "n_signals": (252, 4)}  # fmt: skip
    return where | fixed


def patched(source: Path, target: Path, **fields: str) -> Path:
    raw = bytearray(source.read_bytes())
    where = header_fields()
    for name, value in fields.items():
        at, width = where[name]
        raw[at : at + width] = value.encode("latin-1").ljust(width)[:width]
    target.write_bytes(raw)
    return target


@pytest.mark.parametrize("record_s", [1.0, 0.5, 10.0, 30.0])
def test_samples_equal_edfio_and_mne(tmp_path: Path, write_edf: WriteEdf, record_s: float) -> None:
    path = write_edf(tmp_path / "a.edf", record_s=record_s)
    picks = [3, 0, 18]
    ours = read_all(path, picks)
    by_edfio = np.array([edfio.read_edf(path).signals[i].data for i in picks])
    by_mne = mne.io.read_raw_edf(path, verbose="ERROR").get_data(picks) * 1e6
    np.testing.assert_allclose(ours, by_edfio, atol=2e-4)
    np.testing.assert_allclose(ours, by_mne, atol=2e-4)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1.0), ("mV", 1e3), ("V", 1e6), ("nV", 1e-3)])
def test_units_become_microvolts(
    tmp_path: Path, write_edf: WriteEdf, unit: str, factor: float
) -> None:
    data = np.random.default_rng(1).standard_normal((1, 2560)) * 20 / factor
    path = write_edf(
        tmp_path / "a.edf", data, labels=["EEG Cz"], unit=unit, half_range=round(3000 / factor, 4)
    )
    np.testing.assert_allclose(read_all(path, [0])[0], data[0] * factor, atol=0.06)


def test_other_rates_in_the_file_do_not_matter(tmp_path: Path, write_edf: WriteEdf) -> None:
    slow = edfio.EdfSignal(
        np.arange(30.0), 1, label="Temp rectal", physical_dimension="degC", physical_range=(0, 40)
    )
    path = write_edf(tmp_path / "a.edf", sfreq_hz=100, extra=[slow])
    with EdfRecording(path) as recording:
        assert recording.pick([0, 1]).sfreq == 100
        assert recording.signals[-1].unit_uv is None
        with pytest.raises(CorpusError) as caught:
            recording.pick([0, 19])
    assert caught.value.cause == "sampling_rate"
    np.testing.assert_allclose(
        read_all(path, [1])[0], edfio.read_edf(path).signals[1].data, atol=2e-4
    )


@given(
    cut=st.tuples(st.integers(0, 7680), st.integers(0, 7680)), block=st.sampled_from([64, 1 << 20])
)
@settings(max_examples=40, deadline=None)
def test_any_stretch_is_that_stretch_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, write_edf: WriteEdf, cut: tuple[int, int], block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "stretch.edf"
    if not path.exists():
        write_edf(path)
    start, stop = sorted(cut)
    whole = read_all(path, [2, 5])
    out = np.empty((2, stop - start), dtype=np.float32)
    before, edf_module.BLOCK_BYTES = edf_module.BLOCK_BYTES, block
    try:
        with EdfRecording(path) as recording:
            recording.pick([2, 5]).read_uv(start, stop, out)
    finally:
        edf_module.BLOCK_BYTES = before
    assert np.array_equal(out, whole[:, start:stop])


def test_a_file_of_one_huge_record_is_read(tmp_path: Path, write_edf: WriteEdf) -> None:
    path = write_edf(tmp_path / "a.edf", duration_s=240, record_s=240.0)
    by_edfio = np.array([edfio.read_edf(path).signals[i].data for i in (0, 9)])
    np.testing.assert_allclose(read_all(path, [0, 9]), by_edfio, atol=2e-4)
    with EdfRecording(path) as recording:
        out = np.empty((2, 100), dtype=np.float32)
        recording.pick([0, 9]).read_uv(1234, 1334, out)
    np.testing.assert_allclose(out, by_edfio[:, 1234:1334], atol=2e-4)


def test_fractional_rates_are_exact(tmp_path: Path, write_edf: WriteEdf) -> None:
    path = write_edf(tmp_path / "a.edf", sfreq_hz=173.5, duration_s=20, record_s=2.0)
    with EdfRecording(path) as recording:
        assert recording.pick([0]).sfreq == Fraction(347, 2)


def test_annotations_equal_mne(tmp_path: Path, write_edf: WriteEdf) -> None:
    notes = [(0.0, 4.2, "T0"), (4.2, 4.1, "T2"), (12.25, None, "näher"), (29.0, 5.0, "T1")]
    path = write_edf(tmp_path / "a.edf", annotations=notes)
    raw = mne.io.read_raw_edf(path, verbose="ERROR")
    with EdfRecording(path) as recording:
        ours = recording.annotations()
    assert (
        [a.text for a in ours] == ["T0", "T2", "näher", "T1"] == list(raw.annotations.description)
    )
    np.testing.assert_allclose([a.onset_s for a in ours], raw.annotations.onset)
    assert [a.duration_s for a in ours] == [4.2, 4.1, 0.0, 5.0]


def test_gaps_of_edf_plus_d_split_the_runs(tmp_path: Path, edf_plus_d: WriteGaps) -> None:
    path = tmp_path / "d.edf"
    samples = edf_plus_d(path, [0, 1, 2, 10, 11, 30.5])
    with EdfRecording(path) as recording:
        traces = recording.pick([0])
        assert traces.runs == (Run(0, 300, 0.0), Run(300, 200, 10.0), Run(500, 100, 30.5))
        np.testing.assert_array_equal(traces.stored(0, 600)[0], samples.reshape(-1))


def test_records_that_run_backwards_are_refused(tmp_path: Path, edf_plus_d: WriteGaps) -> None:
    path = tmp_path / "d.edf"
    edf_plus_d(path, [0, 1, 0.5, 2])
    with EdfRecording(path) as recording, pytest.raises(CorpusError) as caught:
        recording.pick([0])
    assert caught.value.cause == "bad_header"


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"version": "\xffBIOSEMI"}, "not_edf"),
        ({"version": "1"}, "not_edf"),
        ({"n_signals": "0"}, "no_eeg_channels"),
        ({"n_signals": "-1"}, "bad_header"),
        ({"n_signals": "9999"}, "bad_header"),
        ({"n_signals": "abc"}, "bad_header"),
        ({"n_signals": "1_0"}, "bad_header"),
        ({"n_bytes": "256"}, "bad_header"),
        ({"n_bytes": "-512"}, "bad_header"),
        ({"n_bytes": "99999999"}, "bad_header"),
        ({"n_records": "31"}, "truncated"),
        ({"n_records": "99999999"}, "truncated"),
        ({"n_records": "-2"}, "bad_header"),
        ({"n_records": "29"}, "bad_header"),
        ({"n_records": "nan"}, "bad_header"),
        ({"record_s": "0"}, "bad_header"),
        ({"record_s": "-1"}, "bad_header"),
        ({"record_s": "inf"}, "bad_header"),
        ({"record_s": ""}, "bad_header"),
        ({"spr": "-256"}, "bad_header"),
        ({"spr": "0"}, "bad_header"),
        ({"spr": "99999999"}, "truncated"),
        ({"dmin": "1e5"}, "bad_header"),
        ({"dmax": "70000"}, "bad_header"),
    ],
    ids=str,
)
def test_hostile_headers_are_refused(
    tmp_path: Path, write_edf: WriteEdf, fields: dict[str, str], cause: str
) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    bad = patched(good, tmp_path / "bad.edf", **fields)
    with pytest.raises(CorpusError) as caught:
        open_recording(bad, Choice(name="edf"))
    assert caught.value.cause == cause
    assert not caught.value.is_retryable


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"unit": "degC"}, "wrong_unit"),
        ({"unit": ""}, "wrong_unit"),
        ({"dmin": "32767", "dmax": "-32768"}, "bad_header"),
        ({"pmin": "100", "pmax": "100"}, "bad_header"),
        ({"pmin": "junk"}, "bad_header"),
        ({"pmax": "nan"}, "bad_header"),
    ],
    ids=str,
)
def test_void_channels_are_refused_when_picked(
    tmp_path: Path, write_edf: WriteEdf, fields: dict[str, str], cause: str
) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    with (
        open_recording(
            patched(good, tmp_path / "bad.edf", **fields), Choice(name="edf")
        ) as recording,
        pytest.raises(CorpusError) as caught,
    ):
        recording.pick([0])
    assert caught.value.cause == cause


def test_an_inverted_physical_range_turns_the_sign(tmp_path: Path, write_edf: WriteEdf) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    turned = patched(good, tmp_path / "turned.edf", pmin="3276.7", pmax="-3276.7")
    np.testing.assert_allclose(read_all(turned, [0]), -read_all(good, [0]), atol=2e-3)


def test_unknown_record_count_is_taken_from_the_size(tmp_path: Path, write_edf: WriteEdf) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    assert read_all(patched(good, tmp_path / "b.edf", n_records="-1"), [0]).shape == (1, 30 * 256)


@pytest.mark.parametrize(
    ("n_kept", "cause"),
    [(0, "empty"), (5, "truncated"), (200, "truncated"), (400, "truncated"), (5000, "truncated")],
)
def test_cut_files_are_refused(
    tmp_path: Path, write_edf: WriteEdf, n_kept: int, cause: str
) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    cut = tmp_path / "cut.edf"
    cut.write_bytes(good.read_bytes()[:n_kept])
    with pytest.raises(CorpusError) as caught:
        open_recording(cut, Choice(name="edf"))
    assert caught.value.cause == cause


@given(at=st.integers(0, 767), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_one_wrong_header_byte_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, write_edf: WriteEdf, at: int, value: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    good = folder / "fuzz_good.edf"
    if not good.exists():
        write_edf(good, labels=["EEG Cz"], duration_s=12, annotations=[(1.0, None, "x")])
    raw = bytearray(good.read_bytes())
    raw[at] = value
    (folder / "fuzz.edf").write_bytes(raw)
    with (
        suppress(CorpusError),
        open_recording(folder / "fuzz.edf", Choice(name="edf")) as recording,
    ):
        recording.annotations()
        traces = recording.pick([0])
        out = np.empty((1, 10), dtype=np.float32)
        traces.read_uv(0, 10, out)


def test_a_missing_file_is_unreadable_and_retryable(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        open_recording(tmp_path / "none.edf", Choice(name="edf"))
    assert caught.value.cause == "unreadable"
    assert caught.value.is_retryable
