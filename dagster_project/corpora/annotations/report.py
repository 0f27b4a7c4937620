"""What people are shown of annotations: counts, a page with its boxes on the waves, split faults.

Plain rows in, plain values out; the rim puts them into materialisations and checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.corpora.segment_table import STEP_UV
from detectors.pages.overlay import review_page
from detectors.types import ChannelSchema, Finding
from detectors.vocabulary import WAVEFORMS

MONTAGE = "average_reference"
"""Single electrodes, one a row, as boxes are."""


def box_counts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count boxes, segments and subjects by class, source and split."""
    if not rows:
        return []
    keys = ["waveform", "corpus", "origin", "split"]
    frame = pl.DataFrame([{k: row[k] for k in (*keys, "segment_id", "subject_id")} for row in rows])
    counted = frame.group_by(keys).agg(
        pl.len().alias("boxes"),
        pl.col("segment_id").n_unique().alias("segments"),
        pl.col("subject_id").n_unique().alias("subjects"),
    )
    return counted.sort(keys).to_dicts()


def annotated_page(
    segment: Mapping[str, Any], boxes: Iterable[Mapping[str, Any]]
) -> NDArray[np.uint8]:
    """Draw a segment with its boxes, shape (height, width, 3).

    Parameters
    ----------
    segment
        Row with ``segment_id``, ``channel_schema``, ``mask`` and ``signal``.
    boxes
        Its rows of ``waveform_annotations``.
    """
    schema = ChannelSchema.parse(segment["channel_schema"])
    data = np.asarray(segment["signal"], dtype=np.float32) * np.float32(STEP_UV)
    marks = [
        Finding(
            segment["segment_id"], WAVEFORMS[box["waveform"]].kind, (box["channel"],), box["t0_s"],
            box["t1_s"],
        )
        for box in boxes
    ]  # fmt: skip
    return review_page(
        data.reshape(len(schema.ch_names), -1), np.asarray(segment["mask"], dtype=bool), schema,
        marks, montage=MONTAGE,
    )  # fmt: skip


def split_faults(
    annotations: pl.DataFrame, planted: pl.DataFrame, segments: pl.DataFrame
) -> list[str]:
    """Return where subjects straddle splits, or a planted page left its origin's subject.

    Parameters
    ----------
    annotations, planted
        The tables of one release.
    segments
        ``segment_id``, ``subject_id`` and ``split`` of the release's segments.
    """
    columns = ["segment_id", "subject_id", "split"]
    everyone = pl.concat([f.select("subject_id", "split") for f in (annotations, planted)])
    splits = everyone.group_by("subject_id").agg(pl.col("split").n_unique().alias("n"))
    found = [
        f"subject {subject} lies in {n} splits"
        for subject, n in splits.filter(pl.col("n") > 1).sort("subject_id").iter_rows()
    ]
    stored = planted.filter(pl.col("origin_segment_id") != "")
    origins = stored.select(pl.col("origin_segment_id").alias("segment_id"), "subject_id", "split")
    pages = pl.concat([segments.select(columns), planted.select(columns)])
    for what, rows, known in (
        ("planted page of origin", origins, segments), ("annotation of", annotations, pages),
    ):  # fmt: skip
        compared = (
            rows.select(columns).unique().join(known, on="segment_id", how="left", suffix="_")
        )
        odd = compared.filter(
            pl.col("subject_id_").is_null()
            | (pl.col("subject_id") != pl.col("subject_id_"))
            | (pl.col("split") != pl.col("split_"))
        ).sort("segment_id")
        found += [
            f"{what} {segment}: not the subject and split of that segment"
            for segment in odd["segment_id"]
        ]
    return found
