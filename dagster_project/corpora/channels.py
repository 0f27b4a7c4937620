"""From the labels of a file to the rows of a channel schema.

Naming rules and the two picking policies live here; what the schemas are is in
:mod:`detectors.types`. Modern names throughout (T7, T8, P7, P8; ACNS Guideline 2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dagster_project.corpora.errors import CorpusError
from detectors.types import CANONICAL19, REFERENTIAL19, ChannelSchema

_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "C3P": "CP3", "C4P": "CP4"}
_TYPE_WORD = re.compile(r"(EEG|EOG|ECG|EKG|EMG|RESP|TEMP|EVENT)[ _]+", re.IGNORECASE)
_REFERENCE = re.compile(r"-(REF|LE|AR|A1|A2|M1|M2|AVG)\Z")
_SITE = re.compile(r"(FP|AF|F|FT|FC|T|TP|C|CP|P|PO|O|N|I)(\d{1,2}|z)\Z")
"""Sites of the 10-10 system: a region, then a number or z (Oostenveld & Praamstra 2001)."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label taken apart: the type word in front, and the canonical rest."""

    type_word: str
    name: str


@dataclass(frozen=True, slots=True)
class Pick:
    """Which signals of a file become which rows.

    Parameters
    ----------
    schema
        The rows' meaning.
    mask
        One flag per row: whether the file has it.
    indices
        Signal index of each recorded row, in row order.
    n_duplicates
        Labels that name a row already taken; the first keeps it.
    """

    schema: ChannelSchema
    mask: tuple[bool, ...]
    indices: tuple[int, ...]
    n_duplicates: int


def _case(site: str) -> str:
    """Give an upper-case electrode its usual spelling: FP1 to Fp1, CZ to Cz."""
    if site.startswith("FP"):
        site = "Fp" + site[2:]
    return site[:-1] + "z" if site.endswith("Z") else site


def parse_label(label: str) -> Label:
    """Take a label apart and give the rest its canonical spelling.

    A bipolar pair keeps both electrodes; a recording reference (``-REF``, ``-LE``, ``-A1`` ...) is
    cut off where the other electrode is no scalp pair (``corpora.md`` 4.1).
    """
    text = label.strip().rstrip(".")
    match = _TYPE_WORD.match(text)
    type_word = match[1].upper() if match else ""
    rest = re.sub(r"\s+", "", text[match.end() :] if match else text).rstrip(".").upper()
    rest = _REFERENCE.sub("", rest)
    parts = [_case(_OLD_NAMES.get(part, part)) for part in rest.split("-")]
    return Label(type_word, "-".join(parts))


def _is_site(name: str) -> bool:
    return bool(_SITE.match(name.replace("Fp", "FP")))


def _is_pair(name: str) -> bool:
    parts = name.split("-")
    return len(parts) == 2 and parts[0] != parts[1] and all(map(_is_site, parts))


def _first_of_each(
    labels: Sequence[str], is_wanted: Callable[[str], bool]
) -> tuple[dict[str, int], int]:
    found: dict[str, int] = {}
    n_duplicates = 0
    for i, label in enumerate(labels):
        parsed = parse_label(label)
        if parsed.type_word not in {"", "EEG"} or not is_wanted(parsed.name):
            continue
        n_duplicates += parsed.name in found
        found.setdefault(parsed.name, i)
    return found, n_duplicates


def pick_referential19(labels: Sequence[str]) -> Pick:
    """Pick the 19 electrodes of the 10-20 system; absent ones are masked.

    Raises
    ------
    CorpusError
        ``wrong_montage`` if the file holds bipolar pairs only, else ``no_eeg_channels``.
    """
    found, n_duplicates = _first_of_each(labels, lambda name: name in CANONICAL19)
    if not found:
        if any(_is_pair(parse_label(label).name) for label in labels):
            raise CorpusError("wrong_montage", "bipolar pairs where single electrodes are expected")
        raise CorpusError("no_eeg_channels", f"none of the 19 electrodes in {len(labels)} signals")
    mask = tuple(name in found for name in CANONICAL19)
    indices = tuple(found[name] for name in CANONICAL19 if name in found)
    return Pick(REFERENTIAL19, mask, indices, n_duplicates)


def pick_bipolar(labels: Sequence[str]) -> Pick:
    """Pick every scalp derivation A-B in the order of the file.

    Dummies (``-``), eye, heart, muscle and other channels stay out; a derivation that occurs twice
    is taken once.

    Raises
    ------
    CorpusError
        ``wrong_montage`` if the file holds single electrodes only, else ``no_eeg_channels``.
    """
    found, n_duplicates = _first_of_each(labels, _is_pair)
    if not found:
        names = [parse_label(label).name.split("-")[0] for label in labels]
        if any(_is_site(name) for name in names):
            raise CorpusError("wrong_montage", "single electrodes where bipolar pairs are expected")
        raise CorpusError("no_eeg_channels", f"no scalp derivation in {len(labels)} signals")
    schema = ChannelSchema.bipolar(tuple(found))
    return Pick(schema, (True,) * len(found), tuple(found.values()), n_duplicates)


PICKERS: dict[str, Callable[[Sequence[str]], Pick]] = {
    "referential19": pick_referential19,
    "bipolar": pick_bipolar,
}
"""Picking policies by the name a corpus declares."""
