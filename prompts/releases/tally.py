"""Counts over the rows of a release as they are written, and the report and manifest made of them.

Used when a release is built and when a part of it is exported. Files are in ``files``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prompts.releases.files import Drawing, LicenceLine, ReleaseReport, WrittenFile
from prompts.releases.recipe import KINDS, SPLITS, Recipe

RELEASE_VERSION = "3"
"""Raised whenever the rows of the same recipe and shards may differ."""


class Tally:
    """Counts over the rows as they pass."""

    def __init__(self) -> None:
        self.cells: Counter[tuple[str, str]] = Counter()
        self.corpora: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.pages: Counter[tuple[str, str]] = Counter()
        self.subjects: dict[str, set[str]] = {split: set() for split in SPLITS}
        self.ledger: Counter[tuple[str, str, bool]] = Counter()
        self._page = ("", "")
        self.gated: set[str] = set()
        self.cost_usd = 0.0

    def watch(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Count rows and pass them on; the rows of a page must follow each other."""
        for row in rows:
            page = (row["split"], next(iter(row["segment_ids"]), ""))
            self.pages[row["corpus"], row["split"]] += page != self._page
            self._page = page
            self.subjects[row["split"]].add(row["subject_id"])
            self.ledger[row["licence"], row["corpus"], row["is_gated"]] += 1
            self.cells[row["split"], row["kind"]] += 1
            self.corpora[row["corpus"]] += 1
            for flag in ("is_simulated", "is_offline_teacher", "is_gated"):
                self.flags[flag] += row[flag]
            if row["is_gated"]:
                self.gated.add(row["corpus"])
            self.cost_usd += row["cost_usd"]
            yield row

    def report(
        self,
        recipe: Recipe,
        folder: Path,
        files: list[WrittenFile],
        shards: tuple[str, ...],
        drawing: Drawing = Drawing(),  # noqa: B008 -- frozen
        terms: Mapping[str, str] | None = None,
    ) -> ReleaseReport:
        """Return what was written.

        Parameters
        ----------
        recipe
            What was asked for.
        folder
            Where the files lie.
        files
            What was written.
        shards
            Shards read.
        drawing
            How the rows were drawn.
        terms
            Licence id to where its text is.
        """
        digest = hashlib.sha256("".join(f.name + f.sha256 for f in files).encode()).hexdigest()
        shortfalls = {
            f"{split}/{kind}": (wanted, self.cells[split, kind])
            for split in SPLITS
            for kind in KINDS
            if self.cells[split, kind] < (wanted := recipe.wanted(split, kind))
        }
        return ReleaseReport(
            folder=folder,
            content_hash=digest[:16],
            files=tuple(files),
            counts={s: {k: self.cells[s, k] for k in KINDS} for s in SPLITS},
            asked=recipe.asked(),
            drawing=drawing,
            subjects={split: len(found) for split, found in self.subjects.items()},
            pages={
                corpus: {split: self.pages[corpus, split] for split in SPLITS}
                for corpus in sorted(self.corpora)
            },
            by_corpus=dict(sorted(self.corpora.items())),
            shortfalls=shortfalls,
            shards=shards,
            absent_shards=tuple(s for s in recipe.sources if s not in shards),
            n_simulated=self.flags["is_simulated"],
            n_offline_teacher=self.flags["is_offline_teacher"],
            n_gated=self.flags["is_gated"],
            gated_corpora=tuple(sorted(self.gated)),
            licences=self._licences(),
            ledger=self._ledger(terms or {}),
            cost_usd=round(self.cost_usd, 6),
        )

    def _licences(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = {}
        for licence, corpus, _ in self.ledger:
            found.setdefault(licence, set()).add(corpus)
        return {licence: tuple(sorted(corpora)) for licence, corpora in sorted(found.items())}

    def _ledger(self, terms: Mapping[str, str]) -> tuple[LicenceLine, ...]:
        kinds = sorted({(licence, is_gated) for licence, _, is_gated in self.ledger})
        return tuple(
            LicenceLine(
                licence,
                terms.get(licence, ""),
                tuple(sorted(c for lic, c, g in self.ledger if (lic, g) == (licence, is_gated))),
                sum(n for (lic, _, g), n in self.ledger.items() if (lic, g) == (licence, is_gated)),
                not is_gated,
            )
            for licence, is_gated in kinds
        )


def manifest_of(recipe: Recipe, report: ReleaseReport) -> dict[str, Any]:
    """Return the manifest of a release as plain values."""
    recipe_text = recipe.model_dump_json()
    return {
        "release": recipe.release_id,
        "writer_version": RELEASE_VERSION,
        "content_hash": report.content_hash,
        "recipe_sha256": hashlib.sha256(recipe_text.encode()).hexdigest(),
        "recipe": json.loads(recipe_text),
        "files": [asdict(f) for f in report.files],
        "counts": report.counts,
        "drawing": asdict(report.drawing),
        "subjects": report.subjects,
        "pages": report.pages,
        "by_corpus": report.by_corpus,
        "shortfalls": report.shortfalls,
        "shards": report.shards,
        "absent_shards": report.absent_shards,
        "licences": report.licences,
        "ledger": [asdict(line) for line in report.ledger],
        "n_simulated": report.n_simulated,
        "n_offline_teacher": report.n_offline_teacher,
        "n_gated": report.n_gated,
        "gated_corpora": report.gated_corpora,
        "cost_usd": report.cost_usd,
    }
