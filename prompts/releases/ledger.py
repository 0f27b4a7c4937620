"""Two reports in the folder of a release: the licence of every row, and what lies in which split.

Written from the counts of ``tally`` alone. The card is ``card``; what may leave the
storage root is decided in ``leaving``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prompts.releases.files import ReleaseReport, write_text
from prompts.releases.recipe import KINDS, SPLITS

LICENCES_NAME = "LICENCES.md"
SPLITS_NAME = "SPLITS.md"
REPORTS = (LICENCES_NAME, SPLITS_NAME)

Published = tuple[int, int, str]
"""Training windows, test windows, and a remark on how they were counted."""

_MAY = {
    True: "yes, under its terms",
    False: "no: to be used inside the storage root",
}


def write_reports(folder: Path, report: ReleaseReport, published: Mapping[str, Published]) -> None:
    """Write both reports into the folder of a release.

    Parameters
    ----------
    folder
        Where they go.
    report
        What was written.
    published
        Corpus to the windows a publication counts.
    """
    write_text(folder / LICENCES_NAME, licences_text(report))
    write_text(folder / SPLITS_NAME, splits_text(report, published))


def licences_text(report: ReleaseReport) -> str:
    """Return the licence ledger as Markdown: one line per licence, all rows accounted for."""
    rows = [
        [line.licence, str(line.n_rows), ", ".join(line.corpora), line.terms, _MAY[line.may_leave]]
        for line in report.ledger
    ]
    head = ["licence", "rows", "corpora", "terms", "may leave"]
    return (
        f"# Licences\n\nEvery row carries its licence in the column `licence`; these are all "
        f"{report.n_rows} rows.\n\n{_table(head, rows)}\n"
    )


def splits_text(report: ReleaseReport, published: Mapping[str, Published]) -> str:
    """Return what each split holds as Markdown, and ours beside published counts."""
    sizes = [
        [
            split,
            str(report.subjects[split]),
            str(sum(pages[split] for pages in report.pages.values())),
            str(sum(report.counts[split].values())),
            report.drawing.factors.get(split, "1"),
        ]
        for split in SPLITS
    ]
    kinds = [kind for kind in KINDS if any(report.asked[split][kind] for split in SPLITS)]
    drawn = [
        [split, *(f"{report.counts[split][k]} of {report.asked[split][k]}" for k in kinds)]
        for split in SPLITS
    ]
    parts = [
        "# Splits",
        "Disjoint by subject; the build stops otherwise.",
        _table(["split", "subjects", "pages", "rows", "counts multiplied by"], sizes),
        "## Drawn, of asked",
        _table(["split", *kinds], drawn),
        "## Near-duplicate texts left out",
        _duplicates(report),
        "## Pages by corpus",
        _table(*_by_corpus(report, published)),
    ]
    return "\n\n".join(parts) + "\n"


def page_counts(
    report: ReleaseReport, published: Mapping[str, Published]
) -> list[dict[str, str | int]]:
    """Return pages of each corpus by split; beside them what a publication counts, where known."""
    corpora = sorted({*report.pages, *published}) if published else sorted(report.pages)
    rows: list[dict[str, str | int]] = []
    for corpus in corpora:
        row: dict[str, str | int] = {"corpus": corpus}
        row |= {split: report.pages.get(corpus, {}).get(split, 0) for split in SPLITS}
        if published:
            train, test, remark = published.get(corpus, ("", "", "not in the publication"))
            row |= {"published train": train, "published test": test, "remark": remark}
        rows.append(row)
    return rows


def _by_corpus(
    report: ReleaseReport, published: Mapping[str, Published]
) -> tuple[list[str], list[list[str]]]:
    rows = page_counts(report, published)
    head = list(rows[0]) if rows else ["corpus", *SPLITS]
    return head, [[str(value) for value in row.values()] for row in rows]


def _duplicates(report: ReleaseReport) -> str:
    if not report.drawing.duplicates:
        return "not looked for"
    return ", ".join(f"{kind} {n}" for kind, n in report.drawing.duplicates.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
