"""Provenance records say exactly which field differs."""

from __future__ import annotations

import pytest

from dagster_project.provenance import code_version, difference, source_files


def test_equal_records_do_not_differ() -> None:
    assert difference({"corpus": "c", "seed": 1}, {"seed": 1, "corpus": "c"}) == ()


def test_each_differing_field_is_named_with_both_values() -> None:
    said = difference({"detector": "a", "seed": 1}, {"detector": "b", "seed": 1, "prompt": "p"})
    assert said == ("detector: 'a' != 'b'", "prompt: None != 'p'")


def test_a_code_version_is_stable_and_tells_files_apart() -> None:
    assert code_version("detectors/types.py") == code_version("detectors/types.py")
    assert code_version("detectors/types.py") != code_version("detectors/vocabulary.py")


def test_a_code_version_of_nothing_is_a_mistake() -> None:
    with pytest.raises(FileNotFoundError, match=r"detectors/nowhere\.py"):
        code_version("detectors/nowhere.py")


def test_a_code_version_follows_imports_through_the_rooms() -> None:
    files = source_files("detectors/rules.py")
    assert "detectors/artifacts/chain.py" in files
    assert "detectors/signal/_rule_kernels.py" in files, "imported inside a function"
    assert not any(f.startswith(("prompts/", "dagster_project/")) for f in files)
