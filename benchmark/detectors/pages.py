"""The pages the detectors benchmark is run on: backgrounds of three origins, planted and bare.

``own``: background of the second generator itself. ``simulated``: ongoing activity of the first
generator's subjects under a seed no training uses, without any of its events. ``real``: rest of
healthy people from the data root. Events and truth are always the second generator's
(:mod:`benchmark.planted`), which knows nothing of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

from benchmark.planted.fields import REFERENCES
from benchmark.planted.ongoing import background_uv
from benchmark.planted.pages import Origin, Sample, on_pages, pages_of
from benchmark.planted.planting import Ground, plant
from detectors.types import CANONICAL19, SEGMENT_S, SFREQ_HZ, SegmentBatch

Floats = NDArray[np.float64]

RATES_HZ = (160.0, 250.0, 256.0, 500.0)
SIZES_K = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0)
"""The floors are asked at 2 to 4; 8 and 12 show whether what is missed there is size or shape."""
STATES = ("wake", "sleep")
UNSEEN_SEED = 902_417_533
"""Seed of the first generator's subjects here; training and the demo draw theirs from small ones."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How many pages.

    Parameters
    ----------
    n_subjects
        Subjects of each made background; real ones are as many as there are.
    pages_per_recording
        Pages of one subject, state and size; at most so many of a real one.
    seed
        Of everything drawn.
    sizes_k
        Sizes planted, times the background.
    """

    n_subjects: int = 12
    pages_per_recording: int = 2
    seed: int = 0
    sizes_k: tuple[float, ...] = SIZES_K


@dataclass(frozen=True, slots=True)
class RestFiles:
    """Where healthy rest lies under a data root.

    Parameters
    ----------
    pattern
        Glob below the root.
    reference
        How the corpus was recorded, for the planted fields.
    high_hz
        Low-pass of the source, 0 where none is known.
    """

    pattern: str
    reference: str
    high_hz: float


REST = (
    RestFiles("**/Subject[0-9][0-9]_1.edf", "linked_ears", 45.0),  # eegmat, rest before the task
    RestFiles("**/S[0-9][0-9][0-9]R0[12].edf", "linked_ears", 0.0),  # eegmmidb, both baselines
)

CLEAN_P2P_UV, CLEAN_FAST_UV = 110.0, 6.0
"""Clean: no second of a row above 1 Hz reaches this peak to peak, none of 30-45 Hz this RMS."""


def made_samples(settings: PageSettings) -> Iterator[Sample]:
    """Yield the planted pages of both made backgrounds."""
    for background in ("own", "simulated"):
        for index in range(settings.n_subjects):
            rate_hz = RATES_HZ[index % len(RATES_HZ)]
            for state_at, state in enumerate(STATES):
                for k in settings.sizes_k:
                    rng = np.random.default_rng(
                        [settings.seed, background == "own", index, state_at, int(k)]
                    )
                    ground = _ground(rng, background, index, rate_hz, state, settings)
                    name = f"{background}{index:03d}-{state}-k{k:g}"
                    yield _planted(
                        rng, ground, Origin(name, name.split("-")[0], background, rate_hz, k)
                    )


def _ground(
    rng: np.random.Generator, background: str, index: int, rate_hz: float, state: str,
    settings: PageSettings,
) -> Ground:  # fmt: skip
    n_times = round(settings.pages_per_recording * SEGMENT_S * rate_hz)
    if background == "own":
        reference = str(rng.choice(REFERENCES))
        data = background_uv(rng, rate_hz, n_times, state, reference)
        return Ground(data, rate_hz, reference, state)
    return Ground(_simulated(rng, index, rate_hz, state, n_times), rate_hz, "average", state)


def _simulated(
    rng: np.random.Generator, index: int, rate_hz: float, state: str, n_times: int
) -> Floats:
    from dagster_project.corpora.simulated import background, subject

    traits = subject.draw_traits(np.random.default_rng([UNSEEN_SEED, index + 1]))
    ongoing = traits.sleep if state == "sleep" else traits.wake
    data = background.background_uv(rng, ongoing, n_times, rate_hz)
    return np.asarray(data - data.mean(axis=0))


def _planted(rng: np.random.Generator, ground: Ground, origin: Origin) -> Sample:
    data, truth = plant(rng, ground, origin.k)
    batch = pages_of(data, origin.rate_hz, origin.name)
    return Sample(origin, batch, on_pages(truth, batch))


def rest_recordings(root: Path) -> list[tuple[Path, RestFiles]]:
    """Return the recordings of healthy rest under a data root, by name."""
    found = {path: files for files in REST for path in root.glob(files.pattern)}
    return sorted(found.items())


def real_samples(root: Path, settings: PageSettings) -> Iterator[Sample]:
    """Yield rest of healthy people, bare (``k`` 0) and planted.

    Bare pages come at the native rate, named ``...-clean`` and ``...-other`` after whether they
    are free of large artifacts. Planted ones are clean pages only; those planted as waking and as
    sleeping alternate, so that neither sees the other's pages.
    """
    for number, (path, files) in enumerate(rest_recordings(root)):
        data, native_hz = read_rest(path)
        subject = f"real{number:03d}"
        bare = pages_of(data, native_hz, f"{subject}-bare", high_hz=files.high_hz or None)
        is_clean = clean_pages(bare)
        for word, kept in (("clean", is_clean), ("other", ~is_clean)):
            part = _kept(bare, kept)
            if len(part):
                yield Sample(Origin(f"{subject}-{word}", subject, "real", native_hz, 0.0), part, ())
        rates = [hz for hz in RATES_HZ if hz <= native_hz]
        at_rate = {hz: _resampled(data, native_hz, hz) for hz in rates}
        bare_at = {
            hz: pages_of(rows, hz, subject, high_hz=files.high_hz or None)
            for hz, rows in at_rate.items()
        }
        for k in settings.sizes_k:
            rate_hz = rates[(number + int(k)) % len(rates)]
            for at, state in enumerate(STATES):
                turn = (np.cumsum(is_clean) + int(k)) % len(STATES) == at
                origin = Origin(f"{subject}-{state}-k{k:g}", subject, "real", rate_hz, k)
                ground = Ground(
                    at_rate[rate_hz], rate_hz, files.reference, state, True, files.high_hz
                )
                rng = np.random.default_rng([settings.seed, 2, number, at, int(k)])
                kept = _some(is_clean & turn, settings.pages_per_recording, int(k))
                sample = _planted_real(rng, ground, origin, bare_at[rate_hz], kept)
                if len(sample.batch):
                    yield sample


def _some(is_kept: NDArray[np.bool_], n_most: int, turn: int) -> NDArray[np.bool_]:
    """Keep at most so many pages, others for another turn."""
    chosen = np.zeros_like(is_kept)
    chosen[np.roll(np.flatnonzero(is_kept), turn)[:n_most]] = True
    return chosen


def _planted_real(
    rng: np.random.Generator, ground: Ground, origin: Origin, bare: SegmentBatch,
    is_kept: NDArray[np.bool_],
) -> Sample:  # fmt: skip
    data, truth = plant(rng, ground, origin.k)
    whole = pages_of(data, origin.rate_hz, origin.name, high_hz=ground.high_hz or None)
    bare = replace(bare, segment_ids=whole.segment_ids)
    kept = is_kept[: len(whole)]
    batch = _kept(whole, kept)
    inside = set(batch.segment_ids)
    placed = tuple(t for t in on_pages(truth, whole) if t.segment_id in inside)
    return Sample(origin, batch, placed, _kept(bare, kept))


def read_rest(path: Path) -> tuple[Floats, float]:
    """Read the 19 electrodes of a recording at its native rate.

    Returns
    -------
    tuple
        float64 microvolts, shape (19, n_times), and the rate.
    """
    from dagster_project.corpora.channels import pick_traces
    from dagster_project.corpora.readers.table import open_recording
    from dagster_project.corpora.spec import Channels, Choice

    with open_recording(path, Choice(name="any")) as recording:
        pick, traces = pick_traces(recording, Channels())
        run = max(traces.runs, key=lambda r: r.n_samples)
        out = np.empty((len(pick.indices), run.n_samples), dtype=np.float32)
        traces.read_uv(run.start_sample, run.start_sample + run.n_samples, out)
        rate_hz = float(traces.sfreq)
    data = np.zeros((len(CANONICAL19), out.shape[1]))
    data[np.flatnonzero(pick.mask)] = out
    return data, rate_hz


def clean_pages(batch: SegmentBatch) -> NDArray[np.bool_]:
    """Return which pages are free of large artifacts, by amplitude alone, shape (n_pages,)."""
    slow = butter(2, 1.0, "highpass", fs=SFREQ_HZ, output="sos")
    fast = butter(4, [30.0, 45.0], "bandpass", fs=SFREQ_HZ, output="sos")
    clean = np.zeros(len(batch), dtype=np.bool_)
    for i, page in enumerate(batch.data_uv.astype(np.float64)):
        cells = sosfiltfilt(slow, page, axis=1).reshape(len(page), SEGMENT_S, SFREQ_HZ)
        rapid = sosfiltfilt(fast, page, axis=1).reshape(len(page), SEGMENT_S, SFREQ_HZ)
        is_small = np.ptp(cells, axis=2).max() <= CLEAN_P2P_UV
        clean[i] = is_small and np.sqrt((rapid**2).mean(axis=2)).max() <= CLEAN_FAST_UV
    return clean


def _kept(batch: SegmentBatch, is_kept: NDArray[np.bool_]) -> SegmentBatch:
    at = np.flatnonzero(is_kept)
    return SegmentBatch(
        tuple(batch.segment_ids[i] for i in at), batch.data_uv[at], batch.mask[at], batch.schema,
        batch.band_hz[at], batch.line_freq_hz,
    )  # fmt: skip


def _resampled(data: Floats, native_hz: float, rate_hz: float) -> Floats:
    if rate_hz == native_hz:
        return data
    ratio = Fraction(rate_hz / native_hz).limit_denominator(1000)
    return np.asarray(resample_poly(data, ratio.numerator, ratio.denominator, axis=1))
