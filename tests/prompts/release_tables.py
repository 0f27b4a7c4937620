"""The tables of one shard as a release reads them: planted pages, and teacher texts made of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import polars as pl
from PIL import Image

from prompts.captions.caption import caption_rows
from prompts.facts.page import facts_of_shard
from prompts.questions.items import question_rows
from prompts.releases.classes import page_classes
from prompts.releases.rows import ShardTables

Tables = Callable[[int], dict[str, pl.DataFrame]]
TEACHER_KINDS = ("narratives", "dialogues", "descriptions", "teacher_questions")


def frame(rows: Any) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None)


def picture(segment_id: str, name: str) -> bytes:
    number = sum(map(ord, segment_id + name))
    buffer = io.BytesIO()
    Image.new("L", (56, 28) if name == "page" else (28, 28), number % 256).save(buffer, "PNG")
    return buffer.getvalue()


def teacher_row(kind: str, caption: dict[str, Any]) -> dict[str, Any]:
    """One row of a teacher's table: the caption's sentences in the shape of the kind."""
    sentences = [
        {"text": s["text"], "evidence": s["evidence"]}
        for s in caption["sentences"]
        if s["evidence"]
    ]
    said = " ".join(s["text"] for s in sentences)
    own: dict[str, dict[str, Any]] = {
        "narratives": {"text": said, "history_segment_ids": [], "template": "Bands.\n"},
        "descriptions": {"text": f"In detail: {said}"},
        "dialogues": {
            "messages": [
                {"role": role, "content": text}
                for role, text in (("user", "What is seen?"), ("assistant", said),
                                   ("user", "And the rest?"), ("assistant", sentences[-1]["text"]))
            ]
        },
        "teacher_questions": {
            "question": "Which statement holds?", "options": ["one", "two", "three", "four"],
            "answer": "B", "answer_text": "two", "explanation": said, "option_evidence": [["f"]] * 4,
        },
    }  # fmt: skip
    return {
        "sample_id": f"{kind}-{caption['segment_id']}", "segment_id": caption["segment_id"],
        **own[kind], "teacher": "template", "is_offline_teacher": True, "prompt_hash": "0123",
        "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "grounding": "supported",
        "sentences": sentences, "evidence": sorted({e for s in sentences for e in s["evidence"]}),
    }  # fmt: skip


def planted_shard(shard_tables: Tables, n: int = 64, *, is_gated: bool = False) -> ShardTables:
    """A shard of planted pages with all kinds of text."""
    tables = shard_tables(n)
    pages = list(facts_of_shard(**tables))
    captions = [row for page in pages for row in caption_rows(page)]
    free = [row for row in captions if row["variant"] == "label_free"]
    segments = (
        tables["segments"]
        .with_columns(licence=pl.lit("CC0-1.0"), is_gated=pl.lit(is_gated), pathology=pl.lit(0))
        .with_columns(page_classes(tables["segments"]["segment_id"], tables["findings"]))
    )
    texts = {"captions": frame(captions), "questions": frame(question_rows(pages))}
    texts |= {kind: frame(teacher_row(kind, row) for row in free) for kind in TEACHER_KINDS}
    return ShardTables(segments, texts, picture, {"CC0-1.0": "https://licences.example/cc0"})
