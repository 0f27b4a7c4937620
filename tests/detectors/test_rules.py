from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import (
    BLINK_FIELD,
    CENTRAL_FIELD,
    EVEN_FIELD,
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

from detectors.montage import mirror_rows
from detectors.rules import RULES_VERSION, all_limits, rule_findings
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, RuleResult, SegmentBatch
from detectors.vocabulary import KINDS

RULED = [kind for kind in KINDS if kind not in ("spike", "sharp", "spsw")]


def pages() -> NDArray[np.float32]:
    """One page of everything, a silent row in the third."""
    quiet = noise(6, seed=8, rms_uv=9, exponent=1.5)
    quiet[0:1] = add(quiet[0:1], rhythm(9.6, 50), POSTERIOR_FIELD)
    quiet[1:2] = add(quiet[1:2], bell(170, 3.0, 0.16) + bell(150, 7.2, 0.2), BLINK_FIELD)
    quiet[2, 7] = 0
    quiet[3:4] = add(quiet[3:4], burst(13.4, 50, 2.0, 3.1), CENTRAL_FIELD)
    quiet[3:4] = add(quiet[3:4], kcomplex(190, 6.0), FRONTAL_FIELD)
    quiet[4:5] = add(quiet[4:5], plateau(80, 4.0, 5.2, 0.05), LATERAL_FIELD)
    pop = 200 * (TIME_S >= 6.1) * np.exp(-(TIME_S - 6.1) / 0.4)
    quiet[5:6] = add(quiet[5:6], pop, {"P3": 1.0})
    return quiet


def ruled(batch: SegmentBatch) -> RuleResult:
    return rule_findings(batch, spectral_features(batch))


def part(batch: SegmentBatch, chosen: slice) -> SegmentBatch:
    return replace(
        batch,
        segment_ids=batch.segment_ids[chosen],
        data_uv=batch.data_uv[chosen],
        mask=batch.mask[chosen],
        band_hz=batch.band_hz[chosen],
    )


def test_everything_planted_is_found_on_its_page() -> None:
    found = {(f.segment_id, f.kind) for f in ruled(batch_of(pages())).findings}
    planted = {
        ("s0", "posterior_rhythm"), ("s1", "blink"), ("s2", "flat"), ("s3", "spindle"),
        ("s3", "kcomplex"), ("s4", "lateral_eye"), ("s5", "electrode_pop"),
    }  # fmt: skip
    assert planted <= found
    events = {pair for pair in found if KINDS[pair[1]].family != "background"}
    assert events <= planted | {("s3", "slow_wave")}


def test_every_page_gets_one_judgement_of_every_ruled_kind() -> None:
    result = ruled(batch_of(pages()))
    pairs = [(j.segment_id, j.kind) for j in result.judgements]
    assert sorted(pairs) == sorted((f"s{i}", kind) for i in range(6) for kind in RULED)
    ids = {f.finding_id for f in result.findings}
    assert len(ids) == len(result.findings)
    assert {i for j in result.judgements for i in j.finding_ids} == ids
    for judgement in result.judgements:
        assert (judgement.verdict == "present") == bool(judgement.finding_ids)
        assert (judgement.verdict == "not_judged") == bool(judgement.reason)


def test_the_result_does_not_depend_on_how_pages_are_batched() -> None:
    batch = batch_of(pages())
    whole = ruled(batch)
    split = RuleResult.joined(ruled(part(batch, slice(i, i + 1))) for i in range(len(batch)))
    assert whole == split


def test_mirrored_heads_have_mirrored_findings() -> None:
    opposite = dict(zip(CANONICAL19, np.array(CANONICAL19)[mirror_rows()].tolist(), strict=True))
    turn = {"left": "right", "right": "left"}

    def across(row: str) -> str:
        return "-".join(opposite[name] for name in row.split("-"))

    def key(result: RuleResult, is_turned: bool) -> list[tuple[object, ...]]:
        return sorted(
            (
                f.segment_id, f.kind, f.t0_s, f.t1_s,
                turn.get(f.side, f.side) if is_turned else f.side,
                tuple(sorted(across(c) if is_turned else c for c in f.channels)),
                f.confidence,
                tuple((m.name, m.value) for m in f.measures if m.name != "gaze_right"),
            )
            for f in result.findings
        )  # fmt: skip

    there = ruled(batch_of(pages()))
    mirrored = ruled(batch_of(pages()[:, mirror_rows()]))
    for one, two in zip(key(there, True), key(mirrored, False), strict=True):
        assert one[:6] == two[:6]
        values = [v for _, v in one[7]], [v for _, v in two[7]]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-3)
    gaze = [
        {f.measure("gaze_right") for f in result.findings if f.kind == "lateral_eye"}
        for result in (there, mirrored)
    ]
    assert gaze[0] == {-value for value in gaze[1]}


def test_a_silent_row_carries_only_flat() -> None:
    data = add(noise(2, rms_uv=10), rhythm(10, 60), EVEN_FIELD)
    row = CANONICAL19.index("F3")
    data[:, row] = 0
    kinds = {f.kind for f in ruled(batch_of(data)).findings if "F3" in f.channels}
    assert kinds == {"flat"}


def test_a_page_without_any_row_is_wholly_not_judged() -> None:
    result = ruled(batch_of(noise(1), mask=np.zeros((1, 19), dtype=bool)))
    assert result.findings == ()
    unjudged = {j.kind for j in result.judgements if j.verdict == "not_judged"}
    assert unjudged == set(RULED) - {"muscle"}


def test_findings_say_which_rule_in_which_version() -> None:
    for finding in ruled(batch_of(pages())).findings:
        rule, _, version = finding.source.partition("@")
        assert (rule, version.isdecimal()) == (f"rule:{finding.kind}", True)
        assert 0 <= finding.t0_s < finding.t1_s <= 10
        assert 0 <= finding.confidence <= 1
        assert all(np.isfinite(m.value) for m in finding.measures)
        assert all(m.unit for m in finding.measures)
    assert "artifacts4" in RULES_VERSION


def test_every_constant_has_a_unit_and_a_source() -> None:
    limits = all_limits()
    assert len(limits) > 60
    for name, limit in limits.items():
        assert limit.unit, name
        assert len(limit.source) > 3, name


@cache
def _rest(data_root: Path) -> NDArray[np.float32]:
    """Pages of a healthy person at rest with closed eyes."""
    import mne

    path = data_root / "workload-eegmat" / "Subject00_1.edf"
    if not path.is_file():
        pytest.skip(f"{path.name} is not under NEUROGLOSS_DATA")
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    old = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    raw.rename_channels({n: n.removeprefix("EEG ") for n in raw.ch_names})
    raw.rename_channels({n: old[n] for n in raw.ch_names if n in old})
    raw.pick(list(CANONICAL19)).filter(0.5, 45, verbose="error").resample(200, verbose="error")
    rows = 1e6 * raw.get_data()
    n = rows.shape[1] // 2000
    data = rows[:, : n * 2000].reshape(19, n, 2000).swapaxes(0, 1)
    return np.asarray(data, dtype=np.float32)


def test_real_rest_has_a_posterior_rhythm_of_8_to_13_hz(data_root: Path) -> None:
    data = _rest(data_root)
    n = len(data)
    result = ruled(batch_of(data, band_hz=(0.5, 45.0)))
    rhythms = [f for f in result.findings if f.kind == "posterior_rhythm"]
    assert len(rhythms) >= n // 2
    assert all(8 <= (f.measure("frequency_hz") or 0) <= 13 for f in rhythms)
    assert not [f for f in result.findings if f.kind in ("mains", "saturation", "kcomplex")]


def _white(rng: np.random.Generator) -> NDArray[np.float32]:
    return (20 * rng.standard_normal((2, 19, 2000))).astype(np.float32)


def _clipped(rng: np.random.Generator) -> NDArray[np.float32]:
    return np.clip(100 * _white(rng), -1600, 1600)


def _mains_only(rng: np.random.Generator) -> NDArray[np.float32]:
    gains = rng.uniform(10, 60, (2, 19, 1))
    return (gains * np.sin(2 * np.pi * 50 * TIME_S)).astype(np.float32)


def _shuffled(rng: np.random.Generator) -> NDArray[np.float32]:
    data = noise(2, rms_uv=20)
    return np.stack([page[rng.permutation(19)] for page in data])


def _dropped_out(rng: np.random.Generator) -> NDArray[np.float32]:
    data = noise(2, seed=int(rng.integers(99)), rms_uv=20)
    data[:, :, 500:1800] = np.float32(0)
    return data


NOT_EEG = {
    "white noise": (_white, "neighbouring electrodes have nothing in common"),
    "clipped noise": (_clipped, "most of the page is flat or clipped"),
    "mains alone": (_mains_only, "mains interference is all there is"),
    "silence": (lambda _: np.zeros((2, 19, 2000), np.float32), "all rows are silent"),
    "gaps set to zero": (_dropped_out, "most of the page is flat or clipped"),
}


@pytest.mark.parametrize("name", NOT_EEG)
def test_what_is_no_eeg_is_not_interpretable(name: str) -> None:
    make, why = NOT_EEG[name]
    result = ruled(batch_of(make(np.random.default_rng(3))))
    assert {f.kind for f in result.findings} <= {"flat", "saturation", "mains"}
    for judgement in result.judgements:
        if judgement.verdict != "present":
            assert (judgement.verdict, judgement.reason) == (
                "not_judged",
                f"not interpretable: {why}",
            )


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_rows_of_a_recording_are_not_interpretable(seed: int, data_root: Path) -> None:
    page = _rest(data_root)[seed]
    order = np.random.default_rng(seed).permutation(19)
    straight, shuffled = batch_of(page[None]), batch_of(page[order][None])
    why = "not interpretable: rows do not fit their electrodes"
    assert why not in {j.reason for j in ruled(straight).judgements}
    assert {j.reason for j in ruled(shuffled).judgements if j.verdict != "present"} == {why}


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("posterior_rhythm", "O1 and O2"),
        ("spindle", "C3, Cz and C4"),
        ("kcomplex", "F3, Fz and F4"),
        ("slow_wave", "F3, Fz and F4"),
        ("voltage", "the best 6 longitudinal bipolar rows"),
        ("asymmetry", "both sides of any pair of rows"),
    ],
)
def test_what_artifacts_leave_too_little_of_is_not_judged(kind: str, where: str) -> None:
    swing = 500 * np.sin(2 * np.pi * 0.7 * TIME_S) * (TIME_S < 7.4)
    (page,) = [
        j for j in ruled(batch_of(add(noise(1), swing, EVEN_FIELD))).judgements if j.kind == kind
    ]
    assert page.verdict == "not_judged"
    head, _, rest = page.reason.partition(" usable s on ")
    assert rest == f"{where}, 4 needed"
    assert 0 <= int(head.removeprefix("only ")) < 4


def test_no_spindle_is_called_on_a_page_that_a_posterior_rhythm_fills() -> None:
    spindle = add(noise(1, seed=8, rms_uv=9, exponent=1.5), burst(13.4, 50, 2, 3.1), CENTRAL_FIELD)
    awake = add(spindle, rhythm(10.2, 45), POSTERIOR_FIELD)
    kinds = [{f.kind for f in ruled(batch_of(data)).findings} for data in (spindle, awake)]
    assert "spindle" in kinds[0]
    assert "spindle" not in kinds[1]
    assert "posterior_rhythm" in kinds[1]
