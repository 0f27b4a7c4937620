"""Which files of a corpus are wanted, where they go, and what is there already.

Listing is the source's; moving bytes is :mod:`dagster_project.corpora.fetch.run`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from dagster_project.corpora.archives import SUFFIXES
from dagster_project.corpora.fetch.record import Fetched, read_record
from dagster_project.corpora.fetch.table import SOURCES, list_files, locator_of
from dagster_project.corpora.fetch.types import FetchError, Listing, RemoteFile, place_of
from dagster_project.corpora.order import natural_key
from dagster_project.corpora.shards import corpus_folder
from dagster_project.corpora.spec import CorpusSpec

MAX_NAMED = 12


@dataclass(frozen=True, slots=True)
class Wish:
    """What part of a corpus is wanted; everything by default.

    Parameters
    ----------
    subjects
        Subjects as the corpus' files name them; files of nobody come along.
    include
        Globs on the path below the corpus folder, any of which must fit.
    max_bytes
        Files are taken, shared ones first, while they fit in; None takes all.
    """

    subjects: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fetch would do.

    Parameters
    ----------
    spec, folder
        The corpus and the folder its files go to.
    listing
        Everything the host lists.
    wanted
        Of this, what was asked for.
    missing
        Of this, what is not there by its size; contents are checked when fetched.
    """

    spec: CorpusSpec
    folder: Path
    listing: Listing
    wanted: tuple[RemoteFile, ...]
    missing: tuple[RemoteFile, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes wanted."""
        return sum(f.n_bytes or 0 for f in self.wanted)

    @property
    def n_bytes_missing(self) -> int:
        """Bytes to come."""
        return sum(f.n_bytes or 0 for f in self.missing)

    @property
    def is_unpacked(self) -> bool:
        """Whether archives of this source are unpacked."""
        return SOURCES[self.spec.access.source].is_unpacked


def is_archive(name: str) -> bool:
    """Whether a file is one that holds others."""
    return name.lower().endswith(SUFFIXES)


def unpacked_folder(archive: Path) -> Path:
    """Return the folder beside an archive that its content goes to."""
    suffix = max((s for s in SUFFIXES if archive.name.lower().endswith(s)), key=len, default="")
    return archive.with_name(archive.name[: len(archive.name) - len(suffix)])


def make_plan(spec: CorpusSpec, root: Path, wish: Wish) -> Plan:
    """List a corpus at its host and choose.

    Raises
    ------
    FetchError
        If the corpus has no source, the host does not answer, or the wish fits nothing.
    CorpusError
        ``data_root`` if the root is not a folder.
    """
    if spec.access.kind != "open" or not spec.access.source:
        raise FetchError(f"corpus {spec.key!r} is not one a program may fetch")
    folder = corpus_folder(spec, root) or root / spec.folders[0]
    listing = list_files(spec.access)
    _assert_distinct(listing.files)
    globs = tuple(g.strip() for g in locator_of(spec.access).include.split(",") if g.strip())
    files = [f for f in listing.files if _fits(f.name, globs) and _fits(f.name, wish.include)]
    wanted = _affordable(spec, _of_subjects(spec, files, wish.subjects), wish.max_bytes)
    if not wanted:
        raise FetchError(
            f"none of the {len(listing.files)} files of corpus {spec.key!r} is asked for; loosen "
            "--include, --subjects or --max-bytes"
        )
    record = read_record(folder)
    missing = tuple(f for f in wanted if not _is_there(f, folder, record))
    return Plan(spec, folder, listing, wanted, missing)


def _is_there(file: RemoteFile, folder: Path, record: Fetched) -> bool:
    path = place_of(folder, file.name)
    if not path.is_file():
        return file.name in record.unpacked
    return file.n_bytes is None or path.stat().st_size == file.n_bytes


def _assert_distinct(files: Iterable[RemoteFile]) -> None:
    seen: set[str] = set()
    for file in files:
        if file.name in seen:
            raise FetchError(f"the host lists {file.name!r} twice; tell its host")
        seen.add(file.name)


def _fits(name: str, globs: tuple[str, ...]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _subject_of(spec: CorpusSpec, name: str) -> str | None:
    match = spec.match_file(name) or spec.match_companion(name)
    subject = match.groupdict().get("subject") if match else None
    return subject.lower() if subject else None


def _of_subjects(
    spec: CorpusSpec, files: list[RemoteFile], subjects: tuple[str, ...]
) -> list[RemoteFile]:
    """Keep the files of some subjects, and those of nobody.

    A file that is neither recording nor sidecar belongs to the subject whose name is a word of it.
    """
    if not subjects:
        return files
    wanted = {s.lower() for s in subjects}
    owners = {f.name: _subject_of(spec, f.name) for f in files}
    known = {owner for owner in owners.values() if owner}
    unknown = sorted(wanted - known)
    if unknown:
        some = ", ".join(sorted(known, key=natural_key)[:MAX_NAMED]) or "none"
        raise FetchError(f"corpus {spec.key!r} has no subject {unknown[0]!r}; it has {some} ...")
    word = re.compile("|".join(rf"(?<![a-z0-9]){re.escape(k)}(?![a-z0-9])" for k in sorted(known)))

    def owner_of(name: str) -> str | None:
        found = word.search(name.lower())
        return owners[name] or (found[0] if found else None)

    return [f for f in files if (owner_of(f.name) or next(iter(wanted))) in wanted]


def _affordable(
    spec: CorpusSpec, files: list[RemoteFile], max_bytes: int | None
) -> tuple[RemoteFile, ...]:
    ordered = sorted(
        files, key=lambda f: (_subject_of(spec, f.name) is not None, natural_key(f.name))
    )
    if max_bytes is None:
        return tuple(ordered)
    taken, total = [], 0
    for file in ordered:
        total += file.n_bytes or 0
        if total > max_bytes:
            break
        taken.append(file)
    return tuple(taken)
