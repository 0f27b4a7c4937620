"""The table registry: every stored table with its columns, units, keys and meaning.

One description drives the Parquet IO (:mod:`dagster_project.tables.store`), the blocking schema
checks and the column metadata shown in the UI. Nothing else in the project says what a column is.
The exported instruction dataset has its own schema beside its writer in ``prompts``.
"""

from __future__ import annotations

from dataclasses import dataclass

from dagster_project.tables.columns import (
    BOX,
    COUNTERFACTUAL_PAIRS,
    DESCRIPTIONS,
    DIALOGUES,
    FINDINGS,
    GENERAL,
    GENERAL_REJECTS,
    JUDGEMENTS,
    NARRATIVES,
    REVIEW_MARKS,
    SEGMENT_ID,
    TEACHER_QUESTIONS,
    USABLE_SECONDS,
    WAVEFORM_EVENTS,
    Column,
)
from detectors.vocabulary import BAND_SCHEMES

LABELS = "list<struct<scope:string,name:string,value:string,source:string>>"
EVENTS = (
    "list<struct<kind:string,channels:list<string>,t0_s:float64,t1_s:float64,source:string,"
    "measures:list<struct<name:string,value:float64,unit:string>>>>"
)
SENTENCES = "list<struct<text:string,section:string,evidence:list<string>>>"


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Parameters
    ----------
    name
        Name of the table and of the asset that writes it, unless ``asset`` says otherwise.
    meaning
        One sentence for the UI.
    key
        Columns whose values are unique together within a partition.
    columns
        In stored order.
    asset
        The asset that writes it.
    upstream
        Tables its rows are derived from, for column lineage.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    asset: str = ""
    upstream: tuple[str, ...] = ()

    @property
    def written_by(self) -> str:
        """Name of the asset that writes this table."""
        return self.asset or self.name

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in stored order."""
        return tuple(column.name for column in self.columns)


_RECORDINGS = (
    Column("recording_id", "string", "hash of corpus and root-relative path"),
    Column("corpus", "string", "registry key of the corpus"),
    Column("shard", "string", "partition key"),
    Column("subject_id", "string", "salted hash of the identity shared by the leakage group"),
    Column("session", "string", "session or run within the subject, as the corpus numbers it"),
    Column("path", "string", "path relative to the data root; stored in this table only"),
    Column("format", "string", "file format"),
    Column("status", "string", "accepted or rejected"),
    Column("reject_cause", "string", "why the file was set aside", is_nullable=True),
    Column("sfreq_hz", "float64", "native sampling rate", "Hz", is_nullable=True),
    Column("duration_s", "float64", "recorded time", "s", is_nullable=True),
    Column("n_gaps", "int32", "discontinuities inside the file", is_nullable=True),
    Column("channel_schema", "string", "what the rows of its segments are", is_nullable=True),
    Column("line_freq_hz", "float32", "mains frequency of the recording site", "Hz"),
    Column("band_low_hz", "float32", "lower edge of the usable band", "Hz", is_nullable=True),
    Column("band_high_hz", "float32", "upper edge of the usable band", "Hz", is_nullable=True),
    Column("sha256", "string", "hash of the samples, not of the file", is_nullable=True),
    Column("amplitude_uv", "float32", "median absolute deviation, median row", "uV", True),
    Column("mains_50_db", "float32", "peak at 50 Hz above its neighbours", "dB", True),
    Column("mains_60_db", "float32", "peak at 60 Hz above its neighbours", "dB", True),
    Column("labels", LABELS, "recording-level labels as the corpus means them"),
    Column("age_band", "string", "age in bands of ten years, 90+ capped", is_nullable=True),
    Column("sex", "string", "F or M", is_nullable=True),
    Column("split", "string", "train, validation or test; disjoint by subject"),
    Column("licence", "string", "licence id of the corpus"),
    Column("is_gated", "bool", "rows may not leave the storage root"),
    Column("is_simulated", "bool", "made by the simulator, not recorded from a person"),
)

_SEGMENTS = (
    SEGMENT_ID,
    Column("recording_id", "string", "recording it was cut from"),
    Column("corpus", "string", "registry key of the corpus"),
    Column("subject_id", "string", "salted hash of the identity"),
    Column("split", "string", "train, validation or test"),
    Column("start_s", "float64", "start within the recording", "s"),
    Column("start_sample", "int64", "start in native samples of the source file"),
    Column("channel_schema", "string", "referential19 or bipolar:<names>"),
    Column("ch_names", "list<string>", "row names"),
    Column("mask", "list<bool>", "true where the row was recorded"),
    Column(
        "signal",
        "list<int16>",
        "rows x 2000 samples at 200 Hz, row after row, in steps of 0.05 uV",
        "0.05 uV",
    ),
    Column("clip_count", "int32", "samples clipped at the int16 range"),
    Column("recorded_s", "float32", "time from its start that was recorded, the rest is zero", "s"),
    Column("sfreq_hz", "float64", "native sampling rate", "Hz"),
    Column("band_low_hz", "float32", "lower edge of the usable band", "Hz"),
    Column("band_high_hz", "float32", "upper edge of the usable band", "Hz"),
    Column("line_freq_hz", "float32", "mains frequency of the recording site", "Hz"),
    Column(
        "labels", LABELS, "labels with their scope; an abnormal recording stays a recording label"
    ),
    Column("events", EVENTS, "expert or planted events inside the segment"),
    Column("stage_context", "string", "30-s sleep stage it lies in, copied", is_nullable=True),
    Column("is_simulated", "bool", "made by the simulator"),
)

_REJECTS = (
    Column("reject_id", "string", "hash of recording, segment start and cause"),
    Column("recording_id", "string", "the file set aside, or the file a part of which was"),
    Column("stage", "string", "recordings or segments"),
    Column("start_s", "float64", "start of the part set aside", "s", is_nullable=True),
    Column("cause", "string", "closed vocabulary of causes"),
    Column("detail", "string", "numbers behind the cause, no header text"),
    Column("is_retryable", "bool", "whether reading again may succeed"),
)

_FINGERPRINTS = (
    Column("recording_id", "string", "recording"),
    Column("time_s", "float64", "moment within the recording", "s"),
    Column("bits", "int64", "64 comparisons around it"),
)

_LEAKAGE = (
    Column("kind", "string", "shared_people, same_samples, same_signal or exposed_test"),
    Column("left_corpus", "string", "corpus"),
    Column("left_id", "string", "recording or published protocol; empty for a whole corpus"),
    Column("right_corpus", "string", "the other corpus, or the same"),
    Column("right_id", "string", "the other recording"),
    Column("n", "int64", "people, recordings or landmarks in agreement"),
    Column("crosses_splits", "bool", "the two sides lie in different splits"),
    Column("detail", "string", "one sentence"),
)

_CORPUS_WINDOWS = (
    Column("corpus", "string", "registry key"),
    Column("n_recordings", "int64", "accepted recordings"),
    Column("n_subjects", "int64", "people"),
    Column("hours", "float64", "recorded time", "h"),
    Column("n_train", "int64", "segments in train"),
    Column("n_validation", "int64", "segments in validation"),
    Column("n_test", "int64", "segments in test"),
    Column(
        "published_train", "int64", "NeuroNarrator's training windows; 0: not one of its corpora"
    ),
    Column("published_test", "int64", "NeuroNarrator's test windows"),
    Column("remark", "string", "why the counts may differ"),
)

_SPECTRAL = (
    SEGMENT_ID,
    Column("ch_names", "list<string>", "row names"),
    *(
        Column(f"clinical_{b}_uv2", "list<float32>", f"{b} power per row, clinical bands", "uV2")
        for b in ("delta", "theta", "alpha", "beta", "gamma")
    ),
    *(
        Column(
            f"narrator_{b}_uv2", "list<float32>", f"{b} power per row, NeuroNarrator bands", "uV2"
        )
        for b in ("delta", "theta", "alpha", "beta", "gamma", "high_gamma")
    ),
    *(
        Column(f"{scheme}_{b}_share", "list<float32>", f"{b} share of bands that are not void", "1")
        for scheme, bands in BAND_SCHEMES.items()
        for b in bands
    ),
    Column("void_bands", "list<string>", "scheme:band above the usable band; all if not whole"),
    Column("dominant_hz", "list<float32>", "peak of the 1/f-corrected spectrum; NaN: none", "Hz"),
    Column(
        "dominant_band", "string", "clinical band with the largest 1/f-corrected power; empty: none"
    ),
    Column("dominant_band_raw", "string", "clinical band with the largest raw power"),
    Column("aperiodic_exponent", "float32", "slope of the 1/f fit, mean of good rows", "1"),
)

_SPATIAL = (
    SEGMENT_ID,
    Column("ch_names", "list<string>", "row names, all of them"),
    Column("energy_uv2", "list<float32>", "mean square per row, average reference", "uV2"),
    Column("tier", "list<string>", "high, medium or low per row; missing where not recorded"),
    Column("highest_channel", "string", "row with the largest energy; empty where not judged"),
    Column("is_judged", "bool", "tiers need a referential schema and 16 recorded rows"),
    Column("reason", "string", "why it was not judged"),
)

_ANSWERS = (
    Column("item_id", "string", "benchmark item"),
    Column("task", "string", "task id"),
    Column("model", "string", "model under test"),
    Column("control", "string", "none, or the control the picture was replaced by"),
    Column("subject_id", "string", "for clustered intervals"),
    Column("output", "string", "raw text of the model"),
    Column("answer", "string", "parsed answer; empty where not parsed"),
    Column("is_parsed", "bool", "unparsed answers are wrong and counted apart"),
    Column("option_logprobs", "list<float32>", "of each option, by its letter or its words"),
    Column("is_correct", "bool", "equals the reference answer", is_nullable=True),
    Column("score", "float64", "per-item score where the task has one", is_nullable=True),
)

_FROM_SEGMENTS = {column.name: column for column in _SEGMENTS}

_PLANTED = (
    Column("segment_id", "string", "hash of release, seed, origin and copy"),
    *(
        _FROM_SEGMENTS[name]
        for name in (
            "corpus", "subject_id", "split", "channel_schema", "ch_names", "mask", "signal",
            "recorded_s", "band_low_hz", "band_high_hz", "line_freq_hz",
        )
    ),
    Column("is_simulated", "bool", "the background was made by the simulator too"),
    Column("origin_segment_id", "string", "segment it was planted into; empty where the simulator drew its background"),
    Column("n_planted", "int32", "labelled events planted; 0: left as it was, or look-alikes only"),
    Column("licence", "string", "licence id of the origin's corpus"),
)  # fmt: skip

_ALL = (
    Table("recordings", "One row per file found: whose (hashed), what it holds, length, licence, split.",
          ("recording_id",), _RECORDINGS),
    Table("recording_rejects", "Files set aside at inventory, with their cause.",
          ("reject_id",), _REJECTS, asset="recordings"),
    Table("segments", "10-second segments (pages) at 200 Hz with mask, labels and expert events.",
          ("segment_id",), _SEGMENTS, upstream=("recordings",)),
    Table("segment_rejects", "Files and stretches set aside while cutting segments.",
          ("reject_id",), _REJECTS, asset="segments"),
    Table("fingerprints", "Hashes of moments, so that one signal is recognised under another name.",
          ("recording_id", "time_s", "bits"), _FINGERPRINTS, upstream=("segments",)),
    Table("leakage", "People shared by corpora, one signal under two names, exposed test people.",
          ("kind", "left_corpus", "left_id", "right_corpus", "right_id"), _LEAKAGE,
          asset="corpora_report", upstream=("recordings", "fingerprints")),
    Table("corpus_windows", "What each corpus holds here, beside NeuroNarrator's published windows.",
          ("corpus",), _CORPUS_WINDOWS, asset="corpora_report", upstream=("recordings", "segments")),
    Table("spectral_features", "Power per row in clinical and NeuroNarrator's bands; dominant frequency.",
          ("segment_id",), _SPECTRAL, upstream=("segments",)),
    Table("spatial_features", "How strong each row is: high, medium or low energy, by exact 3-means.",
          ("segment_id",), _SPATIAL, upstream=("segments",)),
    Table("waveform_events", "Waveforms the YOLO detector saw, as boxes on one channel each.",
          ("event_id",), WAVEFORM_EVENTS, upstream=("segments",)),
    Table("rule_findings", "What the background, artifact and sleep rules found.",
          ("finding_id",), FINDINGS, upstream=("segments", "spectral_features")),
    Table("rule_judgements", "Present, absent or not judged, per segment and kind, by the rules.",
          ("judgement_id",), JUDGEMENTS, asset="rule_findings"),
    Table("findings", "All that was seen, rules and detector merged; what is hidden says why.",
          ("finding_id",), FINDINGS, upstream=("rule_findings", "waveform_events")),
    Table("judgements", "Present, absent or not judged, per segment and kind, after the merge.",
          ("judgement_id",), JUDGEMENTS, asset="findings"),
    Table("usable_seconds", "What every page's statements rest on: seconds per row free of artifacts.",
          ("segment_id",), USABLE_SECONDS, asset="findings"),
    Table("review_marks", "What people said of findings on the review page: `neurogloss review`.",
          ("segment_id", "finding_id", "reviewer"), REVIEW_MARKS, upstream=("findings",)),
    Table("captions", "Captions written by rule; every sentence carries the ids behind it.",
          ("sample_id",), (
              Column("sample_id", "string", "hash of segment and variant"), SEGMENT_ID,
              Column("variant", "string", "label_free or label_aware"),
              Column("text", "string", "the sentences joined"),
              Column("sentences", SENTENCES, "sentence, section and evidence ids"),
          ), upstream=("findings", "spectral_features", "segments")),
    Table("questions", "Multiple choice written by rule: one option is right, the others proved wrong.",
          ("sample_id",), (
              Column("sample_id", "string", "hash of segment and question"), SEGMENT_ID,
              Column("question_type", "string", "closed list of types"),
              Column("question", "string", "the question"),
              Column("options", "list<string>", "option texts in shown order"),
              Column("answer", "string", "letter of the right option"),
              Column("answer_text", "string", "the right option"),
              Column("evidence", "list<string>", "finding and judgement ids behind the answer"),
              Column("block_id", "string", "items that balance each other: each option is right once"),
              Column("is_absence_item", "bool", "the answer is an absence or 'cannot tell'"),
              Column("is_label_aware", "bool", "the answer is copied from the corpus, not measured"),
          ), upstream=("findings", "spectral_features")),
    Table("narratives", "A page and its trend over the pages before, written out by a teacher.",
          ("sample_id",), NARRATIVES,
          upstream=("findings", "spectral_features", "spatial_features")),
    Table("descriptions", "Detailed descriptions of a page, written by a teacher.",
          ("sample_id",), DESCRIPTIONS,
          upstream=("findings", "spectral_features", "spatial_features")),
    Table("teacher_questions", "Demanding multiple choice about a page, written by a teacher.",
          ("sample_id",), TEACHER_QUESTIONS,
          upstream=("findings", "spectral_features", "spatial_features")),
    Table("dialogues", "Conversations about a page, written by a teacher.",
          ("sample_id",), DIALOGUES,
          upstream=("findings", "spectral_features", "spatial_features")),
    Table("counterfactual_pairs", "A page and the page edited, with both captions and what must differ.",
          ("pair_id",), COUNTERFACTUAL_PAIRS, upstream=("segments", "findings")),
    Table("general_pairs", "General pictures with text, of the published sets found.",
          ("sample_id",), GENERAL, asset="general_instructions"),
    Table("general_rejects", "Rows of the general sets that were set aside, with their cause.",
          ("source", "place"), GENERAL_REJECTS, asset="general_instructions"),
    Table("waveform_annotations", "Boxes the waveform detector is trained and scored on.",
          ("annotation_id",), (
              *BOX,
              Column("source", "string", "who says so; of planted boxes the planter's version"),
              Column("origin", "string", "simulator, planted, corpus or own"),
              Column("annotators", "list<string>", "who drew it; 'corpus' where it has one voice"),
              Column("weight", "float32", "share of the experts who looked that marked it", "1"),
              Column("is_placed", "bool", "placed by rule within a longer mark of an expert"),
              Column("size_k", "float32", "planted: peak over the background of its row", "1", True),
          ), upstream=("segments", "recordings", "findings")),
    Table("annotator_boxes", "Every expert's boxes apart, where a corpus keeps several apart.",
          ("annotation_id", "annotator"), (
              *BOX,
              Column("source", "string", "as the corpus names it"),
              Column("annotator", "string", "which expert"),
          ), asset="waveform_annotations", upstream=("segments",)),
    Table("planted_segments", "Pages of open corpora with planted events, for the detector alone.",
          ("segment_id",), _PLANTED, asset="waveform_annotations", upstream=("segments",)),
    Table("benchmark_items", "Held-out items, one per row, from test subjects only.",
          ("item_id",), (
              Column("item_id", "string", "hash of task version and sample"),
              Column("task", "string", "task id"),
              Column("task_version", "string", "raised whenever scores can move"),
              SEGMENT_ID,
              Column("corpus", "string", "corpus of the segment"),
              Column("subject_id", "string", "for clustered intervals"),
              Column("prompt", "string", "text shown to the model"),
              Column("options", "list<string>", "option texts; empty for open tasks"),
              Column("answer", "string", "reference answer: a letter, or text"),
              Column("category", "string", "sub-category"),
              Column("evidence", "list<string>", "ids behind the reference"),
              Column("is_simulated", "bool", "the page is simulated"),
              Column("recording_id", "string", "recording of the page, where time matters", "", True),
              Column("start_s", "float64", "start within it", "s", True),
              Column("group_id", "string", "pages whose answers are voted on; empty for none"),
              Column("parts", "list<string>", "published test parts the page belongs to"),
              Column("truth_s", "list<float64>", "starts and ends of true events on the page", "s"),
              Column("slots", "list<string>", "slots of the template behind a narrative"),
          ), upstream=("questions", "captions", "segments")),
    Table("model_answers", "Every answer of a model, with and without controls.",
          ("item_id", "model", "control"), _ANSWERS, upstream=("benchmark_items",)),
    Table("scores", "Scores with intervals clustered by subject, beside their controls.",
          ("task", "model", "control", "metric"), (
              Column("task", "string", "task id"),
              Column("model", "string", "model under test"),
              Column("control", "string", "none, or the control"),
              Column("metric", "string", "metric id"),
              Column("value", "float64", "point estimate"),
              Column("ci_low", "float64", "lower edge of the 95 % interval", is_nullable=True),
              Column("ci_high", "float64", "upper edge of the 95 % interval", is_nullable=True),
              Column("n_items", "int64", "items scored"),
              Column("n_subjects", "int64", "subjects they come from"),
              Column("n_unparsed", "int64", "answers that could not be parsed"),
              Column("note", "string", "what a reader must know"),
          ), upstream=("model_answers",)),
)  # fmt: skip

TABLES: dict[str, Table] = {table.name: table for table in _ALL}


def table(name: str) -> Table:
    """Return one table of the registry.

    Raises
    ------
    KeyError
        If no such table is registered; the message lists those that are.
    """
    if name not in TABLES:
        raise KeyError(f"table {name!r} is not registered; known tables: {', '.join(TABLES)}")
    return TABLES[name]


def tables_of_asset(asset: str) -> tuple[Table, ...]:
    """Return the tables one asset writes, the one of its own name first."""
    return tuple(t for t in _ALL if t.written_by == asset)
