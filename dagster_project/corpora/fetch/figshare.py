"""figshare articles: names, sizes and MD5 from the public API, files over HTTPS."""

from __future__ import annotations

from typing import Any

from dagster_project.corpora.fetch.http import get_json, open_at
from dagster_project.corpora.fetch.table import FigshareLocator, text_of
from dagster_project.corpora.fetch.types import FetchError, Listing, RemoteFile, checked_name

PAGE_FILES = 1000
MAX_PAGES = 100


def listing(locator: FigshareLocator, url: str) -> Listing:
    """List an article; files that only link elsewhere are no files of it.

    Raises
    ------
    FetchError
        If the article has no files or the answer is not a list of them.
    """
    article = f"{url}/articles/{locator.article}"
    try:
        record = get_json(f"{article}/versions/{locator.version}" if locator.version else article)
        files = tuple(_file(f) for f in _files(article, record) if not f.get("is_link_only"))
        licence = record.get("license") or {}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FetchError(f"figshare article {locator.article} does not list its files") from None
    return Listing(files, open_at, remark=text_of(licence, "name"))


def _files(article: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all files of the article; a record shows ten, the rest is paged.

    The pages are of the latest version, so they may only complete a record they begin with.
    """
    shown: list[dict[str, Any]] = list(record["files"])
    found: list[dict[str, Any]] = []
    for page in range(1, MAX_PAGES + 1):
        part = get_json(f"{article}/files?page={page}&page_size={PAGE_FILES}")
        found += part
        if len(part) < PAGE_FILES:
            break
    is_same = {f["id"] for f in shown} <= {f["id"] for f in found}
    return found if is_same else shown


def _file(record: dict[str, Any]) -> RemoteFile:
    digest = text_of(record, "computed_md5") or text_of(record, "supplied_md5")
    checksum = f"md5:{digest}" if digest else ""
    return RemoteFile(
        checked_name(record["name"]), int(record["size"]), checksum, record["download_url"]
    )
