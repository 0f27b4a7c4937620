"""Every entry of the catalogue says how one gets its files, in a way a program or a person can use."""

from __future__ import annotations

import pytest

from dagster_project.corpora.fetch.table import SOURCES, endpoint_of, list_files, locator_of
from dagster_project.corpora.fetch.types import FetchError
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.spec import Access, CorpusSpec

SPECS = [spec for spec in corpora().values() if not spec.is_simulated]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.key)
def test_an_entry_can_be_fetched_or_says_how(spec: CorpusSpec) -> None:
    assert spec.access.kind in {"open", "login", "agreement"}
    if spec.access.source:
        assert spec.access.kind == "open"
        assert locator_of(spec.access)
    else:
        assert len(spec.access.instructions) > 1


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.key)
def test_what_needs_a_signature_is_gated(spec: CorpusSpec) -> None:
    if spec.access.kind == "agreement":
        assert spec.licence.is_gated
        assert not spec.licence.allows_hosted_teachers


def test_an_unknown_source_is_one_sentence() -> None:
    access = Access(kind="open", source="floppy", locator={})
    with pytest.raises(FetchError, match="source 'floppy' is not known; use one of dataverse, fig"):
        list_files(access)


@pytest.mark.parametrize("name", SOURCES)
def test_a_mirror_is_named_by_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint_of(name).startswith("https://") or name == "dataverse"
    monkeypatch.setenv(f"NEUROGLOSS_{name.upper()}_URL", "http://mirror.example/")
    assert endpoint_of(name) == "http://mirror.example"
