"""Where on the head a transient is: maximum and minimum, field, phase reversal.

Only electrodes are named, never a source in the brain: the electrode of maximal negativity and of
maximal positivity at the peak in the average reference, the electrodes that carry at least half of
the peak, and whether the longitudinal bipolar chains turn at the maximum (``clinical.md`` 9,
``systems.md`` 6.6), and whether the field is that of the slow wave below. Whether it is a brain's is
criterion 6 in :mod:`detectors.epileptiform.ifcn`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.epileptiform.transient_signal import Floats, Ints
from detectors.montage import NEIGHBOURS
from detectors.types import CANONICAL19, SFREQ_HZ

LIMITS: dict[str, Limit] = {
    "field_share": Limit(0.5, "1", "clinical.md 9: field = electrodes with half of the peak"),
    "tangential_share": Limit(0.5, "1", "clinical.md 9: both poles at least half of each other"),
    "fewest_rows": Limit(16, "rows", "systems.md 6.6: no dipole words with fewer channels"),
    "slow_window_s": Limit(0.15, "s", "engineering default: a mean over this leaves slow waves"),
    "slow_reach_s": Limit(0.15, "s", "engineering default: a crest's wave is largest this near"),
    "reversal_share": Limit(0.15, "1", "engineering default: of the peak, on both derivations"),
}
"""Constants of this module with their source marks."""

CHAINS: tuple[tuple[str, ...], ...] = (
    ("Fp1", "F7", "T7", "P7", "O1"),
    ("Fp1", "F3", "C3", "P3", "O1"),
    ("Fz", "Cz", "Pz"),
    ("Fp2", "F4", "C4", "P4", "O2"),
    ("Fp2", "F8", "T8", "P8", "O2"),
)
"""Electrodes of the longitudinal bipolar chains, front to back (ACNS guideline 3, LB-18.1)."""

_ROW = {name: i for i, name in enumerate(CANONICAL19)}
ADJACENT: NDArray[np.bool_] = np.array(
    [[other in NEIGHBOURS[name] for other in CANONICAL19] for name in CANONICAL19]
)
"""Shape (19, 19): which electrodes are one step apart."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where one transient lies.

    Parameters
    ----------
    channels
        Electrodes with the peak's sign and at least half of its voltage, largest first.
    negative, positive
        Electrodes of maximal negativity and positivity; ``""`` with fewer than 16 recorded.
    negative_uv, positive_uv
        Voltage there.
    dipole
        ``"tangential"`` where the poles are at least half of each other, else ``"radial"``; ``""``
        with fewer than 16 recorded.
    reversal
        Electrode at which a longitudinal chain turns, ``"end of chain"`` where the maximum ends
        every chain it lies on, ``""`` where none turns.
    """

    channels: tuple[str, ...]
    negative: str
    positive: str
    negative_uv: float
    positive_uv: float
    dipole: str
    reversal: str

    @property
    def measures(self) -> tuple[tuple[str, float, str], ...]:
        """Name, value and unit of what was measured; electrodes are named in the measure's name."""
        found = []
        if self.dipole:
            found += [
                (f"negative_pole_{self.negative}", self.negative_uv, "uV"),
                (f"positive_pole_{self.positive}", self.positive_uv, "uV"),
                (f"dipole_{self.dipole}", 1.0, "1"),
            ]
        if self.reversal in _ROW:
            found.append((f"phase_reversal_{self.reversal}", 1.0, "1"))
        elif self.reversal:
            found.append(("end_of_chain", 1.0, "1"))
        return tuple(found)


def locate(field_uv: Floats, row: Ints, good: NDArray[np.bool_]) -> list[Location]:
    """Locate transients by their voltage field.

    Parameters
    ----------
    field_uv
        Shape (n, 19): voltage at the peak in the average reference, canonical order.
    row
        Shape (n,): the leading row.
    good
        Shape (n, 19): rows that were recorded.
    """
    found = []
    for v, lead, ok in zip(field_uv, row.tolist(), good, strict=True):
        same = v * np.sign(v[lead])
        order = [i for i in np.argsort(-same, kind="stable").tolist() if ok[i]]
        least = LIMITS["field_share"].value * same[lead]
        others = [i for i in order if i != lead and same[i] >= least]
        channels = tuple(CANONICAL19[i] for i in (lead, *others))
        found.append(_location(v, lead, ok, channels))
    return found


def likeness_to_slow(
    wide_uv: NDArray[np.float32], sample: int, field_uv: Floats, good: NDArray[np.bool_]
) -> float:
    """Compare a transient's field with that of the slow wave it stands on.

    Parameters
    ----------
    wide_uv
        Shape (19, n_times): the page in the average reference.
    sample
        Where the transient peaks.
    field_uv
        Shape (19,): its voltage there.
    good
        Shape (19,): rows that were recorded.

    Returns
    -------
    float
        Correlation over electrodes without its sign, 1 where the two have one source. The slow
        wave's field is taken where its mean over a window is largest near the peak.
    """
    window = round(LIMITS["slow_window_s"].value * SFREQ_HZ)
    reach = round(LIMITS["slow_reach_s"].value * SFREQ_HZ) + window // 2
    part = wide_uv[good, max(sample - reach, 0) : sample + reach].astype(np.float64)
    total = np.cumsum(part, axis=1)
    slow = total[:, window:] - total[:, :-window]
    slow -= slow.mean(axis=0)
    power = (slow * slow).sum(axis=0)
    at = int(np.argmax(power))
    own = field_uv[good] - field_uv[good].mean()
    norm = np.sqrt(power[at] * (own @ own))
    return float(abs(own @ slow[:, at]) / max(norm, 1e-9))


def _location(v: Floats, lead: int, ok: NDArray[np.bool_], channels: tuple[str, ...]) -> Location:
    reversal = _reversal(v, lead, ok)
    if ok.sum() < LIMITS["fewest_rows"].value:
        return Location(channels, "", "", 0.0, 0.0, "", reversal)
    low = int(np.argmin(np.where(ok, v, np.inf)))
    high = int(np.argmax(np.where(ok, v, -np.inf)))
    poles = sorted((abs(v[low]), abs(v[high])))
    is_tangential = poles[0] >= LIMITS["tangential_share"].value * poles[1]
    return Location(
        channels, CANONICAL19[low], CANONICAL19[high], float(v[low]), float(v[high]),
        "tangential" if is_tangential else "radial", reversal,
    )  # fmt: skip


def _reversal(v: Floats, lead: int, ok: NDArray[np.bool_]) -> str:
    """Find the electrode shared by two derivations of opposite sign; the leading one is preferred.

    Both derivations must carry a share of the peak, or noise reverses.
    """
    name, least = CANONICAL19[lead], LIMITS["reversal_share"].value * abs(v[lead])
    sign = np.sign(v[lead])
    is_inside = False
    for chain in CHAINS:
        if name not in chain[1:-1]:
            continue
        is_inside = True
        k = chain.index(name)
        ends = [_ROW[chain[k - 1]], _ROW[chain[k + 1]]]
        if all(ok[end] and (v[lead] - v[end]) * sign >= least for end in ends):
            return name
    return "" if is_inside else "end of chain"
