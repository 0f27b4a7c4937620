"""The values that pass between rooms: channel schemas, segment batches, findings, judgements.

Here live only frozen containers and the constants of a segment. How a finding is made is in the
rule modules beside this one; how these values are stored is in ``dagster_project.tables``.

Conventions used everywhere: signals in microvolts with their true sign (negative-up is the
renderer's business), time in seconds from segment start, intervals half-open ``[t0_s, t1_s)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SFREQ_HZ = 200
SEGMENT_S = 10
N_TIMES = SFREQ_HZ * SEGMENT_S

CANONICAL19 = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8",
    "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
)  # fmt: skip
"""The 19 electrodes of the 10-20 system in storage order, modern names (``clinical.md`` 11.1)."""

Verdict = Literal["present", "absent", "not_judged"]
Family = Literal["background", "artifact", "sleep", "epileptiform"]
Side = Literal["left", "right", "midline", "bilateral"]


@dataclass(frozen=True, slots=True)
class ChannelSchema:
    """What the rows of a segment are.

    Parameters
    ----------
    name
        ``"referential19"`` or ``"bipolar:<A-B,...>"``. A corpus recorded bipolar is never squeezed
        into 19 referential channels.
    ch_names
        Row names in order.
    """

    name: str
    ch_names: tuple[str, ...]

    @property
    def is_referential(self) -> bool:
        """Whether rows are single electrodes against one reference."""
        return self.name == "referential19"

    @classmethod
    def parse(cls, name: str) -> ChannelSchema:
        """Build a schema from its stored name.

        Raises
        ------
        ValueError
            If the name is neither ``referential19`` nor ``bipolar:`` with at least one derivation.
        """
        if name == "referential19":
            return REFERENTIAL19
        prefix, _, rows = name.partition(":")
        if prefix == "bipolar" and rows:
            return cls(name, tuple(rows.split(",")))
        raise ValueError(
            f"channel schema {name!r} is not known; use 'referential19' or 'bipolar:A-B,C-D'"
        )

    @classmethod
    def bipolar(cls, ch_names: tuple[str, ...]) -> ChannelSchema:
        """Build the schema of a bipolar recording from its derivation names."""
        return cls("bipolar:" + ",".join(ch_names), ch_names)


REFERENTIAL19 = ChannelSchema("referential19", CANONICAL19)


def why_short(recorded_s: float) -> str:
    """Say why a segment cannot be judged, ``""`` where all of it was recorded."""
    if recorded_s > SEGMENT_S - 1e-6:
        return ""
    return f"only {recorded_s:.1f} of {SEGMENT_S} s were recorded"


@dataclass(frozen=True, slots=True)
class SegmentBatch:
    """Segments that share one channel schema, as the vectorised rules take them.

    Parameters
    ----------
    segment_ids
        One id per segment.
    data_uv
        float32, shape (n_segments, n_channels, N_TIMES), in microvolts; rows of missing channels
        are zero.
    mask
        bool, shape (n_segments, n_channels); True where the channel was recorded.
    schema
        The rows' meaning.
    band_hz
        float32, shape (n_segments, 2): usable band of the stored signal (high-pass, low-pass). A
        measure above the low-pass is void.
    line_freq_hz
        Mains frequency of the recording site, 50 or 60.
    recorded_s
        float32, shape (n_segments,): seconds from the start that were recorded, the rest is zero;
        None where every segment is whole. A segment that is not whole is judged on nothing.
    """

    segment_ids: tuple[str, ...]
    data_uv: NDArray[np.float32]
    mask: NDArray[np.bool_]
    schema: ChannelSchema
    band_hz: NDArray[np.float32]
    line_freq_hz: float
    recorded_s: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n_segments, n_channels = len(self.segment_ids), len(self.schema.ch_names)
        expected = (n_segments, n_channels, N_TIMES)
        if self.data_uv.shape != expected:
            raise ValueError(f"data_uv has shape {self.data_uv.shape}; expected {expected}")
        if self.mask.shape != expected[:2]:
            raise ValueError(f"mask has shape {self.mask.shape}; expected {expected[:2]}")
        if self.band_hz.shape != (n_segments, 2):
            raise ValueError(f"band_hz has shape {self.band_hz.shape}; expected {(n_segments, 2)}")
        if self.recorded_s is not None and self.recorded_s.shape != (n_segments,):
            raise ValueError(
                f"recorded_s has shape {self.recorded_s.shape}; expected {(n_segments,)}"
            )

    def __len__(self) -> int:
        return len(self.segment_ids)

    @property
    def why_short(self) -> tuple[str, ...]:
        """Per segment, why nothing can be judged on it, ``""`` where it is whole."""
        if self.recorded_s is None:
            return ("",) * len(self)
        return tuple(why_short(s) for s in self.recorded_s.tolist())

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """Which segments were recorded to their end, shape (n_segments,)."""
        return np.array([not reason for reason in self.why_short], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measured value with its unit (``"Hz"``, ``"uV"``, ``"s"``, ``"uV2"``, ``"dB"``, ``"1"``)."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something seen on a segment, with the numbers that make it checkable.

    Parameters
    ----------
    segment_id
        The segment.
    kind
        A key of :data:`detectors.vocabulary.KINDS`.
    channels
        Rows it was seen on, largest first where an order is meaningful; empty for whole-page facts.
    t0_s, t1_s
        Half-open interval within the segment.
    measures
        What was measured.
    confidence
        Calibrated probability for detectors, rule margin mapped to [0, 1] for rules.
    source
        ``"rule:<name>@<version>"`` or ``"detector:<weights id>"``.
    side, region
        Derived from electrode names only; ``""`` where the kind has none.
    masked_by
        Id of the stronger finding that hides this one, else ``""``.
    mask_reason
        Why it was masked or pruned, one closed phrase.
    """

    segment_id: str
    kind: str
    channels: tuple[str, ...]
    t0_s: float
    t1_s: float
    measures: tuple[Measure, ...] = ()
    confidence: float = 1.0
    source: str = ""
    side: str = ""
    region: str = ""
    masked_by: str = ""
    mask_reason: str = ""

    @property
    def finding_id(self) -> str:
        """Stable id: a hash of everything that says what and where, not of the mask."""
        key = (
            f"{self.segment_id}|{self.kind}|{','.join(self.channels)}"
            f"|{self.t0_s:.3f}|{self.t1_s:.3f}|{self.source}"
        )
        return "f-" + hashlib.sha256(key.encode()).hexdigest()[:16]

    def measure(self, name: str) -> float | None:
        """Return the value of one measure, or None where it was not taken."""
        return next((m.value for m in self.measures if m.name == name), None)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a kind was found on a segment, judged absent, or could not be judged, and why.

    A sentence such as "no spindles seen" points at a judgement, so absence has evidence too.
    """

    segment_id: str
    kind: str
    verdict: Verdict
    reason: str = ""
    finding_ids: tuple[str, ...] = ()

    @property
    def judgement_id(self) -> str:
        """Stable id, one per segment and kind."""
        key = f"{self.segment_id}|{self.kind}"
        return "j-" + hashlib.sha256(key.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule, or a chain of rules, says about a batch."""

    findings: tuple[Finding, ...] = ()
    judgements: tuple[Judgement, ...] = ()

    def __add__(self, other: RuleResult) -> RuleResult:
        return RuleResult(self.findings + other.findings, self.judgements + other.judgements)

    @classmethod
    def joined(cls, parts: Iterable[RuleResult]) -> RuleResult:
        """Join many results in order, in linear time."""
        findings: list[Finding] = []
        judgements: list[Judgement] = []
        for part in parts:
            findings.extend(part.findings)
            judgements.extend(part.judgements)
        return cls(tuple(findings), tuple(judgements))


@dataclass(frozen=True, slots=True)
class WaveformEvent:
    """One box of the waveform detector: one channel high, ``[t0_s, t1_s)`` wide.

    ``waveform`` is a key of :data:`detectors.vocabulary.WAVEFORMS`.
    """

    segment_id: str
    waveform: str
    channel: str
    t0_s: float
    t1_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class ExpertEvent:
    """A labelled event inside a segment: a corpus' own annotation or the simulator's truth."""

    kind: str
    channels: tuple[str, ...]
    t0_s: float
    t1_s: float
    source: str
    measures: tuple[Measure, ...] = field(default=())
