from __future__ import annotations

import resource
import shutil
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import h5py
import mne
import numpy as np
import pytest
import scipy.io
from formats.edf import noise_uv
from formats.eeglab import SetSpec, write_set, write_set73
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers import eeglab as eeglab_module
from dagster_project.corpora.readers import mat_tree
from dagster_project.corpora.readers.eeglab import EeglabRecording
from dagster_project.corpora.readers.mat5 import check_hdf5, check_mat5
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Annotation, Run
from dagster_project.corpora.spec import Choice

LABELS = ["Fp1", "Cz", "EOG", "Oz"]
EEGLAB = Choice(name="eeglab")
WRITERS = {"5": write_set, "7.3": write_set73}
EVENTS = [("square", 129.0, 0.0), ("boundary", 1000.5, None), (7.0, 1500.25, 64.0)]


def spec_of(**fields: object) -> SetSpec:
    data = noise_uv(4, 30, 256).astype(np.float32)
    return replace(SetSpec(data, LABELS, events=EVENTS), **fields)  # type: ignore[arg-type]


def read_all(path: Path, indices: list[int]) -> np.ndarray:
    with EeglabRecording(path) as recording:
        traces = recording.pick(indices)
        n = sum(run.n_samples for run in traces.runs)
        out = np.empty((len(indices), n), dtype=np.float32)
        traces.read_uv(0, n, out)
        return out


def cause_of(path: Path) -> str:
    with pytest.raises(CorpusError) as caught:
        open_recording(path, EEGLAB)
    return caught.value.cause


def test_a_real_continuous_file_equals_mne(data_root: Path) -> None:
    path = data_root / "eeglab-sample" / "eeglab_data.set"
    raw = mne.io.read_raw_eeglab(path, verbose="ERROR")
    with open_recording(path, EEGLAB) as recording:
        assert recording.format == "eeglab"
        assert [s.label for s in recording.signals] == raw.ch_names
        assert {(s.sfreq, s.unit_uv) for s in recording.signals} == {(Fraction(128), 1.0)}
        notes = recording.annotations()
        assert recording.pick([0]).runs == (Run(0, 30504, 0.0),)
    texts = [a.text for a in notes]
    assert {t: texts.count(t) for t in texts} == {"square": 80, "rt": 74}
    np.testing.assert_allclose([a.onset_s for a in notes], raw.annotations.onset, atol=1e-6)
    wanted = raw.get_data([31, 0, 5], units="uV")
    np.testing.assert_allclose(read_all(path, [31, 0, 5]), wanted, rtol=1e-6)


def test_a_real_epoched_file_is_refused_by_name(data_root: Path) -> None:
    path = data_root / "eeglab-sample" / "eeglab_data_epochs_ica.set"
    assert cause_of(path) == "epoched"


@pytest.mark.parametrize(
    ("version", "where", "layout", "is_compressed"),
    [
        c
        for c in product(["5", "7.3"], ["fdt", "set"], ["struct", "fields"], [True, False])
        if c[0] == "5" or c[3]
    ],
)
def test_every_way_of_saving_gives_the_planted_signal(
    tmp_path: Path, version: str, where: str, layout: str, is_compressed: bool
) -> None:
    spec = spec_of(where=where, layout=layout, is_compressed=is_compressed)
    path = WRITERS[version](tmp_path / "a.set", spec)
    np.testing.assert_array_equal(read_all(path, [3, 0]), spec.data_uv[[3, 0]])
    by_mne = mne.io.read_raw_eeglab(path, verbose="ERROR").get_data([3, 0], units="uV")
    np.testing.assert_allclose(read_all(path, [3, 0]), by_mne, rtol=1e-6)
    with EeglabRecording(path) as recording:
        assert [s.label for s in recording.signals] == LABELS
        assert recording.annotations() == (
            Annotation(0.5, 0.0, "square"),
            Annotation(999.5 / 256, 0.0, "boundary"),
            Annotation(1499.25 / 256, 0.25, "7"),
        )
        # 1000 samples lie before the boundary at 1000.5 (samples count from 1).
        assert recording.pick([0]).runs == (Run(0, 1000, 0.0), Run(1000, 6680, 1000 / 256))


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_blocks_are_cuts_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, dtype: str
) -> None:
    path = WRITERS[version](tmp_path / "a.set", spec_of(where="set", dtype=dtype))
    whole = read_all(path, [1, 2])
    monkeypatch.setattr(eeglab_module, "BLOCK_BYTES", 4096)
    with EeglabRecording(path) as recording:
        traces = recording.pick([1, 2])
        for start, stop in ((0, 7680), (255, 257), (1, 2000), (7679, 7680)):
            out = np.empty((2, stop - start), dtype=np.float32)
            traces.read_uv(start, stop, out)
            np.testing.assert_array_equal(out, whole[:, start:stop])
            np.testing.assert_allclose(traces.stored(start, stop), out)


def test_a_large_deflated_variable_goes_through_a_file_not_through_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(where="set")
    path = write_set(tmp_path / "a.set", spec)
    monkeypatch.setattr(mat_tree, "IN_MEMORY_BYTES", 1000)
    np.testing.assert_array_equal(read_all(path, [2, 1]), spec.data_uv[[2, 1]])


def test_one_channel_and_one_event_are_no_special_case(tmp_path: Path) -> None:
    for version, write in WRITERS.items():
        data = noise_uv(1, 12, 100)
        spec = SetSpec(data, ["Cz"], 100.0, [("go", 101.0, 5.0)], where="set")
        path = write(tmp_path / version / "a.set", spec)
        np.testing.assert_allclose(read_all(path, [0]), data, rtol=1e-6)
        with EeglabRecording(path) as recording:
            assert recording.annotations() == (Annotation(1.0, 0.05, "go"),)


def test_numeric_boundary_codes_break_runs_and_the_ends_break_nothing(tmp_path: Path) -> None:
    events = [("boundary", 0.5, None), (-99.0, 2560.5, 100.0), ("boundary", 7680.5, None)]
    path = write_set(tmp_path / "a.set", spec_of(events=events))
    with EeglabRecording(path) as recording:
        assert [(r.start_sample, r.n_samples) for r in recording.pick([0]).runs] == [
            (0, 2560), (2560, 5120),
        ]  # fmt: skip


def test_a_renamed_copy_finds_the_signal_of_its_own_name(tmp_path: Path) -> None:
    spec = spec_of()
    write_set(tmp_path / "old.set", spec)
    shutil.move(tmp_path / "old.set", tmp_path / "sub-01_eeg.set")
    shutil.move(tmp_path / "old.fdt", tmp_path / "sub-01_eeg.fdt")
    np.testing.assert_array_equal(read_all(tmp_path / "sub-01_eeg.set", [0]), spec.data_uv[:1])


@pytest.mark.parametrize(
    "name", ["../secret.fdt", "/etc/passwd", "..", "x\\..\\secret.fdt", "sub/secret.fdt"]
)
def test_a_signal_file_elsewhere_is_not_followed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep"
    path = write_set(folder / "a.set", spec_of(where="set"))
    spec_of().data_uv.T.tofile(tmp_path / "secret.fdt")
    scipy.io.savemat(path, {"EEG": {**_bare(), "data": name, "datfile": name}}, appendmat=False)
    assert cause_of(path) == "truncated"


def _bare() -> dict[str, object]:
    chanlocs = np.array([[(label,) for label in LABELS]], dtype=[("labels", "O")])
    return {"nbchan": 4.0, "pnts": 7680.0, "srate": 256.0, "trials": 1.0, "chanlocs": chanlocs}


FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "trials": ({"trials": 12.0}, "epoched"),
    "no rate": ({"srate": np.zeros((0, 0))}, "bad_header"),
    "rate that is none": ({"srate": float("nan")}, "bad_header"),
    "endless rate": ({"srate": float("inf")}, "bad_header"),
    "half a channel": ({"nbchan": 3.5}, "bad_header"),
    "endless channels": ({"nbchan": float("inf")}, "bad_header"),
    "a channel too many": ({"nbchan": 5.0}, "bad_header"),
    "samples beyond the signal": ({"pnts": 1e9}, "bad_header"),
    "no samples": ({"pnts": 0.0}, "empty"),
    "no names": ({"chanlocs": np.zeros((0, 0))}, "no_eeg_channels"),
    "complex numbers": ({"data": np.ones((4, 7680)) * 1j}, "bad_header"),
    "no signal": ({"data": np.zeros((0, 0))}, "bad_header"),
    "a cell for a signal": ({"data": np.array([["a", "b"]], dtype=object)}, "bad_header"),
    "the format before .fdt": ({"data": "a.dat"}, "bad_header"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_that_contradict_each_other_are_refused(tmp_path: Path, name: str) -> None:
    changed, cause = FIELDS[name]
    content = {**_bare(), "data": np.ones((4, 7680)), **changed}
    scipy.io.savemat(tmp_path / "a.set", {"EEG": content}, appendmat=False)
    assert cause_of(tmp_path / "a.set") == cause


def test_a_short_and_a_long_signal_file_have_causes(tmp_path: Path) -> None:
    path = write_set(tmp_path / "a.set", spec_of())
    fdt = path.with_suffix(".fdt")
    whole = fdt.read_bytes()
    fdt.write_bytes(whole[:-4])
    assert cause_of(path) == "truncated"
    fdt.write_bytes(whole + bytes(4))
    assert cause_of(path) == "bad_header"
    fdt.unlink()
    assert cause_of(path) == "truncated"


FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda raw: b"", "empty"),
    "a text": (lambda raw: b"EEG" * 100, "not_edf"),
    "half": (lambda raw: raw[: len(raw) // 2], "truncated"),
    "a header": (lambda raw: raw[:64], "truncated"),
    "deflated junk": (lambda raw: raw[:200] + bytes(100) + raw[300:], "bad_header"),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_have_causes(tmp_path: Path, name: str) -> None:
    damage, cause = FILES[name]
    path = write_set(tmp_path / "a.set", spec_of(where="set"))
    path.write_bytes(damage(path.read_bytes()))
    assert cause_of(path) == cause


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def array(mx: int, dims: tuple[int, ...], body: bytes, name: bytes = b"EEG") -> bytes:
    content = element(6, struct.pack("<II", mx, 0))
    content += element(5, struct.pack(f"<{len(dims)}i", *dims)) + element(1, name) + body
    return element(14, content)


def mat(*variables: bytes) -> bytes:
    return (
        b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(variables)
    )


def packed(raw: bytes) -> bytes:
    deflated = zlib.compress(raw, 9)
    return struct.pack("<II", 15, len(deflated)) + deflated


def nested(depth: int) -> bytes:
    inner = array(6, (1, 1), element(9, bytes(8)), b"")
    for _ in range(depth):
        inner = array(1, (1, 1), inner, b"")
    return inner


FLAGS = element(6, struct.pack("<II", 6, 0))
NO_FIELDS = struct.pack("<HHi", 5, 4, 32) + element(1, b"")
GIANT = struct.pack("<II", 14, 1 << 31)
BOMBS = {
    "a cell array of two thousand million cells": mat(array(1, (1 << 15, 1 << 16), b"")),
    "structs without fields": mat(array(2, (1 << 15, 1 << 16), NO_FIELDS)),
    "blanks of an empty text": mat(array(4, (1 << 15, 1 << 16), element(1, b""))),
    "numbers that are not there": mat(array(6, (1 << 15, 1 << 16), element(9, bytes(8)))),
    "negative dimensions": mat(array(6, (-1, -1), element(9, bytes(8)))),
    "a deflated gigabyte of nothing": mat(packed(GIANT + bytes(1000))),
    "an element longer than its array": mat(element(14, FLAGS + struct.pack("<II", 5, 1 << 30))),
    "depth": mat(nested(200)),
    "a small element of five bytes": mat(element(14, struct.pack("<HHi", 6, 5, 0))),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_declares_more_than_it_holds_is_refused_before_it_is_allocated(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "a.set"
    path.write_bytes(BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorpusError) as caught:
        check_mat5(path, 1 << 40)
    assert caught.value.cause in {"bad_header", "truncated"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_an_honest_variable_beyond_the_bound_is_refused_in_constant_memory(tmp_path: Path) -> None:
    zeros = element(9, bytes(64 << 20))
    path = tmp_path / "a.set"
    path.write_bytes(mat(packed(array(6, (1, 8 << 20), zeros))))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(CorpusError, match="at most 1048576"):
        check_mat5(path, 1 << 20)
    check_mat5(path, 1 << 27)


def test_scipys_own_writer_passes_whatever_it_writes(tmp_path: Path) -> None:
    content = {
        "a": np.arange(6).reshape(2, 3), "b": "text", "c": np.array([["x", 1.0]], dtype=object),
        "d": {"e": {"f": np.zeros((0, 3))}}, "g": np.ones((2, 2)) * 1j, "h": np.int8([1, 2, 3]),
        "i": np.zeros((2, 3, 4)), "j": "",
    }  # fmt: skip
    for is_compressed in (True, False):
        scipy.io.savemat(tmp_path / "a.mat", content, do_compression=is_compressed)
        check_mat5(tmp_path / "a.mat", 1 << 20)


def test_hdf5_that_leads_out_of_the_file_is_refused(tmp_path: Path) -> None:
    def external_link(file: h5py.File) -> None:
        file["EEG"] = h5py.ExternalLink("other.h5", "/x")

    def soft_link(file: h5py.File) -> None:
        file["EEG"] = h5py.SoftLink("/nowhere")

    def external_data(file: h5py.File) -> None:
        file.create_dataset("EEG", (10,), dtype="f4", external=[("/etc/passwd", 0, 40)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((10,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
        file.create_virtual_dataset("EEG", layout)

    def bomb(file: h5py.File) -> None:
        file.create_dataset("EEG", (1 << 28,), dtype="f8", chunks=(1 << 20,), compression="gzip")

    def plug_in(file: h5py.File) -> None:
        file.create_dataset("EEG", data=np.zeros(4096), chunks=(4096,), compression="lzf")

    for make in (external_link, soft_link, external_data, virtual, bomb, plug_in):
        path = tmp_path / f"{make.__name__}.set"
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(CorpusError) as caught:
            check_hdf5(path, 1 << 40)
        assert caught.value.cause == "bad_header", make.__name__


def test_hdf5_beyond_the_bound_and_hdf5_in_circles(tmp_path: Path) -> None:
    path = tmp_path / "a.set"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(1 << 18))
        file.create_group("g")["up"] = file["/"]
    check_hdf5(path, 1 << 22)
    with pytest.raises(CorpusError, match="bad_header"):
        check_hdf5(path, 1 << 20)


def test_other_objects_in_the_place_of_names_are_no_names(tmp_path: Path) -> None:
    good = write_set73(tmp_path / "good.set", spec_of(where="set", events=()))

    def group_for_labels(file: h5py.File) -> None:
        del file["EEG/chanlocs/labels"]
        file.create_group("EEG/chanlocs/labels")

    def numbers_for_names(file: h5py.File) -> None:
        del file["EEG/chanlocs"]
        file["EEG/chanlocs"] = np.ones((4, 1))

    for change in (group_for_labels, numbers_for_names):
        path = tmp_path / f"{change.__name__}.set"
        shutil.copy(good, path)
        with h5py.File(path, "r+") as file:
            change(file)
        assert cause_of(path) == "no_eeg_channels", change.__name__


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), version=st.sampled_from(sorted(WRITERS)))
def test_random_damage_ends_in_samples_or_a_cause(
    tmp_path_factory: pytest.TempPathFactory, seed: int, version: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"set_fuzz_{version}"
    good = folder / "good.set"
    if not good.exists():
        write = WRITERS[version]
        write(good, replace(spec_of(where="set", is_compressed=False), data_uv=noise_uv(4, 1, 256)))
    rng = np.random.default_rng(seed)
    raw = bytearray(good.read_bytes())
    for _ in range(rng.integers(1, 20)):
        raw[rng.integers(0, len(raw))] = rng.integers(0, 256)
    bad = folder / "bad.set"
    bad.write_bytes(raw[: rng.integers(1, len(raw) + 1)] if seed % 4 == 0 else raw)
    with suppress(CorpusError), open_recording(bad, EEGLAB) as recording:
        recording.annotations()
        traces = recording.pick([0])
        traces.stored(0, min(traces.runs[0].n_samples, 1000))
