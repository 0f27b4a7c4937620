"""The graph loads, says what it should of every asset, and is the one we agreed on."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.build import build_definitions
from dagster_project.checks import SHARD_ASSETS
from dagster_project.partitions import (
    MAX_PAIRS,
    MAX_SHARDS,
    VARIANTS_VARIABLE,
    asked_recipes,
    shards,
    task_by_model,
)
from dagster_project.selections import SELECTIONS

SNAPSHOT = Path(__file__).with_name("graph_snapshot.json")


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_definitions()


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions) -> dg.AssetsDefinition:
    return defs.resolve_asset_graph()  # type: ignore[return-value]


def materialisable(graph: object) -> list[dg.AssetKey]:
    return sorted(graph.materializable_asset_keys)  # type: ignore[attr-defined]


def test_definitions_are_loadable(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_asset_says_what_it_is(graph: object) -> None:
    for key in materialisable(graph):
        node = graph.get(key)  # type: ignore[attr-defined]
        name = key.to_user_string()
        assert node.group_name != "default", name
        assert node.kinds, name
        assert node.owners, name
        assert "not a medical device" in node.description, name
        assert node.code_version, name
        assert "dagster/code_references" in node.metadata, name


def test_a_shard_is_never_ranged_over(graph: object) -> None:
    for key in materialisable(graph):
        node = graph.get(key)  # type: ignore[attr-defined]
        if node.partitions_def is not None:
            assert node.backfill_policy == dg.BackfillPolicy.multi_run(1), key


def test_shards_are_static_and_few() -> None:
    keys = shards().get_partition_keys()
    assert keys == sorted(set(keys), key=keys.index)
    assert len(keys) <= MAX_SHARDS
    assert "chb-mit-03-of-08" in keys


def test_answers_and_scores_are_few_hundred_partitions(graph: object) -> None:
    keys = task_by_model().get_partition_keys()
    assert {"tiny|mcq", "cerebragloss_3b|tusz", "gpt-4.1|hmc", "shipped|waveform_boxes"} <= set(
        keys
    )
    for asset in ("model_answers", "scores"):
        node = graph.get(dg.AssetKey(asset))  # type: ignore[attr-defined]
        assert len(node.partitions_def.get_partition_keys()) == len(keys) <= MAX_PAIRS


def test_variants_of_a_recipe_are_asked_once_they_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["tiny", "tiny_no_stage1", "tiny_020", "tinyer", "qwen_3b", "qwen_3b_lora"]
    assert asked_recipes(names) == ("qwen_3b", "tiny", "tinyer")
    assert asked_recipes(names, ["tiny_020"]) == ("qwen_3b", "tiny", "tiny_020", "tinyer")
    assert asked_recipes(names, ["all"]) == tuple(sorted(names))
    monkeypatch.setenv(VARIANTS_VARIABLE, "tiny_no_stage1, tiny_stage1_020")
    keys = set(task_by_model.__wrapped__().get_partition_keys())
    assert {"tiny_no_stage1|mcq", "tiny_stage1_020|mcq"} <= keys
    monkeypatch.setenv(VARIANTS_VARIABLE, "tiny_no_stage9")
    with pytest.raises(ValueError, match="'tiny_no_stage9', which is no variant"):
        task_by_model.__wrapped__()


def test_costly_assets_are_never_automatic(defs: dg.Definitions, graph: object) -> None:
    costly = {
        key.to_user_string()
        for key in materialisable(graph)
        if graph.get(key).tags.get("neurogloss/cost") == "costly"  # type: ignore[attr-defined]
    }
    assert costly == {
        "narratives", "descriptions", "teacher_questions", "dialogues", "waveform_detector",
        "aligned_model", "tuned_model", "model_answers",
    }  # fmt: skip
    automatic = {
        key.to_user_string()
        for key in materialisable(graph)
        if graph.get(key).automation_condition is not None  # type: ignore[attr-defined]
    }
    assert automatic == {"leaderboard"}
    scheduled = defs.resolve_job_def("rebuild_corpus").graph.node_dict
    assert not costly & set(scheduled)


def test_every_shard_asset_has_a_blocking_schema_check(graph: object) -> None:
    for asset in SHARD_ASSETS:
        node = graph.get(dg.AssetCheckKey(dg.AssetKey(asset), "schema"))  # type: ignore[attr-defined]
        assert node.blocking
        assert node.partitions_def == shards()


@pytest.mark.parametrize("name", SELECTIONS)
def test_saved_selections_select_something(graph: object, name: str) -> None:
    selection = dg.AssetSelection.from_string(SELECTIONS[name].selection)
    assert selection.resolve(graph)  # type: ignore[arg-type]


def test_freshness_is_promised_where_it_matters(graph: object) -> None:
    promised = {
        key.to_user_string()
        for key in materialisable(graph)
        if graph.get(key).freshness_policy is not None  # type: ignore[attr-defined]
    }
    assert promised == {"segments", "instruction_dataset"}


def test_the_graph_is_the_one_we_agreed_on(graph: object) -> None:
    found = {
        key.to_user_string(): {
            "group": graph.get(key).group_name,  # type: ignore[attr-defined]
            "upstream": sorted(p.to_user_string() for p in graph.get(key).parent_keys),  # type: ignore[attr-defined]
            "checks": sorted(c.name for c in graph.get(key).check_keys),  # type: ignore[attr-defined]
            "pool": sorted(graph.get(key).pools or ()),  # type: ignore[attr-defined]
        }
        for key in sorted(graph.get_all_asset_keys())  # type: ignore[attr-defined]
    }
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        "the graph changed; if that was meant, write the new one to graph_snapshot.json"
    )
