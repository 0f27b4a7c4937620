"""A corpus entry for fetching, small enough to read."""

from __future__ import annotations

import json
from typing import Any

from dagster_project.corpora.spec import CorpusSpec


def entry(source: str, locator: dict[str, str], **more: Any) -> CorpusSpec:
    return CorpusSpec.model_validate_json(
        json.dumps(
            {
                "key": "planted",
                "title": "A planted corpus",
                "citation": "Nobody 2026.",
                "licence": {"id": "CC0-1.0", "url": "https://creativecommons.org/cc0"},
                "access": {"kind": "open", "source": source, "locator": locator, "n_bytes": 5},
                "folders": ["planted"],
                "files": {
                    "suffixes": [".edf"],
                    "pattern": r"(?:^|/)(?P<subject>p\d+)(?:_(?P<session>\d))?\.edf$",
                    "companions": [r"(?:^|/)(?P<subject>p\d+)\.txt$"],
                },
                "identity": {"family": "planted"},
                "n_shards": 1,
                "line_freq_hz": 50.0,
                "reader": {"name": "edf"},
                **more,
            }
        )
    )
