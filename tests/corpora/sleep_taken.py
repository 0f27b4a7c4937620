"""A corpus folder through the public path, for the tests of the sleep corpora."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys
from detectors.types import N_TIMES

STEP_UV = 0.05
"""Stored signal, as the tables say."""
Row = dict[str, Any]


@dataclass
class Taken:
    """Recordings by file name; segments of each in order of time, without their signal."""

    recordings: dict[str, Row]
    segments: dict[str, list[Row]]
    causes: dict[str, str]

    def labels(self, name: str) -> dict[str, str]:
        """Labels of the recording and remarks on its file."""
        return self._scoped(name, "recording") | self._scoped(name, "file")

    def splits(self, name: str) -> dict[str, str]:
        return self._scoped(name, "split")

    def _scoped(self, name: str, scope: str) -> dict[str, str]:
        labels = self.recordings[name]["labels"]
        return {x["name"]: x["value"] for x in labels if x["scope"] == scope}

    def stages(self, name: str) -> list[str | None]:
        return [s["stage_context"] for s in self.segments[name]]

    def marked(self, name: str, label: str) -> list[list[str]]:
        """Values of an interval label, segment by segment."""
        return [
            [
                x["value"]
                for x in s["labels"]
                if x["scope"] in {"interval", "file"} and x["name"] == label
            ]
            for s in self.segments[name]
        ]

    def events(self, name: str) -> list[tuple[str, tuple[str, ...], float, float, str]]:
        """Kind, channels, onset and end in seconds of the recording, source."""
        return [
            (e["kind"], tuple(e["channels"]), round(s["start_s"] + e["t0_s"], 6),
             round(s["start_s"] + e["t1_s"], 6), e["source"])
            for s in self.segments[name] for e in s["events"]
        ]  # fmt: skip


def take(key: str, root: Path) -> Taken:
    spec = corpus(key)
    taken = Taken({}, {}, {})
    for shard in shard_keys(key):
        found = inventory(spec, root, shard, salt="x")
        if not found.recordings:
            continue
        names = {r["recording_id"]: r["path"].rpartition("/")[2] for r in found.recordings}
        taken.recordings |= {names[r["recording_id"]]: r for r in found.recordings}
        taken.causes |= {names[r["recording_id"]]: r["cause"] for r in found.rejects}
        taken.segments |= {name: [] for name in names.values()}
        cut = process_shard(spec, root, found.recordings)
        assert not [r for r in cut.rejects.to_pylist() if r["stage"] == "recordings"]
        for s in cut.segments.drop_columns(["signal"]).to_pylist():
            taken.segments[names[s["recording_id"]]].append(s)
    return taken


def signals_uv(key: str, root: Path) -> dict[str, NDArray[np.float64]]:
    """Microvolts of each recording, (n_rows, n_times), segments joined."""
    spec = corpus(key)
    found: dict[str, NDArray[np.float64]] = {}
    for shard in shard_keys(key):
        for row in inventory(spec, root, shard, salt="x").recordings:
            cut = process_shard(spec, root, [row]).segments
            if not cut.num_rows:
                continue
            steps = np.array(cut["signal"].combine_chunks().flatten(), dtype=float)
            parts = steps.reshape(cut.num_rows, -1, N_TIMES)
            found[row["path"].rpartition("/")[2]] = STEP_UV * np.concatenate(list(parts), axis=1)
    return found
