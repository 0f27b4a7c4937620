"""The report of a benchmark run as one HTML file that needs nothing else and calls nobody.

Tables with intervals and controls, plots, worst cases with their pages, what leaks, hashes and
versions, judges with their planted errors, and a comparison with an earlier run. The page holds no
script and its own policy forbids any request. Of gated corpora it holds scores alone: neither
pages, texts nor ids. Numbers come from ``reports/result.py`` and ``judging/judge.py``; plots from
``reports/html_plots.py``; how pieces are written, from ``reports/html_parts.py``; the Markdown leaderboard is
``reports/report.py``.
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
from benchmark.reports.html_models import exposure_part, is_fit, judged_part, models_part
from benchmark.reports.html_parts import (
    bars_of,
    bullets,
    figure,
    metric_unit,
    page_figure,
    range_of,
    scale_of,
    section,
    shown,
    table,
    text,
    unit_word,
    warning,
)
from benchmark.reports.html_plots import Change, change_svg, score_svg
from benchmark.reports.result import DISCLAIMER, Result, ScoreResult
from benchmark.scores.intervals import WEAK_BELOW_SUBJECTS
from benchmark.scores.scoring import BASELINES
from benchmark.tasks.task import TASKS

N_WORST = 3
"""Worst cases shown of each task and model; a page is some 100 kB."""


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
        Its score, 0 for a wrong choice.
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
    parts = [
        (f"task-{name}", TASKS[name].title, _task(result, name, cases, judges))
        for name in result.tasks
    ]
    parts += [
        ("models", "Models beside each other", models_part(comparisons)),
        ("judges", "Judged text", _judges(judges)),
        ("leakage", "Leakage and exposure", _notes(result, notes)),
        ("comparison", "Comparison with an earlier run", _comparison(result, earlier)),
        ("provenance", "Hashes, versions, environment", _provenance(result, notes)),
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
        f"({corpora}); version {task.version}."
    )
    parts = [f"<p>{text(about)}</p>", bullets(task.about)]
    if task.n_simulated_items == task.n_items:
        parts.append(warning("All pages are simulated: this says nothing about recorded EEG."))
    elif task.n_simulated_items:
        parts.append(warning(f"{task.n_simulated_items} of {task.n_items} pages are simulated."))
    if task.n_subjects < WEAK_BELOW_SUBJECTS:
        parts.append(warning(f"With {task.n_subjects} subjects the intervals themselves are weak."))
    parts += _primary(result, name, [r for r in rows if r.metric == task.primary_metric])
    groups = group_table(result, name)
    if groups is not None:
        parts += [f"<p>{text(GROUP_WORDS)}</p>", table(*groups)]
    others = [r for r in rows if r.metric != task.primary_metric]
    if others:
        parts.append(
            f"<details><summary>All {len(others)} other scores</summary>{_scores(others)}</details>"
        )
    return "\n".join([*parts, judged_part(judges, name), _worst(name, cases)])


def _primary(result: Result, name: str, rows: Sequence[ScoreResult]) -> list[str]:
    task = result.tasks[name]
    if not rows:
        return [warning("No model was scored.")]
    unit = metric_unit(task.primary_metric)
    controls = {r.control for r in rows if r.control in CONTROLS and r.control != "none"}
    controls_said = "; ".join(f"{c}: {CONTROLS[c].meaning}" for c in sorted(controls)) or "none"
    bars = bars_of(rows)
    drawn = score_svg(
        f"{task.primary_metric}, with {result.level:.0%} intervals over subjects",
        f"{task.primary_metric}{unit_word(unit)}",
        bars,
        x_max=100.0
        if unit == "share"
        else 1.1 * (max([b.high or b.value for b in bars], default=1.0) or 1.0),
        chance=None if task.chance is None else 100 * task.chance,
    )
    chance = "" if task.chance is None else f" Chance is {100 * task.chance:.1f} %."
    said = f"Controls shown: {controls_said}.{chance}"
    return [
        _scores(rows, [result.seen(name, r.model) for r in rows]),
        f'<p class="note">{text(said)}</p>',
        figure(drawn, f"{TASKS[name].title}: {task.primary_metric} beside its controls") if bars
        else warning("Every score is void; nothing to plot."),
    ]  # fmt: skip


def _scores(rows: Sequence[ScoreResult], seen: Sequence[str] = ()) -> str:
    columns = ("model", "page shown", "metric", "value", "95 % interval", "items", "subjects",
               "unparsed", "note")  # fmt: skip
    cells = [
        (r.model, _page_shown(r.model, r.control), r.metric,
         shown(r.value, r.metric), range_of(r), r.n_items, r.n_subjects, r.n_unparsed, r.note)
        for r in rows
    ]  # fmt: skip
    return table(
        (*columns, "corpora seen before") if seen else columns,
        [(*row, said) for row, said in zip(cells, seen, strict=True)] if seen else cells,
        own=[r.control == "none" and r.model not in BASELINES for r in rows],
    )  # fmt: skip


def _page_shown(model: str, control: str) -> str:
    """Say in words what a model was shown; the control ``none`` is the page itself."""
    if model in BASELINES:
        return "no page"
    return CONTROLS[control].meaning if control == "none" else control


def _worst(name: str, cases: Sequence[Case]) -> str:
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
    for case in open_:
        parts.append(
            table(
                ("model", "item", "corpus", "category", "question", "reference", "answer", "score"),
                [(case.model, case.item_id, case.corpus, case.category, case.question,
                  case.reference, case.answer if case.is_parsed else f"(not read) {case.answer}",
                  f"{case.score:.2f}")],
            )
        )  # fmt: skip
        if case.page is not None:
            parts.append(page_figure(case.page, f"Page of item {case.item_id}, {case.corpus}"))
    return "\n".join(parts)


def _judges(judges: Sequence[JudgeSummary]) -> str:
    if not judges:
        return "<p>No judge was asked in this run.</p>"
    parts = []
    for judge in judges:
        title = f"{judge.model} judged by {judge.judge}"
        about = (
            f"Prompt {judge.prompt} ({judge.prompt_hash}); {judge.n_repeats} repeats; text written "
            f"by {', '.join(judge.writers)}; {judge.n_dropped} replies dropped, "
            f"{judge.n_held_back} items held back."
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


def _notes(result: Result, notes: Notes) -> str:
    leakage = list(notes.leakage) or ["Leakage between corpora was not looked for in this run."]
    exposure = list(notes.exposure) or ["Which published test people the models met is not known."]
    seen = exposure_part(result)
    return f"<h3>Leakage</h3>{bullets(leakage)}<h3>Exposure</h3>{seen}{bullets(exposure)}"


def _comparison(result: Result, earlier: Result | None) -> str:
    if earlier is None:
        return "<p>There is no earlier run to compare with.</p>"
    if earlier.sha256 == result.sha256:
        return f"<p>The earlier run has the same numbers (<code>{result.sha256[:12]}</code>).</p>"
    parts = [
        f"<p>Earlier <code>{earlier.sha256[:12]}</code>, now <code>{result.sha256[:12]}</code>. "
        "Overlapping intervals are no test: for a paired one, compare the answers item by item.</p>"
    ]
    for name, task in result.tasks.items():
        before = earlier.tasks.get(name)
        if before is None:
            parts.append(warning(f"Task {name!r} is not in the earlier run."))
        elif before.items_sha256 != task.items_sha256:
            parts.append(warning(f"Task {name!r} has other items: its scores cannot be compared."))
        else:
            parts.append(_changes(result, earlier, name))
    return "\n".join(parts)


def _changes(result: Result, earlier: Result, name: str) -> str:
    metric = result.tasks[name].primary_metric
    was = {(r.model, r.control): r for r in earlier.scores if (r.task, r.metric) == (name, metric)}
    now = {(r.model, r.control): r for r in result.scores if (r.task, r.metric) == (name, metric)}
    scale, rows, changes = scale_of(metric), [], []
    for key in sorted({*was, *now}):
        a, b = was.get(key), now.get(key)
        gap = "void"
        if a is not None and b is not None and a.value is not None and b.value is not None:
            gap = f"{scale * (b.value - a.value):+.1f}"
            changes.append(Change(" / ".join(key), _scaled(a, scale), _scaled(b, scale)))
        cells = [
            "not scored" if r is None else f"{shown(r.value, metric)} ({range_of(r)})"
            for r in (a, b)
        ]
        rows.append((key[0], _page_shown(*key), *cells, gap))
    written = table(("model", "page shown", "earlier", "now", "difference"), rows)
    if not changes:
        return f"<h3>{text(name)}</h3>{written}"
    title = f"{TASKS[name].title}: earlier (square) and now (dot)"
    drawn = change_svg(title, f"{metric}{unit_word(metric_unit(metric))}", changes)
    return f"<h3>{text(name)}</h3>{written}{figure(drawn, title)}"


def _scaled(row: ScoreResult, scale: float) -> tuple[float, float | None, float | None]:
    low = None if row.ci_low is None else scale * row.ci_low
    high = None if row.ci_high is None else scale * row.ci_high
    return scale * (row.value or 0.0), low, high


def _provenance(result: Result, notes: Notes) -> str:
    lines = [("result", result.sha256)]
    lines += [(f"seed of {name}", str(seed)) for name, seed in result.seeds.items()]
    for name, task in result.tasks.items():
        lines += [(f"items of {name}", task.items_sha256), (f"task {name}", task.fingerprint)]
        lines.append((f"prompt of {name}", task.prompt))
    lines += [(name, notes.provenance[name]) for name in sorted(notes.provenance)]
    lines.append(("Python", result.environment.python))
    lines += list(result.environment.libraries.items())
    return table(("what", "content"), lines)
