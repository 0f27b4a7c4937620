"""A planted shard and its marks; lets the tests import what stands beside them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from review_shard import SHARD, plant

from dagster_project.resources import Workspace
from dagster_project.review.marks import MarkBook
from dagster_project.tables.store import TableStore


@pytest.fixture
def store(workspace: Workspace) -> TableStore:
    plant(workspace.store())
    return workspace.store()


@pytest.fixture
def book(store: TableStore, workspace: Workspace) -> MarkBook:
    return MarkBook(store, SHARD, workspace.folder("reviews", SHARD))
