"""The lexicon: all phrases of the word tables as one trie over words, with plurals and typos.

Built once per process on first use (:func:`lexicon`). Looking up is a walk over words, so its price
does not grow with the number of phrases. Which phrases there are is in ``finding_words``,
``saying_words`` and ``statement_words``; how text becomes words is in ``tokens``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from prompts.reading import cues
from prompts.reading import finding_words as seen
from prompts.reading import saying_words as said
from prompts.reading import statement_words as stated

Meaning = tuple[str, Any]
"""Kind of word and what it stands for."""
Meanings = dict[str, Any]
"""All meanings of a phrase by kind; several are kept, and the reader asks for the one it can use."""

MIN_TYPO_LENGTH = 5
"""Shorter words are never mended: too many real words are one letter apart."""

_SPELLINGS = (("ised", "ized"), ("ising", "izing"), ("isation", "ization"), ("artifact", "artefact"),
              ("tumour", "tumor"), ("aemorrhage", "emorrhage"), ("favours", "favors"),
              ("labelled", "labeled"), ("centre", "center"), ("analysed", "analyzed"),
              ("recognised", "recognized"), ("neighbour", "neighbor"), ("colour", "color"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Single words, longer phrases by their first two words, and the words typos are mended to.

    Of the phrases behind one pair of words the longest comes first.
    """

    singles: Mapping[str, Meanings]
    phrases: Mapping[tuple[str, str], tuple[tuple[tuple[str, ...], Meanings], ...]]
    known: frozenset[str]
    mended: Mapping[str, tuple[str, ...]]
    cache: dict[str, str] = field(default_factory=dict)

    def mend(self, word: str) -> str:
        """Return the known word one slip away (letter lost, added, changed or swapped), or it."""
        if len(word) < MIN_TYPO_LENGTH or word in self.known:
            return word
        found = self.cache.get(word)
        if found is None:
            found = self._mend(word)
            if len(self.cache) < 50_000:
                self.cache[word] = found
        return found

    def _mend(self, word: str) -> str:
        for form in _deletes(word):
            for other in self.mended.get(form, ()):
                if _is_one_slip(word, other):
                    return other
        return word


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """Build the lexicon; the same object on every call."""
    singles: dict[str, Meanings] = {}
    table: dict[tuple[str, str], dict[tuple[str, ...], Meanings]] = {}
    for phrase, (kind, value) in _entries():
        words = tuple(phrase.split())
        if len(words) == 1:
            singles.setdefault(phrase, {}).setdefault(kind, value)
        else:
            behind = table.setdefault((words[0], words[1]), {})
            behind.setdefault(words, {}).setdefault(kind, value)
    phrases = {
        pair: tuple(sorted(found.items(), key=lambda f: (-len(f[0]), f[0])))
        for pair, found in table.items()
    }
    longer = {w for found in table.values() for words in found for w in words}
    known = longer | singles.keys() | cues.NO_TYPO
    mended: dict[str, tuple[str, ...]] = {}
    for word in sorted(_mendable()):
        for form in _deletes(word):
            mended[form] = (*mended.get(form, ()), word)
    return Lexicon(singles, phrases, frozenset(known), mended)


def _entries() -> Iterator[tuple[str, Meaning]]:
    yield from _finding_entries()
    for kind, table in (("oc", stated.OVERCLAIMS), ("sleep", stated.SLEEP)):
        for value, text in table.items():
            yield from _forms(text, (kind, value), is_plural=kind == "oc")
    for kind, text in _KINDS.items():
        yield from _forms(text, (kind, kind), is_plural=False)
    for kind, text, value in _VALUED:
        yield from _forms(text, (kind, value), is_plural=False)
    for word, number in said.NUMBERS.items():
        yield word, ("num", number)
    for word, number in said.ORDINALS.items():
        yield word, ("ord", number)
    for word, unit in said.UNITS.items():
        yield word, ("unit", unit)


def _finding_entries() -> Iterator[tuple[str, Meaning]]:
    for kind, table in (("event", seen.EVENTS), ("artifact", seen.ARTIFACTS)):
        for label, text in table.items():
            yield from _forms(text, ("L", (kind, label, None, ())))
    yield from _forms(seen.POLYSPIKE_WAVES, ("L", ("event", "polyspike+slow_wave", None, ())))
    for word, text in seen.EVENT_WORDS.items():
        yield from _forms(text, ("L", ("event", None, word, ())))
    for short, (word, regions) in seen.ACNS.items():
        yield from _forms(short, ("L", ("event", None, word, regions)))
    for word, text in seen.ARTIFACT_WORDS.items():
        yield from _forms(text, ("L", ("artifact", None, word, ())))
    yield from _forms(seen.LOW_INTERVALS, ("L", ("suppression", None, "low_voltage", ())))
    yield from _forms(
        "artifact; noisy; noise; contamination; artifactual", ("L", ("artifact", None, None, ()))
    )
    for region, text in seen.POSTERIOR.items():
        place = (region,) if region else ()
        yield from _forms(text, ("L", ("rhythm", "posterior_rhythm", None, place)))
    yield from _forms("mu; mu rhythm; mu activity", ("L", ("rhythm", None, "mu", ("central",))))
    yield from _place_entries()


def _place_entries() -> Iterator[tuple[str, Meaning]]:
    for band, text in seen.BANDS.items():
        yield from _forms(text, ("B", band))
    for side, text in seen.SIDES.items():
        yield from _forms(text, ("S", side), is_plural=False)
    for text, regions in seen.REGIONS.items():
        yield from _forms(text, ("P", regions))
    yield from _forms("vertex", ("V", "vertex"), is_plural=False)
    yield from _forms(seen.GENERIC, ("G", "generic"))
    yield from _forms(seen.RHYTHM, ("R", "rhythm"))
    yield from _forms(
        seen.CHANNEL_WORDS + "; region; area; quadrant; hemisphere; side", ("place", "place")
    )


def _forms(text: str, meaning: Meaning, *, is_plural: bool = True) -> Iterator[tuple[str, Meaning]]:
    """Yield each phrase, its plural, and both in American spelling."""
    for raw in text.split(";"):
        phrase = " ".join(raw.split())
        if not phrase:
            continue
        for form in (phrase, _plural(phrase)) if is_plural else (phrase,):
            yield form, meaning
            for british, american in _SPELLINGS:
                if british in form:
                    yield form.replace(british, american), meaning


def _plural(phrase: str) -> str:
    if phrase.endswith(("x", "sh", "ss")):
        return phrase + "es"
    if phrase.endswith("y") and phrase[-2] not in "aeiou":
        return phrase[:-1] + "ies"
    return phrase if phrase.endswith("s") else phrase + "s"


def _mendable() -> set[str]:
    """Return the words that a typo may be mended to: findings, bands, places, change, rank."""
    texts = [
        *seen.EVENTS.values(), *seen.ARTIFACTS.values(), *seen.POSTERIOR.values(),
        *seen.BANDS.values(), *seen.SIDES.values(), *seen.REGIONS, (
"amplitude; amplitudes; voltage; channel; electrode; vertex; highest; lowest; dominant; "
"frequency; energy; symmetric; asymmetry; asymmetric; rhythm; between; stable; slightly; "
"moderately; markedly; increasing; decreasing; increase; decrease; probable; possible; "
"probably; possibly; absent; present; throughout; artifact; epileptiform; background; "
"second; seconds; microvolts; medium; power; without; symmetrical; suppressed; drowsy; "
"asleep; awake; hypnogram; larger; smaller; higher; activity; remaining; definite"
),
        *seen.EVENT_WORDS.values(),
    ]  # fmt: skip
    words = {w for text in texts for form, _ in _forms(text, ("", "")) for w in form.split()}
    return {w for w in words if len(w) >= MIN_TYPO_LENGTH}


def _deletes(word: str) -> tuple[str, ...]:
    return (word, *(word[:i] + word[i + 1 :] for i in range(len(word))))


def _is_one_slip(a: str, b: str) -> bool:
    """Whether two words are one letter lost, added, changed or swapped apart."""
    if abs(len(a) - len(b)) > 1:
        return False
    i = 0
    while i < min(len(a), len(b)) and a[i] == b[i]:
        i += 1
    rest_a, rest_b = a[i:], b[i:]
    if len(a) != len(b):
        longer, shorter = (rest_a, rest_b) if len(a) > len(b) else (rest_b, rest_a)
        return longer[1:] == shorter
    return rest_a[1:] == rest_b[1:] or (rest_a[:2] == rest_b[:2][::-1] and rest_a[2:] == rest_b[2:])


_KINDS = {
    "neg": said.NEGATIONS, "about": said.ABOUT, "steady": said.STEADY, "low_band": said.LASTING_LOW,
    "trendn": said.TREND_NOUNS, "follow": said.FOLLOW, "behind": said.BEHIND, "sym": said.SYMMETRIC,
    "asym": said.ASYMMETRIC, "lim": stated.LIMITS, "nj": stated.NOT_JUDGED, "reco": stated.RECOMMENDATIONS,
    "other": stated.OTHER_RECORDINGS, "attr": stated.ATTRIBUTED, "tech": stated.TECHNIQUE,
    "pron": stated.PRONOUNS,
    "power": (
"power; energy; share; contribution; contributes; accounts for; accounting for; "
"contributing; band power; content; percentage; accounted for; energies; powers; makes "
"up; making up; contributor; relative power; total power; contribute; account for; "
"proportion"
),
    "amp": (
"amplitude; amplitudes; voltage; voltages; amp; ampl; peak to peak; height; reaching; "
"reaches; reach; measuring; size; high voltage; volt"
),
    "dur": (
"lasting; lasts; last for; lasted; duration; dur; long; wide; width; for; durations; "
"persists; persisting; measures; measured; measuring; last; continues; length; of "
"duration; broad; persisted; each lasting; spans; takes"
),
    "elsewhere": (
"remaining; rest; other channels; elsewhere; other leads; remainder; others; other "
"electrodes; remaining channels; all other channels; other; all others; the others; "
"other derivations; all others"
),
    "all_bands": (
"all bands; every band; each band; any band; no band; no frequency band; none of the "
"frequency bands; all frequency bands; bands; all six bands; any of the bands; none of "
"the bands; each of the bands; all the bands; any of the three bands; both bands; both "
"of them; the two bands; these bands; these two bands; all frequencies; any frequency "
"band; band powers"
),
    "through": (
"throughout; whole page; all page; entire page; fills the page; fills page; full page; "
"whole segment; entire segment; throughout the segment; all "
"the time; from start to end; fill the page; fills the segment; filling the page; whole "
"epoch; entire epoch; whole of the page; whole time; from beginning to end; the page "
"long; all ten seconds; whole ten seconds; full ten seconds; entire duration; fill page; "
"across the page; across the whole page; whole 10 s; whole length; whole stretch; "
"constantly; all along; whole duration; persistently; the full 10 s; from start to finish"
),
    "apart": (
"apart from; other than; except for; with the exception of; save for; aside from; rather "
"than; except; beyond; besides; instead of; as opposed to; not so much"
),
    "excess": (
"what one would expect; than expected; than usual; than one would expect; more than is "
"usual; what is usual; beyond the usual; than normal; what is expected; more than usual; "
"than one expects; more than expected"
),
    "hypno": "hypnogram; scored; label; labelled; labeled; stage; scoring; annotated",
    "hides": stated.HIDES, "ident": stated.IDENTIFY,
    "no_word": "no; nope; none; not at all; not really; certainly not; no not",
    "corr": stated.CORRECTIONS, "cond": stated.CONDITIONALS, "adv": (
        "were it not for; "
"cannot be denied; can not be denied; no doubt about; not to be denied; do not doubt; "
"after effect; does not reach; do not reach; does not extend to; do not extend to; does "
"not spread; do not spread; not involving; does not involve; do not involve; without "
"involvement of; not extending to; without spread; followed by; preceded by; accompanied "
"by; together with"
),
    "yes": "yes; correct; right; indeed; yeah; exactly; that is correct; true",
}  # fmt: skip
_VALUED: tuple[tuple[str, str, Any], ...] = (
    ("hedge", said.POSSIBLE, "possible"), ("hedge", said.PROBABLE, "probable"),
    ("hedge", said.CERTAIN, "certain"),
    *(("edge", t, v) for t, v in ((said.UP_TO, "hi"), (said.FROM_UP, "lo"))),
    ("edge", "peaking at", "pt"),
    *(("grade", t, v) for v, t in said.GRADES.items()),
    *(("trend", t, v) for t, v in ((said.UPWARD, "increase"), (said.DOWNWARD, "decrease"))),
    *(("rank", t, v) for t, v in ((said.HIGHEST, "highest"), (said.LOWEST, "lowest"))),
    *(("cmp", t, v) for t, v in ((said.GREATER, 1), (said.LESSER, -1))),
    *(("level", t, v) for t, v in (
        ("high", "high"), ("medium; intermediate; mid; middle", "medium"), ("low", "low"))),
)  # fmt: skip
