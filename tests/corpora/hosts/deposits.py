"""The JSON with which deposit hosts describe the files of one deposit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from hosts.web import WebHost


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def plant_zenodo(host: WebHost, files: Mapping[str, bytes], sums: Mapping[str, str] = {}) -> None:
    entries = []
    for name, data in files.items():
        path = f"/records/77/files/{name}/content"
        host.files[path] = data
        entries.append(
            {
                "key": name,
                "size": len(data),
                "checksum": f"md5:{sums.get(name, md5(data))}",
                "links": {"self": host.url + path},
            }
        )
    host.records["/records/77"] = {"metadata": {"license": {"id": "cc-by-4.0"}}, "files": entries}


def plant_figshare(host: WebHost, files: Mapping[str, bytes]) -> None:
    entries = []
    for i, (name, data) in enumerate(files.items()):
        host.files[f"/files/{i}"] = data
        entries.append(
            {
                "id": i,
                "name": name,
                "size": len(data),
                "computed_md5": md5(data),
                "supplied_md5": "",
                "is_link_only": False,
                "download_url": f"{host.url}/files/{i}",
            }
        )
    entries.append({"id": 99, "name": "elsewhere", "size": 0, "is_link_only": True})
    host.records["/articles/77"] = {"license": {"name": "CC BY 4.0"}, "files": entries[:10]}
    host.records["/articles/77/files"] = entries


def plant_dataverse(host: WebHost, files: Mapping[str, bytes]) -> None:
    entries: list[dict[str, Any]] = []
    for i, (name, data) in enumerate(files.items()):
        host.files[f"/api/access/datafile/{i}"] = data
        folder, _, label = name.rpartition("/")
        entries.append(
            {
                "label": label,
                "restricted": False,
                **({"directoryLabel": folder} if folder else {}),
                "dataFile": {
                    "id": i,
                    "filename": label,
                    "filesize": len(data),
                    "md5": md5(data),
                    "checksum": {"type": "MD5", "value": md5(data)},
                },
            }
        )
    # a table its host has converted: listed with the size and sum of another form
    host.files["/api/access/datafile/90"] = b"a,b\n1,2\n"
    entries.append(
        {
            "label": "ages.tab",
            "restricted": False,
            "dataFile": {
                "id": 90,
                "filename": "ages.tab",
                "originalFileName": "ages.csv",
                "filesize": 3,
                "md5": "0" * 32,
            },
        }
    )
    host.records["/api/datasets/:persistentId/versions/:latest-published"] = {
        "status": "OK",
        "data": {"license": {"name": "CC0 1.0"}, "files": entries},
    }


def plant_osf(host: WebHost, files: Mapping[str, bytes]) -> None:
    root = "/nodes/abc12/files/osfstorage/"
    pages: dict[str, list[dict[str, Any]]] = {root: []}
    for i, (name, data) in enumerate(files.items()):
        host.files[f"/download/{i}"] = data
        folder, _, label = name.rpartition("/")
        page = f"{root}{folder}/" if folder else root
        if page not in pages:
            pages[page] = []
            link = {"links": {"related": {"href": host.url + page}}}
            pages[root].append(
                {
                    "attributes": {"kind": "folder", "name": folder},
                    "relationships": {"files": link},
                }
            )
        pages[page].append(
            {
                "attributes": {
                    "kind": "file",
                    "name": label,
                    "size": len(data),
                    "materialized_path": f"/{name}",
                    "extra": {"hashes": {"sha256": hashlib.sha256(data).hexdigest()}},
                },
                "links": {"download": f"{host.url}/download/{i}"},
            }
        )
    for page, entries in pages.items():
        half = max(1, len(entries) // 2)
        following = f"{page}page2/"
        host.records[page] = {"data": entries[:half], "links": {"next": host.url + following}}
        host.records[following] = {"data": entries[half:], "links": {"next": None}}


DEPOSITS: dict[str, tuple[Callable[..., None], dict[str, str]]] = {
    "zenodo": (plant_zenodo, {"record": "77"}),
    "figshare": (plant_figshare, {"article": "77"}),
    "dataverse": (plant_dataverse, {"server": "https://data.example.org", "doi": "10.5072/FK2/A"}),
    "osf": (plant_osf, {"project": "abc12"}),
}
