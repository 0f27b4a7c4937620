"""Rows of a release: how each drawn sample becomes messages about its pictures.

Which samples are drawn is in ``draw``, the recipe in ``recipe``; files, manifest and
the order of work are in ``build``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from prompts import words
from prompts.questions.items import question_prompt
from prompts.releases.recipe import GENERAL, KINDS, Picture, Recipe
from prompts.teachers.prompt_files import user_prompts
from prompts.texts.narrative_template import HISTORY_LINE

IMAGE_TOKEN = "<image>"
RULES_WRITER = "rules"
"""Writer named in rows that no teacher wrote."""

Row = Mapping[str, Any]
Render = Callable[[str, Picture], bytes | None]
"""Segment id and picture to its file, or None where that picture cannot be drawn."""


@dataclass(frozen=True)
class ShardTables:
    """What one shard brings to a release, or the general pairs as a shard of their own.

    Parameters
    ----------
    segments
        One row per segment, or per general picture, with ``segment_id, corpus, subject_id, split,
        is_simulated, pathology, page_class, licence, is_gated``; the last two come from
        ``recordings``, the class from ``findings`` (``""`` for general pictures).
    texts
        Kind of sample to its table; kinds that were not written may be absent or empty.
    render
        Draws a picture. Called once per drawn segment, picture and split, in the order of
        ``segments``.
    terms
        Licence id to where its text is.
    """

    segments: pl.DataFrame
    texts: Mapping[str, pl.DataFrame]
    render: Render
    terms: Mapping[str, str] = field(default_factory=dict)

    def usable(self, kind: str, recipe: Recipe) -> pl.DataFrame:
        """Return the rows of a kind that a release may hold: grounded, of the wanted variant."""
        frame = self.texts.get(kind, pl.DataFrame())
        if frame.is_empty() or kind == GENERAL:
            return frame
        if kind == "captions":
            return frame.filter(pl.col("variant") == recipe.caption_variant)
        if kind == "questions":
            may_show_labels = recipe.caption_variant == "label_aware"
            return frame.filter(may_show_labels | ~pl.col("is_label_aware"))
        return frame.filter(pl.col("grounding") == "supported")


def text_of(row: Row) -> str:
    """Return what a sample says, as near-duplicates are compared by it."""
    if "messages" in row:
        return " ".join(m["content"] for m in row["messages"])
    if "question" in row:
        return " ".join((row["question"], *sorted(row["options"])))
    return str(row["text"])


def release_rows(
    recipe: Recipe, tables: ShardTables, chosen: Mapping[str, set[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the drawn rows of one shard and split, page by page, with the page's pictures.

    Parameters
    ----------
    recipe
        The release.
    tables
        The shard.
    chosen
        Kind to drawn sample ids.
    """
    by_segment: dict[str, list[tuple[str, Row]]] = {}
    for kind in KINDS:
        if not chosen[kind]:
            continue
        frame = tables.texts[kind]
        mine = frame.filter(pl.col("sample_id").is_in(sorted(chosen[kind]))).sort("sample_id")
        for row in mine.iter_rows(named=True):
            by_segment.setdefault(row["segment_id"], []).append((kind, row))
    here = tables.segments.filter(pl.col("segment_id").is_in(sorted(by_segment)))
    # in stored order, so that a renderer reads every row group of signals once
    for meta in here.iter_rows(named=True):
        drawn = _pictures(recipe, tables.render, meta["segment_id"])
        for name, sample in by_segment[meta["segment_id"]]:
            pictures = drawn[:1] if name == GENERAL else drawn
            yield _release_row(recipe, name, sample, meta, pictures)


def _pictures(recipe: Recipe, render: Render, segment_id: str) -> list[dict[str, Any]]:
    """Return the pictures of a page that can be drawn, the page itself first."""
    files = ((name, render(segment_id, name)) for name in recipe.images)
    return [
        {"bytes": file, "path": f"{segment_id}-{name}{_ending(file)}"}
        for name, file in files
        if file is not None
    ]


def _ending(file: bytes) -> str:
    return ".jpg" if file.startswith(b"\xff\xd8") else ".png"


def _release_row(
    recipe: Recipe, kind: str, row: Row, meta: Row, pictures: list[dict[str, Any]]
) -> dict[str, Any]:
    messages, sentences = _TURNS[kind](row, recipe.seed)
    marks = "\n".join([IMAGE_TOKEN] * len(pictures))
    first = {"role": "user", "content": f"{marks}\n{messages[0]['content']}"}
    history = row.get("history_segment_ids") or []
    evidence = dict.fromkeys(e for s in sentences for e in s["evidence"])
    return {
        "id": row["sample_id"],
        "images": pictures,
        "messages": [first, *messages[1:]],
        "kind": kind,
        "corpus": meta["corpus"],
        "subject_id": meta["subject_id"],
        "split": meta["split"],
        "segment_ids": [row["segment_id"], *reversed(history)],
        "sentences": sentences,
        "evidence": list(evidence),
        "prompt_hash": row.get("prompt_hash") or ("" if kind == GENERAL else user_prompts()[1]),
        "teacher": row.get("teacher") or (meta["corpus"] if kind == GENERAL else RULES_WRITER),
        "is_simulated": meta["is_simulated"],
        "is_offline_teacher": bool(row.get("is_offline_teacher", False)),
        "cost_usd": float(row.get("cost_usd", 0.0)),
        "grounding": row.get("grounding") or ("not checked" if kind == GENERAL else "supported"),
        "licence": meta["licence"],
        "is_gated": meta["is_gated"],
    }


_Turns = tuple[list[dict[str, str]], list[dict[str, Any]]]


def _pair(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _phrase(kind: str, row: Row, seed: int) -> str:
    return words.pick(user_prompts()[0][kind], seed, row["sample_id"], "user")


def _caption_turns(row: Row, seed: int) -> _Turns:
    return _pair(_phrase("captions", row, seed), row["text"]), _sentences(row)


def _question_turns(row: Row, seed: int) -> _Turns:
    asked = question_prompt(row["question"], row["options"])
    asked = _phrase("questions", row, seed).replace("{question}", asked)
    sentences = [{"text": row["answer_text"], "evidence": list(row["evidence"])}]
    return _pair(asked, row["answer"]), sentences


def _narrative_turns(row: Row, seed: int) -> _Turns:
    asked = _phrase("narratives", row, seed)
    # trends cannot be seen on one page: what they compare with is given in the question
    earlier = [line for line in row["template"].splitlines() if line.startswith(HISTORY_LINE)]
    return _pair("\n".join((asked, *earlier)), row["text"]), _sentences(row)


def _description_turns(row: Row, seed: int) -> _Turns:
    return _pair(_phrase("descriptions", row, seed), row["text"]), _sentences(row)


def _teacher_question_turns(row: Row, seed: int) -> _Turns:
    asked = question_prompt(row["question"], row["options"])
    asked = _phrase("teacher_questions", row, seed).replace("{question}", asked)
    answer = f"{row['answer']}. {row['explanation']}"
    return _pair(asked, answer), _sentences(row)


def _dialogue_turns(row: Row, seed: int) -> _Turns:
    return [{"role": m["role"], "content": m["content"]} for m in row["messages"]], _sentences(row)


def _general_turns(row: Row, seed: int) -> _Turns:
    return [{"role": m["role"], "content": m["content"]} for m in row["messages"]], []


def _sentences(row: Row) -> list[dict[str, Any]]:
    """Return the statements of a text with the ids behind each."""
    return [{"text": s["text"], "evidence": list(s["evidence"])} for s in row["sentences"]]


_TURNS: Mapping[str, Callable[[Row, int], _Turns]] = {
    "captions": _caption_turns,
    "questions": _question_turns,
    "narratives": _narrative_turns,
    "dialogues": _dialogue_turns,
    "descriptions": _description_turns,
    "teacher_questions": _teacher_question_turns,
    "general": _general_turns,
}
