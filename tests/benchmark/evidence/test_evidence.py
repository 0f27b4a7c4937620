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
    BANDS,
    GROUND_GREY,
    HEIGHT_PX,
    MAP_PX,
    WIDTH_PX,
    blank_png,
    head_maps,
)
from benchmark.evidence.releases import RELEASES, build_releases
from benchmark.evidence.report import Run, report_of
from detectors.types import CANONICAL19

N_PEOPLE = 18


@pytest.fixture(scope="module")
def material() -> Material:
    return draw_material(N_PEOPLE)


def rows_of(folder: Path) -> list[dict]:
    return [r for f in sorted(folder.rglob("*.parquet")) for r in pq.read_table(f).to_pylist()]


def wave_uv(channel: int, hz: float, from_s: float, to_s: float) -> np.ndarray:
    """Return a page with one sine of 100 uV on one electrode."""
    time_s = np.arange(2000) / 200
    is_on = (time_s >= from_s) & (time_s < to_s)
    data = np.zeros((19, 2000), dtype=np.float32)
    data[channel] = 100 * np.sin(2 * np.pi * hz * time_s) * is_on
    return data


def shown_in(data: np.ndarray, band: int) -> np.ndarray:
    """Return what the map of a band shows above the ground, shape (28, 28, 3)."""
    row, column = divmod(band, 4)
    picture = head_maps(data).astype(int) - GROUND_GREY
    assert picture.shape == (HEIGHT_PX, WIDTH_PX, 3)
    return picture[MAP_PX * row : MAP_PX * (row + 1), MAP_PX * column : MAP_PX * (column + 1)]


@pytest.mark.parametrize("hz", [2, 6, 9.5, 30, 70])
def test_a_picture_shows_the_band(hz: float) -> None:
    data = wave_uv(CANONICAL19.index("T7"), hz, 0, 10)
    bright = {i: shown_in(data, i).max() for i in range(len(BANDS) - 1)}
    inside = [i for i, (low, high, _) in enumerate(BANDS[:-1]) if low <= hz < high]
    assert max(bright, key=lambda i: bright[i]) == inside[0]
    assert all(bright[i] < 30 for i in bright if i not in inside)


@pytest.mark.parametrize(
    ("left", "right"), [("T7", "T8"), ("Fp1", "Fp2"), ("O1", "O2"), ("C3", "C4")]
)
def test_a_picture_shows_the_side(left: str, right: str) -> None:
    on_left, on_right = (
        shown_in(wave_uv(CANONICAL19.index(name), 30, 4, 5), 5) for name in (left, right)
    )
    half = MAP_PX // 2
    for shown in (on_left, on_right[:, ::-1]):
        assert shown[:, :half].max() > 100
        assert shown[:, :half].sum() > 3 * shown[:, half:].sum()


def test_a_picture_tells_the_brief_from_the_lasting() -> None:
    channel = CANONICAL19.index("Cz")
    brief = shown_in(wave_uv(channel, 13, 4, 5), 3)
    lasting = shown_in(wave_uv(channel, 13, 0, 10), 3)
    at = np.unravel_index(lasting[..., 0].argmax(), lasting.shape[:2])
    assert brief[at][0] > 100
    assert brief[at][2] < 30
    assert lasting[at][2] > 100
    assert shown_in(np.zeros((19, 2000), dtype=np.float32), 3).max() == 0


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
