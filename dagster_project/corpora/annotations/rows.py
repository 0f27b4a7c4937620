"""Which electrode a mark belongs to, read off the signal where the mark does not say.

Hospitals mark derivations, the detector boxes electrodes. The rule, per mark and derivation A-B:

- an ear (``A1-T7``) is no row: the mark is the other electrode's;
- else both must have been recorded, and the mark goes to the one with the larger deflection in the
  band of its kind, against the average of the recorded rows; the other is boxed too where it
  reaches :data:`LIMITS` ``pair_share`` of that with the same sign (muscle has no sign);
- with fewer than ``reference_rows`` rows there is no average to measure against, and it is refused.

Also here: the sign of lateral eye movements, and where in a row of a grid a discharge lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.channels import parse_label
from detectors._rule_common import Limit
from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ, ExpertEvent

LIMITS: dict[str, Limit] = {
    "pair_share": Limit(0.7, "1", "engineering default"),
    "reference_rows": Limit(8, "rows", "engineering default"),
    "lateral_share": Limit(0.5, "1", "engineering default: of F7 and F8 the smaller to the larger"),
    "before_peak_s": Limit(0.1, "s", "engineering default: a spike's rise and half its width"),
    "after_peak_s": Limit(0.4, "s", "engineering default: the slow wave of a complex"),
    "point_half_s": Limit(0.1, "s", "engineering default: half a sharp wave, IFCN 2017"),
}
"""Constants of this module with their source marks."""

BANDS_HZ: Mapping[str, tuple[float, float]] = {
    "spike": (3.0, 50.0), "sharp": (3.0, 50.0), "spsw": (1.5, 50.0), "spindle": (11.0, 16.0),
    "kcomplex": (0.5, 8.0), "blink": (0.5, 8.0), "lateral_eye": (0.3, 8.0),
    "eye_movement": (0.5, 8.0), "muscle": (30.0, 70.0),
}  # fmt: skip
"""Where the energy of each kind lies (``clinical.md`` 4, 7, 8); the edges are engineering
defaults."""

SHARP_BAND_HZ = (5.0, 50.0)
"""What is pointed in a discharge; its slow wave lies below."""

EARS = frozenset({"A1", "A2", "M1", "M2"})
_LATERAL = ("F7", "F8")
_UNSIGNED = frozenset({"muscle", "spindle"})


@dataclass(frozen=True, slots=True)
class MarkedRow:
    """A row a mark is boxed on: which, as what kind, and the sign of its deflection."""

    channel: str
    kind: str
    sign: float = 1.0


class PageSignal:
    """One segment against the average of its recorded rows, filtered once per band.

    Parameters
    ----------
    data_uv
        float32, shape (19, N_TIMES).
    recorded
        Names of the recorded rows.
    """

    def __init__(self, data_uv: NDArray[np.float32], recorded: Sequence[str]) -> None:
        self.recorded = tuple(recorded)
        rows = [CANONICAL19.index(name) for name in recorded]
        data = np.asarray(data_uv, dtype=np.float64)
        self._data = data - data[rows].mean(axis=0) if rows else data
        self._bands: dict[tuple[float, float], NDArray[np.float64]] = {}

    @property
    def has_reference(self) -> bool:
        """Whether enough rows were recorded to measure against their average."""
        return len(self.recorded) >= LIMITS["reference_rows"].value

    def row(self, channel: str, band_hz: tuple[float, float]) -> NDArray[np.float64]:
        """Return one filtered row, shape (N_TIMES,)."""
        if band_hz not in self._bands:
            from scipy.signal import sosfiltfilt

            self._bands[band_hz] = sosfiltfilt(_filter(band_hz), self._data, axis=-1)
        return self._bands[band_hz][CANONICAL19.index(channel)]

    def deflection(self, channel: str, kind: str, t0_s: float, t1_s: float) -> tuple[float, float]:
        """Return peak-to-peak in microvolts and the sign of the larger excursion of an interval."""
        part = self.row(channel, BANDS_HZ[kind])[_samples(t0_s, t1_s)]
        high, low = float(part.max()), float(part.min())
        return high - low, 1.0 if high >= -low else -1.0


@cache
def _filter(band_hz: tuple[float, float]) -> Any:
    from scipy.signal import butter

    return butter(2, band_hz, btype="bandpass", fs=SFREQ_HZ, output="sos")


def _samples(t0_s: float, t1_s: float) -> slice:
    first = min(max(int(t0_s * SFREQ_HZ), 0), N_TIMES - 2)
    return slice(first, max(min(round(t1_s * SFREQ_HZ), N_TIMES), first + 2))


def rows_of_channel(
    channel: str, event: ExpertEvent, recorded: Sequence[str], signal: PageSignal | None
) -> list[MarkedRow] | str:
    """Return the rows a mark on one channel is boxed on, or why on none.

    Parameters
    ----------
    channel
        An electrode or a derivation, as the corpus names it.
    event
        The mark.
    recorded
        Names of the recorded rows.
    signal
        The segment; without it derivations cannot be resolved.

    Returns
    -------
    list of MarkedRow or str
        One or two rows, or a cause of :data:`~dagster_project.corpora.annotations.CAUSES`.
    """
    names = [part for part in parse_label(channel).name.split("-") if part not in EARS]
    if not names or len(names) > 2 or set(names) - set(CANONICAL19):
        return "not_a_row"
    if set(names) - set(recorded):
        return "row_not_recorded"
    if len(names) == 1:
        return _single(names[0], event, signal)
    if signal is None or not signal.has_reference:
        return "pair_unclear"
    found = [(name, *signal.deflection(name, event.kind, event.t0_s, event.t1_s)) for name in names]
    lead, other = sorted(found, key=lambda f: -f[1])
    if not lead[1] > 0:
        return "pair_unclear"
    rows = [lead[0]]
    is_alike = event.kind in _UNSIGNED or lead[2] == other[2]
    if is_alike and other[1] >= LIMITS["pair_share"].value * lead[1]:
        rows.append(other[0])
    # the leading electrode says what kind of eye movement the mark is, for both
    kind, _ = _kind_and_sign(rows[0], event, signal)
    return [MarkedRow(row, kind, _kind_and_sign(row, event, signal)[1]) for row in rows]


def _single(name: str, event: ExpertEvent, signal: PageSignal | None) -> list[MarkedRow] | str:
    said = next((m.value for m in event.measures if m.name == f"sign:{name}"), None)
    if said is not None:
        return [MarkedRow(name, event.kind, said)]
    if event.kind not in {"eye_movement", "lateral_eye"}:
        return [MarkedRow(name, event.kind)]
    if signal is None:
        return "pair_unclear"
    return [MarkedRow(name, *_kind_and_sign(name, event, signal))]


def _kind_and_sign(name: str, event: ExpertEvent, signal: PageSignal) -> tuple[str, float]:
    """Return what an eye movement is boxed as, and the sign of a row's excursion."""
    span = event.t0_s, event.t1_s
    if event.kind != "eye_movement":
        return event.kind, signal.deflection(name, event.kind, *span)[1]
    is_lateral = name in _LATERAL and set(_LATERAL) <= set(signal.recorded)
    if is_lateral:
        sides = [signal.deflection(side, event.kind, *span) for side in _LATERAL]
        small, large = sorted(p2p for p2p, _ in sides)
        is_lateral = (
            sides[0][1] != sides[1][1] and small >= LIMITS["lateral_share"].value * large > 0
        )
    kind = "lateral_eye" if is_lateral else "blink"
    return kind, signal.deflection(name, event.kind, *span)[1]


def placed_times(
    event: ExpertEvent, channel: str, signal: PageSignal, grid_s: float
) -> list[tuple[float, float]]:
    """Return where the discharges of a mark made of rows lie: one at the sharpest peak of each row.

    Parameters
    ----------
    event
        A spike, sharp wave or complex marked in rows of a grid.
    channel
        The row it is boxed on.
    signal
        The segment.
    grid_s
        Length of a row of the grid.

    Returns
    -------
    list of (t0_s, t1_s)
        From just before each peak to the end of its slow wave, within the segment; peaks that would
        overlap are one.
    """
    sharp = np.abs(signal.row(channel, SHARP_BAND_HZ))
    after = "after_peak_s" if event.kind == "spsw" else "point_half_s"
    n_rows = max(round((event.t1_s - event.t0_s) / grid_s), 1)
    edges = np.linspace(event.t0_s, event.t1_s, n_rows + 1)
    spans: list[tuple[float, float]] = []
    for t0_s, t1_s in pairwise(edges):
        part = _samples(float(t0_s), float(t1_s))
        peak_s = (part.start + int(np.argmax(sharp[part]))) / SFREQ_HZ
        start_s = max(peak_s - LIMITS["before_peak_s"].value, 0.0)
        stop_s = min(peak_s + LIMITS[after].value, N_TIMES / SFREQ_HZ)
        if not spans or start_s >= spans[-1][1]:
            spans.append((round(start_s, 4), round(stop_s, 4)))
    return spans
