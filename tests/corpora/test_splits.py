from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from formats.edf import write_eeg
from hypothesis import given
from hypothesis import strategies as st
from trees import seed as seed_tree

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.labels.types import Interval, Label
from dagster_project.corpora.registry import CATALOGUE, CatalogueError, corpus, load_entry
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys
from dagster_project.corpora.spec import CorpusSpec
from dagster_project.corpora.splits import SplitFile, recording_splits, segment_splits

SITES = ("Fp1", "F3", "C3", "P3", "O1", "Fp2", "F4", "C4", "P4", "O2")


def files_of(spec: CorpusSpec, paths: list[str]) -> list[SplitFile]:
    found = []
    for path in paths:
        match = spec.match_file(path)
        assert match, path
        found.append(SplitFile(path, match.groupdict(), spec.identity_of(match["subject"])))
    return found


def parts_of(spec: CorpusSpec, paths: list[str], protocol: str) -> dict[str, str]:
    """Values of one protocol, having checked that the order of the files does not matter."""
    files = files_of(spec, paths)
    said = recording_splits(spec, files)
    for order in (files[::-1], random.Random(4).sample(files, len(files))):
        assert recording_splits(spec, order) == said
    assert all(label.scope == "split" for labels in said.values() for label in labels)
    return {
        p: label.value for p, labels in said.items() for label in labels if label.name == protocol
    }


def name_of(number: int) -> str:
    """Return an eight-letter patient id that grows with the number."""
    letters = ""
    for _ in range(8):
        letters = chr(97 + number % 26) + letters
        number //= 26
    return letters


TUAB = [
    f"edf/{part}/{kind}/01_tcp_ar/{name_of(n)}_s001_t000.edf"
    for part, first, last in (("train", 0, 400), ("eval", 400, 500))
    for kind in ("normal", "abnormal")
    for n in range(first, last)
]


def test_tuab_keeps_the_official_test_and_hashes_validation_by_person() -> None:
    spec = corpus("tuab")
    official, neurolm = (parts_of(spec, TUAB, p) for p in ("official", "neurolm"))
    for path, part in official.items():
        assert part == ("test" if "/eval/" in path else "train")
        assert (neurolm[path] == "test") == (part == "test")
    # NeuroLM shuffles each class by itself; here a person of both classes is on one side.
    of_person: dict[str, set[str]] = {}
    for path, part in neurolm.items():
        of_person.setdefault(path.rsplit("/", 1)[1][:8], set()).add(part)
    assert {len(parts) for parts in of_person.values()} == {1}
    n_validation = Counter(neurolm.values())["validation"] / 800
    assert 0.14 < n_validation < 0.26


def test_tuab_validation_is_the_same_in_a_copy_that_is_not_whole() -> None:
    spec = corpus("tuab")
    whole = parts_of(spec, TUAB, "neurolm")
    assert parts_of(spec, TUAB[::3], "neurolm") == {path: whole[path] for path in TUAB[::3]}


TUEV = [f"edf/train/{name_of(n)}/{name_of(n)}_0000000{k}.edf" for n in range(180) for k in (1, 2)]
TUEV += [f"edf/eval/{n:03d}/bckg_{n:03d}_a_.edf" for n in range(158)]


def test_tuev_draws_a_fifth_of_the_sorted_people_with_the_published_seed() -> None:
    spec = corpus("tuev")
    assert len(TUEV) == spec.expected.n_recordings
    parts = parts_of(spec, TUEV, "neurolm")
    people = sorted({path.split("/")[2] for path in TUEV if "/train/" in path})
    drawn = np.random.RandomState(4523).choice(people, size=36, replace=False)
    for path, part in parts.items():
        person = path.split("/")[2]
        wanted = "test" if "/eval/" in path else "validation" if person in drawn else "train"
        assert part == wanted


def test_tuev_draws_nobody_from_a_copy_that_is_not_whole() -> None:
    parts = parts_of(corpus("tuev"), TUEV[1:], "neurolm")
    assert {parts[p] for p in TUEV[1:] if "/train/" in p} == {"unknown"}
    assert {parts[p] for p in TUEV if "/eval/" in p} == {"test"}


def test_hmc_takes_sorted_recordings_100_25_26() -> None:
    spec = corpus("hmc")
    numbers = [n for n in range(1, 155) if n not in {14, 64, 135}]
    paths = [f"recordings/SN{n:03d}.edf" for n in numbers]
    parts = parts_of(spec, paths, "neurolm")
    assert [parts[p] for p in paths] == ["train"] * 100 + ["validation"] * 25 + ["test"] * 26
    said = recording_splits(spec, files_of(spec, paths))
    assert {label.source for labels in said.values() for label in labels} == {
        "plain order of 151 files"
    }


def test_an_order_is_not_guessed_from_a_copy_that_is_not_whole() -> None:
    spec = corpus("hmc")
    said = recording_splits(spec, files_of(spec, [f"SN{n:03d}.edf" for n in range(1, 151)]))
    labels = {label for labels in said.values() for label in labels}
    source = "plain order of 150 files; 150 of 151 files are there"
    assert labels == {Label("split", "neurolm", "unknown", source)}


def test_workload_takes_26_5_5_people() -> None:
    paths = [f"Subject{n:02d}_{k}.edf" for n in range(36) for k in (1, 2)]
    parts = parts_of(corpus("eegmat"), paths, "neurolm")
    people = {p: {parts[f"Subject{p:02d}_{k}.edf"] for k in (1, 2)} for p in range(36)}
    wanted = ["train"] * 26 + ["validation"] * 5 + ["test"] * 5
    assert [people[p] for p in range(36)] == [{part} for part in wanted]


def test_plain_and_natural_order_differ_where_numbers_are_not_padded() -> None:
    def entry(sort: str) -> CorpusSpec:
        content = CorpusSpec.model_validate_json(corpus("hmc").model_dump_json()).model_dump()
        content["files"]["pattern"] = r"s(?P<subject>\d+)\.edf$"
        content["expected"]["n_recordings"] = 3
        content["splits"] = [
            {
                "name": "order",
                "params": {"protocol": "p", "counts": {"train": 2, "test": 1}, "sort": sort},
            }
        ]
        return CorpusSpec.model_validate(content, strict=False)

    paths = ["s10.edf", "s2.edf", "s1.edf"]
    natural = {"s1.edf": "train", "s2.edf": "train", "s10.edf": "test"}
    assert parts_of(entry("natural"), paths, "p") == natural
    assert parts_of(entry("plain"), paths, "p") == {
        "s1.edf": "train", "s10.edf": "train", "s2.edf": "test",
    }  # fmt: skip


def test_tusl_groups_by_person_and_agrees_with_nothing_but_the_shares() -> None:
    spec = corpus("tusl")
    paths = [
        f"edf/{name_of(n)}/s00{k}_2010/01_tcp_ar/{name_of(n)}_s00{k}_t000.edf"
        for n in range(600)
        for k in (1, 2)
    ]
    parts = parts_of(spec, paths, "neurolm")
    assert all(parts[a] == parts[b] for a, b in zip(paths[::2], paths[1::2], strict=True))
    counts = Counter(parts[p] for p in paths[::2])
    assert 0.54 < counts["train"] / 600 < 0.66
    assert 0.15 < counts["validation"] / 600 < 0.25


def test_listed_subjects_are_found_in_any_case() -> None:
    paths = [f"PN{n:02d}/PN{n:02d}-1.edf" for n in (0, 9, 13, 16, 17)]
    spec = corpus("siena")
    parts = parts_of(spec, paths, "eeg-fm-bench")
    assert list(parts.values()) == ["train", "validation", "validation", "test", "test"]


def test_a_part_nobody_listed_is_unknown() -> None:
    spec = corpus("seed")
    path = "Preprocessed_EEG/16_20131027.mat"
    assert parts_of(spec, [path], "subject") == {path: "unknown"}


def trial(number: str, t0_s: float, t1_s: float) -> Interval:
    return Interval(t0_s, t1_s, Label("file", "trial", number, "annotations"))


@pytest.mark.parametrize(
    ("number", "part"),
    [("1", "train"), ("9", "train"), ("10", "validation"), ("012", "validation"), ("15", "test")],
)
def test_seed_goes_by_trial_in_every_session(number: str, part: str) -> None:
    found = segment_splits(corpus("seed"), [trial(number, 5, 200)], 20.0, 30.0)
    assert [(label.name, label.value) for label in found] == [("neurolm", part)]


def test_a_stretch_between_trials_of_two_parts_or_outside_has_no_part() -> None:
    trials = [
        trial("8", 0, 100),
        trial("9", 100, 200),
        trial("10", 200, 300),
        trial("99", 300, 400),
    ]
    spec = corpus("seed")

    def parts(t0_s: float) -> list[str]:
        return [label.value for label in segment_splits(spec, trials, t0_s, t0_s + 10)]

    assert parts(95) == ["train"]
    assert parts(195) == []
    assert parts(200) == ["validation"]
    assert parts(305) == []
    assert parts(400) == []
    assert parts(199.9999999999) == ["validation"]  # a clock of sums, not a stretch of two trials


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40, unique=True))
def test_a_hash_never_depends_on_who_else_is_there(numbers: list[int]) -> None:
    spec = corpus("tusl")
    paths = [f"{name_of(n)}/s001/01_tcp_ar/{name_of(n)}_s001_t000.edf" for n in numbers]
    together = recording_splits(spec, files_of(spec, paths))
    alone = {p: recording_splits(spec, files_of(spec, [p]))[p] for p in paths}
    assert together == alone


def test_rows_of_recordings_and_segments_carry_the_labels(tmp_path: Path) -> None:
    spec = corpus("siena")
    folder = tmp_path / spec.folders[0]
    for subject in ("PN16", "PN03"):
        write_eeg(
            folder / subject / f"{subject}-1.edf",
            [f"EEG {s}" for s in SITES],
            seed=int(subject[2:]),
        )
    rows = []
    for shard in shard_keys("siena"):
        rows += inventory(spec, tmp_path, shard, salt="salt").recordings
    for row in rows:
        assert row["status"] == "accepted", row["reject_cause"]
        wanted = "test" if "PN16" in row["path"] else "train"
        said = [(x["name"], x["value"]) for x in row["labels"] if x["scope"] == "split"]
        assert said == [("eeg-fm-bench", wanted)]
        made = process_shard(spec, tmp_path, [row]).segments.to_pylist()
        assert made
        for segment in made:
            said = [(x["name"], x["value"]) for x in segment["labels"] if x["scope"] == "split"]
            assert said == [("eeg-fm-bench", wanted)]
            assert segment["split"] == row["split"]


def test_segments_of_trials_carry_the_part_of_their_trial(tmp_path: Path) -> None:
    seed_tree.write_file(tmp_path / "seed" / "Preprocessed_EEG" / "1_20131027.mat", "djc", 15)
    spec = corpus("seed")
    taken = [inventory(spec, tmp_path, shard, salt="salt") for shard in shard_keys("seed")]
    (row,) = (row for found in taken for row in found.recordings)
    assert row["status"] == "accepted", row["reject_cause"]
    assert [x["name"] for x in row["labels"] if x["scope"] == "split"] == ["subject"]
    seen = Counter()
    for segment in process_shard(spec, tmp_path, [row]).segments.to_pylist():
        number = next(int(x["value"]) for x in segment["labels"] if x["name"] == "trial")
        parts = {x["name"]: x["value"] for x in segment["labels"] if x["scope"] == "split"}
        wanted = "train" if number <= 9 else "validation" if number <= 12 else "test"
        assert parts == {"subject": "train", "neurolm": wanted}
        seen[wanted] += 1
    assert seen == {"train": 9, "validation": 3, "test": 3}


WRONG = {
    "no such protocol": ([{"name": "guess", "params": {"protocol": "p"}}], "'guess' is not known"),
    "no such part": (
        [{"name": "subjects", "params": {"protocol": "p", "subjects": {"dev": ["1"]}}}], "subjects",
    ),
    "one person in two parts": (
        [{"name": "subjects", "params": {"protocol": "p", "subjects": {"test": ["1"], "train": ["1"]}}}],
        "listed twice",
    ),
    "shares that are no whole": (
        [{"name": "hash", "params": {"protocol": "p", "shares": {"train": 0.6, "test": 0.2}}}],
        "add up to 1",
    ),
    "counts that are not the corpus": (
        [{"name": "order", "params": {"protocol": "p", "counts": {"train": 9}, "sort": "plain"}}],
        "counts of 9 files",
    ),
    "a group the pattern has not": (
        [{"name": "path", "params": {"protocol": "p", "group": "folder", "parts": {"a": "train"}}}],
        "no group 'folder'",
    ),
    "a draw from a corpus of unknown size": (
        [{"name": "path", "params": {"protocol": "p", "group": "subject", "parts": {"a": "train"},
                                     "validation_share": 0.2, "validation_by": "draw"}}],
        "expected.n_recordings",
    ),
    "one protocol twice": (
        [{"name": "subjects", "params": {"protocol": "p", "subjects": {"test": ["1"]}}},
         {"name": "hash", "params": {"protocol": "p", "shares": {"test": 1.0}}}],
        "named twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_entry_with_an_impossible_split_is_refused(tmp_path: Path, name: str) -> None:
    splits, message = WRONG[name]
    content = yaml.safe_load((CATALOGUE / "pd31.yaml").read_text("utf-8"))
    content["splits"] = splits
    content["expected"] = {"n_recordings": 0}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(CatalogueError, match=message):
        load_entry(path)
