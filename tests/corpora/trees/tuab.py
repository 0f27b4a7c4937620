"""A small TUAB: classes and parts by folder, one patient in both classes, old patient folders.

``corpora.md`` 5.10 and 5.11.
"""

from __future__ import annotations

from pathlib import Path

from formats.tuh import edf

EXTRAS = ("EEG T1-REF", "EEG T2-REF", "EEG EKG1-REF", "EEG C3P-REF", "EEG 20-REF")


def write_files(folder: Path, seed: int = 0, duration_s: int = 40) -> dict[str, str]:
    """Write the tree and return each recording's class by its path below the folder."""
    plan: dict[str, dict[str, object]] = {
        "edf/train/normal/01_tcp_ar/aaaaaaaq_s001_t000.edf": {"age": "37"},
        "edf/train/normal/01_tcp_ar/aaaaaabb_s001_t000.edf": {
            "person": "F 01-JAN-0000", "start": "00.00.0000.00.00", "age": "93",
        },
        "edf/train/abnormal/01_tcp_ar/aaaaaabb_s003_t000.edf": {
            "person": "F 01-JAN-0000", "age": "94", "extras": EXTRAS,
        },
        "edf/train/abnormal/01_tcp_ar/000/aaaaaacc/s002_2012_04_06/aaaaaacc_s002_t001.edf": {
            "sfreq_hz": 512, "extras": (*EXTRAS[:2], "IBI", "BURSTS", "SUPPR", "PHOTIC-REF"),
        },
        "edf/eval/normal/01_tcp_ar/aaaaaadd_s001_t000.edf": {"sfreq_hz": 256, "age": "0.0109"},
        "edf/eval/abnormal/01_tcp_ar/aaaaaaee_s001_t000.edf": {"sfreq_hz": 1000, "age": None},
    }  # fmt: skip
    for i, (name, fields) in enumerate(plan.items()):
        edf(folder / name, seed=seed * 100 + i, duration_s=duration_s, **fields)  # type: ignore[arg-type]
    (folder / "AAREADME.txt").write_text(
        "File: AAREADME.txt\nDatabase: TUH EEG Abnormal Corpus\nVersion: 3.0.1\n"
    )
    return {name: name.split("/")[2] for name in plan}


def write(root: Path, seed: int = 0) -> None:
    """Write the default tree under the data root."""
    write_files(root / "tuab", seed)
