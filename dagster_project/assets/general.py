"""Asset ``general_instructions``: general pictures with text, read from the published sets of a folder.

What the sets are and which rows are taken is in ``prompts.releases.general_sources`` and
``prompts.releases.general_pairs``; here the folder is found, pairs are streamed into tables and counted.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.failures import PermanentFailure, translated
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import column_schema, joint_version
from dagster_project.releasing import EVERYWHERE, GENERAL_TABLE
from dagster_project.resources import Workspace
from dagster_project.tables.registry import table
from dagster_project.tables.store import ROW_GROUP_ROWS, arrow_schema
from prompts.releases.general_pairs import PairLimits, SourceTally, general_pairs, sources_below
from prompts.releases.general_sources import SOURCES, Files, Refused
from prompts.releases.recipe import Duplicates

GENERAL_VARIABLE = "NEUROGLOSS_GENERAL"
REJECTS_TABLE = "general_rejects"
_GENERAL = Grain("datasets", ("parquet", "huggingface"), lambda: None)
_CODE = (
    "prompts/releases/general_pairs.py",
    "prompts/releases/general_sources.py",
    "prompts/releases/duplicates.py",
)
_MAX_SHOWN = 6


class GeneralConfig(LaunchConfig):
    """How many pairs are taken of each set, and what is set aside."""

    n_pairs: int = Field(
        100_000, ge=1, description="Most pairs of one set, drawn by seed; pictures are copied."
    )
    seed: int = Field(20, ge=0, description="Seed of the draw.")
    min_side_px: int = Field(28, ge=1, description="Smaller pictures are set aside.")
    max_side_px: int = Field(4096, ge=28, description="Larger pictures are set aside.")
    max_bytes: int = Field(8_000_000, ge=1000, description="Larger files are set aside.")
    max_chars: int = Field(8_000, ge=1, description="Longer conversations are set aside.")
    near_duplicates_from: float | None = Field(
        0.95, ge=0.5, le=1.0,
        description="Jaccard similarity of word triples from which one of two texts is set aside; "
        "none: not looked for.",
    )  # fmt: skip

    def limits(self) -> PairLimits:
        """Return the same as the reader takes it."""
        threshold = self.near_duplicates_from
        return PairLimits(
            n_pairs=self.n_pairs,
            min_side_px=self.min_side_px,
            max_side_px=self.max_side_px,
            max_bytes=self.max_bytes,
            max_chars=self.max_chars,
            duplicates=None
            if threshold is None
            else Duplicates(threshold=threshold, kinds=("general",)),
        )


@_GENERAL.asset(
    "general_instructions",
    code=_CODE,
    description="General pictures with text for the mixture of a release: LLaVA-Pretrain, "
    "LLaVA-Instruct-150K and CoSyn-400K, those found in the folder "
    f"${GENERAL_VARIABLE} names.",
)
def general_instructions(config: GeneralConfig, workspace: Workspace) -> dg.MaterializeResult[None]:
    """Take pairs from every set that is there; rows that cannot be used are counted by cause."""
    folder = os.environ.get(GENERAL_VARIABLE, "")
    if not folder:
        raise PermanentFailure(
            f"{GENERAL_VARIABLE} is not set; set it to the folder that holds LLaVA-Pretrain, "
            "LLaVA-Instruct-150K or CoSyn-400K, or leave general pairs out of your recipe"
        )
    store = workspace.store()
    made_from = {
        "code": provenance.code_version(*_CODE),
        "settings": config.model_dump_json(),
    }
    with translated():
        found = sources_below(Path(folder))
        tallies = {name: SourceTally() for name in found}
        refused: list[dict[str, Any]] = []
        chunks = _chunks(found, config, tallies, refused)
        pairs = store.write_stream(GENERAL_TABLE, EVERYWHERE, chunks, made_from)
        rejects = store.write(REJECTS_TABLE, EVERYWHERE, refused, made_from)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(joint_version([pairs, rejects])),
        metadata={
            "dagster/partition_row_count": pairs.n_rows,
            "dagster/column_schema": column_schema(table(GENERAL_TABLE)),
            "bytes": pairs.n_bytes,
            "sets": previews.rows(
                [
                    {
                        "set": name,
                        "rows": tally.n_rows,
                        "pairs": tally.n_pairs,
                        "not drawn": tally.n_not_drawn,
                        "set aside": tally.refused.total(),
                        "licence": SOURCES[name].licence,
                        "may leave": not SOURCES[name].is_gated,
                    }
                    for name, tally in tallies.items()
                ]
            ),
            "set_aside_by_cause": dg.MetadataValue.json(
                {name: dict(sorted(tally.refused.items())) for name, tally in tallies.items()}
            ),
            "absent_sets": ", ".join(sorted(SOURCES.keys() - found.keys())) or "none",
            "sample_set_aside": previews.rows(refused[:_MAX_SHOWN]),
            "provenance": dg.MetadataValue.json(made_from),
        },
    )


def _chunks(
    found: dict[str, Files],
    config: GeneralConfig,
    tallies: dict[str, SourceTally],
    refused: list[dict[str, Any]],
) -> Iterator[pa.Table]:
    """Yield pairs in groups of a row group; rows set aside go to ``refused``."""
    schema = arrow_schema(table(GENERAL_TABLE))

    def pairs() -> Iterator[dict[str, Any]]:
        for name, files in found.items():
            read = general_pairs(SOURCES[name], files, config.limits(), config.seed, tallies[name])
            n_refused = 0
            for row in read:
                if isinstance(row, Refused):
                    refused.append(
                        {
                            "source": name,
                            "place": n_refused,
                            "row_id": row.row_id,
                            "cause": row.cause,
                            "detail": row.detail,
                        }
                    )
                    n_refused += 1
                else:
                    yield row

    group: list[dict[str, Any]] = []
    for row in pairs():
        group.append(row)
        if len(group) == ROW_GROUP_ROWS:
            yield pa.Table.from_pylist(group, schema=schema)
            group = []
    if group:
        yield pa.Table.from_pylist(group, schema=schema)


ASSETS = (general_instructions,)
