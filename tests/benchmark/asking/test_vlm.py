"""A model folder asked through transformers: batches change nothing, log-probabilities are its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.asking.answers import Item, Reply
from benchmark.asking.ask import ask
from benchmark.asking.vlm import TransformersVlm
from benchmark.errors import BenchmarkError
from benchmark.tasks.task import TASKS

Rows = Callable[[str], list[dict[str, Any]]]
Pages = Callable[[Sequence[Item]], dict[str, bytes]]


@pytest.fixture(scope="module")
def items(rows_of: Rows) -> list[Item]:
    return [Item.from_row(row) for row in rows_of("mcq")[:7]]


@pytest.fixture(scope="module")
def replies(tiny_vlm: Path, items: list[Item], pages_of: Pages) -> list[Reply]:
    pages = pages_of(items)
    model = TransformersVlm(tiny_vlm, max_new_tokens=6, device="cpu")
    return model.answer(items, [pages[i.item_id] for i in items])


def test_batches_of_any_size_give_the_same_answers(
    tiny_vlm: Path, items: list[Item], pages_of: Pages, replies: list[Reply]
) -> None:
    pages = pages_of(items)
    single = TransformersVlm(tiny_vlm, max_new_tokens=6, batch_size=1, device="cpu")
    alone = single.answer(items, [pages[i.item_id] for i in items])
    assert [r.output for r in alone] == [r.output for r in replies]
    for one, other in zip(alone, replies, strict=True):
        assert one.option_logprobs == pytest.approx(other.option_logprobs, abs=1e-4)


def test_log_probabilities_are_those_of_one_plain_forward_pass(
    tiny_vlm: Path, items: list[Item], pages_of: Pages, replies: list[Reply]
) -> None:
    import io

    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(tiny_vlm, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tiny_vlm)
    item = items[0]
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        f"<|vision_start|><|image_pad|><|vision_end|>{item.prompt}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    page = Image.open(io.BytesIO(pages_of(items)[item.item_id])).convert("RGB")
    inputs = processor(text=[text], images=[page], return_tensors="pt")
    with torch.inference_mode():
        logprobs = model(**inputs).logits[0, -1].log_softmax(-1)
    ids = [processor.tokenizer.convert_tokens_to_ids(x) for x in "ABCD"[: len(item.options)]]
    assert replies[0].option_logprobs == pytest.approx(logprobs[ids].tolist(), abs=1e-4)


def test_items_with_and_without_a_page_may_be_mixed(
    tiny_vlm: Path, items: list[Item], pages_of: Pages, replies: list[Reply]
) -> None:
    pages = pages_of(items)
    shown = [pages[item.item_id] if n % 2 else None for n, item in enumerate(items)]
    mixed = TransformersVlm(tiny_vlm, max_new_tokens=6, device="cpu").answer(items, shown)
    for n, (one, other) in enumerate(zip(mixed, replies, strict=True)):
        is_same = one.option_logprobs == pytest.approx(other.option_logprobs, abs=1e-4)
        assert is_same == bool(n % 2)


def test_asking_twice_gives_the_same_rows(
    tiny_vlm: Path, items: list[Item], pages_of: Pages
) -> None:
    model = TransformersVlm(tiny_vlm, name="tiny", max_new_tokens=4, device="cpu")
    first, second = (
        ask(model, TASKS["mcq"], items[:3], pages_of(items), controls=("none", "blank"))
        for _ in range(2)
    )
    assert first == second
    assert {row["model"] for row in first} == {"tiny"}


def test_an_open_task_has_no_option_log_probabilities(
    tiny_vlm: Path, rows_of: Rows, pages_of: Pages
) -> None:
    item = Item.from_row(rows_of("caption")[0])
    model = TransformersVlm(tiny_vlm, max_new_tokens=2, device="cpu")
    (reply,) = model.answer([item], [pages_of([item])[item.item_id]])
    assert reply.option_logprobs == ()


def test_a_broken_page_is_told(tiny_vlm: Path, items: list[Item]) -> None:
    model = TransformersVlm(tiny_vlm, max_new_tokens=2, device="cpu")
    with pytest.raises(BenchmarkError, match="no picture"):
        model.answer(items[:1], [b"nothing"])


def _without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _another_architecture(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def _truncated(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _deeper_than_its_weights(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] += 1
    config["text_config"]["layer_types"] = None
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, "is not a folder"),
        (_without_config, "no config.json"),
        (_without_weights, "no weights"),
        (_pickled, "only pickled weights"),
        (_another_architecture, "cannot be loaded"),
        (_truncated, "cannot be loaded"),
        (_deeper_than_its_weights, "lacks .* tensors"),
    ],
)
def test_a_folder_that_is_no_model_is_told_in_one_sentence(
    tiny_vlm: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = shutil.copytree(tiny_vlm, tmp_path / "model")
    spoil(folder)
    with pytest.raises(BenchmarkError, match=said):
        TransformersVlm(folder, device="cpu")
