"""The simulated corpus on disk: bytes, header, sidecar."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from dagster_project.corpora.simulated.config import SimulatorConfig
from dagster_project.corpora.simulated.subject import simulate_subject
from dagster_project.corpora.simulated.truth import read_truth, truth_events
from dagster_project.corpora.simulated.writer import edf_bytes, write_corpus
from detectors.types import CANONICAL19

CONFIG = SimulatorConfig(n_subjects=2, minutes_per_recording=0.5, seed=9)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_corpus(tmp_path_factory.mktemp("simulated"), CONFIG)


def test_the_tree_is_one_folder_per_subject_with_a_sidecar_per_recording(
    corpus: tuple[Path, ...],
) -> None:
    names = [f"{p.parent.name}/{p.name}" for p in corpus]
    assert names == sorted(
        f"sub-{s}/sub-{s}_{state}{suffix}"
        for s in ("01", "02")
        for state in ("wake", "sleep", "epileptiform")
        for suffix in (".edf", "_truth.json")
    )


def test_writing_twice_gives_the_same_bytes_and_leaves_files_alone(
    corpus: tuple[Path, ...], tmp_path: Path
) -> None:
    again = write_corpus(tmp_path, CONFIG)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in corpus]
    times = [p.stat().st_mtime_ns for p in again]
    write_corpus(tmp_path, CONFIG)
    assert [p.stat().st_mtime_ns for p in again] == times
    assert not list(tmp_path.rglob("*.part"))


def test_the_edf_file_holds_the_simulated_samples(corpus: tuple[Path, ...]) -> None:
    path = next(p for p in corpus if p.name == "sub-02_wake.edf")
    expected = simulate_subject(CONFIG.seed, 2, CONFIG).recordings[0].data_uv
    reader = pyedflib.EdfReader(str(path))
    try:
        assert reader.getSignalLabels() == [f"EEG {c}-REF" for c in CANONICAL19]
        assert set(reader.getSampleFrequencies()) == {256}
        assert {reader.getPhysicalDimension(i) for i in range(19)} == {"uV"}
        found = np.stack([reader.readSignal(i) for i in range(19)])
        assert reader.getStartdatetime().isoformat() == "2000-01-01T12:00:00"
    finally:
        reader.close()
    np.testing.assert_allclose(found, expected, atol=0.026)


def test_truth_read_back_is_the_truth_planted(corpus: tuple[Path, ...]) -> None:
    subject = simulate_subject(CONFIG.seed, 1, CONFIG)
    for recording in subject.recordings:
        path = next(p for p in corpus if p.name == f"sub-01_{recording.state}_truth.json")
        assert truth_events(path) == recording.events
        truth = read_truth(path)
        assert truth.state == recording.state
        covered = [(i.t0_s, i.t1_s) for i in truth.background.intervals]
        assert covered[0][0] == 0.0
        assert covered[-1][1] == 30.0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(covered))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: d["events"][0].update(kind="seizure"), "seizure"),
        (lambda d: d["events"][0].update(channels=["Foz"]), "Foz"),
        (lambda d: d["events"][0].update(t1_s=1e6), "1000000"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.pop("state"), "state"),
    ],
    ids=["kind", "channel", "time", "unknown field", "missing field"],
)
def test_a_spoilt_sidecar_is_refused_by_name(
    corpus: tuple[Path, ...], tmp_path: Path, spoil: object, told: str
) -> None:
    assert callable(spoil)
    content = json.loads(next(p for p in corpus if p.suffix == ".json").read_text())
    spoil(content)
    path = tmp_path / "sub-01_wake_truth.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"sub-01_wake_truth.json.*{told}"):
        truth_events(path)


def test_part_seconds_are_refused() -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        edf_bytes(np.zeros((19, 300)), 256, "sub-01_wake")
