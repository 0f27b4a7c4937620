"""Reading whole statements: sleep, overclaims, limits, unread parts.

Rules 17 and 18 of the claim-extraction set. A suppressed background is read in ``suppression``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prompts.reading import cues
from prompts.reading.findings import Finding
from prompts.reading.measures import Measures, measures_of
from prompts.reading.records import Claim
from prompts.reading.scope import hedge_of, is_negated, is_pronoun
from prompts.reading.state import State
from prompts.reading.suppression import read_suppression
from prompts.reading.tokens import Item

_LOOSE_DRUGS = ("dose", "treatment", "therapy", "treated")
_ASSESS = ("assess", "judge", "interpret", "reading", "analys", "evaluat")
_HIDING = ("hides", "masks", "obscures", "conceals", "hide", "mask", "obscure")
_ALL_HIDDEN = ("obscured", "masked", "hidden")


def read_statements(items: list[Item], state: State) -> tuple[bool, list[Item]]:
    """Read what is no finding; return whether anything was, and the items left for findings."""
    kinds = {kind for item in items for kind in item.m}
    did = False
    rest = items
    if "lim" in kinds and not _is_finding_limit(items, kinds):
        state.claim(Claim("limits", span=_span(items, state)))
        return True, []
    if "oc" in kinds:
        did, rest = _read_overclaims(rest, state)
    if any("nj" in i.m for i in rest) and _is_not_judged(rest):
        return _read_not_judged(rest, state)
    if "sleep" in kinds:
        was, rest = _read_sleep(rest, state)
        did = did or was
    was, rest = read_suppression(rest, state)
    return did or was, rest


def _span(items: Sequence[Item], state: State) -> str:
    return state.text[items[0].s : items[-1].e]


def _is_finding_limit(items: Sequence[Item], kinds: set[str]) -> bool:
    """Whether "cannot say that spindles are not present" speaks of a finding after all."""
    n_negations = sum("neg" in i.m for i in items) + sum(
        i.t in ("cannot say", "can not say") for i in items
    )
    return "L" in kinds and n_negations >= 2


def _read_overclaims(items: list[Item], state: State) -> tuple[bool, list[Item]]:
    rest: list[Item] = []
    seen: set[str] = set()
    for k, item in enumerate(items):
        kind = item.m.get("oc")
        if kind is None or "edge" in item.m or _is_harmless(items, k, kind):
            rest.append(item)
        elif not _is_said(items, k, kind, seen):
            seen.add(kind)
            state.claim(_overclaim(items, k, kind, state))
    if not seen:
        return False, rest
    if "reactivity" in seen:
        return True, []
    first = _first_head(rest)
    if first < len(rest) or any("sleep" in i.m for i in rest):
        return True, [i for k, i in enumerate(rest) if "hedge" not in i.m or k < first]
    is_measured = any("Q" in i.m for i in rest) and "seizure" not in seen
    return True, [i for i in rest if "hedge" not in i.m] if is_measured else []


def _is_said(items: Sequence[Item], k: int, kind: str, seen: set[str]) -> bool:
    """Whether another word of the clause already makes this overclaim."""
    if kind in seen or (kind == "diagnosis" and "cause" in seen):
        return True
    if kind == "seizure":
        return "epilept" not in items[k].t and "diagnosis" in seen
    return kind == "cause" and any(i.m.get("oc") == "medication" for i in items[k + 1 :])


def _overclaim(items: Sequence[Item], k: int, kind: str, state: State) -> Claim:
    is_denied = is_negated(items, k) or items[k].t.startswith("not ")
    is_denied = is_denied or any(i.t in ("not", "unlikely") for i in items[k + 1 : k + 4])
    claim = Claim(
        "overclaim", value=kind, polarity="absent" if is_denied else "present",
        hedge=_hedge_near(items, k), span=_span(items, state),
    )  # fmt: skip
    if kind != "seizure" or _first_head(items) < len(items):
        return claim
    found = measures_of(items)
    t0, t1 = found.times[0] if len(found.times) == 1 else (None, None)
    return replace(claim, channels=tuple(found.channels), t0=t0, t1=t1)


def _first_head(items: Sequence[Item]) -> int:
    return next((k for k, i in enumerate(items) if "L" in i.m or "B" in i.m), len(items))


def _is_harmless(items: Sequence[Item], k: int, kind: str) -> bool:
    """Whether a word of an overclaim says something else here."""
    t = items[k].t
    if kind == "abnormal_eeg":
        is_bare = t in ("abnormal", "pathological") and not any(
            i.t in cues.RECORD_NOUNS for i in items
        )
        return is_bare and len(items) > 2
    if kind == "medication":
        return t in _LOOSE_DRUGS and k > 0 and items[k - 1].t == "no"
    if kind != "cause":
        return False
    heads = [i for i in items[k + 1 :] if "L" in i.m or "B" in i.m]
    return bool(heads)


def _hedge_near(items: Sequence[Item], k: int) -> str:
    start = 0
    for j in range(k - 1, -1, -1):
        if items[j].m.get("sep") in ("and", ";", "but"):
            start = j
            break
    end = next(
        (j for j in range(k + 1, len(items)) if items[j].m.get("sep") in ("and", ";", "but", ",")),
        len(items),
    )
    return hedge_of(items[start:end])


def _is_not_judged(items: Sequence[Item]) -> bool:
    at = next(k for k, i in enumerate(items) if "nj" in i.m)
    word = items[at].t
    if word == "impossible":
        return any(i.t.startswith(_ASSESS) for i in items)
    if word in _HIDING:
        heads = (i.m for i in items[at + 1 :] if "B" in i.m or "L" in i.m)
        return any("B" in m or m["L"][0] != "artifact" for m in heads)
    if not word.startswith("be "):
        return True
    return any("neg" in i.m or i.t in ("cannot", "could not") for i in items[:at])


def _read_not_judged(items: list[Item], state: State) -> tuple[bool, list[Item]]:
    """Read what was not judged, and the artifact that hides it as a claim of its own."""
    artifacts = [i for i in items if "L" in i.m and i.m["L"][0] == "artifact"]
    hidden = [i for i in items if ("L" in i.m and i.m["L"][0] != "artifact") or "B" in i.m]
    found = measures_of(items)
    word = next(i for i in items if "nj" in i.m)
    if artifacts and not hidden:
        if word.t in _ALL_HIDDEN and "generalised" in found.regions:
            return False, items
        if _is_subject(items, items.index(word), artifacts[0]):
            hidden, artifacts = artifacts, []
    at = items.index(word)
    listed = _listed_with(items[:at], hidden)
    if any(i.m.get("sep") == ":" for i in items[at : at + 2]):
        listed += _listed_with(items[at + 2 :], hidden)
    hidden += [i for i in artifacts if i in listed]
    artifacts = [i for i in artifacts if i not in listed]
    if not _place_unread(items, found, bool(hidden), state) and not artifacts:
        return False, items
    hedge = (
        "possible"
        if any(cue in word.t for cue in ("missed", "may", "could be", "might"))
        else "none"
    )
    t0, t1 = found.times[0] if len(found.times) == 1 else (None, None)
    claim = Claim(
        "not_judged", channels=tuple(found.channels), side=found.side, region=found.region, t0=t0,
        t1=t1, hedge=hedge, span=_span(items, state),
    )  # fmt: skip
    for item in hidden:
        _, label, value, _ = item.m.get("L", ("", None, None, ()))
        value = value if value == "slowing" else None
        label = label.partition("+")[0] if label else None
        state.claim(replace(claim, label=label, value=value, band=item.m.get("B")))
    if not hidden:
        state.claim(claim)
    for item in artifacts:
        kind, label, name, _ = item.m["L"]
        artifact = Finding(
            kind, label, name, channels=list(found.channels), side=found.side,
            regions=list(found.regions), times=list(found.times), span=(item.s, item.e),
        )  # fmt: skip
        state.add(artifact)
        state.topic = [artifact]
    return True, []


def _place_unread(items: Sequence[Item], found: Measures, is_hidden: bool, state: State) -> bool:
    """Take the place of the last finding where none is said ("there"); say whether there is one."""
    is_there = not found.has_place and (any(i.t == "there" for i in items) or is_pronoun(items))
    is_bare = not (found.has_place or found.has_time or is_hidden)
    if state.topic and (is_there or (is_bare and not state.new_sentence)):
        source = state.topic[0]
        found.channels, found.side = list(source.channels), source.side
        found.regions = list(source.regions)
        return True
    return not is_bare


def _is_subject(items: Sequence[Item], at: int, artifact: Item) -> bool:
    """Whether the artifact itself was not judged ("not judged: blinks", "blinks could not be judged")."""
    if any("hides" in i.m and i.t not in ("make", "makes", "by") for i in items):
        return False
    k = items.index(artifact)
    if k < at:
        return True
    return any(i.m.get("sep") == ":" for i in items[at:k]) and not any(
        i.m.get("sep") == "(" for i in items[at:k]
    )


def _listed_with(items: Sequence[Item], hidden: Sequence[Item]) -> list[Item]:
    """Return the heads of the lists that hidden findings stand in ("mains, blinks and spikes").

    A comma alone lists nothing: in "muscle, spikes not judged" the muscle is the cause.
    """
    lists: list[list[Item]] = []
    heads: list[Item] = []
    is_last = False
    for item in items:
        sep = item.m.get("sep")
        if "L" in item.m or "B" in item.m:
            heads.append(item)
            if is_last:
                lists.append(heads)
                heads, is_last = [], False
        elif sep in ("and", "or") and heads:
            is_last = True
        elif sep != ",":
            heads, is_last = [], False
    return [i for heads in lists if any(h in hidden for h in heads) for i in heads]


def _read_sleep(items: list[Item], state: State) -> tuple[bool, list[Item]]:
    rest: list[Item] = []
    did = False
    for k, item in enumerate(items):
        value = item.m.get("sleep")
        if value is None or not _is_state(items, k, value):
            rest.append(item)
            continue
        state.is_in_sleep = state.is_in_sleep or value == "N3"
        claim = Claim("sleep_context", value=value, polarity="absent" if is_negated(items, k) else "present",
                      hedge=_hedge_near(items, k), span=_span(items, state))  # fmt: skip
        state.claim(claim)
        did = True
    if did:
        first = _first_head(rest)
        rest = [i for j, i in enumerate(rest) if "hedge" not in i.m or (j < first < len(rest))]
        if first == len(rest) and not any("Q" in i.m for i in rest):
            rest = []
    return did, rest


def _is_state(items: Sequence[Item], k: int, value: str) -> bool:
    item = items[k]
    if item.t == "sleep":
        before = items[k - 1].t if k else ""
        if before in cues.BEFORE_SLEEP and len(items) > 3:
            return False
        return before in cues.STATES or len(items) <= 2 or any("hedge" in i.m for i in items[:k])
    if item.t in ("eo", "ec"):
        return True
    return not (value == "eyes_open" and k + 1 < len(items) and items[k + 1].t in ("?",))
