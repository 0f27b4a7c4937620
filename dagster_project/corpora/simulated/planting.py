"""First-generator events planted into any referential page at a stated size, with their truth.

The size ``k`` is relative: in the kind's own band the event's largest excursion is ``k`` times the
RMS the page has there, on the recorded row where the event is fullest (median of 1-s windows, so one
artifact of the page does not raise it); of muscle, which has no one peak, the burst's RMS takes the
excursion's place. What is planted passes the page's usable band and reference and reaches recorded
rows only. Shapes are those of ``transients`` and ``artifacts``; bare simulated pages to plant into
are in ``ongoing``; which rows of an event are boxed is :mod:`detectors.waveform.boxes`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from dagster_project.corpora.simulated import artifacts, transients
from dagster_project.corpora.simulated.geometry import REFERENCES, FloatArray, reference_matrix
from dagster_project.corpora.simulated.patch import Patch, truth_of
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ, ExpertEvent, Measure

SOURCE = "planted@1"
"""Source id of every planted event; raised whenever sizes, shapes or truth can change."""

BAND_HZ: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "spike": (5.0, 50.0),
        "sharp": (3.0, 30.0),
        "spsw": (1.5, 30.0),
        "spindle": (11.0, 16.0),  # AASM
        "kcomplex": (0.5, 5.0),
        "blink": (0.5, 8.0),
        "lateral_eye": (0.3, 8.0),
        "muscle": (30.0, 70.0),  # clinical.md 8
        "electrode_pop": (0.5, 70.0),
        "vertex": (2.0, 20.0),
        "slow_wave": (0.5, 4.0),
        "rhythm": (4.0, 13.0),
    }
)
"""Band in which a kind's size is stated: where most of its own energy lies. Engineering defaults
where no source is named."""

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "spike": 1.3, "sharp": 1.3, "spsw": 1.2, "spindle": 1.3, "kcomplex": 1.3, "blink": 1.0,
        "lateral_eye": 1.2, "muscle": 0.9, "electrode_pop": 0.5, "vertex": 0.3, "slow_wave": 0.25,
        "rhythm": 0.6,
    }
)  # fmt: skip
"""How often each kind is drawn; ``vertex`` waves and ``rhythm`` (bursts of sharply contoured theta
or alpha) are look-alikes without a label."""

_FOCI = ("F7", "F8", "T7", "T8", "P7", "P8", "C3", "C4", "F3", "F4", "O1", "O2", "P3", "P4",
         "Fp1", "Fp2", "Fz", "Cz", "Pz")  # fmt: skip
_RHYTHM_FOCI = ("Fz", "Cz", "C3", "C4", "Pz", "P3", "P4", "T7", "T8", "O1", "O2")
_GENERALISED_CHANCE, _GENERALISED_DEG = 0.3, (55.0, 85.0)
_MIN_RECORDED_SHARE = 0.6
"""An event whose fullest row was not recorded is planted only if another has this share of it."""
_MIN_RMS_UV = 0.05
"""Floor of the background: rows flatter than a step of the stored signal give no size."""
_LISTED_UV = 0.2
"""Rows of smaller peak-to-peak are not listed in the truth: a few steps of the stored signal."""
_SQUEEZE_S = 1.0
"""Silence around an event while it is filtered, so that nothing wraps around."""
_GUARD_S, _TRIES = 0.08, 10


@dataclass(frozen=True, slots=True)
class PlantingSettings:
    """What is planted on a page.

    Parameters
    ----------
    sizes_k
        Range of sizes, drawn log-uniformly for every event.
    bare_chance
        Share of pages that are left as they are.
    mean_events, most_events
        Mean of a Poisson number planted beyond the first, and the most on one page.
    repeat_chance
        Share of discharges that come again in the same place within the page.
    overlap_chance, edge_chance
        Share of events that may overlap others in time, and that may be cut by the page's edge.
    weights
        How often each kind of :data:`WEIGHTS` is drawn.
    """

    sizes_k: tuple[float, float] = (1.5, 12.0)
    bare_chance: float = 0.12
    mean_events: float = 2.4
    most_events: int = 7
    repeat_chance: float = 0.2
    overlap_chance: float = 0.12
    edge_chance: float = 0.08
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)

    def __post_init__(self) -> None:
        low, high = self.sizes_k
        unknown = set(self.weights) - set(WEIGHTS)
        if not 0 < low <= high or unknown:
            raise ValueError(
                f"planting: sizes_k={self.sizes_k}, weights of {sorted(unknown)}; sizes must rise "
                f"from above 0, and the kinds are {', '.join(WEIGHTS)}"
            )


def plant_segments(
    signals_uv: NDArray[np.float32],
    masks: NDArray[np.bool_],
    band_hz: NDArray[np.float32],
    rng: np.random.Generator,
    settings: PlantingSettings | None = None,
    references: Sequence[str] | None = None,
) -> tuple[NDArray[np.float32], list[tuple[ExpertEvent, ...]]]:
    """Plant events on pages.

    Parameters
    ----------
    signals_uv
        float32, shape (n, 19, 2000), canonical order, 200 Hz; not changed.
    masks
        bool, shape (n, 19); nothing is added to rows that were not recorded.
    band_hz
        Usable band of each page (high-pass, low-pass), shape (n, 2); planted events pass it.
    rng
        Randomness: the same state gives the same events.
    settings
        Sizes, numbers and kinds; defaults where not given.
    references
        One of :data:`~dagster_project.corpora.simulated.geometry.REFERENCES` per page; drawn where
        not given.

    Returns
    -------
    signals_uv : ndarray of float32, shape (n, 19, 2000)
    events : list of tuple of ExpertEvent
        Labelled events by page and onset, clipped to the page. Measures: ``k``, ``duration_s``, and
        by row ``p2p_uv:<ch>``, ``sign:<ch>`` and ``k:<ch>``, the size against that row's own
        background.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    n = len(signals_uv)
    if signals_uv.shape[1:] != (len(CANONICAL19), N_TIMES) or masks.shape != (n, len(CANONICAL19)):
        raise ValueError(
            f"signals have shape {signals_uv.shape} and masks {masks.shape}; expected "
            f"(n, {len(CANONICAL19)}, {N_TIMES}) and (n, {len(CANONICAL19)})"
        )
    settings = settings or PlantingSettings()
    out = np.array(signals_uv, dtype=np.float32)
    events: list[tuple[ExpertEvent, ...]] = []
    for i in range(n):
        name = str(rng.choice(REFERENCES)) if references is None else references[i]
        low_hz, high_hz = (float(v) for v in band_hz[i])
        page = _Page(out[i], masks[i], (low_hz, high_hz), reference_matrix(name))
        events.append(_fill(page, rng, settings))
    return out, events


class _Page:
    """One page while it is filled."""

    def __init__(
        self,
        data_uv: NDArray[np.float32],
        mask: NDArray[np.bool_],
        band_hz: tuple[float, float],
        reference: FloatArray,
    ) -> None:
        self.data_uv, self.mask, self.band_hz, self.reference = data_uv, mask, band_hz, reference
        self.taken: list[tuple[float, float]] = []
        line = np.linspace(data_uv[:, 0], data_uv[:, -1], N_TIMES, axis=1)
        self._spectrum = scipy.fft.rfft(np.where(mask[:, None], data_uv - line, 0.0), axis=-1)
        self._rms: dict[str, FloatArray] = {}

    def rms_uv(self, kind: str) -> FloatArray:
        """Return the bare page's RMS by row in a kind's band: median of 1-s windows."""
        if kind not in self._rms:
            low, high = BAND_HZ[kind]
            gain = band_gain(N_TIMES, low, min(high, self.band_hz[1]))
            rows = scipy.fft.irfft(self._spectrum * gain, N_TIMES, axis=-1)
            cells = (rows.reshape(len(rows), SEGMENT_S, SFREQ_HZ) ** 2).mean(axis=-1)
            self._rms[kind] = np.maximum(np.sqrt(np.median(cells, axis=-1)), _MIN_RMS_UV)
        return self._rms[kind]

    def through(self, samples_uv: FloatArray) -> FloatArray:
        """Return what the page's reference and usable band leave of a patch, padded by silence."""
        n_pad = round(_SQUEEZE_S * SFREQ_HZ)
        padded = np.pad(self.reference @ samples_uv, ((0, 0), (n_pad, n_pad)))
        padded[~self.mask] = 0.0
        n = scipy.fft.next_fast_len(padded.shape[1], real=True)
        spectrum = scipy.fft.rfft(padded, n, axis=-1) * band_gain(n, *self.band_hz)
        return np.asarray(scipy.fft.irfft(spectrum, n, axis=-1)[:, : padded.shape[1]])


def band_gain(n: int, low_hz: float, high_hz: float) -> FloatArray:
    """Return a zero-phase band's gain at the frequencies of ``rfft`` at 200 Hz.

    Edges are raised cosines a third of an octave wide; below 0.2 Hz nothing is cut, since a page
    holds too little of it to say, and nothing is cut above 75 Hz.
    """
    octaves = np.log2(np.maximum(scipy.fft.rfftfreq(n, 1 / SFREQ_HZ), 1e-3))

    def step(edge_hz: float) -> FloatArray:
        return 0.5 + 0.5 * np.sin(np.pi * np.clip(3 * (octaves - np.log2(edge_hz)), -0.5, 0.5))

    gain = np.ones(len(octaves))
    if low_hz > 0.2:
        gain *= step(low_hz)
    if high_hz < 75.0:
        gain *= 1 - step(high_hz)
    return gain


def _fill(
    page: _Page, rng: np.random.Generator, settings: PlantingSettings
) -> tuple[ExpertEvent, ...]:
    if rng.random() < settings.bare_chance or not page.mask.any():
        return ()
    kinds = sorted(settings.weights)
    share = np.array([settings.weights[kind] for kind in kinds])
    n_events = min(1 + int(rng.poisson(settings.mean_events)), settings.most_events)
    events: list[ExpertEvent] = []
    for kind in rng.choice(kinds, size=n_events, p=share / share.sum()).tolist():
        planted = _plant_kind(page, rng, kind, settings)
        # what has no kind, or was not judged worth a name by its definition, stays without a label
        events += [event for event in planted if event.kind]
    return tuple(sorted(events, key=lambda e: (e.t0_s, e.kind, e.channels)))


def _plant_kind(
    page: _Page, rng: np.random.Generator, kind: str, settings: PlantingSettings
) -> list[ExpertEvent]:
    """Plant one event, or a few alike in one place; nothing where no row is recorded there."""
    low, high = np.log(settings.sizes_k)
    k = float(np.exp(rng.uniform(low, high)))
    patch = _DRAW[kind](rng, float(SFREQ_HZ), 1.0)
    rows = page.through(patch.samples_uv)
    size = np.abs(page.reference @ patch.samples_uv).max(axis=1)
    fullest = int(np.argmax(np.where(page.mask, size, 0.0)))
    if size[fullest] < _MIN_RECORDED_SHARE * size.max():
        return []
    unit = _size_in_band(rows[fullest], kind, page.band_hz[1], patch.duration_s)
    if unit <= 0.0:
        return []
    patch = replace(patch, measures=(Measure("k", round(k, 3), "1"), *patch.measures))
    gain = k * page.rms_uv(kind)[fullest] / unit
    is_repeated = kind in ("spike", "sharp", "spsw", "blink") and (
        rng.random() < settings.repeat_chance
    )
    events: list[ExpertEvent] = []
    for _ in range(int(rng.integers(2, 5)) if is_repeated else 1):
        t0_s = _place(page, rng, patch.duration_s, settings)
        if t0_s is not None:
            events += _add(page, replace(patch, samples_uv=gain * rows), t0_s, kind, k, fullest)
    return events


def _size_in_band(row: FloatArray, kind: str, high_hz: float, duration_s: float) -> float:
    """Return the largest excursion of a padded row in a kind's band; of muscle, its RMS."""
    low, high = BAND_HZ[kind]
    n = scipy.fft.next_fast_len(len(row), real=True)
    spectrum = scipy.fft.rfft(row, n) * band_gain(n, low, min(high, high_hz))
    inside = scipy.fft.irfft(spectrum, n)
    if kind != "muscle":
        return float(np.abs(inside).max())
    start = round((_SQUEEZE_S + duration_s / 8) * SFREQ_HZ)
    burst = inside[start : start + max(8, round(0.75 * duration_s * SFREQ_HZ))]
    return float(np.sqrt(np.mean(burst**2)))


def _place(
    page: _Page, rng: np.random.Generator, duration_s: float, settings: PlantingSettings
) -> float | None:
    """Return an onset, or None where the page is full."""
    may_overlap = rng.random() < settings.overlap_chance
    beyond_s = 0.6 * duration_s if rng.random() < settings.edge_chance else 0.0
    for _ in range(_TRIES):
        t0_s = rng.uniform(-beyond_s, max(SEGMENT_S - duration_s + beyond_s, 0.01))
        t1_s = t0_s + duration_s
        if may_overlap or all(t0_s >= b + _GUARD_S or a >= t1_s + _GUARD_S for a, b in page.taken):
            page.taken.append((t0_s, t1_s))
            return round(t0_s * SFREQ_HZ) / SFREQ_HZ
    return None


def _add(
    page: _Page, patch: Patch, t0_s: float, kind: str, k: float, fullest: int
) -> list[ExpertEvent]:
    """Add a padded patch at an onset and return its truth, clipped to the page."""
    lead = round((_SQUEEZE_S + patch.lead_s) * SFREQ_HZ)
    start = round(t0_s * SFREQ_HZ) - lead
    samples = patch.samples_uv
    first, last = max(start, 0), min(start + samples.shape[1], N_TIMES)
    page.data_uv[:, first:last] += samples[:, first - start : last - start].astype(np.float32)
    core = samples[:, lead : lead + max(1, round(patch.duration_s * SFREQ_HZ))]
    event = truth_of(patch, core, t0_s, _LISTED_UV)
    kept = (max(event.t0_s, 0.0), min(event.t1_s, float(SEGMENT_S)))
    if kept[1] - kept[0] < 2 / SFREQ_HZ or not event.channels:
        return []
    p2p = {m.name[7:]: m.value for m in event.measures if m.name.startswith("p2p_uv:")}
    rms, names = page.rms_uv(kind), list(CANONICAL19)
    per_uv = k * rms[fullest] / p2p[names[fullest]] if names[fullest] in p2p else 0.0
    sizes = tuple(
        Measure(f"k:{c}", round(float(value * per_uv / rms[names.index(c)]), 3), "1")
        for c, value in p2p.items()
    )
    return [
        replace(event, t0_s=kept[0], t1_s=kept[1], source=SOURCE, measures=event.measures + sizes)
    ]


def _spike_wave(rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float) -> Patch:
    if rng.random() < _GENERALISED_CHANCE:
        width = rng.uniform(*_GENERALISED_DEG)
        return transients.spike_wave(rng, sfreq_hz, amplitude_uv, "Fz", width)
    return transients.spike_wave(rng, sfreq_hz, amplitude_uv, str(rng.choice(_FOCI)))


_Draw = Callable[[np.random.Generator, float, float], Patch]

_DRAW: Mapping[str, _Draw] = MappingProxyType(
    {
        "spike": lambda rng, fs, a: transients.spike(rng, fs, a, str(rng.choice(_FOCI))),
        "sharp": lambda rng, fs, a: transients.sharp(rng, fs, a, str(rng.choice(_FOCI))),
        "spsw": _spike_wave,
        "spindle": transients.spindle,
        "kcomplex": lambda rng, fs, a: transients.kcomplex(
            rng, fs, a, str(rng.choice(("Fz", "Fz", "Cz", "F3", "F4")))
        ),
        "blink": artifacts.blink,
        "lateral_eye": artifacts.lateral_eye,
        "muscle": artifacts.muscle,
        "electrode_pop": artifacts.electrode_pop,
        "vertex": transients.vertex_wave,
        "slow_wave": lambda rng, fs, a: transients.slow_wave(
            rng, fs, a, str(rng.choice(("Fz", "F3", "F4", "Cz")))
        ),
        "rhythm": lambda rng, fs, a: transients.rhythmic_burst(
            rng, fs, a, str(rng.choice(_RHYTHM_FOCI))
        ),
    }
)
"""How each kind becomes a patch of unit amplitude."""
