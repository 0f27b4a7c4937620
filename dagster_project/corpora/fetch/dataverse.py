"""Dataverse data sets: names, sizes and checksums from the native API, files over HTTPS."""

from __future__ import annotations

from typing import Any

from dagster_project.corpora.fetch.http import get_json, open_at
from dagster_project.corpora.fetch.table import DataverseLocator, text_of
from dagster_project.corpora.fetch.types import FetchError, Listing, RemoteFile, checked_name

_ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}


def listing(locator: DataverseLocator, url: str) -> Listing:
    """List a data set.

    Raises
    ------
    FetchError
        If the answer is not a version of a data set, or a file of it is restricted.
    """
    server = url or locator.server
    answer = get_json(
        f"{server}/api/datasets/:persistentId/versions/{locator.version}"
        f"?persistentId=doi:{locator.doi.removeprefix('doi:')}"
    )
    try:
        version = answer["data"]
        files = tuple(_file(server, record) for record in version["files"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FetchError(f"Dataverse data set {locator.doi} does not list its files") from None
    licence = version.get("license")
    remark = text_of(licence, "name") if isinstance(licence, dict) else text_of(version, "license")
    return Listing(files, open_at, remark=remark)


def _file(server: str, record: dict[str, Any]) -> RemoteFile:
    """Describe one file; a table the host has converted is asked for as it was deposited.

    The checksum of a converted table is of one form and its size of the other, so neither is used.
    """
    data = record["dataFile"]
    folder = text_of(record, "directoryLabel")
    original = text_of(data, "originalFileName")
    label = original or text_of(record, "label") or data["filename"]
    name = checked_name(f"{folder}/{label}" if folder else label)
    if record.get("restricted"):
        raise FetchError(f"file {name!r} is restricted at its host; ask there for access")
    url = f"{server}/api/access/datafile/{int(data['id'])}"
    if original:
        return RemoteFile(name, None, "", f"{url}?format=original")
    stated = data.get("checksum") or {"type": "MD5", "value": data.get("md5", "")}
    algorithm = _ALGORITHMS.get(stated.get("type", ""), "")
    checksum = f"{algorithm}:{stated['value']}" if algorithm and stated.get("value") else ""
    return RemoteFile(name, int(data["filesize"]), checksum, url)
