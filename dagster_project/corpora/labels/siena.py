"""Labels of the Siena corpus: seizures from the patients' free-text lists of clock times.

The lists are typed by hand, so spelling is read with tolerance and the known slips are corrected by
the tables below. Age, sex and seizure type come from ``subject_info.csv`` through ``subject-table``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import nearest, sidecar_text
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams
from detectors.types import ExpertEvent

DAY_S = 86_400
MAX_SEIZURE_S = 1_800
"""A longer one is a misprint: the longest of the 47 lasts 151 s (engineering default)."""
MAX_LINE = 200
"""What stands further right in a line is none of the few words looked for."""
CLOCK_TOLERANCE_S = 60
"""Header and list may differ by seconds; from here on they disagree (engineering default)."""

_FILE_ALIASES = {
    "PN01": "PN01-1",
    "PN11-": "PN11-1",
}
"""Stems as the lists misspell them, to the stem of the file."""

_MISPRINTS: dict[tuple[str, str], dict[str, str]] = {
    ("PN00-3", "seizure end"): {"19.29.29": "18.29.29"},
}
"""Stem and what is timed, to the printed time and the one meant. PN00-3 ends at 18.57.13, half an
hour before the end printed for its seizure."""

_INACTIVE = {"PN10": ("Pz",)}
"""Electrodes of the 19 that a patient's recordings carry without signal, as the corpus documents."""

_SOURCE = "seizure list"
"""Without the patient's number, which no table but the inventory's path may hold."""

_BLOCK = re.compile(r"seizure *n\b", re.IGNORECASE)
_FILE = re.compile(r"file *name *:?(.+)", re.IGNORECASE)
_TIME = re.compile(r"(registration|seizure)? *(start|end) *time *:?(.*)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})[.:](\d{2})[.:](\d{2})\Z")


@dataclass
class _Block:
    """What one entry of a list says: a stem and clock times as printed."""

    stem: str = ""
    times: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeizureClock:
    """A seizure of a list in seconds of the day, its file's start too where the list gives it."""

    stem: str
    registration_s: int | None
    start_s: int
    end_s: int

    def inside(self, registration_s: int) -> tuple[float, float]:
        """Return onset and duration in seconds from the start of the file, midnight passed over."""
        onset = (self.start_s - registration_s) % DAY_S
        return float(onset), float((self.end_s - self.start_s) % DAY_S)


def _stem(printed: str) -> str:
    """Give a printed file name the spelling of the file: letter O for 0, blanks, known slips."""
    stem = re.sub(r"\s+", "", printed)
    stem = re.sub(r"\.edf\Z", "", stem, flags=re.IGNORECASE).upper()
    stem = re.sub(r"\APN(\w{2})", lambda m: "PN" + m[1].replace("O", "0"), stem)
    return _FILE_ALIASES.get(stem, stem)


def _seconds(stem: str, what: str, printed: str) -> int:
    """Return a clock time in seconds of the day; blanks inside it are slips of the keyboard."""
    text = re.sub(r"\s+", "", printed)
    text = _MISPRINTS.get((stem, what), {}).get(text, text)
    match = _CLOCK.match(text)
    hour, minute, second = map(int, match.groups()) if match else (24, 0, 0)
    if hour > 23 or minute > 59 or second > 59:
        raise CorpusError("bad_labels", f"the {what} time of a seizure list is no clock time")
    return 3600 * hour + 60 * minute + second


def _blocks(text: str) -> list[_Block]:
    """Take a list apart; an entry ends where the next one's first line, name or start begins."""
    blocks: list[_Block] = []
    for raw in text.replace("\r", "\n").split("\n"):
        line = " ".join(raw[:MAX_LINE].split())
        time, name = _TIME.match(line), _FILE.match(line)
        if time:  # before _BLOCK, which "Seizure start time" must not open
            if not blocks:
                raise CorpusError("bad_labels", "a seizure list begins with a time")
            what = f"{(time[1] or 'seizure').lower()} {time[2].lower()}"
            if what in blocks[-1].times:
                blocks.append(_Block(blocks[-1].stem))
            blocks[-1].times[what] = time[3]
        elif name:
            if not blocks or blocks[-1].times:
                blocks.append(_Block())
            blocks[-1].stem = _stem(name[1])
        elif _BLOCK.match(line):
            blocks.append(_Block())
    return [block for block in blocks if block.stem or block.times]


def parse_seizure_list(text: str) -> tuple[SeizureClock, ...]:
    """Read a ``Seizures-list-PNxx.txt``.

    A block without registration lines shares the file of the one it names.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a seizure has no file, start or end, or one file two registration starts.
    """
    blocks = _blocks(text)
    starts: dict[str, int] = {}
    for block in blocks:
        printed = block.times.get("registration start")
        if printed is None:
            continue
        start = _seconds(block.stem, "registration start", printed)
        if starts.setdefault(block.stem, start) != start:
            raise CorpusError("bad_labels", "a seizure list gives one file two registration starts")
    found = []
    for block in blocks:
        if not block.stem or not {"seizure start", "seizure end"} <= set(block.times):
            raise CorpusError("bad_labels", "a seizure without file, start or end in its list")
        start, end = (
            _seconds(block.stem, f"seizure {edge}", block.times[f"seizure {edge}"])
            for edge in ("start", "end")
        )
        found.append(SeizureClock(block.stem, starts.get(block.stem), start, end))
    return tuple(found)


def _header_clock(request: LabelRequest) -> int | None:
    start = request.recording.start
    return None if start is None else 3600 * start.hour + 60 * start.minute + start.second


def _agreement(header_s: int | None, registration_s: int | None) -> str:
    if header_s is None or registration_s is None:
        return "unknown"
    apart = abs((header_s - registration_s + DAY_S // 2) % DAY_S - DAY_S // 2)
    if apart == 0:
        return "agrees"
    return "seconds_apart" if apart < CLOCK_TOLERANCE_S else "disagrees"


def read_siena(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Seizures of the recording, from clock times relative to the registration's start.

    Where the list gives a file no registration start, the EDF header's clock stands in for it. A
    file the list does not name has seizures ``unknown``.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the list cannot be read or a seizure does not lie inside the file.
    """
    text = sidecar_text(nearest(request.path, f"Seizures-list-{request.subject}.txt"))
    mine = []
    if text is not None:
        stem = request.path.stem.upper()
        mine = [clock for clock in parse_seizure_list(text) if clock.stem == stem]
    inactive = tuple(
        Label("file", "inactive_channel", channel, "corpus documentation")
        for channel in _INACTIVE.get(request.subject.upper(), ())
    )
    if not mine:
        why = "no seizure list" if text is None else "not named in the seizure list"
        return RecordingLabels((Label("recording", "seizure", "unknown", why), *inactive))
    header_s = _header_clock(request)
    registration_s = mine[0].registration_s
    zero_s = header_s if registration_s is None else registration_s
    if zero_s is None:
        raise CorpusError("bad_labels", "neither list nor header says when the recording began")
    here = Label("segment", "seizure", "present", _SOURCE)
    intervals = []
    for onset_s, length_s in sorted(clock.inside(zero_s) for clock in mine):
        if not 0 < length_s <= MAX_SEIZURE_S or onset_s + length_s > request.duration_s:
            raise CorpusError(
                "bad_labels",
                f"a seizure at {onset_s:g} s of {length_s:g} s in {request.duration_s:g} s",
            )
        intervals.append(Interval(onset_s, onset_s + length_s, here))
    agreement = _agreement(header_s, registration_s)
    labels = (
        Label("recording", "seizure", "present", _SOURCE),
        Label("file", "registration_clock", agreement, "EDF header and seizure list"),
        *inactive,
    )
    away = Label("segment", "seizure", "absent", _SOURCE)
    events = tuple(ExpertEvent("seizure", (), i.t0_s, i.t1_s, _SOURCE) for i in intervals)
    return RecordingLabels(
        labels=labels, intervals=tuple(intervals), defaults=(away,), events=events
    )
