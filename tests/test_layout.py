"""The layout stays readable: files small enough to hold in the head, packages empty."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("dagster_project", "detectors", "prompts", "training", "benchmark")
MAX_LINES = 400
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_module_is_short_and_says_what_lives_in_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    if file.name == "__init__.py":
        assert not text.strip()
        return
    assert len(text.splitlines()) <= MAX_LINES
    assert text.startswith('"""')


def test_no_other_code_folder_stands_beside_the_rooms() -> None:
    tracked = {p.name for p in ROOT.iterdir() if p.is_dir() and list(p.glob("*.py"))}
    assert tracked <= {*ROOMS, "tests"}
