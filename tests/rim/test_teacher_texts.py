"""Teachers at the rim: estimates, money, caps and counts, against a real server over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.assets.teacher_texts import TeacherConfig, settings_of
from dagster_project.build import build_definitions
from dagster_project.resources import Workspace
from prompts.teachers.cache import CACHE_FILE
from prompts.teachers.registry import read_settings
from prompts.texts.check import SUPPORTED
from prompts.texts.kinds import TEXT_KINDS
from tests.prompts.teachers.fault_plan import FaultPlan
from tests.prompts.teachers.fault_server import FaultServer

SHARD = "simulated-01-of-02"
SMALL = {"n_subjects": 4, "minutes_per_recording": 0.5, "seed": 3}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Write = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(storage_root=str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def run(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., dg.ExecuteInProcessResult]]:
    """Run a job on one small shard that is already cut, measured and judged."""
    defs = build_definitions({"workspace": workspace})
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path_factory.mktemp("dagster"))) as instance:

        def job(name: str, partition: str, ops: dict[str, Any]) -> dg.ExecuteInProcessResult:
            config = {"ops": {op: {"config": value} for op, value in ops.items()}, **QUIET}
            return defs.resolve_job_def(name).execute_in_process(
                instance=instance, partition_key=partition, run_config=config, raise_on_error=False
            )

        assert job("simulate", "simulated", {"simulated_corpus": SMALL}).success
        assert job("rebuild_corpus", SHARD, {}).success
        yield job


@pytest.fixture
def write(run: Callable[..., dg.ExecuteInProcessResult]) -> Write:
    """Write the teachers' texts of the shard, all kinds with the same launchpad values."""

    def job(**config: Any) -> dg.ExecuteInProcessResult:
        return run("write_texts", SHARD, dict.fromkeys(TEXT_KINDS, config))

    return job


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(FaultPlan(content={"refusal": 0.1, "invalid_json": 0.2})) as running:
        yield running


def hosted(server: FaultServer, **more: Any) -> dict[str, Any]:
    return {
        "provider": "openai_compatible",
        "model": "m",
        "base_url": server.openai_url,
        "input_usd_per_mtok": server.plan.input_usd_per_mtok,
        "output_usd_per_mtok": server.plan.output_usd_per_mtok,
        **more,
    }


def shown(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (entry,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in entry.metadata.items()}


def failures(result: dg.ExecuteInProcessResult) -> str:
    return json.dumps(
        [str(e.step_failure_data.error) for e in result.all_events if e.is_step_failure]
    )


def test_a_dry_run_says_what_it_would_take_and_sends_nothing(
    write: Write, workspace: Workspace, server: FaultServer
) -> None:
    n_pages = workspace.store().read("segments", SHARD, ["segment_id"]).height
    result = write(**hosted(server, dry_run=True))
    assert result.success, failures(result)
    for table in TEXT_KINDS:
        metadata = shown(result, table)
        assert metadata["estimate_n_requests"] == n_pages
        assert metadata["estimate_usd"] > 0
        assert metadata["estimate_output_tokens"] == n_pages * TeacherConfig().max_output_tokens
        assert workspace.store().read(table, SHARD).is_empty()
    assert server.counts()["arrived"] == 0
    few = shown(write(**hosted(server, dry_run=True, n_texts=2)), "dialogues")
    assert few["estimate_n_requests"] == 2


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_a_dry_run_needs_no_key_and_asking_does(
    write: Write, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    result = write(provider=provider, dry_run=True, n_texts=2)
    assert result.success, failures(result)
    assert shown(result, "narratives")["estimate_usd"] > 0
    assert "_API_KEY is not set" in failures(write(provider=provider, n_texts=2))


def test_money_in_rows_and_ledger_is_the_servers_and_is_paid_once(
    write: Write, workspace: Workspace, server: FaultServer
) -> None:
    first = write(**hosted(server))
    assert first.success, failures(first)
    store = workspace.store()
    n_pages = store.read("segments", SHARD, ["segment_id"]).height
    charged = server.counts()
    assert charged["charged"] > 0
    cost = 0.0
    for table in TEXT_KINDS:
        rows = store.read(table, SHARD)
        assert rows.height == n_pages
        for row in rows.iter_rows(named=True):
            said = " ".join(s["text"] for s in row["sentences"])
            assert bool(said) == (row["grounding"] == SUPPORTED)
        cost += rows["cost_usd"].sum()
        metadata = shown(first, table)
        assert metadata["cost_usd"] == pytest.approx(rows["cost_usd"].sum())
        assert sum(metadata["verdicts"].values()) == n_pages
        (ledger,) = metadata["ledger"]
        assert ledger["usd"] == pytest.approx(rows["cost_usd"].sum())
        assert ledger["n_possibly_paid"] == 0
    assert cost == pytest.approx(charged["usd"])
    assert workspace.folder(CACHE_FILE).is_file()
    before = {table: store.manifest(table, SHARD) for table in TEXT_KINDS}
    again = write(**hosted(server))
    assert again.success
    assert server.counts()["usd"] == charged["usd"]
    assert all(not shown(again, table)["ledger"] for table in TEXT_KINDS)
    for table, manifest in before.items():
        now = store.manifest(table, SHARD)
        assert manifest is not None
        assert now is not None
        assert now.data_version == manifest.data_version


def test_the_cap_stops_before_it_is_passed(write: Write, server: FaultServer) -> None:
    # another seed asks anew: what was answered before costs nothing
    result = write(**hosted(server, seed=7, spend_cap_usd=0.02))
    assert not result.success
    assert "the cap is 0.02 USD" in failures(result)
    assert server.counts()["usd"] <= 0.02 * len(TEXT_KINDS)


@pytest.mark.parametrize("n_texts", [4])
def test_kinds_of_one_number_come_out_one_to_one(
    write: Write, workspace: Workspace, n_texts: int
) -> None:
    result = write(n_texts=n_texts)
    assert result.success, failures(result)
    for table in TEXT_KINDS:
        rows = workspace.store().read(table, SHARD)
        assert (rows["grounding"] == SUPPORTED).sum() == n_texts
        assert shown(result, table)["n_accepted"] == n_texts


def test_earlier_texts_are_kept_without_asking(
    write: Write, workspace: Workspace, server: FaultServer
) -> None:
    assert write(n_texts=2).success
    before = {table: workspace.store().read(table, SHARD) for table in TEXT_KINDS}
    for config in ({"ask_teacher": False}, hosted(server, dry_run=True)):
        assert write(**config).success
        for table, rows in before.items():
            assert workspace.store().read(table, SHARD).equals(rows)
    assert server.counts()["arrived"] == 0


def test_every_launchpad_value_reaches_the_settings() -> None:
    config = TeacherConfig(
        provider="openai", mode="batch", spend_cap_usd=3.0, requests_per_minute=60.0,
        tokens_per_minute=9000.0, in_flight=7, max_output_tokens=512, model="gpt-4.1-mini",
    )  # fmt: skip
    settings = read_settings(settings_of(config)).model_dump()
    assert settings["mode"] == "batch"
    assert settings["max_usd"] == 3.0
    assert (settings["requests_per_min"], settings["tokens_per_min"]) == (60.0, 9000.0)
    assert (settings["max_in_flight"], settings["max_output_tokens"]) == (7, 512)
    assert settings["model"] == "gpt-4.1-mini"
    assert settings_of(TeacherConfig()) == {"provider": "template"}


def test_the_cache_lies_under_the_storage_root(tmp_path: Path) -> None:
    assert Workspace(storage_root=str(tmp_path)).folder(CACHE_FILE).parent == tmp_path
