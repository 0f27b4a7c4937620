"""The words of the offline template teacher: each kind of text written from a payload by template.

It knows payloads and reply schemas and no page: the same input as a model gets, but that it is told
what to ask (``texts.question_plan``), and the same reply as a model owes. Who sends and what it costs
(nothing) is in ``teachers.template``; multiple choice is put together in ``texts.template_questions``;
whether the words are true is checked like any teacher's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectors.vocabulary import KINDS
from prompts import words

WRITER_VERSION = "3"
"""Raised whenever a payload may be written out differently."""
MIN_TURNS, MAX_TURNS = 3, 5
MAX_TOLD = 4
"""Findings of one family told in one answer; the rest are left to the description."""

Payload = Mapping[str, Any]
Said = tuple[str, list[str]]
"""A sentence and the fact keys it rests on."""

_FAMILY_QUESTIONS = {
    "background": ("What does the background look like?", "How would you describe the background?"),
    "sleep": ("Are there any sleep features?", "Do you see sleep features on this page?"),
    "epileptiform": ("Is there anything epileptiform?", "Are any epileptiform patterns seen?"),
    "artifact": ("Which artifacts are on the page?", "Is the page clean of artifacts?"),
}


def write_narrative(payload: Payload, seed: int) -> dict[str, Any]:
    """Write band powers, trends, energy, findings, absences and limits, in that order."""
    said = [*spectrum_sentences(payload, seed), *_trends(payload, seed), *_energy(payload, seed)]
    for family in _FAMILY_QUESTIONS:
        said += _family(payload, family, seed, MAX_TOLD)
    said += _not_judged(payload)
    return {"sentences": _sentences(said or [_page(payload)])}


def write_description(payload: Payload, seed: int) -> dict[str, Any]:
    """Write everything that was found, in the order of a page description (SCORE, shortened)."""
    said = [_page(payload), _band(payload)]
    for family in _FAMILY_QUESTIONS:
        said += _family(payload, family, seed, len(payload["findings"]))
    said += [*spectrum_sentences(payload, seed), *_energy(payload, seed), *_not_judged(payload)]
    return {"sentences": _sentences(said)}


def write_dialogue(payload: Payload, seed: int) -> dict[str, Any]:
    """Write three to five turns on topics drawn by the seed."""
    topics: list[tuple[str, list[Said]]] = []
    for family, forms in _FAMILY_QUESTIONS.items():
        question = words.pick(forms, seed, "", f"question-{family}")
        topics.append((question, _family(payload, family, seed, MAX_TOLD)))
    topics.append(("Which band has the most power?", spectrum_sentences(payload, seed)))
    topics.append(("Where is the energy highest?", _energy(payload, seed)))
    topics.append(("Is there anything that cannot be judged?", _not_judged(payload)))
    told = [(question, said) for question, said in topics if said]
    n_turns = MIN_TURNS + words.number(seed, "", "turns") % (MAX_TURNS - MIN_TURNS + 1)
    chosen = words.shuffled(told, seed, "", "topics")[: n_turns - 1]
    turns = [("What kind of page is this?", [_page(payload)]), *chosen]
    if len(turns) < MIN_TURNS:
        turns.append(("How much of the spectrum can be read?", [_band(payload)]))
    return {
        "turns": [{"question": question, "answer": _sentences(said)} for question, said in turns]
    }


def _sentences(said: Sequence[Said]) -> list[dict[str, Any]]:
    return [{"text": text, "facts": keys} for text, keys in said]


def _page(payload: Payload) -> Said:
    page = payload["page"]
    if page["montage"] == "longitudinal_bipolar":
        text = (
            f"A longitudinal bipolar page from {page['n_recorded']} of {page['n_rows']} electrodes."
        )
    else:
        text = f"A page of {page['n_recorded']} bipolar derivations as recorded."
    return text, ["page"]


def _band(payload: Payload) -> Said:
    page = payload["page"]
    return f"From {page['band_low_hz']:g} to {page['band_high_hz']:g} Hz.", ["page"]


def spectrum_sentences(payload: Payload, seed: int) -> list[Said]:
    """Say which band has the most power and which is dominant, or nothing."""
    if "spectrum" not in payload:
        return []
    spectrum = payload["spectrum"]
    top, dominant = spectrum["highest_power_band"], spectrum.get("dominant_band")
    forms = ("{Top} has the highest power.", "The highest band power is in {top}.")
    name = words.band_word(top)
    text = words.pick(forms, seed, "", "top").format(top=name, Top=name.capitalize())
    if dominant and dominant != top:
        text += f" With the 1/f trend removed, {dominant} is the dominant band."
    return [(text, ["spectrum"])]


def _trends(payload: Payload, seed: int) -> list[Said]:
    bands = payload.get("spectrum", {}).get("bands", ())
    by_word: dict[str, list[str]] = {}
    for entry in bands:
        if "trend" in entry:
            by_word.setdefault(entry["trend"], []).append(words.band_word(entry["band"]))
    n_previous = payload["page"]["n_previous"]
    page = "page" if n_previous == 1 else f"{n_previous} pages"
    parts = [_trend_clause(names, word) for word, names in by_word.items()]
    if not parts:
        return []
    start = words.pick(
        (f"Compared with the previous {page}, ", f"Against the mean of the previous {page}, "),
        seed, "", "trend",
    )  # fmt: skip
    return [(f"{start}{'; '.join(parts)}.", ["spectrum"])]


def _trend_clause(bands: Sequence[str], word: str) -> str:
    is_many = len(bands) > 1
    if word in {"stable", "consistently_low"}:
        verb = "are" if is_many else "is"
        return f"{words.join(bands)} power {verb} {word.replace('_', ' ')}"
    verb = "show" if is_many else "shows"
    return f"{words.join(bands)} power {verb} a {word.replace('_', ' ')}"


def _energy(payload: Payload, seed: int) -> list[Said]:
    if "energy" not in payload:
        return []
    energy = payload["energy"]
    tiers = {entry["tier"]: entry["channels"] for entry in energy["tiers"]}
    forms = (
        "The highest energy lies at {name} ({value} µV²).",
        "The highest energy, {value} µV², is at {name}.",
    )
    form = words.pick(forms, seed, "", "energy")
    said = [
        (
            form.format(name=energy["highest_channel"], value=words.uv2(energy["energy_uv2"])),
            ["energy"],
        )
    ]
    named = [
        f"{tier} energy: {words.join(tiers[tier])}" for tier in ("high", "medium") if tiers[tier]
    ]
    if named:
        text = "; ".join(named)
        said.append((f"{text[0].upper()}{text[1:]}.", ["energy"]))
    return said


def _family(payload: Payload, family: str, seed: int, n_told: int) -> list[Said]:
    found = [f for f in payload["findings"] if KINDS[f["kind"]].family == family]
    said = [(finding_sentence(f), [f["key"]]) for f in found[:n_told]]
    absent = [
        kind for kind in payload["absent"]
        if KINDS[kind].family == family and kind not in {"voltage", "dominant_rhythm"}
    ]  # fmt: skip
    if absent:
        nouns = words.plurals(absent)
        frame = words.pick(("No {n} seen.", "No {n} on this page."), seed, "", f"absent-{family}")
        said.append((frame.format(n=nouns), absent))
    return said


def _not_judged(payload: Payload) -> list[Said]:
    kinds = payload["not_judged"]
    if not kinds:
        return []
    nouns = words.plurals(kinds, "and")
    return [(f"{nouns[0].upper()}{nouns[1:]} could not be judged.", list(kinds))]


def finding_sentence(entry: Payload) -> str:
    """Write one finding of a payload in one sentence."""
    kind = KINDS[entry["kind"]]
    count = entry["count"]
    is_many = count > 1 and kind.noun != kind.plural
    head = [str(count), entry["hedge"], kind.plural] if is_many else [entry["hedge"], kind.noun]
    parts = [" ".join(filter(None, head))]
    if "frequency_hz" in entry:
        parts.append(words.hz(entry["frequency_hz"]))
    if "amplitude_uv" in entry and entry["kind"] != "asymmetry":
        parts.append(f"{words.uv(entry['amplitude_uv'])} {entry['amplitude_word']}".strip())
    if "percent" in entry and entry["kind"] == "asymmetry":
        parts.append(f"larger on the {entry['side']} by {entry['percent']} %")
    names = entry["channels"]
    if names:
        is_focal = kind.family == "epileptiform"
        parts.append(f"maximum at {names[0]}" if is_focal else f"at {words.channels(names, ())}")
    if not entry["t0_s"] < words.S_STEP / 2 or entry["t1_s"] < 10 - words.S_STEP / 2:
        parts.append(_when(entry))
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _when(entry: Payload) -> str:
    t0, t1 = entry["t0_s"], entry["t1_s"]
    if entry["kind"] in words.TRANSIENTS and entry["count"] == 1:
        return f"at {words.moment((t0 + t1) / 2)} s"
    return f"from {words.moment(t0)} to {words.moment(t1)} s"
