"""Events planted into any background at a stated size, and the truth about each.

The size is stated as ``k``: the event's largest excursion in its band is ``k`` times the RMS the
background has in that band at the electrode where the event is largest (median of 1-s windows, so
that a large artifact of the background does not raise it). For muscle, which has no one peak, the
RMS of the burst takes the place of the excursion; a posterior rhythm's is its envelope. Flat rows
have no size. What is planted comes from ``shapes``, ``fields`` and ``ongoing``; pages are cut in
``pages``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from benchmark.planted.fields import eye_field, jittered, patch_field
from benchmark.planted.ongoing import posterior_rhythm
from benchmark.planted.shapes import FLAT_S, SHAPES, Shape, muscle_rows
from detectors.types import CANONICAL19, SEGMENT_S

Floats = NDArray[np.float64]

BAND_HZ: dict[str, tuple[float, float]] = {
    "spike": (5.0, 50.0),
    "sharp": (3.0, 30.0),
    "spsw": (1.5, 30.0),
    "spindle": (11.0, 16.0),
    "kcomplex": (0.5, 5.0),
    "blink": (0.5, 8.0),
    "lateral_eye": (0.3, 8.0),
    "muscle": (30.0, 70.0),
    "electrode_pop": (1.0, 70.0),
    "posterior_rhythm": (8.0, 13.0),
}
"""Band in which size is stated: where most of the event's own energy lies; engineering defaults."""

DEFINED_UV: dict[str, float] = {
    "blink": 75.0, "lateral_eye": 40.0, "muscle": 10.0, "electrode_pop": 50.0,
}  # fmt: skip
"""Smallest size with which ``clinical.md`` 8 calls something by that name: peak to peak at Fp, step
F8 to F7, RMS in 30-70 Hz, step. What is planted smaller is counted apart as well."""

WAKE_KINDS = (
    "spike", "sharp", "spsw", "blink", "lateral_eye", "muscle", "electrode_pop", "flat",
)  # fmt: skip
SLEEP_KINDS = ("spindle", "kcomplex", "spike", "sharp", "spsw", "electrode_pop")
_WEIGHTS = {"spindle": 2.5, "kcomplex": 2.5, "blink": 1.5, "lateral_eye": 1.5}

CORE_SHARE, FAINT_SHARE, FAINT_MUSCLE_SHARE = 0.5, 0.2, 0.04
"""Rows with half the largest field and its sign show an event (both signs for a look aside); from a
fifth of it on, and on the other side of the field, a reader may or may not mark it, so neither
finding nor missing it there counts. Of muscle every row it reaches is such a row: strong muscle is
plain on rows that see a twentieth of it."""
SLOT_S = 3.2
EDGE_S = 0.3
RHYTHM_CHANCE = 0.6

_FOCI = ("F7", "F8", "T7", "T8", "P7", "P8", "C3", "C4", "F3", "F4", "O1", "O2", "P3", "P4", "Fz")
_SITES: dict[str, tuple[tuple[str, ...], tuple[float, float]]] = {
    "spike": (_FOCI, (17.0, 29.0)),
    "sharp": (_FOCI, (19.0, 32.0)),
    "spsw": (("Fz", "Fz", *_FOCI), (22.0, 48.0)),
    "spindle": (("Cz", "Cz", "C3", "C4"), (24.0, 36.0)),
    "kcomplex": (("Fz", "Fz", "F3", "F4"), (30.0, 44.0)),
}
_MUSCLE_SITES = ("T7", "T8", "F7", "F8", "Fp1", "Fp2")


@dataclass(frozen=True, slots=True)
class Planted:
    """The truth about one planted event.

    Parameters
    ----------
    segment_id
        Page it is on; ``""`` until the recording is cut.
    kind
        A key of :data:`detectors.vocabulary.KINDS`.
    channels, signs
        Rows it is seen on by falling size, and the sign of its larger excursion there.
    faint
        Rows where it may or may not be seen.
    t0_s, t1_s
        Foot to foot, from the start of the recording, then of the page.
    k, peak_uv
        Size: times the background, and in microvolts (0 for a flat row).
    frequency_hz
        Of spindles and posterior rhythms, else 0.
    is_defined
        Whether it reaches :data:`DEFINED_UV`.
    """

    segment_id: str
    kind: str
    channels: tuple[str, ...]
    signs: tuple[float, ...]
    faint: tuple[str, ...]
    t0_s: float
    t1_s: float
    k: float
    peak_uv: float
    frequency_hz: float = 0.0
    is_defined: bool = True


@dataclass(frozen=True, slots=True)
class Ground:
    """A background to plant into.

    Parameters
    ----------
    data_uv
        float64, shape (19, n_times), canonical order.
    rate_hz
        Its rate.
    reference
        How it was referenced, so that planted fields are.
    state
        ``wake`` or ``sleep``: which kinds are plausible.
    has_own_rhythm
        Whether a posterior rhythm may be in it already; then none is planted.
    high_hz
        Low-pass of the source, which planted events pass as well; 0 for none.
    """

    data_uv: Floats
    rate_hz: float
    reference: str
    state: str
    has_own_rhythm: bool = False
    high_hz: float = 0.0


@lru_cache(maxsize=128)
def _band_filter(low_hz: float, high_hz: float, rate_hz: float) -> Floats:
    nyquist = rate_hz / 2
    band = [low_hz / nyquist, min(high_hz / nyquist, 0.95)]
    return np.asarray(butter(2, band, "bandpass", output="sos"))


def _in_band(rows: Floats, kind: str, rate_hz: float) -> Floats:
    return np.asarray(sosfiltfilt(_band_filter(*BAND_HZ[kind], rate_hz), rows))


def in_band_rms(row: Floats, kind: str, rate_hz: float) -> float:
    """Return the RMS of a background row in a kind's band: median of 1-s windows."""
    filtered = _in_band(row, kind, rate_hz)
    n = round(rate_hz)
    cells = filtered[: filtered.size // n * n].reshape(-1, n)
    return float(np.median(np.sqrt((cells**2).mean(axis=1))))


def peak_in_band(wave: Floats, kind: str, rate_hz: float) -> float:
    """Return the largest excursion of a wave in a kind's band, with quiet around it."""
    n = round(2 * rate_hz)
    return float(np.abs(_in_band(np.pad(wave, n), kind, rate_hz)).max())


def plant(rng: np.random.Generator, ground: Ground, k: float) -> tuple[Floats, list[Planted]]:
    """Plant events of one size on every page of a background.

    Parameters
    ----------
    rng
        Randomness; the same generator state gives the same events.
    ground
        What to plant into; left as it is. Whole pages of 10 s are used.
    k
        Size of every event, times the background's RMS in the event's band.

    Returns
    -------
    tuple
        The signal, shape as given, and the truth by onset, timed from the recording's start.
    """
    data = ground.data_uv.copy()
    truth: list[Planted] = []
    n_pages = data.shape[1] // round(SEGMENT_S * ground.rate_hz)
    if ground.state == "wake" and not ground.has_own_rhythm and rng.random() < RHYTHM_CHANCE:
        truth += _plant_rhythm(rng, ground, data, k, n_pages)
    ongoing = data.copy()
    kinds = WAKE_KINDS if ground.state == "wake" else SLEEP_KINDS
    weights = np.array([_WEIGHTS.get(kind, 1.0) for kind in kinds])
    flats: list[Planted] = []
    for page in range(n_pages):
        drawn = rng.choice(kinds, size=3, replace=False, p=weights / weights.sum())
        for slot, kind in enumerate(drawn.tolist()):
            start_s = page * SEGMENT_S + EDGE_S / 2 + slot * SLOT_S
            if kind == "flat":
                flats.append(_flat(rng, start_s, k))
            else:
                truth.append(_plant_one(rng, ground, data, ongoing, kind, start_s, k))
    for flat in flats:
        _silence(data, flat, ground.rate_hz)
    return data, sorted(truth + flats, key=lambda e: (e.t0_s, e.kind))


def _plant_rhythm(
    rng: np.random.Generator, ground: Ground, data: Floats, k: float, n_pages: int
) -> list[Planted]:
    rhythm = posterior_rhythm(rng, ground.rate_hz, data.shape[1], ground.reference)
    sizes = rhythm.rows.std(axis=1)
    fullest = int(np.argmax(sizes))
    gain = k * in_band_rms(ground.data_uv[fullest], "posterior_rhythm", ground.rate_hz)
    data += gain * rhythm.rows
    core, faint, signs = _rows(sizes)
    spans = [(p * float(SEGMENT_S), (p + 1) * float(SEGMENT_S)) for p in range(n_pages)]
    return [
        Planted(
            "", "posterior_rhythm", core, signs, faint, a, b, k, gain, rhythm.frequency_hz(a, b)
        )
        for a, b in spans
    ]


def _plant_one(
    rng: np.random.Generator, ground: Ground, data: Floats, ongoing: Floats, kind: str,
    slot_s: float, k: float,
) -> Planted:  # fmt: skip
    rate_hz = ground.rate_hz
    if kind == "muscle":
        rows, field, span_s = _muscle(rng, ground)
        shape = Shape(rows[0], 0.0, span_s)
        unit = 1.0
    else:
        shape = SHAPES[kind](rng, rate_hz)
        field = _field(rng, kind, ground.reference)
        rows = np.outer(field, shape.wave)
        unit = peak_in_band(shape.wave, kind, rate_hz) * np.abs(field).max()
    if ground.high_hz and ground.high_hz < rate_hz / 2:
        low_pass = butter(4, ground.high_hz / (rate_hz / 2), output="sos")
        n_pad = round(0.2 * rate_hz)
        padded = np.pad(rows, ((0, 0), (n_pad, n_pad)))
        rows = sosfiltfilt(low_pass, padded, axis=1)[:, n_pad:-n_pad]
    fullest = int(np.argmax(np.abs(field)))
    gain = k * in_band_rms(ongoing[fullest], kind, rate_hz) / unit
    span_s = rows.shape[1] / rate_hz
    room_s = max(SLOT_S - EDGE_S - span_s, 0.0)
    start = round((slot_s + EDGE_S / 2 + rng.uniform(0.0, room_s)) * rate_hz)
    stop = min(start + rows.shape[1], data.shape[1])
    data[:, start:stop] += gain * rows[:, : stop - start]
    largest = shape.wave[np.argmax(np.abs(shape.wave))]
    sign = 1.0 if kind == "muscle" else np.sign(largest)
    core, faint, signs = _rows(
        field * sign,
        kind == "lateral_eye",
        FAINT_MUSCLE_SHARE if kind == "muscle" else FAINT_SHARE,
    )
    peak_uv = gain * float(np.abs(field).max())
    t0_s, t1_s = start / rate_hz + shape.t0_s, start / rate_hz + shape.t1_s
    return Planted(
        "", kind, core, signs, faint, t0_s, t1_s, k, peak_uv, shape.frequency_hz,
        _defined_size(kind, gain, field, rows) >= DEFINED_UV.get(kind, 0.0),
    )  # fmt: skip


def _defined_size(kind: str, gain: float, field: Floats, rows: Floats) -> float:
    """Return the size in the measure :data:`DEFINED_UV` uses for the kind."""
    if kind == "blink":
        pair = [CANONICAL19.index(n) for n in ("Fp1", "Fp2")]
        return float(gain * np.ptp(rows[pair], axis=1).min())
    if kind == "lateral_eye":
        left, right = (field[CANONICAL19.index(n)] for n in ("F7", "F8"))
        return float(gain * abs(right - left))
    return float(gain * np.abs(field).max())


def _field(rng: np.random.Generator, kind: str, reference: str) -> Floats:
    if kind in ("blink", "lateral_eye"):
        field = eye_field(kind == "blink", reference)
        return field * (1 + rng.normal(0.0, 0.06, field.size))
    if kind == "electrode_pop":
        single = np.zeros(len(CANONICAL19))
        single[rng.integers(len(CANONICAL19))] = 1.0
        return single
    sites, width = _SITES[kind]
    field = patch_field(jittered(rng, str(rng.choice(sites))), rng.uniform(*width), reference)
    return field * (1 + rng.normal(0.0, 0.05, field.size))


def _muscle(rng: np.random.Generator, ground: Ground) -> tuple[Floats, Floats, float]:
    """Return rows of muscle, their RMS in the band, fullest 1, and the duration."""
    centre = jittered(rng, str(rng.choice(_MUSCLE_SITES)), 0.08)
    field = np.abs(patch_field(centre, rng.uniform(16.0, 26.0), "linked_ears"))
    field[field < 0.05] = 0.0
    field /= field.max()
    rows, span_s = muscle_rows(rng, ground.rate_hz, len(CANONICAL19))
    n = rows.shape[1]
    in_band = _in_band(rows, "muscle", ground.rate_hz)
    inner = in_band[:, n // 8 : n - n // 8]
    rows /= np.sqrt((inner**2).mean(axis=1, keepdims=True))
    return rows * field[:, None], field, span_s


def _flat(rng: np.random.Generator, slot_s: float, k: float) -> Planted:
    name = str(rng.choice(CANONICAL19))
    start_s = slot_s + EDGE_S / 2
    stop_s = start_s + rng.uniform(*FLAT_S)
    return Planted("", "flat", (name,), (1.0,), (), start_s, stop_s, k, 0.0)


def _silence(data: Floats, flat: Planted, rate_hz: float) -> None:
    row = CANONICAL19.index(flat.channels[0])
    data[row, round(flat.t0_s * rate_hz) : round(flat.t1_s * rate_hz)] = 0.0


def _rows(
    field: Floats, is_two_sided: bool = False, faint_share: float = FAINT_SHARE
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[float, ...]]:
    """Return the rows an event is seen on by falling size, the doubtful ones, and the signs."""
    share = np.abs(field) / np.abs(field).max()
    order = np.argsort(-share, kind="stable")
    sign = np.sign(field[order[0]])
    core = [i for i in order if share[i] >= CORE_SHARE and (is_two_sided or field[i] * sign > 0)]
    faint = [i for i in order if share[i] >= faint_share and i not in core]
    names: Sequence[str] = CANONICAL19
    return (
        tuple(names[i] for i in core),
        tuple(names[i] for i in faint),
        tuple(float(np.sign(field[i])) for i in core),
    )
