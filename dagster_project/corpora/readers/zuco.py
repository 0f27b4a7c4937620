"""ZuCo result files: an array of sentence structs, each with its text and its EEG.

Version 1.0 comes as MATLAB version 5, version 2.0 as version 7.3. A file of version 5 is one
deflated struct array of gigabytes (every word's measures are inside), so it is read as a stream:
fields other than ``content`` and ``rawData`` are passed over unlooked at, and one sentence is held
at a time. Every sentence is one trial (:mod:`dagster_project.corpora.readers.trials`), its
annotation the sentence's text, which is this corpus' label. A sentence without EEG is a trial of
one sample that is no number, so that it is set aside with that cause and keeps its place.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.mat5 import check_hdf5, is_hdf5, top_elements
from dagster_project.corpora.readers.mat5_walk import (
    CHAR,
    MAT5_HEADER_BYTES,
    MATRIX,
    NUMERIC,
    STRUCT,
    FileStream,
    InflatedStream,
    Stream,
    Tag,
    byte_order,
    inflate,
    padded,
    read_tag,
)
from dagster_project.corpora.readers.trials import UV_PER_UNIT, Trial, TrialRecording, rate_of
from dagster_project.corpora.spec import Entry

VARIABLE = "sentenceData"
TEXT, SIGNAL = "content", "rawData"
MAX_SENTENCES = 10_000
MAX_SENTENCE_BYTES = 64 << 20
"""A minute of reading at 128 channels in doubles has 31 MB."""
MAX_TEXT_BYTES = 1 << 16
MAX_FIELDS = 256
_DTYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""NumPy types by element type (miINT8 ... miUINT64)."""
_TEXT_CODECS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""How characters are coded, by element type."""


class ZucoParams(Entry):
    """What a sentence's rows are.

    Parameters
    ----------
    channels
        Names of the rows of ``rawData`` in order.
    sfreq_hz, unit
        Rate, and what one step of the numbers is.
    """

    channels: tuple[str, ...] = Field(min_length=1)
    sfreq_hz: float = Field(gt=0)
    unit: Literal["V", "mV", "uV", "nV"]


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of the file; ``signal`` has shape (n_channels, n_samples), or is one number."""

    text: str
    signal: NDArray[Any]


class _Source(Protocol):
    format: str

    def sentences(self) -> Iterator[_Sentence]: ...
    def close(self) -> None: ...


class _Elements:
    """Elements of a version-5 struct array in order, each checked as it is read."""

    def __init__(self, stream: Stream, order: str) -> None:
        self._stream, self._order = stream, order

    def _tag(self) -> Tag:
        return read_tag(self._stream.read(8), self._order)

    def small(self, most: int) -> tuple[int, bytes]:
        """Read one element of at most so many bytes: its type and its data."""
        tag = self._tag()
        if tag.inside is not None:
            return tag.kind, tag.inside
        if tag.n_bytes > most:
            raise CorpusError("bad_header", f"an element of {tag.n_bytes} bytes; at most {most}")
        return tag.kind, self._stream.read(padded(tag.n_bytes))[: tag.n_bytes]

    def array_head(self) -> tuple[int, tuple[int, ...], str]:
        """Read an array's class, dimensions and name."""
        _, flags = self.small(8)
        _, dims = self.small(128)
        _, name = self.small(64)
        if len(flags) != 8 or len(dims) % 4 or len(dims) < 8:
            raise CorpusError("bad_header", "an array without flags or dimensions")
        (word,) = struct.unpack(f"{self._order}I", flags[:4])
        shape = struct.unpack(f"{self._order}{len(dims) // 4}i", dims)
        if min(shape) < 0:
            raise CorpusError("bad_header", "an array of negative size")
        if word & 0x0800:
            raise CorpusError("bad_header", "an array of complex numbers")
        return word & 0xFF, shape, name.decode("ascii", "replace")

    def field_names(self) -> list[str]:
        """Read the names of a struct array's fields."""
        _, raw = self.small(4)
        (width,) = struct.unpack(f"{self._order}i", raw) if len(raw) == 4 else (0,)
        if not 0 < width <= 64:
            raise CorpusError("bad_header", f"field names of {width} bytes")
        _, names = self.small(width * MAX_FIELDS)
        if len(names) % width:
            raise CorpusError("bad_header", "field names that do not fill their table")
        parts = (names[i : i + width] for i in range(0, len(names), width))
        return [part.partition(b"\0")[0].decode("ascii", "replace") for part in parts]

    def matrix(self, most: int, *, is_wanted: bool) -> bytes | NDArray[Any] | str | None:
        """Read an array of numbers or characters, or pass it over."""
        tag = self._tag()
        if tag.kind != MATRIX or tag.inside is not None:
            raise CorpusError("bad_header", f"element of type {tag.kind} instead of an array")
        if not is_wanted or tag.n_bytes == 0:
            self._stream.skip(tag.n_bytes)
            return None
        if tag.n_bytes > most:
            raise CorpusError("bad_header", f"an array of {tag.n_bytes} bytes; at most {most}")
        end = self._stream.at + tag.n_bytes
        kind, shape, _ = self.array_head()
        found: NDArray[Any] | str | None = None
        if kind in NUMERIC or kind == CHAR:
            code, raw = self.small(most)
            found = self._text(code, raw) if kind == CHAR else self._array(code, raw, shape)
        if self._stream.at > end:
            raise CorpusError("bad_header", "an array is longer than it declares")
        self._stream.skip(end - self._stream.at)
        return found

    def _array(self, code: int, raw: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
        if code not in _DTYPES:
            raise CorpusError("bad_header", f"numbers of type {code}")
        values = np.frombuffer(raw, dtype=f"{self._order}{_DTYPES[code]}")
        if values.size != np.prod(shape, dtype=object):
            raise CorpusError("bad_header", f"{values.size} numbers in an array of {shape}")
        return values.reshape(shape, order="F")

    def _text(self, code: int, raw: bytes) -> str:
        if code not in _TEXT_CODECS:
            raise CorpusError("bad_header", f"characters of type {code}")
        suffix = "" if _TEXT_CODECS[code] == "utf-8" else "-le" if self._order == "<" else "-be"
        return raw.decode(_TEXT_CODECS[code] + suffix, "replace")


class _Version5:
    """Sentences of a version-5 file, read as a stream."""

    format = "mat5"

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)

    def close(self) -> None:
        os.close(self._fd)

    def sentences(self) -> Iterator[_Sentence]:
        n_bytes = os.fstat(self._fd).st_size
        order = byte_order(os.pread(self._fd, MAT5_HEADER_BYTES, 0), n_bytes)
        for top in top_elements(self._fd, n_bytes, order):
            stream: Stream = FileStream(self._fd, top.at)
            if top.is_compressed:
                stream = InflatedStream(inflate(self._fd, top.at, top.n_bytes))
                stream.skip(8)
            elements = _Elements(stream, order)
            kind, shape, name = elements.array_head()
            if name == VARIABLE:
                yield from self._of(elements, kind, shape)
                return
        raise CorpusError("bad_header", f"no variable {VARIABLE}")

    def _of(self, elements: _Elements, kind: int, shape: tuple[int, ...]) -> Iterator[_Sentence]:
        n = int(np.prod(shape, dtype=object))
        if kind != STRUCT or n > MAX_SENTENCES:
            raise CorpusError("bad_header", f"{VARIABLE} is no struct array, or has {n} elements")
        fields = elements.field_names()
        if not {TEXT, SIGNAL} <= set(fields):
            raise CorpusError("bad_header", f"sentences without {TEXT} or {SIGNAL}")
        for _ in range(n):
            found = {}
            for field in fields:
                most = {TEXT: MAX_TEXT_BYTES, SIGNAL: MAX_SENTENCE_BYTES}.get(field, 0)
                value = elements.matrix(most, is_wanted=field in {TEXT, SIGNAL})
                if field in {TEXT, SIGNAL}:
                    found[field] = value
            text, signal = found[TEXT], found[SIGNAL]
            yield _Sentence(
                text if isinstance(text, str) else "",
                signal if isinstance(signal, np.ndarray) else _NOTHING,
            )


_NOTHING: NDArray[Any] = np.full((1, 1), np.nan)


class _Version73:
    """Sentences of a version-7.3 file: object references to transposed arrays."""

    format = "mat73"

    def __init__(self, path: Path) -> None:
        import h5py

        check_hdf5(path, MAX_SENTENCE_BYTES)
        self._file = h5py.File(path, "r")

    def close(self) -> None:
        self._file.close()

    def sentences(self) -> Iterator[_Sentence]:
        group = self._file.get(VARIABLE)
        texts, signals = (self._references(group, name) for name in (TEXT, SIGNAL))
        if len(texts) != len(signals):
            raise CorpusError("bad_header", f"{len(texts)} texts for {len(signals)} signals")
        for text, signal in zip(texts, signals, strict=True):
            yield _Sentence(self._text(self._at(text)), self._numbers(self._at(signal)))

    def _references(self, group: Any, name: str) -> list[Any]:
        import h5py

        found = group.get(name) if isinstance(group, h5py.Group) else None
        if not isinstance(found, h5py.Dataset) or found.size > MAX_SENTENCES:
            raise CorpusError("bad_header", f"no list of sentences with {name}")
        if h5py.check_ref_dtype(found.dtype) is None:
            raise CorpusError("bad_header", f"{name} holds no references")
        references: list[Any] = found[()].reshape(-1, order="F").tolist()
        return references

    def _at(self, reference: Any) -> Any:
        import h5py

        found = self._file[reference] if reference else None
        return found if isinstance(found, h5py.Dataset) else None

    def _text(self, data: Any) -> str:
        if data is None or data.attrs.get("MATLAB_empty") or data.dtype.kind != "u":
            return ""
        if data.size > MAX_TEXT_BYTES:
            raise CorpusError("bad_header", f"a text of {data.size} characters")
        units = data[()].reshape(-1).astype("<u2")
        return str(units.tobytes().decode("utf-16-le", "replace"))

    def _numbers(self, data: Any) -> NDArray[Any]:
        if data is None or data.attrs.get("MATLAB_empty") or data.dtype.kind not in "iuf":
            return _NOTHING
        found: NDArray[Any] = data[()].T
        return found


class _InOrder:
    """Sentences of a file by number; asking for them in order reads the file once."""

    def __init__(self, source: _Source, n_channels: int) -> None:
        self._source, self._n_channels = source, n_channels
        self._left = self._checked()
        self._next = 0

    def _checked(self) -> Iterator[_Sentence]:
        """Sentences of the source, what the library says about a bad file as our own error."""
        try:
            yield from self._source.sentences()
        except (CorpusError, MemoryError, OSError):
            raise
        except Exception as error:  # the library raises whatever a hostile file provokes
            raise CorpusError("bad_header", f"a sentence: {type(error).__name__}") from error

    def trials(self) -> list[Trial]:
        """Read the file once for what its sentences are."""
        return [Trial(self._signal(s).shape[1], s.text.strip()) for s in self._checked()]

    def _signal(self, sentence: _Sentence) -> NDArray[Any]:
        """EEG of a sentence, one sample that is no number where it has none."""
        shape = sentence.signal.shape
        if sentence.signal.size <= 1:
            return np.full((self._n_channels, 1), np.nan)
        if len(shape) != 2 or shape[0] != self._n_channels:
            raise CorpusError(
                "bad_header", f"{SIGNAL} of {shape}; {self._n_channels} rows expected"
            )
        return sentence.signal

    def load(self, i: int) -> NDArray[np.float64]:
        """Return the EEG of sentence ``i``."""
        if i < self._next:
            self._left, self._next = self._checked(), 0
        sentence = next(islice(self._left, i - self._next, None), None)
        if sentence is None:
            raise CorpusError("truncated", "the file ended while it was being read")
        self._next = i + 1
        return self._signal(sentence).astype(np.float64, copy=False)


def open_zuco(path: Path, params: ZucoParams) -> TrialRecording:
    """Open a ZuCo result file of either version.

    Raises
    ------
    CorpusError
        ``empty``, ``not_edf``, ``truncated`` or ``bad_header`` where it is none.
    """
    source: _Source = (_Version73 if is_hdf5(path) else _Version5)(path)
    try:
        sentences = _InOrder(source, len(params.channels))
        return TrialRecording(
            source.format, params.channels, rate_of(params.sfreq_hz), UV_PER_UNIT[params.unit],
            sentences.trials(), sentences.load, source.close,
        )  # fmt: skip
    except BaseException:
        source.close()
        raise
