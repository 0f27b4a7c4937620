"""The HTML report: whole in one file, true to its numbers, closed to gated pages, read by a browser."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import ask_without_pages
from benchmark.asking.models import Majority
from benchmark.errors import BenchmarkError
from benchmark.judging.summary import AxisScore, JudgeSummary, PlantedScore
from benchmark.reports.html import Notes, write_html_report
from benchmark.reports.html_cases import Case
from benchmark.reports.result import Result, make_result
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from tests.benchmark.conftest import page_png

Rows = Callable[[str], list[dict[str, Any]]]
SECRET = "gated words of a gated page"
NASTY = "</td><script>document.title='broken'</script><b>B & C"


def result_of(rows_of: Rows, letter: str) -> Result:
    items = {name: rows_of(name) for name in ("mcq", "caption")}
    shown = {name: [Item.from_row(row) for row in rows] for name, rows in items.items()}
    mcq = [
        answer_row("choice", item, Reply(letter), "tiny", control)
        for control in ("none", "blank", "shuffled")
        for item in shown["mcq"]
    ]
    mcq += ask_without_pages(Majority("A"), TASKS["mcq"], shown["mcq"])
    caption = [answer_row("text", i, Reply("flat page"), "tiny", "none") for i in shown["caption"]]
    rows = score(TASKS["mcq"], items["mcq"], mcq)
    rows += score(TASKS["caption"], items["caption"], caption)
    return make_result(rows, items, {"controls": 0, "scores": 0})


def case(**changes: Any) -> Case:
    values: dict[str, Any] = {
        "task": "mcq", "model": "tiny", "item_id": "item-open", "corpus": "eegmat",
        "category": "band", "question": "Which band?", "reference": "A", "answer": NASTY,
        "score": 0.0, "is_parsed": False, "is_gated": False, "page": page_png(1, 1600, 900),
    }  # fmt: skip
    return Case(**values | changes)


def judged(n_lower: int) -> JudgeSummary:
    axis = AxisScore(axis="sum", value=3.25, low=3.0, high=3.5, spread=0.2, n_items=8, n_subjects=4)
    planted = PlantedScore(kind="side flipped", n=10, n_lower=n_lower, n_tied=0)
    return JudgeSummary(
        model="tiny", judge="gemini:gemini-2.5-pro", judge_family="google",
        writers=("openai:gpt-4.1",), prompt="five-axes-v1", prompt_hash="0" * 16, n_repeats=3,
        n_dropped=0, cost_usd=0.1, rows=(axis,), planted=(planted,), agreement={"alpha": 0.8},
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(rows_of: Rows) -> Result:
    return result_of(rows_of, "A")


@pytest.fixture(scope="module")
def report(result: Result, rows_of: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    gated = case(
        item_id="item-gated", corpus="tuab", is_gated=True, question=SECRET, reference=SECRET,
        answer=SECRET, page=page_png(7),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("html") / "benchmark.html"
    notes = Notes(["shared people: a and b, 3"], ["exposed test: c and d, 2"], {"code": "abc123"})
    write_html_report(
        path, result, cases=[case(), gated], notes=notes, judges=[judged(10), judged(6)],
        earlier=result_of(rows_of, "C"),
    )  # fmt: skip
    return path


def test_every_score_stands_in_it_with_its_interval(report: Path, result: Result) -> None:
    words = plain(report)
    for row in result.scores:
        assert row.metric in words
        if row.value is None or not row.metric.startswith("accuracy"):
            continue
        assert f"{100 * row.value:.1f} %" in words
        if row.ci_low is not None and row.ci_high is not None:
            assert f"{100 * row.ci_low:.1f} % to {100 * row.ci_high:.1f} %" in words
    assert "blank: a white page of the same size" in words
    for task in result.tasks.values():
        assert task.items_sha256 in words
    assert result.sha256 in words
    assert "Research software, not a medical device" in words


def test_of_gated_corpora_it_tells_the_number_alone(report: Path) -> None:
    written = report.read_text()
    assert SECRET not in written
    assert "item-gated" not in written
    assert base64.b64encode(page_png(7)).decode() not in written
    assert "1 of them are of gated corpora" in plain(report)
    assert written.count("data:image/png") == 1, "the open page alone"


def test_a_judge_that_misses_planted_errors_is_marked(report: Path) -> None:
    words = plain(report)
    assert "Planted errors: 100 % detected (side flipped 10 of 10)" in words
    assert "60 % detected (side flipped 6 of 10); chance is 50 %. Below 90 %" in words


def test_the_same_run_gives_the_same_bytes(result: Result, tmp_path: Path) -> None:
    one = write_html_report(tmp_path / "one.html", result, cases=[case()])
    other = write_html_report(tmp_path / "other.html", result, cases=[case()])
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.n_bytes == one.path.stat().st_size


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        (lambda r: None, "There is no earlier run"),
        (lambda r: r, "has the same numbers"),
        (
            lambda r: r.model_copy(
                update={
                    "tasks": {
                        k: t.model_copy(update={"items_sha256": "0"}) for k, t in r.tasks.items()
                    }
                }
            ),
            "has other items: its scores cannot be compared",
        ),
        (lambda r: r.model_copy(update={"tasks": {}}), "is not in the earlier run"),
    ],
    ids=["none", "same", "other items", "other tasks"],
)
def test_runs_are_compared_only_where_they_can_be(
    result: Result, tmp_path: Path, earlier: Callable[[Result], Result | None], said: str
) -> None:
    path = write_html_report(tmp_path / "r.html", result, earlier=earlier(result)).path
    assert said in plain(path)


def test_a_changed_score_is_shown_with_its_difference(
    report: Path, result: Result, rows_of: Rows
) -> None:
    def own(found: Result) -> float:
        value = next(
            r.value for r in found.scores
            if (r.model, r.control, r.metric) == ("tiny", "none", "accuracy")
        )  # fmt: skip
        assert value is not None
        return value

    gap = 100 * (own(result) - own(result_of(rows_of, "C")))
    assert gap != 0
    assert f">{gap:+.1f}<" in report.read_text()


def test_a_run_without_scores_is_refused(result: Result, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no scores"):
        write_html_report(tmp_path / "r.html", result.model_copy(update={"scores": []}))


def test_a_browser_shows_all_of_it_and_asks_nobody(report: Path, tmp_path: Path) -> None:
    seen = browse(report, tmp_path)
    assert seen["title"] == "NeuroGloss benchmark report", "an answer's markup stayed text"
    assert seen["blank"] == [], "every picture was decoded and is as wide as it should be"
    assert len(seen["images"]) == 4, "two tasks, one that changed, one page"
    assert seen["requests"] == []
    assert seen["wide"] <= seen["window"], "nothing runs out of the window"
    assert seen["clipped"] == [], "no column hides behind an edge"
    assert seen["dead_links"] == []
    assert NASTY in seen["cells"]
    assert seen["text_height"] > 1000


PROBE = """<script>
addEventListener('load', () => {
  const images = [...document.images];
  const seen = {
    title: document.title,
    images: images.map(i => i.naturalWidth),
    blank: images.filter(i => i.naturalWidth < 100 || i.clientWidth < 100).map(i => i.alt),
    requests: performance.getEntriesByType('resource').map(e => e.name)
      .filter(n => !n.startsWith('data:')),
    wide: document.documentElement.scrollWidth,
    window: innerWidth,
    dead_links: [...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))
      .filter(h => !document.querySelector(h)),
    cells: [...document.querySelectorAll('td')].map(c => c.textContent.replace('(not read) ', '')),
    clipped: [...document.querySelectorAll('.wide')]
      .filter(d => d.scrollWidth > d.clientWidth).map(d => d.textContent.slice(0, 80)),
    text_height: document.body.scrollHeight,
  };
  const out = document.createElement('pre');
  out.id = 'probe';
  out.textContent = 'PROBE' + JSON.stringify(seen) + 'END';
  document.body.append(out);
});
</script></body>"""
"""Looks at a copy of the page from inside; the report itself holds no script and allows none."""


def browse(report: Path, folder: Path) -> dict[str, Any]:
    browser = next(
        (b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None
    )
    if browser is None:
        pytest.skip("no Chromium on the path: the report cannot be opened in a browser")
    written = report.read_text()
    assert "<script" not in written
    policy = "style-src 'unsafe-inline'"
    probed = written.replace(policy, f"{policy}; script-src 'unsafe-inline'", 1)
    copy = folder / "probed.html"
    copy.write_text(probed.replace("</body>", PROBE))
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.search(r"PROBE(\{.*\})END</pre>", done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-500:]
    return dict(json.loads(html.unescape(found[1])))


def plain(path: Path) -> str:
    """Return the words of the page, tags and pictures left out."""
    written = re.sub(r'src="data:[^"]*"', "", path.read_text())
    return html.unescape(re.sub(r"<[^>]+>", " ", written))
