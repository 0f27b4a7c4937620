"""Evidence that learning happens: its data, its scoring, and that a model really learns."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmark.errors import BenchmarkError
from benchmark.evidence.bench import (
    LARGE,
    ON_BLANK,
    TUNED,
    TWIN,
    EvidenceSettings,
    bench_evidence,
    held_out_items,
)
from benchmark.evidence.material import CATEGORIES, Material, draw_material
from benchmark.evidence.picture import (
    GROUND_GREY,
    HEIGHT_PX,
    WIDTH_PX,
    amplitude_picture,
    blank_png,
)
from benchmark.evidence.releases import RELEASES, build_releases
from benchmark.evidence.report import Run, report_of

N_PEOPLE = 18


@pytest.fixture(scope="module")
def material() -> Material:
    return draw_material(N_PEOPLE)


def rows_of(folder: Path) -> list[dict]:
    return [r for f in sorted(folder.rglob("*.parquet")) for r in pq.read_table(f).to_pylist()]


def test_a_picture_shows_where_and_in_which_band_activity_is() -> None:
    time_s = np.arange(2000) / 200
    data = np.zeros((19, 2000), dtype=np.float32)
    assert (amplitude_picture(data) == GROUND_GREY).all()
    data[0, 800:1000] = 200 * np.sin(2 * np.pi * 2 * time_s[800:1000])  # Fp1, 2 Hz, 4 to 5 s
    picture = amplitude_picture(data).astype(int) - GROUND_GREY
    assert picture.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert picture[[0, 2], 42:48, 0].min() > 50
    assert abs(picture[[1, 3, *range(4, 28)]]).max() == 0  # no other electrode
    assert picture[[0, 2], 42:48, 1].max() < 20  # hardly any alpha


def test_held_out_people_are_asked_in_whole_blocks(material: Material) -> None:
    items = held_out_items(material, 10_000)
    train = {p["subject_id"] for p in material.pages if p["split"] == "train"}
    assert not train & {i["subject_id"] for i in items}
    assert {i["category"] for i in items} == set(CATEGORIES)
    block_of = {q["sample_id"]: q["block_id"] for q in material.questions}
    right: dict[str, Counter[str]] = {}
    for item in items:
        said = item["options"]["ABCD".index(item["answer"])]
        right.setdefault(block_of[item["item_id"]], Counter())[said] += 1
        assert "\n" not in item["prompt"]  # the bare question: options are put after it
    # within a block every option is right exactly once: nothing to gain without the page
    assert all(set(counts.values()) == {1} for counts in right.values())


def test_the_same_seed_draws_the_same() -> None:
    first, again, other = (draw_material(2, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert first.pictures != other.pictures


def test_an_unknown_category_is_told() -> None:
    with pytest.raises(BenchmarkError, match=r"categories \['mood'\] must be of dominant band"):
        draw_material(1, categories=("mood",))


def test_the_twin_holds_the_same_rows_without_pages(material: Material, tmp_path: Path) -> None:
    build_releases(material, tmp_path / "pages")
    build_releases(material, tmp_path / "blank", is_blank=True)
    for name, kinds in RELEASES.items():
        mine, twin = (rows_of(tmp_path / folder / name) for folder in ("pages", "blank"))
        assert {r["kind"] for r in mine} == set(kinds)
        assert [(r["id"], r["messages"]) for r in mine] == [(r["id"], r["messages"]) for r in twin]
        assert {r["images"][0]["bytes"] for r in twin} == {blank_png()}
        assert len({r["images"][0]["bytes"] for r in mine}) > 20
        assert {r["split"] for r in mine} == {"train"}


def test_scores_are_those_counted_by_hand() -> None:
    items = [
        {"subject_id": f"s{n % 25}", "category": "blink" if n % 2 else "side",
         "options": ["x", "y"] if n % 2 else ["x", "y", "z", "w"]}
        for n in range(100)
    ]  # fmt: skip
    runs = [
        Run(TUNED, tuple(n % 10 != 0 for n in range(100)), 0),
        Run(TWIN, tuple(n % 2 == 0 for n in range(100)), 3),
    ]
    report = report_of(runs, items, settings=EvidenceSettings(), drawn_s=0.0)
    assert report.chance == {"all": 0.375, "blink": 0.5, "side": 0.25}
    assert report.cell(TUNED).accuracy.value == pytest.approx(0.9)
    assert report.cell(TUNED, "blink").accuracy.value == pytest.approx(1.0)
    assert report.cell(TUNED, "side").above_chance.value == pytest.approx(0.55)
    assert report.gap(TWIN).difference.value == pytest.approx(0.4)
    assert report.gap(TWIN, "side").difference.value == pytest.approx(-0.2)
    assert report.n_unparsed == {TUNED: 0, TWIN: 3}
    text = report.to_markdown()
    assert "| chance | 37.5 | 50.0 | 25.0 | |" in text
    assert "25 people" in text
    assert report.plot_png().startswith(b"\x89PNG")


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_small_model_learns_to_read_pages_of_people_it_never_saw(tmp_path: Path) -> None:
    """The small form; ``NEUROGLOSS_EVIDENCE=full`` trains the large one with its ablations."""
    settings = LARGE if os.environ.get("NEUROGLOSS_EVIDENCE") == "full" else EvidenceSettings()
    report = bench_evidence(tmp_path, settings)
    report.write(tmp_path)
    tuned = report.cell(TUNED)
    assert (tuned.above_chance.low or 0.0) > 0.05
    assert tuned.p_chance < 0.01
    for other in (TWIN, ON_BLANK, "majority"):
        gap = report.gap(other)
        assert (gap.difference.low or 0.0) > 0.05, other
        assert gap.p < 0.01, other
    twin = report.cell(TWIN).above_chance
    assert twin.includes(0.0)
    assert report.n_unparsed[TUNED] == 0
    assert {p.name for p in tmp_path.glob("evidence.*")} == {
        "evidence.json", "evidence.md", "evidence.png",
    }  # fmt: skip
