"""Floating-point operations of a training step, vision included, and their share of the peak.

Counted is what the model needs for the samples it is given: no padding, no recomputation of
checkpointed activations, no optimiser. This is the model FLOPs utilisation of PaLM (Chowdhery et
al. 2022, appendix B), extended to a vision tower with window and full attention and to frozen
parts. A test holds the forward count equal to torch's own counter.

A matrix product of ``(m, k)`` by ``(k, n)`` is ``2 m k n``. Forward, for a picture of P patches in
T = P / 4 tokens and a sample of L tokens, N of them loss-bearing::

    patches     2 P 1176 v
    tower       depth x (2 P (4 v^2 + 3 v i) + 4 v sum(s^2))   s: patches of each attention segment,
                                                               windows or, in full layers, frames
    merger      2 T ((4 v)^2 + 4 v d)
    language    layers x (2 L (d q + 2 d k + q d + 3 d j) + 2 q L^2)   causal: half of 4 q L^2
    head        2 N d V                                        only loss-bearing positions pass it

with v, i width and inner width of the tower, d, j those of the language model, q and k its query
and key widths, V its vocabulary. Norms, activations and rotations are left out, as there.

Backward, of a product with a weight: as much again for its input's gradient where anything before
it is trained, and as much again for the weight's own where it is trained. Of an attention product,
which has no weight: twice the forward where a gradient passes. The merger begins with a norm that is
trained with it, so a gradient passes all of it. A part with adapters passes gradients and has none
of its own; the adapters' thin products, about rank / width of a layer's, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.vlm.base_config import PATCH_PX, PATCH_VALUES
from training.vlm.batch import Batch
from training.vlm.config import Component
from training.vlm.freeze import is_head_tied
from training.vlm.packing import MERGE

PEAK_BF16_FLOPS = {
    "B200": 2250e12,
    "GH200": 989e12,
    "H200 NVL": 835e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}
"""Dense bf16 peak by whole words of the device's name, per second [NVIDIA data sheets, without
sparsity]. The first name found counts, so longer ones stand before those they contain."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Operations of a forward pass, by part."""

    patches: float
    tower: float
    tower_attention: float
    merger: float
    language: float
    language_attention: float
    head: float

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return (
            self.patches
            + self.tower
            + self.tower_attention
            + self.merger
            + self.language
            + self.language_attention
            + self.head
        )


class FlopCounter:
    """Counts the operations of a model's steps.

    Parameters
    ----------
    model
        ``Qwen2_5_VLForConditionalGeneration``; its shapes are read, and whether its head is tied.
    trained
        Parts that are trained.
    adapted
        Parts with adapters.
    """

    def __init__(
        self, model: Any, trained: Sequence[Component], adapted: Sequence[str] = ()
    ) -> None:
        self._adapted = frozenset(adapted)
        self._vision = model.config.vision_config
        self._text = model.config.text_config
        self._trained = frozenset(trained)
        self._is_head_trained = "head" in trained or (
            is_head_tied(model) and "language_model" in trained
        )

    def forward(
        self, lengths: Sequence[int], grids: Sequence[tuple[int, int, int]], n_label_tokens: int
    ) -> Forward:
        """Return the operations of a forward pass.

        Parameters
        ----------
        lengths
            Tokens of every sample.
        grids
            Patches of every picture along time, height and width.
        n_label_tokens
            Tokens that carry loss.
        """
        v, i, depth = self._vision.hidden_size, self._vision.intermediate_size, self._vision.depth
        d, j = self._text.hidden_size, self._text.intermediate_size
        head = getattr(self._text, "head_dim", None) or d // self._text.num_attention_heads
        q, k = head * self._text.num_attention_heads, head * self._text.num_key_value_heads
        layers = self._text.num_hidden_layers
        n_patches = sum(t * h * w for t, h, w in grids)
        n_full = sum(1 for n in self._vision.fullatt_block_indexes if n < depth)
        full = sum(t * (h * w) ** 2 for t, h, w in grids)
        windows = sum(t * self._window_squares(h, w) for t, h, w in grids)
        n_merged, wide = n_patches / MERGE**2, v * MERGE**2
        length = sum(lengths)
        return Forward(
            patches=2 * n_patches * PATCH_VALUES * v,
            tower=2 * n_patches * depth * (4 * v * v + 3 * v * i),
            tower_attention=4 * v * (n_full * full + (depth - n_full) * windows),
            merger=2 * n_merged * wide * (wide + d),
            language=layers * 2 * length * (2 * d * q + 2 * d * k + 3 * d * j),
            language_attention=layers * 2 * q * sum(n * n for n in lengths),
            head=2 * n_label_tokens * d * self._text.vocab_size,
        )

    def step(self, batch: Batch) -> float:
        """Return the operations of a batch forward and backward, for what is trained."""
        f = self.forward(batch.lengths, batch.grids, batch.n_label_tokens)
        is_tower, is_merger = "vision_tower" in self._trained, "merger" in self._trained
        is_text = "language_model" in self._trained
        # whether a gradient passes: there is a picture to reach, or the text's own weights
        has_pictures = bool(batch.grids)
        in_tower = is_tower or "vision_tower" in self._adapted
        in_merger = in_tower or is_merger or "merger" in self._adapted
        to_text = (has_pictures and in_merger) or is_text or "language_model" in self._adapted
        return (
            f.patches * (1 + is_tower)
            + f.tower * (1 + in_tower + is_tower)
            + f.tower_attention * (1 + 2 * in_tower)
            + f.merger * (1 + in_merger + is_merger)
            + f.language * (1 + to_text + is_text)
            + f.language_attention * (1 + 2 * to_text)
            + f.head * (1 + to_text + self._is_head_trained)
        )

    def _window_squares(self, h: int, w: int) -> int:
        """Return the sum of squared segment lengths of a frame's windows, cut at its borders."""
        side = self._vision.window_size // PATCH_PX
        return sum(
            (min(side, h - y) * min(side, w - x)) ** 2
            for y in range(0, h, side)
            for x in range(0, w, side)
        )


def peak_flops(device: str, precision: str) -> float | None:
    """Return the dense bf16 peak of the GPU in use per second.

    ``None`` on a CPU, in another precision, and for a GPU the table does not hold: a share of a
    wrong peak would say nothing.
    """
    if device != "cuda" or precision != "bf16":
        return None
    import torch

    return known_peak(torch.cuda.get_device_name())


def known_peak(device_name: str) -> float | None:
    """Return the peak of a device by its name, or ``None``."""
    # an L40 or a GB200 is no L4 and no B200
    found = (p for name, p in PEAK_BF16_FLOPS.items() if re.search(rf"\b{name}\b", device_name))
    return next(found, None)
