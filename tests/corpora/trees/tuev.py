"""A small TUEV: train by letters, eval by numbers, marks by derivation number in 1-s rows.

``corpora.md`` 5.14.
"""

from __future__ import annotations

from pathlib import Path

from formats.tuh import edf, rec, seconds

TRAIN = "edf/train/aaaaaaar/aaaaaaar_00000001.edf"
TRAIN_TOO = "edf/train/aaaaaasz/aaaaaasz_00000002.edf"
EARLESS = "edf/train/aaaaaabs/aaaaaabs_00000003.edf"
EVAL = "edf/eval/000/bckg_000_a_.edf"
EVAL_TOO = "edf/eval/001/pled_001_a_2.edf"
T12 = ("EEG T1-REF", "EEG T2-REF")


def write_files(folder: Path, seed: int = 0, duration_s: int = 40) -> None:
    """Write five recordings, feature files beside them, and the list of files to be mended."""
    edf(folder / TRAIN, extras=T12, duration_s=duration_s, seed=seed * 100 + 1)
    rows = seconds(8, 3, 6, 1) + seconds(9, 3, 5, 1) + seconds(9, 7, 8, 1) + seconds(13, 12, 14, 5)
    rows += [*seconds(0, 22, 25, 4), (21, duration_s - 0.5, duration_s + 0.5, 6)]
    rec((folder / TRAIN).with_suffix(".rec"), [*rows, (3, duration_s + 2, duration_s + 3, 6)])
    edf(folder / TRAIN_TOO, extras=T12, duration_s=duration_s, seed=seed * 100 + 2)
    rec((folder / TRAIN_TOO).with_suffix(".rec"), seconds(2, 0, duration_s, 2))
    edf(folder / EARLESS, without=("A1", "A2"), duration_s=duration_s, seed=seed * 100 + 3)
    rec((folder / EARLESS).with_suffix(".rec"), seconds(7, 1, 3, 6) + seconds(9, 1, 3, 3))
    for i, (name, code) in enumerate(((EVAL, 6), (EVAL_TOO, 3))):
        edf(
            folder / name, extras=T12, duration_s=duration_s, seed=seed * 100 + 4 + i,
            person="F 01-JAN-0000", age="36", start="00.00.0000.00.00",
        )  # fmt: skip
        rec((folder / name).with_suffix(".rec"), seconds(4, 5, 9, code))
    (folder / TRAIN).with_name("aaaaaaar_00000001_ch000.lab").write_text("0 100000 bckg\n")
    (folder / TRAIN).with_suffix(".htk").write_bytes(b"\0\1\2\3")
    (folder / "needs_fixin.list").write_text("./edf/train/aaaaaasz/aaaaaasz_00000002.edf\n")


def write(root: Path, seed: int = 0) -> None:
    """Write the default tree under the data root."""
    write_files(root / "tuev", seed)
