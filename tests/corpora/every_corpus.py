"""Every tree of ``trees/`` in one place, and what taking it in gives; shared by the tests of all.

The property tests are in ``test_every_corpus.py``, planted names in ``test_deidentification.py``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import CATALOGUE, corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import corpus_folder, find_files, shard_of
from dagster_project.corpora.spec import CorpusSpec

HERE = Path(__file__).parent
OWN = {"generic_bids", "generic_folder"}
"""Trees of a user's own entries, not of the catalogue."""
KEYS = tuple(
    sorted(
        {path.stem for path in CATALOGUE.glob("*.yaml")} - {"simulated"},
        key=lambda key: (corpus(key).reader.name, key),
    )
)
"""By reader: a child process that reads guarded files lives on from corpus to corpus."""
SALT = "a secret text"

Row = dict[str, Any]


def write_all(root: Path, seed: int = 0) -> None:
    """Write every tree below a root."""
    for path in sorted((HERE / "trees").glob("*.py")):
        if path.stem not in OWN:
            importlib.import_module(f"trees.{path.stem}").write(root, seed)


@dataclass(frozen=True)
class Shard:
    """What one shard gave."""

    key: str
    inventory: Inventory
    segments: pa.Table
    rejects: pa.Table


def take_in(spec: CorpusSpec, root: Path, n_workers: int = 1) -> tuple[Shard, ...]:
    """Inventory and cut the shards of a corpus that hold files; more workers start a pool at once."""
    files = [file for file in find_files(spec, root) if file.is_recording]
    shards = []
    for key in sorted({shard_of(spec, str(file.identity)) for file in files}):
        found = inventory(spec, root, key, salt=SALT, n_workers=n_workers, pool_from_bytes=0)
        cut = process_shard(spec, root, found.recordings, n_workers=n_workers, pool_from_s=0.0)
        shards.append(Shard(key, found, cut.segments, cut.rejects))
    return tuple(shards)


def recordings(shards: Sequence[Shard]) -> list[Row]:
    return [row for shard in shards for row in shard.inventory.recordings]


def segment_rows(shards: Sequence[Shard]) -> list[Row]:
    return [row for s in shards for row in s.segments.drop_columns(["signal"]).to_pylist()]


def recording_files(spec: CorpusSpec, root: Path) -> list[str]:
    """Return what lies in a corpus' folder under a recording's suffix, listed without the shards'
    own walk."""
    folder = corpus_folder(spec, root)
    assert folder is not None, f"no tree writes {spec.folders[0]}"
    no = [re.compile(p) for p in (*spec.files.ignored, *spec.files.companions)]
    below = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return sorted(
        (folder / path).relative_to(root).as_posix()
        for path in below
        if path.name.lower().endswith(spec.files.suffixes)
        and not set(path.parent.parts) & set(spec.files.folders_ignored)
        and not any(pattern.search(path.as_posix()) for pattern in no)
    )


def tree(root: Path) -> Path:
    """Write every tree and, into every corpus, a file nobody can name."""
    write_all(root)
    for key in KEYS:
        spec = corpus(key)
        folder = corpus_folder(spec, root)
        assert folder is not None, f"no module of trees/ writes {spec.folders[0]}; {key} needs one"
        beside = root / recording_files(spec, root)[0]
        stray = beside.with_name(f"nobody knows whose{spec.files.suffixes[0]}")
        stray.write_bytes(b"neither do we")
    return root
