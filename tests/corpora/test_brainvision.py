from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import mne
import numpy as np
import pytest
from formats.brainvision import BrainVisionSpec, write

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Annotation, Recording, Run, remarks_of
from dagster_project.corpora.spec import Choice

READER = Choice(name="brainvision")
LABELS = ("Fp1", "Cz", "O1,left", "VEOG")


def opened(path: Path) -> Recording:
    return open_recording(path, READER)


def microvolts(path: Path, indices: tuple[int, ...]) -> np.ndarray:
    with opened(path) as recording:
        traces = recording.pick(indices)
        n = sum(run.n_samples for run in traces.runs)
        out = np.empty((len(indices), n), dtype=np.float32)
        traces.read_uv(0, n, out)
        return out


def steps(n_channels: int, n_times: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3000, 3000, (n_channels, n_times)).astype(float)


def spec(**changes: object) -> BrainVisionSpec:
    content: dict[str, object] = {
        "labels": LABELS,
        "steps": steps(4, 5000),
        "resolution": ["0.1", "0.5", "0.0488281", "1"],
        "markers": [
            ("New Segment", "", 1, 1, "20131113161403794232"),
            ("Stimulus", "S200", 501, 1, ""),
            ("Stimulus", "S210", 2501, 1, ""),
            ("Comment", "a\\1b", 2600, 10, ""),
        ],
    }
    return BrainVisionSpec(**(content | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", ["MULTIPLEXED", "VECTORIZED"])
@pytest.mark.parametrize("binary", ["INT_16", "IEEE_FLOAT_32"])
def test_samples_and_names_equal_mne(tmp_path: Path, orientation: str, binary: str) -> None:
    path = write(tmp_path / "a.vhdr", spec(orientation=orientation, binary=binary))
    raw = mne.io.read_raw_brainvision(path, verbose="ERROR")
    with opened(path) as recording:
        assert [s.label for s in recording.signals] == raw.ch_names == list(LABELS)
        assert {s.sfreq for s in recording.signals} == {Fraction(250)}
        assert recording.start == raw.info["meas_date"].replace(tzinfo=None)
    found = microvolts(path, (2, 0, 3))
    np.testing.assert_allclose(found, 1e6 * raw.get_data([2, 0, 3]), rtol=1e-5, atol=1e-3)


def test_any_stretch_of_a_vectorized_file_longer_than_a_block_is_the_same(tmp_path: Path) -> None:
    long = steps(4, 400_000)
    paths = [
        write(tmp_path / f"{o}.vhdr", spec(steps=long, orientation=o, interval_us="1000"))
        for o in ("MULTIPLEXED", "VECTORIZED")
    ]
    np.testing.assert_array_equal(*(microvolts(p, (1, 2)) for p in paths))
    with opened(paths[1]) as recording:
        part = recording.pick((3,)).stored(1234, 399_999)
    np.testing.assert_array_equal(part[0], long[3, 1234:399_999])


def test_markers_become_annotations_as_mne_spells_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.vhdr", spec())
    raw = mne.io.read_raw_brainvision(path, verbose="ERROR")
    with opened(path) as recording:
        found = recording.annotations()
    # MNE-Python leaves out the first segment's mark, which holds the date alone
    assert [a.text for a in found[1:]] == [str(a["description"]) for a in raw.annotations]
    assert [a.onset_s for a in found[1:]] == pytest.approx([a["onset"] for a in raw.annotations])
    assert found[1] == Annotation(2.0, 0.004, "Stimulus/S200")
    assert found[3].text == "Comment/a,b"


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("\u00b5V", 1.0), ("\u03bcV", 1.0), ("uV", 1.0), ("", 1.0), ("mV", 1e3), ("V", 1e6),
     ("nV", 1e-3)],
)  # fmt: skip
def test_units_and_resolution_are_each_channels_own(
    tmp_path: Path, unit: str, factor: float
) -> None:
    path = write(tmp_path / "a.vhdr", spec(units=[unit, "\u00b5V", "\u00b5V", "C"]))
    found = microvolts(path, (0, 1))
    np.testing.assert_allclose(found[0], steps(4, 5000)[0] * 0.1 * factor, rtol=1e-5)
    np.testing.assert_allclose(found[1], steps(4, 5000)[1] * 0.5, rtol=1e-5)
    with opened(path) as recording:
        assert recording.signals[3].unit_uv is None
        with pytest.raises(CorpusError, match="wrong_unit"):
            recording.pick([3])


@pytest.mark.parametrize(
    ("interval", "rate"),
    [("400", 2500), ("1953.125", 512), ("1953.13", 512), ("1000", 1000), ("3906.25", 256),
     ("666.667", 1500)],
)  # fmt: skip
def test_a_rounded_interval_means_the_whole_rate_it_rounds_from(
    tmp_path: Path, interval: str, rate: int
) -> None:
    with opened(write(tmp_path / "a.vhdr", spec(interval_us=interval))) as recording:
        assert recording.signals[0].sfreq == rate


def test_old_files_without_code_page_are_windows_latin(tmp_path: Path) -> None:
    path = write(tmp_path / "a.vhdr", spec(codepage="", units=["\u00b5V"] * 4))
    with opened(path) as recording:
        assert [s.unit_uv for s in recording.signals] == [1.0] * 4


def test_a_header_that_names_other_files_is_read_by_its_own_stem(tmp_path: Path) -> None:
    path = write(tmp_path / "sub-010020.vhdr", spec(data_name="sub-032301.eeg"))
    write(tmp_path / "sub-032301.vhdr", spec(steps=steps(4, 5000, seed=9)))
    with opened(path) as recording:
        assert remarks_of(recording) == ("names_disagree",)
    np.testing.assert_allclose(microvolts(path, (0,))[0], steps(4, 5000)[0] * 0.1, rtol=1e-5)


def test_the_header_is_followed_where_its_stem_has_no_files(tmp_path: Path) -> None:
    path = write(tmp_path / "b.vhdr", spec(data_name="a.eeg", marker_name="a.vmrk"))
    for suffix in (".eeg", ".vmrk"):
        (tmp_path / f"b{suffix}").rename(tmp_path / f"a{suffix}")
    with opened(path) as recording:
        assert len(recording.annotations()) == 4


@pytest.mark.parametrize("name", ["../secret/a.eeg", "/etc/passwd", "C:\\data\\a.eeg", ".."])
def test_only_bare_names_beside_the_header_are_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").mkdir()
    write(tmp_path / "secret" / "a.vhdr", spec())
    path = write(tmp_path / "in" / "b.vhdr", spec(data_name=name))
    path.with_suffix(".eeg").unlink()
    with pytest.raises(CorpusError, match="unreadable"):
        opened(path)


def test_a_missing_marker_file_is_tolerated_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "sub-010203.vhdr", spec(has_markers=False))
    with opened(path) as recording:
        assert recording.annotations() == ()
        assert remarks_of(recording) == ("markers_missing",)
        assert recording.pick([0]).runs == (Run(0, 5000, 0.0),)


def test_new_segments_break_runs_and_their_dates_tell_the_gap(tmp_path: Path) -> None:
    markers = [
        ("New Segment", "", 1, 1, "20131113161400000000"),
        ("New Segment", "", 2001, 1, "20131113161430500000"),
        ("Stimulus", "S  1", 2251, 1, ""),
    ]
    path = write(tmp_path / "a.vhdr", spec(markers=markers))
    with opened(path) as recording:
        assert recording.pick([0]).runs == (Run(0, 2000, 0.0), Run(2000, 3000, 30.5))
        assert recording.annotations()[2].onset_s == pytest.approx(31.5)


def test_void_dates_of_segments_leave_the_clock_of_the_samples(tmp_path: Path) -> None:
    markers = [
        ("New Segment", "", 1, 1, "20131113161400000000"),
        ("New Segment", "", 2001, 1, "20131113161400000000"),
    ]
    with opened(write(tmp_path / "a.vhdr", spec(markers=markers))) as recording:
        assert recording.pick([0]).runs == (Run(0, 2000, 0.0), Run(2000, 3000, 8.0))


def test_numbers_that_are_none_become_nan(tmp_path: Path) -> None:
    values = steps(4, 5000)
    values[0, 7], values[0, 9] = np.nan, np.inf
    path = write(tmp_path / "a.vhdr", spec(steps=values, binary="IEEE_FLOAT_32"))
    assert np.flatnonzero(np.isnan(microvolts(path, (0,))[0])).tolist() == [7, 9]
    with opened(path) as recording:
        assert recording.pick([0]).may_hold_nan


BAD = {
    "not_edf": (b"Brain Vision Data Exchange Header", b"Something Else Entirely, a Header"),
    "ascii": (b"DataFormat=BINARY", b"DataFormat=ASCII"),
    "spectra": (b"DataType=TIMEDOMAIN", b"DataType=FREQUENCYDOMAIN"),
    "no channels": (b"NumberOfChannels=4", b"NumberOfChannels=0"),
    "a channel too many": (b"NumberOfChannels=4", b"NumberOfChannels=5"),
    "absurd channels": (b"NumberOfChannels=4", b"NumberOfChannels=999999999999"),
    "void interval": (b"SamplingInterval=4000", b"SamplingInterval=-4"),
    "void step": (b"Fp1,,0.1", b"Fp1,,nan"),
    "unknown samples": (b"INT_16", b"INT_12"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_void_header_is_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.vhdr", spec())
    path.write_bytes(path.read_bytes().replace(*BAD[kind]))
    with pytest.raises(CorpusError, match="not_edf" if kind == "not_edf" else "bad_header"):
        opened(path)


@pytest.mark.parametrize(
    ("cut", "points", "cause"),
    [(3, None, "truncated"), (800, 5000, "truncated"), (0, 4000, "bad_header"),
     (40_000, None, "empty")],
)  # fmt: skip
def test_the_data_must_be_what_is_declared(
    tmp_path: Path, cut: int, points: int | None, cause: str
) -> None:
    path = write(tmp_path / "a.vhdr", spec(data_points=points))
    data = path.with_suffix(".eeg")
    data.write_bytes(data.read_bytes()[: 40_000 - cut])
    with pytest.raises(CorpusError, match=cause):
        opened(path)
