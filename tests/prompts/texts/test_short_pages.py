"""Text about pages that were recorded for a part of their ten seconds (sentences)."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from dagster_project.corpora.batches import segment_batches
from detectors.merge import merge_shard
from detectors.rows import finding_row, judgement_row
from detectors.rules import rule_findings
from detectors.signal.spatial import spatial_features
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, N_TIMES
from detectors.vocabulary import KINDS
from prompts.captions.caption import write_caption
from prompts.facts.page import PageFacts, facts_of_shard, with_history
from prompts.grounding.check import check_grounding
from prompts.questions.types import CANNOT_TELL, drafts
from prompts.teachers.registry import make_gateway
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.teacher_texts import UNPLANNED, text_rows

WHY = "only 4.3 of 10 s were recorded"


@pytest.fixture(scope="module")
def pages() -> list[PageFacts]:
    """A short page between two whole ones of loud alpha."""
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 100, (3, 19, N_TIMES))
    signal += 800 * np.sin(2 * np.pi * 10 * np.arange(N_TIMES) / 200)
    signal[1, :, 852:] = 0
    segments = pl.DataFrame({
        "segment_id": ["a", "b", "c"], "recording_id": ["r"] * 3, "corpus": ["zuco-1"] * 3,
        "subject_id": ["s"] * 3, "split": ["train"] * 3, "start_s": [0.0, 10.0, 14.26],
        "channel_schema": ["referential19"] * 3, "ch_names": [list(CANONICAL19)] * 3,
        "mask": [[True] * 19] * 3, "band_low_hz": [0.1] * 3, "band_high_hz": [50.0] * 3,
        "line_freq_hz": [50.0] * 3, "recorded_s": [10.0, 4.26, 10.0], "stage_context": [None] * 3,
        "labels": [[{"scope": "interval", "name": "sentence", "value": "It is.", "source": "x"}]] * 3,
        "signal": signal.astype(np.int16).reshape(3, -1).tolist(), "is_simulated": [False] * 3,
    })  # fmt: skip
    (batch,) = segment_batches(segments)
    spectra = spectral_features(batch)
    rules = rule_findings(batch, spectra)
    merged = merge_shard(
        segments.select("segment_id", "channel_schema", "mask", "recorded_s").to_dicts(),
        [finding_row(f) for f in rules.findings],
        [judgement_row(j) for j in rules.judgements],
        [],
        detector="w",
        batches=[batch],
    )
    tables = {
        "findings": [finding_row(f) for f in merged.findings],
        "judgements": [judgement_row(j) for j in merged.judgements],
        "spectral": spectra.rows(batch),
        "spatial": spatial_features(batch).rows(batch),
    }
    frames = {n: pl.DataFrame(rows, infer_schema_length=None) for n, rows in tables.items()}
    return list(facts_of_shard(segments, **frames))


def test_nothing_is_judged_and_everything_says_why(pages: list[PageFacts]) -> None:
    short = pages[1]
    assert {short.verdict(kind) for kind in KINDS} == {"not_judged"}
    assert {j.reason for j in short.judgements.values()} == {WHY}
    assert short.spatial_reason == WHY
    assert not short.findings
    assert not any(short.powers_uv2.values())
    assert pages[0].verdict("spike") == "absent"


def test_its_caption_says_so_and_claims_nothing(pages: list[PageFacts]) -> None:
    for variant in ("label_free", "label_aware"):
        for seed in range(8):
            caption = write_caption(pages[1], variant, seed=seed)
            report = check_grounding(caption.sentences, pages[1])
            assert report.is_supported, report.cause
            assert WHY in caption.text
            assert "No " not in caption.text
            assert {s.section for s in caption.sentences} <= {"montage", "state", "limits"}


def test_offline_text_is_supported_and_trends_skip_it(pages: list[PageFacts]) -> None:
    gateway = make_gateway({"provider": "template"}, None)
    rows = [
        row
        for kind in TEXT_KINDS.values()
        for row in text_rows(kind, with_history(pages, 2), gateway, is_gated=False)
    ]
    # a page that fits no other is not asked about
    assert {r["grounding"] for r in rows} <= {"supported", f"dropped: {UNPLANNED}"}


def test_no_question_claims_an_absence_on_it(pages: list[PageFacts]) -> None:
    asked = list(drafts(pages[1]))
    assert {d.right for d in asked if d.is_absence} <= {CANNOT_TELL}
