"""Rows to tensors: equal to the real processor, loss on answers only, nothing cut."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from training.vlm.batch import batches, collate
from training.vlm.config import Recipe
from training.vlm.data import Position
from training.vlm.encode import IGNORED, Drop, Encoder, Sample, conversation
from training.vlm.model import Vlm

LONG = 4096


def _answers(row: dict[str, Any]) -> list[str]:
    return [m["content"] for m in row["messages"] if m["role"] == "assistant"]


def _label_runs(sample: Sample) -> list[np.ndarray]:
    at = np.flatnonzero(sample.labels != IGNORED)
    return np.split(sample.labels[at], np.flatnonzero(np.diff(at) > 1) + 1)


def _encoded(vlm: Vlm, row: dict[str, Any], max_length: int = LONG) -> Sample:
    sample = Encoder(vlm.processor, max_length)(row)
    assert isinstance(sample, Sample), sample
    return sample


@pytest.mark.parametrize("number", [0, 1, 2])
def test_equals_what_the_processor_makes_of_the_conversation(
    vlm: Vlm, make_sample: Any, number: int
) -> None:
    row = make_sample(number)
    sample = _encoded(vlm, row)
    turns = conversation(row["messages"], has_image=True)
    text = vlm.processor.apply_chat_template(turns, tokenize=False)
    image = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    expected = vlm.processor(text=[text], images=[image], return_tensors="np")
    np.testing.assert_array_equal(sample.input_ids, expected["input_ids"][0])
    np.testing.assert_array_equal(sample.is_image, expected["mm_token_type_ids"][0] == 1)
    np.testing.assert_array_equal(sample.image_grid_thw, expected["image_grid_thw"])
    np.testing.assert_array_equal(sample.pixel_values, expected["pixel_values"])


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
@pytest.mark.parametrize(
    "size", [(1288, 896), (336, 224), (57, 300), (29, 31), (5, 7), (9, 1700)], ids=str
)
def test_a_resized_picture_is_the_processors_byte_for_byte(
    vlm: Vlm, make_sample: Any, mode: str, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, size[::-1], dtype=np.uint8)).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    images = [{"bytes": buffer.getvalue(), "path": None}]
    sample = _encoded(vlm, make_sample(0, images=images))
    expected = vlm.processor.image_processor(images=[picture], return_tensors="np")
    np.testing.assert_array_equal(sample.image_grid_thw, expected["image_grid_thw"])
    np.testing.assert_array_equal(sample.pixel_values, expected["pixel_values"])


@pytest.mark.parametrize(
    ("size", "how"),
    [((300, 57), {"transparency": 100}), ((5700, 30), {})],
    ids=["transparent", "more elongated once it is fitted"],
)
def test_a_grey_picture_that_cannot_be_resized_beforehand_is_the_processors_too(
    vlm: Vlm, make_sample: Any, size: tuple[int, int], how: dict[str, int]
) -> None:
    grey = np.random.default_rng(0).integers(0, 256, size[::-1], dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG", **how)
    row = make_sample(0, images=[{"bytes": buffer.getvalue(), "path": None}])
    processor = copy.deepcopy(vlm.processor)
    processor.image_processor.size["longest_edge"] = 1288 * 896
    sample = Encoder(processor, LONG)(row)
    assert isinstance(sample, Sample), sample
    shown = Image.open(io.BytesIO(buffer.getvalue()))
    assert shown.mode == "L"
    expected = processor.image_processor(images=[shown], return_tensors="np")
    np.testing.assert_array_equal(sample.image_grid_thw, expected["image_grid_thw"])
    np.testing.assert_array_equal(sample.pixel_values, expected["pixel_values"])


def test_several_pictures_keep_their_order_and_sizes(vlm: Vlm, make_sample: Any) -> None:
    images = [*make_sample(1)["images"], _picture(84, 56), _picture(56, 84)]
    messages = _turns("<image>\n<image> and then\n<image>\nWhich?", "This.")
    row = make_sample(1, images=images, messages=messages)
    sample = _encoded(vlm, row)
    text = vlm.processor.apply_chat_template(conversation(messages, True), tokenize=False)
    pictures = [Image.open(io.BytesIO(image["bytes"])) for image in images]
    expected = vlm.processor(text=[text], images=pictures, return_tensors="np")
    np.testing.assert_array_equal(sample.input_ids, expected["input_ids"][0])
    np.testing.assert_array_equal(sample.image_grid_thw, expected["image_grid_thw"])
    np.testing.assert_array_equal(sample.pixel_values, expected["pixel_values"])


@pytest.mark.parametrize("number", [0, 1], ids=["two-turns", "one-turn"])
def test_labels_decode_to_the_answers_and_their_end(
    vlm: Vlm, make_sample: Any, number: int
) -> None:
    row = make_sample(number)
    runs = _label_runs(_encoded(vlm, row))
    decoded = [vlm.processor.tokenizer.decode(run) for run in runs]
    assert decoded == [answer + "<|im_end|>" for answer in _answers(row)]


@pytest.mark.parametrize("answer", ["\n\nalpha", " B", "B\n", "µV ✓ 脳波", "'s"])
def test_labels_hold_whatever_an_answer_begins_with(
    vlm: Vlm, make_sample: Any, answer: str
) -> None:
    turns = [
        {"role": "system", "content": "You read EEG pages."},
        {"role": "user", "content": "<image>Which?"},
        {"role": "assistant", "content": answer},
    ]
    (run,) = _label_runs(_encoded(vlm, make_sample(1, messages=turns)))
    assert vlm.processor.tokenizer.decode(run) == answer + "<|im_end|>"


def test_prompt_is_tokenised_as_when_the_model_is_asked(vlm: Vlm, make_sample: Any) -> None:
    row = make_sample(1)
    sample = _encoded(vlm, row)
    asked = conversation(row["messages"][:-1], has_image=True)
    text = vlm.processor.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    image = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    prompt = vlm.processor(text=[text], images=[image], return_tensors="np")["input_ids"][0]
    np.testing.assert_array_equal(sample.input_ids[: len(prompt)], prompt)
    assert sample.labels[len(prompt)] != IGNORED
    assert (sample.labels[: len(prompt)] == IGNORED).all()


def test_text_only_row_has_no_pixels(vlm: Vlm, make_sample: Any) -> None:
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    sample = _encoded(vlm, make_sample(1, images=None, messages=turns))
    assert sample.pixel_values is None
    assert not sample.is_image.any()


def _turns(user: str, answer: str | None, role: str = "assistant") -> list[dict[str, Any]]:
    return [{"role": "user", "content": user}, {"role": role, "content": answer}]


def _picture(width: int, height: int, text: str = "") -> dict[str, Any]:
    buffer, info = io.BytesIO(), PngInfo()
    info.add_text("comment", text, zip=True)
    Image.new("RGB", (width, height)).save(buffer, format="PNG", pnginfo=info)
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": None}, "no messages"),
        ({"messages": _turns("<image>a", "b", "tool")}, "unknown role"),
        ({"messages": _turns("<image>a", "")}, "no answer"),
        ({"messages": _turns("<image>a", None)}, "no answer"),
        ({"messages": _turns("<image>a", "b", "user")}, "no answer"),
        ({"messages": _turns("<image>a", "<|im_end|>x")}, "control token in text"),
        ({"messages": _turns("<image>a<|image_pad|>", "b")}, "control token in text"),
        ({"messages": _turns("a", "b")}, "image without placeholder"),
        ({"messages": _turns("<image><image>a", "b")}, "image without placeholder"),
        ({"messages": _turns("a", "b <image>")}, "image without placeholder"),
        ({"images": None}, "placeholder without image"),
        ({"images": [{"bytes": None, "path": "x.png"}]}, "placeholder without image"),
        ({"images": [{"bytes": b"no picture", "path": None}]}, "unreadable image"),
        ({"images": [_picture(56, 56, "x" * 3_000_000)]}, "unreadable image"),
        ({"images": [_picture(2000, 4)]}, "image too elongated"),
    ],
    ids=lambda v: "" if isinstance(v, dict) else v.replace(" ", "-"),
)
def test_unusable_row_is_dropped_with_its_cause(
    vlm: Vlm, make_sample: Any, changes: dict[str, Any], cause: str
) -> None:
    result = Encoder(vlm.processor, LONG)(make_sample(1, **changes))
    assert isinstance(result, Drop)
    assert (result.sample_id, result.cause) == ("train-001", cause)


def test_cut_off_picture_is_dropped(vlm: Vlm, make_sample: Any) -> None:
    whole = make_sample(1)["images"][0]["bytes"]
    row = make_sample(1, images=[{"bytes": whole[: len(whole) // 2], "path": None}])
    result = Encoder(vlm.processor, LONG)(row)
    assert isinstance(result, Drop)
    assert result.cause == "unreadable image"


def test_too_long_row_is_dropped_whole(vlm: Vlm, make_sample: Any) -> None:
    row = make_sample(1)
    length = len(_encoded(vlm, row).input_ids)
    assert len(_encoded(vlm, row, length).input_ids) == length
    result = Encoder(vlm.processor, length - 1)(row)
    assert isinstance(result, Drop)
    assert result.cause == "longer than max_length"
    assert f"{length} tokens" in result.detail


def test_picture_too_large_for_the_limit_has_a_cause_of_its_own(vlm: Vlm, make_sample: Any) -> None:
    result = Encoder(vlm.processor, 12)(make_sample(1))
    assert isinstance(result, Drop)
    assert result.cause == "image longer than max_length"
    assert result.detail == "12 image tokens, max_length 12"


def test_collation_pads_right_and_keeps_every_token(vlm: Vlm, make_sample: Any) -> None:
    samples = [_encoded(vlm, make_sample(i)) for i in (0, 1)]
    batch = collate(samples, 3, Position(0, 2))
    for i, sample in enumerate(samples):
        length = len(sample.input_ids)
        np.testing.assert_array_equal(batch.inputs["input_ids"][i, :length], sample.input_ids)
        np.testing.assert_array_equal(batch.labels[i, :length], sample.labels)
        assert (batch.inputs["input_ids"][i, length:] == 3).all()
        assert (batch.labels[i, length:] == IGNORED).all()
        assert batch.inputs["attention_mask"][i].sum() == length
    assert len(batch.inputs["pixel_values"]) == sum(
        len(s.pixel_values) for s in samples if s.pixel_values is not None
    )
    assert batch.n_tokens == sum(len(s.input_ids) for s in samples)


@pytest.mark.parametrize("n_workers", [0, 1, 4])
def test_batches_keep_order_drops_and_positions(
    vlm: Vlm, make_sample: Any, recipe: Callable[..., Recipe], n_workers: int
) -> None:
    rows = [(Position(0, i + 1), make_sample(i)) for i in range(7)]
    for bad in (1, 6):
        rows[bad][1]["messages"] = []
    made = list(batches(rows, Encoder(vlm.processor, LONG), recipe().stage1, 0, n_workers))
    assert [b.sample_ids for b in made] == [
        ("train-000", "train-002"),
        ("train-003", "train-004"),
        ("train-005",),
    ]
    assert [b.position.row for b in made] == [3, 5, 7]
    assert [[d.sample_id for d in b.drops] for b in made] == [["train-001"], [], ["train-006"]]
    assert [b.is_step_end for b in made] == [False, True, True]
