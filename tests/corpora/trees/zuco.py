"""Small ZuCo trees: version 1.0 in MATLAB v5, version 2.0 in HDF5 with object references.

From the corpus' description: folder names with odd blanks, a struct array ``sentenceData`` with text,
EEG of 105 leads at 500 Hz and word structs, sentences with NaN instead of EEG, a sentiment table
with ``;``, a comment line after its header and rows whose cells changed places, a relation table
with ``,``, typing slips between table and recording. The structs hold more fields than are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

SENTENCES = (
    ("Presents a good case while failing to provide a reason for us to care.", -1),
    ("It's a  charming and often affecting journey; slow, but sure.", 1),
    ("Ultimately feels empty and unsatisfying, like swallowing a Communion wafer.", -1),
    ("The film is about people - nothing more.", 0),
    ("Bread, My Sweet has so many flaws it would be easy for critics to shred it.", -1),
    ("An extremely unpleasant film.", -1),
)
RELATIONS = (
    ("Henry Ford, born in 1863, founded a company.", "FOUNDER"),
    ("He was a Republican, and an engineer by training.", "POLITICAL_AFFILIATION"),
    ("She married him in 1888.", "WIFE"),
)
SECONDS = (4.26, 12.5, 2.0, 0.4, 9.9, 3.0)
"""One short, one longer than a segment, one below a second."""
NO_EEG = 5
"""This sentence has NaN instead of EEG."""
RATE = 500


def signal(seed: int, number: int, seconds: float) -> np.ndarray:
    """Return microvolts, shape (105, n): noise and 10 Hz of 30 uV on the last lead, Cz."""
    rng = np.random.default_rng((seed, number))
    n = round(RATE * seconds)
    data = 8 * rng.standard_normal((105, n))
    data[-1] = 30 * np.sin(2 * np.pi * 10 * np.arange(n) / RATE)
    return data


def _word(text: str) -> dict[str, Any]:
    fixations = np.empty((1, 2), dtype=object)
    fixations[0, 0], fixations[0, 1] = np.ones((105, 20)), np.zeros((105, 3))
    return {"content": text, "fixPositions": np.array([1.0, 3.0]), "rawEEG": fixations}


def write_v5(path: Path, texts: list[str], *, seed: int = 0, is_compressed: bool = True) -> None:
    """Write one reader of version 1.0."""
    dtype = [(n, object) for n in ("content", "rawData", "mean_t1", "word", "omissionRate")]
    sentences = np.zeros((1, len(texts)), dtype=dtype)
    for i, text in enumerate(texts):
        eeg: Any = np.nan if i == NO_EEG else signal(seed, i, SECONDS[i % len(SECONDS)])
        words = [_word(w) for w in text.split()[:2]]
        sentences[0, i] = (text, eeg, np.ones((105, 1)), words, 0.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"sentenceData": sentences}, do_compression=is_compressed)


def write_v73(path: Path, texts: list[str], *, seed: int = 0) -> None:
    """Write one reader of version 2.0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        refs, group = file.create_group("#refs#"), file.create_group("sentenceData")
        kinds: dict[str, list[Any]] = {"content": [], "rawData": []}
        for i, text in enumerate(texts):
            units = np.frombuffer(text.encode("utf-16-le"), dtype="<u2")
            eeg = signal(seed, i, SECONDS[i % len(SECONDS)]).T if i != NO_EEG else [[np.nan]]
            for name, value, kind in (
                ("content", units.reshape(-1, 1), b"char"), ("rawData", eeg, b"double"),
            ):  # fmt: skip
                data = refs.create_dataset(f"{name}{i}", data=value)
                data.attrs["MATLAB_class"] = np.bytes_(kind)
                kinds[name].append(data.ref)
        for name, found in kinds.items():
            data = group.create_dataset(name, (len(found), 1), dtype=h5py.ref_dtype)
            data[:, 0] = found
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")


def write_tables(folder: Path) -> None:
    """Write the sentence tables; row 4 of the sentiment table has its cells swapped."""
    lines = ["sentence_id;sentence;control;sentiment_label", "#see the README for the codes;;;"]
    for i, (text, code) in enumerate(SENTENCES, 1):
        shown = f'"{text}"' if ";" in text else text.replace("failing", "faling")
        cells = (code, shown) if i == 4 else (shown, code)
        lines.append(f"{i};{cells[0]};CONTROL_NO;{cells[1]}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sentiment_labels_task1.csv").write_text("\r\n".join(lines) + "\r\n", "utf-8-sig")
    for task, mark, column in ((2, ",", "relation_types"), (3, ";", "relation-type")):
        rows = [mark.join(("sentence_id", "control", "sentence", column))]
        rows += [
            mark.join((str(i), "0", f'"{text}"', word)) for i, (text, word) in enumerate(RELATIONS)
        ]
        (folder / f"relations_labels_task{task}.csv").write_text("\n".join(rows) + "\n")


def write_1(root: Path, seed: int = 0) -> None:
    """Write three readers of version 1.0, one of them twice, and files that are no results."""
    base = root / "zuco-1"
    sentiments, relations = [t for t, _ in SENTENCES], [t for t, _ in RELATIONS]
    sr, nr = base / "task1- SR/Matlab files", base / "task2 - NR/Matlab files"
    write_v5(sr / "resultsZAB_SR.mat", sentiments, seed=seed)
    write_v5(sr / "resultsZDN_SR.mat", sentiments[:3], seed=seed + 1, is_compressed=False)
    write_v5(nr / "resultsZAB_NR.mat", relations, seed=seed + 2)
    write_v5(base / "task3 - TSR/Matlab files/resultsZGW_TSR.mat", relations, seed=seed + 3)
    raw = base / "task1- SR/Raw data/ZAB/ZAB_SNR1_EEG.mat"
    raw.parent.mkdir(parents=True)
    scipy.io.savemat(raw, {"EEG": {"data": np.zeros((3, 4))}})
    write_tables(base / "task_materials")


def write_2(root: Path, seed: int = 0) -> None:
    """Write three readers of version 2.0."""
    base, texts = root / "zuco-2", [t for t, _ in RELATIONS]
    for i, reader in enumerate(("YAC", "YSD", "YTL")):
        path = base / "task1 - NR/Matlab files" / f"results{reader}_NR.mat"
        write_v73(path, texts, seed=seed + 10 + i)
    every = [t for t, _ in SENTENCES]
    write_v73(base / "task2 - TSR/Matlab files/resultsYAC_TSR.mat", every, seed=seed + 20)


def write(root: Path, seed: int = 0) -> None:
    """Write both versions."""
    write_1(root, seed)
    write_2(root, seed)
