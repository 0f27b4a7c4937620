"""How pieces of the HTML report are written: escaped text, tables, figures, numbers with units.

Every value goes through :func:`text` on its way into the page. What is shown, and in which order,
is for ``reports/html.py``.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

from benchmark.reports.plots import Bar
from benchmark.reports.result import ScoreResult
from benchmark.scores.metrics import metric_of
from benchmark.scores.scoring import BASELINES

PAGE_WIDTH_PX = 1000
_TEXT_COLUMNS = frozenset({"question", "reference", "answer", "note"})
_NUMBER_COLUMNS = frozenset(
    {"value", "95 % interval", "items", "subjects", "unparsed", "score", "mean",
     "spread over repeats", "earlier", "now", "difference", "value of A", "value of B", "p", "p Holm"}
)  # fmt: skip


def text(value: object) -> str:
    """Return a value as text that cannot close the tag it lies in."""
    return html.escape(str(value), quote=True)


def section(key: str, title: str, body: str) -> str:
    """Return one part of the page under its anchor."""
    return f'<section id="{text(key)}">\n<h2>{text(title)}</h2>\n{body}\n</section>'


def warning(words: str) -> str:
    """Return a line a reader must not miss."""
    return f'<p class="warn">{text(words)}</p>'


def bullets(lines: Sequence[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>" if lines else ""


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, own: Sequence[bool] = ()
) -> str:
    """Return a table; rows marked as own are set off."""
    head = "".join(f"<th{_class(c)}>{text(c)}</th>" for c in columns)
    body = []
    for n, row in enumerate(rows):
        cells = "".join(
            f"<td{_class(c)}>{text(value)}</td>" for c, value in zip(columns, row, strict=True)
        )
        mark = ' class="own"' if own and own[n] else ""
        body.append(f"<tr{mark}>{cells}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _class(column: str) -> str:
    if column in _TEXT_COLUMNS:
        return ' class="text"'
    return ' class="n"' if column in _NUMBER_COLUMNS else ""


def figure(address: str, caption: str) -> str:
    """Return a picture given as a ``data:`` address."""
    return (
        f'<figure><img src="{text(address)}" alt="{text(caption)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def page_figure(png: bytes, caption: str) -> str:
    """Return a page, shrunk to :data:`PAGE_WIDTH_PX` where it is wider."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("L")
    if image.width > PAGE_WIDTH_PX:
        height = round(image.height * PAGE_WIDTH_PX / image.width)
        image = image.resize((PAGE_WIDTH_PX, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.quantize(16).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return figure(f"data:image/png;base64,{data}", caption)


def metric_unit(metric: str) -> str:
    """Return the unit of a metric id, "" where it is not known."""
    try:
        return metric_of(metric).unit
    except KeyError:
        return ""


def scale_of(metric: str) -> float:
    """Return what a value is multiplied with to be shown: shares are shown in %."""
    return 100.0 if metric_unit(metric) == "share" else 1.0


def unit_word(unit: str) -> str:
    """Return a unit as it stands behind a metric's name."""
    return {"share": ", %", "1/h": " per hour"}.get(unit, "")


def shown(value: float | None, metric: str) -> str:
    """Return a value with the digits its unit deserves."""
    if value is None:
        return "void"
    unit = metric_unit(metric)
    return f"{100 * value:.1f} %" if unit == "share" else f"{value:.{1 if unit == '1/h' else 2}f}"


def range_of(row: ScoreResult) -> str:
    """Return the interval of a score in words."""
    if row.ci_low is None or row.ci_high is None:
        return "none"
    return f"{shown(row.ci_low, row.metric)} to {shown(row.ci_high, row.metric)}"


def bars_of(rows: Sequence[ScoreResult]) -> list[Bar]:
    """Return the lines of a plot; void scores are left out."""
    bars = []
    for row in rows:
        if row.value is None:
            continue
        scale = scale_of(row.metric)
        low, high = (None if edge is None else scale * edge for edge in (row.ci_low, row.ci_high))
        is_own = row.control == "none" and row.model not in BASELINES
        label = row.model if row.control == "none" else f"{row.model} / {row.control}"
        bars.append(Bar(label, scale * row.value, low, high, is_own))
    return bars
