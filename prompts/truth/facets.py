"""Truth of the closed phrasing: one rule per aspect of a clause.

A facet (``phrases``) is true of the findings, judgements and columns its sentence cites. Numbers of
cited sentences are held to half a rounding step; where nothing is cited, to the tolerances of
``limits``. Claims read out of free text have their rules in ``records``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from detectors.types import CANONICAL19, SEGMENT_S
from detectors.vocabulary import BAND_SCHEMES, KINDS, region_of, side_of_channels
from prompts import words
from prompts.captions.event_words import FOCAL_FAMILY, dipole
from prompts.facts.findings import FindingFact
from prompts.truth.limits import ROUNDING, SLACK, Verdict, limit
from prompts.truth.pages import Page, Pool
from prompts.truth.phrases import Clause, Facet

Result = tuple[Verdict, str]
FINE: Result = ("supported", "")
STAGE_CODES = {"Wake": "W", "R": "REM"}
"""Words of a copied stage that are not the stored word."""


class Context(NamedTuple):
    """What the facets of one clause are checked against."""

    pool: Pool
    page: Page
    clause: Clause
    numbers: tuple[float, ...]
    names: tuple[str, ...]
    named: tuple[FindingFact, ...]
    is_strict: bool

    @property
    def found(self) -> tuple[FindingFact, ...]:
        """Findings the clause speaks of: of the kinds it names, else all cited."""
        return self.named or self.pool.findings


def check_facet(facet: Facet, context: Context) -> Result:
    """Decide whether one facet is true."""
    return _RULES[facet.aspect](facet, context)


def are_absent(kinds: Sequence[str], pool: Pool) -> bool:
    """Whether cited judgements say of all kinds that they are absent."""
    judgements, cited = pool.page.facts.judgements, pool.kinds
    for kind in kinds:
        judgement = judgements.get(kind)
        if judgement is None or judgement.verdict != "absent" or kind not in cited:
            return False
    return True


def _kind(facet: Facet, context: Context) -> Result:
    kind, polarity = facet.word, facet.other
    if polarity == "masked":
        if not context.named or not any(f.kind == kind for f in context.named):
            return "contradicted", f"no {kind} was set aside"
        return FINE
    page = context.page
    found = page.by_kind.get(kind)
    judgement = page.facts.judgements.get(kind)
    if judgement is None and not found:
        return "unsupported", f"{kind} was not looked for"
    verdict = "present" if judgement is None else judgement.verdict
    if verdict != polarity:
        return "contradicted", f"{kind} is {verdict}, not {polarity}"
    if kind not in context.pool.kinds:
        return "unsupported", f"{kind} is not in the cited evidence"
    return FINE


def _quantity(facet: Facet, context: Context) -> Result:
    return _among(facet, context, _values(facet.word, context))


def _time(facet: Facet, context: Context) -> Result:
    if context.is_strict:
        return _among(
            facet, context, [t for f in context.found for t in (f.t0_s, f.t1_s, f.centre_s)]
        )
    slow = limit("time_slow_s")
    found = context.found
    known = [(t, slow) for f in found if f.kind not in words.TRANSIENTS for t in (f.t0_s, f.t1_s)]
    known += [
        (t, limit("time_transient_s") if f.kind in words.TRANSIENTS else slow)
        for f in found
        for t in (f.centre_s,)
    ]
    if not known:
        return "unsupported", "no time behind it"
    for slot in facet.slots:
        value = context.numbers[slot]
        if not any(abs(value - t) <= allowed + SLACK for t, allowed in known):
            return "contradicted", f"{value:g} s is not among the measured values"
    return FINE


def _among(facet: Facet, context: Context, known: Sequence[float]) -> Result:
    for slot in facet.slots:
        value = context.numbers[slot]
        if not known:
            return "unsupported", f"no value in {facet.word} behind {value:g}"
        for other in known:
            if abs(value - other) <= tolerance(facet.word, value, other, context.is_strict):
                break
        else:
            return "contradicted", f"{value:g} {facet.word} is not among the measured values"
    return FINE


def tolerance(unit: str, value: float, other: float, is_strict: bool) -> float:
    """Return how far a value in a text may lie from the measured one."""
    step = (
        words.UV_FINE_STEP / 2 if unit == "uV" and value < words.UV_FINE_BELOW else ROUNDING[unit]
    )
    if unit == "uV2":
        step *= abs(other)
    if not is_strict:
        name = _TOLERANCES[unit]
        step = max(step, limit(name) * (abs(other) if name.endswith("share") else 1.0))
    return step + SLACK


_TOLERANCES = {
    "Hz": "frequency_hz", "uV": "amplitude_share", "s": "duration_share", "ms": "duration_share",
    "uV2": "power_share", "percent": "asymmetry_percent",
}  # fmt: skip


def _values(unit: str, context: Context) -> list[float]:
    # text gives sizes, so a downward step is told by its size
    found, pool, facts = context.found, context.pool, context.page.facts
    values = [abs(v) for f in found for _, v, u in f.measures if u == unit]
    if unit == "s":
        values += [t for f in found for t in (f.t0_s, f.t1_s, f.centre_s, f.duration_s)]
        values.append(float(SEGMENT_S))
    elif unit == "ms":
        values += [1000 * v for f in found for _, v, u in f.measures if u == "s"]
        values += [1000 * f.duration_s for f in found]
    elif unit == "percent":
        values += [100 * v for f in found for _, v, u in f.measures if u == "1"]
    elif unit == "Hz" and not pool.columns.isdisjoint(("band_high_hz", "*")):
        values += facts.band_hz
    elif unit == "uV2" and pool.columns:
        values += facts.energy_uv2.values()
        values += [v for scheme in facts.powers_uv2.values() for v in scheme.values()]
    return values


def _top(facet: Facet, context: Context) -> Result:
    value, high = context.numbers[facet.slots[0]], context.page.facts.band_hz[1]
    if abs(value - high) > ROUNDING["Hz"] + SLACK:
        return "contradicted", f"the usable band ends at {high:g} Hz, not {value:g}"
    return FINE


def _count(facet: Facet, context: Context) -> Result:
    n, kind = round(context.numbers[facet.slots[0]]), facet.word
    found = [f for f in context.pool.findings if f.kind == kind]
    known = {sum(f.count for f in found), len(found), *(f.count for f in found)}
    if context.clause.is_aside and not context.is_strict:
        known |= set(range(1, len(context.named) + 1))  # told apart by what hides them
    if is_count(n, known, context.is_strict):
        return FINE
    return "contradicted", f"{n} {kind} is not the count"


def is_count(n: float, known: Set[int], is_strict: bool) -> bool:
    """Whether a number of events is one of the true ones: exact when few, to 25 % when many."""
    if is_strict:
        return n in known
    few, share = limit("exact_count_up_to"), limit("count_share")
    return any(n == k or (k > few and abs(n - k) <= share * k) for k in known)


def _rows(facet: Facet, context: Context) -> Result:
    facts, findings = context.page.facts, context.pool.findings
    sizes = {len(f.channels) for f in findings}
    # a field is written without its maximum
    sizes |= {len(f.channels) - 1 for f in findings if KINDS[f.kind].family == FOCAL_FAMILY}
    for named in (findings, context.found):
        sizes.add(len({name for f in named for name in f.channels}))
    if context.pool.columns or not findings:
        sizes |= {len(facts.recorded), len(facts.schema.ch_names)}
    for slot in facet.slots:
        n = round(context.numbers[slot])
        if n not in sizes:
            return "contradicted", f"{n} channels is not the number of channels"
    return FINE


def _electrodes(facet: Facet, context: Context) -> Result:
    facts = context.page.facts
    true = (len(facts.recorded), len(facts.schema.ch_names))
    said = tuple(round(context.numbers[slot]) for slot in facet.slots)
    if said != true:
        return (
            "contradicted",
            f"{true[0]} of {true[1]} electrodes were recorded, not {said[0]} of {said[-1]}",
        )
    return FINE


def _names(facet: Facet, context: Context) -> Result:
    pool, facts = context.pool, context.page.facts
    known = _channels(context.found)
    if not context.named:
        if not pool.columns.isdisjoint(("mask", "channel_schema", "*")):
            known |= _parts(facts.schema.ch_names)
        if not pool.columns.isdisjoint(("tier", "energy_uv2", "highest_channel")):
            known |= set(facts.tiers)
    for slot in facet.slots:
        name = context.names[slot]
        if name not in known:
            return "contradicted", f"{name} is not among the channels of the evidence"
    return FINE


def _channels(found: Sequence[FindingFact]) -> set[str]:
    return _parts([name for f in found for name in f.channels])


def _parts(names: Iterable[str]) -> set[str]:
    known: set[str] = set()
    for name in names:
        known.add(name)
        if "-" in name:
            known.update(name.split("-"))
    return known


def _maximum(facet: Facet, context: Context) -> Result:
    name = context.names[facet.slots[0]]
    leads = [f.channels[0] for f in context.found if f.channels]
    if not any(name == lead or name in lead.split("-") for lead in leads):
        return "contradicted", f"the maximum is at {' or '.join(leads) or 'no channel'}, not {name}"
    return FINE


def _pole(facet: Facet, context: Context) -> Result:
    name = context.names[facet.slots[0]]
    known = {dipole(f).get(facet.word, "") for f in context.found} - {""}
    if not known:
        return "unsupported", f"no {facet.word} pole was measured"
    if name not in known:
        return "contradicted", f"{facet.word} pole is at {' or '.join(sorted(known))}, not {name}"
    return FINE


def _trait(facet: Facet, context: Context) -> Result:
    if not any(f.value(facet.word) for f in context.found):
        return "contradicted", f"{facet.word} was not measured"
    return FINE


def _first(facet: Facet, context: Context) -> Result:
    said = tuple(context.names[slot] for slot in facet.slots)
    lists = [tuple(dict.fromkeys(n for f in context.found for n in f.channels))]
    lists += [f.channels[skip:] for f in context.found for skip in (0, 1)]
    lists.append(context.page.facts.recorded)
    if not any(said == tuple(names[: len(said)]) for names in lists):
        return "contradicted", f"{', '.join(said)} are not the first channels"
    return FINE


def _missing(facet: Facet, context: Context) -> Result:
    facts = context.page.facts
    for slot in facet.slots:
        name = context.names[slot]
        if name in facts.recorded:
            return "contradicted", f"{name} was recorded"
        if name not in facts.missing:
            return "contradicted", f"{name} is not among the channels of the evidence"
    return FINE


def _side(facet: Facet, context: Context) -> Result:
    sides = {side_of(f) for f in context.found} - {""}
    if not sides:
        return "unsupported", f"no side behind {facet.word!r}"
    if facet.word not in sides:
        return "contradicted", f"side is {' or '.join(sorted(sides))}, not {facet.word}"
    return FINE


def _region(facet: Facet, context: Context) -> Result:
    regions = {f.region for f in context.found}
    regions |= {region_of(n) for n in _channels(context.found) if n in CANONICAL19}
    regions -= {""}
    if not regions:
        return "unsupported", f"no region behind {facet.word!r}"
    if facet.word not in regions:
        return "contradicted", f"region is {' or '.join(sorted(regions))}, not {facet.word}"
    return FINE


def side_of(finding: FindingFact) -> str:
    """Return a finding's side, from its channels where none is stored."""
    if finding.side:
        return finding.side
    names = tuple(p for name in finding.channels for p in name.split("-"))
    return side_of_channels(tuple(n for n in names if n[-1:] == "z" or n[-1:].isdigit()))


def _band(facet: Facet, context: Context) -> Result:
    if facet.word not in usable_bands(context.page):
        return "contradicted", f"{facet.word} is above the usable band"
    return FINE


def usable_bands(page: Page) -> set[str]:
    """Return the bands that are void in no scheme."""
    usable = {b for scheme in BAND_SCHEMES.values() for b in scheme}
    return usable - {b for bands in page.facts.void_bands.values() for b in bands}


def _leading(facet: Facet, context: Context) -> Result:
    known = leading_bands(facet.other, context.pool)
    if not known:
        return "unsupported", f"no {facet.other} band was measured"
    if facet.word not in known:
        return (
            "contradicted",
            f"{facet.other} band is {' or '.join(sorted(known))}, not {facet.word}",
        )
    return FINE


def leading_bands(role: str, pool: Pool) -> set[str]:
    """Return the bands that may be said to lead: by ``raw`` power, or ``dominant`` without 1/f.

    The two band schemes differ, so a sentence that cites the powers of one is held to that one.
    """
    facts = pool.page.facts
    if role == "raw":
        powers = facts.powers_uv2["narrator"]
        top = {max(powers, key=powers.__getitem__)} if powers else set()
        if any(column.startswith("narrator_") for column in pool.columns):
            return top
        clinical = {facts.dominant_band_raw} - {""}
        return clinical if "dominant_band_raw" in pool.columns else top | clinical
    rhythms = {
        words.band_of(f.frequency_hz)
        for f in pool.page.by_kind.get("dominant_rhythm", ())
        if f.frequency_hz is not None
    }
    return ({facts.dominant_band} | rhythms) - {""}


def _trend(facet: Facet, context: Context) -> Result:
    trends = context.page.trends
    if facet.word not in trends:
        return "unsupported", f"no earlier pages behind a trend of {facet.word}"
    if trends[facet.word] != facet.other:
        return "contradicted", f"trend of {facet.word} is {trends[facet.word]}, not {facet.other}"
    return FINE


def _tier(facet: Facet, context: Context) -> Result:
    for slot in facet.slots:
        name = context.names[slot]
        known = context.page.facts.tiers.get(name)
        if known is None:
            return "unsupported", f"{name} has no energy tier"
        if known != facet.word:
            return "contradicted", f"{name} is in the {known} tier, not {facet.word}"
    return FINE


def _highest(facet: Facet, context: Context) -> Result:
    name, true = context.names[facet.slots[0]], context.page.facts.highest_channel
    if name != true:
        return "contradicted", f"highest channel is {true or 'unknown'}, not {name}"
    return FINE


def _stage(facet: Facet, context: Context) -> Result:
    said, true = (STAGE_CODES.get(s, s) for s in (facet.word, context.page.facts.stage_context))
    if said != true:
        return "contradicted", f"the corpus scores {true!r}, not {said!r}"
    return FINE


_RULES: Mapping[str, Callable[[Facet, Context], Result]] = {
    "kind": _kind, "quantity": _quantity, "time": _time, "top": _top, "count": _count,
    "rows": _rows, "electrodes": _electrodes, "names": _names, "maximum": _maximum,
    "first": _first, "missing": _missing, "side": _side, "region": _region, "band": _band,
    "leading": _leading, "trend": _trend, "tier": _tier, "highest": _highest, "stage": _stage,
    "pole": _pole, "trait": _trait,
}  # fmt: skip
