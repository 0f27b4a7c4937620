"""Files of a release: the Arrow schema that shows images as images, the streaming writer, the report.

Rows go to disk in small groups, so memory stays at a group of pages however large a release is.
What rows hold is decided in ``rows``; what the folder holds, in ``build``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 32
"""Rows held in memory and written as one row group: about 3 MB of pages."""
ROWS_PER_FILE = 4096
"""Rows of one file: some 400 MB of pages (the hub's advice is at most 500 MB)."""

_TEXT = {"dtype": "string", "_type": "Value"}
_BOOL = {"dtype": "bool", "_type": "Value"}


def _list(feature: Any) -> dict[str, Any]:
    return {"feature": feature, "_type": "List"}


_FEATURES: dict[str, tuple[pa.DataType, Any]] = {
    "id": (pa.string(), _TEXT),
    "images": (
        pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        _list({"_type": "Image"}),
    ),
    "messages": (
        pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        _list({"role": _TEXT, "content": _TEXT}),
    ),
    "kind": (pa.string(), _TEXT),
    "corpus": (pa.string(), _TEXT),
    "subject_id": (pa.string(), _TEXT),
    "split": (pa.string(), _TEXT),
    "segment_ids": (pa.list_(pa.string()), _list(_TEXT)),
    "sentences": (
        pa.list_(pa.struct({"text": pa.string(), "evidence": pa.list_(pa.string())})),
        _list({"text": _TEXT, "evidence": _list(_TEXT)}),
    ),
    "evidence": (pa.list_(pa.string()), _list(_TEXT)),
    "prompt_hash": (pa.string(), _TEXT),
    "teacher": (pa.string(), _TEXT),
    "is_simulated": (pa.bool_(), _BOOL),
    "is_offline_teacher": (pa.bool_(), _BOOL),
    "cost_usd": (pa.float64(), {"dtype": "float64", "_type": "Value"}),
    "grounding": (pa.string(), _TEXT),
    "licence": (pa.string(), _TEXT),
    "is_gated": (pa.bool_(), _BOOL),
}

COLUMN_MEANINGS = {
    "id": "sample id, stable over rebuilds",
    "images": "the EEG page as PNG, 1288 x 896 pixels, then its maps; of general rows any picture",
    "messages": "conversation; the first user turn starts with <image>, once per picture",
    "kind": "captions, questions, narratives, dialogues, descriptions, teacher_questions or general",
    "corpus": "registry key of the corpus; of general rows their source",
    "subject_id": "salted hash of the identity; splits are disjoint by it",
    "split": "train, validation or test",
    "segment_ids": "the page, then the earlier pages a narrative compares with, latest first",
    "sentences": "what is said, with the finding, judgement and feature ids behind it",
    "evidence": "all those ids",
    "prompt_hash": "hash of the prompt and reply schema, or of the user phrasings",
    "teacher": "who wrote the text: rules, the offline template writer, or a model",
    "is_simulated": "the page is simulated, not recorded from a person",
    "is_offline_teacher": "written by the offline template writer, not by a model",
    "cost_usd": "price paid to the teacher for this row",
    "grounding": "verdict of the grounding check; not checked: general rows",
    "licence": "licence id of the corpus; LICENCES.md says where its text is",
    "is_gated": "the row may not leave the storage root",
}


def release_schema() -> pa.Schema:
    """Return the Arrow schema with the metadata by which ``datasets`` decodes images."""
    fields = [pa.field(name, dtype) for name, (dtype, _) in _FEATURES.items()]
    info = {"info": {"features": {name: feature for name, (_, feature) in _FEATURES.items()}}}
    return pa.schema(fields, metadata={"huggingface": json.dumps(info)})


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One Parquet file of a release."""

    name: str
    split: str
    n_rows: int
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the rows were drawn.

    Parameters
    ----------
    factors
        Split to what its counts were multiplied by, as a fraction; ``"1"`` where as asked.
    duplicates
        Kind to near-duplicate texts left out; only kinds looked through.
    classes
        ``split/kind`` to rows by class of their page.
    """

    factors: Mapping[str, str] = field(default_factory=dict)
    duplicates: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LicenceLine:
    """The rows under one licence: where its text is, of which corpora, and whether they may leave."""

    licence: str
    terms: str
    corpora: tuple[str, ...]
    n_rows: int
    may_leave: bool


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What was built.

    Parameters
    ----------
    folder
        Where it lies.
    content_hash
        Hash over the Parquet files: the data version.
    files
        The Parquet files.
    counts, asked
        ``split -> kind -> rows``, as written and as the recipe asks.
    drawing
        How they were drawn.
    subjects
        ``split -> subjects``.
    pages
        ``corpus -> split -> pages``; of general rows, pictures.
    by_corpus
        ``corpus -> rows``.
    shortfalls
        ``"<split>/<kind>" -> (wanted, there)``.
    shards, absent_shards
        Read, and named by the recipe but not materialised.
    n_simulated, n_offline_teacher, n_gated
        Rows with those flags.
    gated_corpora
        Corpora of the gated rows.
    licences
        ``licence id -> corpora``.
    ledger
        The same with rows, terms and whether they may leave the storage root.
    cost_usd
        Paid to teachers for the rows.
    """

    folder: Path
    content_hash: str
    files: tuple[WrittenFile, ...]
    counts: Mapping[str, Mapping[str, int]]
    asked: Mapping[str, Mapping[str, int]]
    drawing: Drawing
    subjects: Mapping[str, int]
    pages: Mapping[str, Mapping[str, int]]
    by_corpus: Mapping[str, int]
    shortfalls: Mapping[str, tuple[int, int]]
    shards: tuple[str, ...]
    absent_shards: tuple[str, ...]
    n_simulated: int
    n_offline_teacher: int
    n_gated: int
    gated_corpora: tuple[str, ...]
    licences: Mapping[str, tuple[str, ...]]
    ledger: tuple[LicenceLine, ...]
    cost_usd: float

    @property
    def n_rows(self) -> int:
        """Rows over all splits."""
        return sum(f.n_rows for f in self.files)


def write_split(rows: Iterable[dict[str, Any]], folder: Path, split: str) -> list[WrittenFile]:
    """Stream the rows of one split into numbered Parquet files.

    Parameters
    ----------
    rows
        Rows of :func:`prompts.releases.rows.release_rows`; read once.
    folder
        Where the files go.
    split
        Begins the file names.

    Returns
    -------
    list of WrittenFile
        Empty where there are no rows.
    """
    written: list[WrittenFile] = []
    writer: pq.ParquetWriter | None = None
    group: list[dict[str, Any]] = []
    n_in_file = 0
    for row in rows:
        if writer is None:
            writer = _open(folder / f"{split}-{len(written):05d}.parquet")
        group.append(row)
        n_in_file += 1
        if len(group) == ROWS_PER_GROUP or n_in_file == ROWS_PER_FILE:
            _flush(writer, group)
        if n_in_file == ROWS_PER_FILE:
            writer.close()
            written.append(_seal(folder, split, len(written), n_in_file))
            writer, n_in_file = None, 0
    if writer is not None:
        _flush(writer, group)
        writer.close()
        written.append(_seal(folder, split, len(written), n_in_file))
    return written


def write_text(path: Path, text: str) -> None:
    """Write a text file and force it to disk."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _open(path: Path) -> pq.ParquetWriter:
    # PNG is compressed already; the text columns are small beside it
    return pq.ParquetWriter(
        path,
        release_schema(),
        compression={"images.list.element.bytes": "none"},
        use_dictionary=["kind", "corpus"],
    )


def _flush(writer: pq.ParquetWriter, group: list[dict[str, Any]]) -> None:
    if group:
        writer.write_table(pa.Table.from_pylist(group, schema=release_schema()))
        group.clear()


def _seal(folder: Path, split: str, number: int, n_rows: int) -> WrittenFile:
    path = folder / f"{split}-{number:05d}.parquet"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while block := file.read(1 << 20):
            digest.update(block)
    return WrittenFile(path.name, split, n_rows, path.stat().st_size, digest.hexdigest())
