"""Clauses of a sentence: where a new statement starts, and what goes on with the one before.

A sentence is cut at commas, conjunctions and brackets into pieces; a piece that names nothing of its
own ("at 3.3 s", "C3 and C4") stays with the clause before it (or after it, at the start of a
sentence), a piece that does starts a clause, and items of one list stay together. What a clause
claims is read in ``statements``, ``bands`` and ``events``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prompts.reading import cues
from prompts.reading.tokens import Item

_DENYING = ("nor", "not", "rather than", "unlike")


@dataclass(slots=True)
class Clause:
    """Items of one statement and the separator before it."""

    items: list[Item] = field(default_factory=list)
    sep: str = ""
    is_anchored: bool = False

    @property
    def s(self) -> int:
        """Where it starts in the text."""
        return self.items[0].s

    @property
    def e(self) -> int:
        """Where it ends in the text."""
        return self.items[-1].e


def split_clauses(items: list[Item]) -> list[Clause]:
    """Return the clauses of a sentence in order."""
    clauses: list[Clause] = []
    for sep, piece in _pieces(items):
        is_anchored = is_anchor(piece)
        if not clauses or _starts_new(clauses[-1], sep, piece, is_anchored):
            clauses.append(Clause(piece, sep, is_anchored))
            continue
        current = clauses[-1]
        if sep:
            joined = "and" if sep in _DENYING else sep
            current.items.append(Item({"sep": joined}, sep, piece[0].s, piece[0].s))
        current.items.extend(piece)
        current.is_anchored = current.is_anchored or is_anchored
    return clauses


def _starts_new(current: Clause, sep: str, piece: list[Item], is_anchored: bool) -> bool:
    """Whether a piece starts a statement of its own."""
    if sep == "(" and len(piece) <= 2 and "B" in piece[0].m:
        return False
    if sep == ":":
        if _is_header(current.items):
            return False
        if current.is_anchored and not is_anchored:
            return any("C" in i.m for i in piece) and any("N" in i.m for i in piece)
    if sep == ";":
        return True
    if current.is_anchored:
        return sep in ("|", "but", "{") or (
            is_anchored and not _is_list_item(current.items, sep, piece)
        )
    if not is_anchored:
        return False
    if sep == "and" and "pron" in current.items[0].m:
        return True
    return _is_comparison(piece) and any("Q" in i.m for i in current.items)


def is_anchor(items: list[Item]) -> bool:
    """Whether a piece names something of its own, so that it can stand as a statement."""
    kinds: set[str] = set()
    for item in items:
        m = item.m
        if not m:
            continue
        if not cues.ANCHORS.isdisjoint(m) and not _is_loose_sleep(item):
            return True
        if ("sym" in m and "cmp" not in m) or item.t in cues.NONE_THERE:
            return True
        kinds.update(m)
        if "Q" in m and m["Q"][0] in ("Hz", "uV"):
            kinds.add("measured")
    return _is_measured_noun(items, kinds) or _is_of_level(items, kinds) or {"cmp", "S"} <= kinds


def _is_loose_sleep(item: Item) -> bool:
    """Whether a word of sleep or state has another meaning that does not anchor ("EC", "fit")."""
    m = item.m
    return (
        "sleep" in m
        and len(m) > 1
        and "L" not in m
        and "B" not in m
        and item.t not in ("rem", "sleep")
    )


def _is_measured_noun(items: list[Item], kinds: set[str]) -> bool:
    if "measured" not in kinds or not ("R" in kinds or ("amp" in kinds and "Q" not in items[0].m)):
        return False
    return items[0].t not in cues.VERBS or any(
        i.t in ("there", "recognised", "seen") for i in items
    )


def _is_of_level(items: list[Item], kinds: set[str]) -> bool:
    """Whether a tier or rank of energy is given ("the low tier", "the occipital channels stay low")."""
    if "level" not in kinds and "rank" not in kinds:
        return False
    if "power" in kinds:
        return True
    return any(i.t in ("tier", "tiers") or i.t in cues.CHANNEL_NOUNS for i in items)


def _is_comparison(piece: list[Item]) -> bool:
    kinds = {kind for item in piece for kind in item.m}
    return {"cmp", "S"} <= kinds and kinds.isdisjoint(("L", "B"))


def _is_header(items: list[Item]) -> bool:
    """Whether a piece before a colon only names what follows ("Artifacts:", "side difference:")."""
    return len(items) <= 3 and not any("Q" in i.m or "C" in i.m or "neg" in i.m for i in items)


def _pieces(items: list[Item]) -> list[tuple[str, list[Item]]]:
    """Cut at separators; the strongest of several in a row counts."""
    pieces: list[tuple[str, list[Item]]] = []
    piece: list[Item] = []
    sep = ""
    for item in items:
        t = item.t
        is_strong = t in cues.STRONG
        if not (is_strong or t in cues.WEAK) or _stays(piece, item):
            piece.append(item)
            continue
        if piece:
            pieces.append((sep, piece))
            piece, sep = [], t
        elif is_strong or not sep or sep in cues.WEAK:
            sep = t
        piece += _carried(item)
    if piece:
        pieces.append((sep, piece))
    return pieces


def _stays(piece: list[Item], item: Item) -> bool:
    """Whether a word that could separate belongs to the piece it stands in."""
    t = item.t
    if t == "that":
        is_after_noun = bool(piece) and not cues.NOUN_KINDS.isdisjoint(piece[-1].m)
        return not is_after_noun or any("neg" in i.m for i in piece)
    if t == "as":
        return bool(piece)
    if t == "not":
        return not piece or piece[-1].t in cues.AUXILIARIES
    return t == "rather than" and not piece


def _carried(item: Item) -> list[Item]:
    """Return what a separator brings into the next piece: a denial, or a pronoun."""
    if item.t in _DENYING:
        return [Item({"neg": "neg"}, item.t, item.s, item.e)]
    if item.t in ("that", "which"):
        return [item]
    return [Item({"pron": "pron"}, item.t, item.s, item.e)] if item.t == "where" else []


def _is_list_item(before: list[Item], sep: str, piece: list[Item]) -> bool:
    """Whether a piece goes on with a list of findings or bands ("spikes, sharp waves or ...")."""
    if sep not in cues.LIST_SIGNS:
        return False
    last = next((k for k in range(len(before) - 1, -1, -1) if _is_content(before[k])), None)
    if last is None or cues.HEAD_KINDS.isdisjoint(before[last].m):
        return False
    if any("C" in i.m for i in before[last:]):
        return False
    kinds = ("B",) if "B" in before[last].m else ("L", "asym")
    is_denied = any("neg" in i.m for i in before)
    for item in piece[:6]:
        m = item.m
        if not m.keys().isdisjoint(kinds):
            return True
        if "neg" in m and sep == "," and not is_denied:
            return False
        is_passing = item.t in cues.PASSING or item.t in cues.PRENOMINAL
        if not is_passing and {"neg", "hedge", "G"}.isdisjoint(m):
            return False
    return False


def _is_content(item: Item) -> bool:
    m = item.m
    if not cues.HEAD_KINDS.isdisjoint(m):
        return True
    return item.t not in cues.PASSING and {"R", "place", "power", "C"}.isdisjoint(m)
