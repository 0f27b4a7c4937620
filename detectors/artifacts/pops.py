"""Electrode pops: a steep step of one electrode that falls back, without a field.

A pop is a sudden rise with an exponential-like return (HED, ACNS: abrupt, steep rise and slow fall).
A step that stays, a level held for a while and a ramp are electrodes or cables that moved: they are
no pop, and one such row alone is given no name, since movement is on many (``clinical.md`` 8).
Only single electrodes show that there is no field. The chain of artifact rules is in
:mod:`detectors.artifacts.chain`, faults that last in :mod:`detectors.artifacts.technical`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude_where, make_finding, margin_confidence
from detectors.montage import NEIGHBOURS, rows_of
from detectors.signal.field_filter import own_steps
from detectors.signal.row_statistics import N_CELLS, N_SLOW, SLOW_HZ, STEP_LAG, RowStatistics
from detectors.signal.spectra import SpectralFeatures
from detectors.types import CANONICAL19, N_TIMES, Finding, RuleResult, SegmentBatch

VERSION = "6"
"""Version of the rule, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "pop_background_sd": Limit(5.5, "SD", "engineering default: of the row's own moves"),
    "pop_tail_ratio": Limit(2.0, "1", "engineering default: 4.5 SD where moves are Gaussian"),
    "pop_seen_uv": Limit(10.0, "uV", "engineering default: 1.5 mm at 7 uV/mm"),
    "pop_fit_share": Limit(0.65, "1", "engineering default: of what moves there, step and return"),
    "pop_fit_low": Limit(0.62, "1", "engineering default: size of the fit over the step's"),
    "pop_fit_high": Limit(1.4, "1", "engineering default: above, the row goes on rising"),
    "pop_return_gain": Limit(1.0, "1", "HED, ACNS: a return explains more than a held level"),
    "pop_level_s": Limit(1.5, "s", "engineering default: time to tell a return from a level"),
    "pop_wander_ratio": Limit(2.7, "SD", "engineering default: of the same fit elsewhere"),
    "pop_step_uv": Limit(50.0, "uV", _E8 + "; from here on it hides what lies under it"),
    "pop_back_share": Limit(0.5, "1", "engineering default: steep rise, slow fall"),
    "pop_restless_share": Limit(0.3, "1", "engineering default: a step, not a burst of them"),
    "pop_held_s": Limit(0.04, "s", "engineering default: longer over a third than a spike"),
    "pop_steep_share": Limit(0.6, "1", "clinical.md 8: within 20 ms"),
    "pop_neighbour_share": Limit(0.2, "1", _E8),
    "pop_neighbour_most": Limit(
        0.8, "1", "engineering default: beside a wave as large, the step is what foretelling left"
    ),
    "pop_other_share": Limit(0.6, "1", "engineering default: no field beyond one electrode"),
    "pop_gaze_s": Limit(0.2, "s", "engineering default: from an edge of a look aside"),
    "pop_still_uv": Limit(1.0, "uV", "clinical.md 8: of a flat row"),
    "gap_s": Limit(0.5, "s", "systems.md 6.6, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}


def find_pops(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    gaze: Sequence[Finding] = (),
) -> RuleResult:
    """Find steps of one electrode that fall back and that no other electrode foretells.

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
    if not batch.schema.is_referential:
        never = np.zeros(len(batch), dtype=np.bool_)
        return conclude_where(batch, "electrode_pop", [], never, "needs single electrodes")
    steps, scale = own_steps(statistics.slow_uv, spectra.is_live)
    at = _candidates(steps, scale)
    at = at.kept(_is_beyond_tail(at))
    at = at.kept(_stays(at, scale))
    at = at.kept(_stands_alone(at, scale))
    at = at.kept(_is_steep(batch.data_uv, at) & ~_is_beside_flat(statistics, at))
    share, is_alone = _neighbour_shares(statistics.slow_uv, spectra.is_live, at)
    at, share = at.kept(is_alone), share[is_alone]
    is_return = _returns(at)
    at, share = at.kept(is_return), share[is_return]
    is_falling = _falls_back(at)
    at, share = at.kept(is_falling), share[is_falling]
    findings = _findings(batch, statistics, at, share, scale, gaze)
    n_live = spectra.is_live.sum(1)
    return conclude_where(batch, "electrode_pop", findings, n_live >= 3, "fewer than 3 live rows")


def _candidates(steps: NDArray[np.float32], scale: NDArray[np.float32]) -> _Steps:
    """Take steps that stand out of their row's own moves, the largest of those close together."""
    least = np.maximum(_L["pop_background_sd"] * scale, _L["pop_seen_uv"])
    segment, row, time = np.nonzero(np.abs(steps) >= least[..., None])
    size = np.abs(steps[segment, row, time])
    near = np.clip(time[:, None] + np.arange(-4, 5), 0, N_SLOW - 1)
    is_pop = size >= np.abs(steps[segment[:, None], row[:, None], near]).max(1, initial=0.0)
    return _Steps(segment[is_pop], row[is_pop], time[is_pop], steps)


def _findings(
    batch: SegmentBatch,
    statistics: RowStatistics,
    at: _Steps,
    share: NDArray[np.float32],
    scale: NDArray[np.float32],
    gaze: Sequence[Finding],
) -> list[Finding]:
    """Name the pops, one for several of a row within ``gap_s``, and none at the edge of a look."""
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
        if (i, c) == last[:2] and t - last[2] < _L["gap_s"]:
            continue
        last = (i, c, t)
        end = _decay_end(statistics.slow_uv[i, c], t, own)
        is_gaze = c in _GAZE_ROWS and _is_edge(edges.get(batch.segment_ids[i], ()), t)
        if is_gaze or end - t < _L["pop_held_s"]:
            continue
        ratio = abs(own) / float(scale[i, c])
        measures = [
            ("step_uv", own, "uV"),
            ("neighbour_share", beside, "1"),
            ("background_ratio", ratio, "1"),
            ("reaches_definition", float(abs(own) >= _L["pop_step_uv"]), "1"),
            ("duration_s", end - t, "s"),
        ]
        confidence = margin_confidence(ratio / _L["pop_background_sd"])
        findings.append(
            make_finding(
                batch.segment_ids[i], "electrode_pop", (batch.schema.ch_names[c],),
                (t - 0.02, end), measures, confidence, VERSION,
            )
        )  # fmt: skip
    return findings


def _is_edge(edges_s: Sequence[float], t_s: float) -> bool:
    return any(abs(t_s - edge) <= _L["pop_gaze_s"] for edge in edges_s)


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
    return np.asarray(np.abs(at.step_uv) >= _L["pop_tail_ratio"] * lively)


def _stays(at: _Steps, scale: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Keep steps with none back beside them, as a spike has, and none like it within 0.75 s."""
    size, sd = np.abs(at.step_uv), scale[at.segment, at.row]
    back = -at.around(np.r_[-6:-1, 2:7]).min(1, initial=0.0)
    is_held = back <= _L["pop_back_share"] * size + sd
    reach = np.r_[-30:-6, 7:31]
    inside = (at.time[:, None] + reach >= 0) & (at.time[:, None] + reach < N_SLOW)
    restless = np.sqrt((at.around(reach) ** 2).sum(1) / np.maximum(inside.sum(1), 1))
    return np.asarray(is_held & (restless <= np.maximum(_L["pop_restless_share"] * size, 1.5 * sd)))


def _stands_alone(at: _Steps, scale: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Keep steps while no other row makes its own of half the size, as cables that move do."""
    own = at.step_uv
    near = np.clip(at.time[:, None] + np.arange(-1, 2), 0, N_SLOW - 1)
    others = np.abs(at.steps[at.segment[:, None], :, near]).max(1)
    others -= 2 * scale[at.segment]
    others[np.arange(len(own)), at.row] = 0.0
    return np.asarray(others.max(1, initial=0.0) <= _L["pop_other_share"] * np.abs(own))


def _is_steep(data_uv: NDArray[np.float32], at: _Steps) -> NDArray[np.bool_]:
    """Keep steps that the row makes within 20 ms."""
    own = at.step_uv
    size = N_TIMES // N_SLOW
    length = 3 * size + 2 * STEP_LAG
    start = np.clip(at.time * size - size - STEP_LAG, 0, N_TIMES - length)
    part = data_uv[at.segment[:, None], at.row[:, None], start[:, None] + np.arange(length)]
    moves = (part[:, STEP_LAG:] - part[:, :-STEP_LAG]) * np.sign(own)[:, None]
    return np.asarray(moves.max(1, initial=0.0) >= _L["pop_steep_share"] * np.abs(own))


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
    shapes = _decays(time_s)
    return shapes - shapes @ line.T @ line, line


def _falls_back(at: _Steps) -> NDArray[np.bool_]:
    """Keep steps whose row a return explains better than a level does, held for a while or for good.

    Nothing but the mean is taken off first: a straight line would make a held level look like a
    return. What lies beyond the page is left out.
    """
    if not at.time.size:
        return np.zeros(0, dtype=np.bool_)
    returns, levels = _fall_shapes()
    row = np.cumsum(at.steps[at.segment, at.row], axis=1, dtype=np.float64) / 2
    reach = at.time[:, None, None] + np.arange(-2, 3)[:, None] + np.arange(-_BEFORE, _LEVEL_AFTER)
    inside = ((reach >= 0) & (reach < N_SLOW)).astype(np.float64)
    part = row[np.arange(len(row))[:, None, None], reach.clip(0, N_SLOW - 1)]
    n_inside = inside.sum(-1)
    part = (part - ((part * inside).sum(-1) / n_inside)[..., None]) * inside
    part *= np.sign(at.step_uv)[:, None, None]

    def explained(shapes: NDArray[np.float64]) -> NDArray[np.float64]:
        along = (part @ shapes.T).clip(0)
        power = inside @ (shapes**2).T - (inside @ shapes.T) ** 2 / n_inside[..., None]
        best: NDArray[np.float64] = (along**2 / np.maximum(power, 1e-9)).max((1, 2))
        return best

    return np.asarray(explained(returns) >= _L["pop_return_gain"] * explained(levels))


_LEVEL_AFTER = round(_L["pop_level_s"] * SLOW_HZ) + 1


@cache
def _fall_shapes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give returns of 0.12-0.6 s, and levels that end within the time looked at or do not."""
    time_s = np.arange(-_BEFORE, _LEVEL_AFTER) / SLOW_HZ
    ends = (0.25, 0.35, 0.5, 0.7, 1.0, 1.25, np.inf)
    levels = np.stack([(time_s >= 0) & (time_s < end) for end in ends]).astype(np.float64)
    return _decays(time_s), levels


def _decays(time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack(
        [
            np.where(time_s >= 0, np.exp(-time_s.clip(0) / tau), 0.0)
            for tau in (0.12, 0.2, 0.35, 0.6)
        ]
    )


def _is_beside_flat(statistics: RowStatistics, at: _Steps) -> NDArray[np.bool_]:
    """Whether the row is still within 0.3 s of the step: a row that goes dead or comes back."""
    cell = np.clip((at.time * N_CELLS // N_SLOW)[:, None] + np.r_[-3:0, 1:4], 0, N_CELLS - 1)
    high = statistics.cell_max_uv[at.segment[:, None], at.row[:, None], cell]
    low = statistics.cell_min_uv[at.segment[:, None], at.row[:, None], cell]
    return np.asarray((high - low < _L["pop_still_uv"]).any(1))


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
    is_alone = beside <= np.minimum(
        _L["pop_neighbour_share"] * size + 2 * sd, _L["pop_neighbour_most"] * size
    )
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
