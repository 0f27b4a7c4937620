"""What is known about one page, gathered from table rows: the only thing text is written from.

Here lives the join of segments, findings, judgements and features into one frozen value, and the
ids that sentences point at. How a finding is made is in ``detectors``; how facts become words is
in ``captions``, ``questions``, ``narratives`` and ``dialogues``; whether words agree with facts is
in ``grounding``.

Evidence ids are finding ids (``f-...``), judgement ids (``j-...``) and, for a fact that is a column
of a segment or feature row, ``s-<segment_id>:<column>``: the row of that segment, that column.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detectors.types import SEGMENT_S, ChannelSchema
from detectors.vocabulary import BAND_SCHEMES, KINDS
from prompts.facts.findings import FindingFact, JudgementFact

if TYPE_CHECKING:
    import polars as pl

Row = Mapping[str, Any]
CorpusLabel = tuple[str, str, str, str]
"""Scope, name, value, source."""

TECHNICAL_FAULTS = frozenset({"flat", "saturation", "electrode_pop"})
"""A row with one of these for half the page or more is not a good channel for mean powers."""

QUOTABLE_SCOPES = frozenset({"recording", "segment", "interval", "epoch"})
"""Scopes of labels that speak of the person or the signal."""
_ONE_VOICE = frozenset({"recording", "segment"})
"""Scopes in which a name has one value, unless several sources, such as experts, each give theirs."""

BAD_ROW_SHARE = 0.5
"""Share of the page from which a technical fault spoils a row's mean power; engineering default."""

EVIDENCE_COLUMNS = frozenset({
    "mask", "channel_schema", "band_high_hz", "stage_context", "labels", "start_s",
    "void_bands", "dominant_hz", "dominant_band", "dominant_band_raw", "energy_uv2", "tier",
    "highest_channel",
    *(f"{scheme}_{band}_uv2" for scheme, bands in BAND_SCHEMES.items() for band in bands),
})  # fmt: skip
"""Columns an ``s-...`` id may name."""


class FactsError(ValueError):
    """Rows that do not fit together; reading them again gives the same rows."""

    is_retryable = False


@dataclass(frozen=True, slots=True)
class PageFacts:
    """Everything text about one segment may rest on.

    Parameters
    ----------
    segment_id, recording_id, corpus, subject_id, split, start_s
        Where the page comes from; none of it is ever written into text.
    schema
        What the rows are.
    recorded, missing
        Row names with and without a signal.
    band_hz
        Usable band of the stored signal (low, high), Hz.
    findings, masked
        What may be said, and what a stronger finding hides.
    judgements
        One per judged kind.
    powers_uv2
        ``[scheme][band]``: mean over good rows, uV^2; void bands are left out.
    n_power_rows
        Good rows behind those means.
    void_bands
        ``[scheme]``: bands above the usable band. They are never mentioned.
    dominant_band, dominant_band_raw
        Clinical band with the largest 1/f-corrected and raw power; ``""``: none.
    tiers, energy_uv2, highest_channel
        Spatial energy (average reference); empty where not judged.
    spatial_reason
        Why it was not judged.
    labels
        ``(scope, name, value, source)`` as the corpus means them; label-aware text only.
    stage_context
        30-s sleep stage the page lies in, copied; label-aware text only.
    is_simulated
        Made by the simulator.
    by_kind
        ``findings`` by kind; kinds without any are left out.
    """

    segment_id: str
    recording_id: str
    corpus: str
    subject_id: str
    split: str
    start_s: float
    schema: ChannelSchema
    recorded: tuple[str, ...]
    missing: tuple[str, ...]
    band_hz: tuple[float, float]
    findings: tuple[FindingFact, ...]
    masked: tuple[FindingFact, ...]
    judgements: Mapping[str, JudgementFact]
    powers_uv2: Mapping[str, Mapping[str, float]]
    n_power_rows: int
    void_bands: Mapping[str, frozenset[str]]
    dominant_band: str = ""
    dominant_band_raw: str = ""
    tiers: Mapping[str, str] = field(default_factory=dict)
    energy_uv2: Mapping[str, float] = field(default_factory=dict)
    highest_channel: str = ""
    spatial_reason: str = ""
    labels: tuple[CorpusLabel, ...] = ()
    stage_context: str = ""
    is_simulated: bool = False
    by_kind: Mapping[str, tuple[FindingFact, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kinds = dict.fromkeys(f.kind for f in self.findings)
        by_kind = {kind: tuple(f for f in self.findings if f.kind == kind) for kind in kinds}
        object.__setattr__(self, "by_kind", by_kind)

    def of_kind(self, kind: str) -> tuple[FindingFact, ...]:
        """Return the findings of one kind that may be said, in order of time."""
        return self.by_kind.get(kind, ())

    def verdict(self, kind: str) -> str:
        """Return ``present``, ``absent`` or ``not_judged`` (also where nobody looked)."""
        judgement = self.judgements.get(kind)
        return "not_judged" if judgement is None else judgement.verdict

    def column(self, name: str) -> str:
        """Return the evidence id of one column of this segment's rows.

        Raises
        ------
        FactsError
            If the column carries no fact that text may use.
        """
        if name not in EVIDENCE_COLUMNS:
            raise FactsError(
                f"column {name!r} is no evidence; use one of {sorted(EVIDENCE_COLUMNS)}"
            )
        return f"s-{self.segment_id}:{name}"

    def judgement_id(self, kind: str) -> str:
        """Return the id of the judgement of one kind.

        Raises
        ------
        FactsError
            If the kind was never judged on this page.
        """
        if kind not in self.judgements:
            raise FactsError(f"kind {kind!r} has no judgement on this page; judge it first")
        return self.judgements[kind].judgement_id

    def evidence_of(self, kind: str) -> tuple[str, ...]:
        """Return the ids of a kind's findings that may be said, then its judgement's."""
        ids = [f.finding_id for f in self.of_kind(kind)]
        return (*ids, self.judgements[kind].judgement_id) if kind in self.judgements else tuple(ids)

    def has_evidence(self, evidence_id: str) -> bool:
        """Whether an id points at a row this page really has."""
        if evidence_id.startswith("s-"):
            segment_id, _, column = evidence_id[2:].rpartition(":")
            return segment_id == self.segment_id and column in EVIDENCE_COLUMNS
        if evidence_id.startswith("j-"):
            return any(j.judgement_id == evidence_id for j in self.judgements.values())
        return any(f.finding_id == evidence_id for f in (*self.findings, *self.masked))


def page_facts(
    segment_row: Row,
    findings: Sequence[Row],
    judgements: Sequence[Row],
    spectral_row: Row,
    spatial_row: Row,
) -> PageFacts:
    """Join the rows of one segment into facts.

    Parameters
    ----------
    segment_row
        Row of ``segments``; the signal is not read.
    findings, judgements
        Rows of ``findings`` and ``judgements`` of that segment.
    spectral_row, spatial_row
        Rows of ``spectral_features`` and ``spatial_features``.

    Raises
    ------
    FactsError
        If rows of different segments are mixed, or a kind is not in the vocabulary.
    """
    segment_id = segment_row["segment_id"]
    for row in (spectral_row, spatial_row, *findings, *judgements):
        if row["segment_id"] != segment_id:
            raise FactsError(
                f"a row of segment {row['segment_id']!r} was joined to segment {segment_id!r}; "
                "group rows by segment_id first"
            )
    found = sorted(
        (_finding(row) for row in findings), key=lambda f: (f.t0_s, f.kind, f.finding_id)
    )
    said = tuple(f for f in found if not f.is_masked)
    mask = segment_row["mask"]
    ch_names = tuple(segment_row["ch_names"])
    void = _void_bands(spectral_row["void_bands"])
    good = _good_rows(ch_names, mask, found)
    tiers, energy = _spatial(spatial_row)
    return PageFacts(
        segment_id=segment_id,
        recording_id=segment_row["recording_id"],
        corpus=segment_row["corpus"],
        subject_id=segment_row["subject_id"],
        split=segment_row["split"],
        start_s=float(segment_row["start_s"]),
        schema=ChannelSchema.parse(segment_row["channel_schema"]),
        recorded=tuple(n for n, ok in zip(ch_names, mask, strict=True) if ok),
        missing=tuple(n for n, ok in zip(ch_names, mask, strict=True) if not ok),
        band_hz=(float(segment_row["band_low_hz"]), float(segment_row["band_high_hz"])),
        findings=said,
        masked=tuple(f for f in found if f.is_masked),
        judgements={row["kind"]: _judgement(row) for row in judgements},
        powers_uv2=_powers(spectral_row, void, good),
        n_power_rows=len(good),
        void_bands=void,
        dominant_band=spectral_row["dominant_band"] or "",
        dominant_band_raw=spectral_row["dominant_band_raw"] or "",
        tiers=tiers,
        energy_uv2=energy,
        highest_channel=(spatial_row["highest_channel"] or "") if tiers else "",
        spatial_reason=spatial_row["reason"] or "",
        labels=_labels(segment_row),
        stage_context=segment_row.get("stage_context") or "",
        is_simulated=bool(segment_row["is_simulated"]),
    )


def facts_of_shard(
    segments: pl.DataFrame,
    findings: pl.DataFrame,
    judgements: pl.DataFrame,
    spectral: pl.DataFrame,
    spatial: pl.DataFrame,
) -> Iterator[PageFacts]:
    """Yield the facts of every segment of a shard, by recording and start time.

    Parameters
    ----------
    segments, findings, judgements, spectral, spatial
        Tables of one shard; the ``signal`` and ``events`` columns of ``segments`` are not read.

    Raises
    ------
    FactsError
        If a segment lacks its spectral or spatial row.
    """
    light = segments.drop([c for c in ("signal", "events") if c in segments.columns])
    light = light.sort("recording_id", "start_s", "segment_id")
    by_segment = _group(findings), _group(judgements)
    spectra = {row["segment_id"]: row for row in spectral.iter_rows(named=True)}
    maps = {row["segment_id"]: row for row in spatial.iter_rows(named=True)}
    for row in light.iter_rows(named=True):
        segment_id = row["segment_id"]
        if segment_id not in spectra or segment_id not in maps:
            raise FactsError(
                f"segment {segment_id!r} has no spectral or spatial row; "
                "materialise the features of this shard first"
            )
        yield page_facts(
            row,
            by_segment[0].get(segment_id, ()),
            by_segment[1].get(segment_id, ()),
            spectra[segment_id],
            maps[segment_id],
        )


def with_history(
    pages: Iterable[PageFacts], n_previous: int
) -> Iterator[tuple[PageFacts, tuple[PageFacts, ...]]]:
    """Pair each page with up to ``n_previous`` earlier pages of the same recording, oldest first.

    Parameters
    ----------
    pages
        In the order :func:`facts_of_shard` yields.
    n_previous
        Pages to look back; 0 gives none.
    """
    window: list[PageFacts] = []
    for page in pages:
        if window and window[-1].recording_id != page.recording_id:
            window = []
        yield page, tuple(window)
        window = [*window, page][-n_previous:] if n_previous else []


def _group(frame: pl.DataFrame) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in frame.iter_rows(named=True):
        groups.setdefault(row["segment_id"], []).append(row)
    return groups


def _finding(row: Row) -> FindingFact:
    if row["kind"] not in KINDS:
        raise FactsError(f"kind {row['kind']!r} is not in the vocabulary: {', '.join(KINDS)}")
    return FindingFact(
        finding_id=row["finding_id"],
        kind=row["kind"],
        channels=tuple(row["channels"]),
        side=row["side"] or "",
        region=row["region"] or "",
        t0_s=float(row["t0_s"]),
        t1_s=float(row["t1_s"]),
        measures=tuple((m["name"], float(m["value"]), m["unit"]) for m in row["measures"]),
        confidence=float(row["confidence"]),
        source=row["source"],
        is_masked=bool(row["is_masked"]),
        masked_by=row["masked_by"] or "",
        mask_reason=row["mask_reason"] or "",
    )


def _judgement(row: Row) -> JudgementFact:
    if row["kind"] not in KINDS:
        raise FactsError(f"kind {row['kind']!r} is not in the vocabulary: {', '.join(KINDS)}")
    return JudgementFact(row["judgement_id"], row["kind"], row["verdict"], row["reason"] or "")


def _void_bands(entries: Sequence[str]) -> dict[str, frozenset[str]]:
    pairs = [entry.partition(":") for entry in entries]
    return {s: frozenset(b for scheme, _, b in pairs if scheme == s) for s in BAND_SCHEMES}


def _good_rows(
    ch_names: tuple[str, ...], mask: Sequence[bool], found: Sequence[FindingFact]
) -> list[int]:
    bad = {
        name
        for f in found
        if f.kind in TECHNICAL_FAULTS and f.t1_s - f.t0_s >= BAD_ROW_SHARE * SEGMENT_S
        for name in f.channels
    }
    return [i for i, name in enumerate(ch_names) if mask[i] and name not in bad]


def _powers(
    row: Row, void: Mapping[str, frozenset[str]], good: Sequence[int]
) -> dict[str, dict[str, float]]:
    powers: dict[str, dict[str, float]] = {}
    for scheme, bands in BAND_SCHEMES.items():
        powers[scheme] = {}
        for band in bands:
            values = row[f"{scheme}_{band}_uv2"]
            usable = [values[i] for i in good if math.isfinite(values[i])]
            if band not in void[scheme] and usable:
                powers[scheme][band] = sum(usable) / len(usable)
    return powers


def _spatial(row: Row) -> tuple[dict[str, str], dict[str, float]]:
    if not row["is_judged"]:
        return {}, {}
    rows = zip(row["ch_names"], row["tier"], row["energy_uv2"], strict=True)
    kept = [entry for entry in rows if entry[1] in {"high", "medium", "low"}]
    return {n: t for n, t, _ in kept}, {n: float(e) for n, _, e in kept}


def label_texts(labels: Sequence[CorpusLabel]) -> tuple[str, ...]:
    """Return each label as texts quote it, with its source where several say their own.

    Parameters
    ----------
    labels
        ``(scope, name, value, source)`` of one page.
    """
    texts = []
    for scope, name, value, source in labels:
        voices = {said[3] for said in labels if said[:2] == (scope, name)}
        whose = f" ({source})" if scope in _ONE_VOICE and len(voices) > 1 else ""
        texts.append(f"{name}: {value}{whose}".replace('"', "'"))
    return tuple(texts)


def _labels(row: Row) -> tuple[CorpusLabel, ...]:
    """Labels a text may quote: remarks on the file and published splits are none."""
    return tuple(
        (e["scope"], e["name"], e["value"], e["source"])
        for e in row.get("labels") or ()
        if e["scope"] in QUOTABLE_SCOPES
    )
