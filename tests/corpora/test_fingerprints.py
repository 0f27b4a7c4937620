from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import signal

from dagster_project.corpora.fingerprints import fingerprints, matches
from dagster_project.corpora.leakage import MIN_LANDMARKS
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, SFREQ_HZ, SegmentBatch

SECONDS = 200


def eeg(seed: int) -> NDArray[np.float64]:
    """Pink, spatially mixed noise with bursts of alpha: (19, SECONDS at 200 Hz)."""
    rng = np.random.default_rng(seed)
    n = SECONDS * SFREQ_HZ
    white = rng.standard_normal((8, n))
    pink = signal.sosfilt(signal.butter(1, 4, fs=SFREQ_HZ, output="sos"), white)
    alpha = signal.sosfiltfilt(signal.butter(2, [9, 11], "band", fs=SFREQ_HZ, output="sos"), white)
    sources = pink / pink.std() + 1.5 * alpha / alpha.std()
    return 20 * rng.standard_normal((19, 8)) @ sources


def cut(data: NDArray[np.float64], mask: NDArray[np.bool_] | None = None) -> SegmentBatch:
    n = data.shape[1] // N_TIMES
    cubes = data[:, : n * N_TIMES].reshape(19, n, N_TIMES).swapaxes(0, 1)
    return SegmentBatch(
        segment_ids=tuple(f"g{i}" for i in range(n)),
        data_uv=np.ascontiguousarray(cubes, dtype=np.float32),
        mask=np.tile(np.ones(19, bool) if mask is None else mask, (n, 1)),
        schema=REFERENTIAL19,
        band_hz=np.tile(np.float32([0.1, 75]), (n, 1)),
        line_freq_hz=50.0,
    )


def found_between(*recordings: NDArray[np.float64]) -> list[tuple[int, int]]:
    owner, times, bits = [], [], []
    for i, data in enumerate(recordings):
        marks = fingerprints(cut(data))
        owner.append(np.full(marks.bits.size, i))
        times.append(marks.segment * 10 + marks.time_s)
        bits.append(marks.bits)
    arrays = map(np.concatenate, (owner, times, bits))
    return [(m.first, m.second) for m in matches(*arrays, MIN_LANDMARKS)]


def _refiltered(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return signal.sosfiltfilt(signal.butter(2, [1, 30], "band", fs=SFREQ_HZ, output="sos"), x)


def _resampled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    there = signal.resample_poly(x, 32, 25, axis=1)
    return signal.resample_poly(there, 25, 32, axis=1)


CHANGED = {
    "same": lambda x: x,
    "gain": lambda x: 0.1 * x,
    "reference": lambda x: x - x[9],
    "filter": _refiltered,
    "trimmed": lambda x: x[:, 643:],
    "padded": lambda x: np.concatenate([eeg(99)[:, :1234], x], axis=1),
    "resampled": _resampled,
    "noise": lambda x: x + 0.05 * x.std() * np.random.default_rng(7).standard_normal(x.shape),
    "trimmed, filtered, halved": lambda x: 0.5 * _refiltered(x[:, 1717:]),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_copy_is_found_whatever_was_done_to_it(change: object) -> None:
    original = eeg(1)
    copy = change(original)  # type: ignore[operator]
    assert found_between(eeg(2), original, eeg(3), copy) == [(1, 3)]


def test_different_recordings_are_not_taken_for_copies() -> None:
    assert found_between(*(eeg(seed) for seed in range(10, 16))) == []


def test_pure_rhythm_is_no_signature() -> None:
    t = np.arange(SECONDS * SFREQ_HZ) / SFREQ_HZ
    rng = np.random.default_rng(0)
    field = np.linspace(0.2, 1, 19)[:, None]
    same_rhythm = [
        30 * field * np.sin(2 * np.pi * 10 * t + phase) + 5 * rng.standard_normal((19, t.size))
        for phase in (0.3, 2.1)
    ]
    assert found_between(*same_rhythm) == []


def test_rows_that_were_not_recorded_take_no_part() -> None:
    data = eeg(4)
    mask = np.array([name not in {"O1", "O2"} for name in CANONICAL19])
    garbled = data.copy()
    garbled[~mask] = 1e4
    clean, dirty = fingerprints(cut(data, mask)), fingerprints(cut(garbled, mask))
    np.testing.assert_array_equal(clean.bits, dirty.bits)


def test_no_rows_and_flat_rows_have_no_landmarks() -> None:
    flat = np.zeros((19, 2 * N_TIMES))
    assert fingerprints(cut(flat)).bits.size == 0
    assert fingerprints(cut(eeg(5)[:, : 2 * N_TIMES], np.zeros(19, bool))).bits.size == 0


def test_real_recordings_of_different_people_do_not_meet(data_root: Path) -> None:
    from dagster_project.corpora.batches import segment_batches
    from dagster_project.corpora.inventory import inventory
    from dagster_project.corpora.registry import corpus
    from dagster_project.corpora.segments import process_shard

    spec = corpus("eegmat")
    rows = inventory(spec, data_root, "eegmat-01-of-01", salt="salt").recordings
    frame = pl.from_arrow(process_shard(spec, data_root, rows).segments)
    assert isinstance(frame, pl.DataFrame)
    ids = {row["recording_id"]: i for i, row in enumerate(rows)}
    owner, times, bits, at = [], [], [], 0
    for batch in segment_batches(frame):
        marks = fingerprints(batch)
        here = frame[at : at + len(batch.segment_ids)]
        numbers = np.array([ids[r] for r in here["recording_id"]])
        owner.append(numbers[marks.segment])
        times.append(here["start_s"].to_numpy()[marks.segment] + marks.time_s)
        bits.append(marks.bits)
        at += len(batch.segment_ids)
    arrays = [np.concatenate(part) for part in (owner, times, bits)]
    assert len(set(arrays[0].tolist())) == 12
    assert arrays[0].size > 300
    assert matches(*arrays, MIN_LANDMARKS) == []
