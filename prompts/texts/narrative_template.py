"""The facts of a page as a teacher gets them: NeuroNarrator's template, a payload, and the ids behind it.

The template follows NeuroNarrator (event and label line, band powers in its band scheme, energy
tiers, trends over the previous pages of the same recording). Only the payload, numbers and closed
words, goes to a teacher, whatever kind of text it writes. Teachers live in ``teachers``; what is
asked of them in ``teacher_texts`` and the modules of the kinds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectors.vocabulary import KINDS, NARRATOR_BANDS
from prompts import words
from prompts.captions.background_words import finding_text
from prompts.facts.findings import FindingFact
from prompts.facts.page import FactsError, PageFacts, label_texts

N_PREVIOUS = 2
"""Previous pages a trend looks back on (``systems.md`` 6.13, default of K)."""

TREND_GRADES = ((0.10, "stable"), (0.20, "slight"), (0.40, "moderate"), (float("inf"), "marked"))
"""Upper edge of the relative change against the mean of the previous pages, and its word
(``systems.md`` 6.13; no standard exists, so the table is published with the data)."""

CONSISTENTLY_LOW_SHARE = 0.02
"""A band under this share of total power on the page and all previous ones (``systems.md`` 6.13)."""

UNSEEN = ("absent", "not_judged")
"""Verdicts with a list of kinds in a payload; the key of such a fact is its kind."""

HISTORY_LINE = "Earlier pages"
"""How the template's line with the previous pages' powers begins; a release quotes it."""


@dataclass(frozen=True, slots=True)
class NarrativeTemplate:
    """The facts of one page as text, as a payload, and with the ids behind each key.

    Parameters
    ----------
    text
        The structured facts, one kind a line.
    payload
        What a teacher may see: numbers and closed words, no ids.
    evidence
        Fact key to the ids behind it.
    trends
        Narrator band to trend word.
    """

    text: str
    payload: Mapping[str, Any]
    evidence: Mapping[str, tuple[str, ...]]
    trends: Mapping[str, str]


def nameable_powers(facts: PageFacts) -> dict[str, float]:
    """Return the narrator powers whose band word is void in no scheme, uV^2.

    Both schemes share their words: where the source ends at 60 Hz, gamma can be measured to 50 Hz
    and not to 70 Hz, and a reader of ``gamma`` cannot know which was meant.
    """
    void = frozenset().union(*facts.void_bands.values())
    powers = facts.powers_uv2["narrator"]
    return {band: powers[band] for band in NARRATOR_BANDS if band in powers and band not in void}


def trend_words(facts: PageFacts, history: Sequence[PageFacts]) -> dict[str, str]:
    """Return the trend word of each narrator band against the mean of the previous pages.

    Bands that are unmeasured on any of the pages, or not to be named on this one
    (:func:`nameable_powers`), are left out; without history all are.

    Raises
    ------
    FactsError
        If a previous page is of another recording or not earlier.
    """
    for page in history:
        if page.recording_id != facts.recording_id or page.start_s >= facts.start_s:
            raise FactsError(
                f"page {page.segment_id!r} is no earlier page of the recording of "
                f"{facts.segment_id!r}; trends never cross recordings"
            )
    if not history:
        return {}
    pages = [page.powers_uv2["narrator"] for page in (*history, facts)]
    trends = {}
    for band in nameable_powers(facts):
        if any(band not in powers for powers in pages):
            continue
        shares = [powers[band] / (sum(powers.values()) or 1.0) for powers in pages]
        before = sum(powers[band] for powers in pages[:-1]) / len(history)
        if max(shares) < CONSISTENTLY_LOW_SHARE:
            trends[band] = "consistently_low"
        elif before > 0:
            trends[band] = _graded(pages[-1][band] / before - 1.0)
    return trends


def _graded(change: float) -> str:
    grade = next(word for edge, word in TREND_GRADES if abs(change) < edge)
    if grade == "stable":
        return grade
    return f"{grade}_{'increase' if change > 0 else 'decrease'}"


def narrative_template(
    facts: PageFacts, history: Sequence[PageFacts] = (), *, is_label_aware: bool = False
) -> NarrativeTemplate:
    """Gather the facts of a page for a teacher.

    Parameters
    ----------
    facts
        The page.
    history
        Previous pages of the same recording, oldest first.
    is_label_aware
        Put the copied stage and labels into the text, and the stage into the payload. Labels are
        never sent to a teacher.

    Raises
    ------
    FactsError
        If the history is of another recording.
    """
    trends = trend_words(facts, history)
    evidence: dict[str, tuple[str, ...]] = {
        "page": tuple(facts.column(c) for c in ("mask", "channel_schema", "band_high_hz"))
    }
    payload: dict[str, Any] = {"page": _page_entry(facts, history)}
    if is_label_aware and facts.stage_context in {"W", "N1", "N2", "N3", "REM"}:
        payload["page"]["stage"] = facts.stage_context
        evidence["page"] += (facts.column("stage_context"),)
    powers = nameable_powers(facts)
    if powers and _highest_band(facts) in powers:
        payload["spectrum"] = _spectrum_entry(facts, powers, trends)
        columns = [f"narrator_{band}_uv2" for band in powers]
        evidence["spectrum"] = tuple(facts.column(c) for c in (*columns, "dominant_band"))
    if facts.highest_channel:
        payload["energy"] = _energy_entry(facts)
        evidence["energy"] = tuple(
            facts.column(c) for c in ("tier", "energy_uv2", "highest_channel")
        )
    payload["findings"] = []
    for i, finding in enumerate(facts.findings, 1):
        payload["findings"].append({"key": f"f{i}", **_finding_entry(finding)})
        judged = facts.judgements.get(finding.kind)
        evidence[f"f{i}"] = (finding.finding_id, *([judged.judgement_id] if judged else []))
    for verdict in UNSEEN:
        unseen = [j for k in KINDS if (j := facts.judgements.get(k)) and j.verdict == verdict]
        payload[verdict] = [j.kind for j in unseen]
        evidence |= {j.kind: (j.judgement_id,) for j in unseen}
    text = _template_text(facts, history, trends, is_label_aware)
    return NarrativeTemplate(text, payload, evidence, trends)


def _page_entry(facts: PageFacts, history: Sequence[PageFacts]) -> dict[str, Any]:
    is_referential = facts.schema.is_referential
    return {
        "key": "page",
        "montage": "longitudinal_bipolar" if is_referential else "bipolar_as_recorded",
        "n_recorded": len(facts.recorded),
        "n_rows": len(facts.schema.ch_names),
        "band_low_hz": round(facts.band_hz[0], 1),
        "band_high_hz": round(facts.band_hz[1], 1),
        "n_previous": len(history),
    }


def _highest_band(facts: PageFacts) -> str:
    """Return the narrator band with the most power; where it may not be named, none is said to."""
    powers = facts.powers_uv2["narrator"]
    return max(powers, key=powers.__getitem__)


def _spectrum_entry(
    facts: PageFacts, powers: Mapping[str, float], trends: Mapping[str, str]
) -> dict[str, Any]:
    bands = [
        {"band": band, "power_uv2": round(power, 2)}
        | ({"trend": trends[band]} if band in trends else {})
        for band, power in powers.items()
    ]
    entry = {
        "key": "spectrum",
        "highest_power_band": _highest_band(facts),
        "bands": bands,
    }
    usable = facts.dominant_band and facts.dominant_band not in facts.void_bands["clinical"]
    return entry | ({"dominant_band": facts.dominant_band} if usable else {})


def _energy_entry(facts: PageFacts) -> dict[str, Any]:
    return {
        "key": "energy",
        "highest_channel": facts.highest_channel,
        "energy_uv2": round(facts.energy_uv2[facts.highest_channel], 2),
        "tiers": [
            {"tier": tier, "channels": [c for c, t in facts.tiers.items() if t == tier]}
            for tier in ("high", "medium", "low")
        ],
    }


def _finding_entry(finding: FindingFact) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": finding.kind,
        "channels": list(finding.channels),
        "side": finding.side,
        "region": finding.region,
        "t0_s": round(finding.t0_s, 3),
        "t1_s": round(finding.t1_s, 3),
        "duration_s": round(finding.duration_s, 4),
        "count": finding.count,
        "hedge": words.hedge(finding),
    }
    if finding.frequency_hz is not None:
        entry["frequency_hz"] = round(finding.frequency_hz, 4)
    if finding.amplitude_uv is not None:
        entry["amplitude_uv"] = round(finding.amplitude_uv, 4)
        entry["amplitude_word"] = finding.amplitude_word
    percent = words.percent(finding)
    return entry if percent is None else entry | {"percent": percent}


def _template_text(
    facts: PageFacts, history: Sequence[PageFacts], trends: Mapping[str, str], is_label_aware: bool
) -> str:
    # an abnormal recording does not make its pages abnormal, so each label says what it is of
    texts = zip(facts.labels, label_texts(facts.labels), strict=True)
    labels = [f"{text} (of the {label[0]})" for label, text in texts]
    if facts.stage_context:
        labels.insert(0, f"stage: {facts.stage_context}")
    stated = "; ".join(labels) if is_label_aware and labels else "not stated"
    events = " ".join(finding_text(facts, f, 0, str(i)) for i, f in enumerate(facts.findings))
    lines = [f"Labels: {stated}.", f"Events: {events or 'none seen.'}"]
    powers = nameable_powers(facts)
    if powers:
        lines.append(f"Band power, mean of {facts.n_power_rows} channels (µV²): {_listed(powers)}.")
        total = sum(facts.powers_uv2["narrator"].values()) or 1.0
        shares = {band: 100 * power / total for band, power in powers.items()}
        lines.append(f"Relative power (% of all measured bands): {_listed(shares)}.")
    if trends:
        means = {
            b: sum(p.powers_uv2["narrator"][b] for p in history) / len(history) for b in trends
        }
        lines.append(f"{HISTORY_LINE} (mean of {len(history)}, µV²): {_listed(means)}.")
        named = (f"{words.band_word(b)} {w.replace('_', ' ')}" for b, w in trends.items())
        lines.append(f"Trends: {', '.join(named)}.")
    if facts.highest_channel:
        energy = facts.energy_uv2[facts.highest_channel]
        lines.append(f"Highest energy: {facts.highest_channel} {energy:.2f} µV².")
        for tier in ("high", "medium", "low"):
            named = (c for c, t in facts.tiers.items() if t == tier)
            lines.append(f"{tier.capitalize()} energy: {', '.join(named) or 'none'}.")
    return "\n".join(lines)


def _listed(powers: Mapping[str, float]) -> str:
    return ", ".join(f"{words.band_word(band)} {power:.2f}" for band, power in powers.items())
