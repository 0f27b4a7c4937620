"""Group ``features``: band powers and spatial energy of every segment of a shard.

The measures are made in ``detectors``; here they are only started, stored and reported.
"""

from typing import Any

import dagster as dg
import polars as pl

from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.corpora.batches import segment_batches
from dagster_project.failures import translated
from dagster_project.materialisation import SEGMENT_HOURS, counts, write
from dagster_project.resources import Workspace
from detectors.signal.spatial import spatial_features as measure_tiers
from detectors.signal.spectra import spectral_features as measure_spectra

_FEATURES = Grain("features", ("polars", "parquet"))
_SPECTRA_CODE = ("detectors/signal/spectra.py",)
_SPATIAL_CODE = ("detectors/signal/spatial.py",)


@_FEATURES.asset("spectral_features", code=_SPECTRA_CODE, deps=["segments"])
def spectral_features(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Measure band powers and the dominant frequency of one shard's segments."""
    store, shard = workspace.store(), context.partition_key
    rows: list[dict[str, Any]] = []
    with translated():
        for frame in store.iter_frames("segments", shard):
            for batch in segment_batches(frame):
                rows.extend(measure_spectra(batch).rows(batch))
    bands = pl.Series("dominant_band", [r["dominant_band"] or "none" for r in rows], pl.String)
    return write(
        workspace,
        shard,
        {"spectral_features": rows},
        provenance={
            "code": provenance.code_version(*_SPECTRA_CODE),
            **provenance.inputs(store, ["segments"], shard),
        },
        hours=len(rows) * SEGMENT_HOURS,
        metadata={
            "dominant_band": dg.MetadataValue.json(counts(bands)),
            "preview": previews.band_table(rows[:5]),
        },
    )


@_FEATURES.asset("spatial_features", code=_SPATIAL_CODE, deps=["segments"])
def spatial_features(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Sort the channels of one shard's segments into energy tiers."""
    store, shard = workspace.store(), context.partition_key
    rows: list[dict[str, Any]] = []
    with translated():
        for frame in store.iter_frames("segments", shard):
            for batch in segment_batches(frame):
                rows.extend(measure_tiers(batch).rows(batch))
    return write(
        workspace,
        shard,
        {"spatial_features": rows},
        provenance={
            "code": provenance.code_version(*_SPATIAL_CODE),
            **provenance.inputs(store, ["segments"], shard),
        },
        hours=len(rows) * SEGMENT_HOURS,
        metadata={
            "judged": sum(r["is_judged"] for r in rows),
            "preview": previews.topomap_of_first(rows),
        },
    )


ASSETS = (spectral_features, spatial_features)
