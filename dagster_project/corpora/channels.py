"""From the signals of a file to the rows of a channel schema.

Naming rules, picking policies and re-referencing of unreferenced sources live here; what the
schemas are is in :mod:`detectors.types`. Modern names throughout (T7, T8, P7, P8; ACNS Guideline
2).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.types import Recording, Run, Signal, Traces
from dagster_project.corpora.spec import Channels
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
    n_other_rate
        Channels of the montage left out because most others have another rate.
    """

    schema: ChannelSchema
    mask: tuple[bool, ...]
    indices: tuple[int, ...]
    n_duplicates: int
    n_other_rate: int = 0


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


@dataclass(frozen=True, slots=True)
class _Named:
    """Canonical EEG names of a file to signal index, the first of each, and how often it occurs."""

    found: Mapping[str, int]
    counts: Mapping[str, int]


def _named(signals: Sequence[Signal], aliases: Mapping[str, str]) -> _Named:
    found: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for i, signal in enumerate(signals):
        parsed = parse_label(signal.label)
        name = aliases.get(parsed.name, parsed.name)
        if parsed.type_word not in {"", "EEG"} and name == parsed.name:
            continue
        counts[name] += 1
        found.setdefault(name, i)
    return _Named(found, counts)


def _sites(named: _Named) -> dict[str, int]:
    """Single electrodes; a derivation against an ear or mastoid counts as its active electrode."""
    return {name: i for name, i in named.found.items() if _is_site(name)}


def _pairs(named: _Named) -> dict[str, int]:
    return {name: i for name, i in named.found.items() if _is_pair(name)}


def pick_referential19(named: _Named) -> dict[str, int]:
    """Pick the 19 electrodes of the 10-20 system; absent ones are masked.

    Raises
    ------
    CorpusError
        ``wrong_montage`` if the file holds bipolar pairs only, else ``no_eeg_channels``.
    """
    found = {name: i for name, i in _sites(named).items() if name in CANONICAL19}
    if not found:
        if _pairs(named):
            raise CorpusError("wrong_montage", "bipolar pairs where single electrodes are expected")
        raise CorpusError("no_eeg_channels", f"none of the 19 electrodes in {len(named.found)}")
    return found


def pick_bipolar(named: _Named) -> dict[str, int]:
    """Pick every scalp derivation A-B in the order of the file.

    Dummies (``-``), eye, heart, muscle and other channels stay out; a derivation that occurs twice
    is taken once.

    Raises
    ------
    CorpusError
        ``wrong_montage`` if the file holds single electrodes only, else ``no_eeg_channels``.
    """
    found = _pairs(named)
    if not found:
        if any(_is_site(name.split("-")[0]) for name in named.found):
            raise CorpusError("wrong_montage", "single electrodes where bipolar pairs are expected")
        raise CorpusError("no_eeg_channels", f"no scalp derivation in {len(named.found)} signals")
    return found


def pick_bipolar_or_referential(named: _Named) -> dict[str, int]:
    """Pick derivations where a file has any, else single electrodes of the 10-20 system.

    For corpora whose montage changes from file to file (CAP Sleep).

    Raises
    ------
    CorpusError
        ``no_eeg_channels`` if the file holds neither.
    """
    return _pairs(named) or pick_referential19(named)


PICKERS: dict[str, Callable[[_Named], dict[str, int]]] = {
    "referential19": pick_referential19,
    "bipolar": pick_bipolar,
    "bipolar_or_referential": pick_bipolar_or_referential,
}
"""Picking policies by the name a corpus entry gives: canonical row name to signal index."""


def _at_one_rate(found: Mapping[str, int], signals: Sequence[Signal]) -> dict[str, int]:
    """Keep the channels of the commonest rate, the higher one of two as common."""
    rates = Counter(signals[i].sfreq for i in found.values())
    rate = max(rates, key=lambda hz: (rates[hz], hz))
    return {name: i for name, i in found.items() if signals[i].sfreq == rate}


def pick_channels(signals: Sequence[Signal], channels: Channels) -> Pick:
    """Decide which signals of a file become which rows.

    Raises
    ------
    CorpusError
        ``wrong_montage`` or ``no_eeg_channels`` where the policy finds nothing.
    """
    named = _named(signals, channels.aliases)
    wanted = PICKERS[channels.policy](named)
    found = _at_one_rate(wanted, signals)
    n_other_rate = len(wanted) - len(found)
    if all(_is_pair(name) for name in found):
        schema = ChannelSchema.bipolar(tuple(found))
        mask = (True,) * len(found)
        indices = tuple(found.values())
    else:
        schema = REFERENTIAL19
        mask = tuple(name in found for name in CANONICAL19)
        indices = tuple(found[name] for name in CANONICAL19 if name in found)
    n_duplicates = sum(named.counts[name] - 1 for name in wanted)
    return Pick(schema, mask, indices, n_duplicates, n_other_rate)


def pick_traces(recording: Recording, channels: Channels) -> tuple[Pick, Traces]:
    """Pick the channels of an open file and return their traces.

    Raises
    ------
    CorpusError
        As :func:`pick_channels`, or what the reader says about the picked channels.
    """
    signals = recording.signals
    pick = pick_channels(signals, channels)
    if not channels.reference:
        return pick, recording.pick(pick.indices)
    rate = signals[pick.indices[0]].sfreq
    scalp = _sites(_named(signals, channels.aliases)).values()
    every = tuple(dict.fromkeys([*pick.indices, *(i for i in scalp if signals[i].sfreq == rate)]))
    return pick, _AverageReferenced(recording.pick(every), len(every), len(pick.indices))


class _AverageReferenced:
    """The first rows of some traces less the mean of them all."""

    def __init__(self, traces: Traces, n_all: int, n_rows: int) -> None:
        self._traces, self._n_all, self._n_rows = traces, n_all, n_rows

    @property
    def sfreq(self) -> Fraction:
        """Exact common rate in Hz."""
        return self._traces.sfreq

    @property
    def runs(self) -> tuple[Run, ...]:
        """Contiguous stretches in order."""
        return self._traces.runs

    @property
    def may_hold_nan(self) -> bool:
        """Whether the format can carry samples that are not numbers."""
        return self._traces.may_hold_nan

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return the microvolts of the rows after referencing, float32."""
        out = np.empty((self._n_rows, stop - start), dtype=np.float32)
        self.read_uv(start, stop, out)
        return out

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Copy microvolts."""
        out[...] = stored

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` (n_rows, stop - start) with float32 microvolts."""
        every = np.empty((self._n_all, stop - start), dtype=np.float32)
        self._traces.read_uv(start, stop, every)
        np.subtract(every[: self._n_rows], every.mean(axis=0), out=out)
