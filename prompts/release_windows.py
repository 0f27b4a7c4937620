"""Which pages of each corpus a release may draw on: the cap per corpus, pathological pages first.

NeuroNarrator caps the training part near 20,000 windows per corpus and keeps pathological ones
first. Drawing samples from the pages kept is :mod:`prompts.release_rows`.
"""

from __future__ import annotations

import polars as pl

from prompts import words
from prompts.release_recipe import SPLITS, Recipe


def keep_windows(recipe: Recipe, pool: pl.DataFrame) -> pl.DataFrame:
    """Drop samples of pages beyond the recipe's cap per split and corpus.

    Parameters
    ----------
    recipe
        The release.
    pool
        Candidate samples with ``segment_id``, ``split``, ``corpus`` and ``pathology``: 2 where the
        page itself is labelled pathological, 1 where only its recording is, 0 elsewhere.

    Returns
    -------
    polars.DataFrame
        The samples of the pages kept: the same pages for the same pages offered and seed, whatever
        their order.
    """
    if recipe.windows is None or pool.is_empty():
        return pool
    pages = pool.select("segment_id", "split", "corpus", "pathology").unique("segment_id")
    draw = [words.number(recipe.seed, s, "window") for s in pages["segment_id"]]
    pages = pages.with_columns(pl.Series("draw", draw, dtype=pl.UInt64))
    first = ["pathology"] if recipe.windows.order == "pathological_first" else []
    ranked = pages.sort(
        [*first, "draw", "segment_id"], descending=[True] * len(first) + [False] * 2
    )
    kept = []
    for split in SPLITS:
        here, cap = ranked.filter(pl.col("split") == split), recipe.windows.cap(split)
        kept.append(here if cap is None else here.group_by("corpus", maintain_order=True).head(cap))
    return pool.join(pl.concat(k.select("segment_id") for k in kept), on="segment_id", how="semi")
