"""The reason given for not judging something is the one on record, or the sentence does not stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prompts.captions.event_words import Sentence
from prompts.facts.page import PageFacts
from prompts.grounding.check import check_grounding, faults
from prompts.truth.reasons import reason_given

Plant = Callable[..., PageFacts]
ON_RECORD = {
    "chewing": "needs T7, T8, F7 or F8",
    "kcomplex": "only 3 usable s on F3, Fz and F4, 4 needed",
    "spike": "muscle covers the temporal rows",
}


@pytest.fixture
def page(plant: Plant) -> PageFacts:
    return plant(not_judged=ON_RECORD)


def verdicts(text: str, kind: str, page: PageFacts) -> tuple[str, str]:
    """Return the verdict with the judgement's id behind the sentence, and without any."""
    cited = Sentence(text, "limits", (page.judgement_id(kind),))
    return check_grounding([cited], page).verdict, check_grounding(text, page).verdict


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("chewing", "Chewing artifacts could not be judged: needs T7, T8, F7 or F8."),
        ("chewing", "Chewing artifacts could not be judged."),
        ("kcomplex", "Not judged: K-complexes (only 3 usable s on F3, Fz and F4, 4 needed)."),
        ("kcomplex", "K-complexes could not be judged because only 3 s are usable on F3 and Fz."),
        ("spike", "Spikes cannot be judged because muscle covers the temporal channels."),
        ("spike", "Because muscle covers the temporal rows, spikes could not be judged."),
        ("spike", "Spikes could not be judged as well."),
    ],
)
def test_the_reason_on_record_stands_quoted_told_or_left_out(
    page: PageFacts, kind: str, text: str
) -> None:
    assert verdicts(text, kind, page) == ("supported", "supported")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("chewing", "Chewing artifacts could not be judged: needs T7, T8, F7 or Pz."),
        ("chewing", "Chewing artifacts could not be judged: the subject was dancing."),
        ("chewing", "Not judged: chewing artifacts (muscle covers the temporal rows)."),
        ("kcomplex", "Not judged: K-complexes (only 2 usable s on F3, Fz and F4, 4 needed)."),
        ("kcomplex", "K-complexes could not be judged since the printer was slow."),
        ("spike", "Spikes cannot be judged because the page is too short."),
        ("spike", "Since the amplifier was off, spikes could not be judged."),
        ("spike", "Spikes could not be judged: needs T7, T8, F7 or F8."),
    ],
)
def test_a_made_up_reason_is_contradicted(page: PageFacts, kind: str, text: str) -> None:
    assert verdicts(text, kind, page) == ("contradicted", "contradicted")
    (fault,) = faults([Sentence(text, "limits", (page.judgement_id(kind),))], page)
    assert fault is not None
    assert fault[0] == "contradicted"


def test_a_reason_where_none_is_on_record_has_no_support(plant: Plant) -> None:
    page = plant(not_judged={"spike": ""})
    text = "Spikes could not be judged: the rows are flat."
    assert verdicts(text, "spike", page)[0] == "unsupported"


@pytest.mark.parametrize(
    ("clause", "kinds", "reason"),
    [
        ("Not judged: spikes and ECG artifact (no rows)", ("spike", "ecg"), "no rows"),
        ("Not judged: spikes and ECG artifact", ("spike", "ecg"), ""),
        ("Spikes not judged: no rows", ("spike",), "no rows"),
        ("No spikes were seen (it was a long day)", (), ""),
    ],
)
def test_a_list_of_kinds_is_no_reason(clause: str, kinds: tuple[str, ...], reason: str) -> None:
    assert reason_given(clause) == (kinds, reason)
