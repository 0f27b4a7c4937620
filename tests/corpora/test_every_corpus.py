from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from every_corpus import (
    KEYS,
    SALT,
    Row,
    Shard,
    recording_files,
    recordings,
    segment_rows,
    take_in,
    tree,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.corpora.crosswalk import EVENTS
from dagster_project.corpora.identity import SPLITS, split_of
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.labels.types import SCOPES
from dagster_project.corpora.readers.table import READERS
from dagster_project.corpora.registry import corpora, corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import corpus_folder, find_files, shard_keys, shard_of
from dagster_project.corpora.spec import CorpusSpec
from dagster_project.tables.store import TableStore

TABLES = ("recordings", "recording_rejects", "segments", "segment_rejects")
SHARD_COUNTS = range(1, 8)
STAGES = {None, "W", "N1", "N2", "N3", "R", "REM", "N", "A", "Q"}
MAX_WORDS, MAX_SENTENCE = 80, 400
SENTENCES = {"sentence"}
FAMILIES = {
    "tuh": ("tuab", "tuar", "tuep", "tuev", "tusl", "tusz"),
    "ad65": ("ad65", "ds006036"),
    "dreams-excerpts": ("dreams-artifacts", "dreams-kcomplexes", "dreams-spindles"),
}
POOLED = {"eegmat", "ds006036"}
"""Read by two workers: a pool of processes, and guarded children; starting more takes long."""

TakenIn = Callable[[str], tuple[Shard, ...]]


def is_guarded(spec: CorpusSpec) -> bool:
    """Whether its files are read in a child process, which costs a second or two."""
    kind = READERS[spec.reader.name]
    return any(kind.is_guarded(Path(f"x{suffix}")) for suffix in spec.files.suffixes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("every"))


@pytest.fixture(scope="module")
def taken_in(root: Path) -> TakenIn:
    """Answer with what a corpus gives, taking it in once."""
    known: dict[str, tuple[Shard, ...]] = {}

    def get(key: str) -> tuple[Shard, ...]:
        if key not in known:
            known[key] = take_in(corpus(key), root)
        return known[key]

    return get


@pytest.fixture(scope="module")
def copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same trees made in the opposite order, with other times."""
    target = tmp_path_factory.mktemp("copy")
    for path in sorted((p for p in root.rglob("*") if p.is_file()), reverse=True):
        twin = target / path.relative_to(root)
        twin.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, twin)
        os.utime(twin, (1e9, 1e9 + len(path.name)))
    return target


def hashes(shards: tuple[Shard, ...], folder: Path) -> dict[tuple[str, str], str]:
    """Write the four tables of every shard and return the hashes of the files."""
    store = TableStore(str(folder))
    found = {}
    for s in shards:
        content = (s.inventory.recordings, s.inventory.rejects, s.segments, s.rejects)
        for name, rows in zip(TABLES, content, strict=True):
            found[s.key, name] = store.write(name, s.key, rows).sha256
    return found


@pytest.mark.parametrize("key", KEYS)
def test_every_entry_has_a_tree_that_gives_segments_of_several_people(
    key: str, taken_in: TakenIn
) -> None:
    shards = taken_in(key)
    accepted = {row["subject_id"] for row in recordings(shards) if row["status"] == "accepted"}
    assert len(accepted) >= 3
    segments = segment_rows(shards)
    assert {row["subject_id"] for row in segments} == accepted
    assert {row["corpus"] for row in segments} == {key}


@pytest.mark.parametrize("key", KEYS)
def test_every_file_is_accounted_for_once(key: str, root: Path, taken_in: TakenIn) -> None:
    rows = recordings(taken_in(key))
    assert sorted(row["path"] for row in rows) == recording_files(corpus(key), root)
    assert sum(shard.inventory.n_found for shard in taken_in(key)) == len(rows)
    assert sum(shard.inventory.n_skipped for shard in taken_in(key)) == 0
    rejected = {row["recording_id"]: row["reject_cause"] for row in rows if row["reject_cause"]}
    said = [row for shard in taken_in(key) for row in shard.inventory.rejects]
    assert {row["recording_id"]: row["cause"] for row in said} == rejected
    assert {row["status"] for row in rows} == {"accepted", "rejected"}
    assert len({row["recording_id"] for row in rows}) == len(rows)
    (stray,) = (row for row in rows if "nobody knows whose" in row["path"])
    assert stray["reject_cause"] == "file_name"


def test_nobody_straddles_shards_or_splits(taken_in: TakenIn) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for key in KEYS:
        shards: dict[str, set[str]] = defaultdict(set)
        for row in recordings(taken_in(key)):
            splits[row["subject_id"]].add(row["split"])
            shards[row["subject_id"]].add(row["shard"])
        assert all(len(found) == 1 for found in shards.values()), key
        assert set().union(*shards.values()) <= set(shard_keys(key))
        by_recording = {row["recording_id"]: row for row in recordings(taken_in(key))}
        for row in segment_rows(taken_in(key)):
            of = by_recording[row["recording_id"]]
            assert (row["subject_id"], row["split"]) == (of["subject_id"], of["split"])
    assert all(len(found) == 1 and found <= set(SPLITS) for found in splits.values())


def test_the_same_people_of_two_corpora_are_known_as_the_same(taken_in: TakenIn) -> None:
    people = {
        key: {r["subject_id"] for r in recordings(taken_in(key)) if r["status"] == "accepted"}
        for key in KEYS
    }
    assert people["ad65"] == people["ds006036"]
    assert people["tusz"] & people["tuar"] & people["tuep"] & people["tuev"]
    assert people["tuab"] & people["tuep"]
    family_of = {key: name for name, keys in FAMILIES.items() for key in keys}
    for a in KEYS:
        for b in KEYS:
            if family_of.get(a, a) != family_of.get(b, b):
                assert not people[a] & people[b], f"{a} and {b} share nobody"


def test_families_are_those_the_corpora_document() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for key in KEYS:
        found[corpus(key).identity.family].append(key)
    assert {name: tuple(keys) for name, keys in found.items() if len(keys) > 1} == FAMILIES


@given(
    family=st.sampled_from(sorted(FAMILIES)),
    subject=st.one_of(
        st.from_regex(r"[a-z]{8}", fullmatch=True),
        st.from_regex(r"[0-9]{3}", fullmatch=True),
        st.from_regex(r"[a-zA-Z]{1,3}[0-9]{1,3}", fullmatch=True),
    ),
    seed=st.integers(0, 5),
)
def test_one_identity_has_one_split_in_every_corpus_of_its_family(
    family: str, subject: str, seed: int
) -> None:
    by_identity: dict[str, set[str]] = defaultdict(set)
    for key in FAMILIES[family]:
        spec = corpus(key)
        assert spec.identity_of(subject) == spec.identity_of(subject.upper())
        identity = spec.identity_of(subject)
        by_identity[identity].add(split_of(identity, seed, spec.identity))
    assert all(len(found) == 1 for found in by_identity.values())


@pytest.mark.parametrize("key", KEYS)
def test_a_copy_made_in_another_order_gives_the_same_bytes(
    key: str, copy: Path, taken_in: TakenIn, tmp_path: Path
) -> None:
    n_workers = 2 if key in POOLED else 1
    again = take_in(corpus(key), copy, n_workers)
    for one, two in zip(taken_in(key), again, strict=True):
        assert one.inventory == two.inventory
        assert one.segments.equals(two.segments)
        assert one.rejects.equals(two.rejects)
    first, second = hashes(taken_in(key), tmp_path / "a"), hashes(again, tmp_path / "b")
    assert first == second


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_order_of_a_folder_changes_nothing(
    data: st.DataObject, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    key = data.draw(st.sampled_from(KEYS))
    spec = corpus(key)
    folder = corpus_folder(spec, root)
    assert folder is not None
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    target = tmp_path_factory.mktemp("order")
    for path in data.draw(st.permutations(files)):
        twin = target / path.relative_to(root)
        twin.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, twin)
    wanted = [(f.relative_path, f.identity, f.session) for f in find_files(spec, root)]
    assert [(f.relative_path, f.identity, f.session) for f in find_files(spec, target)] == wanted
    if not is_guarded(spec):
        shard = data.draw(st.sampled_from(sorted({shard_of(spec, str(w[1])) for w in wanted})))
        assert inventory(spec, target, shard, salt=SALT) == inventory(spec, root, shard, salt=SALT)
    shutil.rmtree(target)


def union(spec: CorpusSpec, root: Path, is_read: bool) -> Iterator[tuple[str, Row]]:
    """Yield shard and row of everything in a corpus, for any number of shards."""
    found = [f for f in find_files(spec, root) if f.is_recording]
    for shard in sorted({shard_of(spec, str(f.identity)) for f in found}):
        if is_read:
            rows = inventory(spec, root, shard, salt=SALT).recordings
            yield from ((shard, {k: v for k, v in row.items() if k != "shard"}) for row in rows)
        else:
            for f in found:
                if shard_of(spec, str(f.identity)) == shard:
                    yield shard, {"path": f.relative_path, "subject_id": f.identity}


@pytest.mark.parametrize("key", KEYS)
def test_any_number_of_shards_gives_the_same_rows(key: str, root: Path, taken_in: TakenIn) -> None:
    spec, is_read = corpus(key), not is_guarded(corpus(key))
    by_path = {row["path"]: row for row in recordings(taken_in(key))}
    for n in SHARD_COUNTS:
        rows = list(union(spec.model_copy(update={"n_shards": n}), root, is_read))
        assert sorted(row["path"] for _, row in rows) == sorted(by_path)
        shards: dict[str, set[str]] = defaultdict(set)
        for shard, row in rows:
            shards[row["subject_id"]].add(shard)
            was = by_path[row["path"]]
            # Twins are looked for inside a shard; across shards that is the leakage check's task.
            if is_read and "duplicate" not in (was["reject_cause"], row["reject_cause"]):
                assert row == {k: v for k, v in was.items() if k != "shard"}
        assert all(len(found) == 1 for found in shards.values())
        assert len(set().union(*shards.values())) <= n


@pytest.mark.parametrize("key", ["tuab", "mdd-64"])
def test_the_segments_do_not_depend_on_the_shards(key: str, root: Path, taken_in: TakenIn) -> None:
    spec = corpus(key)
    wanted = {row["segment_id"]: row for row in segment_rows(taken_in(key))}
    rows = [row for row in recordings(taken_in(key)) if row["status"] == "accepted"]
    found = process_shard(spec, root, rows[::-1]).segments.drop_columns(["signal"]).to_pylist()
    assert {row["segment_id"]: row for row in found} == wanted


@pytest.mark.parametrize("key", KEYS)
def test_labels_and_events_are_of_the_closed_lists(key: str, taken_in: TakenIn) -> None:
    segments = segment_rows(taken_in(key))
    labels = [x for row in (*segments, *recordings(taken_in(key))) for x in row["labels"]]
    assert {label["scope"] for label in labels} <= set(SCOPES)
    for label in labels:
        texts = {name: text for name, text in label.items() if name != "scope"}
        assert all(text and text.isprintable() and text == text.strip() for text in texts.values())
        limit = MAX_SENTENCE if label["name"] in SENTENCES else MAX_WORDS
        assert len(label["value"]) <= limit, label["name"]
        assert max(len(label["name"]), len(label["source"])) <= MAX_WORDS
    assert {event["kind"] for row in segments for event in row["events"]} <= set(EVENTS)
    assert {row["stage_context"] for row in segments} <= STAGES


@pytest.mark.parametrize("key", KEYS)
def test_everything_lies_inside_its_segment(key: str, taken_in: TakenIn) -> None:
    by_recording = {row["recording_id"]: row for row in recordings(taken_in(key))}
    for row in segment_rows(taken_in(key)):
        assert 0 < row["recorded_s"] <= 10
        assert row["start_s"] >= 0
        assert row["start_sample"] >= 0
        of = by_recording[row["recording_id"]]
        end_sample = row["start_sample"] + row["recorded_s"] * of["sfreq_hz"]
        assert end_sample <= of["duration_s"] * of["sfreq_hz"] + 1
        assert len(row["mask"]) == len(row["ch_names"])
        assert any(row["mask"])
        for event in row["events"]:
            assert 0 <= event["t0_s"] < event["t1_s"] <= 10
            assert set(event["channels"]) == {c.strip() for c in event["channels"]}
            assert all(0 < len(channel) <= 16 for channel in event["channels"])
            assert event["source"]
        stages = {
            x["value"] for x in row["labels"] if (x["scope"], x["name"]) == ("epoch", "stage")
        }
        assert row["stage_context"] is None or row["stage_context"] in stages


def test_no_id_is_given_twice(taken_in: TakenIn) -> None:
    segments = [row["segment_id"] for key in KEYS for row in segment_rows(taken_in(key))]
    assert len(set(segments)) == len(segments)
    assert set(corpora()) >= set(KEYS)
