"""OpenNeuro: a snapshot's files from its GraphQL answer, transferred by ``openneuro-py``.

That client resumes, retries and checks hashes itself (the S3 ETag, and NEMAR's checksums for files
of a gigabyte and more). It writes under final names from the first byte on, so it works in a folder
of its own and finished files are moved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dagster_project.corpora.fetch.http import get_json
from dagster_project.corpora.fetch.table import SOURCES, OpenNeuroLocator, require
from dagster_project.corpora.fetch.types import (
    PRIVATE_FOLDER,
    FetchError,
    Listing,
    Progress,
    RemoteFile,
    checked_name,
    place_of,
)

_MAGIC, _ESCAPED = re.compile(r"([*?\[\]!{}\\])"), r"\\\1"
_QUERY = """query {{ snapshot(datasetId: "{dataset}", tag: "{tag}") {{
 id files(recursive: true) {{ filename urls size id }} }} }}"""


def listing(locator: OpenNeuroLocator, url: str) -> Listing:
    """List a snapshot.

    Raises
    ------
    FetchError
        If the snapshot does not exist or the answer is not a list of files.
    """
    asked = _QUERY.format(dataset=locator.dataset, tag=locator.tag)
    answer = get_json(url, {"query": asked})
    try:
        snapshot = answer["data"]["snapshot"]
        files = tuple(_file(f) for f in snapshot["files"] if not f.get("directory"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FetchError(
            f"OpenNeuro lists no files for {locator.dataset} at tag {locator.tag}; check both"
        ) from None

    def fetch_all(wanted: Sequence[RemoteFile], folder: Path, progress: Progress) -> None:
        staging = folder / PRIVATE_FOLDER / "openneuro"
        staging.mkdir(parents=True, exist_ok=True)
        _download(locator, url, staging, patterns(files, wanted))
        for file in wanted:
            _move(file, staging, folder)
            progress(file.name, file.n_bytes or 0)

    return Listing(files, fetch_all=fetch_all)


def patterns(listed: Iterable[RemoteFile], wanted: Iterable[RemoteFile]) -> list[str]:
    """Return the fewest anchored globs that select what is wanted and nothing else.

    A top folder all of whose files are wanted is named once: the client matches every pattern
    against every file.
    """
    tops: dict[str, set[str]] = {}
    for file in listed:
        tops.setdefault(file.name.partition("/")[0], set()).add(file.name)
    names = {file.name for file in wanted}
    whole = {
        top for top, inside in tops.items()
        if inside <= names and not any(_is_hidden(n) for n in inside)
    }  # fmt: skip
    single = {name for name in names if name.partition("/")[0] not in whole}
    return [f"/{_MAGIC.sub(_ESCAPED, name)}" for name in sorted(whole | single)]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _file(record: dict[str, Any]) -> RemoteFile:
    size = record.get("size")
    address = (record.get("urls") or [""])[0]
    return RemoteFile(
        checked_name(record["filename"]), int(size) if size is not None else None, "", address
    )


def _download(locator: OpenNeuroLocator, url: str, staging: Path, include: list[str]) -> None:
    client = require("openneuro")
    if url != SOURCES["openneuro"].url:
        # the client has no setting for its address: mirrors and tests move its constant
        require("openneuro._download").gql_url = url
    try:
        client.download(
            dataset=locator.dataset,
            tag=locator.tag,
            target_dir=staging,
            include=include,
            source="openneuro",
        )
    except FileExistsError:
        raise FetchError(
            f"{str(staging)!r} holds parts of another snapshot; remove that folder and try again"
        ) from None
    except RuntimeError as error:
        raise FetchError(f"openneuro-py: {error}", is_retryable=True) from None


def _move(file: RemoteFile, staging: Path, folder: Path) -> None:
    source, target = place_of(staging, file.name), place_of(folder, file.name)
    if not source.is_file():
        raise FetchError(f"openneuro-py left out {file.name!r}; try again", is_retryable=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
