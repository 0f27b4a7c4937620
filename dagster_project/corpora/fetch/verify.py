"""A copy of a corpus compared with what its entry expects and with published checksums.

Counts come from file names alone unless the look is deep: then every recording is opened, as when a
shard is built. Checksums are the host's where a list of them lies in the folder or came with a
fetch; else a manifest of our own, written at first contact.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_project.corpora.archives import MARK, packed_files
from dagster_project.corpora.fetch.physionet import SUMS, read_sums
from dagster_project.corpora.fetch.plan import unpacked_folder
from dagster_project.corpora.fetch.record import read_record
from dagster_project.corpora.fetch.transfer import digest_of
from dagster_project.corpora.fetch.types import FetchError
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.order import natural_key
from dagster_project.corpora.shards import (
    FoundFile,
    corpus_folder,
    find_files,
    shard_keys,
    walk,
)
from dagster_project.corpora.spec import CorpusSpec, Expected

MAX_NAMED = 20
"""Files named of one kind; the rest is counted."""
_SALT = "verify"
_S_PER_H = 3600


@dataclass(slots=True)
class Report:
    """What a copy holds and what is wrong with it.

    Parameters
    ----------
    corpus
        Registry key.
    counts
        What was counted, by name.
    problems
        What should be put right, a sentence each; none where the copy is as expected.
    remarks
        What was not looked at, and what is merely worth knowing.
    """

    corpus: str
    counts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is to be put right."""
        return not self.problems


def verify(
    spec: CorpusSpec,
    root: Path,
    *,
    manifest: Path,
    is_deep: bool = False,
    is_summed: bool = False,
) -> Report:
    """Compare a copy with its entry.

    Parameters
    ----------
    spec, root
        Corpus and data root.
    manifest
        Where our own checksums are kept, outside the corpus folder, which may be read-only.
    is_deep
        Open every recording: hours, rates, labels, rejects.
    is_summed
        Compare checksums of every file.

    Raises
    ------
    CorpusError
        ``data_root`` if the root or a folder below it cannot be listed.
    """
    report = Report(spec.key)
    folder = corpus_folder(spec, root)
    if folder is None:
        report.problems.append(f"not there: looked for {', '.join(spec.folders)} below {root}")
        _name(report, "archives still packed", list(packed_files(spec, root)))
        return report
    files = find_files(spec, root)
    _count(report, spec, files)
    _look_for_packed(report, spec, root, folder)
    _look_for_listed(report, folder)
    if is_deep:
        _look_inside(report, spec, root)
    else:
        report.remarks.append("recordings were not opened; --deep counts hours, rates and labels")
    if is_summed:
        _compare_sums(report, folder, files, manifest)
    else:
        report.remarks.append("checksums were not compared; --checksums does")
    return report


def _count(report: Report, spec: CorpusSpec, files: Iterable[FoundFile]) -> None:
    recordings = [f for f in files if f.is_recording]
    subjects = {f.identity for f in recordings if f.is_named}
    report.counts |= {"recordings": len(recordings), "subjects": len(subjects)}
    _compare(report, "recordings", len(recordings), spec.expected.n_recordings)
    _compare(report, "subjects", len(subjects), spec.expected.n_subjects)
    odd = [f.relative_path for f in recordings if not f.is_named]
    _name(report, "not named as the layout says", odd)


def _compare(report: Report, what: str, n: int, expected: int) -> None:
    if not expected:
        report.remarks.append(f"nobody says how many {what} there should be")
    elif n < expected:
        report.problems.append(f"{what}: {n} of {expected}; {expected - n} missing")
    elif n > expected:
        report.problems.append(f"{what}: {n}, expected {expected}; {n - expected} too many")


def _name(report: Report, what: str, names: list[str]) -> None:
    if names:
        shown = ", ".join(sorted(names, key=natural_key)[:MAX_NAMED])
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        report.problems.append(f"{what} ({len(names)}): {shown}{more}")


def _look_for_packed(report: Report, spec: CorpusSpec, root: Path, folder: Path) -> None:
    unpacked = {
        (folder / name).relative_to(root).as_posix() for name in read_record(folder).unpacked
    }
    packed = [
        name
        for name in packed_files(spec, root)
        if name not in unpacked and not (unpacked_folder(root / name) / MARK).is_file()
    ]
    _name(report, "archives still packed", packed)
    parts = [p.relative_to(root).as_posix() for p in walk(folder) if p.suffix == ".part"]
    _name(report, "transfers not finished", parts)


def _look_for_listed(report: Report, folder: Path) -> None:
    """Name files that the host's own list or an earlier fetch has and the folder has not."""
    record = read_record(folder)
    listed = set(record.checksums) - set(record.unpacked) | set(_published(folder))
    _name(report, "missing files", [n for n in listed if not (folder / n).is_file()])


def _published(folder: Path) -> dict[str, str]:
    """Return the sums a host's list gives; mirrors keep it in the folder or one below it."""
    found: dict[str, str] = {}
    for path in (folder / SUMS, *sorted(folder.glob(f"*/{SUMS}"))):
        if not path.is_file():
            continue
        for name, digest in read_sums(path.read_text("utf-8", errors="replace")).items():
            place = path.parent / name
            if place.resolve().is_relative_to(folder.resolve()):
                found[place.relative_to(folder).as_posix()] = f"sha256:{digest}"
    return found


def _look_inside(report: Report, spec: CorpusSpec, root: Path) -> None:
    n_workers = os.cpu_count() or 1
    rows = [
        row
        for shard in shard_keys(spec.key)
        for row in inventory(spec, root, shard, salt=_SALT, n_workers=n_workers).recordings
    ]
    accepted = [row for row in rows if row["status"] == "accepted"]
    rates = Counter(f"{row['sfreq_hz']:g}" for row in rows if row["sfreq_hz"])
    labels: dict[str, Counter[str]] = {}
    for row in rows:  # of a duplicate the labels are known too
        for name, value in {(label["name"], label["value"]) for label in row["labels"]}:
            labels.setdefault(name, Counter())[value] += 1
    report.counts |= {
        "hours": round(sum(row["duration_s"] or 0.0 for row in rows) / _S_PER_H, 2),
        "accepted": len(accepted),
        "rejects": dict(Counter(r["reject_cause"] for r in rows if r["reject_cause"])),
        "rates_hz": dict(sorted(rates.items())),
        "labels": {name: dict(sorted(n.items())) for name, n in sorted(labels.items())},
    }
    _compare_inside(report, spec.expected)


def _compare_inside(report: Report, expected: Expected) -> None:
    hours, counts = report.counts["hours"], report.counts
    if expected.hours and not expected.hours[0] <= hours <= expected.hours[1]:
        low, high = expected.hours
        report.problems.append(f"hours: {hours:g}, expected {low:g} to {high:g}")
    if expected.rates:
        _compare_counts(report, "files at rate (Hz)", counts["rates_hz"], expected.rates)
    for name, values in expected.labels.items():
        found = counts["labels"].get(name, {})
        named = {value: found.get(value, 0) for value in values}
        _compare_counts(report, f"recordings with {name}", named, values)


def _compare_counts(
    report: Report, what: str, found: Mapping[str, int], expected: Mapping[str, int]
) -> None:
    for value in sorted({*found, *expected}, key=natural_key):
        n, wanted = found.get(value, 0), expected.get(value, 0)
        if n != wanted:
            report.problems.append(f"{what} {value}: {n}, expected {wanted}")


def _compare_sums(report: Report, folder: Path, files: Iterable[FoundFile], manifest: Path) -> None:
    known = read_record(folder).checksums | _published(folder)
    if known:
        there = {name: folder / name for name in known if (folder / name).is_file()}
        _tell_changed(report, there, known)
        report.remarks.append(f"{len(there)} files compared with their host's checksums")
        return
    there = {f.path.relative_to(folder).as_posix(): f.path for f in files}
    if not manifest.is_file():
        _write(manifest, {name: digest_of(path) for name, path in sorted(there.items())})
        report.remarks.append(
            f"no published checksums lie in the folder; a manifest of {len(there)} files was written "
            f"to {manifest}, later looks compare with it"
        )
        return
    mine = _read(manifest)
    _tell_changed(report, {n: p for n, p in there.items() if n in mine}, mine)
    _name(report, "missing since our manifest", [n for n in mine if n not in there])
    _name(report, "new since our manifest", [n for n in there if n not in mine])


def _tell_changed(report: Report, there: Mapping[str, Path], known: Mapping[str, str]) -> None:
    changed = [n for n, p in there.items() if digest_of(p, known[n].partition(":")[0]) != known[n]]
    _name(report, "wrong checksum", changed)


def _read(manifest: Path) -> dict[str, str]:
    try:
        content = json.loads(manifest.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise FetchError(f"manifest {str(manifest)!r} is damaged; remove it to write a new one")
    return {str(name): str(digest) for name, digest in content.items()}


def _write(path: Path, content: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.tmp")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
