"""Counts over the rows of a release as they are written, and the report and manifest made of them.

Used when a release is built and when a part of it is exported. Files are in ``release_files``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prompts.release_files import ReleaseReport, WrittenFile
from prompts.release_recipe import KINDS, SPLITS, Recipe

RELEASE_VERSION = "1"
"""Raised whenever the rows of the same recipe and shards may differ."""


class Tally:
    """Counts over the rows as they pass."""

    def __init__(self) -> None:
        self.cells: Counter[tuple[str, str]] = Counter()
        self.corpora: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.licences: dict[str, set[str]] = {}
        self.gated: set[str] = set()
        self.cost_usd = 0.0

    def watch(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Count rows and pass them on."""
        for row in rows:
            self.cells[row["split"], row["kind"]] += 1
            self.corpora[row["corpus"]] += 1
            for flag in ("is_simulated", "is_offline_teacher", "is_gated"):
                self.flags[flag] += row[flag]
            if row["is_gated"]:
                self.gated.add(row["corpus"])
            self.licences.setdefault(row["licence"], set()).add(row["corpus"])
            self.cost_usd += row["cost_usd"]
            yield row

    def report(
        self, recipe: Recipe, folder: Path, files: list[WrittenFile], shards: tuple[str, ...]
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
            by_corpus=dict(sorted(self.corpora.items())),
            shortfalls=shortfalls,
            shards=shards,
            absent_shards=tuple(s for s in recipe.shards if s not in shards),
            n_simulated=self.flags["is_simulated"],
            n_offline_teacher=self.flags["is_offline_teacher"],
            n_gated=self.flags["is_gated"],
            gated_corpora=tuple(sorted(self.gated)),
            licences={k: tuple(sorted(v)) for k, v in sorted(self.licences.items())},
            cost_usd=round(self.cost_usd, 6),
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
        "by_corpus": report.by_corpus,
        "shortfalls": report.shortfalls,
        "shards": report.shards,
        "absent_shards": report.absent_shards,
        "licences": report.licences,
        "n_simulated": report.n_simulated,
        "n_offline_teacher": report.n_offline_teacher,
        "n_gated": report.n_gated,
        "gated_corpora": report.gated_corpora,
        "cost_usd": report.cost_usd,
    }
