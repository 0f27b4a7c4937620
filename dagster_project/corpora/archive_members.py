"""What is inside an archive, member by member: zip, tar, tar.gz and RAR behind one face.

Nothing is written here and no path is judged; that is :mod:`dagster_project.corpora.archives`.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MAX_HEADER_BYTES = 16 << 20
"""No header inside a tar is larger; one that says so would be read into memory whole."""
MAX_PADDING_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
RAR_TOOLS = "unrar, unar, bsdtar or 7z"


class ArchiveError(Exception):
    """An archive that cannot be unpacked; nothing of it is left behind.

    Parameters
    ----------
    cause
        ``unreadable``, ``not_archive``, ``encrypted``, ``needs_tool``, ``too_large``,
        ``too_many_files``, ``damaged`` or ``target_exists``.
    detail
        Numbers, and what to do.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"

    @property
    def is_retryable(self) -> bool:
        """Whether trying again may succeed without anybody's doing."""
        return self.cause == "unreadable"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry: its name, its kind (``file``, ``folder``, ``link``, ``device``) and its bytes."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes]]


class _Thin:
    """A stream that refuses reads of a size only a forged header asks for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last = b""

    def read(self, n: int = -1) -> bytes:
        """Read ``n`` bytes."""
        if not 0 <= n <= MAX_HEADER_BYTES:
            raise ArchiveError("damaged", f"a header of the archive asks for {n} bytes at once")
        self.last = self._stream.read(n)
        return self.last

    def seek(self, to: int, whence: int = 0) -> int:
        """Move to a place."""
        return self._stream.seek(to, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._stream.tell()


def _zip_members(path: Path, stack: ExitStack) -> Iterator[Member]:
    archive = stack.enter_context(zipfile.ZipFile(path))
    for info in archive.infolist():
        if info.flag_bits & 0x1:
            raise ArchiveError("encrypted", "a member needs a password; unpack it by hand")
        mode = info.external_attr >> 16
        kind = "folder" if info.is_dir() else "file"
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "link" if stat.S_ISLNK(mode) else "device"

        def opened(info: zipfile.ZipInfo = info) -> IO[bytes]:
            return archive.open(info)

        yield Member(info.orig_filename.partition("\0")[0], kind, info.file_size, opened)


def _tar_members(path: Path, stack: ExitStack) -> Iterator[Member]:
    raw: Any = stack.enter_context(path.open("rb"))
    if raw.read(2) == b"\x1f\x8b":
        raw = stack.enter_context(gzip.GzipFile(path))
    raw.seek(0)
    thin = _Thin(raw)
    archive = stack.enter_context(tarfile.TarFile(fileobj=thin))  # type: ignore[arg-type]
    for info in archive:
        kind = "file" if info.isreg() else "folder" if info.isdir() else "device"
        kind = "link" if info.islnk() or info.issym() else kind

        def opened(info: tarfile.TarInfo = info) -> IO[bytes]:
            return archive.extractfile(info) or io.BytesIO()

        yield Member(info.name, kind, info.size, opened)
    if thin.last != b"\0" * tarfile.BLOCKSIZE:  # what ended the walk must be the end mark
        raise ArchiveError("damaged", "the archive has no end; fetch it again")
    for _ in range(MAX_PADDING_BYTES // CHUNK_BYTES):  # the check sum of a gzip is at its very end
        if not raw.read(CHUNK_BYTES):
            break


def _rar_members(path: Path, stack: ExitStack) -> Iterator[Member]:
    try:
        import rarfile
    except ImportError as error:
        raise ArchiveError("needs_tool", "RAR needs the package rarfile; install it") from error
    archive = stack.enter_context(rarfile.RarFile(path, errors="strict"))
    if archive.needs_password():
        raise ArchiveError("encrypted", "the archive needs a password; unpack it by hand")
    for info in archive.infolist():
        kind = "folder" if info.is_dir() else "file" if info.is_file() else "device"
        kind = "link" if info.is_symlink() or info.file_redir else kind

        def opened(info: Any = info) -> IO[bytes]:
            try:
                found: IO[bytes] = archive.open(info)
            except rarfile.RarCannotExec as error:
                raise ArchiveError(
                    "needs_tool", f"its members are compressed; install one of {RAR_TOOLS}"
                ) from error
            return found

        yield Member(info.filename, kind, info.file_size, opened)


def members_of(path: Path, stack: ExitStack) -> Iterator[Member]:
    """Tell the kind of an archive by its bytes and walk it."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip_members(path, stack)
    if head[:6] == b"Rar!\x1a\x07":
        return _rar_members(path, stack)
    if head[:2] == b"\x1f\x8b" or tarfile.is_tarfile(path):
        return _tar_members(path, stack)
    raise ArchiveError("not_archive", "its bytes are no zip, tar, tar.gz or RAR; unpack it by hand")
