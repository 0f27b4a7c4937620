"""Choosing by the words of options: likelihoods are those of the words, the likeliest is taken."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.asking.answers import Item, parse_letter
from benchmark.asking.option_words import ChoosesByWords

Rows = Callable[[str], list[dict[str, Any]]]
Pages = Callable[[Sequence[Item]], dict[str, bytes]]


def test_the_option_whose_words_are_likeliest_is_chosen(
    tiny_vlm: Path, rows_of: Rows, pages_of: Pages
) -> None:
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    items = [Item.from_row(row) for row in rows_of("mcq")[:5]]
    pages = pages_of(items)
    shown = [pages[item.item_id] if n else None for n, item in enumerate(items)]
    replies = ChoosesByWords(tiny_vlm, batch_size=3, device="cpu").answer(items, shown)
    model = AutoModelForImageTextToText.from_pretrained(tiny_vlm, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tiny_vlm)
    for item, page, reply in zip(items, shown, replies, strict=True):
        picture = "" if page is None else "<|vision_start|><|image_pad|><|vision_end|>"
        asked = (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
            f"{picture}{item.prompt}<|im_end|>\n<|im_start|>assistant\n"
        )
        images = None if page is None else [Image.open(io.BytesIO(page)).convert("RGB")]
        n_asked = processor(text=[asked], images=images, return_tensors="pt")["input_ids"].shape[1]
        expected = []
        for option in item.options:
            text = f"{asked}{option}<|im_end|>"
            inputs = processor(text=[text], images=images, return_tensors="pt")
            with torch.inference_mode():
                logprobs = model(**inputs).logits[0].log_softmax(-1)
            said = inputs["input_ids"][0]
            at = range(n_asked, len(said))
            expected.append(sum(float(logprobs[k - 1, said[k]]) for k in at))
        assert reply.option_logprobs == pytest.approx(expected, abs=1e-3)
        assert "ABCD".index(reply.output) == expected.index(max(expected))
        assert parse_letter(reply.output, item.options) == reply.output
