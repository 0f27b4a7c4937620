"""Which shards' files are new, changed or gone since they were last looked at.

Pure functions over file fingerprints; the sensor in :mod:`dagster_project.sensors` keeps the cursor
and asks for the runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from dagster_project.corpora.registry import corpora
from dagster_project.corpora.scan import ShardFiles, fingerprints
from dagster_project.resources import Workspace, corpus_of

Seen = dict[str, dict[str, str]]
"""Per shard, file id -> fingerprint of size and modification time."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one shard's files."""

    shard: str
    fingerprint: str
    n_added: int
    n_changed: int
    n_removed: int

    @property
    def is_withdrawal(self) -> bool:
        """Whether files left, so their rows must leave every table downstream."""
        return self.n_removed > 0

    def told(self) -> str:
        """Say it in one line."""
        return (
            f"{self.shard}: {self.n_added} new, {self.n_changed} changed, {self.n_removed} removed"
        )


def look(workspace: Workspace) -> dict[str, ShardFiles]:
    """Return the files of every shard of every corpus present, from file system metadata alone."""
    found: dict[str, ShardFiles] = {}
    for key, spec in corpora().items():
        root = workspace.root_of(spec)
        if root is not None:
            found |= fingerprints(root, [key])
    return found


def present_shards(workspace: Workspace) -> list[str]:
    """Return the shards that have recordings, sorted."""
    return sorted(shard for shard, files in look(workspace).items() if files.n_recordings)


def absent_corpora(workspace: Workspace) -> list[str]:
    """Return the corpora whose folder is not there: unmounted, or never downloaded."""
    return [key for key, spec in corpora().items() if workspace.root_of(spec) is None]


def changes(before: Seen, now: dict[str, ShardFiles], absent: list[str]) -> list[Change]:
    """Compare what was seen with what is there.

    Parameters
    ----------
    before
        What the cursor remembers.
    now
        What is there.
    absent
        Corpora whose folder is missing altogether. Their files are not taken for withdrawn: a disk
        that is not mounted must not empty the tables.

    Returns
    -------
    list of Change
        One per shard that is not as it was, sorted by shard.
    """
    found = []
    for shard in sorted({*before, *now}):
        if corpus_of(shard).key in absent:
            continue
        old = before.get(shard, {})
        files = now.get(shard)
        new = _marks(files) if files else {}
        added, removed = new.keys() - old.keys(), old.keys() - new.keys()
        changed = {k for k in new.keys() & old.keys() if new[k] != old[k]}
        if added or removed or changed:
            mark = files.fingerprint if files else "empty"
            found.append(Change(shard, mark, len(added), len(changed), len(removed)))
    return found


def remember(before: Seen, now: dict[str, ShardFiles], absent: list[str]) -> str:
    """Return the cursor to keep: what is there now, and what absent corpora held before."""
    seen = {s: m for s, m in before.items() if corpus_of(s).key in absent}
    seen |= {shard: _marks(files) for shard, files in now.items() if files.files}
    return json.dumps(seen, sort_keys=True, separators=(",", ":"))


def recall(cursor: str | None) -> Seen:
    """Read a cursor; none means nothing was seen yet."""
    seen: Seen = json.loads(cursor) if cursor else {}
    return seen


def _marks(files: ShardFiles) -> dict[str, str]:
    return {name: f"{size}:{mtime}" for name, (size, mtime) in files.files.items()}
