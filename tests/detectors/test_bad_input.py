"""What cannot be judged is said to be so, for every kind, with a reason - never guessed at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import POSTERIOR_FIELD, add, batch_of, noise, rhythm

from detectors.artifacts.readable import UNREADABLE
from detectors.merge import Page, merge_findings
from detectors.rules import rule_findings
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, ChannelSchema, RuleResult, SegmentBatch
from detectors.vocabulary import KINDS
from detectors.waveform.card import WeightsError
from detectors.waveform.infer import SHIPPED_WEIGHTS, load_detector

SLEEP4 = ("C3-A2", "C4-A1", "O1-A2", "O2-A1")
CHAIN = ("Fp1-F7", "F7-T7", "T7-P7", "P7-O1", "Fp2-F8", "F8-T8", "T8-P8", "P8-O2")


def page(seed: int = 0) -> NDArray[np.float32]:
    return add(noise(1, seed=seed, rms_uv=10, exponent=1.4), rhythm(9.7, 40), POSTERIOR_FIELD)


def recorded(*names: str) -> SegmentBatch:
    mask = np.array([[name in names for name in CANONICAL19]])
    return batch_of(page(), mask=mask)


def without(*names: str) -> SegmentBatch:
    return recorded(*(name for name in CANONICAL19 if name not in names))


def bipolar(names: tuple[str, ...]) -> SegmentBatch:
    return batch_of(noise(1, n_rows=len(names)), schema=ChannelSchema.bipolar(names))


def with_nan() -> SegmentBatch:
    """Two electrodes hold values that are no numbers, as a broken file gives them."""
    whole = batch_of(page())
    whole.data_uv[0, [3, 17], 400:900] = np.nan
    return whole


def clipped() -> SegmentBatch:
    return batch_of(np.clip(40 * page(), -150, 150))


@dataclass(frozen=True)
class Bad:
    """A page that is wrong in one way.

    Parameters
    ----------
    make
        Makes it.
    unjudged
        Kinds that must not be judged on it, besides those that need a detector.
    judged
        Kinds that must be judged on it all the same.
    said
        What the reasons of these kinds must contain.
    """

    make: Callable[[], SegmentBatch]
    unjudged: frozenset[str]
    judged: frozenset[str] = frozenset()
    said: str = ""


EVERY = frozenset(KINDS)
BY_DETECTOR = frozenset({"spike", "sharp", "spsw"})
FIELD_KINDS = frozenset({"posterior_rhythm", "blink", "lateral_eye"})

BAD: dict[str, Bad] = {
    "nothing recorded": Bad(lambda: recorded(), EVERY - {"muscle"}),
    "all rows flat": Bad(
        lambda: batch_of(np.zeros((1, 19, 2000))), EVERY - {"flat"}, said=UNREADABLE
    ),
    "clipped": Bad(clipped, frozenset({"posterior_rhythm", "voltage"})),
    "no O1 and O2": Bad(
        lambda: without("O1", "O2"), frozenset({"posterior_rhythm"}),
        frozenset({"blink", "kcomplex", "flat", "voltage"}), "O1 and O2",
    ),
    "no Fp": Bad(
        lambda: without("Fp1", "Fp2"), frozenset({"blink"}), frozenset({"posterior_rhythm"}),
    ),
    "no F7": Bad(lambda: without("F7"), frozenset({"lateral_eye"}), frozenset({"blink"})),
    "no midline or central rows": Bad(
        lambda: without("C3", "Cz", "C4"), frozenset({"spindle"}), frozenset({"posterior_rhythm"}),
    ),
    "four rows": Bad(
        lambda: recorded("C3", "C4", "O1", "O2"),
        frozenset({"blink", "lateral_eye", "kcomplex", "voltage", "generalised_slowing",
                   "attenuation", "posterior_rhythm"}),
        frozenset({"flat", "spindle", "asymmetry"}),
    ),
    "sleep montage": Bad(
        lambda: bipolar(SLEEP4),
        FIELD_KINDS | {"voltage", "generalised_slowing", "attenuation", "asymmetry"},
        frozenset({"flat", "movement", "dominant_rhythm"}),
    ),
    "one bipolar chain": Bad(
        lambda: bipolar(CHAIN), FIELD_KINDS, frozenset({"voltage", "asymmetry", "attenuation"}),
    ),
    "NaN": Bad(with_nan, frozenset()),
}  # fmt: skip


@cache
def judged(name: str) -> RuleResult:
    batch = BAD[name].make()
    rules = rule_findings(batch, spectral_features(batch))
    pages = [
        Page(s, batch.schema, tuple(np.array(batch.schema.ch_names)[there].tolist()))
        for s, there in zip(batch.segment_ids, batch.mask, strict=True)
    ]
    return merge_findings(pages, rules, (), detector="", batches=[batch], is_strict=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BAD)
def test_every_kind_gets_one_judgement_and_a_reason_where_it_has_no_verdict(
    name: str, kind: str
) -> None:
    (judgement,) = [j for j in judged(name).judgements if j.kind == kind]
    assert (judgement.verdict == "not_judged") == bool(judgement.reason)
    assert (judgement.verdict == "present") == bool(judgement.finding_ids)
    bad = BAD[name]
    if kind in bad.unjudged:
        assert judgement.verdict == "not_judged"
        assert bad.said in judgement.reason or kind in BY_DETECTOR
    if kind in bad.judged:
        assert judgement.verdict != "not_judged", judgement.reason


@pytest.mark.parametrize("name", BAD)
def test_numbers_of_findings_are_numbers_and_rows_are_recorded_ones(name: str) -> None:
    batch = BAD[name].make()
    there = set(np.array(batch.schema.ch_names)[batch.mask[0]].tolist())
    for finding in judged(name).findings:
        assert all(np.isfinite(m.value) for m in finding.measures), finding
        assert {e for c in finding.channels for e in ([c] if c in there else c.split("-"))} <= there


def test_every_ruled_kind_is_judged_on_a_good_page() -> None:
    batch = batch_of(page())
    reasons = {j.kind: j.reason for j in rule_findings(batch, spectral_features(batch)).judgements}
    # lambda waves of the waking look like POSTS, so that those need a sign of sleep first
    assert {kind for kind, reason in reasons.items() if reason} <= {"posts"}
    assert set(reasons) >= EVERY - BY_DETECTOR


def test_rows_that_are_no_numbers_count_as_not_recorded() -> None:
    broken, whole = with_nan(), without("F3", "O1")
    whole = replace(whole, data_uv=np.where(whole.mask[..., None], page(), 0).astype(np.float32))
    one, two = (rule_findings(b, spectral_features(b)) for b in (broken, whole))
    assert {(f.kind, f.channels) for f in one.findings} == {
        (f.kind, f.channels) for f in two.findings
    }
    assert [(j.kind, j.verdict, j.reason) for j in one.judgements] == [
        (j.kind, j.verdict, j.reason) for j in two.judgements
    ]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: None, "is missing"),
        (lambda folder: _copy(folder, classes=["seizure"]), "classes"),
    ],
    ids=["no weights", "another class list"],
)
def test_a_detector_that_does_not_fit_refuses_in_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(WeightsError, match=told) as error:
        load_detector(tmp_path)
    assert "\n" not in str(error.value)
    assert not error.value.is_retryable


def _copy(folder: Path, **changes: object) -> None:
    shutil.copytree(SHIPPED_WEIGHTS, folder, dirs_exist_ok=True)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))
