"""Which tensors a stage trains: the freeze map by named component, adapters told apart.

Qwen2.5-VL has four parts. The projector, ``merger``, lies *inside* the vision tower's module, so
freezing by module catches it by accident; here every tensor belongs to exactly one part by its
name. Freezing acts on parameters: setting an attribute on a module does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from training.vlm.config import Component
from training.vlm.errors import ModelError, RecipeError
from training.vlm.lora import is_adapter

COMPONENTS: tuple[Component, ...] = get_args(Component)

_PREFIXES: tuple[tuple[str, Component], ...] = (
    # the longer prefix first: the merger's tensors begin like the tower's
    ("model.visual.merger.", "merger"),
    ("model.visual.", "vision_tower"),
    ("model.language_model.", "language_model"),
    ("lm_head.", "head"),
)


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """One line of the printed freeze map.

    Parameters
    ----------
    component
        The part.
    n_tensors, n_parameters, is_trained
        Its own tensors, adapters left out, and whether they are trained.
    note
        What a reader would not expect.
    n_adapter_tensors, n_adapter_parameters
        Its adapters, which are always trained.
    """

    component: Component
    n_tensors: int
    n_parameters: int
    is_trained: bool
    note: str = ""
    n_adapter_tensors: int = 0
    n_adapter_parameters: int = 0

    @property
    def trained(self) -> str:
        """What of it is trained, in a word."""
        if self.is_trained:
            return "yes"
        return "adapters" if self.n_adapter_tensors else "no"


def component_of(name: str) -> Component:
    """Return the part a tensor belongs to.

    Raises
    ------
    ModelError
        If the name is of no known part: the architecture is not the one this map is for.
    """
    for prefix, component in _PREFIXES:
        if name.startswith(prefix):
            return component
    raise ModelError(f"tensor {name!r} belongs to no known part of a Qwen2.5-VL")


def is_head_tied(model: Any) -> bool:
    """Whether the output head is the input embedding matrix."""
    return model.lm_head.weight is model.model.language_model.embed_tokens.weight


def apply_freeze_map(model: Any, trained: Sequence[Component]) -> tuple[ComponentRow, ...]:
    """Freeze every part but those named and every adapter, and return the map.

    Raises
    ------
    RecipeError
        If a tied head is to be trained apart from the language model, or the reverse.
    """
    is_tied = is_head_tied(model)
    if is_tied and "head" in trained and "language_model" not in trained:
        raise RecipeError(
            "train: the head of this model is tied to the embeddings of the language model; "
            "name both or neither"
        )
    own = {c: [0, 0] for c in COMPONENTS}
    adapters = {c: [0, 0] for c in COMPONENTS}
    for name, parameter in model.named_parameters():
        component = component_of(name)
        parameter.requires_grad_(component in trained or is_adapter(name))
        count = (adapters if is_adapter(name) else own)[component]
        count[0] += 1
        count[1] += parameter.numel()
    is_trained = {c: c in trained for c in COMPONENTS}
    notes = dict.fromkeys(COMPONENTS, "")
    if is_tied:
        is_trained["head"] = is_trained["language_model"]
        notes["head"] = "tied: the embeddings of the language model"
    notes |= {c: f"{n[1]:,} in {n[0]} adapter tensors" for c, n in adapters.items() if n[0]}
    return tuple(
        ComponentRow(
            c, own[c][0], own[c][1], is_trained[c], notes[c], adapters[c][0], adapters[c][1]
        )
        for c in COMPONENTS
    )


def freeze_table(rows: Sequence[ComponentRow]) -> str:
    """Return the freeze map as a Markdown table."""
    head = ("component", "tensors", "parameters", "trained", "note")
    body = [(r.component, str(r.n_tensors), f"{r.n_parameters:,}", r.trained, r.note) for r in rows]
    width = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
    lines = [_line(head, width), "| " + " | ".join("-" * w for w in width) + " |"]
    return "\n".join(lines + [_line(row, width) for row in body])


def trained_parameters(model: Any) -> dict[str, Any]:
    """Return the tensors that are trained, by name, each once."""
    return {n: p for n, p in model.named_parameters() if p.requires_grad}


def _line(cells: Sequence[str], width: Sequence[int]) -> str:
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, width, strict=True)) + " |"
