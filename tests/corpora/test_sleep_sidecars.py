"""Sidecars of the sleep corpora that went wrong: a cause, never a crash, never a stop."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import pytest

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.table import read_labels
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.registry import corpus

TREES = {
    "hmc": "hmc", "dreams-spindles": "dreams", "dreams-patients": "dreams",
    "sleep-edfx": "sleep_edfx", "boas": "boas", "physionet-2018": "physionet_2018",
    "hfo-ds003555": "hfo", "cap": "cap",
}  # fmt: skip
N_MUTANTS = 100
VALUES = (b"nan", b"inf", b"-inf", b"1e400", b"-1", b"9" * 400, b"", b"\xff\xfe", "\u0663".encode(),
          b"n/a", b"0x10", b"\0")  # fmt: skip


def mutant(raw: bytes, rng: random.Random) -> bytes:
    """Replace a cell, flip bytes, cut short, or repeat a line."""
    kind = rng.randrange(4)
    if kind == 0:
        cells = raw.replace(b"\t", b" ").split(b" ")
        cells[rng.randrange(len(cells))] = rng.choice(VALUES)
        return rng.choice((b"\t", b" ")).join(cells)
    if kind == 1:
        flipped = bytearray(raw)
        for _ in range(rng.randint(1, 8)):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        return bytes(flipped)
    if kind == 2:
        return raw[: rng.randrange(len(raw))]
    lines = raw.splitlines(keepends=True)
    return b"".join([*lines, rng.choice(lines)])


@pytest.mark.parametrize("key", TREES)
def test_whatever_a_sidecar_holds_it_is_a_label_or_a_cause(tmp_path: Path, key: str) -> None:
    importlib.import_module(f"trees.{TREES[key]}").write(tmp_path)
    spec, rng = corpus(key), random.Random(key)
    folder = tmp_path / spec.folders[0]
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    recordings = [p for p in files if spec.match_file(p.relative_to(folder).as_posix())
                  and spec.is_recording_name(p.relative_to(folder).as_posix())]  # fmt: skip
    sidecars = [p for p in files if spec.match_companion(p.relative_to(folder).as_posix())
                and p.suffix != ".hea" and p.stat().st_size]  # fmt: skip
    causes: set[str] = set()
    n_read = 0
    for _ in range(N_MUTANTS):
        place = rng.choice(sidecars)
        raw = place.read_bytes()
        place.write_bytes(mutant(raw, rng))
        for path in recordings[:2]:
            try:
                with open_recording(path, spec.reader) as recording:
                    read_labels(
                        spec, tmp_path, path.relative_to(tmp_path).as_posix(), recording, 60
                    )
                n_read += 1
            except CorpusError as error:
                causes.add(error.cause)
        place.write_bytes(raw)
    assert n_read
    assert "unexpected" not in causes
    assert causes
