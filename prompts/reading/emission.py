"""The claims that a finding becomes (rules 2, 3, 4, 13, 19 and 26 of the claim-extraction set).

What a finding is, and how it gets its label, is in ``findings``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from prompts.reading.findings import BANDED, Finding, band_of, settle
from prompts.reading.records import Claim, Value

_POLYSPIKE_WAVE = "polyspike+slow_wave"


def finding_claims(finding: Finding, text: str) -> Iterator[Claim]:
    """Yield the claims of one finding: presence, count and times, then its measures."""
    settle(finding)
    if finding.label == _POLYSPIKE_WAVE:
        yield from finding_claims(replace(finding, label="polyspike"), text)
        wave = replace(finding, label="slow_wave", frequencies=[], amplitudes=[], durations=[])
        finding = replace(wave, percent=None, count=None)
    base = _base(finding, text)
    if finding.type == "suppression":
        yield from _suppression_claims(finding, base)
        return
    is_single = len(finding.times) == 1
    timed = replace(base, t0=finding.times[0][0], t1=finding.times[0][1]) if is_single else base
    if finding.type == "rhythm":
        yield from _rhythm_claims(finding, timed, text)
    elif finding.is_claimed:
        yield from _presence_claims(finding, base, timed)
    if finding.is_absent or not finding.is_measured:
        return
    measured = replace(timed, hedge="none", value=None, polarity="present")
    if finding.type != "rhythm":
        yield from _rate_claims(finding, measured, text)
    yield from _size_claims(finding, measured, text)


def _base(finding: Finding, text: str) -> Claim:
    regions = tuple(finding.regions)
    return Claim(
        type="rhythm_frequency" if finding.type == "rhythm" else finding.type,
        label=finding.label,
        band=_band(finding),
        value=None if finding.label else finding.word,
        channels=tuple(finding.channels),
        side=finding.side,
        region=None if not regions else regions[0] if len(regions) == 1 else regions,
        polarity="absent" if finding.is_absent else "present",
        hedge=finding.hedge,
        span=text[finding.span[0] : finding.span[1]],
    )


def _band(finding: Finding) -> str | None:
    """Return the band of a finding's claims: transients carry none (rule 26)."""
    if finding.word == "rhythmic_delta":
        return "delta"
    if finding.label == "beta_excess":
        return "beta"
    return finding.band if finding.type == "rhythm" or finding.label in BANDED else None


def _suppression_claims(finding: Finding, base: Claim) -> Iterator[Claim]:
    """Low-voltage intervals: the number wins over the word (rule 13)."""
    if finding.amplitudes and not finding.is_absent:
        base = replace(base, value=finding.amplitudes[0], unit="uV")
    if not finding.times:
        yield base
    for t0, t1 in finding.times:
        yield replace(base, t0=t0, t1=t1)


def _presence_claims(finding: Finding, base: Claim, timed: Claim) -> Iterator[Claim]:
    times = finding.times
    if finding.count is not None and not finding.is_absent:
        yield replace(timed, value=finding.count, unit="count")
        times = [] if len(times) == 1 else times
    elif not times and not finding.single_times:
        yield base
    for t0, t1 in (*times, *finding.single_times):
        yield replace(base, t0=t0, t1=t1)


def _rhythm_claims(finding: Finding, timed: Claim, text: str) -> Iterator[Claim]:
    if not finding.frequencies and finding.is_claimed:
        yield timed
    is_one_band = finding.is_band_named or len(finding.frequencies) == 1
    for value in finding.frequencies:
        band = timed.band if is_one_band else band_of(value)
        yield replace(timed, value=value, unit="Hz", band=band)
    for value in finding.durations:
        span = _span(finding, "s", text)
        yield replace(timed, value=value, unit="s", hedge="none", polarity="present", span=span)


def _rate_claims(finding: Finding, measured: Claim, text: str) -> Iterator[Claim]:
    """Yield rate, duration and share of the page of an event; mains has no rate (rule 19)."""
    for value in finding.frequencies if finding.label != "mains" else ():
        band = _rate_band(finding, value)
        span = _span(finding, "Hz", text)
        yield replace(
            measured, type="rhythm_frequency", value=value, unit="Hz", band=band, span=span
        )
    for value in finding.durations:
        yield replace(
            measured,
            value=value,
            unit="s",
            band=None if finding.label not in BANDED else measured.band,
            span=_span(finding, "s", text),
        )
    if finding.percent is not None:
        span = _span(finding, "percent", text)
        yield replace(measured, value=finding.percent, unit="percent", span=span)


def _rate_band(finding: Finding, value: Value) -> str | None:
    if finding.word == "rhythmic_delta":
        return finding.band or "delta"
    return band_of(value) or finding.band if finding.label in BANDED else None


def _size_claims(finding: Finding, measured: Claim, text: str) -> Iterator[Claim]:
    for value in finding.amplitudes:
        unit = None if isinstance(value, str) else "uV"
        span = _span(finding, "uV", text)
        yield replace(measured, type="amplitude", value=value, unit=unit, span=span)


def _span(finding: Finding, unit: str, text: str) -> str:
    s, e = finding.spans.get(unit, finding.span)
    return text[s:e]
