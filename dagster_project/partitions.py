"""Partitions: shards, releases, recipes, tasks; and how the grains meet.

All keys are static, exist from the first load, and number a few hundred at most. Task x model has as
many pairs as tasks times the models that are asked; variants of a recipe are asked once they are named
in the environment. A shard is a stable hash of the subject
identity, so a subject never straddles shards. What a shard holds is said by the corpus registry; what
a release or recipe holds, by its YAML file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache

import dagster as dg

from benchmark.asking.under_test import models_under_test
from benchmark.tasks.task import TASKS
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.shards import shard_keys
from prompts.releases.build import releases
from training.recipes import detector_recipes, model_recipes

MAX_SHARDS = 400
"""Bound on shard partitions; a UI and a daemon stay quick below a few hundred."""

MAX_PAIRS = 500
"""Bound on task x model as shipped: a grid whose rows and columns can still be looked over."""

VARIANTS_VARIABLE = "NEUROGLOSS_VARIANTS"
"""Names the variants of recipes that are asked too, comma-separated, or ``all``."""

SHIPPED_DETECTOR = "shipped"
"""The weights inside the package: a detector partition without a recipe of its own to train."""


@cache
def shards() -> dg.StaticPartitionsDefinition:
    """Return the shard partitions, such as ``chb-mit-03-of-08``."""
    return dg.StaticPartitionsDefinition(list(shard_keys()))


@cache
def simulations() -> dg.StaticPartitionsDefinition:
    """Return the partitions of corpora that are written rather than found."""
    return dg.StaticPartitionsDefinition([c.key for c in corpora().values() if c.is_simulated])


@cache
def release_partitions() -> dg.StaticPartitionsDefinition:
    """Return the release partitions: one per release recipe."""
    return dg.StaticPartitionsDefinition(sorted(releases()))


@cache
def model_partitions() -> dg.StaticPartitionsDefinition:
    """Return the model recipe partitions."""
    return dg.StaticPartitionsDefinition(sorted(model_recipes()))


@cache
def detector_partitions() -> dg.StaticPartitionsDefinition:
    """Return the detector recipe partitions."""
    return dg.StaticPartitionsDefinition(sorted([*detector_recipes(), SHIPPED_DETECTOR]))


@cache
def tasks() -> dg.StaticPartitionsDefinition:
    """Return the benchmark task partitions."""
    return dg.StaticPartitionsDefinition(sorted(TASKS))


@cache
def task_by_model() -> dg.MultiPartitionsDefinition:
    """Return task x model: the grain of answers and scores.

    Raises
    ------
    ValueError
        If :data:`VARIANTS_VARIABLE` names no variant.
    """
    wanted = [name for name in os.environ.get(VARIANTS_VARIABLE, "").split(",") if name.strip()]
    recipes = asked_recipes(model_recipes(), wanted)
    models = sorted([*recipes, *detector_recipes(), SHIPPED_DETECTOR, *models_under_test()])
    return dg.MultiPartitionsDefinition(
        {"task": tasks(), "model": dg.StaticPartitionsDefinition(models)}
    )


def asked_recipes(names: Iterable[str], wanted: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the recipes that are benchmark partitions: all but variants, and the variants wanted.

    A variant is named after the recipe it varies: ``tiny_no_stage1`` is one of ``tiny``. Asking each of
    them every task would make most of the grid, and an ablation is asked when it was trained.

    Parameters
    ----------
    names
        All recipes.
    wanted
        Variants, or ``all``.

    Raises
    ------
    ValueError
        If one of the wanted is no variant.
    """
    known, asked = sorted(names), {name.strip() for name in wanted}
    variants = {n for n in known if any(n.startswith(f"{other}_") for other in known)}
    odd = sorted(asked - variants - {"all"})
    if odd:
        raise ValueError(
            f"{VARIANTS_VARIABLE} names {odd[0]!r}, which is no variant of a recipe; name some of "
            f"{', '.join(sorted(variants)) or 'none'}, or all"
        )
    return tuple(n for n in known if n not in variants or n in asked or "all" in asked)


def shards_to_releases() -> dg.StaticPartitionMapping:
    """Map each shard to the releases whose frozen list names it."""
    return dg.StaticPartitionMapping(_inverse({k: r.shards for k, r in releases().items()}))


def simulations_to_shards() -> dg.StaticPartitionMapping:
    """Map a simulated corpus to its shards; shards of recorded corpora depend on nothing."""
    return dg.StaticPartitionMapping(
        {spec.key: list(shard_keys(spec.key)) for spec in corpora().values() if spec.is_simulated}
    )


def releases_to_models(*stages: str) -> dg.StaticPartitionMapping:
    """Map each release to the model recipes that read it in one of these stages."""
    return dg.StaticPartitionMapping(
        _inverse(
            {
                k: sorted({r.release_of(s) for s in stages if s in r.stages})
                for k, r in model_recipes().items()
            }
        )
    )


def releases_to_detectors() -> dg.StaticPartitionMapping:
    """Map each release to the detector recipes that name it."""
    return dg.StaticPartitionMapping(
        _inverse({k: [r.release] for k, r in detector_recipes().items()})
    )


def _inverse(members: Mapping[str, list[str] | tuple[str, ...]]) -> dict[str, list[str]]:
    inverse: dict[str, list[str]] = {}
    for owner, keys in sorted(members.items()):
        for key in keys:
            inverse.setdefault(key, []).append(owner)
    return inverse
