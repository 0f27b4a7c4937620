"""Fingerprints that find one signal under two names, whatever was done to it since.

A landmark is a moment of locally largest energy; around it 64 comparisons of pairs of samples, in
fixed places, make a fingerprint. Comparisons survive another gain, reference, filter or sampling
rate, and landmarks move with the signal, so a trimmed copy is found too (the idea of audio
fingerprinting, Haitsma & Kalker 2002, with BRIEF's comparisons, Calonder et al. 2010). What to make
of a match is the leakage report's business, :mod:`dagster_project.corpora.leakage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors.types import N_TIMES, SFREQ_HZ, SegmentBatch

N_BITS = 64
SLOW_S = 1.0
"""What moves slower than about this is taken off: high-pass filters differ there."""
FAST_S = 0.045
"""Samples are averaged over this: low-pass filters and noise differ there (about 15 Hz)."""
ENERGY_S = 0.4
"""Energy is averaged over this before its maxima are landmarks."""
APART_S = 0.5
REACH_S = 0.4
"""Comparisons lie within this of the landmark."""
EDGE_S = SLOW_S / 2 + REACH_S
"""Nearer than this to a segment's edge its neighbourhood is not whole."""

N_BANDS = 4
"""Fingerprints meet if one of four 16-bit parts is equal: sure up to three differing bits."""
MAX_BUCKET = 64
"""A part shared by more than so many fingerprints tells nothing."""
MAX_DISTANCE = 9
"""Differing bits of two fingerprints of one moment; chance gives 32 +- 4."""
OFFSET_S = 0.1
"""Landmarks of one copy keep their distance in time to within this."""


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Fingerprints of some segments.

    Parameters
    ----------
    segment
        Index of the segment in the batch, shape (n,).
    time_s
        Time within the segment.
    bits
        uint64 fingerprints.
    """

    segment: NDArray[np.int64]
    time_s: NDArray[np.float64]
    bits: NDArray[np.uint64]


def _mean_over(x: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Centred moving average of odd length along the last axis, edges repeated."""
    half = n // 2
    padded = np.concatenate(
        [np.repeat(x[..., :1], half + 1, axis=-1), x, np.repeat(x[..., -1:], half, axis=-1)],
        axis=-1,
    )
    total = np.cumsum(padded, axis=-1, dtype=np.float64)
    return ((total[..., 2 * half + 1 :] - total[..., : -2 * half - 1]) / (2 * half + 1)).astype(
        np.float32
    )


@cache
def _pairs(n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and offsets in samples of the compared pairs, each of shape (2, N_BITS)."""
    rng = np.random.default_rng(n_rows)
    reach = round(REACH_S * SFREQ_HZ)
    return rng.integers(0, n_rows, (2, N_BITS)), rng.integers(-reach, reach + 1, (2, N_BITS))


def _maxima(energy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the samples that are the largest within APART_S to both sides, away from the edges."""
    apart, edge = round(APART_S * SFREQ_HZ), round(EDGE_S * SFREQ_HZ)
    padded = np.pad(energy, apart, constant_values=-np.inf)
    largest = np.lib.stride_tricks.sliding_window_view(padded, 2 * apart + 1).max(axis=-1)
    found = np.flatnonzero((energy == largest) & (energy > 0))
    return found[(found >= edge) & (found < N_TIMES - edge)]


def fingerprints(batch: SegmentBatch) -> Landmarks:
    """Return the landmarks of a batch and their fingerprints.

    Referential rows are compared against their mean, so that the recording reference does not
    matter; rows not recorded take no part.
    """
    fast, slow = (2 * round(s * SFREQ_HZ / 2) + 1 for s in (FAST_S, SLOW_S))
    smooth = 2 * round(ENERGY_S * SFREQ_HZ / 2) + 1
    segments, times, codes = [], [], []
    weights = np.uint64(1) << np.arange(N_BITS, dtype=np.uint64)
    for i, (rows, mask) in enumerate(zip(batch.data_uv, batch.mask, strict=True)):
        x = rows[mask]
        if x.shape[0] == 0:
            continue
        if batch.schema.is_referential and x.shape[0] > 1:
            x = x - x.mean(axis=0)
        x = _mean_over(x, fast)
        x = x - _mean_over(x, slow)
        at = _maxima(_mean_over(np.square(x).mean(axis=0), smooth))
        which, offsets = _pairs(x.shape[0])
        values = x[which[:, None, :], at[None, :, None] + offsets[:, None, :]]
        codes.append((values[0] > values[1]) @ weights)
        times.append(at / SFREQ_HZ)
        segments.append(np.full(at.size, i))
    if not codes:
        return Landmarks(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint64))
    return Landmarks(np.concatenate(segments), np.concatenate(times), np.concatenate(codes))


@dataclass(frozen=True, slots=True)
class Match:
    """Two recordings that share a signal.

    Parameters
    ----------
    first, second
        Indices of the recordings.
    n_landmarks
        Landmarks in agreement at one offset.
    offset_s
        Time of the second less time of the first.
    """

    first: int
    second: int
    n_landmarks: int
    offset_s: float


def _candidates(bits: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield index pairs of fingerprints that share one of their parts."""
    width = np.uint64(N_BITS // N_BANDS)
    part_mask = np.uint64((1 << (N_BITS // N_BANDS)) - 1)
    for band in range(N_BANDS):
        part = (bits >> (np.uint64(band) * width)) & part_mask
        order = np.argsort(part, kind="stable")
        ordered = part[order]
        edges = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
        sizes = np.diff(edges)
        for step in range(1, MAX_BUCKET):
            starts = edges[:-1][(sizes > step) & (sizes <= MAX_BUCKET)]
            if starts.size == 0:
                break
            ends = edges[1:][(sizes > step) & (sizes <= MAX_BUCKET)]
            left = np.concatenate(
                [np.arange(a, b - step) for a, b in zip(starts, ends, strict=True)]
            )
            yield order[left], order[left + step]


def matches(
    recording: NDArray[np.int64],
    time_s: NDArray[np.float64],
    bits: NDArray[np.uint64],
    min_landmarks: int,
) -> list[Match]:
    """Find pairs of recordings that share a signal.

    Parameters
    ----------
    recording
        Index of the recording of each landmark.
    time_s
        Its time in the recording.
    bits
        Its fingerprint.
    min_landmarks
        Landmarks that must agree at one offset in time.

    Returns
    -------
    list of Match
        One per pair, its best offset, in order of the indices.
    """
    keys: set[tuple[int, int]] = set()
    for a, b in _candidates(bits):
        near = np.bitwise_count(bits[a] ^ bits[b]) <= MAX_DISTANCE
        near &= recording[a] != recording[b]
        ordered = np.sort(np.stack([a[near], b[near]]), axis=0)
        keys.update(zip(*ordered.tolist(), strict=True))
    votes: dict[tuple[int, int, int], int] = {}
    for i, j in sorted(keys):
        left, right = (i, j) if recording[i] < recording[j] else (j, i)
        offset = round(float(time_s[right] - time_s[left]) / OFFSET_S)
        key = (int(recording[left]), int(recording[right]), offset)
        votes[key] = votes.get(key, 0) + 1
    best: dict[tuple[int, int], Match] = {}
    for (first, second, offset), _ in sorted(votes.items()):
        n = sum(votes.get((first, second, offset + near), 0) for near in (-1, 0, 1))
        known = best.get((first, second))
        if n >= min_landmarks and (known is None or n > known.n_landmarks):
            best[first, second] = Match(first, second, n, offset * OFFSET_S)
    return [best[key] for key in sorted(best)]
