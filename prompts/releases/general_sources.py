"""The published sets of general pictures and text: where their files lie and what a row of them is.

Rows are read one by one and held to a strict schema; one that does not fit is handed on as such. Which
rows are taken, and their pictures, is in ``general_pairs``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_MARK = "<image>"
_CHUNK_CHARS = 1 << 20

BAD_ROW = "row does not fit the schema"
BAD_TURNS = "turns do not alternate from a question to an answer"
BAD_MARK = "picture is not named once, in the first turn"


class GeneralPairsError(RuntimeError):
    """General pairs that cannot be read at all; the folder has to change first."""

    is_retryable = False


@dataclass(frozen=True, slots=True)
class RawPair:
    """One row as its file has it.

    Parameters
    ----------
    row_id
        As the set names it.
    messages
        User and assistant turns in turn, the picture's mark taken out.
    picture
        File name of the picture, or None where the row holds it.
    """

    row_id: str
    messages: tuple[tuple[str, str], ...]
    picture: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """One row that was set aside, with its cause from a closed list."""

    row_id: str
    cause: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one set: where rows are, and folders pictures are looked for in, in order."""

    rows: tuple[Path, ...]
    pictures: tuple[Path, ...]


ReadRows = Callable[[Files, bool], Iterator[tuple[RawPair | Refused, bytes | None]]]
"""Files, and whether pictures held in the rows are wanted, to rows in stored order."""


@dataclass(frozen=True, slots=True)
class Source:
    """One published set.

    Parameters
    ----------
    name
        Stands in the column ``corpus`` of a release.
    find
        Root folder to its files, or None where it is not there.
    read
        Its rows.
    licence, terms
        Licence id, and where the terms are.
    is_gated
        Whether rows may not leave the storage root: the pictures are other people's.
    """

    name: str
    find: Callable[[Path], Files | None]
    read: ReadRows
    licence: str
    terms: str
    is_gated: bool


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    speaker: Literal["human", "gpt"] = Field(alias="from")
    value: str = Field(min_length=1)


class _LlavaRow(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str | int
    image: str = Field(min_length=1)
    conversations: list[_Turn] = Field(min_length=2)


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    explanation: str | None = None


class _CosynRow(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    id: str
    qa_pairs: list[_Answered] = Field(min_length=1)


def _json_beside_pictures(file: str, folders: Sequence[str]) -> Callable[[Path], Files | None]:
    def find(root: Path) -> Files | None:
        depths = ("", "*/", "*/*/")
        rows = next((p for depth in depths for p in sorted(root.glob(f"{depth}{file}"))), None)
        if rows is None:
            return None
        return Files(
            (rows,), tuple(base / folder for base in (rows.parent, root) for folder in folders)
        )

    return find


def _parquet_below(folder: str) -> Callable[[Path], Files | None]:
    def find(root: Path) -> Files | None:
        rows = tuple(sorted((root / folder).glob("**/train*.parquet")))
        return Files(rows, ()) if rows else None

    return find


def _llava_rows(files: Files, _: bool) -> Iterator[tuple[RawPair | Refused, bytes | None]]:
    for path in files.rows:
        for number, item in enumerate(_array_items(path)):
            yield _llava_row(number, item), None


def _llava_row(number: int, item: Any) -> RawPair | Refused:
    name = str(item.get("id", number)) if isinstance(item, Mapping) else str(number)
    try:
        row = _LlavaRow.model_validate(item)
    except ValidationError as error:
        return Refused(name, BAD_ROW, _first(error))
    speakers = [turn.speaker for turn in row.conversations]
    if speakers != ["human", "gpt"] * (len(speakers) // 2):
        return Refused(name, BAD_TURNS)
    said = [turn.value for turn in row.conversations]
    if said[0].count(_MARK) != 1 or any(_MARK in text for text in said[1:]):
        return Refused(name, BAD_MARK)
    said[0] = said[0].replace(_MARK, "").strip()
    if not all(text.strip() for text in said):
        return Refused(name, BAD_ROW, "a turn holds no words")
    roles = ("user", "assistant") * (len(said) // 2)
    return RawPair(name, tuple(zip(roles, said, strict=True)), row.image)


def _cosyn_rows(
    files: Files, is_with_pictures: bool
) -> Iterator[tuple[RawPair | Refused, bytes | None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["id", "qa_pairs", *(["image"] if is_with_pictures else [])]
    for path in files.rows:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(16, columns=columns):
                    for row in batch.to_pylist():
                        picture = (row.pop("image", None) or {}).get("bytes")
                        yield _cosyn_row(row), picture
        except (pa.ArrowException, OSError) as error:
            raise GeneralPairsError(
                f"file {path.name!r} of CoSyn cannot be read: {error}; download it again"
            ) from error


def _cosyn_row(item: Mapping[str, Any]) -> RawPair | Refused:
    pairs = item["qa_pairs"]
    if isinstance(pairs, Mapping):  # a sequence of structs may be stored as a struct of sequences
        lists = {key: values or [] for key, values in pairs.items()}
        pairs = [dict(zip(lists, row, strict=False)) for row in zip(*lists.values(), strict=False)]
    try:
        row = _CosynRow.model_validate({"id": item["id"], "qa_pairs": pairs})
    except ValidationError as error:
        return Refused(str(item["id"]), BAD_ROW, _first(error))
    turns = (
        [("user", a.question) for a in row.qa_pairs],
        [("assistant", a.answer) for a in row.qa_pairs],
    )
    messages = tuple(turn for both in zip(*turns, strict=True) for turn in both)
    if any(_MARK in text for _, text in messages):
        return Refused(row.id, BAD_MARK)
    return RawPair(row.id, messages, None)


def _array_items(path: Path) -> Iterator[Any]:
    """Yield the items of a JSON array without holding more than one and a chunk."""
    decoder, place, held = json.JSONDecoder(), 0, ""
    n_items = 0
    with path.open(encoding="utf-8") as file:
        held = file.read(_CHUNK_CHARS).lstrip()
        if not held.startswith("["):
            raise GeneralPairsError(f"file {path.name!r} is no JSON array; download it again")
        place = 1
        while True:
            while place < len(held) and held[place] in " \t\r\n,":
                place += 1
            if held[place : place + 1] == "]":
                return
            try:
                item, place = decoder.raw_decode(held, place)
            except json.JSONDecodeError:
                more = file.read(_CHUNK_CHARS)
                if not more:
                    raise GeneralPairsError(
                        f"file {path.name!r} is cut off or no JSON after {n_items} rows; "
                        "download it again"
                    ) from None
                held, place = held[place:] + more, 0
                continue
            n_items += 1
            yield item


def _first(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source(
                "llava-pretrain",
                _json_beside_pictures("blip_laion_cc_sbu_558k.json", ("", "images")),
                _llava_rows,
                "LicenseRef-LLaVA-Pretrain",
                "https://huggingface.co/datasets/liuhaotian/LLaVA-Pretrain",
                is_gated=True,
            ),
            Source(
                "llava-instruct",
                _json_beside_pictures(
                    "llava_instruct_150k.json", ("", "images", "train2017", "coco/train2017")
                ),
                _llava_rows,
                "LicenseRef-LLaVA-Instruct-CC-BY-NC-4.0-COCO",
                "https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K",
                is_gated=True,
            ),
            Source(
                "cosyn",
                _parquet_below("CoSyn-400K"),
                _cosyn_rows,
                "ODC-BY-1.0",
                "https://huggingface.co/datasets/allenai/CoSyn-400K",
                is_gated=False,
            ),
        )
    }
)
"""The sets CerebraGloss names. Text of the first two may be passed on under its terms; their pictures
(web crawls, COCO from Flickr) belong to others, so whole rows stay."""
