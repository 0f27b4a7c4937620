"""The annotation formats of TUH: csv, csv_bi, tse, lbl and rec, parsed into rows.

Every format becomes the same rows; what they mean for a recording is in
:mod:`dagster_project.corpora.labels.tuh_events`. Formats as the corpora document them
(``corpora.md`` 5.10).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import sidecar_text
from dagster_project.corpora.labels.tuh_codes import KIND_OF_CODE, REC_CODES, derivation, parts_of

JOIN_S = 1e-3
"""Rows of 1 s whose edges are this close are one event (times have four decimals)."""
MAX_SHEET_BYTES = 8 << 20
"""Hours of annotations on every channel are a tenth of it (engineering default)."""
MAX_ROWS = 20_000
"""A hundred times what these corpora mark in one recording (engineering default)."""

_SETTING = re.compile(r"#?\s*([a-z_]+(?:\[\d{1,4}\])?)\s*=\s*(.*)", re.IGNORECASE)
_VERSION = re.compile(r"(?:csv|tse|lbl)_v1\.\d+\.\d+\Z")
_DURATION = re.compile(r"(\d+(?:\.\d*)?)\s*(?:secs?|s)?\Z")
_SYMBOL = re.compile(r"(\d{1,4})\s*:\s*'([^']*)'")
_BLOCK = re.compile(r"(\d{1,4})\s*,\s*([^:,]+):")
_GRAPH = re.compile(r"\{([^\[\]{}]*),\s*\[([^\[\]{}]*)\]\s*\}\Z")
_NUMBER = re.compile(r"\d{1,4}\Z", re.ASCII)
_WHOLE = frozenset({"TERM", "ALL", ""})
_NO_END = frozenset({"", "-", "-1", "none", "nan", "null"})
_COLUMNS = frozenset({"channel", "start_time", "stop_time", "label"})


@dataclass(frozen=True, slots=True)
class Row:
    """One annotation.

    Parameters
    ----------
    channel
        Derivation, its number in the file's montage, or ``""`` for the whole record.
    start_s, stop_s
        From the recording's start; the stop is None where the annotator gave none.
    code
        Code of ``corpora.md`` 4.5, or a pair of them.
    confidence
        As annotated, 1 where the format has none.
    """

    channel: str | int
    start_s: float
    stop_s: float | None
    code: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """One annotation file: its rows and what its header says about the recording.

    Parameters
    ----------
    rows
        In file order.
    settings
        ``key = value`` lines, keys lower case; never stored.
    montage
        Number to derivation where the file holds the list itself, else None.
    """

    rows: tuple[Row, ...]
    settings: Mapping[str, str]
    montage: Mapping[int, str] | None = None

    @property
    def duration_s(self) -> float | None:
        """Length of the recording the annotations were made for, where stated."""
        found = _DURATION.match(self.settings.get("duration", "").strip())
        return float(found[1]) if found else None


def _bad(why: str) -> CorpusError:
    return CorpusError("bad_labels", f"annotations: {why}")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _bad("a time is no number") from None
    if not math.isfinite(value):
        raise _bad("a time is not finite")
    return value


def _stop(text: str) -> float | None:
    return None if text.strip().lower() in _NO_END else _seconds(text)


def _code(text: str) -> str:
    code = text.strip().lower().strip("()")
    if not all(part in KIND_OF_CODE for part in parts_of(code)):
        raise _bad("a code is none of the TUH table")
    return code


def _confidence(text: str | None) -> float:
    value = _seconds(text) if text and text.strip() else 1.0
    if not 0 <= value <= 1:
        raise _bad("a confidence is outside 0..1")
    return value


def _channel(text: str) -> str | int:
    text = text.strip()
    if text.upper() in _WHOLE:
        return ""
    if _NUMBER.match(text):
        return int(text)
    pair = derivation(text)
    if pair is None:
        raise _bad("a channel is no derivation")
    return pair


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def _split(text: str) -> tuple[dict[str, str], list[str]]:
    """Part the ``key = value`` lines, commented or not, from the rest; a later key wins."""
    settings: dict[str, str] = {}
    rest = []
    for line in _lines(text):
        setting = _SETTING.match(line)
        if setting:
            settings[setting[1].lower()] = setting[2].strip()
        elif not line.startswith("#"):
            rest.append(line)
    version = settings.get("version", "csv_v1.0.0")
    if not _VERSION.match(version):
        raise _bad("of a version that is not known; csv, tse and lbl v1 are")
    return settings, rest


def parse_csv(text: str) -> Sheet:
    """Parse ``.csv`` and ``.csv_bi``: comment header, then a table with its column names."""
    settings, rest = _split(text)
    table = csv.DictReader(rest, skipinitialspace=True)
    if not {name.strip() for name in table.fieldnames or ()} >= _COLUMNS:
        raise _bad(f"no columns {', '.join(sorted(_COLUMNS))}")
    rows = []
    for line in table:
        cells = {k.strip(): v for k, v in line.items() if k and isinstance(v, str)}
        if not cells.keys() >= _COLUMNS:
            raise _bad("a row lacks cells")
        rows.append(
            Row(
                _channel(cells["channel"]), _seconds(cells["start_time"]),
                _stop(cells["stop_time"]), _code(cells["label"]),
                _confidence(cells.get("confidence")),
            )
        )  # fmt: skip
    return Sheet(tuple(rows), settings)


def parse_tse(text: str) -> Sheet:
    """Parse ``.tse``, ``.tse_bi`` and ``.tse_agg``: ``start stop code confidence`` by blanks."""
    settings, rest = _split(text)
    if "version" not in settings:
        raise _bad("no version line")
    rows = []
    for line in rest:
        cells = line.split()
        if len(cells) not in {3, 4}:
            raise _bad("a row has not start, stop, code and confidence")
        confidence = _confidence(cells[3] if len(cells) == 4 else None)
        rows.append(Row("", _seconds(cells[0]), _stop(cells[1]), _code(cells[2]), confidence))
    return Sheet(tuple(rows), settings)


def _whole_number(text: str) -> int:
    value = _seconds(text)
    if value != int(value):
        raise _bad("a number is not whole")
    return int(value)


def parse_rec(text: str) -> Sheet:
    """Parse TUEV's ``.rec``: ``number,start,stop,code``, and join rows that follow each other."""
    rows = []
    for line in _lines(text):
        cells = line.split(",")
        if len(cells) != 4:
            raise _bad("a row has not number, start, stop and code")
        number, code = _whole_number(cells[0]), REC_CODES.get(_whole_number(cells[3]))
        if number not in range(22) or code is None:
            raise _bad("a derivation is outside 0..21 or a code outside 1..6")
        rows.append(Row(number, _seconds(cells[1]), _seconds(cells[2]), code))
    return Sheet(_joined(rows), {})


def _joined(rows: list[Row]) -> tuple[Row, ...]:
    """Join rows of one number and code that follow each other without a gap."""
    open_rows: dict[tuple[int, str], Row] = {}
    joined = []
    for row in sorted(rows, key=lambda r: (r.start_s, r.stop_s or 0.0, r.channel, r.code)):
        key = (int(row.channel), row.code)
        before = open_rows.get(key)
        if before and row.start_s <= (before.stop_s or 0.0) + JOIN_S:
            stop_s = max(before.stop_s or 0.0, row.stop_s or 0.0)
            open_rows[key] = Row(row.channel, before.start_s, stop_s, row.code)
        else:
            if before:
                joined.append(before)
            open_rows[key] = row
    return (*joined, *open_rows.values())


def _graph_row(text: str, symbols: Mapping[int, Mapping[int, str]]) -> Row:
    """Parse ``{level, sublevel, start, stop, channel, [probability of each symbol]}``."""
    graph = _GRAPH.match(text.strip())
    cells = [cell.strip() for cell in graph[1].split(",")] if graph else []
    if not graph or len(cells) != 5:
        raise _bad("a graph label has not level, sublevel, times, channel and probabilities")
    chances = [_seconds(cell) for cell in graph[2].split(",")]
    best = max(range(len(chances)), key=chances.__getitem__)
    code = symbols.get(_whole_number(cells[0]), {}).get(best)
    if code is None:
        raise _bad("a graph label points at a symbol the file does not define")
    channel: str | int = "" if cells[4] in {"-1", "all"} else _whole_number(cells[4])
    confidence = _confidence(str(chances[best]))
    return Row(channel, _seconds(cells[2]), _stop(cells[3]), _code(code), confidence)


def parse_lbl(text: str) -> Sheet:
    """Parse ``.lbl``, ``.lbl_agg``, ``.lbl_bi``: montage block, symbols per level, graph labels."""
    montage: dict[int, str] = {}
    symbols: dict[int, dict[int, str]] = {}
    labels, settings = [], {}
    for line in _lines(text):
        setting = _SETTING.match(line)
        if not setting:
            continue
        key, value = setting[1].lower(), setting[2].strip()
        if key == "montage":
            block = _BLOCK.match(value)
            pair = derivation(block[2]) if block else None
            if block and pair:
                montage[int(block[1])] = pair
        elif key.startswith("symbols["):
            symbols[int(key[8:-1])] = {int(i): name for i, name in _SYMBOL.findall(value)}
        elif key == "label":
            labels.append(value)
        else:
            settings[key] = value
    if not _VERSION.match(settings.get("version", "")):
        raise _bad("no version line of lbl v1")
    rows = tuple(_graph_row(label, symbols) for label in labels)
    return Sheet(rows, settings, montage)


FORMATS: dict[str, Callable[[str], Sheet]] = {
    ".csv": parse_csv, ".csv_bi": parse_csv, ".tse": parse_tse, ".tse_bi": parse_tse,
    ".tse_agg": parse_tse, ".lbl": parse_lbl, ".lbl_bi": parse_lbl, ".lbl_agg": parse_lbl,
    ".rec": parse_rec,
}  # fmt: skip
"""Parsers by the end of a file's name."""


def read_sheet(path: Path) -> Sheet | None:
    """Read one annotation file, None where there is none.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is void, or holds a row that is none of its format.
    """
    if path.is_file() and path.stat().st_size > MAX_SHEET_BYTES:
        raise _bad(f"more than {MAX_SHEET_BYTES} bytes")
    text = sidecar_text(path)
    if text is None:
        return None
    if not text.strip():
        raise _bad("an empty file")
    sheet = FORMATS[path.suffix](text)
    if len(sheet.rows) > MAX_ROWS:
        raise _bad(f"{len(sheet.rows)} rows, more than {MAX_ROWS}")
    return sheet
