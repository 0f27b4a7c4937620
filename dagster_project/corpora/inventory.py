"""The inventory of a shard: one row for every file found, accepted or set aside with a cause.

Opens each file, picks its channels, hashes its samples, checks its amplitude and reads its labels.
Cutting accepted recordings into segments is :mod:`dagster_project.corpora.cutting`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dagster_project.corpora.channels import pick_traces
from dagster_project.corpora.errors import CorpusError, reject_row, unexpected, unread
from dagster_project.corpora.guard import Limits, map_files, n_bytes_of
from dagster_project.corpora.harmonise import plan_for, usable_band
from dagster_project.corpora.identity import recording_id, split_of, subject_id
from dagster_project.corpora.labels.table import read_labels
from dagster_project.corpora.labels.types import Label
from dagster_project.corpora.readers.table import READERS, open_recording
from dagster_project.corpora.readers.types import Traces, clock_s, remarks_of
from dagster_project.corpora.shards import FoundFile, corpus_folder, find_files, find_recordings
from dagster_project.corpora.spec import CorpusSpec
from dagster_project.corpora.splits import SplitFile, recording_splits
from dagster_project.corpora.survey import check_amplitude, survey
from detectors.types import SEGMENT_S

Row = dict[str, Any]

POOL_FROM_BYTES = 2 << 30
"""Below this a pool starts slower than one process hashes."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a shard holds.

    Parameters
    ----------
    recordings
        Rows of table ``recordings``, one per file looked at, in natural order of path.
    rejects
        Rows of table ``recording_rejects``.
    n_found
        Recording files of the shard under the data root.
    n_skipped
        Of these, how many a limit left out unread.
    """

    recordings: tuple[Row, ...]
    rejects: tuple[Row, ...]
    n_found: int
    n_skipped: int


@dataclass(frozen=True, slots=True)
class _Task:
    spec: CorpusSpec
    root: Path
    shard: str
    file: FoundFile
    salt: str
    seed: int
    splits: tuple[Label, ...] = ()

    @property
    def recording_id(self) -> str:
        return recording_id(self.spec.key, self.file.relative_path)


@dataclass(frozen=True, slots=True)
class _Answer:
    row: Row
    error: CorpusError | None


def inventory(
    spec: CorpusSpec,
    root: Path,
    shard: str,
    *,
    salt: str,
    seed: int = 0,
    subjects: Collection[str] | None = None,
    max_recordings: int | None = None,
    n_workers: int = 1,
    pool_from_bytes: int = POOL_FROM_BYTES,
    limits: Limits | None = None,
) -> Inventory:
    """Look at every recording file of a shard.

    Parameters
    ----------
    spec, root, shard
        Corpus, data root and partition key.
    salt
        Secret text that subject ids are hashed with.
    seed
        Seed of the split.
    subjects
        Only these identities (``family:subject``), all if None.
    max_recordings
        Only the first so many files, all if None; the rest is counted in ``n_skipped``.
    n_workers
        Most processes.
    pool_from_bytes
        Size of the files from which a pool is worth starting.
    limits
        What one file may cost; given, every file is read in a child process, else only those whose
        reader hands them to C libraries.

    Raises
    ------
    CorpusError
        ``data_root`` if the root cannot be listed. Bad files never raise: they are rows.
    ValueError
        If the salt is empty.
    """
    found = find_recordings(spec, root, shard)
    wanted = [f for f in found if subjects is None or f.identity in subjects]
    published = _published_splits(spec, root)
    tasks = [
        _Task(spec, root, shard, file, salt, seed, published.get(file.relative_path, ()))
        for file in wanted[:max_recordings]
    ]
    n_processes = n_workers if _n_bytes(tasks) >= pool_from_bytes else 1
    kind = READERS[spec.reader.name]
    answers = list(
        map_files(
            _examine,
            tasks,
            n_processes,
            lambda task, error: _rejected(_blank_row(task), error),
            _size,
            is_guarded=lambda task: kind.is_guarded(task.file.path),
            limits=limits,
            libraries=kind.libraries,
        )
    )
    _mark_duplicates(answers)
    rejects = tuple(
        reject_row(a.error, a.row["recording_id"], "recordings") for a in answers if a.error
    )
    rows = tuple(a.row for a in answers)
    return Inventory(rows, rejects, len(found), len(found) - len(tasks))


def _published_splits(spec: CorpusSpec, root: Path) -> Mapping[str, tuple[Label, ...]]:
    """Return the published splits of every recording by path: some rules count all of them."""
    folder = corpus_folder(spec, root)
    if not spec.splits or folder is None:
        return {}
    prefix = f"{folder.relative_to(root).as_posix()}/"
    files = []
    for found in find_files(spec, root):
        below = found.relative_path.removeprefix(prefix)
        match = spec.match_file(below) if found.is_recording else None
        if match and found.identity is not None:
            files.append(SplitFile(below, match.groupdict(), found.identity))
    return {f"{prefix}{path}": said for path, said in recording_splits(spec, files).items()}


def _n_bytes(tasks: list[_Task]) -> int:
    return sum(map(_size, tasks))


def _size(task: _Task) -> int:
    return n_bytes_of(task.file.path)


def _blank_row(task: _Task) -> Row:
    spec, file = task.spec, task.file
    identity = file.identity or ""
    return {
        "recording_id": task.recording_id,
        "corpus": spec.key,
        "shard": task.shard,
        "subject_id": subject_id(identity, task.salt),
        "session": file.session,
        "path": file.relative_path,
        "format": file.path.suffix.lower().lstrip("."),
        "status": "accepted",
        "reject_cause": None,
        "sfreq_hz": None,
        "duration_s": None,
        "n_gaps": None,
        "channel_schema": None,
        "line_freq_hz": spec.line_freq_hz,
        "band_low_hz": None,
        "band_high_hz": None,
        "sha256": None,
        "amplitude_uv": None,
        "mains_50_db": None,
        "mains_60_db": None,
        "labels": [],
        "age_band": None,
        "sex": None,
        "split": split_of(identity, task.seed, spec.identity),
        "licence": spec.licence.id,
        "is_gated": spec.licence.is_gated,
        "is_simulated": spec.is_simulated,
    }


def _rejected(row: Row, error: CorpusError) -> _Answer:
    return _Answer({**row, "status": "rejected", "reject_cause": error.cause}, error)


def _examine(task: _Task) -> _Answer:
    """Look at one file; whatever is wrong with it becomes its row."""
    row = _blank_row(task)
    try:
        if not task.file.is_named:
            raise CorpusError("file_name", "the file name carries no subject in the corpus' layout")
        if not task.file.has_person:
            raise CorpusError("bad_labels", "the table of people has no row, or two, for this file")
        _fill(row, task)
    except CorpusError as error:
        return _rejected(row, error)
    except OSError as error:
        return _rejected(row, unread(error))
    except Exception as error:  # a hostile file may provoke anything; it must not stop the shard
        return _rejected(row, unexpected(error, task.recording_id))
    return _Answer(row, None)


def _fill(row: Row, task: _Task) -> None:
    spec, path = task.spec, task.file.path
    with open_recording(path, spec.reader) as recording:
        row["format"] = recording.format
        remarks = remarks_of(recording)
        pick, traces = pick_traces(recording, spec.channels)
        row["channel_schema"] = pick.schema.name
        _fill_timing(row, spec, traces)
        seen = survey(traces, len(pick.indices))
        row["sha256"] = seen.sha256
        row.update(zip(("mains_50_db", "mains_60_db"), seen.mains_db, strict=True))
        row["amplitude_uv"] = float(np.median(seen.median_uv))
        check_amplitude(seen.median_uv)
        clock = clock_s(traces)
        known = read_labels(spec, task.root, task.file.relative_path, recording, clock)
    labels = [label.row() for label in (*known.labels, *task.splits)]
    dropped = (("duplicate", pick.n_duplicates), ("other_rate", pick.n_other_rate))
    labels += [
        Label("file", f"{why}_channels_dropped", str(n), "file header").row()
        for why, n in dropped
        if n
    ]
    labels += [Label("file", "file_remark", what, "reader").row() for what in remarks]
    row.update(labels=labels, age_band=known.age_band, sex=known.sex)


def _fill_timing(row: Row, spec: CorpusSpec, traces: Traces) -> None:
    sfreq_hz = float(traces.sfreq)
    n_samples = sum(run.n_samples for run in traces.runs)
    longest_s = max(run.n_samples for run in traces.runs) / sfreq_hz
    row.update(sfreq_hz=sfreq_hz, duration_s=n_samples / sfreq_hz, n_gaps=len(traces.runs) - 1)
    plan_for(traces.sfreq, spec.line_freq_hz, n_samples)  # refuses rates that cannot be resampled
    low_hz, high_hz = usable_band(sfreq_hz, spec.source_band_hz)
    row.update(band_low_hz=low_hz, band_high_hz=high_hz)
    if longest_s < SEGMENT_S and not spec.cut.pads(longest_s):
        raise CorpusError(
            "too_short", f"longest contiguous stretch {longest_s:g} s; a segment has {SEGMENT_S} s"
        )


def _mark_duplicates(answers: list[_Answer]) -> None:
    """Keep the first of recordings with equal samples; the later ones name it."""
    seen: dict[str, str] = {}
    for i, answer in enumerate(answers):
        digest = answer.row["sha256"]
        if answer.error or digest is None:
            continue
        if digest in seen:
            error = CorpusError("duplicate", f"same samples as recording {seen[digest]}")
            answers[i] = _rejected(answer.row, error)
        else:
            seen[digest] = answer.row["recording_id"]
