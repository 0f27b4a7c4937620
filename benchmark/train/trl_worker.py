"""TRL's ``SFTTrainer`` on a model folder and a release, timed; started by ``train.bench``.

``python -m benchmark.train.trl_worker --model DIR --dataset DIR --micro-batch 8 --steps 15`` prints one
JSON object. The model is trained as stage 2 trains it: everything but the vision tower, in fp32.
Rows are given in TRL's prompt-and-completion form, the last answer being the completion, so
TRL's own collator pads them and sets the labels.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.memory import peak_rss_mb

PLACEHOLDER = "<image>"
END_OF_TURN = "<|im_end|>"
N_WORKERS = 2
"""Processes that prepare batches; the recipe ``tiny`` has as many threads."""
SHIM = "training.torchvision_shim"
FROZEN, TRAINED_WITHIN = "model.visual.", "model.visual.merger."


def main(arguments: Sequence[str]) -> int:
    """Train, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.train.trl_worker")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--micro-batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args(arguments)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # named, not imported: the shim lives on this floor and rooms of one floor do not import
    importlib.import_module(SHIM).install()
    figures = measure(options.model, options.dataset, options.micro_batch, options.steps)
    sys.stdout.write("\n" + json.dumps(figures) + "\n")
    return 0


def measure(folder: Path, dataset: Path, micro_batch: int, steps: int) -> dict[str, Any]:
    """Train for some steps and return the fields of a ``TrainRate``."""
    import torch
    from datasets import Dataset
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor
    from trl import SFTConfig, SFTTrainer

    # the other systems leave the cores of their decoders alone; so does this one
    n_cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, min(torch.get_num_threads(), n_cores - N_WORKERS)))
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN) or name.startswith(TRAINED_WITHIN))
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    rows = _rows(dataset, micro_batch * steps)
    counts: list[tuple[float, int, int, int]] = []

    class Timed(SFTTrainer):
        """Notes the clock and the tokens of every step."""

        def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **kw: Any) -> Any:
            mask, labels = inputs["attention_mask"], inputs["labels"]
            count = (int(mask.sum()), int((labels != -100).sum()), mask.numel())
            loss = super().training_step(model, inputs, *rest, **kw)
            counts.append((time.perf_counter(), *count))
            return loss

    trainer = Timed(
        model=model,
        args=_config(SFTConfig, folder, micro_batch, steps),
        train_dataset=Dataset.from_list([_example(processor, row) for row in rows]),
        processing_class=processor,
    )
    trainer.train()
    return _figures(counts)


def _figures(counts: Sequence[tuple[float, int, int, int]]) -> dict[str, Any]:
    """Return rates over every step but the first, from the end of one to the end of the next."""
    seconds = counts[-1][0] - counts[0][0]
    n_tokens, n_labels, n_slots = (sum(c[i] for c in counts[1:]) for i in (1, 2, 3))
    return {
        "tokens_per_s": n_tokens / seconds,
        "label_tokens_per_s": n_labels / seconds,
        "padded_share": 1 - n_tokens / n_slots,
        "data_wait_share": None,
        "tflops_per_s": None,
        "mfu": None,
        "memory_mb": peak_rss_mb(),
    }


def _config(make: Any, folder: Path, micro_batch: int, steps: int) -> Any:
    import torch

    return make(
        output_dir=str(folder / "trl"),
        max_steps=steps,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=1,
        optim="adamw_torch",
        train_sampling_strategy="sequential",
        max_length=None,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_num_workers=N_WORKERS,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )


def _rows(dataset: Path, n: int) -> list[dict[str, Any]]:
    """Return training rows spread over the whole release, repeated where there are too few."""
    import polars as pl

    found = pl.concat(
        pl.read_parquet(path, columns=["images", "messages", "split"])
        for path in sorted(dataset.rglob("*.parquet"))
    ).filter(pl.col("split") == "train")
    order = found.sample(fraction=1.0, shuffle=True, seed=0).to_dicts()
    return [order[i % len(order)] for i in range(n)]


def _example(processor: Any, row: dict[str, Any]) -> dict[str, Any]:
    from PIL import Image

    *asked, answer = row["messages"]
    turns = [_turn(message) for message in asked]
    prompt = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    pictures = [Image.open(io.BytesIO(image["bytes"])).copy() for image in row["images"] or ()]
    return {
        "images": pictures,
        "prompt": prompt,
        "completion": answer["content"] + END_OF_TURN,
    }


def _turn(message: dict[str, str]) -> dict[str, Any]:
    """Return a message with its placeholders as the picture parts a chat template reads."""
    content = message["content"]
    if PLACEHOLDER not in content:
        return {"role": message["role"], "content": content}
    parts: list[dict[str, str]] = []
    for number, text in enumerate(content.split(PLACEHOLDER)):
        parts += [{"type": "image"}] if number else []
        parts += [{"type": "text", "text": text.strip()}] if text.strip() else []
    return {"role": message["role"], "content": parts}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
