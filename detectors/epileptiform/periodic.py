"""Periodic discharges, rhythmic delta and rhythmic spike-and-wave, in the terms of ACNS 2021.

A row repeats itself at 0.6 to 4 Hz; its cycles look alike, follow each other without large jumps in
length, and there are six or more of them. What the mean cycle looks like says which of the three it
is; where it is large says whether it is generalised or lateralised. Ten seconds show a run, never how
long it lasted: a run at the page's edge is ``censored``. Single discharges are in
:mod:`detectors.epileptiform.judge`; the mean cycle is described in :mod:`detectors.epileptiform.cycles`,
runs and sides are found in :mod:`detectors.epileptiform.pattern_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, make_finding, margin_confidence
from detectors.epileptiform.cycles import LIMITS as CYCLE_LIMITS
from detectors.epileptiform.cycles import Run, explained_share, shape_of
from detectors.epileptiform.pattern_rows import LIMITS as ROW_LIMITS
from detectors.epileptiform.pattern_rows import (
    Field,
    field_of,
    is_faster,
    mean_cycles,
    own_band,
    repetition,
    runs_of,
)
from detectors.montage import average_reference
from detectors.signal.row_statistics import RowStatistics
from detectors.types import (
    CANONICAL19,
    SEGMENT_S,
    Finding,
    RuleResult,
    SegmentBatch,
)

VERSION = "3"
"""Version of this rule, part of every finding's source."""

_A21 = "ACNS 2021 (clinical.md 7.1)"
LIMITS: dict[str, Limit] = {
    "fast_hz": Limit(2.5, "Hz", f"{_A21}: faster only in runs under 10 s"),
    "wave_spread": Limit(0.2, "1", "measured, delta: planted runs to 0.10, noise mostly more"),
    "own_rhythmic_delta": Limit(
        0.86, "1", "measured: explained share of the own band less the spread of the cycles; "
        "0.6 % of pages of narrow-band noise lie higher, a tenth of faint planted runs lower"
    ),
    "own_periodic_discharges": Limit(0.68, "1", "measured, as for rhythmic delta"),
    "own_rhythmic_spike_wave": Limit(0.6, "1", "measured, as for rhythmic delta"),
    "covered_share": Limit(0.5, "1", "engineering default: cycles on an artifact"),
    "fewest_rows": Limit(16, "rows", "systems.md 6.6: fewer make no sides"),
    "eye_ratio": Limit(2.0, "1", "engineering default: frontopolar over frontal, as blinks are"),
    "heart_base_s": Limit(0.12, "s", "engineering default: QRS complex"),
    "heart_gradient": Limit(0.45, "1", "engineering default: neighbours differ little"),
    "heart_rate_share": Limit(0.1, "1", "engineering default: same rate as the heart's"),
} | ROW_LIMITS | CYCLE_LIMITS  # fmt: skip
"""Constants of this module and of the two it calls, with their source marks."""

KINDS_HERE = ("periodic_discharges", "rhythmic_delta", "rhythmic_spike_wave")
MAIN_TERMS = {1.0: "G", 2.0: "L", 3.0: "BI"}
"""Codes of the measure ``acns_main_term``: generalised, lateralised, bilateral independent."""
SHARPNESS = ("spiky", "sharp", "sharply contoured", "blunt")
"""Words of the measure ``acns_sharpness`` (ACNS 2012: under 70 ms, to 200 ms, longer, not pointed)."""
AMPLITUDES = ("very low", "low", "medium", "high")
"""Words of ``acns_amplitude``: under 20, 50, 200 uV and above in the longitudinal bipolar rows."""
_TERMS = {"periodic_discharges": "PD", "rhythmic_delta": "RDA", "rhythmic_spike_wave": "SW"}
_PLUS = (("acns_plus_f", "F"), ("acns_plus_r", "R"), ("acns_plus_s", "S"))
_COVERING = frozenset({"muscle", "movement", "electrode_pop", "blink", "lateral_eye", "chewing",
                       "flat", "saturation"})  # fmt: skip
_ROW = {name: i for i, name in enumerate(CANONICAL19)}
_SLOW_HZ = (CYCLE_LIMITS["slow_low_hz"].value, CYCLE_LIMITS["slow_high_hz"].value)


def acns_name(kind: str, measures: Mapping[str, float]) -> str:
    """Return the ACNS 2021 name of a pattern, such as ``GPDs at 1.5 Hz with triphasic morphology``.

    A pattern faster than 2.5 Hz that fills the page gets no main term: whether it lasts less than
    ten seconds is not on the page (``clinical.md`` 10).

    Parameters
    ----------
    kind, measures
        Of a finding of this module; measures by name, ``acns_frequency_hz`` among them.

    Raises
    ------
    ValueError
        If findings of the kind have no such name.
    """
    term = _TERMS.get(kind)
    if term is None:
        raise ValueError(f"kind {kind!r} has no ACNS name; use one of {', '.join(_TERMS)}")
    hz = measures["acns_frequency_hz"]
    if measures.get("fills_page_fast"):
        return f"rhythmic pattern at {hz:g} Hz that fills the page"
    main = MAIN_TERMS.get(measures.get("acns_main_term", 0.0), "")
    plus = "".join(letter for name, letter in _PLUS if measures.get(name))
    name = f"{main}{term}{'s' if term == 'PD' else ''}{'+' + plus if plus else ''} at {hz:g} Hz"
    return name + (" with triphasic morphology" if measures.get("triphasic") else "")


def find_periodic(
    batch: SegmentBatch, statistics: RowStatistics, artifacts: Iterable[Finding]
) -> RuleResult:
    """Find the three patterns on every page.

    Parameters
    ----------
    batch
        Segments of one channel schema; only ``referential19`` with 16 electrodes is judged.
    statistics
        Their 40-Hz view and why a page is not interpretable.
    artifacts
        What the artifact rules found: cycles they cover do not count.
    """
    why_not = list(statistics.why_not or ("",) * len(batch))
    needed = round(LIMITS["fewest_rows"].value)
    is_live = batch.mask & (statistics.p2p_uv > 1.0)
    for i, n in enumerate(is_live.sum(axis=1).tolist()):
        if not batch.schema.is_referential:
            why_not[i] = why_not[i] or "bipolar rows; sides and fields need single electrodes"
        elif n < needed:
            why_not[i] = why_not[i] or f"only {n} electrodes with signal, {needed} needed"
    found: list[Finding] = []
    judged = [i for i, why in enumerate(why_not) if not why]
    if judged and batch.schema.is_referential:
        seen: dict[str, list[Finding]] = {}
        for artifact in artifacts:
            seen.setdefault(artifact.segment_id, []).append(artifact)
        slow = average_reference(statistics.slow_uv[judged], is_live[judged])
        rate_hz, alike = repetition(slow)
        for k in np.flatnonzero(alike.max(axis=1) >= LIMITS["screen"].value).tolist():
            here = seen.get(batch.segment_ids[judged[k]], [])
            found += _on_page(batch, judged[k], is_live, slow[k], rate_hz[k], alike[k], here)
    return RuleResult.joined(
        conclude(batch.segment_ids, kind, [f for f in found if f.kind == kind], why_not)
        for kind in KINDS_HERE
    )


def _on_page(
    batch: SegmentBatch,
    i: int,
    is_live: NDArray[np.bool_],
    slow: NDArray[np.float32],
    rate_hz: NDArray[np.float64],
    alike: NDArray[np.float64],
    artifacts: Sequence[Finding],
) -> list[Finding]:
    """Follow the row that repeats itself most clearly, and judge what it shows."""
    live = is_live[i : i + 1]
    wide = np.zeros(0)
    for run, multiple in runs_of(slow, rate_hz, alike):
        if not wide.size:
            wide = average_reference(batch.data_uv[i : i + 1], live)[0].astype(np.float64)
        field = field_of(wide, slow, run, live[0])
        if field.height_uv[field.row] < LIMITS["wave_uv"].value:
            continue
        if is_faster(wide, run, field.row) or _is_artifact(wide, run, field, artifacts):
            continue
        judged = _findings(batch.segment_ids[i], wide, run, field)
        if judged and (multiple == 1 or judged[0].kind != "rhythmic_delta"):
            return judged
    return []


def _is_irregular(
    kind: str, x_uv: NDArray[np.float64], mean_uv: NDArray[np.float64], run: Run
) -> bool:
    """Whether the cycles are a few alike by luck among irregular waves as large.

    Irregular waves of a narrow band look alike for some cycles; but their lengths wander, and the
    run leaves waves of its own rate elsewhere on the page.
    """
    if kind == "rhythmic_delta" and (
        run.spread > LIMITS["wave_spread"].value
        or explained_share(x_uv, mean_uv, run, _SLOW_HZ) < LIMITS["explained"].value
    ):
        return True
    share = explained_share(x_uv, mean_uv, run, own_band(run))
    return share - run.spread < LIMITS[f"own_{kind}"].value


def _is_artifact(
    wide: NDArray[np.float64], run: Run, field: Field, artifacts: Sequence[Finding]
) -> bool:
    """Whether the run is an artifact's: covered by one, an eye's field, or the heart's."""
    names = {CANONICAL19[field.row], *field.channels[:2]}
    spans = [(f.t0_s, f.t1_s) for f in artifacts if f.kind in _COVERING and names & set(f.channels)]
    covered = [any(a - 0.1 <= t < b + 0.1 for a, b in spans) for t in run.marks_s.tolist()]
    if np.mean(covered) >= LIMITS["covered_share"].value:
        return True
    share = LIMITS["heart_rate_share"].value
    for beat in (f for f in artifacts if f.kind == "ecg"):
        hz = beat.measure("frequency_hz") or 0.0
        if any(abs(run.rate_hz * m / hz - 1.0) < share for m in (1, 2)) if hz else False:
            return True
    h = field.height_uv
    front = max(h[_ROW["F3"]], h[_ROW["F4"]], h[_ROW["Fz"]], 1e-9)
    polar = min(h[_ROW["Fp1"]], h[_ROW["Fp2"]])
    if polar >= LIMITS["eye_ratio"].value * front and CANONICAL19[field.row] in ("Fp1", "Fp2"):
        return True
    return _is_heart(wide, run, field)


def _is_heart(wide: NDArray[np.float64], run: Run, field: Field) -> bool:
    """Whether short waves at a heart's rate hardly differ between neighbours."""
    from detectors.epileptiform.localisation import ADJACENT

    mean = mean_cycles(wide, run)
    base_s = shape_of(mean[field.row], run.cycle_s).base_s
    if base_s > LIMITS["heart_base_s"].value or not 0.7 <= run.rate_hz <= 2.5:
        return False
    steps = np.ptp(mean[:, None] - mean[None], axis=2)[ADJACENT]
    spread = float(np.ptp(mean[:, None] - mean[None], axis=2).max())
    return bool(steps.max() < LIMITS["heart_gradient"].value * spread)


def _findings(segment_id: str, wide: NDArray[np.float64], run: Run, field: Field) -> list[Finding]:
    mean = mean_cycles(wide, run)[field.row]
    shape = shape_of(mean, run.cycle_s)
    kind = shape.kind
    if _is_irregular(kind, wide[field.row], mean, run):
        return []
    start, stop = run.span_s
    # one more cycle would not have been seen whole
    edges = (start < run.cycle_s, stop > SEGMENT_S - run.cycle_s)
    plus = shape.plus(wide[field.row], run)
    amplitude = _bipolar_uv(wide, run)
    measures = [
        ("frequency_hz", run.rate_hz, "Hz"),
        ("acns_frequency_hz", float(np.clip(round(2 * run.rate_hz) / 2, 0.5, 4.0)), "Hz"),
        ("acns_main_term", field.main, "1"),
        ("count", float(len(run.marks_s)), "1"),
        ("steady_cycle_share", run.steady_share, "1"),
        ("cycle_correlation", run.alike, "1"),
        ("cycle_spread", run.spread, "1"),
        ("amplitude_uv_p2p", float(field.height_uv[field.row]), "uV"),
        ("bipolar_uv_p2p", amplitude, "uV"),
        ("acns_amplitude", float(np.searchsorted((20.0, 50.0, 200.0), amplitude, "right")), "1"),
        ("base_s", shape.base_s, "s"),
        ("acns_sharpness", float(shape.sharpness), "1"),
        ("phases", float(min(shape.phases, 4)), "1"),
        ("gap_share", 1.0 - shape.busy_share, "1"),
        *((name, float(letter in plus), "1") for name, letter in _PLUS),
        ("triphasic", float(kind == "periodic_discharges" and shape.is_triphasic), "1"),
        ("evolving", float(run.is_evolving), "1"),
    ]
    if any(edges):
        measures.append(("censored", 1.0, "1"))
    measures += [
        (f"censored_{side}", 1.0, "1")
        for side, at in zip(("left", "right"), edges, strict=True)
        if at
    ]
    is_fast = run.rate_hz > LIMITS["fast_hz"].value and kind != "rhythmic_delta"
    if is_fast and all(edges):
        measures.append(("fills_page_fast", 1.0, "1"))
    confidence = margin_confidence(
        run.alike / LIMITS["alike"].value, len(run.marks_s) / LIMITS["cycles"].value
    )
    return [
        make_finding(segment_id, kind, field.channels, (start, stop), measures, confidence, VERSION)
    ]


def _bipolar_uv(wide: NDArray[np.float64], run: Run) -> float:
    """Peak to peak of the mean cycle in the largest derivation of LB-18.1."""
    from detectors.montage import longitudinal_bipolar

    rows, mask = longitudinal_bipolar(
        wide[None].astype(np.float32), np.any(wide != 0, axis=1)[None]
    )
    mean = mean_cycles(rows[0].astype(np.float64), run)
    return float(np.where(mask[0], np.ptp(mean, axis=1), 0.0).max())
