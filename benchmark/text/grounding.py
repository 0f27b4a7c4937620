"""How well the grounding check tells true from false on planted pages, and how fast it is.

Captions of planted pages must all be supported; flipping a checkable word must lower the grounded
score of its sentence, and saying the same in other words must not (:mod:`benchmark.text.grounding_changes`).
ROUGE-1 of the same pairs is printed beside. What is measured here is the check against facts; whether
facts are true of the signal is the detectors benchmark's question.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from benchmark.memory import peak_rss_mb
from benchmark.text.grounding_changes import flips, paraphrase, rouge_1
from benchmark.text.grounding_pages import planted_facts
from prompts.captions.caption import caption_rows, write_caption
from prompts.captions.event_words import Sentence
from prompts.facts.page import PageFacts
from prompts.grounding.check import check_grounding
from prompts.grounding.score import FactScore, fact_score
from prompts.questions.items import write_questions

if TYPE_CHECKING:
    from rich.table import Table

FLIP_FLOOR = 0.99
"""Least share of flips that must lower the score (issue floor)."""
SPEED_FLOORS = {"captions": 5000.0, "questions": 5000.0, "check_cited": 2000.0}
"""Aims per core: segments a second for writers, texts a second for the check."""
MAX_KEPT = 40


@dataclass(frozen=True, slots=True)
class ChangeScore:
    """How often a change lowered the grounded score of its sentence, and its mean ROUGE-1."""

    n: int
    n_lowered: int
    rouge_1: float

    @property
    def share(self) -> float:
        """Share that lowered the score."""
        return self.n_lowered / self.n if self.n else float("nan")


@dataclass(frozen=True, slots=True)
class GroundingScores:
    """What was measured.

    Parameters
    ----------
    n_pages, n_sentences, n_supported
        Caption sentences of the pages, and those the check supports.
    flips, paraphrases
        By what was changed.
    missed
        Up to :data:`MAX_KEPT` changes that did the wrong thing: what, before, after, why.
    captions
        Fact score of the captions as plain text, against the facts they were written from.
    per_s
        Per second of CPU: segments for the writers, texts for the check.
    stream_rows, stream_growth_mb
        Rows streamed, and how much peak memory grew over the last three quarters of them.
    """

    n_pages: int
    n_sentences: int
    n_supported: int
    flips: dict[str, ChangeScore]
    paraphrases: dict[str, ChangeScore]
    missed: tuple[tuple[str, str, str, str], ...]
    captions: FactScore
    per_s: dict[str, float]
    stream_rows: int
    stream_growth_mb: float

    def misses(self) -> list[str]:
        """Return every figure below its floor."""
        found = []
        if self.n_supported < self.n_sentences:
            found.append(f"captions supported {self.n_supported} of {self.n_sentences}, floor all")
        n, lowered = (sum(getattr(s, a) for s in self.flips.values()) for a in ("n", "n_lowered"))
        if lowered < FLIP_FLOOR * n:
            found.append(f"flips that lower the score {lowered} of {n}, floor {FLIP_FLOOR}")
        found += [
            f"{name} {self.per_s[name]:.0f} a second, floor {floor:.0f}"
            for name, floor in SPEED_FLOORS.items()
            if self.per_s[name] < floor
        ]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the scores as plain data; keys are stable."""
        written = asdict(self)
        for name in ("flips", "paraphrases"):
            for what, score in getattr(self, name).items():
                written[name][what]["share"] = score.share
        return written


def score_grounding(
    n_pages: int = 60, *, seed: int = 0, stream_rows: int = 20_000, timed_pages: int = 2000
) -> GroundingScores:
    """Measure the check on planted pages.

    Parameters
    ----------
    n_pages
        Planted pages.
    seed
        Of the pages and of the phrasings.
    stream_rows
        Caption rows streamed to measure memory.
    timed_pages
        Pages that are written and checked against the clock.
    """
    pages = planted_facts(n_pages, seed)
    told = [(p, s) for p in pages for s in write_caption(p, "label_aware", seed).sentences]
    n_supported = sum(grounded_share([s], p) == 1.0 for p, s in told)
    flipped, paraphrased, missed = _changes(told)
    plain = ((write_caption(p, "label_free", seed).text, p) for p in pages)
    n_rows, growth_mb = stream(pages, stream_rows)
    return GroundingScores(
        n_pages=len(pages), n_sentences=len(told), n_supported=n_supported, flips=flipped,
        paraphrases=paraphrased, missed=tuple(missed[:MAX_KEPT]), captions=fact_score(plain),
        per_s=speeds(pages, seed, timed_pages), stream_rows=n_rows, stream_growth_mb=growth_mb,
    )  # fmt: skip


def grounded_share(sentences: Sequence[Sentence], facts: PageFacts) -> float:
    """Return the supported share of the claims of cited sentences; 1 where they claim nothing."""
    report = check_grounding(sentences, facts)
    claims = report.claims
    if not claims:
        return float(report.is_supported)
    return sum(c.verdict == "supported" for c in claims) / len(claims)


def _changes(
    told: Sequence[tuple[PageFacts, Sentence]],
) -> tuple[dict[str, ChangeScore], dict[str, ChangeScore], list[tuple[str, str, str, str]]]:
    found: dict[str, list[tuple[bool, float]]] = {}
    same: list[tuple[bool, float]] = []
    missed = []
    for facts, sentence in told:
        for what, text in flips(sentence.text):
            is_lower = _lowers(text, sentence, facts)
            found.setdefault(what, []).append((is_lower, rouge_1(sentence.text, text)))
            if not is_lower:
                missed.append((what, sentence.text, text, "not lowered"))
        text = paraphrase(sentence.text)
        if text:
            is_lower = _lowers(text, sentence, facts)
            same.append((is_lower, rouge_1(sentence.text, text)))
            if is_lower:
                cause = check_grounding([_said(text, sentence)], facts).cause
                missed.append(("paraphrase", sentence.text, text, cause))
    return {what: _score(entries) for what, entries in found.items()}, {"all": _score(same)}, missed


def _said(text: str, sentence: Sentence) -> Sentence:
    return Sentence(text, sentence.section, sentence.evidence)


def _lowers(text: str, sentence: Sentence, facts: PageFacts) -> bool:
    return grounded_share([_said(text, sentence)], facts) < grounded_share([sentence], facts)


def _score(entries: Sequence[tuple[bool, float]]) -> ChangeScore:
    overlap = sum(r for _, r in entries) / len(entries) if entries else float("nan")
    return ChangeScore(len(entries), sum(lowered for lowered, _ in entries), overlap)


def speeds(pages: Sequence[PageFacts], seed: int = 0, n: int = 2000) -> dict[str, float]:
    """Return what one core does a second: writers over ``n`` unlike segments, the check over texts.

    Each page is written with many seeds, so that what is kept between sentences does not answer
    everything.
    """
    many = list(islice(cycle(pages), n))
    captions = [
        write_caption(p, "label_aware", seed + 1 + i // len(pages)) for i, p in enumerate(many)
    ]
    free = [(t, p) for p, c in zip(many, captions, strict=True) if (t := _free_text(c.sentences))][
        : n // 8
    ]
    return {
        "captions": _per_s(
            n, lambda: [list(caption_rows(p, seed + i)) for i, p in enumerate(many)]
        ),
        "questions": _per_s(n, lambda: write_questions(many, seed)),
        "check_cited": _per_s(
            n,
            lambda: [check_grounding(c.sentences, p) for c, p in zip(captions, many, strict=True)],
        ),
        "check_plain": _per_s(
            n // 4,
            lambda: [
                check_grounding(c.text, p) for c, p in zip(captions[: n // 4], many, strict=False)
            ],
        ),
        "check_free": _per_s(len(free), lambda: [check_grounding(t, p) for t, p in free]),
    }


def _free_text(sentences: Sequence[Sentence]) -> str:
    return " ".join(filter(None, (paraphrase(s.text) for s in sentences)))


def _per_s(n: int, work: Any) -> float:
    start = time.process_time()
    work()
    return n / max(time.process_time() - start, 1e-9)


def stream(pages: Sequence[PageFacts], n_rows: int) -> tuple[int, float]:
    """Stream caption rows and return their number and the growth of peak memory, in MB.

    Growth is taken from a quarter of the way on, after caches have filled as far as they will.
    """
    before = peak = peak_rss_mb()
    seen = 0
    for row in islice(_rows(pages), n_rows):
        seen += bool(row["text"]) or 1
        if seen == max(1, n_rows // 4):
            before = peak_rss_mb()
    peak = peak_rss_mb()
    return seen, peak - before


def _rows(pages: Sequence[PageFacts]) -> Iterator[dict[str, Any]]:
    rng = random.Random(0)
    while True:
        yield from caption_rows(rng.choice(pages), rng.randrange(10**6))


def grounding_tables(scores: GroundingScores) -> Iterator[Table]:
    """Yield the tables of the scores, for a terminal."""
    from rich.table import Table

    title = (f"grounding on {scores.n_pages} planted pages: "
             f"{scores.n_supported} of {scores.n_sentences} caption sentences supported")  # fmt: skip
    table = Table("change of a sentence", "n", "lowers the score", "ROUGE-1", title=title)
    for what, score in (*scores.flips.items(), ("paraphrase", scores.paraphrases["all"])):
        table.add_row(what, str(score.n), f"{score.share:.3f}", f"{score.rouge_1:.3f}")
    yield table
    parts = Table(
        "part of the fact score", "captions", title="fact score, truth of the engine itself"
    )
    for name, value in asdict(scores.captions).items():
        parts.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    yield parts
    speed = Table("what", "a second and core", title="throughput")
    for name, value in scores.per_s.items():
        speed.add_row(name, f"{value:.0f}")
    speed.add_row(f"growth over {scores.stream_rows} rows, MB", f"{scores.stream_growth_mb:.1f}")
    yield speed
    if scores.missed:
        wrong = Table(
            "what", "before", "after", "why", title=f"went wrong, {len(scores.missed)} shown"
        )
        for entry in scores.missed:
            wrong.add_row(*entry)
        yield wrong
