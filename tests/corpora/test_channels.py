from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.corpora.channels import Pick, parse_label, pick_channels
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.types import Signal
from dagster_project.corpora.spec import Channels
from detectors.types import CANONICAL19


def pick(policy: str, labels: Sequence[str]) -> Pick:
    signals = [Signal(label, Fraction(256), 1.0) for label in labels]
    return pick_channels(signals, Channels(policy=policy))


CHB = (
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1",
    "FP2-F4", "F4-C4", "C4-P4", "P4-O2", "FP2-F8", "F8-T8", "T8-P8", "P8-O2",
    "FZ-CZ", "CZ-PZ", "P7-T7", "T7-FT9", "FT9-FT10", "FT10-T8", "T8-P8",
)  # fmt: skip


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("EEG Fp1", "Fp1"), ("EEG FP2-REF", "Fp2"), ("EEG T3-LE", "T7"), ("Fc5.", "FC5"),
        ("C3..", "C3"), ("Cz..", "Cz"), ("AFZ", "AFz"), ("POZ", "POz"), ("T6", "P8"),
        ("EEG C3P-REF", "CP3"), ("fz", "Fz"), ("FP1-F7", "Fp1-F7"), ("EEG Fpz-Cz", "Fpz-Cz"),
        ("T3-T5", "T7-P7"), ("EEG A2-A1", "A2"), ("EEG  O1 ", "O1"), ("C3-M2", "C3"), ("-", "-"),
    ],
)  # fmt: skip
def test_names_become_canonical(label: str, name: str) -> None:
    assert parse_label(label).name == name


@given(st.text(max_size=16))
def test_any_label_can_be_parsed(label: str) -> None:
    assert parse_label(label).name == parse_label(label).name


def test_type_word_is_kept() -> None:
    assert parse_label("ECG ECG").type_word == "ECG"
    assert parse_label("EOG horizontal").type_word == "EOG"


def test_nineteen_in_storage_order_whatever_the_file_order() -> None:
    labels = [f"EEG {name}" for name in reversed(CANONICAL19)] + ["ECG ECG", "EEG A2-A1"]
    picked = pick("referential19", labels)
    assert picked.mask == (True,) * 19
    assert picked.indices == tuple(range(18, -1, -1))


def test_missing_rows_are_masked_and_duplicates_counted() -> None:
    picked = pick("referential19", ["EEG Cz", "EEG T3", "EEG T7", "EEG Pz"])
    assert [n for n, has in zip(CANONICAL19, picked.mask, strict=True) if has] == ["T7", "Cz", "Pz"]
    assert picked.indices == (1, 0, 3)
    assert picked.n_duplicates == 1


def test_chb_mit_keeps_the_first_of_its_twice_named_row() -> None:
    picked = pick("bipolar", CHB)
    assert len(picked.schema.ch_names) == 22
    assert picked.schema.ch_names[14] == "T8-P8"
    assert picked.indices == tuple(range(22))
    assert picked.n_duplicates == 1
    assert {"T7-P7", "P7-T7"} <= set(picked.schema.ch_names)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["FP1-F7", "-", "EKG1-CHIN", "LOC-ROC", "VNS", "F7-T7", "ECG", "--0"], ("Fp1-F7", "F7-T7")),
        (["EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "Resp oro-nasal", "EMG submental",
          "Temp rectal", "Event marker"], ("Fpz-Cz", "Pz-Oz")),
    ],
    ids=["chb", "sleep"],
)  # fmt: skip
def test_dummies_and_other_signals_stay_out(labels: list[str], expected: tuple[str, ...]) -> None:
    assert pick("bipolar", labels).schema.ch_names == expected


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        (["F7", "T7", "P7", "-", "FP1", "EKG1-CHIN"], "wrong_montage"),
        (["F7-CS2", "T7-CS2", "-"], "wrong_montage"),
        (["ECG ECG", "Temp rectal", "-"], "no_eeg_channels"),
    ],
)
def test_files_without_derivations_are_refused(labels: list[str], cause: str) -> None:
    with pytest.raises(CorpusError) as caught:
        pick("bipolar", labels)
    assert caught.value.cause == cause


@pytest.mark.parametrize(
    ("labels", "cause"),
    [(CHB, "wrong_montage"), (["Ch1", "Ch2", "Event marker"], "no_eeg_channels")],
    ids=["bipolar", "nameless"],
)
def test_files_without_the_nineteen_are_refused(labels: list[str], cause: str) -> None:
    with pytest.raises(CorpusError) as caught:
        pick("referential19", labels)
    assert caught.value.cause == cause
