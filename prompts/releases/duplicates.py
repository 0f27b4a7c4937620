"""Near-duplicate texts: which texts of one kind are told apart only by a word or two.

MinHash signatures (Broder 1997) of word shingles, cut into bands (Leskovec et al., *Mining of
Massive Datasets*, 3.4); both and the choice of bands are those of datasketch. Its index in memory
takes kilobytes a text; here a text is one 64-bit key a band in the pool of candidates, and texts
that share a key are found by grouping, so memory stays at some tens of bytes a text. What is drawn
from the rest is in ``draw``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

import polars as pl

from prompts.releases.recipe import SPLITS, Duplicates

_WORD = re.compile(r"\w+(?:\.\w+)*")


def band_keys(settings: Duplicates, seed: int, texts: Iterable[str]) -> Iterator[list[int]]:
    """Yield the band keys of texts: two texts as alike as the threshold mostly share one.

    Parameters
    ----------
    settings
        Threshold, length of shingles, number of permutations.
    seed
        Of the permutations.
    texts
        Read once; case and punctuation do not count, numbers do.

    Yields
    ------
    list of int
        One unsigned 64-bit key a band.
    """
    from datasketch import MinHash, MinHashLSH

    bands = MinHashLSH(threshold=settings.threshold, num_perm=settings.n_permutations)
    blank = MinHash(num_perm=settings.n_permutations, seed=seed)
    for text in texts:
        signature = blank.copy()
        signature.update_batch(shingles(text, settings.shingle_words))
        values = signature.hashvalues
        yield [_key(values[i * bands.r : (i + 1) * bands.r].tobytes()) for i in range(int(bands.b))]


def shingles(text: str, n_words: int) -> list[bytes]:
    """Return the runs of ``n_words`` words of a text; a shorter text is one run."""
    found = _WORD.findall(text.lower())
    last = max(len(found) - n_words, 0)
    return sorted({" ".join(found[i : i + n_words]).encode() for i in range(last + 1)})


def without_duplicates(pool: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Drop texts that are near-duplicates of one that comes before them.

    Held-out splits come first, so that nothing in train says what a test text says; within a split
    the lower rank stays. A text like a dropped one is dropped as well, whatever the order of rows.

    Parameters
    ----------
    pool
        Candidates with ``kind``, ``split``, ``rank``, ``sample_id`` and ``bands``, null where a
        kind is not looked through.

    Returns
    -------
    kept : polars.DataFrame
        In the order of ``pool``.
    dropped : dict
        Kind to number of texts dropped; only kinds looked through.
    """
    columns = ["kind", "split", "rank", "sample_id", "bands"]
    looked = pool.filter(pl.col("bands").is_not_null()).select(columns)
    if looked.is_empty():
        return pool, {}
    held_out_first = pl.col("split").replace_strict(
        {split: -i for i, split in enumerate(SPLITS)}, return_dtype=pl.Int8
    )
    looked = looked.sort(held_out_first, "rank", "sample_id").with_row_index("place")
    n_bands: int = looked.select(pl.col("bands").list.len().max()).item() or 0
    is_first = pl.all_horizontal(
        pl.col("place") == pl.col("place").min().over("kind", pl.col("bands").list.get(i))
        for i in range(n_bands)
    )
    marked = looked.select("kind", "sample_id", is_first=is_first)
    gone = marked.filter(~pl.col("is_first"))
    dropped = dict.fromkeys(sorted(set(marked["kind"])), 0)
    dropped |= {kind: n for kind, n in gone.group_by("kind").len().iter_rows()}
    return pool.join(gone, on=["kind", "sample_id"], how="anti", maintain_order="left"), dropped


def _key(band: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(band, digest_size=8).digest(), "little")
