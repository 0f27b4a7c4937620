"""Boxes of small corpus trees, gathered as the graph does; shared by the tests of annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from every_corpus import take_in
from numpy.typing import NDArray

from dagster_project.corpora.annotations.boxes import AnnotatedPage, Box, Tally, boxes_of
from dagster_project.corpora.annotations.gather import AnnotatedShard, Marks, gather
from dagster_project.corpora.annotations.own import OwnEvents, is_own, own_events
from dagster_project.corpora.annotations.rows import PageSignal
from dagster_project.corpora.spec import CorpusSpec
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, SFREQ_HZ, ExpertEvent

Row = dict[str, Any]


def gathered(spec: CorpusSpec, root: Path) -> tuple[Marks, list[Row], OwnEvents]:
    """Take a corpus in and box it; also its segments without signal, and its own tables."""
    taken = take_in(spec, root)
    rows = [r for shard in taken for r in shard.inventory.recordings if r["status"] == "accepted"]
    own = own_events(spec, root, [r["path"] for r in rows])
    shards = []
    for shard in taken:
        frame = pl.from_arrow(shard.segments)
        assert isinstance(frame, pl.DataFrame)
        recordings = {r["recording_id"]: r for r in shard.inventory.recordings}
        shards.append(
            AnnotatedShard(
                shard.key, recordings, lambda columns, f=frame: iter([f.select(columns)]), {},
                is_own(spec), own.events,
            )
        )  # fmt: skip
    segments = [
        row for shard in taken for row in shard.segments.drop_columns(["signal"]).to_pylist()
    ]
    return gather(shards), segments, own


def places(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, float, float]]:
    return [(r["waveform"], r["channel"], round(r["t0_s"], 3), round(r["t1_s"], 3)) for r in rows]


def outcomes(tally: Tally) -> dict[tuple[str, str], int]:
    """Counts by kind and outcome."""
    total: Counter[tuple[str, str]] = Counter()
    for (_, kind, outcome), n in tally.counts.items():
        total[kind, outcome] += n
    return dict(total)


def page(
    *events: ExpertEvent, recorded: Sequence[str] = CANONICAL19, corpus: str = "tuar", **more: Any
) -> AnnotatedPage:
    return AnnotatedPage(
        "g-1", corpus, "s-1", "train", more.pop("schema", REFERENTIAL19), tuple(recorded), events,
        **more,
    )  # fmt: skip


def boxed(
    event: ExpertEvent, waves: Mapping[str, NDArray[np.float64]] | None = None, **more: Any
) -> tuple[list[Box], dict[tuple[str, str], int]]:
    """Box one event on a page whose rows hold some waves over a little noise."""
    rng = np.random.default_rng(7)
    data = rng.standard_normal((len(CANONICAL19), N_TIMES))
    for name, wave in (waves or {}).items():
        data[CANONICAL19.index(name)] += wave
    shown = page(event, **more)
    tally = Tally()
    is_single = shown.schema.is_referential
    signal = PageSignal(data.astype(np.float32), shown.recorded) if is_single else None
    found = boxes_of(shown, tally, signal)
    return found, outcomes(tally)


def bump(at_s: float, length_s: float, uv: float) -> NDArray[np.float64]:
    """One smooth half wave."""
    t = np.arange(N_TIMES) / SFREQ_HZ
    inside = (t >= at_s) & (t < at_s + length_s)
    return np.where(inside, uv * np.sin(np.pi * (t - at_s) / length_s) ** 2, 0.0)


def buzz(at_s: float, length_s: float, uv: float) -> NDArray[np.float64]:
    """A burst of fast activity."""
    t = np.arange(N_TIMES) / SFREQ_HZ
    inside = (t >= at_s) & (t < at_s + length_s)
    return np.where(inside, uv * np.sin(2 * np.pi * 48.0 * t), 0.0)
