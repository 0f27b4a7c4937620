"""What the evidence is made of: simulated people, read by the real engine, asked by the real rules.

People and their planted events come from the simulator; their recordings pass the corpora's
filters, the rules find what is on each page, and questions, answers and captions are the engine's
own, in blocks that nobody can answer without the page. Nothing here is written by hand and nothing
looks at a model. How it becomes releases is in :mod:`benchmark.evidence.releases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.evidence.picture import head_maps, picture_png
from benchmark.planted.pages import pages_of
from benchmark.text.grounding_pages import facts_of_batch
from prompts import words
from prompts.captions.caption import caption_rows
from prompts.facts.page import PageFacts
from prompts.questions.items import question_rows
from prompts.questions.types import Draft, drafts

CATEGORIES = ("dominant band", "spindle", "blink", "side")
"""What is asked of held-out pages."""

_PRESENCE = ("spindle", "blink")
_SIDED = ("muscle", "electrode_pop", "electrode pop")
"""Kinds the simulator plants on one side often enough to be asked for it, in keys and in words."""

TEST_EVERY = 6
"""Every sixth person is held out."""
RATES_PER_MIN = {"muscle": 9.0, "spindle": 5.0, "blink": 8.0, "movement": 0.2, "electrode_pop": 3.0}
"""Changed against the simulator's own, so that presence and absence are both common."""
MAX_SENTENCE = 90
"""Characters of the longest caption sentence kept: a caption in full is 300 tokens long."""
MAX_SENTENCES = 3
PER_PAGE = 12
_RATE_HZ = 256
_SEED = 13


@dataclass(frozen=True, slots=True)
class Material:
    """Everything drawn, as rows of the engine's tables.

    Parameters
    ----------
    pages
        Rows of table ``segments`` without signals.
    questions, captions, dialogues
        Rows of the tables of these names; captions are cut to short sentences, dialogues ask a page
        everything in words.
    pictures
        PNG by segment id.
    """

    pages: list[dict[str, Any]]
    questions: list[dict[str, Any]]
    captions: list[dict[str, Any]]
    dialogues: list[dict[str, Any]]
    pictures: dict[str, bytes]


def draw_material(
    n_subjects: int,
    on_progress: Callable[[str], None] = lambda text: None,
    seed: int = _SEED,
    categories: Sequence[str] = CATEGORIES,
) -> Material:
    """Simulate people and let the engine read and ask them.

    Parameters
    ----------
    n_subjects
        People; a waking and a sleeping minute of each, every sixth held out.
    on_progress
        Told how far it is.
    seed
        Of the simulator and of all wordings; the same numbers give the same bytes.
    categories
        What pages are asked, of :data:`CATEGORIES`.

    Raises
    ------
    BenchmarkError
        If a category is not known.
    """
    unknown = sorted(set(categories) - set(CATEGORIES))
    if unknown or not categories:
        raise BenchmarkError(
            f"categories {list(categories)} must be of {', '.join(CATEGORIES)}; correct them"
        )

    def asks(facts: PageFacts) -> list[Draft]:
        return [d for d in drafts(facts) if category_of(d.question_type, d.key) in categories]

    facts: list[PageFacts] = []
    pictures: dict[str, bytes] = {}
    for index in range(1, n_subjects + 1):
        for fact, picture in _person(seed, index):
            facts.append(fact)
            pictures[fact.segment_id] = picture
        if index % 50 == 0:
            on_progress(f"{index} of {n_subjects} people drawn")
    questions = list(question_rows(facts, seed, PER_PAGE, drafts_of=asks))
    dialogues = (_dialogue(f, asks(f), seed) for f in facts)
    return Material(
        pages=[_page_row(f) for f in facts],
        questions=questions,
        captions=[row for f in facts for row in _short_captions(f, seed)],
        dialogues=[row for row in dialogues if row["messages"]],
        pictures=pictures,
    )


def category_of(question_type: str, about: str) -> str:
    """Return which of :data:`CATEGORIES` a question belongs to, ``""`` for none.

    Parameters
    ----------
    question_type
        Type of the question.
    about
        The kind it is about, or the question's text.
    """
    if question_type == "presence":
        return next((kind for kind in _PRESENCE if kind in about), "")
    if question_type == "side":
        return "side" if any(word in about for word in _SIDED) else ""
    return "dominant band" if question_type == "dominant_band" else ""


def _person(seed: int, index: int) -> Iterator[tuple[PageFacts, bytes]]:
    from dagster_project.corpora.simulated import config, subject

    settings = config.SimulatorConfig(
        minutes_per_recording=1.0,
        sfreq_hz=_RATE_HZ,
        states=("wake", "sleep"),
        rates_per_min={**config.RATES_PER_MIN, **RATES_PER_MIN},
    )
    split = "test" if index % TEST_EVERY == 0 else "train"
    person = subject.simulate_subject(seed, index, settings)
    for recording in person.recordings:
        name = f"e{index:04d}-{recording.state}"
        batch = pages_of(recording.data_uv, float(_RATE_HZ), name)
        for i, fact in enumerate(facts_of_batch(batch, name)):
            picture = picture_png(head_maps(batch.data_uv[i]))
            yield replace(fact, split=split, corpus="simulated"), picture


def _page_row(facts: PageFacts) -> dict[str, Any]:
    return {
        "segment_id": facts.segment_id,
        "corpus": "simulated",
        "subject_id": facts.segment_id.split("-")[0],
        "split": facts.split,
        "is_simulated": True,
        "pathology": 0,
        "page_class": "",
        "licence": "CC0-1.0",
        "is_gated": False,
    }


def _short_captions(facts: PageFacts, seed: int) -> Iterator[dict[str, Any]]:
    for row in caption_rows(facts, seed):
        short = [s for s in row["sentences"] if len(s["text"]) <= MAX_SENTENCE and s["evidence"]]
        kept: Sequence[dict[str, Any]] = short[:MAX_SENTENCES]
        if kept:
            yield row | {"sentences": list(kept), "text": " ".join(s["text"] for s in kept)}


def _dialogue(facts: PageFacts, asked: Sequence[Draft], seed: int) -> dict[str, Any]:
    """Ask a page in words all it can be asked."""
    told = words.shuffled(list(asked), seed, facts.segment_id, "turns")
    return {
        "sample_id": words.sample_id("dialogue", facts.segment_id, "evidence"),
        "segment_id": facts.segment_id,
        "messages": [
            {"role": role, "content": text}
            for draft in told
            for role, text in (
                ("user", words.pick(draft.phrasings, seed, facts.segment_id, draft.key)),
                ("assistant", draft.right),
            )
        ],
        "sentences": [{"text": d.right, "evidence": list(d.evidence)} for d in told if d.evidence],
        "grounding": "supported",
        "is_offline_teacher": True,
        "teacher": "template",
    }
