"""Counterfactual pairs of a shard: sampled pages, the same pages edited, and both captions.

Signals are edited in ``corpora/edits.py``; findings, captions and what must differ between them are
in ``prompts/counterfactuals.py``. Here pages are drawn, read and stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.assets.findings import NO_DETECTOR
from dagster_project.assets.text import FACT_COLUMNS
from dagster_project.corpora.batches import BATCH_COLUMNS, MAX_SEGMENTS, segment_batches
from dagster_project.corpora.edits import (
    ADDED_KINDS,
    ARTIFACT_ADDED,
    EDITS,
    EVENT_REMOVED,
    MIRRORED,
    REMOVED_KINDS,
    EditedPage,
    edited_batch,
    edited_page,
    steps_of,
)
from dagster_project.detection import detector_for
from dagster_project.failures import translated
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import SEGMENT_HOURS, counts, write
from dagster_project.resources import Workspace, corpus_of
from dagster_project.tables.store import TableStore
from detectors.types import SegmentBatch, why_short
from detectors.vocabulary import KINDS
from prompts import words
from prompts.counterfactuals import Detector, Edit, facts_of_batch, pair_row

_TEXT = Grain("text", ("polars", "parquet"))
_CODE = ("prompts/counterfactuals.py", "dagster_project/corpora/edits.py")
_INPUTS = ("segments", "findings", "judgements")
LASTING = frozenset({"ecg", "slow_drift"})
"""Artifacts that last beside everything else; a page that has them is still clean."""
TRIES = 4
"""Pages tried per page wanted where an event is taken out: not every planted one is seen."""
_SEED_BITS = 48
"""Seeds fit a signed 64-bit column and every reader's integers."""


class PairsConfig(LaunchConfig):
    """How many pages are edited, and who looks at them."""

    n_pages: int = Field(
        3, ge=0, le=500, description="Pages of each edit and kind, or as many as there are."
    )
    seed: int = Field(0, ge=0, description="Seed of pages, planted waves and phrasings.")
    weights: str = Field(
        NO_DETECTOR,
        description="Waveform detector that reads both pages, as for waveform_events; 'none' leaves "
        "them to the rules, which see a mirrored head mirrored.",
        pattern=r"^[a-z0-9_-]+$",
    )


@dataclass(frozen=True, slots=True)
class _Draw:
    segment_id: str
    edit: str
    kind: str
    seed: int


@_TEXT.asset("counterfactual_pairs", code=_CODE, deps=["segments", "findings"])
def counterfactual_pairs(
    context: dg.AssetExecutionContext, config: PairsConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Edit sampled pages of a shard and write both sides' captions with what must differ."""
    store, shard = workspace.store(), context.partition_key
    with translated():
        reader = None
        if config.weights != NO_DETECTOR:
            reader = detector_for(workspace, config.weights)
        draws = _draws(store, shard, config, is_simulated=corpus_of(shard).is_simulated)
        pairs = list(_pairs(store, shard, draws, config.seed, reader))
        rows, n_unseen = _kept(pairs, config.n_pages)
    by_edit = [
        {
            "edit": edit, "kind": kind or "-", "pairs": len(group),
            "consistent": sum(r["is_consistent"] for r in group),
        }
        for edit, kind in dict.fromkeys((r["edit"], r["kind"]) for r in rows)
        for group in [[r for r in rows if (r["edit"], r["kind"]) == (edit, kind)]]
    ]  # fmt: skip
    faults = pl.Series("difference", [d for r in rows for d in r["differences"]], pl.String)
    return write(
        workspace,
        shard,
        {"counterfactual_pairs": rows},
        provenance={
            "config": str(config.model_dump()),
            "detector": reader.weights_id if reader else "",
            "code": provenance.code_version(*_CODE),
            **provenance.inputs(store, _INPUTS, shard),
        },
        hours=2 * len(rows) * SEGMENT_HOURS,
        metadata={
            "pairs": previews.rows(by_edit),
            "consistent_share": round(sum(r["is_consistent"] for r in rows) / max(len(rows), 1), 3),
            "removed_events_not_seen": n_unseen,
            "differences": dg.MetadataValue.json(counts(faults)),
            "preview": previews.rows(
                [{c: r[c] for c in ("edit", "kind", "text_before", "text_after")} for r in rows[:6]]
            ),
        },
    )


def _draws(
    store: TableStore, shard: str, config: PairsConfig, *, is_simulated: bool
) -> list[_Draw]:
    """Draw pages by seeded hash: of each edit and kind the first that it may be done to."""
    pages = store.read("segments", shard, ["segment_id", "channel_schema", "mask", "recorded_s"])
    whole = [
        (row["segment_id"], all(row["mask"]))
        for row in pages.iter_rows(named=True)
        if row["channel_schema"] == "referential19" and not why_short(row["recorded_s"])
    ]
    found = store.read("findings", shard, ["segment_id", "kind", "family", "is_masked"])
    loud = found.filter(
        (pl.col("family") == "artifact") & ~pl.col("is_masked") & ~pl.col("kind").is_in(LASTING)
    )
    dirty = set(loud["segment_id"])
    judged = store.read("judgements", shard, ["segment_id", "kind", "verdict"])
    absent = {kind: set() for kind in KINDS} | {
        str(key[0]): set(group["segment_id"])
        for key, group in judged.filter(pl.col("verdict") == "absent").group_by("kind")
    }
    wanted = [(MIRRORED, "", 1), *((ARTIFACT_ADDED, kind, 1) for kind in ADDED_KINDS)]
    if is_simulated:
        wanted += [(EVENT_REMOVED, kind, TRIES) for kind in REMOVED_KINDS]
    draws: list[_Draw] = []
    for edit, kind, tries in wanted:
        fit = [
            segment
            for segment, is_full in whole
            if not kind or (is_full and segment not in dirty and segment in absent[kind])
        ]
        numbered = sorted((words.number(config.seed, s, f"{edit}|{kind}"), s) for s in fit)
        draws += [
            _Draw(segment, edit, kind, number >> (64 - _SEED_BITS))
            for number, segment in numbered[: tries * config.n_pages]
        ]
    return draws


def _pairs(
    store: TableStore, shard: str, draws: Sequence[_Draw], text_seed: int, reader: Detector | None
) -> Iterator[dict[str, Any]]:
    chosen = sorted({d.segment_id for d in draws})
    columns = list(dict.fromkeys((*BATCH_COLUMNS, *FACT_COLUMNS)))
    held: list[pl.DataFrame] = []
    for frame in store.iter_frames("segments", shard, columns):
        held.append(frame.filter(pl.col("segment_id").is_in(chosen)))
        if sum(map(len, held)) >= MAX_SEGMENTS:
            yield from _of_frame(pl.concat(held), draws, text_seed, reader)
            held = []
    if held:
        yield from _of_frame(pl.concat(held), draws, text_seed, reader)


def _of_frame(
    frame: pl.DataFrame, draws: Sequence[_Draw], text_seed: int, reader: Detector | None
) -> Iterator[dict[str, Any]]:
    if frame.is_empty():
        return
    rows = {r["segment_id"]: r for r in frame.drop("signal").iter_rows(named=True)}
    for batch in segment_batches(frame):
        for edit, kind in dict.fromkeys((d.edit, d.kind) for d in draws):
            group = [d for d in draws if (d.edit, d.kind) == (edit, kind)]
            yield from _edited(batch, group, rows, text_seed, reader)


def _edited(
    batch: SegmentBatch,
    draws: Sequence[_Draw],
    rows: dict[str, dict[str, Any]],
    text_seed: int,
    reader: Detector | None,
) -> Iterator[dict[str, Any]]:
    """Edit the drawn pages of one batch and look at both sides."""
    place = {segment: i for i, segment in enumerate(batch.segment_ids)}
    pages: dict[int, EditedPage] = {}
    seeds: dict[int, int] = {}
    for drawn in draws:
        at = place.get(drawn.segment_id)
        page = None if at is None else edited_page(batch, at, drawn.edit, drawn.kind, drawn.seed)
        if at is not None and page is not None:
            pages[at], seeds[at] = page, drawn.seed
    if not pages:
        return
    edit = draws[0].edit
    sides = [
        facts_of_batch(edited_batch(batch, pages, side), rows, reader)
        for side in ("before", "after")
    ]
    for (at, page), before, after in zip(pages.items(), *sides, strict=True):
        yield {
            **pair_row(Edit(edit, seeds[at], page.event), before, after, text_seed),
            "corpus": before.corpus,
            "subject_id": before.subject_id,
            "split": before.split,
            "detector": reader.weights_id if reader else "",
            "mask_after": page.mask.tolist(),
            "signal_before": steps_of(page.before_uv).ravel() if edit == EVENT_REMOVED else [],
            "signal_after": steps_of(page.after_uv).ravel(),
        }


def _kept(pairs: Sequence[dict[str, Any]], n_pages: int) -> tuple[list[dict[str, Any]], int]:
    """Keep the pages wanted, in order; a removed event must have been seen before it went."""
    kept: dict[tuple[str, str], list[dict[str, Any]]] = {}
    n_unseen = 0
    order = {edit: i for i, edit in enumerate(EDITS)}
    for row in sorted(pairs, key=lambda r: (order[r["edit"]], r["kind"], r["pair_id"])):
        seen = {f["kind"] for f in row["findings_before"] if not f["is_masked"]}
        if row["edit"] == EVENT_REMOVED and row["kind"] not in seen:
            n_unseen += 1
            continue
        group = kept.setdefault((row["edit"], row["kind"]), [])
        if len(group) < n_pages:
            group.append(row)
    return [row for group in kept.values() for row in group], n_unseen


ASSETS = (counterfactual_pairs,)
