"""A user's own events: a table of the whole corpus, BIDS words, HED tags; all else is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotated import gathered, outcomes, places
from trees import generic_bids, generic_folder

from dagster_project.corpora.annotations.own import TAGS, WORDS, hed_kinds, is_own, own_events
from dagster_project.corpora.crosswalk import EVENTS
from dagster_project.corpora.registry import corpus, load_entry
from dagster_project.corpora.spec import CorpusSpec

ENTRIES = Path(__file__).parent / "entries"
HEAD = "recording,channel,label,onset_s,duration_s\n"


@pytest.fixture(scope="module", autouse=True)
def registered() -> object:
    """Name the example entries where a user names theirs."""
    from dagster_project.corpora.registry import USER_ENTRIES, corpora

    patch = pytest.MonkeyPatch()
    patch.setenv(USER_ENTRIES, str(ENTRIES))
    corpora.cache_clear()
    yield
    patch.undo()
    corpora.cache_clear()


def folder(root: Path, table: str = "", name: str = "events.csv") -> CorpusSpec:
    generic_folder.write_one(root / "plain-folder/P1/one.edf", 1, 22)
    if table:
        (root / "plain-folder" / name).write_text(table)
    return load_entry(ENTRIES / "plain-folder.yaml")


def bids(root: Path, table: str, said: object = None) -> CorpusSpec:
    """Write one recording of a BIDS data set with its events."""
    place = root / "plain-bids/sub-A/eeg/sub-A_task-rest_eeg.edf"
    generic_folder.write_one(place, 1, 22)
    stem = "sub-A_task-rest_events"
    (place.parent / f"{stem}.tsv").write_text(table.replace("|", "\t"))
    if said is not None:
        (place.parent / f"{stem}.json").write_text(json.dumps(said))
    return load_entry(ENTRIES / "plain-bids.yaml")


def test_a_table_of_the_corpus_becomes_boxes(tmp_path: Path) -> None:
    rows = (
        'P1/one.edf,"FP1,Fp2",eye blink,2,0.4\nP1/one.edf,T3,Muscle artifact,12.5,2\n'
        "P1/one.edf,F8,eyer-,4,1\nP1/one.edf,Cz,Sleep spindle,9.6,0.8\n"
    )
    marks, _, own = gathered(folder(tmp_path, HEAD + rows), tmp_path)
    assert sorted(places(marks.rows)) == [
        ("eyem", "Fp1", 2.0, 2.4), ("eyem", "Fp2", 2.0, 2.4), ("eyer-", "F8", 4.0, 5.0),
        ("hfnoise", "T7", 2.5, 4.5), ("spindle", "Cz", 0.0, 0.4), ("spindle", "Cz", 9.6, 10.0),
    ]  # fmt: skip
    assert {(r["origin"], r["source"], r["weight"]) for r in marks.rows} == {("own", "own", 1.0)}
    assert not own.refused
    assert not own.faults


def test_what_is_not_usable_is_counted_by_cause_and_never_copied(tmp_path: Path) -> None:
    rows = (
        "P1/one.edf,Cz,Mrs Planted-Name,2,0.4\nP9/none.edf,Cz,spindle,2,1\n"
        "P1/one.edf,Cz,spindle,3,0\nP1/one.edf,Cz,spindle,-3,1\nP1/one.edf,Cz,spindle,99,1\n"
        "P1/one.edf,,spindle,3,1\nP1/one.edf,Cz,seizure,3,5\n"
    )
    marks, _, own = gathered(folder(tmp_path, HEAD + rows), tmp_path)
    assert marks.rows == []
    assert dict(own.refused) == {
        ("", "unknown_word"): 1, ("", "unknown_recording"): 1, ("spindle", "no_duration"): 1,
        ("spindle", "outside"): 1,
    }  # fmt: skip
    assert outcomes(marks.tally) == {
        ("spindle", "outside"): 1, ("spindle", "no_channel"): 1, ("seizure", "no_class"): 1,
    }  # fmt: skip
    assert "Planted" not in str((marks, own))


def test_a_point_mark_gets_the_length_of_its_class(tmp_path: Path) -> None:
    marks, _, _ = gathered(folder(tmp_path, f"{HEAD}P1/one.edf,F7,spike,5,0\n"), tmp_path)
    assert places(marks.rows) == [("spike", "F7", 4.965, 5.035)]


@pytest.mark.parametrize(
    ("table", "told"),
    [("recording,channel\na,b\n", "label, onset_s, duration_s"), ("\x00", "")],
    ids=["columns", "no table"],
)
def test_a_table_that_cannot_be_used_is_told(tmp_path: Path, table: str, told: str) -> None:
    spec = folder(tmp_path, table)
    own = own_events(spec, tmp_path, ["plain-folder/P1/one.edf"])
    assert own.events == {}
    assert told in " ".join(own.faults)


def test_words_of_bids_events_are_understood_without_a_mapping(tmp_path: Path) -> None:
    table = (
        "onset|duration|trial_type|channel\n3|0.5|Spindles|C3\n5|1|stand up|C3\n6|0.3|blink|n/a\n"
    )
    marks, _, own = gathered(bids(tmp_path, table), tmp_path)
    assert places(marks.rows) == [("spindle", "C3", 3.0, 3.5)]
    assert dict(own.refused) == {("", "unknown_word"): 1}
    assert outcomes(marks.tally)["blink", "no_channel"] == 1


def test_hed_tags_come_from_the_column_and_from_the_sidecar(tmp_path: Path) -> None:
    table = (
        "onset|duration|trial_type|HED|channel\n"
        "3|0.06|n/a|Epileptiform-interictal-activity, Spike|F7\n"
        "5|0.5|sp|n/a|n/a\n7|1|other|Awake|Cz\n"
    )
    said = {"trial_type": {"HED": {"sp": "(sc:Sleep-spindles, Sensor-list/C3 Cz)"}}}
    marks, _, own = gathered(bids(tmp_path, table, said), tmp_path)
    assert sorted(places(marks.rows)) == [
        ("spike", "F7", 3.0, 3.06), ("spindle", "C3", 5.0, 5.5), ("spindle", "Cz", 5.0, 5.5),
    ]  # fmt: skip
    assert dict(own.refused) == {("", "unknown_word"): 1}


def test_what_an_entry_maps_itself_is_not_counted_twice(tmp_path: Path) -> None:
    generic_bids.write(tmp_path)
    marks, _, own = gathered(load_entry(ENTRIES / "our-clinic.yaml"), tmp_path)
    # a spike of 1.5 s is no single wave; mapped by the entry and known as a word, it is one event
    assert outcomes(marks.tally) == {("spike", "longer_than_class"): 1}
    assert own.refused["", "unknown_word"] > 0


def test_two_tables_that_apply_alike_are_a_fault(tmp_path: Path) -> None:
    spec = bids(tmp_path, "onset|duration|trial_type\n1|1|blink\n")
    eeg = tmp_path / "plain-bids/sub-A/eeg"
    (eeg / "task-rest_events.tsv").write_text("onset\tduration\n")
    (eeg / "sub-A_events.tsv").write_text("onset\tduration\n")
    (eeg / "sub-A_task-rest_events.tsv").unlink()
    own = own_events(spec, tmp_path, ["plain-bids/sub-A/eeg/sub-A_task-rest_eeg.edf"])
    assert own.events == {}
    assert len(own.faults) == 1


def test_corpora_of_the_catalogue_have_label_readers_of_their_own(tmp_path: Path) -> None:
    assert not is_own(corpus("tuar"))
    (tmp_path / "tuar").mkdir()
    (tmp_path / "tuar/events.csv").write_text(f"{HEAD}a.edf,Cz,spindle,1,1\n")
    assert own_events(corpus("tuar"), tmp_path, ["tuar/a.edf"]).events == {}


@pytest.mark.parametrize(
    ("hed", "kinds", "sensors"),
    [
        ("Epileptiform-interictal-activity, Sharp-wave", ("sharp",), ()),
        ("Event/Sensory-event, sc:K-complex", ("kcomplex",), ()),
        ("(Eye-blink-artifact, EMG-artifact)", ("blink", "muscle"), ()),
        ("Sleep-spindles, (Sensor-list/Fp1 T3)", ("spindle",), ("Fp1", "T7")),
        ("Epileptiform-interictal-activity", ("interictal_pattern",), ()),
        ("Red, Blue", (), ()),
    ],
)
def test_hed_tags_name_kinds(hed: str, kinds: tuple[str, ...], sensors: tuple[str, ...]) -> None:
    assert hed_kinds(hed) == (kinds, sensors)


def test_words_and_tags_mean_kinds_we_know() -> None:
    assert set(WORDS.values()) | set(TAGS.values()) <= set(EVENTS)
