"""The freeze map against the modules themselves: what one real step moves, and what it must not.

What a part is, is said here by the model's own modules and not by the trainer's table of names.
Weight decay is on, because a decaying optimiser moves a frozen tensor it was handed by mistake even
where no gradient reaches it. Heads are tied as in 3B and apart as in 7B.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.vlm.config import Recipe
from training.vlm.run import StageRequest, run_stage

_PARTS: dict[str, Callable[[Any], Any]] = {
    "tower": lambda model: model.model.visual,
    "merger": lambda model: model.model.visual.merger,
    "language model": lambda model: model.model.language_model,
    "head": lambda model: model.lm_head,
}


def _parts(folder: Path) -> tuple[dict[str, list[Any]], bool]:
    """Load a stored model with plain transformers: its tensors by part, and whether its head is tied."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    parts = {name: list(of(model).parameters()) for name, of in _PARTS.items()}
    mergers = {id(p) for p in parts["merger"]}
    parts["tower"] = [p for p in parts["tower"] if id(p) not in mergers]
    is_tied = model.lm_head.weight is model.get_input_embeddings().weight
    everything = {id(p) for part in parts.values() for p in part}
    assert everything == {id(p) for p in model.parameters()}
    return parts, is_tied


@pytest.mark.parametrize(
    ("stage", "trained"),
    [("stage1", {"merger"}), ("stage2", {"merger", "language model", "head"})],
)
def test_one_step_moves_every_tensor_of_its_parts_and_no_other(
    release: Path,
    base_folder: Path,
    recipe: Callable[..., Recipe],
    tmp_path: Path,
    stage: str,
    trained: set[str],
) -> None:
    one = {"max_steps": 1, "warmup_ratio": 0.0, "weight_decay": 0.1}
    made = recipe(stage1=one, stage2=one)
    request = StageRequest("test", made, stage, release, tmp_path / "out", base_folder)  # type: ignore[arg-type]
    run_stage(request)
    (before, was_tied), (after, is_tied) = _parts(base_folder), _parts(tmp_path / "out")
    assert is_tied == was_tied
    for part, tensors in before.items():
        moved = [not a.equal(b) for a, b in zip(tensors, after[part], strict=True)]
        assert len(moved) > 0
        assert all(moved) if part in trained else not any(moved), part
