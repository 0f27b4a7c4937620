"""A finding while it is being read: what later clauses still add to it, and the claims it becomes.

"A spike at C3. It reaches 90 µV." is one finding told in two sentences. The rules by which a
finding becomes claims (1-5, 10, 11, 15, 22-26 of the claim-extraction set) are here; who fills
findings is in ``events`` and ``clauses``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prompts.reading import cues
from prompts.reading.records import Interval, Number, Value

Time = tuple[Number, Number | None]
EDGES_HZ = (
    ("delta", 0.0, 4.0),
    ("theta", 4.0, 8.0),
    ("alpha", 8.0, 13.0),
    ("beta", 13.0, 30.0),
    ("gamma", 30.0, 1e9),
)
POSTERIOR_HZ = (6.0, 13.5)
POSTERIOR_PLACES = frozenset(("posterior", "occipital", "parietal"))
SLOW_LABELS = ("focal_slowing", "generalised_slowing")
SLOW_KINDS = ("slow_wave", *SLOW_LABELS)
BANDED = frozenset((*SLOW_LABELS, "posterior_rhythm", "beta_excess", "slow_wave"))
"""Labels whose claims carry a band (rule 26: transients carry none, except slow waves)."""


@dataclass(slots=True)
class Finding:
    """Something seen or denied, with all that was said of it so far."""

    type: str
    label: str | None = None
    word: str | None = None
    band: str | None = None
    is_band_named: bool = False
    channels: list[str] = field(default_factory=list)
    side: str | None = None
    regions: list[str] = field(default_factory=list)
    times: list[Time] = field(default_factory=list)
    single_times: list[Time] = field(default_factory=list)
    count: Value = None
    frequencies: list[Value] = field(default_factory=list)
    amplitudes: list[Value] = field(default_factory=list)
    durations: list[Value] = field(default_factory=list)
    percent: Value = None
    is_absent: bool = False
    hedge: str = "none"
    is_claimed: bool = True
    is_generic: bool = False
    is_asked: bool = False
    is_rhythmic: bool = False
    is_in_sleep: bool = False
    is_place_open: bool = False
    said_regions: list[str] = field(default_factory=list)
    span: tuple[int, int] = (0, 0)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    order: int = 0

    @property
    def is_measured(self) -> bool:
        """Whether any number was given of it."""
        sizes = self.frequencies or self.amplitudes or self.durations
        return bool(sizes) or self.percent is not None

    def namesake(self) -> Finding:
        """Return a finding of the same kind, without place, time or numbers."""
        return Finding(self.type, self.label, self.word, self.band, self.is_band_named)

    @property
    def has_place(self) -> bool:
        """Whether any place was said."""
        return bool(self.channels or self.side or self.regions)

    def copy_place(self, other: Finding, *, is_same: bool = False) -> None:
        """Take place and time of another finding where this one has none; all of it if the same."""
        if is_same or not self.has_place:
            self.channels = self.channels or list(other.channels)
            self.side = self.side or other.side
            self.regions = [*other.regions, *(r for r in self.regions if r not in other.regions)]
        if not self.times and len(other.times) == 1:
            self.times = list(other.times)

    def add_place(self, channels: list[str], side: str | None, regions: list[str]) -> None:
        """Add channels, side and regions to what is there."""
        self.channels += [c for c in channels if c not in self.channels]
        self.side = side or self.side
        self.regions += [r for r in regions if r not in self.regions]


def band_of(value: Value) -> str | None:
    """Return the band a frequency or a range lies in, None where it crosses an edge."""
    if isinstance(value, tuple):
        low, high = value
        if low is None or high is None or low == 0:
            return None
        first, last = band_of(low), band_of(high)
        return first if first == last else None
    if not isinstance(value, (int, float)):
        return None
    for band, _, high in EDGES_HZ:
        if value < high or (band in ("alpha", "beta") and value == high):
            return band
    return None


def settle(finding: Finding) -> None:
    """Give a rhythm the label its band, frequency and place make it (rules 10 and 11)."""
    if finding.label == "posterior_rhythm":
        _settle_posterior(finding)
    if finding.type == "rhythm":
        if finding.band is None and finding.frequencies:
            bands = {band_of(f) for f in finding.frequencies}
            finding.band = bands.pop() if len(bands) == 1 else None
        if finding.label is None and finding.word != "mu":
            _label_rhythm(finding)
    elif finding.label in SLOW_KINDS and finding.band is None and finding.frequencies:
        finding.band = band_of(finding.frequencies[0])
    if finding.label == "generalised_slowing" and "generalised" not in finding.regions:
        finding.regions.insert(0, "generalised")
    if finding.word == "mu":
        finding.band, finding.word = "alpha", None
        if "central" not in finding.regions:
            finding.regions.append("central")
    if finding.word == "slowing":
        _label_slowing(finding)


def _settle_posterior(finding: Finding) -> None:
    """Keep the place that was said over the one in the name; elsewhere it is just a rhythm."""
    if finding.is_place_open and finding.has_place and not _is_back(finding):
        finding.label = None
    elif finding.said_regions and not set(finding.regions) <= set(finding.said_regions):
        finding.regions = [r for r in finding.regions if r not in finding.said_regions]


def _label_rhythm(finding: Finding) -> None:
    regions, channels = set(finding.regions), finding.channels
    is_general = "generalised" in regions
    if _is_posterior(finding) and not is_general:
        finding.label = "posterior_rhythm"
    elif finding.is_in_sleep and finding.band == "delta":
        finding.type, finding.label = "event", "slow_wave"
    elif finding.is_rhythmic or is_general or finding.is_absent:
        return
    elif (
        finding.band == "delta"
        and finding.is_band_named
        and finding.has_place
        and finding.side != "bilateral"
    ) or (
        finding.band == "theta" and finding.is_band_named and _is_one_sided(finding.side, channels)
    ):
        finding.type, finding.label = "event", "focal_slowing"


def _is_back(finding: Finding) -> bool:
    """Whether a "dominant rhythm" is where the posterior one is."""
    return bool(
        set(finding.regions) & POSTERIOR_PLACES or cues.BACK_CHANNELS & set(finding.channels)
    )


def _is_posterior(finding: Finding) -> bool:
    places, channels = set(finding.regions), finding.channels
    is_there = bool(places) and places <= POSTERIOR_PLACES and places != {"parietal"}
    is_there = is_there or (not places and bool({"O1", "O2"} & set(channels)))
    if not is_there:
        return False
    numbers = [
        n
        for f in finding.frequencies
        for n in (f if isinstance(f, tuple) else (f,))
        if isinstance(n, (int, float))
    ]
    if finding.is_band_named and finding.band != "alpha":
        return False
    if numbers:
        return all(POSTERIOR_HZ[0] <= n <= POSTERIOR_HZ[1] for n in numbers)
    return finding.band == "alpha"


def _is_one_sided(side: str | None, channels: list[str]) -> bool:
    if side in ("left", "right"):
        return True
    if side or not channels or any(c.endswith("z") for c in channels):
        return False
    return len({int(c[-1]) % 2 for c in channels}) == 1


def _label_slowing(finding: Finding) -> None:
    if finding.is_absent:
        return
    if "generalised" in finding.regions or (
        finding.side == "bilateral" and not finding.regions and not finding.channels
    ):
        finding.label, finding.word = "generalised_slowing", None
        if "generalised" not in finding.regions:
            finding.regions.append("generalised")
    elif finding.has_place:
        finding.label, finding.word = "focal_slowing", None
    else:
        return
    if finding.band is None and finding.frequencies:
        finding.band = band_of(finding.frequencies[0])


def interval(numbers: tuple[Number, ...], is_range: bool, edge: str) -> Value:
    """Return the value of a quantity: a number, a range, or a range with an open end."""
    if is_range and len(numbers) == 2:
        pair: Interval = (numbers[0], numbers[1])
        return pair
    if edge == "hi":
        return (0, numbers[0])
    if edge == "lo":
        return (numbers[0], None)
    return numbers[0]
