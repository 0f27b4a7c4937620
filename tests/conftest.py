"""Shared by all tests: where real recordings lie, and which files come first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of real recordings; tests that need it skip with a reason where it is not set."""
    value = os.environ.get("NEUROGLOSS_DATA")
    if not value:
        pytest.skip("NEUROGLOSS_DATA is not set: no real recordings to read")
    root = Path(value)
    if not root.is_dir():
        pytest.fail(f"NEUROGLOSS_DATA={value!r} is not a folder")
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that train or run the graph first: a long one taken up last keeps a core idle."""
    long = {
        item.path for item in items for mark in ("heavy", "e2e") if item.get_closest_marker(mark)
    }
    items.sort(key=lambda item: item.path not in long)
