"""Rows of spreadsheet sidecars, ``.xls`` and ``.xlsx``, bounded in bytes and in cells.

Only values are read, never formulas or macros. What the cells mean is with each label reader.
"""

from __future__ import annotations

import zipfile
from itertools import islice
from pathlib import Path
from typing import Any

from dagster_project.corpora.errors import CorpusError

MAX_BOOK_BYTES = 4 << 20
"""No subject table of these corpora comes near it."""
MAX_UNPACKED_BYTES = 64 << 20
"""What the parts of an ``.xlsx`` may add up to: a few bytes of zip can hold gigabytes."""
MAX_ROWS, MAX_COLUMNS = 10_000, 100

Row = tuple[Any, ...]


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_BOOK_BYTES:
        raise CorpusError("bad_labels", f"a spreadsheet is larger than {MAX_BOOK_BYTES} bytes")


def _void(error: Exception) -> CorpusError:
    return CorpusError("bad_labels", f"a sidecar is no spreadsheet ({type(error).__name__})")


def xls_rows(path: Path) -> list[Row] | None:
    """Return the cells of the first sheet of an ``.xls``, or None where there is no file.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is too large or no such file.
    """
    if not path.is_file():
        return None
    import xlrd

    _check_size(path)
    try:
        book = xlrd.open_workbook(file_contents=path.read_bytes(), on_demand=True, ragged_rows=True)
        sheet = book.sheet_by_index(0)
        rows = [sheet.row_values(i, 0, MAX_COLUMNS) for i in range(min(sheet.nrows, MAX_ROWS))]
    except OSError:
        raise
    except Exception as error:  # a broken file makes the library raise whatever it stumbles on
        raise _void(error) from error
    width = max(map(len, rows), default=0)
    return [(*row, *[""] * (width - len(row))) for row in rows]


def xlsx_rows(path: Path) -> list[Row] | None:
    """Return the cells of the first sheet of an ``.xlsx``, or None where there is no file.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is too large, unpacks to too much or is no such file.
    """
    if not path.is_file():
        return None
    import openpyxl

    _check_size(path)
    try:
        with zipfile.ZipFile(path) as packed:
            n_bytes = sum(part.file_size for part in packed.infolist())
        if n_bytes > MAX_UNPACKED_BYTES:
            raise CorpusError("bad_labels", f"a spreadsheet unpacks to {n_bytes} bytes")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            rows = book.worksheets[0].iter_rows(max_col=MAX_COLUMNS, values_only=True)
            return [tuple(row) for row in islice(rows, MAX_ROWS)]
        finally:
            book.close()
    except (OSError, CorpusError):
        raise
    except Exception as error:  # a broken file makes the library raise whatever it stumbles on
        raise _void(error) from error
