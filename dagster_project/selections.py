"""Saved asset selections for the common tasks, in the UI's own selection language.

Paste one into the search field of the lineage page, or give it to ``dg launch --assets``. The jobs
are made from the same texts, so a selection and a job of one name cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SavedSelection:
    """One named selection and the question it answers."""

    selection: str
    answers: str


SELECTIONS: dict[str, SavedSelection] = {
    "rebuild_corpus": SavedSelection(
        'key:"recordings" or key:"segments" or key:"fingerprints" or group:"features"'
        ' or group:"findings"'
        ' or key:"captions" or key:"questions"',
        "everything of a shard that costs nothing but time",
    ),
    "rebuild_shard": SavedSelection(
        'key:"recordings" or key:"segments" or key:"fingerprints" or group:"features"'
        ' or group:"findings" or group:"text"',
        "one shard through the whole chain, teacher texts included",
    ),
    "write_texts": SavedSelection(
        'key:"narratives" or key:"descriptions" or key:"teacher_questions" or key:"dialogues"',
        "the teacher's texts of a shard alone",
    ),
    "build_dataset": SavedSelection(
        'key:"instruction_dataset" or key:"waveform_annotations"',
        "a release from the shards it names",
    ),
    "train": SavedSelection('key:"aligned_model" or key:"tuned_model"', "both stages of a recipe"),
    "train_detector": SavedSelection(
        'key:"waveform_detector"', "a waveform detector from annotations"
    ),
    "make_benchmark": SavedSelection('key:"benchmark_items"', "held-out items of a task"),
    "evaluate": SavedSelection('key:"model_answers" or key:"scores"', "one model on one task"),
    "simulate": SavedSelection('key:"simulated_corpus"', "the simulated corpus"),
    "report_corpora": SavedSelection(
        'key:"corpora_report"', "what would leak between the corpora, and their windows"
    ),
    "report": SavedSelection(
        'key:"leaderboard" or key:"benchmark_report"', "the leaderboard and the report of a run"
    ),
    "downstream_of_recordings": SavedSelection(
        'key:"recordings"+', "what a withdrawn file touches"
    ),
    "behind_a_row": SavedSelection(
        '+key:"instruction_dataset"', "where a row of a release came from"
    ),
    "costly": SavedSelection('tag:"neurogloss/cost"="costly"', "what spends money or GPU hours"),
}
