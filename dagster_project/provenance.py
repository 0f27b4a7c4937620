"""Provenance: what a materialisation was made from, and which field differs between two of them.

A record is a flat mapping of plain values kept in the manifest of every partition: versions of the
inputs, of the code and of everything configurable that shaped the rows. Equal records mean equal
rows; :func:`difference` names the fields that are not equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dagster_project.tables.store import TableStore

_PROJECT = Path(__file__).resolve().parent.parent
_SOURCES = (".py", ".yaml", ".md", ".json", ".jinja", ".onnx")


@cache
def code_version(*parts: str) -> str:
    """Hash the source files an asset's result depends on.

    Parameters
    ----------
    parts
        Files or folders relative to the project, such as ``"detectors/spectra.py"``.

    Returns
    -------
    str
        Twelve hexadecimal digits that change whenever one of the files does.

    Raises
    ------
    FileNotFoundError
        If a part does not exist, which is a mistake in the asset's definition.
    """
    digest = hashlib.sha256()
    for part in parts:
        path = _PROJECT / part
        if not path.exists():
            raise FileNotFoundError(f"code version names {part!r}, which does not exist")
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.suffix in _SOURCES and file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.relative_to(_PROJECT).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def inputs(store: TableStore, tables: Sequence[str], partition: str) -> dict[str, Any]:
    """Return the data versions of the tables a partition was made from."""
    manifests = {name: store.manifest(name, partition) for name in tables}
    return {f"input:{name}": m.data_version for name, m in manifests.items() if m is not None}


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the fields in which two provenance records differ, with both values.

    Returns
    -------
    tuple of str
        ``"field: 'a' != 'b'"`` for each differing field, sorted; empty where the records agree.
    """
    keys = sorted({*one, *other})
    return tuple(
        f"{k}: {one.get(k)!r} != {other.get(k)!r}" for k in keys if one.get(k) != other.get(k)
    )
