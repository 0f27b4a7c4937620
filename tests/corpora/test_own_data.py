"""A hospital's own data: BIDS-EEG and folders of EDF, by a short entry and no code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trees import generic_bids, generic_folder

from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import CatalogueError, load_entry
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import find_files
from dagster_project.corpora.spec import CorpusSpec
from detectors.types import CANONICAL19

ENTRIES = Path(__file__).parent / "entries"


@pytest.fixture(scope="module", autouse=True)
def registered() -> Any:
    """Name the example entries where a user names theirs."""
    from dagster_project.corpora.registry import USER_ENTRIES, corpora

    patch = pytest.MonkeyPatch()
    patch.setenv(USER_ENTRIES, str(ENTRIES))
    corpora.cache_clear()
    yield
    patch.undo()
    corpora.cache_clear()


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bids")
    generic_bids.write(root)
    return root


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ward")
    generic_folder.write(root)
    return root


def take(spec: CorpusSpec, root: Path) -> Inventory:
    return inventory(spec, root, f"{spec.key}-01-of-01", salt="x")


def said(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


def segments(spec: CorpusSpec, root: Path, row: dict[str, Any]) -> list[dict[str, Any]]:
    return process_shard(spec, root, [row]).segments.drop_columns(["signal"]).to_pylist()


def eyes(spec: CorpusSpec, root: Path, row: dict[str, Any]) -> list[str]:
    return [
        "+".join(x["value"] for x in s["labels"] if x["name"] == "eyes")
        for s in segments(spec, root, row)
    ]


CLINIC, WARD = (load_entry(ENTRIES / f"{name}.yaml") for name in ("our-clinic", "ward-7"))


def test_all_four_formats_of_bids_are_read(bids: Path) -> None:
    found = take(CLINIC, bids)
    assert [(r["path"].split("/")[1], r["format"], r["status"]) for r in found.recordings] == [
        ("sub-A01", "edf", "accepted"),
        ("sub-A02", "bdf", "accepted"),
        ("sub-A03", "eeglab", "accepted"),
        ("sub-A04", "brainvision", "accepted"),
    ]
    assert [r["session"] for r in found.recordings] == ["01", "01", "01", ""]


def test_derivatives_are_not_walked(bids: Path) -> None:
    assert not any("derivatives" in f.relative_path for f in find_files(CLINIC, bids))


def test_sidecars_are_inherited_and_the_nearer_overrides(bids: Path) -> None:
    rows = take(CLINIC, bids).recordings
    # the data set's JSON says mastoids and 50 Hz; sub-A02's own only says 60 Hz
    assert {said(r)["reference_sidecar"] for r in rows} == {"mastoids"}
    assert [said(r).get("line_freq_sidecar") for r in rows] == [
        None, "60, disagrees", None, None
    ]  # fmt: skip
    assert {r["line_freq_hz"] for r in rows} == {50.0}


def test_channels_of_other_types_are_out_and_bad_ones_masked(bids: Path) -> None:
    rows = take(CLINIC, bids).recordings
    assert [said(r)["not_eeg_channels_dropped"] for r in rows] == ["3"] * 4
    assert [said(r).get("bad_channels") for r in rows] == ["2", None, None, None]
    (first, *_) = segments(CLINIC, bids, rows[0])
    missing = [n for n, has in zip(CANONICAL19, first["mask"], strict=True) if not has]
    assert missing == ["T7", "O1"]


def test_bad_channels_may_be_kept(bids: Path, tmp_path: Path) -> None:
    entry = tmp_path / "own.yaml"
    text = (ENTRIES / "our-clinic.yaml").read_text()
    entry.write_text(text.replace("kind: bids", "kind: bids\n  bad_channels: keep"))
    spec = load_entry(entry)
    row = take(spec, bids).recordings[0]
    assert said(row)["bad_channels"] == "2"
    assert all(segments(spec, bids, row)[0]["mask"])


def test_a_channel_table_of_another_file_is_a_contradiction(tmp_path: Path) -> None:
    generic_bids.write(tmp_path)
    path = next((tmp_path / "our-clinic/sub-A01").rglob("*channels.tsv"))
    path.write_text("name\ttype\tunits\nE1\tEEG\tuV\nE2\tEEG\tuV\n")
    found = take(CLINIC, tmp_path)
    assert [r["reject_cause"] for r in found.recordings] == ["bad_labels", None, None, None]


def test_units_that_are_no_voltage_are_out_and_other_voltages_are_said(tmp_path: Path) -> None:
    generic_bids.write(tmp_path)
    path = next((tmp_path / "our-clinic/sub-A01").rglob("*channels.tsv"))
    text = generic_bids.channels_tsv().replace("Fz\tEEG\tµV", "Fz\tEEG\ta.u.")
    path.write_text(text.replace("F3\tEEG\tµV", "F3\tEEG\tV"), "utf-8")
    row = take(CLINIC, tmp_path).recordings[0]
    assert said(row)["no_voltage_channels_dropped"] == "1"
    assert said(row)["units_sidecar"] == "1 disagree"
    (first, *_) = segments(CLINIC, tmp_path, row)
    missing = [n for n, has in zip(CANONICAL19, first["mask"], strict=True) if not has]
    assert missing == ["Fz"]


def test_a_sidecar_of_another_task_does_not_apply(tmp_path: Path) -> None:
    generic_bids.write(tmp_path)
    eeg = tmp_path / "our-clinic/sub-A02/ses-01/eeg"
    table = "onset\tduration\ttrial_type\n0\t60\teyes_open\n"
    (eeg / "sub-A02_ses-01_task-other_events.tsv").write_text(table)
    row = take(CLINIC, tmp_path).recordings[1]
    assert said(row)["events"] == "missing"
    (eeg.parent / "sub-A02_ses-01_events.tsv").write_text(table)
    assert eyes(CLINIC, tmp_path, row) == ["open"] * 6


def test_two_sidecars_that_apply_alike_are_a_contradiction(tmp_path: Path) -> None:
    generic_bids.write(tmp_path)
    eeg = tmp_path / "our-clinic/sub-A02/ses-01/eeg"
    for name in ("sub-A02_task-rest_events.tsv", "ses-01_task-rest_events.tsv"):
        (eeg / name).write_text("onset\tduration\ttrial_type\n")
    assert take(CLINIC, tmp_path).recordings[1]["reject_cause"] == "bad_labels"


def test_mapped_words_become_intervals_and_events(bids: Path) -> None:
    row = take(CLINIC, bids).recordings[0]
    # closed from 0, open from 30, closed from 59 s to the end
    assert eyes(CLINIC, bids, row) == [
        "closed", "closed", "closed", "open", "open", "open+closed"
    ]  # fmt: skip
    events = [s["events"] for s in segments(CLINIC, bids, row)]
    assert [len(e) for e in events] == [0, 0, 0, 0, 1, 0]
    (spike,) = events[4]
    assert (spike["kind"], spike["channels"], spike["t0_s"], spike["t1_s"], spike["source"]) == (
        "spike", ["F7"], 0.5, 2.0, "events.tsv",
    )  # fmt: skip


def test_other_words_are_counted_and_never_copied(bids: Path, ward: Path) -> None:
    for spec, root in ((CLINIC, bids), (WARD, ward)):
        found = take(spec, root)
        rows = [r for r in found.recordings if r["status"] == "accepted"]
        assert said(rows[0])["events_not_mapped"] == "1"
        cut = [segments(spec, root, r) for r in rows]
        assert sum(map(len, cut)) == 24
        assert "Planted" not in str((found, cut))


def test_an_event_past_the_end_is_counted(bids: Path) -> None:
    assert said(take(CLINIC, bids).recordings[0])["events_outside"] == "1"


def test_ages_sexes_and_groups_come_from_the_participants(bids: Path) -> None:
    rows = take(CLINIC, bids).recordings
    assert [(r["age_band"], r["sex"], said(r).get("diagnosis")) for r in rows] == [
        ("30-39", "F", "epilepsy"), ("90+", "M", "control"), (None, None, "unknown"),
        (None, None, None),
    ]  # fmt: skip
    assert said(rows[3])["subject_table"] == "missing"


def test_onsets_in_milliseconds_are_a_contradiction(tmp_path: Path) -> None:
    generic_bids.write(tmp_path)
    path = next((tmp_path / "our-clinic/sub-A01").rglob("*events.tsv"))
    path.write_text("onset\tduration\ttrial_type\n90000\t1\teyes_open\n95000\t1\teyes_closed\n")
    assert take(CLINIC, tmp_path).recordings[0]["reject_cause"] == "bad_labels"


@pytest.mark.parametrize(
    "text",
    [
        "onset\tduration\tevent\n1\t1\teyes_open\n",
        "onset\tduration\ttrial_type\nsoon\t1\teyes_open\n",
    ],
    ids=["no such column", "no number"],
)
def test_a_table_that_is_no_event_table_is_set_aside(tmp_path: Path, text: str) -> None:
    generic_bids.write(tmp_path)
    next((tmp_path / "our-clinic/sub-A01").rglob("*events.tsv")).write_text(text)
    found = take(CLINIC, tmp_path)
    assert [r["reject_cause"] for r in found.recordings] == ["bad_labels", None, None, None]


@pytest.mark.parametrize("text", ["{not json", "[1]", "[" * 200_000], ids=["text", "list", "deep"])
def test_a_broken_json_sidecar_is_set_aside(tmp_path: Path, text: str) -> None:
    generic_bids.write(tmp_path)
    next((tmp_path / "our-clinic/sub-A02").rglob("*eeg.json")).write_text(text)
    causes = [r["reject_cause"] for r in take(CLINIC, tmp_path).recordings]
    assert causes == [None, "bad_labels", None, None]


def test_a_name_outside_the_layout_is_accounted_for(tmp_path: Path) -> None:
    generic_bids.write(tmp_path)
    (tmp_path / "our-clinic/sub-A01/stray.edf").write_bytes(b"x")
    rows = take(CLINIC, tmp_path).recordings
    assert [r["reject_cause"] for r in rows if "stray" in r["path"]] == ["file_name"]


def test_sidecars_are_watched(bids: Path) -> None:
    watched = {f.path.name: f.identity for f in find_files(CLINIC, bids) if not f.is_recording}
    assert watched == {
        "participants.tsv": None,
        "task-rest_channels.tsv": None,
        "task-rest_eeg.json": None,
        "sub-A01_ses-01_task-rest_channels.tsv": "our-clinic:a01",
        "sub-A01_ses-01_task-rest_events.tsv": "our-clinic:a01",
        "sub-A02_ses-01_task-rest_eeg.json": "our-clinic:a02",
        "sub-A03_ses-01_task-rest_eeg.fdt": "our-clinic:a03",
        "sub-A04_task-rest_eeg.eeg": "our-clinic:a04",
        "sub-A04_task-rest_eeg.vmrk": "our-clinic:a04",
    }


def test_a_folder_is_read_by_pattern_table_and_annotations(ward: Path) -> None:
    rows = take(WARD, ward).recordings
    assert [
        (r["path"].removeprefix("ward-7/"), r["age_band"], r["sex"], said(r).get("diagnosis"))
        for r in rows
    ] == [
        ("control/P003/long name.edf", None, None, "control"),
        ("epilepsy/P001/2024-01-03.edf", "0-9", "F", "epilepsy"),
        ("epilepsy/P001/2024-05-01.EDF", "0-9", "F", "epilepsy"),
        ("epilepsy/P002/a.bdf", "90+", "M", "epilepsy"),
        ("somewhere else/P004/b.edf", None, None, None),
    ]
    assert rows[1]["subject_id"] == rows[2]["subject_id"] != rows[3]["subject_id"]
    # closed from 0, open from 20, closed from 40 s on
    assert eyes(WARD, ward, rows[1]) == ["closed"] * 2 + ["open"] * 2 + ["closed"] * 2
    assert said(rows[3])["events"] == "missing"


def test_a_folder_name_the_entry_has_no_word_for_is_set_aside(ward: Path) -> None:
    found = take(WARD, ward)
    assert found.recordings[-1]["reject_cause"] == "bad_labels"
    assert "control, epilepsy" in found.rejects[0]["detail"]
    assert "somewhere" not in found.rejects[0]["detail"]


def test_the_shortest_entries_work(tmp_path: Path) -> None:
    plain, flat = (load_entry(ENTRIES / f"plain-{kind}.yaml") for kind in ("bids", "folder"))
    generic_bids.write(tmp_path)
    (tmp_path / "our-clinic").rename(tmp_path / "plain-bids")
    generic_folder.write_one(tmp_path / "plain-folder/P1/deep/one.edf", 1, 12)
    generic_folder.write_one(tmp_path / "plain-folder/P1/two.EDF", 2, 12)
    generic_folder.write_one(tmp_path / "plain-folder/alone.edf", 3, 12)
    assert [r["status"] for r in take(plain, tmp_path).recordings] == ["accepted"] * 4
    identities = {f.path.name: f.identity for f in find_files(flat, tmp_path)}
    assert identities == {
        "one.edf": "plain-folder:p1",
        "two.EDF": "plain-folder:p1",
        "alone.edf": "plain-folder:alone",
    }
    rows = take(flat, tmp_path).recordings
    assert [r["status"] for r in rows] == ["accepted"] * 3


def test_data_of_unstated_terms_is_gated() -> None:
    spec = load_entry(ENTRIES / "plain-folder.yaml")
    assert spec.licence.is_gated
    assert not spec.licence.allows_hosted_teachers


def test_naming_a_licence_alone_opens_nothing(tmp_path: Path) -> None:
    short = (ENTRIES / "plain-folder.yaml").read_text()
    path = tmp_path / "named.yaml"
    path.write_text(short + 'licence: {id: LicenseRef-ward, url: ""}\n')
    licence = load_entry(path).licence
    assert (licence.id, licence.is_gated, licence.allows_hosted_teachers) == (
        "LicenseRef-ward", True, False,
    )  # fmt: skip
    path.write_text(short + 'licence: {id: CC0-1.0, url: "", is_gated: false}\n')
    assert not load_entry(path).licence.is_gated


def test_samples_of_all_four_formats_agree_with_what_was_written(bids: Path) -> None:
    for i, row in enumerate(take(CLINIC, bids).recordings[:4]):
        stored = process_shard(CLINIC, bids, [row]).segments["signal"][2].as_py()
        got = np.array(stored, dtype=float).reshape(19, 2000) * 0.05
        written = generic_bids.noise_uv(22, 62, 256, i)[generic_bids.LABELS.index("Cz")]
        seen = np.abs(np.fft.rfft(got[CANONICAL19.index("Cz")]))[20:300] / 2000
        planted = np.abs(np.fft.rfft(written[5120:7680]))[20:300] / 2560
        np.testing.assert_allclose(seen, planted, atol=0.15)


WRONG = {
    "unknown layout": (
        "key: x\nline_freq_hz: 50\nlayout: dicom\n",
        "layout 'dicom' is not known; use one of bids, folder",
    ),
    "misspelt key": (
        "key: x\nline_freq_hz: 50\nlayout: {kind: bids, evnts: []}\n",
        "layout has no key 'evnts' (did you mean 'events'?); use age, bad_channels, events",
    ),
    "misspelt top key": (
        "key: x\nline_freq: 50\nlayout: bids\n",
        "the entry has no key 'line_freq' (did you mean 'line_freq_hz'?)",
    ),
    "no mains": (
        "key: x\nlayout: bids\n",
        "line_freq_hz is missing; add it: 50 or 60, the mains where the data were recorded",
    ),
    "no key": ("line_freq_hz: 50\nlayout: bids\n", "key is missing; add it: lower-case words"),
    "no words": (
        "key: x\nline_freq_hz: 50\nlayout: {kind: bids, events: [{name: eyes}]}\n",
        "layout.events.0.values is missing; add it: a mapping",
    ),
    "a choice": (
        "key: x\nline_freq_hz: 50\nlayout:\n  kind: bids\n  events:\n"
        "    - {name: eyes, values: {a: b}, lasts: for ever}\n",
        "layout.events.0.lasts: Input should be 'duration', 'until_next' or 'marks'",
    ),
    "no subject": (
        "key: x\nline_freq_hz: 50\nlayout: {kind: folder, pattern: '^(.*)$'}\n",
        "has no group (?P<subject>...)",
    ),
    "no pattern": (
        "key: x\nline_freq_hz: 50\nlayout: {kind: folder, pattern: '(?P<subject>'}\n",
        "pattern '(?P<subject>' is no regular expression: missing )",
    ),
    "unquoted word": (
        "key: x\nline_freq_hz: 50\nlayout:\n  kind: bids\n  path:\n"
        "    - {name: drug, group: session, values: {on: taken, off: none}}\n",
        "layout.path.0.values: YAML reads a key as no text; put on, off, yes, no in quotes",
    ),
    "unquoted value": (
        "key: x\nline_freq_hz: 50\nlayout:\n  kind: bids\n  path:\n"
        "    - {name: drug, group: session, values: {a: on}}\n",
        "layout.path.0.values.a must be text; put it in quotation marks",
    ),
    "both": (
        "key: x\nline_freq_hz: 50\nlayout: bids\nreader: {name: edf}\n",
        "layout writes reader; leave out one or the other",
    ),
    "other mains": ("key: x\nline_freq_hz: 55\nlayout: bids\n", "50 or 60"),
    "no mapping": ("- a\n- b\n", "no mapping; begin with lines such as 'key: my-corpus'"),
    "a date": ("key: x\ntitle: 2024-01-01\nlayout: bids\n", "put it in quotes"),
    "no yaml": ("key: [x\n", "expected"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_entry_is_told_in_one_sentence(tmp_path: Path, kind: str) -> None:
    text, expected = WRONG[kind]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(CatalogueError) as caught:
        load_entry(path)
    said_once = str(caught.value)
    assert said_once.startswith("corpus entry mine.yaml: ")
    assert expected in said_once
    assert "\n" not in said_once


def test_the_examples_stand_in_the_registry_by_the_variable_alone() -> None:
    code = "from dagster_project.corpora.registry import corpora; print(*corpora())"
    keys = {path.stem for path in ENTRIES.glob("*.yaml")}
    for where in (ENTRIES, ENTRIES / "ward-7.yaml"):
        env = {**os.environ, "NEUROGLOSS_CORPORA": str(where)}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        found = keys & set(run.stdout.split())
        assert found == (keys if where.is_dir() else {"ward-7"}), run.stderr
