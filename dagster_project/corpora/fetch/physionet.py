"""PhysioNet's open bucket on S3, without an account: sizes from the bucket, SHA-256 from its list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from dagster_project.corpora.fetch.table import PhysioNetLocator, require
from dagster_project.corpora.fetch.types import (
    FetchError,
    InterruptedTransferError,
    Listing,
    Piece,
    RemoteFile,
    checked_name,
)

BUCKET = "physionet-open"
REGION = "us-east-1"
SUMS = "SHA256SUMS.txt"
BLOCK_BYTES = 1 << 20
MAX_SUMS_BYTES = 64 << 20
CONNECT_S, READ_S = 10, 60
_ATTEMPTS = 3
_GONE = frozenset({"404", "NoSuchKey", "NoSuchBucket", "AccessDenied", "403"})


def listing(locator: PhysioNetLocator, url: str) -> Listing:
    """List one version of a project.

    Raises
    ------
    FetchError
        If the bucket holds nothing there or cannot be reached.
    """
    bucket = _Bucket(url)
    prefix = f"{locator.dataset}/{locator.version}/"
    sizes = bucket.sizes(prefix)
    if not sizes:
        raise FetchError(
            f"PhysioNet's open bucket holds nothing under {prefix!r}; check data set and version"
        )
    sums: Mapping[str, str] = {}
    if SUMS in sizes:
        sums = read_sums(bucket.read(RemoteFile(SUMS, sizes[SUMS], "", prefix + SUMS)))
    files = tuple(
        RemoteFile(
            checked_name(name), n, f"sha256:{sums[name]}" if name in sums else "", prefix + name
        )
        for name, n in sizes.items()
    )
    return Listing(files, bucket.open_at)


def read_sums(text: str) -> dict[str, str]:
    """Return file name to SHA-256 from the lines of ``sha256sum``; other lines are skipped."""
    found = {}
    for line in text.splitlines():
        digest, _, name = line.strip().partition(" ")
        name = name.strip().removeprefix("*").removeprefix("./")
        if len(digest) == 64 and name:
            found[name] = digest.lower()
    return found


class _Bucket:
    """The bucket, asked without credentials."""

    def __init__(self, url: str) -> None:
        require("boto3")
        from boto3.session import Session
        from botocore import UNSIGNED
        from botocore.config import Config

        settings = Config(
            signature_version=UNSIGNED,
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "max_attempts": _ATTEMPTS},
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
        )
        self._client: Any = Session().client(
            "s3", region_name=REGION, endpoint_url=url, config=settings
        )

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return name below a prefix to size."""
        pages = self._client.get_paginator("list_objects_v2")
        with _translated(prefix):
            return {
                entry["Key"].removeprefix(prefix): int(entry["Size"])
                for page in pages.paginate(Bucket=BUCKET, Prefix=prefix)
                for entry in page.get("Contents", ())
                if not entry["Key"].endswith("/")
            }

    def read(self, file: RemoteFile) -> str:
        """Return a small text file."""
        if (file.n_bytes or 0) > MAX_SUMS_BYTES:
            raise FetchError(f"{file.url} is too long for a list of checksums")
        with self.open_at(file, 0) as piece:
            return b"".join(piece.blocks).decode("utf-8", "replace")

    @contextmanager
    def open_at(self, file: RemoteFile, start: int) -> Iterator[Piece]:
        """Open an object at an offset."""
        with _translated(file.url):
            reply = self._client.get_object(
                Bucket=BUCKET, Key=file.url, **({"Range": f"bytes={start}-"} if start else {})
            )
            is_part = "ContentRange" in reply
            with closing(reply["Body"]) as body:
                yield Piece(start if is_part else 0, body.iter_chunks(BLOCK_BYTES))


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Tell the client's errors apart: what is not there, and what may work another time."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise FetchError(
                f"PhysioNet's open bucket has no {key!r} ({code}); check data set and version"
            ) from None
        raise InterruptedTransferError(
            f"PhysioNet's open bucket answered {code}; try again later"
        ) from None
    except (HTTPClientError, BotoCoreError, HTTPError, OSError) as error:
        raise InterruptedTransferError(
            f"the connection to PhysioNet's bucket failed ({type(error).__name__}); run the same "
            "command again, what is there is kept"
        ) from None
