"""The open-ended bench: description, demanding choice, conversation and boxes about the same pages.

It has the shape of CerebraGloss-Bench (90 hospital pages that nobody outside can run, ``systems.md``
1.10) and is drawn from the test subjects of any release: pages that have a checked description, a
checked question and a checked dialogue. The references were written by the release's teacher and
passed the grounding check; no expert has read them, and who wrote them decides who may judge. The
four tasks of a family are drawn alike, so they ask about the same pages as far as the caps go.

The narrative task beside them is NeuroNarrator's text evaluation (``systems.md`` 3.5).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from benchmark.asking.answers import LETTERS
from benchmark.asking.controls import KIND_CONTROLS
from benchmark.scores.narrator_slots import template_slots
from benchmark.scores.open_scores import (
    score_narratives,
    score_open_boxes,
    score_open_choice,
    score_open_text,
)
from benchmark.tasks.catalogue import MCQ, WAVEFORM_BOXES
from benchmark.tasks.items import (
    Candidate,
    Candidates,
    Sources,
    box_items,
    choice_fault,
    rows_of,
)
from benchmark.tasks.open_categories import sub_categories
from benchmark.tasks.task import Row, Task

FAMILY = "open"
TEXTS = ("descriptions", "teacher_questions", "dialogues")
"""Tables a page must have an accepted row of."""
MAX_PAGES = 510
"""Pages asked about by default: 30 for each sub-category where there are so many. The published bench
has 90, which leaves +-8 points; ``evaluation.md`` 3 asks for 500 (:data:`MAX_PAGES` a multiple of 17)."""
_ACCEPTED = "supported"
_UNCHECKED = "the text was dropped by the grounding check"


def description_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make one description a page from table ``descriptions``."""
    aside: Counter[str] = Counter()
    kept = [
        _candidate(category, row, task.prompt, row["text"], evidence=row["evidence"])
        for category, row in _pages(sources, segments, "descriptions", aside)
    ]
    return Candidates(tuple(kept), aside)


def question_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make one multiple-choice question a page from table ``teacher_questions``."""
    kept, aside = [], Counter[str]()
    for category, row in _pages(sources, segments, "teacher_questions", aside):
        options = tuple(row["options"])
        fault = choice_fault(options, row["answer"], row["answer_text"])
        if fault:
            aside[fault] += 1
            continue
        lettered = zip(LETTERS, options, strict=False)
        shown = "\n".join(f"{letter}. {text}" for letter, text in lettered)
        prompt = task.prompt.format(question=row["question"], options=shown)
        made = _candidate(category, row, prompt, row["answer"], evidence=row["evidence"])
        kept.append(replace(made, options=options, block_id=str(row.get("block_id") or "")))
    return Candidates(tuple(kept), aside)


def dialogue_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make one turn of conversation a page from table ``dialogues``.

    The turn is chosen by the page's hash; what was asked and answered before it is shown.
    """
    kept, aside = [], Counter[str]()
    for category, row in _pages(sources, segments, "dialogues", aside):
        turns = _turns(row["messages"])
        if not turns:
            aside["the dialogue has no turn"] += 1
            continue
        at = int(hashlib.sha256(row["segment_id"].encode()).hexdigest(), 16) % len(turns)
        said = "".join(f"Question: {asked}\nAnswer: {told}\n" for asked, told in turns[:at])
        before = f"So far in this conversation:\n{said}\n" if said else ""
        question, answer = turns[at]
        prompt = task.prompt.format(before=before, question=question)
        kept.append(_candidate(category, row, prompt, answer, evidence=row["evidence"]))
    return Candidates(tuple(kept), aside)


def bench_boxes(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make boxes of the bench's pages whose truth is known: simulated, or drawn by experts."""
    pages = bench_pages(sources, segments)
    found = box_items(task, sources, {s: row for s, row in segments.items() if s in pages})
    kept = tuple(replace(c, category=pages[c.segment_id]) for c in found.kept)
    n_without = len(pages) - len(kept)
    aside = {**found.set_aside, "nobody drew boxes on the page": n_without}
    return Candidates(kept, {cause: n for cause, n in aside.items() if n})


def narrative_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make one narrative a page from table ``narratives``, with the slots of its template."""
    kept, aside = [], Counter[str]()
    for row in rows_of(sources.texts.get("narratives", pl.DataFrame()), "narratives", segments):
        if row["grounding"] != _ACCEPTED or not row["text"].strip():
            aside[_UNCHECKED] += 1
            continue
        made = _candidate("narrative", row, task.prompt, row["text"], evidence=row["evidence"])
        kept.append(replace(made, slots=template_slots(row["template"])))
    return Candidates(tuple(kept), aside)


def bench_pages(sources: Sources, segments: Mapping[str, Row]) -> dict[str, str]:
    """Return the sub-category of every page with an accepted row of each of :data:`TEXTS`."""
    whole = set(segments)
    for name in TEXTS:
        frame = sources.texts.get(name, pl.DataFrame())
        if not frame.height:
            return {}
        whole &= set(frame.filter(pl.col("grounding") == _ACCEPTED)["segment_id"])
    return sub_categories(_present(sources, whole))


def _present(sources: Sources, wanted: set[str]) -> dict[str, list[str]]:
    present: dict[str, list[str]] = {segment: [] for segment in wanted}
    judged = sources.texts.get("judgements", pl.DataFrame())
    if judged.height:
        shown = judged.filter((pl.col("verdict") == "present") & pl.col("segment_id").is_in(wanted))
        for segment, kind in shown.select("segment_id", "kind").iter_rows():
            present[segment].append(kind)
    return present


def _pages(
    sources: Sources, segments: Mapping[str, Row], table: str, aside: Counter[str]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the bench's pages with their row of one table, in order of the page."""
    pages = bench_pages(sources, segments)
    rows: dict[str, dict[str, Any]] = {}
    for row in rows_of(sources.texts.get(table, pl.DataFrame()), table, segments):
        if row["grounding"] != _ACCEPTED:
            aside[_UNCHECKED] += 1
        elif row["segment_id"] not in pages:
            aside["another text of the page is missing"] += 1
        else:
            rows.setdefault(row["segment_id"], dict(row))
    return [(pages[segment], rows[segment]) for segment in sorted(rows)]


def _candidate(
    category: str, row: Mapping[str, Any], prompt: str, answer: str, *, evidence: Sequence[str]
) -> Candidate:
    # the page is the sample's name, so that tasks of a family draw the same pages
    segment = row["segment_id"]
    return Candidate(segment, segment, prompt, (), answer, category, tuple(evidence))


def _turns(messages: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    by_role: dict[str, list[str]] = defaultdict(list)
    for message in messages:
        by_role[message["role"]].append(message["content"])
    return list(zip(by_role["user"], by_role["assistant"], strict=False))


_ABOUT = (
    "Shape of CerebraGloss-Bench; its 90 pages are private, so these are others, and the two are "
    "not to be compared.",
    "References are a teacher's text that passed the grounding check; no expert read them.",
    "Sub-categories are the stated table of benchmark/tasks/open_categories.py: the published "
    "mapping of the 17 is not known.",
)

OPEN_DESCRIPTION = Task(
    name="open_description",
    version="1",
    kind="text",
    title="Open bench: description",
    meaning="Detailed description of a page against the checked text of a teacher.",
    source_table="descriptions",
    prompt="Describe this EEG page in detail.",
    max_new_tokens=512,
    default_cap=MAX_PAGES,
    primary_metric="rouge1",
    controls=KIND_CONTROLS["text"],
    build=description_items,
    score=score_open_text,
    about=(*_ABOUT, "ROUGE-1 is the published metric; it rewards style, so read it last."),
    family=FAMILY,
    tables=(*TEXTS, "judgements"),
    score_version="2",
)

OPEN_MCQ = Task(
    name="open_mcq",
    version="1",
    kind="choice",
    title="Open bench: demanding multiple choice",
    meaning="One statement about the page is right; the letter alone is read, strictly.",
    source_table="teacher_questions",
    prompt=MCQ.prompt,
    max_new_tokens=32,
    default_cap=MAX_PAGES,
    primary_metric="accuracy",
    controls=KIND_CONTROLS["choice"],
    build=question_items,
    score=score_open_choice,
    about=_ABOUT,
    family=FAMILY,
    tables=(*TEXTS, "judgements"),
)

OPEN_DIALOGUE = Task(
    name="open_dialogue",
    version="1",
    kind="text",
    title="Open bench: conversation",
    meaning="One turn of a conversation about a page; the turns before it are shown with answers.",
    source_table="dialogues",
    prompt="{before}{question}",
    max_new_tokens=256,
    default_cap=MAX_PAGES,
    primary_metric="rouge1",
    controls=KIND_CONTROLS["text"],
    build=dialogue_items,
    score=score_open_text,
    about=(
        *_ABOUT,
        "The published score is a judge's: see the judged columns where one was asked.",
    ),
    family=FAMILY,
    tables=(*TEXTS, "judgements"),
    score_version="2",
)

OPEN_BOXES = Task(
    name="open_boxes",
    version="1",
    kind="boxes",
    title="Open bench: boxes on channels",
    meaning="Boxes of nine classes, one channel high, on those pages whose truth is known.",
    source_table="waveform_annotations",
    prompt=WAVEFORM_BOXES.prompt,
    max_new_tokens=1024,
    default_cap=MAX_PAGES,
    primary_metric="map50",
    controls=KIND_CONTROLS["boxes"],
    build=bench_boxes,
    score=score_open_boxes,
    about=_ABOUT,
    family=FAMILY,
    tables=(*TEXTS, "judgements"),
    score_version="2",
)

NARRATIVE = Task(
    name="narrative",
    version="1",
    kind="text",
    title="Narrative of a page and the pages before it",
    meaning="NeuroNarrator's text evaluation: slots of the template, word and embedding overlap.",
    source_table="narratives",
    prompt="Describe the band powers, their trends and the findings of this page.",
    max_new_tokens=512,
    default_cap=MAX_PAGES,
    primary_metric="narrator_slot_f1",
    controls=KIND_CONTROLS["text"],
    build=narrative_items,
    score=score_narratives,
    about=(
        "NeuroNarrator reports BERTScore .731, Fact-F1 .703 and ROUGE-L .379 on its own test set; "
        "encoder, rescaling and the rules of Fact-F1 are not published, so none of these is the "
        "same number.",
        "Trends look back on earlier pages, which a model that sees one page cannot know.",
    ),
    tables=("narratives",),
    score_version="2",
)
