from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from dagster_project.corpora.leakage import leakage, windows

NO_LANDMARKS = pl.DataFrame(
    schema={"recording_id": pl.String, "time_s": pl.Float64, "bits": pl.Int64}
)
LABEL = {"scope": "split", "name": "official", "value": "test", "source": "path"}


def recording(key: str, corpus: str, subject: str, split: str, **more: Any) -> dict[str, Any]:
    row = {
        "recording_id": key, "corpus": corpus, "subject_id": subject, "split": split,
        "status": "accepted", "reject_cause": None, "sha256": key, "labels": [], "duration_s": 60.0,
    }  # fmt: skip
    return {**row, **more}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    fields = ("scope", "name", "value", "source")
    labels = pl.List(pl.Struct(dict.fromkeys(fields, pl.String)))
    return pl.DataFrame(list(rows), schema_overrides={"labels": labels, "reject_cause": pl.String})


def kinds(found: list[dict[str, Any]]) -> list[tuple[str, str, str, int, bool]]:
    keys = ("kind", "left_corpus", "right_corpus", "n", "crosses_splits")
    return [tuple(row[k] for k in keys) for row in found]  # type: ignore[misc]


def test_nothing_leaks_where_nothing_is_shared() -> None:
    rows = frame(recording("r1", "tuab", "s1", "train"), recording("r2", "tusz", "s2", "test"))
    assert leakage(rows, NO_LANDMARKS) == []


def test_people_shared_by_two_corpora_are_counted() -> None:
    rows = frame(
        recording("r1", "tuar", "s1", "train"),
        recording("r2", "tusz", "s1", "train"),
        recording("r3", "tusz", "s1", "train"),
        recording("r4", "tusz", "s2", "test"),
    )
    assert kinds(leakage(rows, NO_LANDMARKS)) == [("shared_people", "tuar", "tusz", 1, False)]


def test_equal_samples_under_two_identities_cross_splits() -> None:
    rows = frame(
        recording("r1", "mdd-64", "s1", "train", sha256="x"),
        recording("r2", "mdd-64", "s2", "test", sha256="x"),
        recording(
            "r3", "mdd-64", "s3", "test", sha256="x", status="rejected", reject_cause="empty"
        ),
    )
    assert kinds(leakage(rows, NO_LANDMARKS)) == [("same_samples", "mdd-64", "mdd-64", 1, True)]


def test_a_dropped_duplicate_still_names_its_owner() -> None:
    dropped = {"sha256": "x", "status": "rejected", "reject_cause": "duplicate"}
    rows = frame(
        recording("r1", "mdd-64", "s1", "train", sha256="x"),
        recording("r2", "mdd-64", "s2", "test", **dropped),
    )
    assert kinds(leakage(rows, NO_LANDMARKS)) == [("same_samples", "mdd-64", "mdd-64", 1, True)]


def test_an_official_test_person_we_would_train_on_is_exposed() -> None:
    rows = frame(
        recording("r1", "tuab", "s1", "train", labels=[LABEL]),
        recording("r2", "tuab", "s2", "test", labels=[LABEL]),
        recording("r3", "tusz", "s1", "validation"),
        recording("r4", "tusz", "s3", "train"),
    )
    found = [row for row in leakage(rows, NO_LANDMARKS) if row["kind"] == "exposed_test"]
    assert kinds(found) == [
        ("exposed_test", "tuab", "tuab", 1, True),
        ("exposed_test", "tuab", "tusz", 1, True),
    ]
    assert "1 of its 2 test people" in found[0]["detail"]


def test_a_shared_signal_is_named_with_its_offset() -> None:
    bits = np.random.default_rng(0).integers(-(2**63), 2**63, 40, dtype=np.int64)
    marks = pl.DataFrame({
        "recording_id": ["r1"] * 40 + ["r2"] * 40,
        "time_s": [float(t) for t in range(40)] + [t + 7.5 for t in range(40)],
        "bits": [*bits.tolist(), *(bits ^ 3).tolist()],
    })  # fmt: skip
    rows = frame(recording("r1", "siena", "s1", "train"), recording("r2", "tusz", "s2", "test"))
    found = leakage(rows, marks)
    assert kinds(found) == [("same_signal", "siena", "tusz", 40, True)]
    assert "7.5 s" in found[0]["detail"]


def test_windows_stand_beside_the_published_counts() -> None:
    rows = frame(recording("r1", "hmc", "s1", "train"), recording("r2", "hmc", "s1", "train"))
    found = windows(rows, {("hmc", "train"): 12}, {"hmc": (25000, 1000, "why")}, ["hmc", "x"])
    assert [(r["n_recordings"], r["n_subjects"], r["n_train"]) for r in found] == [
        (2, 1, 12), (0, 0, 0),
    ]  # fmt: skip
    assert (found[0]["published_train"], found[1]["published_train"]) == (25000, 0)
