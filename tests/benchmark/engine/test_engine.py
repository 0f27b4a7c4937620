"""The engine benchmark: same work on both sides, fixed keys, honest notes. No times are judged."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.engine.baseline import band_powers, kmeans_tiers, rule_flags
from benchmark.engine.bench import bench_engine
from benchmark.engine.floors import judged
from benchmark.engine.recording import N_CHANNELS, SFREQ_HZ, channel_labels, write_recording
from benchmark.engine.report import (
    BOUNDS,
    Agreement,
    EndToEnd,
    EngineReport,
    PageResult,
    StageResult,
    notes,
    report_markdown,
    report_table,
)
from benchmark.errors import BenchmarkError
from benchmark.stopwatch import STAGES
from detectors.types import CANONICAL19, N_TIMES


def report(*, end_to_end: float = 54.0, page: float = 68.0, rss_mb: float = 480.0) -> EngineReport:
    stages = {name: StageResult(1.0, 20.0, 20.0) for name in STAGES}
    stages["page"] = StageResult(4.0, 4.0 * page, page)
    return EngineReport(
        minutes=10.0, n_segments=60, rounds=3, n_pictures=8, stages=stages,
        end_to_end=EndToEnd(end_to_end, (50.0, 54.0, 60.0), 55.0, 27.0, 6.0, 324.0),
        page=PageResult(36.0, 35.0, 110e3, 384e3, 99.0, 25.0),
        agreement=Agreement(0.025, 0.01, 0.95), rss_mb=rss_mb, baseline_rss_mb=650.0,
        busy_share=0.99,
    )  # fmt: skip


def test_both_sides_do_the_same_work_and_the_report_says_so(tmp_path: Path) -> None:
    steps: list[str] = []

    found = bench_engine(
        minutes=1, rounds=1, n_pictures=1, has_detector=False, orchestration=lambda: 0.05,
        work_dir=tmp_path, on_progress=steps.append,
    )  # fmt: skip

    assert found.n_segments == 6
    assert tuple(found.stages) == STAGES
    assert all(
        s.ms_per_segment > 0 and s.baseline_ms_per_segment > 0 for s in found.stages.values()
    )
    assert found.agreement.signal_uv < 0.2
    assert found.agreement.alpha_power_rel < 0.1
    assert found.agreement.tiers_equal > 0.5
    assert found.page.psnr_db_min >= 32
    assert found.orchestration_share == 0.05
    assert found.rss_mb > 50
    assert steps
    names = [floor.floor.split()[0] for floor in found.floors]
    assert names == ["P1", "P5", "P6", "P7", "P8", "P9", "P10"]
    assert {f["floor"]: f["is_held"] for f in found.to_json()["floors"]} == {
        floor.floor: floor.is_held for floor in found.floors
    }
    assert (tmp_path / "engine" / "pictures.parquet").exists()
    assert (tmp_path / "baseline" / "page_0.png").exists()


def test_recording_has_the_stated_shape_and_is_the_same_every_time(tmp_path: Path) -> None:
    import pyedflib

    for name in ("a.edf", "b.edf"):
        write_recording(tmp_path / name, 0.5)

    assert (tmp_path / "a.edf").read_bytes() == (tmp_path / "b.edf").read_bytes()
    with pyedflib.EdfReader(str(tmp_path / "a.edf")) as reader:
        assert tuple(reader.getSignalLabels()) == channel_labels()
        assert reader.signals_in_file == N_CHANNELS
        assert reader.getNSamples().tolist() == [30 * SFREQ_HZ] * N_CHANNELS


def test_json_has_the_fixed_keys() -> None:
    values = json.loads(json.dumps(report().to_json()))

    assert values["end_to_end"]["ratio"] == 54.0
    assert values["stages"]["page"].keys() >= {
        "ratio", "ms_per_segment", "baseline_ms_per_segment",
    }  # fmt: skip
    assert values["page"]["psnr_db"] == 36.0
    assert values["rss_mb"] == 480.0
    assert values["orchestration_share"] is None


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (report(), []),
        (report(end_to_end=17.9), ["end_to_end.ratio"]),
        (report(page=19.0), ["stages.page.ratio"]),
        (report(rss_mb=601.0), ["rss_mb"]),
    ],
    ids=["all held", "end to end", "page", "memory"],
)
def test_missed_floors_are_named(found: EngineReport, missed: list[str]) -> None:
    assert [miss.split(" is ")[0] for miss in found.misses()] == missed
    assert sum("Below the floor" in note for note in notes(found)) == len(missed)


MEASURED = {
    "psd_ratio": 7.0, "psd_rel": 8e-6, "tiers_ratio": 800.0, "tiers_excess": -1e-15,
    "flags_ratio": 20.0, "flags_equal": 1.0, "grid_rel": 2e-8, "parquet_ratio": 5.0,
    "parquet_bytes": 0.3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, []),
        ({"psd_rel": 1.1e-5}, ["P5"]),
        ({"tiers_ratio": 499.0}, ["P6"]),
        ({"tiers_excess": 1e-6}, ["P6"]),
        ({"flags_equal": 0.99}, ["P7"]),
        ({"grid_rel": 1e-5}, ["P9"]),
        ({"parquet_bytes": 0.41}, ["P10"]),
    ],
    ids=["all held", "density", "slow tiers", "worse tiers", "flags", "grid", "bytes"],
)
def test_floors_of_single_steps_need_both_speed_and_the_same_result(
    changed: dict[str, float], missed: list[str]
) -> None:
    whole = report()
    stages = {**whole.stages, "topomap": StageResult(1.0, 60.0, 60.0)}

    found = judged(MEASURED | changed, stages, whole.page, 41.0)

    assert [f.floor.split()[0] for f in found if not f.is_held] == missed
    shown = report_markdown(replace(whole, floors=found))
    assert all(f"| {f.floor} | {f.asked} | {f.reached} |" in shown for f in found)


def test_goals_lie_beyond_floors() -> None:
    for bound in BOUNDS:
        assert (bound.goal < bound.floor) == bound.is_ceiling


def test_table_and_markdown_show_every_stage_and_what_is_missing() -> None:
    from rich.console import Console

    busy = replace(report(), busy_share=0.5)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report_table(busy))
    shown = console.export_text()

    for text in (shown, report_markdown(busy)):
        for name in (*STAGES, "end to end"):
            assert name in text
        assert "not measured" in text
        assert "other work" in text


@pytest.mark.parametrize(
    "settings",
    [{"minutes": 0.1}, {"rounds": 0}, {"n_pictures": 0}],
    ids=["short", "no rounds", "no pictures"],
)
def test_settings_out_of_bounds_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(BenchmarkError, match="at least"):
        bench_engine(**settings)  # type: ignore[arg-type]


def test_a_dead_worker_is_reported_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text("a file where the worker wants its folder")

    with pytest.raises(BenchmarkError, match="engine process"):
        bench_engine(minutes=1, rounds=1, n_pictures=1, work_dir=tmp_path)


def test_baseline_measures_what_is_there() -> None:
    time_s = np.arange(N_TIMES) / 200
    segment = np.random.default_rng(0).normal(0, 1, (len(CANONICAL19), N_TIMES))
    for name in ("O1", "O2"):
        segment[CANONICAL19.index(name)] += 40 * np.sin(2 * np.pi * 10 * time_s)
    segment[CANONICAL19.index("T7")] = 0.0

    powers = band_powers(segment)
    tiers = kmeans_tiers(segment)

    assert powers["alpha"][CANONICAL19.index("O1")] == pytest.approx(40**2 / 2, rel=0.05)
    assert {CANONICAL19[i] for i in np.flatnonzero(tiers == 2)} == {"O1", "O2"}
    assert rule_flags(segment, powers)["is_flat"]
