"""The paper-style way to do the same work: what the engine's throughput is compared with.

MNE-Python reads and filters, then a plain loop takes one segment at a time: ``scipy.signal.welch``,
scikit-learn's KMeans with ten starts, numpy rules, a matplotlib page and ``mne.viz.plot_topomap``
saved as PNG, and pandas lists to Parquet. It is written as such scripts are, neither tuned nor
made slow; no authors' code is run. The engine's side is :mod:`benchmark.engine.stages`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.recording import LINE_FREQ_HZ
from benchmark.stopwatch import Stopwatch
from detectors.montage import LB18, LB18_NAMES
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ

BANDS_HZ = {
    "delta": (0.5, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0),
    "gamma": (30.0, 70.0),
}  # fmt: skip
CHECKED = 32
"""Segments whose signal is kept, to compare both sides."""
_PASS_BAND_HZ = (0.1, 75.0)
_PAGE_INCHES, _PAGE_DPI = (12.88, 8.96), 100
_TOPOMAP_INCHES = (3.64, 2.8)
_SPACING_UV = 75.0


class BaselineSession:
    """One process that runs the baseline in rounds.

    Parameters
    ----------
    edf
        The recording.
    folder
        Where pictures and tables go.
    n_pictures
        Pages and maps drawn per round; drawing is slow, the rest scales per segment.
    """

    def __init__(self, edf: Path, folder: Path, n_pictures: int) -> None:
        self._edf, self._folder, self._n_pictures = edf, folder, n_pictures
        folder.mkdir(parents=True, exist_ok=True)

    def round(self) -> Stopwatch:
        """Do the work once; see the module for what it is."""
        watch = Stopwatch()
        segments = self._segments(watch)
        n = len(segments)
        powers, tiers, flags = [], [], []
        for segment in segments:
            with watch.stage("spectra", 1):
                powers.append(band_powers(segment))
            with watch.stage("tiers", 1):
                tiers.append(kmeans_tiers(segment))
            with watch.stage("rules", 1):
                flags.append(rule_flags(segment, powers[-1]))
        for i in range(min(self._n_pictures, n)):
            with watch.stage("page", 1):
                save_page(segments[i], self._folder / f"page_{i}.png")
            with watch.stage("topomap", 1):
                save_topomap(powers[i]["alpha"], self._folder / f"topomap_{i}.png")
        with watch.stage("write", n):
            _write(segments, powers, tiers, flags, self._folder / "segments.parquet")
        np.savez(
            self._folder / "check.npz", signal_uv=segments[:CHECKED], tiers=np.asarray(tiers),
            alpha_uv2=np.asarray([p["alpha"] for p in powers]),
        )  # fmt: skip
        return watch

    def _segments(self, watch: Stopwatch) -> NDArray[np.float64]:
        import mne

        with watch.stage("read"):
            raw = mne.io.read_raw_edf(self._edf, preload=True, verbose="ERROR")
        with watch.stage("harmonise"):
            names = {f"EEG {name}-REF": name for name in CANONICAL19}
            raw.pick(list(names)).rename_channels(names)
            raw.filter(*_PASS_BAND_HZ, verbose="ERROR")
            raw.notch_filter(LINE_FREQ_HZ, verbose="ERROR")
            raw.resample(SFREQ_HZ, verbose="ERROR")
            data_uv = raw.get_data() * 1e6
        n = data_uv.shape[1] // N_TIMES
        watch.segments["read"] = watch.segments["harmonise"] = n
        cut = data_uv[:, : n * N_TIMES].reshape(len(CANONICAL19), n, N_TIMES)
        return np.ascontiguousarray(cut.transpose(1, 0, 2))

    def reused_figure_ms(self, n_pages: int) -> dict[str, float]:
        """Time a page drawn as a cleverer matplotlib user would, median wall and CPU over pages.

        One figure is kept, its empty background is drawn once and restored, only the traces are
        drawn anew, and the pixels go straight to a PNG of the lowest compression level.
        """
        from PIL import Image

        with np.load(self._folder / "check.npz") as check:
            segments = check["signal_uv"][:n_pages]
        figure, lines, canvas = _open_page()
        canvas.draw()
        empty = canvas.copy_from_bbox(figure.bbox)
        watches = []
        for i, segment in enumerate(segments):
            watches.append(Stopwatch())
            with watches[-1].stage("page", 1):
                canvas.restore_region(empty)
                for row, line in enumerate(lines):
                    line.set_ydata(_row(segment, row))
                    line.axes.draw_artist(line)
                pixels = Image.fromarray(np.asarray(canvas.buffer_rgba()))
                pixels.save(self._folder / f"reused_{i}.png", compress_level=1)
        return {
            "ms_per_segment": median(w.ms_per_segment()["page"] for w in watches),
            "cpu_ms_per_segment": median(w.cpu_ms_per_segment()["page"] for w in watches),
        }


def band_powers(segment: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Integrate scipy's Welch density per band, shape (19,) each, in uV2."""
    from scipy.signal import welch

    freqs, density = welch(segment, fs=SFREQ_HZ, nperseg=400, noverlap=200, axis=-1)
    return {
        band: density[:, (freqs >= low) & (freqs < high)].sum(axis=-1) * (freqs[1] - freqs[0])
        for band, (low, high) in BANDS_HZ.items()
    }


def kmeans_tiers(segment: NDArray[np.float64]) -> NDArray[np.int64]:
    """Group the logarithms of 19 energies in three tiers, 0 low to 2 high."""
    from sklearn.cluster import KMeans

    energy = ((segment - segment.mean(axis=0)) ** 2).mean(axis=-1)
    found = KMeans(n_clusters=3, n_init=10, random_state=0).fit(np.log(energy + 1e-9)[:, None])
    rank = np.argsort(np.argsort(found.cluster_centers_[:, 0]))
    return np.asarray(rank[found.labels_])


def rule_flags(
    segment: NDArray[np.float64], powers: dict[str, NDArray[np.float64]]
) -> dict[str, bool]:
    """Work out seven statistics per channel and a few flags, as artifact rules in papers do."""
    from scipy.stats import kurtosis

    seconds = segment.reshape(len(segment), SEGMENT_S, SFREQ_HZ)
    step = np.abs(np.diff(segment, axis=-1))
    span = np.ptp(segment, axis=-1)
    worst = np.ptp(seconds, axis=-1).max(axis=-1)
    crossings = (np.diff(np.signbit(segment), axis=-1)).sum(axis=-1)
    rms = np.sqrt((segment**2).mean(axis=-1))
    flat = max(_longest_run(row < 0.5) for row in step)
    peaked = kurtosis(segment, axis=-1)
    fast = powers["gamma"] / (sum(powers.values()) + 1e-12)
    return {
        "is_flat": flat > SFREQ_HZ,
        "has_blink": bool(worst[:2].max() > 100),
        "has_muscle": bool((fast > 0.3).any()),
        "has_pop": bool((peaked > 20).any()),
        "has_movement": bool(span.max() > 500),
        "is_noisy": bool((crossings > 600).any() and rms.max() > 30),
        "is_long": bool(step.sum(axis=-1).max() > 20000),
    }


def _longest_run(is_flat: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_flat.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _row(segment: NDArray[np.float64], row: int) -> NDArray[np.float64]:
    first, second = LB18[row]
    trace = segment[CANONICAL19.index(first)] - segment[CANONICAL19.index(second)]
    return np.asarray(-trace - row * _SPACING_UV)


def save_page(segment: NDArray[np.float64], path: Path) -> None:
    """Draw an 18-row bipolar page with matplotlib and save it."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=_PAGE_INCHES, dpi=_PAGE_DPI)
    time_s = np.arange(N_TIMES) / SFREQ_HZ
    for row in range(len(LB18)):
        axes.plot(time_s, _row(segment, row), color="black", linewidth=0.7)
    _dress(axes)
    figure.savefig(path)
    plt.close(figure)


def _dress(axes: Any) -> None:
    axes.set_xlim(0, SEGMENT_S)
    axes.set_ylim(-(len(LB18)) * _SPACING_UV, _SPACING_UV)
    axes.set_yticks([-row * _SPACING_UV for row in range(len(LB18))], LB18_NAMES)
    axes.set_xticks(range(SEGMENT_S + 1))
    axes.grid(visible=True, axis="x", color="0.85")
    axes.set_xlabel("s")


def _open_page() -> tuple[Any, Sequence[Any], Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_PAGE_INCHES, dpi=_PAGE_DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    time_s = np.arange(N_TIMES) / SFREQ_HZ
    lines = [axes.plot(time_s, np.zeros(N_TIMES), color="black", linewidth=0.7)[0] for _ in LB18]
    _dress(axes)
    return figure, lines, canvas


def save_topomap(values: NDArray[np.float64], path: Path) -> None:
    """Draw one map with ``mne.viz.plot_topomap`` and save it."""
    import matplotlib.pyplot as plt
    import mne

    info = mne.create_info(list(CANONICAL19), SFREQ_HZ, "eeg", verbose="ERROR")
    info.set_montage("standard_1005", verbose="ERROR")
    figure, axes = plt.subplots(figsize=_TOPOMAP_INCHES, dpi=_PAGE_DPI)
    image, _ = mne.viz.plot_topomap(values, info, axes=axes, show=False)
    figure.colorbar(image, ax=axes)
    figure.savefig(path)
    plt.close(figure)


def _write(
    segments: NDArray[np.float64],
    powers: Sequence[dict[str, NDArray[np.float64]]],
    tiers: Sequence[NDArray[np.int64]],
    flags: Sequence[dict[str, bool]],
    path: Path,
) -> None:
    import pandas as pd

    rows = [
        {"segment": i, "signal": [row.tolist() for row in segment], "tiers": tier.tolist()}
        | {band: power.tolist() for band, power in power_by_band.items()}
        | flag
        for i, (segment, power_by_band, tier, flag) in enumerate(
            zip(segments, powers, tiers, flags, strict=True)
        )
    ]
    pd.DataFrame(rows).to_parquet(path)
