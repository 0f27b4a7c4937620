"""Faults of the recording itself: flat rows, clipped rows, electrode pops.

Called by :mod:`detectors.artifacts`, which holds the other
artifact rules. A pop is told from its field, so it needs single electrodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Box,
    Limit,
    boxes_by_group,
    close_gaps,
    conclude_where,
    duration_of,
    finding_of_group,
    make_finding,
    margin_confidence,
    runs,
)
from detectors.montage import NEIGHBOURS
from detectors.row_statistics import (
    CELL_S,
    N_CELLS,
    SLOW_HZ,
    STEP_LAG,
    RowStatistics,
    rail_samples,
)
from detectors.spectra import SpectralFeatures
from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ, Finding, RuleResult, SegmentBatch

VERSION = "2"
"""Version of these rules, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "flat_p2p_uv": Limit(1.0, "uV", _E8),
    "flat_bend_uv": Limit(0.5, "uV", "engineering default: drift of a dead row is straight"),
    "flat_s": Limit(0.5, "s", _E8),
    "rail_uv": Limit(1556.0, "uV", "95 % of the stored range of +-1638 uV; clinical.md 8"),
    "plateau_uv": Limit(250.0, "uV", "engineering default: only large values can be a rail"),
    "plateau_tolerance_uv": Limit(0.25, "uV", "engineering default: five stored steps"),
    "plateau_samples": Limit(8, "samples", "clinical.md 8 asks 5 raw samples; 8 after filtering"),
    "pop_step_uv": Limit(50.0, "uV", _E8),
    "pop_held_share": Limit(0.5, "1", "engineering default: steep rise, slow fall"),
    "pop_neighbour_share": Limit(0.2, "1", _E8),
    "pop_neighbour_held_share": Limit(0.3, "1", "engineering default: of the level after it"),
    "pop_background_uv": Limit(20.0, "uV", "engineering default: moves of 0.1-s means at rest"),
    "pop_other_share": Limit(0.5, "1", "engineering default: no field beyond one electrode"),
    "gap_s": Limit(0.5, "s", "systems.md 6.6, engineering default"),
}
"""Constants of this module with their source marks."""


def find_flat(
    batch: SegmentBatch, spectra: SpectralFeatures, statistics: RowStatistics
) -> RuleResult:
    """Rows whose 0.1-s cells are still for half a second, or whose page is silent."""
    limit = {name: entry.value for name, entry in LIMITS.items()}
    is_still = statistics.cell_max_uv - statistics.cell_min_uv < limit["flat_p2p_uv"]
    is_still &= batch.mask[..., None]
    is_silent = batch.mask & ~spectra.is_live
    segment, channel = np.nonzero((is_still.sum(-1) >= limit["flat_s"] / CELL_S) | is_silent)
    active = is_still[segment, channel]
    middle = 0.5 * (statistics.cell_max_uv + statistics.cell_min_uv)[segment, channel]
    bend = np.abs(np.diff(middle, n=2, axis=-1)) < limit["flat_bend_uv"]
    active[:, 1:-1] &= bend
    active[:, 0] &= active[:, 1]
    active[:, -1] &= active[:, -2]
    active[is_silent[segment, channel]] = True
    boxes: list[list[Box]] = [[] for _ in batch.segment_ids]
    for r, a, b in zip(*runs(active), strict=True):
        if b - a >= round(limit["flat_s"] / CELL_S):
            boxes[segment[r]].append(Box(int(channel[r]), a * CELL_S, b * CELL_S, float(b - a)))
    findings = []
    for i, group in boxes_by_group(boxes):
        p2p = max(_span_p2p(statistics, i, box) for box in group)
        ratio = limit["flat_p2p_uv"] / max(p2p, 0.05)
        measures = [("amplitude_uv_p2p", p2p, "uV"), duration_of(group)]
        findings.append(
            finding_of_group(
                batch, i, "flat", group, measures, margin_confidence(max(ratio, 1)), VERSION
            )
        )
    return conclude_where(
        batch, "flat", findings, np.logical_or.reduce(batch.mask, axis=1), "no recorded row"
    )


def find_saturation(batch: SegmentBatch, statistics: RowStatistics) -> RuleResult:
    """Rows at the rail, or stuck at their own extreme."""
    limit = {name: entry.value for name, entry in LIMITS.items()}
    extreme = np.maximum(statistics.cell_max_uv.max(-1), -statistics.cell_min_uv.min(-1))
    boxes: list[list[Box]] = [[] for _ in batch.segment_ids]
    for i, c in zip(*np.nonzero(batch.mask & (extreme >= limit["plateau_uv"])), strict=True):
        row = batch.data_uv[i, c]
        stuck = rail_samples(row, limit["plateau_tolerance_uv"], int(limit["plateau_samples"]))
        stuck &= np.abs(row) >= limit["plateau_uv"]
        stuck |= np.abs(row) >= limit["rail_uv"]
        stuck = close_gaps(stuck[None], round(limit["gap_s"] * SFREQ_HZ))
        _, starts, stops = runs(stuck)
        boxes[i].extend(
            Box(int(c), a / SFREQ_HZ, b / SFREQ_HZ, float(extreme[i, c]))
            for a, b in zip(starts, stops, strict=True)
        )
    findings = []
    for i, group in boxes_by_group(boxes):
        level = max(box.weight for box in group)
        confidence = margin_confidence(max(1.5, level / limit["rail_uv"]))
        measures = [("level_uv", level, "uV"), duration_of(group)]
        findings.append(
            finding_of_group(batch, i, "saturation", group, measures, confidence, VERSION)
        )
    return conclude_where(
        batch, "saturation", findings, np.logical_or.reduce(batch.mask, axis=1), "no recorded row"
    )


def find_pops(
    batch: SegmentBatch, spectra: SpectralFeatures, statistics: RowStatistics
) -> RuleResult:
    """Find steps of one electrode that stay and that its neighbours do not share."""
    limit = {name: entry.value for name, entry in LIMITS.items()}
    if not batch.schema.is_referential:
        never = np.zeros(len(batch), dtype=np.bool_)
        return conclude_where(batch, "electrode_pop", [], never, "needs single electrodes")
    is_steep = statistics.cell_step_uv >= limit["pop_step_uv"]
    segment, row, cell = np.nonzero(is_steep & spectra.is_live[..., None])
    time = _step_time(batch.data_uv, segment, row, cell)
    step = statistics.cell_step_uv[segment, row, cell]
    held = np.abs(_level_change(statistics.slow_uv, segment, time, row))
    is_held = held >= limit["pop_held_share"] * step
    segment, row, cell, time = segment[is_held], row[is_held], cell[is_held], time[is_held]
    change = _level_change(statistics.slow_uv, segment, time)
    change[~spectra.is_live[segment]] = 0.0
    k = np.arange(segment.size)
    own = change[k, row]
    near = _NEIGHBOUR_SHARE[row] * spectra.is_live[segment]
    n_near = np.maximum(near.sum(1), 1e-9)
    jump = _jump(batch.data_uv, segment, time)
    # the step itself is quick; what holds after it is mixed with the background of the neighbours
    size = statistics.cell_step_uv[segment, row, cell]
    beside = np.abs((near * jump).sum(1)) / n_near
    beside_held = np.abs((near * change).sum(1)) / n_near
    others = np.maximum(np.abs(change) - limit["pop_background_uv"], np.abs(jump))
    others[k, row] = 0.0
    is_pop = (near.sum(1) > 0) & (beside <= limit["pop_neighbour_share"] * size)
    is_pop &= beside_held <= limit["pop_neighbour_held_share"] * size
    is_pop &= others.max(axis=1, initial=0.0) <= limit["pop_other_share"] * size
    findings: list[Finding] = []
    last: tuple[int, int, float] = (-1, -1, -1.0)
    for j in np.nonzero(is_pop)[0]:
        i, c, t = int(segment[j]), int(row[j]), float(time[j]) / SFREQ_HZ
        if (i, c) == last[:2] and t - last[2] < limit["gap_s"]:
            continue
        last = (i, c, t)
        end = _decay_end(statistics.slow_uv[i, c], t, float(own[j]))
        measures = [
            ("step_uv", float(own[j]), "uV"),
            ("neighbour_share", beside[j] / size[j], "1"),
            ("duration_s", end - t, "s"),
        ]
        confidence = margin_confidence(
            size[j] / limit["pop_step_uv"],
            limit["pop_neighbour_share"] / max(beside[j] / size[j], 1e-3),
        )
        name = batch.schema.ch_names[c]
        findings.append(
            make_finding(
                batch.segment_ids[i], "electrode_pop", (name,), (t - 0.02, end), measures,
                confidence, VERSION,
            )
        )  # fmt: skip
    n_live = spectra.is_live.sum(1)
    return conclude_where(batch, "electrode_pop", findings, n_live >= 3, "fewer than 3 live rows")


def _neighbour_share() -> NDArray[np.float64]:
    share = np.zeros((len(CANONICAL19), len(CANONICAL19)))
    for a, near in NEIGHBOURS.items():
        for b in near:
            share[CANONICAL19.index(a), CANONICAL19.index(b)] = 1.0
    return share


_NEIGHBOUR_SHARE = _neighbour_share()


def _step_time(
    data_uv: NDArray[np.float32],
    segment: NDArray[np.intp],
    row: NDArray[np.intp],
    cell: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Sample in the middle of the steepest 20 ms of each cell."""
    size = N_TIMES // N_CELLS
    at = cell[:, None] * size + np.arange(size + STEP_LAG)
    part = data_uv[segment[:, None], row[:, None], np.minimum(at, N_TIMES - 1)]
    steepest = np.abs(part[:, STEP_LAG:] - part[:, :-STEP_LAG]).argmax(1)
    return cell * size + steepest + STEP_LAG // 2


def _jump(
    data_uv: NDArray[np.float32], segment: NDArray[np.intp], time: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Difference over the 20 ms around each time, all rows."""
    after = data_uv[segment, :, np.minimum(time + STEP_LAG // 2, N_TIMES - 1)]
    jump: NDArray[np.float32] = after - data_uv[segment, :, np.maximum(time - STEP_LAG // 2, 0)]
    return jump


def _level_change(
    slow_uv: NDArray[np.float32],
    segment: NDArray[np.intp],
    time: NDArray[np.intp],
    row: NDArray[np.intp] | None = None,
) -> NDArray[np.float32]:
    """Mean of the 0.1 s after a step minus mean of the 0.1 s before; 25 ms left out.

    Of one row per step, shape (n_steps,), or of all, shape (n_steps, n_channels).
    """
    n_slow = slow_uv.shape[-1]
    middle = (time * SLOW_HZ // SFREQ_HZ)[:, None]
    reach = np.arange(2, 6)
    rows = slice(None) if row is None else row[:, None]
    after = slow_uv[segment[:, None], rows, np.minimum(middle + reach, n_slow - 1)].mean(1)
    before = slow_uv[segment[:, None], rows, np.maximum(middle - reach, 0)].mean(1)
    change: NDArray[np.float32] = after - before
    return change


def _decay_end(slow_uv: NDArray[np.float32], t_s: float, change_uv: float) -> float:
    """Time at which a pop has fallen to a third, at most 2 s later."""
    at = int(t_s * SLOW_HZ)
    level = slow_uv[max(at - 6, 0) : max(at - 1, 1)].mean()
    tail = (slow_uv[at + 2 : at + 2 * SLOW_HZ] - level) * np.sign(change_uv)
    fallen = np.nonzero(tail < abs(change_uv) / 3)[0]
    return t_s + (float(fallen[0]) + 2 if fallen.size else float(tail.size) + 2) / SLOW_HZ


def _span_p2p(statistics: RowStatistics, i: int, box: Box) -> float:
    span = slice(round(box.t0_s / CELL_S), round(box.t1_s / CELL_S))
    high = statistics.cell_max_uv[i, box.row, span].max()
    return float(high - statistics.cell_min_uv[i, box.row, span].min())
