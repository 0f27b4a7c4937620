"""One file put in place: streamed into a ``.part``, resumed, checked, renamed.

Checking what came is pooch's; the bytes come through the source's own opener, because pooch's
downloaders cannot resume. A part is only resumed where a published checksum
can tell whether its two halves belong together.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from pathlib import Path

from dagster_project.corpora.fetch.table import require
from dagster_project.corpora.fetch.types import (
    PRIVATE_FOLDER,
    FetchError,
    InterruptedTransferError,
    Open,
    Progress,
    RemoteFile,
    place_of,
)

logger = logging.getLogger(__name__)

ATTEMPTS = 5
"""Connections in a row that may fail without a mebibyte gained."""
FIRST_WAIT_S = 0.5
"""Wait before the second of them; doubled each time."""
GAIN_BYTES = 1 << 20
MAX_UNSTATED_BYTES = 1 << 30
"""Where the host states no size, a file ends here: only small tables come so."""
_BLOCK = 1 << 20


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Return ``algorithm:hexdigest`` of a file."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def is_in_place(path: Path, file: RemoteFile, known: str) -> bool:
    """Whether a file is there whole: of the stated size and the known checksum.

    Parameters
    ----------
    path
        Where it would lie.
    file
        As its host lists it.
    known
        Checksum it must have; empty where nobody has one, then the size decides.
    """
    if not path.is_file():
        return False
    if file.n_bytes is not None and path.stat().st_size != file.n_bytes:
        return False
    if not known:
        return file.n_bytes is not None
    algorithm = known.partition(":")[0]
    return digest_of(path, algorithm) == known.lower()


def place(file: RemoteFile, folder: Path, open_at: Open, progress: Progress) -> None:
    """Put one file below a folder.

    A file of a wrong checksum is fetched once more from its first byte.

    Raises
    ------
    FetchError
        If it cannot be had; retryable where the connection was at fault.
    """
    path = place_of(folder, file.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    incoming = folder / PRIVATE_FOLDER / "incoming"  # pooch leaves an empty file when it is killed
    shutil.rmtree(incoming, ignore_errors=True)
    pooch = require("pooch")
    pooch.get_logger().setLevel(logging.WARNING)
    for is_last in (False, True):
        downloader = _Downloader(file, path, open_at, progress)
        try:
            came = pooch.retrieve(
                file.url,
                known_hash=file.checksum or None,
                fname=path.name,
                path=incoming,
                downloader=downloader,
            )
            Path(came).replace(path)
        except ValueError:  # pooch's word for a checksum that is not the known one
            progress(file.name, -downloader.n_done)
            if is_last:
                raise FetchError(
                    f"{file.name!r} came twice with another checksum than its host publishes; "
                    "nothing of it was kept"
                ) from None
            logger.warning("%s: wrong checksum, fetching it once more", file.name)
        else:
            return


class _Downloader:
    """What pooch calls to fill its temporary file."""

    def __init__(self, file: RemoteFile, path: Path, open_at: Open, progress: Progress) -> None:
        self._file = file
        self._part = path.with_name(f"{path.name}.part")
        self._open_at = open_at
        self._progress = progress
        self.n_done = 0

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Fill the part, then give it to pooch to check and name."""
        self._begin()
        n_failed, gained_at = 0, self.n_done
        while self.n_done != self._file.n_bytes:
            try:
                self._stream()
                break
            except InterruptedTransferError as error:
                n_failed = 1 if self.n_done - gained_at >= GAIN_BYTES else n_failed + 1
                gained_at = self.n_done
                if n_failed >= ATTEMPTS:
                    raise
                logger.info("%s: %s", self._file.name, error)
                time.sleep(max(error.after_s, FIRST_WAIT_S * 2 ** (n_failed - 1)))
        self._part.replace(output_file)

    def _begin(self) -> None:
        """Take up what an earlier run left, if it can be trusted."""
        if self._part.is_file():
            size, whole = self._part.stat().st_size, self._file.n_bytes
            if not self._file.checksum or (whole is not None and size > whole):
                self._part.unlink()
            else:
                self.n_done = size
                self._progress(self._file.name, size)

    def _stream(self) -> None:
        whole = self._file.n_bytes
        with (
            self._open_at(self._file, self.n_done) as piece,
            self._part.open("r+b" if self._part.exists() else "wb") as part,
        ):
            part.truncate(piece.start)
            part.seek(piece.start)
            self._progress(self._file.name, piece.start - self.n_done)
            self.n_done = piece.start
            for block in piece.blocks:
                if self.n_done + len(block) > (MAX_UNSTATED_BYTES if whole is None else whole):
                    raise FetchError(f"{self._file.name!r} is longer than its host states")
                part.write(block)
                self.n_done += len(block)
                self._progress(self._file.name, len(block))
            part.flush()
            os.fsync(part.fileno())
        if whole is not None and self.n_done < whole:
            raise InterruptedTransferError(
                f"{self._file.name!r} ended after {self.n_done} of {whole} bytes; run the same "
                "command again, what is there is kept"
            )
