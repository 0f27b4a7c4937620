"""Strict parsers: what they read, and the many things they refuse to guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.asking.answers import LETTERS, Box, boxes_to_text, letters, parse_boxes, parse_letter
from detectors.vocabulary import WAVEFORMS

OPTIONS = ("alpha", "beta", "delta (0.5-4 Hz)", "none of these")


@pytest.mark.parametrize(
    ("output", "letter"),
    [
        ("B", "B"),
        (" B\n", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("[B]", "B"),
        ("**B**", "B"),
        ('"B"', "B"),
        ("B) beta", "B"),
        ("B. Beta.", "B"),
        ("B beta", "B"),
        ("C. delta (0.5-4 Hz)", "C"),
        ("C: delta (0.5-4 Hz).", "C"),
        ("Answer: B", "B"),
        ("answer is D", "D"),
        ("The correct answer is (A).", "A"),
        ("**Answer:** D. none of these", "D"),
        ("Option A", "A"),
    ],
)
def test_a_clear_letter_is_read(output: str, letter: str) -> None:
    assert parse_letter(output, OPTIONS) == letter


@pytest.mark.parametrize(
    "output",
    [
        "",
        "   ",
        "b",
        "a",
        "beta",
        "Beta",
        "E",
        "Z",
        "AB",
        "A B",
        "A or B",
        "A, B",
        "A/B",
        "not B",
        "B. alpha",
        "B. beta is seen over both hemispheres",
        "B because the page is fast",
        "A. alpha\nB. beta\nC. delta\nD. none",
        "Both A and B",
        "A page of EEG",
        "Delta",
        "Because",
        "B1",
        "1",
        "I cannot tell",
        "The answer is beta",
        "Answer:",
        "\u0412",
        "\uff22",
        "B" * 500,
        "<|im_end|>",
        '{"answer": "B"}',
        "A\u0000B",
    ],
)
def test_an_unclear_answer_is_not_parsed(output: str) -> None:
    assert parse_letter(output, OPTIONS) == ""


@given(st.text(max_size=40), st.integers(2, 8))
def test_a_parsed_letter_is_shown_and_stands_in_the_output(output: str, n_options: int) -> None:
    letter = parse_letter(output, [f"option {i}" for i in range(n_options)])
    assert letter == "" or (letter in LETTERS[:n_options] and letter in output)


@given(st.integers(2, 8), st.data())
def test_a_letter_with_its_own_text_is_read_and_with_another_is_not(
    n_options: int, data: st.DataObject
) -> None:
    options = [f"finding {i}" for i in range(n_options)]
    i = data.draw(st.integers(0, n_options - 1))
    j = data.draw(st.integers(0, n_options - 1))
    assert parse_letter(f"{LETTERS[i]}. {options[j]}", options) == (LETTERS[i] if i == j else "")


@pytest.mark.parametrize("n_options", [0, 1, 9])
def test_a_choice_has_two_to_eight_options(n_options: int) -> None:
    with pytest.raises(ValueError, match="2 to 8"):
        letters(n_options)


def _box(waveform: str, channel: str, start: int, width: int, confidence: int) -> Box:
    end = min(start + width, 1000)
    return Box("s", waveform, channel, start / 100, end / 100, confidence / 1000)


_BOXES = st.lists(
    st.builds(
        _box,
        st.sampled_from(list(WAVEFORMS)),
        st.sampled_from(["Fp1", "C3", "O2"]),
        st.integers(0, 990),
        st.integers(1, 300),
        st.integers(0, 1000),
    ),
    max_size=8,
)


@given(_BOXES)
def test_boxes_survive_being_written_and_read(boxes: list[Box]) -> None:
    read = parse_boxes(boxes_to_text(boxes), "s")
    assert read is not None
    assert sorted(map(repr, read)) == sorted(map(repr, boxes))


@given(_BOXES)
def test_boxes_are_written_in_one_order(boxes: list[Box]) -> None:
    assert boxes_to_text(boxes) == boxes_to_text(boxes[::-1])


@pytest.mark.parametrize(
    "output",
    [
        "",
        "none",
        "{}",
        "[1]",
        '[["spike", "T7", 1.0]]',
        '[["seizure", "T7", 1.0, 1.1]]',
        '[["spike", "T7", 1.1, 1.0]]',
        '[["spike", "T7", -1.0, 1.0]]',
        '[["spike", "T7", 9.0, 11.0]]',
        '[["spike", "T7", 1.0, 1.1, 2.0]]',
        '[["spike", "T7", "1.0", 1.1]]',
        '[["spike", "T7", 1.0, NaN]]',
        '[["spike", "T7", true, 2]]',
        '[["spike", 7, 1.0, 1.1]]',
        '[["spike", "T7", 1.0, 1.1], 3]',
        "[" * 100_000,
    ],
)
def test_a_malformed_list_of_boxes_is_not_parsed(output: str) -> None:
    assert parse_boxes(output, "s") is None


def test_an_empty_list_of_boxes_is_an_answer() -> None:
    assert parse_boxes("[]", "s") == ()
