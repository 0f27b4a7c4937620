"""What a source of corpora offers: a list of files, and bytes from an offset on.

Which sources there are is :mod:`dagster_project.corpora.fetch.table`; putting files in place is
:mod:`dagster_project.corpora.fetch.transfer`; which files are wanted, :mod:`...fetch.plan`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PRIVATE_FOLDER = ".neurogloss"
"""Folder inside a corpus folder for what fetching must remember; readers never look into it."""
MAX_NAME = 1024
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


class FetchError(RuntimeError):
    """A corpus that could not be fetched.

    Parameters
    ----------
    message
        What happened and what to do next.
    is_retryable
        Whether the same command may succeed later, such as after a cut connection.
    """

    def __init__(self, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(message)
        self.is_retryable = is_retryable


class InterruptedTransferError(FetchError):
    """A connection that was refused or cut, or a host that is busy; trying again may help.

    Parameters
    ----------
    message
        What happened.
    after_s
        How long the host asks us to wait, 0 where it does not say.
    """

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message, is_retryable=True)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file at its host.

    Parameters
    ----------
    name
        Path below the corpus folder, checked by :func:`checked_name`.
    n_bytes
        Its size, None where the host does not say.
    checksum
        ``sha256:...`` or ``md5:...`` as the host publishes it, empty where it does not.
    url
        Address, or key in a bucket: what the source opens.
    """

    name: str
    n_bytes: int | None
    checksum: str
    url: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A stream of bytes, and the offset at which the host really began."""

    start: int
    blocks: Iterator[bytes]


Open = Callable[[RemoteFile, int], AbstractContextManager[Piece]]
"""Open a file at an offset; raises :class:`FetchError`."""
Progress = Callable[[str, int], None]
"""Told a file's name and how many more of its bytes are there; negative when they are dropped."""
FetchAll = Callable[[Sequence[RemoteFile], Path, Progress], None]
"""Put files below a folder, for a source whose own client transfers them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source has of one corpus, and how its files are had.

    Parameters
    ----------
    files
        Everything it lists.
    open_at
        How one file is streamed; None where ``fetch_all`` is given.
    fetch_all
        The transfer of a client that brings its own resuming and checking.
    remark
        What the host says about terms, to be shown beside the registry's licence.
    """

    files: tuple[RemoteFile, ...]
    open_at: Open | None = None
    fetch_all: FetchAll | None = None
    remark: str = ""


def checked_name(name: object) -> str:
    """Return a file name from the network as a plain relative path.

    Raises
    ------
    FetchError
        If it is absolute, leaves its folder, or could not be a file name everywhere.
    """
    text = name if isinstance(name, str) else ""
    path = PurePosixPath(text)
    is_plain = (
        bool(text)
        and len(text) <= MAX_NAME
        and "\\" not in text
        and not _UNPRINTABLE.search(text)
        and not _DRIVE.match(text)
        and not path.is_absolute()
        and ".." not in path.parts
        and path.parts
        and path.parts[0] != PRIVATE_FOLDER
    )
    if not is_plain:
        raise FetchError(
            f"the host lists a file named {text[:80]!r}, which does not stay inside the corpus "
            "folder; nothing of this corpus was fetched, tell its host"
        )
    return path.as_posix()


def place_of(folder: Path, name: str) -> Path:
    """Return where a file goes.

    Raises
    ------
    FetchError
        If a link inside the corpus folder would lead it outside.
    """
    path = folder / checked_name(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FetchError(
            f"file {name!r} would be written outside {str(folder)!r} through a link; remove the link"
        )
    return path
