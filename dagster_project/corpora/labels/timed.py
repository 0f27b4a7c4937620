"""From timed words to labels of stretches, by the entry's own closed vocabulary.

The words come from ``events.tsv`` (``bids_events.py``) or from inside the file
(``annotations.py``). Only words an entry names become labels; the others are counted and never
copied, for free text of a hospital's file may name people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from dagster_project.corpora.channels import parse_label
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label, RecordingLabels
from dagster_project.corpora.spec import Entry
from detectors.types import ExpertEvent

_SITE = r"(?:Fp|AF|FT|FC|TP|CP|PO|[FTCPOINAME])(?:\d{1,3}|z)"
_PLACE = re.compile(rf"{_SITE}(?:-{_SITE})?")
"""Electrodes by region and number only: a looser pattern lets short names of people through."""
POINT_S = 1e-3
"""Length given to a mark without one, so that it lies in exactly one segment."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One row: when, for how long (0 where nobody says), and its words by column."""

    onset_s: float
    duration_s: float
    words: Mapping[str, str]


class TimedLabel(Entry):
    """A label of stretches of a recording.

    Parameters
    ----------
    name
        Label name.
    values
        Word of the file to label value; case and blanks do not count.
    column
        Column of ``events.tsv`` the words stand in.
    lasts
        How long a word holds: ``duration`` as its row says, ``until_next`` until the next word
        of this rule or of ``ends``, ``marks`` as long as the word is repeated every few seconds.
    ends
        Words that end a state without beginning another.
    gap_s
        Longest pause between repeated ``marks`` of one stretch.
    required
        Label values that must occur where there are any marks at all.
    """

    name: str
    values: dict[str, str] = Field(min_length=1)
    column: str = "trial_type"
    lasts: Literal["duration", "until_next", "marks"] = "duration"
    ends: tuple[str, ...] = ()
    gap_s: float = Field(default=5.0, gt=0)
    required: tuple[str, ...] = ()


class TimedEvent(Entry):
    """An event with a place in time.

    Parameters
    ----------
    kind
        What it is called.
    words, column
        Words of the file that mean it, and the column they stand in.
    lasts_s
        Length of one whose row gives none; without it such rows are counted and left out.
    """

    kind: str
    words: tuple[str, ...] = Field(min_length=1)
    column: str = "trial_type"
    lasts_s: float = Field(default=0.0, ge=0)


class TimedParams(Entry):
    """What an entry says about timed words."""

    labels: tuple[TimedLabel, ...] = ()
    events: tuple[TimedEvent, ...] = ()


def clean(word: str) -> str:
    """Return a word without control characters, runs of blanks and case.

    Lost Greek letters stand as ``0x1A`` bytes in ds006036.
    """
    printable = "".join(c if c.isprintable() else " " for c in word)
    return " ".join(printable.split()).casefold()


def _matches(
    marks: Sequence[Mark], column: str, words: Mapping[str, str]
) -> list[tuple[Mark, str]]:
    """Return the marks whose word has a value, with it; a word may follow a ``Type/`` prefix."""
    known = {clean(word): value for word, value in words.items()}
    found = []
    for mark in marks:
        word = clean(mark.words.get(column, ""))
        value = known.get(word, known.get(word.rpartition("/")[2]))
        if value is not None:
            found.append((mark, value))
    return found


def _spans(rule: TimedLabel, marks: Sequence[Mark]) -> list[tuple[float, float, str]]:
    """Return start, end and value of the stretches of one rule, in order."""
    found = _matches(marks, rule.column, {**rule.values, **dict.fromkeys(rule.ends, "")})
    if rule.lasts == "duration":
        return [(m.onset_s, m.onset_s + max(m.duration_s, POINT_S), v) for m, v in found if v]
    if rule.lasts == "until_next":
        ends = [m.onset_s for m, _ in found[1:]] + [math.inf]
        spans = [(m.onset_s, end, v) for (m, v), end in zip(found, ends, strict=False) if v]
        return [span for span in spans if span[0] < span[1]]
    return _repeated(found, rule.gap_s)


def _repeated(found: Sequence[tuple[Mark, str]], gap_s: float) -> list[tuple[float, float, str]]:
    spans: list[tuple[float, float, str]] = []
    for mark, value in found:
        if spans and spans[-1][2] == value and mark.onset_s - spans[-1][1] <= gap_s:
            spans[-1] = (spans[-1][0], mark.onset_s, value)
        else:
            spans.append((mark.onset_s, mark.onset_s, value))
    return [(a, max(b, a + POINT_S), v) for a, b, v in spans if v]


def _check(rule: TimedLabel, spans: Sequence[tuple[float, float, str]], source: str) -> None:
    missing = set(rule.required) - {value for _, _, value in spans}
    if missing:
        words = ", ".join(sorted(missing))
        raise CorpusError("bad_labels", f"{source} has no {rule.name} = {words}")


def _merged(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Join stretches of one label that touch or overlap, as two words of one meaning leave them."""
    merged: list[Interval] = []
    for interval in sorted(intervals, key=lambda i: (i.label.value, i.t0_s, i.t1_s)):
        last = merged[-1] if merged else None
        if last and last.label == interval.label and interval.t0_s <= last.t1_s:
            merged[-1] = Interval(last.t0_s, max(last.t1_s, interval.t1_s), last.label)
        else:
            merged.append(interval)
    return tuple(sorted(merged, key=lambda i: (i.t0_s, i.t1_s, i.label.value)))


def places(said: str) -> tuple[str, ...]:
    """Return the electrodes or pairs of a list with commas; words that are none are not kept."""
    names = (parse_label(word).name for word in said.split(","))
    return tuple(dict.fromkeys(name for name in names if _PLACE.fullmatch(name)))


def _events(
    rule: TimedEvent, marks: Sequence[Mark], duration_s: float, source: str
) -> tuple[list[ExpertEvent], int]:
    """Return the events of one rule, and how many have no length."""
    events, n_pointless = [], 0
    for mark, _ in _matches(marks, rule.column, dict.fromkeys(rule.words, rule.kind)):
        length_s = mark.duration_s or rule.lasts_s
        stop_s = min(mark.onset_s + length_s, duration_s)
        if not length_s:
            n_pointless += 1
        elif 0 <= mark.onset_s < stop_s:
            place = places(mark.words.get("channel", "") or mark.words.get("channels", ""))
            events.append(ExpertEvent(rule.kind, place, mark.onset_s, stop_s, source))
    return events, n_pointless


def timed_labels(
    marks: Sequence[Mark], params: TimedParams, duration_s: float, source: str
) -> RecordingLabels:
    """Apply an entry's rules to timed words.

    Stretches are clipped to the recording (``corpora.md`` 2.10).

    Raises
    ------
    CorpusError
        ``bad_labels`` if a required value never occurs, or every known word lies outside the
        recording: a clock in other units or another file's table.
    """
    # rows at one moment have no order of their own: their words give them one
    marks = sorted(marks, key=lambda m: (m.onset_s, m.duration_s, sorted(m.words.items())))
    intervals: list[Interval] = []
    events: list[ExpertEvent] = []
    n_pointless = n_outside = 0
    for rule in params.labels:
        spans = _spans(rule, marks)
        _check(rule, spans, source)
        inside = [
            (max(a, 0.0), min(b, duration_s), v) for a, b, v in spans if a < duration_s and b > 0
        ]
        n_outside += len(spans) - len(inside)
        if spans and not inside:
            raise CorpusError("bad_labels", f"{rule.name}: all of {source} lies outside the file")
        labels = {v: Label("interval", rule.name, v, source) for _, _, v in inside}
        intervals += _merged([Interval(a, b, labels[v]) for a, b, v in inside])
    for event in params.events:
        found, n_void = _events(event, marks, duration_s, source)
        events += found
        n_pointless += n_void
    counts = {
        "events_not_mapped": _n_unknown(marks, params),
        "events_outside": n_outside,
        "events_without_duration": n_pointless,
    }
    said = tuple(Label("file", name, str(n), source) for name, n in counts.items() if n)
    return RecordingLabels(labels=said, intervals=tuple(intervals), events=tuple(events))


def _n_unknown(marks: Sequence[Mark], params: TimedParams) -> int:
    """Count the marks no rule has a word for."""
    known: set[int] = set()
    for rule in params.labels:
        words = dict.fromkeys((*rule.values, *rule.ends), "")
        known |= {id(mark) for mark, _ in _matches(marks, rule.column, words)}
    for event in params.events:
        words = dict.fromkeys(event.words, "")
        known |= {id(mark) for mark, _ in _matches(marks, event.column, words)}
    return sum(id(mark) not in known for mark in marks)
