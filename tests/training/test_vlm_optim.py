"""Schedule, optimiser state and the loss: against the libraries they imitate."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from training.vlm.batch import Batch, collate
from training.vlm.config import Recipe
from training.vlm.data import Position
from training.vlm.encode import Encoder, Sample
from training.vlm.errors import RecipeError
from training.vlm.loop import answer_loss
from training.vlm.model import Vlm
from training.vlm.optim import (
    Plan,
    build_optimizer,
    optimizer_tensors,
    plan_steps,
    restore_optimizer,
)


@pytest.mark.parametrize(("n_steps", "ratio"), [(1, 0.1), (20, 0.1), (97, 0.0), (50, 1.0)])
def test_schedule_equals_transformers(
    recipe: Callable[..., Recipe], n_steps: int, ratio: float
) -> None:
    import torch
    from transformers import get_cosine_schedule_with_warmup

    stage = recipe(stage1={"max_steps": n_steps, "warmup_ratio": ratio}).stage1
    plan = plan_steps(stage, 10**6)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=stage.lr)
    theirs = get_cosine_schedule_with_warmup(optimizer, plan.warmup_steps, plan.planned_steps)
    for step in range(n_steps):
        assert plan.lr(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-18)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("changes", "n_rows", "plan"),
    [
        ({"max_steps": None, "epochs": 1}, 294, Plan(74, 74, 8, 1e-3)),
        ({"max_steps": None, "epochs": 2}, 8, Plan(4, 4, 1, 1e-3)),
        ({"max_steps": 5, "planned_steps": 100}, 1000, Plan(5, 100, 10, 1e-3)),
        ({"max_steps": 500, "epochs": 1}, 40, Plan(10, 10, 1, 1e-3)),
        ({"max_steps": None, "epochs": 1, "last_batch": "drop"}, 294, Plan(73, 73, 8, 1e-3)),
        ({"max_steps": None, "epochs": 2, "last_batch": "drop"}, 9, Plan(4, 4, 1, 1e-3)),
        ({"max_steps": None, "epochs": 1, "last_batch": "drop"}, 40, Plan(10, 10, 1, 1e-3)),
    ],
    ids=["epoch", "epochs", "stopped-early", "data-ends-first", "drop", "drop-epochs", "drop-none"],
)
def test_plan_states_length_and_schedule(
    recipe: Callable[..., Recipe], changes: dict[str, Any], n_rows: int, plan: Plan
) -> None:
    assert plan_steps(recipe(stage1=changes).stage1, n_rows) == plan


def test_stop_inside_the_warmup_is_said(recipe: Callable[..., Recipe]) -> None:
    plan = plan_steps(recipe(stage1={"max_steps": 5, "planned_steps": 100}).stage1, 1000)
    assert "stops inside the warm-up, at 0.0004" in plan.describe()


def test_schedule_shorter_than_the_run_is_refused(recipe: Callable[..., Recipe]) -> None:
    with pytest.raises(RecipeError, match="planned_steps 3 is below the 6 steps"):
        plan_steps(recipe(stage1={"planned_steps": 3}).stage1, 1000)


def test_batch_that_is_never_full_is_refused_where_it_would_be_dropped(
    recipe: Callable[..., Recipe],
) -> None:
    stage = recipe(stage1={"last_batch": "drop", "epochs": 1}).stage1
    with pytest.raises(RecipeError, match=r"3 samples fill no batch of 4.*last_batch 'keep'"):
        plan_steps(stage, 3)


def _batch(vlm: Vlm, make_sample: Any, numbers: list[int]) -> Batch:
    encode = Encoder(vlm.processor, 512)
    made = [encode(make_sample(i)) for i in numbers]
    return collate([s for s in made if isinstance(s, Sample)], 0, Position())


def test_answer_loss_equals_the_models_own(vlm: Vlm, make_sample: Any) -> None:
    import torch

    batch = _batch(vlm, make_sample, [0, 1, 2])
    with torch.no_grad():
        ours = answer_loss(vlm.model, batch, "cpu") / batch.n_label_tokens
        theirs = vlm.model(**batch.inputs, labels=batch.labels).loss
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_split_batch_sums_to_the_gradient_of_the_whole(vlm: Vlm, make_sample: Any) -> None:
    import torch

    whole, parts = copy.deepcopy(vlm.model), copy.deepcopy(vlm.model)
    for model in (whole, parts):
        model.requires_grad_(True)
    answer_loss(whole, _batch(vlm, make_sample, [0, 1, 2]), "cpu").backward()
    for numbers in ([0], [1, 2]):
        answer_loss(parts, _batch(vlm, make_sample, numbers), "cpu").backward()
    for (name, one), two in zip(whole.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-4, msg=name)


def test_weight_decay_spares_vectors(recipe: Callable[..., Recipe]) -> None:
    import torch

    tensors = {"w": torch.nn.Parameter(torch.ones(2, 2)), "b": torch.nn.Parameter(torch.ones(2))}
    optimizer = build_optimizer(tensors, recipe(stage1={"weight_decay": 0.5}).stage1)
    for parameter in tensors.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert (tensors["w"] < 1).all()
    assert (tensors["b"] == 1).all()


def test_optimiser_state_comes_back_by_name(recipe: Callable[..., Recipe]) -> None:
    import torch

    stage = recipe().stage1

    def step(tensors: dict[str, Any], optimizer: Any, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in tensors.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()

    one = {n: torch.nn.Parameter(torch.ones(3, 2)) for n in ("x", "y")}
    first = build_optimizer(one, stage)
    step(one, first, 1)
    stored = {k: v.clone() for k, v in optimizer_tensors(first, one).items()}
    assert sorted(stored) == sorted(
        f"{m}/{n}" for m in ("exp_avg", "exp_avg_sq", "step") for n in one
    )

    two = {n: torch.nn.Parameter(p.detach().clone()) for n, p in reversed(one.items())}
    second = build_optimizer(two, stage)
    restore_optimizer(second, two, stored.items())
    step(one, first, 2)
    step({n: two[n] for n in one}, second, 2)
    for name in one:
        assert torch.equal(one[name], two[name])
