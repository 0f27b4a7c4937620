"""Which answers of a model are its worst, and how one is told in words.

An answer's own score goes from 0 to 1 whatever the task: texts by their primary metric, choices right
or wrong, boxes by F1 of the page at IoU 0.5, since average precision has no value for one page. Pages
are rendered and walls kept by the rim; how cases are shown is in ``reports/html_cases.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from benchmark.asking.answers import LETTERS, Box, parse_boxes
from benchmark.scores.detection import IOU_50, by_confidence, class_boxes, iou_closeness, match
from benchmark.scores.detection_scores import DEFAULT_THRESHOLD
from benchmark.scores.metrics import METRICS
from benchmark.tasks.task import TASKS, Row
from detectors.vocabulary import KINDS, WAVEFORMS

N_WORST = 3
"""Worst cases shown of each task and model; a page is some 100 kB."""


def worst(
    task: str, answers: Sequence[Row], items: Mapping[str, Row]
) -> list[tuple[Row, Row, float]]:
    """Return the worst answers of one model with their items and scores, one a page, worst first.

    Right answers are never among them. Among equals a choice the model was surer of comes first.

    Parameters
    ----------
    task
        Its name.
    answers
        Graded answers of one model.
    items
        Items of the task by id.
    """
    scored = [
        (items[a["item_id"]], a, answer_score(task, items[a["item_id"]], a))
        for a in answers
        if a["item_id"] in items
    ]
    wrong = sorted(
        (case for case in scored if case[2] < 1.0),
        key=lambda case: (case[2], -_sureness(case[1]), case[1]["item_id"]),
    )
    found: dict[str, tuple[Row, Row, float]] = {}
    for case in wrong:
        found.setdefault(case[0]["segment_id"], case)
    return list(found.values())[:N_WORST]


def answer_score(task: str, item: Row, answer: Row) -> float:
    """Return the score of an answer from 0 to 1; one that could not be read has 0."""
    if not answer["is_parsed"]:
        return 0.0
    if TASKS[task].kind == "boxes":
        return page_f1(item["answer"], answer["answer"])
    if answer["score"] is None:
        return float(bool(answer["is_correct"]))
    top = 100.0 if METRICS[TASKS[task].primary_metric].unit == "points" else 1.0
    return float(answer["score"]) / top


def page_f1(reference: str, answer: str) -> float:
    """Return F1 of the boxes of one page at IoU 0.5, confidence 0.5 or more; 1 where none is right."""
    counts = Counter(verdict for _, verdict in marked_boxes(reference, answer))
    total = 2 * counts["right"] + counts["missed"] + counts["false"]
    return 2 * counts["right"] / total if total else 1.0


Verdict = Literal["right", "missed", "false"]
MARK_COLOURS: Mapping[Verdict, tuple[int, int, int]] = {
    "right": (120, 120, 120), "missed": (27, 108, 168), "false": (214, 101, 0),
}  # fmt: skip
"""Colours of boxes drawn over a page, told apart by people who cannot tell red from green."""
MARK_WORDS = "Boxes over the page: blue missed, orange false, grey found and right."


def marked_boxes(reference: str, answer: str) -> list[tuple[Box, Verdict]]:
    """Return the boxes of one page with what became of each, those that went wrong last.

    A true box that was found stands once, as it is.

    Parameters
    ----------
    reference, answer
        Texts of boxes; of the answer those of confidence 0.5 or more count.
    """
    true = parse_boxes(reference, "") or ()
    found = [b for b in parse_boxes(answer, "") or () if b.confidence >= DEFAULT_THRESHOLD]
    marked: list[tuple[Box, Verdict]] = []
    for waveform in sorted({b.waveform for b in (*true, *found)}):
        own, said = class_boxes(true, waveform), by_confidence(class_boxes(found, waveform))
        hits = match(own, said, iou_closeness(IOU_50))
        right = [box for box, hit in zip(said, hits, strict=True) if hit]
        marked += [(box, "false") for box, hit in zip(said, hits, strict=True) if not hit]
        # matched the other way round, so that each true box is either met or missed
        met = match(right, own, iou_closeness(IOU_50))
        marked += [(box, "right" if hit else "missed") for box, hit in zip(own, met, strict=True)]
    return sorted(marked, key=lambda pair: list(MARK_COLOURS).index(pair[1]))


def words_of(task: str, item: Row, said: str) -> str:
    """Return an answer as a reader is told it: a letter with its option, boxes one a line."""
    if TASKS[task].kind == "choice" and said in LETTERS[: len(item["options"])] and said:
        return f"{said}. {item['options'][LETTERS.index(said)]}"
    if TASKS[task].kind == "boxes":
        boxes = [b for b in parse_boxes(said, "") or () if b.confidence >= DEFAULT_THRESHOLD]
        return "\n".join(map(_box_words, sorted(boxes, key=_place))) or "no box"
    return said


def _place(box: Box) -> tuple[Any, ...]:
    return box.t0_s, box.channel, box.waveform


def _box_words(box: Box) -> str:
    sure = "" if box.confidence == 1.0 else f", confidence {box.confidence:.2f}"
    noun = KINDS[WAVEFORMS[box.waveform].kind].noun
    return f"{noun} ({box.waveform}) at {box.channel}, {box.t0_s:.2f} to {box.t1_s:.2f} s{sure}"


def _sureness(answer: Row) -> float:
    return max(answer["option_logprobs"] or [float("-inf")])
