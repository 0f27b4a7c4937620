"""What was fetched into a corpus folder, as lines appended one by one.

A kill leaves at most a torn last line, which is not read. The first line names the source and
version, so that two versions are never mixed in one folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_project.corpora.fetch.types import PRIVATE_FOLDER, FetchError
from dagster_project.corpora.spec import Access

RECORD_NAME = "fetched.jsonl"


@dataclass(slots=True)
class Fetched:
    """The record of one corpus folder.

    Parameters
    ----------
    folder
        The corpus folder.
    origin
        Source and locator; empty where nothing was fetched here.
    checksums
        File name to ``algorithm:hexdigest`` at the time it came.
    unpacked
        Archive name to the checksum it had when it was unpacked.
    """

    folder: Path
    origin: dict[str, Any] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    unpacked: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the record lies."""
        return self.folder / PRIVATE_FOLDER / RECORD_NAME

    def begin(self, access: Access) -> None:
        """Note the source, or refuse a second one.

        Raises
        ------
        FetchError
            If the folder was filled from another source or version.
        """
        origin = {
            "source": access.source,
            "locator": {k: v for k, v in access.locator.items() if k != "include"},
        }
        if not self.origin:
            self._append({"origin": origin})
            self.origin = origin
        elif self.origin != origin:
            raise FetchError(
                f"{str(self.folder)!r} was filled from {self.origin}, and the entry now says "
                f"{origin}; move the folder away, versions are not mixed"
            )

    def note(self, name: str, checksum: str) -> None:
        """Note a file that is in place."""
        if self.checksums.get(name) != checksum:
            self._append({"file": name, "checksum": checksum})
            self.checksums[name] = checksum

    def note_unpacked(self, name: str, checksum: str) -> None:
        """Note an archive whose content is in place."""
        self._append({"unpacked": name, "checksum": checksum})
        self.unpacked[name] = checksum

    def _append(self, line: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"\n{json.dumps(line, sort_keys=True)}\n")


def read_record(folder: Path) -> Fetched:
    """Return the record of a corpus folder, an empty one where nothing was fetched."""
    found = Fetched(folder)
    for line in _lines(found.path):
        if "origin" in line:
            found.origin = found.origin or line["origin"]
        elif "file" in line:
            found.checksums[line["file"]] = line["checksum"]
        elif "unpacked" in line:
            found.unpacked[line["unpacked"]] = line["checksum"]
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for text in path.read_text("utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text) if text else None
        except json.JSONDecodeError:  # torn by a kill
            continue
        if isinstance(line, dict) and ("origin" in line or "checksum" in line):
            yield line
