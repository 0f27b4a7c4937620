from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.io
from trees import zuco as tree

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.labels.zuco import normalised, text_split
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import ShardSegments, process_shard
from dagster_project.corpora.shards import shard_keys
from detectors.rules import rule_findings
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19

Row = dict[str, Any]
TEXTS = [text for text, _ in tree.SENTENCES]


def take(root: Path, key: str) -> Inventory:
    parts = [inventory(corpus(key), root, s, salt="x") for s in shard_keys(key)]
    rows = sorted((r for p in parts for r in p.recordings), key=lambda r: r["path"])
    return Inventory(tuple(rows), tuple(r for p in parts for r in p.rejects), 0, 0)


def labels(row: Row) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


class Whole:
    """Both versions, read once."""

    def __init__(self, root: Path) -> None:
        tree.write(root)
        self.root = root
        self.found = {key: take(root, key) for key in ("zuco-1", "zuco-2")}
        self.cut: dict[str, ShardSegments] = {
            key: process_shard(corpus(key), root, found.recordings)
            for key, found in self.found.items()
        }

    def recording(self, key: str, end: str) -> Row:
        return next(r for r in self.found[key].recordings if r["path"].endswith(end))

    def segments(self, key: str, end: str) -> list[Row]:
        wanted = self.recording(key, end)["recording_id"]
        rows = self.cut[key].segments.drop_columns(["signal"]).to_pylist()
        return [r for r in rows if r["recording_id"] == wanted]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("zuco"))


def test_odd_blanks_in_folders_are_read_and_raw_files_are_no_recordings(whole: Whole) -> None:
    found = whole.found["zuco-1"]
    assert found.rejects == ()
    assert [r["session"] for r in found.recordings] == ["SR", "SR", "NR", "TSR"]
    assert [r["format"] for r in found.recordings] == ["mat5"] * 4
    assert [r["format"] for r in whole.found["zuco-2"].recordings] == ["mat73"] * 4
    assert whole.found["zuco-2"].rejects == ()


@pytest.mark.parametrize(("key", "end"), [("zuco-1", "ZAB_SR.mat"), ("zuco-2", "YAC_TSR.mat")])
def test_every_sentence_is_a_run_and_carries_its_text(whole: Whole, key: str, end: str) -> None:
    rows = whole.segments(key, end)
    assert [labels(r)["sentence"] for r in rows] == [
        " ".join(TEXTS[i].split()) for i in (0, 1, 2, 4)
    ]
    assert [round(r["recorded_s"], 3) for r in rows] == [4.26, 10.0, 2.0, 9.9]
    assert [r["start_s"] for r in rows] == pytest.approx([0, 4.26, 16.76, 19.16])
    assert whole.recording(key, end)["n_gaps"] == 5


def test_a_sentence_never_gets_its_neighbours_text(whole: Whole) -> None:
    for key, end in (("zuco-1", "ZAB_SR.mat"), ("zuco-2", "YAC_TSR.mat")):
        for row in whole.segments(key, end):
            assert [x["name"] for x in row["labels"]].count("sentence") == 1


def test_sentences_without_eeg_and_very_short_ones_are_set_aside_with_their_cause(
    whole: Whole,
) -> None:
    for key in ("zuco-1", "zuco-2"):
        rejects = whole.cut[key].rejects.to_pylist()
        assert [(r["cause"], r["start_s"]) for r in rejects] == [
            ("too_short", pytest.approx(18.76)), ("nan", pytest.approx(29.06)),
        ]  # fmt: skip


def test_leads_become_electrodes_by_the_hydrocel_map_and_cz_is_kept(whole: Whole) -> None:
    for key, end in (("zuco-1", "ZDN_SR.mat"), ("zuco-2", "YSD_NR.mat")):
        frame = pl.from_arrow(whole.cut[key].segments)
        assert isinstance(frame, pl.DataFrame)
        wanted = whole.recording(key, end)["recording_id"]
        mine = frame.filter(pl.col("recording_id") == wanted)
        assert all(all(mask) for mask in mine["mask"])
        (batch,) = segment_batches(mine)
        t = np.arange(2000) / 200
        wave = np.sin(2 * np.pi * 10 * t[200:700])
        gains = batch.data_uv[0, :, 200:700] @ wave / (wave @ wave)
        assert gains[CANONICAL19.index("Cz")] == pytest.approx(30, abs=0.6)
        assert np.abs(np.delete(gains, CANONICAL19.index("Cz"))).max() < 3


def test_a_padded_segment_fades_out_and_is_zero_after_its_sentence(whole: Whole) -> None:
    frame = pl.from_arrow(whole.cut["zuco-1"].segments)
    assert isinstance(frame, pl.DataFrame)
    (batch,) = segment_batches(frame.slice(0, 1))
    end = round(4.26 * 200)
    assert not batch.data_uv[0, :, end:].any()
    cz = batch.data_uv[0, CANONICAL19.index("Cz")]
    assert np.abs(cz[end - 40 : end - 10]).max() > 25
    assert np.abs(cz[end - 3 : end]).max() < 8
    found = rule_findings(batch, spectral_features(batch))
    assert found.findings == ()
    assert {j.reason for j in found.judgements} == {"only 4.3 of 10 s were recorded"}


def test_sentiment_comes_through_semicolons_comments_swapped_cells_and_slips(
    whole: Whole,
) -> None:
    said = [labels(r)["sentiment"] for r in whole.segments("zuco-1", "ZAB_SR.mat")]
    assert said == ["negative", "positive", "negative", "negative"]


def test_the_row_with_swapped_cells_is_put_right(tmp_path: Path) -> None:
    neutral = next(text for text, code in tree.SENTENCES if code == 0)
    path = tmp_path / "zuco-1/task1- SR/Matlab files/resultsZAB_SR.mat"
    tree.write_v5(path, [neutral])
    tree.write_tables(tmp_path / "zuco-1/task_materials")
    rows = process_shard(
        corpus("zuco-1"), tmp_path, take(tmp_path, "zuco-1").recordings
    ).segments.to_pylist()  # fmt: skip
    assert labels(rows[0])["sentiment"] == "neutral"


@pytest.mark.parametrize("end", ["ZAB_NR.mat", "ZGW_TSR.mat"])
def test_relations_come_from_commas_in_task_2_and_semicolons_in_task_3(
    whole: Whole, end: str
) -> None:
    said = [labels(r)["relation"] for r in whole.segments("zuco-1", end)]
    assert said == ["founder", "political_affiliation", "wife"]


def test_incomplete_readers_are_known_or_said(whole: Whole) -> None:
    said = {
        r["path"].rpartition("/")[2]: labels(r)["sentences"]
        for r in whole.found["zuco-1"].recordings
    }
    assert said == {
        "resultsZAB_SR.mat": "incomplete_unexpectedly", "resultsZDN_SR.mat": "incomplete",
        "resultsZAB_NR.mat": "incomplete_unexpectedly", "resultsZGW_TSR.mat": "incomplete",
    }  # fmt: skip


def test_more_sentences_than_the_task_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "zuco-1/task2 - NR/Matlab files/resultsZAB_NR.mat"
    sentences = np.zeros((1, 301), dtype=[("content", object), ("rawData", object)])
    eeg = tree.signal(0, 0, 1.5)
    for i in range(301):
        sentences[0, i] = (f"Sentence {i}.", eeg if i == 0 else np.nan)
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"sentenceData": sentences})
    assert [r["cause"] for r in take(tmp_path, "zuco-1").rejects] == ["bad_labels"]


def test_a_missing_table_is_said_and_no_sentiment_guessed(tmp_path: Path) -> None:
    path = tmp_path / "zuco-1/task1- SR/Matlab files/resultsZAB_SR.mat"
    tree.write_v5(path, TEXTS[:2])
    found = take(tmp_path, "zuco-1")
    assert labels(found.recordings[0])["sentiment"] == "missing"
    rows = process_shard(corpus("zuco-1"), tmp_path, found.recordings).segments.to_pylist()
    assert all(x["scope"] == "file" for r in rows for x in r["labels"] if x["name"] == "sentiment")


def test_a_sentence_no_table_knows_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "zuco-1/task1- SR/Matlab files/resultsZAB_SR.mat"
    tree.write_v5(path, ["Something else entirely was shown here.", TEXTS[1]])
    tree.write_tables(tmp_path / "zuco-1/task_materials")
    rows = process_shard(
        corpus("zuco-1"), tmp_path, take(tmp_path, "zuco-1").recordings
    ).segments.to_pylist()  # fmt: skip
    assert [labels(r)["sentiment"] for r in rows] == ["unknown", "positive"]


def test_equal_sentences_fall_into_one_part_in_every_task_version_and_reader(
    whole: Whole,
) -> None:
    parts: dict[str, set[str]] = {}
    for key in whole.cut:
        for row in whole.cut[key].segments.drop_columns(["signal"]).to_pylist():
            said = labels(row)
            parts.setdefault(normalised(said["sentence"]), set()).add(said["sentence-text"])
    assert len(parts) == 7
    assert all(len(found) == 1 for found in parts.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It's a  charming journey; slow.", "Its a charming journey, slow"),
        ("Beyonc\u00e9 \u2013 \u201csings\u201d.", 'Beyonce - "sings"'),
        ("A\tB", "a b"),
    ],
    ids=["blanks", "accents", "case"],
)
def test_slips_of_typing_do_not_make_sentences_unequal(one: str, other: str) -> None:
    assert normalised(one).replace(" ", "") == normalised(other).replace(" ", "")
    assert text_split(one) == text_split(other)


def test_about_a_tenth_of_sentences_is_held_out() -> None:
    parts = [text_split(f"sentence number {i}") for i in range(5000)]
    assert parts.count("train") / 5000 == pytest.approx(0.8, abs=0.03)
    assert parts.count("test") / 5000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("version", ["zuco-1", "zuco-2"])
def test_fewer_than_105_rows_are_refused(tmp_path: Path, version: str) -> None:
    whole_entry = corpus(version).reader
    entry = whole_entry.model_copy(
        update={"params": {**whole_entry.params, "channels": whole_entry.params["channels"][:104]}}
    )
    path = tmp_path / "a.mat"
    (tree.write_v5 if version == "zuco-1" else tree.write_v73)(path, TEXTS[:2])
    with pytest.raises(CorpusError) as refused:
        open_recording(path, entry)
    assert refused.value.cause == "bad_header"


@pytest.mark.parametrize("version", ["zuco-1", "zuco-2"])
def test_damaged_files_are_refused_and_nothing_else_happens(tmp_path: Path, version: str) -> None:
    entry, path = corpus(version).reader, tmp_path / "a.mat"
    (tree.write_v5 if version == "zuco-1" else tree.write_v73)(path, TEXTS[:3])
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for i in range(60):
        raw = bytearray(good)
        if i % 3 == 0:
            raw = raw[: int(rng.integers(0, len(raw)))]
        else:
            for at in rng.integers(0, min(len(raw), 4000), 8):
                raw[at] = int(rng.integers(0, 256))
        path.write_bytes(raw)
        try:
            with open_recording(path, entry) as recording:
                recording.pick([0]).stored(0, 100)
        except CorpusError:
            n_refused += 1
    assert n_refused > 30
