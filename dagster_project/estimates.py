"""Disk and money before launch: what rebuilding the shards found would take.

Estimates come from file sizes and from constants measured on the engine as it stands; they are
upper figures, meant to stop a run that cannot end well. What was really used is in the metadata of
each materialisation.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from dagster_project.failures import PermanentFailure
from dagster_project.resources import Workspace
from dagster_project.watching import look

STORED_BYTES_PER_SOURCE_BYTE = 1.0
"""int16 in, int16 out at 200 Hz; the demo's segments took 40 kB each of about 100 kB of EDF."""
TABLE_BYTES_PER_SEGMENT = 30_000
"""Features, findings and text of one segment, an upper figure: the demo's took 6 kB."""
PAGE_BYTES = 110_000
"""One page as 4-bit PNG inside a release."""
SOURCE_BYTES_PER_SEGMENT = 100_000
"""19 channels x 10 s x 256 Hz x 2 bytes."""
TEACHER_TOKENS_IN, TEACHER_TOKENS_OUT = 1_900, 500
"""Per narrative, an upper figure: prompt and payload of the demo's longest were 3,800 characters, its
text 970, at two characters a token because most are digits."""
TEACHER_USD_PER_MILLION = (2.00, 8.00)
"""Input and output price of the dearest default teacher, GPT-4.1, list price of 2025."""


@dataclass(frozen=True, slots=True)
class ShardEstimate:
    """What one shard would take.

    Parameters
    ----------
    shard
        Partition key.
    n_files
        Files found.
    disk_gb
        Tables, in gigabytes.
    release_gb
        Pages if every segment went into a release, in gigabytes.
    teacher_usd
        One narrative per segment from the dearest default teacher; the offline teacher is free.
    """

    shard: str
    n_files: int
    disk_gb: float
    release_gb: float
    teacher_usd: float


def estimate_shards(workspace: Workspace) -> list[ShardEstimate]:
    """Estimate every shard that has files."""
    estimates = []
    for shard, files in sorted(look(workspace).items()):
        if not files.files:
            continue
        n_bytes = sum(size for size, _ in files.files.values())
        n_segments = n_bytes / SOURCE_BYTES_PER_SEGMENT
        usd_in, usd_out = TEACHER_USD_PER_MILLION
        estimates.append(
            ShardEstimate(
                shard,
                len(files.files),
                (n_bytes * STORED_BYTES_PER_SOURCE_BYTE + n_segments * TABLE_BYTES_PER_SEGMENT)
                / 1e9,
                n_segments * PAGE_BYTES / 1e9,
                n_segments * (TEACHER_TOKENS_IN * usd_in + TEACHER_TOKENS_OUT * usd_out) / 1e6,
            )
        )
    return estimates


def as_markdown(estimates: Sequence[ShardEstimate]) -> str:
    """Return the estimates as a table for the UI and the terminal."""
    lines = [
        "| shard | files | tables GB | pages GB if all released | teacher USD, one narrative each |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {e.shard} | {e.n_files} | {e.disk_gb:.3f} | {e.release_gb:.3f} | {e.teacher_usd:.2f} |"
        for e in estimates
    ]
    return "\n".join(lines if estimates else ["*no corpus was found under the data root*"])


def free_gb(workspace: Workspace) -> float:
    """Return the free space of the storage root's disk in gigabytes; infinite for object stores."""
    if "://" in workspace.home():
        return float("inf")
    folder = workspace.folder().resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e9


def assert_disk_suffices(workspace: Workspace, shard: str) -> None:
    """Refuse a shard whose tables would not fit on the disk.

    Raises
    ------
    PermanentFailure
        With what is needed, what is free, and what to do.
    """
    needed = next((e.disk_gb for e in estimate_shards(workspace) if e.shard == shard), 0.0)
    free = free_gb(workspace)
    if needed > free:
        raise PermanentFailure(
            f"shard {shard!r} needs about {needed:.1f} GB and {free:.1f} GB are free under "
            f"{workspace.home()!r}; free some space or set NEUROGLOSS_HOME to a larger disk"
        )
