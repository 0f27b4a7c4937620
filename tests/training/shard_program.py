"""Compares a split model with a whole one; ``torchrun`` starts it as two processes.

The path of a GPU on a processor: bf16 autocast, frozen weights in bf16, each layer gathered when
needed. Prints a line of JSON per way of training. Argument: a release folder.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

from tests.training.conftest import sample, tiny_recipe
from training.vlm.batch import Batch, collate
from training.vlm.config import BuiltModel, Component
from training.vlm.data import Position, open_dataset
from training.vlm.encode import Encoder, Sample
from training.vlm.freeze import apply_freeze_map, trained_parameters
from training.vlm.loop import answer_loss
from training.vlm.lora import LoraConfig, attach_adapters
from training.vlm.model import Vlm, build_model
from training.vlm.parallel import Team, joined
from training.vlm.prepare import place
from training.vlm.shard import whole_tensors
from training.vlm.tokenizer import PAD

EVERYTHING: list[Component] = ["vision_tower", "merger", "language_model", "head"]
CASES: dict[str, tuple[list[Component], LoraConfig | None, bool]] = {
    "projector": (["merger"], None, False),
    "everything": (EVERYTHING, None, False),
    "checkpointed": (EVERYTHING[1:], None, True),
    "frozen-head": (["language_model", "merger"], None, False),
    "adapters": (["merger"], LoraConfig(rank=4), True),
}


def _gradients(
    model: Any, config: Any, batches: list[Batch], is_split: bool
) -> tuple[float, dict[str, Any]]:
    import torch

    score = place(model, config, "cpu", lambda b: answer_loss(model, b, "cpu"), is_split)
    total = 0.0
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=not is_split):
            loss = score(batch)
        loss.backward()
        total += loss.item()
    held = trained_parameters(model).items()
    return total, whole_tensors({n: p.grad for n, p in held if p.grad is not None}, is_kept=True)


def compare(team: Team, built: Vlm, name: str) -> dict[str, Any]:
    """Train one sample on each process, and both on each, and compare."""
    train, lora, is_checkpointing = CASES[name]
    whole = copy.deepcopy(built.model)
    if lora:
        attach_adapters(whole, lora, 0)
    apply_freeze_map(whole, train)
    split = copy.deepcopy(whole)
    changes = {"train": train, "precision": "bf16", "is_checkpointing_gradients": is_checkpointing}
    config = tiny_recipe().stage1.model_copy(update=changes)
    encode = Encoder(built.processor, 512)
    tokenizer = built.processor.tokenizer
    pad_id = tokenizer.convert_tokens_to_ids(PAD)
    samples = [encode(sample(number)) for number in (1, 2)]
    assert all(isinstance(s, Sample) for s in samples)
    batches = [collate([s], pad_id, Position()) for s in samples]  # type: ignore[list-item]
    loss, found = _gradients(split, config, [batches[team.rank]], True)
    expected_loss, expected = _gradients(whole, config, batches, False)
    n_here = sum(p.to_local().numel() for p in split.parameters())
    distance = sum(float((found[n] - g).norm() ** 2) for n, g in expected.items()) ** 0.5
    return {
        "name": name,
        "loss": sum(team.gather(loss)),
        "expected_loss": expected_loss,
        "has_same_gradients": found.keys() == expected.keys(),
        "gradient_error": distance / sum(float(g.norm() ** 2) for g in expected.values()) ** 0.5,
        "share_held": n_here / sum(p.numel() for p in split.parameters()),
        "types": sorted({str(p.dtype) for p in split.parameters()}),
    }


def main(release: Path) -> None:
    """Compare every case; the first process prints."""
    with joined() as team:
        recipe = tiny_recipe(model={"is_head_tied": False})
        assert isinstance(recipe.model, BuiltModel)
        texts = open_dataset(release, "train").texts()
        built = build_model(recipe.model, recipe.image, texts)
        for name in CASES:
            outcome = compare(team, built, name)
            if team.is_first:
                sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
