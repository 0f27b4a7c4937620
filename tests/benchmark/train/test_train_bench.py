"""The report of the training benchmark, and one small run of every system it compares."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from benchmark.errors import BenchmarkError
from benchmark.train.bench import (
    PACKED,
    PADDED,
    TRL,
    TrainRate,
    TrainReport,
    TrainSettings,
    bench_train,
    report_tables,
)


def _rate(answers: float, wait: float | None = 0.01) -> TrainRate:
    return TrainRate(3 * answers, answers, 0.2, wait, 0.01, None, 700.0)


def _report(**changes: Any) -> TrainReport:
    rates = {PADDED: _rate(100.0), PACKED: _rate(180.0), TRL: _rate(60.0, None)} | changes
    return TrainReport(TrainSettings(), rates)


@pytest.mark.parametrize(
    ("packed", "misses"),
    [
        (_rate(180.0), []),
        (_rate(149.0), ["train: packed is 1.49 x padded, floor 1.5"]),
        (_rate(180.0, 0.08), ["train: 8.0% of the time waits for data, bound 5%"]),
    ],
    ids=["well", "slow", "waiting"],
)
def test_what_is_below_its_floor_is_named(packed: TrainRate, misses: list[str]) -> None:
    assert _report(packed=packed).misses() == misses


def test_json_says_null_for_what_was_not_measured() -> None:
    rates = {PADDED: _rate(100.0), PACKED: _rate(180.0)}
    written = json.loads(json.dumps(TrainReport(TrainSettings(), rates).to_json()))
    assert written["packed_over_padded"] == 1.8
    assert written["packed_over_trl"] is None
    assert written["systems"][PACKED]["mfu"] is None


def test_table_holds_every_system_and_says_what_was_not_measured() -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    for table in report_tables(_report()):
        console.print(table)
    text = console.export_text()
    assert all(name in text for name in (PACKED, PADDED, TRL, "3.00", "not measured"))


def test_missing_release_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="holds no Parquet file; run `neurogloss demo`"):
        bench_train(tmp_path)


def _release(folder: Path) -> Path:
    buffer = io.BytesIO()
    Image.new("RGB", (168, 112), "white").save(buffer, format="PNG")
    rows = [
        {
            "id": f"r{i}",
            "images": [{"bytes": buffer.getvalue(), "path": None}],
            "messages": [
                {"role": "user", "content": "<image>\nWhich band leads on this page?"},
                {
                    "role": "assistant",
                    "content": "The alpha band leads at O1 and O2. " * (1 + i % 4),
                },
            ],
            "split": "train",
        }
        for i in range(12)
    ]
    pl.DataFrame(rows).write_parquet(folder / "train.parquet")
    return folder


@pytest.mark.heavy
def test_all_systems_are_measured_on_a_release(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    settings = TrainSettings(micro_batch=4, steps=3, rounds=1)
    report = bench_train(_release(tmp_path), settings)
    assert set(report.rates) == {PACKED, PADDED, TRL}
    assert all(r.tokens_per_s > r.label_tokens_per_s > 0 for r in report.rates.values())
    assert report.rates[PACKED].padded_share == 0
    assert report.rates[PADDED].padded_share > 0
    assert report.rates[TRL].padded_share > 0


@pytest.mark.heavy
def test_failing_program_is_told_in_one_sentence(tmp_path: Path) -> None:
    settings = TrainSettings(recipe="nothing-like-it", rounds=1)
    with pytest.raises(BenchmarkError, match=r"training ended with status \d+: .*nothing-like-it"):
        bench_train(_release(tmp_path), settings)
