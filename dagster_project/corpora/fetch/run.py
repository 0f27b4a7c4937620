"""A corpus fetched: room checked, files put in place one after the other, archives unpacked.

Which files is :mod:`dagster_project.corpora.fetch.plan`; one file is
:mod:`dagster_project.corpora.fetch.transfer`. Nothing is written outside the corpus folder.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.archive_members import ArchiveError
from dagster_project.corpora.archives import unpack
from dagster_project.corpora.fetch.plan import Plan, is_archive, unpacked_folder
from dagster_project.corpora.fetch.record import Fetched, read_record
from dagster_project.corpora.fetch.transfer import digest_of, is_in_place, place
from dagster_project.corpora.fetch.types import (
    PRIVATE_FOLDER,
    FetchError,
    InterruptedTransferError,
    Progress,
    RemoteFile,
    place_of,
)

logger = logging.getLogger(__name__)

MARGIN_BYTES = 256 << 20
"""Room left free on the disk (engineering default)."""
UNPACKED_FACTOR = 3
"""Room taken for what an archive holds, in sizes of the archive: signals pack by two or three."""
MAX_UNPACKED_FILES = 200_000
MAX_TOLD = 5


@dataclass(frozen=True, slots=True)
class Fetch:
    """What a fetch did.

    Parameters
    ----------
    n_fetched, n_kept
        Files that came, and that were there and right.
    unpacked
        Archives whose content is now there.
    """

    n_fetched: int
    n_kept: int
    unpacked: tuple[str, ...]


def fetch(plan: Plan, progress: Progress) -> Fetch:
    """Fetch what a plan wants.

    A file that is wrong at its host does not stop the others; a host that is away does.

    Raises
    ------
    FetchError
        If the disk is too small, another fetch is at work here, or files are missing at the end.
    """
    _assert_room(plan)
    with _alone(plan.folder):
        record = read_record(plan.folder)
        record.begin(plan.spec.access)
        kept = set()
        for file in plan.wanted:
            if _is_done(file, plan.folder, record):
                kept.add(file.name)
                progress(file.name, file.n_bytes or 0)
        due = [f for f in plan.wanted if f.name not in kept]
        failures = _transfer(plan, due, record, progress)
        unpacked = _unpack(plan, record, failures) if plan.is_unpacked else ()
    if failures:
        some = "; ".join(failures[:MAX_TOLD])
        raise FetchError(f"{len(failures)} of {len(plan.wanted)} files are not as wanted: {some}")
    return Fetch(len(due), len(kept), unpacked)


def _transfer(plan: Plan, due: list[RemoteFile], record: Fetched, progress: Progress) -> list[str]:
    if plan.listing.fetch_all is not None:
        if due:
            plan.listing.fetch_all(due, plan.folder, progress)
        for file in due:
            record.note(file.name, digest_of(place_of(plan.folder, file.name)))
        return []
    open_at = plan.listing.open_at
    if open_at is None:
        raise FetchError(f"source {plan.spec.access.source!r} gives no way to open a file")
    failures = []
    for file in due:
        try:
            place(file, plan.folder, open_at, progress)
            path = place_of(plan.folder, file.name)
            record.note(file.name, file.checksum.lower() or digest_of(path))
        except InterruptedTransferError:
            raise
        except FetchError as error:
            failures.append(str(error))
    return failures


def _is_done(file: RemoteFile, folder: Path, record: Fetched) -> bool:
    known = file.checksum or record.checksums.get(file.name, "")
    path = place_of(folder, file.name)
    if not path.exists():
        return bool(known) and record.unpacked.get(file.name) == known.lower()
    if not is_in_place(path, file, known):
        return False
    record.note(file.name, known.lower() or digest_of(path))
    return True


def _unpack(plan: Plan, record: Fetched, failures: list[str]) -> tuple[str, ...]:
    """Unpack archives that are new, each into a folder of its name beside it."""
    done = []
    for file in plan.wanted:
        path = place_of(plan.folder, file.name)
        checksum = record.checksums.get(file.name, "")
        is_known = bool(checksum) and record.unpacked.get(file.name) == checksum
        if is_known or not is_archive(file.name) or not path.is_file():
            continue
        room = max(0, _free_bytes(plan.folder) - MARGIN_BYTES)
        target = unpacked_folder(path)
        try:
            found = unpack(path, target, max_bytes=room, max_files=MAX_UNPACKED_FILES)
        except ArchiveError as error:
            failures.append(f"{file.name!r} came and was not unpacked ({error})")
            continue
        if found.refused:
            logger.warning("%s: members left out: %s", file.name, dict(found.refused))
        record.note_unpacked(file.name, checksum)
        done.append(file.name)
    return tuple(done)


def _free_bytes(folder: Path) -> int:
    there = next(p for p in (folder, *folder.parents) if p.is_dir())
    return shutil.disk_usage(there).free


def _assert_room(plan: Plan) -> None:
    needed = plan.n_bytes_missing
    if plan.is_unpacked:
        packed = sum(f.n_bytes or 0 for f in plan.missing if is_archive(f.name))
        needed += UNPACKED_FACTOR * packed
    free = _free_bytes(plan.folder)
    if plan.missing and needed + MARGIN_BYTES > free:
        raise FetchError(
            f"corpus {plan.spec.key!r} needs {needed / 1e9:.1f} GB at {str(plan.folder)!r} and "
            f"{free / 1e9:.1f} GB are free; make room, or take a part with --subjects, --include "
            "or --max-bytes"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second fetch out of a corpus folder."""
    private = folder / PRIVATE_FOLDER
    try:
        private.mkdir(parents=True, exist_ok=True)
        handle = (private / "lock").open("w")
    except OSError as error:
        raise FetchError(
            f"{str(folder)!r} cannot be written to (errno {error.errno}); choose another data root"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FetchError(f"another fetch is at work in {str(folder)!r}; wait for it") from None
        yield
