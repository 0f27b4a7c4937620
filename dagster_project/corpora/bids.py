"""Where the sidecars of a BIDS recording lie, and what their names say.

BIDS 1.10, "The inheritance principle": a sidecar applies to a recording if it lies in the same
folder or above, has the same suffix and no entity the recording lacks; of tables the nearest is
used, of JSON files the nearer overrides the farther key by key. What sidecars mean is in
``readers/bids.py`` and ``labels/bids_*.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import sidecar_text, table

SUBJECT_PREFIX = "sub-"


def name_parts(name: str) -> tuple[dict[str, str], str]:
    """Return the entities of a BIDS file name and what follows them.

    ``sub-01_task-rest_eeg.json`` gives ``{"sub": "01", "task": "rest"}`` and ``eeg.json``.
    """
    *pairs, last = name.split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return entities, last


def _levels(path: Path) -> Iterator[Path]:
    """Yield the folder of a recording and those above it, up to the one with all subjects."""
    for folder in path.parents:
        yield folder
        if folder.name.startswith(SUBJECT_PREFIX):
            yield folder.parent
            return
    raise CorpusError("file_name", "not below a folder named sub-...")


def _at_level(folder: Path, entities: Mapping[str, str], ending: str) -> Path | None:
    """Return the sidecar of one folder that applies, the most specific of several."""
    found: list[tuple[int, str, Path]] = []
    for place in folder.glob(f"*{ending}"):
        theirs, last = name_parts(place.name)
        if last == ending and theirs.items() <= entities.items():
            found.append((len(theirs), place.name, place))
    if len(found) > 1 and sorted(found)[-2][0] == sorted(found)[-1][0]:
        raise CorpusError("bad_labels", f"{len(found)} sidecars *{ending} apply in one folder")
    return max(found)[2] if found else None


def sidecars(path: Path, ending: str) -> tuple[Path, ...]:
    """Return the sidecars that apply to a recording, the nearest first.

    Parameters
    ----------
    path
        The recording, somewhere below its ``sub-`` folder.
    ending
        Suffix and extension, such as ``events.tsv``.

    Raises
    ------
    CorpusError
        ``file_name`` outside any ``sub-`` folder, ``bad_labels`` if two apply equally well.
    """
    entities, _ = name_parts(path.name)
    found = (_at_level(folder, entities, ending) for folder in _levels(path))
    return tuple(place for place in found if place)


def nearest_table(path: Path, ending: str) -> list[dict[str, str]] | None:
    """Return the rows of the table sidecar that applies, None where there is none.

    Raises
    ------
    CorpusError
        As :func:`sidecars`, or ``bad_labels`` if it is no table.
    """
    found = sidecars(path, ending)
    return table(found[0], "\t") if found else None


def merged_json(path: Path, ending: str = "eeg.json") -> dict[str, Any]:
    """Return what the JSON sidecars of a recording say together, empty where there is none.

    Raises
    ------
    CorpusError
        As :func:`sidecars`, or ``bad_labels`` if one is no JSON object.
    """
    merged: dict[str, Any] = {}
    for place in reversed(sidecars(path, ending)):
        try:
            content = json.loads(sidecar_text(place) or "null")
        except (ValueError, RecursionError) as error:
            raise CorpusError("bad_labels", f"a sidecar *{ending} is no JSON") from error
        if not isinstance(content, dict):
            raise CorpusError("bad_labels", f"a sidecar *{ending} is no JSON object")
        merged |= content
    return merged
