"""Classification tasks: from a protocol and labelled pages to candidate items.

A corpus' labels are taken as they stand in table ``segments``; a page whose label is missing,
doubtful or not asked about is set aside with its cause. There is one code for all corpora: what
differs is in ``protocols/``. Drawing items is in ``tasks/items.py``, scores in
``scores/classification.py``.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import polars as pl

from benchmark.asking.answers import LETTERS
from benchmark.errors import BenchmarkError
from benchmark.scores.classification import score_classification
from benchmark.tasks.catalogue import MCQ
from benchmark.tasks.items import SEGMENT_COLUMNS, Candidate, Candidates, Sources
from benchmark.tasks.protocol import LabelRule, Protocol, protocol
from benchmark.tasks.task import Row, Task
from detectors.types import SEGMENT_S

LABELLED_COLUMNS = (*SEGMENT_COLUMNS, "recording_id", "start_s", "recorded_s", "labels", "events")
"""Columns of table ``segments`` that classification needs."""
EPOCH_S = 30.0
"""Length of a scored epoch of sleep (AASM manual)."""
STRETCH_S = 3600.0
"""Longest part of a recording that is drawn whole; engineering default."""
TRAINING_PAGES = 20_000
"""Pages baselines are fitted on: they only count classes; engineering default."""
_EDGE_S = 1e-3

_NO_LABEL = "no label of this name"
_DISAGREE = "two labels disagree"
_OTHER_VALUE = "a label that is not asked about"
_BETWEEN = "events cover a part of the page, but less than the rule asks"
_UNTIMED = "events are said to be there, but not when"
_NOT_WHOLE = "page is not recorded in full"


def classification_task(name: str) -> Task:
    """Return the task of a protocol.

    Parameters
    ----------
    name
        A name of :data:`benchmark.tasks.task.PROTOCOL_NAMES`.

    Raises
    ------
    BenchmarkError
        If there is no such protocol.
    """
    found = protocol(name)
    return Task(
        name=name,
        version=found.version,
        score_version=found.score_version,
        kind="choice",
        title=found.title,
        meaning=found.meaning,
        source_table="segments",
        prompt=MCQ.prompt,
        max_new_tokens=MCQ.max_new_tokens,
        default_cap=found.cap,
        primary_metric="balanced_accuracy",
        controls=MCQ.controls,
        build=classification_items,
        score=score_classification,
        corpora=found.corpora,
        is_zero_shot=found.is_zero_shot,
        digest=found.digest,
        about=found.lines(),
    )


def classification_items(task: Task, sources: Sources, segments: Mapping[str, Row]) -> Candidates:
    """Make candidates from the labelled pages among ``segments``."""
    rows = _rows(task, sources.segments).filter(pl.col("segment_id").is_in(list(segments)))
    return _candidates(task, protocol(task.name), rows)


def training_rows(task: Task, sources: Sources) -> list[dict[str, Any]]:
    """Return labelled pages of training subjects as baselines are fitted on them.

    Of many, those first by segment id, which is a hash.

    Parameters
    ----------
    task
        A classification task.
    sources
        With segments of every split.

    Returns
    -------
    list of dict
        ``question_type``, ``options``, ``answer`` and ``answer_text`` of each page, as table
        ``questions`` has them.
    """
    rows = _rows(task, sources.segments).filter(pl.col("split") == "train")
    found = _candidates(task, protocol(task.name), rows.sort("segment_id").head(TRAINING_PAGES))
    asked = (_asked(task, protocol(task.name), c) for c in found.kept)
    return [
        {
            "question_type": c.category,
            "options": list(c.options),
            "answer": c.answer,
            "answer_text": c.options[LETTERS.index(c.answer)],
        }
        for c in asked
    ]


def _rows(task: Task, segments: pl.DataFrame) -> pl.DataFrame:
    missing = set(LABELLED_COLUMNS) - set(segments.columns)
    if missing:
        raise BenchmarkError(
            f"segments lack the columns {sorted(missing)}, which task {task.name!r} needs; read "
            f"{', '.join(LABELLED_COLUMNS)}"
        )
    return segments.select(LABELLED_COLUMNS).filter(pl.col("corpus").is_in(task.corpora))


@dataclass(frozen=True, slots=True)
class _Page:
    """A labelled page without what is only told of the pages drawn: there may be a million."""

    segment_id: str
    recording_id: str
    start_s: float
    value: str
    spans: tuple[tuple[float, float], ...]
    parts: tuple[str, ...]

    @property
    def stretch(self) -> str:
        """The part of its recording that is drawn whole."""
        return f"{self.recording_id}|{int(self.start_s // STRETCH_S)}"


def _candidates(task: Task, found: Protocol, rows: pl.DataFrame) -> Candidates:
    aside = Counter[str]()
    pages = []
    for row in rows.sort("recording_id", "start_s", "segment_id").iter_rows(named=True):
        spans = event_spans(row["events"], found.label.events) if found.label.events else []
        value, cause = page_value(found.label, row, spans)
        if cause:
            aside[cause] += 1
            continue
        parts = _parts(found, row["labels"])
        pages.append(
            _Page(
                row["segment_id"], row["recording_id"], row["start_s"], value, tuple(spans), parts
            )
        )
    groups = _groups(found, pages)
    with_events = {page.stretch for page in pages if page.spans}
    is_whole = found.draw == "stretches"
    kept = []
    for page in pages:
        group = groups.get(page.segment_id, "")
        right = found.label.values[page.value]
        block = page.stretch if is_whole else group if found.vote == "epoch" else ""
        stratum = str(page.stretch in with_events) if is_whole else right
        kept.append(
            Candidate(
                page.segment_id, page.segment_id, "", (), right, found.label.name,
                (f"label:{found.label.name}={page.value}",), block, stratum, page.recording_id,
                page.start_s, group, page.parts, tuple(edge for span in page.spans for edge in span),
            )
        )  # fmt: skip
    return Candidates(tuple(kept), aside, partial(_asked, task, found))


def _parts(found: Protocol, labels: Sequence[Row]) -> tuple[str, ...]:
    said = {(x["name"], x["value"]) for x in labels if x["scope"] == "split"}
    return tuple(f"{p.protocol} {p.part}" for p in found.parts if (p.protocol, p.part) in said)


def _asked(task: Task, found: Protocol, candidate: Candidate) -> Candidate:
    """Write the question of a candidate that was drawn; until then its answer is the option."""
    options = option_order(found, candidate.segment_id)
    shown = "\n".join(f"{at}. {text}" for at, text in zip(LETTERS, options, strict=False))
    return replace(
        candidate,
        prompt=task.prompt.format(question=found.question, options=shown),
        options=options,
        answer=LETTERS[options.index(candidate.answer)],
    )


def page_value(rule: LabelRule, row: Row, spans: Sequence[tuple[float, float]]) -> tuple[str, str]:
    """Return the value of a page's label and ``""``, or ``""`` and why it has none.

    Parameters
    ----------
    rule
        How a page gets its class.
    row
        Row of table ``segments`` with labels and recorded time.
    spans
        Joined events of the rule's kinds on the page, s from its start.
    """
    if row["recorded_s"] < SEGMENT_S - _EDGE_S:
        return "", _NOT_WHOLE
    said = {(label["name"], label["value"]) for label in row["labels"]}
    for name, value in rule.only.items():
        if (name, value) not in said:
            return "", f"label {name} is not {value}"
    values = [
        x["value"] for x in row["labels"] if x["name"] == rule.name and x["scope"] in rule.scopes
    ]
    if not values:
        return "", _NO_LABEL
    agreed = _one_value(rule, values)
    if agreed is None:
        return "", _DISAGREE
    if agreed not in rule.values:
        return "", _OTHER_VALUE
    return _covered(rule, agreed, spans) if rule.events else (agreed, "")


def _one_value(rule: LabelRule, values: Sequence[str]) -> str | None:
    firm = [v for v in values if v not in rule.yields] or list(values)
    if rule.is_vote:
        top, n = Counter(firm).most_common(1)[0]
        return top if 2 * n > len(firm) else None
    return firm[0] if len(set(firm)) == 1 else None


def _covered(rule: LabelRule, value: str, spans: Sequence[tuple[float, float]]) -> tuple[str, str]:
    share = sum(b - a for a, b in spans) / SEGMENT_S
    if share >= rule.covered_from - _EDGE_S:
        return rule.present, ""
    if share > 0:
        return "", _BETWEEN
    return (value, "") if value == rule.absent else ("", _UNTIMED)


def event_spans(events: Iterable[Row], kinds: Sequence[str]) -> list[tuple[float, float]]:
    """Return the time covered by events of some kinds on any channel, joined, s from page start."""
    joined: list[tuple[float, float]] = []
    for t0_s, t1_s in sorted((e["t0_s"], e["t1_s"]) for e in events if e["kind"] in kinds):
        if joined and t0_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], t1_s))
        else:
            joined.append((t0_s, t1_s))
    return joined


def option_order(found: Protocol, segment_id: str) -> tuple[str, ...]:
    """Return the options in the order shown with a page: drawn per page, the same for ever."""
    key = f"{found.option_seed}|{found.name}|{segment_id}"

    def place(option: str) -> str:
        return hashlib.sha256(f"{key}|{option}".encode()).hexdigest()

    return tuple(sorted(found.options, key=place))


def _groups(found: Protocol, pages: Sequence[_Page]) -> dict[str, str]:
    """Return the epoch or recording whose answers are voted on, by segment id."""
    if found.vote == "recording":
        return {page.segment_id: page.recording_id for page in pages}
    if found.vote != "epoch":
        return {}
    groups: dict[str, str] = {}
    for name, mine in groupby(pages, key=lambda page: page.recording_id):
        own = list(mine)
        offset_s = epoch_offset_s([(page.start_s, page.value) for page in own])
        epochs: dict[int, list[_Page]] = defaultdict(list)
        for page in own:
            epochs[int((page.start_s - offset_s + _EDGE_S) // EPOCH_S)].append(page)
        for number, thirds in epochs.items():
            if len(thirds) == EPOCH_S / SEGMENT_S and len({page.value for page in thirds}) == 1:
                groups |= {page.segment_id: f"{name}|{number}" for page in thirds}
    return groups


def epoch_offset_s(pages: Sequence[tuple[float, str]]) -> float:
    """Return where the scorer's grid of 30-s epochs begins, from the places where stages change.

    Pages lie on the grid's thirds, but do not say which. A stage changes between two pages that
    follow each other only where an epoch ends, so the commonest such place is the grid's; without a
    change every place is as good, and the first page's is taken.

    Parameters
    ----------
    pages
        Start in s and stage of the pages of one recording, in order of time.
    """
    changes = Counter(
        round(t1_s % EPOCH_S, 3)
        for (t0_s, before), (t1_s, after) in pairwise(pages)
        if before != after and abs(t1_s - t0_s - SEGMENT_S) < _EDGE_S
    )
    return min(changes, key=lambda at: (-changes[at], at)) if changes else pages[0][0] % EPOCH_S
