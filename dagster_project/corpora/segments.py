"""The segments of a whole shard: recordings over a worker pool, answers as one Arrow table.

Workers spool what they cut to Arrow files and hand back paths; the parent maps them into memory. A
recording that fails becomes a reject with its cause and stops nothing.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dagster_project.corpora.cutting import cut_segments
from dagster_project.corpora.errors import CorpusError, reject_row, unexpected, unread
from dagster_project.corpora.guard import Limits, map_files, n_bytes_of
from dagster_project.corpora.identity import short_hash
from dagster_project.corpora.readers.table import READERS
from dagster_project.corpora.segment_table import REJECTS_SCHEMA, SEGMENTS_SCHEMA
from dagster_project.corpora.spec import CorpusSpec

Row = dict[str, Any]

POOL_FROM_S = 4 * 3600.0
"""Below this a pool starts slower than one process cuts (about 200 recorded hours a CPU-minute)."""
BATCHES_RESIDENT = 16
"""Systems bring in 64 kB around every page touched: a day has 570 batches (a measured 36 MB)."""


@dataclass(frozen=True, slots=True)
class ShardSegments:
    """What was cut from a shard.

    Parameters
    ----------
    segments
        Rows of table ``segments``, recordings in the order given, segments in order of time.
    rejects
        Rows of table ``segment_rejects``.
    n_recordings
        Recordings that gave at least one segment.
    """

    segments: pa.Table
    rejects: pa.Table
    n_recordings: int


@dataclass(frozen=True, slots=True)
class _Task:
    spec: CorpusSpec
    root: Path
    recording: Mapping[str, Any]
    spool: Path

    @property
    def path(self) -> Path:
        """The recording file."""
        return self.root / str(self.recording["path"])


@dataclass(frozen=True, slots=True)
class _Answer:
    path: Path | None
    digests: tuple[bytes, ...]
    rejects: tuple[Row, ...]


def process_shard(
    spec: CorpusSpec,
    root: Path,
    recordings: Sequence[Mapping[str, Any]],
    *,
    n_workers: int = 1,
    pool_from_s: float = POOL_FROM_S,
    spool: Path | None = None,
    on_recording: Callable[[int, int], None] | None = None,
    limits: Limits | None = None,
) -> ShardSegments:
    """Cut every accepted recording of a shard.

    Parameters
    ----------
    spec, root
        Corpus and data root.
    recordings
        Rows of table ``recordings``; rejected ones are passed over.
    n_workers
        Most processes, one thread each; 1 runs inline. The result does not depend on it.
    pool_from_s
        Recorded time from which a pool is worth starting, in seconds.
    spool
        Folder for temporary files, the system's if None; needs room for the signals of the shard,
        27 MB an hour at 19 channels.
    on_recording
        Called in this process with (done, total) after each recording.
    limits
        What one file may cost; given, every file is read in a child process, else only those whose
        reader hands them to C libraries.

    Returns
    -------
    ShardSegments
        The same for the same files, whatever the number of workers.
    """
    accepted = [row for row in recordings if row["status"] == "accepted"]
    n_processes = n_workers if sum(r["duration_s"] for r in accepted) >= pool_from_s else 1
    answers: list[_Answer] = []
    tables: list[pa.Table] = []
    with tempfile.TemporaryDirectory(prefix="segments-", dir=spool) as folder:
        tasks = [_Task(spec, Path(root), row, Path(folder)) for row in accepted]
        kind = READERS[spec.reader.name]
        found = map_files(
            _spool_recording,
            tasks,
            n_processes,
            _whole_reject,
            _size,
            is_guarded=lambda task: kind.is_guarded(task.path),
            limits=limits,
            libraries=kind.libraries,
        )
        for answer in found:
            answers.append(answer)
            tables.append(_mapped(answer.path) if answer.path else SEGMENTS_SCHEMA.empty_table())
            if on_recording:
                on_recording(len(answers), len(tasks))
        table = pa.concat_tables(tables) if tables else SEGMENTS_SCHEMA.empty_table()
        # The mapped pages outlive the names of their files, so leaving this block only unlinks.
    table, repeated = _without_repeats(table, [d for a in answers for d in a.digests])
    rejects = tuple(row for answer in answers for row in answer.rejects) + repeated
    n_recordings = sum(t.num_rows > 0 for t in tables)
    return ShardSegments(
        table, pa.Table.from_pylist(list(rejects), schema=REJECTS_SCHEMA), n_recordings
    )


def _mapped(path: Path) -> pa.Table:
    """Map a spooled file; the pages looked at to find its batches do not stay resident."""
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    reader = pa.ipc.open_file(pa.py_buffer(pages))
    batches = []
    for i in range(reader.num_record_batches):
        batches.append(reader.get_batch(i))
        if i % BATCHES_RESIDENT == 0 and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)
    return pa.Table.from_batches(batches, schema=reader.schema)


def _whole_reject(task: _Task, error: CorpusError) -> _Answer:
    return _Answer(None, (), (reject_row(error, task.recording["recording_id"], "segments"),))


def _size(task: _Task) -> int:
    return n_bytes_of(task.path)


def _spool_recording(task: _Task) -> _Answer:
    """Cut one recording into a file; a failure sets the whole recording aside."""
    key = task.recording["recording_id"]
    path = task.spool / f"{short_hash('spool', key)}.arrow"
    digests: list[bytes] = []
    rejects: list[Row] = []
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SEGMENTS_SCHEMA) as writer:
            for block in cut_segments(task.spec, task.root, task.recording):
                writer.write_batch(block.batch)
                digests.extend(block.digests)
                rejects.extend(block.rejects)
    except CorpusError as error:
        return _whole_reject(task, error)
    except OSError as error:
        return _whole_reject(task, unread(error))
    except Exception as error:  # a hostile file may provoke anything; it must not stop the shard
        return _whole_reject(task, unexpected(error, key))
    return _Answer(path, tuple(digests), tuple(rejects))


def _without_repeats(table: pa.Table, digests: Sequence[bytes]) -> tuple[pa.Table, tuple[Row, ...]]:
    """Drop segments whose stored signal is already there, naming the first."""
    first: dict[bytes, int] = {}
    repeats = {i: first[d] for i, d in enumerate(digests) if first.setdefault(d, i) != i}
    if not repeats:
        return table, ()
    ids, owners = table["segment_id"].to_pylist(), table["recording_id"].to_pylist()
    starts = table["start_s"].to_pylist()
    rejects = tuple(
        reject_row(
            CorpusError("duplicate", f"same signal as segment {ids[original]}"),
            owners[i],
            "segments",
            starts[i],
        )
        for i, original in repeats.items()
    )
    return table.filter(pa.array([i not in repeats for i in range(len(digests))])), rejects
