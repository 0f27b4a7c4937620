"""How a clause refers to a finding told before: pronouns, identities, answers, "before that".

Rules 3, 6 and 8 of the claim-extraction set. What was read is kept in ``state``.
"""

from __future__ import annotations

from collections.abc import Sequence

from prompts.reading import cues
from prompts.reading.findings import Finding, settle
from prompts.reading.measures import PAGE_S, Measures
from prompts.reading.scope import CALLING, hedge_of, is_pronoun
from prompts.reading.state import State
from prompts.reading.tokens import Item

_SLOWING = ("focal_slowing", "generalised_slowing")
_SEEN = ("event", "artifact")
_SAYS_WHAT = (
    "with", "of", "to", "likely", "probably", "possibly", "as", "probable", "possible", "presumably",
)  # fmt: skip
_TIME_WORDS = ("before", "after", "afterwards", "thereafter", "then")


def continues(state: State, items: Sequence[Item], found: Measures) -> bool:
    """Whether a clause without a head goes on about the last finding."""
    if not state.topic or found.is_empty or any("elsewhere" in i.m for i in items):
        return False
    topic = state.topic[0]
    if topic.is_asked and not state.is_answer and not topic.is_generic:
        return False
    if found.frequencies and topic.label == "flat":
        return False
    if topic.is_absent and not topic.is_asked and (found.frequencies or found.amplitudes):
        return False
    if not state.new_sentence or is_pronoun(items) or _adds_number_or_maximum(topic, items, found):
        return True
    if state.is_answer or (topic.is_asked and state.asked):
        return True
    if found.frequencies and (topic.frequencies or topic.type == "artifact"):
        return False
    if found.amplitudes and not found.has_place:
        of_all = any(i.t in ("background", "overall", "generally") for i in items)
        return not (topic.amplitudes or topic.is_absent or of_all)
    return not (found.has_place or found.frequencies or topic.is_absent)


def _adds_number_or_maximum(topic: Finding, items: Sequence[Item], found: Measures) -> bool:
    """Whether "Fp1 shows two" or "F8 max" says more of the last finding."""
    if topic.type == "voltage" or topic.is_asked or found.frequencies:
        return False
    if found.counts and topic.type != "rhythm":
        return True
    return any(i.t in cues.MAXIMAL for i in items)


def same_as(state: State, new: Finding, items: Sequence[Item]) -> Finding | None:
    """Return the earlier finding that a definite mention ("the spindles") takes up again."""
    if new.label is None and new.word is None:
        return None
    earlier = (o for o in reversed(state.out) if isinstance(o, Finding) and o not in state.topic)
    is_definite = any(i.t in cues.DEFINITE for i in items[:3])
    for old in [*state.topic, *earlier]:
        if (old.type, old.label, old.word) != (new.type, new.label, new.word):
            continue
        if new.is_absent != old.is_absent and not old.is_asked:
            return None
        is_answered = old.is_asked and state.is_answer and old in state.asked
        if is_answered and new.is_absent == old.is_absent:
            return None
        if is_definite and not old.is_asked and not new.is_absent:
            return old
    return None


def shift_time(state: State, items: Sequence[Item], found: Measures) -> None:
    """Read "before that" and "after it" as the time before or after the last finding."""
    word = items[0].t
    if word not in _TIME_WORDS or found.has_time or len(items) < 2 or not state.topic:
        return
    times = state.topic[0].times
    if len(times) != 1 or (word in ("before", "after") and "pron" not in items[1].m):
        return
    t0, t1 = times[0]
    found.times.append((0, t0) if word == "before" else (t0 if t1 is None else t1, PAGE_S))


def join_asked_place(state: State, finding: Finding) -> None:
    """Let an answer stand at the place that was asked about."""
    if state.is_answer and state.topic and state.topic[0].is_generic and state.topic[0].has_place:
        finding.copy_place(state.topic[0], is_same=True)


def identify(state: State, group: list[Finding], items: Sequence[Item]) -> None:
    """Let "this is a blink" take place, time and numbers of the thing it names."""
    if not state.topic:
        return
    topic, head = state.topic[0], group[0]
    settle(topic)
    if _names_mu(topic, head, items) or _takes_kind(topic, head, items):
        return
    _sum_up(state, head, items)
    is_same = _is_identity(state, head, items)
    if topic.is_generic and (is_same or is_pronoun(items) or not state.new_sentence):
        for finding in group:
            finding.copy_place(topic, is_same=is_same)
            if not finding.is_absent:
                _take_measures(finding, topic)
        topic.is_asked = topic.is_asked or not topic.word
    elif is_same and _is_renamed(topic, head):
        for finding in group:
            finding.copy_place(topic, is_same=True)
            finding.count = topic.count if finding.count is None else finding.count
            _take_measures(finding, topic)
        topic.is_asked = True
    elif is_same or _shares_place(head, items):
        for finding in group:
            finding.copy_place(topic, is_same=is_same)


def _sum_up(state: State, head: Finding, items: Sequence[Item]) -> None:
    """Read "this picture amounts to diffuse slowing": the rhythms told before are part of it."""
    is_all = any(i.t in ("picture", "together", "overall", "findings") for i in items)
    if head.label != "generalised_slowing" or head.is_absent or not is_all:
        return
    if not any("ident" in i.m for i in items):
        return
    for old in state.out:
        if isinstance(old, Finding) and old.type == "rhythm" and not (old.label or old.is_absent):
            old.label = "generalised_slowing"
            old.add_place([], None, ["generalised"])


def _shares_place(head: Finding, items: Sequence[Item]) -> bool:
    if items[0].t == "rather than":
        return True
    return is_pronoun(items) and not head.has_place and head.type != "rhythm"


def _is_renamed(topic: Finding, head: Finding) -> bool:
    """Whether a named finding turns out to be another one ("sharp waves, best read as POSTS")."""
    if topic.type not in _SEEN or not (topic.label or topic.word) or topic.label == head.label:
        return False
    return not (head.is_absent or topic.is_absent or topic.is_asked)


def _names_mu(topic: Finding, head: Finding, items: Sequence[Item]) -> bool:
    if head.word != "mu" or head.is_absent or topic.type != "rhythm" or topic.label is not None:
        return False
    if not is_pronoun(items):
        return False
    topic.word, topic.hedge = "mu", head.hedge
    head.is_asked = True
    return True


def _takes_kind(topic: Finding, head: Finding, items: Sequence[Item]) -> bool:
    """Read "no such slowing" and "followed by a slow wave" with what the last finding was."""
    is_such = any(i.t in ("such", "no such") for i in items)
    if head.word == "slowing" and head.is_absent and topic.label in _SLOWING and is_such:
        head.label, head.word, head.band = topic.label, None, topic.band
        return True
    if head.label != "slow_wave" or topic.type not in ("event", "rhythm") or not topic.has_place:
        return False
    texts = " ".join(i.t for i in items)
    if not any(cue in texts for cue in cues.AFTER_WAVE):
        return False
    head.copy_place(topic)
    if head.is_absent:
        head.times = []
    return True


def _is_identity(state: State, head: Finding, items: Sequence[Item]) -> bool:
    """Whether a clause says what the last finding is: "this is a blink", "most likely a pop"."""
    if any(i.t in CALLING for i in items[:4]):
        return True
    if state.topic[0].is_generic and any(i.t in ("because of", "due to") for i in items[:2]):
        return True
    if head.type not in _SEEN or items[0].t in ("there", "before", "after"):
        return False
    at = next((k for k, i in enumerate(items) if "L" in i.m), len(items))
    before = items[:at]
    says = any("ident" in i.m or i.t in cues.AS_WORDS for i in before)
    if state.new_sentence or (says and is_pronoun(items)):
        return says and is_pronoun(items)
    if says and any("ident" in i.m or "hedge" in i.m for i in before[:3]):
        return True
    if not before or head.has_place or head.times:
        return False
    return "hedge" in before[0].m and before[0].t.endswith(_SAYS_WHAT)


def _take_measures(finding: Finding, topic: Finding) -> None:
    finding.frequencies = [*topic.frequencies, *finding.frequencies]
    finding.amplitudes = [*topic.amplitudes, *finding.amplitudes]
    finding.durations = [*topic.durations, *finding.durations]
    topic.frequencies, topic.amplitudes, topic.durations = [], [], []


def extend(state: State, finding: Finding, items: Sequence[Item], found: Measures) -> None:
    """Add a headless clause to a finding; an answer makes an asked finding a claim."""
    if finding.is_asked and state.is_answer:
        hedge = hedge_of(items)
        is_seen = bool(found.counts) or found.has_place or found.has_time or hedge != "none"
        finding.is_asked = False
        finding.is_claimed = is_seen or finding.type == "rhythm"
        finding.hedge = hedge
        if finding in state.out:
            state.out.remove(finding)
        state.out.append(finding)
    finding.spans.update(found.spans)
    found.give(finding)
