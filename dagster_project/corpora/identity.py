"""Who a file belongs to, without saying who: identities, salted hashes, splits, age bands.

An identity is shared by everything that must never straddle a split (``corpora.md`` 3): the cases
chb01 and chb21 are one girl, two nights of Sleep-EDF are one person. Only salted hashes of it reach
a table. Shards use an unsalted hash, so a salt can change without moving anyone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from dagster_project.corpora.spec import IdentityRule

SPLITS = ("train", "validation", "test")
HASH_SHARES = (0.70, 0.85)
"""Cumulative shares of train and train + validation (engineering default 70/15/15)."""
AGE_CAP_YEARS = 90
"""Ages from here on are one band (HIPAA safe harbour)."""
AGE_BAND_YEARS = 10


def fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def short_hash(prefix: str, text: str) -> str:
    """Return ``prefix-`` and 16 hexadecimal digits of a SHA-256."""
    return f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def subject_id(identity: str, salt: str) -> str:
    """Return the salted hash of an identity.

    Raises
    ------
    ValueError
        If the salt is empty: without one, identities could be found by trying them all.
    """
    if not salt:
        raise ValueError("the subject salt is empty; set it to a secret text of your own")
    digest = hmac.new(salt.encode(), identity.encode(), hashlib.sha256).hexdigest()
    return f"s-{digest[:16]}"


def recording_id(corpus: str, relative_path: str) -> str:
    """Return the id of a recording from corpus and root-relative path."""
    return short_hash("r", f"{corpus}|{relative_path}")


def segment_id(recording: str, start_sample: int) -> str:
    """Return the id of a segment from its recording and its first native sample."""
    return short_hash("g", f"{recording}|{start_sample}")


def session_name(text: str) -> str:
    """Return a session as it may be stored: a hash where it may hold a date of visit.

    Hospitals name sessions by day; five digits in a row, or more than 24 characters, are taken for
    such a name.
    """
    bare = re.sub(r"[-_.]", "", text)
    return short_hash("v", text) if re.search(r"\d{5}", bare) or len(text) > 24 else text


def age_band(age_years: float | None) -> str | None:
    """Return the ten-year band of an age, ``90+`` from ninety on, None for no or a void age."""
    if age_years is None or not 0 <= age_years < 130:
        return None
    if age_years >= AGE_CAP_YEARS:
        return f"{AGE_CAP_YEARS}+"
    low = int(age_years // AGE_BAND_YEARS) * AGE_BAND_YEARS
    return f"{low}-{low + AGE_BAND_YEARS - 1}"


def _split_by_hash(identity: str, seed: int) -> str:
    at = fraction(f"split|{seed}|{identity}")
    return SPLITS[sum(at >= share for share in HASH_SHARES)]


def _split_by_number(identity: str, seed: int) -> str:
    """Every fourth subject to test, the one before to validation: eight subjects fill all three."""
    digits = "".join(c for c in identity.rpartition(":")[2] if c.isdigit())
    if not digits:
        return _split_by_hash(identity, seed)
    return ("test", "train", "train", "validation")[(int(digits) + seed) % 4]


SPLIT_RULES: dict[str, Callable[[str, int], str]] = {
    "hash": _split_by_hash,
    "number": _split_by_number,
}
"""Split rules by the name a corpus declares; both are stable when subjects are added."""


def split_of(identity: str, seed: int, rule: IdentityRule) -> str:
    """Return the split of an identity: train, validation or test.

    The same identity and seed give the same split for ever, whoever else is in the corpus.
    """
    subject = identity.partition(":")[2]
    pinned = (p.split for p in rule.pinned if re.fullmatch(p.pattern, subject))
    return next(pinned, None) or SPLIT_RULES[rule.split_rule](identity, seed)
