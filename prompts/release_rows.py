"""Rows of a release: which samples are drawn, and how each becomes messages about one image.

The recipe is in ``release_recipe``; files, manifest and the order of work are in ``release``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from prompts import words
from prompts.narratives import HISTORY_LINE
from prompts.questions import question_prompt
from prompts.release_recipe import KINDS, SPLITS, Recipe, ReleaseError
from prompts.release_windows import keep_windows
from prompts.teachers.prompt_files import user_prompts

IMAGE_TOKEN = "<image>"
RULES_WRITER = "rules"
"""Writer named in rows that no teacher wrote."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ShardTables:
    """What one shard brings to a release.

    Parameters
    ----------
    segments
        One row per segment with ``segment_id, corpus, subject_id, split, is_simulated, pathology,
        licence, is_gated``; the last two come from ``recordings``.
    captions, questions, narratives, dialogues
        The text tables of the shard; an empty frame where none was written.
    render
        Segment id to the PNG of its page. Called once per drawn segment and split, in the order of
        ``segments``.
    """

    segments: pl.DataFrame
    captions: pl.DataFrame
    questions: pl.DataFrame
    narratives: pl.DataFrame
    dialogues: pl.DataFrame
    render: Callable[[str], bytes]

    def usable(self, kind: str, recipe: Recipe) -> pl.DataFrame:
        """Return the rows of a kind that a release may hold: grounded, of the wanted variant."""
        frame: pl.DataFrame = getattr(self, kind)
        if frame.is_empty():
            return frame
        if kind == "captions":
            return frame.filter(pl.col("variant") == recipe.caption_variant)
        if kind == "questions":
            may_show_labels = recipe.caption_variant == "label_aware"
            return frame.filter(may_show_labels | ~pl.col("is_label_aware"))
        return frame.filter(pl.col("grounding") == "supported")


@dataclass(frozen=True, slots=True)
class Selection:
    """What was drawn.

    Parameters
    ----------
    rows
        ``shard, kind, split, corpus, subject_id, segment_id, sample_id, is_gated, pathology``.
    available
        ``(split, kind)`` to the number of usable samples before caps.
    """

    rows: pl.DataFrame
    available: Mapping[tuple[str, str], int]

    def ids_of(self, shard: str, split: str) -> dict[str, set[str]]:
        """Return the drawn sample ids of one shard and split by kind."""
        rows = self.rows.filter((pl.col("shard") == shard) & (pl.col("split") == split))
        return {kind: set(rows.filter(pl.col("kind") == kind)["sample_id"]) for kind in KINDS}


_CANDIDATE = {
    "rank": pl.UInt64, "shard": pl.String, "kind": pl.String, "split": pl.String,
    "corpus": pl.String, "subject_id": pl.String, "segment_id": pl.String,
    "sample_id": pl.String, "block_id": pl.String, "is_gated": pl.Boolean, "pathology": pl.Int8,
}  # fmt: skip


def candidates(recipe: Recipe, shard: str, tables: ShardTables) -> pl.DataFrame:
    """Return the usable samples of a shard with their draw rank, ids only."""
    light = tables.segments.select(
        "segment_id", "split", "corpus", "subject_id", "is_gated", pl.col("pathology").cast(pl.Int8)
    )
    frames = []
    for kind in KINDS:
        usable = tables.usable(kind, recipe)
        if usable.is_empty():
            continue
        block = "block_id" if "block_id" in usable.columns else "sample_id"
        ids = usable.select("segment_id", "sample_id", block_id=block)
        ids = ids.join(light, on="segment_id", how="inner")
        ranks = [words.number(recipe.seed, s, f"draw-{kind}") for s in ids["block_id"]]
        frames.append(
            ids.with_columns(
                pl.Series("rank", ranks, dtype=pl.UInt64),
                shard=pl.lit(shard),
                kind=pl.lit(kind),
            ).select(list(_CANDIDATE))
        )
    return pl.concat(frames) if frames else pl.DataFrame(schema=_CANDIDATE)


def select(recipe: Recipe, pool: pl.DataFrame) -> Selection:
    """Draw the mixture: per split and kind the lowest ranks, within the caps.

    Raises
    ------
    ReleaseError
        If a subject lies in two splits, a sample id repeats, or a kind falls short where the
        recipe does not allow it.
    """
    _assert_disjoint(pool)
    pool = _unbroken(pool, keep_windows(recipe, pool))
    drawn: list[pl.DataFrame] = []
    available: dict[tuple[str, str], int] = {}
    for split in SPLITS:
        for kind in KINDS:
            here = pool.filter((pl.col("split") == split) & (pl.col("kind") == kind))
            available[split, kind] = here.height
            wanted = recipe.wanted(split, kind)
            taken = _drawn(recipe, here, wanted)
            if taken.height < wanted and not recipe.is_shortfall_allowed:
                raise ReleaseError(
                    f"release {recipe.release_id} wants {wanted} {kind} in {split} and "
                    f"{taken.height} are there within the caps; lower the mixture, materialise "
                    "more shards, or set is_shortfall_allowed"
                )
            drawn.append(taken)
    return Selection(pl.concat(drawn), available)


def _unbroken(pool: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Leave out what is left of blocks that lost a page."""
    whole = pool.group_by("kind", "block_id").agg(pl.len().alias("n_whole"))
    kept = kept.join(whole, on=["kind", "block_id"], maintain_order="left")
    is_whole = pl.len().over("kind", "block_id") == pl.col("n_whole")
    return kept.filter(is_whole).drop("n_whole")


def _drawn(recipe: Recipe, pool: pl.DataFrame, wanted: int) -> pl.DataFrame:
    """Take samples in order of rank within the caps, whole blocks only.

    A part of a block would give answers away, so one that would pass a cap or the number wanted is
    left out and the next one tried: pairs fill what quartets leave. Samples without a block are
    blocks of one.
    """
    caps = [
        (column, cap)
        for column, cap in (
            ("segment_id", recipe.caps.per_segment),
            ("subject_id", recipe.caps.per_subject),
            ("corpus", recipe.caps.per_corpus),
        )
        if cap is not None
    ]
    ranked = pool.sort("rank", "block_id", "sample_id")
    used = Counter[tuple[str, str]]()
    taken: list[int] = []
    columns = ranked.select("block_id", *(column for column, _ in caps)).iter_rows()
    for _, block in groupby(enumerate(columns), key=lambda row: row[1][0]):
        rows = list(block)
        if len(taken) + len(rows) > wanted:
            continue
        uses = Counter(
            (column, value)
            for _, (_, *values) in rows
            for (column, _), value in zip(caps, values, strict=True)
        )
        limit = dict(caps)
        if any(used[key] + n > limit[key[0]] for key, n in uses.items()):
            continue
        used.update(uses)
        taken += [i for i, _ in rows]
        if len(taken) == wanted:
            break
    return ranked[taken]


def _assert_disjoint(pool: pl.DataFrame) -> None:
    splits = pool.group_by("subject_id").agg(pl.col("split").n_unique().alias("n"))
    shared = splits.filter(pl.col("n") > 1).sort("subject_id")
    if shared.height:
        raise ReleaseError(
            f"{shared.height} subjects lie in more than one split, first {shared['subject_id'][0]}; "
            "splits are made per subject in the recordings table: rebuild those shards"
        )
    doubled = pool.height - pool["sample_id"].n_unique()
    if doubled:
        raise ReleaseError(f"{doubled} sample ids repeat; the same shard may be listed twice")


def release_rows(
    recipe: Recipe, tables: ShardTables, chosen: Mapping[str, set[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the drawn rows of one shard and split, page by page, with the page's PNG.

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
        frame: pl.DataFrame = getattr(tables, kind)
        mine = frame.filter(pl.col("sample_id").is_in(sorted(chosen[kind]))).sort("sample_id")
        for row in mine.iter_rows(named=True):
            by_segment.setdefault(row["segment_id"], []).append((kind, row))
    meta = {
        row["segment_id"]: row
        for row in tables.segments.filter(pl.col("segment_id").is_in(sorted(by_segment))).iter_rows(
            named=True
        )
    }
    # in stored order, so that a renderer reads every row group of signals once
    for segment_id in meta:
        png = tables.render(segment_id)
        for name, sample in by_segment[segment_id]:
            yield _release_row(recipe, name, sample, meta[segment_id], png)


def _release_row(recipe: Recipe, kind: str, row: Row, meta: Row, png: bytes) -> dict[str, Any]:
    messages, sentences = _TURNS[kind](row, recipe.seed)
    image = {"role": "user", "content": f"{IMAGE_TOKEN}\n{messages[0]['content']}"}
    history = row.get("history_segment_ids") or []
    evidence = dict.fromkeys(e for s in sentences for e in s["evidence"])
    return {
        "id": row["sample_id"],
        "image": {"bytes": png, "path": f"{row['segment_id']}.png"},
        "messages": [image, *messages[1:]],
        "kind": kind,
        "corpus": meta["corpus"],
        "subject_id": meta["subject_id"],
        "split": meta["split"],
        "segment_ids": [row["segment_id"], *reversed(history)],
        "sentences": sentences,
        "evidence": list(evidence),
        "prompt_hash": row.get("prompt_hash") or user_prompts()[1],
        "teacher": row.get("teacher") or RULES_WRITER,
        "is_simulated": meta["is_simulated"],
        "is_offline_teacher": bool(row.get("is_offline_teacher", False)),
        "cost_usd": float(row.get("cost_usd", 0.0)),
        "grounding": row.get("grounding") or "supported",
        "licence": meta["licence"],
        "is_gated": meta["is_gated"],
    }


_Turns = tuple[list[dict[str, str]], list[dict[str, Any]]]


def _pair(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _phrase(kind: str, row: Row, seed: int) -> str:
    return words.pick(user_prompts()[0][kind], seed, row["sample_id"], "user")


def _caption_turns(row: Row, seed: int) -> _Turns:
    sentences = [{"text": s["text"], "evidence": list(s["evidence"])} for s in row["sentences"]]
    return _pair(_phrase("captions", row, seed), row["text"]), sentences


def _question_turns(row: Row, seed: int) -> _Turns:
    asked = question_prompt(row["question"], row["options"])
    asked = _phrase("questions", row, seed).replace("{question}", asked)
    sentences = [{"text": row["answer_text"], "evidence": list(row["evidence"])}]
    return _pair(asked, row["answer"]), sentences


def _narrative_turns(row: Row, seed: int) -> _Turns:
    asked = _phrase("narratives", row, seed)
    # trends cannot be seen on one page: what they compare with is given in the question
    earlier = [line for line in row["template"].splitlines() if line.startswith(HISTORY_LINE)]
    sentences = [{"text": row["text"], "evidence": list(row["evidence"])}]
    return _pair("\n".join((asked, *earlier)), row["text"]), sentences


def _dialogue_turns(row: Row, seed: int) -> _Turns:
    messages = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
    answers = " ".join(m["content"] for m in messages if m["role"] == "assistant")
    return messages, [{"text": answers, "evidence": list(row["evidence"])}]


_TURNS: Mapping[str, Callable[[Row, int], _Turns]] = {
    "captions": _caption_turns,
    "questions": _question_turns,
    "narratives": _narrative_turns,
    "dialogues": _dialogue_turns,
}
