"""Previews in the UI: sample rows, a page, a map, a caption beside its page, as Markdown.

Pictures are rendered by ``detectors`` and shrunk, because a preview is kept in the event log of
every materialisation. Nothing here is stored as data.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detectors.types import CANONICAL19, SFREQ_HZ, ChannelSchema
from detectors.vocabulary import NARRATOR_BANDS

PREVIEW_WIDTH_PX = 860
MAX_CELL_CHARS = 60


def rows(sample: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Return rows as a Markdown table; long cells are cut."""
    if not sample:
        return dg.MetadataValue.md("*no rows*")
    columns = list(sample[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[c]) for c in columns) + " |" for row in sample]
    return dg.MetadataValue.md("\n".join(lines))


def band_table(sample: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Return mean band powers of a few segments, NeuroNarrator's scheme."""
    shown = [
        {
            "segment_id": row["segment_id"],
            "dominant band": row["dominant_band"] or "none",
            **{f"{b} uV2": round(_mean(row[f"narrator_{b}_uv2"]), 2) for b in NARRATOR_BANDS},
        }
        for row in sample
    ]
    return rows(shown)


def page_of_first(segments: pa.Table, title: str) -> dg.MarkdownMetadataValue:
    """Return the page of the first segment of a table, as it would be shown to a reader."""
    if not segments.num_rows:
        return dg.MetadataValue.md("*no segments*")
    row = segments.slice(0, 1).to_pylist()[0]
    image = page_of_row(row)
    note = " (simulated)" if row["is_simulated"] else ""
    return dg.MetadataValue.md(
        f"{title}{note}, segment `{row['segment_id']}`, {row['start_s']:.0f} s into the recording\n\n"
        + picture(image)
    )


def page_of_row(row: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Render the page of one ``segments`` row."""
    from detectors.pages.page import render_page

    return render_page(*_page_inputs(row))


def page_png_of_row(row: Mapping[str, Any]) -> bytes:
    """Render the page of one ``segments`` row as the file."""
    from detectors.pages.page import render_page_png

    return render_page_png(*_page_inputs(row))


def boxed_page_png_of_row(
    row: Mapping[str, Any], boxes: Sequence[tuple[str, float, float, tuple[int, int, int]]]
) -> bytes:
    """Render the page of one ``segments`` row with boxes over it: channel, start, end, colour.

    A box of a channel that no row shows is left out.
    """
    from detectors.pages.geometry import page_geometry
    from detectors.pages.overlay import PageBox, draw_boxes, review_png
    from detectors.pages.page import page_traces, render_page

    inputs = _page_inputs(row)
    geometry = page_geometry(inputs[2])
    _, y_px = page_traces(*inputs)
    marks = [
        PageBox(channel, t0_s, t1_s, colour=colour)
        for channel, t0_s, t1_s, colour in boxes
        if geometry.rows_showing(channel)
    ]
    return review_png(draw_boxes(render_page(*inputs), marks, geometry, y_px))


def topomap_png_of_row(row: Mapping[str, Any]) -> bytes | None:
    """Draw the potential at the middle sample of one ``segments`` row, average reference.

    NeuroNarrator's picture of a segment is this single instant (``systems.md`` 3.4). None where the
    channel schema or the electrodes recorded carry no map.
    """
    from detectors.montage import average_reference
    from detectors.pages.topomap import MIN_CHANNELS, render_topomap, topomap_png

    data, mask, schema = _page_inputs(row)
    middle = data.shape[1] // 2
    mask = mask & np.isfinite(data[:, middle])
    if schema.ch_names != CANONICAL19 or mask.sum() < MIN_CHANNELS:
        return None
    instant = np.where(mask, data[:, middle], np.float32(0))
    values = average_reference(instant[None, :, None], mask[None])[0, :, 0]
    return topomap_png(
        render_topomap(
            values, mask, scale="diverging", unit="\u00b5V",
            label=f"{middle / SFREQ_HZ:.3f} s, average reference",
        )
    )  # fmt: skip


def _page_inputs(row: Mapping[str, Any]) -> tuple[Any, Any, ChannelSchema]:
    schema = ChannelSchema.parse(row["channel_schema"])
    signal = np.asarray(row["signal"], dtype=np.float32) * np.float32(0.05)
    data = signal.reshape(len(schema.ch_names), -1)
    return data, np.asarray(row["mask"], dtype=bool), schema


def topomap_of_first(sample: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Return the energy map of the first judged segment, with its tiers."""
    judged = next((r for r in sample if r["is_judged"]), None)
    if judged is None:
        return dg.MetadataValue.md("*no segment could be judged*")
    from detectors.pages.topomap import render_topomap

    energy = np.asarray(judged["energy_uv2"], dtype=np.float32)
    mask = np.isfinite(energy)
    tiers = ", ".join(f"{c} {t}" for c, t in zip(judged["ch_names"], judged["tier"], strict=True))
    return dg.MetadataValue.md(
        f"segment `{judged['segment_id']}`, mean square per channel: {tiers}\n\n"
        + picture(render_topomap(energy, mask))
    )


def sample_of(release: Path) -> dg.MarkdownMetadataValue:
    """Return one sample of a release: its conversation beside its page."""
    from PIL import Image

    files = sorted(release.glob("train*.parquet")) or sorted(release.glob("*.parquet"))
    if not files:
        return dg.MetadataValue.md("*no sample*")
    row = pq.ParquetFile(files[0]).read_row_group(0).slice(0, 1).to_pylist()[0]
    turns = "\n\n".join(f"**{m['role']}**: {m['content']}" for m in row["messages"])
    page = np.asarray(Image.open(io.BytesIO(row["images"][0]["bytes"])).convert("L"))
    return dg.MetadataValue.md(f"{turns}\n\n{picture(page)}")


def picture(image: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    """Return a picture as Markdown with the PNG inside."""
    from PIL import Image

    shown = Image.fromarray(image)
    if shown.width > PREVIEW_WIDTH_PX:
        height = round(shown.height * PREVIEW_WIDTH_PX / shown.width)
        shown = shown.resize((PREVIEW_WIDTH_PX, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if shown.mode == "L":
        shown = shown.quantize(16)
    shown.save(buffer, format="PNG", optimize=True)
    return f"![picture](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 3] + "..."


def _mean(values: Sequence[float | None]) -> float:
    finite = [v for v in values if v is not None and np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")
