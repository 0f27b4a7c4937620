"""The worked examples of the prompts are true to their own facts, and a slip in one is seen."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from example_pages import example_page

from prompts.facts.page import PageFacts
from prompts.teachers.prompt_files import TOPICS, load_examples, load_prompt
from prompts.texts.check import TextKind
from prompts.texts.descriptions import DESCRIPTIONS
from prompts.texts.dialogues import DIALOGUES
from prompts.texts.narratives import NARRATIVES
from prompts.texts.teacher_questions import TEACHER_QUESTIONS
from prompts.texts.teacher_texts import TextTask, topic_of

Plant = Callable[..., PageFacts]
KINDS = (NARRATIVES, DESCRIPTIONS, TEACHER_QUESTIONS, DIALOGUES)
SLIPS = (
    ("maximum at T7", "maximum at T8"), ("Fz and Cz", "O1 and O2"),
    ("on the left", "on the right"), ("9.5 Hz", "6 Hz"), ("10 Hz", "7 Hz"),
    ("13.5 Hz", "10 Hz"), ("140 µV", "70 µV"), ("moderate decrease", "moderate increase"),
    ("slight increase", "marked increase"), ("No eye blinks", "Eye blinks"),
    ("could not be judged", "are not seen"), ("at 3.4 s", "at 6.4 s"),
    ("4 eye blinks", "9 eye blinks"), ("Delta has the highest", "Theta has the highest"),
    ("Alpha has the highest", "Beta has the highest"),
)  # fmt: skip
"""Words of the examples and what would make them wrong."""

each_example = pytest.mark.parametrize(
    ("kind", "topic"),
    [pytest.param(k, t, id=f"{k.name}-{t}") for k in KINDS for t in TOPICS],
)


def asked(plant: Plant, kind: TextKind, topic: str) -> TextTask:
    return TextTask(kind, example_page(plant, topic), "x", is_gated=False, seed=0)


def claims_of(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every claim of an answer that has to be true."""
    if isinstance(value, dict):
        if "facts" in value:
            yield value
        for key, inner in value.items():
            if key != "wrong":
                yield from claims_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from claims_of(inner)


@each_example
def test_example_shows_the_facts_as_they_are_sent_today(
    plant: Plant, kind: TextKind, topic: str
) -> None:
    task = asked(plant, kind, topic)
    example = load_examples(kind.prompt)[topic]
    assert example.facts == json.loads(task.request.payload_text)
    assert topic_of(example.facts) == topic


@each_example
def test_example_stands_its_own_check(plant: Plant, kind: TextKind, topic: str) -> None:
    task = asked(plant, kind, topic)
    answer = load_examples(kind.prompt)[topic].answer
    assert task.check(answer) == "", task.complain(answer)


@each_example
def test_a_slip_in_an_example_is_seen(plant: Plant, kind: TextKind, topic: str) -> None:
    task = asked(plant, kind, topic)
    answer = load_examples(kind.prompt)[topic].answer
    n_claims = len(list(claims_of(answer)))
    seen = []
    for i in range(n_claims):
        for right, wrong in SLIPS:
            slipped: Any = copy.deepcopy(answer)
            claim = list(claims_of(slipped))[i]
            if right in claim["text"]:
                claim["text"] = claim["text"].replace(right, wrong)
                seen.append((task.check(slipped), claim["text"]))
    assert seen
    assert not [text for cause, text in seen if not cause]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_prompt_hash_covers_words_example_and_schema(kind: TextKind) -> None:
    prompts = [load_prompt(kind.prompt, topic) for topic in TOPICS]
    assert len({p.prompt_hash for p in prompts}) == len(TOPICS)
    for prompt, topic in zip(prompts, TOPICS, strict=True):
        answer = load_examples(kind.prompt)[topic].answer
        shown = prompt.system.partition("Answer:\n")[2]
        assert json.loads(shown) == answer
        assert prompt.schema["type"] == "object"


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_schema_of_the_file_is_the_schema_that_is_checked(kind: TextKind) -> None:
    def shape(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
        if "$ref" in schema:
            schema = defs[schema["$ref"].rpartition("/")[2]]
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False
            assert sorted(schema["required"]) == sorted(schema["properties"])
            return {k: shape(v, defs) for k, v in schema["properties"].items()}
        if schema["type"] == "array":
            return [shape(schema["items"], defs)]
        return schema["type"]

    checked = kind.reply.model_json_schema()
    sent = load_prompt(kind.prompt).schema
    assert shape(sent, {}) == shape(checked, checked.get("$defs", {}))


def test_unknown_prompt_lists_those_that_exist() -> None:
    with pytest.raises(FileNotFoundError, match="description-v2, dialogue-v3, narrative-v3"):
        load_prompt("sonnet-v1")
