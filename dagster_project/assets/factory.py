"""How assets of this project are declared: one decorator per grain, fed by the table registry.

Group, kinds, owner, description, code version, column schema, retry and backfill policy come from
here, so no asset hand-types them and none can lack one. What an asset computes is in its module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_project.failures import RETRY_FEW
from dagster_project.materialisation import static_metadata
from dagster_project.partitions import shards
from dagster_project.provenance import code_version
from dagster_project.tables.registry import TABLES

OWNERS = ("team:neurogloss",)
COSTLY = {"neurogloss/cost": "costly"}
"""Tag of assets that spend money or GPU hours; no automation may start them (a test says so)."""
CHEAP = {"neurogloss/cost": "cheap"}

AssetFunction = Callable[..., dg.MaterializeResult[None]]


@dataclass(frozen=True, slots=True)
class Grain:
    """What a family of assets shares.

    Parameters
    ----------
    group
        Asset group shown in the UI.
    kinds
        Kinds shown as icons.
    partitions
        Builds the partitions definition.
    """

    group: str
    kinds: tuple[str, ...]
    partitions: Callable[[], dg.PartitionsDefinition[str] | None] = shards

    def asset(
        self,
        name: str,
        *,
        code: Iterable[str],
        deps: Iterable[str | dg.AssetDep] = (),
        description: str = "",
        is_costly: bool = False,
        pool: str | None = None,
        freshness: dg.FreshnessPolicy | None = None,
        automation: dg.AutomationCondition[Any] | None = None,
        kinds: Iterable[str] = (),
    ) -> Callable[[AssetFunction], dg.AssetsDefinition]:
        """Return the decorator of one asset.

        Parameters
        ----------
        name
            Asset name; where a table has it, description and columns come from the registry.
        code
            Files and folders whose change makes the result stale.
        deps
            Upstream assets.
        description
            One sentence; default: the table's meaning.
        is_costly
            Whether it spends money or GPU hours.
        pool
            Concurrency pool.
        freshness, automation, kinds
            As Dagster has them; kinds are added to the grain's.
        """
        meaning = description or (TABLES[name].meaning if name in TABLES else "")
        if not meaning:
            raise ValueError(f"asset {name!r} has neither a table nor a description")
        partitions = self.partitions()
        decorator = dg.asset(
            name=name,
            group_name=self.group,
            kinds={*self.kinds, *kinds},
            owners=list(OWNERS),
            description=meaning + "\n\nResearch software, not a medical device.",
            tags=COSTLY if is_costly else CHEAP,
            partitions_def=partitions,
            deps=list(deps),
            code_version=code_version(*code),
            metadata=static_metadata(name) if name in TABLES else {},
            retry_policy=RETRY_FEW,
            # a range run would stamp one data version and one verdict on all its partitions
            backfill_policy=dg.BackfillPolicy.multi_run(1) if partitions else None,
            pool=pool,
            freshness_policy=freshness,
            automation_condition=automation,
        )
        return decorator
