"""A copied release in the formats other trainers read: LLaVA, LLaMA-Factory and ms-swift.

Rows become JSON beside a folder of pictures, each picture once, named by its content. What may be
copied at all is decided in ``leaving``; the copy of Parquet files this starts from is made in
``export``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow.parquet as pq

from prompts.releases.files import WrittenFile, write_text
from prompts.releases.recipe import SPLITS, ReleaseError

PARQUET = "parquet"
IMAGES_FOLDER = "images"
CARD_OF_WHOLE = "CARD.md"

_PROVENANCE = (
    "kind", "corpus", "subject_id", "split", "segment_ids", "evidence", "prompt_hash", "teacher",
    "is_simulated", "is_offline_teacher", "grounding", "licence", "is_gated",
)  # fmt: skip
_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Parameters
    ----------
    row
        A row of a release and the paths of its pictures to a line of the file.
    suffix
        ``.json`` is one array, ``.jsonl`` one object a line.
    how_to_load
        For the folder's README; ``{name}`` is the release.
    index
        Release name and the written splits to further files.
    """

    row: Callable[[Row, list[str]], dict[str, Any]]
    suffix: str
    how_to_load: str
    index: Callable[[str, Sequence[str]], Mapping[str, Any]] = lambda name, splits: {}


def _llava(row: Row, images: list[str]) -> dict[str, Any]:
    turns = [{"from": _SPEAKERS[m["role"]], "value": m["content"]} for m in row["messages"]]
    pictures = {"image": images[0] if len(images) == 1 else images} if images else {}
    return {"id": row["id"], **pictures, "conversations": turns, **_provenance(row)}


def _with_messages(row: Row, images: list[str]) -> dict[str, Any]:
    turns = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
    return {"messages": turns, "images": images, "id": row["id"], **_provenance(row)}


def _provenance(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in _PROVENANCE}


def _dataset_info(name: str, splits: Sequence[str]) -> Mapping[str, Any]:
    entries = {
        f"{name}_{split}": {
            "file_name": f"{split}.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
        for split in splits
    }
    return {"dataset_info.json": entries}


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "llava": Format(
            _llava,
            ".json",
            "Each file is an array in the shape of LLaVA and of Qwen-VL's fine-tuning code: `id`, "
            "`image` (a list where a row has several), `conversations`. Give `--data_path "
            "train.json --image_folder .` from this folder.",
        ),
        "llama-factory": Format(
            _with_messages,
            ".json",
            "Set `dataset_dir` to this folder (pictures are looked for there too) and `dataset: "
            "{name}_train`; `dataset_info.json` describes the files.",
            _dataset_info,
        ),
        "ms-swift": Format(
            _with_messages,
            ".jsonl",
            "Run `swift sft --dataset train.jsonl --val_dataset validation.jsonl` in this folder, or "
            "set ROOT_IMAGE_DIR to it: paths of pictures are relative to it.",
        ),
    }
)


def assert_known(wanted: str) -> None:
    """Refuse a format that is neither Parquet nor one of :data:`FORMATS`.

    Raises
    ------
    ReleaseError
        Naming those there are.
    """
    if wanted not in (PARQUET, *FORMATS):
        raise ReleaseError(
            f"format {wanted!r} is not known; choose {', '.join((PARQUET, *FORMATS))}"
        )


def convert(folder: Path, name: str, wanted: str) -> list[WrittenFile]:
    """Turn a copied release's Parquet files into a format, in place.

    Parameters
    ----------
    folder
        The copy; its Parquet files and the description made for them are replaced.
    name
        Release name.
    wanted
        A key of :data:`FORMATS`.

    """
    shape = FORMATS[wanted]
    written = []
    for split in SPLITS:
        sources = sorted(folder.glob(f"{split}-*.parquet"))
        if sources:
            rows = (row for source in sources for row in _rows(source))
            written.append(_write(shape, rows, folder, split))
        for source in sources:
            source.unlink()
    for file, content in shape.index(name, [file.split for file in written]).items():
        write_text(folder / file, json.dumps(content, indent=2) + "\n")
    (folder / "README.md").rename(folder / CARD_OF_WHOLE)
    (folder / "croissant.json").unlink(missing_ok=True)
    how = shape.how_to_load.replace("{name}", name)
    write_text(
        folder / "README.md",
        f"# {name} for {wanted}\n\n{how}\n\nPictures lie in `{IMAGES_FOLDER}/`, each once. The card of "
        f"the release, written for its Parquet files, is `{CARD_OF_WHOLE}`; licences of all rows are "
        "in `LICENCES.md`.\n\n**Research only. Not a medical device.**\n",
    )
    return written


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=32):
            yield from batch.to_pylist()


def _write(shape: Format, rows: Iterator[Row], folder: Path, split: str) -> WrittenFile:
    path = folder / f"{split}{shape.suffix}"
    is_array = shape.suffix == ".json"
    n_rows = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[\n" if is_array else "")
        for row in rows:
            line = shape.row(row, [_put(image["bytes"], folder) for image in row["images"]])
            file.write((",\n" if n_rows else "") if is_array else "")
            file.write(json.dumps(line, ensure_ascii=False) + ("" if is_array else "\n"))
            n_rows += 1
        file.write("\n]\n" if is_array else "")
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as made:
        digest = hashlib.file_digest(made, "sha256").hexdigest()
    return WrittenFile(path.name, split, n_rows, path.stat().st_size, digest)


def _put(data: bytes, folder: Path) -> str:
    """Write a picture under its content's name and return its path in the folder."""
    digest = hashlib.sha256(data).hexdigest()[:24]
    ending = ".jpg" if data.startswith(b"\xff\xd8") else ".png"
    place = f"{IMAGES_FOLDER}/{digest[:2]}/{digest}{ending}"
    path = folder / place
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return place
