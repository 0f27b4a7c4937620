"""How many seconds of each row can be read once artifacts are taken off.

A reader wants to know what a page's statements rest on, so every page keeps its usable seconds per
row and the kinds that took the rest. Which artifacts hide what lies under them is said in
:mod:`detectors.artifacts.chain`; what follows for a kind that was looked for is judged in
:mod:`detectors.merge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from detectors.artifacts.chain import HIDING_KINDS, hiding_rows
from detectors.rows import is_masked
from detectors.types import SEGMENT_S, Finding
from detectors.vocabulary import KINDS


def hiding(findings: Iterable[Finding], above: int = -1) -> list[Finding]:
    """Return the findings under which nothing can be read.

    Parameters
    ----------
    findings
        Findings of one page; masked ones hide nothing.
    above
        Only kinds of a higher priority than this.
    """
    return [
        f
        for f in findings
        if f.kind in HIDING_KINDS and not is_masked(f) and KINDS[f.kind].priority > above
    ]


def usable_by_row(recorded: Sequence[str], strong: Sequence[Finding]) -> dict[str, float]:
    """Return the seconds of every recorded row that none of the findings hides.

    Parameters
    ----------
    recorded
        Names of the rows that were recorded.
    strong
        Findings from :func:`hiding`.
    """
    hidden = tuple((f.t0_s, f.t1_s, hiding_rows(f)) for f in strong)
    return dict(_usable_by_row(tuple(recorded), hidden))


@lru_cache(maxsize=256)
def _usable_by_row(
    recorded: tuple[str, ...], hidden: tuple[tuple[float, float, tuple[str, ...]], ...]
) -> dict[str, float]:
    """Return the seconds left of every row; the kinds of a page ask for the same again and again."""
    spans: dict[str, list[tuple[float, float]]] = {name: [] for name in recorded}
    for start, stop, names in sorted(hidden):
        for name in set(names) & spans.keys():
            spans[name].append((start, stop))
    return {name: SEGMENT_S - covered_s(of, 0.0, SEGMENT_S) for name, of in spans.items()}


def covered_s(spans: Iterable[tuple[float, float]], low_s: float, high_s: float) -> float:
    """Return the length of the union of sorted spans inside ``[low_s, high_s)``."""
    total, reached = 0.0, low_s
    for start, stop in spans:
        start, stop = max(start, reached), min(stop, high_s)
        total += max(0.0, stop - start)
        reached = max(reached, stop)
    return total


def usable_row(
    segment_id: str, recorded: Sequence[str], recorded_s: float, findings: Sequence[Finding]
) -> dict[str, Any]:
    """Return a row of table ``usable_seconds``.

    Parameters
    ----------
    segment_id, recorded, recorded_s
        The page: its recorded rows, and the seconds of it that were recorded.
    findings
        Its merged findings.
    """
    strong = hiding(findings)
    usable = usable_by_row(recorded, strong)
    missing_s = SEGMENT_S - recorded_s
    taken = [
        ", ".join(dict.fromkeys(f.kind for f in strong if name in hiding_rows(f)))
        for name in usable
    ]
    return {
        "segment_id": segment_id,
        "channels": list(usable),
        "usable_s": [round(max(0.0, seconds - missing_s), 3) for seconds in usable.values()],
        "hidden_by": taken,
    }
