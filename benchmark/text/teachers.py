"""What becomes of a real teacher's replies: accepted, repaired, dropped and why, tokens, seconds.

All four kinds of text are asked for through the real gateway, about pages of planted signals and of
recordings on this machine, and nothing is stored. It says how much of what a model writes survives
the checks of ``prompts.texts.check``; whether those checks are right is measured in ``text.grounding``.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from benchmark.errors import BenchmarkError
from benchmark.text.grounding_pages import facts_of_batch, planted_facts
from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys
from prompts.facts.page import PageFacts, with_history
from prompts.teachers.base import TeacherError
from prompts.teachers.registry import is_inside, make_gateway, read_settings
from prompts.texts.check import SUPPORTED, TextKind, counted_cause
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.teacher_texts import text_rows

if TYPE_CHECKING:
    from rich.table import Table

    from prompts.teachers.gateway import Gateway
    from prompts.teachers.progress import Progress
    from prompts.teachers.settings import TeacherSettings

_log = logging.getLogger(__name__)

N_PREVIOUS = 2
PAGES_OF_ONE = 3
"""Pages taken of one recording, so that few pages come from many corpora (engineering default)."""
TELL_EVERY_S = 30.0
OUT_OF_TIME = "out of time"


class _OutOfTimeError(Exception):
    """The kind of text has had its time."""


@dataclass(frozen=True, slots=True)
class TeacherAsked:
    """Who is asked about what.

    Parameters
    ----------
    settings
        Of the teacher.
    n_pages
        Pages; each is asked about for every kind of text.
    data
        Folder that half of them come from; None plants all.
    minutes
        Time after which nothing more is asked, shared by the kinds; None is no bound.
    """

    settings: TeacherSettings
    n_pages: int
    data: Path | None = None
    minutes: float | None = None

    @classmethod
    def read(
        cls, path: Path, n_pages: int, data: Path | None = None, minutes: float | None = None
    ) -> TeacherAsked:
        """Read a teacher's settings from a YAML file.

        Raises
        ------
        BenchmarkError
            If the file is missing or no mapping.
        TeacherConfigError
            If the settings are not valid.
        """
        if not path.is_file():
            raise BenchmarkError(
                f"{path.name!r} does not exist; give a YAML file with provider, model and base_url"
            )
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise BenchmarkError(f"{path.name!r} holds no settings; write provider: NAME and so on")
        return cls(read_settings(values), n_pages, data, minutes)


@dataclass(frozen=True, slots=True)
class KindFigures:
    """What became of one kind of text.

    Parameters
    ----------
    n_pages
        Pages whose row ended; fewer than asked for where time or teacher did not last.
    n_accepted, n_repaired
        Texts that stand at the first try, and at the second.
    dropped
        Texts that do not stand after the repair, by cause.
    n_skipped
        Pages that this kind cannot be asked about.
    n_requests, input_tokens, output_tokens, usd
        What was billed, dropped texts included.
    seconds
        Wall clock.
    ended_by
        Why asking for this kind ended before the last page; ``""`` where it did not.
    """

    n_pages: int
    n_accepted: int
    n_repaired: int
    dropped: dict[str, int]
    n_skipped: int
    n_requests: int
    input_tokens: int
    output_tokens: int
    usd: float
    seconds: float
    ended_by: str = ""


@dataclass(frozen=True, slots=True)
class TeacherFigures:
    """What was measured, by kind of text."""

    teacher: str
    n_planted: int
    n_real: int
    kinds: dict[str, KindFigures]

    def misses(self) -> list[str]:
        """Return every kind whose run ended early: what a model is worth has no floor."""
        return [f"{name} ended by {k.ended_by}" for name, k in self.kinds.items() if k.ended_by]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; keys are stable."""
        return asdict(self)


def bench_teacher(asked: TeacherAsked, *, seed: int = 0) -> TeacherFigures:
    """Ask a teacher for every kind of text about the same pages.

    Parameters
    ----------
    asked
        Who, and about what.
    seed
        Of planted pages and phrasings.

    Raises
    ------
    BenchmarkError
        If there is no page.
    """
    if asked.n_pages < 1:
        raise BenchmarkError(f"{asked.n_pages} pages cannot be asked about; give 1 or more")
    n_real = asked.n_pages // 2 if asked.data else 0
    real = real_facts(asked.data, n_real, is_local=is_inside(asked.settings)) if asked.data else []
    pages = [*planted_facts(asked.n_pages - len(real), seed), *real]
    _log.info("%d planted and %d real pages", len(pages) - len(real), len(real))
    kinds = {}
    most_s = math.inf if asked.minutes is None else 60.0 * asked.minutes / len(TEXT_KINDS)
    with make_gateway(asked.settings, None) as gateway:
        for table, kind in TEXT_KINDS.items():
            kinds[table] = _ask(table, kind, pages, gateway, seed, most_s)
        return TeacherFigures(gateway.teacher_id, len(pages) - len(real), len(real), kinds)


def real_facts(root: Path, n_pages: int, *, is_local: bool) -> list[PageFacts]:
    """Read, measure and judge pages of recordings under a data root, a few of each corpus.

    Parameters
    ----------
    root
        Folder of corpora.
    n_pages
        Pages wanted; fewer where the folder holds fewer.
    is_local
        Whether the teacher may read corpora whose agreement keeps them here.
    """
    found: list[PageFacts] = []
    for spec in corpora().values():
        if len(found) >= n_pages:
            break
        is_kept_here = spec.licence.is_gated or not spec.licence.allows_hosted_teachers
        if is_local or not is_kept_here:
            found += islice(_pages_of(spec, root), min(PAGES_OF_ONE, n_pages - len(found)))
    return found


def _pages_of(spec: Any, root: Path) -> Iterator[PageFacts]:
    for shard in shard_keys(spec.key):
        recordings = inventory(spec, root, shard, salt="bench", max_recordings=1).recordings
        table = process_shard(spec, root, recordings).segments if recordings else None
        if table is None or not table.num_rows:
            continue
        # spread over the recording: its first pages are much alike
        picked = table.take(list(range(0, table.num_rows, max(1, table.num_rows // PAGES_OF_ONE))))
        segments = pl.from_arrow(picked)
        assert isinstance(segments, pl.DataFrame)
        for at, batch in enumerate(segment_batches(segments)):
            yield from facts_of_batch(batch, spec.key, at)
        return


def _ask(
    table: str,
    kind: TextKind,
    pages: Sequence[PageFacts],
    gateway: Gateway,
    seed: int,
    most_s: float,
) -> KindFigures:
    told_at = start = time.monotonic()
    rows: list[dict[str, Any]] = []
    ended_by = ""

    def is_late() -> bool:
        return time.monotonic() - start > most_s and len(rows) < len(pages)

    def tell(progress: Progress) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= TELL_EVERY_S:
            told_at = now
            _log.info("%s: %s", table, progress)
        # also while a slow model writes: what it has not finished is left
        if is_late():
            raise _OutOfTimeError

    asked = text_rows(
        kind, with_history(pages, N_PREVIOUS), gateway, is_gated=False, seed=seed,
        n_pages=len(pages), on_progress=tell,
    )  # fmt: skip
    try:
        with closing(asked):
            for row in asked:
                rows.append(row)
                if is_late():
                    raise _OutOfTimeError
    except _OutOfTimeError:
        ended_by = OUT_OF_TIME
    except TeacherError as error:
        ended_by = error.cause
    stands = [row for row in rows if row["grounding"] == SUPPORTED]
    dropped = [row for row in rows if row["grounding"] != SUPPORTED and row["n_requests"]]
    return KindFigures(
        n_pages=len(rows),
        n_accepted=sum(row["n_requests"] == 1 for row in stands),
        n_repaired=sum(row["n_requests"] > 1 for row in stands),
        dropped=dict(Counter(counted_cause(row["grounding"]) for row in dropped).most_common()),
        n_skipped=sum(not row["n_requests"] for row in rows),
        n_requests=sum(row["n_requests"] for row in rows),
        input_tokens=sum(row["input_tokens"] for row in rows),
        output_tokens=sum(row["output_tokens"] for row in rows),
        usd=sum(row["cost_usd"] for row in rows),
        seconds=time.monotonic() - start,
        ended_by=ended_by,
    )


def teacher_tables(figures: TeacherFigures) -> Iterator[Table]:
    """Yield the table of the figures, for a terminal."""
    from rich.table import Table

    title = f"{figures.teacher}: {figures.n_planted} planted and {figures.n_real} real pages"
    heads = ("kind", "asked", "accepted", "repaired", "dropped", "skipped", "requests", "tokens in",
             "tokens out", "USD", "s")  # fmt: skip
    table = Table(*heads, title=title)
    for name, k in figures.kinds.items():
        causes = ", ".join(f"{n} {cause}" for cause, n in k.dropped.items()) or "none"
        table.add_row(
            name, str(k.n_pages - k.n_skipped), str(k.n_accepted), str(k.n_repaired), causes,
            str(k.n_skipped), str(k.n_requests), str(k.input_tokens), str(k.output_tokens),
            f"{k.usd:.4f}", f"{k.seconds:.0f}",
        )  # fmt: skip
    yield table
