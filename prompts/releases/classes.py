"""What a page is drawn as: by the most telling thing found on it, or as a page of plain background.

A release draws from these classes in turn and bounds the share of plain pages, which are most of what
is recorded. The class is read from findings that may be said, never from the corpus' labels: what a
corpus calls abnormal may show nothing on this page. Drawing is in ``draw``.
"""

from __future__ import annotations

import polars as pl

from detectors.vocabulary import KINDS

NORMAL = "normal"
"""Nothing but rhythm and voltage of the background was found."""
_PLAIN = frozenset({"posterior_rhythm", "dominant_rhythm", "voltage"})
PAGE_CLASSES = ("epileptiform", "slowing", "sleep", "artifact", NORMAL)
"""The most telling first; ``slowing`` stands for every change of the background: slowing, asymmetry,
attenuation. A page, and a block of pages, is of the first that fits."""


def _class_of(kind: str) -> str:
    family = KINDS[kind].family
    if family != "background":
        return family
    return NORMAL if kind in _PLAIN else "slowing"


CLASS_OF_KIND = {kind: _class_of(kind) for kind in KINDS}


def page_classes(segment_ids: pl.Series, findings: pl.DataFrame) -> pl.Series:
    """Return the class of each page.

    Parameters
    ----------
    segment_ids
        The pages.
    findings
        Their findings: ``segment_id``, ``kind``, ``is_masked``.
    """
    rank = {kind: PAGE_CLASSES.index(name) for kind, name in CLASS_OF_KIND.items()}
    said = findings.filter(~pl.col("is_masked")).select(
        "segment_id", rank=pl.col("kind").replace_strict(rank, return_dtype=pl.Int8)
    )
    best = said.group_by("segment_id").agg(pl.col("rank").min())
    ranks = segment_ids.to_frame("segment_id").join(
        best, on="segment_id", how="left", maintain_order="left"
    )["rank"]
    names = [NORMAL if at is None else PAGE_CLASSES[at] for at in ranks]
    return pl.Series("page_class", names, dtype=pl.String)
