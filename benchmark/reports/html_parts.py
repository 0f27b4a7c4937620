"""How pieces of the HTML report are written: escaped text, tables, figures, numbers with units.

Every value goes through :func:`text` on its way into the page. What is shown, and in which order,
is for ``reports/html.py``.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from benchmark.asking.controls import CONTROLS
from benchmark.reports.plots import Bar
from benchmark.reports.result import ScoreResult
from benchmark.scores.metrics import METRICS, metric_of
from benchmark.scores.scoring import BASELINES

PAGE_WIDTH_PX = 1000
_TEXT_COLUMNS = frozenset({"note", "read with care", "verdict"})
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
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, own: Sequence[bool] = (),
    heads: bool = False,
) -> str:  # fmt: skip
    """Return a table; rows marked as own are set off, with ``heads`` each row's first cell heads it."""
    head = "".join(f'<th scope="col"{_class(c)}>{text(c)}</th>' for c in columns)
    body = []
    for n, row in enumerate(rows):
        cells = "".join(
            f'<th scope="row">{text(value)}</th>' if heads and not at
            else f"<td{_class(c)}>{text(value)}</td>"
            for at, (c, value) in enumerate(zip(columns, row, strict=True))
        )  # fmt: skip
        mark = ' class="own"' if own and own[n] else ""
        body.append(f"<tr{mark}>{cells}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def facts(content: Mapping[str, object]) -> str:
    """Return a table of two columns, names at the left."""
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th><td class="text">{text(value)}</td></tr>'
        for name, value in content.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def metric_lines(metrics: Iterable[str]) -> list[str]:
    """Return what each metric means, its unit and which way is better, once for each base name."""
    used = {id(metric_of(metric)) for metric in metrics}
    return [
        f"{name}: {metric.meaning}; {_UNITS[metric.unit]}, "
        f"{'more' if metric.is_higher_better else 'less'} is better"
        for name, metric in METRICS.items()
        if id(metric) in used
    ]


SUFFIX_LINES = (
    "name-x: paired difference from control or baseline x",
    "name[x]: on the items of part x alone",
    "name:x: of class x",
)
"""How the suffixes of metric ids are read."""


def is_difference(metric: str) -> bool:
    """Whether a metric id is a paired difference, which is shown with its sign."""
    return re.match(r"\w+-", metric) is not None


_UNITS = {
    "share": "shown in %", "points": "0 to 100", "index": "1 is full agreement", "1/h": "per hour"
}  # fmt: skip


def page_shown(model: str, control: str) -> str:
    """Say what a model was shown; the control ``none`` is the page itself."""
    if model in BASELINES:
        return "no page"
    return CONTROLS[control].meaning if control == "none" else control


def score_label(model: str, control: str) -> str:
    """Return the words beside one score in a plot."""
    return model if control == "none" else f"{model} / {control}"


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
        image = opened.convert("RGB" if opened.mode == "RGB" else "L")
    if image.width > PAGE_WIDTH_PX:
        height = round(image.height * PAGE_WIDTH_PX / image.width)
        image = image.resize((PAGE_WIDTH_PX, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # the default method for colours averages the few pixels of a thin box away
    is_coloured = image.mode == "RGB"
    small = image.quantize(64, Image.Quantize.MAXCOVERAGE) if is_coloured else image.quantize(16)
    small.save(buffer, format="PNG", optimize=True)
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
    return {"share": ", %", "points": ", points", "1/h": " per hour"}.get(unit, "")


def shown(value: float | None, metric: str, *, sign: bool = False) -> str:
    """Return a value with the digits its unit deserves."""
    if value is None:
        return "void"
    unit, plus = metric_unit(metric), "+" if sign else ""
    if unit == "share":
        return f"{100 * value:{plus}.1f} %"
    return f"{value:{plus}.{2 if unit == 'index' else 1}f}"


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
        label = score_label(row.model, row.control)
        bars.append(Bar(label, scale * row.value, low, high, is_own))
    return bars
