"""The loop against TRL's SFTTrainer: the same tiny model and data give the same loss curve.

The model, its processor, the rendered prompts and the order of rows are shared. With ``theirs``, TRL
rescales, tokenises, pads and labels by its own collator, one batch a step. With ``ours`` it trains on this
trainer's batches, which hold answers of several turns that its own collator cannot label on this
chat template, two a step; transformers marks Qwen2.5-VL as averaging the means of those two, and is
told here to average over the step's tokens, which is what this trainer does.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.vlm.batch import collate
from training.vlm.config import Recipe, StageConfig
from training.vlm.data import Position, open_dataset
from training.vlm.encode import Encoder, Sample, conversation
from training.vlm.freeze import apply_freeze_map
from training.vlm.model import load_model
from training.vlm.run import StageRequest, run_stage
from training.vlm.tokenizer import END_OF_TURN, PAD

N_STEPS = 20
TOLERANCE = 1e-4
"""Largest difference of a step's loss, nats per answer token."""

SETTINGS: dict[str, Any] = {
    "max_steps": N_STEPS,
    "epochs": 99,
    "lr": 2e-3,
    "warmup_ratio": 0.1,
    "weight_decay": 0.01,
    # the norm is about 0.03 where the projector alone is trained: clipping acts in either stage
    "max_grad_norm": 0.02,
    "max_length": 512,
    "shuffle_rows": 8,
}

_STEP = {
    "ours": {"micro_batch": 2, "accumulation": 2},
    "theirs": {"micro_batch": 4, "accumulation": 1},
}


@pytest.mark.heavy
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
@pytest.mark.parametrize("collator", ["ours", "theirs"])
def test_loss_curve_equals_trls(
    write: Callable[..., Path],
    make_sample: Callable[..., dict[str, Any]],
    base_folder: Path,
    recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    collator: str,
    stage: str,
) -> None:
    # TRL reports its use to the hub unless it believes itself in CI
    monkeypatch.setenv("CI", "true")
    rows = [make_sample(i) for i in range(24)]
    if collator == "theirs":
        rows = [row | {"messages": row["messages"][:2]} for row in rows]
    data = write(tmp_path / "data", rows)
    settings = SETTINGS | _STEP[collator]
    made = recipe(stage1=settings, stage2=settings)
    request = StageRequest("test", made, stage, data, tmp_path / "out", base_folder)  # type: ignore[arg-type]
    mine = run_stage(request).losses
    theirs = _trl_losses(request, base_folder, tmp_path / "trl", collator)
    assert len(theirs) == N_STEPS
    assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) < TOLERANCE
    # the curve must have somewhere to differ: a run that learnt nothing would agree with anything
    assert abs(mine[0] - mine[-1]) > 20 * TOLERANCE


def _trl_losses(request: StageRequest, base: Path, folder: Path, collator: str) -> list[float]:
    """Train the stage with TRL and return the loss of every optimiser step."""
    from datasets import Dataset
    from trl import SFTTrainer

    config = request.config
    vlm = load_model(base, request.recipe.image, "oracle")
    apply_freeze_map(vlm.model, config.train)
    data = open_dataset(request.dataset, "train")
    order = data.rows(config.seed, config.shuffle_rows, Position(), config.epochs)
    rows = [row for _, row in islice(order, N_STEPS * config.effective_batch)]
    encode = Encoder(vlm.processor, config.max_length)
    pad_id = vlm.processor.tokenizer.convert_tokens_to_ids(PAD)

    def collate_ours(examples: list[dict[str, Any]]) -> dict[str, Any]:
        samples = [encode(rows[example["number"]]) for example in examples]
        batch = collate([s for s in samples if isinstance(s, Sample)], pad_id, Position())
        return batch.inputs | {"labels": batch.labels}

    losses: list[float] = []

    class Recorder(SFTTrainer):  # type: ignore[misc, valid-type]
        """Keeps every micro-batch's share of its step's loss, unrounded."""

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            losses.append(float(loss))
            return loss

    trainer = Recorder(
        model=vlm.model,
        args=_settings(config, folder),
        train_dataset=Dataset.from_list(
            [_example(vlm.processor, i, r) for i, r in enumerate(rows)]
        ),
        processing_class=vlm.processor,
        data_collator=collate_ours if collator == "ours" else None,
    )
    trainer.model_accepts_loss_kwargs = collator == "ours"
    trainer.train()
    n = config.accumulation
    return [sum(losses[i : i + n]) for i in range(0, len(losses), n)]


def _settings(config: StageConfig, folder: Path) -> Any:
    """The stage's hyper-parameters in TRL's words."""
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(folder),
        max_steps=N_STEPS,
        per_device_train_batch_size=config.micro_batch,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.lr,
        lr_scheduler_type="cosine",
        warmup_steps=int(N_STEPS * config.warmup_ratio),
        weight_decay=config.weight_decay,
        adam_beta1=config.betas[0],
        adam_beta2=config.betas[1],
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch",
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        max_length=None,
        pad_to_multiple_of=None,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        seed=config.seed,
    )


def _example(processor: Any, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """A row in TRL's prompt-and-completion form."""
    turns = conversation(row["messages"][:1], has_image=True)
    prompt = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return {
        "number": number,
        "images": [Image.open(io.BytesIO(i["bytes"])).copy() for i in row["images"]],
        "prompt": prompt,
        "completion": row["messages"][1]["content"] + END_OF_TURN,
    }
