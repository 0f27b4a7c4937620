"""The annotation codes and montages shared by all corpora of Temple University Hospital (TUH).

What the codes and derivation numbers mean, nothing read from disk. Files are parsed in
:mod:`dagster_project.corpora.labels.tuh_files`, turned into labels in ``tuh_events.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dagster_project.corpora.channels import parse_label

SEIZURE_CODES = frozenset(
    {"seiz", "fnsz", "gnsz", "spsz", "cpsz", "absz", "tnsz", "cnsz", "tcsz", "atsz", "mysz"}
)
"""Epileptic seizures of any type (``corpora.md`` 4.5); ``nesz`` is no epileptic one."""

KIND_OF_CODE: dict[str, str] = {
    "spsw": "spsw", "gped": "gpd", "pled": "lpd", "trip": "triphasic", "intr": "interictal_pattern",
    "bckg": "background", "slow": "slowing", "hphs": "hypnagogic_hypersynchrony",
    "artf": "artifact_any", "eybl": "blink", "eyem": "eye_movement", "chew": "chewing",
    "shiv": "shivering", "musc": "muscle", "elpp": "electrode_pop", "elst": "electrostatic",
    "elec": "electrode", "calb": "calibration", "null": "null", "nesz": "nonepileptic_seizure",
    **dict.fromkeys(sorted(SEIZURE_CODES), "seizure"),
}  # fmt: skip
"""Code to our id (``clinical.md`` 8.1 and 13.4; ids of ``detectors.vocabulary`` where one means
the same). ``eyem`` is any eye movement, so it is neither ``blink`` nor ``lateral_eye``."""

REC_CODES = {1: "spsw", 2: "gped", 3: "pled", 4: "eyem", 5: "artf", 6: "bckg"}
"""TUEV's own numbers; its 4 is eye movement, which the general table calls 21."""

_TCP = (
    "FP1-F7", "F7-T3", "T3-T5", "T5-O1", "FP2-F8", "F8-T4", "T4-T6", "T6-O2", "A1-T3", "T3-C3",
    "C3-CZ", "CZ-C4", "C4-T4", "T4-A2", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4",
    "C4-P4", "P4-O2",
)  # fmt: skip
EARS = ("A1", "A2")
_ELECTRODE = re.compile(r"(?:Fp|AF|F|FC|FT|T|C|TP|CP|P|PO|O|A|Sp|Pg)(?:\d{1,2}|z)", re.IGNORECASE)
_PARTS = re.compile(r"\s*-{1,2}\s*")
_MONTAGE = re.compile(r"0[1-4]_tcp_(?:ar|le)(?P<earless>_a)?")


def derivation(text: str) -> str | None:
    """Return a derivation ``FP1-F7`` in modern names (``Fp1-F7``, ``A1-T7``), None if it is none.

    The ears are true second electrodes here, not recording references.
    """
    parts = [parse_label(part).name for part in _PARTS.split(text.strip())]
    is_pair = len(parts) == 2 and parts[0] != parts[1]
    return "-".join(parts) if is_pair and all(map(_ELECTRODE.fullmatch, parts)) else None


def _modern(pairs: tuple[str, ...]) -> dict[int, str]:
    return {i: derivation(pair) or pair for i, pair in enumerate(pairs)}


def _has_ear(pair: str) -> bool:
    return any(part in EARS for part in pair.split("-"))


TCP22: Mapping[int, str] = _modern(_TCP)
"""Number to derivation of ``01_tcp_ar`` and ``02_tcp_le`` (``corpora.md`` 4.2)."""
TCP20: Mapping[int, str] = _modern(tuple(pair for pair in _TCP if not _has_ear(pair)))
"""The same of ``03_tcp_ar_a`` and ``04_tcp_le_a``: without ears, the numbering closed up."""
TCP_CERTAIN: Mapping[int, str] = {i: name for i, name in TCP20.items() if TCP22[i] == name}
"""Numbers that mean the same in both."""


def montage_named(text: str) -> Mapping[int, str] | None:
    """Return the numbering of a montage folder or file name, None where it names no such one."""
    found = _MONTAGE.search(text.lower())
    if not found:
        return None
    return TCP20 if found["earless"] else TCP22


def parts_of(code: str) -> tuple[str, ...]:
    """Return the single codes of a code: a pair such as ``eyem_musc`` is two at once."""
    return tuple(code.split("_"))
