"""Faults of the recording itself: flat rows, clipped rows, electrode pops.

Called by :mod:`detectors.artifacts.chain`, which holds the other
artifact rules. A pop is told from its field, so it needs single electrodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

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
from detectors.montage import NEIGHBOURS, rows_of
from detectors.signal.field_filter import own_steps
from detectors.signal.row_statistics import (
    CELL_S,
    N_CELLS,
    N_SLOW,
    SLOW_HZ,
    STEP_LAG,
    RowStatistics,
    rail_samples,
)
from detectors.signal.spectra import SpectralFeatures
from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ, Finding, RuleResult, SegmentBatch

VERSION = "4"
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
    "pop_background_sd": Limit(5.5, "SD", "engineering default: of the row's own moves"),
    "pop_tail_ratio": Limit(2.5, "1", "engineering default: 5.6 SD where moves are Gaussian"),
    "pop_seen_uv": Limit(10.0, "uV", "engineering default: 1.5 mm at 7 uV/mm"),
    "pop_fit_share": Limit(0.78, "1", "engineering default: of what moves there, step and return"),
    "pop_fit_low": Limit(0.72, "1", "engineering default: size of the fit over the step's"),
    "pop_fit_high": Limit(1.25, "1", "engineering default: above, the row goes on rising"),
    "pop_wander_ratio": Limit(3.5, "SD", "engineering default: of the same fit elsewhere"),
    "pop_step_uv": Limit(50.0, "uV", _E8 + "; from here on it hides what lies under it"),
    "pop_back_share": Limit(0.5, "1", "engineering default: steep rise, slow fall"),
    "pop_restless_share": Limit(0.3, "1", "engineering default: a step, not a burst of them"),
    "pop_held_s": Limit(0.07, "s", "engineering default: longer over a third than a spike"),
    "pop_steep_share": Limit(0.6, "1", "clinical.md 8: within 20 ms"),
    "pop_neighbour_share": Limit(0.2, "1", _E8),
    "pop_other_share": Limit(0.5, "1", "engineering default: no field beyond one electrode"),
    "pop_gaze_s": Limit(0.2, "s", "engineering default: from an edge of a look aside"),
    "gap_s": Limit(0.5, "s", "systems.md 6.6, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}


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
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    gaze: Sequence[Finding] = (),
) -> RuleResult:
    """Find steps of one electrode that stay and that no other electrode foretells.

    A step is measured after what the other rows foretell of the row is taken away
    (:func:`detectors.signal.field_filter.own_steps`), in SDs of what is then left on the page: a pop has
    no field, so it stays whole, and the background of a scalp, which has one, mostly goes.

    Parameters
    ----------
    batch, spectra, statistics
        Segments, their spectra and row statistics.
    gaze
        Looks aside, whose edges leave a step of their own on F7, F8, Fp1 and Fp2.
    """
    limit = {name: entry.value for name, entry in LIMITS.items()}
    if not batch.schema.is_referential:
        never = np.zeros(len(batch), dtype=np.bool_)
        return conclude_where(batch, "electrode_pop", [], never, "needs single electrodes")
    steps, scale = own_steps(statistics.slow_uv, spectra.is_live)
    least = np.maximum(limit["pop_background_sd"] * scale, limit["pop_seen_uv"])
    segment, row, time = np.nonzero(np.abs(steps) >= least[..., None])
    size = np.abs(steps[segment, row, time])
    near = np.clip(time[:, None] + np.arange(-4, 5), 0, N_SLOW - 1)
    is_pop = size >= np.abs(steps[segment[:, None], row[:, None], near]).max(1, initial=0.0)
    at = _Steps(segment[is_pop], row[is_pop], time[is_pop], steps)
    at = at.kept(_is_beyond_tail(at))
    at = at.kept(_stays(at, scale))
    at = at.kept(_stands_alone(at, scale))
    at = at.kept(_is_steep(batch.data_uv, at) & ~_is_beside_flat(statistics, at))
    share, is_alone = _neighbour_shares(statistics.slow_uv, spectra.is_live, at)
    at, share = at.kept(is_alone), share[is_alone]
    is_return = _returns(at)
    at, share = at.kept(is_return), share[is_return]
    edges: dict[str, list[float]] = {}
    for look in gaze:
        edges.setdefault(look.segment_id, []).extend((look.t0_s, look.t1_s))
    findings: list[Finding] = []
    last: tuple[int, int, float] = (-1, -1, -1.0)
    for i, c, block, own, beside in zip(
        at.segment.tolist(), at.row.tolist(), at.time.tolist(), at.step_uv.tolist(),
        share.tolist(), strict=True,
    ):  # fmt: skip
        t = (block + 0.5) / SLOW_HZ
        if (i, c) == last[:2] and t - last[2] < limit["gap_s"]:
            continue
        last = (i, c, t)
        end = _decay_end(statistics.slow_uv[i, c], t, own)
        is_gaze = c in _GAZE_ROWS and _is_edge(edges.get(batch.segment_ids[i], ()), t)
        if is_gaze or end - t < limit["pop_held_s"]:
            continue
        ratio = abs(own) / float(scale[i, c])
        measures = [
            ("step_uv", own, "uV"),
            ("neighbour_share", beside, "1"),
            ("background_ratio", ratio, "1"),
            ("reaches_definition", float(abs(own) >= limit["pop_step_uv"]), "1"),
            ("duration_s", end - t, "s"),
        ]
        confidence = margin_confidence(ratio / limit["pop_background_sd"])
        findings.append(
            make_finding(
                batch.segment_ids[i], "electrode_pop", (batch.schema.ch_names[c],),
                (t - 0.02, end), measures, confidence, VERSION,
            )
        )  # fmt: skip
    n_live = spectra.is_live.sum(1)
    return conclude_where(batch, "electrode_pop", findings, n_live >= 3, "fewer than 3 live rows")


def _is_edge(edges_s: Sequence[float], t_s: float) -> bool:
    return any(abs(t_s - edge) <= LIMITS["pop_gaze_s"].value for edge in edges_s)


@dataclass(frozen=True, slots=True)
class _Steps:
    """Candidate pops: segment, row and block of each, and the own steps of all rows."""

    segment: NDArray[np.intp]
    row: NDArray[np.intp]
    time: NDArray[np.intp]
    steps: NDArray[np.float32]

    @property
    def step_uv(self) -> NDArray[np.float32]:
        return np.asarray(self.steps[self.segment, self.row, self.time])

    def kept(self, is_kept: NDArray[np.bool_]) -> _Steps:
        return _Steps(self.segment[is_kept], self.row[is_kept], self.time[is_kept], self.steps)

    def around(self, reach: NDArray[np.intp]) -> NDArray[np.float32]:
        """Own steps of the same row beside each, 0 beyond the page; sign of the step taken off."""
        at = self.time[:, None] + reach
        inside = (at >= 0) & (at < N_SLOW)
        beside = self.steps[self.segment[:, None], self.row[:, None], at.clip(0, N_SLOW - 1)]
        return np.asarray(beside * inside * np.sign(self.step_uv)[:, None])


def _is_beyond_tail(at: _Steps) -> NDArray[np.bool_]:
    """Keep steps far beyond what the row does in its liveliest 0.25 s: not all rows are Gaussian."""
    if not at.time.size:
        return np.zeros(0, dtype=np.bool_)
    moves = np.abs(at.steps[at.segment, at.row])
    nth = N_SLOW - round(0.25 * SLOW_HZ)
    lively = np.partition(moves, nth, axis=1)[:, nth]
    return np.asarray(np.abs(at.step_uv) >= LIMITS["pop_tail_ratio"].value * lively)


def _stays(at: _Steps, scale: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Keep steps with none back beside them, as a spike has, and none like it within 0.75 s."""
    size, sd = np.abs(at.step_uv), scale[at.segment, at.row]
    back = -at.around(np.r_[-6:-1, 2:7]).min(1, initial=0.0)
    is_held = back <= LIMITS["pop_back_share"].value * size + sd
    reach = np.r_[-30:-6, 7:31]
    inside = (at.time[:, None] + reach >= 0) & (at.time[:, None] + reach < N_SLOW)
    restless = np.sqrt((at.around(reach) ** 2).sum(1) / np.maximum(inside.sum(1), 1))
    return np.asarray(
        is_held & (restless <= np.maximum(LIMITS["pop_restless_share"].value * size, 1.5 * sd))
    )


def _stands_alone(at: _Steps, scale: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Keep steps while no other row makes its own of half the size, as cables that move do."""
    own = at.step_uv
    near = np.clip(at.time[:, None] + np.arange(-1, 2), 0, N_SLOW - 1)
    others = np.abs(at.steps[at.segment[:, None], :, near]).max(1)
    others -= 2 * scale[at.segment]
    others[np.arange(len(own)), at.row] = 0.0
    return np.asarray(others.max(1, initial=0.0) <= LIMITS["pop_other_share"].value * np.abs(own))


def _is_steep(data_uv: NDArray[np.float32], at: _Steps) -> NDArray[np.bool_]:
    """Keep steps that the row makes within 20 ms."""
    own = at.step_uv
    size = N_TIMES // N_SLOW
    length = 3 * size + 2 * STEP_LAG
    start = np.clip(at.time * size - size - STEP_LAG, 0, N_TIMES - length)
    part = data_uv[at.segment[:, None], at.row[:, None], start[:, None] + np.arange(length)]
    moves = (part[:, STEP_LAG:] - part[:, :-STEP_LAG]) * np.sign(own)[:, None]
    return np.asarray(moves.max(1, initial=0.0) >= LIMITS["pop_steep_share"].value * np.abs(own))


def _returns(at: _Steps) -> NDArray[np.bool_]:
    """Keep steps with an exponential return that explains the row better than its wandering does.

    The fit is of a step with its return beside a straight line, to what other rows do not foretell
    of the row (the sum of own moves is that, twice); the same fit anywhere else in the row says how
    large a return its slow activity alone would show.
    """
    if not at.time.size:
        return np.zeros(0, dtype=np.bool_)
    shapes, line = _return_shapes()
    row = np.cumsum(at.steps[at.segment, at.row], axis=1, dtype=np.float64) / 2
    padded = np.pad(row, ((0, 0), (_BEFORE, _AFTER)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, shapes.shape[1], axis=1)
    each = np.arange(len(row))
    near = np.clip(at.time[:, None] + np.arange(-2, 3), 0, N_SLOW - 1)
    part = windows[each[:, None], near]
    moving = ((part - part @ line.T @ line) ** 2).sum(-1)
    gain = (shapes**2).sum(1)
    size = part @ (shapes / gain[:, None]).T
    explained = size**2 * gain / np.maximum(moving, 1e-6)[..., None]
    best = explained.reshape(len(row), -1).argmax(1)
    size = size.reshape(len(row), -1)[each, best]
    share = explained.reshape(len(row), -1)[each, best]
    kind = best % len(shapes)
    everywhere = np.matmul(windows, (shapes / gain[:, None])[kind][..., None])[..., 0]
    away = np.abs(np.arange(N_SLOW) - at.time[:, None]) > _AFTER + _BEFORE
    away[:, :4] = away[:, -8:] = False
    wander = np.sqrt((everywhere**2 * away).sum(1) / np.maximum(away.sum(1), 1))
    ratio = size / at.step_uv
    is_return = (share >= _L["pop_fit_share"]) & (ratio >= _L["pop_fit_low"])
    is_return &= (ratio <= _L["pop_fit_high"]) & (np.abs(size) >= _L["pop_wander_ratio"] * wander)
    return np.asarray(is_return)


_BEFORE, _AFTER = round(0.3 * SLOW_HZ), SLOW_HZ
"""Blocks a return is fitted over, before and after its step."""


@cache
def _return_shapes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give returns of 0.12-0.6 s without their straight line, and the unit vectors of lines."""
    time_s = np.arange(-_BEFORE, _AFTER + 1) / SLOW_HZ
    line = np.linalg.qr(np.stack([np.ones_like(time_s), time_s], axis=1))[0].T
    shapes = np.stack(
        [
            np.where(time_s >= 0, np.exp(-time_s.clip(0) / tau), 0.0)
            for tau in (0.12, 0.2, 0.35, 0.6)
        ]
    )
    return shapes - shapes @ line.T @ line, line


def _is_beside_flat(statistics: RowStatistics, at: _Steps) -> NDArray[np.bool_]:
    """Whether the row is still within 0.3 s of the step: a row that goes dead or comes back."""
    cell = np.clip((at.time * N_CELLS // N_SLOW)[:, None] + np.r_[-3:0, 1:4], 0, N_CELLS - 1)
    high = statistics.cell_max_uv[at.segment[:, None], at.row[:, None], cell]
    low = statistics.cell_min_uv[at.segment[:, None], at.row[:, None], cell]
    return np.asarray((high - low < LIMITS["flat_p2p_uv"].value).any(1))


def _neighbour_shares(
    slow_uv: NDArray[np.float32], is_live: NDArray[np.bool_], at: _Steps
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the neighbours' mean move as a share of the step, and whether it is small enough.

    Their own background moves too, so two of its SDs are allowed on top of the share.
    """
    near = (_NEIGHBOUR_SHARE[at.row] * is_live[at.segment]).astype(np.float32)
    n_near = near.sum(1)
    level = np.einsum("kc,kct->kt", near / np.maximum(n_near, 1)[:, None], slow_uv[at.segment])
    moves = level[:, 2:] - level[:, :-2]
    sd = np.median(np.abs(moves), axis=1) / 0.6745 if len(moves) else n_near
    size = np.maximum(np.abs(at.step_uv), 1e-3)
    beside = np.abs(moves[np.arange(len(moves)), np.clip(at.time - 1, 0, N_SLOW - 3)])
    is_alone = beside <= LIMITS["pop_neighbour_share"].value * size + 2 * sd
    return np.asarray(beside / size), np.asarray(is_alone & (n_near > 0))


def _neighbour_share() -> NDArray[np.float64]:
    share = np.zeros((len(CANONICAL19), len(CANONICAL19)))
    for a, near in NEIGHBOURS.items():
        for b in near:
            share[CANONICAL19.index(a), CANONICAL19.index(b)] = 1.0
    return share


_NEIGHBOUR_SHARE = _neighbour_share()
_GAZE_ROWS = frozenset(rows_of("F7", "F8", "Fp1", "Fp2").tolist())


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
