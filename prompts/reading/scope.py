"""What a denial or a doubt in a clause reaches, and whether the clause speaks of something earlier.

Rules 27, 30 and 31 of the claim-extraction set. Functions over items only; no state.
"""

from __future__ import annotations

from collections.abc import Sequence

from prompts.reading import cues
from prompts.reading.tokens import Item

CALLING = frozenset(("call it", "describe it as", "call this", "call them"))
_OCCURS = frozenset(("appear", "appears", "appeared", "seen"))
_CANNOT_SAY = frozenset(("cannot say", "can not say", "cannot be said"))


def is_negated(items: Sequence[Item], at: int) -> bool:
    """Whether the head at ``at`` is denied; two denials are none."""
    n_before = 0
    for k in range(at):
        item = items[k]
        if item.t in cues.NEG_STOP or item.m.get("sep") in cues.NEG_STOP:
            n_before = 0
        elif "neg" in item.m or item.t in _CANNOT_SAY:
            n_before += 1
        elif n_before and (_ends_at_head(items, k, at) or _ends_at_comma(items, k)):
            n_before = 0
    return (n_before + _denials_after(items, at)) % 2 == 1


def hedge_of(items: Sequence[Item]) -> str:
    """Return the doubt or certainty a clause voices."""
    found = "none"
    for k, item in enumerate(items):
        hedge = item.m.get("hedge")
        if hedge is None or _is_perception(items, k) or _is_occurrence(items, k):
            continue
        is_denied = hedge == "certain" and k and "neg" in items[k - 1].m
        found = "none" if is_denied else hedge
    return found


def is_pronoun(items: Sequence[Item]) -> bool:
    """Whether a clause opens with a word for what was told before."""
    n_first = 2 if "neg" in items[0].m else 3
    return any("pron" in i.m for i in items[:n_first]) or any(i.t in CALLING for i in items[:4])


def _ends_at_head(items: Sequence[Item], k: int, at: int) -> bool:
    """Whether a denial is used up by the head at ``k``, which is no list with the one at ``at``."""
    if "L" not in items[k].m and "B" not in items[k].m:
        return False
    return any("neg" in i.m for i in items[k:at]) or not _is_list(items[k + 1 : at])


def _ends_at_comma(items: Sequence[Item], k: int) -> bool:
    """Whether a denial ended with its own noun before this comma ("no field, which is ...")."""
    if items[k].m.get("sep") not in (",", "which") or not k or "neg" in items[k - 1].m:
        return False
    return not any("L" in i.m or "B" in i.m for i in items[:k])


def _is_list(between: Sequence[Item]) -> bool:
    """Whether what stands between two heads only lists them."""
    is_joined = False
    for item in between:
        m = item.m
        if "sep" in m or "neg" in m or item.t in ("and", "or"):
            is_joined = True
        elif (
            cues.LISTED_KINDS.isdisjoint(m)
            and item.t not in cues.LISTING
            and item.t not in cues.PRENOMINAL
        ):
            return False
    return is_joined


def _denials_after(items: Sequence[Item], at: int) -> int:
    n = 0
    last = len(items) - 1
    for k in range(at + 1, last + 1):
        item = items[k]
        if item.m.get("sep") in ("but", ";"):
            break
        if "neg" not in item.m or item.t not in cues.POST_NEG or (item.t == "no" and k < last):
            continue
        if item.t not in cues.BARE_NEG or k == last or _denies_seeing(items, k + 1):
            n += 1
    return n


def _denies_seeing(items: Sequence[Item], k: int) -> bool:
    """Whether a bare "not" denies that something is there ("not seen", "not clearly visible")."""
    if items[k].t in cues.PERCEIVED:
        return True
    is_open = items[k].t in cues.BEFORE_PERCEIVED
    return is_open and any(i.t in cues.PERCEIVED for i in items[k : k + 3])


def _is_perception(items: Sequence[Item], k: int) -> bool:
    """Whether "could be seen" only says that something was seen."""
    if items[k].t not in ("could", "may", "might") or k + 2 >= len(items):
        return False
    seen = any(i.t in cues.PERCEIVED for i in items[k + 2 : k + 4])
    return items[k + 1].t in ("be", "not") and seen


def _is_occurrence(items: Sequence[Item], k: int) -> bool:
    """Whether "appears" only says that something occurs ("appears in Fp1")."""
    if items[k].t not in _OCCURS:
        return False
    after = items[k + 1] if k + 1 < len(items) else None
    if after is None or after.t in cues.OCCURS_WHERE:
        return True
    return not {"sep", "C", "Q"}.isdisjoint(after.m)
