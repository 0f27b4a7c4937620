"""Reading one sentence: what is no claim is set aside, the rest goes clause by clause to the readers.

Rules 7, 8, 28 and 29 of the claim-extraction set: questions, instructions, quoted rules, technique,
other recordings, conditionals, corrections, and the short answers of dialogues.
"""

from __future__ import annotations

from collections.abc import Sequence

from prompts.reading import cues
from prompts.reading.answers import answer_with_name, apply_answer, from_artifact
from prompts.reading.bands import read_bands
from prompts.reading.clauses import Clause, split_clauses
from prompts.reading.events import read_events
from prompts.reading.findings import Finding
from prompts.reading.records import Claim
from prompts.reading.scope import hedge_of, is_negated
from prompts.reading.sides import sign_of
from prompts.reading.state import State
from prompts.reading.statement_words import INSTRUCTIONS
from prompts.reading.statements import read_statements
from prompts.reading.tokens import Item
from prompts.reading.turns import Sentence
from prompts.reading.unclaimed import (
    is_definition,
    is_supposed,
    is_technique,
    take_back,
    without_conditions,
    without_corrections,
)  # fmt: skip

_ORDERS = frozenset(t.strip() for t in INSTRUCTIONS.split(";"))


def read_sentence(sentence: Sentence, state: State) -> list[str]:
    """Read a sentence into the state; return its clauses that nobody could read."""
    items = [i for i in sentence.items if i.t not in cues.MARKS]
    state.is_asking = sentence.is_question or (sentence.is_asker and not sentence.is_question)
    is_reply = sentence.is_answer_start or state.had_question
    state.is_answer = is_reply and not sentence.is_asker
    state.had_question = state.had_question or sentence.is_asker
    state.new_sentence = True
    items = take_back(items, state, sentence)
    if not items:
        return []
    if sentence.is_answer_start:
        items = apply_answer(items, state)
        if not items:
            return []
    return _statements(items, sentence, state)


def _statements(items: list[Item], sentence: Sentence, state: State) -> list[str]:
    if not sentence.is_asker and _is_no_claim(items, sentence, state):
        return []
    items = _without_contrast(without_corrections(items))
    if not state.is_asking:
        items = without_conditions(items, state)
    unread: list[str] = []
    is_elsewhere = False
    for clause in split_clauses(items):
        if is_supposed(clause):
            continue
        is_elsewhere = _is_other(clause, is_elsewhere)
        if is_elsewhere or (not state.is_asking and any("attr" in i.m for i in clause.items)):
            _suppose(clause.items, state)
            continue
        before = len(state.out)
        did = _read_clause(clause, state)
        state.forced_hedge = ""
        if not did and len(state.out) == before and not state.is_asking and len(clause.items) > 2:
            unread.append(state.text[clause.s : clause.e])
        state.new_sentence = False
    return unread


def _read_clause(clause: Clause, state: State) -> bool:
    items = clause.items
    if state.is_answer and state.asked_type is not None and answer_with_name(items, state):
        return True
    if is_technique(items):
        return True
    did, rest = read_statements(list(items), state)
    if not rest:
        return did
    rest = _without_listed_asymmetry(rest, state)
    at = _run_on_symmetry(rest)
    if at is not None:
        _read_rest(rest[:at], state)
        read_bands(rest[at : at + 1], state)
        return read_events(rest[at + 1 :], state) or True
    at = sign_of(rest)
    if at is None:
        return _read_rest(rest, state) or did
    named = [i for i in rest[max(0, at - 1) : at] if "B" in i.m]
    if at > len(named):
        _read_rest(rest[: at - len(named)], state)
    tail = rest[at + 3 :]
    shares = [i for i in tail if "Q" in i.m and i.m["Q"][0] == "percent"]
    read_bands([*named, *rest[at : at + 3], *shares], state)
    if any("L" in i.m for i in tail):
        read_events(tail, state)
    return True


def _without_contrast(items: list[Item]) -> list[Item]:
    """Keep the band that is meant: "not delta but theta"."""
    for k in range(len(items) - 3):
        is_pair = "B" in items[k + 1].m and "B" in items[k + 3].m
        if items[k].t == "not" and items[k + 2].t == "but" and is_pair:
            return items[:k] + items[k + 3 :]
    return items


def _run_on_symmetry(items: list[Item]) -> int | None:
    """Return where "symmetric" stands between other notes without a comma."""
    for k in range(1, len(items) - 1):
        if items[k].t in ("symmetric", "symmetrical", "sym", "symm"):
            before, after = items[k - 1].m, items[k + 1].m
            is_between = not {"Q", "C", "L"}.isdisjoint(before) and not {"neg", "L"}.isdisjoint(
                after
            )
            return k if is_between else None
    return None


def _without_listed_asymmetry(items: list[Item], state: State) -> list[Item]:
    """Take "asymmetry" out of a list of findings, as a claim of its own."""
    at = next((k for k, i in enumerate(items) if "asym" in i.m), None)
    if (
        at is None
        or not any("L" in i.m for i in items)
        or any(i.m.get("S") in ("left", "right") for i in items)
    ):
        return items
    is_listed = any(
        "sep" in i.m or i.t == "nor" for i in items[max(0, at - 1) : at] + items[at + 1 : at + 2]
    )
    if not is_listed or any("B" in i.m or "cmp" in i.m for i in items):
        return items
    polarity = "absent" if is_negated(items, at) else "present"
    span = state.text[items[0].s : items[-1].e]
    state.claim(Claim("asymmetry", polarity=polarity, hedge=hedge_of(items), span=span))
    return items[:at] + items[at + 1 :]


def _read_rest(rest: list[Item], state: State) -> bool:
    did = False
    if read_bands(rest, state):
        artifacts = [i for i in rest if "L" in i.m and i.m["L"][0] == "artifact"]
        if artifacts:
            read_events(from_artifact(rest, artifacts[0]), state)
        return True
    return read_events(rest, state) or did


def _is_no_claim(items: Sequence[Item], sentence: Sentence, state: State) -> bool:
    kinds = {kind for item in items for kind in item.m}
    first = items[0].t
    if sentence.is_question:
        return False
    if first in _ORDERS and not any(i.t == ":" for i in items):
        return True
    if "reco" in kinds and not kinds & {"L", "B"}:
        return True
    if "attr" in kinds and not any(i.t == ";" for i in items):
        _suppose(items, state)
        return True
    if is_definition(items, kinds):
        _suppose(items, state)
        state.asked = []
        return True
    return False


def _is_other(clause: Clause, was_other: bool) -> bool:
    """Whether a clause is about another recording (rule 7)."""
    items = clause.items
    if any(i.t in cues.NOW for i in items):
        return False
    kinds = {kind for i in items for kind in i.m}
    year = any("N" in i.m and 1950 <= i.m["N"] <= 2100 and not i.m.get("range") for i in items)
    if (
        ("other" in kinds or year)
        and not kinds & {"trend", "steady"}
        and not any(i.t in ("compared", "relative", "than") for i in items)
    ):
        return True
    return was_other and clause.sep not in cues.TURNS


def _suppose(items: list[Item] | Sequence[Item], state: State) -> None:
    """Read what others found, so that "none here" knows what is meant; it makes no claim."""
    state.is_hypothetical = True
    for clause in split_clauses(list(items)):
        read_events(clause.items, state)
    state.is_hypothetical = False
    supposed = [f for f in state.out if isinstance(f, Finding) and f.is_asked]
    for finding in state.topic:
        if not finding.has_place and len(supposed) > 1:
            finding.copy_place(supposed[-2])
    state.asked = [f for f in state.topic if f.is_asked]
