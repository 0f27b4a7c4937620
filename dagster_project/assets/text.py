"""Group ``text``, by rule: captions and questions.

Words are chosen and checked in ``prompts``; here facts are gathered and rows are stored with their
evidence. What teachers write is in ``teacher_texts``.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.failures import translated
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import SEGMENT_HOURS, counts, write
from dagster_project.resources import Workspace, corpus_of
from dagster_project.tables.store import TableStore
from prompts.facts.page import PageFacts, facts_of_shard

TEXT = Grain("text", ("polars", "parquet"))
_RULE_CODE = ("prompts/captions/caption.py", "prompts/questions/items.py")
FACT_COLUMNS = (
    "segment_id", "recording_id", "corpus", "subject_id", "split", "start_s", "channel_schema",
    "ch_names", "mask", "band_low_hz", "band_high_hz", "labels", "stage_context", "is_simulated",
)  # fmt: skip
FACT_TABLES = ("segments", "findings", "judgements", "spectral_features", "spatial_features")


class RuleTextConfig(LaunchConfig):
    """How rule texts are phrased."""

    seed: int = Field(0, ge=0, description="Seed of phrasings, options and letters.")


@TEXT.asset(
    "captions",
    code=_RULE_CODE,
    deps=["segments", "findings", "spectral_features", "spatial_features"],
)
def captions(
    context: dg.AssetExecutionContext, config: RuleTextConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Write rule captions; every sentence carries the ids of what it rests on."""
    from prompts.captions.caption import caption_rows

    store, shard = workspace.store(), context.partition_key
    with translated():
        rows = [r for f in facts_of(store, shard) for r in caption_rows(f, config.seed)]
    return text_result(
        workspace, shard, "captions", rows, _RULE_CODE, config.seed,
        {"preview": _caption_preview(store, shard, rows)},
    )  # fmt: skip


@TEXT.asset(
    "questions",
    code=_RULE_CODE,
    deps=["segments", "findings", "spectral_features", "spatial_features"],
)
def questions(
    context: dg.AssetExecutionContext, config: RuleTextConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Write rule questions with one right option and distractors the findings prove absent."""
    from prompts.questions.items import question_rows

    store, shard = workspace.store(), context.partition_key
    with translated():
        rows = list(question_rows(facts_of(store, shard), config.seed))
    types = pl.Series("question_type", [r["question_type"] for r in rows], pl.String)
    letters = pl.Series("answer", [r["answer"] for r in rows], pl.String)
    absent = sum(r["is_absence_item"] for r in rows)
    return text_result(
        workspace, shard, "questions", rows, _RULE_CODE, config.seed,
        {
            "questions_by_type": dg.MetadataValue.json(counts(types)),
            "right_letters": dg.MetadataValue.json(counts(letters)),
            "absence_share": round(absent / max(len(rows), 1), 3),
            "preview": previews.rows(rows[:6]),
        },
    )  # fmt: skip


def facts_of(store: TableStore, shard: str) -> Iterator[PageFacts]:
    """Yield the facts of every page of a shard, by recording and start time."""
    return facts_of_shard(
        store.read("segments", shard, FACT_COLUMNS),
        store.read("findings", shard),
        store.read("judgements", shard),
        store.read("spectral_features", shard),
        store.read("spatial_features", shard),
    )


def text_result(
    workspace: Workspace,
    shard: str,
    table: str,
    rows: list[dict[str, Any]],
    code: tuple[str, ...],
    seed: int,
    metadata: dict[str, Any],
) -> dg.MaterializeResult[None]:
    """Write a table of texts with what it was made from, and report it."""
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


ASSETS = (captions, questions)
