"""Place, time and numbers of a row of items (rules 21-26 of the claim-extraction set).

What they belong to is decided by the readers of events and bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prompts.reading import cues
from prompts.reading.findings import Finding, Time, interval
from prompts.reading.places import place_of
from prompts.reading.records import Number, Value
from prompts.reading.tokens import Item

PAGE_S = 10
_TIMES = {"once": 1, "twice": 2}
_LAST = ("last", "final", "closing", "latter")
_FIRST = ("first", "initial", "opening")
_ONWARDS = ("on", "onwards", "onward")
MAX_HZ = 100
"""A higher number of Hz is a sampling rate or a filter (high gamma ends there)."""
WIDEST_HZ = 40
"""A wider range is what a page can show and no rhythm."""


_SOLE_DURATION_BELOW_S = 1.5
"""A bare "0.6 s" beside a spindle is how long it lasts; engineering default."""


@dataclass(slots=True)
class Measures:
    """All places, times and numbers of a row of items."""

    channels: list[str] = field(default_factory=list)
    side: str | None = None
    regions: list[str] = field(default_factory=list)
    times: list[Time] = field(default_factory=list)
    single_times: list[Time] = field(default_factory=list)
    durations: list[Value] = field(default_factory=list)
    frequencies: list[Value] = field(default_factory=list)
    amplitudes: list[Value] = field(default_factory=list)
    percents: list[Value] = field(default_factory=list)
    counts: list[Value] = field(default_factory=list)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was measured or placed."""
        sizes = self.durations or self.frequencies or self.amplitudes or self.percents
        return not (self.has_place or self.has_time or sizes or self.counts)

    @property
    def has_place(self) -> bool:
        """Whether any place was named."""
        return bool(self.channels or self.side or self.regions)

    @property
    def has_time(self) -> bool:
        """Whether any time was given."""
        return bool(self.times or self.single_times)

    @property
    def region(self) -> str | tuple[str, ...] | None:
        """The regions as a claim holds them."""
        regions = tuple(self.regions)
        return None if not regions else regions[0] if len(regions) == 1 else regions

    def give(self, finding: Finding) -> None:
        """Add everything to a finding."""
        finding.add_place(self.channels, self.side, self.regions)
        finding.times += [t for t in self.times if t not in finding.times]
        finding.single_times += self.single_times
        finding.frequencies += [f for f in self.frequencies if f not in finding.frequencies]
        finding.amplitudes += [a for a in self.amplitudes if a not in finding.amplitudes]
        finding.durations += [d for d in self.durations if d not in finding.durations]
        if self.percents and finding.type != "rhythm":
            finding.percent = self.percents[0]
        if self.counts:
            finding.count = self.counts[0]
        finding.spans.update(self.spans)


def measures_of(
    items: Sequence[Item], *, is_transient: bool = False, has_names: bool = True
) -> Measures:
    """Return everything measured and placed in a row of items.

    Parameters
    ----------
    items
        A clause or a part of one.
    is_transient
        Whether a bare "3.3 s" is a moment of a transient rather than how long something lasts.
    has_names
        Whether the region in a name ("posterior rhythm") counts as place.
    """
    place = place_of(items, has_names=has_names)
    found = Measures(place.channels, place.side, place.regions)
    bare: list[Time] = []
    for i, item in enumerate(items):
        m = item.m
        if "Q" in m:
            n_times = len(found.times)
            _quantity(items, i, found, is_transient)
            if (
                len(found.times) == n_times + 1
                and _is_unprefixed(items, i)
                and found.times[-1][1] is None
            ):
                bare.append(found.times[-1])
        elif "N" in m:
            _number(items, i, found)
        elif "through" in m:
            _time(found, (0, PAGE_S))
        elif item.t in _TIMES and not any(i.t == "as" for i in items[i + 1 : i + 2]):
            found.counts.append(_TIMES[item.t])
        elif "ord" in m or item.t in _LAST:
            _part_of_page(items, i, found)
    if (
        bare
        and len(bare) < len(found.times)
        and all(t0 < 2 * _SOLE_DURATION_BELOW_S for t0, _ in bare)
    ):
        found.times = [t for t in found.times if t not in bare]
        found.durations += [t0 for t0, _ in bare]
    return found


def _quantity(items: Sequence[Item], i: int, found: Measures, is_transient: bool) -> None:
    item = items[i]
    before = items[i - 1] if i else None
    unit, numbers, is_range, edge = item.m["Q"]
    start = before.s if before is not None and not before.m else item.s
    found.spans.setdefault(unit, (start, item.e))
    if unit == "s":
        _seconds(items, i, found, is_transient)
        return
    if unit == "Hz" and (numbers[0] > MAX_HZ or (is_range and numbers[1] - numbers[0] > WIDEST_HZ)):
        return
    if before is not None and before.t == "nothing" and edge == "lo":
        edge = "hi"
    values = [interval(numbers, is_range, edge)] if is_range or edge else list(numbers)
    if unit == "Hz":
        found.frequencies += values
    elif unit == "uV":
        found.amplitudes += values
    else:
        found.percents += values


def _number(items: Sequence[Item], i: int, found: Measures) -> None:
    """Read a bare number: "from second 5 on", "two spindles", "x3"."""
    before = items[i - 1].t if i else ""
    after = items[i + 1].t if i + 1 < len(items) else ""
    if before in ("second", "seconds") and after in _ONWARDS:
        _time(found, (items[i].m["N"], PAGE_S))
    elif before in ("x", "\N{MULTIPLICATION SIGN}"):
        found.counts.append(items[i].m["N"])
    elif _counts(items, i):
        found.counts.append(_count_value(items[i]))


def _is_unprefixed(items: Sequence[Item], i: int) -> bool:
    """Whether "0.4 s" stands alone in a list or brackets, so that it may be a duration."""
    before = items[i - 1] if i else None
    return (
        before is None
        or "sep" in before.m
        or "Q" in before.m
        or "C" in before.m
        or before.t in (",", "(")
    )


def _count_value(item: Item) -> Value:
    edge, pair = item.m.get("edge_of", ""), item.m.get("range")
    if pair:
        return interval(pair, True, "")
    return interval((item.m["N"],), False, edge)


def _counts(items: Sequence[Item], i: int) -> bool:
    """Whether a bare number counts the finding: "two spindles", "four at C3", "3 x"."""
    for item in items[i + 1 : i + 6]:
        m = item.m
        if "L" in m:
            return m["L"][1] is not None or m["L"][2] not in (None, "slowing")
        if "C" in m or "Q" in m or "B" in m or item.t in (".", ",", "("):
            break
        if "unit" in m or "tech" in m or item.t in cues.OTHER_COUNTS:
            return False
    after = items[i + 1].t if i + 1 < len(items) else ""
    before = items[i - 1].t if i else ""
    if before in cues.NOT_COUNTED or (
        items[i].t == "one" and i and after in (",", "", "and", "is")
    ):
        return False
    if after in cues.AFTER_COUNT or (
        i + 1 < len(items) and ("C" in items[i + 1].m or "G" in items[i + 1].m)
    ):
        return before != "page" and (after not in ("in", "is") or items[i].t != "one")
    return False


def _seconds(items: Sequence[Item], i: int, found: Measures, is_transient: bool) -> None:
    """Read seconds as a rate, a duration, an interval of the page or moments."""
    item = items[i]
    _, numbers, is_range, edge = item.m["Q"]
    before = [b.t for b in items[max(0, i - 4) : i]]
    word = next((t for t in reversed(before) if t not in cues.BEFORE_SECONDS), "")
    after = items[i + 1].t if i + 1 < len(items) else ""
    if word == "every" or "intervals" in before or "interval" in before:
        found.frequencies.append(round(1.0 / float(numbers[0] or 1), 3))
        found.spans["Hz"] = (item.s, item.e)
    elif _is_duration(items, i, word, after, is_transient):
        found.durations.append(interval(numbers, is_range, edge))
    elif word in _LAST:
        _time(found, (_less(PAGE_S, numbers[0]), PAGE_S))
    elif word in _FIRST:
        _time(found, (0, numbers[0]))
    elif is_range:
        _time(found, (numbers[0], numbers[1]))
    elif _ends_interval(items, i, before, word, found):
        _time(found, (found.times.pop()[0] if found.times else 0, numbers[0]))
    elif word in cues.UNTIL or edge == "hi":
        _time(found, (0, numbers[0]))
    elif edge == "lo" or word in ("after", "since", "past") or _goes_on(items, i, after):
        _time(found, (numbers[0], PAGE_S))
    else:
        _moments(before, numbers, found)


def _moments(before: list[str], numbers: tuple[Number, ...], found: Measures) -> None:
    """Add moments; "the second one at 3 s" is one of several and no time of all."""
    if "at" in before and not cues.ONE_OF_THEM.isdisjoint(before):
        found.single_times += [(number, None) for number in numbers]
        return
    for number in numbers:
        _time(found, (number, None))


def _ends_interval(
    items: Sequence[Item], i: int, before: list[str], word: str, found: Measures
) -> bool:
    """Whether a time is the end of the interval begun before ("begins at 2 s and ends at 5 s")."""
    if "ending" in before or "ends" in before[-2:] or "stops" in before[-2:]:
        return True
    if not found.times or found.times[-1][1] not in (None, PAGE_S):
        return False
    if word in ("to", "until", "till", "through"):
        return True
    is_between = word == "and" and any(b.t == "between" for b in items[max(0, i - 6) : i])
    return is_between and found.times[-1][1] is None


def _goes_on(items: Sequence[Item], i: int, after: str) -> bool:
    """Whether "from 4 s on" runs to the end of the page."""
    if after not in (*_ONWARDS, "to"):
        return False
    return i + 2 >= len(items) or "Q" not in items[i + 2].m


def _less(whole: Number, part: Number) -> Number:
    left = round(whole - part, 6)
    return int(left) if left == int(left) else left


def _time(found: Measures, time: Time) -> None:
    if time not in found.times:
        found.times.append(time)


def _is_duration(items: Sequence[Item], i: int, word: str, after: str, is_transient: bool) -> bool:
    item = items[i]
    _, numbers, is_range, _ = item.m["Q"]
    if item.m.get("ms"):
        return True
    if word in cues.LASTING or after in cues.IN_LENGTH:
        return True
    if i and ("dur" in items[i - 1].m) and items[i - 1].t != "last":
        return True
    if items[i - 1].t == "of" and i >= 2 and not is_range and items[i - 2].t not in ("page", "out"):
        return True
    nxt = items[i + 1] if i + 1 < len(items) else None
    if (
        nxt is not None
        and (nxt.glued or "G" in nxt.m or ("L" in nxt.m and i and items[i - 1].t in ("a", "one")))
        and word in cues.ARTICLES
    ):
        return True
    prep = items[i - 1].t if i else ""
    is_bare = (
        not is_range
        and len(numbers) == 1
        and (prep in (",", "", "(") or "Q" in items[i - 1].m or "C" in items[i - 1].m)
        and (
            after in cues.AFTER_BARE or (nxt is not None and "Q" in nxt.m and nxt.m["Q"][0] != "s")
        )
    )
    return is_bare and not is_transient and numbers[0] < _SOLE_DURATION_BELOW_S


def _part_of_page(items: Sequence[Item], i: int, found: Measures) -> None:
    """Read "first half", "last second", "from the fifth second onwards"."""
    after = items[i + 1] if i + 1 < len(items) else None
    if after is None:
        return
    number = items[i].m.get("ord", 0)
    if after.t == "half":
        _time(found, (0, 5) if number == 1 else (5, PAGE_S))
    elif after.t in ("second", "sec", "s"):
        onwards = items[i + 2].t if i + 2 < len(items) else ""
        if items[i].t in ("last", "final", "closing"):
            _time(found, (PAGE_S - 1, PAGE_S))
        elif number and onwards in ("on", "onwards", "onward"):
            _time(found, (number, PAGE_S))
        elif number:
            _time(found, (number - 1, number))
