"""Truth of claim records read out of free text: one rule per type of claim.

The rules are those of the fact score (``evaluation.md`` 6.4); tolerances are in ``limits``, which
findings a claim can mean in ``matching``. Closed phrasing has its rules in ``facets``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from detectors.vocabulary import CLINICAL_BANDS, NARRATOR_BANDS
from prompts import words
from prompts.facts.findings import FindingFact
from prompts.reading.reader import read_claims, unread_clauses
from prompts.reading.records import Claim
from prompts.truth.facets import STAGE_CODES, leading_bands, usable_bands
from prompts.truth.limits import Verdict, limit
from prompts.truth.matching import RHYTHMS, fitting, is_counted, is_near, kinds_of, said_of
from prompts.truth.pages import Pool

Result = tuple[Verdict, str]
FINE: Result = ("supported", "")
_KINDS_OF_TYPE = {
    "asymmetry": ("asymmetry",), "suppression": ("attenuation", "voltage"),
    "amplitude": ("voltage",), "rhythm_frequency": ("dominant_rhythm",),
}  # fmt: skip
"""What a claim without a label is about."""
HEDGED = ("possible", "probable")
STAGES = {"wake": "W", "N1": "N1", "N2": "N2", "N3": "N3", "REM": "R"}


@dataclass(frozen=True, slots=True)
class Checked:
    """The verdict on one claim record, and the span of text that makes it."""

    span: str
    type: str
    kinds: tuple[str, ...]
    verdict: Verdict
    cause: str
    is_sided: bool
    credit: float


def check_text(text: str, pool: Pool) -> list[Checked]:
    """Read the claims of a free text and decide on each.

    Parameters
    ----------
    text
        One sentence, or several that belong together.
    pool
        What they may rest on. Clauses that could not be read are told only where nothing is cited.
    """
    checked = [check_claim(claim, pool) for claim in read_claims(text)]
    if not pool.is_cited:
        checked += [
            Checked(clause, "clause", (), "not parsed", "clause not read", False, 0.0)
            for clause in unread_clauses(text)
        ]
    return checked


def check_claim(claim: Claim, pool: Pool) -> Checked:
    """Decide on one claim."""
    verdict, cause = _RULES.get(claim.type, _unknown)(claim, pool)
    credit = 1.0 if verdict == "supported" else 0.0
    if cause.startswith("neighbour"):
        credit = 0.5
    kinds = kinds_of(claim) or _KINDS_OF_TYPE.get(claim.type, ())
    is_sided = claim.side in ("left", "right")
    return Checked(claim.span, claim.type, kinds, verdict, cause, is_sided, credit)


def _unknown(claim: Claim, pool: Pool) -> Result:
    return "unverifiable", f"no rule for a claim of {claim.type}"


def _event(claim: Claim, pool: Pool) -> Result:
    kinds = kinds_of(claim)
    name = claim.label or (claim.value if isinstance(claim.value, str) else claim.type)
    if not kinds:
        return "unsupported", f"{name} was not looked for"
    if claim.polarity == "absent":
        return _absent(claim, kinds, pool)
    found, why = _present(claim, kinds, pool)
    if not found:
        return why
    if claim.unit == "count" and not is_counted(claim.value, found):
        return "contradicted", f"{claim.value} {name} is not the count"
    if claim.unit == "s" and not is_near(
        claim.value, [f.duration_s for f in found], "duration_share"
    ):
        return "contradicted", f"{claim.value} s is not the duration of {name}"
    if claim.unit == "percent":
        shares = [10.0 * sum(f.t1_s - f.t0_s for f in found)]
        if not is_near(claim.value, shares, "duration_share"):
            return "contradicted", f"{claim.value} percent of the page is not what {name} fills"
    return _probable(claim, found, pool)


def _present(
    claim: Claim, kinds: Sequence[str], pool: Pool
) -> tuple[tuple[FindingFact, ...], Result]:
    page = pool.page
    on_page = [f for kind in kinds for f in page.by_kind.get(kind, ())]
    name = claim.label or kinds[0]
    if not on_page:
        verdicts = {page.facts.verdict(kind) for kind in kinds if kind in page.facts.judgements}
        if not verdicts:
            return (), ("unsupported", f"{name} was not looked for")
        if "present" in verdicts:
            return (), ("unsupported", f"no finding behind {name}")
        worst = "not_judged" if "not_judged" in verdicts else "absent"
        return (), ("contradicted", f"{name} is {worst}, not present")
    cited = said_of(pool, kinds)
    if not cited:
        return (), ("unsupported", f"{name} is not in the cited evidence")
    found, misfit = fitting(claim, cited, page)
    if not found:
        return (), ("contradicted", f"no {name} of that {misfit}")
    return found, FINE


def _probable(claim: Claim, found: Sequence[FindingFact], pool: Pool) -> Result:
    """Hold a bare statement to a probability of 0.7, a hedged one to 0.4; rules measure."""
    if pool.is_cited:
        return FINE
    best = max(f.confidence if f.source.startswith("detector:") else 1.0 for f in found)
    least = limit("possible_from" if claim.hedge in HEDGED else "present_from")
    if best < least:
        return "unverifiable", f"probability {best:.2f} decides nothing"
    return FINE


def _absent(claim: Claim, kinds: Sequence[str], pool: Pool) -> Result:
    facts = pool.page.facts
    judged = [k for k in kinds if k in facts.judgements]
    name = claim.label or (claim.value if isinstance(claim.value, str) else kinds[0])
    if not judged:
        return "unsupported", f"{name} was not looked for"
    on_page = [f for kind in kinds for f in pool.page.by_kind.get(kind, ())]
    found, _ = fitting(claim, on_page, pool.page) if on_page else ((), "")
    if found:
        return "contradicted", f"{name} is present, not absent"
    if any(facts.verdict(k) == "not_judged" for k in judged):
        return "unsupported", f"{name} could not be judged"
    if pool.is_cited and not any(k in pool.kinds for k in judged):
        return "unsupported", f"{name} is not in the cited evidence"
    return FINE


def _rhythm(claim: Claim, pool: Pool) -> Result:
    kinds = kinds_of(claim)
    if claim.polarity == "absent":
        if kinds:
            return _absent(claim, kinds, pool)
        return "unverifiable", "absence of a rhythm is not judged"
    if claim.label and not kinds:
        return "unsupported", f"{claim.label} was not looked for"
    if claim.value is None and not kinds:
        return _band_word(claim, pool)
    found, why = _present(claim, kinds, pool) if kinds else _any_rhythm(claim, pool)
    if not found:
        return why
    return _rhythm_measure(claim, found)


def _rhythm_measure(claim: Claim, found: Sequence[FindingFact]) -> Result:
    if claim.unit == "s" and not is_near(
        claim.value, [f.duration_s for f in found], "duration_share"
    ):
        return "contradicted", f"{claim.value} s is not its duration"
    if claim.unit == "Hz":
        true = [v for f in found for _, v, u in f.measures if u == "Hz"]
        if not true:
            return "unsupported", f"no frequency behind {claim.value} Hz"
        if not is_near(claim.value, true, "frequency_hz"):
            return "contradicted", f"{claim.value} Hz is not among the measured values"
    return FINE


def _any_rhythm(claim: Claim, pool: Pool) -> tuple[tuple[FindingFact, ...], Result]:
    candidates = [f for f in said_of(pool, RHYTHMS) if f.frequency_hz is not None]
    if not candidates:
        return (), ("unsupported", f"no rhythm measured behind {claim.value}")
    found, misfit = fitting(claim, candidates, pool.page)
    if not found:
        return (), ("unsupported", f"no rhythm measured of that {misfit}")
    return found, FINE


def _band_word(claim: Claim, pool: Pool) -> Result:
    page = pool.page
    if claim.band is None:
        return "unverifiable", "a rhythm without frequency or band"
    if claim.band not in usable_bands(page):
        return "contradicted", f"{claim.band} is above the usable band"
    rhythms = [f for f in said_of(page.whole(), RHYTHMS) if f.frequency_hz is not None]
    led = leading_bands("raw", pool) | leading_bands("dominant", pool)
    if not claim.channels and not claim.side and not claim.regions and claim.band in led:
        return FINE
    found, _ = fitting(claim, rhythms, page) if rhythms else ((), "")
    frequencies = [f.frequency_hz for f in found if f.frequency_hz is not None]
    if any(words.band_of(hz) == claim.band for hz in frequencies):
        return FINE
    low, high = {**NARRATOR_BANDS, **CLINICAL_BANDS}[claim.band]
    edge = limit("band_edge_hz")
    if any(low - edge <= hz <= high + edge for hz in frequencies):
        return "supported", "neighbouring band within the edge's tolerance"
    return "unsupported", f"no {claim.band} rhythm was measured"


def _rank(claim: Claim, pool: Pool) -> Result:
    page = pool.page
    powers = page.facts.powers_uv2["narrator"]
    band = claim.band or ""
    if band not in usable_bands(page):
        return "contradicted", f"{band or 'it'} is above the usable band"
    if band not in powers:
        return "unsupported", f"no power of {band} was measured"
    order = sorted(powers, key=lambda name: -powers[name])
    value = claim.value
    if value == "highest":
        role = "dominant" if "1/f" in claim.span or "dominant" in claim.span else "raw"
        is_true = band in leading_bands(role, pool)
    elif value == "lowest":
        is_true = order[-1] == band
    elif isinstance(value, str) and value.startswith("higher_than_"):
        other = value.removeprefix("higher_than_")
        if other not in powers:
            return "unsupported", f"no power of {other} was measured"
        is_true = powers[band] > powers[other]
    elif claim.unit == "percent":
        share = 100.0 * powers[band] / (sum(powers.values()) or 1.0)
        is_true = is_near(value, [share], "power_share")
    else:
        is_true = order.index(band) + 1 == value
    return _polar(claim, is_true=is_true, what=f"rank of {band} is not {value}")


def _polar(claim: Claim, *, is_true: bool, what: str) -> Result:
    if is_true == (claim.polarity == "present"):
        return FINE
    return "contradicted", what


def _trend(claim: Claim, pool: Pool) -> Result:
    trends, band = pool.page.trends, claim.band or ""
    if band not in trends:
        return "unsupported", f"no earlier pages behind a trend of {band}"
    true = trends[band]
    said = claim.value if isinstance(claim.value, str) else "marked"
    if claim.value is None:
        is_true = "marked" in true
    elif said in ("increase", "decrease"):
        is_true = true.endswith(said)
    else:
        is_true = true == said
    return _polar(claim, is_true=is_true, what=f"trend of {band} is {true}, not {said}")


def _amplitude(claim: Claim, pool: Pool) -> Result:
    if claim.polarity == "absent":
        return "unverifiable", "a denied voltage"
    kinds = kinds_of(claim) if claim.label else ()
    if isinstance(claim.value, str) and kinds:
        return "unverifiable", "a voltage word of an event"
    found = said_of(pool, kinds) if kinds else tuple(f for f in pool.findings if not f.is_masked)
    found = tuple(f for f in found if f.amplitude_uv is not None)
    if not kinds and isinstance(claim.value, str):
        found = tuple(f for f in found if f.kind == "voltage")
    if not found:
        return "unsupported", "no voltage was measured"
    fits, misfit = fitting(claim, found, pool.page)
    if not fits:
        return "contradicted", f"no voltage of that {misfit}"
    true = [abs(f.amplitude_uv) for f in fits if f.amplitude_uv is not None]
    if isinstance(claim.value, str):
        is_low = min(true) < limit("low_below_uv")
        if claim.value == "low":
            return FINE if is_low else ("contradicted", f"{min(true):.0f} uV is not low")
        return ("contradicted", f"{min(true):.0f} uV is low") if is_low else (
            "unverifiable", f"no edge between medium and high for {claim.value}")  # fmt: skip
    if is_near(claim.value, true, "amplitude_share"):
        return FINE
    return "contradicted", f"{claim.value} uV is not among the measured values"


def _asymmetry(claim: Claim, pool: Pool) -> Result:
    if claim.unit == "Hz":
        return "unverifiable", "a difference in frequency between the sides is not measured"
    kinds = ("asymmetry",)
    if claim.polarity == "absent":
        return _absent(claim, kinds, pool)
    found, why = _present(claim, kinds, pool)
    if not found:
        return why
    if claim.unit == "percent":
        true = [100 * v for f in found for _, v, u in f.measures if u == "1"]
        if not is_near(claim.value, true, "asymmetry_percent"):
            return "contradicted", f"{claim.value} percent is not the difference"
    return FINE


def _tier(claim: Claim, pool: Pool) -> Result:
    tiers = pool.page.facts.tiers
    known = [name for name in claim.channels if name in tiers]
    if not known:
        return "unsupported", "no energy tier behind it"
    n_true = sum(tiers[name] == claim.value for name in known)
    is_true = n_true > 0 and n_true >= len(known)
    return _polar(
        claim, is_true=is_true, what=f"not all of {', '.join(known)} are in the {claim.value} tier"
    )


def _highest(claim: Claim, pool: Pool) -> Result:
    true = pool.page.facts.highest_channel
    if not true or claim.band:
        return "unsupported", "no highest channel was measured"
    is_true = claim.channels == (true,)
    return _polar(claim, is_true=is_true, what=f"highest channel is {true}")


def _suppression(claim: Claim, pool: Pool) -> Result:
    page = pool.page
    if claim.polarity == "absent":
        return _absent(claim, ("attenuation",), pool)
    voltages = [
        abs(f.amplitude_uv) for f in page.by_kind.get("voltage", ()) if f.amplitude_uv is not None
    ]
    intervals = page.by_kind.get("attenuation", ())
    if claim.t0 is not None and intervals:
        found, misfit = fitting(claim, intervals, page)
        return FINE if found else ("contradicted", f"no low-voltage interval of that {misfit}")
    if intervals and not isinstance(claim.value, int | float | tuple):
        return FINE
    if not voltages:
        return "unsupported", "no voltage was measured"
    edge = limit("suppressed_below_uv" if claim.value == "suppressed" else "low_below_uv")
    if isinstance(claim.value, int | float | tuple):
        is_true = is_near(claim.value, voltages, "amplitude_share")
    else:
        is_true = min(voltages) < edge
    return (
        FINE if is_true else ("contradicted", f"the background voltage is {min(voltages):.0f} uV")
    )


def _state(claim: Claim, pool: Pool) -> Result:
    stage = STAGE_CODES.get(pool.page.facts.stage_context, pool.page.facts.stage_context)
    said = STAGES.get(str(claim.value))
    if not stage or (said is None and claim.value != "sleep"):
        return "unverifiable", f"{claim.value} cannot be read from the page"
    if pool.is_cited and "stage_context" not in pool.columns:
        return "unverifiable", "the copied stage is not in the cited evidence"
    is_true = stage != "W" if said is None else stage == said
    return _polar(claim, is_true=is_true, what=f"the corpus scores {stage!r}, not {claim.value!r}")


def _not_judged(claim: Claim, pool: Pool) -> Result:
    kinds = kinds_of(claim)
    facts = pool.page.facts
    if not kinds:
        return "unverifiable", "what was not judged is not named"
    known = {facts.verdict(kind) for kind in kinds if kind in facts.judgements}
    if not known:
        return "unsupported", f"{claim.label} was not looked for"
    if "not_judged" not in known:
        return (
            "contradicted",
            f"{claim.label or kinds[0]} is {' or '.join(sorted(known))}, not not_judged",
        )
    return FINE


def _overclaim(claim: Claim, pool: Pool) -> Result:
    return "overclaim", f"one page cannot show: {claim.value or 'it'}"


def _limits(claim: Claim, pool: Pool) -> Result:
    return FINE


_RULES: Mapping[str, Callable[[Claim, Pool], Result]] = {
    "event": _event, "artifact": _event, "rhythm_frequency": _rhythm, "band_power_rank": _rank,
    "band_trend": _trend, "amplitude": _amplitude, "asymmetry": _asymmetry, "energy_tier": _tier,
    "highest_channel": _highest, "suppression": _suppression, "sleep_context": _state,
    "not_judged": _not_judged, "overclaim": _overclaim, "limits": _limits,
}  # fmt: skip
