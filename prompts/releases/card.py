"""The dataset card of a release: front matter for the hub, counts, provenance, limits.

Everything in it is read from the recipe and the report; nothing is claimed by hand about numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from prompts.captions.caption import CAPTIONS_VERSION
from prompts.questions.items import QUESTIONS_VERSION
from prompts.releases.classes import NORMAL, PAGE_CLASSES
from prompts.releases.files import COLUMN_MEANINGS, ReleaseReport
from prompts.releases.recipe import KINDS, SPLITS, Recipe
from prompts.texts.narrative_template import TREND_GRADES

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"),
          (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))  # fmt: skip

NOTICE = (
    "**Research only. Not a medical device.** Nothing here may be used for the care of a person. A "
    "10-second page supports description, not diagnosis."
)

_LIMITS = """\
- Text is written by rules, or by a teacher that sees measured numbers and never the page. It says what the
  engine measured; where the engine is wrong, the text is wrong in the same way.
- Thresholds marked as engineering defaults are not clinical standards.
- "Not seen" means looked for and not found on this page; "not judged" means it could not be judged.
- Nothing is said about diagnosis, cause, drugs, age norms, reactivity or how often something happens in
  a recording: ten seconds do not show it.
- Rows marked `is_simulated` show a simulator's signal, not a person's.
- Rows marked `is_offline_teacher` were written by a template, not by a language model.
- EEG can identify people: subject ids are salted hashes, and rows are not to be linked to other data.
"""


def write_card(recipe: Recipe, report: ReleaseReport, remark: str = "", n_previous: int = 0) -> str:
    """Write the card of a release as Markdown with YAML front matter.

    Parameters
    ----------
    recipe, report
        What was asked for and what is there.
    remark
        A paragraph about this copy, put before the counts.
    n_previous
        Most earlier pages that a row compares its page with, counted in the rows.
    """
    front = yaml.safe_dump(_front_matter(recipe, report), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{front}---",
        f"# EEG pages with grounded text: {recipe.release_id}",
        NOTICE,
        recipe.description.strip(),
        remark,
        _loading(report),
        "## Rows\n\n" + _counts(report),
        "## What the pages show\n\n" + _classes(recipe, report),
        "## Corpora and licences\n\n" + _corpora(report),
        "## Who wrote the text\n\n" + _writers(report),
        "## Columns\n\n" + _columns(),
        "## How trends are worded\n\n" + _trends(n_previous),
        "## Limits\n\n" + _LIMITS.strip(),
        "## How it was made\n\n" + _provenance(recipe, report),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _front_matter(recipe: Recipe, report: ReleaseReport) -> dict[str, Any]:
    licences = list(report.licences)
    is_single = len(licences) == 1
    files = {s: [f.name for f in report.files if f.split == s] for s in SPLITS}
    size = next((name for bound, name in _SIZES if report.n_rows < bound), "10M<n<100M")
    return {
        "pretty_name": f"NeuroGloss {recipe.release_id}",
        "language": ["en"],
        "license": licences[0].lower() if is_single else "other",
        **({} if is_single else {"license_name": "mixed", "license_details": ", ".join(licences)}),
        "task_categories": ["image-text-to-text", "visual-question-answering"],
        "tags": ["eeg", "neuroscience", *(["synthetic"] if report.n_simulated else [])],
        "size_categories": [size],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": s, "path": names} for s, names in files.items() if names],
            }
        ],
    }


def _loading(report: ReleaseReport) -> str:
    files = {s: f"{s}-*.parquet" for s in SPLITS if any(f.split == s for f in report.files)}
    return f"""```python
from datasets import load_dataset

dataset = load_dataset("parquet", data_files={files!r})
dataset["train"][0]["images"]  # PIL images: the page first
```"""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _counts(report: ReleaseReport) -> str:
    rows = [
        [
            split,
            *(str(report.counts[split][k]) for k in KINDS),
            str(sum(report.counts[split].values())),
        ]
        for split in SPLITS
    ]
    text = _table(["split", *KINDS, "all"], rows)
    text += "\n\nSplits are disjoint by subject."
    if report.shortfalls:
        short = ", ".join(
            f"{k} {there} of {wanted}" for k, (wanted, there) in report.shortfalls.items()
        )
        text += f" Fewer rows than the recipe asks for: {short}."
    scaled = ", ".join(f"{k} {v}" for k, v in report.drawing.factors.items() if v != "1")
    if scaled:
        text += (
            " So that the ratio stays as asked, all counts of a split were multiplied by one factor, "
            f"the largest for which every kind suffices: {scaled}."
        )
    return text


def _classes(recipe: Recipe, report: ReleaseReport) -> str:
    """Say what was found on the pages drawn, and what bounds and balances it."""
    found = report.drawing.classes
    rows = [
        [cell, *(str(counts.get(name, 0)) for name in PAGE_CLASSES),
         _share(counts.get(NORMAL, 0), sum(counts.values()))]
        for cell, counts in found.items()
    ]  # fmt: skip
    text = _table(["split/kind", *PAGE_CLASSES, f"share {NORMAL}"], rows)
    text += (
        "\n\nA page counts by the most telling thing found on it, in the order of the columns; "
        f"`slowing` holds every change of the background, `{NORMAL}` pages with nothing but rhythm and "
        "voltage."
    )
    share = recipe.caps.normal_share
    if share is not None:
        text += f" Of each split and kind at most {share:.0%} may be `{NORMAL}`."
    return text + _BALANCES[recipe.balance]


_BALANCES = {
    "none": "",
    "corpus": " Corpora were drawn from in turn.",
    "corpus_and_class": " Corpora and these classes were drawn from in turn.",
}


def _corpora(report: ReleaseReport) -> str:
    licence_of = {c: lic for lic, corpora in report.licences.items() for c in corpora}
    rows = [
        [c, str(n), licence_of[c], "yes" if c in report.gated_corpora else "no"]
        for c, n in report.by_corpus.items()
    ]
    text = _table(["corpus", "rows", "licence", "gated"], rows)
    if report.n_gated:
        text += (
            f"\n\n{report.n_gated} rows are of gated corpora: this release may not be published."
        )
    return text


def _writers(report: ReleaseReport) -> str:
    n = report.n_rows
    return (
        f"- simulated pages: {report.n_simulated} of {n} rows ({_share(report.n_simulated, n)})\n"
        f"- offline template teacher: {report.n_offline_teacher} of {n} rows "
        f"({_share(report.n_offline_teacher, n)})\n"
        f"- paid to hosted teachers: {report.cost_usd:.4f} USD\n"
        "- every row passed the grounding check; dropped texts are not here"
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def _columns() -> str:
    return _table(["column", "meaning"], [[f"`{k}`", v] for k, v in COLUMN_MEANINGS.items()])


def _trends(n_previous: int) -> str:
    if not n_previous:
        return "No row compares its page with an earlier one."
    edges: Mapping[str, float] = {word: edge for edge, word in TREND_GRADES}
    steps = ", ".join(
        f"{word} below {edge:.0%}" if edge != float("inf") else f"{word} above"
        for word, edge in edges.items()
    )
    pages = "page" if n_previous == 1 else "pages"
    return (
        f"Change of mean band power against the mean of up to {n_previous} earlier {pages} of the "
        f"same recording: {steps}; consistently low: under 2 % of total power on all of these pages. No "
        "standard exists for these words."
    )


def _provenance(recipe: Recipe, report: ReleaseReport) -> str:
    absent = ", ".join(report.absent_shards) or "none"
    return (
        f"- recipe `{recipe.release_id}`, seed {recipe.seed}, captions version {CAPTIONS_VERSION} "
        f"({recipe.caption_variant}), questions version {QUESTIONS_VERSION}\n"
        f"- content hash `{report.content_hash}`; hashes of all files in `manifest.json`\n"
        f"- shards read: {', '.join(report.shards)}\n"
        f"- shards named but not materialised: {absent}"
    )
