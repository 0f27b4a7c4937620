"""The releases of the evidence: one per stage and ablation, and their twins on blank pages.

They are built by :mod:`prompts.releases.build` like any other; a twin holds the same rows in the
same order with a white picture in place of every page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from benchmark.evidence.material import Material
from benchmark.evidence.picture import blank_png
from prompts.releases.build import build_release
from prompts.releases.recipe import Kind, Mixture, Recipe
from prompts.releases.rows import ShardTables

_ALL = 10**9
RELEASES: Mapping[str, tuple[Kind, ...]] = {
    "evidence-stage0": ("dialogues",),
    "evidence-stage1": ("captions",),
    "evidence-stage2": ("dialogues", "questions", "captions"),
    "evidence-stage2-no-teacher": ("questions", "captions"),
    "evidence-stage2-no-captions": ("dialogues", "questions"),
}
"""Release to the kinds it holds, all there is of each; dialogues stand where a teacher's texts would."""

_SHARD = "simulated"


def build_releases(material: Material, folder: Path, *, is_blank: bool = False) -> None:
    """Build every release of :data:`RELEASES` into ``folder``, a folder each.

    Parameters
    ----------
    material
        What was drawn.
    folder
        Where; an older release of the same name is replaced.
    is_blank
        Show a white picture in place of every page.
    """
    blank = blank_png()
    tables = ShardTables(
        segments=pl.DataFrame(material.pages),
        texts={
            "questions": pl.DataFrame(material.questions),
            "captions": pl.DataFrame(material.captions, infer_schema_length=None),
            "dialogues": pl.DataFrame(material.dialogues, infer_schema_length=None),
        },
        render=lambda segment_id, _: blank if is_blank else material.pictures[segment_id],
        terms={"CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/"},
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, kinds in RELEASES.items():
        mixture = Mixture(**{str(kind): _ALL for kind in kinds})
        recipe = Recipe(
            name=name,
            version="0.1.0",
            description="Evidence that a small model learns; simulated pages, not for other use.",
            shards=(_SHARD,),
            mixture={"train": mixture},
            is_shortfall_allowed=True,
        )
        build_release(recipe, lambda shard: tables, folder / name)
