"""One clause as its readers look at it: items, their kinds and texts, place and numbers.

Also how a claim is made of a clause. What the readers look for is in ``energy``, ``sides`` and
``bands``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prompts.reading import cues
from prompts.reading.findings import Finding
from prompts.reading.measures import Measures, measures_of
from prompts.reading.records import Claim
from prompts.reading.scope import hedge_of
from prompts.reading.state import State
from prompts.reading.tokens import Item

ENERGY = frozenset(("energy", "energies", "tier", "tiers"))
_TOPICS = frozenset(("band_trend", "energy_tier", "highest_channel"))


@dataclass(slots=True)
class View:
    """A clause with what its readers ask of it again and again."""

    items: Sequence[Item]
    state: State
    kinds: set[str] = field(init=False)
    texts: set[str] = field(init=False)
    _found: Measures | None = field(init=False, default=None)
    bands: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.kinds = {kind for item in self.items for kind in item.m}
        self.texts = {item.t for item in self.items}
        self.bands = [item.m["B"] for item in self.items if "B" in item.m]

    @property
    def found(self) -> Measures:
        """Place, time and numbers, gathered when first asked for."""
        if self._found is None:
            self._found = measures_of(self.items)
        return self._found

    @property
    def span(self) -> str:
        """The clause as written."""
        return self.state.text[self.items[0].s : self.items[-1].e]

    def first(self, kind: str) -> Any:
        """Return the first meaning of a kind, or None."""
        return next((item.m[kind] for item in self.items if kind in item.m), None)

    def at(self, kind: str) -> int | None:
        """Return where the first item of a kind stands, or None."""
        return next((k for k, item in enumerate(self.items) if kind in item.m), None)

    def has(self, *kinds: str) -> bool:
        """Whether any item may mean one of the kinds."""
        return not self.kinds.isdisjoint(kinds)

    def says(self, *texts: str) -> bool:
        """Whether any of the words stands in the clause."""
        return not self.texts.isdisjoint(texts)

    def claim(self, kind: str, **fields: Any) -> None:
        """Claim something at the place and time of the clause."""
        state, found = self.state, self.found
        t0, t1 = found.times[0] if len(found.times) == 1 else (None, None)
        if t0 is None and kind == "band_trend" and not self.texts.isdisjoint(cues.SAME_TIME):
            t0, t1 = state.last_time
        if kind == "highest_channel" and found.channels:
            found.regions = []
        if t0 is not None:
            state.last_time = (t0, t1)
        is_topic = kind in _TOPICS or (kind == "asymmetry" and not state.topic)
        if is_topic and (found.has_place or t0 is not None) and not state.is_asking:
            state.topic = [placed_finding(found, t0, t1)]
        values: dict[str, Any] = {
            "channels": tuple(found.channels), "side": found.side, "region": found.region, "t0": t0,
            "t1": t1, "hedge": hedge_of(self.items), "span": self.span, **fields,
        }  # fmt: skip
        state.claim(Claim(kind, **values))

    def rank(self, band: str, value: Any, **fields: Any) -> None:
        """Claim a rank, a share or a pairwise comparison of band power; ranks have no place."""
        if self.found.has_place and not self.state.is_asking:
            self.state.topic = [placed_finding(self.found, None, None)]
        hedge = hedge_of(self.items)
        self.state.claim(
            Claim("band_power_rank", band=band, value=value, hedge=hedge, span=self.span, **fields)
        )


def placed_finding(found: Measures, t0: Any, t1: Any) -> Finding:
    """Return a finding that is only a place and time, for later clauses to refer to."""
    return Finding(
        "event", is_generic=True, is_claimed=False, is_asked=True, channels=list(found.channels),
        side=found.side, regions=list(found.regions), times=[(t0, t1)] if t0 is not None else [],
    )  # fmt: skip
