"""The shipped letters: they match how they were made, and stay inside the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detectors.pages.glyphs import (
    CHARACTERS,
    TABLES_PATH,
    build_tables,
    colour_map,
    draw_text,
    font,
)


def test_shipped_tables_are_those_the_generator_makes(tmp_path: Path) -> None:
    build_tables(tmp_path / "tables.npz")

    with np.load(TABLES_PATH) as shipped, np.load(tmp_path / "tables.npz") as made:
        assert sorted(shipped.files) == sorted(made.files)
        for name in shipped.files:
            assert shipped[name].shape == made[name].shape
            difference = np.abs(shipped[name].astype(int) - made[name])
            assert (difference > 32).mean() < 0.01  # other FreeType versions differ a little


def test_every_visible_character_has_ink() -> None:
    cells = font(14).cells

    inked = cells.reshape(len(CHARACTERS), -1).max(axis=1) > 100
    assert [c for c, has_ink in zip(CHARACTERS, inked, strict=True) if not has_ink] == [" "]


@pytest.mark.parametrize(("anchor", "side"), [("left", 1), ("right", -1)], ids=["left", "right"])
def test_anchor_says_on_which_side_text_lies(anchor: str, side: int) -> None:
    image = np.full((40, 200), 255, dtype=np.uint8)

    draw_text(image, "Fp1-F7", x_px=100, y_px=20, size_px=14, anchor=anchor)  # type: ignore[arg-type]

    columns = np.flatnonzero((image < 128).any(axis=0))
    assert ((columns - 100) * side >= -1).all()
    assert columns.size > 20


def test_text_beyond_the_edge_is_cut_not_wrapped() -> None:
    image = np.full((40, 60), 255, dtype=np.uint8)

    draw_text(image, "a long line of text", x_px=50, y_px=20, size_px=14)

    assert (image[:, :50] == 255).all()
    assert (image[:, 50:] < 128).any()


def test_unknown_sizes_and_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="14"):
        font(15)
    with pytest.raises(ValueError, match="viridis"):
        colour_map("jet")
