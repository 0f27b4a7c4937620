"""Parts of the HTML report about the models: what they saw, judged columns, tests between them.

Each judged score stands beside the measured ones and enters none of them. Pieces are written by
``reports/html_parts.py``; what a comparison is, is in ``reports/compare.py``; the page is put
together in ``reports/html.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.judging.summary import JudgeSummary
from benchmark.reports.compare import Comparison, PairedTest
from benchmark.reports.html_parts import bullets, table, text, warning
from benchmark.reports.result import Result
from benchmark.scores.intervals import LEVEL
from benchmark.scores.scoring import BASELINES

MIN_PLANTED_SHARE = 0.9
"""A judge that notices fewer planted errors is not to be quoted (``evaluation.md`` 6.5, rule 5)."""


def exposure_part(result: Result) -> str:
    """Return what each model under test is known to have seen, by task where it was scored."""
    rows = []
    models = dict.fromkeys(r.model for r in result.scores if r.model not in BASELINES)
    for model in models:
        known = result.exposure.get(model)
        tasks = dict.fromkeys(r.task for r in result.scores if r.model == model)
        marked = [t for t in tasks if result.seen(t, model).startswith("trained on")]
        rows.append((
            model,
            "not recorded" if known is None else known.status,
            "none" if known is None or not known.corpora
            else "; ".join(f"{corpus} ({part})" for corpus, part in known.corpora.items()),
            ", ".join(marked) or "none",
            "" if known is None else known.source,
        ))  # fmt: skip
    if not rows:
        return ""
    said = (
        "A corpus that a model was trained on is named beside its score: even with other subjects, "
        "such a score is not one on an unseen corpus."
    )
    columns = ("model", "list of its data", "corpora seen", "tasks with such a corpus", "note")
    return f"<p>{text(said)}</p>{table(columns, rows)}"


def judged_part(judges: Sequence[JudgeSummary], task: str) -> str:
    """Return the judged columns of one task, "" where nothing of it was judged."""
    own = [judge for judge in judges if judge.task == task]
    rows = [
        (
            judge.answerer, judge.judge, judge.prompt, r.axis, f"{r.value:.2f}",
            "none" if r.low is None else f"{r.low:.2f} to {r.high:.2f}", r.n_items, r.n_subjects,
            judge_note(judge),
        )
        for judge in own
        for r in judge.rows
    ]  # fmt: skip
    if not rows:
        return ""
    columns = ("model", "judge", "rubric", "axis", "mean", "95 % interval", "items", "subjects",
               "note")  # fmt: skip
    return f"<h3>Judged, beside the scores and in none of them</h3>{table(columns, rows)}"


def is_fit(judge: JudgeSummary) -> bool:
    """Whether a judge noticed enough planted errors to be quoted."""
    share = judge.planted_share
    return share is not None and share >= MIN_PLANTED_SHARE


def judge_note(judge: JudgeSummary) -> str:
    """Return what stands beside every judged score: whether to quote it, and who is missing."""
    notes = [] if is_fit(judge) else ["not to be quoted: planted errors"]
    if judge.n_held_back:
        notes.append(f"{judge.n_held_back} items held back")
    return "; ".join(notes)


def models_part(comparisons: Sequence[Comparison]) -> str:
    """Return the paired tests between the models under test."""
    if not comparisons:
        return "<p>One model alone was scored with its answers; there is no other to compare it with.</p>"
    said = (
        f"B minus A over the items both were asked, paired by item; {LEVEL:.0%} intervals over "
        "subjects; p by flipping the signs of subjects, corrected by Holm over all tests here."
    )
    parts = [f"<p>{text(said)}</p>"]
    rows = [(c.model_a, c.model_b, *_cells(t)) for c in comparisons for t in c.tests]
    columns = ("A", "B", "task", "metric", "value of A", "value of B", "difference", "95 % interval",
               "p", "p Holm", "items", "subjects", "verdict")  # fmt: skip
    if rows:
        parts.append(table(columns, rows))
    else:
        parts.append(warning("No task could be compared."))
    aside = [
        f"{c.model_a} and {c.model_b}, {task}: not compared, {why}."
        for c in comparisons
        for task, why in c.set_aside.items()
    ]
    if aside:
        parts.append(
            f"<details><summary>{len(aside)} not compared</summary>{bullets(aside)}</details>"
        )
    return "\n".join(parts)


def _cells(t: PairedTest) -> tuple[object, ...]:
    scale, low, high = t.scale, t.gap.low, t.gap.high
    between = "none" if low is None or high is None else f"{scale * low:.1f} to {scale * high:.1f}"
    weak = ", weak interval" if t.gap.is_weak else ""
    left_out = f", {t.n_left_out} items asked of one alone" if t.n_left_out else ""
    return (
        t.task, t.metric, f"{scale * t.value_a:.1f}", f"{scale * t.value_b:.1f}",
        f"{scale * t.gap.value:+.1f}", between, f"{t.p_permutation:.3f}", f"{t.p_holm:.3f}",
        t.n_items, t.gap.n_subjects, f"{t.verdict}{weak}{left_out}",
    )  # fmt: skip
