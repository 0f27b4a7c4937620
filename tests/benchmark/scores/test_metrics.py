"""Agreement equals scikit-learn's; word overlap equals rouge-score's, and units survive it."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.scores.intervals import subject_totals
from benchmark.scores.metrics import (
    METRICS,
    choice_interval,
    choice_sums,
    f1_mean,
    metric_of,
    normalise_words,
    recall_mean,
    word_overlaps,
)

_PAIRS = st.lists(
    st.tuples(st.sampled_from("wxyz"), st.sampled_from(["w", "x", "y", "z", "", "q"])),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(_PAIRS)
def test_balanced_accuracy_and_macro_f1_equal_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    true, said = [t for t, _ in pairs], [s for _, s in pairs]
    sums = choice_sums(true, said).sum(axis=0, keepdims=True)
    labels = sorted(set(true))
    f1 = sklearn_metrics.f1_score(true, said, labels=labels, average="macro", zero_division=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # predicted classes that are not in the truth
        recall = sklearn_metrics.balanced_accuracy_score(true, said)
    assert f1_mean(sums)[0] == pytest.approx(f1)
    assert recall_mean(sums)[0] == pytest.approx(recall)


def test_a_class_that_was_not_drawn_is_left_out_of_the_mean() -> None:
    sums = choice_sums(["a", "a", "b"], ["a", "b", "b"])
    _, totals = subject_totals(["p", "p", "q"], sums)
    assert recall_mean(totals).tolist() == [0.5, 1.0]


def test_an_interval_of_classes_does_not_depend_on_order() -> None:
    true, said = list("aabbabab"), list("abbbaaab")
    subjects = list("ppqqrrss")
    straight = choice_interval(f1_mean, subjects, true, said, seed=0)
    assert choice_interval(f1_mean, subjects[::-1], true[::-1], said[::-1], seed=0) == straight


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("9.5 Hz", "9p5 hz"),
        ("9.50 Hz", "9p5 hz"),
        ("10.0 Hz", "10 hz"),
        ("10 Hz", "10 hz"),
        ("50 \u00b5V", "50 uv"),
        ("50\u03bcV", "50 uv"),
        ("50uV", "50 uv"),
        ("3 \u00b5V\u00b2", "3 uv2"),
        ("1,200 uV", "1200 uv"),
        ("8-13 Hz", "8-13 hz"),
        ("O1, O2", "o1, o2"),
        ("at 2.5s", "at 2p5 s"),
        ("version 0.0.0", "version 0.0.0"),
    ],
)
def test_units_and_numbers_become_tokens(text: str, normal: str) -> None:
    assert normalise_words(text) == normal


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise_words(text)
    assert normalise_words(once) == once


def test_a_wrong_number_costs_more_than_the_raw_score_shows() -> None:
    (overlap,) = word_overlaps(["A rhythm of 9.5 \u00b5V."], ["A rhythm of 8.5 \u00b5V."])
    assert overlap.rouge1 == pytest.approx(80.0)
    (same,) = word_overlaps(["9.5 \u00b5V"], ["9.50 uV"])
    assert (same.rouge1, same.rouge1_raw < 100) == (100.0, True)


def test_raw_overlap_equals_rouge_score_with_stemming() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    pairs = [
        ("Sleep spindles were seen over C3.", "A spindle is seen over C4"),
        ("No blink was found.", ""),
        ("alpha alpha beta", "alpha beta beta"),
    ]
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    ours = word_overlaps([r for r, _ in pairs], [a for _, a in pairs])
    theirs = [100 * scorer.score(r, a)["rouge1"].fmeasure for r, a in pairs]
    assert [o.rouge1_raw for o in ours] == pytest.approx(theirs)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["alpha", "9.5", "uV", "left", "O1"]), min_size=1, max_size=12))
def test_a_text_overlaps_itself_wholly_in_any_case(words: list[str]) -> None:
    text = " ".join(words)
    (overlap,) = word_overlaps([text], [text.upper()])
    assert (overlap.rouge1, overlap.rouge1_recall, overlap.rouge_l) == pytest.approx(
        (100, 100, 100)
    )


def test_every_answer_needs_its_reference() -> None:
    with pytest.raises(ValueError, match="one each"):
        word_overlaps(["a"], [])


@pytest.mark.parametrize(
    "metric", ["accuracy", "ap50:spike", "rouge1[simulated]", "accuracy-blank"]
)
def test_a_suffix_leads_to_its_metric(metric: str) -> None:
    assert metric_of(metric) in METRICS.values()
