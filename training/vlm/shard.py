"""Weights split over processes with FSDP2, and whole tensors made of them again.

Each layer of the tower and of the language model is a unit of its own: its weights are gathered
just before it computes and let go after, forward and backward; gradients and the optimiser's state
stay split. Sums over processes are plain sums: the loop divides by the answer tokens of the whole
step. Numbers are the same as unsplit, to rounding.

Within a pass every process must meet the same units in the same order, which is why
:mod:`training.vlm.batch` fills up the batches of a split model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def shard(model: Any, device: str, score: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Split the weights of a model over all processes, in place, and move them to the device.

    Parameters
    ----------
    model
        ``Qwen2_5_VLForConditionalGeneration``, frozen and cast as the stage wants it.
    device
        ``cuda``; ``cpu`` works too, with gloo.
    score
        Runs the model on a batch.

    Returns
    -------
    callable
        ``score`` with what is left of the model gathered around it.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    class Root(torch.nn.Module):
        """Holds the model, because the split begins at a forward pass of its outermost module."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Any) -> Any:
            return score(batch)

    root = Root()
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    for unit in _units(model):
        fully_shard(unit, mesh=mesh)
    fully_shard(root, mesh=mesh)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return root


def whole_tensors(tensors: Mapping[str, Any], is_kept: bool) -> dict[str, Any]:
    """Return tensors in one piece on the processor, one after the other.

    Parameters
    ----------
    tensors
        By name; the same names on every process, all of which must call this.
    is_kept
        Whether this process wants them; the others get none.
    """
    whole = {}
    for name, tensor in tensors.items():
        found = tensor.detach()
        if _is_split(found):
            found = found.full_tensor()
        if is_kept:
            whole[name] = found.cpu().contiguous()
    return whole


def placed_like(tensor: Any, parameter: Any) -> Any:
    """Return a whole tensor on the device of a parameter, split as it is."""
    if not _is_split(parameter):
        return tensor.to(parameter.device)
    from torch.distributed.tensor import distribute_tensor

    # every process has read the same bytes, so nothing needs to be sent
    return distribute_tensor(
        tensor.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )


def _is_split(tensor: Any) -> bool:
    # asked by name: the class costs an import that a run of one process can do without
    return hasattr(tensor, "full_tensor")


def _units(model: Any) -> Iterator[Any]:
    """Yield the modules that are gathered one by one.

    The head is left to the root where it is tied, since the embeddings need the same tensor. Parts
    that may be frozen apart stay apart: what is trained of a unit must be of one type.
    """
    visual = model.model.visual
    # the patch embedding returns a view, which a unit must not: it is left to the root too
    yield from visual.blocks
    yield visual.merger
    yield from model.model.language_model.layers
    if model.lm_head.weight is not model.model.language_model.embed_tokens.weight:
        yield model.lm_head
