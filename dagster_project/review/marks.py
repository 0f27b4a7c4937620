"""Marks of reviewers: what one may say, and the table ``review_marks`` they are kept in.

A mark stands for (segment, finding, reviewer); marking again replaces it. Whoever marks sends only
what was said: what was found is copied from the shard's own tables, so a mark still tells what it
was about after the rules have changed. The page is in :mod:`dagster_project.review.pages`, the web
server in :mod:`dagster_project.review.server`.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dagster_project.tables.store import TableStore
from detectors.pages.geometry import page_geometry
from detectors.types import SEGMENT_S, ChannelSchema
from detectors.vocabulary import KINDS

CSV_COLUMNS = (
    "shard", "segment_id", "finding_id", "reviewer", "verdict", "kind", "channels", "t0_s", "t1_s",
    "marked_on",
)  # fmt: skip
"""Header of the file the page offers where no server runs; channels are parted by ``;``."""
INITIALS = r"^[A-Z]{1,4}[0-9]{0,2}$"
"""Initials, not names: who reviewed is known to the lab, not to the table."""
MAX_CSV_BYTES = 16 * 2**20


class MarkError(ValueError):
    """A mark that cannot be taken; sending it again gives the same answer."""

    is_retryable = False


class Mark(BaseModel):
    """What a reviewer said, as the page sends it.

    ``right``, ``wrong`` and ``unsure`` speak of a finding: is it there on the page? ``missed`` adds
    one nobody found; ``complete`` says that a page was read to its end, so that no ``missed`` on it
    means none; ``none`` takes a mark back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    reviewer: str = Field(pattern=INITIALS)
    segment_id: str
    finding_id: str = ""
    verdict: Literal["right", "wrong", "unsure", "missed", "complete", "none"]
    kind: str = ""
    channels: tuple[str, ...] = ()
    t0_s: float = Field(0.0, ge=0.0, lt=SEGMENT_S)
    t1_s: float = Field(float(SEGMENT_S), gt=0.0, le=SEGMENT_S)


def read_mark(blob: bytes | str) -> Mark:
    """Read a mark from JSON.

    Raises
    ------
    MarkError
        Naming the first field that is not as it should be.
    """
    try:
        return Mark.model_validate_json(blob)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "mark"
        given = "" if isinstance(first["input"], bytes | dict) else f" {first['input']!r}"
        raise MarkError(f"{where}{given}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class Known:
    """What a shard holds that marks may speak of.

    Parameters
    ----------
    findings
        Rows of table ``findings`` by id.
    segments
        Subject and channel schema by segment id.
    """

    findings: Mapping[str, Mapping[str, Any]]
    segments: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, store: TableStore, shard: str) -> Known:
        """Read a shard; its findings must have been materialised."""
        findings = store.read("findings", shard)
        segments = store.read("segments", shard, ["segment_id", "subject_id", "channel_schema"])
        return cls(
            {row["finding_id"]: row for row in findings.iter_rows(named=True)},
            {s: (subject, schema) for s, subject, schema in segments.iter_rows()},
        )

    def row(self, mark: Mark, marked_on: str) -> dict[str, Any]:
        """Return the table row of a mark.

        Raises
        ------
        MarkError
            If the segment, finding, kind, channel or interval is not one the shard holds.
        """
        if mark.segment_id not in self.segments:
            raise MarkError(
                f"segment {mark.segment_id!r} is not in this shard; open the page of its own shard"
            )
        subject_id, schema = self.segments[mark.segment_id]
        return {
            "segment_id": mark.segment_id,
            "reviewer": mark.reviewer,
            "subject_id": subject_id,
            "verdict": mark.verdict,
            "marked_on": marked_on,
            **self._what(mark, ChannelSchema.parse(schema)),
        }

    def _what(self, mark: Mark, schema: ChannelSchema) -> dict[str, Any]:
        if mark.verdict == "complete":
            return _own_row(f"p-{mark.segment_id}", "", (), 0.0, float(SEGMENT_S))
        if mark.verdict == "missed":
            _assert_missed(mark, schema)
            return _own_row(missed_id(mark), mark.kind, mark.channels, mark.t0_s, mark.t1_s)
        found = self.findings.get(mark.finding_id)
        if found is None or found["segment_id"] != mark.segment_id:
            raise MarkError(
                f"finding {mark.finding_id!r} is not on segment {mark.segment_id!r}; the findings "
                "were rebuilt since the page was made, so open a new page"
            )
        copied = (
            "finding_id", "kind", "channels", "t0_s", "t1_s", "source", "confidence", "is_masked",
            "mask_reason",
        )  # fmt: skip
        return {name: found[name] for name in copied}


def missed_id(mark: Mark) -> str:
    """Return the id of a missed finding: the same words give the same id."""
    key = (
        f"{mark.segment_id}|{mark.kind}|{','.join(mark.channels)}"
        f"|{mark.t0_s:.3f}|{mark.t1_s:.3f}|{mark.reviewer}"
    )
    return "m-" + hashlib.sha256(key.encode()).hexdigest()[:16]


def _own_row(
    finding_id: str, kind: str, channels: Sequence[str], t0_s: float, t1_s: float
) -> dict[str, Any]:
    return {
        "finding_id": finding_id, "kind": kind, "channels": list(channels), "t0_s": t0_s,
        "t1_s": t1_s, "source": "reviewer", "confidence": None, "is_masked": False,
        "mask_reason": "",
    }  # fmt: skip


def _assert_missed(mark: Mark, schema: ChannelSchema) -> None:
    if mark.kind not in KINDS:
        raise MarkError(f"kind {mark.kind!r} is not known; use one of {', '.join(KINDS)}")
    allowed = dict.fromkeys((*page_geometry(schema).rows, *schema.ch_names))
    unknown = [c for c in mark.channels if c not in allowed]
    if unknown or not mark.channels or len(set(mark.channels)) != len(mark.channels):
        raise MarkError(
            f"channels {list(mark.channels)} are not allowed; name one or more of "
            f"{', '.join(allowed)}, each once"
        )
    if not mark.t0_s < mark.t1_s:
        raise MarkError(f"interval {mark.t0_s} to {mark.t1_s} s is empty; end after the start")


class MarkBook:
    """The marks of one shard.

    Parameters
    ----------
    store, shard
        Where the table lies.
    folder
        Local folder of the shard's review page; a lock file in it keeps two reviewers, each with a
        server of their own, from overwriting each other.
    """

    def __init__(self, store: TableStore, shard: str, folder: Path) -> None:
        self.shard = shard
        self._store, self._folder = store, folder
        self._known: Known | None = None

    @property
    def known(self) -> Known:
        """What marks may speak of, read once."""
        if self._known is None:
            self._known = Known.of(self._store, self.shard)
        return self._known

    def rows(self, reviewer: str | None = None) -> list[dict[str, Any]]:
        """Return the stored rows, of one reviewer or of all."""
        with self._locked():
            found = self._read()
        return [r for r in found if reviewer is None or r["reviewer"] == reviewer]

    def assert_allowed(self, mark: Mark, marked_on: str) -> None:
        """Refuse a mark from a file that is not allowed or not about what the shard holds.

        Raises
        ------
        MarkError
            Also where kind, channels or times are not those of the finding named: the file was
            changed, or speaks of another.
        """
        if mark.verdict == "none":
            raise MarkError("verdict 'none' is no mark; leave the line out")
        row = self.known.row(mark, marked_on)
        said = (mark.kind, mark.channels, round(mark.t0_s, 3), round(mark.t1_s, 3))
        held = (row["kind"], tuple(row["channels"]), round(row["t0_s"], 3), round(row["t1_s"], 3))
        if said != held:
            raise MarkError(f"it says {said}, but {row['finding_id']!r} is {held}")

    def put(self, marks: Sequence[tuple[Mark, str]]) -> None:
        """Store marks, each with its date; all of them or, where one is not allowed, none.

        Raises
        ------
        MarkError
            As :meth:`Known.row` raises it.
        """
        changes: dict[tuple[str, str, str], dict[str, Any] | None] = {}
        for mark, marked_on in marks:
            if mark.verdict == "none":
                changes[(mark.segment_id, mark.finding_id, mark.reviewer)] = None
                continue
            row = self.known.row(mark, marked_on)
            changes[_key(row)] = row
        with self._locked():
            held: dict[tuple[str, str, str], dict[str, Any] | None] = {
                _key(row): row for row in self._read()
            }
            self._write([row for row in (held | changes).values() if row is not None])

    def forget_withdrawn(self) -> int:
        """Drop the marks of people whose recordings are gone and return how many are left."""
        with self._locked():
            held = self._read()
            if not held:
                return 0
            present = set(self._store.read("recordings", self.shard, ["subject_id"])["subject_id"])
            kept = [row for row in held if row["subject_id"] in present]
            if len(kept) < len(held):
                self._write(kept)
        return len(kept)

    def _read(self) -> list[dict[str, Any]]:
        if self._store.manifest("review_marks", self.shard) is None:
            return []
        return self._store.read("review_marks", self.shard).to_dicts()

    def _write(self, rows: Sequence[dict[str, Any]]) -> None:
        manifest = self._store.manifest("findings", self.shard)
        provenance = {"findings": manifest.data_version if manifest else ""}
        self._store.write("review_marks", self.shard, sorted(rows, key=_key), provenance)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return (row["segment_id"], row["finding_id"], row["reviewer"])


def read_csv(file: Path) -> dict[str, list[tuple[Mark, str, int]]]:
    """Read the file the page offers where no server runs.

    Parameters
    ----------
    file
        CSV with exactly :data:`CSV_COLUMNS`.

    Returns
    -------
    dict
        Marks with date and line number, by shard.

    Raises
    ------
    MarkError
        Naming the line that is not as it should be.
    """
    if not file.is_file():
        raise MarkError(f"{str(file)!r} is not a file; name the CSV the review page saved")
    if file.stat().st_size > MAX_CSV_BYTES:
        raise MarkError(f"{file.name} is larger than {MAX_CSV_BYTES} bytes; it is no file of marks")
    try:
        text = file.read_text(encoding="utf-8-sig")
        table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MarkError(f"{file.name} is not a CSV in UTF-8: {error}") from error
    if not table or tuple(table[0]) != CSV_COLUMNS:
        raise MarkError(f"{file.name}: the first line must be {','.join(CSV_COLUMNS)}")
    marks: dict[str, list[tuple[Mark, str, int]]] = {}
    for number, cells in enumerate(table[1:], start=2):
        try:
            shard, mark, marked_on = _mark_of(cells)
        except ValueError as error:
            raise MarkError(f"{file.name}, line {number}: {error}") from error
        marks.setdefault(shard, []).append((mark, marked_on, number))
    return marks


def _mark_of(cells: Sequence[str]) -> tuple[str, Mark, str]:
    if len(cells) != len(CSV_COLUMNS):
        raise MarkError(f"{len(cells)} cells; {len(CSV_COLUMNS)} are expected")
    row: dict[str, Any] = dict(zip(CSV_COLUMNS, cells, strict=True))
    shard, marked_on = row.pop("shard"), row.pop("marked_on")
    if date.fromisoformat(marked_on).isoformat() != marked_on:
        raise MarkError(f"marked_on {marked_on!r} is not a date such as 2026-01-31")
    row["channels"] = row["channels"].split(";") if row["channels"] else []
    for name in ("t0_s", "t1_s"):
        row[name] = float(row[name])
    return shard, read_mark(json.dumps(row)), marked_on


def tally(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Count marks per kind: ``kind``, one column per verdict, ``n_reviewers``, ``precision``.

    Precision is right / (right + wrong) over findings that were not masked; null where nobody
    decided.
    """
    counted = []
    for kind in KINDS:
        said = [r for r in rows if r["kind"] == kind]
        shown = [r["verdict"] for r in said if not r["is_masked"]]
        n_right, n_wrong = shown.count("right"), shown.count("wrong")
        decided = n_right + n_wrong
        if said:
            counted.append({
                "kind": kind, "right": n_right, "wrong": n_wrong, "unsure": shown.count("unsure"),
                "missed": shown.count("missed"),
                "masked_but_right": sum(r["is_masked"] and r["verdict"] == "right" for r in said),
                "n_reviewers": len({r["reviewer"] for r in said}),
                "precision": n_right / decided if decided else None,
            })  # fmt: skip
    return pl.DataFrame(counted)
