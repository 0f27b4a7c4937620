"""A TUH tree taken through the public path: inventory, then segments, by file stem."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys

Row = dict[str, Any]


@dataclass
class Taken:
    """Rows of a corpus; look-ups by the stem of a recording's file."""

    key: str
    root: Path
    recordings: list[Row]

    @classmethod
    def of(cls, key: str, root: Path) -> Taken:
        shards = [inventory(corpus(key), root, s, salt="x") for s in shard_keys(key)]
        rows = [row for found in shards for row in found.recordings]
        return cls(key, root, sorted(rows, key=lambda r: r["path"]))

    def row(self, name: str) -> Row:
        (row,) = (r for r in self.recordings if r["path"].endswith(name))
        return row

    def labels(self, name: str) -> dict[str, str]:
        return {x["name"]: x["value"] for x in self.row(name)["labels"]}

    def causes(self) -> dict[str, str | None]:
        return {r["path"].split("/", 1)[1]: r["reject_cause"] for r in self.recordings}

    def segments(self, name: str) -> list[Row]:
        cut = process_shard(corpus(self.key), self.root, [self.row(name)])
        return cut.segments.drop_columns(["signal"]).to_pylist()

    def timed(self, name: str, label: str) -> list[tuple[float, list[str]]]:
        """Start of every segment and the values of a label that is not the recording's."""
        return [
            (
                s["start_s"],
                [
                    x["value"]
                    for x in s["labels"]
                    if x["name"] == label and x["scope"] in {"interval", "segment"}
                ],
            )
            for s in self.segments(name)
        ]

    def events(self, name: str) -> list[tuple[float, str, list[str], float, float, str]]:
        """Segment start, kind, channels, times in the segment and source of every event."""
        return [
            (s["start_s"], e["kind"], e["channels"], e["t0_s"], e["t1_s"], e["source"])
            for s in self.segments(name)
            for e in s["events"]
        ]
