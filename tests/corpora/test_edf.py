from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_spec
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.readers import edf as edf_module
from dagster_project.corpora.readers.edf import EdfRecording
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Run
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import shard_keys
from dagster_project.corpora.spec import Choice

WriteEdf = Callable[..., Path]
WriteGaps = Callable[..., np.ndarray]
EDF = Choice(name="edf")


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
        ({"version": "\xffBIOSEM"}, "not_edf"),
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
        EdfRecording(bad)
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


BOTH_REFUSE = {
    "a record too few signals for its header": {"n_bytes": "256"},
    "records without a duration, which MNE-Python guesses": {"record_s": "0"},
    "no duration at all": {"record_s": ""},
    "underscores, which Python reads": {"n_signals": "1_0"},
    "no samples": {"spr": "0"},
    "gaps nobody would see": {"edfplus": "EDF+D", "n_records": "29"},
}


@pytest.mark.parametrize("name", BOTH_REFUSE)
def test_a_header_no_reader_can_trust_keeps_the_first_cause(
    tmp_path: Path, write_edf: WriteEdf, name: str
) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    with pytest.raises(CorpusError) as caught:
        open_recording(patched(good, tmp_path / "b.edf", **BOTH_REFUSE[name]), EDF)
    assert caught.value.cause == "bad_header"


@pytest.mark.parametrize("cause", ["truncated", "empty", "not_edf"])
def test_what_is_no_header_fault_has_no_second_reader(
    tmp_path: Path, write_edf: WriteEdf, cause: str
) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    raw = good.read_bytes()
    bad = tmp_path / "bad.edf"
    bad.write_bytes({"truncated": raw[:-700], "empty": b"", "not_edf": b"1" + raw[1:]}[cause])
    with pytest.raises(CorpusError) as caught:
        open_recording(bad, EDF)
    assert caught.value.cause == cause


SECOND = {
    "more records than declared": ({"n_records": "29"}, 30),
    "a count that is no count": ({"n_records": "-2"}, 30),
    "digital range with decimals": ({"dmin": "-32768.0", "dmax": "32767.0"}, 30),
}


@pytest.mark.parametrize("name", SECOND)
def test_a_refused_header_is_tried_with_mne_and_says_so(
    tmp_path: Path, write_edf: WriteEdf, name: str
) -> None:
    fields, duration_s = SECOND[name]
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    bad = patched(good, tmp_path / "bad.edf", **fields)
    with pytest.raises(CorpusError, match="bad_header"):
        EdfRecording(bad)
    with open_recording(bad, EDF) as recording:
        assert recording.format == "edf (mne)"
        traces = recording.pick([0])
        assert traces.runs == (Run(0, 256 * duration_s, 0.0),)
        out = np.empty((1, 256 * duration_s), dtype=np.float32)
        traces.read_uv(0, 256 * duration_s, out)
    np.testing.assert_allclose(out, read_all(good, [0]), atol=2e-4)


def test_the_second_reader_gives_no_resampled_channel_and_no_guessed_unit(tmp_path: Path) -> None:
    eeg = noise_uv(3, 30, 256)
    slow = noise_uv(1, 30, 512)[0]
    rows = [
        EdfSignalSpec(label, row, 256)
        for label, row in zip(["EEG C3", "EEG C4", "Temp"], eeg, strict=True)
    ]
    rows[2].unit = "nV"
    rows.insert(1, EdfSignalSpec("ECG", slow, 512))
    path = write_spec(tmp_path / "a.edf", EdfFileSpec(rows, n_records=29))
    with open_recording(path, EDF) as recording:
        assert [(s.label, s.sfreq, s.unit_uv) for s in recording.signals] == [
            ("EEG C3", 256, 1.0), ("EEG C4", 256, 1.0), ("Temp", 256, None),
        ]  # fmt: skip
        out = np.empty((2, 7680), dtype=np.float32)
        recording.pick([0, 1]).read_uv(0, 7680, out)
    np.testing.assert_allclose(out, eeg[:2], atol=0.06)


def test_a_digital_range_beyond_sixteen_bits_is_not_believed_by_either(
    tmp_path: Path, write_edf: WriteEdf
) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    bad = patched(good, tmp_path / "b.edf", dmin="0", dmax="65535")
    with open_recording(bad, EDF) as recording, pytest.raises(CorpusError, match="wrong_unit"):
        recording.pick([0])


def test_decimal_commas_are_read(tmp_path: Path, write_edf: WriteEdf) -> None:
    good = write_edf(tmp_path / "good.edf", labels=["EEG Cz"])
    comma = patched(good, tmp_path / "b.edf", pmin="-3276,7", pmax="3276,7", record_s="1,0")
    np.testing.assert_array_equal(read_all(comma, [0]), read_all(good, [0]))


def test_the_recordings_row_says_that_mne_read_it(tmp_path: Path, write_edf: WriteEdf) -> None:
    good = write_edf(tmp_path / "good.edf")
    (tmp_path / "eegmat").mkdir()
    raw = bytearray(good.read_bytes())
    at, width = header_fields()["n_records"]
    raw[at : at + width] = b"29".ljust(width)
    (tmp_path / "eegmat" / "Subject00_1.edf").write_bytes(raw)
    good.rename(tmp_path / "eegmat" / "Subject00_2.edf")
    rows = [
        row
        for shard in shard_keys("eegmat")
        for row in inventory(corpus("eegmat"), tmp_path, shard, salt="salt").recordings
    ]
    assert [(r["status"], r["format"], r["duration_s"]) for r in rows] == [
        ("accepted", "edf (mne)", 30.0), ("accepted", "edf", 30.0),
    ]  # fmt: skip
