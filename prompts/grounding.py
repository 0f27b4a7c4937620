"""Whether a text agrees with the facts of its page, sentence by sentence.

A sentence is ``supported`` when every checkable thing in it (ids, numbers with units, counts,
sides, channels, kinds with their polarity, bands, tiers, trends) agrees with the rows its ids point
at; ``contradicted`` when one disagrees with what those rows say; ``unsupported`` when no row speaks
of it; ``overclaim`` when one 10-s page cannot show it (``limits``). The reading of words is in
``claims``; the facts are in ``facts``. Thin by intent: it reads this engine's closed phrasing and
the teachers' prose by pattern, and a clause without any checkable thing passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from detectors.types import SEGMENT_S
from detectors.vocabulary import BAND_SCHEMES, KINDS, side_of_channels
from prompts import claims, words
from prompts.event_words import FOCAL_FAMILY, Sentence
from prompts.facts import PageFacts, label_texts
from prompts.finding_facts import FindingFact
from prompts.limits import forbidden_claims

Verdict = Literal["supported", "contradicted", "unsupported", "overclaim"]

TOLERANCE = {"Hz": 0.25, "uV": 2.5, "s": 0.05, "ms": 2.5, "uV2": 0.05, "percent": 2.5}
"""Half a rounding step of text per unit (``words``); uV2 relative to the value."""
_SLACK = 1e-6

SEVERITY: tuple[Verdict, ...] = ("supported", "unsupported", "contradicted", "overclaim")


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """What the check says about one sentence, and why."""

    text: str
    verdict: Verdict
    cause: str = ""


@dataclass(frozen=True, slots=True)
class GroundingReport:
    """What the check says about a text."""

    sentences: tuple[SentenceVerdict, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of any sentence; an empty text is unsupported."""
        if not self.sentences:
            return "unsupported"
        return max((s.verdict for s in self.sentences), key=SEVERITY.index)

    @property
    def is_supported(self) -> bool:
        """Whether every sentence is supported."""
        return self.verdict == "supported"

    @property
    def cause(self) -> str:
        """``supported``, or the worst verdict with its first cause: the ``grounding`` column."""
        if self.is_supported:
            return "supported"
        if not self.sentences:
            return "unsupported: empty text"
        worst = next(s for s in self.sentences if s.verdict == self.verdict)
        return f"{worst.verdict}: {worst.cause}"


@dataclass(frozen=True, slots=True)
class _Pool:
    """The part of the facts that one sentence's ids point at."""

    facts: PageFacts
    findings: tuple[FindingFact, ...]
    columns: frozenset[str]
    kinds: frozenset[str]
    reasons: tuple[str, ...]
    trends: Mapping[str, str]


def check_grounding(
    text: str | Sequence[Sentence],
    facts: PageFacts,
    trends: Mapping[str, str] | None = None,
) -> GroundingReport:
    """Check a text against the facts of its page.

    Parameters
    ----------
    text
        Sentences with their evidence ids, or a plain text, which is cut into sentences and checked
        against everything the page has.
    facts
        The page.
    trends
        Trend word per narrator band, where the text may compare with earlier pages.
    """
    if isinstance(text, str):
        everything = _pool(facts, None, trends or {})
        verdicts = [_judge(s, everything) for s in claims.sentences(text)]
    else:
        verdicts = [_check_sentence(s, facts, trends or {}) for s in text]
    return GroundingReport(tuple(verdicts))


def _check_sentence(
    sentence: Sentence, facts: PageFacts, trends: Mapping[str, str]
) -> SentenceVerdict:
    if not sentence.evidence:
        return SentenceVerdict(sentence.text, "unsupported", "no evidence id")
    unknown = [e for e in sentence.evidence if not facts.has_evidence(e)]
    if unknown:
        return SentenceVerdict(sentence.text, "unsupported", f"no such evidence: {unknown[0]}")
    return _judge(sentence.text, _pool(facts, sentence.evidence, trends))


def _pool(facts: PageFacts, evidence: Sequence[str] | None, trends: Mapping[str, str]) -> _Pool:
    every = (*facts.findings, *facts.masked)
    judged = facts.judgements.values()
    if evidence is None:
        columns = frozenset({"*"})
        return _Pool(
            facts,
            every,
            columns,
            frozenset(facts.judgements),
            tuple(j.reason for j in judged),
            trends,
        )
    ids = set(evidence)
    findings = tuple(f for f in every if f.finding_id in ids)
    cited = [j for j in judged if j.judgement_id in ids]
    columns = frozenset(e.rpartition(":")[2] for e in ids if e.startswith("s-"))
    kinds = frozenset({f.kind for f in findings} | {j.kind for j in cited})
    return _Pool(facts, findings, columns, kinds, tuple(j.reason for j in cited), trends)


def _judge(text: str, pool: _Pool) -> SentenceVerdict:
    over = forbidden_claims(text)
    if over:
        return SentenceVerdict(text, "overclaim", f"one page cannot show: {', '.join(over)}")
    worst = SentenceVerdict(text, "supported")
    said = text
    for reason in pool.reasons:
        said = said.replace(reason, "") if reason else said  # a quoted reason makes no claim
    for clause in claims.clauses(said):
        read = claims.read(clause)
        for check in _CHECKS:
            verdict, cause = check(read, pool)
            if SEVERITY.index(verdict) > SEVERITY.index(worst.verdict):
                worst = SentenceVerdict(text, verdict, cause)
    return worst


_Result = tuple[Verdict, str]
_FINE: _Result = ("supported", "")


def _check_kinds(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    for mention in clause.kinds:
        kind, polarity = mention
        if polarity == "masked":
            if not any(f.kind == kind and f.is_masked for f in pool.findings):
                return "contradicted", f"no {kind} was set aside"
            continue
        if kind not in pool.facts.judgements and not pool.facts.of_kind(kind):
            return "unsupported", f"{kind} was not looked for"
        verdict = pool.facts.verdict(kind)
        if pool.facts.of_kind(kind) and kind not in pool.facts.judgements:
            verdict = "present"
        if verdict != polarity:
            return "contradicted", f"{kind} is {verdict}, not {polarity}"
        if kind not in pool.kinds:
            return "unsupported", f"{kind} is not in the cited evidence"
    return _FINE


def _relevant(clause: claims.ClauseClaims, pool: _Pool) -> tuple[FindingFact, ...]:
    """Return the findings a clause speaks of: those of the kinds it names, else all cited."""
    return _of_named_kinds(clause, pool) or pool.findings


def _of_named_kinds(clause: claims.ClauseClaims, pool: _Pool) -> tuple[FindingFact, ...]:
    """Return the findings of the kinds a clause names: hidden ones where it says set aside."""
    kinds = {kind for kind, _ in clause.kinds}
    is_aside = any(polarity == "masked" for _, polarity in clause.kinds)
    return tuple(f for f in pool.findings if f.kind in kinds and f.is_masked == is_aside)


def _check_numbers(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    found = _relevant(clause, pool)
    for value, unit in clause.quantities:
        known = _values(unit, found, pool)
        if not known:
            return "unsupported", f"no value in {unit} behind {value:g}"
        if not any(_is_close(value, other, unit) for other in known):
            return "contradicted", f"{value:g} {unit} is not among the measured values"
    return _FINE


def _check_counts(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    for n, kind in clause.counts:
        found = [f for f in pool.findings if f.kind == kind]
        if n not in {sum(f.count for f in found), len(found), *(f.count for f in found)}:
            return "contradicted", f"{n} {kind} is not the count"
    for n in clause.row_counts:
        sizes = {len(f.channels) for f in pool.findings}
        # a field is written without its maximum
        sizes |= {
            len(f.channels) - 1 for f in pool.findings if KINDS[f.kind].family == FOCAL_FAMILY
        }
        for named in (pool.findings, _relevant(clause, pool)):
            sizes.add(len({name for f in named for name in f.channels}))
        sizes |= {len(pool.facts.recorded), len(pool.facts.schema.ch_names)}
        if n not in sizes:
            return "contradicted", f"{n} channels is not the number of channels"
    return _FINE


def _check_places(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    found = _relevant(clause, pool)
    known = {part for f in found for name in f.channels for part in (name, *name.split("-"))}
    is_about_events = bool(_of_named_kinds(clause, pool)) and not clause.says_not_recorded
    if not is_about_events and pool.columns & {"mask", "channel_schema", "*"}:
        known |= {p for n in pool.facts.schema.ch_names for p in (n, *n.split("-"))}
    if not is_about_events and pool.columns & {"tier", "energy_uv2", "highest_channel"}:
        known |= set(pool.facts.tiers)
    known |= {n for reason in pool.reasons for n in claims.channels(reason)}
    for name in clause.channels:
        if name not in known:
            return "contradicted", f"{name} is not among the channels of the evidence"
    sides = {f.side or _side(f) for f in found} - {""}
    for side in clause.sides:
        if not sides:
            return "unsupported", f"no side behind {side!r}"
        if side not in sides:
            return "contradicted", f"side is {' or '.join(sorted(sides))}, not {side}"
    return _FINE


def _check_missing(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    if not clause.says_not_recorded:
        return _FINE
    wrong = [n for n in clause.channels if n in pool.facts.recorded]
    return ("contradicted", f"{wrong[0]} was recorded") if wrong else _FINE


def _check_bands(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    facts = pool.facts
    usable = {b for scheme in BAND_SCHEMES for b in BAND_SCHEMES[scheme]}
    usable -= {b for scheme in facts.void_bands for b in facts.void_bands[scheme]}
    for band in clause.bands:
        if band not in usable:
            return "contradicted", f"{band} is above the usable band"
    for role, band in clause.leading_bands:
        known = _leading(role, facts)
        if known and band not in known:
            return "contradicted", f"{role} band is {' or '.join(sorted(known))}, not {band}"
        if not known:
            return "unsupported", f"no {role} band was measured"
    for band, word in clause.trends:
        if band not in pool.trends:
            return "unsupported", f"no earlier pages behind a trend of {band}"
        if pool.trends[band] != word:
            return "contradicted", f"trend of {band} is {pool.trends[band]}, not {word}"
    return _FINE


def _check_spatial(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    for tier, name in clause.tiers:
        known = pool.facts.tiers.get(name)
        if known is None:
            return "unsupported", f"{name} has no energy tier"
        if known != tier:
            return "contradicted", f"{name} is in the {known} tier, not {tier}"
    for name in clause.highest_channels:
        if name != pool.facts.highest_channel:
            return "contradicted", f"highest channel is {pool.facts.highest_channel}, not {name}"
    return _FINE


def _check_citations(clause: claims.ClauseClaims, pool: _Pool) -> _Result:
    known = set(label_texts(pool.facts.labels))
    for label in clause.cited_labels:
        if label not in known:
            return "contradicted", f"the corpus gives no label {label!r}"
    for stage in clause.cited_stages:
        if stage != pool.facts.stage_context:
            return "contradicted", f"the corpus scores {pool.facts.stage_context!r}, not {stage!r}"
    return _FINE


_CHECKS = (
    _check_kinds, _check_numbers, _check_counts, _check_places, _check_missing, _check_bands,
    _check_spatial, _check_citations,
)  # fmt: skip


def _leading(role: str, facts: PageFacts) -> set[str]:
    if role == "raw":
        powers = facts.powers_uv2["narrator"]
        top = {max(powers, key=powers.__getitem__)} if powers else set()
        return (top | {facts.dominant_band_raw}) - {""}
    rhythms = {
        claims.band_of_hz(f.frequency_hz)
        for f in facts.of_kind("dominant_rhythm")
        if f.frequency_hz is not None
    }
    return ({facts.dominant_band} | rhythms) - {""}


def _side(finding: FindingFact) -> str:
    names = tuple(p for name in finding.channels for p in name.split("-"))
    return side_of_channels(tuple(n for n in names if claims.is_electrode(n)))


def _values(unit: str, found: Sequence[FindingFact], pool: _Pool) -> list[float]:
    # text gives sizes, so a downward step is told by its size
    values = [abs(v) for f in found for _, v, u in f.measures if claims.unit_of(u) == unit]
    if unit == "s":
        values += [t for f in found for t in (f.t0_s, f.t1_s, f.centre_s, f.duration_s)]
        values += [float(SEGMENT_S)]
    if unit == "ms":
        values += [1000 * v for f in found for _, v, u in f.measures if u == "s"]
        values += [1000 * f.duration_s for f in found]
    if unit == "percent":
        values += [100 * v for f in found for _, v, u in f.measures if u == "1"]
    if unit == "Hz" and pool.columns & {"band_high_hz", "*"}:
        values += list(pool.facts.band_hz)
    if unit == "uV2" and pool.columns:
        values += list(pool.facts.energy_uv2.values())
        values += [v for scheme in pool.facts.powers_uv2.values() for v in scheme.values()]
    for reason in pool.reasons:
        values += [v for v, u in claims.quantities(reason) if u == unit]
    return values


def _is_close(value: float, other: float, unit: str) -> bool:
    allowed = TOLERANCE[unit]
    if unit == "uV2":
        allowed *= abs(other)
    elif unit == "uV" and value < words.UV_FINE_BELOW:
        allowed = words.UV_FINE_STEP / 2
    return abs(value - other) <= allowed + _SLACK
