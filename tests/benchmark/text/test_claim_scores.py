"""Scores of the claim reader: levels by hand, pairing, floors, files that are wrong, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchmarkError
from benchmark.text.bench import bench_text
from benchmark.text.claim_scores import (
    LEVELS,
    LabelledText,
    load_texts,
    match_claims,
    match_counts,
    score_reader,
)  # fmt: skip
from dagster_project.cli import main
from prompts.reading.records import Claim, claim_to_json

SPIKE = Claim("event", "spike", None, 2, "count", ("C3",), "left", "central", 3.0, None)


def line(text_id: str, text: str, *claims: Claim, style: str = "terse") -> str:
    written = [claim_to_json(c) for c in claims]
    return json.dumps({"id": text_id, "style": style, "text": text, "claims": written})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    right = Claim("event", "spike", channels=("C3",), polarity="absent")
    wrong = Claim("event", "spike", channels=("C4",))
    path.write_text(
        "\n".join(
            (
                line("a", "No spikes at C3.", right),
                line("b", "A spike at C3.", wrong, style="prose"),
                line("c", "Please compare the sides.", style="no_claim"),
            )
        ),
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("change", "n_levels"),
    [
        ({}, 6),
        ({"t0": 4.0}, 5),
        ({"side": "right"}, 4),
        ({"channels": ()}, 4),
        ({"value": 3}, 3),
        ({"unit": None}, 3),
        ({"polarity": "absent"}, 2),
        ({"label": "sharp"}, 1),
        ({"band": "delta"}, 1),
        ({"type": "artifact"}, 0),
        ({"hedge": "possible", "span": "spike"}, 6),
        ({"region": ("central",)}, 6),
    ],
)
def test_each_level_asks_for_more(change: dict[str, Any], n_levels: int) -> None:
    counts = match_counts([SPIKE], [replace(SPIKE, **change)])
    assert counts[:, 0].tolist() == [1.0] * n_levels + [0.0] * (len(LEVELS) - n_levels)


def test_order_of_channels_carries_nothing() -> None:
    true = replace(SPIKE, channels=("C3", "F3"))
    assert match_counts([true], [replace(true, channels=("F3", "C3"))])[-1, 0] == 1


def test_a_claim_is_matched_once() -> None:
    assert match_counts([SPIKE], [SPIKE, SPIKE])[-1].tolist() == [1, 2, 1]


def test_pairing_takes_the_best_partner_first() -> None:
    near = replace(SPIKE, t0=9.0)
    pairs, missed, added = match_claims([near, SPIKE], [SPIKE, replace(SPIKE, label="sharp")])
    assert pairs == [(SPIKE, SPIKE)]
    assert missed == [(near, "type")]
    assert [level for _, level in added] == ["type"]


def test_pairing_counts_what_the_levels_count() -> None:
    true = [SPIKE, replace(SPIKE, t0=1.0), replace(SPIKE, polarity="absent")]
    read = [replace(SPIKE, t0=1.0), replace(SPIKE, value=9), Claim("artifact", "blink")]
    pairs, missed, added = match_claims(true, read)
    counts = match_counts(true, read)
    assert len(pairs) == counts[-1, 0]
    assert len(pairs) + sum(level != "" for _, level in missed) == counts[0, 0]
    assert len(added) == len(read) - len(pairs)


def test_scores_follow_the_counts() -> None:
    texts = [
        LabelledText("a", "terse", "x", (SPIKE,)),
        LabelledText("b", "prose", "y", (SPIKE, replace(SPIKE, label="sharp"))),
    ]
    scores = score_reader(texts, lambda _: (SPIKE,), seed=3)
    full = scores.levels["time"]
    assert (full.n_hits, full.n_read, full.n_true) == (2, 2, 3)
    assert full.precision.value == 1.0
    assert full.recall.value == pytest.approx(2 / 3)
    assert full.f1.value == pytest.approx(0.8)
    assert full.recall.low is not None
    assert full.recall.low <= full.recall.value
    assert scores.by_style["terse"]["time"].recall.value == 1.0
    assert [(e.text_id, e.kind, e.level) for e in scores.errors] == [("b", "missed", "")]


def test_hedges_are_scored_among_pairs_only() -> None:
    text = LabelledText("a", "terse", "x", (SPIKE, replace(SPIKE, t0=1.0)))
    read = (replace(SPIKE, hedge="possible"), replace(SPIKE, t0=1.0), Claim("artifact"))
    assert score_reader([text], lambda _: read).hedge_share == 0.5


def test_figures_below_the_floor_are_named() -> None:
    text = LabelledText("a", "terse", "x", (SPIKE,))
    (miss,) = score_reader([text], lambda _: (SPIKE, Claim("artifact"))).misses()
    assert miss == "precision at level polarity 0.500, floor 0.85"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no texts"),
        ("{", "line 1"),
        ('{"id": "a", "style": "s", "text": "t"}', "claims"),
        ('{"id": "a", "style": "s", "text": "t", "claims": [{"type": "event"}]}', "13 fields"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BenchmarkError, match=said):
        load_texts(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"none\.jsonl"):
        load_texts(tmp_path / "none.jsonl")


def test_without_a_file_the_bench_says_what_it_does() -> None:
    report = bench_text()
    assert any("--claims" in note for note in report.notes)
    assert report.misses() == []
    assert "claims" not in report.to_json()


def test_command_scores_a_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "text", "--claims", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    levels = report["claims"]["levels"]
    assert levels["polarity"]["recall"]["value"] == 1.0
    assert levels["place"]["recall"]["value"] == 0.5
    assert report["claims"]["by_style"]["no_claim"]["type"]["precision"]["value"] is None
    assert [e["agrees_to"] for e in report["claims"]["errors"]] == ["value", "value"]


def test_command_prints_tables(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "text", "--claims", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "claims by style" in printed
    assert "agrees to" in printed


def test_command_names_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "text", "--claims", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err
