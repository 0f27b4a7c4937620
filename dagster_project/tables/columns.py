"""Columns of the tables findings, boxes and teachers' texts are kept in, and what a column is.

The registry of tables, with the columns of all others, is :mod:`dagster_project.tables.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass

MEASURES = "list<struct<name:string,value:float64,unit:string>>"
CITED = "list<struct<text:string,evidence:list<string>>>"
MESSAGES = "list<struct<role:string,content:string>>"


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

_CHANGES = "list<struct<kind:string,what:string,before:string,after:string>>"
_LISTED = (
    "list<struct<finding_id:string,kind:string,channels:list<string>,side:string,t0_s:float64,"
    "t1_s:float64,confidence:float32,is_masked:bool>>"
)

COUNTERFACTUAL_PAIRS = (
    Column("pair_id", "string", "hash of segment, edit and seeds"),
    SEGMENT_ID,
    Column("corpus", "string", "corpus of the segment"),
    Column("subject_id", "string", "salted hash of the identity, for clustered intervals"),
    Column("split", "string", "train, validation or test, as the segment's"),
    Column("edit", "string", "mirrored, event_removed or artifact_added"),
    Column("kind", "string", "what was taken out or laid over; empty for a mirrored head"),
    Column("channels", "list<string>", "rows it was planted on, largest first"),
    Column("t0_s", "float64", "start of the edited stretch", "s"),
    Column("t1_s", "float64", "end of the edited stretch", "s"),
    Column("edit_seed", "int64", "seed of the planted wave"),
    Column("text_seed", "int64", "seed of the phrasings, the same on both sides"),
    Column("text_before", "string", "label-free caption of the page before the edit"),
    Column("text_after", "string", "label-free caption of the page after it"),
    Column("findings_before", _LISTED, "findings before, masked ones last"),
    Column("findings_after", _LISTED, "findings after, masked ones last"),
    Column("must_change", _CHANGES, "verdict or side of a kind that the edit must change"),
    Column("must_not_change", _CHANGES, "verdict of a kind that the edit must leave"),
    Column("is_consistent", "bool", "findings and texts moved as they must, and nothing else did"),
    Column("differences", "list<string>", "what did not, one sentence each"),
    Column("detector", "string", "weights that read both pages; empty: rules alone"),
    Column("mask_after", "list<bool>", "recorded rows after the edit"),
    Column(
        "signal_before", "list<int16>", "page before, as in segments; empty: as stored", "0.05 uV"
    ),
    Column("signal_after", "list<int16>", "page after, as in segments", "0.05 uV"),
)

_TEACHER = (
    Column("teacher", "string", "teacher id; template marks the offline writer"),
    Column("is_offline_teacher", "bool", "written by the offline template teacher, not by a model"),
    Column("prompt_hash", "string", "hash of prompt file, example and schema"),
    Column(
        "n_requests",
        "int32",
        "requests behind it, repair included; 0: the page was not asked about",
    ),
    Column("input_tokens", "int64", "tokens sent; 0 where dropped"),
    Column("output_tokens", "int64", "tokens received; 0 where dropped"),
    Column("cost_usd", "float64", "price paid, whenever it was", "USD"),
    Column("grounding", "string", "supported, or the cause of a drop"),
    Column("sentences", CITED, "every sentence that claims something, with the ids behind it"),
    Column("evidence", "list<string>", "all finding and judgement ids behind the row"),
)
_TEXT_ID = (Column("sample_id", "string", "hash of segment, teacher and prompt"), SEGMENT_ID)

NARRATIVES = (
    *_TEXT_ID,
    Column("history_segment_ids", "list<string>", "previous segments of the same recording"),
    Column("template", "string", "the structured facts given to the teacher"),
    Column("text", "string", "the narrative; empty where dropped"),
    *_TEACHER,
)

DESCRIPTIONS = (
    *_TEXT_ID,
    Column("text", "string", "the description; empty where dropped"),
    *_TEACHER,
)

TEACHER_QUESTIONS = (
    *_TEXT_ID,
    Column("question", "string", "the question; empty where dropped"),
    Column("options", "list<string>", "option texts in shown order"),
    Column("answer", "string", "letter of the right option, dealt by seed"),
    Column("answer_text", "string", "the right option"),
    Column("explanation", "string", "why it is right and the others are wrong"),
    Column("option_evidence", "list<list<string>>", "ids that prove each option right or wrong"),
    Column("block_id", "string", "items that balance each other; a model's is one by itself"),
    *_TEACHER,
)

DIALOGUES = (*_TEXT_ID, Column("messages", MESSAGES, "user and assistant turns"), *_TEACHER)

GENERAL = (
    Column("sample_id", "string", "hash of source, place and row id"),
    Column("source", "string", "published set"),
    Column("row_id", "string", "as the set names it"),
    Column("picture_id", "string", "hash of the picture's file"),
    Column("image", "binary", "the picture's file as found, PNG or JPEG"),
    Column("width_px", "int32", "width", "px"),
    Column("height_px", "int32", "height", "px"),
    Column("messages", MESSAGES, "user and assistant turns"),
    Column("licence", "string", "licence id of the set"),
    Column("terms", "string", "where its terms are"),
    Column("is_gated", "bool", "may not leave the storage root: the picture is other people's"),
)

GENERAL_REJECTS = (
    Column("source", "string", "published set"),
    Column("place", "int64", "number among the set's rows set aside"),
    Column("row_id", "string", "as the set names it"),
    Column("cause", "string", "closed list of causes"),
    Column("detail", "string", "what was found; empty where the cause says it all"),
)
