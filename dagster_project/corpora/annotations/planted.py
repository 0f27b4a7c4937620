"""Planted pages: background of open corpora, with events of known place, class and size in it.

Which segments may serve as background, which of them are drawn, and the rows of table
``planted_segments``. What is planted and how large is
:mod:`dagster_project.corpora.simulated.planting`; boxes are made in
:mod:`dagster_project.corpora.annotations.boxes` like all others. A planted page stays with its origin's
subject and split, and is never shown as EEG: no text and no finding is made from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dagster_project.corpora.identity import HASH_SHARES, SPLITS, fraction, short_hash
from dagster_project.corpora.segment_table import FULL_SCALE, STEP_UV
from dagster_project.corpora.simulated.ongoing import ongoing_page
from dagster_project.corpora.simulated.planting import PlantingSettings, plant_segments
from detectors._rule_common import Limit
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, ExpertEvent
from detectors.vocabulary import KINDS, WAVEFORMS

LIMITS: dict[str, Limit] = {
    "recorded_rows": Limit(16, "rows", "design.md 4: referential pages are judged from 16 rows"),
    "most_copies": Limit(4, "1", "engineering default: planted pages from one background"),
}
"""Constants of this module with their source marks."""

SIMULATED = "simulated"
SIMULATED_MAINS_HZ = 50.0
KEPT_FOR_TESTS = frozenset({"eegmat", "eegmmidb"})
"""Healthy rest that ``neurogloss bench detectors`` plants into: nobody may train on it."""
EPILEPSY = frozenset(
    {
        "chb-mit",
        "siena",
        "helsinki-neonatal",
        "hfo-ds003555",
        "tuep",
        "tusz",
        "tuev",
        "tuar",
        "tusl",
    }
)
"""Corpora of people with seizures: an unmarked discharge there is no background."""
_EPILEPTIC = frozenset(
    {("diagnosis", "epilepsy"), ("diagnosis", "nocturnal_frontal_lobe_epilepsy"),
     ("seizure", "present"), ("seizure", "unknown")}
)  # fmt: skip
CANDIDATES = frozenset(
    {w.kind for w in WAVEFORMS.values()}
    | {kind for kind, spec in KINDS.items() if spec.family in {"epileptiform", "sleep"}}
)
"""Kinds whose finding, hidden ones included, keeps a page from being background: what the detector
learns to find must not lie there unboxed, and nothing that looks like it either."""

UNREADABLE = "unreadable"
"""Stands among the kinds found on a page that the rules call not interpretable."""

ORIGIN_COLUMNS = (
    "segment_id", "recording_id", "corpus", "subject_id", "split", "channel_schema", "mask",
    "recorded_s", "clip_count", "labels", "events", "is_simulated",
)  # fmt: skip
"""Columns of table ``segments`` that say whether a segment may serve."""
SIGNAL_COLUMNS = (
    "segment_id", "mask", "signal", "band_low_hz", "band_high_hz", "line_freq_hz",
)  # fmt: skip
"""Columns a planted page is made from."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A segment that may serve as background; ``shard`` is empty where it is drawn, not stored."""

    segment_id: str
    shard: str
    corpus: str
    subject_id: str
    split: str
    licence: str
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class Draw:
    """One planted page to be made: its origin, which copy of it, and its id."""

    origin: Origin
    copy: int
    segment_id: str


def why_not_background(
    segment: Mapping[str, Any], is_gated: bool, kinds_found: Collection[str]
) -> str:
    """Return why a segment may not serve as background, ``""`` where it may.

    Parameters
    ----------
    segment
        Row of table ``segments`` with :data:`ORIGIN_COLUMNS`.
    is_gated
        Whether the corpus' licence keeps what is made from it inside.
    kinds_found
        Kinds that rules or detector found on it, hidden ones included, and :data:`UNREADABLE`.
    """
    said = {(label["name"], label["value"]) for label in segment["labels"]}
    reasons = {
        "gated corpus": is_gated,
        "kept for bench detectors": segment["corpus"] in KEPT_FOR_TESTS,
        "epilepsy corpus or patient": segment["corpus"] in EPILEPSY or bool(said & _EPILEPTIC),
        "not referential": segment["channel_schema"] != "referential19",
        "too few rows": sum(segment["mask"]) < LIMITS["recorded_rows"].value,
        "not recorded to its end": segment["recorded_s"] < SEGMENT_S - 1e-6,
        "clipped": segment["clip_count"] > 0,
        "labelled events in it": any(e["kind"] in CANDIDATES for e in segment["events"]),
        "not interpretable": UNREADABLE in kinds_found,
        "candidates found on it": bool(CANDIDATES & set(kinds_found)),
    }
    return next((why for why, holds in reasons.items() if holds), "")


def draw(origins: Sequence[Origin], n_pages: int, key: str) -> list[Draw]:
    """Choose which backgrounds are planted into, and how often.

    Every background once in a seeded order before any a second time, up to ``most_copies`` each, so
    that subjects come as often as they have backgrounds.

    Parameters
    ----------
    origins
        Segments that may serve.
    n_pages
        Most pages.
    key
        Release and seed: the same key and origins give the same pages.
    """
    copies = range(int(LIMITS["most_copies"].value))
    every = [(copy, fraction(f"{key}|{o.segment_id}"), o) for copy in copies for o in origins]
    chosen = sorted(every, key=lambda item: (item[0], item[1], item[2].segment_id))[:n_pages]
    return [Draw(o, copy, short_hash("p", f"{key}|{o.segment_id}|{copy}")) for copy, _, o in chosen]


def ongoing_draws(n_pages: int, key: str, licence: str) -> list[Draw]:
    """Return pages whose background is drawn anew, each of another simulated person.

    Parameters
    ----------
    n_pages, key
        How many, and release and seed.
    licence
        Of what the simulator makes.
    """
    draws = []
    for i in range(n_pages):
        name = f"{key}|ongoing|{i}"
        split = SPLITS[sum(fraction(f"split|{name}") >= share for share in HASH_SHARES)]
        subject = short_hash("s", name)
        origin = Origin("", "", SIMULATED, subject, split, licence, is_simulated=True)
        draws.append(Draw(origin, 0, short_hash("p", name)))
    return draws


def ongoing_pages(
    draws: Sequence[Draw], settings: PlantingSettings, key: str
) -> tuple[pa.Table, dict[str, tuple[ExpertEvent, ...]]]:
    """Make the pages of :func:`ongoing_draws`; returns what :func:`planted_pages` does."""
    rows = [_ongoing_row(one, key) for one in draws]
    return _pages(draws, rows, settings, key)


def _ongoing_row(one: Draw, key: str) -> dict[str, Any]:
    page = ongoing_page(np.random.default_rng(_seed(one, f"{key}|ongoing")))
    return {
        "mask": [True] * len(CANONICAL19),
        "signal": page.data_uv / STEP_UV,
        "band_low_hz": page.band_hz[0],
        "band_high_hz": page.band_hz[1],
        "line_freq_hz": SIMULATED_MAINS_HZ,
        "reference": page.reference,
    }


def _seed(one: Draw, key: str) -> list[int]:
    return [int(fraction(f"{key}|{one.segment_id}") * 2**53), one.copy]


def planted_pages(
    draws: Sequence[Draw],
    signals: Mapping[str, Mapping[str, Any]],
    settings: PlantingSettings,
    key: str,
) -> tuple[pa.Table, dict[str, tuple[ExpertEvent, ...]]]:
    """Make some planted pages.

    Parameters
    ----------
    draws
        Which; a page does not depend on the others.
    signals
        Rows of table ``segments`` with :data:`SIGNAL_COLUMNS` by segment id.
    settings
        What is planted.
    key
        As for :func:`draw`.

    Returns
    -------
    rows : pyarrow.Table
        Of table ``planted_segments``.
    events : dict
        Planted events by the id of the planted page.
    """
    return _pages(draws, [signals[one.origin.segment_id] for one in draws], settings, key)


def _pages(
    draws: Sequence[Draw],
    rows: Sequence[Mapping[str, Any]],
    settings: PlantingSettings,
    key: str,
) -> tuple[pa.Table, dict[str, tuple[ExpertEvent, ...]]]:
    n = len(draws)
    steps = np.empty((n, len(CANONICAL19), N_TIMES), dtype=np.int16)
    masks = np.empty((n, len(CANONICAL19)), dtype=bool)
    events: dict[str, tuple[ExpertEvent, ...]] = {}
    for i, (one, row) in enumerate(zip(draws, rows, strict=True)):
        masks[i] = row["mask"]
        data = np.asarray(row["signal"], dtype=np.float32).reshape(len(CANONICAL19), N_TIMES)
        band = np.array([[row["band_low_hz"], row["band_high_hz"]]], dtype=np.float32)
        planted, found = plant_segments(
            data[None] * np.float32(STEP_UV),
            masks[i : i + 1],
            band,
            np.random.default_rng(_seed(one, f"{key}|plant")),
            settings,
            [row["reference"]] if "reference" in row else None,
        )
        steps[i] = np.clip(np.rint(planted[0] / STEP_UV), -FULL_SCALE, FULL_SCALE)
        events[one.segment_id] = tuple(found[0])
    return _table(draws, rows, steps, masks, events), events


def _table(
    draws: Sequence[Draw],
    rows: Sequence[Mapping[str, Any]],
    steps: NDArray[np.int16],
    masks: NDArray[np.bool_],
    events: Mapping[str, tuple[ExpertEvent, ...]],
) -> pa.Table:
    columns: dict[str, Any] = {
        "segment_id": [one.segment_id for one in draws],
        "corpus": [one.origin.corpus for one in draws],
        "subject_id": [one.origin.subject_id for one in draws],
        "split": [one.origin.split for one in draws],
        "channel_schema": ["referential19"] * len(draws),
        "ch_names": [list(CANONICAL19)] * len(draws),
        "mask": _lists(masks),
        "signal": _lists(steps),
        "recorded_s": [float(SEGMENT_S)] * len(draws),
        **{name: [row[name] for row in rows]
           for name in ("band_low_hz", "band_high_hz", "line_freq_hz")},
        "is_simulated": [one.origin.is_simulated for one in draws],
        "origin_segment_id": [one.origin.segment_id for one in draws],
        "n_planted": [len(events[one.segment_id]) for one in draws],
        "licence": [one.origin.licence for one in draws],
    }  # fmt: skip
    return pa.table(columns)


def _lists(values: NDArray[Any]) -> pa.ListArray:
    """Equal-length lists without Python objects for their values."""
    size = values[0].size if len(values) else 0
    offsets = np.arange(len(values) + 1, dtype=np.int32) * size
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)))


def shares(origins: Iterable[Origin]) -> dict[str, int]:
    """Count backgrounds by corpus and split."""
    found = Counter(f"{o.corpus}/{o.split}" for o in origins)
    return dict(sorted(found.items()))
