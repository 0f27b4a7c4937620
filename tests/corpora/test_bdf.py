from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import mne
import numpy as np
import pytest
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv, write, write_eeg
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.corpora.channels import pick_traces
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers import edf as edf_module
from dagster_project.corpora.readers.edf import EdfRecording
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.spec import Channels, Choice

EDF = Choice(name="edf")
BIOSEMI_UV = (-262144.0, 262143.0)


def read_all(path: Path, indices: list[int]) -> np.ndarray:
    with EdfRecording(path) as recording:
        traces = recording.pick(indices)
        n = sum(run.n_samples for run in traces.runs)
        out = np.empty((len(indices), n), dtype=np.float32)
        traces.read_uv(0, n, out)
        return out


@pytest.mark.parametrize("name", ["test.bdf", "test_bdf_stim_channel.bdf"])
def test_real_files_equal_mne(data_root: Path, name: str) -> None:
    path = data_root / "mne-io" / "edf" / name
    raw = mne.io.read_raw_bdf(path, verbose="ERROR", stim_channel=None)
    with EdfRecording(path) as recording:
        assert recording.format == "bdf"
        # Two leads of one file share a name; MNE-Python numbers them.
        assert [s.label for s in recording.signals] == [n.split("-")[0] for n in raw.ch_names]
        volts = [i for i, s in enumerate(recording.signals) if s.unit_uv]
        assert len(volts) == len(raw.ch_names) - 1
        assert recording.signals[-1].label == "Status"
        assert recording.signals[-1].unit_uv is None
        assert {s.sfreq for s in recording.signals} == {Fraction(raw.info["sfreq"])}
        assert recording.start == raw.info["meas_date"].replace(tzinfo=None)
    wanted = raw.get_data(volts, units="uV")
    assert np.ptp(wanted) > 1
    np.testing.assert_allclose(read_all(path, volts), wanted, rtol=3e-7, atol=1e-3)


def test_the_status_channel_cannot_be_picked(data_root: Path) -> None:
    path = data_root / "mne-io" / "edf" / "test_bdf_stim_channel.bdf"
    with open_recording(path, EDF) as recording, pytest.raises(CorpusError, match="wrong_unit"):
        recording.pick([len(recording.signals) - 1])


@pytest.mark.parametrize("record_s", [1.0, 0.5, 10.0])
def test_a_planted_signal_with_offsets_of_millivolts_comes_back(
    tmp_path: Path, record_s: float
) -> None:
    data = noise_uv(3, 30, 512) + np.array([[41000.0], [-73000.0], [120.0]])
    rows = [
        EdfSignalSpec(name, row, 512, physical=BIOSEMI_UV)
        for name, row in zip(["Fp1", "Cz", "Status"], data, strict=True)
    ]
    path = write(tmp_path / "a.bdf", EdfFileSpec(rows, is_bdf=True, record_s=record_s))
    by_mne = mne.io.read_raw_bdf(path, verbose="ERROR").get_data([1, 0], units="uV")
    ours = read_all(path, [1, 0])
    np.testing.assert_allclose(ours, data[[1, 0]], atol=0.04)
    np.testing.assert_allclose(ours, by_mne, atol=0.01)


@pytest.mark.parametrize("block_bytes", [1 << 20, 4096], ids=["records", "long records"])
@pytest.mark.parametrize(("start", "stop"), [(0, 7680), (1, 257), (255, 1025), (256, 1024)])
def test_any_stretch_is_the_same_cut_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, start: int, stop: int
) -> None:
    path = write_eeg(tmp_path / "a.bdf", ["C3", "Cz", "C4", "Pz", "Oz", "Fz"], is_bdf=True)
    whole = read_all(path, [4, 1])
    monkeypatch.setattr(edf_module, "BLOCK_BYTES", block_bytes)
    with EdfRecording(path) as recording:
        traces = recording.pick([4, 1])
        out = np.empty((2, stop - start), dtype=np.float32)
        traces.read_uv(start, stop, out)
        stored = traces.stored(start, stop)
    assert stored.dtype == np.int32
    np.testing.assert_array_equal(out, whole[:, start:stop])


def test_the_extremes_of_24_bits_keep_their_sign(tmp_path: Path) -> None:
    samples = np.tile([-262144.0, 262143.0, -0.07, 0.07, 0.0, -1.0], 512)
    rows = [EdfSignalSpec("Cz", samples, 512, physical=BIOSEMI_UV)]
    path = write(tmp_path / "a.bdf", EdfFileSpec(rows, is_bdf=True))
    with EdfRecording(path) as recording:
        stored = recording.pick([0]).stored(0, 6)[0]
    assert stored[0] == -(1 << 23)
    assert stored[1] == (1 << 23) - 1
    assert stored[2] < stored[4] < stored[3]
    np.testing.assert_allclose(read_all(path, [0])[0], samples, atol=0.04)


def test_bdf_plus_annotations_equal_mne(tmp_path: Path) -> None:
    notes = [(0.5, 1.25, "boundary"), (12.0, None, "T1"), (29.0, 5.0, "late")]
    path = write_eeg(tmp_path / "a.bdf", ["Cz"], is_bdf=True, annotations=notes)
    raw = mne.io.read_raw_bdf(path, verbose="ERROR")
    with EdfRecording(path) as recording:
        assert len(recording.signals) == 1
        ours = recording.annotations()
    assert [a.text for a in ours] == list(raw.annotations.description)
    np.testing.assert_allclose([a.onset_s for a in ours], raw.annotations.onset)
    assert [a.duration_s for a in ours] == [1.25, 0.0, 5.0]


def test_one_opener_tells_the_formats_by_their_first_bytes(tmp_path: Path) -> None:
    write_eeg(tmp_path / "a.edf", ["Cz"], is_bdf=True)
    write_eeg(tmp_path / "b.bdf", ["Cz"])
    with open_recording(tmp_path / "a.edf", EDF) as a, open_recording(tmp_path / "b.bdf", EDF) as b:
        assert (a.format, b.format) == ("bdf", "edf")


def test_an_unreferenced_source_is_averaged_over_its_scalp_channels(tmp_path: Path) -> None:
    names = ["Fp1", "Cz", "O2", "AF3", "EXG1"]
    common = 5000 * np.sin(2 * np.pi * 0.5 * np.arange(7680) / 256)
    data = noise_uv(5, 30, 256) + common
    rows = [EdfSignalSpec(n, r, 256, physical=BIOSEMI_UV) for n, r in zip(names, data, strict=True)]
    path = write(tmp_path / "a.bdf", EdfFileSpec(rows, is_bdf=True))
    with open_recording(path, EDF) as recording:
        _, traces = pick_traces(recording, Channels(reference="average"))
        out = np.empty((3, 7680), dtype=np.float32)
        traces.read_uv(0, 7680, out)
    wanted = data[:3] - data[:4].mean(axis=0)
    np.testing.assert_allclose(out, wanted, atol=0.1)


FAULTS = {
    "half a record": (lambda raw: raw[:-100], "truncated"),
    "header only": (lambda raw: raw[:512], "truncated"),
    "nothing": (lambda raw: b"", "empty"),
    "first bytes of another vendor": (lambda raw: b"\xffBIOSEMY" + raw[8:], "not_edf"),
    "digital range beyond 24 bits": (
        lambda raw: raw.replace(b"8388607 ", b"16777215"[:8]),
        "bad_header",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_has_its_cause(tmp_path: Path, name: str) -> None:
    damage, cause = FAULTS[name]
    good = write_eeg(tmp_path / "a.bdf", ["Cz"], is_bdf=True, duration_s=5)
    bad = tmp_path / "b.bdf"
    bad.write_bytes(damage(good.read_bytes()))
    with pytest.raises(CorpusError) as caught:
        EdfRecording(bad)
    assert caught.value.cause == cause


def test_a_declared_giant_allocates_nothing(tmp_path: Path) -> None:
    good = write_eeg(tmp_path / "a.bdf", ["Cz"], is_bdf=True, duration_s=5)
    raw = bytearray(good.read_bytes())
    raw[472:480] = b"99999999"  # samples per record of the one signal
    bad = tmp_path / "b.bdf"
    bad.write_bytes(raw)
    with pytest.raises(CorpusError, match="truncated"):
        EdfRecording(bad)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40))
def test_random_damage_ends_in_samples_or_a_cause(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "bdf_fuzz"
    good = folder / "good.bdf"
    if not good.exists():
        write_eeg(good, ["C3", "Cz"], is_bdf=True, duration_s=3, annotations=[(1, 1, "x")])
    rng = np.random.default_rng(seed)
    raw = bytearray(good.read_bytes())
    for _ in range(n):
        raw[rng.integers(0, 1024)] = rng.integers(0, 256)
    bad = folder / "bad.bdf"
    bad.write_bytes(raw[: rng.integers(1, len(raw) + 1)])
    with suppress(CorpusError), EdfRecording(bad) as recording:
        recording.annotations()
        for i in range(len(recording.signals)):
            with suppress(CorpusError):
                traces = recording.pick([i])
                run = traces.runs[0]
                traces.stored(0, min(run.n_samples, 1 << 16))
