"""Copies for other trainers: held to the shapes their documentation states, strictly."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from release_tables import Tables, planted_shard

from prompts.leaving import Walls
from prompts.releases.build import build_release, read_manifest
from prompts.releases.export import export_release
from prompts.releases.recipe import Recipe, ReleaseError

RECIPE = Recipe.model_validate(
    {
        "name": "planted", "version": "0.1.0", "shards": ["planted-01-of-01"],
        "mixture": {"train": {"captions": 6, "questions": 8, "dialogues": 4}, "test": {"captions": 2}},
        "images": ["page", "topomap"],
    }
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Spoken(BaseModel):
    """LLaVA, docs/Finetune_Custom_Data.md: turns are ``from`` and ``value``."""

    model_config = ConfigDict(strict=True, extra="forbid")
    speaker: Literal["human", "gpt"] = Field(alias="from")
    value: str = Field(min_length=1)


class Llava(_Strict):
    id: str
    image: str | list[str]
    conversations: list[Spoken] = Field(min_length=2)


class Message(BaseModel):
    """LLaMA-Factory, data/README.md, OpenAI format; ms-swift, Custom-dataset.md, messages format."""

    model_config = ConfigDict(strict=True, extra="forbid")
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class WithMessages(_Strict):
    messages: list[Message] = Field(min_length=2)
    images: list[str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shard_tables: Tables) -> Path:
    home = tmp_path_factory.mktemp("home")
    tables = planted_shard(shard_tables)
    build_release(RECIPE, {"planted-01-of-01": tables}.get, home / "releases" / "planted")
    return home


@pytest.fixture
def export(home: Path, tmp_path: Path) -> Callable[[str], Path]:
    def run(wanted: str) -> Path:
        target = tmp_path / wanted
        export_release(home / "releases" / "planted", target, Walls(home, {}), wanted=wanted)
        return target

    return run


def stored(home: Path, split: str) -> dict[str, dict[str, Any]]:
    frame = pl.read_parquet(home / "releases" / "planted" / f"{split}-00000.parquet")
    return {row["id"]: row for row in frame.iter_rows(named=True)}


def assert_pictures(folder: Path, paths: list[str], row: dict[str, Any]) -> None:
    assert len(paths) == len(row["images"]) == 2
    for path, image in zip(paths, row["images"], strict=True):
        assert not Path(path).is_absolute()
        data = (folder / path).read_bytes()
        assert data == image["bytes"]
        Image.open(io.BytesIO(data)).verify()


def test_llava_rows_hold_the_same_conversation_and_pictures(
    home: Path, export: Callable[[str], Path]
) -> None:
    folder = export("llava")
    rows = json.loads((folder / "train.json").read_text())
    known = stored(home, "train")
    assert [row["id"] for row in rows] == list(known)
    for item in rows:
        row, made = known[item["id"]], Llava.model_validate(item)
        assert [t.value for t in made.conversations] == [m["content"] for m in row["messages"]]
        assert [t.speaker for t in made.conversations[:2]] == ["human", "gpt"]
        assert made.conversations[0].value.startswith("<image>\n<image>\n")
        assert isinstance(made.image, list)
        assert_pictures(folder, made.image, row)
        assert item["evidence"] == row["evidence"]
        assert item["licence"] == "CC0-1.0"


def test_one_picture_is_a_plain_path(shard_tables: Tables, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"images": ("page",)})
    tables = planted_shard(shard_tables)
    build_release(recipe, {"planted-01-of-01": tables}.get, tmp_path / "home" / "r")
    export_release(tmp_path / "home" / "r", tmp_path / "out", Walls(tmp_path, {}), wanted="llava")
    rows = json.loads((tmp_path / "out" / "test.json").read_text())
    assert all((tmp_path / "out" / row["image"]).is_file() for row in rows)


def test_llama_factory_finds_its_files_by_dataset_info(
    home: Path, export: Callable[[str], Path]
) -> None:
    folder = export("llama-factory")
    info = json.loads((folder / "dataset_info.json").read_text())
    assert list(info) == ["planted_train", "planted_test"]
    for name, entry in info.items():
        assert entry["formatting"] == "sharegpt"
        tags, columns = entry["tags"], entry["columns"]
        rows = json.loads((folder / entry["file_name"]).read_text())
        known = stored(home, name.removeprefix("planted_"))
        assert len(rows) == len(known)
        for item in rows:
            turns = item[columns["messages"]]
            roles = [turn[tags["role_tag"]] for turn in turns]
            assert roles == [tags["user_tag"], tags["assistant_tag"]] * (len(turns) // 2)
            text = "".join(turn[tags["content_tag"]] for turn in turns)
            assert text.count("<image>") == len(item[columns["images"]])
            assert_pictures(folder, item[columns["images"]], known[item["id"]])


def test_ms_swift_rows_are_one_object_a_line(home: Path, export: Callable[[str], Path]) -> None:
    folder = export("ms-swift")
    for split in ("train", "test"):
        known = stored(home, split)
        lines = (folder / f"{split}.jsonl").read_text().splitlines()
        assert len(lines) == len(known)
        for line in lines:
            item = json.loads(line)
            made = WithMessages.model_validate(item)
            assert "".join(m.content for m in made.messages).count("<image>") == len(made.images)
            assert_pictures(folder, made.images, known[item["id"]])


@pytest.mark.parametrize("wanted", ["llava", "llama-factory", "ms-swift"])
def test_a_copy_says_what_it_is_and_holds_each_picture_once(
    home: Path, export: Callable[[str], Path], wanted: str
) -> None:
    folder = export(wanted)
    manifest = read_manifest(folder)
    assert manifest["format"] == wanted
    assert {f["name"] for f in manifest["files"]} <= {p.name for p in folder.iterdir()}
    assert not list(folder.glob("*.parquet"))
    assert "Not a medical device" in (folder / "README.md").read_text()
    assert "simulated pages" in (folder / "CARD.md").read_text()
    pictures = [p.read_bytes() for p in (folder / "images").rglob("*.png")]
    rows = [*stored(home, "train").values(), *stored(home, "test").values()]
    assert (
        len(pictures) == len(set(pictures)) == len({i["bytes"] for r in rows for i in r["images"]})
    )


def test_an_unknown_format_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="format 'csv' is not known; choose parquet, llava"):
        export_release(
            home / "releases" / "planted", tmp_path / "out", Walls(home, {}), wanted="csv"
        )
    assert not list(tmp_path.iterdir())
