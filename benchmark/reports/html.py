"""The report of a benchmark run as one HTML file that needs nothing else and calls nobody.

Tables with intervals and controls, plots, worst cases with their pages, what leaks, hashes and
versions, judges with their planted errors, and a comparison with an earlier run. The page holds no
script and its own policy forbids any request. Of gated corpora it holds scores alone: neither
pages, texts nor ids. Numbers come from ``reports/result.py`` and ``judging/judge.py``; the parts other
than the tasks' own have modules of their own (``reports/html_*.py``); how pieces are written is in
``reports/html_parts.py``; the Markdown leaderboard is ``reports/report.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template

from benchmark.asking.controls import CONTROLS
from benchmark.asking.exchange import write_bytes
from benchmark.errors import BenchmarkError
from benchmark.judging.summary import JudgeSummary
from benchmark.reports.compare import Comparison
from benchmark.reports.groups import GROUP_WORDS, group_table
from benchmark.reports.html_cases import Case, worst_part
from benchmark.reports.html_change import comparison_part, provenance_part
from benchmark.reports.html_models import exposure_part, is_fit, judged_part, models_part
from benchmark.reports.html_parts import (
    SUFFIX_LINES,
    bars_of,
    bullets,
    figure,
    is_difference,
    metric_lines,
    metric_unit,
    page_shown,
    range_of,
    section,
    shown,
    table,
    text,
    unit_word,
    warning,
)
from benchmark.reports.html_plots import score_svg
from benchmark.reports.html_summary import primary_rows, summary_part
from benchmark.reports.plots import COLOURS
from benchmark.reports.result import DISCLAIMER, Result, ScoreResult
from benchmark.scores.intervals import WEAK_BELOW_SUBJECTS
from benchmark.scores.scoring import BASELINES, WEAK_NOTE
from benchmark.tasks.task import TASKS


@dataclass(frozen=True, slots=True)
class Notes:
    """What stands beside the numbers.

    Parameters
    ----------
    leakage, exposure
        Lines about signals and people found on both sides, and about what models saw before.
    provenance
        Hashes and versions beyond those of the result, by name.
    """

    leakage: Sequence[str] = ()
    exposure: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HtmlReport:
    """What was written."""

    path: Path
    sha256: str
    n_bytes: int


def write_html_report(
    path: Path,
    result: Result,
    *,
    cases: Sequence[Case] = (),
    notes: Notes | None = None,
    judges: Sequence[JudgeSummary] = (),
    earlier: Result | None = None,
    comparisons: Sequence[Comparison] = (),
) -> HtmlReport:
    """Write the report of one run; the file is replaced whole.

    Parameters
    ----------
    path
        Where to, ending in ``.html``.
    result
        The run's numbers.
    cases
        Worst cases; of gated ones only their number is told.
    notes
        Leakage, exposure, provenance.
    judges
        Judged scores, each with its planted errors.
    earlier
        Another run to compare with.
    comparisons
        Paired tests between the models of this run.

    Raises
    ------
    BenchmarkError
        If the run has no scores.
    """
    if not result.scores:
        raise BenchmarkError("there are no scores to report; score a model on a task first")
    data = html_report(result, cases, notes or Notes(), judges, earlier, comparisons).encode()
    write_bytes(path, data)
    return HtmlReport(path, hashlib.sha256(data).hexdigest(), len(data))


def html_report(
    result: Result,
    cases: Sequence[Case],
    notes: Notes,
    judges: Sequence[JudgeSummary],
    earlier: Result | None,
    comparisons: Sequence[Comparison] = (),
) -> str:
    """Return the text of the report; see :func:`write_html_report`."""
    parts = [("summary", "Summary", summary_part(result))]
    parts += [
        (f"task-{name}", TASKS[name].title, _task(result, name, cases, judges))
        for name in result.tasks
    ]
    parts += [
        ("models", "Models beside each other", models_part(comparisons)),
        ("judges", "Judged text", _judges(judges)),
        ("leakage", "Leakage and exposure", _notes(result, notes)),
        ("comparison", "Comparison with an earlier run", comparison_part(result, earlier)),
        ("provenance", "Hashes, versions, environment", provenance_part(result, notes.provenance)),
    ]
    written = (resources.files("benchmark") / "templates" / "report.html").read_text("utf-8")
    preface = (
        f"{DISCLAIMER} Intervals are {result.level:.0%} percentile intervals of {result.n_draws:,} "
        "bootstrap draws over subjects. Answers that cannot be read count as wrong and are counted "
        "apart. A score that does not fall when the page is taken away does not come from the page."
    )
    return Template(written).substitute(
        title="NeuroGloss benchmark report",
        preface=text(preface),
        contents=" ".join(f'<a href="#{key}">{text(title)}</a>' for key, title, _ in parts),
        body="\n".join(section(*part) for part in parts),
    )


def _task(result: Result, name: str, cases: Sequence[Case], judges: Sequence[JudgeSummary]) -> str:
    task, rows = result.tasks[name], [r for r in result.scores if r.task == name]
    corpora = ", ".join(f"{corpus} {n}" for corpus, n in task.items_per_corpus.items())
    about = (
        f"{TASKS[name].meaning} {task.n_items} items of {task.n_subjects} test subjects "
        f"({corpora}); version {task.version}, scoring {task.score_version}."
    )
    parts = [f"<p>{text(about)}</p>", bullets(task.about)]
    if task.n_simulated_items == task.n_items:
        parts.append(warning("All pages are simulated: this says nothing about recorded EEG."))
    elif task.n_simulated_items:
        parts.append(warning(f"{task.n_simulated_items} of {task.n_items} pages are simulated."))
    if task.n_subjects < WEAK_BELOW_SUBJECTS:
        parts.append(warning(f"With {task.n_subjects} subjects the intervals themselves are weak."))
    parts += _primary(result, name, primary_rows(result, name))
    groups = group_table(result, name)
    if groups is not None:
        parts += [f"<p>{text(GROUP_WORDS)}</p>", table(*groups, heads=True)]
    others = [r for r in rows if r.metric != task.primary_metric]
    if others:
        legend = bullets([*metric_lines(r.metric for r in others), *SUFFIX_LINES])
        parts.append(
            f"<details><summary>All {len(others)} other scores</summary>{legend}"
            f"{_scores(others, has_metric=True)}</details>"
        )
    return "\n".join([*parts, judged_part(judges, name), worst_part(name, cases)])


def _primary(result: Result, name: str, rows: Sequence[ScoreResult]) -> list[str]:
    task = result.tasks[name]
    if not rows:
        return [warning("No model was scored.")]
    unit = metric_unit(task.primary_metric)
    controls = {r.control for r in rows if r.control in CONTROLS and r.control != "none"}
    controls_said = "; ".join(f"{c}: {CONTROLS[c].meaning}" for c in sorted(controls)) or "none"
    bars = bars_of(rows)
    top = 1.1 * (max([b.high or b.value for b in bars], default=1.0) or 1.0)
    drawn = score_svg(
        f"{task.primary_metric}, with {result.level:.0%} intervals over subjects",
        f"{task.primary_metric}{unit_word(unit)}",
        bars,
        x_max=100.0 if unit in {"share", "points"} else top,
        chance=None if task.chance is None else 100 * task.chance,
    )
    chance = "" if task.chance is None else f" Chance is {100 * task.chance:.1f} %."
    said = f"Controls shown: {controls_said}.{chance}"
    return [
        *(f"<p>{text(line)}.</p>" for line in metric_lines([task.primary_metric])),
        f'<p class="note">{text(said)}</p>',
        _scores(rows, [result.seen(name, r.model) for r in rows]),
        figure(drawn, f"{TASKS[name].title}: {task.primary_metric} beside its controls. {COLOURS}")
        if bars else warning("Every score is void; nothing to plot."),
    ]  # fmt: skip


def _scores(
    rows: Sequence[ScoreResult], seen: Sequence[str] = (), *, has_metric: bool = False
) -> str:
    """Return a table of scores; what every line would say in its note is said once below."""
    notes = ["; ".join(part for part in r.note.split("; ") if part != WEAK_NOTE) for r in rows]
    is_same = len(set(notes)) == 1
    columns = ["model", "page shown", *(["metric"] if has_metric else []), "value", "95 % interval",
               "items", "subjects", "unparsed", *([] if is_same else ["note"]),
               *(["corpora seen before"] if seen else [])]  # fmt: skip
    cells = [
        (r.model, page_shown(r.model, r.control), *([r.metric] if has_metric else []),
         shown(r.value, r.metric, sign=is_difference(r.metric)), range_of(r), r.n_items,
         r.n_subjects, r.n_unparsed, *([] if is_same else [note]), *([seen[n]] if seen else []))
        for n, (r, note) in enumerate(zip(rows, notes, strict=True))
    ]  # fmt: skip
    own = [r.control == "none" and r.model not in BASELINES for r in rows]
    below = f'<p class="note">{text(notes[0])}.</p>' if is_same and notes[0] else ""
    return table(columns, cells, own=own, heads=True) + below


def _judges(judges: Sequence[JudgeSummary]) -> str:
    if not judges:
        return "<p>No judge was asked in this run.</p>"
    parts = []
    for judge in judges:
        title = f"{judge.model} judged by {judge.judge}"
        about = (
            f"Prompt {judge.prompt} ({judge.prompt_hash}); {judge.n_repeats} repeats; text written "
            f"by {', '.join(judge.writers)}; {judge.n_dropped} replies dropped, "
            f"{judge.n_held_back} items held back, {judge.n_silent} answers that say nothing; the "
            f"judge is of family {judge.judge_family}, the answers of "
            f"{_family_words(judge.answerer_family)}."
        )
        parts += [f"<h3>{text(title)}</h3>", f"<p>{text(about)}</p>"]
        share = judge.planted_share
        said = "none were asked" if share is None else f"{100 * share:.0f} % detected"
        words = f"Planted errors: {said} ({judge.planted_words}); chance is 50 %."
        end = " Below 90 %: these scores are not to be quoted."
        parts.append(f"<p>{text(words)}</p>" if is_fit(judge) else warning(words + end))
        parts.append(
            table(
                ("axis", "mean", "95 % interval", "spread over repeats", "items", "subjects"),
                [
                    (r.axis, f"{r.value:.2f}",
                     "none" if r.low is None else f"{r.low:.2f} to {r.high:.2f}",
                     f"{r.spread:.2f}", r.n_items, r.n_subjects)
                    for r in judge.rows
                ],
            )
        )  # fmt: skip
        parts.append(bullets([f"{name}: {value:.2f}" for name, value in judge.agreement.items()]))
    return "\n".join(parts)


def _family_words(family: str | None) -> str:
    if family is None:
        return "one that was not looked at"
    return f"family {family}" if family else "none, from random weights"


def _notes(result: Result, notes: Notes) -> str:
    leakage = list(notes.leakage) or ["Leakage between corpora was not looked for in this run."]
    exposure = list(notes.exposure) or ["Which published test people the models met is not known."]
    seen = exposure_part(result)
    return f"<h3>Leakage</h3>{bullets(leakage)}<h3>Exposure</h3>{seen}{bullets(exposure)}"
