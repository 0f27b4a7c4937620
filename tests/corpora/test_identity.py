from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.corpora.identity import age_band, session_name, split_of, subject_id
from dagster_project.corpora.order import natural_key
from dagster_project.corpora.registry import corpora, corpus
from dagster_project.corpora.shards import (
    corpus_of_shard,
    shard_keys,
    shard_of,
)
from dagster_project.corpora.spec import IdentityRule

BY_HASH = IdentityRule(family="any")
BY_NUMBER = IdentityRule(family="simulated", split_rule="number")


@given(st.text(min_size=1), st.text(min_size=1))
def test_subject_ids_hide_and_separate(identity: str, salt: str) -> None:
    found = subject_id(identity, salt)
    assert found == subject_id(identity, salt)
    assert found != subject_id(identity + "x", salt)
    assert found != subject_id(identity, salt + "x")
    assert len(found) == 18


def test_an_empty_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="salt is empty"):
        subject_id("eegmat:subject00", "")


@pytest.mark.parametrize(
    ("age", "band"),
    [(None, None), (1.5, "0-9"), (9.99, "0-9"), (10, "10-19"), (33, "30-39"), (89.9, "80-89"),
     (90, "90+"), (101, "90+"), (-1, None), (500, None)],
)  # fmt: skip
def test_ages_become_bands(age: float | None, band: str | None) -> None:
    assert age_band(age) == band


@pytest.mark.parametrize(
    ("key", "name", "subject", "identity"),
    [
        ("eegmat", "Subject04_2.edf", "Subject04", "eegmat:subject04"),
        ("eegmmidb", "S001/S001R03.edf", "S001", "eegmmidb:s001"),
        ("chb-mit", "chb01/chb01_03.edf", "chb01", "chb-mit:chb01"),
        ("chb-mit", "chb21/chb21_01.edf", "chb21", "chb-mit:chb01"),
        ("chb-mit", "chb17/chb17a_03.edf", "chb17", "chb-mit:chb17"),
        ("chb-mit", "chb02/chb02_16+.edf", "chb02", "chb-mit:chb02"),
        ("sleep-edfx", "sleep-cassette/SC4001E0-PSG.edf", "SC400", "sleep-edfx:sc400"),
        ("sleep-edfx", "sleep-cassette/SC4002E0-PSG.edf", "SC400", "sleep-edfx:sc400"),
        ("sleep-edfx", "sleep-telemetry/ST7011J0-PSG.edf", "ST701", "sleep-edfx:st701"),
        ("simulated", "sub-01/sub-01_awake.edf", "sub-01", "simulated:sub-01"),
    ],
)
def test_file_names_give_the_identity(key: str, name: str, subject: str, identity: str) -> None:
    spec = corpus(key)
    match = spec.match_file(name)
    assert match is not None
    assert match["subject"] == subject
    assert spec.identity_of(subject) == identity


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("sleep-edfx", "sleep-cassette/SC4001EC-Hypnogram.edf"),
        ("chb-mit", "chb01/chb01-summary.txt"),
        ("chb-mit", "SUBJECT-INFO"),
        ("eegmat", "subject-info.csv"),
        ("eegmmidb", "S001/S001R03.edf.event"),
        ("simulated", "sub-01/sub-01_awake_truth.json"),
    ],
)
def test_sidecars_are_no_recordings(key: str, name: str) -> None:
    assert corpus(key).match_file(name) is None
    assert corpus(key).match_companion(name) is not None


def test_shard_keys_are_static_few_and_named() -> None:
    keys = shard_keys()
    assert len(keys) == len(set(keys)) == sum(s.n_shards for s in corpora().values()) <= 300
    assert {s.key: s.n_shards for s in corpora().values() if s.key in {
        "eegmat", "eegmmidb", "chb-mit", "sleep-edfx", "simulated"}} == {
        "eegmat": 1, "eegmmidb": 4, "chb-mit": 8, "sleep-edfx": 16, "simulated": 2,
    }  # fmt: skip
    assert "chb-mit-03-of-08" in keys
    assert all(corpus_of_shard(key).key == key.rsplit("-", 3)[0] for key in keys)


@pytest.mark.parametrize(
    "key", ["chb-mit-09-of-08", "chb-mit-00-of-08", "nope-01-of-01", "eegmat", ""]
)
def test_unknown_shards_are_named_in_the_error(key: str) -> None:
    with pytest.raises(KeyError, match="is not known; keys look like"):
        corpus_of_shard(key)


def test_unknown_corpora_list_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"known corpora: .*eegmat"):
        corpus("nope")


@given(st.sampled_from(sorted(corpora())), st.text(min_size=1, max_size=12))
def test_a_subject_has_one_shard_of_its_own_corpus(key: str, subject: str) -> None:
    spec = corpus(key)
    identity = spec.identity_of(subject)
    assert shard_of(spec, identity) in shard_keys(key)
    assert shard_of(spec, identity) == shard_of(spec, spec.identity_of(subject.lower()))


def test_shards_are_frozen() -> None:
    found = {n: shard_of(corpus("chb-mit"), f"chb-mit:chb{n:02d}") for n in (1, 2, 12, 24)}
    assert found == {
        1: "chb-mit-08-of-08", 2: "chb-mit-01-of-08", 12: "chb-mit-02-of-08", 24: "chb-mit-07-of-08",
    }  # fmt: skip


@given(st.integers(0, 100))
def test_shares_of_the_split_are_70_15_15(seed: int) -> None:
    splits = [split_of(f"family:{n}", seed, BY_HASH) for n in range(2000)]
    for name, share in (("train", 0.70), ("validation", 0.15), ("test", 0.15)):
        assert splits.count(name) / 2000 == pytest.approx(share, abs=0.05)


def test_splits_are_frozen() -> None:
    found = [split_of(f"eegmat:subject{n:02d}", 0, BY_HASH) for n in (0, 1, 4, 10, 31, 35)]
    assert found == ["train", "test", "train", "validation", "test", "train"]


def test_eight_simulated_subjects_fill_all_splits() -> None:
    found = [split_of(f"simulated:sub-{n:02d}", 42, BY_NUMBER) for n in range(1, 9)]
    assert {name: found.count(name) for name in set(found)} == {
        "train": 4,
        "validation": 2,
        "test": 2,
    }


@given(st.integers(0, 1000), st.integers(1, 997))
def test_any_four_neighbouring_simulated_subjects_fill_all_splits(seed: int, first: int) -> None:
    found = {split_of(f"simulated:sub-{n:02d}", seed, BY_NUMBER) for n in range(first, first + 4)}
    assert found == {"train", "validation", "test"}


def test_natural_order() -> None:
    assert sorted(["r10", "r2", "r1", "a"], key=natural_key) == ["a", "r1", "r2", "r10"]


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [("01", True), ("hc", True), ("a_03", True), ("4.5.6", True), ("psg", True), ("", True),
     ("20240131", False), ("2024-01-31", False), ("310124a", False), ("x" * 25, False)],
)  # fmt: skip
def test_a_session_named_by_its_day_is_stored_as_a_hash(text: str, is_kept: bool) -> None:
    stored = session_name(text)
    assert (stored == text) is is_kept
    assert is_kept or (stored.startswith("v-") and text not in stored)
