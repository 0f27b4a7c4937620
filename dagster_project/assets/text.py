"""Group ``text``: captions and questions by rule, narratives and dialogues by a teacher.

Words are chosen and checked in ``prompts``; here facts are gathered, the teacher is named, and rows
are stored with their evidence. Teacher texts cost money where the teacher is hosted, so they are
never started automatically, and earlier texts can be kept without asking anyone.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.failures import translated
from dagster_project.materialisation import SEGMENT_HOURS, counts, write
from dagster_project.resources import Workspace, corpus_of
from dagster_project.tables.store import TableStore
from prompts.facts import PageFacts, facts_of_shard, with_history
from prompts.teachers.base import Teacher
from prompts.teachers.registry import assert_may_read, make_teacher, read_settings

_TEXT = Grain("text", ("polars", "parquet"))
_RULE_CODE = ("prompts/captions.py", "prompts/questions.py")
_TEACHER_CODE = (
    "prompts/narratives.py",
    "prompts/dialogues.py",
    "prompts/templates",
    "prompts/teachers",
)
FACT_COLUMNS = (
    "segment_id", "recording_id", "corpus", "subject_id", "split", "start_s", "channel_schema",
    "ch_names", "mask", "band_low_hz", "band_high_hz", "labels", "stage_context", "is_simulated",
)  # fmt: skip
FACT_TABLES = ("segments", "findings", "judgements", "spectral_features", "spatial_features")
MAX_HISTORY = 10
SUPPORTED = "supported"


class RuleTextConfig(dg.Config):
    """How rule texts are phrased."""

    seed: int = Field(0, ge=0, description="Seed of phrasings, options and letters.")


class TeacherConfig(dg.Config):
    """Who writes, and for how much."""

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
    spend_cap_usd: float = Field(
        1.0, ge=0.0, le=10_000.0, description="Hard cap of one run in US dollars, 0 to 10000."
    )
    n_history: int = Field(
        2, ge=0, le=MAX_HISTORY, description="Previous segments compared with, 0 to 10."
    )
    ask_teacher: bool = Field(
        True,
        description="False keeps earlier texts whose facts still stand, and asks nobody.",
    )
    seed: int = Field(0, ge=0, description="Seed of phrasings.")


@_TEXT.asset(
    "captions",
    code=_RULE_CODE,
    deps=["segments", "findings", "spectral_features", "spatial_features"],
)
def captions(
    context: dg.AssetExecutionContext, config: RuleTextConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Write rule captions; every sentence carries the ids of what it rests on."""
    from prompts.captions import caption_rows

    store, shard = workspace.store(), context.partition_key
    with translated():
        rows = [r for f in _facts(store, shard) for r in caption_rows(f, config.seed)]
    return _text_result(
        workspace, shard, "captions", rows, _RULE_CODE, config.seed,
        {"preview": _caption_preview(store, shard, rows)},
    )  # fmt: skip


@_TEXT.asset(
    "questions",
    code=_RULE_CODE,
    deps=["segments", "findings", "spectral_features", "spatial_features"],
)
def questions(
    context: dg.AssetExecutionContext, config: RuleTextConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Write rule questions with one right option and distractors the findings prove absent."""
    from prompts.questions import question_rows

    store, shard = workspace.store(), context.partition_key
    with translated():
        rows = list(question_rows(_facts(store, shard), config.seed))
    types = pl.Series("question_type", [r["question_type"] for r in rows], pl.String)
    letters = pl.Series("answer", [r["answer"] for r in rows], pl.String)
    absent = sum(r["is_absence_item"] for r in rows)
    return _text_result(
        workspace, shard, "questions", rows, _RULE_CODE, config.seed,
        {
            "questions_by_type": dg.MetadataValue.json(counts(types)),
            "right_letters": dg.MetadataValue.json(counts(letters)),
            "absence_share": round(absent / max(len(rows), 1), 3),
            "preview": previews.rows(rows[:6]),
        },
    )  # fmt: skip


@_TEXT.asset(
    "narratives",
    code=_TEACHER_CODE,
    deps=["segments", "findings", "spectral_features", "spatial_features"],
    is_costly=True,
    pool="teacher_api",
)
def narratives(
    context: dg.AssetExecutionContext, config: TeacherConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Let the teacher write out the template facts with their trends."""
    from prompts.narratives import narrative_rows

    def ask(
        teacher: Teacher, pages: Iterator[PageFacts], is_gated: bool
    ) -> Iterator[dict[str, Any]]:
        paired = with_history(pages, config.n_history)
        return narrative_rows(paired, teacher, is_gated=is_gated, seed=config.seed)

    return _teacher_result(context, config, workspace, "narratives", ask)


@_TEXT.asset(
    "dialogues",
    code=_TEACHER_CODE,
    deps=["segments", "findings", "spectral_features", "spatial_features"],
    is_costly=True,
    pool="teacher_api",
)
def dialogues(
    context: dg.AssetExecutionContext, config: TeacherConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Let the teacher write a conversation about each page."""
    from prompts.dialogues import dialogue_rows

    def ask(
        teacher: Teacher, pages: Iterator[PageFacts], is_gated: bool
    ) -> Iterator[dict[str, Any]]:
        return dialogue_rows(pages, teacher, is_gated=is_gated, seed=config.seed)

    return _teacher_result(context, config, workspace, "dialogues", ask)


def _teacher_result(
    context: dg.AssetExecutionContext,
    config: TeacherConfig,
    workspace: Workspace,
    table: str,
    ask: Any,
) -> dg.MaterializeResult[None]:
    store, shard = workspace.store(), context.partition_key
    with translated():
        if config.ask_teacher:
            spec, settings = corpus_of(shard), read_settings(_settings(config))
            is_kept = spec.licence.is_gated or not spec.licence.allows_hosted_teachers
            if is_kept:
                assert_may_read(settings, spec.key, spec.licence.id)
            rows = list(ask(make_teacher(settings), _facts(store, shard), is_kept))
        else:
            rows = kept_rows(store, table, shard)
    verdicts = pl.Series("grounding", [r["grounding"] for r in rows], pl.String)
    cost = sum(r["cost_usd"] for r in rows)
    if cost:
        context.log.info(f"{len(rows)} rows cost {cost:.4f} USD")
    supported = [r for r in rows if r["grounding"] == SUPPORTED]
    return _text_result(
        workspace, shard, table, rows, _TEACHER_CODE, config.seed,
        {
            "teacher": rows[0]["teacher"] if rows else config.provider,
            "offline_share": round(sum(r["is_offline_teacher"] for r in rows) / max(len(rows), 1), 3),
            "cost_usd": cost,
            "verdicts": dg.MetadataValue.json(counts(verdicts)),
            "preview": previews.rows(supported[:4]),
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

    return [row for row in store.read(table, shard).to_dicts() if stands(row)]


def _settings(config: TeacherConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {"provider": config.provider}
    if config.provider == "template":
        return settings
    settings["max_usd"] = config.spend_cap_usd
    settings |= {k: v for k in ("model", "base_url") if (v := getattr(config, k))}
    if config.provider == "openai_compatible":
        settings["is_local"] = config.is_local
    return settings


def _facts(store: TableStore, shard: str) -> Iterator[PageFacts]:
    return facts_of_shard(
        store.read("segments", shard, FACT_COLUMNS),
        store.read("findings", shard),
        store.read("judgements", shard),
        store.read("spectral_features", shard),
        store.read("spatial_features", shard),
    )


def _text_result(
    workspace: Workspace,
    shard: str,
    table: str,
    rows: list[dict[str, Any]],
    code: tuple[str, ...],
    seed: int,
    metadata: dict[str, Any],
) -> dg.MaterializeResult[None]:
    store = workspace.store()
    pages = len({row["segment_id"] for row in rows})
    prompts = {row["prompt_hash"] for row in rows if "prompt_hash" in row}
    return write(
        workspace,
        shard,
        {table: rows},
        provenance={
            "seed": seed,
            "prompt": ",".join(sorted(prompts)),
            "teacher": ",".join(sorted({row["teacher"] for row in rows if "teacher" in row})),
            "code": provenance.code_version(*code),
            **provenance.inputs(store, FACT_TABLES, shard),
        },
        hours=pages * SEGMENT_HOURS,
        metadata={"is_simulated": corpus_of(shard).is_simulated, **metadata},
    )


def _caption_preview(
    store: TableStore, shard: str, rows: list[dict[str, Any]]
) -> dg.MarkdownMetadataValue:
    if not rows:
        return dg.MetadataValue.md("*no captions*")
    first = rows[0]
    for frame in store.iter_frames("segments", shard):
        for page in frame.filter(pl.col("segment_id") == first["segment_id"]).iter_rows(named=True):
            picture = previews.picture(previews.page_of_row(page))
            return dg.MetadataValue.md(f"{first['text']}\n\n{picture}")
    return dg.MetadataValue.md(first["text"])


ASSETS = (captions, questions, narratives, dialogues)
