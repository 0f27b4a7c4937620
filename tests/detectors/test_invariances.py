"""What must not change: mirrored heads, doubled gain, moved time, silent rows, noise.

Every rule at once, as the product runs them: the chain of rules, then the merge. Pages are the
simulator's, so that all kinds occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted_signals import (
    BLINK_FIELD,
    CENTRAL_FIELD,
    FRONTAL_FIELD,
    LATERAL_FIELD,
    POSTERIOR_FIELD,
    TIME_S,
    add,
    batch_of,
    bell,
    burst,
    kcomplex,
    noise,
    plateau,
    rhythm,
)

from dagster_project.corpora.harmonise import harmonise, plan_for
from dagster_project.corpora.simulated.config import SimulatorConfig
from dagster_project.corpora.simulated.subject import simulate_subject
from detectors.artifacts.readable import UNREADABLE
from detectors.merge import Page, merge_findings
from detectors.montage import HOMOLOGOUS, mirror_rows
from detectors.rows import is_masked
from detectors.rules import rule_findings
from detectors.signal.spectra import spectral_features
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    SFREQ_HZ,
    Finding,
    RuleResult,
    SegmentBatch,
    WaveformEvent,
)
from detectors.waveform.infer import load_detector

OPPOSITE = dict(HOMOLOGOUS) | {right: left for left, right in HOMOLOGOUS}
TURNED = {"left": "right", "right": "left"}
SIGN = {"gaze_right": -1}
QUIET = frozenset({"flat", "attenuation"})
SLOW = settings(max_examples=6, deadline=None, derandomize=True)


def judged(batch: SegmentBatch, events: Sequence[WaveformEvent] = ()) -> RuleResult:
    """The chain of rules and the merge, as a shard goes through them."""
    pages = [
        Page(s, batch.schema, tuple(np.array(batch.schema.ch_names)[there].tolist()))
        for s, there in zip(batch.segment_ids, batch.mask, strict=True)
    ]
    rules = rule_findings(batch, spectral_features(batch))
    return merge_findings(pages, rules, events, detector="w" if events else "", batches=[batch])


@cache
def simulated() -> SegmentBatch:
    """Two pages of every state of five people."""
    config = SimulatorConfig(minutes_per_recording=1 / 3)
    pages = []
    for index in range(1, 6):
        for recording in simulate_subject(90_210, index, config).recordings:
            data = recording.data_uv.astype(np.float32)
            plan = plan_for(Fraction(config.sfreq_hz), config.line_freq_hz, data.shape[1])

            def read(start: int, stop: int, out: Any, data: Any = data) -> None:
                out[:] = data[:, start:stop]

            stored = np.concatenate([b.copy() for b in harmonise(read, 19, data.shape[1], plan)], 1)
            pages += [stored[:, :N_TIMES], stored[:, N_TIMES : 2 * N_TIMES]]
    return batch_of(np.stack(pages), line_freq_hz=config.line_freq_hz)


def mirrored(batch: SegmentBatch) -> SegmentBatch:
    order = mirror_rows()
    return replace(
        batch,
        data_uv=np.ascontiguousarray(batch.data_uv[:, order]),
        mask=np.ascontiguousarray(batch.mask[:, order]),
    )


def across(row: str) -> str:
    return "-".join(OPPOSITE.get(name, name) for name in row.split("-"))


def place(finding: Finding, *, is_turned: bool) -> tuple[object, ...]:
    """What, when, where, and whether it is shown; rows without their order."""
    side = TURNED.get(finding.side, finding.side) if is_turned else finding.side
    rows = sorted(across(c) if is_turned else c for c in finding.channels)
    return (
        finding.segment_id, finding.kind, finding.t0_s, finding.t1_s, side, tuple(rows),
        is_masked(finding),
    )  # fmt: skip


def test_a_mirrored_head_has_mirrored_findings_and_the_same_judgements() -> None:
    here, there = judged(simulated()), judged(mirrored(simulated()))
    assert len({f.kind for f in here.findings}) >= 12
    one = sorted(here.findings, key=lambda f: place(f, is_turned=True))
    two = sorted(there.findings, key=lambda f: place(f, is_turned=False))
    assert [place(f, is_turned=True) for f in one] == [place(f, is_turned=False) for f in two]
    for a, b in zip(one, two, strict=True):
        expected = {
            "_".join(across(part) for part in m.name.split("_")): m.value * SIGN.get(m.name, 1)
            for m in a.measures
        }
        measured = {m.name: m.value for m in b.measures}
        assert measured == pytest.approx(expected, rel=2e-3, abs=2e-3), a.kind
    assert [(j.segment_id, j.kind, j.verdict, j.reason) for j in here.judgements] == [
        (j.segment_id, j.kind, j.verdict, j.reason) for j in there.judgements
    ]


def same(finding: Finding, others: Sequence[Finding]) -> Finding | None:
    """The finding of the same kind, leading row and time, if there is one."""
    near = [
        o
        for o in others
        if (o.segment_id, o.kind) == (finding.segment_id, finding.kind)
        and set(o.channels) & set(finding.channels[:1])
        and overlap(o, finding) > 0.5
    ]
    return max(near, key=lambda o: overlap(o, finding), default=None)


def overlap(a: Finding, b: Finding) -> float:
    shared = min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s)
    return shared / (max(a.t1_s, b.t1_s) - min(a.t0_s, b.t0_s))


def test_twice_the_gain_keeps_frequency_time_and_side() -> None:
    batch = simulated()
    louder = judged(replace(batch, data_uv=2 * batch.data_uv)).findings
    kinds: dict[str, int] = {}
    for finding in judged(batch).findings:
        partner = same(finding, louder)
        if partner is None:
            continue
        kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
        opposite = TURNED.get(finding.side, "")
        assert not opposite or partner.side != opposite, finding
        hz = finding.measure("frequency_hz"), partner.measure("frequency_hz")
        if hz[0] is not None and hz[1] is not None and finding.kind != "dominant_rhythm":
            assert hz[0] == pytest.approx(hz[1], abs=0.5), finding
        # where a definition sets a size, more of the same thing reaches it: it may last longer
        ends = (finding, partner) if finding.kind not in QUIET else (partner, finding)
        assert ends[1].t0_s <= ends[0].t0_s + 0.2, finding
        assert ends[1].t1_s >= ends[0].t1_s - 0.2, finding
    assert sum(kinds.values()) > 60
    assert {"posterior_rhythm", "spindle", "blink", "voltage"} <= set(kinds)


@SLOW
@given(seed=st.integers(0, 50), hz=st.floats(8.3, 12.2), uv=st.floats(20, 60))
def test_twice_the_gain_doubles_the_voltage_and_keeps_the_rhythm(
    seed: int, hz: float, uv: float
) -> None:
    batch = batch_of(add(noise(1, seed=seed, rms_uv=8), rhythm(hz, uv), POSTERIOR_FIELD))
    once, twice = judged(batch), judged(replace(batch, data_uv=2 * batch.data_uv))
    for kind in ("voltage", "posterior_rhythm"):
        (one,), (two,) = ([f for f in r.findings if f.kind == kind] for r in (once, twice))
        assert (one.channels, one.side) == (two.channels, two.side)
        for measure in one.measures:
            gain = 2 if measure.unit == "uV" else 1
            assert two.measure(measure.name) == pytest.approx(gain * measure.value, rel=1e-3)


EVENTS: dict[str, tuple[NDArray[np.float64], dict[str, float]]] = {
    "spindle": (burst(13.4, 50, 3.0, 4.1), CENTRAL_FIELD),
    "kcomplex": (kcomplex(200, 4.0), FRONTAL_FIELD),
    "blink": (bell(180, 4.0, 0.16), BLINK_FIELD),
    "lateral_eye": (plateau(90, 3.6, 4.6, 0.05), LATERAL_FIELD),
    "electrode_pop": (
        250 * (TIME_S >= 4.1) * np.exp(-np.clip(TIME_S - 4.1, 0, None) / 0.4), {"P3": 1.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", EVENTS)
@SLOW
@given(shift_s=st.integers(1, 3), seed=st.integers(0, 50))
def test_what_moves_in_time_is_found_where_it_went(kind: str, shift_s: int, seed: int) -> None:
    wave, field = EVENTS[kind]
    # the noise repeats after a page, so that only the event's place on the page changes
    page = add(noise(1, seed=seed, rms_uv=8, exponent=1.5), wave, field)
    moved = np.roll(page, shift_s * SFREQ_HZ, axis=-1)
    before, after = (
        [f for f in judged(batch_of(data)).findings if f.kind == kind and not is_masked(f)]
        for data in (page, moved)
    )
    (one,) = [f for f in before if f.t0_s < 5 and f.t1_s > 3.5]
    times = [(f.t0_s - shift_s, f.t1_s - shift_s) for f in after]
    assert any(t == pytest.approx((one.t0_s, one.t1_s), abs=0.11) for t in times), (one, times)


@SLOW
@given(row=st.integers(0, 18), is_recorded=st.booleans())
def test_a_silent_row_carries_only_flat_and_a_missing_one_nothing(
    row: int, is_recorded: bool
) -> None:
    whole = simulated()
    chosen = slice(0, 12)
    data, mask = whole.data_uv[chosen].copy(), whole.mask[chosen].copy()
    data[:, row] = 0
    mask[:, row] = is_recorded
    ids, bands = whole.segment_ids[chosen], whole.band_hz[chosen]
    batch = replace(whole, segment_ids=ids, data_uv=data, mask=mask, band_hz=bands)
    name = CANONICAL19[row]
    shown = [f for f in judged(batch).findings if not is_masked(f)]
    touching = [f for f in shown if any(name in c.split("-") for c in f.channels)]
    assert {f.kind for f in touching} == ({"flat"} if is_recorded else set())


@SLOW
@given(
    seed=st.integers(0, 10_000),
    rms_uv=st.floats(5, 60),
    exponent=st.sampled_from([0.0, 0.5]),
)
def test_noise_is_not_interpretable(seed: int, rms_uv: float, exponent: float) -> None:
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(N_TIMES, 1 / SFREQ_HZ)
    spectrum = rng.standard_normal((2, 19, hz.size)) + 1j * rng.standard_normal((2, 19, hz.size))
    rows = np.fft.irfft(spectrum * np.maximum(hz, 0.3) ** (-exponent / 2), N_TIMES)
    result = judged(batch_of(rms_uv * rows / rows.std(-1, keepdims=True)))
    assert not [f for f in result.findings if not is_masked(f)]
    assert {j.verdict for j in result.judgements} == {"not_judged"}
    said = [j.reason for j in result.judgements if j.reason != "no detector ran"]
    assert said
    assert all(reason.startswith(UNREADABLE) for reason in said)


def test_adding_a_rhythm_behind_leaves_the_side_to_the_electrodes() -> None:
    stronger = {**POSTERIOR_FIELD, "O2": 1.6, "P4": 1.2, "P8": 1.1}
    page = add(noise(1, rms_uv=9, exponent=1.5), rhythm(9.5, 40), stronger)
    for data, lead in ((page, "O2"), (page[:, mirror_rows()], "O1")):
        (found,) = [f for f in judged(batch_of(data)).findings if f.kind == "posterior_rhythm"]
        assert found.channels[0] == lead


def test_the_detector_sees_a_mirrored_head_mirrored() -> None:
    detector, batch = load_detector(), simulated()
    here = detector.detect(batch)
    there = [replace(e, channel=across(e.channel)) for e in detector.detect(mirrored(batch))]
    assert len(here) > 100

    def partners(one: Sequence[WaveformEvent], two: Sequence[WaveformEvent]) -> float:
        return float(np.mean([any(is_same_box(a, b) for b in two) for a in one]))

    assert min(partners(here, there), partners(there, here)) >= 0.98


def is_same_box(a: WaveformEvent, b: WaveformEvent) -> bool:
    if (a.segment_id, a.waveform, a.channel) != (b.segment_id, b.waveform, b.channel):
        return False
    shared = min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s)
    return shared >= 0.5 * (max(a.t1_s, b.t1_s) - min(a.t0_s, b.t0_s))
