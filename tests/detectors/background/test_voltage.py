from __future__ import annotations

import pytest

from detectors.background.voltage import asymmetry_word


@pytest.mark.parametrize(
    ("share", "difference_hz", "word"),
    [
        (0.0, 0.0, ""), (0.19, 0.4, ""), (0.2, 0.0, "mild"), (0.49, 0.0, "mild"),
        (0.5, 0.0, "marked"), (0.9, 0.0, "marked"), (0.0, 0.5, "mild"), (0.0, 1.0, "mild"),
        (0.0, 1.01, "marked"), (0.3, 1.2, "marked"),
    ],
)  # fmt: skip
def test_asymmetry_words_follow_their_edges(share: float, difference_hz: float, word: str) -> None:
    assert asymmetry_word(share, difference_hz) == word
