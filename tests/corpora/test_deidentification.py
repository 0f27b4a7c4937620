from __future__ import annotations

import datetime
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mne
import numpy as np
import polars as pl
import pytest
from every_corpus import KEYS, Shard, recording_files, recordings, segment_rows, take_in, write_all
from formats.cnt import CntSpec
from formats.cnt import write as write_cnt
from formats.edf import noise_uv, write_eeg
from formats.eeglab import SetSpec, write_set73
from numpy.typing import NDArray
from planting import (
    ALL,
    BORN,
    DOCTOR,
    HOME,
    NAME,
    NUMBER,
    PHONE,
    TRACES,
    plant,
    plant_cnt,
    plant_edf,
    plant_names,
    plant_set73,
    traces,
)

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import corpus_folder
from dagster_project.corpora.spec import Choice, CorpusSpec
from dagster_project.tables.store import TableStore
from detectors.merge import merge_shard
from detectors.rows import finding_row, judgement_row
from detectors.rules import rule_findings
from detectors.signal.spatial import spatial_features
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, RuleResult
from prompts.captions.caption import caption_rows
from prompts.facts.page import facts_of_shard, with_history
from prompts.questions.items import question_rows
from prompts.teachers.base import Exchange, TeacherRequest
from prompts.teachers.cache import TeacherCache
from prompts.teachers.gateway import Gateway
from prompts.teachers.limits import Limits
from prompts.teachers.prices import Budget, Price
from prompts.teachers.settings import GatewaySettings
from prompts.teachers.template import TemplateProvider
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.teacher_texts import text_rows

SFREQ_HZ = 250
PAGES = 4
"""Pages of a corpus text is written about; words come from few places, however many pages."""
MACHINE = re.compile(r"(?<![a-z0-9])/(?:tmp|home|root|users|var|work)/|\\users\\|pytest-of-", re.I)
"""How a path or a user of this machine would begin."""
AGED = {
    "ad65", "boas", "cap", "chb-mit", "depression-122", "ds004902", "ds006036", "eegmat",
    "hfo-ds003555", "lemon", "pd31", "physionet-2018", "siena", "sleep-edfx", "tuab", "tuar",
    "tuep", "tuev", "tusl", "tusz",
}  # fmt: skip
"""Corpora that say how old people are."""


@dataclass
class Spy(TemplateProvider):
    """A teacher that remembers every byte it was sent."""

    seen: list[str] = field(default_factory=list)

    async def send(self, request: TeacherRequest, **how: Any) -> Exchange:
        self.seen += [request.payload_text, repr(request), repr(how)]
        return await super().send(request, **how)

    def gateway(self) -> Gateway:
        settings = GatewaySettings()
        limits, cache = Limits(settings.limits()), TeacherCache(None)
        return Gateway(self, Price(0.0, 0.0), Budget(0.0), cache, limits, settings)


class Log(logging.Handler):
    """Every log record as text, with its arguments and where it says it comes from."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("fsspec") and not traces(record.getMessage()):
            return  # names the store's own files at DEBUG, which are hashes below its own root
        self.seen.append(f"{record.getMessage()} {record.args!r} {record.exc_info!r}")


@contextmanager
def everything_said(log: Log) -> Iterator[None]:
    """Listen to every logger, to warnings, and to the standard error of this and child processes."""
    root = logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    with tempfile.TemporaryFile("w+b") as file, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            log.seen += [str(warning.message) for warning in warned]
            root.removeHandler(log)
            root.setLevel(level)
        file.seek(0)
        log.seen.append(file.read().decode("utf-8", "replace"))


@dataclass
class Said:
    """What came of a corpus: shards, rows of every table as stored, and texts that left them."""

    shards: tuple[Shard, ...]
    rows: dict[str, list[dict[str, Any]]]
    files: dict[str, bytes]
    texts: list[str]


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text inside a cell."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from texts_of(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_of(inner)


def text_tables(segments: pl.DataFrame, spy: Spy) -> dict[str, list[dict[str, Any]]]:
    """Run features, findings and words on a few pages, teachers included."""
    spectral: list[dict[str, Any]] = []
    spatial: list[dict[str, Any]] = []
    found = []
    for batch in segment_batches(segments):
        spectra = spectral_features(batch)
        spectral += spectra.rows(batch)
        spatial += spatial_features(batch).rows(batch)
        found.append(rule_findings(batch, spectra))
    rules = RuleResult.joined(found)
    pages = segments.select("segment_id", "channel_schema", "mask", "recorded_s").to_dicts()
    by_rule = [finding_row(f) for f in rules.findings], [judgement_row(j) for j in rules.judgements]
    merged = merge_shard(pages, *by_rule, [], detector="", batches=segment_batches(segments))
    rows = {
        "spectral_features": spectral,
        "spatial_features": spatial,
        "findings": [finding_row(f) for f in merged.findings],
        "judgements": [judgement_row(j) for j in merged.judgements],
    }
    names = ("findings", "judgements", "spectral_features", "spatial_features")
    frames = [pl.DataFrame(rows[name], infer_schema_length=None) for name in names]
    facts = list(facts_of_shard(segments, *frames))
    gateway = spy.gateway()
    rows |= {
        "captions": [row for page in facts for row in caption_rows(page)],
        "questions": list(question_rows(facts)),
    }
    return rows | {
        table: list(text_rows(kind, with_history(facts, 2), gateway, is_gated=False))
        for table, kind in TEXT_KINDS.items()
    }


def run(spec: CorpusSpec, root: Path, target: Path) -> Said:
    """Take a corpus through the whole public path and store all of it."""
    log, spy = Log(), Spy()
    with everything_said(log):
        shards = take_in(spec, root)
        store = TableStore(str(target))
        for shard in shards:
            store.write("recordings", shard.key, shard.inventory.recordings)
            store.write("recording_rejects", shard.key, shard.inventory.rejects)
            store.write("segments", shard.key, shard.segments)
            store.write("segment_rejects", shard.key, shard.rejects)
        full = max(shards, key=lambda shard: shard.segments.num_rows).key
        pages = store.read("segments", full)
        if len(pages):
            for name, rows in text_tables(
                pages.gather_every(max(1, len(pages) // PAGES)), spy
            ).items():
                store.write(name, full, rows)
    rows = {
        table.name: [
            row
            for partition in store.partitions(table.name)
            for frame in store.iter_frames(table.name, partition)
            for row in frame.drop("signal", strict=False).to_dicts()
        ]
        for table in sorted(target.iterdir())
    }
    files = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*.*")}
    return Said(shards, rows, {k: v for k, v in files.items() if v}, [*log.seen, *spy.seen])


def assert_nobody_is_named(said: Said, *roots: Path) -> None:
    """Search cells, bytes, logs and payloads; only ``recordings.path`` may hold a relative path."""
    machine = [str(root).lower() for root in roots]

    def told(text: str) -> list[str]:
        found = traces(text) + [m for m in machine if m in text.lower()]
        return found + (["a path of this machine"] if MACHINE.search(text) else [])

    found = []
    for table, rows in said.rows.items():
        for row in rows:
            cells = {k: v for k, v in row.items() if (table, k) != ("recordings", "path")}
            found += [
                (table, column, text, what)
                for column, cell in cells.items()
                for text in texts_of(cell)
                if (what := told(text))
            ]
    found += [
        ("log or payload", "", text[:300], what) for text in said.texts if (what := told(text))
    ]
    bare = {k: v for k, v in said.files.items() if not k.startswith("recordings/")}
    for name, raw in bare.items():
        found += [(name, "bytes", "", [t]) for t in TRACES if t.encode() in raw.lower()]
        found += [(name, "bytes", "", [m]) for m in machine if m.encode() in raw.lower()]
    assert not found
    for row in said.rows["recordings"]:
        assert not row["path"].startswith(("/", "\\"))
        assert ".." not in row["path"].split("/")
        assert not [m for m in machine if m in row["path"].lower()]


def planted(base: Path, is_loud: bool) -> Path:
    write_all(base)
    plant(base, is_loud)
    for key in KEYS:
        spec = corpus(key)
        folder = corpus_folder(spec, base)
        assert folder is not None
        first = recording_files(spec, base)[0]
        list(plant_names(folder, Path(first).relative_to(folder.name).as_posix()))
    return base


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted(tmp_path_factory.mktemp("quiet"), is_loud=False)


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted(tmp_path_factory.mktemp("loud"), is_loud=True)


@pytest.mark.parametrize("key", KEYS)
def test_nothing_planted_in_headers_and_sidecars_comes_out(
    key: str, quiet: Path, tmp_path: Path
) -> None:
    said = run(corpus(key), quiet, tmp_path / "store")
    assert_nobody_is_named(said, quiet, tmp_path)
    rows = recordings(said.shards)
    assert sum(row["status"] == "accepted" for row in rows) >= 3
    assert said.rows["narratives"]
    assert {r["cause"] for r in said.rows["recording_rejects"]} >= {"file_name"}
    assert any(NAME in row["path"] for row in rows)
    bands = {row["age_band"] for row in rows} - {None}
    assert all(re.fullmatch(r"(\d|[1-8]\d)-(9|[1-8]9)|90\+", band) for band in bands)
    assert ("90+" in bands) == (key in AGED)


@pytest.mark.parametrize("key", KEYS)
def test_nothing_planted_where_labels_are_read_comes_out(
    key: str, loud: Path, tmp_path: Path
) -> None:
    said = run(corpus(key), loud, tmp_path / "store")
    assert_nobody_is_named(said, loud, tmp_path)
    assert said.rows["recordings"]
    assert segment_rows(said.shards) or said.rows["recording_rejects"]


def write_cnt_file(path: Path) -> None:
    events = ((2000, 3), (9000, 7))
    write_cnt(path, CntSpec(CANONICAL19, noise_steps(), events=events, sfreq_hz=SFREQ_HZ))
    plant_cnt(path, True, None)


def write_bdf_file(path: Path) -> None:
    notes = [(5.0, 1.0, f"seen by {DOCTOR}"), (9.0, None, NAME)]
    write_eeg(path, CANONICAL19, annotations=notes, is_plus=True, is_bdf=True)
    plant_edf(path, True, None)


def write_set73_file(path: Path) -> None:
    data = noise_uv(19, 30, SFREQ_HZ)
    events = [(NAME, 100.0, 1.0), (f"born {BORN}", 900.0, None)]
    write_set73(path, SetSpec(data, CANONICAL19, SFREQ_HZ, events))
    plant_set73(path)


def write_fif_file(path: Path) -> None:
    data = noise_uv(19, 30, SFREQ_HZ) * 1e-6
    raw = mne.io.RawArray(
        data, mne.create_info(list(CANONICAL19), SFREQ_HZ, "eeg"), verbose="ERROR"
    )
    first, last = NAME.split()
    raw.info["subject_info"] = {
        "his_id": NUMBER, "first_name": first, "last_name": last,
        "birthday": datetime.date.fromisoformat(BORN),
    }  # fmt: skip
    raw.info["description"], raw.info["experimenter"] = ALL, DOCTOR
    raw.set_annotations(mne.Annotations([2.0, 9.0], [1.0, 1.0], [NAME, f"{HOME} {PHONE}"]))
    raw.save(path, verbose="ERROR")


def noise_steps() -> NDArray[np.int64]:
    return np.rint(10 * noise_uv(19, 30, SFREQ_HZ)).astype(np.int64)


@pytest.mark.parametrize(
    ("reader", "suffix", "write"),
    [
        (Choice(name="cnt", params={"data_format": "int32"}), ".cnt", write_cnt_file),
        (Choice(name="edf"), ".bdf", write_bdf_file),
        (Choice(name="eeglab"), ".set", write_set73_file),
        (Choice(name="mne"), "_eeg.fif", write_fif_file),
    ],
    ids=["neuroscan", "bdf-plus", "eeglab-7.3", "fif"],
)
def test_formats_no_tree_has_tell_nobody_either(
    reader: Choice, suffix: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    base = corpus("eegmat")
    files = {"suffixes": (suffix,), "pattern": rf"(?P<subject>P\d){suffix}$", "ignored": ()}
    eyes = {"name": "eyes", "values": {"eyes open": "open"}}
    spec = base.model_copy(
        update={
            "files": base.files.model_copy(update=files),
            "reader": reader,
            "labels": (Choice(name="annotations", params={"labels": [eyes]}),),
        }
    )
    folder = tmp_path / "data" / spec.folders[0]
    folder.mkdir(parents=True)
    write(folder / f"P1{suffix}")
    broken = (folder / f"P1{suffix}").read_bytes()
    (folder / f"P2{suffix}").write_bytes(broken[: len(broken) // 3])
    (folder / f"{NAME}{suffix}").write_bytes(broken)
    said = run(spec, tmp_path / "data", tmp_path / "store")
    assert_nobody_is_named(said, tmp_path)
    status = [row["status"] for row in said.rows["recordings"]]
    assert status.count("accepted") == 1
    assert len(status) == 3
    assert said.rows["narratives"]


def test_the_search_finds_what_is_there() -> None:
    assert traces("ZEPHRANIA") == ["zephrania"]
    assert traces("born 02.05.1951") == ["02.05.1951"]
    assert not traces("a page of 10 seconds, 1951 samples")
    said = Said((), {"captions": [{"text": f"{NAME} blinks"}], "recordings": []}, {}, [])
    with pytest.raises(AssertionError):
        assert_nobody_is_named(said)
