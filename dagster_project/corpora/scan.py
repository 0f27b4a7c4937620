"""What lies under the data root, from file sizes and times alone, shard by shard.

A sensor compares two scans to learn which shards hold new, changed or removed files, sidecars
included. No file is opened here. Files are named by hashes, because a cursor is stored where paths
may not be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.identity import short_hash
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import find_files, shard_keys, shard_of
from dagster_project.corpora.spec import CorpusSpec


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files that feed one shard.

    Parameters
    ----------
    fingerprint
        Changes whenever a file appears, changes or goes, or the corpus' entry reads it otherwise.
    files
        Size and modification time in ns by hashed path.
    n_recordings
        How many of the files are recordings; a shard of sidecars alone has nothing to build.
    """

    fingerprint: str
    files: Mapping[str, tuple[int, int]]
    n_recordings: int


def _fingerprint(spec: CorpusSpec, files: Mapping[str, tuple[int, int]]) -> str:
    text = json.dumps([spec.digest, sorted(files.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:  # went away between listing and looking: it is gone
        return None
    return found.st_size, found.st_mtime_ns


def _shards(spec: CorpusSpec, root: Path) -> dict[str, ShardFiles]:
    shards: dict[str, dict[str, tuple[int, int]]] = {key: {} for key in shard_keys(spec.key)}
    shared: dict[str, tuple[int, int]] = {}
    n_recordings = dict.fromkeys(shards, 0)
    for file in find_files(spec, root):
        found = _stat(file.path)
        if found is None:
            continue
        file_id = short_hash("f", file.relative_path)
        if file.identity is None:
            shared[file_id] = found
            continue
        shard = shard_of(spec, file.identity)
        shards[shard][file_id] = found
        n_recordings[shard] += file.is_recording
    for shard, files in shards.items():
        if n_recordings[shard]:
            files.update(shared)
    return {k: ShardFiles(_fingerprint(spec, f), f, n_recordings[k]) for k, f in shards.items()}


def fingerprints(data_root: Path, corpora: Iterable[str]) -> dict[str, ShardFiles]:
    """Scan a data root.

    Parameters
    ----------
    data_root
        Folder that holds corpus folders.
    corpora
        Keys of the corpora to look for.

    Returns
    -------
    dict
        One entry for every shard of these corpora, empty ones included, so that a shard whose last
        file has gone is seen to change. A sidecar for one subject counts in that subject's shard, a
        sidecar for all in every shard that has recordings.

    Raises
    ------
    CorpusError
        ``data_root`` if the root or a folder below it cannot be listed.
    """
    return {
        shard: files for key in corpora for shard, files in _shards(corpus(key), data_root).items()
    }
