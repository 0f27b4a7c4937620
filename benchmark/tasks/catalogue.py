"""The tasks asked of a release's own test pages: multiple choice, caption, waveform boxes.

Only their definitions live here; the open bench and the narrative are in ``tasks/open_bench.py``,
classification in ``tasks/classification.py`` and ``protocols/``. Raise ``version`` when a prompt, a
parser or the sampling of items changes, ``score_version`` when a scoring rule does. The prompts are
phrasings the instruction dataset trains on (a test holds that), so a model is not asked in words it
has never met.
"""

from __future__ import annotations

from benchmark.asking.controls import KIND_CONTROLS
from benchmark.scores.detection_scores import score_boxes
from benchmark.scores.scoring import score_choice, score_text
from benchmark.tasks.items import box_items, caption_items, choice_items
from benchmark.tasks.task import Task

MCQ = Task(
    name="mcq",
    version="1",
    kind="choice",
    title="Multiple choice",
    meaning="One right option about the page; the letter alone is read, strictly.",
    source_table="questions",
    prompt="{question}\n{options}\nAnswer with the letter of the right option.",
    max_new_tokens=32,
    default_cap=60,
    primary_metric="accuracy",
    controls=KIND_CONTROLS["choice"],
    build=choice_items,
    score=score_choice,
)

CAPTION = Task(
    name="caption",
    version="2",
    kind="text",
    title="Description of the page",
    meaning="Free text against the rule caption; word overlap only, which rewards style.",
    source_table="captions",
    prompt="Describe this EEG page.",
    max_new_tokens=256,
    default_cap=30,
    primary_metric="rouge1",
    controls=KIND_CONTROLS["text"],
    build=caption_items,
    score=score_text,
    score_version="2",
)

WAVEFORM_BOXES = Task(
    name="waveform_boxes",
    version="1",
    kind="boxes",
    title="Waveform boxes",
    meaning="Boxes one channel high against annotated boxes of test subjects.",
    source_table="waveform_annotations",
    prompt=(
        "List every waveform on this page as JSON: "
        '[["class", "channel", start in seconds, end in seconds, confidence], ...].'
    ),
    max_new_tokens=1024,
    default_cap=400,
    primary_metric="map50",
    controls=KIND_CONTROLS["boxes"],
    build=box_items,
    score=score_boxes,
    score_version="2",
)
