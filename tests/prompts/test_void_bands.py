"""No text path ever names a band above what the source can show (sources of every low-pass)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_project.corpora.batches import segment_batches
from detectors.rows import finding_row, judgement_row
from detectors.rules import rule_findings
from detectors.signal.spatial import spatial_features
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ
from detectors.vocabulary import BAND_SCHEMES
from prompts.captions.caption import write_caption
from prompts.facts.page import PageFacts, facts_of_shard, with_history
from prompts.questions.types import drafts
from prompts.teachers.registry import make_gateway
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.narrative_template import narrative_template
from prompts.texts.teacher_texts import UNPLANNED, text_rows

RHYTHMS_HZ = (2.0, 6.0, 10.0, 12.5, 20.0, 40.0, 60.0)
"""One in every band of both schemes, and one where the schemes disagree."""


def pages_of(high_hz: float, rhythm_hz: float, seed: int = 0) -> list[PageFacts]:
    rng = np.random.default_rng(seed)
    time_s = np.arange(N_TIMES) / SFREQ_HZ
    gains = np.array([1.0, 1.3, 0.6])[:, None, None]
    signal = rng.normal(0, 150, (3, 19, N_TIMES)).cumsum(-1) * 0.05 + rng.normal(0, 60, (19, 1))
    signal += gains * 700 * np.sin(2 * np.pi * rhythm_hz * time_s) + rng.normal(0, 20, signal.shape)
    segments = pl.DataFrame({
        "segment_id": ["a", "b", "c"], "recording_id": ["r"] * 3, "corpus": ["planted"] * 3,
        "subject_id": ["s"] * 3, "split": ["train"] * 3, "start_s": [0.0, 10.0, 20.0],
        "channel_schema": ["referential19"] * 3, "ch_names": [list(CANONICAL19)] * 3,
        "mask": [[True] * 19] * 3, "band_low_hz": [0.1] * 3, "band_high_hz": [high_hz] * 3,
        "line_freq_hz": [50.0] * 3, "recorded_s": [10.0] * 3, "stage_context": [None] * 3,
        "labels": [[{"scope": "recording", "name": "a", "value": "b", "source": "c"}]] * 3,
        "signal": signal.astype(np.int16).reshape(3, -1).tolist(), "is_simulated": [False] * 3,
    })  # fmt: skip
    (batch,) = segment_batches(segments)
    spectra = spectral_features(batch)
    rules = rule_findings(batch, spectra)
    tables = {
        "findings": [finding_row(f) for f in rules.findings],
        "judgements": [judgement_row(j) for j in rules.judgements],
        "spectral": spectra.rows(batch),
        "spatial": spatial_features(batch).rows(batch),
    }
    frames = {name: pl.DataFrame(rows, infer_schema_length=None) for name, rows in tables.items()}
    if not tables["findings"]:
        frames["findings"] = pl.DataFrame(schema={"segment_id": pl.String})
    return list(facts_of_shard(segments, **frames))


def texts_of(pages: list[PageFacts]) -> Iterator[str]:
    for facts in pages:
        for variant in ("label_free", "label_aware"):
            yield write_caption(facts, variant).text
        for draft in drafts(facts):
            yield " ".join((*draft.phrasings, draft.right, *draft.wrong))
    for facts, history in with_history(pages, 2):
        yield narrative_template(facts, history, is_label_aware=True).text
    gateway = make_gateway({"provider": "template"}, None)
    for kind in TEXT_KINDS.values():
        for row in text_rows(kind, with_history(pages, 2), gateway, is_gated=False):
            assert row["grounding"] in {"supported", f"dropped: {UNPLANNED}"}
            yield row.get("template", "")
            yield from (sentence["text"] for sentence in row["sentences"])
            yield from row.get("options", ())
            yield from (message["content"] for message in row.get("messages", ()))


def names_of(text: str) -> set[str]:
    found = re.findall(r"\b(delta|theta|alpha|beta|high[-_ ]gamma|gamma)\b", text.lower())
    return {name.replace("-", "_").replace(" ", "_") for name in found}


@settings(max_examples=25, deadline=None)
@example(high_hz=12.0, rhythm_hz=10.0, seed=0)
@given(high_hz=st.floats(4.0, 75.0), rhythm_hz=st.sampled_from(RHYTHMS_HZ), seed=st.integers(0, 99))
def test_no_text_names_a_void_band(high_hz: float, rhythm_hz: float, seed: int) -> None:
    void = {
        band
        for bands in BAND_SCHEMES.values()
        for band, (_, top_hz) in bands.items()
        if top_hz > high_hz + 1e-2
    }
    for text in texts_of(pages_of(high_hz, rhythm_hz, seed)):
        assert not names_of(text) & void, text


@pytest.mark.parametrize(
    ("high_hz", "said"),
    [(75.0, {"gamma", "high_gamma"}), (72.0, {"gamma"}), (60.0, set()), (45.0, set())],
    ids=["all", "70 Hz and no more", "narrator's gamma only", "none"],
)
def test_narratives_speak_of_what_can_be_read(high_hz: float, said: set[str]) -> None:
    pages = pages_of(high_hz, 10.0)
    template = narrative_template(pages[2], pages[:2])
    named = {"delta", "theta", "alpha", "beta"} | said
    assert set(template.trends) == named
    assert names_of(template.text) == named


def test_no_band_is_said_to_lead_where_the_leading_one_has_no_name() -> None:
    facts = pages_of(60.0, 40.0)[0]
    assert (
        max(facts.powers_uv2["narrator"], key=facts.powers_uv2["narrator"].__getitem__) == "gamma"
    )
    assert "spectrum" not in narrative_template(facts).payload
