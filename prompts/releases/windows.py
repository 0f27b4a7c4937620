"""Which pages of each corpus a release may draw on: the cap per corpus, pathological pages first.

NeuroNarrator caps the training part near 20,000 windows per corpus and keeps pathological ones
first. Drawing samples from the pages kept is :mod:`prompts.releases.rows`.
"""

from __future__ import annotations

import polars as pl

from prompts import words
from prompts.releases.recipe import SPLITS, Recipe


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
    caps = {
        (split, corpus): recipe.windows.cap(split, corpus)
        for split in SPLITS
        for corpus in ranked["corpus"].unique().sort()
    }
    place = ranked.with_columns(place=pl.int_range(pl.len()).over("split", "corpus"))
    bounds = pl.DataFrame(
        [(split, corpus, cap) for (split, corpus), cap in caps.items()],
        schema={"split": pl.String, "corpus": pl.String, "cap": pl.Int64},
        orient="row",
    )
    kept = place.join(bounds, on=["split", "corpus"]).filter(
        pl.col("cap").is_null() | (pl.col("place") < pl.col("cap"))
    )
    return pool.join(kept.select("segment_id"), on="segment_id", how="semi", maintain_order="left")
