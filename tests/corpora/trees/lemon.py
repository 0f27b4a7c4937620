"""LEMON as published: BrainVision triplets under RSEEG, markers every 2 s, ages in bins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from formats.brainvision import BrainVisionSpec
from formats.brainvision import write as write_brainvision
from formats.edf import noise_uv

EEG = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz",
    "C4", "T8", "VEOG", "CP5", "CP1", "CP2", "CP6", "AFz", "P7", "P3", "Pz", "P4", "P8", "PO9",
    "O1", "Oz", "O2", "PO10",
)  # fmt: skip
META = "META_File_IDs_Age_Gender_Education_Drug_Smoke_SKID_LEMON.csv"
STEP_UV = 0.1
STAMP = "20130101000000000000"
Marker = tuple[str, str, int]
DURATION_S = 64
BLOCKS = (("S210", 2.0), ("S200", 22.0), ("S210", 42.0))
"""Marker and start of each block; 16 s each, in place of a minute."""
FILES = (("010002", 2500), ("010020", 2500), ("010203", 1000), ("010321", 500))


def markers(sfreq_hz: int) -> list[Marker]:
    """Type, description and sample (from one) of every marker."""
    marks = [("New Segment", "", 1), ("Stimulus", "S  1", sfreq_hz)]
    for word, start_s in BLOCKS:
        marks += [("Stimulus", word, round((start_s + 2 * i) * sfreq_hz) + 1) for i in range(9)]
    return marks


def write_triplet(
    header: Path,
    data_uv: np.ndarray,
    labels: Sequence[str],
    sfreq_hz: int,
    marks: Sequence[Marker] | None,
    named: str = "",
) -> None:
    """Write .vhdr, .eeg and (unless ``marks`` is None) .vmrk; ``named`` is the header's own stem."""
    rows = [(k, w, at, 1, STAMP if k == "New Segment" else "") for k, w, at in marks or ()]
    spec = BrainVisionSpec(
        labels,
        data_uv / STEP_UV,
        f"{1e6 / sfreq_hz:g}",
        markers=rows,
        data_name=f"{named}.eeg" if named else "",
        marker_name=f"{named}.vmrk" if named else "",
        has_markers=marks is not None,
    )
    write_brainvision(header, spec)


def write(root: Path, seed: int = 0) -> None:
    """Write four people under ``root/lemon``: one misnamed, one without markers, three rates."""
    base = root / "lemon"
    for i, (subject, sfreq_hz) in enumerate(FILES):
        header = base / f"sub-{subject}" / "RSEEG" / f"sub-{subject}.vhdr"
        data = noise_uv(len(EEG), DURATION_S, sfreq_hz, seed + i)
        named = "sub-032301" if subject == "010020" else ""
        marks = None if subject == "010203" else markers(sfreq_hz)
        write_triplet(header, data, EEG, sfreq_hz, marks, named)
    head = "ID,Gender_ 1=female_2=male,Age,Handedness,Education\n"
    rows = "sub-010002,2,20-25,right,gymnasium\nsub-010020,1,65-70,right,gymnasium\n"
    (base / META).write_text(head + rows + "sub-010203,1,25-30,right,gymnasium\n")
