"""Columns of the tables findings and boxes are kept in, and what a column is.

The registry of tables, with the columns of all others, is :mod:`dagster_project.tables.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass

MEASURES = "list<struct<name:string,value:float64,unit:string>>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, unit (``""`` where it has none) and meaning."""

    name: str
    dtype: str
    meaning: str
    unit: str = ""
    is_nullable: bool = False


SEGMENT_ID = Column("segment_id", "string", "segment the row belongs to")

WAVEFORM_EVENTS = (
    Column("event_id", "string", "hash of segment, class, row and time"),
    SEGMENT_ID,
    Column("waveform", "string", "one of the nine detector classes"),
    Column("channel", "string", "row; boxes are one channel high"),
    Column("t0_s", "float64", "start within the segment", "s"),
    Column("t1_s", "float64", "end within the segment", "s"),
    Column("confidence", "float32", "detector confidence", "1"),
    Column("detector", "string", "pinned weights id"),
)

FINDINGS = (
    Column("finding_id", "string", "hash of what, where and by which rule"),
    SEGMENT_ID,
    Column("kind", "string", "closed vocabulary"),
    Column("family", "string", "background, artifact, sleep or epileptiform"),
    Column("channels", "list<string>", "rows it was seen on"),
    Column("side", "string", "left, right, midline, bilateral or empty"),
    Column("region", "string", "region word of the leading electrode or empty"),
    Column("t0_s", "float64", "start within the segment", "s"),
    Column("t1_s", "float64", "end within the segment", "s"),
    Column("measures", MEASURES, "measured values with units"),
    Column("confidence", "float32", "confidence", "1"),
    Column("source", "string", "rule or model id with version"),
    Column("hed", "string", "HED-SCORE string"),
    Column("is_masked", "bool", "hidden by a stronger finding or pruned"),
    Column("masked_by", "string", "finding that hides it"),
    Column("mask_reason", "string", "why it was hidden or pruned"),
)

JUDGEMENTS = (
    Column("judgement_id", "string", "one per segment and kind"),
    SEGMENT_ID,
    Column("kind", "string", "closed vocabulary"),
    Column("hed", "string", "HED-SCORE tag of the kind; empty where the schema has none"),
    Column("verdict", "string", "present, absent or not_judged"),
    Column("reason", "string", "why it was not judged"),
    Column("finding_ids", "list<string>", "findings behind a 'present'"),
)

REVIEW_MARKS = (
    SEGMENT_ID,
    Column("finding_id", "string", "finding marked; m-... a missed one, p-... the page as a whole"),
    Column("reviewer", "string", "initials the reviewer gave"),
    Column("subject_id", "string", "salted hash of the identity, for clustered intervals"),
    Column(
        "verdict", "string", "right, wrong, unsure, missed, or complete for a page read to its end"
    ),
    Column("kind", "string", "closed vocabulary; empty for a page as a whole"),
    Column("channels", "list<string>", "rows the finding was seen on, as they were when marked"),
    Column("t0_s", "float64", "start within the segment", "s"),
    Column("t1_s", "float64", "end within the segment", "s"),
    Column("source", "string", "rule or model that found it, or reviewer"),
    Column("confidence", "float32", "its confidence when marked", "1", is_nullable=True),
    Column("is_masked", "bool", "it was hidden or pruned when marked"),
    Column("mask_reason", "string", "why it was hidden or pruned"),
    Column("marked_on", "string", "ISO date"),
)

USABLE_SECONDS = (
    SEGMENT_ID,
    Column("channels", "list<string>", "recorded rows"),
    Column("usable_s", "list<float32>", "seconds no artifact hides, by row", "s"),
    Column("hidden_by", "list<string>", "kinds that hide the rest, by row"),
)

BOX = (
    Column("annotation_id", "string", "hash of segment, class, row and time"),
    SEGMENT_ID,
    Column("corpus", "string", "corpus the segment comes from"),
    Column("subject_id", "string", "salted hash of the identity"),
    Column("split", "string", "train, validation or test"),
    Column("waveform", "string", "one of the nine detector classes"),
    Column("channel", "string", "row"),
    Column("t0_s", "float64", "start within the segment", "s"),
    Column("t1_s", "float64", "end within the segment", "s"),
)
