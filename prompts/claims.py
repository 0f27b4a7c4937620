"""Reading checkable things out of English about EEG: kinds, numbers, places, bands, trends.

Pure patterns over text, no facts: ``grounding`` compares what is read here with a page. Words
follow the claim-extraction set (units to Hz, uV, s; old electrode names to modern ones).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from detectors.types import CANONICAL19
from detectors.vocabulary import KINDS, NARRATOR_BANDS
from prompts.words import band_of

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"])")
_CLAUSE_END = re.compile(r";\s+|,?\s+(?:but|whereas|while)\s+")

_ALIASES: dict[str, tuple[str, ...]] = {
    "blink": ("blinks?",),
    "spsw": ("spike[- ]and[- ](?:slow[- ])?waves?", "spike[- ]waves?"),
    "sharp": ("sharp[- ]waves?",),
    "spindle": ("spindles?",),
    "kcomplex": ("k[- ]complex(?:es)?",),
    "slow_wave": ("high[- ]amplitude slow waves?", "sleep slow waves?"),
    "muscle": ("muscle(?: activity| artifacts?)?", "emg"),
    "mains": ("mains(?: interference)?", "line noise"),
    "lateral_eye": ("lateral eye movements?", "horizontal eye movements?"),
    "movement": ("movement artifacts?",),
    "posterior_rhythm": ("posterior (?:dominant )?rhythms?", "occipital rhythms?"),
    "asymmetry": ("asymmetr(?:y|ies)", "asymmetric(?:al)?"),
    "ecg": ("(?:ecg|ekg|cardiac)(?: artifacts?)?",),
    "slow_drift": ("slow drifts?",),
    "chewing": ("chewing(?: artifacts?)?",),
    "vertex_wave": ("vertex (?:sharp )?waves?", "vertex sharp transients?"),
    "sawtooth": ("saw-?tooth waves?",),
    "posts": ("positive occipital sharp (?:transients?|waves?)(?: of sleep)?", "posts"),
    "periodic_discharges": ("periodic (?:epileptiform )?discharges?", "[gl]pds?", "bipds?"),
    "rhythmic_delta": ("rhythmic delta(?: activity)?", "[gl]rda"),
    "rhythmic_spike_wave": (
        "[gl]sw",
        "rhythmic spike[- ]and[- ](?:slow[- ])?waves?",
    ),
    "focal_slowing": ("focal slowing",),
    "generalised_slowing": ("(?:generali[sz]ed|diffuse) slowing",),
    "attenuation": ("low[- ]voltage intervals?", "attenuations?"),
}
_FORMS = [
    (form, kind)
    for kind, spec in KINDS.items()
    for form in (re.escape(spec.plural), re.escape(spec.noun), *_ALIASES.get(kind, ()))
]
_KIND = re.compile(
    r"\b(?:"
    + "|".join(
        f"(?P<k{i}>{form})" for i, (form, _) in enumerate(sorted(_FORMS, key=lambda f: -len(f[0])))
    )
    + r")(?![\w-])",
    re.IGNORECASE,
)
_KIND_OF_GROUP = {
    f"k{i}": kind for i, (_, kind) in enumerate(sorted(_FORMS, key=lambda f: -len(f[0])))
}

_NOT_JUDGED = re.compile(
    r"\bnot judged\b|\b(?:could|can) ?not be (?:judged|read|assessed)\b|\bnot judgeable\b"
    r"|\bcannot be told\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\bset aside\b", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:no|not|none|without|neither|nor|absent|free of)\b", re.IGNORECASE)
_REASON = re.compile(r"\s*\(|: |, because ", re.IGNORECASE)

_UNITS = {"hz": "Hz", "µv": "uV", "μv": "uV", "uv": "uV", "s": "s", "ms": "ms", "%": "percent",
          "percent": "percent", "µv²": "uV2", "μv²": "uV2", "uv2": "uV2", "1": "1",
          "seconds": "s", "second": "s", "microvolts": "uV", "milliseconds": "ms"}  # fmt: skip
_NUMBER = r"(?<![\w.])\d+(?:\.\d+)?"
_QUANTITY = re.compile(
    rf"(?P<list>(?:{_NUMBER}(?:, | and | to | or |-|\u2013|, and ))*{_NUMBER})\s?"
    r"(?P<unit>[µμu]V²|uV2|[µμu]V|Hz|ms|seconds?|s|%|percent|microvolts|milliseconds)(?![\w²])",
    re.IGNORECASE,
)
_PAGE_LENGTH = re.compile(r"\b\d+-s\b")
_ROW_COUNT = re.compile(
    r"\b(\d+) (?:of \d+ )?(?:recorded )?(?:scalp )?(?:channels|electrodes|derivations|bipolar derivations)"
)

_MODERN = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_ELECTRODE = re.compile(
    r"(?<![\w-])(?:(?:Fp|F|T|C|P|O|Fpz|AF|FT|FC|CP|TP|PO)(?:\d{1,2}|z)|Fpz|A1|A2|M1|M2)(?:-(?:Fp|F|T|C|P|O|A|M|FT|Fpz)?(?:\d{1,2}|z))?(?!\w)"
)
_SIDE = re.compile(r"\b(left|right|bilateral(?:ly)?|midline|both sides|both hemispheres)\b", re.I)
_NOT_A_SIDE = re.compile(r"\bleft[- ](?:to[- ])?(?:and[- ])?right\b", re.IGNORECASE)

_BAND = r"(?P<band>delta|theta|alpha|beta|high[- ]gamma|gamma)"
_NAME = "(?:delta|theta|alpha|beta|high[- ]gamma|gamma)"
_LIST = rf"{_NAME}(?:(?:, | and |, and ){_NAME})*"
_BANDS = re.compile(rf"\b{_BAND}\b", re.IGNORECASE)
_LEADING = {
    "dominant": (
        re.compile(rf"\bdominant band\b[^.;]*?\b(?:is|was|:)\s+{_BAND}\b", re.I),
        re.compile(rf"\b{_BAND}(?: band| activity)? (?:is|was) (?:the )?dominant\b", re.I),
        re.compile(rf"\bdominant rhythm\b[^.;]*\({_BAND} band\)", re.I),
    ),
    "raw": (
        re.compile(
            rf"\b{_BAND}(?: band| activity| power)? (?:has|carries|holds|is) the "
            r"(?:most|highest|largest)\b", re.I
        ),
        re.compile(
            r"\b(?:most|highest|largest) (?:raw )?(?:band )?power\b[^.;]*?\b(?:is|in|lies in)\s+"
            rf"(?:the )?{_BAND}\b", re.I
        ),
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
    r"(?:is |are |at |in )?(?P<names>[^.;]*)",
    re.IGNORECASE,
)
_HIGHEST = re.compile(
    r"\b(?:highest|most|largest) (?:signal )?energy\b[^.;]*?"
    r"\b(?:at|in|is|:)\s+(?P<name>[A-Z][\w-]*)",
    re.IGNORECASE,
)
_LABELS = re.compile(r'\blabels? ("[^"]*"(?:(?:, | and )"[^"]*")*)')
_STAGE = re.compile(r"\bscored (Wake|W|N[123]|R|REM) in the corpus")
_STAGE_CODES = {"Wake": "W", "REM": "R"}


@dataclass(frozen=True, slots=True)
class ClauseClaims:
    """Everything checkable in one clause; each field is what the function of its name reads."""

    kinds: tuple[tuple[str, str], ...]
    quantities: tuple[tuple[float, str], ...]
    counts: tuple[tuple[int, str], ...]
    row_counts: tuple[int, ...]
    channels: tuple[str, ...]
    sides: tuple[str, ...]
    says_not_recorded: bool
    bands: tuple[str, ...]
    leading_bands: tuple[tuple[str, str], ...]
    trends: tuple[tuple[str, str], ...]
    tiers: tuple[tuple[str, str], ...]
    highest_channels: tuple[str, ...]
    cited_labels: tuple[str, ...]
    cited_stages: tuple[str, ...]


@lru_cache(maxsize=16384)
def read(clause: str) -> ClauseClaims:
    """Read everything checkable in a clause; engine phrasing repeats, so answers are kept."""
    return ClauseClaims(
        kinds=tuple(kinds(clause)),
        quantities=tuple(quantities(clause)),
        counts=tuple(counts(clause)),
        row_counts=tuple(row_counts(clause)),
        channels=tuple(channels(clause)),
        sides=tuple(sides(clause)),
        says_not_recorded=says_not_recorded(clause),
        bands=tuple(bands(clause)),
        leading_bands=tuple(leading_bands(clause)),
        trends=tuple(trends(clause)),
        tiers=tuple(tiers(clause)),
        highest_channels=tuple(highest_channels(clause)),
        cited_labels=tuple(cited_labels(clause)),
        cited_stages=tuple(cited_stages(clause)),
    )


def sentences(text: str) -> list[str]:
    """Cut a text into sentences."""
    return [s.strip() for s in _SENTENCE_END.split(text) if s.strip()]


def clauses(sentence: str) -> list[str]:
    """Cut a sentence into clauses at semicolons and adversatives, never inside brackets."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r"[()]|" + _CLAUSE_END.pattern, sentence):
        if match.group() in "()":
            depth += 1 if match.group() == "(" else -1
        elif depth == 0:
            parts.append(sentence[start : match.start()])
            start = match.end()
    return [*parts, sentence[start:]]


def kinds(clause: str) -> list[tuple[str, str]]:
    """Read kinds with their polarity: ``present``, ``absent``, ``not_judged`` or ``masked``.

    The reason a clause gives (behind a colon or in brackets) for not judging is not a claim.
    """
    if _ASIDE.search(clause):
        body = clause.partition("(")[0]
        return [(kind, "masked") for kind, _ in _mentions(body)]
    if _NOT_JUDGED.search(clause):
        body = re.sub(r"^not judged: ", "", clause, flags=re.IGNORECASE)
        body = _REASON.split(body)[0]
        return [(kind, "not_judged") for kind, _ in _mentions(body)]
    found = []
    for kind, start in _mentions(clause):
        before = clause[:start]
        negated = _NEGATION.search(before) or re.search(
            r"\b(?:is|are|was|were) (?:not|absent)\b", clause[start:]
        )
        found.append((kind, "absent" if negated else "present"))
    return found


def _mentions(clause: str) -> list[tuple[str, int]]:
    return [(_KIND_OF_GROUP[m.lastgroup or ""], m.start()) for m in _KIND.finditer(clause)]


def quantities(clause: str) -> list[tuple[float, str]]:
    """Read numbers with units, normalised to Hz, uV, s, ms, uV2 and percent; lists share a unit."""
    found = []
    for match in _QUANTITY.finditer(_PAGE_LENGTH.sub("", clause)):
        unit = _UNITS[match["unit"].lower()]
        found += [(float(digits), unit) for digits in re.findall(r"\d+(?:\.\d+)?", match["list"])]
    return found


def unit_of(stored: str) -> str:
    """Return the normalised name of a stored unit."""
    return _UNITS.get(stored.lower(), stored)


def counts(clause: str) -> list[tuple[int, str]]:
    """Read counts of events: ``3 spikes``, ``7 possible eye blinks``."""
    found = []
    for match in _KIND.finditer(clause):
        before = re.search(r"(?<![\w.])(\d+)(?: [a-z]+)?\s$", clause[: match.start()])
        if before:
            found.append((int(before[1]), _KIND_OF_GROUP[match.lastgroup or ""]))
    return found


def row_counts(clause: str) -> list[int]:
    """Read numbers of channels."""
    return [int(n) for n in _ROW_COUNT.findall(clause)]


def is_electrode(name: str) -> bool:
    """Whether a name is a single electrode whose side can be told."""
    return bool(re.fullmatch(r"[A-Z][A-Za-z]{0,2}(?:\d{1,2}|z)", name))


def channels(clause: str) -> list[str]:
    """Read electrode and derivation names, old temporal names made modern."""
    return ["-".join(_MODERN.get(p, p) for p in m.split("-")) for m in _ELECTRODE.findall(clause)]


def sides(clause: str) -> list[str]:
    """Read side words: left, right, bilateral, midline."""
    words = [m.lower() for m in _SIDE.findall(_NOT_A_SIDE.sub("", clause))]
    return ["bilateral" if w.startswith(("bilateral", "both")) else w for w in words]


def says_not_recorded(clause: str) -> bool:
    """Whether a clause says that channels were not recorded."""
    return bool(re.search(r"\bnot recorded\b|\bmissing\b", clause))


def bands(clause: str) -> list[str]:
    """Read band names; the one inside a kind's own name (rhythmic delta) is no claim of a band."""
    return [_band(m) for m in _BANDS.findall(_KIND.sub("", clause))]


def leading_bands(clause: str) -> list[tuple[str, str]]:
    """Read claims about the leading band: ``dominant`` (1/f-corrected) or ``raw`` power."""
    return [
        (role, _band(match["band"]))
        for role, patterns in _LEADING.items()
        for pattern in patterns
        for match in pattern.finditer(clause)
    ]


def trends(clause: str) -> list[tuple[str, str]]:
    """Read trends per band, in the published words (``stable``, ``slight_increase``, ...)."""
    found = []
    for match in _TREND.finditer(clause):
        if _BANDS.search(match["gap"]):
            continue
        word = match["word"].lower()
        if match["way"]:
            is_up = match["way"].lower().startswith(("incr", "high", "rise"))
            grade = (match["grade"] or "").lower()
            way = "increase" if is_up else "decrease"
            word = "_".join(filter(None, (_GRADES.get(grade, grade), way)))
        word = {"unchanged": "stable", "consistently low": "consistently_low"}.get(word, word)
        found += [(band, word) for band in bands(match["bands"])]
    return found


def tiers(clause: str) -> list[tuple[str, str]]:
    """Read energy tiers of channels."""
    return [
        (match[1].lower(), name)
        for match in _TIER.finditer(clause)
        for name in channels(match["names"])
    ]


def highest_channels(clause: str) -> list[str]:
    """Read which channel is said to have the highest energy."""
    return [m["name"] for m in _HIGHEST.finditer(clause) if m["name"] in CANONICAL19]


def cited_labels(clause: str) -> list[str]:
    """Read the corpus labels a text quotes."""
    return [label for quoted in _LABELS.findall(clause) for label in quoted.split('"')[1::2]]


def cited_stages(clause: str) -> list[str]:
    """Read the sleep stages a text copies from the corpus."""
    return [_STAGE_CODES.get(m, m) for m in _STAGE.findall(clause)]


def band_of_hz(frequency_hz: float) -> str:
    """Return the clinical band of a frequency."""
    return band_of(frequency_hz)


def _band(text: str) -> str:
    name = text.lower().replace("-", "_").replace(" ", "_")
    return name if name in NARRATOR_BANDS else ""
