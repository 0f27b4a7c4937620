from __future__ import annotations

import numpy as np
import pytest

from detectors._rule_common import percentile, too_few


@pytest.mark.parametrize("percent", [0, 5, 25, 50, 95, 100])
@pytest.mark.parametrize("n", [1, 2, 10, 256])
def test_percentile_is_numpys(n: int, percent: float) -> None:
    values = np.random.default_rng(n).standard_normal((3, 4, n))
    expected = np.percentile(values, percent, axis=-1)
    np.testing.assert_allclose(percentile(values, percent), expected, rtol=1e-12, atol=1e-12)


def test_too_few_seconds_are_named_with_their_place() -> None:
    assert too_few(np.array([4, 3, 0]), 4.0, "O1 and O2") == [
        "",
        "only 3 usable s on O1 and O2, 4 needed",
        "only 0 usable s on O1 and O2, 4 needed",
    ]
