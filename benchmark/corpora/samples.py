"""Small files of every format a reader knows, for corpora whose own files are not at hand.

Each is written with the libraries the project runs on, or byte by byte where the format is simple,
and comes with the catalogue entry that reads it. Noise is enough: how long reading and filtering
take does not depend on what the numbers say. What is measured on them is in
:mod:`benchmark.corpora.worker`; accuracy is for the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmark.engine.recording import N_CHANNELS, channel_labels
from dagster_project.corpora.spec import CorpusSpec

STEP_UV = 0.1
"""Microvolts of one stored step in every sample file."""
LABELS = tuple(label.removeprefix("EEG ").removesuffix("-REF") for label in channel_labels())
NAME = "s01"
"""File name, and so the subject, of every sample."""
TRIAL_S = 12
"""Length of a sentence, where the format stores those; every sample has a whole number of it."""
LONG_TRIAL_S = 60
"""Least length of a trial of plain arrays (a film clip of SEED has minutes)."""
_LARGEST_STEP = 500
_BLOCK_S = 60

Writer = Callable[[Path, int, int], None]
"""``write(path, rate_hz, seconds)``."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A file to be made, and how it is read.

    Parameters
    ----------
    name, meaning
        Key of :data:`SAMPLES` and what it is.
    reader, params
        Row of the table of readers and its parameters.
    suffix
        End of the file that is named as recording.
    rate_hz
        A rate corpora of this format have.
    write
        Writes it.
    share
        Part of the asked length that is written: formats of text are slow to make.
    """

    name: str
    meaning: str
    reader: str
    suffix: str
    rate_hz: int
    write: Writer
    params: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0

    @property
    def key(self) -> str:
        """Corpus key of its entry."""
        return f"sample-{self.name}"

    def make(self, root: Path, minutes: float) -> None:
        """Write the file below a data root, and its catalogue entry beside it.

        Parameters
        ----------
        root
            Data root; the entry goes to ``root/entries``.
        minutes
            Length asked for; a whole number of :data:`TRIAL_S` is written, one at least.
        """
        seconds = max(1, round(minutes * self.share * 60 / TRIAL_S)) * TRIAL_S
        folder = root / self.key
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder / f"{NAME}{self.suffix}", self.rate_hz, seconds)
        write_entry(root, self.key, self.reader, self.params, self.suffix)


def write_entry(root: Path, key: str, reader: str, params: dict[str, Any], suffix: str) -> None:
    """Write the catalogue entry of a folder ``root/key`` with one recording."""
    entry = {
        "key": key, "title": key, "citation": "made by the benchmark", "folders": [key],
        "licence": {"id": "LicenseRef-sample", "url": "", "is_gated": False},
        "files": {"suffixes": [suffix], "pattern": rf"^(?P<subject>\w+)\{suffix}$"},
        "identity": {"family": key}, "n_shards": 1, "line_freq_hz": 60.0,
        "reader": {"name": reader, "params": params},
    }  # fmt: skip
    entries = root / "entries"
    entries.mkdir(exist_ok=True)
    (entries / f"{key}.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")


def sample_of(spec: CorpusSpec) -> str | None:
    """Return the sample whose format a corpus comes in, None where there is none.

    The reader and the suffix decide, then the reader alone, then (for readers that choose by
    suffix) the suffix alone.
    """
    suffixes = spec.files.suffixes

    def rank(sample: Sample) -> tuple[bool, bool]:
        return sample.reader == spec.reader.name, sample.suffix in suffixes

    best = max(SAMPLES.values(), key=rank)
    is_reader, is_suffix = rank(best)
    by_suffix = spec.reader.name in {"any", "bids"} and is_suffix
    return best.name if is_reader or by_suffix else None


def steps(n_channels: int, n_samples: int, seed: int = 0) -> NDArray[np.int16]:
    """Make stored samples, shape (n_channels, n_samples)."""
    rng = np.random.default_rng(seed)
    return rng.integers(-_LARGEST_STEP, _LARGEST_STEP, (n_channels, n_samples), dtype=np.int16)


def blocks(n_channels: int, rate_hz: int, seconds: int) -> Iterator[NDArray[np.int16]]:
    """Make stored samples a minute at a time."""
    for start in range(0, seconds, _BLOCK_S):
        yield steps(n_channels, rate_hz * min(_BLOCK_S, seconds - start), seed=start)


def write_edf(
    path: Path, rate_hz: int, seconds: int, *, n_channels: int = N_CHANNELS, width: int = 2
) -> None:
    """Write EDF, or BDF for samples of three bytes, in constant memory; records of one second.

    Parameters
    ----------
    path, rate_hz, seconds
        Where, how fast and how long.
    n_channels
        The first so many of :data:`LABELS`.
    width
        Bytes of a sample, 2 or 3.
    """
    largest = 2 ** (8 * width - 1) - 1
    physical = f"{largest * STEP_UV:.0f}"
    columns: tuple[tuple[int, list[str]], ...] = (
        (16, [f"EEG {name}-REF" for name in LABELS[:n_channels]]), (80, [""] * n_channels),
        (8, ["uV"] * n_channels), (8, [f"-{physical}"] * n_channels),
        (8, [physical] * n_channels), (8, [str(-largest)] * n_channels),
        (8, [str(largest)] * n_channels), (80, [""] * n_channels),
        (8, [str(rate_hz)] * n_channels), (32, [""] * n_channels),
    )  # fmt: skip
    head = (b"0".ljust(8) if width == 2 else b"\xffBIOSEMI") + b"X".ljust(80) + b"X".ljust(80)
    head += b"01.01.0000.00.00" + str(256 * (n_channels + 1)).encode().ljust(8)
    head += (b"" if width == 2 else b"24BIT").ljust(44)
    head += b"".join(str(n).encode().ljust(w) for n, w in ((seconds, 8), (1, 8), (n_channels, 4)))
    for n_bytes, values in columns:
        head += b"".join(value.encode().ljust(n_bytes) for value in values)
    with path.open("wb") as file:
        file.write(head)
        for block in blocks(n_channels, rate_hz, seconds):
            records = block.reshape(n_channels, -1, rate_hz).transpose(1, 0, 2)
            stored = np.ascontiguousarray(records, dtype="<i2" if width == 2 else "<i4")
            raw = stored if width == 2 else stored.view("u1").reshape(-1, 4)[:, :3]
            file.write(raw.tobytes())


def _write_bdf(path: Path, rate_hz: int, seconds: int) -> None:
    write_edf(path, rate_hz, seconds, width=3)


def _write_eeglab(path: Path, rate_hz: int, seconds: int) -> None:
    from scipy.io import savemat

    data_uv = STEP_UV * steps(N_CHANNELS, rate_hz * seconds)
    places = np.empty((1, N_CHANNELS), dtype=[("labels", "O"), ("type", "O")])
    for i, label in enumerate(LABELS):
        places[0, i] = (label, "EEG")
    beside = path.with_suffix(".fdt").name
    fields = {
        "setname": NAME, "nbchan": float(N_CHANNELS), "trials": 1.0, "srate": float(rate_hz),
        "pnts": float(data_uv.shape[1]), "xmin": 0.0, "data": beside, "datfile": beside,
        "chanlocs": places, "event": np.zeros((0, 0)),
    }  # fmt: skip
    savemat(path, {"EEG": fields}, appendmat=False)
    data_uv.astype("<f4").T.tofile(path.with_name(beside))


def _write_brainvision(path: Path, rate_hz: int, seconds: int) -> None:
    head = [
        "Brain Vision Data Exchange Header File Version 1.0", "", "[Common Infos]",
        "Codepage=UTF-8", f"DataFile={NAME}.eeg", "DataFormat=BINARY",
        "DataOrientation=MULTIPLEXED", f"NumberOfChannels={N_CHANNELS}",
        f"SamplingInterval={1e6 / rate_hz:g}", "", "[Binary Infos]", "BinaryFormat=INT_16", "",
        "[Channel Infos]",
        *(f"Ch{i + 1}={label},,{STEP_UV},µV" for i, label in enumerate(LABELS)), "",
    ]  # fmt: skip
    path.write_bytes("\r\n".join(head).encode())
    steps(N_CHANNELS, rate_hz * seconds).T.tofile(path.with_suffix(".eeg"))


def _write_wfdb(path: Path, rate_hz: int, seconds: int) -> None:
    n_samples = rate_hz * seconds
    lines = [f"{NAME} {N_CHANNELS} {rate_hz} {n_samples}"]
    lines += [f"{NAME}.dat 16 {1 / STEP_UV:g}/uV 16 0 0 0 0 {label}" for label in LABELS]
    path.write_text("\n".join([*lines, ""]), encoding="ascii")
    steps(N_CHANNELS, n_samples).T.tofile(path.with_suffix(".dat"))


def _write_cnt(path: Path, rate_hz: int, seconds: int) -> None:
    n_samples = rate_hz * seconds
    head = bytearray(900 + 75 * N_CHANNELS)
    head[:12] = b"Version 3.0".ljust(12, b"\0")
    struct.pack_into("<H", head, 370, N_CHANNELS)
    struct.pack_into("<H", head, 376, rate_hz)
    struct.pack_into("<I", head, 864, n_samples)
    struct.pack_into("<i", head, 886, len(head) + 4 * N_CHANNELS * n_samples)
    for i, label in enumerate(LABELS):
        at = 900 + 75 * i
        head[at : at + 10] = label.encode().ljust(10, b"\0")
        struct.pack_into("<f", head, at + 59, 1.0)
        struct.pack_into("<f", head, at + 71, 204.8 * STEP_UV)
    data = np.ascontiguousarray(steps(N_CHANNELS, n_samples).T, dtype="<i4")
    path.write_bytes(bytes(head) + data.tobytes() + struct.pack("<Bii", 2, 0, 0))


def _write_csv(path: Path, rate_hz: int, seconds: int) -> None:
    import pyarrow as pa
    from pyarrow import csv

    values = STEP_UV * steps(N_CHANNELS, rate_hz * seconds)
    columns = [row.round(1) for row in values]
    csv.write_csv(pa.table(columns, names=list(LABELS)), path)


def _write_matlab(path: Path, rate_hz: int, seconds: int) -> None:
    from scipy.io import savemat

    n_trials = max(1, seconds // LONG_TRIAL_S)
    trials = {
        f"x_eeg{i + 1}": STEP_UV * steps(N_CHANNELS, rate_hz * seconds // n_trials, seed=i)
        for i in range(n_trials)
    }
    savemat(path, trials, appendmat=False, do_compression=True)


def _write_zuco(path: Path, rate_hz: int, seconds: int) -> None:
    from scipy.io import savemat

    sentences = np.zeros((1, seconds // TRIAL_S), dtype=[("content", "O"), ("rawData", "O")])
    for i in range(sentences.size):
        signal_uv = STEP_UV * steps(N_CHANNELS, rate_hz * TRIAL_S, seed=i)
        sentences[0, i] = (f"Sentence {i}.", signal_uv)
    savemat(path, {"sentenceData": sentences}, appendmat=False, do_compression=True)


def _write_fif(path: Path, rate_hz: int, seconds: int) -> None:
    import mne

    info = mne.create_info(list(LABELS), rate_hz, "eeg", verbose="ERROR")
    data = 1e-6 * STEP_UV * steps(N_CHANNELS, rate_hz * seconds)
    mne.io.RawArray(data, info, verbose="ERROR").save(path, overwrite=True, verbose="ERROR")


_ARRAYS = {"channels": list(LABELS), "unit": "uV"}

SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample("edf", "EDF", "edf", ".edf", 256, write_edf),
        Sample("bdf", "BDF", "edf", ".bdf", 512, _write_bdf),
        Sample("eeglab", "EEGLAB .set with .fdt", "eeglab", ".set", 500, _write_eeglab),
        Sample("brainvision", "BrainVision", "brainvision", ".vhdr", 1000, _write_brainvision),
        Sample("wfdb", "WFDB format 16", "wfdb", ".hea", 200, _write_wfdb),
        Sample(
            "cnt", "Neuroscan .cnt, int32", "cnt", ".cnt", 1000, _write_cnt,
            {"data_format": "int32"},
        ),
        Sample(
            "csv", "text table", "csv", ".csv", 500, _write_csv,
            {"sfreq_hz": 500.0, "unit": "uV"}, 0.5,
        ),
        Sample(
            "matlab", "MATLAB v5 arrays, compressed", "matlab", ".mat", 200, _write_matlab,
            _ARRAYS | {
                "pattern": r"_eeg(\d+)$", "orientation": "channels_by_samples", "sfreq_hz": 200.0,
            },
        ),
        Sample(
            "zuco", "MATLAB v5 sentence structs, compressed", "zuco", ".mat", 500, _write_zuco,
            _ARRAYS | {"sfreq_hz": 500.0}, 0.5,
        ),
        Sample("fif", "FIF through MNE-Python", "mne", ".fif", 256, _write_fif),
    )
}  # fmt: skip
"""Samples by name."""
