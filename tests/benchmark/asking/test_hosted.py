"""Models behind a server: both protocols over real sockets, pages intact, gates, money, log-probs.

The fault server answers by chance and misbehaves by plan; the seeing server knows each page by its
pixels and answers rightly only where the very page arrived.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from benchmark.__main__ import main
from benchmark.asking.answers import Item
from benchmark.asking.ask import ask, grade
from benchmark.asking.exchange import read_answers, write_items, write_pages
from benchmark.asking.hosted import HostedModel, open_hosted, option_logprobs
from benchmark.asking.served import ask_served, estimate_served
from benchmark.asking.under_test import ServedModel
from benchmark.errors import BenchmarkError
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from prompts.leaving import Walls
from prompts.teachers.pictures import bare_png
from tests.prompts.teachers.fault_http import Response, as_json
from tests.prompts.teachers.fault_plan import Asked, FaultPlan, Written
from tests.prompts.teachers.fault_protocols import Protocol_
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.kill_client import KEY_ENV, settings_of

Rows = Callable[[str], list[dict[str, Any]]]
Pages = Callable[[Sequence[Item]], dict[str, bytes]]
PROTOCOLS = ["openai", "gemini", "openai_compatible"]
MCQ = TASKS["mcq"]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-secret-0123456789abcdef")


def pixels(png: bytes) -> str:
    with Image.open(io.BytesIO(png)) as image:
        return hashlib.sha256(image.tobytes()).hexdigest()


class SeeingServer(FaultServer):
    """Knows what is on each page, by its pixels, and answers ``?`` about any other picture."""

    def __init__(self, known: Mapping[tuple[str, str], str], plan: FaultPlan | None = None) -> None:
        super().__init__(plan)
        self.known = known
        self.seen: list[Asked] = []

    def _answer(
        self, protocol: Protocol_, body: dict[str, Any], asked: Asked, key: str, fault: str
    ) -> Response:
        self.seen.append(asked)
        shown = pixels(asked.pictures[0]) if asked.pictures else ""
        said = self.known.get((asked.texts[-1], shown), "?")
        top = ((said, -0.1), ("?", -4.0))[: asked.top_logprobs]
        written = Written("", said, asked.input_tokens, 0, 1, top)
        self.account.charge(asked.body, written)
        return as_json(200, protocol.reply(written, body))


def served(server: FaultServer, provider: str = "openai", **changes: Any) -> dict[str, Any]:
    more = {"model": "gpt-seeing", "timeout_s": 20.0, "top_logprobs": 5} | changes
    settings = settings_of(provider, server.base_url(provider), **more)
    settings.pop("max_output_tokens", None)
    return settings


def free_items(rows: Sequence[dict[str, Any]]) -> list[Item]:
    return [replace(Item.from_row(row), may_leave=True) for row in rows]


def key_of(rows: Sequence[Mapping[str, Any]], pages: Mapping[str, bytes]) -> dict[Any, str]:
    return {(r["prompt"], pixels(pages[r["item_id"]])): r["answer"] for r in rows}


def opened(server: FaultServer, provider: str = "openai", **changes: Any) -> HostedModel:
    leave = changes.pop("pages_may_leave", True)
    cache = changes.pop("cache", None)
    teacher = served(server, provider, **changes)
    return open_hosted("api", teacher, MCQ, cache, pages_may_leave=leave)


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_pages_arrive_whole_and_answers_are_read(
    provider: str, rows_of: Rows, pages_of: Pages
) -> None:
    rows = rows_of("mcq")[:10]
    items = free_items(rows)
    pages = pages_of(items)
    with SeeingServer(key_of(rows, pages)) as server:
        model = opened(server, provider)
        answers = ask(model, MCQ, items, pages, controls=("none", "text_only"))
        model.close()
        seen = list(server.seen)
    graded = grade(MCQ, rows, answers)
    assert [a["is_correct"] for a in graded if a["control"] == "none"] == [True] * 10
    assert not any(a["is_parsed"] for a in graded if a["control"] == "text_only")
    assert {len(asked.pictures) for asked in seen} == {0, 1}
    sent = {r["prompt"] for r in rows}
    said = {text for asked in seen for text in asked.texts if text}
    assert said == sent, "nothing else is said"


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_batch_jobs_carry_the_same_pages_and_answers_at_half_the_price(
    provider: str, rows_of: Rows, pages_of: Pages, tmp_path: Path
) -> None:
    items = free_items(rows_of("mcq")[:8])
    pages = pages_of(items)
    controls = ("none", "text_only", "shuffled")
    tables, counted = {}, {}
    for mode in ("online", "batch", "again"):
        how = {"mode": "online"} if mode == "online" else {"mode": "batch", "batch_poll_s": 0.02}
        plan = FaultPlan(seed=3, batch_s=0.05)
        with FaultServer(plan) as server:
            teacher = served(server, provider, model="planted-model", **how)
            model = ServedModel(kind="server", description="x", teacher=teacher)
            tables[mode] = ask_served(
                model, MCQ, items, pages, name="api", controls=controls, seed=0,
                cache=tmp_path / ("online" if mode == "online" else "batch"), pages_may_leave=True,
            )  # fmt: skip
            counted[mode] = server.counts()
    assert tables["batch"] == tables["again"] == tables["online"]
    assert all(row["is_parsed"] and row["option_logprobs"] for row in tables["batch"])
    assert len({(row["item_id"], row["output"]) for row in tables["batch"]}) > len(items)
    assert len(counted["batch"]["batches"]) == 1, "all controls in one job"
    assert counted["batch"]["usd"] == pytest.approx(counted["online"]["usd"] / 2)
    assert counted["again"]["charged"] == 0, "what was paid is not asked again"


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_letters_have_log_probabilities_where_the_server_gives_them(
    provider: str, rows_of: Rows, pages_of: Pages
) -> None:
    rows = rows_of("mcq")[:8]
    items = free_items(rows)
    pages = pages_of(items)
    with SeeingServer(key_of(rows, pages)) as server:
        tables = []
        for top in (5, 0):
            model = opened(server, provider, top_logprobs=top)
            tables.append(score(MCQ, rows, ask(model, MCQ, items, pages)))
            model.close()
    with_them, without = ({r["metric"]: r for r in table} for table in tables)
    assert with_them["auroc"]["value"] == 1.0
    assert with_them["accuracy_logprob"]["value"] == 1.0
    assert without["auroc"]["value"] != without["auroc"]["value"], "void"
    assert "8 of 8 answers came without" in without["auroc"]["note"]
    assert without["accuracy"]["value"] == 1.0


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ({"A": -1.0, "B": -2.0}, (-1.0, -2.0)),
        ({" A": -1.0, "The": -3.0}, (-1.0, -3.0)),
        ({"A": -1.0, " A": -1.0, "x": -5.0}, (-0.3068528, -5.0)),
        ({"A": -9999.0, "B": 0.0}, (-9999.0, 0.0)),
        ({"The": -0.1, "**": -3.0}, ()),
        ({"a": -0.1}, ()),
        ({}, ()),
    ],
    ids=[
        "both",
        "least",
        "forms summed",
        "as good as none",
        "no letter",
        "small letter",
        "none given",
    ],
)
def test_option_log_probabilities(first: dict[str, float], expected: tuple[float, ...]) -> None:
    item = Item("i", "mcq", "s", "p", "?", ("x", "y"), "c")
    assert option_logprobs(first, item) == pytest.approx(expected)


def test_answers_are_cached_and_paid_once(rows_of: Rows, pages_of: Pages, tmp_path: Path) -> None:
    items = free_items(rows_of("mcq")[:6])
    pages = pages_of(items)
    tables, counts = [], []
    with FaultServer() as server:
        for _ in range(2):
            model = opened(server, cache=tmp_path / "cache.sqlite")
            tables.append(ask(model, MCQ, items, pages, controls=("none", "blank")))
            model.close()
            counts.append(server.counts()["charged"])
    assert tables[0] == tables[1]
    assert counts[1] == counts[0] > 0


def test_rows_of_gated_corpora_are_counted_and_never_sent(
    rows_of: Rows, pages_of: Pages, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of("mcq")[:6]
    items = free_items(rows[:4]) + [Item.from_row(row) for row in rows[4:]]
    pages = pages_of(items)
    asked = {"name": "api", "controls": ["none"], "seed": 0, "cache": None}
    with SeeingServer(key_of(rows, pages)) as server:
        model = ServedModel(kind="server", description="x", teacher=served(server))
        answers = ask_served(model, MCQ, items, pages, **asked, pages_may_leave=True)
        said = [text for one in server.seen for text in one.texts if text]
        shown = {pixels(p) for one in server.seen for p in one.pictures}
        n_before = server.counts()["arrived"]
        with pytest.raises(BenchmarkError, match="all 2 items are of gated corpora"):
            ask_served(model, MCQ, items[4:], pages, **asked, pages_may_leave=True)
        direct = opened(server)
        with pytest.raises(BenchmarkError, match="2 of 6 items are of corpora whose rows"):
            direct.answer(items, [pages[i.item_id] for i in items])
        direct.close()
        assert server.counts()["arrived"] == n_before
    assert {a["item_id"] for a in answers} == {i.item_id for i in items[:4]}
    assert "2 of 6 items are of gated corpora" in caplog.text
    assert shown == {pixels(pages[i.item_id]) for i in items[:4]}
    assert len(said) == 4


def test_a_server_of_ones_own_may_be_asked_everything(rows_of: Rows, pages_of: Pages) -> None:
    items = [Item.from_row(row) for row in rows_of("mcq")[:4]]
    with FaultServer() as server:
        teacher = served(server, "openai_compatible", is_local=True)
        model = ServedModel(kind="server", description="x", teacher=teacher)
        answers = ask_served(
            model, MCQ, items, pages_of(items), name="own", controls=["none"], seed=0, cache=None,
            pages_may_leave=False,
        )  # fmt: skip
    assert len(answers) == 4


def test_pages_leave_only_where_the_settings_say_so(rows_of: Rows, pages_of: Pages) -> None:
    items = free_items(rows_of("mcq")[:4])
    pages = pages_of(items)
    with FaultServer() as server:
        model = opened(server, pages_may_leave=False)
        with pytest.raises(BenchmarkError, match=r"4 pages would be sent .* pages_may_leave"):
            ask(model, MCQ, items, pages)
        assert server.counts()["arrived"] == 0
        assert len(ask(model, MCQ, items, pages, controls=("text_only",))) == 4
        model.close()


def test_the_spend_cap_stops_the_run_and_keeps_what_was_paid(
    rows_of: Rows, pages_of: Pages, tmp_path: Path
) -> None:
    items = free_items(rows_of("mcq")[:8])
    pages = pages_of(items)
    with FaultServer() as server:
        # one request is bound by some 4,700 tokens of input, and costs some 1,050
        model = opened(server, max_usd=0.0065, cache=tmp_path / "cache", max_in_flight=1)
        with pytest.raises(BenchmarkError, match=r"[1-7] of 8 items are answered.*cap is"):
            ask(model, MCQ, items, pages)
        model.close()
        assert server.counts()["usd"] <= 0.0065
        model = opened(server, max_usd=1.0, cache=tmp_path / "cache")
        assert len(ask(model, MCQ, items, pages)) == 8
        model.close()
        assert server.counts()["charged"] == 8


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_an_estimate_bounds_the_cost_asks_nobody_and_needs_no_key(
    provider: str, rows_of: Rows, pages_of: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = free_items(rows_of("mcq")[:6])
    pages = pages_of(items)
    with FaultServer() as server:
        cache = tmp_path / "cache.sqlite"
        model = ServedModel(kind="server", description="x", teacher=served(server, provider))
        how: dict[str, Any] = {
            "name": "api", "controls": ["none", "text_only"], "seed": 0, "cache": cache,
            "pages_may_leave": True,
        }  # fmt: skip
        with monkeypatch.context() as without_key:
            without_key.delenv(KEY_ENV)
            before = estimate_served(model, MCQ, items, pages, **how)
        assert server.counts()["arrived"] == 0
        ask_served(model, MCQ, items, pages, **how)
        usd = server.counts()["usd"]
        after = estimate_served(model, MCQ, items, pages, **how)
    n = int(before.split(":")[1].split()[0])
    assert f"{n} requests, 0 of them" in before
    assert f"{n} requests, {n} of them answered before; at most 0 input" in after
    assert float(before.rpartition(" USD")[0].rpartition(" ")[2]) + 0.005 >= usd > 0


def test_faults_are_survived_and_refusals_count_as_unparsed(rows_of: Rows, pages_of: Pages) -> None:
    rows = rows_of("mcq")[:30]
    items = free_items(rows)
    plan = FaultPlan(
        seed=5, transport={"429_after": 0.1, "500": 0.1, "reset": 0.1}, content={"refusal": 0.2}
    )
    with FaultServer(plan) as server:
        model = opened(server, timeout_s=5.0)
        answers = ask(model, MCQ, items, pages_of(items))
        n_refused = model.dropped["refused"]
        model.close()
        faults = server.counts()["faults"]
    assert n_refused > 0
    assert faults["500"] + faults["reset"] > 0
    assert sum(not a["is_parsed"] for a in answers) == n_refused
    accuracy = next(r for r in score(MCQ, rows, answers) if r["metric"] == "accuracy")
    assert accuracy["n_unparsed"] == n_refused
    assert accuracy["n_items"] == 30


def test_a_page_leaves_without_its_text_chunks() -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("Patient", "somebody")
    buffer = io.BytesIO()
    Image.new("L", (8, 4), 7).save(buffer, format="PNG", pnginfo=told, dpi=(300, 300))
    bare = bare_png(buffer.getvalue())
    assert b"somebody" in buffer.getvalue()
    assert b"somebody" not in bare
    assert pixels(bare) == pixels(buffer.getvalue())
    for broken in (b"no picture", buffer.getvalue()[:40]):
        with pytest.raises(ValueError, match="render it again"):
            bare_png(broken)


@pytest.mark.parametrize(
    ("words", "what"),
    [("Page of seg-1?", "an id of its own item"), ("On 2020-01-02?", "a date")],
)
def test_words_that_name_somebody_are_not_sent(words: str, what: str) -> None:
    item = Item("i", "mcq", "seg-1", "p", words, ("x", "y"), "c", may_leave=True)
    with FaultServer() as server:
        model = opened(server)
        with pytest.raises(BenchmarkError, match=what):
            model.answer([item], [None])
        model.close()
        assert server.counts()["arrived"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provider": "template"}, "writes training text"),
        ({"api_key_env": "NEUROGLOSS_NO_SUCH_KEY"}, "is not set"),
        ({"wish": 1}, "wish"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
    ],
    ids=["offline writer", "no key", "unknown setting", "no number"],
)
def test_settings_that_cannot_be_asked(changes: dict[str, Any], message: str) -> None:
    settings = settings_of("openai", "http://127.0.0.1:9/v1") | changes
    if changes.get("provider") == "template":
        settings = {"provider": "template"}
    with pytest.raises(BenchmarkError, match=message):
        open_hosted("api", settings, MCQ, None)


def test_the_program_asks_a_model_file(
    rows_of: Rows, pages_of: Pages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of("mcq")[:6]
    walls = Walls(tmp_path, {})
    corpora = {row["corpus"] for row in rows}
    write_items(tmp_path / "items.parquet", rows, walls, leaving={"eegmat"})
    pages = pages_of([Item.from_row(r) for r in rows])
    write_pages(tmp_path / "pages.parquet", pages, corpora, walls)
    n_free = sum(row["corpus"] == "eegmat" for row in rows)
    with FaultServer() as server:
        file = tmp_path / "api.yaml"
        file.write_text(
            "kind: server\ndescription: x\nteacher:\n"
            + "".join(f"  {k}: {v}\n" for k, v in served(server).items() if v is not None)
        )
        words = ["answer", "--items", f"{tmp_path}/items.parquet", "--task", "mcq", "--model",
                 str(file), "--pages", f"{tmp_path}/pages.parquet", "--controls", "none,text_only",
                 "--cache", f"{tmp_path}/cache", "--out", f"{tmp_path}/out.parquet"]  # fmt: skip
        assert main([*words, "--pages-may-leave", "--estimate"]) == 0
        assert server.counts()["arrived"] == 0
        assert main(words) == 1, "the file does not say that pages may leave"
        assert main([*words, "--pages-may-leave"]) == 0
    assert f"{6 - n_free} of 6 items are of gated corpora" in capsys.readouterr().out
    answers = read_answers(tmp_path / "out.parquet")
    assert {a["model"] for a in answers} == {"api"}
    assert len(answers) == 2 * n_free
