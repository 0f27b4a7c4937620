"""What was asked, what came back and what it cost: one SQLite file that outlives every kill.

A row is written before its request leaves (in flight, at the most it can cost) and again when the
reply is there (done, at what it cost). Whatever ends the process, at any moment, leaves one of the
two: a finished reply is never paid for again, and a request whose fate is unknown counts at its
upper bound until it is sent again under the same key and settled. The ledger is a view of the same
rows, so it cannot disagree with them. A provider that ignores the ``Idempotency-Key`` header may
bill a request whose answer was cut off once more when it is sent again: the one thing the ledger
cannot see. Beside the requests lie the parts of batch jobs, for ``batches``.

Stored are replies (derived facts in words) and hashes: no payload, no id, no key, no path, no date.
A power cut may lose the last moments before it; a killed process loses nothing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prompts.teachers.base import Exchange, Repair, TeacherConfigError, TeacherRequest

CACHE_FILE = "teacher_cache.sqlite"
"""Name under the storage root."""
_VERSION = 1
_BUSY_S = 60.0
"""Wait for another process' write; they last milliseconds."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    teacher TEXT NOT NULL,
    is_done INTEGER NOT NULL,
    usd REAL NOT NULL,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cached_input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    model TEXT NOT NULL DEFAULT '',
    cause TEXT NOT NULL DEFAULT '',
    text TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_by_run ON requests (run, teacher, is_done, usd);
CREATE TABLE IF NOT EXISTS batch_parts (
    part TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    teacher TEXT NOT NULL,
    keys TEXT NOT NULL,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS ledger AS
SELECT run, teacher,
    SUM(is_done) AS n_requests,
    SUM(1 - is_done) AS n_possibly_paid,
    SUM(input_tokens) AS input_tokens,
    SUM(output_tokens) AS output_tokens,
    TOTAL(CASE WHEN is_done THEN usd ELSE 0 END) AS usd,
    TOTAL(CASE WHEN is_done THEN 0 ELSE usd END) AS possibly_paid_usd
FROM requests GROUP BY run, teacher ORDER BY run, teacher;
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a finished request.

    Parameters
    ----------
    exchange
        Reply and tokens.
    cost_usd
        What it cost when it was paid.
    cause
        "" or the row cause the provider gave, such as ``refused`` or ``truncated``.
    is_cached
        It was finished before it was asked for.
    """

    exchange: Exchange
    cost_usd: float
    cause: str
    is_cached: bool


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Money of one run and teacher.

    Parameters
    ----------
    run, teacher
        Whose.
    n_requests
        Requests answered, refusals and truncated replies included.
    n_possibly_paid
        Requests whose fate a kill or a broken connection hides; sent again, they move to the
        former.
    input_tokens, output_tokens, usd
        Of the answered.
    possibly_paid_usd
        Upper bound of the others.
    """

    run: str
    teacher: str
    n_requests: int
    n_possibly_paid: int
    input_tokens: int
    output_tokens: int
    usd: float
    possibly_paid_usd: float


@dataclass(frozen=True, slots=True)
class BatchPart:
    """One file of a batch run: the keys of its lines, and its job once the provider has it.

    Parameters
    ----------
    part
        Its name, a hash of what it holds; also in the job's metadata.
    run, teacher
        Whose.
    keys
        Keys of its lines, in order.
    job_id
        The provider's id; "" before the submission is known to have reached it.
    state
        ``made``, ``submitted`` or ``read`` (its results are settled in the cache).
    """

    part: str
    run: str
    teacher: str
    keys: tuple[str, ...]
    job_id: str = ""
    state: str = "made"


def request_key(
    request: TeacherRequest,
    teacher_id: str,
    sampling: str,
    *,
    repair: Repair | None = None,
    max_output_tokens: int | None = None,
    n_try: int = 0,
) -> str:
    """Return the key of everything that decides a reply: also its ``Idempotency-Key``."""
    second = [repair.previous_text, repair.complaint] if repair else None
    parts = [
        request.prompt.prompt_hash, request.payload_text, request.seed, teacher_id, sampling,
        second, max_output_tokens, n_try,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class TeacherCache:
    """The file; one process may hold it several times, and several processes may share it.

    Parameters
    ----------
    path
        A local file; its folder is made. None keeps everything in memory, for estimates and tests.

    Raises
    ------
    TeacherConfigError
        If the file is of another version, or no cache.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", timeout=_BUSY_S, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise TeacherConfigError(
                    f"the teacher cache has version {version}, this program writes {_VERSION}; "
                    "finish with the program that wrote it, or move the file away",
                    cause="bad cache",
                )
            self._db.executescript(
                f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {_VERSION};COMMIT;"
            )
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise TeacherConfigError(
                f"the teacher cache cannot be opened ({error}); move {CACHE_FILE} away and run "
                "again: replies in it are then paid again",
                cause="bad cache",
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def find(self, key: str) -> Answer | None:
        """Return a finished reply, or None."""
        row = self._db.execute(
            "SELECT text, input_tokens, output_tokens, cached_input_tokens, model, usd, cause "
            "FROM requests WHERE key = ? AND is_done",
            (key,),
        ).fetchone()
        if row is None:
            return None
        *exchange, usd, cause = row
        return Answer(Exchange(*exchange), usd, cause, is_cached=True)

    def in_flight(self, key: str) -> tuple[str, float] | None:
        """Return run and upper bound of a request whose fate is unknown, or None."""
        row = self._db.execute(
            "SELECT run, usd FROM requests WHERE key = ? AND NOT is_done", (key,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def begin(self, key: str, run: str, teacher: str, upper_usd: float) -> None:
        """Write down that a request is about to leave, at the most it can cost."""
        self._db.execute(
            "INSERT INTO requests (key, run, teacher, is_done, usd) VALUES (?, ?, ?, 0, ?) "
            "ON CONFLICT (key) DO UPDATE SET run = excluded.run, usd = excluded.usd "
            "WHERE NOT is_done",
            (key, run, teacher, upper_usd),
        )

    def begin_many(self, keys: Iterable[tuple[str, float]], run: str, teacher: str) -> None:
        """Write down many requests, all or none, as (key, upper bound in US dollars)."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for key, upper_usd in keys:
                self.begin(key, run, teacher, upper_usd)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def settle(self, key: str, exchange: Exchange, usd: float, cause: str = "") -> None:
        """Write down what came back and what it cost; a reply that is there already stays."""
        self._db.execute(
            "UPDATE requests SET is_done = 1, usd = ?, input_tokens = ?, output_tokens = ?, "
            "cached_input_tokens = ?, model = ?, cause = ?, text = ? WHERE key = ? AND NOT is_done",
            (
                usd, exchange.input_tokens, exchange.output_tokens, exchange.cached_input_tokens,
                exchange.model, cause, exchange.text, key,
            ),
        )  # fmt: skip

    def release(self, key: str) -> None:
        """Forget a request that the provider certainly did not bill."""
        self._db.execute("DELETE FROM requests WHERE key = ? AND NOT is_done", (key,))

    def committed_usd(self, run: str) -> float:
        """Return what a run has paid, plus the upper bound of what it may have paid."""
        total: float = self._db.execute(
            "SELECT TOTAL(usd) FROM requests WHERE run = ?", (run,)
        ).fetchone()[0]
        return total

    def ledger_rows(self, run: str | None = None) -> list[LedgerRow]:
        """Return money by run and teacher, of one run or of all."""
        rows = self._db.execute(
            "SELECT run, teacher, n_requests, n_possibly_paid, input_tokens, output_tokens, usd, "
            "possibly_paid_usd FROM ledger WHERE ?1 IS NULL OR run = ?1",
            (run,),
        )
        return [LedgerRow(*row) for row in rows]

    def put_part(self, part: BatchPart) -> None:
        """Write down a batch part as it stands now."""
        self._db.execute(
            "INSERT OR REPLACE INTO batch_parts VALUES (?, ?, ?, ?, ?, ?)",
            (part.part, part.run, part.teacher, json.dumps(part.keys), part.job_id, part.state),
        )

    def parts(self, teacher: str, state: str | None = None) -> list[BatchPart]:
        """Return a teacher's batch parts of every run, or those in one state, in order of name."""
        rows = self._db.execute(
            "SELECT part, run, teacher, keys, job_id, state FROM batch_parts "
            "WHERE teacher = ?1 AND (?2 IS NULL OR state = ?2) ORDER BY part",
            (teacher, state),
        )
        return [
            BatchPart(part, run, teacher, tuple(json.loads(keys)), job_id, state)
            for part, run, teacher, keys, job_id, state in rows
        ]
