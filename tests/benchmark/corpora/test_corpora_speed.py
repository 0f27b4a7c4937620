from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.corpora.bench import LONG_H, Settings, bench_corpora, run_order
from benchmark.corpora.report import (
    FLOORS,
    CorporaReport,
    CorpusLine,
    FloorResult,
    Speed,
    report_tables,
)
from benchmark.corpora.samples import LABELS, SAMPLES, STEP_UV, sample_of, steps, write_edf
from benchmark.errors import BenchmarkError
from dagster_project.corpora.readers.table import READERS, open_recording
from dagster_project.corpora.registry import corpora, load_entry

TINY = Settings(
    rounds=1,
    max_recordings=1,
    sample_minutes=0.4,
    floor_minutes=2,
    streamed_h=(0.01, 0.02),
    formats=("edf", "cnt"),
    floor_files=("BDF 512 Hz",),
)
CHOOSING = {"any", "bids", "own"}
"""Readers that hand a file on to another one, or are the user's."""


def speed(**values: object) -> Speed:
    known = dict(
        n_files=2, n_accepted=1, n_segments=6, causes={"truncated": 1}, hours=0.5, file_mb=3.0,
        n_channels=32, sfreq_hz=256.0, inventory_h_per_cpu_min=200.0, cut_h_per_cpu_min=90.0,
        rss_mb=160.0,
    )  # fmt: skip
    return Speed(**{**known, **values})  # type: ignore[arg-type]


def report(*floors: tuple[str, FloorResult]) -> CorporaReport:
    lines = (
        CorpusLine("one", "edf", True, "corpus", "one", "1 truncated"),
        CorpusLine("two", "matlab", False, "not measured"),
    )
    return CorporaReport(lines, {"one": speed()}, dict(floors), notes=("P14 on 2 h only.",))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[CorporaReport, list[str]]:
    """A tiny run over a data root with one corpus, of which one file is void."""
    root = tmp_path_factory.mktemp("data")
    (root / "eegmat").mkdir()
    write_edf(root / "eegmat" / "Subject00_1.edf", 200, 30)
    (root / "hmc").mkdir()
    (root / "hmc" / "SN001.edf").write_bytes(b"nothing")
    told: list[str] = []
    work = tmp_path_factory.mktemp("work")
    made = bench_corpora(root, settings=TINY, work_dir=work, on_progress=told.append)
    assert not list(work.iterdir())
    return made, told


def test_every_corpus_of_the_catalogue_is_listed_with_what_it_was_measured_on(
    found: tuple[CorporaReport, list[str]],
) -> None:
    made, told = found
    lines = {line.key: line for line in made.lines}

    assert tuple(lines) == tuple(corpora())
    assert lines["eegmat"].measured_on == "corpus"
    assert made.speeds["eegmat"].n_accepted == 1
    assert made.speeds["eegmat"].n_segments == 3
    assert lines["hmc"].measured_on == "format sample"
    assert "1 " in lines["hmc"].remark
    assert lines["pd31"].measured_on == "not measured"
    assert lines["tuab"].speed == "sample-edf"
    assert lines["tuab"].is_fast is True
    assert [line.speed for line in made.others] == ["sample-cnt"]
    assert lines["seed"].is_fast is False
    assert {line.speed for line in (*made.lines, *made.others)} - {""} == set(made.speeds)
    assert "corpus eegmat" in told


def test_every_speed_and_every_floor_is_a_finite_number(
    found: tuple[CorporaReport, list[str]],
) -> None:
    made, _ = found

    for name, values in made.speeds.items():
        assert values.n_accepted, name
        assert values.hours > 0
        assert values.file_mb > 0
        assert values.n_channels >= 19
        assert values.rss_mb > 20
        for per_minute in (values.inventory_h_per_cpu_min, values.cut_h_per_cpu_min):
            assert per_minute is None or math.isfinite(per_minute)
    assert {name.split()[0] for name in made.floors} == {"P3", "P4", "P14"}
    assert len(made.floors) == 4
    assert all(math.isfinite(floor.value) for floor in made.floors.values())
    assert "relative difference" in made.floors["P3 BDF 512 Hz"].detail
    assert f"{LONG_H:g} h" in made.notes[0]


def test_json_has_the_fixed_keys(found: tuple[CorporaReport, list[str]]) -> None:
    made, _ = found
    values = json.loads(json.dumps(made.to_json()))

    assert values.keys() == {"corpora", "speeds", "floors", "misses", "notes", "environment"}
    assert values["corpora"]["eegmat"]["measured_on"] == "corpus"
    assert values["speeds"]["sample-edf"].keys() >= {
        "inventory_h_per_cpu_min", "cut_h_per_cpu_min", "rss_mb", "file_mb", "n_channels",
        "sfreq_hz",
    }  # fmt: skip
    assert values["floors"]["P4 BDF 512 Hz"].keys() >= {"value", "floor", "is_held"}


@pytest.mark.parametrize("name", SAMPLES, ids=str)
def test_a_sample_reads_back_as_it_was_made(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]

    sample.make(tmp_path, 0.1)

    spec = load_entry(tmp_path / "entries" / f"{sample.key}.yaml")
    path = tmp_path / sample.key / f"s01{sample.suffix}"
    with open_recording(path, spec.reader) as recording:
        labels = [
            signal.label.removeprefix("EEG ").removesuffix("-REF") for signal in recording.signals
        ]
        traces = recording.pick([0, 5])
        n = sum(run.n_samples for run in traces.runs)
        read_uv = np.empty((2, n), dtype=np.float32)
        traces.read_uv(0, n, read_uv)
    assert tuple(labels) == LABELS
    assert traces.sfreq == sample.rate_hz
    planted_uv = STEP_UV * steps(len(LABELS), n)[[0, 5]]
    np.testing.assert_allclose(read_uv, planted_uv, atol=0.01)


def test_every_reader_of_files_has_a_sample() -> None:
    assert {sample.reader for sample in SAMPLES.values()} == set(READERS) - CHOOSING


def test_a_corpus_of_an_unknown_format_has_no_sample() -> None:
    spec = corpora()["hmc"]

    assert sample_of(spec) == "edf"
    assert sample_of(corpora()["pd31"]) == "bdf"
    assert sample_of(spec.model_copy(update={"reader": corpora()["seed"].reader})) == "matlab"
    own = spec.reader.model_copy(update={"name": "own"})
    assert sample_of(spec.model_copy(update={"reader": own})) is None


@pytest.mark.parametrize(
    ("goal", "value", "is_held"),
    [("P3", 10.0, True), ("P3", 9.9, False), ("P4", 5.9, False), ("P14 peak", 350.0, True),
     ("P14 peak", 351.0, False), ("P14 growth", -2.0, True), ("P14 growth", 5.1, False)],
    ids=str,
)  # fmt: skip
def test_missed_floors_are_named(goal: str, value: float, is_held: bool) -> None:
    bound, is_ceiling = FLOORS[goal]
    made = report((goal, FloorResult(value, bound, is_ceiling)))

    assert [miss.split(" is ")[0] for miss in made.misses()] == ([] if is_held else [goal])
    assert made.to_json()["floors"][goal]["is_held"] is is_held


def test_tables_show_corpora_floors_and_what_was_left_out() -> None:
    from rich.console import Console

    console = Console(width=250, record=True, file=io.StringIO())
    for table in report_tables(report(("P3 EDF", FloorResult(9.0, 10.0, False, "by wall")))):
        console.print(table)
    shown = console.export_text()

    for text in ("one", "not measured", "1 truncated", "P14 on 2 h only.", "P3 EDF", "NO"):
        assert text in shown


@pytest.mark.parametrize(
    "attempt",
    [
        lambda tmp: bench_corpora(tmp / "nowhere"),
        lambda _: Settings(rounds=0),
        lambda tmp: run_order("corpus", {"key": "none-such"}, tmp),
    ],
    ids=["no data root", "no rounds", "worker fails"],
)
def test_what_cannot_be_measured_is_told(attempt: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"not a folder|at least 1|ended with status"):
        attempt(tmp_path)
