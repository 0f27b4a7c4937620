"""Shared fixtures: where real recordings lie."""

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
