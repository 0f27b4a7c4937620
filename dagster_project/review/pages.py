"""The review page of a shard: which segments, what is shown of them, and the one HTML file.

Boxes come from :mod:`detectors.pages.geometry`, the geometry the page itself is drawn with, so they
lie on the wave. Corpus labels, expert events and other people's marks are left out: a reviewer
reads blind. What becomes of the marks is in :mod:`dagster_project.review.marks`; the looks are in
``page.html`` beside this file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dagster_project.corpora.shards import corpus_of_shard
from dagster_project.failures import PermanentFailure
from dagster_project.releasing import PageRenderer
from dagster_project.tables.store import TableStore
from detectors.pages.geometry import PageGeometry, page_geometry, page_montage
from detectors.types import ChannelSchema
from detectors.vocabulary import KINDS

TEMPLATE = Path(__file__).with_name("page.html")
ASSET_PAGES = 12
"""Most pages of the file an asset writes: about 100 kB each (engineering default)."""
BOX_ROWS = 0.8
"""Height of a box in row spacings, as :func:`detectors.pages.page.draw_boxes` draws it."""
MIN_BOX_PX = 4.0
FAMILIES = ("epileptiform", "sleep", "artifact", "background")
_SEGMENT_COLUMNS = [
    "segment_id", "subject_id", "start_s", "channel_schema", "mask", "recorded_s", "band_low_hz",
    "band_high_hz", "is_simulated",
]  # fmt: skip


def sample_segments(
    findings: pl.DataFrame, n: int, seed: int, kinds: Sequence[str] = ()
) -> tuple[str, ...]:
    """Choose the segments a reviewer sees: those with findings, events before background.

    Parameters
    ----------
    findings
        Rows of table ``findings``.
    n
        Most segments.
    seed
        Seed of the order; a segment's place depends on its id and the seed alone, not on the rest.
    kinds
        Only segments with one of these kinds; empty: any.

    Returns
    -------
    tuple of str
        Segments with a finding other than a background one come first, then background alone, then
        those with nothing but masked ones; within each, in seeded order.

    Raises
    ------
    PermanentFailure
        If a kind is not in the vocabulary.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise PermanentFailure(f"kinds {unknown} are not known; use some of {', '.join(KINDS)}")
    if kinds:
        findings = findings.filter(pl.col("kind").is_in(list(kinds)))
    is_event = pl.col("family") != "background"
    rank = pl.when(pl.col("is_masked")).then(2).when(is_event).then(0).otherwise(1)
    ranked = findings.group_by("segment_id").agg(rank=rank.min())
    order = sorted(ranked.iter_rows(), key=lambda row: (row[1], _draw(seed, row[0])))
    return tuple(segment_id for segment_id, _ in order[:n])


def _draw(seed: int, segment_id: str) -> str:
    return hashlib.sha256(f"{seed}|{segment_id}".encode()).hexdigest()


def review_data(
    store: TableStore, shard: str, *, n: int, seed: int, kinds: Sequence[str] = ()
) -> dict[str, Any]:
    """Gather what the HTML shows, as plain values.

    Parameters
    ----------
    store, shard
        Where findings, judgements and segments lie.
    n, seed, kinds
        As :func:`sample_segments` takes them.

    Returns
    -------
    dict
        ``pages`` holds one entry per segment; empty where the shard has no findings.

    Raises
    ------
    StorageError
        If the shard's findings were never materialised.
    """
    findings = store.read("findings", shard)
    chosen = sample_segments(findings, n, seed, kinds)
    segments = _by(store.read("segments", shard, _SEGMENT_COLUMNS), "segment_id", chosen)
    found = _by(findings, "segment_id", chosen)
    judged = _by(store.read("judgements", shard), "segment_id", chosen)
    renderer = PageRenderer(store, shard)
    pictures = {s: renderer.page(s) for s in segments}
    manifest = store.manifest("findings", shard)
    return {
        "shard": shard,
        "corpus": corpus_of_shard(shard).title,
        "findings_version": manifest.data_version if manifest else "",
        "sample": {"n": n, "seed": seed, "kinds": list(kinds)},
        "is_served": False,
        "kinds": [{"kind": k, "noun": v.noun, "family": v.family} for k, v in KINDS.items()],
        "pages": [
            _page(segments[s][0], found[s], judged.get(s, []), pictures[s])
            for s in chosen
            if s in segments
        ],
    }


def _by(frame: pl.DataFrame, column: str, wanted: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Group rows by a column, in row order, keeping only the wanted values."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in frame.filter(pl.col(column).is_in(list(wanted))).iter_rows(named=True):
        groups.setdefault(row[column], []).append(row)
    return groups


def _page(
    segment: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    judgements: Sequence[Mapping[str, Any]],
    png: bytes,
) -> dict[str, Any]:
    schema = ChannelSchema.parse(segment["channel_schema"])
    geometry = page_geometry(schema)
    style = geometry.style
    names = {f["finding_id"]: f"{KINDS[f['kind']].noun} at {f['t0_s']:.2f} s" for f in findings}
    missing = [c for c, ok in zip(schema.ch_names, segment["mask"], strict=True) if not ok]
    order = sorted(
        findings,
        key=lambda f: (f["is_masked"], FAMILIES.index(f["family"]), f["t0_s"], f["finding_id"]),
    )
    return {
        "segment_id": segment["segment_id"],
        "subject_id": segment["subject_id"],
        "start_s": segment["start_s"],
        "recorded_s": round(segment["recorded_s"], 3),
        "band_hz": [round(segment["band_low_hz"], 2), round(segment["band_high_hz"], 2)],
        "is_simulated": segment["is_simulated"],
        "not_recorded": missing,
        "png": "data:image/png;base64," + base64.b64encode(png).decode("ascii"),
        "geometry": {
            "width": style.width_px,
            "height": style.height_px,
            "gutter": style.gutter_px,
            "px_per_s": style.px_per_s,
            "rows": list(geometry.rows),
            "baselines": list(geometry.baselines_px),
            "box_height": BOX_ROWS * geometry.spacing_px,
            "montage": page_montage(schema),
        },
        "findings": [_finding(f, geometry, names) for f in order],
        "judgements": [
            {"kind": j["kind"], "verdict": j["verdict"], "reason": j["reason"]}
            for j in sorted(judgements, key=lambda j: list(KINDS).index(j["kind"]))
        ],
    }


def _finding(
    row: Mapping[str, Any], geometry: PageGeometry, names: Mapping[str, str]
) -> dict[str, Any]:
    plain = (
        "finding_id", "kind", "family", "side", "region", "source", "hed", "is_masked", "mask_reason",
    )  # fmt: skip
    return {
        **{name: row[name] for name in plain},
        "channels": list(row["channels"]),
        "t0_s": round(row["t0_s"], 3),
        "t1_s": round(row["t1_s"], 3),
        "confidence": round(row["confidence"], 3),
        "measures": [[m["name"], _number(m["value"]), m["unit"]] for m in row["measures"]],
        "masked_by": names.get(row["masked_by"], ""),
        "boxes": finding_boxes(row["channels"], row["t0_s"], row["t1_s"], geometry),
    }


def finding_boxes(
    channels: Sequence[str], t0_s: float, t1_s: float, geometry: PageGeometry
) -> list[list[float]]:
    """Return the boxes of a finding on its page, one per row that shows it.

    Parameters
    ----------
    channels
        Rows or electrodes; a whole-page fact without any has no box.
    t0_s, t1_s
        Interval within the segment.
    geometry
        The page's geometry.

    Returns
    -------
    list of [x, y, width, height]
        In page pixels, top to bottom.
    """
    rows = sorted({row for channel in channels for row in geometry.rows_showing(channel)})
    x0, x1 = geometry.time_to_x(t0_s), geometry.time_to_x(t1_s)
    height = BOX_ROWS * geometry.spacing_px
    width = max(x1 - x0, MIN_BOX_PX)
    left = (x0 + x1 - width) / 2
    return [
        [round(left, 2), round(geometry.baselines_px[r] - height / 2, 2), round(width, 2), height]
        for r in rows
    ]


def _number(value: float) -> str:
    """Write a number with at most four significant digits; NaN has no JSON of its own."""
    return f"{value:.4g}"


def review_html(data: Mapping[str, Any]) -> str:
    """Put the values into the template: one file, no network, nothing but text and pictures.

    Parameters
    ----------
    data
        As :func:`review_data` returns it.
    """
    # "<" would let a value end the script element it lies in
    blob = json.dumps(data, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").replace("{{DATA}}", blob)


def write_review(
    store: TableStore, shard: str, folder: Path, *, n: int = ASSET_PAGES, seed: int = 0
) -> Path | None:
    """Write the review page of a shard, replacing the one that was there.

    Parameters
    ----------
    store, shard
        What to review.
    folder
        Where ``index.html`` goes.
    n, seed
        As :func:`sample_segments` takes them.

    Returns
    -------
    pathlib.Path or None
        The file; None where the shard has no findings, and then none is left behind, so a withdrawn
        person's page does not outlive their rows.
    """
    data = review_data(store, shard, n=n, seed=seed)
    target = folder / "index.html"
    if not data["pages"]:
        target.unlink(missing_ok=True)
        return None
    write_text(target, review_html(data))
    return target


def write_text(target: Path, text: str) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sibling = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    with sibling.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    sibling.replace(target)
