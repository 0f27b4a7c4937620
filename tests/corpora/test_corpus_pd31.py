from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trees import pd31

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from detectors.types import CANONICAL19

SPEC = corpus("pd31")
SHARD = "pd31-01-of-01"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pd31")
    pd31.write(root)
    return root


def take(root: Path) -> dict[str, dict[str, Any]]:
    rows = inventory(SPEC, root, SHARD, salt="x").recordings
    return {"_".join(r["path"].split("/")[1:3]): r for r in rows}


def said(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


def test_group_and_medication_come_from_the_name(tree: Path) -> None:
    rows = take(tree)
    assert {k: (said(r)["diagnosis"], said(r)["medication"]) for k, r in rows.items()} == {
        "sub-hc1_ses-hc": ("control", "none"),
        "sub-hc8_ses-hc": ("control", "none"),
        "sub-pd3_ses-off": ("parkinson", "off"),
        "sub-pd3_ses-on": ("parkinson", "on"),
        "sub-pd6_ses-off": ("parkinson", "off"),
        "sub-pd6_ses-on": ("parkinson", "on"),
    }
    assert all(r["status"] == "accepted" and r["sfreq_hz"] == 512 for r in rows.values())
    assert (rows["sub-pd6_ses-on"]["age_band"], rows["sub-pd6_ses-on"]["sex"]) == ("60-69", "M")
    assert SPEC.expected.labels["medication"] == {"none": 16, "on": 15, "off": 15}


def test_both_sessions_of_one_person_stay_together(tree: Path) -> None:
    rows = take(tree)
    for person in ("sub-pd3", "sub-pd6"):
        both = [rows[f"{person}_ses-{s}"] for s in ("on", "off")]
        assert len({(r["subject_id"], r["split"]) for r in both}) == 1
        assert {r["session"] for r in both} == {"on", "off"}


def test_a_wrong_sidecar_mains_is_said_and_the_catalogue_wins(tree: Path) -> None:
    rows = take(tree)
    assert {k: said(r).get("line_freq_sidecar") for k, r in rows.items()} == {
        "sub-hc1_ses-hc": None,
        "sub-hc8_ses-hc": "50, disagrees",
        "sub-pd3_ses-off": None,
        "sub-pd3_ses-on": None,
        "sub-pd6_ses-off": None,
        "sub-pd6_ses-on": "50, disagrees",
    }
    assert {r["line_freq_hz"] for r in rows.values()} == {60.0}


def test_exg_leads_stay_out_and_the_average_of_32_is_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "ds002778/sub-hc1/ses-hc/eeg/sub-hc1_ses-hc_task-rest_eeg.bdf"
    own = pd31.write_bdf(path, 3)
    row = take(tmp_path)["sub-hc1_ses-hc"]
    segments = process_shard(SPEC, tmp_path, [row]).segments
    got = np.array(segments["signal"][1].as_py(), dtype=float).reshape(19, 2000) * 0.05
    # a common 3-Hz wave of 100 uV, an offset of 20 mV and EXG leads of millivolts are all gone
    t = np.arange(2000) / 200
    wave = np.exp(-2j * np.pi * 3 * t)
    assert np.abs(got @ wave).max() * 2 / 2000 < 3
    referenced = own - own.mean(axis=0)
    for name in ("Fp1", "Cz", "O2"):
        planted = referenced[pd31.EEG.index(name), 5120:10240]
        spectrum = np.abs(np.fft.rfft(planted))[50:300] / 5120
        seen = np.abs(np.fft.rfft(got[CANONICAL19.index(name)]))[50:300] / 2000
        np.testing.assert_allclose(seen, spectrum, atol=0.15)


def test_files_rebuilt_from_preprocessed_data_say_so(tree: Path) -> None:
    rows = take(tree)
    rebuilt = [k for k, r in rows.items() if "source_data" in said(r)]
    assert rebuilt == ["sub-pd6_ses-on"]
    assert said(rows["sub-pd6_ses-on"])["source_data"] == "rebuilt_from_preprocessed"


def test_the_odd_event_marks_are_no_labels(tree: Path) -> None:
    events = next((tree / "ds002778/sub-hc1").rglob("*events.tsv"))  # read by nothing else
    events.write_text("onset\tduration\tvalue\tsample\n0.0\t0.0\t130817\t0\n1.0\t0.0\t2\t512\n")
    row = take(tree)["sub-hc1_ses-hc"]
    assert row["status"] == "accepted"
    (first, *_) = process_shard(SPEC, tree, [row]).segments.to_pylist()
    assert {x["scope"] for x in first["labels"]} == {"recording", "file"}


def test_a_control_with_a_medication_session_is_no_name_of_this_corpus(tree: Path) -> None:
    assert SPEC.match_file("sub-hc1/ses-on/eeg/sub-hc1_ses-on_task-rest_eeg.bdf") is None
    assert SPEC.match_file("sub-pd3/ses-hc/eeg/sub-pd3_ses-hc_task-rest_eeg.bdf") is None


def test_the_authors_note_is_carried() -> None:
    assert "advise against classifying" in SPEC.notes


def test_the_real_sidecars_are_read(tmp_path: Path, data_root: Path) -> None:
    real = data_root / "pd31-ds002778"
    base = tmp_path / "ds002778"
    base.mkdir()
    shutil.copy(real / "participants.tsv", base)
    for i, name in enumerate(("hc1/ses-hc", "pd3/ses-off", "pd3/ses-on")):
        shutil.copytree(real / f"sub-{name}/eeg", base / f"sub-{name}/eeg")
        stem = f"sub-{name.replace('/', '_')}_task-rest_eeg.bdf"
        pd31.write_bdf(base / f"sub-{name}/eeg/{stem}", i, 12)
    rows = take(tmp_path)
    assert {k: (r["age_band"], r["sex"], said(r)["diagnosis"]) for k, r in rows.items()} == {
        "sub-hc1_ses-hc": ("50-59", "F", "control"),
        "sub-pd3_ses-off": ("50-59", "F", "parkinson"),
        "sub-pd3_ses-on": ("50-59", "F", "parkinson"),
    }
    assert {said(r)["reference_sidecar"] for r in rows.values()} == {"not_stated"}
    assert not any("line_freq_sidecar" in said(r) for r in rows.values())


def test_the_real_table_names_16_controls_and_15_patients(data_root: Path) -> None:
    text = (data_root / "pd31-ds002778/participants.tsv").read_text("utf-8")
    people = [line.split("\t")[0] for line in text.splitlines()[1:] if line.strip()]
    assert sum(p.startswith("sub-hc") for p in people) == 16
    assert sum(p.startswith("sub-pd") for p in people) == 15
