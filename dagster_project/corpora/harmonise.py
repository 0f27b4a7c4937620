"""From a recording at its own rate to the stored band at exactly 200 Hz, in one fused pass.

Here live the filter design, the rational block plan and the overlap-save engine. Reading files is
:mod:`dagster_project.corpora.readers.edf`'s business, cutting the result into segments is
:mod:`dagster_project.corpora.segments`'.

Band-pass and mains notch are zero-phase FIRs with MNE-Python's own taps (Hamming ``firwin``,
automatic transition bands). Their product is one real frequency response; each block does one
``rfft``, one multiplication that also truncates (or zero-pads) the spectrum to the output rate, and
one ``irfft``, so resampling costs nothing and is exact: block and discard lengths are multiples of
the rational rate ratio. Blocks lie on a grid fixed by the rate and the length of the run alone, so
the bytes do not depend on how a caller consumes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from detectors.types import SFREQ_HZ

HIGH_PASS_HZ = 0.1
"""Lower edge of the stored band (NeuroLM and LaBraM use 0.1-75 Hz)."""
LOW_PASS_HZ = 75.0
"""Upper edge of the stored band (NeuroLM and LaBraM)."""
NARROW_NYQUIST_HZ = 80.0
"""Below this native Nyquist the upper edge is 0.9 x Nyquist (engineering default)."""
NARROW_FRACTION = 0.9
NOTCH_TRANSITION_HZ = 0.5
"""Each side of the notch, MNE-Python's ``notch_filter`` default (1 Hz split in two)."""
NOTCH_WIDTH_FRACTION = 1 / 200
"""Notch width as a fraction of its frequency, MNE-Python's default."""
HAMMING_LENGTH_FACTOR = 3.3
"""Taps = 3.3 / transition width for a Hamming window (MNE-Python, after Ifeachor & Jervis)."""
BLOCK_S = 192
"""Longest block: four rows of it at 256-512 Hz are what a core's cache holds (measured knee)."""
FFT_LANES = 4
"""Rows transformed together: pocketfft fills one SIMD register with them (2.2x, measured)."""
MAX_RATIO_TERM = 200_000
"""Largest term of the rate ratio: beyond it no exact rational grid of sane length exists."""
MIN_SFREQ_HZ, MAX_SFREQ_HZ = 40.0, 100_000.0
"""Rates a scalp EEG can have (DREAMS has 50 Hz); outside it the header is wrong."""

ReadUv = Callable[[int, int, NDArray[np.float32]], None]
"""``read(start, stop, out)`` fills ``out`` (n_channels, stop - start) with microvolts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How runs of one rate, length class and mains frequency are filtered.

    Parameters
    ----------
    up, down
        200 Hz / native rate in lowest terms.
    n_in, n_out
        Block length in native and in output samples, context included.
    context
        Native samples discarded at each side of a block; a multiple of ``down``.
    response
        float32, shape (n_in // 2 + 1 or fewer,): zero-phase gain at the block's frequencies that
        survive to the output, scaled for the shorter inverse transform.
    low_hz, high_hz
        Edges of the pass band.
    notch_hz
        Mains frequency taken out, or None where the low-pass already removes it.
    """

    up: int
    down: int
    n_in: int
    n_out: int
    context: int
    response: NDArray[np.float32]
    low_hz: float
    high_hz: float
    notch_hz: float | None

    @property
    def hop(self) -> int:
        """Native samples each block adds."""
        return self.n_in - 2 * self.context

    @property
    def hop_out(self) -> int:
        """Output samples each block adds."""
        return self.hop * self.up // self.down

    def n_resampled(self, n_samples: int) -> int:
        """Return how many 200 Hz samples lie within ``n_samples`` native ones."""
        return -(-n_samples * self.up // self.down)


def pass_band(sfreq_hz: float) -> tuple[float, float]:
    """Return the pass band of the stored signal for a native rate, in Hz."""
    nyquist = sfreq_hz / 2
    if nyquist < NARROW_NYQUIST_HZ:
        return HIGH_PASS_HZ, NARROW_FRACTION * nyquist
    return HIGH_PASS_HZ, LOW_PASS_HZ


def usable_band(
    sfreq_hz: float, source_band_hz: tuple[float | None, float | None]
) -> tuple[float, float]:
    """Return the band in which the stored signal means something, in Hz.

    Parameters
    ----------
    sfreq_hz
        Native rate.
    source_band_hz
        Pass band the source was filtered to before publication; None where it was not.
    """
    low, high = pass_band(sfreq_hz)
    source_low, source_high = source_band_hz
    return max(low, source_low or low), min(high, source_high or high)


def _lowpass_taps(cutoff: float, width: float) -> NDArray[np.float64]:
    """Hamming-windowed sinc with unit gain at DC; cutoff and width in cycles per sample."""
    n_taps = round(HAMMING_LENGTH_FACTOR / width)
    n_taps += 1 - n_taps % 2
    position = np.arange(n_taps) - n_taps // 2
    taps = 2 * cutoff * np.sinc(2 * cutoff * position) * np.hamming(n_taps)
    return taps / taps.sum()


def _add_centred(into: NDArray[np.float64], taps: NDArray[np.float64], sign: int) -> None:
    """Add symmetric taps around index 0 of a circular kernel."""
    half = taps.size // 2
    into[: half + 1] += sign * taps[half:]
    if half:
        into[-half:] += sign * taps[:half]


def _transition_hz(sfreq_hz: float, high_hz: float) -> float:
    """MNE-Python's automatic upper transition band."""
    return min(max(0.25 * high_hz, 2.0), sfreq_hz / 2 - high_hz)


def _notch_edges(line_freq_hz: float) -> tuple[float, float]:
    half = line_freq_hz * NOTCH_WIDTH_FRACTION / 2 + NOTCH_TRANSITION_HZ / 2
    return line_freq_hz - half, line_freq_hz + half


def _notch_of(sfreq_hz: float, line_freq_hz: float) -> float | None:
    """Mains frequency to notch, or None where the low-pass has already stopped it."""
    high = pass_band(sfreq_hz)[1]
    stop = high + _transition_hz(sfreq_hz, high)
    upper = _notch_edges(line_freq_hz)[1] + NOTCH_TRANSITION_HZ / 2
    return line_freq_hz if line_freq_hz < stop and upper < sfreq_hz / 2 else None


def _half_lengths(sfreq_hz: float, notch_hz: float | None) -> tuple[int, int]:
    """Half the taps of band-pass and notch, in native samples."""
    band = int(np.ceil(HAMMING_LENGTH_FACTOR / HIGH_PASS_HZ * sfreq_hz)) // 2 + 1
    if notch_hz is None:
        return band, 0
    return band, int(np.ceil(HAMMING_LENGTH_FACTOR / NOTCH_TRANSITION_HZ * sfreq_hz)) // 2 + 1


def _response(sfreq_hz: float, notch_hz: float | None, n_in: int) -> NDArray[np.float64]:
    """Real zero-phase gain of band-pass x notch at the ``n_in // 2 + 1`` bins of a block."""
    low, high = pass_band(sfreq_hz)
    width = _transition_hz(sfreq_hz, high)
    band = np.zeros(n_in)
    _add_centred(band, _lowpass_taps((high + width / 2) / sfreq_hz, width / sfreq_hz), 1)
    _add_centred(band, _lowpass_taps(low / 2 / sfreq_hz, low / sfreq_hz), -1)
    gain: NDArray[np.float64] = scipy.fft.rfft(band).real
    if notch_hz is None:
        return gain
    lower, upper = _notch_edges(notch_hz)
    stop = np.zeros(n_in)
    stop[0] = 1.0
    step = NOTCH_TRANSITION_HZ / sfreq_hz
    _add_centred(stop, _lowpass_taps(upper / sfreq_hz, step), -1)
    _add_centred(stop, _lowpass_taps(lower / sfreq_hz, step), 1)
    return gain * scipy.fft.rfft(stop).real


def plan_for(sfreq: Fraction, line_freq_hz: float, n_samples: int) -> Plan:
    """Return the plan for a contiguous run.

    Parameters
    ----------
    sfreq
        Native rate, exact.
    line_freq_hz
        Mains frequency of the site.
    n_samples
        Native samples of the run; it only decides whether a smaller block will do.

    Raises
    ------
    CorpusError
        With cause ``sampling_rate`` if the rate is implausible or has no sane ratio to 200 Hz.
    """
    ratio = Fraction(SFREQ_HZ) / sfreq
    if not MIN_SFREQ_HZ <= sfreq <= MAX_SFREQ_HZ or max(ratio.as_integer_ratio()) > MAX_RATIO_TERM:
        raise CorpusError(
            "sampling_rate",
            f"{float(sfreq):g} Hz has no exact ratio to {SFREQ_HZ} Hz in use; "
            f"{MIN_SFREQ_HZ:g}-{MAX_SFREQ_HZ:g} Hz are read",
        )
    up, down = ratio.as_integer_ratio()
    notch_hz = _notch_of(float(sfreq), line_freq_hz)
    half = sum(_half_lengths(float(sfreq), notch_hz))
    context = -(-half // down) * down
    longest = max(int(BLOCK_S * sfreq), 4 * context)
    wanted = min(n_samples + 2 * context, longest)
    steps = 2 * int(scipy.fft.next_fast_len(-(-wanted // (2 * down)), real=True))
    return _plan(sfreq, notch_hz, up, down, steps, context)


@lru_cache(maxsize=32)
def _plan(
    sfreq: Fraction, notch_hz: float | None, up: int, down: int, steps: int, context: int
) -> Plan:
    n_in, n_out = down * steps, up * steps
    low, high = pass_band(float(sfreq))
    kept = min(n_in, n_out) // 2 + 1
    response = (_response(float(sfreq), notch_hz, n_in)[:kept] * (n_out / n_in)).astype(np.float32)
    if n_in != n_out:
        response[-1] = 0.0  # the Nyquist bin of one side has no counterpart on the other
    response.flags.writeable = False
    return Plan(up, down, n_in, n_out, context, response, low, high, notch_hz)


def _extend_edges(
    rows: NDArray[np.float32], n_samples: int, start: int, context: int, first: int
) -> None:
    """Fill the columns before and after the run by odd reflection, then by a constant.

    Before the run the first sample is zero already (its value was taken as offset), so the
    reflection there is a change of sign.
    """
    n_in = rows.shape[1]
    if start == 0:
        n_left = min(context, n_samples - 1, n_in - first - 1)
        rows[:, :first] = 0.0
        rows[:, first - n_left : first] = -rows[:, first + 1 : first + 1 + n_left][:, ::-1]
    end = n_samples - start + context
    if end < n_in:
        n_right = min(n_in - end, n_samples - 1, end - 1)
        rows[:, end:] = 0.0
        rows[:, end : end + n_right] = (
            2 * rows[:, end - 1 : end] - rows[:, end - 1 - n_right : end - 1][:, ::-1]
        )


def harmonise(
    read: ReadUv, n_channels: int, n_samples: int, plan: Plan
) -> Iterator[NDArray[np.float32]]:
    """Filter and resample one contiguous run, block by block, in constant memory.

    Parameters
    ----------
    read
        Source of microvolts; asked for every sample once, in order.
    n_channels
        Rows.
    n_samples
        Native samples of the run.
    plan
        From :func:`plan_for`.

    Yields
    ------
    numpy.ndarray
        float32, shape (n_channels, m): consecutive stretches at 200 Hz, ``n_resampled(n_samples)``
        samples in all. Sample ``j`` lies at ``j / 200`` s of the run exactly. Edges are extended by
        odd reflection, then by a constant, as MNE-Python's ``reflect_limited`` does.
    """
    context, hop = plan.context, plan.hop
    # Whole vector groups, so that a row's bytes do not depend on how many rows there are.
    n_rows = -(-n_channels // FFT_LANES) * FFT_LANES
    rows = np.zeros((n_rows, plan.n_in), dtype=np.float32)
    offset = np.zeros((n_channels, 1), dtype=np.float32)
    n_left = plan.n_resampled(n_samples)
    for start in range(0, n_samples, hop):
        first = 2 * context if start else context  # column of the first new sample
        if start:
            rows[:, :first] = rows[:, hop : hop + first]
        end = min(n_samples - start + context, plan.n_in)
        if end > first:
            new = rows[:n_channels, first:end]
            read(start - context + first, start - context + end, new)
            if start == 0:
                offset = new[:, :1].copy()
            new -= offset
        _extend_edges(rows, n_samples, start, context, first)
        width = min(n_left, plan.hop_out)
        yield _filter_block(rows, plan, width)[:n_channels]
        n_left -= width


def _filter_block(rows: NDArray[np.float32], plan: Plan, width: int) -> NDArray[np.float32]:
    """One block: spectrum, gain, truncation, inverse; rows in groups the FFT vectorises over."""
    skip = plan.context * plan.up // plan.down
    block = np.empty((rows.shape[0], width), dtype=np.float32)
    for at in range(0, rows.shape[0], FFT_LANES):
        group = slice(at, at + FFT_LANES)
        spectrum = scipy.fft.rfft(rows[group], workers=1)[:, : plan.response.size]
        spectrum *= plan.response
        block[group] = scipy.fft.irfft(spectrum, plan.n_out, workers=1)[:, skip : skip + width]
    return block
