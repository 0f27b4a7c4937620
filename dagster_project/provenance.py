"""Provenance: what a materialisation was made from, and which field differs between two of them.

A record is a flat mapping of plain values kept in the manifest of every partition: versions of the
inputs, of the code and of everything configurable that shaped the rows. Equal records mean equal
rows; :func:`difference` names the fields that are not equal.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dagster_project.tables.store import TableStore

_PROJECT = Path(__file__).resolve().parent.parent
_ROOMS = frozenset({"dagster_project", "detectors", "prompts", "training", "benchmark"})
_SOURCES = (".py", ".yaml", ".md", ".json", ".jinja", ".onnx", ".npz")


@cache
def code_version(*parts: str) -> str:
    """Hash the source files an asset's result depends on, with all they import of this project.

    Parameters
    ----------
    parts
        Files or folders relative to the project, such as ``"detectors/signal/spectra.py"``. What a Python
        file imports, at its top or inside functions, is followed through the rooms, so no list of
        modules can be forgotten; data files count where they are named or lie in a named folder.

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
    for file in source_files(*parts):
        digest.update(file.encode())
        digest.update((_PROJECT / file).read_bytes())
    return digest.hexdigest()[:12]


def source_files(*parts: str) -> tuple[str, ...]:
    """Return the files behind :func:`code_version`, relative to the project, sorted."""
    found: set[Path] = set()
    waiting = [file for part in parts for file in _files_of(part)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imported_by(file))
    return tuple(sorted(file.relative_to(_PROJECT).as_posix() for file in found))


def _files_of(part: str) -> list[Path]:
    path = _PROJECT / part
    if not path.exists():
        raise FileNotFoundError(f"code version names {part!r}, which does not exist")
    files = path.rglob("*") if path.is_dir() else [path]
    return [
        f for f in files if f.suffix in _SOURCES and f.is_file() and "__pycache__" not in f.parts
    ]


@cache
def _imported_by(file: Path) -> tuple[Path, ...]:
    if file.suffix != ".py":
        return ()
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    paths = (_PROJECT / (name.replace(".", "/") + ".py") for name in names if _is_ours(name))
    return tuple(path for path in paths if path.is_file())


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in _ROOMS


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
