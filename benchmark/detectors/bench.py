"""The detectors benchmark: ours, its two halves, YASA and a plain threshold on the same pages.

Pages come from ``detectors.pages`` one recording at a time and are not kept, only what was counted
on them. Anybody's recordings and labels are scored by ``detectors.labels``.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

from benchmark.asking.answers import Box
from benchmark.detectors.events import Found
from benchmark.detectors.pages import (
    PageSettings,
    made_samples,
    real_samples,
    rest_recordings,
)
from benchmark.detectors.report import (
    DEFINED_SLICE,
    EVERYWHERE,
    FLOOR_SLICE,
    Cell,
    DetectorReport,
    RestRate,
    SizeRecall,
)
from benchmark.detectors.scores import (
    ARTIFACTS,
    TASKS,
    Counts,
    count_events,
    found_boxes,
    mean_average_precision,
    rate_per_hour,
    score_counts,
    truth_boxes,
)
from benchmark.detectors.systems import (
    DETECTOR,
    KINDS_OF,
    OURS,
    SYSTEMS,
    YASA,
    Reading,
    has_yasa,
    read_batch,
)
from benchmark.detectors.yasa_agreement import Agreement, Shared, agreements, shared_events
from benchmark.planted.pages import Origin, Sample
from benchmark.planted.planting import DEFINED_UV
from benchmark.scores.intervals import Interval
from detectors.rules import RULES_VERSION
from detectors.waveform.infer import WaveformDetector, load_detector

FLOOR_K = (2.0, 3.0, 4.0)
REST_TASKS = ("epileptiform", "spindle", "kcomplex")
"""What healthy waking people do not show, so that every event found is false."""
SIZE_EDGES_UV = (0.0, 20.0, 40.0, 80.0, 160.0, float("inf"))

Reader = Callable[[Sample], Reading]


@dataclass(frozen=True, slots=True)
class _Line:
    """What one system did on one recording in one task."""

    system: str
    task: str
    origin: Origin
    counts: Counts
    defined: Counts


@dataclass(slots=True)
class _Tally:
    """What is kept of all pages."""

    lines: list[_Line] = field(default_factory=list)
    rest: list[tuple[Origin, float, dict[tuple[str, str], int]]] = field(default_factory=list)
    true_boxes: dict[str, list[Box]] = field(default_factory=dict)
    found_boxes: dict[str, list[Box]] = field(default_factory=dict)
    subject_of: dict[str, str] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)
    shared: dict[str, list[tuple[str, list[Shared]]]] = field(default_factory=dict)


def bench_detectors(
    root: Path | None,
    *,
    settings: PageSettings | None = None,
    detector: WaveformDetector | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> DetectorReport:
    """Run the benchmark.

    Parameters
    ----------
    root
        Data root with rest of healthy people; None, or none there, leaves real backgrounds out and
        says so.
    settings
        How many pages.
    detector
        Waveform detector; the shipped one where not given.
    on_progress
        Called with a word before each part.
    """
    chosen = settings or PageSettings()
    loaded = detector or load_detector()
    systems = tuple(s for s in SYSTEMS if s != YASA or has_yasa())
    notes = [] if YASA in systems else ["YASA is not installed (extra 'bench'): not compared."]
    see_artifacts = tuple(s for s in systems if ARTIFACTS & set(KINDS_OF[s]))
    has_rest = root is not None and bool(rest_recordings(root))
    if not has_rest:
        notes.append("No rest of healthy people under the data root: no real background.")
    tally = _Tally()
    for sample in _samples(root if has_rest else None, chosen, on_progress):
        reading = read_batch(sample.batch, loaded, systems)
        bare = read_batch(sample.bare, loaded, see_artifacts) if sample.bare is not None else None
        _count(tally, sample, reading, bare)
    return _report(tally, systems, chosen.seed, tuple(notes), loaded)


def _samples(
    root: Path | None, settings: PageSettings, on_progress: Callable[[str], None] | None
) -> Iterator[Sample]:
    said = ""

    def all_samples() -> Iterator[Sample]:
        yield from made_samples(settings)
        if root is not None:
            yield from real_samples(root, settings)

    for sample in all_samples():
        if on_progress and sample.origin.background != said:
            said = sample.origin.background
            on_progress(f"{said} background")
        yield sample


def _count(tally: _Tally, sample: Sample, reading: Reading, bare: Reading | None) -> None:
    origin = sample.origin
    word = f"{origin.background}, {'planted' if origin.k else 'bare'}"
    tally.pages[word] = tally.pages.get(word, 0) + len(sample.batch)
    _count_shared(tally, origin, reading)
    if not origin.k:
        found = {
            (system, task): sum(f.kind in TASKS[task].kinds for f in events)
            for system, events in reading.found.items()
            for task in REST_TASKS
        }
        tally.rest.append((origin, sample.hours, found))
        return
    for system, events in reading.found.items():
        own = bare.found.get(system, []) if bare else []
        tally.lines += _lines(system, sample, events, own)
    if origin.k in FLOOR_K:
        for key in (origin.background, EVERYWHERE):
            tally.true_boxes.setdefault(key, []).extend(truth_boxes(sample.truth))
            tally.found_boxes.setdefault(key, []).extend(found_boxes(reading.boxes, sample.truth))
        tally.subject_of.update(dict.fromkeys(sample.batch.segment_ids, origin.subject))


def _count_shared(tally: _Tally, origin: Origin, reading: Reading) -> None:
    """Count what YASA and ours have in common on pages planted as sleep and on bare rest."""
    if YASA not in reading.found or OURS not in reading.found:
        return
    if origin.k and "-sleep-" not in origin.name:
        return
    pages = "planted sleep" if origin.k else "bare rest"
    counts = shared_events(reading.found[OURS], reading.found[YASA])
    tally.shared.setdefault(pages, []).append((origin.subject, counts))


def _agreements(tally: _Tally, seed: int) -> Iterator[Agreement]:
    for pages, rows in tally.shared.items():
        subjects, counts = [s for s, _ in rows], [c for _, c in rows]
        yield from agreements(pages, subjects, counts, seed=seed)


def _lines(
    system: str, sample: Sample, found: Sequence[Found], own: Sequence[Found]
) -> Iterator[_Line]:
    for name, task in TASKS.items():
        if not set(task.kinds) & set(KINDS_OF[system]):
            continue
        counts = count_events(task, sample.truth, found, bare=own)
        defined = counts
        if name in DEFINED_UV:
            defined = count_events(task, sample.truth, found, bare=own, is_defined_only=True)
        yield _Line(system, name, sample.origin, counts, defined)


def _report(
    tally: _Tally, systems: tuple[str, ...], seed: int, notes: tuple[str, ...],
    detector: WaveformDetector,
) -> DetectorReport:  # fmt: skip
    maps = {
        background: mean_average_precision(
            true, tally.found_boxes[background], _subjects(tally, true, background), seed=seed
        )
        for background, true in tally.true_boxes.items()
    }
    return DetectorReport(
        cells=tuple(_cells(tally.lines, systems, seed)),
        sizes=tuple(_size_recalls(tally.lines)),
        rest=tuple(_rest_rates(tally, systems, seed)),
        agreement=tuple(_agreements(tally, seed)),
        maps=maps,
        pages=tally.pages,
        systems=systems,
        notes=notes,
        environment=environment(detector),
    )


def _subjects(tally: _Tally, boxes: Sequence[Box], background: str) -> dict[str, str]:
    inside = {b.segment_id for b in (*boxes, *tally.found_boxes[background])}
    return {page: subject for page, subject in tally.subject_of.items() if page in inside}


def _cells(lines: Sequence[_Line], systems: Sequence[str], seed: int) -> Iterator[Cell]:
    backgrounds = list(dict.fromkeys(line.origin.background for line in lines))
    rates = sorted({line.origin.rate_hz for line in lines})
    sizes = sorted({line.origin.k for line in lines})
    for system in systems:
        for task in TASKS:
            mine = [x for x in lines if (x.system, x.task) == (system, task)]
            middle = [x for x in mine if x.origin.k in FLOOR_K]
            parts: list[tuple[str, str, list[_Line]]] = []
            for background in (*backgrounds, EVERYWHERE):
                here = [x for x in middle if background in (x.origin.background, EVERYWHERE)]
                parts.append((background, FLOOR_SLICE, here))
                if task in DEFINED_UV:
                    parts.append((background, DEFINED_SLICE, here))
            parts += [(EVERYWHERE, f"k={k:g}", [x for x in mine if x.origin.k == k]) for k in sizes]
            parts += [
                (EVERYWHERE, f"rate={hz:g}", [x for x in middle if x.origin.rate_hz == hz])
                for hz in rates
            ]
            for background, part, chosen in parts:
                counts = [x.defined if part == DEFINED_SLICE else x.counts for x in chosen]
                score = score_counts([x.origin.subject for x in chosen], counts, seed=seed)
                if score is not None:
                    yield Cell(system, task, background, part, score)


def _size_recalls(lines: Iterable[_Line]) -> Iterator[SizeRecall]:
    pairs: dict[str, list[tuple[float, bool]]] = {}
    for line in lines:
        if line.system == OURS and line.task not in ("flat", "posterior_rhythm"):
            pairs.setdefault(line.task, []).extend(line.counts.sizes)
    for task, seen in pairs.items():
        for low, high in pairwise(SIZE_EDGES_UV):
            hits = [hit for size, hit in seen if low <= size < high]
            if hits:
                yield SizeRecall(OURS, task, low, high, sum(hits) / len(hits), len(hits))


def _rest_rates(tally: _Tally, systems: Sequence[str], seed: int) -> Iterator[RestRate]:
    parts = {
        "clean": [row for row in tally.rest if row[0].name.endswith("-clean")],
        "all": tally.rest,
    }
    for task in REST_TASKS:
        for pages, rows in parts.items():
            for system in systems:
                if not rows or not set(TASKS[task].kinds) & set(KINDS_OF[system]):
                    continue
                subjects = [origin.subject for origin, _, _ in rows]
                hours = [h for _, h, _ in rows]
                found = [n[system, task] for _, _, n in rows]
                per_hour: Interval = rate_per_hour(subjects, found, hours, seed=seed)
                yield RestRate(system, task, pages, per_hour, sum(hours))


def environment(detector: WaveformDetector) -> dict[str, str]:
    """Return what the figures depend on besides the seed."""
    versions = {"rules": RULES_VERSION, DETECTOR: detector.weights_id}
    for package in ("yasa", "numpy", "scipy", "onnxruntime"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {**versions, "python": platform.python_version(), "cores": str(os.cpu_count())}
