"""The closed phrasing: what can be checked in a clause that uses only this engine's own words.

A clause is first reduced to its skeleton: numbers become ``#``, electrodes and derivations ``@``.
Skeletons repeat from page to page, so each is read once into facets that say which of its numbers
and names must agree with what. A skeleton with a word that no template uses is free text and is read
by ``prompts.reading``. Whether a facet is true is decided in ``facets``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from detectors.vocabulary import NARRATOR_BANDS
from prompts.truth.phrase_words import CLOSED_WORDS, KIND_FORMS, MODERN, REGION_WORDS, UNITS


class Facet(NamedTuple):
    """One thing to check in a clause.

    Parameters
    ----------
    aspect
        Which truth table of ``facets`` decides.
    word
        Kind, unit, side, region, band, tier or trend.
    other
        Second word: the polarity of a kind, the role of a band, the word of a trend.
    slots
        Positions among the numbers or the names of the sentence, by aspect.
    """

    aspect: str
    word: str = ""
    other: str = ""
    slots: tuple[int, ...] = ()


class Clause(NamedTuple):
    """The facets of one clause and what they have in common.

    Parameters
    ----------
    facets
        All facets.
    kinds
        Kinds it names.
    is_aside
        It speaks of hidden findings.
    denied
        Kinds it says are absent.
    others
        The facets that deny no kind.
    """

    facets: tuple[Facet, ...]
    kinds: tuple[str, ...]
    is_aside: bool
    denied: tuple[str, ...]
    others: tuple[Facet, ...]


class Plan(NamedTuple):
    """What a skeleton asks to be checked, and whether it is closed phrasing throughout."""

    clauses: tuple[Clause, ...]
    is_closed: bool


_LETTERS = "Fp|AF|FT|FC|CP|TP|PO|F|T|C|P|O|A|M"
_SLOT = re.compile(
    rf"((?<![\w.-])(?:{_LETTERS})(?:\d{{1,2}}|z)(?:-(?:{_LETTERS})?(?:\d{{1,2}}|z))?(?![\w-])"
    r"|(?<![\w.-])\d+(?:\.\d+)?|(?<=\d-)\d+(?:\.\d+)?)"
)
_CLAUSE_END = re.compile(r"[()]|;\s+|,?\s+(?:but|whereas|while)\s+")
_KIND = re.compile(
    r"\b(?:"
    + "|".join(f"(?P<k{i}>{form})" for i, (form, _) in enumerate(KIND_FORMS))
    + r")(?![\w-])",
    re.IGNORECASE,
)
_KIND_OF_GROUP = {f"k{i}": kind for i, (_, kind) in enumerate(KIND_FORMS)}
_NOT_JUDGED = re.compile(r"\bnot judged\b|\b(?:could|can) ?not be (?:judged|read|assessed)\b", re.I)
_ASIDE = re.compile(r"\bset aside\b", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:no|not|none|without|neither|nor|absent|free of)\b", re.IGNORECASE)
_NEGATED_AFTER = re.compile(r"\b(?:is|are|was|were) (?:not|absent)\b", re.IGNORECASE)
_REASON = re.compile(r"\s*\(|: |, because ", re.IGNORECASE)
_QUANTITY = re.compile(
    r"(?P<before>\b(?:at|from|between|to)\s)?(?P<list>#(?:(?:, | and | to | or |-|\u2013|, and )#)*)\s?"
    r"(?P<unit>[µμu]V²|uV2|[µμu]V|Hz|ms|seconds?|s|%|percent|microvolts|milliseconds)(?![\w²])",
    re.IGNORECASE,
)  # fmt: skip
_PAGE_LENGTH = re.compile(r"#-s\b")
_ROWS = re.compile(
    r"(?P<n>#)(?: of (?P<all>#))? (?:recorded )?(?:scalp )?(?:bipolar )?(?:channels|electrodes|derivations)"
)
_COUNT = re.compile(r"#(?: [a-z]+)?\s$")
_SIDE = re.compile(r"\b(left|right|bilateral(?:ly)?|midline|both sides|both hemispheres)\b", re.I)
_REGION = re.compile(r"\b(" + "|".join(REGION_WORDS) + r")\b", re.IGNORECASE)
_BAND = r"(?P<band>delta|theta|alpha|beta|high[- ]gamma|gamma)"
_NAME = "(?:delta|theta|alpha|beta|high[- ]gamma|gamma)"
_LIST = rf"{_NAME}(?:(?:, | and |, and ){_NAME})*"
_BANDS = re.compile(rf"\b{_BAND}\b", re.IGNORECASE)
_LEADING = {
    "dominant": (
        re.compile(rf"\bdominant band\b[^.;]*?\b(?:is|was|:)\s+{_BAND}\b", re.I),
        re.compile(rf"\b{_BAND}(?: band| activity)? (?:is|was) (?:the )?dominant\b", re.I),
        re.compile(rf"\bdominant rhythm\b[^.;]*\({_BAND} band\)", re.I),
        re.compile(rf"\bstands out most\b[^.;]*\({_BAND} band\)", re.I),
    ),
    "raw": (
        re.compile(rf"\b{_BAND}(?: band| activity| power)? (?:has|carries|holds|is) the "
                   r"(?:most|highest|largest)\b", re.I),
        re.compile(r"\b(?:most|highest|largest) (?:raw )?(?:band )?power\b[^.;]*?\b(?:is|in|lies in)\s+"
                   rf"(?:the )?{_BAND}\b", re.I),
    ),
}  # fmt: skip
_TREND = re.compile(
    rf"\b(?P<bands>{_LIST})(?: power| activity| band)?(?P<gap>[^.;:]{{0,40}}?)"
    r"\b(?P<word>stable|unchanged|consistently low|"
    r"(?:(?P<grade>slight|moderate|marked|significant|noticeable)(?:ly)?\s+)?"
    r"(?P<way>increased?|decreased?|higher|lower|rise|rises|fell|fall))\b",
    re.IGNORECASE,
)
_GRADES = {"noticeable": "moderate", "significant": "marked"}
_TIER = re.compile(
    r"\b(high|medium|low)[- ](?:energy )?(?:tier|energy)(?: channels| rows)?:? ?"
    r"(?:is |are |at |in )?(?P<names>[^.;]*)", re.IGNORECASE,
)  # fmt: skip
_HIGHEST = re.compile(
    r"\b(?:highest|most|largest) (?:signal )?energy\b[^.;]*?\b(?:at|in|is|:)\s+(?P<name>@)", re.I
)
_MAXIMUM = re.compile(r"\bmaximum at (@)")
_POLE = re.compile(r"\b(negative|positive) at (@)")
_TRAIT = re.compile(r"\b(tangential|radial|triphasic|evolution)\b", re.IGNORECASE)
_TRAIT_MEASURES = {
    "tangential": "dipole_tangential", "radial": "dipole_radial", "evolution": "evolving",
}  # fmt: skip
_FIRST = re.compile(r"\bfirst (@(?:(?:, | and )@)*)")
_MISSING = re.compile(r"\bnot recorded\b|\bmissing\b")
_STAGE = re.compile(r"\bscored (Wake|W|N[123]|R|REM) in the corpus")
_TOPPED = re.compile(r"\bnothing above # Hz\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z][A-Za-z'/-]*")


def skeleton(text: str) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
    """Return a text without its numbers and names, and those in order of the text."""
    pieces = _SLOT.split(text)
    numbers: list[float] = []
    names: list[str] = []
    for i in range(1, len(pieces), 2):
        found = pieces[i]
        if found[0] <= "9":
            numbers.append(float(found))
            pieces[i] = "#"
        else:
            names.append(_modern(found))
            pieces[i] = "@"
    return "".join(pieces), tuple(numbers), tuple(names)


def _modern(name: str) -> str:
    if "-" in name:
        return "-".join(MODERN.get(part, part) for part in name.split("-"))
    return MODERN.get(name, name)


@lru_cache(maxsize=65536)
def read_skeleton(text: str) -> Plan:
    """Read a skeleton into its clauses; templates repeat, so answers are kept."""
    n_numbers = n_names = 0
    clauses = []
    is_closed = True
    for part in _clauses(text):
        reader = _Reader(part, n_numbers, n_names)
        clauses.append(reader.clause())
        is_closed = is_closed and reader.is_closed()
        n_numbers += part.count("#")
        n_names += part.count("@")
    return Plan(tuple(clauses), is_closed)


def _clauses(text: str) -> list[str]:
    """Cut at semicolons and adversatives, never inside brackets; nothing between is lost."""
    parts, depth, start = [], 0, 0
    for match in _CLAUSE_END.finditer(text):
        if match[0] in "()":
            depth += 1 if match[0] == "(" else -1
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


class _Reader:
    """Reads one clause whose first number and name are the sentence's ``n``-th."""

    def __init__(self, text: str, n_numbers: int, n_names: int) -> None:
        self.text = text
        self.n_numbers, self.n_names = n_numbers, n_names
        # names of kinds are one large alternation: looked for once, not by each who asks
        self.kinds = list(_KIND.finditer(text))

    def is_closed(self) -> bool:
        """Whether every word is one that a template uses."""
        rest = _STAGE.sub(" ", self._kindless(" "))
        return all(word.lower() in CLOSED_WORDS for word in _WORD.findall(rest))

    def _kindless(self, fill: str) -> str:
        """Return the clause with the names of kinds replaced."""
        pieces, end = [], 0
        for match in self.kinds:
            pieces.append(self.text[end : match.start()])
            end = match.end()
        return fill.join([*pieces, self.text[end:]])

    def clause(self) -> Clause:
        kinds, is_aside = self._kinds()
        facets = (
            *kinds, *self._quantities(), *self._counts(), *self._rows(), *self._names(),
            *self._sides(), *self._bands(), *self._tiers(), *self._stages(), *self._traits(),
        )  # fmt: skip
        others = tuple(f for f in facets if f.other != "absent")
        denied = tuple(f.word for f in kinds if f.other == "absent")
        return Clause(facets, tuple(f.word for f in kinds), is_aside, denied, others)

    def _slots(self, mark: str, start: int, end: int) -> tuple[int, ...]:
        first = (self.n_numbers if mark == "#" else self.n_names) + self.text.count(mark, 0, start)
        return tuple(range(first, first + self.text.count(mark, start, end)))

    def _kinds(self) -> tuple[list[Facet], bool]:
        """Read kinds with their polarity; the reason given for not judging is not a claim."""
        if _ASIDE.search(self.text):
            body = self.text.partition("(")[0]
            return [Facet("kind", kind, "masked") for kind, _ in _mentions(body)], True
        if _NOT_JUDGED.search(self.text):
            body = re.sub(r"^not judged: ", "", self.text, flags=re.IGNORECASE)
            named = _mentions(_REASON.split(body)[0])
            return [Facet("kind", kind, "not_judged") for kind, _ in named], False
        found = []
        for kind, start in ((_KIND_OF_GROUP[m.lastgroup or ""], m.start()) for m in self.kinds):
            is_absent = _NEGATION.search(self.text, 0, start) or _NEGATED_AFTER.search(
                self.text, start
            )
            found.append(Facet("kind", kind, "absent" if is_absent else "present"))
        return found, False

    def _quantities(self) -> list[Facet]:
        lengths = {m.start() for m in _PAGE_LENGTH.finditer(self.text)}
        found = []
        for match in _QUANTITY.finditer(self.text):
            if match.start("list") in lengths:
                continue
            unit = UNITS[match["unit"].lower()]
            aspect = "time" if unit == "s" and match["before"] else "quantity"
            found.append(
                Facet(aspect, unit, "", self._slots("#", match.start("list"), match.end()))
            )
        if _TOPPED.search(self.text):
            found.append(Facet("top", "Hz", "", found[0].slots))
        return found

    def _counts(self) -> list[Facet]:
        found = []
        for match in self.kinds:
            before = _COUNT.search(self.text, 0, match.start())
            if before:
                kind = _KIND_OF_GROUP[match.lastgroup or ""]
                slots = self._slots("#", before.start(), before.start() + 1)
                found.append(Facet("count", kind, "", slots))
        return found

    def _rows(self) -> list[Facet]:
        found = []
        for match in _ROWS.finditer(self.text):
            aspect = "electrodes" if match["all"] else "rows"
            found.append(Facet(aspect, "", "", self._slots("#", match.start(), match.end())))
        return found

    def _names(self) -> list[Facet]:
        poles = {n for m in _POLE.finditer(self.text) for n in self._slots("@", *m.span(2))}
        slots = tuple(n for n in self._slots("@", 0, len(self.text)) if n not in poles)
        found = (
            [Facet("missing" if _MISSING.search(self.text) else "names", "", "", slots)]
            if slots
            else []
        )
        for aspect, pattern in (("maximum", _MAXIMUM), ("first", _FIRST), ("highest", _HIGHEST)):
            found += [
                Facet(aspect, "", "", self._slots("@", match.start(1), match.end(1)))
                for match in pattern.finditer(self.text)
            ]
        return found

    def _sides(self) -> list[Facet]:
        said = [m.lower() for m in _SIDE.findall(self.text)]
        sides = ["bilateral" if w.startswith(("bilateral", "both")) else w for w in said]
        regions = [m.lower() for m in _REGION.findall(self._kindless(" "))]
        return [*(Facet("side", s) for s in sides), *(Facet("region", r) for r in regions)]

    def _bands(self) -> list[Facet]:
        found = [Facet("band", _band(m)) for m in _BANDS.findall(self._kindless(""))]
        for role, patterns in _LEADING.items():
            for pattern in patterns:
                found += [
                    Facet("leading", _band(m["band"]), role) for m in pattern.finditer(self.text)
                ]
        for match in _TREND.finditer(self.text):
            if not _BANDS.search(match["gap"]):
                word = _trend_word(match)
                found += [Facet("trend", _band(m), word) for m in _BANDS.findall(match["bands"])]
        return found

    def _tiers(self) -> list[Facet]:
        return [
            Facet("tier", match[1].lower(), "", slots)
            for match in _TIER.finditer(self.text)
            if (slots := self._slots("@", match.start("names"), match.end("names")))
        ]

    def _traits(self) -> list[Facet]:
        poles = [
            Facet("pole", m[1], "", self._slots("@", m.start(2), m.end(2)))
            for m in _POLE.finditer(self.text)
        ]
        said = (m.lower() for m in _TRAIT.findall(self.text))
        return [*poles, *(Facet("trait", _TRAIT_MEASURES.get(m, m)) for m in said)]

    def _stages(self) -> list[Facet]:
        return [Facet("stage", m[1]) for m in _STAGE.finditer(self.text)]


def _mentions(clause: str) -> list[tuple[str, int]]:
    return [(_KIND_OF_GROUP[m.lastgroup or ""], m.start()) for m in _KIND.finditer(clause)]


def kinds_named(text: str) -> tuple[str, ...]:
    """Return the kinds of finding that a text names, in its order."""
    return tuple(dict.fromkeys(kind for kind, _ in _mentions(text)))


def _trend_word(match: re.Match[str]) -> str:
    word = match["word"].lower()
    if match["way"]:
        is_up = match["way"].lower().startswith(("incr", "high", "rise"))
        grade = (match["grade"] or "").lower()
        way = "increase" if is_up else "decrease"
        return "_".join(filter(None, (_GRADES.get(grade, grade), way)))
    return {"unchanged": "stable", "consistently low": "consistently_low"}.get(word, word)


def _band(text: str) -> str:
    name = text.lower().replace("-", "_").replace(" ", "_")
    return name if name in NARRATOR_BANDS else ""
