"""Voltage of the page and its left-right differences, in full peak-to-peak microvolts.

Measured on seconds that no artifact touches. The rhythms of the background are in
:mod:`detectors.background.rhythms`, how the voltage holds over the page in
:mod:`detectors.background.continuity`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Limit,
    conclude,
    make_finding,
    margin_confidence,
    too_few,
)
from detectors.montage import HOMOLOGOUS, LB18, LB18_NAMES, rows_of, side_and_region
from detectors.signal.row_statistics import N_CELLS, RowStatistics
from detectors.signal.spectra import SpectralFeatures
from detectors.types import SEGMENT_S, RuleResult, SegmentBatch

VERSION = "3"
"""Version of the voltage rules, part of every finding's source."""

LIMITS: dict[str, Limit] = {
    "clean_s": Limit(4.0, "s", "clinical.md 2 and 3.1, engineering default"),
    "voltage_rows": Limit(6, "rows", "engineering default: a third of LB-18.1"),
    "suppressed_below_uv": Limit(10.0, "uV", "ACNS 2021"),
    "low_below_uv": Limit(20.0, "uV", "ACNS 2021"),
    "high_from_uv": Limit(150.0, "uV", "ACNS 2021, clause to be checked"),
    "asymmetry_share": Limit(0.5, "1", "ACNS 2012, marked: > 50 %"),
    "asymmetry_mild_hz": Limit(0.5, "Hz", "ACNS 2012, mild: 0.5-1 Hz"),
    "asymmetry_marked_hz": Limit(1.0, "Hz", "ACNS 2012, marked: > 1 Hz"),
    "symmetric_share": Limit(
        0.2, "1", "evaluation.md 6.4, engineering default: below is symmetric"
    ),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}


def voltage_word(amplitude_uv_p2p: float) -> str:
    """Return the ACNS 2021 word for a page's full peak-to-peak on longitudinal bipolar rows."""
    if amplitude_uv_p2p < _L["suppressed_below_uv"]:
        return "suppressed"
    if amplitude_uv_p2p < _L["low_below_uv"]:
        return "low"
    return "normal" if amplitude_uv_p2p < _L["high_from_uv"] else "high"


def asymmetry_word(share: float, frequency_difference_hz: float = 0.0) -> str:
    """Return the ACNS 2012 word for a left-right difference, ``""`` where there is none.

    Parameters
    ----------
    share
        ``(larger - smaller) / larger`` of the amplitude.
    frequency_difference_hz
        Between the rhythms of both sides.
    """
    if share >= _L["asymmetry_share"] or frequency_difference_hz > _L["asymmetry_marked_hz"]:
        return "marked"
    is_mild = share >= _L["symmetric_share"]
    return "mild" if is_mild or frequency_difference_hz >= _L["asymmetry_mild_hz"] else ""


@dataclass(frozen=True, slots=True)
class LongitudinalCells:
    """Longitudinal bipolar rows in cells of 0.1 s.

    Parameters
    ----------
    names
        Rows of LB-18.1 there are; none in a recording without them.
    low_uv, high_uv
        float32, shape (n, n_rows, N_CELLS): extremes of every cell.
    usable
        bool, shape (n, n_rows, 10): seconds free of artifacts at both electrodes.
    """

    names: tuple[str, ...]
    low_uv: NDArray[np.float32]
    high_uv: NDArray[np.float32]
    usable: NDArray[np.bool_]

    def second_p2p_uv(self) -> NDArray[np.float32]:
        """Return the peak-to-peak of every whole second, shape (n, n_rows, 10)."""
        return _second_p2p_uv(self.low_uv, self.high_uv)


def _second_p2p_uv(
    low_uv: NDArray[np.float32], high_uv: NDArray[np.float32]
) -> NDArray[np.float32]:
    from detectors.signal import _longitudinal_kernels

    out = np.empty((*low_uv.shape[:2], SEGMENT_S), dtype=np.float32)
    _longitudinal_kernels.second_p2p(
        np.ascontiguousarray(low_uv), np.ascontiguousarray(high_uv), out
    )
    return out


def longitudinal_cells(
    batch: SegmentBatch, statistics: RowStatistics, usable: NDArray[np.bool_]
) -> LongitudinalCells:
    """Derive the LB-18.1 rows there are and take their extremes cell by cell.

    Parameters
    ----------
    batch, statistics, usable
        As for :func:`find_background`.
    """
    if not batch.schema.is_referential:
        rows = [r for r, name in enumerate(batch.schema.ch_names) if name in LB18_NAMES]
        names = tuple(batch.schema.ch_names[r] for r in rows)
        low, high = statistics.cell_min_uv[:, rows], statistics.cell_max_uv[:, rows]
        return LongitudinalCells(names, low, high, usable[:, rows])
    from detectors.signal import _longitudinal_kernels

    first = rows_of(*(a for a, _ in LB18))
    second = rows_of(*(b for _, b in LB18))
    shape = (len(batch), len(LB18), N_CELLS)
    low, high = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    data = np.ascontiguousarray(batch.data_uv, dtype=np.float32)
    _longitudinal_kernels.bipolar_cells(data, first, second, low, high)
    return LongitudinalCells(LB18_NAMES, low, high, usable[:, first] & usable[:, second])


def find_voltage(batch: SegmentBatch, cells: LongitudinalCells) -> RuleResult:
    """Measure the page's voltage: full peak-to-peak of 1-s windows of longitudinal bipolar rows.

    The class follows the median over clean windows of all rows; the 5th and 95th percentile stand
    beside it, and half the median for comparison with CerebraGloss, which halves.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    cells
        Their longitudinal bipolar rows.
    """
    p2p, is_clean, names = cells.second_p2p_uv(), cells.usable, cells.names
    is_row = is_clean.sum(-1) >= _L["clean_s"]
    chosen = np.nonzero(is_row.sum(1) >= _L["voltage_rows"])[0]
    is_taken = is_clean[chosen] & is_row[chosen][..., None]
    windows = np.where(is_taken, p2p[chosen], np.inf).reshape(len(chosen), p2p[0].size)
    windows.sort(axis=1)
    n_windows = is_taken.sum((1, 2))
    amplitudes = np.stack([_percentile_of_first(windows, n_windows, q) for q in (5, 50, 95)], 1)
    findings = []
    for i, n, (low, median, high) in zip(
        chosen.tolist(), n_windows.tolist(), amplitudes.tolist(), strict=True
    ):
        measures = [
            ("amplitude_uv_p2p", median, "uV"),
            ("amplitude_uv_p2p_p05", low, "uV"),
            ("amplitude_uv_p2p_p95", high, "uV"),
            ("amplitude_uv_half", median / 2, "uV"),
            ("n_windows", float(n), "1"),
        ]
        rows = [name for name, is_in in zip(names, is_row[i].tolist(), strict=True) if is_in]
        findings.append(
            make_finding(
                batch.segment_ids[i], "voltage", rows, (0, SEGMENT_S), measures, 1.0, VERSION
            )
        )
    return conclude(batch.segment_ids, "voltage", findings, too_few_rows(is_clean))


def _percentile_of_first(
    ordered: NDArray[np.float32], n: NDArray[np.integer], percent: float
) -> NDArray[np.float32]:
    """Return a percentile of the first ``n`` of ordered values, as ``numpy.percentile`` does."""
    at = (n - 1) * percent / 100
    below = at.astype(int)
    above = np.minimum(below + 1, n - 1)
    page = np.arange(len(ordered))
    low, high = ordered[page, below], ordered[page, above]
    return np.asarray(low + (high - low) * (at - below).astype(np.float32))


def too_few_rows(is_clean: NDArray[np.bool_]) -> list[str]:
    """Say per segment that too few longitudinal bipolar rows are clean, ``""`` where enough are.

    Parameters
    ----------
    is_clean
        bool, shape (n, n_rows, 10): clean seconds.
    """
    n_needed = int(_L["voltage_rows"])
    # the row that decides: the sixth best
    seconds = np.sort(is_clean.sum(-1), axis=1)[:, ::-1]
    sixth = (
        seconds[:, n_needed - 1].astype(int)
        if seconds.shape[1] >= n_needed
        else np.zeros(len(is_clean), dtype=int)
    )
    return too_few(sixth, _L["clean_s"], f"the best {n_needed} longitudinal bipolar rows")


def find_asymmetry(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    usable: NDArray[np.bool_],
) -> RuleResult:
    """Find marked left-right differences of amplitude between homologous rows.

    ``(larger - smaller) / larger`` of the median 1-s peak-to-peak over seconds clean on both sides;
    a pair counts from 50 % (ACNS 2012, marked). Every such pair is a finding that names the larger
    row first and carries its side; mild differences are common and are not findings. Bipolar
    recordings use homologous derivations.

    Parameters
    ----------
    batch, spectra, statistics, usable
        As for :func:`find_background`.
    """
    pairs = _row_pairs(batch.schema.ch_names)
    if not pairs:
        return conclude(batch.segment_ids, "asymmetry", [], ["no homologous rows"] * len(batch))
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    live = spectra.is_live[:, left] & spectra.is_live[:, right]
    is_clean = usable[:, left] & usable[:, right] & live[..., None]
    is_judged = is_clean.sum(-1) >= _L["clean_s"]
    seconds = _second_p2p_uv(statistics.cell_min_uv, statistics.cell_max_uv)
    amplitude = np.stack([_clean_median(seconds[:, side], is_clean) for side in (left, right)], -1)
    amplitude[~is_judged] = 0.0
    larger, smaller = amplitude.max(-1), amplitude.min(-1)
    share = (larger - smaller) / np.maximum(larger, 1e-6)
    p2p_side = amplitude.argmax(-1)
    is_marked = is_judged & (share >= _L["asymmetry_share"])
    findings = []
    for i in np.nonzero(is_marked.any(1))[0]:
        for k in np.nonzero(is_marked[i])[0]:
            rows = (left[k], right[k]) if p2p_side[i, k] == 0 else (right[k], left[k])
            names = [batch.schema.ch_names[r] for r in rows]
            measures = [
                ("asymmetry", float(share[i, k]), "1"),
                ("amplitude_larger_uv_p2p", float(larger[i, k]), "uV"),
                ("amplitude_smaller_uv_p2p", float(smaller[i, k]), "uV"),
            ]
            confidence = margin_confidence(float(share[i, k]) / _L["asymmetry_share"])
            finding = make_finding(
                batch.segment_ids[i], "asymmetry", names, (0, SEGMENT_S), measures, confidence,
                VERSION,
            )  # fmt: skip
            # both hemispheres take part; the side is the larger one's
            side, region = side_and_region((names[0],))
            findings.append(replace(finding, side=side, region=region))
    reasons = too_few(is_clean.sum(-1).max(1), _L["clean_s"], "both sides of any pair of rows")
    return conclude(batch.segment_ids, "asymmetry", findings, reasons)


def _clean_median(values: NDArray[np.float32], is_clean: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Median of the clean values along the last axis; infinite where there are none."""
    ordered = np.sort(np.where(is_clean, values, np.inf), axis=-1)
    n = np.maximum(is_clean.sum(-1), 1)
    middle = np.stack([(n - 1) // 2, n // 2], axis=-1)
    return np.asarray(np.take_along_axis(ordered, middle, -1).mean(-1))


def _row_pairs(ch_names: tuple[str, ...]) -> list[tuple[int, int]]:
    """Row numbers of left rows and their right homologues, single electrodes or derivations."""
    opposite = dict(HOMOLOGOUS)
    at = {name: r for r, name in enumerate(ch_names)}
    pairs = []
    for name, r in at.items():
        mirrored = "-".join(opposite.get(part, part) for part in name.split("-"))
        if mirrored != name and mirrored in at:
            pairs.append((r, at[mirrored]))
    return pairs
