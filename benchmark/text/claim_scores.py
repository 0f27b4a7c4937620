"""How well claims are read out of free text: precision and recall against labelled texts.

Claims match by type, then label and band, then polarity, then value, place and time, as the
claim-extraction set asks (``data/claims/README.md``, Use). The levels are cumulative, and each is an
equality, so pairing the finest first is the optimal one-to-one matching at every level at once.
Spans and hedges are never matched on; hedges are scored among the pairs. Intervals resample texts.
The command is in ``text.bench``; reading is done in ``prompts.reading``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.scores.intervals import N_DRAWS, Interval, cluster_interval, ratio
from prompts.reading.records import Claim, ClaimError, claim_from_json

LEVELS = ("type", "label and band", "polarity", "value", "place", "time")
"""What must agree, cumulatively; at the last level everything but hedge and span does."""
FLOOR_LEVEL = "polarity"
FLOORS = {"precision": 0.85, "recall": 0.85}
"""On free text (``evaluation.md`` 6.4), at :data:`FLOOR_LEVEL`."""
BOTH = "F1"
_HIT, _READ, _TRUE = range(3)

Reader = Callable[[str], Sequence[Claim]]


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and the claims a reader should find in it."""

    text_id: str
    style: str
    text: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 with their intervals, and the counts behind them."""

    precision: Interval
    recall: Interval
    f1: Interval
    n_hits: int
    n_read: int
    n_true: int


@dataclass(frozen=True, slots=True)
class ReadingError:
    """A claim that was missed, or read without being there.

    Parameters
    ----------
    text_id, kind
        Which text; ``missed`` or ``added``.
    claim
        The claim.
    level
        The last level at which it still agreed with a claim of the other side, ``""`` for none.
    """

    text_id: str
    kind: str
    claim: Claim
    level: str


@dataclass(frozen=True, slots=True)
class ClaimScores:
    """Scores of a reader on a set of texts."""

    n_texts: int
    levels: dict[str, Score]
    by_style: dict[str, dict[str, Score]]
    by_type: dict[str, dict[str, Score]]
    hedge_share: float
    errors: tuple[ReadingError, ...]

    def misses(self) -> list[str]:
        """Return what lies below the floors."""
        score = self.levels[FLOOR_LEVEL]
        found = {"precision": score.precision.value, "recall": score.recall.value}
        return [
            f"{name} at level {FLOOR_LEVEL} {found[name]:.3f}, floor {floor}"
            for name, floor in FLOORS.items()
            if not found[name] >= floor
        ]


def load_texts(path: Path) -> list[LabelledText]:
    """Read labelled texts, one JSON object a line.

    Raises
    ------
    BenchmarkError
        If the file cannot be read, or a line is no labelled text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BenchmarkError(
            f"cannot read {path.name}: {error.strerror}; give a file of labelled texts"
        ) from error
    texts = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            claims = tuple(claim_from_json(claim) for claim in data["claims"])
            texts.append(
                LabelledText(str(data["id"]), str(data["style"]), str(data["text"]), claims)
            )
        except (ValueError, KeyError, TypeError, ClaimError) as error:
            raise BenchmarkError(
                f"{path.name} line {number}: {error}; each line holds id, style, text and claims"
            ) from error
    if not texts:
        raise BenchmarkError(f"{path.name} holds no texts")
    return texts


def score_reader(
    texts: Sequence[LabelledText], read: Reader, *, seed: int = 0, n_draws: int = N_DRAWS
) -> ClaimScores:
    """Read every text and score what was read.

    Parameters
    ----------
    texts
        Labelled texts.
    read
        Returns the claims of a text.
    seed, n_draws
        Of the bootstrap.
    """
    types = sorted({c.type for t in texts for c in t.claims})
    counts = np.zeros((len(texts), len(LEVELS), 3))
    by_type: dict[str, NDArray[np.float64]] = {name: np.zeros_like(counts) for name in types}
    errors: list[ReadingError] = []
    hedges = Counter[bool]()
    for i, text in enumerate(texts):
        found = tuple(read(text.text))
        counts[i] = match_counts(text.claims, found)
        for name in types:
            of_type = [[c for c in side if c.type == name] for side in (text.claims, found)]
            by_type[name][i] = match_counts(*of_type)
        pairs, missed, added = match_claims(text.claims, found)
        hedges.update(true.hedge == other.hedge for true, other in pairs)
        errors += [ReadingError(text.text_id, "missed", c, level) for c, level in missed]
        errors += [ReadingError(text.text_id, "added", c, level) for c, level in added]
    styles: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        styles[text.style].append(i)
    return ClaimScores(
        n_texts=len(texts),
        levels=_scores(counts, seed, n_draws),
        by_style={
            name: _scores(counts[rows], seed, n_draws) for name, rows in sorted(styles.items())
        },
        by_type={name: _scores(rows, seed, n_draws) for name, rows in by_type.items()},
        hedge_share=hedges[True] / max(1, hedges.total()),
        errors=tuple(errors),
    )


def claim_key(claim: Claim, level: int) -> Hashable:
    """Return what must be equal for two claims to match at a level (index into :data:`LEVELS`)."""
    parts: tuple[Hashable, ...] = (
        claim.type,
        (claim.label, claim.band),
        claim.polarity,
        (claim.value, claim.unit),
        (frozenset(claim.channels), claim.side, frozenset(claim.regions)),
        (claim.t0, claim.t1),
    )
    return parts[: level + 1]


def match_counts(true: Iterable[Claim], read: Iterable[Claim]) -> NDArray[np.float64]:
    """Return matched, read and true claims at each level, shape (n_levels, 3)."""
    true, read = list(true), list(read)
    counts = np.zeros((len(LEVELS), 3))
    for level in range(len(LEVELS)):
        shared = Counter(claim_key(c, level) for c in true) & Counter(
            claim_key(c, level) for c in read
        )
        counts[level] = shared.total(), len(read), len(true)
    return counts


def match_claims(
    true: Sequence[Claim], read: Sequence[Claim]
) -> tuple[list[tuple[Claim, Claim]], list[tuple[Claim, str]], list[tuple[Claim, str]]]:
    """Pair claims one to one, the finest level first.

    Returns
    -------
    tuple
        Pairs that agree at the last level; true claims without such a partner and read claims
        without one, each with the last level at which it agreed with some partner.
    """
    left, right = list(true), list(read)
    pairs: list[tuple[Claim, Claim]] = []
    missed: list[tuple[Claim, str]] = []
    added: list[tuple[Claim, str]] = []
    for level in reversed(range(len(LEVELS))):
        waiting: dict[Hashable, list[Claim]] = defaultdict(list)
        for claim in right:
            waiting[claim_key(claim, level)].append(claim)
        rest = []
        for claim in left:
            partners = waiting[claim_key(claim, level)]
            if not partners:
                rest.append(claim)
                continue
            other = partners.pop(0)
            if level == len(LEVELS) - 1:
                pairs.append((claim, other))
            else:
                missed.append((claim, LEVELS[level]))
                added.append((other, LEVELS[level]))
        left = rest
        right = [c for partners in waiting.values() for c in partners]
    missed += [(c, "") for c in left]
    added += [(c, "") for c in right]
    return pairs, missed, added


def _scores(counts: NDArray[np.float64], seed: int, n_draws: int) -> dict[str, Score]:
    return {name: _score(counts[:, level], seed, n_draws) for level, name in enumerate(LEVELS)}


def _score(counts: NDArray[np.float64], seed: int, n_draws: int) -> Score:
    totals = counts.sum(axis=0)
    n_hits, n_read, n_true = (int(n) for n in totals)
    double = counts[:, [_HIT, _READ]] * (2.0, 1.0)
    double[:, 1] += counts[:, _TRUE]
    return Score(
        precision=cluster_interval(counts[:, [_HIT, _READ]], ratio, seed=seed, n_draws=n_draws),
        recall=cluster_interval(counts[:, [_HIT, _TRUE]], ratio, seed=seed, n_draws=n_draws),
        f1=cluster_interval(double, ratio, seed=seed, n_draws=n_draws),
        n_hits=n_hits,
        n_read=n_read,
        n_true=n_true,
    )
