"""The order of names in which 2 comes before 10; everything that is sorted for people uses it."""

from __future__ import annotations

import re


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts ``run2`` before ``run10``."""
    parts = re.split(r"(\d+)", text)
    return tuple((1, int(p), p) if p.isdigit() else (0, 0, p) for p in parts)
