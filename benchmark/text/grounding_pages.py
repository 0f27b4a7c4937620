"""Pages of planted signals, measured and judged, as the facts that captions are written from.

The signals are the second generator's (:mod:`benchmark.detectors.pages`); nothing here looks at
its truth: grounding compares words with measured facts, and the detectors benchmark compares those
with truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import polars as pl

from benchmark.detectors.pages import PageSettings, made_samples
from detectors.merge import merge_shard
from detectors.rows import finding_row, judgement_row
from detectors.rules import rule_findings
from detectors.signal.spatial import spatial_features
from detectors.signal.spectra import spectral_features
from detectors.types import SEGMENT_S, SegmentBatch
from prompts.facts.page import PageFacts, facts_of_shard

SIZES_K = (4.0, 12.0)
"""Sizes of planted events, times the background: clear ones and very large ones."""
STAGES = ("W", "N1", "N2", "N3", "REM", None)


def planted_facts(n: int, seed: int = 0) -> list[PageFacts]:
    """Return the facts of ``n`` planted pages of both generators' backgrounds, awake and asleep.

    Copied stages and labels are made up in turn, so that captions that quote them are checked too.
    """
    n_subjects = max(1, -(-n // (2 * 2 * 2 * len(SIZES_K))))
    settings = PageSettings(n_subjects=n_subjects, seed=seed, sizes_k=SIZES_K)
    return list(islice(_facts(settings), n))


def _facts(settings: PageSettings) -> Iterator[PageFacts]:
    for at, sample in enumerate(made_samples(settings)):
        yield from facts_of_batch(sample.batch, sample.origin.name, at)


def facts_of_batch(batch: SegmentBatch, recording_id: str, at: int = 0) -> list[PageFacts]:
    """Measure, judge and gather the facts of a batch of pages of one recording."""
    spectra = spectral_features(batch)
    rules = rule_findings(batch, spectra)
    segments = _segments(batch, recording_id, at)
    columns = ("segment_id", "channel_schema", "mask", "recorded_s")
    merged = merge_shard(
        segments.select(columns).to_dicts(),
        [finding_row(f) for f in rules.findings],
        [judgement_row(j) for j in rules.judgements],
        [],
        detector="",
        batches=[batch],
    )
    found = [finding_row(f) for f in merged.findings]
    tables = {
        "judgements": [judgement_row(j) for j in merged.judgements],
        "spectral": spectra.rows(batch),
        "spatial": spatial_features(batch).rows(batch),
    }
    frames = {name: pl.DataFrame(rows, infer_schema_length=None) for name, rows in tables.items()}
    empty = pl.DataFrame(schema={"segment_id": pl.String})
    frames["findings"] = pl.DataFrame(found, infer_schema_length=None) if found else empty
    return list(facts_of_shard(segments, **frames))


def _segments(batch: SegmentBatch, recording_id: str, at: int) -> pl.DataFrame:
    n = len(batch.segment_ids)
    whole = [SEGMENT_S] * n
    recorded = whole if batch.recorded_s is None else batch.recorded_s.tolist()
    label = {"scope": "recording", "name": "task", "value": "rest 1", "source": "made"}
    return pl.DataFrame({
        "segment_id": list(batch.segment_ids), "recording_id": [recording_id] * n,
        "corpus": ["planted"] * n, "subject_id": [recording_id.split("-")[0]] * n,
        "split": ["train"] * n, "start_s": [SEGMENT_S * i for i in range(n)],
        "channel_schema": [batch.schema.name] * n, "ch_names": [list(batch.schema.ch_names)] * n,
        "mask": batch.mask.tolist(), "band_low_hz": batch.band_hz[:, 0].tolist(),
        "band_high_hz": batch.band_hz[:, 1].tolist(), "line_freq_hz": [batch.line_freq_hz] * n,
        "recorded_s": recorded, "stage_context": [STAGES[(at + i) % len(STAGES)] for i in range(n)],
        "labels": [[label]] * n, "is_simulated": [True] * n,
    })  # fmt: skip
