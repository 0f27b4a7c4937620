"""Benchmark items from the tables of held-out test subjects: sampled by hash, balanced by subject.

Only test rows are read; a subject that also appears in another split is an error, not a warning.
The same tables, seed and cap give the same items in the same order, whatever the order of the rows,
and a smaller cap keeps a subset of a larger one. What the tasks are is in ``tasks/catalogue.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from benchmark.asking.answers import LETTERS, Box, boxes_to_text
from benchmark.errors import BenchmarkError
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TASKS, Row, Task, items_hash
from detectors.vocabulary import WAVEFORMS

TEST = "test"
SEGMENT_COLUMNS = ("segment_id", "corpus", "subject_id", "split", "is_simulated")
"""Columns of table ``segments`` that items need; the signal is not among them."""
MAJORITY = 0.5
"""Share of the experts who looked that must have drawn a box for a score to count it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Rows items are made from, as read from the tables of the same name.

    Parameters
    ----------
    segments
        At least :data:`SEGMENT_COLUMNS`, of every split, so that leakage can be seen.
    questions, captions, waveform_annotations
        Rows of the task's source table; the others may stay empty.
    texts
        Rows of tables written by a teacher, and of ``judgements``, by table.
    """

    segments: pl.DataFrame
    questions: pl.DataFrame = field(default_factory=pl.DataFrame)
    captions: pl.DataFrame = field(default_factory=pl.DataFrame)
    waveform_annotations: pl.DataFrame = field(default_factory=pl.DataFrame)
    texts: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemSet:
    """Items of one task.

    Parameters
    ----------
    rows
        Rows of table ``benchmark_items``, sorted by item id.
    set_aside
        Test samples that made no item, counted by cause.
    n_candidates
        Items there were before the cap.
    sha256
        Hash over items, prompts and targets (:func:`benchmark.tasks.task.items_hash`).
    skipped
        Why there is no item, ``""`` where there are some.
    """

    rows: tuple[dict[str, Any], ...]
    set_aside: Mapping[str, int]
    n_candidates: int
    sha256: str
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sample that may become an item: its reference, and which sample of which segment it is.

    Samples of one ``block_id`` balance each other's answers, or belong together in time, and are
    drawn together; one without is drawn alone. Turns are taken over ``stratum``, over ``category``
    where it is empty; a model sees the category, never the stratum. The rest says where the page lies
    and goes into the columns of these names.
    """

    sample_id: str
    segment_id: str
    prompt: str
    options: tuple[str, ...]
    answer: str
    category: str
    evidence: tuple[str, ...]
    block_id: str = ""
    stratum: str = ""
    recording_id: str | None = None
    start_s: float | None = None
    group_id: str = ""
    parts: tuple[str, ...] = ()
    truth_s: tuple[float, ...] = ()
    slots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates, what was set aside on the way to them, and what completes one that is drawn."""

    kept: tuple[Candidate, ...]
    set_aside: Mapping[str, int] = field(default_factory=dict)
    finish: Callable[[Candidate], Candidate] | None = None


def build_items(
    task: str,
    sources: Sources,
    *,
    seed: int = 0,
    cap: int | None = None,
    is_everybody: bool = False,
) -> ItemSet:
    """Build the items of one task from test subjects.

    Parameters
    ----------
    task
        A name of :data:`benchmark.tasks.task.TASKS`.
    sources
        Rows of the tables.
    seed
        Seed of the sampling.
    cap
        Items to keep; the task's default where None.
    is_everybody
        Ask about everybody, whatever their split; for zero-shot tasks and models that were not
        trained on the corpus.

    Raises
    ------
    BenchmarkError
        If the task is not known, the cap is not positive, a column is missing, a subject with test
        segments also has segments of another split, or everybody is asked about in a task that is
        not zero-shot.
    """
    if task not in TASKS:
        raise BenchmarkError(unknown("task", task, tuple(TASKS)))
    spec = TASKS[task]
    limit = spec.default_cap if cap is None else cap
    if limit < 1:
        raise BenchmarkError(f"cap is {limit}; give a number of items of at least 1")
    if is_everybody:
        if not spec.is_zero_shot:
            raise BenchmarkError(
                f"task {task!r} is not zero-shot: only its test subjects may be asked about"
            )
        everybody = sources.segments.with_columns(split=pl.lit(TEST))
        sources = replace(sources, segments=everybody)
    segments = _test_segments(sources.segments)
    found: Candidates = spec.build(spec, sources, segments)
    drawn = _draw(
        found.kept, segments, key=f"{seed}|{spec.family or spec.name}|{spec.version}", cap=limit
    )
    drawn = [found.finish(c) for c in drawn] if found.finish else drawn
    rows = sorted(
        (_row(spec, c, segments[c.segment_id]) for c in drawn), key=lambda r: r["item_id"]
    )
    aside = dict(sorted(found.set_aside.items()))
    skipped = "" if rows else _why_empty(spec, sources.segments, found, limit)
    return ItemSet(tuple(rows), aside, len(found.kept), items_hash(spec, rows), skipped)


def _why_empty(task: Task, segments: pl.DataFrame, found: Candidates, cap: int) -> str:
    """Say in one sentence why a task has no item."""
    if found.kept:
        return f"the first pages that belong together are more than the cap of {cap}; raise it"
    here = segments.filter(pl.col("corpus").is_in(task.corpora)) if task.corpora else segments
    what = f"segments of {', '.join(task.corpora)}" if task.corpora else "segments"
    if not here.height:
        return f"no {what} are stored; bring the data and materialise them"
    if not here.filter(pl.col("split") == TEST).height:
        return f"no {what} are of a test subject; bring more subjects"
    causes = ", ".join(f"{cause} ({n})" for cause, n in sorted(found.set_aside.items()))
    return f"no {what} of test subjects make an item: {causes or 'none has a reference'}"


def choice_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make multiple-choice candidates from table ``questions``."""
    kept, aside = [], Counter[str]()
    for row in rows_of(sources.questions, task.source_table, segments):
        if row["is_label_aware"]:
            aside["answer is copied from the corpus"] += 1
            continue
        options = tuple(row["options"])
        cause = choice_fault(options, row["answer"], row["answer_text"])
        if cause:
            aside[cause] += 1
            continue
        lettered = zip(LETTERS, options, strict=False)
        shown = "\n".join(f"{letter}. {text}" for letter, text in lettered)
        prompt = task.prompt.format(question=row["question"], options=shown)
        kept.append(
            Candidate(
                row["sample_id"], row["segment_id"], prompt, options, row["answer"],
                row["question_type"], tuple(row["evidence"]), row["block_id"],
            )
        )  # fmt: skip
    return Candidates(tuple(kept), aside)


def caption_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make description candidates from the label-free captions."""
    kept, aside = [], Counter[str]()
    for row in rows_of(sources.captions, task.source_table, segments):
        if row["variant"] != "label_free":
            continue
        if not row["text"].strip():
            aside["empty caption"] += 1
            continue
        evidence = tuple(e for sentence in row["sentences"] for e in sentence["evidence"])
        kept.append(
            Candidate(
                row["sample_id"],
                row["segment_id"],
                task.prompt,
                (),
                row["text"],
                "description",
                evidence,
            )
        )
    return Candidates(tuple(kept), aside)


def box_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make one candidate per segment from table ``waveform_annotations``.

    A simulated test segment without any annotation is an item too: its truth is complete, so every
    box on it is a false one. A recorded segment is taken only where somebody annotated it.
    """
    boxes: dict[str, list[Box]] = defaultdict(list)
    evidence: dict[str, list[str]] = defaultdict(list)
    aside = Counter[str]()
    for row in rows_of(sources.waveform_annotations, task.source_table, segments):
        if row["waveform"] not in WAVEFORMS or not row["t0_s"] < row["t1_s"]:
            aside["malformed annotation"] += 1
            continue
        if row["weight"] < MAJORITY or row["is_placed"]:
            aside["doubtful annotation"] += 1
            continue
        segment_id = row["segment_id"]
        boxes[segment_id].append(
            Box(segment_id, row["waveform"], row["channel"], row["t0_s"], row["t1_s"])
        )
        evidence[segment_id].append(row["annotation_id"])
    chosen = [s for s, row in segments.items() if row["is_simulated"] or s in boxes]
    kept = (
        Candidate(
            s, s, task.prompt, (), boxes_to_text(boxes[s]),
            "annotated" if boxes[s] else "empty", tuple(sorted(evidence[s])),
        )
        for s in chosen
    )  # fmt: skip
    return Candidates(tuple(kept), aside)


def _test_segments(segments: pl.DataFrame) -> dict[str, Row]:
    missing = set(SEGMENT_COLUMNS) - set(segments.columns)
    if missing:
        raise BenchmarkError(
            f"segments lack the columns {sorted(missing)}; read {', '.join(SEGMENT_COLUMNS)}"
        )
    splits = segments.group_by("subject_id").agg(pl.col("split").unique().sort())
    leaking = splits.filter(pl.col("split").list.contains(TEST) & (pl.col("split").list.len() > 1))
    if leaking.height:
        first = leaking.sort("subject_id").row(0, named=True)
        raise BenchmarkError(
            f"{leaking.height} subjects lie in test and in another split, such as "
            f"{first['subject_id']!r} in {first['split']}; make the split disjoint by subject"
        )
    test = segments.select(SEGMENT_COLUMNS).filter(pl.col("split") == TEST).sort("segment_id")
    return {row["segment_id"]: row for row in test.iter_rows(named=True)}


def rows_of(frame: pl.DataFrame, table: str, segments: Mapping[str, Row]) -> Iterable[Row]:
    """Return the rows of a table that are about the segments.

    Raises
    ------
    BenchmarkError
        If the frame is no such table.
    """
    if not frame.height:
        return ()
    if "segment_id" not in frame.columns:
        raise BenchmarkError(f"table {table!r} has no column 'segment_id'; read it from the store")
    return frame.filter(pl.col("segment_id").is_in(list(segments))).iter_rows(named=True)


def choice_fault(options: Sequence[str], answer: str, answer_text: str) -> str:
    """Return what is wrong with a multiple-choice question, "" where nothing is."""
    if not 2 <= len(options) <= len(LETTERS):
        return "fewer than two or more than eight options"
    if len(set(options)) != len(options):
        return "two options read the same"
    if answer not in LETTERS[: len(options)] or len(answer) != 1:
        return "answer is no letter of the options"
    if options[LETTERS.index(answer)] != answer_text:
        return "letter and answer text disagree"
    return ""


def _order(key: str, name: str) -> str:
    return hashlib.sha256(f"{key}|{name}".encode()).hexdigest()


def _draw(
    candidates: Sequence[Candidate], segments: Mapping[str, Row], *, key: str, cap: int
) -> list[Candidate]:
    """Take turns: over subjects, and within a subject over categories, in hash order.

    A candidate brings its whole block. The first block that would pass the cap ends the draw, so that
    a smaller cap keeps a subset of a larger one; up to three items may then be missing.
    """
    by_subject: dict[str, dict[str, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for c in sorted(candidates, key=lambda c: _order(key, c.sample_id)):
        by_subject[segments[c.segment_id]["subject_id"]][c.stratum or c.category].append(c)
    queues = []
    for subject, by_category in sorted(by_subject.items(), key=lambda s: _order(key, s[0])):
        turns = sorted(by_category, key=lambda c, s=subject: _order(key, s + c))  # type: ignore[misc]
        queues.append(_take_turns([by_category[c] for c in turns]))
    blocks: dict[str, list[Candidate]] = defaultdict(list)
    for c in _take_turns(queues):
        blocks[c.block_id or c.sample_id].append(c)
    drawn: list[Candidate] = []
    for block in blocks.values():
        if len(drawn) + len(block) > cap:
            break
        drawn += block
    return drawn


def _take_turns(queues: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    longest = max((len(q) for q in queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _row(task: Task, c: Candidate, segment: Row) -> dict[str, Any]:
    said = [task.name, task.version, c.sample_id, c.prompt, list(c.options), c.answer]
    digest = hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()
    return {
        "item_id": f"b-{digest[:16]}",
        "task": task.name,
        "task_version": task.version,
        "segment_id": c.segment_id,
        "corpus": segment["corpus"],
        "subject_id": segment["subject_id"],
        "prompt": c.prompt,
        "options": list(c.options),
        "answer": c.answer,
        "category": c.category,
        "evidence": list(c.evidence),
        "is_simulated": bool(segment["is_simulated"]),
        "recording_id": c.recording_id,
        "start_s": c.start_s,
        "group_id": c.group_id,
        "parts": list(c.parts),
        "truth_s": list(c.truth_s),
        "slots": list(c.slots),
    }
