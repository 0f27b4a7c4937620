"""Card, datasheet and machine-readable description of a release agree with its rows."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prompts.releases.datasheet import BIASES, FORBIDDEN, INTENDED, people_of
from prompts.releases.documents import DOCUMENTS, write_documents
from prompts.releases.files import release_schema, write_split
from prompts.releases.recipe import SPLITS, Recipe
from prompts.releases.tally import Tally

RECIPE = Recipe.model_validate(
    {"name": "planted", "version": "0.1.0", "description": "Planted pages.",
     "shards": ["open-01-of-01", "other-01-of-02"],
     "mixture": {"train": {"captions": 4}, "test": {"captions": 1}}}
)  # fmt: skip
PEOPLE = {
    ("open", "s-1"): {"age_band": "20-29", "sex": "F", "recorded": "single electrodes at 256 Hz"},
    ("open", "s-2"): {"age_band": "90+", "sex": "M"},
    ("other", "s-3"): {"age_band": "20-29"},
}
ONE_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


def row(number: int, corpus: str, subject: str, split: str, **changes: Any) -> dict[str, Any]:
    base = {
        "id": f"t-{number}", "images": [{"bytes": ONE_PIXEL, "path": "page.png"}],
        "messages": [{"role": "user", "content": "<image>\nWhat is seen?"},
                     {"role": "assistant", "content": f"Alpha {number}."}],
        "kind": "captions", "corpus": corpus, "subject_id": subject, "split": split,
        "segment_ids": [f"g-{number}"], "sentences": [{"text": "Alpha.", "evidence": ["f-1"]}],
        "evidence": ["f-1"], "prompt_hash": "0", "teacher": "rules",
        "is_simulated": corpus == "other", "is_offline_teacher": False, "cost_usd": 0.25,
        "grounding": "supported", "licence": "CC0-1.0", "is_gated": False,
    }  # fmt: skip
    return base | changes


ROWS = (
    row(1, "open", "s-1", "train"),
    row(2, "open", "s-1", "train", kind="narratives", teacher="template", is_offline_teacher=True,
        segment_ids=["g-1", "g-0", "g-9", "g-8"]),
    row(3, "other", "s-3", "train"),
    row(4, "open", "s-2", "test"),
)  # fmt: skip


def build(folder: Path, rows: tuple[dict[str, Any], ...] = ROWS) -> Path:
    folder.mkdir(parents=True)
    tally = Tally()
    files = [
        file
        for split in SPLITS
        for file in write_split(tally.watch(r for r in rows if r["split"] == split), folder, split)
    ]
    report = tally.report(RECIPE, folder, files, ("open-01-of-01",))
    write_documents(folder, RECIPE, report, people=PEOPLE)
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("release") / "planted")


@pytest.fixture(scope="module")
def described(release: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / "croissant.json").read_text())
    return found


def test_the_card_counts_earlier_pages_in_the_rows(release: Path, tmp_path: Path) -> None:
    assert "mean of up to 3 earlier pages" in (release / "README.md").read_text()
    alone = build(tmp_path / "alone", ROWS[:1])
    assert "No row compares its page with an earlier one." in (alone / "README.md").read_text()


@pytest.mark.parametrize(
    "line",
    [
        "4 rows about pages of 3 people (train 2, validation 0, test 1); 1 rows show simulated pages",
        "| open | 3 | 2 |",
        "| other | 1 | 1 |",
        "| open | 20-29 | 1 |",
        "| open | 90+ | 1 |",
        "| other | not stated | 1 |",
        "| open | single electrodes at 256 Hz | 1 |",
        "| `rules` | 3 |",
        "| `template` | 1 |",
        "No row is of a gated corpus.",
        "content hash `",
    ],
)
def test_the_datasheet_says_who_and_what_is_in_it(release: Path, line: str) -> None:
    assert line in (release / "DATASHEET.md").read_text()


def test_the_datasheet_has_every_part(release: Path) -> None:
    text = (release / "DATASHEET.md").read_text()
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "Motivation", "Composition", "Collection", "Labelling", "Label noise", "Uses",
        "Known biases", "Privacy", "Distribution", "Maintenance", "Takedown",
    ]  # fmt: skip
    for sentence in (*INTENDED, *FORBIDDEN, *BIASES):
        assert sentence in text
    assert "Not a medical device" in text


def test_label_noise_is_the_detectors_own_card(release: Path) -> None:
    from detectors.waveform.card import CARD_NAME, read_card
    from detectors.waveform.infer import SHIPPED_WEIGHTS

    card = read_card(SHIPPED_WEIGHTS / CARD_NAME)
    text = (release / "DATASHEET.md").read_text()
    assert card.weights_id in text
    for name, score in card.scores.items():
        cells = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        assert f"| {score.precision:.2f} | {score.recall:.2f} | {score.n_truth} |" in cells
    for limit in card.limits:
        assert limit in text
    assert "posterior rhythm" in text.partition("Found by rules alone")[2]


def test_the_description_is_valid_croissant(
    release: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    with caplog.at_level(logging.WARNING):
        metadata = mlcroissant.Dataset(jsonld=str(release / "croissant.json")).metadata
    assert not metadata.issues.errors
    left = {w for w in metadata.issues.warnings if "datePublished" not in w and "url" not in w}
    assert not left, left
    assert not [r for r in caplog.records if "not standard" in r.getMessage()]
    assert metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"


def test_a_broken_description_would_be_noticed(release: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    broken = json.loads((release / "croissant.json").read_text())
    broken["recordSet"][0]["field"][0]["source"]["fileSet"]["@id"] = "nowhere"
    (tmp_path / "croissant.json").write_text(json.dumps(broken))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))


def test_mlcroissant_reads_the_rows_through_the_description(release: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    found = list(mlcroissant.Dataset(jsonld=str(release / "croissant.json")).records("rows"))
    assert sorted(r["rows/id"] for r in found) == [b"t-1", b"t-2", b"t-3", b"t-4"]
    narrative = next(r for r in found if r["rows/id"] == b"t-2")
    assert narrative["rows/kind"] == b"narratives"
    assert [p["rows/images/bytes"].size for p in narrative["rows/images"]] == [(1, 1)]
    assert [m["rows/messages/role"] for m in narrative["rows/messages"]] == [b"user", b"assistant"]
    assert narrative["rows/is_offline_teacher"] in (True, b"True")
    assert [bytes(s) for s in narrative["rows/segment_ids"]] == [b"g-1", b"g-0", b"g-9", b"g-8"]


def test_the_description_says_what_the_rows_say(release: Path, described: dict[str, Any]) -> None:
    assert [f["name"] for f in described["recordSet"][0]["field"]] == release_schema().names
    files = [f for f in described["distribution"] if f["@type"] == "cr:FileObject"]
    assert {f["name"] for f in files} == {p.name for p in release.glob("*.parquet")}
    assert "http://mlcommons.org/croissant/RAI/1.0" in described["conformsTo"]
    for name in (
        "dataBiases", "dataLimitations", "personalSensitiveInformation", "dataUseCases",
        "dataSocialImpact", "dataAnnotationProtocol", "dataReleaseMaintenancePlan",
    ):  # fmt: skip
        assert described[f"rai:{name}"], name
    assert described["rai:hasSyntheticData"] is True
    assert (
        "people by split: train 2, validation 0, test 1"
        in described["rai:personalSensitiveInformation"]
    )
    assert "age_band: 20-29, 90+" in described["rai:dataBiases"]


def test_the_same_rows_give_the_same_documents(release: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "again")
    for name in DOCUMENTS:
        assert (again / name).read_bytes() == (release / name).read_bytes()


def test_people_are_gathered_from_a_shard() -> None:
    frame = pl.DataFrame(
        {
            "corpus": ["a", "a", "a"], "subject_id": ["s-1", "s-1", "s-2"],
            "age_band": ["20-29", "30-39", None], "sex": ["F", "F", None],
            "channel_schema": ["referential19", "referential19", "bipolar:F7-T7"],
            "sfreq_hz": [256.0, 256.0, 512.0],
        }
    )  # fmt: skip
    assert people_of(frame) == {
        ("a", "s-1"): {
            "age_band": "20-29; 30-39", "sex": "F", "recorded": "single electrodes at 256 Hz",
        },
        ("a", "s-2"): {"recorded": "bipolar derivations at 512 Hz"},
    }  # fmt: skip
    assert people_of(frame.select("corpus", "subject_id")) == {("a", "s-1"): {}, ("a", "s-2"): {}}
