"""PNG encoding: what another reader decodes is what was given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from detectors.pages.png import grey4_png, rgb_png


def decoded(png: bytes, mode: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        return np.asarray(image.convert(mode))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.sampled_from([2, 8, 14])),
              elements=st.integers(0, 15)))  # fmt: skip
def test_grey_levels_of_the_format_survive(levels: NDArray[np.uint8]) -> None:
    image = levels * 17

    assert np.array_equal(decoded(grey4_png(image), "L"), image)


def test_other_grey_levels_go_to_the_nearest_of_the_format() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)

    found = decoded(grey4_png(levels), "L").astype(int)

    assert not (found % 17).any()
    assert np.abs(found - levels).max() <= 8


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_colours_survive(image: NDArray[np.uint8]) -> None:
    assert np.array_equal(decoded(rgb_png(image), "RGB"), image)


def test_views_are_encoded_like_copies() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)

    assert rgb_png(image[::2, ::3]) == rgb_png(image[::2, ::3].copy())
    grey = image[..., 0]
    assert grey4_png(grey) == grey4_png(grey.copy())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5), dtype=np.uint8),
        np.zeros((4, 4), dtype=np.float32),
        np.zeros((4, 4, 3), dtype=np.uint8),
    ],
    ids=["odd width", "float", "colour"],
)
def test_pictures_of_another_kind_are_refused_as_grey(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        grey4_png(image)


def test_grey_pictures_are_refused_as_colour() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        rgb_png(np.zeros((4, 4), dtype=np.uint8))
