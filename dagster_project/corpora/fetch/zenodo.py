"""Zenodo records: names, sizes and MD5 from the record's JSON, files over HTTPS."""

from __future__ import annotations

from dagster_project.corpora.fetch.http import get_json, open_at
from dagster_project.corpora.fetch.table import ZenodoLocator, text_of
from dagster_project.corpora.fetch.types import FetchError, Listing, RemoteFile, checked_name


def listing(locator: ZenodoLocator, url: str) -> Listing:
    """List a record.

    Raises
    ------
    FetchError
        If the record has no files or the answer is not a record.
    """
    record = get_json(f"{url}/records/{locator.record}")
    try:
        files = tuple(
            RemoteFile(
                checked_name(f["key"]), int(f["size"]), text_of(f, "checksum"), f["links"]["self"]
            )
            for f in record["files"]
        )
        licence = (record.get("metadata") or {}).get("license") or {}
    except (KeyError, TypeError, ValueError):
        raise FetchError(f"Zenodo record {locator.record} does not list its files") from None
    return Listing(files, open_at, remark=text_of(licence, "id") if licence else "")
