"""The EDF header, read strictly: sizes, counts and ranges are checked before anything is trusted.

Only the header lives here; samples and annotations are in :mod:`dagster_project.corpora.readers.edf`. The
patient and recording fields are skipped unread. Layout: Kemp et al. 1992 (EDF), Kemp & Olivan 2003
(EDF+).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from dagster_project.corpora.errors import CorpusError

FIXED_BYTES = 256
SIGNAL_BYTES = 256
SAMPLE_BYTES = 2
ANNOTATION_LABEL = "EDF Annotations"
EDF_VERSION = b"0       "

_UNIT_UV = {"uv": 1.0, "\xb5v": 1.0, "\u03bcv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
_INTEGER = re.compile(r"[+-]?\d{1,8}\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?\Z", re.ASCII)
_SIGNAL_FIELDS = (
    ("label", 16), ("transducer", 80), ("unit", 8), ("physical minimum", 8),
    ("physical maximum", 8), ("digital minimum", 8), ("digital maximum", 8), ("prefilter", 80),
    ("samples per record", 8), ("reserved", 32),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EdfSignal:
    """One signal as the header declares it.

    Parameters
    ----------
    label
        Stripped label.
    n_per_record
        Samples in one data record.
    start
        Index of its first sample within a record.
    unit_uv
        Microvolts per physical unit; None where the unit is not a voltage.
    scale
        ``(gain, offset)`` from digital to physical values, or None where the ranges are void.
    """

    label: str
    n_per_record: int
    start: int
    unit_uv: float | None
    scale: tuple[float, float] | None

    @property
    def is_annotation(self) -> bool:
        """Whether the signal holds EDF+ annotations instead of samples."""
        return self.label == ANNOTATION_LABEL


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """A checked header; ``record_samples`` counts one data record, all signals together."""

    n_bytes: int
    n_records: int
    record_s: Fraction
    record_samples: int
    signals: tuple[EdfSignal, ...]
    is_discontinuous: bool
    start: datetime | None


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").strip("\0 ")


def _integer(raw: bytes, field: str, low: int, high: int) -> int:
    text = _text(raw)
    if not _INTEGER.match(text) or not low <= int(text) <= high:
        raise CorpusError("bad_header", f"field '{field}' is not a whole number in {low}..{high}")
    return int(text)


def _decimal(raw: bytes, field: str) -> Fraction:
    text = _text(raw)
    if not _DECIMAL.match(text):
        raise CorpusError("bad_header", f"field '{field}' is not a number")
    return Fraction(text)


def _start(fixed: bytes) -> datetime | None:
    match = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d\d)(\d\d)\.(\d\d)\.(\d\d)", _text(fixed[168:184]))
    if not match:
        return None
    day, month, year, hour, minute, second = map(int, match.groups())
    try:
        return datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError:  # clinical corpora hold dates that never were
        return None


def _scale(low: bytes, high: bytes, d_low: int, d_high: int) -> tuple[float, float] | None:
    try:
        p_low, p_high = (float(_decimal(raw, "physical range")) for raw in (low, high))
    except CorpusError:
        return None
    if d_low >= d_high or p_low == p_high or not math.isfinite(p_high - p_low):
        return None
    gain = (p_high - p_low) / (d_high - d_low)
    return gain, p_low - d_low * gain


def _columns(block: bytes, n_signals: int) -> dict[str, list[bytes]]:
    columns, at = {}, 0
    for name, width in _SIGNAL_FIELDS:
        part = block[at : at + width * n_signals]
        columns[name] = [part[i * width : (i + 1) * width] for i in range(n_signals)]
        at += width * n_signals
    return columns


def _signals(block: bytes, n_signals: int) -> tuple[EdfSignal, ...]:
    fields = _columns(block, n_signals)
    signals, start = [], 0
    for i in range(n_signals):
        n_per_record = _integer(fields["samples per record"][i], "samples per record", 0, 10**8)
        d_low = _integer(fields["digital minimum"][i], "digital minimum", -32768, 32767)
        d_high = _integer(fields["digital maximum"][i], "digital maximum", -32768, 32767)
        scale = _scale(fields["physical minimum"][i], fields["physical maximum"][i], d_low, d_high)
        unit_uv = _UNIT_UV.get(_text(fields["unit"][i]).lower())
        label = _text(fields["label"][i])
        signals.append(EdfSignal(label, n_per_record, start, unit_uv, scale))
        start += n_per_record
    return tuple(signals)


def parse_header(head: bytes, n_file_bytes: int) -> EdfHeader:
    """Check and parse a header.

    Parameters
    ----------
    head
        The first bytes of the file, at least the whole header where the file has one.
    n_file_bytes
        Size of the file, against which every count is checked.

    Raises
    ------
    CorpusError
        ``empty``, ``not_edf``, ``truncated``, ``no_eeg_channels`` (no signals at all) or
        ``bad_header``.
    """
    if n_file_bytes == 0:
        raise CorpusError("empty", "0 bytes")
    if head[: len(EDF_VERSION)] != EDF_VERSION[: len(head)]:
        raise CorpusError("not_edf", "the first eight bytes are not EDF's version field")
    if n_file_bytes < FIXED_BYTES:
        raise CorpusError("truncated", f"{n_file_bytes} bytes; a header has at least {FIXED_BYTES}")
    n_signals = _integer(head[252:256], "number of signals", 0, 9999)
    if n_signals == 0:
        raise CorpusError("no_eeg_channels", "the header declares 0 signals")
    n_bytes = _integer(head[184:192], "header bytes", 1, 10**8 - 1)
    if n_bytes != FIXED_BYTES + SIGNAL_BYTES * n_signals:
        raise CorpusError("bad_header", f"{n_bytes} header bytes declared for {n_signals} signals")
    if n_file_bytes < n_bytes:
        raise CorpusError("truncated", f"{n_file_bytes} bytes; the header alone has {n_bytes}")
    signals = _signals(head[FIXED_BYTES:n_bytes], n_signals)
    record_s = _decimal(head[244:252], "record duration")
    has_samples = any(not s.is_annotation and s.n_per_record for s in signals)
    if record_s < 0 or (has_samples and record_s == 0):
        raise CorpusError("bad_header", f"records of {float(record_s):g} s hold samples")
    record_samples = sum(s.n_per_record for s in signals)
    n_records = _n_records(head, n_file_bytes - n_bytes, record_samples)
    is_discontinuous = head[192:197] == b"EDF+D"
    return EdfHeader(
        n_bytes, n_records, record_s, record_samples, signals, is_discontinuous, _start(head)
    )


def _n_records(head: bytes, n_data_bytes: int, record_samples: int) -> int:
    """Return the number of data records, checked against the size of the file."""
    record_bytes = SAMPLE_BYTES * record_samples
    if record_bytes == 0:
        raise CorpusError("bad_header", "no signal has a sample in a data record")
    declared = _integer(head[236:244], "number of data records", -1, 10**8 - 1)
    present, rest = divmod(n_data_bytes, record_bytes)
    if declared == -1:  # EDF's mark of a recording whose end was never written
        declared = present
    if declared > present:
        raise CorpusError("truncated", f"{present} of {declared} data records are there")
    if declared < present:
        raise CorpusError(
            "bad_header", f"{present} data records follow a header that declares {declared}"
        )
    if declared == 0:
        raise CorpusError("empty", f"0 data records, {rest} bytes after the header")
    return declared
