"""Text about real recordings: read, measured, judged and written without a shortcut."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys
from detectors.merge import merge_shard
from detectors.rows import finding_row, judgement_row
from detectors.rules import rule_findings
from detectors.signal.spatial import spatial_features
from detectors.signal.spectra import spectral_features
from detectors.types import RuleResult
from prompts.captions.caption import write_caption
from prompts.facts.page import PageFacts, facts_of_shard, with_history
from prompts.grounding.check import check_grounding
from prompts.questions.items import write_questions
from prompts.teachers.registry import make_gateway
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.teacher_texts import UNPLANNED, text_rows


@pytest.fixture(scope="module", params=["eegmat", "sleep-edfx"])
def pages(request: pytest.FixtureRequest, data_root: Path) -> list[PageFacts]:
    spec = corpora()[request.param]
    found = (
        inventory(spec, data_root, shard, salt="test", max_recordings=1)
        for shard in shard_keys(spec.key)
    )
    recordings = next((f.recordings for f in found if f.recordings), None)
    if recordings is None:
        pytest.skip(f"the data root holds no recording of {spec.key}")
    segments = pl.from_arrow(process_shard(spec, data_root, recordings).segments.slice(0, 24))
    assert isinstance(segments, pl.DataFrame)
    spectral, spatial, ruled = [], [], []
    for batch in segment_batches(segments):
        spectra = spectral_features(batch)
        spectral += spectra.rows(batch)
        spatial += spatial_features(batch).rows(batch)
        ruled.append(rule_findings(batch, spectra))
    rules = RuleResult.joined(ruled)
    merged = merge_shard(
        segments.select("segment_id", "channel_schema", "mask", "recorded_s").to_dicts(),
        [finding_row(f) for f in rules.findings],
        [judgement_row(j) for j in rules.judgements],
        [],
        detector="",
        batches=segment_batches(segments),
    )
    frames = {
        "findings": [finding_row(f) for f in merged.findings],
        "judgements": [judgement_row(j) for j in merged.judgements],
        "spectral": spectral,
        "spatial": spatial,
    }
    tables = {n: pl.DataFrame(rows, infer_schema_length=None) for n, rows in frames.items()}
    return list(facts_of_shard(segments, **tables))


def test_captions_of_real_pages_are_all_supported(pages: list[PageFacts]) -> None:
    for page in pages:
        caption = write_caption(page, "label_aware", seed=1)
        report = check_grounding(caption.sentences, page)
        assert report.is_supported, report.cause
        assert {"montage", "limits"} <= {s.section for s in caption.sentences}


def test_offline_text_of_real_pages_is_all_supported(pages: list[PageFacts]) -> None:
    gateway = make_gateway({"provider": "template"}, None)
    rows = [
        row
        for kind in TEXT_KINDS.values()
        for row in text_rows(kind, with_history(pages, 2), gateway, is_gated=False)
    ]
    # a page that fits no other is not asked about
    assert {r["grounding"] for r in rows} <= {"supported", f"dropped: {UNPLANNED}"}
    assert sum(r["grounding"] == "supported" for r in rows) >= 3 * len(pages)


def test_real_pages_are_asked_about(pages: list[PageFacts]) -> None:
    asked = write_questions(pages)
    # a few pages of one recording are much alike, and what is the same on all is not asked
    assert len(asked) >= 2
    assert {q.segment_id for q in asked} <= {page.segment_id for page in pages}


def test_band_above_the_source_is_never_mentioned(pages: list[PageFacts]) -> None:
    for page in pages:
        assert page.void_bands["narrator"]
        text = write_caption(page, "label_aware").text.lower()
        assert not any(band.replace("_", "-") in text for band in page.void_bands["clinical"])
