from __future__ import annotations

import json
import math
import os

import pytest

from benchmark.text.bench import TextReport, report_tables
from benchmark.text.grounding import GroundingScores, grounding_tables, score_grounding, stream
from benchmark.text.grounding_changes import FLIPS, PARAPHRASES, flips, paraphrase, rouge_1
from benchmark.text.grounding_pages import planted_facts


@pytest.fixture(scope="module")
def scores() -> GroundingScores:
    """Scores of 16 pages, or as many as NEUROGLOSS_GROUNDING_PAGES says."""
    n_pages = int(os.environ.get("NEUROGLOSS_GROUNDING_PAGES", "16"))
    return score_grounding(n_pages, stream_rows=400, timed_pages=60)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No spikes seen.", {"presence": ["Spikes seen."]}),
        ("Posterior rhythm of 9 Hz at O1.", {"frequency": ["Posterior rhythm of 12 Hz at O1."]}),
        ("Asymmetry, larger on the left.", {"side": ["Asymmetry, larger on the right."]}),
        ("At 3 s there is a spike.", {"presence": ["At 3 s there is no spike."]}),
        ("Alpha has the highest power.", {}),
        ("The alpha band is dominant once the 1/f trend is removed.",
         {"band": ["The beta band is dominant once the 1/f trend is removed."]}),
        ("Sleep spindles could not be judged: no signal.",
         {"presence": ["Sleep spindles seen on this page."]}),
        ('The corpus gives the label "left: 3 Hz".', {}),
    ],
)  # fmt: skip
def test_a_flip_makes_one_word_false(text: str, expected: dict[str, list[str]]) -> None:
    found: dict[str, list[str]] = {}
    for what, flipped in flips(text):
        found.setdefault(what, []).append(flipped)
    assert {w: t for w, t in found.items() if w in expected or w not in ("channel", "presence", "side")} | {
        w: found[w] for w in expected if w in found
    } == expected  # fmt: skip


def test_a_flipped_channel_is_another_one() -> None:
    text = "4 sharp waves, at Cz, at 3.1, 4.2, 5.2 and 8.2 s."
    found = dict(flips(text))
    assert found["count"].startswith("6 sharp waves")
    assert "Cz" not in found["channel"]


def test_paraphrases_keep_numbers_and_places() -> None:
    said = paraphrase("Spike, 300 ms, maximum at Cz (midline central), at 5.2 s.")
    assert all(part in said for part in ("300 ms", "Cz", "5.2 s"))
    assert paraphrase("Nothing of the kind.") == ""
    assert len(PARAPHRASES) >= 8


def test_rouge_1_counts_shared_words() -> None:
    assert rouge_1("a spike at C3", "a spike at C3") == 1.0
    assert rouge_1("a spike at C3", "nothing else") == 0.0
    assert rouge_1("a b", "a c") == 0.5


def test_the_check_tells_true_from_false_where_word_overlap_does_not(
    scores: GroundingScores,
) -> None:
    assert scores.n_supported == scores.n_sentences
    assert set(scores.flips) <= set(FLIPS)
    assert sum(s.n_lowered for s in scores.flips.values()) >= 0.99 * sum(
        s.n for s in scores.flips.values()
    )
    same = scores.paraphrases["all"]
    assert same.n_lowered == 0
    assert min(s.rouge_1 for s in scores.flips.values()) > same.rouge_1


def test_misses_name_what_is_below_its_floor(scores: GroundingScores) -> None:
    from dataclasses import replace

    slow = replace(scores, per_s={name: 1.0 for name in scores.per_s}, n_supported=0)
    assert len(slow.misses()) == 4
    fast = replace(scores, per_s={name: 1e6 for name in scores.per_s})
    assert fast.misses() == []


def test_report_holds_every_part(scores: GroundingScores) -> None:
    report = TextReport(grounding=scores)
    written = json.loads(json.dumps(report.to_json()))["grounding"]
    assert written["flips"]["presence"]["share"] == pytest.approx(scores.flips["presence"].share)
    assert math.isfinite(written["captions"]["precision"])
    titles = [str(table.title) for table in report_tables(report)]
    assert titles == [str(table.title) for table in grounding_tables(scores)]
    assert len(titles) >= 3


def test_planted_pages_are_the_same_again() -> None:
    first, again = planted_facts(2, seed=3), planted_facts(2, seed=3)
    assert first == again
    assert first != planted_facts(2, seed=4)


def test_streamed_rows_are_counted() -> None:
    n_rows, growth_mb = stream(planted_facts(2), 50)
    assert n_rows == 50
    assert growth_mb >= 0
