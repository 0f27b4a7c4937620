"""From answers to scores: references are perfect, shuffled answers at chance, none is dropped."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import ask, ask_without_pages, grade
from benchmark.asking.models import ConstantText, Majority, Prior, ShuffledReference, baselines
from benchmark.errors import BenchmarkError
from benchmark.scores.scoring import chance_level, score
from benchmark.tasks.items import Sources, build_items
from benchmark.tasks.task import TASKS
from dagster_project.tables.registry import table
from dagster_project.tables.store import to_arrow

Rows = Callable[[str], list[dict[str, Any]]]
MCQ, CAPTION = TASKS["mcq"], TASKS["caption"]


def _answers(
    items: list[dict[str, Any]],
    said: Callable[[dict[str, Any]], str],
    model: str = "m",
    control: str = "none",
) -> list[dict[str, Any]]:
    task = TASKS[items[0]["task"]]
    return [
        answer_row(task.kind, Item.from_row(row), Reply(said(row)), model, control) for row in items
    ]


def _value(rows: list[dict[str, Any]], metric: str, model: str = "m", control: str = "none") -> Any:
    (row,) = [
        r for r in rows if (r["metric"], r["model"], r["control"]) == (metric, model, control)
    ]
    return row


def test_reference_answers_score_everything(rows_of: Rows) -> None:
    items = rows_of("mcq")
    rows = score(MCQ, items, _answers(items, lambda r: r["answer"]))
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        row = _value(rows, metric)
        assert (row["value"], row["ci_low"], row["ci_high"], row["n_unparsed"]) == (1, 1, 1, 0)
    assert _value(rows, "accuracy")["note"].startswith("above chance (chance 3")


def test_reference_captions_score_everything(rows_of: Rows) -> None:
    items = rows_of("caption")
    rows = score(CAPTION, items, _answers(items, lambda r: r["answer"]))
    assert {_value(rows, m)["value"] for m in ("rouge1", "rouge1_raw", "rougeL")} == {100.0}


def test_shuffled_answers_are_near_chance(sources: Sources) -> None:
    built = build_items("mcq", sources, cap=80).rows
    items = [row for row in built if row["category"] == "band"]
    accuracies = []
    for seed in range(40):
        said = [row["answer"] for row in items]
        random.Random(seed).shuffle(said)
        by_id = dict(zip((r["item_id"] for r in items), said, strict=True))
        right = grade(MCQ, items, _answers(items, lambda r, by_id=by_id: by_id[r["item_id"]]))
        accuracies.append(sum(r["is_correct"] for r in right) / len(items))
    assert sum(accuracies) / 40 == pytest.approx(chance_level(items), abs=0.05)


def test_an_unparsed_answer_is_wrong_and_counted_apart(rows_of: Rows) -> None:
    items = rows_of("mcq")
    answers = _answers(
        items, lambda r: r["answer"] if r["item_id"] != items[0]["item_id"] else "hm"
    )
    row = _value(score(MCQ, items, answers), "accuracy")
    assert row["value"] == pytest.approx((len(items) - 1) / len(items))
    assert row["n_unparsed"] == 1
    graded = {r["item_id"]: r for r in grade(MCQ, items, answers)}
    assert (graded[items[0]["item_id"]]["answer"], graded[items[0]["item_id"]]["is_correct"]) == (
        "",
        False,
    )


def test_a_missing_answer_is_wrong_not_dropped(rows_of: Rows) -> None:
    items = rows_of("mcq")
    row = _value(score(MCQ, items, _answers(items[1:], lambda r: r["answer"])), "accuracy")
    assert (row["n_items"], row["n_unparsed"]) == (len(items), 1)
    assert row["value"] == pytest.approx((len(items) - 1) / len(items))


def test_likeliest_letters_are_scored_beside_the_generated_ones(rows_of: Rows) -> None:
    items = rows_of("mcq")
    answers = []
    for row in items:
        letters = "ABCD"[: len(row["options"])]
        logprobs = tuple(-1.0 if letter == row["answer"] else -2.0 for letter in letters)
        reply = Reply("hm", logprobs)
        answers.append(answer_row("choice", Item.from_row(row), reply, "m", "none"))
    rows = score(MCQ, items, answers)
    assert _value(rows, "accuracy")["value"] == 0.0
    assert _value(rows, "accuracy_logprob")["value"] == 1.0


def test_a_model_is_compared_with_its_controls_and_the_baselines(rows_of: Rows) -> None:
    items = rows_of("mcq")
    visible = [Item.from_row(row) for row in items]
    answers = _answers(items, lambda r: r["answer"]) + _answers(
        items, lambda r: "A", control="blank"
    )
    answers += ask_without_pages(Majority("A"), MCQ, visible)
    rows = score(MCQ, items, answers)
    blank, majority = _value(rows, "accuracy-blank"), _value(rows, "accuracy-majority")
    share_of_a = sum(row["answer"] == "A" for row in items) / len(items)
    assert blank["value"] == majority["value"] == pytest.approx(1 - share_of_a)
    assert blank["ci_low"] > 0
    assert blank["note"].startswith("higher (paired by item, p = 0.0")


def test_a_gap_of_few_subjects_needs_the_permutation_test_too(rows_of: Rows) -> None:
    items = [row for row in rows_of("mcq") if row["subject_id"] < "p04"]
    answers = _answers(items, lambda r: r["answer"]) + _answers(
        items, lambda r: "-", control="blank"
    )
    gap = _value(score(MCQ, items, answers), "accuracy-blank")
    assert (gap["value"], gap["ci_low"]) == (1.0, 1.0)
    assert gap["note"].startswith(
        "no difference is shown (paired by item, p = 0.125 by flipping the signs of subjects, "
        "never below 0.12 with so few)"
    )


def test_recorded_and_simulated_pages_are_scored_apart(rows_of: Rows) -> None:
    items = rows_of("mcq")
    rows = score(MCQ, items, _answers(items, lambda r: r["answer"] if r["is_simulated"] else "hm"))
    assert _value(rows, "accuracy[simulated]")["value"] == 1.0
    assert _value(rows, "accuracy[recorded]")["value"] == 0.0
    n_simulated = sum(row["is_simulated"] for row in items)
    assert _value(rows, "accuracy[simulated]")["n_items"] == n_simulated


@pytest.mark.parametrize("task", ["mcq", "caption"])
def test_scores_do_not_depend_on_order_and_fit_the_table(rows_of: Rows, task: str) -> None:
    items = rows_of(task)
    answers = _answers(items, lambda r: r["answer"] if r["is_simulated"] else items[0]["answer"])
    rows = score(TASKS[task], items, answers)
    assert score(TASKS[task], items[::-1], answers[::-1]) == rows
    keys = {tuple(r[k] for k in table("scores").key) for r in rows}
    assert len(keys) == to_arrow(table("scores"), rows).num_rows == len(rows)


def test_graded_answers_fit_the_table(rows_of: Rows) -> None:
    items = rows_of("caption")
    graded = grade(CAPTION, items, _answers(items, lambda r: r["answer"]))
    assert to_arrow(table("model_answers"), graded).num_rows == len(items)
    assert {row["score"] for row in graded} == {100.0}


@pytest.mark.parametrize("fault", ["unknown item", "answered twice", "no items"])
def test_answers_that_belong_to_other_items_are_refused(rows_of: Rows, fault: str) -> None:
    items = rows_of("mcq")
    answers = _answers(items, lambda r: "A")
    broken = {
        "unknown item": (items[1:], answers),
        "answered twice": (items, [*answers, answers[0]]),
        "no items": ([], answers),
    }
    with pytest.raises(BenchmarkError, match=r"not in the benchmark|twice|has no items"):
        score(MCQ, *broken[fault])


class _Counting:
    """A model that says how the page looks and counts what it is asked."""

    name = "counting"

    def __init__(self) -> None:
        self.n_asked = 0

    def answer(self, items: list[Item], pages: list[bytes | None]) -> list[Reply]:
        self.n_asked += len(items)
        return [Reply("" if page is None else str(hash(page))) for page in pages]


def test_the_same_prompt_about_the_same_picture_is_asked_once(
    rows_of: Rows, pages_of: Callable[..., dict[str, bytes]]
) -> None:
    items = [Item.from_row(row) for row in rows_of("caption")]
    model = _Counting()
    rows = ask(model, CAPTION, items, pages_of(items), controls=("blank", "none", "text_only"))
    n_pages = len({item.segment_id for item in items})
    assert model.n_asked == 1 + n_pages + 1
    assert [r["item_id"] for r in rows] == [i.item_id for i in items] * 3
    assert len({r["output"] for r in rows if r["control"] == "blank"}) == 1
    assert {r["is_parsed"] for r in rows if r["control"] == "text_only"} == {False}


def test_the_majority_letter_is_that_of_training() -> None:
    assert Majority.fit([{"answer": "C"}, {"answer": "C"}, {"answer": "A"}]).letter == "C"
    assert Majority.fit([{"answer": "B"}, {"answer": "A"}]).letter == "A"
    assert Majority.fit([]).letter == "A"


def _item(options: tuple[str, ...], category: str = "band") -> Item:
    return Item("b", "mcq", "s", "p", "?", options, category)


def test_the_prior_finds_the_option_training_favours_wherever_it_is_shown() -> None:
    train = [
        {
            "question_type": "band",
            "options": ["alpha", "beta"],
            "answer_text": "beta",
            "answer": "B",
        }
    ] * 5
    prior = Prior.fit(train)
    assert prior.answer([_item(("beta", "alpha"))], [None])[0].output == "A"
    assert prior.answer([_item(("x", "beta"))], [None])[0].output == "B"
    assert prior.answer([_item(("beta", "alpha"), "other")], [None])[0].output == "A"


def test_the_constant_text_is_the_most_typical_of_training() -> None:
    train = [{"text": t} for t in ("alpha rhythm at O1", "alpha rhythm at O2", "flat page", "")]
    assert ConstantText.fit(train).text.startswith("alpha rhythm")
    assert ConstantText.fit([]).text == ""


def test_a_shuffled_reference_gives_every_item_anothers_answer(rows_of: Rows) -> None:
    items = rows_of("caption")
    said = ShuffledReference.fit(items).answers
    assert sorted(said.values()) == sorted(row["answer"] for row in items)
    assert sum(said[row["item_id"]] == row["answer"] for row in items) < len(items) / 4


def test_each_kind_of_task_has_its_baselines(sources: Sources, rows_of: Rows) -> None:
    questions, captions = sources.questions.to_dicts(), sources.captions.to_dicts()
    named = {
        task: [b.name for b in baselines(TASKS[task], questions, captions, rows_of(task))]
        for task in ("mcq", "caption", "waveform_boxes")
    }
    assert named == {
        "mcq": ["majority", "prior"],
        "caption": ["constant_template", "shuffled_reference"],
        "waveform_boxes": [],
    }
