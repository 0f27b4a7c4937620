"""``neurogloss findings``: what was found, given to other tools.

The files are written by :mod:`prompts.releases.bids_export`; here stored findings are put together by
recording and the outcome is told.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster_project.tables.store import TableStore
    from prompts.releases.bids_export import FoundRecording

RECORDING_COLUMNS = (
    "recording_id", "corpus", "subject_id", "licence", "is_gated", "status",
)  # fmt: skip
FINDING_COLUMNS = (
    "finding_id", "segment_id", "kind", "channels", "t0_s", "t1_s", "confidence", "source", "hed",
    "is_masked",
)  # fmt: skip


def add_findings(rooms: Any) -> None:
    """Add the room ``findings`` to the parser."""
    room = rooms.add_parser("findings", help="what rules and detectors found")
    acts = room.add_subparsers(required=True, metavar="{export}")
    export = acts.add_parser("export", help="write findings as a BIDS derivative with HED tags")
    export.add_argument("--bids", required=True, metavar="DIR",
                        help="BIDS data set, or any folder, to hold derivatives/neurogloss")  # fmt: skip
    export.add_argument("--shards", nargs="+", default=(), metavar="SHARD",
                        help="only these (default: every shard with findings)")  # fmt: skip
    export.add_argument("--without-gated", action="store_true",
                        help="leave out corpora that may not leave, and say so")  # fmt: skip
    export.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> int:
    from dagster_project.resources import Workspace, corpus_of
    from detectors.rules import RULES_VERSION
    from prompts.releases.bids_export import export_bids

    workspace = Workspace()
    store = workspace.store()
    shards = tuple(options.shards) or store.partitions("findings")
    specs = {spec.key: spec for spec in map(corpus_of, shards)}
    done = export_bids(
        found_recordings(store, shards),
        Path(options.bids),
        workspace.walls(),
        corpora={key: spec.citation for key, spec in specs.items()},
        version=RULES_VERSION,
        is_without_gated=options.without_gated,
    )
    _say(f"{done.n_events} findings of {done.n_recordings} recordings written to {done.folder}")
    for corpus, n_recordings in done.left_out.items():
        _say(f"left out: {n_recordings} recordings of {corpus}, which may not leave")
    return 0


def found_recordings(store: TableStore, shards: Sequence[str]) -> Iterator[FoundRecording]:
    """Yield the recordings of shards with their findings, one shard in memory at a time.

    Parameters
    ----------
    store
        Where tables lie.
    shards
        Partitions.

    Raises
    ------
    PermanentFailure
        If a shard has no findings.
    """
    import polars as pl

    from dagster_project.failures import PermanentFailure
    from prompts.releases.bids_export import FoundRecording

    for shard in shards:
        if store.manifest("findings", shard) is None:
            raise PermanentFailure(
                f"shard {shard!r} has no findings; materialise 'findings' for it, or name another"
            )
        place = store.read("segments", shard, ["segment_id", "recording_id", "start_s"])
        found = store.read("findings", shard, FINDING_COLUMNS).join(place, on="segment_id")
        by_recording = {
            str(key[0]): group.to_dicts() for key, group in found.group_by("recording_id")
        }
        rows = store.read("recordings", shard, RECORDING_COLUMNS)
        cut = set(place["recording_id"])
        for row in rows.filter(pl.col("status") == "accepted").iter_rows(named=True):
            # a recording without a single page was not looked at, so nothing is said of it
            if row["recording_id"] in cut:
                yield FoundRecording(
                    row["recording_id"],
                    row["corpus"],
                    row["subject_id"],
                    row["licence"],
                    row["is_gated"],
                    by_recording.get(row["recording_id"], []),
                )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
