"""Group ``text``, by teachers: narratives, descriptions, teacher questions and dialogues.

What is asked and whether a reply may stand is decided in ``prompts``; here the teacher is named, its
cache and ledger are given a place, and rows are stored with their evidence. Hosted teachers cost money,
so these assets never start automatically, earlier texts can be kept without asking anyone, and a dry run
says what asking would cost.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from dagster_project import previews
from dagster_project.assets.text import TEXT, facts_of, text_result
from dagster_project.failures import translated
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import counts
from dagster_project.resources import Workspace, corpus_of
from dagster_project.tables.store import TableStore
from prompts.facts.page import with_history
from prompts.teachers.cache import CACHE_FILE
from prompts.teachers.gateway import Gateway
from prompts.teachers.progress import Progress
from prompts.teachers.registry import assert_may_read, make_gateway, read_settings
from prompts.texts.check import SUPPORTED, TextKind, counted_cause
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.question_plan import Ask
from prompts.texts.teacher_texts import (
    HistoryPage,
    counted_rows,
    drawn,
    planned,
    requests_of,
    text_rows,
)

_CODE = (
    "prompts/texts/teacher_texts.py",
    "prompts/texts/kinds.py",
    "prompts/templates",
    "prompts/teachers",
)
_UPSTREAM = ("segments", "findings", "spectral_features", "spatial_features")
MAX_HISTORY = 10
PROGRESS_EVERY_S = 10.0
"""Least time between two progress lines in a run's log."""


class TeacherConfig(LaunchConfig):
    """Who writes, how much, how fast, and for how much."""

    provider: str = Field(
        "template",
        description="template (offline), openai, gemini or openai_compatible. Keys come from the "
        "environment: OPENAI_API_KEY, GEMINI_API_KEY.",
        pattern=r"^(template|openai|gemini|openai_compatible)$",
    )
    model: str = Field("", description="Model id; empty takes the provider's default.")
    base_url: str = Field("", description="Server address; needed for openai_compatible.")
    is_local: bool = Field(
        False, description="The server is inside our walls, so gated corpora may be sent to it."
    )
    mode: str = Field(
        "online",
        description="online, or batch: the provider's batch jobs, half price, within a day.",
        pattern=r"^(online|batch)$",
    )
    batch_poll_s: float = Field(
        5.0, gt=0.0, le=600.0, description="First wait between looks at batch jobs, seconds."
    )
    batch_max_poll_s: float = Field(
        60.0, gt=0.0, le=3600.0, description="Longest such wait, seconds; it grows to this."
    )
    spend_cap_usd: float = Field(
        1.0,
        ge=0.0,
        le=10_000.0,
        description="Hard cap of this asset in one run, US dollars, 0 to 10000.",
    )
    input_usd_per_mtok: float | None = Field(
        None, ge=0.0, description="Price of a million input tokens; unset takes the price table."
    )
    output_usd_per_mtok: float | None = Field(
        None, ge=0.0, description="Price of a million output tokens; unset takes the price table."
    )
    requests_per_minute: float | None = Field(
        None, gt=0.0, description="Allowance; unset learns it from the replies."
    )
    tokens_per_minute: float | None = Field(
        None, gt=0.0, description="Allowance, input and output; unset learns it from the replies."
    )
    in_flight: int = Field(
        200, ge=1, le=2000, description="Most requests on their way at once, 1 to 2000."
    )
    max_output_tokens: int = Field(
        2048, ge=64, le=16384, description="Token limit of one reply, 64 to 16384."
    )
    n_texts: int = Field(
        0,
        ge=0,
        description="Texts wanted of this shard; a dropped page is replaced by another. The same "
        "number for several kinds makes them one to one; the offline teacher's questions come in "
        "fours, up to three more. 0 asks about every page.",
    )
    n_history: int = Field(
        2, ge=0, le=MAX_HISTORY, description="Previous segments compared with, 0 to 10."
    )
    ask_teacher: bool = Field(
        True,
        description="False keeps earlier texts whose facts still stand, and asks nobody.",
    )
    dry_run: bool = Field(
        False,
        description="Only say what asking would take in tokens and money; earlier texts are kept.",
    )
    seed: int = Field(0, ge=0, description="Seed of phrasings.")


def _teacher_asset(table: str, does: str) -> dg.AssetsDefinition:
    @TEXT.asset(table, code=_CODE, deps=_UPSTREAM, is_costly=True, pool="teacher_api")
    def asset(
        context: dg.AssetExecutionContext, config: TeacherConfig, workspace: Workspace
    ) -> dg.MaterializeResult[None]:
        with translated():
            return _Writing(context, config, workspace, table).result()

    asset.__doc__ = does
    return asset


class _Writing:
    """One shard of one table being written."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        config: TeacherConfig,
        workspace: Workspace,
        table: str,
    ) -> None:
        self._context = context
        self._config, self._workspace, self._table = config, workspace, table
        self._shard, self._store = context.partition_key, workspace.store()
        self._kind: TextKind = TEXT_KINDS[table]
        licence = corpus_of(self._shard).licence
        self._is_gated = licence.is_gated or not licence.allows_hosted_teachers
        self._told_at = time.monotonic()

    def result(self) -> dg.MaterializeResult[None]:
        """Write the rows, or keep the earlier ones, and report."""
        config = self._config
        if not config.ask_teacher:
            return self._report(kept_rows(self._store, self._table, self._shard), {})
        settings = read_settings(settings_of(config))
        if self._is_gated:
            spec = corpus_of(self._shard)
            assert_may_read(settings, spec.key, spec.licence.id)
        is_hosted = config.provider != "template"
        cache = self._workspace.folder(CACHE_FILE) if is_hosted else None
        with make_gateway(
            settings,
            cache,
            run=f"{self._context.run.run_id}/{self._table}",
            is_asking=not config.dry_run,
        ) as gateway:
            if config.dry_run:
                return self._estimated(gateway)
            rows = list(self._asked(gateway))
            ledger = [asdict(row) for row in gateway.ledger_rows()]
        return self._report(rows, {"ledger": dg.MetadataValue.json(ledger)})

    def _asked(self, gateway: Gateway) -> Iterator[dict[str, Any]]:
        pages = facts_of(self._store, self._shard)
        plan = planned(self._kind, pages, gateway, self._config.seed)

        def ask(chosen: frozenset[str] | None) -> Iterator[dict[str, Any]]:
            return text_rows(
                self._kind,
                self._pages(chosen),
                gateway,
                is_gated=self._is_gated,
                seed=self._config.seed,
                n_pages=None if chosen is None else len(chosen),
                on_progress=self._tell,
                plan=plan,
            )

        n_texts = self._config.n_texts
        if n_texts:
            return counted_rows(ask, self._order(plan), n_texts, in_blocks=plan is not None)
        return ask(None)

    def _estimated(self, gateway: Gateway) -> dg.MaterializeResult[None]:
        wanted = self._config.n_texts
        chosen = frozenset(self._order()[:wanted]) if wanted else None
        requests = requests_of(
            self._kind, self._pages(chosen), is_gated=self._is_gated, seed=self._config.seed
        )
        bound = gateway.estimate(requests)
        self._context.log.info(
            f"dry run: {bound.n_requests} requests, {bound.n_cached} of them paid before, at most "
            f"{bound.input_tokens} input and {bound.output_tokens} output tokens, {bound.usd:.4f} "
            "USD; nothing was sent"
        )
        kept = kept_rows(self._store, self._table, self._shard)
        return self._report(kept, {f"estimate_{k}": v for k, v in asdict(bound).items()})

    def _order(self, plan: Mapping[str, Ask] | None = None) -> list[str]:
        ids = self._store.read("segments", self._shard, ["segment_id"])["segment_id"]
        return drawn(self._kind, ids, self._config.seed, plan)

    def _pages(self, chosen: frozenset[str] | None) -> Iterator[HistoryPage]:
        n_history = self._config.n_history if self._kind.is_compared else 0
        for page in with_history(facts_of(self._store, self._shard), n_history):
            if chosen is None or page[0].segment_id in chosen:
                yield page

    def _tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = now
            self._context.log.info(f"{self._table}: {progress}")

    def _report(
        self, rows: list[dict[str, Any]], metadata: dict[str, Any]
    ) -> dg.MaterializeResult[None]:
        causes = pl.Series("cause", [counted_cause(r["grounding"]) for r in rows], pl.String)
        supported = [r for r in rows if r["grounding"] == SUPPORTED]
        cost = sum(r["cost_usd"] for r in rows)
        self._context.log.info(
            f"{self._table}: {len(supported)} of {len(rows)} rows accepted, {cost:.4f} USD"
        )
        if len(supported) < self._config.n_texts:
            self._context.log.warning(
                f"{self._table}: {self._config.n_texts} texts were wanted and the shard gave "
                f"{len(supported)}"
            )
        return text_result(
            self._workspace, self._shard, self._table, rows, _CODE, self._config.seed,
            {
                "teacher": rows[0]["teacher"] if rows else self._config.provider,
                "offline_share": round(
                    sum(r["is_offline_teacher"] for r in rows) / max(len(rows), 1), 3
                ),
                "n_accepted": len(supported),
                "n_repaired": sum(r["n_requests"] > 1 for r in rows),
                "n_requests": sum(r["n_requests"] for r in rows),
                "input_tokens": sum(r["input_tokens"] for r in rows),
                "output_tokens": sum(r["output_tokens"] for r in rows),
                "cost_usd": cost,
                "verdicts": dg.MetadataValue.json(counts(causes)),
                "preview": previews.rows(supported[:4]),
                **metadata,
            },
        )  # fmt: skip


def kept_rows(store: TableStore, table: str, shard: str) -> list[dict[str, Any]]:
    """Return the earlier rows of a teacher's table whose facts still stand.

    A row stays when its segment, the segments it compares with and every id it points at are still
    stored; a withdrawn recording's rows therefore leave, and nobody is paid again for the others.
    """
    if store.manifest(table, shard) is None:
        return []
    segments = set(store.read("segments", shard, ["segment_id"])["segment_id"])
    known = set(store.read("findings", shard, ["finding_id"])["finding_id"])
    known |= set(store.read("judgements", shard, ["judgement_id"])["judgement_id"])

    def stands(row: dict[str, Any]) -> bool:
        shown = {row["segment_id"], *row.get("history_segment_ids", [])}
        feature_ids = (e for e in row["evidence"] if e.startswith("s-"))
        shown |= {e[2:].rpartition(":")[0] for e in feature_ids}
        return shown <= segments and known.issuperset(
            e for e in row["evidence"] if not e.startswith("s-")
        )

    rows = store.read(table, shard).to_dicts()
    kept = [row for row in rows if stands(row)]
    whole, left = (Counter(row.get("block_id") for row in some) for some in (rows, kept))
    # what is left of a block that lost a page would give its answers away
    return [r for r in kept if "block_id" not in r or left[r["block_id"]] == whole[r["block_id"]]]


_OPTIONAL = {
    "model": "model",
    "base_url": "base_url",
    "input_usd_per_mtok": "input_usd_per_mtok",
    "output_usd_per_mtok": "output_usd_per_mtok",
    "requests_per_minute": "requests_per_min",
    "tokens_per_minute": "tokens_per_min",
}
"""Launchpad field and the setting it becomes, where it was filled in."""


def settings_of(config: TeacherConfig) -> dict[str, Any]:
    """Return a teacher's settings from the launchpad's; what was left empty takes its default."""
    settings: dict[str, Any] = {"provider": config.provider}
    if config.provider == "template":
        return settings
    settings |= {
        "mode": config.mode,
        "max_usd": config.spend_cap_usd,
        "max_in_flight": config.in_flight,
        "max_output_tokens": config.max_output_tokens,
        "batch_poll_s": config.batch_poll_s,
        "batch_max_poll_s": config.batch_max_poll_s,
    }
    for name, setting in _OPTIONAL.items():
        value = getattr(config, name)
        if value not in ("", None):
            settings[setting] = value
    if config.provider == "openai_compatible":
        settings["is_local"] = config.is_local
    return settings


narratives = _teacher_asset(
    "narratives", "Let the teacher write out the template facts with their trends."
)
descriptions = _teacher_asset("descriptions", "Let the teacher describe each page in detail.")
teacher_questions = _teacher_asset(
    "teacher_questions", "Let the teacher ask about each page, with options the facts prove wrong."
)
dialogues = _teacher_asset("dialogues", "Let the teacher write a conversation about each page.")

ASSETS = (narratives, descriptions, teacher_questions, dialogues)
