"""Anybody's recordings and labels scored: whole nights, single channels, foreign label words.

A table of events names recordings under a folder; each is read by the corpora's readers, brought to
200 Hz, cut into pages, read by every system, and what was found is put back on the recording's
clock before it is compared. Only kinds that the table labels are scored, and on the labelled
recordings only: what a table does not label is taken as absent there. Rules of matching are those
of ``detectors.scores``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmark.detectors.bench import environment
from benchmark.detectors.events import GROUP_IOU, Found, overlap
from benchmark.detectors.report import EVERYWHERE, Cell, DetectorReport
from benchmark.detectors.scores import TASKS, Counts, Task, count_events, score_counts
from benchmark.detectors.systems import KINDS_OF, SYSTEMS, YASA, Reading, has_yasa, read_batch
from benchmark.errors import BenchmarkError
from benchmark.planted.pages import pages_of
from benchmark.planted.planting import Planted
from dagster_project.corpora.channels import Pick, parse_label, pick_traces
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Recording
from dagster_project.corpora.spec import Channels, Choice
from detectors.types import CANONICAL19, SEGMENT_S, Judgement, SegmentBatch
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.infer import WaveformDetector, load_detector

COLUMNS = ("recording", "channel", "label", "onset_s", "duration_s")
LABEL_WORDS: Mapping[str, str] = {
    **{name.lower(): waveform.kind for name, waveform in WAVEFORMS.items()},
    **{k: k for task in TASKS.values() if task.rule != "frequency" for k in task.kinds},
    "k-complex": "kcomplex", "k complex": "kcomplex", "kc": "kcomplex", "spindles": "spindle",
    "sleep spindle": "spindle", "sharp wave": "sharp", "spike and wave": "spsw",
    "spike-and-slow-wave": "spsw", "ied": "spike", "eye blink": "blink", "emg": "muscle",
    "musc": "muscle", "elpp": "electrode_pop", "pop": "electrode_pop",
}  # fmt: skip
"""Words of a table, in lower case, and the kind they mean."""

_READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": pl.read_csv,
    ".tsv": lambda path: pl.read_csv(path, separator="\t"),
    ".parquet": pl.read_parquet,
}
PAGES_AT_A_TIME = 128
JOIN_S = 0.15
"""Parts of an event on both sides of a page's edge no further apart are one; engineering default."""


@dataclass(frozen=True, slots=True)
class LabelledEvent:
    """One row of the table, its label as a kind."""

    recording: str
    channel: str
    kind: str
    onset_s: float
    duration_s: float


def read_events(path: Path) -> list[LabelledEvent]:
    """Read and check a table of events.

    Raises
    ------
    BenchmarkError
        If the suffix, a column, a label or a time is not usable.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise BenchmarkError(f"{path} is no table of events; give {', '.join(_READERS)}")
    table = reader(path)
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise BenchmarkError(
            f"{path.name} lacks {', '.join(missing)}; its columns must be {', '.join(COLUMNS)}"
        )
    words = {str(w) for w in table["label"].unique().to_list()}
    unknown = sorted(w for w in words if w.strip().lower() not in LABEL_WORDS)
    if unknown:
        raise BenchmarkError(
            f"{path.name} has labels {', '.join(unknown)}; use {', '.join(sorted(LABEL_WORDS))}"
        )
    events = [
        LabelledEvent(
            str(row["recording"]), str(row["channel"] or ""),
            LABEL_WORDS[str(row["label"]).strip().lower()],
            float(row["onset_s"]), float(row["duration_s"]),
        )
        for row in table.select(COLUMNS).iter_rows(named=True)
    ]  # fmt: skip
    wrong = [e for e in events if not (e.onset_s >= 0 and e.duration_s >= 0)]
    if wrong:
        raise BenchmarkError(
            f"{path.name} has an event at {wrong[0].onset_s} s lasting {wrong[0].duration_s} s; "
            "times are seconds from the start of the recording"
        )
    return events


def bench_labels(
    folder: Path,
    events: Path,
    *,
    seed: int = 0,
    detector: WaveformDetector | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> DetectorReport:
    """Score all systems on a folder of recordings and a table of labels.

    Parameters
    ----------
    folder
        Folder the ``recording`` column is relative to.
    events
        CSV, TSV or Parquet with :data:`COLUMNS`; an empty channel stands for any.
    seed
        Of the bootstrap over recordings.
    detector
        Waveform detector; the shipped one where not given.
    on_progress
        Called with each recording's number.

    Raises
    ------
    BenchmarkError
        If the table or every recording cannot be used.
    """
    labelled = read_events(events)
    loaded = detector or load_detector()
    systems = tuple(s for s in SYSTEMS if s != YASA or has_yasa())
    names = sorted({e.recording for e in labelled})
    kinds = {e.kind for e in labelled}
    tally = _Tally(
        {n: t for n, t in TASKS.items() if kinds & set(t.kinds) and t.rule != "frequency"}
    )
    for number, name in enumerate(names):
        if on_progress:
            on_progress(f"recording {number + 1} of {len(names)}")
        mine = [e for e in labelled if e.recording == name]
        try:
            opened = _read(folder / name, mine)
        except CorpusError as error:
            tally.notes.append(f"Recording {number + 1} was set aside: {error}.")
            continue
        reading = _read_all(opened.batch, loaded, systems)
        _count(tally, f"r{number:04d}", opened, mine, reading)
    if not tally.n_pages:
        raise BenchmarkError(f"no recording of {events.name} could be read: {tally.notes}")
    cells = []
    for (task, system), rows in tally.counts.items():
        score = score_counts([n for n, _ in rows], [c for _, c in rows], seed=seed)
        if score is not None:
            cells.append(Cell(system, task, EVERYWHERE, "labels", score, tally.unjudged[task]))
    return DetectorReport(
        cells=tuple(cells), pages={"labelled": tally.n_pages}, systems=systems,
        notes=tuple(tally.notes), environment=environment(loaded),
    )  # fmt: skip


@dataclass(slots=True)
class _Tally:
    """What is kept of all recordings: counts by task and system, and pages not judged by task."""

    tasks: Mapping[str, Task]
    counts: dict[tuple[str, str], list[tuple[str, Counts]]] = field(default_factory=dict)
    unjudged: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    n_pages: int = 0


@dataclass(frozen=True, slots=True)
class _Opened:
    """A recording as pages, and where on its own clock they begin."""

    batch: SegmentBatch
    start_s: float


def _count(
    tally: _Tally, name: str, opened: _Opened, labelled: Sequence[LabelledEvent], reading: Reading
) -> None:
    batch = opened.batch
    tally.n_pages += len(batch)
    truth = [_planted(e, name, batch.schema.ch_names, opened.start_s) for e in labelled]
    for key, task in tally.tasks.items():
        tally.unjudged[key] += _n_unjudged(reading, task.kinds)
        here = [t for t in truth if t.kind in task.kinds]
        if task.is_by_row and not all(t.channels for t in here):
            task = replace(task, is_by_row=False)  # a label without a row cannot be counted by row
        wanted = here if task.is_by_row else one_per_time(here)
        for system, events in reading.found.items():
            if set(task.kinds) & set(KINDS_OF[system]):
                counts = count_events(task, wanted, on_clock(events, batch, name))
                tally.counts.setdefault((key, system), []).append((name, counts))


def _read(path: Path, events: Sequence[LabelledEvent]) -> _Opened:
    """Read one recording as pages, whatever channels it has."""
    if not path.is_file():
        raise CorpusError("file_name", "no such recording in the folder")
    with open_recording(path, Choice(name="any")) as recording:
        pick, traces = pick_traces(recording, _channels(recording, events))
        run = max(traces.runs, key=lambda r: r.n_samples)
        rows = np.empty((len(pick.indices), run.n_samples), dtype=np.float32)
        traces.read_uv(run.start_sample, run.start_sample + run.n_samples, rows)
        rate_hz = float(traces.sfreq)
    data = _placed(rows, pick)
    if data.shape[1] < SEGMENT_S * rate_hz:
        raise CorpusError("too_short", f"{data.shape[1] / rate_hz:g} s")
    n_pad = -data.shape[1] % round(SEGMENT_S * rate_hz)
    padded = np.pad(data, ((0, 0), (0, n_pad)), mode="reflect")
    batch = pages_of(padded, rate_hz, "page", schema=pick.schema, mask=pick.mask)
    return _Opened(batch, run.start_s)


def _placed(rows: NDArray[np.float32], pick: Pick) -> NDArray[np.float64]:
    data = np.zeros((len(pick.mask), rows.shape[1]))
    data[np.flatnonzero(pick.mask)] = rows
    return data


def _channels(recording: Recording, events: Sequence[LabelledEvent]) -> Channels:
    """Choose the policy; a lone signal without a site's name takes the one the labels give it."""
    names = [parse_label(s.label).name for s in recording.signals if s.unit_uv]
    said = {parse_label(e.channel).name for e in events if e.channel} & set(CANONICAL19)
    aliases = {}
    if len(names) == 1 and names[0] not in CANONICAL19 and "-" not in names[0]:
        aliases = {names[0]: said.pop() if len(said) == 1 else "Cz"}
    return Channels(policy="bipolar_or_referential", aliases=aliases)


def _read_all(batch: SegmentBatch, detector: WaveformDetector, systems: Sequence[str]) -> Reading:
    """Read a long recording part by part."""
    found: dict[str, list[Found]] = {s: [] for s in systems}
    judgements: list[Judgement] = []
    for start in range(0, len(batch), PAGES_AT_A_TIME):
        part = slice(start, start + PAGES_AT_A_TIME)
        piece = SegmentBatch(
            batch.segment_ids[part], batch.data_uv[part], batch.mask[part], batch.schema,
            batch.band_hz[part], batch.line_freq_hz,
        )  # fmt: skip
        reading = read_batch(piece, detector, systems)
        for system, events in reading.found.items():
            found[system] += events
        judgements += reading.judgements
    return Reading(found, [], tuple(judgements))


def _n_unjudged(reading: Reading, kinds: Iterable[str]) -> int:
    """Pages on which none of the kinds was judged."""
    open_pages: dict[str, bool] = {}
    for j in reading.judgements:
        if j.kind in kinds:
            was = open_pages.get(j.segment_id, True)
            open_pages[j.segment_id] = was and j.verdict == "not_judged"
    return sum(open_pages.values())


def on_clock(found: Sequence[Found], batch: SegmentBatch, name: str) -> list[Found]:
    """Put events of pages on the recording's clock and join those a page's edge cut in two."""
    start = {s: i * float(SEGMENT_S) for i, s in enumerate(batch.segment_ids)}
    moved = [
        replace(
            f, segment_id=name, t0_s=f.t0_s + start[f.segment_id], t1_s=f.t1_s + start[f.segment_id]
        )
        for f in found
    ]
    out: list[Found] = []
    for event in sorted(moved, key=lambda f: (f.t0_s, f.t1_s, f.kind)):
        before = next(
            (i for i, f in enumerate(out[-50:], max(len(out) - 50, 0)) if _meet(f, event)), None
        )
        if before is None:
            out.append(event)
        else:
            rows = tuple(dict.fromkeys(out[before].channels + event.channels))
            out[before] = replace(out[before], t1_s=event.t1_s, channels=rows)
    return out


def _meet(first: Found, second: Found) -> bool:
    """Whether two events are the halves of one that a page's edge cut."""
    edge = round(second.t0_s / SEGMENT_S) * SEGMENT_S
    return (
        first.kind == second.kind
        and first.t0_s < edge
        and abs(edge - first.t1_s) <= JOIN_S
        and abs(second.t0_s - edge) <= JOIN_S
        and bool(set(first.channels) & set(second.channels))
    )


def one_per_time(truth: Sequence[Planted]) -> list[Planted]:
    """Join labels of one kind that several rows carry at the same time, as findings are joined."""
    out: list[Planted] = []
    for event in sorted(truth, key=lambda t: (t.kind, t.t0_s, t.t1_s, t.channels)):
        last = out[-1] if out else event
        is_same = last is not event and last.kind == event.kind and last.channels != event.channels
        if is_same and overlap(last.t0_s, last.t1_s, event.t0_s, event.t1_s) >= GROUP_IOU:
            rows = tuple(dict.fromkeys(last.channels + event.channels))
            rows = rows if last.channels and event.channels else ()
            out[-1] = replace(last, channels=rows, signs=(1.0,) * len(rows))
        else:
            out.append(event)
    return out


def _planted(event: LabelledEvent, name: str, rows: Sequence[str], start_s: float) -> Planted:
    """Give a label the form of the truth; a channel the recording has not stands for any."""
    onset_s = event.onset_s - start_s
    channel = parse_label(event.channel).name if event.channel else ""
    channels = (channel,) if channel in rows else ()
    return Planted(
        name, event.kind, channels, (1.0,) * len(channels), (), onset_s,
        onset_s + event.duration_s, 0.0, 0.0,
    )  # fmt: skip
