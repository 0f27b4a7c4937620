"""Labels of CAP Sleep: R&K stages and CAP phases from RemLogic's export, age and sex of the table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from dagster_project.corpora.channels import parse_label
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import number, sex_of, sidecar_text
from dagster_project.corpora.labels.stages import (
    Scored,
    check_scored,
    grid_of,
    hypnogram_label,
    missing_hypnogram,
    stage_intervals,
)
from dagster_project.corpora.labels.types import Interval, LabelRequest, RecordingLabels
from dagster_project.corpora.labels.workbooks import xlsx_rows
from dagster_project.corpora.spec import NoParams
from detectors.types import ExpertEvent

DAY_S = 86_400.0
EARLY_S = 3600.0
"""A scoring may begin up to so long before the signal; later times are of the next day."""
MAX_OUTSIDE_NREM = 0.25
"""More CAP phases than this share outside NREM, where all belong: the clock is off (eng. default)."""
_SOURCE = "RemLogic export"

_STAGES = {"S0": "W", "S1": "N1", "S2": "N2", "S3": "N3", "S4": "N3", "REM": "REM"}
_PHASE = re.compile(r"MCAP-A([123])")
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})[:.](\d{2})(?:[.,](\d+))?")
_COLUMNS = {"time": "time", "event": "event", "duration": "duration", "location": "location"}
_TABLE_NAMES = {"rdb11": "rbd11", "sbd1": "sdb1", "sbd2": "sdb2", "sbd3": "sdb3", "sbd4": "sdb4"}
"""Spellings of the age table that slipped, to the names of the files."""


def read_cap(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Stages and phases A1 to A3 from ``<recording>.txt``, on the clock of the recording.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the export has no table or no clock to place it on, a row is void, or
        its phases lie outside NREM.
    """
    band, sex = _subject(request)
    text = sidecar_text(request.path.with_suffix(".txt"))
    if text is None:
        return RecordingLabels(labels=(missing_hypnogram(),), age_band=band, sex=sex)
    if request.recording.start is None:
        raise CorpusError("bad_labels", "the header dates no start to place clock times by")
    scored, phases = _rows(text, request.recording.start, request)
    entries = check_scored(scored, request.duration_s)
    stages = stage_intervals(entries, request.duration_s, _SOURCE)
    _check_phases(phases, stages)
    return RecordingLabels(
        labels=(hypnogram_label(entries, request.duration_s, _SOURCE),),
        stages=stages,
        events=tuple(p for p in phases if p.t0_s < p.t1_s),
        grid_s=grid_of(entries),
        age_band=band,
        sex=sex,
    )


def _rows(
    text: str, start: datetime, request: LabelRequest
) -> tuple[list[Scored], list[ExpertEvent]]:
    """Read the table below the export's header block; its columns differ from file to file."""
    lines = text.splitlines()
    top = next((i for i, line in enumerate(lines) if "Event" in line and "Duration" in line), None)
    if top is None:
        raise CorpusError("bad_labels", "the export has no row of column names")
    names = [name.strip().lower() for name in lines[top].split("\t")]
    at = {key: next((i for i, n in enumerate(names) if n.startswith(key)), -1) for key in _COLUMNS}
    if min(at["time"], at["event"], at["duration"]) < 0:
        raise CorpusError("bad_labels", "the export lacks a column of time, event or duration")
    scored, phases = [], []
    for line in lines[top + 1 :]:
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) <= max(at["time"], at["event"], at["duration"]):
            continue
        event = cells[at["event"]]
        phase = _PHASE.fullmatch(event)
        if not phase and not event.startswith("SLEEP-"):
            continue
        onset_s = _onset_s(cells[at["time"]], start)
        length_s = number(cells[at["duration"]].replace(",", "."))
        if length_s is None or not 0 < length_s < DAY_S:
            raise CorpusError("bad_labels", "a row of the export lasts for no time of a night")
        if not phase:
            stage = _STAGES.get(event.removeprefix("SLEEP-"))
            scored.append(Scored(onset_s, length_s, stage))
        else:
            place = cells[at["location"]] if 0 <= at["location"] < len(cells) else ""
            end_s = min(onset_s + length_s, request.duration_s)
            where = _channels(place, request)
            phases.append(ExpertEvent(f"cap_a{phase[1]}", where, onset_s, end_s, _SOURCE))
    return scored, phases


def _onset_s(clock: str, start: datetime) -> float:
    """Seconds from the start of the recording to a time of day, which may be of the next day."""
    match = _TIME.fullmatch(clock)
    if not match:
        raise CorpusError("bad_labels", "a row of the export has no time of day")
    hour, minute, second = map(int, match.groups()[:3])
    if hour > 23 or minute > 59 or second > 59:
        raise CorpusError("bad_labels", "a row of the export has no time of day")
    at_s = 3600 * hour + 60 * minute + second + float(f"0.{match[4] or 0}")
    since = 3600 * start.hour + 60 * start.minute + start.second
    gap_s = (at_s - since) % DAY_S
    return gap_s if gap_s < DAY_S - EARLY_S else gap_s - DAY_S


def _channels(place: str, request: LabelRequest) -> tuple[str, ...]:
    """Name of the derivation a phase was seen on, if the recording has it."""
    aliases = request.spec.channels.aliases

    def name(label: str) -> str:
        found = parse_label(label).name
        return aliases.get(found, found)

    here = {name(signal.label) for signal in request.recording.signals}
    return (name(place),) if place and name(place) in here else ()


def _check_phases(phases: Sequence[ExpertEvent], stages: Sequence[Interval]) -> None:
    nrem = [(i.t0_s, i.t1_s) for i in stages if i.label.value in ("N1", "N2", "N3")]
    outside = [p for p in phases if not any(a <= p.t0_s < b for a, b in nrem)]
    if len(outside) > MAX_OUTSIDE_NREM * len(phases):
        raise CorpusError("bad_labels", f"{len(outside)} of {len(phases)} CAP phases outside NREM")


def _subject(request: LabelRequest) -> tuple[str | None, str | None]:
    """Age band and sex from ``gender-age.xlsx``: name, sex and age in three columns, no header."""
    for row in xlsx_rows(request.folder / "gender-age.xlsx") or ():
        cells = [*row, None, None, None][:3]
        name = str(cells[0]).strip().lower()
        if _TABLE_NAMES.get(name, name) == request.subject.lower():
            age = number(str(cells[2])) if cells[2] is not None else None
            return age_band(age), sex_of(str(cells[1]))
    return None, None
