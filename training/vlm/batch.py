"""Samples to batches, decoded ahead of the model by threads, with the state to take up again.

A :class:`Batch` carries the position after its last row and the rows dropped on the way, so what
was read ahead but not trained on is read again after a resume. A batch is samples padded side by
side, or samples packed into one sequence (:mod:`training.vlm.packing`); either way the batches up
to one that ends a step hold the same samples.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.vlm.config import StageConfig
from training.vlm.data import Position
from training.vlm.encode import IGNORED, Drop, Sample
from training.vlm.packing import PACK_WINDOW, pack, packed_arrays

READ_AHEAD_PER_WORKER = 4
"""Encoded samples kept ready per thread. Engineering default."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass: B samples padded to L tokens, or packed into one row; P patches in all.

    Parameters
    ----------
    inputs
        Tensors for the model's body: ``input_ids`` and ``mm_token_type_ids`` of ``(B, L)``, padded
        also ``attention_mask (B, L)``, packed also ``position_ids (4, 1, L)``; with pictures
        ``pixel_values (P, 1176)`` and ``image_grid_thw (n, 3)``.
    labels
        ``(B, L)``, -100 where there is no loss.
    lengths
        Tokens of every sample, without padding.
    grids
        Patches of every picture along time, height and width.
    n_tokens, n_label_tokens, n_image_tokens
        Counts without padding.
    sample_ids
        Rows in it.
    position
        Where reading goes on after it.
    drops
        Rows dropped since the batch before.
    is_packed
        Whether the samples lie end to end in one row.
    is_step_end
        Whether an optimiser step ends with it; the end of the data ends one too.
    """

    inputs: dict[str, Any]
    labels: Any
    lengths: tuple[int, ...]
    grids: tuple[tuple[int, int, int], ...]
    n_tokens: int
    n_label_tokens: int
    n_image_tokens: int
    sample_ids: tuple[str, ...]
    position: Position
    drops: tuple[Drop, ...]
    is_packed: bool = False
    is_step_end: bool = False

    @property
    def n_slots(self) -> int:
        """Token places computed, padding included: ``B x L``."""
        return int(self.labels.numel())


def collate(
    samples: Sequence[Sample], pad_id: int, position: Position, drops: Sequence[Drop] = ()
) -> Batch:
    """Pad samples on the right to their longest and join their patches."""
    shape = (len(samples), max((len(s.input_ids) for s in samples), default=0))
    ids = np.full(shape, pad_id, dtype=np.int64)
    labels = np.full(shape, IGNORED, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    is_image = np.zeros(shape, dtype=np.int64)
    for i, sample in enumerate(samples):
        length = len(sample.input_ids)
        ids[i, :length] = sample.input_ids
        labels[i, :length] = sample.labels
        mask[i, :length] = 1
        is_image[i, :length] = sample.is_image
    inputs = {"input_ids": ids, "attention_mask": mask, "mm_token_type_ids": is_image}
    return _batch(samples, inputs, labels, position, drops)


def collate_packed(
    samples: Sequence[Sample], position: Position, drops: Sequence[Drop] = ()
) -> Batch:
    """Lay samples end to end in one row, each with the positions it has alone."""
    inputs = packed_arrays(samples)
    labels = inputs.pop("labels")
    return replace(_batch(samples, inputs, labels, position, drops), is_packed=True)


def _batch(
    samples: Sequence[Sample],
    inputs: dict[str, NDArray[Any]],
    labels: NDArray[np.int64],
    position: Position,
    drops: Sequence[Drop],
) -> Batch:
    import torch

    pixels = [s.pixel_values for s in samples if s.pixel_values is not None]
    grids = [s.image_grid_thw for s in samples if s.image_grid_thw is not None]
    if pixels:
        inputs |= {"pixel_values": np.concatenate(pixels), "image_grid_thw": np.concatenate(grids)}
    return Batch(
        inputs={name: torch.from_numpy(array) for name, array in inputs.items()},
        labels=torch.from_numpy(labels),
        lengths=tuple(len(s.input_ids) for s in samples),
        grids=tuple((t, h, w) for grid in grids for t, h, w in grid.tolist()),
        n_tokens=sum(len(s.input_ids) for s in samples),
        n_label_tokens=sum(s.n_label_tokens for s in samples),
        n_image_tokens=sum(int(s.is_image.sum()) for s in samples),
        sample_ids=tuple(s.sample_id for s in samples),
        position=position,
        drops=tuple(drops),
    )


def batches(
    rows: Iterable[tuple[Position, dict[str, Any]]],
    encode: Callable[[dict[str, Any]], Sample | Drop],
    config: StageConfig,
    pad_id: int,
    n_workers: int,
) -> Iterator[Batch]:
    """Encode rows in order and yield the batches of one optimiser step after another.

    A step holds ``config.effective_batch`` samples, the last one what is left over. The last batch
    may hold no sample at all but the drops of the end. Closing the generator stops the threads.
    """
    n_together = PACK_WINDOW if config.packing else config.micro_batch
    kept: list[Sample] = []
    drops: list[Drop] = []
    position = Position()
    n_left = config.effective_batch
    for position, result in _encoded(rows, encode, n_workers):
        if isinstance(result, Drop):
            drops.append(result)
            continue
        kept.append(result)
        n_left -= 1
        if len(kept) == n_together or n_left == 0:
            yield from _passes(kept, config.packing, pad_id, position, drops, n_left == 0)
            kept, drops = [], []
            n_left = n_left or config.effective_batch
    if kept or drops:
        yield from _passes(kept, config.packing, pad_id, position, drops, True)


def _passes(
    samples: Sequence[Sample],
    packing: int | None,
    pad_id: int,
    position: Position,
    drops: Sequence[Drop],
    is_step_end: bool,
) -> Iterator[Batch]:
    """Yield the forward passes of some samples; only after the last is the position reached."""
    if not packing or not samples:
        made = collate(samples, pad_id, position, drops)
        yield replace(made, is_step_end=is_step_end)
        return
    bins = pack([len(s.input_ids) for s in samples], packing)
    for number, items in enumerate(bins):
        is_last = number == len(bins) - 1
        made = collate_packed([samples[i] for i in items], position, drops if is_last else ())
        yield replace(made, is_step_end=is_step_end and is_last)


def _encoded(
    rows: Iterable[tuple[Position, dict[str, Any]]],
    encode: Callable[[dict[str, Any]], Sample | Drop],
    n_workers: int,
) -> Iterator[tuple[Position, Sample | Drop]]:
    if n_workers == 0:
        for position, row in rows:
            yield position, encode(row)
        return
    ahead: deque[tuple[Position, Future[Sample | Drop]]] = deque()
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="encode")
    try:
        for position, row in rows:
            ahead.append((position, pool.submit(encode, row)))
            if len(ahead) > n_workers * READ_AHEAD_PER_WORKER:
                first, future = ahead.popleft()
                yield first, future.result()
        while ahead:
            first, future = ahead.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
