"""A small SEED-IV tree: one folder per session, twenty-four clips a file."""

from __future__ import annotations

from pathlib import Path

from trees.seed import write_file

FILES = (("1", "1", "20160518"), ("2", "1", "20161125"), ("3", "1", "20161126"),
         ("1", "2", "20150915"), ("1", "15", "20150508"))  # fmt: skip
"""Session, subject, date."""


def write(root: Path, seed: int = 0) -> None:
    """Write five files of three subjects."""
    base = root / "seed-iv" / "eeg_raw_data"
    for i, (session, subject, date) in enumerate(FILES):
        path = base / session / f"{subject}_{date}.mat"
        write_file(path, ("cz", "ha", "hql")[i % 3], 24, seconds=10.0, seed=seed + 50 + i)
    (base / "ReadMe.txt").write_text("session1_label = [1,2,3];\n")
