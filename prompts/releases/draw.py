"""Which samples of a release are drawn: within caps, in whole blocks, in the recipe's ratio.

Works on ids alone, so a release of a million rows is drawn in memory. How a drawn row becomes
messages about pictures is in ``rows``; which pages may be drawn on, in ``windows``;
which texts are one, in ``duplicates``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

import polars as pl

from prompts import words
from prompts.releases.classes import NORMAL, PAGE_CLASSES
from prompts.releases.duplicates import band_keys, without_duplicates
from prompts.releases.recipe import GENERAL, KINDS, SPLITS, TEXTS, Caps, Recipe, ReleaseError
from prompts.releases.rows import ShardTables, text_of
from prompts.releases.windows import keep_windows


@dataclass(frozen=True, slots=True)
class Selection:
    """What was drawn.

    Parameters
    ----------
    rows
        ``shard, kind, split, corpus, subject_id, segment_id, sample_id, is_gated, pathology,
        page_class``.
    available
        ``(split, kind)`` to the number of usable samples before caps.
    factors
        Split to what its counts were multiplied by; 1 where they were not scaled.
    duplicates
        Kind to the number of near-duplicate texts left out.
    """

    rows: pl.DataFrame
    available: Mapping[tuple[str, str], int]
    factors: Mapping[str, Fraction]
    duplicates: Mapping[str, int]

    def classes(self) -> dict[str, dict[str, int]]:
        """Return the rows drawn by class of their page, of each split and kind about pages."""
        about = self.rows.filter(pl.col("kind") != GENERAL)
        found: dict[str, dict[str, int]] = {}
        counts = (
            about.group_by("split", "kind", "page_class").len().sort("split", "kind", "page_class")
        )
        for split, kind, name, n in counts.iter_rows():
            found.setdefault(f"{split}/{kind}", {})[name] = n
        return found

    def ids_of(self, shard: str, split: str) -> dict[str, set[str]]:
        """Return the drawn sample ids of one shard and split by kind."""
        rows = self.rows.filter((pl.col("shard") == shard) & (pl.col("split") == split))
        return {kind: set(rows.filter(pl.col("kind") == kind)["sample_id"]) for kind in KINDS}


_BANDS = pl.List(pl.UInt64)
_CANDIDATE: dict[str, type[pl.DataType] | pl.DataType] = {
    "rank": pl.UInt64, "shard": pl.String, "kind": pl.String, "split": pl.String,
    "corpus": pl.String, "subject_id": pl.String, "segment_id": pl.String,
    "sample_id": pl.String, "block_id": pl.String, "is_gated": pl.Boolean, "pathology": pl.Int8,
    "page_class": pl.String, "bands": _BANDS,
}  # fmt: skip


def candidates(recipe: Recipe, shard: str, tables: ShardTables) -> pl.DataFrame:
    """Return the usable samples of a shard with their draw rank, ids only.

    Where the recipe leaves out near-duplicates, ``bands`` holds what texts are compared by.
    """
    light = tables.segments.select(
        "segment_id",
        "split",
        "corpus",
        "subject_id",
        "is_gated",
        "page_class",
        pl.col("pathology").cast(pl.Int8),
    )
    frames = []
    for kind in KINDS:
        usable = tables.usable(kind, recipe)
        if usable.is_empty():
            continue
        block = "block_id" if "block_id" in usable.columns else "sample_id"
        compared = recipe.duplicates if kind in getattr(recipe.duplicates, "kinds", ()) else None
        bands: list[list[int] | None] = [None] * usable.height
        if compared:
            said = (text_of(row) for row in usable.iter_rows(named=True))
            # a block's questions repeat each other by design
            is_alone = (usable[block] == usable["sample_id"]).to_list()
            keys = zip(band_keys(compared, recipe.seed, said), is_alone, strict=True)
            bands = [key if alone else None for key, alone in keys]
        ids = usable.select(
            "segment_id",
            "sample_id",
            pl.Series("bands", bands, dtype=_BANDS),
            block_id=block,
        )
        ids = ids.join(light, on="segment_id", how="inner", maintain_order="left")
        ranks = [words.number(recipe.seed, s, f"draw-{kind}") for s in ids["block_id"]]
        frames.append(
            ids.with_columns(
                pl.Series("rank", ranks, dtype=pl.UInt64),
                shard=pl.lit(shard),
                kind=pl.lit(kind),
            ).select(list(_CANDIDATE))
        )
    return pl.concat(frames) if frames else pl.DataFrame(schema=_CANDIDATE)


def select(recipe: Recipe, pool: pl.DataFrame) -> Selection:
    """Draw the mixture: per split and kind the lowest ranks, within the caps.

    Raises
    ------
    ReleaseError
        If a subject lies in two splits, a sample id repeats, or a kind falls short where the
        recipe does not allow it.
    """
    _assert_disjoint(pool)
    is_general = pl.col("kind") == GENERAL
    windows = keep_windows(recipe, pool.filter(~is_general))
    unlike, duplicates = without_duplicates(pl.concat([windows, pool.filter(is_general)]))
    pool = _unbroken(pool, unlike).drop("bands")
    drawn: list[pl.DataFrame] = []
    available: dict[tuple[str, str], int] = {}
    factors: dict[str, Fraction] = {}
    for split in SPLITS:
        here = pool.filter(pl.col("split") == split)
        for kind in KINDS:
            available[split, kind] = here.filter(pl.col("kind") == kind).height
        cells = _cells(recipe, split, here)
        taken, factors[split] = _in_ratio(recipe, split, cells)
        drawn += taken
    return Selection(pl.concat([pool.clear(), *drawn]), available, factors, duplicates)


@dataclass(frozen=True, slots=True)
class _Cell:
    """One count of the mixture and what it may be drawn from."""

    name: str
    pool: pl.DataFrame
    wanted: int
    caps: Caps


def _cells(recipe: Recipe, split: str, pool: pl.DataFrame) -> list[_Cell]:
    """Return the counts a split asks for; general pairs apart by source, in their weights."""
    cells = []
    for kind in KINDS:
        wanted = recipe.wanted(split, kind)
        here = pool.filter(pl.col("kind") == kind)
        if kind != GENERAL:
            cells.append(_Cell(kind, here, wanted, recipe.caps))
            continue
        for source, n in _shared_out(wanted, recipe.general).items():
            mine = here.filter(pl.col("corpus") == source)
            cells.append(_Cell(f"{kind} pairs of {source}", mine, n, Caps()))
    return [cell for cell in cells if cell.wanted]


def _shared_out(n: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share a count out by weights: whole numbers, largest remainder first, ties by name."""
    whole = sum(weights.values())
    exact = {name: Fraction(n * weight, whole) for name, weight in sorted(weights.items())}
    shares = {name: int(value) for name, value in exact.items()}
    left = sorted(exact, key=lambda name: shares[name] - exact[name])[: n - sum(shares.values())]
    return {name: share + (name in left) for name, share in shares.items()}


def _in_ratio(
    recipe: Recipe, split: str, cells: Sequence[_Cell]
) -> tuple[list[pl.DataFrame], Fraction]:
    """Draw the cells of a split as the recipe's ``scale`` says; return them and the factor.

    A scaled count is rounded down; of questions, which are drawn in whole blocks, up to three more
    may be missing.
    """
    taken = [_drawn(recipe, cell.pool, cell.wanted, cell.caps) for cell in cells]
    for cell, rows in zip(cells, taken, strict=True):
        falls_short = not rows.height if recipe.scale == "to_present" else rows.height < cell.wanted
        if falls_short and not recipe.is_shortfall_allowed:
            raise ReleaseError(
                f"release {recipe.release_id} wants {cell.wanted} {cell.name} in {split} and "
                f"{rows.height} are there within the caps; lower the mixture, materialise "
                "more shards, or set is_shortfall_allowed"
            )
    there = [
        Fraction(rows.height, cell.wanted)
        for cell, rows in zip(cells, taken, strict=True)
        if rows.height
    ]
    factor = min(there, default=Fraction(1)) if recipe.scale == "to_present" else Fraction(1)
    if factor < 1:
        taken = [_drawn(recipe, c.pool, int(c.wanted * factor), c.caps) for c in cells]
    if recipe.scale == "to_present":
        taken = _alike(recipe, cells, taken)
    return taken, factor


def _alike(
    recipe: Recipe, cells: Sequence[_Cell], taken: Sequence[pl.DataFrame]
) -> list[pl.DataFrame]:
    """Give kinds that were asked in equal number as many as the one that whole blocks left short."""
    drawn = list(taken)
    while True:
        least: dict[int, int] = {}
        for cell, rows in zip(cells, drawn, strict=True):
            if rows.height and cell.name in TEXTS:
                least[cell.wanted] = min(rows.height, least.get(cell.wanted, rows.height))
        above = [
            i for i, cell in enumerate(cells)
            if cell.name in TEXTS and drawn[i].height > least.get(cell.wanted, 0)
        ]  # fmt: skip
        if not above:
            return drawn
        # a redrawn kind may fall below in its turn, where a cap rounds down
        for i in above:
            drawn[i] = _drawn(recipe, cells[i].pool, least[cells[i].wanted], cells[i].caps)


def _unbroken(pool: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Leave out what is left of blocks that lost a page."""
    whole = pool.group_by("kind", "block_id").agg(pl.len().alias("n_whole"))
    kept = kept.join(whole, on=["kind", "block_id"], maintain_order="left")
    is_whole = pl.len().over("kind", "block_id") == pl.col("n_whole")
    return kept.filter(is_whole).drop("n_whole")


def _drawn(recipe: Recipe, pool: pl.DataFrame, wanted: int, bounds: Caps) -> pl.DataFrame:
    """Take samples within the caps, and of plain pages no more than their share of what is taken.

    Where other pages are few, so are plain ones: their bound is lowered until it holds.
    """
    share = bounds.normal_share
    most = wanted if share is None else int(share * wanted)
    while True:
        rows = _taken(recipe, pool, wanted, bounds, most)
        n_normal = rows.filter(pl.col("page_class") == NORMAL).height
        if share is None or n_normal <= share * rows.height:
            return rows
        most = min(n_normal - 1, int(share / (1.0 - share) * (rows.height - n_normal)))


def _in_turn(recipe: Recipe, pool: pl.DataFrame) -> pl.DataFrame:
    """Sort samples by rank, the strata of the recipe in turn; the rows of a block stay together."""
    strata = {
        "none": [], "corpus": ["corpus"], "corpus_and_class": ["corpus", "block_class"],
    }[recipe.balance]  # fmt: skip
    order = {name: i for i, name in enumerate(PAGE_CLASSES)}
    of_page = pl.col("page_class").replace_strict(order, default=len(order), return_dtype=pl.Int8)
    pool = pool.with_columns(block_class=of_page.min().over("kind", "block_id"))
    turn = [pl.col("rank").rank("dense").over(strata)] if strata else []
    return pool.sort(*turn, "rank", "block_id", "sample_id").drop("block_class")


def _taken(
    recipe: Recipe, pool: pl.DataFrame, wanted: int, bounds: Caps, most_normal: int
) -> pl.DataFrame:
    """Take samples in order of rank within the caps, whole blocks only.

    A part of a block would give answers away, so one that would pass a cap or the number wanted is
    left out and the next one tried: pairs fill what quartets leave. Samples without a block are
    blocks of one.
    """
    caps = [
        (column, cap)
        for column, cap in (
            ("segment_id", bounds.per_segment),
            ("subject_id", bounds.per_subject),
            ("corpus", bounds.per_corpus),
        )
        if cap is not None
    ]
    ranked = _in_turn(recipe, pool)
    used = Counter[tuple[str, str]]()
    taken: list[int] = []
    n_normal = 0
    columns = ranked.select("block_id", "page_class", *(column for column, _ in caps)).iter_rows()
    for _, block in groupby(enumerate(columns), key=lambda row: row[1][0]):
        rows = list(block)
        n_plain = sum(row[1] == NORMAL for _, row in rows)
        if len(taken) + len(rows) > wanted or n_normal + n_plain > most_normal:
            continue
        uses = Counter(
            (column, value)
            for _, (_, _, *values) in rows
            for (column, _), value in zip(caps, values, strict=True)
        )
        limit = dict(caps)
        if any(used[key] + n > limit[key[0]] for key, n in uses.items()):
            continue
        used.update(uses)
        n_normal += n_plain
        taken += [i for i, _ in rows]
        if len(taken) == wanted:
            break
    return ranked[taken]


def _assert_disjoint(pool: pl.DataFrame) -> None:
    splits = pool.group_by("subject_id").agg(pl.col("split").n_unique().alias("n"))
    shared = splits.filter(pl.col("n") > 1).sort("subject_id")
    if shared.height:
        raise ReleaseError(
            f"{shared.height} subjects lie in more than one split, first {shared['subject_id'][0]}; "
            "splits are made per subject in the recordings table: rebuild those shards"
        )
    doubled = pool.height - pool["sample_id"].n_unique()
    if doubled:
        raise ReleaseError(f"{doubled} sample ids repeat; the same shard may be listed twice")
