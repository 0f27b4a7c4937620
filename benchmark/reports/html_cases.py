"""Worst cases of the HTML report: the page, what was asked, what is right, what was answered.

Of gated corpora the number alone is told. Which answers are the worst is in ``reports/worst.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.reports.html_parts import facts, page_figure, text, warning
from benchmark.reports.worst import MARK_WORDS
from benchmark.tasks.task import TASKS


@dataclass(frozen=True, slots=True)
class Case:
    """One answer that went wrong.

    Parameters
    ----------
    task, model
        Whose it is.
    item_id, corpus, category
        Which item.
    question, reference, answer
        Words.
    score
        Its score, 0 for a wrong choice and 1 for all.
    is_parsed
        False where the answer could not be read.
    is_gated
        Its corpus may not leave the storage root: counted and never shown.
    page
        PNG of its page; None where none is at hand.
    """

    task: str
    model: str
    item_id: str
    corpus: str
    category: str
    question: str
    reference: str
    answer: str
    score: float
    is_parsed: bool
    is_gated: bool
    page: bytes | None = None


def worst_part(name: str, cases: Sequence[Case]) -> str:
    """Return the worst cases of one task, "" where there are none."""
    own = [case for case in cases if case.task == name]
    if not own:
        return ""
    open_ = [case for case in own if not case.is_gated]
    n_gated = len(own) - len(open_)
    parts = ["<h3>Worst cases</h3>"]
    if n_gated:
        parts.append(
            warning(
                f"{n_gated} of them are of gated corpora, whose pages and texts do not leave the "
                "storage root; they are not shown."
            )
        )
    models = dict.fromkeys(case.model for case in open_)
    for model in models:
        mine = [case for case in open_ if case.model == model]
        cards = "\n".join(_card(case) for case in mine)
        summary = f"{model}: its {len(mine)} worst, one a page"
        parts.append(f"<details open><summary>{text(summary)}</summary>{cards}</details>")
    return "\n".join(parts)


def _card(case: Case) -> str:
    words = f" {MARK_WORDS}" if TASKS[case.task].kind == "boxes" else ""
    shown = "" if case.page is None else page_figure(
        case.page, f"Page of item {case.item_id}, {case.corpus}.{words}"
    )  # fmt: skip
    missing = "" if shown else '<p class="note">The page is no longer stored.</p>'
    rows = facts(
        {
            "question": case.question,
            "right": case.reference,
            "answered": case.answer if case.is_parsed else f"(not read) {case.answer}",
            "score": f"{case.score:.2f} of 1",
            "item": f"{case.item_id}, {case.category}, {case.corpus}",
        }
    )
    return f'<article class="case">{shown}{missing}{rows}</article>'
