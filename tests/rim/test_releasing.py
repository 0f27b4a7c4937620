"""Which shards a release draws on: names that mean nothing are refused in a sentence."""

from __future__ import annotations

import pytest

from dagster_project import releasing
from dagster_project.corpora.shards import shard_keys
from dagster_project.failures import PermanentFailure
from dagster_project.releasing import shards_of
from prompts.releases.build import releases


def test_every_shipped_release_names_known_shards() -> None:
    assert {s for name in releases() for s in shards_of(name)} <= set(shard_keys())


def test_unknown_release_is_refused_in_a_sentence() -> None:
    with pytest.raises(PermanentFailure) as caught:
        shards_of("nothing")
    said = str(caught.value.description)
    assert said.startswith("release 'nothing' does not exist; known releases: cerebragloss-stage1")


def test_shard_of_an_unknown_corpus_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    demo = releases()["demo"]
    misspelt = demo.model_copy(update={"shards": (*demo.shards, "hcm-01-of-08")})
    monkeypatch.setattr(releasing, "releases", lambda: {"demo": misspelt})
    with pytest.raises(PermanentFailure) as caught:
        shards_of("demo")
    said = str(caught.value.description)
    assert said.startswith("release 'demo' names the shard 'hcm-01-of-08', which no corpus has")
    assert ", hmc, " in said
