"""The detectors benchmark: a perfect detector scores 1, an empty one finds nothing, a late one fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmark.detectors.bench import bench_detectors
from benchmark.detectors.events import Found, grouped
from benchmark.detectors.labels import bench_labels, on_clock, one_per_time, read_events
from benchmark.detectors.pages import PageSettings, made_samples
from benchmark.detectors.report import FLOOR_SLICE, report_tables
from benchmark.detectors.scores import (
    TASKS,
    Score,
    count_events,
    found_boxes,
    mean_average_precision,
    score_counts,
    truth_boxes,
)
from benchmark.detectors.threshold_detector import threshold_events
from benchmark.errors import BenchmarkError
from benchmark.planted.fields import REFERENCES
from benchmark.planted.ongoing import background_uv
from benchmark.planted.pages import Sample
from benchmark.planted.planting import (
    BAND_HZ,
    SLEEP_KINDS,
    WAKE_KINDS,
    Ground,
    Planted,
    in_band_rms,
    peak_in_band,
    plant,
)
from benchmark.planted.shapes import KCOMPLEX_S, SHAPES, SHARP_S, SPIKE_S, SPINDLE_S
from detectors.types import CANONICAL19, N_TIMES, WaveformEvent

ROOT = Path(__file__).resolve().parents[3]
PAGES = PageSettings(n_subjects=2, pages_per_recording=5, seed=5, sizes_k=(3.0, 12.0))
INDEPENDENCE = """
import sys
import benchmark.planted.fields, benchmark.planted.ongoing, benchmark.planted.pages
import benchmark.planted.planting, benchmark.planted.shapes
print([m for m in sys.modules if m.startswith(("dagster_project.corpora.simulated", "training"))])
"""


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(made_samples(PAGES))


def _as_found(truth: Sequence[Planted], late_s: float = 0.0, off_hz: float = 0.0) -> list[Found]:
    return [
        Found(
            t.segment_id, t.kind, t.channels, t.t0_s + late_s, t.t1_s + late_s, 0.9,
            t.frequency_hz + off_hz,
        )
        for t in truth
    ]  # fmt: skip


def _total(
    samples: Sequence[Sample], task: str, find: Callable[[Sample], list[Found]]
) -> Score | None:
    counts = [count_events(TASKS[task], s.truth, find(s)) for s in samples]
    return score_counts([s.origin.subject for s in samples], counts, seed=0)


@pytest.mark.parametrize("task", TASKS)
def test_a_perfect_detector_scores_one(samples: list[Sample], task: str) -> None:
    score = _total(samples, task, lambda s: _as_found(s.truth))
    assert score is not None
    assert (score.precision.value, score.recall.value, score.f1.value) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("task", TASKS)
def test_an_empty_detector_has_no_recall_and_no_precision(samples: list[Sample], task: str) -> None:
    score = _total(samples, task, lambda _: [])
    assert score is not None
    assert (score.recall.value, score.f1.value, score.n_found) == (0.0, 0.0, 0)
    assert np.isnan(score.precision.value)


@pytest.mark.parametrize(
    ("task", "inside_s", "outside_s"),
    [("spike", 0.09, 0.12), ("spsw", 0.19, 0.22), ("electrode_pop", 0.19, 0.22)],
)
def test_a_late_detector_fails_just_outside_the_tolerance(
    samples: list[Sample], task: str, inside_s: float, outside_s: float
) -> None:
    near = _total(samples, task, lambda s: _as_found(s.truth, inside_s))
    far = _total(samples, task, lambda s: _as_found(s.truth, outside_s))
    assert near is not None
    assert far is not None
    assert (near.f1.value, far.f1.value) == (1.0, 0.0)


@pytest.mark.parametrize("task", ["spindle", "kcomplex", "blink", "muscle"])
def test_half_an_overlap_counts_and_a_tenth_does_not(samples: list[Sample], task: str) -> None:
    def shifted(share: float) -> Callable[[Sample], list[Found]]:
        def find(sample: Sample) -> list[Found]:
            return [
                replace(
                    f,
                    t0_s=f.t0_s + share * (f.t1_s - f.t0_s),
                    t1_s=f.t1_s + share * (f.t1_s - f.t0_s),
                )
                for f in _as_found(sample.truth)
            ]

        return find

    near, far = _total(samples, task, shifted(0.5)), _total(samples, task, shifted(0.9))
    assert near is not None
    assert far is not None
    assert (near.f1.value, far.f1.value) == (1.0, 0.0)


def test_a_rhythm_is_right_within_half_a_hertz(samples: list[Sample]) -> None:
    near = _total(samples, "posterior_rhythm", lambda s: _as_found(s.truth, 0.0, 0.45))
    far = _total(samples, "posterior_rhythm", lambda s: _as_found(s.truth, 0.0, 0.6))
    assert near is not None
    assert far is not None
    assert (near.precision.value, far.precision.value) == (1.0, 0.0)


def _one(kind: str, **changes: object) -> Planted:
    event = Planted("p", kind, ("C3",), (1.0,), ("C4",), 1.0, 2.0, 3.0, 30.0)
    return replace(event, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        ([("C3", 1.0, 2.0)], (1, 0, 0)),
        ([("C3", 1.0, 2.0), ("C4", 1.0, 2.0)], (1, 0, 0)),
        ([("C3", 1.0, 2.0), ("O1", 1.0, 2.0)], (1, 1, 0)),
        ([("C3", 1.0, 2.0), ("C3", 5.0, 6.0)], (1, 1, 0)),
        ([("C3", 1.0, 2.0), ("C3", 1.1, 2.0)], (1, 1, 0)),
        ([], (0, 0, 1)),
    ],
    ids=["right", "doubtful row", "wrong row", "wrong time", "said twice", "nothing"],
)
def test_muscle_is_counted_row_by_row(
    found: list[tuple[str, float, float]], counts: tuple[int, int, int]
) -> None:
    events = [Found("p", "muscle", (c,), a, b, 0.9) for c, a, b in found]
    result = count_events(TASKS["muscle"], [_one("muscle")], events)
    assert (result.true, result.false, result.missed) == counts


def test_what_the_background_shows_by_itself_is_not_held_against_a_system() -> None:
    own = [Found("p", "blink", ("C3",), 7.0, 7.4, 0.9)]
    alone = count_events(TASKS["blink"], [_one("blink")], own, bare=own)
    sleep = [replace(own[0], kind="spindle")]
    held = count_events(TASKS["spindle"], [_one("spindle")], sleep, bare=sleep)
    assert (alone.false, held.false) == (0, 1)


def test_truth_below_its_definition_is_waived_with_what_matches_it() -> None:
    small = _one("blink", is_defined=False)
    found = [Found("p", "blink", ("C3",), 1.0, 2.0, 0.9)]
    result = count_events(TASKS["blink"], [small], found, is_defined_only=True)
    assert (result.true, result.false, result.missed) == (0, 0, 0)


def test_the_pooled_task_lets_discharges_pass_for_one_another() -> None:
    found = [Found("p", "sharp", ("C3",), 1.0, 2.0, 0.9)]
    pooled = count_events(TASKS["epileptiform"], [_one("spike")], found)
    apart = count_events(TASKS["spike"], [_one("spike")], found)
    assert (pooled.true, apart.true, apart.missed) == (1, 0, 1)


def test_perfect_boxes_have_a_perfect_map_and_late_ones_none(samples: list[Sample]) -> None:
    truth = [t for s in samples for t in s.truth]
    subject_of = {p: s.origin.subject for s in samples for p in s.batch.segment_ids}
    boxes = truth_boxes(truth)

    def events(late_s: float) -> list[WaveformEvent]:
        return [
            WaveformEvent(
                b.segment_id, b.waveform, b.channel, b.t0_s + late_s, b.t1_s + late_s, 0.8
            )
            for b in boxes
        ]

    right = mean_average_precision(boxes, found_boxes(events(0.0), truth), subject_of, seed=0)
    late = mean_average_precision(boxes, found_boxes(events(3.0), truth), subject_of, seed=0)
    assert right["map50"].value == pytest.approx(1.0)
    assert right["map20_50"].value == pytest.approx(1.0)
    assert late["map50"].value < 0.01


def test_the_generator_shares_no_module_with_the_one_that_trains() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INDEPENDENCE], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_no_detector_knows_the_generator() -> None:
    rooms = [*(ROOT / "detectors").rglob("*.py"), *(ROOT / "training").rglob("*.py")]
    assert not [f.name for f in rooms if "benchmark.planted" in f.read_text(encoding="utf-8")]


def test_the_same_seed_gives_the_same_pages_and_another_one_others() -> None:
    first, again = (next(iter(made_samples(PAGES))) for _ in range(2))
    other = next(iter(made_samples(replace(PAGES, seed=6))))
    assert first.truth == again.truth
    assert np.array_equal(first.batch.data_uv, again.batch.data_uv)
    assert first.truth != other.truth


@pytest.mark.parametrize("rate_hz", [160.0, 250.0, 256.0, 500.0])
@pytest.mark.parametrize("state", ["wake", "sleep"])
def test_an_event_has_the_size_that_is_stated(rate_hz: float, state: str) -> None:
    rng = np.random.default_rng(3)
    data = background_uv(rng, rate_hz, round(40 * rate_hz), state, REFERENCES[0])
    ground = Ground(data, rate_hz, REFERENCES[0], state, has_own_rhythm=True)
    planted, truth = plant(rng, ground, 4.0)
    seen = 0
    for event in truth:
        if event.kind in ("flat", "muscle"):
            continue
        row = CANONICAL19.index(event.channels[0])
        span = slice(round((event.t0_s - 0.3) * rate_hz), round((event.t1_s + 0.3) * rate_hz))
        added = (planted - data)[row]
        others = [
            t for t in truth if t is not event and t.t0_s < event.t1_s + 2 > event.t0_s - 2 < t.t1_s
        ]
        if others:
            continue
        wave = np.where(
            np.isin(np.arange(added.size), np.arange(span.start, span.stop)), added, 0.0
        )
        size = peak_in_band(wave, event.kind, rate_hz) / in_band_rms(data[row], event.kind, rate_hz)
        assert size == pytest.approx(4.0, rel=0.15), event.kind
        seen += 1
    assert seen


@pytest.mark.parametrize(
    ("kind", "span_s"),
    [("spike", SPIKE_S), ("sharp", SHARP_S), ("spindle", SPINDLE_S), ("kcomplex", KCOMPLEX_S)],
)
@pytest.mark.parametrize("rate_hz", [160.0, 500.0])
def test_events_last_as_long_as_their_definition_says(
    kind: str, span_s: tuple[float, float], rate_hz: float
) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        shape = SHAPES[kind](rng, rate_hz)
        lasts = shape.t1_s - shape.t0_s
        assert 0.75 * span_s[0] - 2 / rate_hz <= lasts <= span_s[1] + 2 / rate_hz
        assert np.abs(shape.wave).max() == pytest.approx(1.0, abs=0.3)


def test_every_kind_is_planted_in_its_state(samples: list[Sample]) -> None:
    kinds = {t.kind for s in samples for t in s.truth}
    assert kinds == {*WAKE_KINDS, *SLEEP_KINDS, "posterior_rhythm"}
    assert set(BAND_HZ) | {"flat"} == kinds
    assert all(s.batch.data_uv.shape[1:] == (19, N_TIMES) for s in samples)
    assert all(0 <= t.t0_s < t.t1_s <= 10 for s in samples for t in s.truth)


def test_the_plain_detector_finds_large_spindles(samples: list[Sample]) -> None:
    large = [s for s in samples if s.origin.k == 12.0]
    score = _total(large, "spindle", lambda s: threshold_events(s.batch))
    assert score is not None
    assert score.recall.value > 0.8


def test_rows_at_one_time_are_one_event() -> None:
    rows = [Found("p", "spike", (c,), 1.0, 1.1, 0.5) for c in ("F7", "T7")]
    later = Found("p", "spike", ("T7",), 3.0, 3.1, 0.5)
    assert [f.channels for f in grouped([*rows, later])] == [("F7", "T7"), ("T7",)]


def test_an_event_cut_by_a_pages_edge_is_joined(samples: list[Sample]) -> None:
    batch = samples[0].batch
    halves = [
        Found(batch.segment_ids[0], "spindle", ("C3",), 9.4, 10.0, 0.9),
        Found(batch.segment_ids[1], "spindle", ("C3",), 0.0, 0.5, 0.8),
    ]
    (joined,) = on_clock(halves, batch, "r")
    assert (joined.t0_s, joined.t1_s) == (9.4, 10.5)


def test_the_benchmark_reports_every_task_and_its_misses() -> None:
    report = bench_detectors(None, settings=PageSettings(1, 2, 1, (3.0,)))
    told = json.loads(json.dumps(report.to_json()))
    assert {c.task for c in report.cells if c.part == FLOOR_SLICE} <= set(TASKS)
    assert any("real background" in note for note in report.notes)
    n_tables = 6 if report.agreement else 5
    assert [t.row_count > 0 for t in report_tables(report)] == [True] * n_tables
    assert len(told["yasa_agreement"]) == len(report.agreement)
    assert told["misses"] == report.misses()
    assert not set(told["pages"]) & {"real, planted"}


def _write_edf(path: Path, labels: Sequence[str], rows: np.ndarray, rate_hz: int) -> None:
    import pyedflib

    writer = pyedflib.EdfWriter(str(path), len(labels), file_type=pyedflib.FILETYPE_EDF)
    writer.setSignalHeaders(
        [
            {
                "label": label, "dimension": "uV", "sample_frequency": rate_hz,
                "physical_min": -3000.0, "physical_max": 3000.0, "digital_min": -32767,
                "digital_max": 32767, "transducer": "", "prefilter": "",
            }
            for label in labels
        ]
    )  # fmt: skip
    writer.writeSamples(list(rows))
    writer.close()


@pytest.mark.parametrize(
    "labels", [("EEG",), ("EEG C3-A2",), ("C3-P3", "F3-C3"), ("Fz", "C3", "Cz", "C4")],
    ids=["unnamed", "one electrode", "bipolar", "four electrodes"],
)  # fmt: skip
def test_labels_of_a_few_channels_are_scored(tmp_path: Path, labels: tuple[str, ...]) -> None:
    rate_hz = 100
    rng = np.random.default_rng(0)
    rows = rng.normal(0.0, 3.0, (len(labels), 62 * rate_hz))
    onsets = [5.0, 17.0, 33.0, 48.0]
    times = np.arange(rate_hz) / rate_hz
    for onset in onsets:
        burst = 40 * np.sin(np.pi * times) ** 2 * np.sin(2 * np.pi * 13 * times)
        rows[:, round(onset * rate_hz) : round((onset + 1) * rate_hz)] += burst
    _write_edf(tmp_path / "night.edf", labels, rows, rate_hz)
    table = pl.DataFrame(
        {
            "recording": "night.edf",
            "channel": "C3",
            "label": "Spindle",
            "onset_s": onsets,
            "duration_s": 1.0,
        }
    )
    table.write_csv(tmp_path / "events.csv")
    report = bench_labels(tmp_path, tmp_path / "events.csv")
    scores = {c.system: c.score for c in report.cells}
    assert scores["threshold"].recall.value == 1.0
    assert all(s.n_true == 4 for s in scores.values())
    assert [t.row_count for t in report_tables(report)] == [len(report.cells)]


def test_one_event_labelled_on_two_rows_is_one() -> None:
    rows = [_one("spindle", channels=(c,), t0_s=t) for c, t in (("C3", 1.0), ("C4", 1.1))]
    later = _one("spindle", t0_s=5.0, t1_s=6.0)
    assert [t.channels for t in one_per_time([later, *rows])] == [("C3", "C4"), ("C3",)]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": "wobble"}, "wobble"),
        ({"onset_s": -1.0}, "-1.0"),
        ({"channel": None}, "lacks channel"),
    ],
    ids=["label", "time", "column"],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, columns: dict[str, object], said: str
) -> None:
    good = {
        "recording": "a.edf",
        "channel": "",
        "label": "spike",
        "onset_s": 1.0,
        "duration_s": 0.1,
    }
    row = {k: v for k, v in {**good, **columns}.items() if v is not None}
    path = tmp_path / "events.tsv"
    pl.DataFrame([row]).write_csv(path, separator="\t")
    with pytest.raises(BenchmarkError, match=said):
        read_events(path)
