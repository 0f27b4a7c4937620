"""Several samples in one sequence: which go together, their positions, and attention kept apart.

A packed sequence holds whole samples end to end, so no image is ever parted from its tokens and
nothing is padded. Each sample keeps the positions it has alone (the three axes of Qwen2.5-VL's
M-RoPE begin anew), sees only itself, and its first token is nobody's target. What a sample's answer
costs is then what it costs alone, to rounding.

The packer keeps nothing between calls. It arranges samples only within one optimiser step, so a
step trains on exactly the samples it would without packing, the order stays the seeded one of
:mod:`training.vlm.data`, and a position there remains the whole state of a run. Batches are made in
:mod:`training.vlm.batch`.

Shapes: L tokens of the sequence, D width, H heads, W head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.vlm.encode import IGNORED, Sample

PACK_WINDOW = 32
"""Samples looked at together. Their pictures are in memory at once, about 28 MB for a whole page.
Engineering default."""

MERGE = 2
"""Patches along one side of the square that becomes one image token."""

PACKED_ATTENTION = "neurogloss_packed"
FLASH_ATTENTION = "flash_attention_2"


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Put items into as few bins as first-fit decreasing finds.

    Parameters
    ----------
    lengths
        Size of every item, none above ``capacity``.
    capacity
        Size of a bin.

    Returns
    -------
    list of list of int
        Indices of the items of each bin in their order, the bins by their first item; the same
        arguments give the same bins. At most 11/9 of the fewest possible, plus 6/9 (Dosa 2007).

    Raises
    ------
    ValueError
        If an item is longer than a bin.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if lengths[i] > capacity:
            raise ValueError(f"item {i} of {lengths[i]} does not fit a bin of {capacity}")
        place = next((b for b, left in enumerate(room) if lengths[i] <= left), None)
        if place is None:
            bins.append([])
            room.append(capacity)
            place = len(bins) - 1
        bins[place].append(i)
        room[place] -= lengths[i]
    return sorted(sorted(items) for items in bins)


def rope_positions(sample: Sample) -> NDArray[np.int64]:
    """Return a sample's positions ``(4, L)``: along the text, then time, height and width.

    Text counts on all three axes alike; the tokens of a picture share the time of its first one and
    count rows and columns from there; text goes on after the largest (Qwen2-VL, section 2.1; a test
    holds it equal to ``transformers``' ``get_rope_index``).
    """
    length = len(sample.input_ids)
    axes = np.empty((3, length), dtype=np.int64)
    grids = iter(() if sample.image_grid_thw is None else sample.image_grid_thw.tolist())
    at = start = 0
    while at < length:
        if sample.is_image[at]:
            t, h, w = next(grids)
            block = np.indices((t, h // MERGE, w // MERGE)).reshape(3, -1)
            n = block.shape[1]
            axes[:, at : at + n] = block + start
            start += max(t, h // MERGE, w // MERGE)
        else:
            later = np.flatnonzero(sample.is_image[at:])
            n = int(later[0]) if len(later) else length - at
            axes[:, at : at + n] = np.arange(start, start + n)
            start += n
        at += n
    return np.concatenate([np.arange(length)[None], axes])


def packed_arrays(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Join samples end to end.

    Returns
    -------
    dict
        ``input_ids``, ``mm_token_type_ids`` and ``labels`` of ``(1, L)``, ``position_ids`` of
        ``(4, 1, L)``.
    """
    ids = [s.input_ids for s in samples]
    labels = np.concatenate([s.labels for s in samples])
    starts = np.cumsum([0, *(len(i) for i in ids[:-1])])
    labels[starts] = IGNORED  # the token before a border must not be asked for the one after it
    return {
        "input_ids": np.concatenate(ids)[None],
        "mm_token_type_ids": np.concatenate([s.is_image for s in samples])[None].astype(np.int64),
        "labels": labels[None],
        "position_ids": np.concatenate([rope_positions(s) for s in samples], axis=1)[:, None],
    }


def use_packed_attention(model: Any, device: str, precision: str) -> str:
    """Switch the language model to attention within samples and return its name.

    Flash attention's kernel for sequences of unequal length where there is a GPU, bf16 and the
    ``flash_attn`` package; else ``sdpa`` sample by sample, which needs no mask of ``L x L``. The
    vision tower keeps its own, which already stays within pictures and windows.
    """
    from transformers import AttentionInterface
    from transformers.utils import is_flash_attn_2_available

    is_flash = device == "cuda" and precision == "bf16" and is_flash_attn_2_available()
    name = FLASH_ATTENTION if is_flash else PACKED_ATTENTION
    if not is_flash:
        AttentionInterface.register(PACKED_ATTENTION, _attention())
    # the private field: the public setter would also switch the vision tower
    model.model.language_model.config._attn_implementation = name
    return name


def packed_hidden(model: Any, inputs: dict[str, Any], lengths: Sequence[int]) -> Any:
    """Return the last hidden states ``(1, L, D)`` of a packed sequence.

    Parameters
    ----------
    model
        ``Qwen2_5_VLForConditionalGeneration`` after :func:`use_packed_attention`.
    inputs
        Tensors of :func:`packed_arrays` without labels, and of the pictures, on one device.
    lengths
        Tokens of every sample; they add up to L.

    Notes
    -----
    Pictures are embedded here rather than by the model's own ``forward``, which would hand the
    borders between samples to the vision tower too.
    """
    import torch

    body = model.model
    embeds_1LD = body.get_input_embeddings()(inputs["input_ids"])
    if "pixel_values" in inputs:
        found = body.get_image_features(
            inputs["pixel_values"], inputs["image_grid_thw"], return_dict=True
        )
        pictures = torch.cat(found.pooler_output).to(embeds_1LD.dtype)
        is_image = inputs["mm_token_type_ids"].bool()[..., None].expand_as(embeds_1LD)
        embeds_1LD = embeds_1LD.masked_scatter(is_image, pictures)
    return body.language_model(
        inputs_embeds=embeds_1LD,
        position_ids=inputs["position_ids"],
        attention_mask=None,
        use_cache=False,
        **_borders(body.language_model.config._attn_implementation, lengths, embeds_1LD.device),
    ).last_hidden_state


def _borders(name: str, lengths: Sequence[int], device: Any) -> dict[str, Any]:
    """Say where samples end, in the words of the attention in use."""
    import torch

    if name == PACKED_ATTENTION:
        return {"sample_lengths": tuple(lengths)}
    ends = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int32, device=device)
    longest = max(lengths)
    return {
        "cu_seq_lens_q": ends,
        "cu_seq_lens_k": ends,
        "max_length_q": longest,
        "max_length_k": longest,
    }


@cache
def _attention() -> Any:
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def attend(
        module: Any,
        query_1HLW: Any,
        key_1HLW: Any,
        value_1HLW: Any,
        attention_mask: Any,
        *,
        sample_lengths: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, None]:
        lengths = list(sample_lengths or (query_1HLW.shape[2],))
        parts = [
            sdpa_attention_forward(module, query, key, value, None, **kwargs)[0]
            for query, key, value in zip(
                *(x.split(lengths, dim=2) for x in (query_1HLW, key_1HLW, value_1HLW)),
                strict=True,
            )
        ]
        return torch.cat(parts, dim=1), None

    return attend
