"""The review page: which segments, boxes on the wave, one blind file that calls nobody."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image
from review_shard import (
    FINDINGS,
    GATED_SHARD,
    HIDDEN,
    SECOND,
    SHARD,
    SPIKE,
    Shown,
    plant,
    recording_row,
)

from dagster_project.assets.findings import findings
from dagster_project.cli import main
from dagster_project.failures import PermanentFailure
from dagster_project.resources import Workspace
from dagster_project.review.marks import Mark, MarkBook
from dagster_project.review.pages import (
    finding_boxes,
    review_data,
    review_html,
    sample_segments,
    write_review,
)
from dagster_project.tables.store import TableStore
from detectors.pages.geometry import page_geometry
from detectors.rows import finding_row
from detectors.types import REFERENTIAL19


def test_boxes_lie_on_the_wave(store: TableStore) -> None:
    data = review_data(store, SHARD, n=9, seed=0)
    page = next(p for p in data["pages"] if p["segment_id"] == "g-spike")
    picture = Image.open(io.BytesIO(base64.b64decode(page["png"].partition(",")[2])))
    ink = np.asarray(picture.convert("L")) < 100
    shown = next(f for f in page["findings"] if f["finding_id"] == SPIKE.finding_id)
    geometry = page_geometry(REFERENTIAL19)
    assert [round(y + h / 2, 1) for _, y, _, h in shown["boxes"]] == [
        geometry.baselines_px[geometry.row_of(row)] for row in ("F7-T7", "T7-P7")
    ]
    for x, y, width, height in shown["boxes"]:
        baseline = round(y + height / 2)
        rows = slice(round(y), round(y + height))
        # at rest the trace keeps to its baseline; it leaves it inside the box and nowhere else
        away = ink[rows].copy()
        away[baseline - 3 - round(y) : baseline + 3 - round(y)] = False
        columns = np.flatnonzero(away[:, 170:].any(axis=0)) + 170
        assert len(columns) > 0
        assert columns.min() >= x - 2
        assert columns.max() <= x + width + 2


def test_what_no_row_shows_has_no_box() -> None:
    assert finding_boxes(["A1"], 1.0, 2.0, page_geometry(REFERENTIAL19)) == []
    assert finding_boxes([], 0.0, 10.0, page_geometry(REFERENTIAL19)) == []


def test_the_file_is_whole_blind_and_calls_nobody(store: TableStore) -> None:
    html = review_html(review_data(store, SHARD, n=9, seed=0))
    shown = Shown(html)
    assert shown.addresses == [], "pictures come from the data, nothing from elsewhere"
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in html
    assert "b" not in shown.tags, "a value closed the script it lies in"
    assert "Research software, not a medical device" in html
    assert "secret" not in html, "labels and paths stay out"
    page = next(p for p in shown.data["pages"] if p["segment_id"] == "g-spike")
    assert page["subject_id"] == "s-one"
    hidden = next(f for f in page["findings"] if f["is_masked"])
    assert hidden["mask_reason"] == HIDDEN.mask_reason
    assert hidden["masked_by"] == "eye blink at 1.00 s"
    assert page["judgements"] == [
        {"kind": "spike", "verdict": "present", "reason": ""},
        {"kind": "spindle", "verdict": "not_judged", "reason": "awake"},
    ]
    spike = page["findings"][0]
    assert spike["measures"] == [["amplitude_uv_p2p", "123.5", "uV"], ["ratio", "nan", "1"]]


@pytest.mark.parametrize(
    ("n", "kinds", "expected"),
    [
        (9, (), [{"g-spike", "g-second"}, {"g-calm"}]),
        (1, ("voltage",), [{"g-calm"}]),
        (9, ("spindle", "voltage"), [{"g-second"}, {"g-calm"}]),
        (9, ("sharp",), [{"g-spike"}]),
        (9, ("flat",), []),
    ],
    ids=["events first", "capped", "kinds", "hidden only", "none"],
)
def test_pages_with_findings_come_first(
    store: TableStore, n: int, kinds: tuple[str, ...], expected: list[set[str]]
) -> None:
    chosen = list(sample_segments(store.read("findings", SHARD), n, 0, kinds))
    assert chosen == list(sample_segments(store.read("findings", SHARD).reverse(), n, 0, kinds))
    for group in expected:
        assert set(chosen[: len(group)]) == group
        chosen = chosen[len(group) :]
    assert chosen == []


def test_a_seed_changes_the_order_and_an_unknown_kind_is_refused(store: TableStore) -> None:
    held = store.read("findings", SHARD)
    orders = {sample_segments(held, 9, seed) for seed in range(20)}
    assert len(orders) == 2
    with pytest.raises(PermanentFailure, match=r"\['spikes'\] are not known; use some of flat"):
        sample_segments(held, 9, 0, ["spikes"])


def test_the_page_of_a_shard_without_findings_does_not_outlive_them(
    store: TableStore, workspace: Workspace
) -> None:
    folder = workspace.folder("reviews", SHARD)
    page = write_review(store, SHARD, folder)
    assert page is not None
    first = page.read_bytes()
    assert write_review(store, SHARD, folder) == page
    assert page.read_bytes() == first
    store.write("findings", SHARD, [])
    assert write_review(store, SHARD, folder) is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("shard", "leaves"), [(SHARD, True), (GATED_SHARD, False)])
def test_a_page_of_a_gated_corpus_stays_under_the_root(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], shard: str, leaves: bool,
) -> None:  # fmt: skip
    plant(workspace.store(), shard)
    monkeypatch.setenv("NEUROGLOSS_HOME", workspace.home())
    out = tmp_path / "out.html"
    assert main(["review", shard, "--to", str(out)]) == (0 if leaves else 2)
    assert out.exists() is leaves
    assert leaves or "tuab (licence" in capsys.readouterr().err
    inside = workspace.folder("reviews", shard, "more.html")
    assert main(["review", shard, "--to", str(inside)]) == 0
    assert inside.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["review"], "needs a shard"),
        (["review", "nowhere-01-of-01"], "nowhere-01-of-01"),
        (["review", SHARD, "--n", "0"], "--n 0 is not allowed"),
        (["review", SHARD, "--kinds", "flat"], "no finding of the kinds"),
        (["review", SHARD, "--port", "99999"], "port 99999 cannot be had"),
        (["review", "simulated-01-of-02"], "materialise asset 'findings'"),
    ],
    ids=["no shard", "unknown shard", "no pages", "no such findings", "no port", "not built"],
)
def test_what_cannot_be_shown_is_one_sentence(
    store: TableStore, workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("NEUROGLOSS_HOME", workspace.home())
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_asset_says_where_the_page_lies_and_forgets_the_withdrawn(
    store: TableStore, workspace: Workspace, book: MarkBook
) -> None:
    mark = Mark(
        reviewer="AB", segment_id="g-second", finding_id=SECOND.finding_id, verdict="right"
    )  # fmt: skip
    book.put([(mark, "2026-01-31")])
    store.write("rule_findings", SHARD, [finding_row(f) for f in FINDINGS])
    store.write("rule_judgements", SHARD, [])
    store.write("waveform_events", SHARD, [], {"detector": ""})
    store.write("recordings", SHARD, [recording_row("s-one")])
    context = dg.build_asset_context(partition_key=SHARD)
    shown = findings(context, workspace).metadata
    page = Path(shown["review_page"].value)
    assert page == workspace.folder("reviews", SHARD, "index.html").resolve()
    pages = Shown(page.read_text(encoding="utf-8")).data["pages"]
    assert {p["segment_id"] for p in pages} == {"g-spike", "g-calm", "g-second"}
    assert shown["review_command"] == f"neurogloss review {SHARD}"
    assert shown["review_marks"] == 0
    assert store.read("review_marks", SHARD).height == 0
