"""Any continuous format MNE-Python reads, behind the same face as the EDF fast path.

Used by corpora whose files have no reader of their own (BrainVision, Neuroscan, ...), and as the
second reader of EDF files whose header :mod:`dagster_project.corpora.readers.edf_header` refuses.
MNE-Python is imported when a file is opened, not before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.edf_header import MAX_HEADER_BYTES, kind_of, lax_signals
from dagster_project.corpora.readers.types import Annotation, OpenFile, Run, Signal
from dagster_project.corpora.spec import NoParams

UV_PER_V = 1e6
EDF_UNITS_UV = {"uV": 1.0, "\xb5V": 1.0, "mV": 1e3, "V": 1e6}
"""Spellings of units MNE-Python takes for what they are; it takes all others for volts."""
MAX_RATE_DENOMINATOR = 1000
"""Rates come as floats; the nearest fraction with this denominator is the one meant."""


class MneRecording(OpenFile):
    """An open recording of any format MNE-Python knows.

    Parameters
    ----------
    raw
        A :class:`mne.io.BaseRaw`, not loaded.
    format
        Name of the file format.
    units_uv
        Microvolts per unit of each channel by name, where a header says otherwise than MNE-Python:
        None for a channel that is no voltage.
    """

    def __init__(
        self, raw: Any, format: str, units_uv: Mapping[str, float | None] | None = None
    ) -> None:
        self._raw = raw
        self.format = format
        self._units_uv = units_uv or {}

    def close(self) -> None:
        """Give back what is open."""
        self._raw.close()

    @property
    def _sfreq(self) -> Fraction:
        return Fraction(float(self._raw.info["sfreq"])).limit_denominator(MAX_RATE_DENOMINATOR)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Every channel, a stimulus channel with no unit."""
        types = self._raw.get_channel_types()
        return tuple(
            Signal(name, self._sfreq, None if kind == "stim" else self._units_uv.get(name, 1.0))
            for name, kind in zip(self._raw.ch_names, types, strict=True)
        )

    @property
    def start(self) -> datetime | None:
        """Start of the recording as the header states it."""
        date: datetime | None = self._raw.info["meas_date"]
        return date.replace(tzinfo=None) if date else None

    def annotations(self) -> tuple[Annotation, ...]:
        """Return the annotations inside the file, relative to its first sample."""
        first_s = self._raw.first_samp / self._raw.info["sfreq"]
        found = self._raw.annotations
        origin = first_s if found.orig_time is not None else 0.0
        return tuple(
            Annotation(float(a["onset"]) - origin, float(a["duration"]), str(a["description"]))
            for a in found
        )

    def pick(self, indices: Sequence[int]) -> MneTraces:
        """Return the traces of some channels.

        Raises
        ------
        CorpusError
            ``wrong_unit`` if one is no voltage.
        """
        if any(self.signals[i].unit_uv is None for i in indices):
            raise CorpusError("wrong_unit", "a channel used is no voltage")
        return MneTraces(self._raw, tuple(indices), self._sfreq)


class MneTraces:
    """Picked channels of an open recording."""

    may_hold_nan = True

    def __init__(self, raw: Any, indices: tuple[int, ...], sfreq: Fraction) -> None:
        self._raw = raw
        self._indices = list(indices)
        self.sfreq = sfreq
        self.runs = self._contiguous()

    def _contiguous(self) -> tuple[Run, ...]:
        """Split at the boundaries MNE-Python marks on joined or discontinuous files."""
        rate, n_times = float(self.sfreq), int(self._raw.n_times)
        edges = {0, n_times}
        for note in self._raw.annotations:
            if "boundary" in str(note["description"]).lower():
                at = round(float(note["onset"]) * rate) - self._raw.first_samp
                edges |= {min(max(at, 0), n_times)}
        cuts = sorted(edges)
        return tuple(Run(a, b - a, a / rate) for a, b in pairwise(cuts))

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return volts as MNE-Python holds them, shape (n_channels, stop - start)."""
        found: NDArray[np.float64] = self._raw.get_data(self._indices, start, stop, verbose="ERROR")
        return found

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale volts to float32 microvolts."""
        np.multiply(stored, UV_PER_V, out=out, casting="unsafe")

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` with float32 microvolts."""
        self.to_uv(self.stored(start, stop), out)


def _opened(reader: Callable[..., Any], path: Path, **how: Any) -> Any:
    try:
        raw = reader(path, preload=False, verbose="ERROR", **how)
    except OSError:
        raise
    except Exception as error:  # readers raise whatever a hostile file provokes
        raise CorpusError("bad_header", f"MNE-Python refused it: {type(error).__name__}") from error
    if raw.n_times == 0:
        raise CorpusError("empty", "0 samples")
    return raw


def open_mne(path: Path, _: NoParams) -> MneRecording:
    """Open one file of any format :func:`mne.io.read_raw` knows.

    Raises
    ------
    CorpusError
        ``empty`` for no bytes, ``bad_header`` where MNE-Python refuses the file.
    """
    import mne

    if path.stat().st_size == 0:
        raise CorpusError("empty", "0 bytes")
    return MneRecording(_opened(mne.io.read_raw, path), path.suffix.lower().lstrip("."))


def reopen_edf(path: Path, refusal: CorpusError) -> MneRecording:
    """Try an EDF or BDF file whose header the fast path refused.

    What MNE-Python would guess silently is not left to it: counts must fit the file, records must
    have a duration and no gaps, units are read from the header, and of channels with several rates
    only the commonest is kept, because the others would come out resampled.

    Parameters
    ----------
    path
        The file.
    refusal
        Why the fast path refused it; raised again if it cannot be read either way.
    """
    with path.open("rb") as file:
        head = file.read(MAX_HEADER_BYTES)
    try:
        signals = [s for s in lax_signals(head, path.stat().st_size) if not s.is_annotation]
        rates = Counter(s.n_per_record for s in signals if s.n_per_record)
        if not rates:
            raise refusal
        rate = max(rates, key=lambda n: (rates[n], n))
        others = sorted({s.label for s in signals if s.n_per_record != rate})
        raw = _opened_edf(path, kind_of(head, len(head)).name, others)
    except CorpusError as error:
        raise refusal from error
    kept = [s for s in signals if s.label not in others]
    if len(kept) != len(raw.ch_names):
        raise refusal
    is_volts = [s.unit_uv is not None and EDF_UNITS_UV.get(s.unit) == s.unit_uv for s in kept]
    units = {n: 1.0 if known else None for n, known in zip(raw.ch_names, is_volts, strict=True)}
    return MneRecording(raw, f"{kind_of(head, len(head)).name} (mne)", units)


def _opened_edf(path: Path, kind: str, exclude: Sequence[str]) -> Any:
    import mne

    readers = {"edf": mne.io.read_raw_edf, "bdf": mne.io.read_raw_bdf}
    return _opened(readers[kind], path, exclude=exclude, infer_types=False)
