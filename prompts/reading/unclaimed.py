"""What is no claim: technique, rules, suppositions, and what a speaker takes back.

Rules 7, 28 and 29 of the claim-extraction set. Sentences are read in ``sentences``.
"""

from __future__ import annotations

from collections.abc import Sequence

from prompts.reading import cues
from prompts.reading.clauses import Clause
from prompts.reading.state import State
from prompts.reading.tokens import Item
from prompts.reading.turns import Sentence


def is_technique(items: Sequence[Item]) -> bool:
    """Whether a clause is about filters, age, montage and the like, and names no finding."""
    return any("tech" in i.m for i in items) and not any(
        "L" in i.m or "C" in i.m or "oc" in i.m or "lim" in i.m or "sleep" in i.m for i in items
    )


def is_definition(items: Sequence[Item], kinds: set[str]) -> bool:
    """Whether a sentence gives a rule or says what a word means."""
    if not (kinds & {"L", "B"}) and "amp" not in kinds:
        return False
    if kinds & {"C"} or any(i.t in cues.ON_PAGE for i in items):
        return False
    texts = " ".join(i.t for i in items)
    if (
        items[0].t in ("a", "an")
        and len(items) > 2
        and ("L" in items[1].m or "L" in items[2].m)
        and _defines(items)
    ):
        return (
            "Q" in kinds or any(i.t in ("a", "an", "defined") for i in items[3:]) or "tech" in kinds
        )
    return any(cue in texts for cue in cues.DEFINITIONS)


def _defines(items: Sequence[Item]) -> bool:
    """Whether "a spindle is a ...", "a spike lasts ..." follows the article."""
    for k in range(2, min(6, len(items) - 1)):
        t = items[k].t
        if t in ("is", "means"):
            return items[k + 1].t in cues.AFTER_IS
        if t in cues.DEFINING:
            return True
    return False


def without_conditions(items: list[Item], state: State) -> list[Item]:
    """Drop if-clauses and their consequence; "unless" leaves it, as possible (rule 29)."""
    for k, item in enumerate(items[:-1]):
        if item.t == "if" and items[k + 1].t in ("any", "at", "present"):
            return items[:k] + items[k + 2 :]
    if items[0].t == "if" and any(i.t in ("look", "see", "compare") for i in items[1:4]):
        return items[3:]
    at = next(
        (
            k
            for k, i in enumerate(items)
            if i.t in cues.IFS and (k == 0 or i.t not in ("when", "had", "were", "once"))
        ),
        None,
    )
    if at is None:
        return items
    if (
        items[at].t == "had"
        and "ord" not in items[0].m
        and not any(i.t in ("would", "could") for i in items)
    ):
        return items
    end = next(
        (k for k in range(at, len(items)) if items[k].t == "," and _is_clause_end(items, k)), None
    )
    if items[at].t == "unless":
        state.forced_hedge = "possible"
        return items[end + 1 :] if end is not None and at == 0 else items[:at]
    stop = next((k for k in range(at, len(items)) if items[k].t in (";", "but", "—")), len(items))
    if at == 0:
        return items[stop + 1 :]
    if any(i.t in ("would", "should", "could", "might") for i in items[:at]):
        return items[stop + 1 :]
    return items[:at] + (items[end:] if end is not None else [])


def _is_clause_end(items: Sequence[Item], k: int) -> bool:
    """Whether a comma ends the if-clause and not a list inside it."""
    return k + 1 < len(items) and "C" not in items[k + 1].m and "Q" not in items[k + 1].m


def is_supposed(clause: Clause) -> bool:
    """Whether a clause says what would or should be, not what is."""
    texts = [i.t for i in clause.items]
    if any(i.m.get("oc") == "medication" for i in clause.items):
        return False
    joined = " ".join(texts)
    if any(cue in joined for cue in cues.IN_GENERAL) and not any("C" in i.m for i in clause.items):
        return True
    for k, t in enumerate(texts):
        if t in ("would", "should") and not any(x in cues.WOULD_CALL for x in texts[k : k + 4]):
            return not any(x in cues.MISTAKEN for x in texts[k:])
    return any(t in ("expect", "expected") for t in texts[:5]) and "might" in texts[:4]


def take_back(items: list[Item], state: State, sentence: Sentence) -> list[Item]:
    """Let "Let me recheck. No, alpha ..." take back what the sentence before said (rule 28)."""
    if not items:
        return items
    if any(i.t in cues.RECHECKS for i in items) and not any(
        "L" in i.m or "B" in i.m for i in items
    ):
        state.corrects_from = 0
        return []
    is_no = (
        items[0].t in cues.TAKES_BACK
        and len(items) > 2
        and items[1].t in (",", ":")
        and not sentence.is_answer_start
        and not state.asked
    )
    if is_no:
        state.corrects_from = (
            state.sentence_start if state.corrects_from is None else state.corrects_from
        )
        items = items[2:]
    if not state.corrects_from:
        state.sentence_start = len(state.out)
    return items


def without_corrections(items: list[Item]) -> list[Item]:
    """Put the last version in place of the first: "8 Hz, correction, 9 Hz", "at P3, sorry, P4"."""
    for k, item in enumerate(items):
        if k == 0 or item.t not in cues.CORRECTS or items[k - 1].t not in cues.BEFORE_CORRECTION:
            continue
        j = k + 1
        while j < len(items) and (items[j].t in cues.FILL or "about" in items[j].m):
            j += 1
        if j >= len(items):
            continue
        follows = items[k + 1].t
        if (
            item.t == "no"
            and follows not in (",", "—", "–")
            and not {"C", "Q", "N"} & items[j].m.keys()
        ):
            continue
        end = j
        out = list(items[: k - 1])
        while end < len(items) and (old := _like(out, items[end])) is not None:
            out[old] = items[end]
            end += 1
        if end > j:
            rest = items[end + 1 :] if end < len(items) and items[end].t in (")",) else items[end:]
            return without_corrections([*out, *rest])
    return items


def _like(items: Sequence[Item], new: Item) -> int | None:
    """Return the last item of the same kind as ``new``, which it takes the place of."""
    for kind in ("C", "Q", "S", "cmp", "trend", "rank", "B", "L", "N", "P", "ord"):
        if kind not in new.m:
            continue
        for j in range(len(items) - 1, -1, -1):
            if kind in items[j].m and (kind != "Q" or items[j].m["Q"][0] == new.m["Q"][0]):
                return j
    return None
