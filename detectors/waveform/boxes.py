"""Which channels of a labelled event are boxed: an event becomes one box per visible channel.

Used by the graph (``waveform_annotations``) and by the trainer, so both box alike. Events carry
their per-channel amplitude as measures ``p2p_uv:<channel>`` and, where the sign matters,
``sign:<channel>``; planted ones also ``k:<channel>``, their size as a multiple of that channel's own
background, which then decides what is seen instead of microvolts. An event without amplitudes (a
corpus' own annotation) is boxed on every channel it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from detectors.types import ExpertEvent
from detectors.vocabulary import WAVEFORMS

WaveformBox = tuple[str, str, float, float]
"""Detector class, channel, start and end in seconds."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """When a channel of an event is boxed; all values are engineering defaults.

    Parameters
    ----------
    min_p2p_uv
        Smallest peak-to-peak that is seen over ordinary background.
    min_share
        Smallest share of the event's largest peak-to-peak.
    min_kept_s
        A box cut by a segment's edge is kept if half of it, or this long a part, remains.
    is_one_sided
        Whether only channels of the leading channel's sign are boxed: an average reference shows
        every large event upside down at the far end of the head, where no reader marks it.
    """

    min_p2p_uv: float
    min_share: float
    min_kept_s: float
    is_one_sided: bool


VISIBILITY: Mapping[str, Visibility] = MappingProxyType(
    {
        "spike": Visibility(30.0, 0.40, 1.0, True),
        "sharp": Visibility(30.0, 0.40, 1.0, True),
        "spsw": Visibility(35.0, 0.40, 1.0, True),
        "spindle": Visibility(14.0, 0.55, 0.5, False),
        "kcomplex": Visibility(45.0, 0.45, 1.0, True),
        "blink": Visibility(35.0, 0.25, 1.0, True),
        "lateral_eye": Visibility(22.0, 0.28, 0.4, False),
        "muscle": Visibility(40.0, 0.30, 0.3, False),
    }
)
"""Visibility by kind; kinds not listed have no detector class."""

MIN_K = 1.0
"""Smallest size, in multiples of a channel's background in the event's band, that is seen on it
while its neighbours show the event better; engineering default."""

_CLASS_OF_KIND = {w.kind: name for name, w in WAVEFORMS.items() if w.kind != "lateral_eye"}


def waveform_boxes(
    event: ExpertEvent, min_p2p_uv: Mapping[str, float] | None = None
) -> list[WaveformBox]:
    """Return the boxes of one event.

    Parameters
    ----------
    event
        A labelled event, times within its segment (already clipped to it).
    min_p2p_uv
        Other smallest amplitudes by kind than :data:`VISIBILITY` has; without effect on events of
        known size ``k:<channel>``.

    Returns
    -------
    list of (waveform, channel, t0_s, t1_s)
        Empty where the kind has no detector class, too little of the event remains, or no channel
        is visible.
    """
    rule = VISIBILITY.get(event.kind)
    if rule is None or not _is_whole_enough(event, rule):
        return []
    floor_uv = (min_p2p_uv or {}).get(event.kind, rule.min_p2p_uv)
    measures = {m.name: m.value for m in event.measures}
    p2p = {c: measures[f"p2p_uv:{c}"] for c in event.channels if f"p2p_uv:{c}" in measures}
    sizes = {c: measures[f"k:{c}"] for c in event.channels if f"k:{c}" in measures}
    signs = {c: measures.get(f"sign:{c}", 1.0) for c in event.channels}
    if not p2p:
        seen = list(event.channels)
    else:
        leading = max(p2p, key=lambda c: p2p[c])
        threshold = max(0.0 if sizes else floor_uv, rule.min_share * p2p[leading])
        seen = [
            c
            for c, value in p2p.items()
            if value >= threshold
            and sizes.get(c, MIN_K) >= MIN_K
            and (signs[c] == signs[leading] or not rule.is_one_sided)
        ]
    return [(_class_of(event.kind, signs[c]), c, event.t0_s, event.t1_s) for c in seen]


def _is_whole_enough(event: ExpertEvent, rule: Visibility) -> bool:
    kept_s = event.t1_s - event.t0_s
    whole_s = next((m.value for m in event.measures if m.name == "duration_s"), kept_s)
    return kept_s >= 0.5 * whole_s or kept_s >= rule.min_kept_s


def _class_of(kind: str, sign: float) -> str:
    if kind == "lateral_eye":
        return "eyer+" if sign > 0 else "eyer-"
    return _CLASS_OF_KIND[kind]
