"""EDF, EDF+ and BDF files byte by byte from the published layouts; shares nothing with the readers.

Layout: Kemp et al. 1992 (EDF), Kemp & Olivan 2003 (EDF+), BioSemi's BDF note (24-bit samples).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class EdfSignalSpec:
    """One signal: physical samples and the header fields they are written with."""

    label: str
    samples: NDArray[np.float64]
    sfreq_hz: float
    unit: str = "uV"
    physical: tuple[float, float] = (-3276.8, 3276.7)
    transducer: str = "AgAgCl electrode"
    prefilter: str = ""


@dataclass
class EdfFileSpec:
    """A whole file; every text field may be set to what a clinical header really holds."""

    signals: Sequence[EdfSignalSpec]
    record_s: float = 1.0
    patient: str = "X X X X"
    recording: str = "Startdate X X X X"
    start: str = "01.01.0012.00.00"
    annotations: Sequence[tuple[float, float | None, str]] = ()
    is_plus: bool = False
    is_bdf: bool = False
    n_records: int | None = None
    annotation_bytes: int = field(default=0)


def noise_uv(
    n_channels: int, duration_s: float, sfreq_hz: float, seed: int = 0, scale_uv: float = 20.0
) -> NDArray[np.float64]:
    """Noise with a 10-Hz rhythm, plausible in amplitude."""
    rng = np.random.default_rng(seed)
    n = round(duration_s * sfreq_hz)
    rhythm = np.sin(2 * np.pi * 10 * np.arange(n) / sfreq_hz)
    return scale_uv * (rng.standard_normal((n_channels, n)) + rhythm)


def _tals(spec: EdfFileSpec, n_records: int, n_bytes: int) -> list[bytes]:
    """Annotation bytes of each record: the time-keeping list first, all texts in the first ones."""
    queue = [
        f"{onset:+g}".encode()
        + (f"\x15{length:g}".encode() if length is not None else b"")
        + b"\x14"
        + text.encode()
        + b"\x14\0"
        for onset, length, text in spec.annotations
    ]
    records = []
    for i in range(n_records):
        body = f"{i * spec.record_s:+g}\x14\x14\0".encode()
        while queue and len(body) + len(queue[0]) <= n_bytes:
            body += queue.pop(0)
        records.append(body.ljust(n_bytes, b"\0"))
    if queue:
        raise ValueError("annotations do not fit; raise annotation_bytes")
    return records


def write(path: Path, spec: EdfFileSpec) -> Path:
    """Write the file and return its path."""
    width = 3 if spec.is_bdf else 2
    d_low, d_high = (-8388608, 8388607) if spec.is_bdf else (-32768, 32767)
    per_record = [round(s.sfreq_hz * spec.record_s) for s in spec.signals]
    n_records = min(
        (s.samples.size // n for s, n in zip(spec.signals, per_record, strict=True)), default=1
    )
    has_tal = spec.is_plus or bool(spec.annotations)
    longest = max((len(text.encode()) for _, _, text in spec.annotations), default=0)
    tal_bytes = spec.annotation_bytes or max(120, 2 * longest + 60)
    tal_bytes += -tal_bytes % width
    rows = [
        (s.label, s.transducer, s.unit, s.physical[0], s.physical[1], s.prefilter, n)
        for s, n in zip(spec.signals, per_record, strict=True)
    ]
    if has_tal:
        name = "BDF Annotations" if spec.is_bdf else "EDF Annotations"
        rows.append((name, "", "", -1, 1, "", tal_bytes // width))
        records = _tals(spec, n_records, tal_bytes)

    def text(value: object, size: int) -> bytes:
        return str(value).encode("latin-1", "replace")[:size].ljust(size)

    head = (b"\xffBIOSEMI" if spec.is_bdf else b"0".ljust(8)) + text(spec.patient, 80)
    head += text(spec.recording, 80) + spec.start.encode().ljust(16)
    head += text(256 * (len(rows) + 1), 8)
    kind = ("24BIT" if spec.is_bdf else "EDF+C") if has_tal or spec.is_bdf else ""
    head += text(kind, 44)
    head += text(n_records if spec.n_records is None else spec.n_records, 8)
    head += text(f"{spec.record_s:g}", 8) + text(len(rows), 4)
    for size, values in (
        (16, [r[0] for r in rows]), (80, [r[1] for r in rows]), (8, [r[2] for r in rows]),
        (8, [f"{r[3]:g}" for r in rows]), (8, [f"{r[4]:g}" for r in rows]),
        (8, [d_low] * len(rows)), (8, [d_high] * len(rows)), (80, [r[5] for r in rows]),
        (8, [r[6] for r in rows]), (32, [""] * len(rows)),
    ):  # fmt: skip
        head += b"".join(text(value, size) for value in values)
    digital = []
    for s in spec.signals:
        low, high = (float(f"{v:g}") for v in s.physical)
        steps = np.rint((s.samples - low) * (d_high - d_low) / (high - low) + d_low)
        digital.append(np.clip(steps, d_low, d_high).astype("<i4"))
    body = bytearray()
    for i in range(n_records):
        for steps, n in zip(digital, per_record, strict=True):
            raw = steps[i * n : (i + 1) * n].view(np.uint8).reshape(-1, 4)[:, :width]
            body += raw.tobytes()
        if has_tal:
            body += records[i]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + bytes(body))
    return path


def write_eeg(
    path: Path,
    labels: Sequence[str],
    *,
    sfreq_hz: float = 256,
    duration_s: float = 30,
    seed: int = 0,
    **fields: object,
) -> Path:
    """Write a file of plausible noise under some labels; ``fields`` go to the file's header."""
    data = noise_uv(len(labels), duration_s, sfreq_hz, seed)
    signals = [EdfSignalSpec(label, row, sfreq_hz) for label, row in zip(labels, data, strict=True)]
    return write(path, EdfFileSpec(signals, **fields))  # type: ignore[arg-type]
