"""Mutated files of every format, read the way a shard is read, in a child with limits.

To add a format add a row to :data:`FORMATS`: what an entry says to its reader, the suffix, and a
writer of one good recording. Corpora with a tree in ``trees/`` are fuzzed by that alone, sidecars
and all. ``python tests/corpora/fuzz.py FORMAT SEED NUMBER FOLDER`` writes one mutant again.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dagster_project.corpora.archive_members import ArchiveError
from dagster_project.corpora.archives import unpack
from dagster_project.corpora.errors import CAUSES, CorpusError
from dagster_project.corpora.guard import Limits, Visit, map_guarded
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys

MAX_FILE_S = 10.0
HEAD_ROOM_BYTES = 1 << 30
CANARY = "neurogloss-fuzz-canary"
"""A file that exists only if something inside a file was executed."""
NAMES = ("Cz", "C3", "O1")
RATE, SECONDS = 200, 14
Bundle = dict[str, bytes]
"""Suffix to bytes: the files of one recording, which share their stem."""


def signal() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 20, (len(NAMES), RATE * SECONDS))


def edf(path: Path) -> None:
    from formats.edf import EdfFileSpec, EdfSignalSpec, write

    rows = [EdfSignalSpec(n, r, RATE) for n, r in zip(NAMES, signal(), strict=True)]
    write(path, EdfFileSpec(rows, annotations=[(0.0, 1.0, "note")], is_bdf=path.suffix == ".bdf"))


def brainvision(orientation: str, binary: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from formats.brainvision import BrainVisionSpec
        from formats.brainvision import write as write_triple

        marks = [("New Segment", "", 1, 1, "20200101101010000000"), ("Stimulus", "S  1", 9, 1, "")]
        steps = np.rint(signal() * 10)
        write_triple(path, BrainVisionSpec(
            NAMES, steps, "5000", markers=marks, orientation=orientation, binary=binary,
        ))  # fmt: skip

    return write


def wfdb(fmt: str, is_matlab: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from formats.wfdb import WfdbFile, write_annotations
        from formats.wfdb import write as write_record

        steps = np.rint(signal()).astype(int)
        data = path.stem + (".mat" if is_matlab else ".dat")
        file = WfdbFile(data, NAMES, steps, fmt, is_matlab=is_matlab)
        write_record(path.parent, path.stem, [file], str(RATE))
        write_annotations(path.with_suffix(".arousal"), [(10, 22, "W"), (2000, 22, "(resp")])

    return write


def cnt(width: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from formats.cnt import CntSpec
        from formats.cnt import write as write_cnt

        steps = np.rint(signal() * 10).astype(int)
        write_cnt(path, CntSpec(NAMES, steps, RATE, width, events=[(5, 3), (99, 4)]))

    return write


def eeglab(
    where: str, layout: str, is_73: bool = False, is_packed: bool = True
) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from formats.eeglab import SetSpec, write_set, write_set73

        spec = SetSpec(signal(), NAMES, RATE, [("S1", 5.0, None)], where, layout, is_packed)
        (write_set73 if is_73 else write_set)(path, spec)

    return write


def matlab(is_packed: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import scipy.io

        scipy.io.savemat(path, {"data": signal()}, do_compression=is_packed)

    return write


def matlab_73(path: Path) -> None:
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_dataset("data", data=signal().T, chunks=True, compression="gzip")
        data.attrs["MATLAB_class"] = np.bytes_(b"double")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")


def table(path: Path) -> None:
    rows = [",".join(("id", *NAMES))]
    rows += [f"{i}," + ",".join(f"{v:.2f}" for v in r) for i, r in enumerate(signal().T)]
    path.write_text("\n".join(rows) + "\n")


def zuco(is_73: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from trees.zuco import write_v5, write_v73

        (write_v73 if is_73 else write_v5)(path, ["one two", "three four"])

    return write


@dataclass(frozen=True)
class Format:
    """One format: the reader an entry names, the file's suffix, and a writer of a good one."""

    reader: str
    suffix: str
    write: Callable[[Path], None]
    params: dict[str, Any] = field(default_factory=dict)


_ARRAY = {"variable": "data", "orientation": "channels_by_samples", "channels": list(NAMES),
          "sfreq_hz": float(RATE), "unit": "uV"}  # fmt: skip
_ZUCO = {"channels": [f"E{i}" for i in range(1, 105)] + ["Cz"], "sfreq_hz": 500.0, "unit": "uV"}

FORMATS: dict[str, Format] = {
    "edf": Format("edf", ".edf", edf),
    "bdf": Format("edf", ".bdf", edf),
    "eeglab-fdt": Format("eeglab", ".set", eeglab("fdt", "struct")),
    "eeglab-set": Format("eeglab", ".set", eeglab("set", "fields")),
    "eeglab-plain": Format("eeglab", ".set", eeglab("set", "struct", is_packed=False)),
    "eeglab-73": Format("eeglab", ".set", eeglab("set", "struct", is_73=True)),
    "matlab-5": Format("matlab", ".mat", matlab(True), _ARRAY),
    "matlab-plain": Format("matlab", ".mat", matlab(False), _ARRAY),
    "matlab-73": Format("matlab", ".mat", matlab_73, _ARRAY),
    "zuco-5": Format("zuco", ".mat", zuco(False), _ZUCO),
    "zuco-73": Format("zuco", ".mat", zuco(True), _ZUCO),
    "csv": Format("csv", ".csv", table, {"others": ["id"], "sfreq_hz": float(RATE), "unit": "uV"}),
    "brainvision": Format("brainvision", ".vhdr", brainvision("MULTIPLEXED", "INT_16")),
    "brainvision-float": Format("brainvision", ".vhdr", brainvision("VECTORIZED", "IEEE_FLOAT_32")),
    "wfdb-mat": Format("wfdb", ".hea", wfdb("16", True), {"annotators": ["arousal"]}),
    "wfdb-212": Format("wfdb", ".hea", wfdb("212", False), {"annotators": ["arousal"]}),
    "cnt-32": Format("cnt", ".cnt", cnt(4), {"data_format": "int32"}),
    "cnt-16": Format("cnt", ".cnt", cnt(2), {"data_format": "int16"}),
    "mne": Format("mne", ".vhdr", brainvision("MULTIPLEXED", "INT_16")),
}


def entry(name: str) -> dict[str, Any]:
    """Return the catalogue entry of a format's fuzzed corpus."""
    form = FORMATS[name]
    return {
        "key": f"fuzz-{name}", "title": name, "citation": "none",
        "licence": {"id": "CC0-1.0", "url": "none"}, "folders": [f"fuzz-{name}"],
        "files": {"suffixes": [form.suffix], "pattern": rf"(?P<subject>m\d+)\{form.suffix}$"},
        "identity": {"family": f"fuzz-{name}"}, "n_shards": 1, "line_freq_hz": 50.0,
        "reader": {"name": form.reader, "params": form.params},
    }  # fmt: skip


def write_entries(folder: Path) -> None:
    """Write the catalogue entries of all formats."""
    for name in FORMATS:
        (folder / f"fuzz-{name}.yaml").write_text(json.dumps(entry(name)))


def seed_bundle(name: str, folder: Path) -> Bundle:
    """Write one good recording and return its files."""
    folder.mkdir(parents=True)
    FORMATS[name].write(folder / f"seed{FORMATS[name].suffix}")
    return {p.suffix: p.read_bytes() for p in sorted(folder.iterdir())}


NUMBERS = (b"0", b"-1", b"1", b"99999999", b"2147483648", b"99999999999999999999", b"1e308", b"nan",
           b"-inf", b"0x7f", b"1.5", b"")  # fmt: skip
WORDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _truncate(raw: bytearray, rng: random.Random) -> None:
    del raw[rng.choice((rng.randrange(len(raw)), len(raw) - 1, len(raw) // 2)) :]


def _flip(raw: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 3, 20))):
        raw[_at(raw, rng)] ^= 1 << rng.randrange(8)


def _overwrite(raw: bytearray, rng: random.Random) -> None:
    at = _at(raw, rng)
    raw[at : at + rng.choice((1, 4, 16, 300))] = rng.randbytes(rng.choice((1, 4, 16, 300)))


def _extreme(raw: bytearray, rng: random.Random) -> None:
    """Set a little-endian word near the beginning to a count nothing has."""
    at, width = _at(raw, rng) & ~1, rng.choice((2, 4, 8))
    raw[at : at + width] = rng.choice(WORDS).to_bytes(8, "little")[:width]


def _number(raw: bytearray, rng: random.Random) -> None:
    """Replace a number written in text, keeping the width of fixed fields half of the time."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", raw[:8192]))
    if found:
        match, new = rng.choice(found), rng.choice(NUMBERS)
        if rng.random() < 0.5:
            new = new[: match.end() - match.start()].ljust(match.end() - match.start())
        raw[match.start() : match.end()] = new


def _repeat(raw: bytearray, rng: random.Random) -> None:
    at = _at(raw, rng)
    piece = raw[at : at + rng.choice((1, 16, 256, 5000))]
    raw[at:at] = piece * rng.choice((1, 2, 50))


def _cut_out(raw: bytearray, rng: random.Random) -> None:
    at = _at(raw, rng)
    del raw[at : at + rng.choice((1, 2, 16, 256))]


def _text(raw: bytearray, rng: random.Random) -> None:
    """Put text into the head that paths, shells and spreadsheets would act on."""
    evil = (b"../../../etc/passwd", b"/dev/zero", b"|touch " + CANARY.encode(), b"\0" * 40,
            b"=cmd|'/c calc'!A0", b"\xff\xfe\xfd", b"%n%n%s", b"[Common Infos]", b"\r\n\r\n")  # fmt: skip
    at = _at(raw, rng)
    raw[at : at + rng.choice((0, 8))] = rng.choice(evil)


def _empty(raw: bytearray, rng: random.Random) -> None:
    raw[:] = b"" if rng.random() < 0.5 else bytes(rng.choice((1, 500)))


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _truncate, _flip, _flip, _overwrite, _extreme, _extreme, _number, _number, _repeat, _cut_out,
    _text, _empty,
)  # fmt: skip


def _at(raw: bytearray, rng: random.Random) -> int:
    """A place in the file, mostly in its head."""
    top = rng.choice((64, 1024, 4096, len(raw)))
    return rng.randrange(min(top, len(raw)) or 1) if raw else 0


def mutate(bundle: Bundle, rng: random.Random, main: str = "") -> Bundle:
    """Return a recording with one or more of its files changed or, but for the main one, missing."""
    changed = {suffix: bytearray(raw) for suffix, raw in bundle.items()}
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        raw = changed[rng.choice(sorted(changed))]
        if raw:
            rng.choice(MUTATIONS)(raw, rng)
    if len(changed) > 1 and rng.random() < 0.05:
        del changed[rng.choice(sorted(set(changed) - {main}))]
    return {suffix: bytes(raw) for suffix, raw in changed.items()}


def crafted(name: str, folder: Path) -> list[Bundle]:
    """Return recordings made by hand to do harm, where a format has means to."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "matlab-5": _evil_5,
        "matlab-73": _evil_73,
        "eeglab-set": _evil_5,
        "eeglab-73": _evil_73,
    }
    if name not in made:
        return []
    paths = made[name](folder)
    return [{FORMATS[name].suffix: path.read_bytes()} for path in paths]


def _evil_5(folder: Path) -> list[Path]:
    """A function handle that calls a shell, a pickle in a cell, and a bomb."""
    import zlib

    import scipy.io

    handle = np.zeros((1,), dtype=[("function_handle", object), ("sentinel", object)])
    handle[0] = (f"@()system('touch {CANARY}')", "@")
    pickled = f"cos\nsystem\n(S'touch {CANARY}'\ntR.".encode()
    paths = [folder / f"evil{i}.mat" for i in range(4)]
    fake = scipy.io.matlab.MatlabFunction(np.zeros((1, 1), dtype=object))
    scipy.io.savemat(paths[0], {"data": handle, "EEG": handle})
    cells = np.array([np.frombuffer(pickled, dtype=np.uint8)], dtype=object)
    scipy.io.savemat(paths[1], {"data": cells, "EEG": cells, "fake": fake.shape})
    scipy.io.savemat(paths[2], {"data": np.zeros((3, 4))})
    bomb = zlib.compress(b"\0" * (64 << 20), 9)
    head = paths[2].read_bytes()[:128]
    paths[2].write_bytes(head + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb)
    array = b"\x06\0\0\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + b"\x05\0\0\0\x08\0\0\0\1\0\0\0\1\0\0\0"
    array += b"\x01\0\4\0data"
    body = (14).to_bytes(4, "little") + len(array).to_bytes(4, "little") + array  # mxFUNCTION
    paths[3].write_bytes(head + body)
    return paths


def _evil_73(folder: Path) -> list[Path]:
    """External and circular links, a dataset of absurd size that takes no room, a loop."""
    import h5py

    outside = folder / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["data"] = signal().T
    paths = [folder / f"evil73-{i}.mat" for i in range(4)]
    for i, path in enumerate(paths):
        with h5py.File(path, "w", userblock_size=512) as file:
            if i == 0:
                file["data"] = h5py.ExternalLink(str(outside), "/data")
            elif i == 1:
                file["data"] = h5py.SoftLink("/data")
            elif i == 2:
                file.create_dataset("data", (10**10, 3), dtype="f8", chunks=(10**6, 3))
            else:
                file["a/b"] = 1.0
                file["a/loop"] = file["a"]
                file["data"] = file["a"]
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")
    return paths


@dataclass
class Report:
    """What became of the mutants of one format."""

    name: str
    files: int = 0
    accepted: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    peak_bytes: int = 0

    def visit(self, visit: Visit) -> None:
        """Note what one file cost."""
        self.slowest_s = max(self.slowest_s, visit.seconds)
        self.peak_bytes = max(self.peak_bytes, visit.peak_bytes)

    @property
    def limits(self) -> Limits:
        """Ten seconds and a gigabyte a file, whatever its size."""
        return Limits(HEAD_ROOM_BYTES, 0, MAX_FILE_S, 1e12, self.visit)

    def row(self) -> str:
        """Return a line of the table."""
        causes = ", ".join(f"{c} {n}" for c, n in self.causes.most_common())
        return (
            f"{self.name:<20} {self.files:>5} {self.accepted:>5} {self.slowest_s:>6.2f} "
            f"{self.peak_bytes / 1e6:>7.0f}  {causes}"
        )


HEAD = f"{'format':<20} {'files':>5} {'taken':>5} {'max s':>6} {'peak MB':>7}  rejected by cause"


def look_at(key: str, root: Path, report: Report) -> None:
    """Take the inventory of a corpus and cut it, and check that every file is accounted for."""
    spec = corpora()[key]
    for shard in shard_keys(key):
        found = inventory(spec, root, shard, salt="fuzz", limits=report.limits)
        assert len(found.recordings) == found.n_found
        assert found.n_skipped == 0
        rejected = {row["recording_id"]: row["cause"] for row in found.rejects}
        assert len(rejected) == len(found.rejects)
        for row in found.recordings:
            assert row["status"] == ("rejected" if row["recording_id"] in rejected else "accepted")
            assert row["reject_cause"] == rejected.get(row["recording_id"])
        cut = process_shard(spec, root, found.recordings, limits=report.limits)
        set_aside = cut.rejects.to_pylist()
        whole = {row["recording_id"]: row["cause"] for row in set_aside if row["start_s"] is None}
        report.files += found.n_found
        report.accepted += found.n_found - len(rejected) - len(whole)
        report.causes.update([*rejected.values(), *whole.values()])
        for row in [*found.rejects, *set_aside]:
            assert row["cause"] in CAUSES


def write_mutants(name: str, root: Path, n: int, seed: int) -> None:
    """Write ``n`` mutants of a format under the data root, the hand-made ones first."""
    bundle = seed_bundle(name, root / "seeds" / name)
    made = crafted(name, root / "crafted" / name)
    folder = root / f"fuzz-{name}"
    folder.mkdir()
    for i in range(n):
        rng = random.Random(f"{name}|{seed}|{i}")
        mutant = made[i] if i < len(made) else mutate(bundle, rng, FORMATS[name].suffix)
        for suffix, raw in mutant.items():
            inside = raw.replace(b"seed.", b"m%d." % i) if suffix in (".vhdr", ".hea") else raw
            (folder / f"m{i}{suffix}").write_bytes(inside)


def fuzz_format(name: str, root: Path, n: int, seed: int) -> Report:
    """Fuzz one format."""
    report = Report(name)
    write_mutants(name, root, n, seed)
    look_at(f"fuzz-{name}", root, report)
    assert report.files == n
    return report


def fuzz_corpus(
    key: str, write: Callable[[Path, int], object], root: Path, seed: int, report: Report
) -> None:
    """Mutate about half the files of a corpus' tree, sidecars more than signals."""
    root.mkdir()
    write(root, seed)
    for i, path in enumerate(sorted(p for p in root.rglob("*") if p.is_file())):
        rng = random.Random(f"{key}|{seed}|{i}")
        if rng.random() < (0.5 if path.stat().st_size < 100_000 else 0.25):
            path.write_bytes(mutate({"": path.read_bytes()}, rng)[""])
    look_at(key, root, report)


def _unpacked(task: tuple[Path, Path]) -> str:
    """Unpack one archive; run in the child."""
    try:
        unpack(*task, max_bytes=1 << 20, max_files=100)
    except ArchiveError as error:
        return error.cause
    return ""


def _lost(task: tuple[Path, Path], error: CorpusError) -> str:
    return error.cause


def fuzz_archives(raw: bytes, name: str, root: Path, n: int, seed: int) -> Report:
    """Mutate an archive and unpack it; nothing may appear beside where it belongs."""
    report = Report(name)
    work = root / "work"
    work.mkdir(parents=True)
    tasks = []
    for i in range(n):
        rng = random.Random(f"{name}|{seed}|{i}")
        (root / f"a{i}").write_bytes(mutate({"": raw}, rng)[""])
        tasks.append((root / f"a{i}", work / f"out{i}"))
    answers = list(map_guarded(_unpacked, tasks, 1, _lost, lambda t: 0, limits=report.limits))
    assert {p.name for p in work.iterdir()} <= {f"out{i}" for i in range(n)}
    assert {p.name for p in root.iterdir()} == {"work", *(f"a{i}" for i in range(n))}
    report.files, report.accepted = n, answers.count("")
    report.causes.update(cause for cause in answers if cause)
    return report


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    write_mutants(sys.argv[1], Path(sys.argv[4]), int(sys.argv[3]) + 1, int(sys.argv[2]))
