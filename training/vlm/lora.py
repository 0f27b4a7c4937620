"""Low-rank adapters: small trained matrices beside frozen layers, for GPUs a full stage does not fit.

A stage with a ``lora`` block freezes the named parts and trains two thin matrices beside each of
their linear layers (Hu et al. 2021), put in place by PEFT inside the model, so that the loop, the
checkpoints and the freeze map see them as tensors like any other. Here they are attached, merged
into the layers they sit beside, or taken out to be stored. Which whole parts a stage trains is in
:mod:`training.vlm.freeze`; the finished folder, in :mod:`training.vlm.output`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.vlm.errors import MachineError, RecipeError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""PEFT's names: ``transformers`` finds adapters by the first beside a model's ``config.json``."""

LAYERS: Mapping[str, tuple[str, ...]] = {
    "vision_tower": ("qkv", "proj", "gate_proj", "up_proj", "down_proj"),
    "merger": ("mlp.0", "mlp.2"),
    "language_model": (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ),
    "head": ("lm_head",),
}  # fmt: skip
"""Linear layers of Qwen2.5-VL that take adapters, by part."""

_WHERE: Mapping[str, str] = {
    # the tower's feed-forward layers are called like the language model's, so names alone mix them
    "vision_tower": r"model\.visual\.blocks\.\d+\.\w+\.",
    "merger": r"model\.visual\.merger\.",
    "language_model": r"model\.language_model\.layers\.\d+\.\w+\.",
    "head": "",
}
_NAME = "default"
_ADAPTER = re.compile(rf"\.lora_[AB]\.{_NAME}\.")


class LoraConfig(BaseModel):
    """Adapters of a stage.

    Parameters
    ----------
    rank
        Inner width of the two matrices.
    alpha
        Their product is scaled by ``alpha / rank``.
    dropout
        Share of an adapter's inputs dropped while training.
    targets
        Layers that get one, by component; the layers of :data:`LAYERS`.
    output
        ``merged``: the finished model holds the sums and needs nothing else. ``adapters``: the
        frozen weights stay as they were and the adapters lie beside them as PEFT safetensors.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0, le=4096, strict=False)
    dropout: float = Field(default=0.0, ge=0, lt=1, strict=False)
    targets: dict[str, list[str]] = Field(
        default_factory=lambda: {"language_model": list(LAYERS["language_model"])}, min_length=1
    )
    output: Literal["merged", "adapters"] = "merged"

    @field_validator("targets")
    @classmethod
    def _check_targets(cls, targets: dict[str, list[str]]) -> dict[str, list[str]]:
        for component, layers in targets.items():
            if component not in LAYERS:
                raise ValueError(f"{component!r} is no component; adapters fit {', '.join(LAYERS)}")
            wrong = sorted(set(layers) - set(LAYERS[component]))
            if wrong or not layers:
                raise ValueError(
                    f"{component} has no layers {wrong}; name some of "
                    f"{', '.join(LAYERS[component])}"
                )
        return targets

    @property
    def pattern(self) -> str:
        """Regular expression that matches the whole name of each targeted layer, and no other."""
        parts = [
            _WHERE[component] + "(?:" + "|".join(re.escape(n) for n in sorted(set(layers))) + ")"
            for component, layers in sorted(self.targets.items())
        ]
        return "|".join(f"(?:{part})" for part in parts)

    def describe(self, component: str) -> str:
        """Return what a part is given, in a few words."""
        layers = ", ".join(n for n in LAYERS[component] if n in self.targets[component])
        return f"LoRA rank {self.rank}, alpha {self.alpha:g}, on {layers}"


def is_adapter(name: str) -> bool:
    """Whether a tensor of this name belongs to an adapter."""
    return _ADAPTER.search(name) is not None


def attach_adapters(model: Any, lora: LoraConfig, seed: int) -> None:
    """Put fresh adapters beside the targeted layers.

    They begin as nothing: the second matrix is zero. The same seed gives the same first matrices
    and, with ``dropout``, the same draws on the same machine: torch's random state is left seeded.

    Raises
    ------
    RecipeError
        If the head is targeted and is the embedding matrix.
    MachineError
        If PEFT is not installed.
    """
    import torch

    if "head" in lora.targets and (
        model.lm_head.weight is model.model.language_model.embed_tokens.weight
    ):
        raise RecipeError(
            "lora.targets: the head of this model is tied to the embeddings, so an adapter beside "
            "it could not be merged; leave 'head' out"
        )
    try:
        from peft import LoraConfig as PeftConfig
        from peft import inject_adapter_in_model
    except ImportError as error:
        raise MachineError(
            "a stage with lora needs the package 'peft'; install the extra 'train'"
        ) from error
    torch.manual_seed(seed)
    settings = PeftConfig(
        r=lora.rank,
        # a whole alpha stays a whole number in the stored config, as every reader of it expects
        lora_alpha=int(lora.alpha) if lora.alpha.is_integer() else lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.pattern,
    )
    inject_adapter_in_model(settings, model, _NAME)


def merge_adapters(model: Any) -> int:
    """Add every adapter to the layer beside it and leave the plain layers.

    Returns
    -------
    int
        Layers merged.
    """
    found = list(_adapted(model))
    for parent, name, layer in found:
        layer.merge(safe_merge=True)
        setattr(parent, name, layer.get_base_layer())
    _forget(model)
    return len(found)


def take_adapters(model: Any, folder: Path) -> None:
    """Store the adapters as PEFT does and leave the plain layers as they were before training."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    settings = model.peft_config[_NAME]
    tensors = get_peft_model_state_dict(model, adapter_name=_NAME)
    stored = {f"base_model.model.{k}": t.detach().contiguous() for k, t in tensors.items()}
    save_file(stored, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    settings.inference_mode = True
    settings.save_pretrained(folder)
    for parent, name, layer in list(_adapted(model)):
        setattr(parent, name, layer.get_base_layer())
    _forget(model)


def _adapted(model: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield ``(parent, name in it, layer)`` of every layer with an adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in model.named_modules():
        if isinstance(layer, BaseTunerLayer):
            parent, _, leaf = name.rpartition(".")
            yield model.get_submodule(parent), leaf, layer


def _forget(model: Any) -> None:
    """Take PEFT's marks off the model: ``transformers`` would store adapters alone."""
    if hasattr(model, "peft_config"):
        del model.peft_config
    model._hf_peft_config_loaded = False
