"""Parts of the HTML report about the models: what they saw, judged columns, tests between them.

Each judged score stands beside the measured ones and enters none of them. Pieces are written by
``reports/html_parts.py``; what a comparison is, is in ``reports/compare.py``; the page is put
together in ``reports/html.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.judging.summary import JudgeSummary
from benchmark.reports.compare import Comparison, few_words
from benchmark.reports.html_parts import bullets, table, text, unit_word, warning
from benchmark.reports.paired import PairedTest
from benchmark.reports.result import Result
from benchmark.scores.intervals import LEVEL, WEAK_BELOW_SUBJECTS
from benchmark.scores.metrics import METRICS
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
    if judge.answerer_family is None:
        notes.append("whether the judge is of the model's own family was not looked at")
    if judge.n_held_back:
        notes.append(f"{judge.n_held_back} items held back")
    if judge.n_silent:
        notes.append(f"{judge.n_silent} answers say nothing and get the least")
    return "; ".join(notes)


def models_part(comparisons: Sequence[Comparison]) -> str:
    """Return the paired tests between the models under test."""
    if not comparisons:
        return "<p>One model alone was scored with its answers; there is no other to compare it with.</p>"
    said = (
        f"B minus A over the items both were asked, paired by item; {LEVEL:.0%} intervals over "
        "subjects; p by exchanging A and B subject by subject, corrected by Holm over all tests here."
    )
    parts = [f"<p>{text(said)}</p>"]
    tests = [(c, t) for c in comparisons for t in c.tests]
    rows = [_cells(c, t) for c, t in tests]
    columns = ("task", "A", "B", "value of A", "value of B", "difference", "95 % interval", "p",
               "p Holm", "items", "verdict")  # fmt: skip
    if any(t.gap.is_weak for _, t in tests):
        parts.append(
            warning(
                f"With fewer than {WEAK_BELOW_SUBJECTS} subjects intervals are weak themselves; the "
                f"verdict asks p as well.{few_words([t for _, t in tests])}"
            )
        )
    if rows:
        parts.append(table(columns, rows, heads=True))
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


def _cells(c: Comparison, t: PairedTest) -> tuple[object, ...]:
    scale, low, high = t.scale, t.gap.low, t.gap.high
    between = "none" if low is None or high is None else f"{scale * low:.1f} to {scale * high:.1f}"
    left_out = f", {t.n_left_out} items asked of one alone" if t.n_left_out else ""
    unit = unit_word(METRICS[t.metric].unit)
    return (
        f"{t.task}: {t.metric}{unit}", c.model_a, c.model_b, f"{scale * t.value_a:.1f}",
        f"{scale * t.value_b:.1f}", f"{scale * t.gap.value:+.1f}", between,
        f"{t.p_permutation:.3f}", f"{t.p_holm:.3f}", f"{t.n_items} of {t.gap.n_subjects} subjects",
        f"{t.verdict}{left_out}",
    )  # fmt: skip
