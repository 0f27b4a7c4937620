"""OSF projects: the tree of its storage, with SHA-256 or MD5, from the public API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from dagster_project.corpora.fetch.http import get_json, open_at
from dagster_project.corpora.fetch.table import OsfLocator
from dagster_project.corpora.fetch.types import FetchError, Listing, RemoteFile, checked_name

MAX_REQUESTS = 10_000
"""Pages and folders of one project; a tree that links in circles must end."""


def listing(locator: OsfLocator, url: str) -> Listing:
    """List a project's own storage.

    Raises
    ------
    FetchError
        If the answer is not a list of files, or leads to another host.
    """
    try:
        first = f"{url}/nodes/{locator.project}/files/osfstorage/?page[size]=100"
        return Listing(tuple(_walk(first)), open_at)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FetchError(f"OSF project {locator.project} does not list its files") from None


def _walk(first: str) -> Iterator[RemoteFile]:
    host, waiting, n_asked = urlsplit(first).netloc, [first], 0
    while waiting:
        page = waiting.pop()
        n_asked += 1
        if n_asked > MAX_REQUESTS or urlsplit(page).netloc != host:
            raise FetchError("the OSF listing does not end, or leads to another host")
        answer = get_json(page)
        for entry in answer["data"]:
            about = entry["attributes"]
            if about["kind"] == "folder":
                waiting.append(entry["relationships"]["files"]["links"]["related"]["href"])
            else:
                yield _file(entry, about)
        following = (answer.get("links") or {}).get("next")
        if following:
            waiting.append(following)


def _file(entry: dict[str, Any], about: dict[str, Any]) -> RemoteFile:
    name = checked_name(str(about["materialized_path"]).removeprefix("/"))
    hashes = (about.get("extra") or {}).get("hashes") or {}
    kind = next((k for k in ("sha256", "md5") if hashes.get(k)), "")
    size = about.get("size")
    return RemoteFile(
        name,
        int(size) if size is not None else None,
        f"{kind}:{hashes[kind]}" if kind else "",
        entry["links"]["download"],
    )
