from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.epileptiform.periodic import KINDS_HERE, acns_name, find_periodic
from detectors.guard import beyond_page
from detectors.montage import HOMOLOGOUS, mirror_rows
from detectors.signal.row_statistics import row_statistics
from detectors.types import N_TIMES, SFREQ_HZ, ChannelSchema, Finding, SegmentBatch
from tests.detectors.planted_signals import BLINK_FIELD, add, batch_of, noise

Wave = NDArray[np.float64]
LEFT = {"T7": 1.0, "F7": 0.7, "P7": 0.7, "C3": 0.6, "F3": 0.4, "P3": 0.4, "Fp1": 0.3, "O1": 0.3}
RIGHT = {b: LEFT[a] for a, b in HOMOLOGOUS if a in LEFT}
WIDE = {"Fz": 1.0, "F3": 0.95, "F4": 0.95, "Cz": 0.75, "C3": 0.65, "C4": 0.65, "Fp1": 0.7,
        "Fp2": 0.7, "F7": 0.45, "F8": 0.45, "Pz": 0.3, "P3": 0.2, "P4": 0.2}  # fmt: skip
MIRROR = dict(HOMOLOGOUS) | {right: left for left, right in HOMOLOGOUS}


def _name(finding: Finding) -> str:
    return acns_name(finding.kind, {m.name: m.value for m in finding.measures})


def shape(length_s: float, draw: Callable[[Wave], Wave]) -> Wave:
    """One wave drawn on a phase from 0 to 1."""
    return draw(np.arange(round(length_s * SFREQ_HZ)) / round(length_s * SFREQ_HZ))


def sharp_wave(phase: Wave) -> Wave:
    return -np.where(phase < 0.4, phase / 0.4, (1 - phase) / 0.6)


def triphasic(phase: Wave) -> Wave:
    """Negative 80 ms, positive 140 ms, negative 180 ms of 400 ms; the positive largest."""
    first = np.where(phase < 0.2, -0.4 * np.sin(np.pi * phase / 0.2), 0)
    second = np.where((phase >= 0.2) & (phase < 0.55), np.sin(np.pi * (phase - 0.2) / 0.35), 0)
    third = np.where(phase >= 0.55, -0.5 * np.sin(np.pi * (phase - 0.55) / 0.45), 0)
    return first + second + third


def sine(phase: Wave) -> Wave:
    return np.asarray(np.sin(2 * np.pi * phase))


def spike_wave(phase: Wave) -> Wave:
    spike = np.interp(phase, [0, 0.06, 0.15], [0, 1, 0])
    return -spike - np.where(phase >= 0.15, 0.9 * np.sin(np.pi * (phase - 0.15) / 0.85), 0)


def train(wave: Wave, onsets_s: NDArray[np.floating] | list[float]) -> Wave:
    out = np.zeros(N_TIMES + 2 * len(wave))
    for t in onsets_s:
        at = round(float(t) * SFREQ_HZ) + len(wave)
        out[at : at + len(wave)] += wave
    return out[len(wave) : len(wave) + N_TIMES]


def regular(hz: float, t0_s: float = 0.0, t1_s: float = 10.0) -> NDArray[np.float64]:
    return np.arange(t0_s, t1_s - 0.5 / hz, 1 / hz)


LPD = train(100 * shape(0.18, sharp_wave), regular(1.0, 0.4))
GPD = train(90 * shape(0.4, triphasic), regular(1.5, 0.2))
GRDA = train(70 * shape(0.5, sine), regular(2.0, 1.0, 9.0))
LRDA = train(60 * shape(2 / 3, sine), regular(1.5, 0.5, 9.5))
SW = train(150 * shape(1 / 3, spike_wave), regular(3.0, 2.0, 8.0))


def page(wave: Wave, field: Mapping[str, float], seed: int = 0) -> SegmentBatch:
    return batch_of(add(noise(seed=seed, rms_uv=8.0), wave, field))


def found(batch: SegmentBatch, artifacts: tuple[Finding, ...] = ()) -> list[Finding]:
    return list(find_periodic(batch, row_statistics(batch), artifacts).findings)


@pytest.mark.parametrize(
    ("wave", "field", "kind", "term", "hz"),
    [
        (LPD, LEFT, "periodic_discharges", "LPDs", 1.0),
        (GPD, WIDE, "periodic_discharges", "GPDs", 1.5),
        (GRDA, WIDE, "rhythmic_delta", "GRDA", 2.0),
        (LRDA, RIGHT, "rhythmic_delta", "LRDA", 1.5),
        (SW, WIDE, "rhythmic_spike_wave", "GSW", 3.0),
    ],
    ids=["lpd", "gpd", "grda", "lrda", "spike-wave"],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_pattern_is_named_in_acns_words(
    wave: Wave, field: Mapping[str, float], kind: str, term: str, hz: float, seed: int
) -> None:
    (finding,) = found(page(wave, field, seed))
    assert finding.kind == kind
    assert _name(finding).startswith(f"{term}"), _name(finding)
    assert finding.measure("frequency_hz") == pytest.approx(hz, rel=0.05)
    assert finding.measure("acns_frequency_hz") == hz
    assert (finding.measure("count") or 0) >= 6
    assert beyond_page(finding) == ""


def test_triphasic_morphology_is_a_flag_of_periodic_discharges_alone() -> None:
    (gpd,) = found(page(GPD, WIDE))
    (lpd,) = found(page(LPD, LEFT))
    assert gpd.measure("triphasic") == 1.0
    assert _name(gpd).endswith("with triphasic morphology")
    assert lpd.measure("triphasic") == 0.0


def test_two_sides_each_with_a_rate_of_their_own_are_bilateral_independent() -> None:
    wave = 100 * shape(0.18, sharp_wave)
    data = add(noise(rms_uv=6.0), train(wave, regular(1.0, 0.4)), LEFT)
    (finding,) = found(batch_of(add(data, train(wave, regular(1.37, 0.1)), RIGHT)))
    assert _name(finding).startswith("BIPD")


@pytest.mark.parametrize(
    ("right_hz", "start_s", "right_uv", "term"),
    [
        (1.37, 0.1, 100, "BIPDs"),
        (0.75, 0.2, 100, "BIPDs"),
        (1.0, 0.4, 100, "GPDs"),
        (1.0, 0.4, 40, "LPDs"),
        (1.37, 0.1, 0, "LPDs"),
    ],
    ids=["faster", "slower", "in-step", "weaker-in-step", "one-side"],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_sides_make_the_main_term(
    right_hz: float, start_s: float, right_uv: float, term: str, seed: int
) -> None:
    wave = shape(0.18, sharp_wave)
    data = add(noise(seed=seed, rms_uv=6.0), train(100 * wave, regular(1.0, 0.4)), LEFT)
    data = add(data, train(right_uv * wave, regular(right_hz, start_s)), RIGHT)
    (finding,) = found(batch_of(data))
    assert _name(finding).startswith(term), _name(finding)
    assert finding.side == ("bilateral" if term != "LPDs" else "left")


def ramp(hz: tuple[float, ...]) -> list[float]:
    """Onsets whose rate goes through values, each for the same time."""
    onsets = [0.3]
    while onsets[-1] < 9.5:
        now = hz[min(int(onsets[-1] / 10 * len(hz)), len(hz) - 1)]
        onsets.append(onsets[-1] + 1 / now)
    return onsets if onsets[-1] < 9.9 else onsets[:-1]


@pytest.mark.parametrize(
    ("hz", "evolving"),
    [((1.0, 1.6, 2.2), 1), ((2.4, 1.8, 1.2), 1), ((1.5, 1.5, 1.5), 0), ((1.4, 1.6, 1.8), 0)],
    ids=["rising", "falling", "static", "too-small-steps"],
)
def test_a_rate_that_changes_twice_in_one_direction_is_evolving(
    hz: tuple[float, ...], evolving: int
) -> None:
    seen = [found(page(train(100 * shape(0.14, sharp_wave), ramp(hz)), LEFT, s)) for s in range(8)]
    flags = [finding.measure("evolving") for (finding,) in (f for f in seen if f)]
    assert len(flags) >= 7
    assert sum(flag == evolving for flag in flags) >= 7


@pytest.mark.parametrize("hz", [3.0, 9.5])
def test_what_the_page_cannot_tell_from_the_cycle_is_no_plus(hz: float) -> None:
    rhythm = 20 * np.sin(2 * np.pi * hz * np.arange(N_TIMES) / SFREQ_HZ)
    for seed in range(4):
        data = add(page(LPD, LEFT, seed).data_uv, rhythm, LEFT)
        assert all(_name(f).startswith("LPDs at") for f in found(batch_of(data)))


def irregular(seed: int) -> NDArray[np.float64]:
    """Onsets of delta waves whose cycles change by more than half most of the time."""
    gaps = np.random.default_rng(seed).permutation(np.tile([0.35, 1.2, 0.5, 0.95], 4))
    return np.cumsum(gaps)[:12]


@pytest.mark.parametrize("seed", range(4))
def test_irregular_delta_is_not_rhythmic(seed: int) -> None:
    wave = np.zeros(N_TIMES)
    rng = np.random.default_rng(seed + 10)
    for t in irregular(seed):
        wave += train(rng.uniform(40, 80) * shape(rng.uniform(0.3, 0.9), sine), [float(t)])
    assert not found(page(wave, WIDE, seed))


def band_noise(low_hz: float, high_hz: float, uv: float, seed: int) -> Wave:
    """Irregular waves of a band, typical peak-to-peak ``uv``."""
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(N_TIMES, 1 / SFREQ_HZ)
    spectrum = rng.standard_normal(hz.size) + 1j * rng.standard_normal(hz.size)
    row = np.fft.irfft(spectrum * ((hz >= low_hz) & (hz < high_hz)), N_TIMES)
    return np.asarray(uv / np.sqrt(8) * row / row.std())


@pytest.mark.parametrize("band", [(1.2, 3.6), (1.0, 4.0), (0.6, 3.0)])
@pytest.mark.parametrize("field", [LEFT, WIDE], ids=["left", "wide"])
def test_irregular_band_noise_is_not_rhythmic_delta(
    band: tuple[float, float], field: Mapping[str, float]
) -> None:
    pages = [page(band_noise(*band, 70, seed), field, seed).data_uv for seed in range(100)]
    kinds = [f.kind for f in found(batch_of(np.concatenate(pages)))]
    assert kinds.count("rhythmic_delta") <= 1
    assert len(kinds) <= 3


@pytest.mark.parametrize("centre_hz", [1.0, 2.0, 3.2, 6.0, 10.0])
def test_noise_of_a_narrow_band_is_no_pattern(centre_hz: float) -> None:
    pages = []
    for seed in range(100):
        half = (0.4, 0.7, 1.2)[seed % 3]
        wave = band_noise(max(centre_hz - half, 0.3), centre_hz + half, 70, seed)
        pages.append(page(wave, (LEFT, WIDE)[seed % 2], seed).data_uv)
    assert len(found(batch_of(np.concatenate(pages)))) <= 2


@pytest.mark.parametrize("jitter", [0.0, 0.08])
def test_rhythmic_delta_whose_cycles_and_heights_vary_is_found(jitter: float) -> None:
    rng = np.random.default_rng(1)
    pages = []
    for seed in range(40):
        hz = rng.uniform(1.0, 3.5)
        onsets = regular(hz, rng.uniform(0, 2), rng.uniform(7, 10))
        cycles = np.diff(onsets) * (1 + rng.normal(0, jitter, len(onsets) - 1))
        onsets = onsets[0] + np.cumsum(np.concatenate([[0.0], cycles]))
        wave = np.zeros(N_TIMES)
        for t in onsets:
            wave += train(rng.uniform(45, 100) * shape(1 / hz, sine), [float(t)])
        pages.append(page(wave, (LEFT, WIDE)[seed % 2], seed).data_uv)
    kinds = [f.kind for f in found(batch_of(np.concatenate(pages)))]
    assert kinds.count("rhythmic_delta") >= 38


@pytest.mark.parametrize("n", [4, 5])
def test_fewer_than_six_cycles_make_no_run(n: int) -> None:
    onsets = regular(1.0, 2.0)[:n]
    assert not found(page(train(100 * shape(0.18, sharp_wave), onsets), LEFT))
    assert found(page(train(100 * shape(0.18, sharp_wave), regular(1.0, 2.0)[:7]), LEFT))


def test_the_slowest_rate_six_cycles_of_which_fit_the_page() -> None:
    assert found(page(train(110 * shape(0.18, sharp_wave), regular(0.65, 0.3)), LEFT))
    assert not found(page(train(110 * shape(0.18, sharp_wave), regular(0.5, 0.3)), LEFT))


def test_an_unmarked_page_has_none() -> None:
    batch = batch_of(noise(n=40, seed=5))
    result = find_periodic(batch, row_statistics(batch), ())
    assert not result.findings
    assert {j.verdict for j in result.judgements} == {"absent"}
    assert len(result.judgements) == 40 * len(KINDS_HERE)


@pytest.mark.parametrize(
    ("wave", "field", "kind"),
    [
        (train(120 * shape(0.3, lambda u: np.sin(np.pi * u)), regular(1.0, 0.3)), BLINK_FIELD, ""),
        (train(100 * shape(0.18, sharp_wave), regular(1.2, 0.3)), LEFT, "chewing"),
        (train(100 * shape(0.18, sharp_wave), regular(1.2, 0.3)), LEFT, "muscle"),
    ],
    ids=["blinks", "chewing", "muscle"],
)
def test_an_artifact_that_repeats_itself_is_no_pattern(
    wave: Wave, field: Mapping[str, float], kind: str
) -> None:
    seen = tuple(
        Finding("s0", kind, ("T7", "F7"), float(t), float(t) + 0.3)
        for t in regular(1.2, 0.2)
        if kind
    )
    assert not found(page(wave, field), seen)


def test_heartbeats_are_no_pattern() -> None:
    slope = {"F7": -1.0, "T7": -0.8, "P7": -0.6, "F3": -0.6, "C3": -0.4, "P3": -0.3, "Fp1": -0.5,
             "O1": -0.2, "Fz": -0.1, "Cz": 0.0, "Pz": 0.1, "Fp2": 0.2, "F4": 0.3, "C4": 0.4,
             "P4": 0.5, "O2": 0.5, "F8": 0.6, "T8": 0.8, "P8": 0.8}  # fmt: skip
    beat = train(30 * shape(0.06, lambda u: 1 - np.abs(2 * u - 1)), regular(1.15, 0.2))
    assert not found(page(beat, slope))


def test_a_mirrored_page_gives_the_mirrored_pattern() -> None:
    batch = page(LPD, LEFT)
    (here,) = found(batch)
    (there,) = found(batch_of(batch.data_uv[:, mirror_rows()]))
    assert (here.side, there.side) == ("left", "right")
    assert there.channels == tuple(MIRROR.get(c, c) for c in here.channels)
    for name in ("frequency_hz", "count", "base_s", "acns_main_term"):
        assert there.measure(name) == pytest.approx(here.measure(name))


@pytest.mark.parametrize(("wave", "field"), [(LPD, LEFT), (GRDA, WIDE), (SW, WIDE)])
def test_gain_keeps_what_it_is_called(wave: Wave, field: Mapping[str, float]) -> None:
    batch = page(wave, field)
    (one,) = found(batch)
    (two,) = found(batch_of(2 * batch.data_uv))
    assert (one.kind, _name(one), one.t0_s) == (two.kind, _name(two), two.t0_s)
    assert two.measure("amplitude_uv_p2p") == pytest.approx(
        2 * (one.measure("amplitude_uv_p2p") or 0), rel=0.02
    )


def test_a_shift_in_time_moves_the_run() -> None:
    batch = page(train(100 * shape(0.18, sharp_wave), regular(1.0, 1.0, 8.0)), LEFT)
    (here,) = found(batch)
    (there,) = found(batch_of(np.roll(batch.data_uv, 200, axis=2)))
    assert there.t0_s == pytest.approx(here.t0_s + 1.0, abs=0.06)
    assert there.t1_s == pytest.approx(here.t1_s + 1.0, abs=0.06)


def test_a_run_at_the_edge_is_censored_and_one_inside_is_not() -> None:
    (whole,) = found(page(LPD, LEFT))
    (inside,) = found(page(train(100 * shape(0.18, sharp_wave), regular(1.0, 1.5, 8.5)), LEFT))
    assert whole.measure("censored") == 1.0
    assert inside.measure("censored") is None


def test_what_is_fast_and_fills_the_page_gets_no_main_term() -> None:
    (finding,) = found(page(train(150 * shape(1 / 3, spike_wave), regular(3.0)), WIDE))
    assert finding.measure("fills_page_fast") == 1.0
    assert _name(finding) == "rhythmic pattern at 3 Hz that fills the page"
    assert beyond_page(finding) == ""


def test_few_electrodes_and_bipolar_rows_are_not_judged() -> None:
    mask = np.ones((1, 19), dtype=np.bool_)
    mask[0, :6] = False
    few = batch_of(add(noise(), LPD, LEFT), mask=mask)
    rows = ("F3-C3", "C3-P3", "F4-C4", "C4-P4")
    two = batch_of(noise(n_rows=4), schema=ChannelSchema.bipolar(rows))
    for batch, word in ((few, "electrodes"), (two, "bipolar")):
        result = find_periodic(batch, row_statistics(batch), ())
        assert not result.findings
        assert all(j.verdict == "not_judged" and word in j.reason for j in result.judgements)


def test_only_patterns_have_an_acns_name() -> None:
    with pytest.raises(ValueError, match="no ACNS name"):
        acns_name("spike", {})
