"""Floors that need a measurement of their own: one step of the engine against its plain counterpart.

Each pair works on the same stored segments in one process, ours and theirs in turn, and the median
ratio over rounds counts. The stages as a whole are timed in :mod:`benchmark.engine.stages` and
:mod:`benchmark.engine.baseline`; which floors there are, and what holds, is in
:mod:`benchmark.engine.report`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.baseline import band_powers, rule_flags
from benchmark.engine.report import Floor, PageResult, StageResult
from dagster_project.tables.store import Manifest, TableStore
from detectors.types import CANONICAL19, REFERENTIAL19, SFREQ_HZ, SegmentBatch

ROUNDS = 3
ROUNDING = 1e-9
"""Relative excess of an inertia that is rounding: both sides add the same squares."""


def measure_floors(engine: Path, baseline: Path) -> dict[str, float]:
    """Measure every pair.

    Parameters
    ----------
    engine, baseline
        Folders of both workers after a round: ``check.npz``, and ``tables`` of the engine.

    Returns
    -------
    dict
        ``psd_ratio, psd_rel, tiers_ratio, tiers_excess, flags_ratio, flags_equal, grid_rel,
        parquet_ratio, parquet_bytes``; see the functions of this module.
    """
    with np.load(engine / "check.npz") as check:
        data_uv = check["signal_uv"]
    return psd(data_uv) | tiers(data_uv) | flags(data_uv) | grid() | parquet(engine, baseline)


def _ratio(theirs: Callable[[], object], ours: Callable[[], object]) -> float:
    """Return theirs over ours by CPU time, which other work on the machine disturbs least."""
    ours()
    theirs()
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        theirs()
        middle = time.process_time()
        ours()
        found.append((middle - start) / (time.process_time() - middle))
    return median(found)


def psd(data_uv: NDArray[np.float32]) -> dict[str, float]:
    """Compare the Welch density with scipy's, one segment at a time.

    Returns
    -------
    dict
        ``psd_ratio``, and ``psd_rel``: the largest relative difference over rows that are not
        silent and frequencies of the stored band.
    """
    from scipy.signal import welch

    from detectors.signal.spectra import FREQS_HZ, WINDOW, welch_density

    segments = data_uv.astype(np.float64)

    def theirs() -> list[NDArray[np.float64]]:
        return [welch(s, SFREQ_HZ, "hann", WINDOW)[1] for s in segments]

    expected, found = np.stack(theirs()), welch_density(data_uv)
    inside = (FREQS_HZ >= 0.5) & (FREQS_HZ <= 75.0)
    is_live = data_uv.var(axis=-1) > 0.25
    relative = np.abs(found / np.where(expected > 0, expected, 1.0) - 1.0)[is_live][:, inside]
    return {
        "psd_ratio": _ratio(theirs, lambda: welch_density(data_uv)),
        "psd_rel": float(relative.max(initial=0.0)),
    }


def _inertia(values: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    groups = [values[labels == label] for label in np.unique(labels)]
    return float(sum(((group - group.mean()) ** 2).sum() for group in groups))


def tiers(data_uv: NDArray[np.float32]) -> dict[str, float]:
    """Compare exact tiers with scikit-learn's k-means of ten starts.

    Returns
    -------
    dict
        ``tiers_ratio``, from 19 energies to tiers, and ``tiers_excess``: the largest by which our
        inertia lies above theirs, as a share of theirs.
    """
    from sklearn.cluster import KMeans

    from detectors.signal.spatial import exact_tiers

    referred = data_uv - data_uv.mean(axis=1, keepdims=True)
    values = np.log((referred.astype(np.float64) ** 2).mean(axis=-1) + 1e-9)
    mask = np.ones(values.shape, dtype=bool)

    def theirs() -> list[NDArray[np.integer]]:
        return [
            KMeans(n_clusters=3, n_init=10, random_state=0).fit(v[:, None]).labels_ for v in values
        ]

    excess = [
        (_inertia(v, a) - _inertia(v, b)) / max(_inertia(v, b), 1e-12)
        for v, a, b in zip(values, exact_tiers(values, mask), theirs(), strict=True)
    ]
    return {
        "tiers_ratio": _ratio(theirs, lambda: exact_tiers(values, mask)),
        "tiers_excess": max(excess),
    }


def flags(data_uv: NDArray[np.float32]) -> dict[str, float]:
    """Compare the compiled row statistics with numpy's, on the flags the baseline has.

    These are seven statistics of every row, from which :func:`benchmark.engine.baseline.rule_flags` makes
    seven flags. The engine's own rules are others, and more; their whole time stands in the stage
    table. Band powers are given to both.

    Returns
    -------
    dict
        ``flags_ratio``, and ``flags_equal``: the share of segments whose seven flags are all equal.
    """
    segments = data_uv.astype(np.float64)
    powers = [band_powers(segment) for segment in segments]
    n = len(segments)
    batch = SegmentBatch(
        segment_ids=tuple(f"s-{i}" for i in range(n)), data_uv=data_uv,
        mask=np.ones(data_uv.shape[:2], dtype=bool), schema=REFERENTIAL19,
        band_hz=np.tile(np.array([0.1, 75.0], dtype=np.float32), (n, 1)), line_freq_hz=60.0,
    )  # fmt: skip
    share = np.stack([p["gamma"] / (sum(p.values()) + 1e-12) for p in powers])

    def theirs() -> list[dict[str, bool]]:
        return [rule_flags(s, p) for s, p in zip(segments, powers, strict=True)]

    expected = {name: [bool(f[name]) for f in theirs()] for name in theirs()[0]}
    found = _flags_of(batch, share)
    equal = np.all([np.array(expected[name]) == found[name] for name in expected], axis=0)
    return {
        "flags_ratio": _ratio(theirs, lambda: _flags_of(batch, share)),
        "flags_equal": float(equal.mean()),
    }


def _flags_of(batch: SegmentBatch, fast: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Return the baseline's flags from the engine's row statistics."""
    from detectors.signal.row_statistics import row_statistics

    found = row_statistics(batch)
    is_true: dict[str, NDArray[np.bool_]] = {
        "is_flat": _any_row(found.longest_flat_run > SFREQ_HZ),
        "has_blink": _any_row(found.worst_1s_p2p_uv[:, :2] > 100),
        "has_muscle": _any_row(fast > 0.3),
        "has_pop": _any_row(found.kurtosis > 20),
        "has_movement": _any_row(found.p2p_uv > 500),
        "is_noisy": _any_row(found.zero_crossings > 600) & _any_row(found.rms_uv > 30),
        "is_long": _any_row(found.line_length_uv > 20000),
    }
    return is_true


def _any_row(is_true: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(is_true.any(axis=1))


def grid() -> dict[str, float]:
    """Compare the map's interpolation with the one MNE-Python draws.

    Returns
    -------
    dict
        ``grid_rel``: the largest difference inside the head over the range of the values.
    """
    import matplotlib.pyplot as plt
    import mne

    from detectors.signal.scalp import electrode_positions, interpolation_matrix

    positions = electrode_positions()
    values = np.random.default_rng(3).normal(size=len(CANONICAL19))
    figure, axes = plt.subplots()
    image, _ = mne.viz.plot_topomap(
        values, positions, axes=axes, show=False, res=64, sphere=1.0, contours=0
    )
    plt.close(figure)
    theirs = np.asarray(image.get_array())
    left, right, bottom, top = image.get_extent()
    x, y = np.meshgrid(
        np.linspace(left, right, theirs.shape[1]), np.linspace(bottom, top, theirs.shape[0])
    )
    inside = np.hypot(x, y) <= 1.0
    ours = interpolation_matrix(np.column_stack([x[inside], y[inside]]), positions) @ values
    return {"grid_rel": float(np.abs(ours - theirs[inside]).max() / np.ptp(values))}


def parquet(engine: Path, baseline: Path) -> dict[str, float]:
    """Compare table ``segments`` with pandas lists of the same segments, and its size.

    Returns
    -------
    dict
        ``parquet_ratio``, hash and flush to disk included on our side, and ``parquet_bytes``: size
        over that of float32 lists under the same zstd.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    with np.load(baseline / "check.npz") as check:
        data_uv = check["signal_uv"]
    kept = TableStore(str(engine / "tables"))
    (partition,) = kept.partitions("segments")
    segments = kept.read("segments", partition)[: len(data_uv)].to_arrow()
    data_uv = data_uv[: segments.num_rows]
    store = TableStore(str(baseline / "floors"))

    def theirs() -> None:
        rows = [{"segment": i, "signal": [r.tolist() for r in s]} for i, s in enumerate(data_uv)]
        pd.DataFrame(rows).to_parquet(baseline / "floors.parquet")

    def ours() -> Manifest:
        return store.write("segments", "floors", segments)

    lists = pa.array(list(data_uv.reshape(len(data_uv), -1).astype(np.float32)))
    plain = baseline / "float32.parquet"
    pq.write_table(pa.table({"signal": lists}), plain, compression="zstd", compression_level=1)
    return {
        "parquet_ratio": _ratio(theirs, ours),
        "parquet_bytes": ours().n_bytes / plain.stat().st_size,
    }


def judged(
    found: Mapping[str, float], stages: Mapping[str, StageResult], page: PageResult, ratio: float
) -> tuple[Floor, ...]:
    """Hold what was measured against the floors of ``performance.md`` 14.

    Parameters
    ----------
    found
        From :func:`measure_floors`.
    stages, page
        Pages and maps are judged by their stages.
    ratio
        End to end.
    """
    share = page.bytes_per_page / page.baseline_bytes_per_page
    drawn, mapped = stages["page"].ratio, stages["topomap"].ratio
    return (
        Floor("P1 end to end", "40x", f"{ratio:.3g}x", ratio >= 40),
        Floor(
            "P5 density vs scipy.signal.welch", "6x, relative difference 1e-5",
            f"{found['psd_ratio']:.3g}x, {found['psd_rel']:.2e}",
            found["psd_ratio"] >= 6 and found["psd_rel"] <= 1e-5,
        ),
        Floor(
            "P6 exact tiers vs KMeans(n_init=10)", "500x, inertia never higher",
            f"{found['tiers_ratio']:.3g}x, highest excess {max(found['tiers_excess'], 0.0):.1e}",
            found["tiers_ratio"] >= 500 and found["tiers_excess"] <= ROUNDING,
        ),
        Floor(
            "P7 seven row statistics and flags vs numpy", "15x, identical flags",
            f"{found['flags_ratio']:.3g}x, {100 * found['flags_equal']:.3g} % identical",
            found["flags_ratio"] >= 15 and found["flags_equal"] == 1.0,
        ),
        Floor(
            "P8 page vs matplotlib savefig", "50x, 32 dB, 0.35x bytes",
            f"{drawn:.3g}x, {page.psnr_db_min:.1f} dB, {share:.2f}x bytes",
            drawn >= 50 and page.psnr_db_min >= 32 and share <= 0.35,
        ),
        Floor(
            "P9 topomap vs plot_topomap", "35x, grid 1e-6 of range",
            f"{mapped:.3g}x, grid {found['grid_rel']:.1e}",
            mapped >= 35 and found["grid_rel"] <= 1e-6,
        ),
        Floor(
            "P10 signal table vs pandas lists", "4x, 0.4x bytes of float32 zstd",
            f"{found['parquet_ratio']:.3g}x, {found['parquet_bytes']:.2f}x bytes",
            found["parquet_ratio"] >= 4 and found["parquet_bytes"] <= 0.4,
        ),
    )  # fmt: skip
