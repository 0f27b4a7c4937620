"""Training sets from the graph's tables: Parquet files of segments and of their boxes.

Segments are rows of ``segments`` or ``planted_segments``, boxes of ``waveform_annotations``. Only
referential segments of corpora that have annotations are taken, and of recorded ones only those
that carry a box: a segment nobody annotated is not a segment without waveforms. The truth of
simulated and of planted segments is complete, so those without a box are taken too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from detectors.types import CANONICAL19, N_TIMES
from training.waveform.dataset import SegmentSet, truth_boxes
from training.waveform.errors import TrainerError

_SEGMENT_COLUMNS = (
    "segment_id", "corpus", "subject_id", "split", "channel_schema", "mask", "signal",
    "is_simulated",
)  # fmt: skip
_ANNOTATION_COLUMNS = ("segment_id", "corpus", "waveform", "channel", "t0_s", "t1_s")
_PLANTED_COLUMN = "origin_segment_id"
"""Only table ``planted_segments`` has it."""
MIN_WEIGHT = 0.5
"""Share of the experts who looked that must have marked a box (``corpora.md`` 7.1 takes the union of
two); engineering default."""


def read_splits(
    segments: Sequence[Path], annotations: Sequence[Path]
) -> tuple[dict[str, SegmentSet], bool]:
    """Read annotated segments by split.

    Parameters
    ----------
    segments, annotations
        Parquet files of the tables; both tables of segments are given as ``segments``.

    Returns
    -------
    splits : dict
        Segments by ``train``, ``validation`` and ``test``, by segment id; absent splits are absent.
    is_simulated : bool
        Whether every segment is simulated.

    Raises
    ------
    TrainerError
        If a file is missing or lacks a column.
    """
    boxes = pl.concat([_boxes(p) for p in annotations])
    corpora = boxes["corpus"].unique().to_list()
    boxed = boxes["segment_id"].unique().to_list()
    frames = [
        _read(p, _SEGMENT_COLUMNS).filter(
            (pl.col("channel_schema") == "referential19")
            & pl.col("corpus").is_in(corpora)
            & (pl.col("is_simulated") | pl.col("segment_id").is_in(boxed) | _is_planted(p))
        )
        for p in segments
    ]
    frame = pl.concat(frames).sort("segment_id")
    by_segment: dict[str, list[tuple[str, str, float, float]]] = {}
    for row in boxes.sort("segment_id", "t0_s", "channel", "waveform").iter_rows(named=True):
        box = (row["waveform"], row["channel"], row["t0_s"], row["t1_s"])
        by_segment.setdefault(row["segment_id"], []).append(box)
    splits = {
        str(split): _segment_set(part, by_segment)
        for (split,), part in sorted(frame.partition_by("split", as_dict=True).items())
    }
    return splits, bool(frame["is_simulated"].all())


def _boxes(path: Path) -> pl.DataFrame:
    """Return the boxes enough experts agree on."""
    frame = _read(path, _ANNOTATION_COLUMNS)
    if "weight" not in pl.read_parquet_schema(path):
        return frame
    weights = pl.read_parquet(path, columns=["weight"])["weight"]
    return frame.filter(weights >= MIN_WEIGHT)


def _is_planted(path: Path) -> bool:
    return _PLANTED_COLUMN in pl.read_parquet_schema(path)


def _read(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    if not path.is_file():
        raise TrainerError(f"table file {path} does not exist; materialise it first")
    missing = set(columns) - set(pl.read_parquet_schema(path))
    if missing:
        raise TrainerError(f"table file {path.name} lacks columns {', '.join(sorted(missing))}")
    return pl.read_parquet(path, columns=list(columns))


def _segment_set(
    frame: pl.DataFrame, by_segment: dict[str, list[tuple[str, str, float, float]]]
) -> SegmentSet:
    shape = (len(frame), len(CANONICAL19), N_TIMES)
    signals = frame["signal"].explode().to_numpy().astype(np.int16, copy=False).reshape(shape)
    masks = frame["mask"].explode().to_numpy().astype(bool).reshape(shape[:2])
    ids = tuple(frame["segment_id"].to_list())
    return SegmentSet(
        ids,
        tuple(frame["subject_id"].to_list()),
        signals,
        masks,
        tuple(truth_boxes(by_segment.get(i, [])) for i in ids),
    )
