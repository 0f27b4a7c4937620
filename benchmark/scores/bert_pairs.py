"""BERTScore of many pairs in a process of its own, so that scoring never imports torch.

The graph writes the pairs it needs, ``python -m benchmark embed`` writes their values and the
encoder's name beside them, and :class:`StoredOverlap` stands for the encoder when scores are made.
What is computed is in ``scores/bert_overlap.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.asking.exchange import write_bytes
from benchmark.errors import BenchmarkError

_PAIRS = pa.schema([("reference", pa.string()), ("answer", pa.string())])
_NOTE = b"encoder_note"


class TextEncoder(Protocol):
    """Anything that gives BERTScore and says what it is."""

    @property
    def note(self) -> str:
        """What a reader must know beside the value."""

    def scores(self, references: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Return F1 x100 of each pair."""


@dataclass(frozen=True, slots=True)
class StoredOverlap:
    """Values that were computed before.

    Parameters
    ----------
    values
        F1 x100 by (reference, answer).
    note
        The encoder, in words.
    """

    values: Mapping[tuple[str, str], float]
    note: str

    def scores(self, references: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Return F1 x100 of each pair.

        Raises
        ------
        BenchmarkError
            If a pair was not computed.
        """
        pairs = list(zip(references, answers, strict=True))
        missing = sum(pair not in self.values for pair in pairs)
        if missing:
            raise BenchmarkError(
                f"{missing} of {len(pairs)} pairs have no BERTScore; embed them anew"
            )
        return [self.values[pair] for pair in pairs]


def write_pairs(path: Path, pairs: Iterable[tuple[str, str]]) -> int:
    """Write pairs of reference and answer, each once; return how many."""
    once = sorted(set(pairs))
    rows = [{"reference": reference, "answer": answer} for reference, answer in once]
    _write(path, pa.Table.from_pylist(rows, schema=_PAIRS))
    return len(once)


def embed_pairs(pairs: Path, encoder: Path, layer: int | None, out: Path) -> int:
    """Compute BERTScore of stored pairs; return how many.

    Raises
    ------
    BenchmarkError
        If the pairs cannot be read or the folder holds no encoder.
    """
    from benchmark.scores.bert_overlap import BertOverlap

    rows = _read(pairs).select(_PAIRS.names).to_pydict()
    model = BertOverlap(encoder, layer)
    values = model.scores(rows["reference"], rows["answer"])
    table = pa.table({**rows, "value": pa.array(values, pa.float64())})
    _write(out, table.replace_schema_metadata({_NOTE: json.dumps(model.note).encode()}))
    return len(values)


def read_values(path: Path) -> StoredOverlap:
    """Read what :func:`embed_pairs` wrote.

    Raises
    ------
    BenchmarkError
        If the file is no such table.
    """
    table = _read(path)
    metadata = table.schema.metadata or {}
    if _NOTE not in metadata or "value" not in table.column_names:
        raise BenchmarkError(f"{str(path)!r} holds no BERTScore values; embed the pairs anew")
    rows = table.to_pydict()
    keys = zip(rows["reference"], rows["answer"], strict=True)
    values = dict(zip(keys, rows["value"], strict=True))
    return StoredOverlap(values, str(json.loads(metadata[_NOTE])))


def _write(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise BenchmarkError(f"{str(path)!r} is not a file; write it before it is read")
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BenchmarkError(f"{str(path)!r} is no readable Parquet file: {error}") from error
