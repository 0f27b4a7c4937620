"""What every materialisation reports: rows, columns, lineage, hours, rejects, versions, a preview.

Assets hand over rows; this module writes them through the store and builds the
``MaterializeResult``. Pictures and sample rows for the preview are made in
:mod:`dagster_project.previews`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import dagster as dg
import polars as pl
import pyarrow as pa

from dagster_project.resources import Workspace
from dagster_project.tables.registry import TABLES, Table, table
from dagster_project.tables.store import Manifest

SEGMENT_HOURS = 10 / 3600
Rows: TypeAlias = "Sequence[Mapping[str, Any]] | pl.DataFrame | pa.Table"


def column_schema(spec: Table) -> dg.TableSchema:
    """Return a table's columns as Dagster shows them: type, unit and meaning."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=c.name,
                type=c.dtype,
                description=f"{c.meaning} [{c.unit}]" if c.unit else c.meaning,
                constraints=dg.TableColumnConstraints(
                    nullable=c.is_nullable, unique=spec.key == (c.name,)
                ),
            )
            for c in spec.columns
        ]
    )


def column_lineage(spec: Table) -> dg.TableColumnLineage:
    """Return the lineage of each column.

    A column that carries its upstream's name is a copy of it; any other is computed from the
    upstream tables' rows, so it depends on their keys.
    """
    lineage: dict[str, list[dg.TableColumnDep]] = {}
    for column in spec.columns:
        copies = [
            dg.TableColumnDep(dg.AssetKey(table(up).written_by), column.name)
            for up in spec.upstream
            if column.name in table(up).column_names
        ]
        computed = [
            dg.TableColumnDep(dg.AssetKey(table(up).written_by), key)
            for up in spec.upstream
            for key in table(up).key
        ]
        lineage[column.name] = copies or computed
    return dg.TableColumnLineage({name: deps for name, deps in lineage.items() if deps})


def static_metadata(asset: str) -> dict[str, Any]:
    """Return the metadata an asset shows before it was ever materialised."""
    spec = TABLES[asset]
    return {
        "dagster/column_schema": column_schema(spec),
        "dagster/storage_kind": "parquet",
        "dagster/table_name": asset,
    }


def write(
    workspace: Workspace,
    partition: str,
    tables: Mapping[str, Rows],
    *,
    provenance: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    hours: float | None = None,
) -> dg.MaterializeResult[None]:
    """Write an asset's tables for one partition and report them.

    Parameters
    ----------
    workspace
        Where tables live.
    partition
        Partition key.
    tables
        Rows by table name; the first is the asset's own table.
    provenance
        What the rows were made from.
    metadata
        More to show.
    hours
        Hours of EEG the rows stand for.

    Returns
    -------
    dagster.MaterializeResult
        With the content hash of all written tables as data version.
    """
    store = workspace.store()
    manifests = [store.write(name, partition, rows, provenance) for name, rows in tables.items()]
    main, spec = manifests[0], table(next(iter(tables)))
    shown: dict[str, Any] = {
        "dagster/partition_row_count": main.n_rows,
        "dagster/column_lineage": column_lineage(spec),
        "dagster/column_schema": column_schema(spec),
        "dagster/uri": f"{workspace.home()}/tables/{main.table}/{partition}/{main.file}",
        "bytes": sum(m.n_bytes for m in manifests),
        "provenance": dg.MetadataValue.json({k: str(v) for k, v in provenance.items()}),
        **{f"rows:{m.table}": m.n_rows for m in manifests[1:]},
        **(metadata or {}),
    }
    if hours is not None:
        shown["hours_of_eeg"] = round(hours, 4)
    return dg.MaterializeResult(
        metadata=shown, data_version=dg.DataVersion(joint_version(manifests))
    )


def joint_version(manifests: Sequence[Manifest]) -> str:
    """Return one content hash for the tables an asset writes together."""
    return "-".join(m.data_version for m in manifests)


def counts(values: pl.Series) -> dict[str, int]:
    """Count values, most frequent first, ties by name."""
    frame = values.value_counts().sort(["count", values.name], descending=[True, False])
    return {str(name): int(n) for name, n in frame.iter_rows()}
