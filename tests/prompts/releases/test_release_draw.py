"""Drawing: exact ratios out of what is there, whole blocks, turns among corpora, seeds."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_tables import Tables, planted_shard

from prompts.releases.build import build_release, read_manifest, releases
from prompts.releases.classes import page_classes
from prompts.releases.draw import select
from prompts.releases.recipe import GENERAL, TEXTS, Recipe, ReleaseError
from prompts.releases.rows import ShardTables


def recipe(**changes: Any) -> Recipe:
    base = {"name": "r", "version": "1.0.0", "shards": ["a-01-of-01"], "mixture": {}}
    return Recipe.model_validate(base | changes)


def pool(
    kind: str,
    n: int,
    corpus: str = "hmc",
    split: str = "train",
    block: int = 1,
    page_class: str = "artifact",
) -> pl.DataFrame:
    """``n`` samples of a kind in blocks of a size, ranked by their number."""
    ids = [f"{corpus}-{split}-{kind}-{page_class}-{i}" for i in range(n)]
    return pl.DataFrame(
        {
            "rank": [1000 + i // block for i in range(n)], "shard": "a-01-of-01", "kind": kind,
            "split": split, "corpus": corpus, "subject_id": f"{corpus}-{split}", "segment_id": ids,
            "sample_id": ids,
            "block_id": [f"{corpus}-{split}-{kind}-{page_class}-b{i // block}" for i in range(n)],
            "is_gated": False, "pathology": 0, "bands": None, "page_class": page_class,
        },
        schema_overrides={"rank": pl.UInt64, "pathology": pl.Int8, "bands": pl.List(pl.UInt64)},
    )  # fmt: skip


def drawn(selection: Any) -> dict[str, int]:
    counts = selection.rows.group_by("kind").len().iter_rows()
    return dict(sorted(counts))


STAGE2 = {
    "descriptions": 31333, "teacher_questions": 31333, "dialogues": 31333, "questions": 100000,
    "captions": 50000,
}  # fmt: skip


@given(
    st.fixed_dictionaries({kind: st.integers(1, 900) for kind in STAGE2}),
)
@settings(max_examples=25, deadline=None)
def test_to_present_keeps_the_ratio_and_uses_up_the_scarcest_kind(there: dict[str, int]) -> None:
    frame = pl.concat(pool(kind, n) for kind, n in there.items())
    wanted = recipe(mixture={"train": STAGE2}, scale="to_present")
    selection = select(wanted, frame)
    factor = min(Fraction(n, STAGE2[kind]) for kind, n in there.items())
    assert selection.factors["train"] == factor
    expected = {kind: int(n * factor) for kind, n in STAGE2.items()}
    assert drawn(selection) == {k: n for k, n in sorted(expected.items()) if n}
    assert expected["descriptions"] == expected["teacher_questions"] == expected["dialogues"]
    assert any(expected[kind] == n for kind, n in there.items())


def test_counts_are_never_multiplied_by_more_than_one() -> None:
    frame = pl.concat([pool("captions", 50), pool("dialogues", 70)])
    asked = recipe(mixture={"train": {"captions": 10, "dialogues": 20}}, scale="to_present")
    selection = select(asked, frame)
    assert drawn(selection) == {"captions": 10, "dialogues": 20}
    assert selection.factors["train"] == 1


@pytest.mark.parametrize(("n_captions", "questions"), [(5, 20), (3, 12), (7, 28)])
def test_scaled_questions_stay_in_whole_blocks(n_captions: int, questions: int) -> None:
    frame = pl.concat([pool("captions", n_captions), pool("questions", 400, block=4)])
    asked = recipe(mixture={"train": {"captions": 50, "questions": 200}}, scale="to_present")
    rows = select(asked, frame).rows
    mine = rows.filter(pl.col("kind") == "questions")
    assert mine.height == questions
    assert set(mine.group_by("block_id").len()["len"]) == {4}


def test_a_scaled_count_that_splits_a_block_is_up_to_three_short() -> None:
    frame = pl.concat([pool("captions", 1), pool("questions", 40, block=4)])
    asked = recipe(mixture={"train": {"captions": 3, "questions": 20}}, scale="to_present")
    assert drawn(select(asked, frame)) == {"captions": 1, "questions": 4}


def test_caps_count_into_the_common_factor() -> None:
    frame = pl.concat([pool("captions", 40), pool("dialogues", 40)])
    asked = recipe(mixture={"train": {"captions": 40, "dialogues": 20}}, scale="to_present",
                   caps={"per_corpus": 10})  # fmt: skip
    assert drawn(select(asked, frame)) == {"captions": 10, "dialogues": 5}


def test_an_absent_kind_stops_the_release_unless_allowed() -> None:
    mixture = {"train": {"captions": 40, "dialogues": 20}}
    with pytest.raises(ReleaseError, match="wants 20 dialogues in train and 0 are there"):
        select(recipe(mixture=mixture, scale="to_present"), pool("captions", 10))
    allowed = recipe(mixture=mixture, scale="to_present", is_shortfall_allowed=True)
    assert drawn(select(allowed, pool("captions", 10))) == {"captions": 10}


@pytest.mark.parametrize(
    ("weights", "there", "expected"),
    [
        ({"cosyn": 1, "llava-instruct": 1}, (30, 30), (10, 10)),
        ({"cosyn": 3, "llava-instruct": 1}, (30, 30), (15, 5)),
        ({"cosyn": 1, "llava-instruct": 2}, (30, 30), (7, 13)),
        ({"cosyn": 1, "llava-instruct": 1}, (4, 30), (4, 4)),
    ],
)
def test_general_sources_come_in_their_weights(
    weights: dict[str, int], there: tuple[int, int], expected: tuple[int, int]
) -> None:
    frame = pl.concat(pool(GENERAL, n, c) for n, c in zip(there, sorted(weights), strict=True))
    asked = recipe(mixture={"train": {"general": 20}}, general=weights, scale="to_present")
    rows = select(asked, frame).rows
    assert tuple(rows.filter(pl.col("corpus") == c).height for c in sorted(weights)) == expected


def test_windows_cap_pages_and_not_general_pairs() -> None:
    frame = pl.concat([pool("captions", 30), pool(GENERAL, 30, "cosyn")])
    asked = recipe(mixture={"train": {"captions": 5, "general": 20}}, general={"cosyn": 1},
                   windows={"train": 5})  # fmt: skip
    assert drawn(select(asked, frame)) == {"captions": 5, "general": 20}


def test_balanced_corpora_are_drawn_in_turn() -> None:
    frame = pl.concat([pool("captions", 900, "tuab"), pool("captions", 6, "hmc"),
                       pool("captions", 50, "tusl")])  # fmt: skip
    mixture = {"train": {"captions": 30}}
    rows = select(recipe(mixture=mixture, balance="corpus"), frame).rows
    assert dict(rows.group_by("corpus").len().iter_rows()) == {"tuab": 12, "hmc": 6, "tusl": 12}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"images": ["topomap"]}, "must begin with 'page'"),
        ({"images": ["page", "page"]}, "name each once"),
        ({"mixture": {"train": {"general": 5}}}, "belong together"),
        ({"general": {"cosyn": 1}}, "belong together"),
        ({"mixture": {"train": {"general": 5}}, "general": {"cosyn": 0}}, "1 or more"),
    ],
)
def test_an_inconsistent_recipe_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        recipe(**changes)


@pytest.mark.parametrize(
    ("n_normal", "n_other", "expected"),
    [(100, 100, (20, 30)), (5, 100, (5, 45)), (100, 12, (8, 12)), (100, 0, (0, 0))],
)
def test_plain_pages_keep_their_share_of_what_is_drawn(
    n_normal: int, n_other: int, expected: tuple[int, int]
) -> None:
    asked = recipe(
        mixture={"train": {"captions": 50}}, caps={"normal_share": 0.4}, is_shortfall_allowed=True
    )
    frame = pl.concat([pool("captions", n_normal, page_class="normal"), pool("captions", n_other)])
    rows = select(asked, frame).rows
    n_plain = rows.filter(pl.col("page_class") == "normal").height
    assert n_plain <= 0.4 * rows.height
    if n_other == 100:
        assert (rows.height, n_plain) == (50, expected[0] if n_normal == 5 else n_plain)
    else:
        assert (n_plain, rows.height - n_plain) == expected


def test_the_share_of_plain_pages_holds_with_whole_blocks_of_mixed_pages() -> None:
    frame = pool("questions", 400, block=4)
    classes = ["normal", "normal", "sleep", "artifact"] * 50 + ["sleep"] * 40 + ["normal"] * 160
    frame = frame.with_columns(page_class=pl.Series(classes))
    asked = recipe(
        mixture={"train": {"questions": 100}},
        caps={"normal_share": 0.4},
        balance="corpus_and_class",
        is_shortfall_allowed=True,
    )
    rows = select(asked, frame).rows
    assert 80 <= rows.height <= 100
    assert rows.filter(pl.col("page_class") == "normal").height <= 0.4 * rows.height
    assert set(rows.group_by("block_id").len()["len"]) == {4}


def test_classes_are_drawn_in_turn_within_each_corpus() -> None:
    sizes = {("hmc", "normal"): 500, ("hmc", "sleep"): 80, ("hmc", "epileptiform"): 6,
             ("tuab", "artifact"): 300, ("tuab", "normal"): 300}  # fmt: skip
    frame = pl.concat(pool("captions", n, c, page_class=k) for (c, k), n in sizes.items())
    asked = recipe(mixture={"train": {"captions": 50}}, balance="corpus_and_class")
    counts = select(asked, frame).rows.group_by("corpus", "page_class").len().rows()
    assert {(c, k): n for c, k, n in counts} == {
        ("hmc", "normal"): 11, ("hmc", "sleep"): 11, ("hmc", "epileptiform"): 6,
        ("tuab", "artifact"): 11, ("tuab", "normal"): 11,
    }  # fmt: skip


def test_kinds_asked_in_equal_number_come_out_equal_beside_blocks() -> None:
    kinds = ("descriptions", "teacher_questions", "dialogues")
    frame = pl.concat(
        pool(kind, 48, block=4 if kind == "teacher_questions" else 1) for kind in kinds
    )
    asked = recipe(mixture={"train": dict.fromkeys(kinds, 31)}, scale="to_present")
    assert drawn(select(asked, frame)) == dict.fromkeys(sorted(kinds), 28)


def test_a_page_is_of_the_most_telling_class_that_may_be_said() -> None:
    findings = pl.DataFrame(
        [("a", "blink", False), ("a", "spike", False), ("b", "spindle", True), ("b", "voltage", False),
         ("c", "focal_slowing", False), ("c", "spindle", False), ("d", "blink", False)],
        schema=["segment_id", "kind", "is_masked"], orient="row",
    )  # fmt: skip
    found = page_classes(pl.Series("segment_id", ["e", "d", "c", "b", "a"]), findings)
    assert found.to_list() == ["normal", "artifact", "slowing", "normal", "epileptiform"]


@pytest.fixture
def load(shard_tables: Tables) -> Callable[[str], ShardTables | None]:
    tables = planted_shard(shard_tables)
    pairs = pl.DataFrame(
        {
            "segment_id": [f"gen-{i}" for i in range(12)], "sample_id": [f"gen-{i}" for i in range(12)],
            "messages": [[{"role": "user", "content": f"What is number {i}?"},
                          {"role": "assistant", "content": f"A picture of {i} things."}]
                         for i in range(12)],
        }
    )  # fmt: skip
    segments = pairs.select(
        "segment_id", corpus=pl.lit("cosyn"), subject_id=pl.col("segment_id"), split=pl.lit("train"),
        licence=pl.lit("ODC-BY-1.0"), is_gated=pl.lit(False), is_simulated=pl.lit(False),
        pathology=pl.lit(0), page_class=pl.lit(""),
    )  # fmt: skip
    general = ShardTables(
        segments, {GENERAL: pairs}, tables.render, {"ODC-BY-1.0": "https://terms.example/odc"}
    )
    return {"a-01-of-01": tables, GENERAL: general}.get


def test_every_kind_and_the_general_pairs_make_one_release(
    load: Callable[[str], ShardTables | None], tmp_path: Path
) -> None:
    each = {kind: 40 for kind in TEXTS} | {"questions": 80, "general": 40}
    asked = recipe(
        mixture={"train": each}, general={"cosyn": 1}, scale="to_present", images=["page", "topomap"],
        duplicates={"threshold": 0.95, "kinds": ["general"]},
    )  # fmt: skip
    report = build_release(asked, load, tmp_path / "r", {"cosyn": (7, 2, "as printed")})
    counts = report.counts["train"]
    assert counts == {kind: 12 for kind in TEXTS} | {"questions": 24, "general": 12}
    rows = pl.read_parquet(tmp_path / "r" / "train-00000.parquet")
    for row in rows.iter_rows(named=True):
        n_pictures = 1 if row["kind"] == "general" else 2
        assert len(row["images"]) == n_pictures
        assert row["messages"][0]["content"].startswith("<image>\n" * n_pictures)
    assert {(line.licence, line.n_rows) for line in report.ledger} == {
        ("CC0-1.0", 84), ("ODC-BY-1.0", 12),
    }  # fmt: skip
    licences = (tmp_path / "r" / "LICENCES.md").read_text()
    assert "| ODC-BY-1.0 | 12 | cosyn | https://terms.example/odc | yes" in licences
    splits = (tmp_path / "r" / "SPLITS.md").read_text()
    assert "12 of 40" in splits
    assert "| cosyn | 12 | 0 | 0 | 7 | 2 | as printed |" in splits
    assert read_manifest(tmp_path / "r")["drawing"]["factors"]["train"] == "3/10"
    assert report.drawing.duplicates == {"general": 0}
    classes = report.drawing.classes["train/captions"]
    assert sum(classes.values()) == 12
    card = (tmp_path / "r" / "README.md").read_text()
    assert (
        f"{100 * classes.get('normal', 0) / 12:.1f} % |" in card.split("## What the pages show")[1]
    )


def test_absent_general_pairs_are_named_as_absent(
    load: Callable[[str], ShardTables | None], tmp_path: Path
) -> None:
    asked = recipe(mixture={"train": {"captions": 4, "general": 4}}, general={"cosyn": 1},
                   is_shortfall_allowed=True)  # fmt: skip
    report = build_release(asked, lambda key: None if key == GENERAL else load(key), tmp_path / "r")
    assert report.absent_shards == (GENERAL,)
    assert report.shortfalls["train/general"] == (4, 0)


def test_the_published_mixtures_are_shipped() -> None:
    one, two = releases()["cerebragloss-stage1"], releases()["cerebragloss-stage2"]
    assert (one.wanted("train", "captions"), one.wanted("train", "general")) == (1_400_000, 558_000)
    stage2 = two.asked()["train"]
    taught = [stage2[kind] for kind in ("descriptions", "teacher_questions", "dialogues")]
    assert len(set(taught)) == 1
    assert 94_000 - 3 < sum(taught) <= 94_000
    assert (stage2["questions"], stage2["captions"], stage2["general"]) == (100_000, 50_000, 50_000)
    narrated = releases()["neurocorpus"]
    assert narrated.images == ("page", "topomap")
    assert len({shard.rsplit("-", 3)[0] for shard in narrated.shards}) == 16
    assert narrated.windows is not None
    assert narrated.windows.cap("train", "hmc") == 25_000
    assert narrated.windows.cap("train", "tuab") == 20_000


RECIPE_TEXT = "name: {name}\nversion: 1.0.0\nshards: [hmc-01-of-24]\nmixture: {{}}\n"


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NEUROGLOSS_RELEASES", str(tmp_path))
    releases.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    releases.cache_clear()


def test_recipes_of_a_users_folder_stand_beside_the_shipped_ones(own_folder: Path) -> None:
    (own_folder / "mine.yaml").write_text(RECIPE_TEXT.format(name="mine"))
    assert {"mine", "demo", "neurocorpus"} <= set(releases())


@pytest.mark.parametrize(
    ("file", "name", "says"),
    [("demo", "demo", "two recipes are named 'demo'"), ("mine", "yours", "names itself 'yours'")],
)
def test_a_users_recipe_cannot_take_a_name(
    own_folder: Path, file: str, name: str, says: str
) -> None:
    (own_folder / f"{file}.yaml").write_text(RECIPE_TEXT.format(name=name))
    with pytest.raises(ReleaseError, match=says):
        releases()


def test_a_users_folder_that_is_not_there_is_one_sentence(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROGLOSS_RELEASES", str(own_folder / "nowhere"))
    with pytest.raises(ReleaseError, match="which is not a folder"):
        releases()
