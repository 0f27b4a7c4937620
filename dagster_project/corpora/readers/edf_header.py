"""The header of EDF and BDF, read strictly: sizes, counts and ranges are checked before use.

Only the header lives here; samples and annotations are in
:mod:`dagster_project.corpora.readers.edf`. The patient and recording fields are skipped unread.
Layout: Kemp et al. 1992 (EDF), Kemp & Olivan 2003 (EDF+), BioSemi's BDF note: the same header, 24-bit
samples and another first byte.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from dagster_project.corpora.errors import CorpusError

FIXED_BYTES = 256
SIGNAL_BYTES = 256
MAX_HEADER_BYTES = FIXED_BYTES + SIGNAL_BYTES * 9999
ANNOTATION_LABELS = frozenset({"EDF Annotations", "BDF Annotations"})
STATUS_LABEL = "Status"
"""BioSemi's trigger lines travel as a signal, in some files under a unit that is a voltage."""

_UNIT_UV = {"uv": 1.0, "\xb5v": 1.0, "\u03bcv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
_INTEGER = re.compile(r"[+-]?\d{1,8}\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?\Z", re.ASCII)
_SIGNAL_FIELDS = (
    ("label", 16), ("transducer", 80), ("unit", 8), ("physical minimum", 8),
    ("physical maximum", 8), ("digital minimum", 8), ("digital maximum", 8), ("prefilter", 80),
    ("samples per record", 8), ("reserved", 32),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EdfKind:
    """One of the two formats: name, first eight bytes of a file, and bytes of a sample."""

    name: str
    version: bytes
    sample_bytes: int

    @property
    def digital_max(self) -> int:
        """Largest digital value."""
        return (1 << (8 * self.sample_bytes - 1)) - 1


KINDS = (EdfKind("edf", b"0       ", 2), EdfKind("bdf", b"\xffBIOSEMI", 3))


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
        """Whether the signal holds EDF+ or BDF+ annotations instead of samples."""
        return self.label in ANNOTATION_LABELS


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """A checked header; ``record_samples`` counts one data record, all signals together."""

    kind: EdfKind
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
    text = _text(raw).replace(",", ".")  # written under a locale with a decimal comma
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


def _label_and_unit(
    fields: dict[str, list[bytes]], i: int, kind: EdfKind
) -> tuple[str, float | None]:
    label = _text(fields["label"][i])
    if kind.name == "bdf" and label == STATUS_LABEL:
        return label, None
    return label, _UNIT_UV.get(_text(fields["unit"][i]).lower())


def _signals(block: bytes, n_signals: int, kind: EdfKind) -> tuple[EdfSignal, ...]:
    fields, most = _columns(block, n_signals), kind.digital_max
    signals, start = [], 0
    for i in range(n_signals):
        n_per_record = _integer(fields["samples per record"][i], "samples per record", 0, 10**8)
        d_low = _integer(fields["digital minimum"][i], "digital minimum", -most - 1, most)
        d_high = _integer(fields["digital maximum"][i], "digital maximum", -most - 1, most)
        scale = _scale(fields["physical minimum"][i], fields["physical maximum"][i], d_low, d_high)
        label, unit_uv = _label_and_unit(fields, i, kind)
        signals.append(EdfSignal(label, n_per_record, start, unit_uv, scale))
        start += n_per_record
    return tuple(signals)


def kind_of(head: bytes, n_file_bytes: int) -> EdfKind:
    """Return the format a file begins as.

    Raises
    ------
    CorpusError
        ``empty``, ``not_edf``, or ``truncated`` if it ends before the number of its signals.
    """
    if n_file_bytes == 0:
        raise CorpusError("empty", "0 bytes")
    found = (kind for kind in KINDS if kind.version[: len(head)] == head[: len(kind.version)])
    kind = next(found, None)
    if kind is None:
        raise CorpusError("not_edf", "the first eight bytes are not EDF's or BDF's version field")
    if n_file_bytes < FIXED_BYTES:
        raise CorpusError("truncated", f"{n_file_bytes} bytes; a header has at least {FIXED_BYTES}")
    return kind


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
    kind = kind_of(head, n_file_bytes)
    n_signals = _integer(head[252:256], "number of signals", 0, 9999)
    if n_signals == 0:
        raise CorpusError("no_eeg_channels", "the header declares 0 signals")
    n_bytes = _integer(head[184:192], "header bytes", 1, 10**8 - 1)
    if n_bytes != FIXED_BYTES + SIGNAL_BYTES * n_signals:
        raise CorpusError("bad_header", f"{n_bytes} header bytes declared for {n_signals} signals")
    if n_file_bytes < n_bytes:
        raise CorpusError("truncated", f"{n_file_bytes} bytes; the header alone has {n_bytes}")
    signals = _signals(head[FIXED_BYTES:n_bytes], n_signals, kind)
    record_s = _decimal(head[244:252], "record duration")
    has_samples = any(not s.is_annotation and s.n_per_record for s in signals)
    if record_s < 0 or (has_samples and record_s == 0):
        raise CorpusError("bad_header", f"records of {float(record_s):g} s hold samples")
    record_samples = sum(s.n_per_record for s in signals)
    n_records = _n_records(head, n_file_bytes - n_bytes, kind.sample_bytes * record_samples)
    return EdfHeader(
        kind, n_bytes, n_records, record_s, record_samples, signals, is_plus_d(head), _start(head)
    )


def is_plus_d(head: bytes) -> bool:
    """Whether a header says that its data records are not contiguous."""
    return head[192:197] in {b"EDF+D", b"BDF+D"}


def _n_records(head: bytes, n_data_bytes: int, record_bytes: int) -> int:
    """Return the number of data records, checked against the size of the file."""
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


@dataclass(frozen=True, slots=True)
class LaxSignal:
    """What a second reader must know of a signal whose header did not pass.

    Parameters
    ----------
    label, n_per_record, unit_uv
        As in :class:`EdfSignal`; ``unit_uv`` is None where a range is void, too.
    unit
        The unit as the header spells it.
    """

    label: str
    n_per_record: int
    unit_uv: float | None
    unit: str

    @property
    def is_annotation(self) -> bool:
        """Whether the signal holds annotations instead of samples."""
        return self.label in ANNOTATION_LABELS


def lax_signals(head: bytes, n_file_bytes: int) -> tuple[LaxSignal, ...]:
    """Check only what no reader can do without, for files :func:`parse_header` refuses.

    Counts must fit the file, records must last, and a signal whose range is void has no unit.

    Raises
    ------
    CorpusError
        As :func:`parse_header`, and ``bad_header`` for records that are not contiguous: a reader
        that does not see the gaps would join what does not belong together.
    """
    kind = kind_of(head, n_file_bytes)
    n_signals = _integer(head[252:256], "number of signals", 1, 9999)
    n_bytes = FIXED_BYTES + SIGNAL_BYTES * n_signals
    if n_file_bytes < n_bytes:
        raise CorpusError("truncated", f"{n_file_bytes} bytes; the header alone has {n_bytes}")
    if is_plus_d(head) or not _decimal(head[244:252], "record duration") > 0:
        raise CorpusError("bad_header", "records with gaps between them, or without a duration")
    fields = _columns(head[FIXED_BYTES:n_bytes], n_signals)
    counts = [_integer(raw, "samples per record", 0, 10**8) for raw in fields["samples per record"]]
    if not 0 < kind.sample_bytes * sum(counts) <= n_file_bytes - n_bytes:
        raise CorpusError("truncated", "not one whole data record is there")
    signals = []
    for i, n_per_record in enumerate(counts):
        ranges = ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
        label, unit_uv = _label_and_unit(fields, i, kind)
        is_void = _is_void([fields[name][i] for name in ranges], kind)
        unit = _text(fields["unit"][i])
        signals.append(LaxSignal(label, n_per_record, None if is_void else unit_uv, unit))
    return tuple(signals)


def _is_void(ranges: Sequence[bytes], kind: EdfKind) -> bool:
    """Whether a physical and a digital range, however spelled, give no gain."""
    try:
        p_low, p_high, d_low, d_high = (_decimal(raw, "range") for raw in ranges)
    except CorpusError:
        return True
    most = kind.digital_max
    return p_low == p_high or not -most - 1 <= d_low < d_high <= most
