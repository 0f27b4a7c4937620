"""What would leak: people shared by corpora, one signal under two names, exposed test recordings.

Works on rows of table ``recordings`` and on fingerprints, of whatever corpora are there. Splits are
made in :mod:`dagster_project.corpora.identity` (ours) and :mod:`dagster_project.corpora.splits`
(published); this module only looks for where they do not protect.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from dagster_project.corpora.fingerprints import matches

MIN_LANDMARKS = 5
"""Landmarks that must agree in time before two recordings are said to share a signal. Different
recordings of people on the shelf never agreed in two (measured on 19 recordings)."""

Row = dict[str, Any]


def _row(
    kind: str, left: tuple[str, str], right: tuple[str, str], n: int, crosses: bool, detail: str
) -> Row:
    return {
        "kind": kind, "left_corpus": left[0], "left_id": left[1], "right_corpus": right[0],
        "right_id": right[1], "n": n, "crosses_splits": crosses, "detail": detail,
    }  # fmt: skip


def shared_people(recordings: pl.DataFrame) -> list[Row]:
    """Return the pairs of corpora that hold the same people, and how many."""
    people = {
        str(corpus): set(frame["subject_id"])
        for (corpus,), frame in recordings.group_by("corpus", maintain_order=True)
    }
    splits = dict(zip(recordings["subject_id"], recordings["split"], strict=True))
    straddling = set(
        recordings.group_by("subject_id")
        .agg(pl.col("split").n_unique())
        .filter(pl.col("split") > 1)["subject_id"]
    )
    found = []
    for a, b in combinations(sorted(people), 2):
        both = people[a] & people[b]
        if both:
            n_test = sum(splits[s] == "test" for s in both)
            detail = f"{len(both)} people in both, {n_test} of them in test"
            crosses = bool(both & straddling)
            found.append(_row("shared_people", (a, ""), (b, ""), len(both), crosses, detail))
    return found


def same_samples(recordings: pl.DataFrame) -> list[Row]:
    """Return recordings with equal sample hashes, each with the first of its kind.

    Those already dropped as duplicates count too: their owner's other recordings are still there.
    """
    found = []
    doubled = recordings.filter(pl.col("sha256").is_duplicated() & pl.col("sha256").is_not_null())
    for _, frame in doubled.sort("corpus", "recording_id").group_by("sha256", maintain_order=True):
        first, *others = frame.to_dicts()
        found += [
            _row(
                "same_samples",
                (first["corpus"], first["recording_id"]),
                (other["corpus"], other["recording_id"]),
                1,
                first["split"] != other["split"],
                "equal sample hashes",
            )
            for other in others
        ]
    return found


def same_signal(recordings: pl.DataFrame, landmarks: pl.DataFrame) -> list[Row]:
    """Return recordings that share a signal by their fingerprints, whatever was done to one.

    Parameters
    ----------
    recordings
        Rows of table ``recordings``.
    landmarks
        Rows of table ``fingerprints``.
    """
    known = recordings.unique("recording_id").sort("corpus", "recording_id")
    numbered = known.select("recording_id").with_row_index("number")
    frame = landmarks.join(numbered, on="recording_id").sort("number", "time_s")
    rows = known.to_dicts()
    found = []
    for match in matches(
        frame["number"].cast(pl.Int64).to_numpy(),
        frame["time_s"].to_numpy(),
        frame["bits"].to_numpy().view("uint64"),
        MIN_LANDMARKS,
    ):
        a, b = rows[match.first], rows[match.second]
        detail = f"{match.n_landmarks} landmarks agree at an offset of {match.offset_s:.1f} s"
        found.append(
            _row(
                "same_signal",
                (a["corpus"], a["recording_id"]),
                (b["corpus"], b["recording_id"]),
                match.n_landmarks,
                a["split"] != b["split"],
                detail,
            )
        )
    return found


def _published(recordings: pl.DataFrame) -> pl.DataFrame:
    """One row per recording and published protocol: corpus, subject, protocol, part."""
    labels = recordings.select("corpus", "subject_id", "labels").explode("labels").drop_nulls()
    return (
        labels.unnest("labels")
        .filter(pl.col("scope") == "split")
        .select("corpus", "subject_id", protocol="name", part="value")
    )


def exposed_tests(recordings: pl.DataFrame) -> list[Row]:
    """Return what our splits would train on although a published protocol tests on its people.

    One row per protocol and corpus that exposes it; empty where ``split`` protects.
    """
    found = []
    published = _published(recordings).filter(pl.col("part") == "test")
    for (corpus, protocol), frame in published.sort("corpus", "protocol").group_by(
        "corpus", "protocol", maintain_order=True
    ):
        tested = set(frame["subject_id"])
        exposing = recordings.filter(
            pl.col("subject_id").is_in(tested) & (pl.col("split") != "test")
        )
        for (other,), part in exposing.sort("corpus").group_by("corpus", maintain_order=True):
            n_people = part["subject_id"].n_unique()
            detail = (
                f"{part.height} recordings of {n_people} of its {len(tested)} test people lie in "
                "our train or validation split; train by the protocol's own parts to compare"
            )
            left, right = (str(corpus), str(protocol)), (str(other), "split")
            found.append(_row("exposed_test", left, right, part.height, True, detail))
    return found


def leakage(recordings: pl.DataFrame, landmarks: pl.DataFrame) -> list[Row]:
    """Return everything that would leak between the accepted recordings given.

    Parameters
    ----------
    recordings
        Rows of table ``recordings`` of all shards.
    landmarks
        Rows of table ``fingerprints`` of all shards.
    """
    accepted = recordings.filter(pl.col("status") == "accepted")
    doubled = recordings.filter(
        (pl.col("status") == "accepted") | (pl.col("reject_cause") == "duplicate")
    )
    return [
        *shared_people(accepted),
        *same_samples(doubled),
        *same_signal(accepted, landmarks),
        *exposed_tests(accepted),
    ]


def windows(
    recordings: pl.DataFrame,
    n_segments: dict[tuple[str, str], int],
    published: dict[str, tuple[int, int, str]],
    corpora: Sequence[str],
) -> list[Row]:
    """Set the windows that are there beside the published counts.

    Parameters
    ----------
    recordings
        Rows of table ``recordings``.
    n_segments
        Segments by corpus and split.
    published
        NeuroNarrator's training and test windows by corpus, and why ours may differ.
    corpora
        Keys, in the order of the answer.
    """
    found = []
    for key in corpora:
        mine = recordings.filter((pl.col("corpus") == key) & (pl.col("status") == "accepted"))
        train, test, remark = published.get(key, (0, 0, ""))
        found.append({
            "corpus": key,
            "n_recordings": mine.height,
            "n_subjects": mine["subject_id"].n_unique(),
            "hours": float(mine["duration_s"].sum()) / 3600,
            "n_train": n_segments.get((key, "train"), 0),
            "n_validation": n_segments.get((key, "validation"), 0),
            "n_test": n_segments.get((key, "test"), 0),
            "published_train": train,
            "published_test": test,
            "remark": remark,
        })  # fmt: skip
    return found
