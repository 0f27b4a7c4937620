"""Shards and the files in them: which file belongs to whom, and to which partition key.

A shard is a stable hash of the identity, so nobody straddles two. Walking a corpus folder reads
names only; contents are read by :mod:`dagster_project.corpora.inventory`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import session_name
from dagster_project.corpora.labels.sidecars import table
from dagster_project.corpora.order import natural_key
from dagster_project.corpora.registry import corpora, corpus
from dagster_project.corpora.spec import CorpusSpec

_SHARD_KEY = re.compile(r"(?P<corpus>.+)-(?P<number>\d{2,})-of-(?P<count>\d{2,})")
_IGNORED_FOLDERS = {"__MACOSX"}
_VOID = {"", "n/a", "nan"}
"""What a table of people writes where it does not know one."""
_IGNORED_FILES = {".DS_Store", "Thumbs.db"}


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a corpus, known by its name alone.

    Parameters
    ----------
    path
        Where it lies.
    relative_path
        Path relative to the data root, with forward slashes.
    identity
        Leakage-group identity; of its own for a recording whose name carries no subject, None for a
        sidecar that informs every subject.
    session
        Session or run as the corpus numbers it.
    is_recording
        Whether it holds a signal; else it is a sidecar.
    is_named
        Whether the name fits the corpus' layout.
    has_person
        Whether the corpus' table of people, where it has one, says whose it is.
    """

    path: Path
    relative_path: str
    identity: str | None
    session: str
    is_recording: bool
    is_named: bool
    has_person: bool = True


def shard_key(corpus_key: str, number: int) -> str:
    """Return the partition key of one shard, numbered from 1."""
    return f"{corpus_key}-{number:02d}-of-{corpus(corpus_key).n_shards:02d}"


def shard_keys(corpus_key: str | None = None) -> tuple[str, ...]:
    """Return the keys of one corpus, or of all, in registry order."""
    specs = [corpus(corpus_key)] if corpus_key is not None else corpora().values()
    return tuple(shard_key(s.key, n + 1) for s in specs for n in range(s.n_shards))


def corpus_of_shard(shard: str) -> CorpusSpec:
    """Return the corpus a shard key belongs to.

    Raises
    ------
    KeyError
        If the key is not one of :func:`shard_keys`.
    """
    match = _SHARD_KEY.fullmatch(shard)
    if not match or match["corpus"] not in corpora() or shard not in shard_keys(match["corpus"]):
        raise KeyError(f"shard {shard!r} is not known; keys look like {shard_keys()[0]!r}")
    return corpora()[match["corpus"]]


def shard_of(spec: CorpusSpec, identity: str) -> str:
    """Return the shard key of an identity."""
    digest = hashlib.sha256(f"shard|{identity}".encode()).digest()
    return shard_key(spec.key, int.from_bytes(digest[:8], "big") % spec.n_shards + 1)


def corpus_folder(spec: CorpusSpec, root: Path) -> Path | None:
    """Return the folder of a corpus under a data root, or None where there is none.

    Raises
    ------
    CorpusError
        ``data_root`` if the root is not a folder: an unmounted disk must not look like a corpus
        from which everyone has withdrawn.
    """
    if not root.is_dir():
        raise CorpusError("data_root", "the data root is not a folder; check its path and mount")
    return next((root / name for name in spec.folders if (root / name).is_dir()), None)


def _is_new(folder: Path, seen: set[Path]) -> bool:
    """Whether a folder was not walked yet: links may lead in circles."""
    real = folder.resolve()
    is_new = real not in seen
    seen.add(real)
    return is_new


def walk(folder: Path, ignored: Collection[str] = ()) -> Iterator[Path]:
    """Yield every file below a folder in natural order, operating-system litter left out.

    Parameters
    ----------
    folder
        Where to begin.
    ignored
        Names of folders not walked into.

    Raises
    ------
    CorpusError
        ``data_root`` if a folder cannot be listed.
    """

    def stop(error: OSError) -> None:
        raise CorpusError("data_root", f"a folder cannot be listed: errno {error.errno}") from error

    seen = {folder.resolve()}
    unwanted = _IGNORED_FOLDERS.union(ignored)
    for base, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        kept = (f for f in folders if f not in unwanted and not f.startswith("."))
        folders[:] = [f for f in sorted(kept, key=natural_key) if _is_new(Path(base, f), seen)]
        for name in sorted(names, key=natural_key):
            if name not in _IGNORED_FILES and not name.startswith("._"):
                yield Path(base, name)


@lru_cache(maxsize=32)
def _people(path: Path, _mtime_ns: int, _n_bytes: int, key: str, value: str) -> Mapping[str, str]:
    """Subject to person, lower case, of a table that has not changed since it was last read."""
    rows = table(path, "\t" if path.suffix.lower() == ".tsv" else ",") or []
    pairs = {(row.get(key, "").lower(), row.get(value, "").lower()) for row in rows}
    known = [(subject, person) for subject, person in pairs if subject and person not in _VOID]
    twice = {subject for subject, n in Counter(s for s, _ in known).items() if n > 1}
    return {subject: person for subject, person in known if subject not in twice}


def _person_of(spec: CorpusSpec, folder: Path, subject: str) -> str | None:
    """Return the person a subject of the files is, None where the corpus' table does not say.

    Two nights of one person under two names must not land on two sides of a split, so a file whose
    person is not known is not used.
    """
    if not spec.identity.alias_table:
        return subject
    file, key, value = spec.identity.alias_table.split(":")
    path = folder / file
    try:
        found = path.stat()
        people = _people(path, found.st_mtime_ns, found.st_size, key, value)
    except (OSError, CorpusError):
        return None
    return people.get(subject.lower())


def _found(spec: CorpusSpec, root: Path, folder: Path, path: Path) -> FoundFile | None:
    """Say what a file is to its corpus; None where it is nothing to it."""
    below, relative = path.relative_to(folder).as_posix(), path.relative_to(root).as_posix()
    companion = spec.match_companion(below)
    if companion:
        subject = companion.groupdict().get("subject")
        person = _person_of(spec, folder, subject) if subject else None
        identity = spec.identity_of(person) if person else None
        return FoundFile(path, relative, identity, "", is_recording=False, is_named=True)
    if not spec.is_recording_name(below):
        return None
    match = spec.match_file(below)
    if not match:
        identity = f"{spec.identity.family}:unnamed:{relative}"
        return FoundFile(path, relative, identity, "", is_recording=True, is_named=False)
    person = _person_of(spec, folder, match["subject"])
    session = session_name((match.groupdict().get("session") or "").lstrip("_"))
    if person is None:
        identity = f"{spec.identity.family}:unknown:{match['subject'].lower()}"
        return FoundFile(path, relative, identity, session, True, True, has_person=False)
    identity = spec.identity_of(person)
    return FoundFile(path, relative, identity, session, is_recording=True, is_named=True)


def find_files(spec: CorpusSpec, root: Path) -> tuple[FoundFile, ...]:
    """Return every recording and sidecar of a corpus, in natural order of path.

    Files with the corpus' suffix whose names do not fit its layout are returned too, so that they
    are accounted for.

    Raises
    ------
    CorpusError
        ``data_root`` if the root or a folder below it cannot be listed.
    """
    folder = corpus_folder(spec, root)
    if folder is None:
        return ()
    found = (_found(spec, root, folder, path) for path in walk(folder, spec.files.folders_ignored))
    return tuple(sorted((f for f in found if f), key=lambda f: natural_key(f.relative_path)))


def find_recordings(spec: CorpusSpec, root: Path, shard: str) -> tuple[FoundFile, ...]:
    """Return the recording files of one shard, in natural order of path."""
    return tuple(
        f
        for f in find_files(spec, root)
        if f.is_recording and f.identity is not None and shard_of(spec, f.identity) == shard
    )
