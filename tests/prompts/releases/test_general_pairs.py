"""General pairs: every row of a set becomes a pair, is not drawn, or is set aside with its cause."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import general_sets as sets
import pytest
from PIL import Image

from prompts.releases.general_pairs import PairLimits, SourceTally, general_pairs, sources_below
from prompts.releases.general_sources import SOURCES, GeneralPairsError, Refused
from prompts.releases.recipe import Duplicates


def read(
    root: Path, name: str, seed: int = 0, **limits: Any
) -> tuple[list[dict[str, Any]], list[Refused], SourceTally]:
    tally = SourceTally()
    found = list(
        general_pairs(SOURCES[name], sources_below(root)[name], PairLimits(**limits), seed, tally)
    )
    pairs = [row for row in found if isinstance(row, dict)]
    refused = [row for row in found if isinstance(row, Refused)]
    assert tally.n_rows == len(pairs) + tally.n_not_drawn + len(refused)
    assert tally.n_pairs == len(pairs)
    assert tally.refused.total() == len(refused)
    return pairs, refused, tally


def write_one(root: Path, row: Any, data: bytes | None = None) -> None:
    pictures = {} if data is None else {"00000/a.jpg": data}
    rows = [sets.llava_row(7, "00000/good.jpg"), row]
    write = {"00000/good.jpg": sets.picture(7), **pictures}
    sets.write_llava(root / "LLaVA-Pretrain", "blip_laion_cc_sbu_558k.json", rows, write)


@pytest.mark.parametrize(
    ("name", "write", "n_pairs", "n_turns"),
    [
        ("llava-pretrain", sets.write_pretrain, 20, 2),
        ("llava-instruct", sets.write_instruct, 10, 6),
        ("cosyn", sets.write_cosyn, 8, 4),
    ],
)
def test_every_row_of_a_whole_set_is_a_pair(
    tmp_path: Path, name: str, write: Any, n_pairs: int, n_turns: int
) -> None:
    write(tmp_path)
    pairs, refused, _ = read(tmp_path, name)
    assert (len(pairs), refused) == (n_pairs, [])
    assert len({pair["sample_id"] for pair in pairs}) == n_pairs
    for pair in pairs:
        roles = [turn["role"] for turn in pair["messages"]]
        assert roles == ["user", "assistant"] * (n_turns // 2)
        assert "<image>" not in "".join(turn["content"] for turn in pair["messages"])
        assert Image.open(io.BytesIO(pair["image"])).size == (pair["width_px"], pair["height_px"])
        assert pair["terms"].startswith("https://")
    assert {pair["is_gated"] for pair in pairs} == {name != "cosyn"}


def test_a_pair_says_what_its_row_says(tmp_path: Path) -> None:
    sets.write_pretrain(tmp_path, 3)
    pairs, _, _ = read(tmp_path, "llava-pretrain")
    by_row = {pair["row_id"]: pair for pair in pairs}
    assert by_row["000000002"]["messages"] == [
        {"role": "user", "content": "What is in picture 2, part 0?"},
        {"role": "assistant", "content": sets.caption(2)},
    ]
    assert by_row["000000002"]["image"] == sets.picture(2)


@pytest.mark.parametrize("is_columnar", [False, True], ids=["list of structs", "struct of lists"])
def test_cosyn_is_read_in_both_encodings_of_a_sequence(tmp_path: Path, is_columnar: bool) -> None:
    sets.write_cosyn(tmp_path, is_columnar=is_columnar)
    pairs, refused, _ = read(tmp_path, "cosyn")
    assert refused == []
    one = next(pair for pair in pairs if pair["row_id"] == "chart_3")
    assert [turn["content"] for turn in one["messages"]] == [
        "Bar 0 of chart 3: how high?", "3 units", "Bar 1 of chart 3: how high?", "4 units",
    ]  # fmt: skip
    assert one["image"] == sets.picture(203, "PNG")


BAD_ROW = "row does not fit the schema"
BAD_TURNS = "turns do not alternate from a question to an answer"
BAD_MARK = "picture is not named once, in the first turn"
GOOD = {"from": "gpt", "value": "Something else entirely."}
ASKED = {"from": "human", "value": "<image>\nWhat?"}


def said(*turns: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"id": "x", "image": "a", "conversations": list(turns)} | more


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"id": "x", "conversations": [ASKED, GOOD]}, BAD_ROW),
        ({"id": "x", "image": 3, "conversations": [ASKED, GOOD]}, BAD_ROW),
        (said(ASKED, GOOD, more=1), BAD_ROW),
        (said(ASKED), BAD_ROW),
        (said(ASKED, {"from": "bot", "value": "b"}), BAD_ROW),
        (said(ASKED, {"from": "gpt", "value": ""}), BAD_ROW),
        (said(ASKED, {"from": "gpt", "value": "  "}), BAD_ROW),
        ("no row", BAD_ROW),
        (None, BAD_ROW),
        (said(GOOD, ASKED), BAD_TURNS),
        (said(ASKED, GOOD, GOOD), BAD_TURNS),
        (said({"from": "human", "value": "What?"}, GOOD), BAD_MARK),
        (said({"from": "human", "value": "<image><image>?"}, GOOD), BAD_MARK),
        (said(ASKED, GOOD, ASKED, GOOD), BAD_MARK),
        (sets.llava_row(1, "00000/none.jpg"), "picture is missing"),
        (sets.llava_row(1, "../secret.jpg"), "picture is named outside its folder"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_cause(tmp_path: Path, row: Any, cause: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(sets.picture(3))
    write_one(tmp_path, row)
    pairs, refused, _ = read(tmp_path, "llava-pretrain")
    assert [pair["row_id"] for pair in pairs] == ["000000007"]
    assert [one.cause for one in refused] == [cause]


def test_an_absolute_path_is_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(sets.picture(3))
    write_one(tmp_path / "sets", sets.llava_row(1, str(tmp_path / "secret.jpg")))
    _, refused, _ = read(tmp_path / "sets", "llava-pretrain")
    assert [one.cause for one in refused] == ["picture is named outside its folder"]


WHOLE = sets.picture(1)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "picture cannot be read"),
        (b"<html>not found</html>", "picture cannot be read"),
        (WHOLE[: len(WHOLE) // 2], "picture cannot be read"),
        (sets.picture(1, "PNG")[:-20], "picture cannot be read"),
        (sets.picture(1, "BMP"), "picture is neither PNG nor JPEG"),
        (sets.picture(1, size=(27, 200)), "picture is too small"),
        (sets.picture(1, size=(600, 40)), "picture is too large"),
        (WHOLE + bytes(20_000), "picture is too large"),
    ],
    ids=["empty", "web page", "cut JPEG", "cut PNG", "other", "narrow", "wide", "heavy"],
)
def test_a_bad_picture_is_set_aside_with_its_cause(tmp_path: Path, data: bytes, cause: str) -> None:
    write_one(tmp_path, sets.llava_row(1, "00000/a.jpg"), data)
    pairs, refused, _ = read(tmp_path, "llava-pretrain", max_side_px=500, max_bytes=20_000)
    assert len(pairs) == 1
    assert [one.cause for one in refused] == [cause]


def test_bad_rows_of_cosyn_are_set_aside(tmp_path: Path) -> None:
    rows = [sets.cosyn_row(i) for i in range(6)]
    rows[1]["image"]["bytes"] = None
    rows[2]["qa_pairs"][0]["answer"] = ""
    rows[3]["qa_pairs"][0]["question"] = "<image> What?"
    rows[4]["image"]["bytes"] = b"none"
    sets.write_cosyn(tmp_path, rows)
    pairs, refused, _ = read(tmp_path, "cosyn")
    assert sorted(pair["row_id"] for pair in pairs) == ["chart_0", "chart_5"]
    assert {one.row_id: one.cause for one in refused} == {
        "chart_1": "picture is missing", "chart_2": "row does not fit the schema",
        "chart_3": "picture is not named once, in the first turn", "chart_4": "picture cannot be read",
    }  # fmt: skip


def test_the_same_pair_again_is_taken_once(tmp_path: Path) -> None:
    row = sets.llava_row(7, "00000/good.jpg", id="again")
    write_one(tmp_path, row)
    pairs, refused, _ = read(tmp_path, "llava-pretrain")
    assert len(pairs) == 1
    assert [(one.row_id, one.cause) for one in refused] == [
        ("again", "same picture and text again")
    ]


def test_near_duplicate_texts_are_taken_once(tmp_path: Path) -> None:
    said = " ".join(sets.caption(i) for i in range(8))
    rows = [sets.llava_row(i, "00000/a.jpg") for i in range(3)]
    rows[0]["conversations"][1]["value"] = said
    rows[1]["conversations"][0]["value"] = rows[0]["conversations"][0]["value"]
    rows[1]["conversations"][1]["value"] = f"{said} indeed"
    folder = tmp_path / "LLaVA-Pretrain"
    sets.write_llava(folder, "blip_laion_cc_sbu_558k.json", rows, {"00000/a.jpg": sets.picture(1)})
    asked = Duplicates(threshold=0.8, kinds=("general",))
    pairs, refused, _ = read(tmp_path, "llava-pretrain", duplicates=asked)
    assert len(pairs) == 2
    assert [one.cause for one in refused] == ["near-duplicate text"]
    assert len(read(tmp_path, "llava-pretrain")[0]) == 3


def test_long_texts_are_set_aside(tmp_path: Path) -> None:
    sets.write_instruct(tmp_path, 3)
    _, refused, _ = read(tmp_path, "llava-instruct", max_chars=100)
    assert {one.cause for one in refused} == {"text is too long"}


def test_a_draw_is_exact_by_seed_and_the_same_again(tmp_path: Path) -> None:
    sets.write_pretrain(tmp_path)
    first, _, tally = read(tmp_path, "llava-pretrain", n_pairs=8)
    again, _, _ = read(tmp_path, "llava-pretrain", n_pairs=8)
    other, _, _ = read(tmp_path, "llava-pretrain", seed=1, n_pairs=8)
    assert (len(first), tally.n_not_drawn) == (8, 12)
    assert first == again
    assert [pair["row_id"] for pair in first] != [pair["row_id"] for pair in other]
    more = {pair["row_id"] for pair in read(tmp_path, "llava-pretrain", n_pairs=12)[0]}
    assert {pair["row_id"] for pair in first} < more


@pytest.mark.parametrize("cut", [1, 200, -3], ids=["at once", "within a row", "before the end"])
def test_a_file_that_is_cut_off_is_an_error_and_not_a_short_set(tmp_path: Path, cut: int) -> None:
    sets.write_pretrain(tmp_path, 4)
    path = tmp_path / "LLaVA-Pretrain" / "blip_laion_cc_sbu_558k.json"
    path.write_text(path.read_text()[:cut])
    with pytest.raises(GeneralPairsError, match="is cut off or no JSON after") as caught:
        read(tmp_path, "llava-pretrain")
    assert not caught.value.is_retryable


def test_a_file_larger_than_the_reading_chunk_is_read_whole(tmp_path: Path) -> None:
    rows = [sets.llava_row(i, "00000/a.jpg") for i in range(400)]
    for row in rows:
        row["conversations"][1]["value"] += " µ " * 1500
    folder = tmp_path / "LLaVA-Pretrain"
    sets.write_llava(folder, "blip_laion_cc_sbu_558k.json", rows, {"00000/a.jpg": sets.picture(1)})
    (folder / "blip_laion_cc_sbu_558k.json").write_text(json.dumps(rows, ensure_ascii=False))
    assert len(read(tmp_path, "llava-pretrain")[0]) == 400


def test_sets_are_found_where_they_lie_and_named_where_they_do_not(tmp_path: Path) -> None:
    with pytest.raises(GeneralPairsError, match="holds none of the general sets"):
        sources_below(tmp_path)
    with pytest.raises(GeneralPairsError, match="is not a folder"):
        sources_below(tmp_path / "nowhere")
    sets.write_pretrain(tmp_path / "deeper", 2)
    assert set(sources_below(tmp_path)) == {"llava-pretrain"}


def test_a_parquet_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    sets.write_cosyn(tmp_path)
    (tmp_path / "CoSyn-400K" / "chart" / "train-00000-of-00002.parquet").write_bytes(b"PAR1 none")
    with pytest.raises(GeneralPairsError, match="cannot be read"):
        read(tmp_path, "cosyn")
