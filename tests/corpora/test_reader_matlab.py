from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.matlab import MatlabParams, open_matlab
from dagster_project.corpora.readers.trials import TrialRecording


def params(**changes: Any) -> MatlabParams:
    base = {
        "pattern": r"_eeg(\d+)$", "orientation": "channels_by_samples", "channels": ("Fz", "Cz"),
        "sfreq_hz": 200.0, "unit": "uV",
    }  # fmt: skip
    return MatlabParams.model_validate(base | changes)


def read(recording: TrialRecording, indices: tuple[int, ...] = (0, 1)) -> np.ndarray:
    traces = recording.pick(indices)
    n = sum(run.n_samples for run in traces.runs)
    out = np.empty((len(indices), n), dtype=np.float32)
    traces.read_uv(0, n, out)
    return out


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, n)) * 20


def write_v73(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")


@pytest.mark.parametrize("is_hdf5", [False, True], ids=["v5", "v7.3"])
def test_trials_come_in_order_of_their_number(tmp_path: Path, is_hdf5: bool) -> None:
    arrays = {"ab_eeg10": noise(300, 1), "ab_eeg2": noise(200, 2), "ab_eeg1": noise(100, 3)}
    path = tmp_path / "x.mat"
    if is_hdf5:
        write_v73(path, {**arrays, "other": np.ones((3, 3))})
    else:
        scipy.io.savemat(path, {**arrays, "other": "text"}, do_compression=True)
    with open_matlab(path, params()) as recording:
        assert recording.format == ("mat73" if is_hdf5 else "mat5")
        runs = recording.pick([0]).runs
        assert [(r.start_sample, r.n_samples, r.start_s) for r in runs] == [
            (0, 100, 0.0), (100, 200, 0.5), (300, 300, 1.5),
        ]  # fmt: skip
        assert [a.text for a in recording.annotations()] == ["trial 1", "trial 2", "trial 10"]
        expected = np.hstack([arrays["ab_eeg1"], arrays["ab_eeg2"], arrays["ab_eeg10"]])
        np.testing.assert_allclose(read(recording), expected, rtol=1e-6)
        traces = recording.pick([1])
        np.testing.assert_array_equal(traces.stored(250, 400)[0], expected[1, 250:400])
        np.testing.assert_array_equal(traces.stored(50, 120)[0], expected[1, 50:120])


@pytest.mark.parametrize(("unit", "factor"), [("V", 1e6), ("mV", 1e3), ("uV", 1), ("nV", 1e-3)])
def test_units_and_orientation_are_as_the_entry_says(
    tmp_path: Path, unit: str, factor: float
) -> None:
    data = noise(50)
    scipy.io.savemat(tmp_path / "v1p.mat", {"v1p": data.T})
    entry = params(
        pattern="", variable="{stem}", orientation="samples_by_channels", unit=unit, sfreq_hz=128.0
    )
    with open_matlab(tmp_path / "v1p.mat", entry) as recording:
        np.testing.assert_allclose(read(recording), data * factor, rtol=1e-6)
        assert recording.annotations()[0].text == "trial 1"


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64", "uint8", "int32"])
def test_any_kind_of_number_is_read(tmp_path: Path, dtype: str) -> None:
    data = np.abs(noise(50)).astype(dtype)
    scipy.io.savemat(tmp_path / "a.mat", {"x_eeg1": data})
    with open_matlab(tmp_path / "a.mat", params()) as recording:
        np.testing.assert_allclose(read(recording), data.astype(np.float32))


def test_what_is_no_finite_number_is_said_so(tmp_path: Path) -> None:
    data = noise(50)
    data[0, 3], data[1, 7] = np.nan, np.inf
    scipy.io.savemat(tmp_path / "a.mat", {"x_eeg1": data})
    with open_matlab(tmp_path / "a.mat", params()) as recording:
        out = read(recording)
    assert np.isnan(out).sum() == 2


def _handle(path: Path) -> None:
    """A function handle and an object where a trial should be (bytes of class 16 and 3)."""
    scipy.io.savemat(path, {"x_eeg1": noise(50)})
    raw = bytearray(path.read_bytes())
    raw[128 + 16] = 16
    path.write_bytes(raw)


BAD: dict[str, tuple[Any, str]] = {
    "no trial": ({"other": noise(50)}, "bad_header"),
    "text": ({"x_eeg1": "abc"}, "bad_header"),
    "cell": ({"x_eeg1": np.array([[noise(5), 3]], dtype=object)}, "bad_header"),
    "struct": ({"x_eeg1": {"a": noise(5)}}, "bad_header"),
    "complex": ({"x_eeg1": noise(50) * 1j}, "bad_header"),
    "transposed": ({"x_eeg1": noise(50).T}, "bad_header"),
    "three dimensions": ({"x_eeg1": np.ones((2, 5, 5))}, "bad_header"),
    "two of one number": ({"x_eeg1": noise(50), "y_eeg01": noise(50)}, "bad_header"),
    "void": ({"x_eeg1": np.empty((2, 0))}, "empty"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_trial_is_refused(tmp_path: Path, kind: str) -> None:
    arrays, cause = BAD[kind]
    scipy.io.savemat(tmp_path / "a.mat", arrays)
    with pytest.raises(CorpusError) as refused, open_matlab(tmp_path / "a.mat", params()) as opened:
        read(opened)
    assert refused.value.cause == cause


@pytest.mark.parametrize("cut", [0, 60, 200, 900])
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x_eeg1": noise(500)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CorpusError):
        open_matlab(path, params())


def test_a_function_handle_is_never_built(tmp_path: Path) -> None:
    _handle(tmp_path / "a.mat")
    with pytest.raises(CorpusError):
        open_matlab(tmp_path / "a.mat", params())


@pytest.mark.parametrize(
    "changes",
    [
        {"pattern": "", "variable": ""}, {"variable": "x"}, {"pattern": r"_eeg\d+$"},
        {"sfreq_variable": "fs"}, {"sfreq_hz": None}, {"channels": ()}, {"sfreq_hz": -1.0},
    ],
)  # fmt: skip
def test_an_entry_that_does_not_say_what_to_read_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give either|needs one group|at least 1|greater than"):
        params(**changes)


def test_a_rate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x_eeg1": noise(50), "fs": "fast", "nan": np.nan})
    for name in ("fs", "nan", "absent"):
        with pytest.raises(CorpusError) as refused:
            open_matlab(tmp_path / "a.mat", params(sfreq_hz=None, sfreq_variable=name))
        assert refused.value.cause == "sampling_rate"


def test_a_real_file_with_its_own_rate(data_root: Path) -> None:
    path = data_root / "peegy-eog" / "eog_blinks_valderrama_et_al_2018.mat"
    entry = params(
        pattern="", variable="y", orientation="samples_by_channels", channels=("EOG",),
        sfreq_hz=None, sfreq_variable="fs",
    )  # fmt: skip
    with open_matlab(path, entry) as recording:
        assert recording.signals[0].sfreq == 1000
        out = read(recording, (0,))
    np.testing.assert_allclose(out[0], scipy.io.loadmat(path)["y"][:, 0], rtol=1e-6)
    assert out.shape == (1, 400_895)
