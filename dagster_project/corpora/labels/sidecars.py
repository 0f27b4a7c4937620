"""Reading sidecars: bounded text and tables, and the few values every corpus states.

What the values mean is with each label reader beside this module.
"""

from __future__ import annotations

import csv
from pathlib import Path

from dagster_project.corpora.errors import CorpusError

MAX_SIDECAR_BYTES = 64 << 20
"""No sidecar of these corpora comes near it; a larger one is not what its name says."""


def sidecar_text(path: Path) -> str | None:
    """Return the text of a sidecar without its byte-order mark, or None where there is none.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is larger than any sidecar is.
    """
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_SIDECAR_BYTES:
        raise CorpusError("bad_labels", f"a sidecar is larger than {MAX_SIDECAR_BYTES} bytes")
    return path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n")


def table(path: Path, delimiter: str = ",") -> list[dict[str, str]] | None:
    """Return the rows of a table sidecar with stripped names and cells, None where there is none.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is too large or no table.
    """
    text = sidecar_text(path)
    if text is None:
        return None
    try:
        rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise CorpusError("bad_labels", "a table sidecar is not a table") from error
    return [{k.strip(): v.strip() for k, v in row.items() if k and isinstance(v, str)}
            for row in rows]  # fmt: skip


def nearest(path: Path, name: str) -> Path:
    """Return the place of a sidecar beside the recording or one folder up."""
    beside = path.parent / name
    return beside if beside.exists() else path.parent.parent / name


def number(text: str | None) -> float | None:
    """Return a cell as a number, None where it is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def sex_of(text: str | None) -> str | None:
    """Return ``F`` or ``M`` for the usual spellings, else None."""
    value = (text or "").strip().upper()
    return {"F": "F", "M": "M", "FEMALE": "F", "MALE": "M"}.get(value)
