"""Samples to batches, decoded ahead of the model by threads, with the state to take up again.

A :class:`Batch` carries the position after its last row and the rows dropped on the way, so what
was read ahead but not trained on is read again after a resume. Collation is one function of a list
of samples; a packing collator would take its place and nothing else would change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.vlm.data import Position
from training.vlm.encode import IGNORED, Drop, Sample

READ_AHEAD_PER_WORKER = 4
"""Encoded samples kept ready per thread. Engineering default."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass of B samples padded to L tokens, with P patches in all.

    Parameters
    ----------
    inputs
        Tensors for the model's body: ``input_ids``, ``attention_mask`` and ``mm_token_type_ids``
        of ``(B, L)``; with pictures ``pixel_values (P, 1176)`` and ``image_grid_thw (n, 3)``.
    labels
        ``(B, L)``, -100 where there is no loss.
    n_tokens, n_label_tokens, n_image_tokens
        Counts without padding.
    sample_ids
        Rows in it.
    position
        Where reading goes on after it.
    drops
        Rows dropped since the batch before.
    """

    inputs: dict[str, Any]
    labels: Any
    n_tokens: int
    n_label_tokens: int
    n_image_tokens: int
    sample_ids: tuple[str, ...]
    position: Position
    drops: tuple[Drop, ...]

    @property
    def n_slots(self) -> int:
        """Token places computed, padding included: ``B x L``."""
        return int(self.labels.numel())


def collate(
    samples: Sequence[Sample], pad_id: int, position: Position, drops: Sequence[Drop] = ()
) -> Batch:
    """Pad samples on the right to their longest and join their patches."""
    import torch

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
    pixels = [s.pixel_values for s in samples if s.pixel_values is not None]
    grids = [s.image_grid_thw for s in samples if s.image_grid_thw is not None]
    if pixels:
        inputs |= {"pixel_values": np.concatenate(pixels), "image_grid_thw": np.concatenate(grids)}
    return Batch(
        inputs={name: torch.from_numpy(array) for name, array in inputs.items()},
        labels=torch.from_numpy(labels),
        n_tokens=int(mask.sum()),
        n_label_tokens=sum(s.n_label_tokens for s in samples),
        n_image_tokens=int(is_image.sum()),
        sample_ids=tuple(s.sample_id for s in samples),
        position=position,
        drops=tuple(drops),
    )


def batches(
    rows: Iterable[tuple[Position, dict[str, Any]]],
    encode: Callable[[dict[str, Any]], Sample | Drop],
    micro_batch: int,
    pad_id: int,
    n_workers: int,
) -> Iterator[Batch]:
    """Encode rows in order and yield full batches, then what is left over.

    The last batch may be smaller, or hold no sample at all but the drops of the end. Closing the
    generator stops the threads.
    """
    kept: list[Sample] = []
    drops: list[Drop] = []
    position = Position()
    for position, result in _encoded(rows, encode, n_workers):
        if isinstance(result, Drop):
            drops.append(result)
            continue
        kept.append(result)
        if len(kept) == micro_batch:
            yield collate(kept, pad_id, position, drops)
            kept, drops = [], []
    if kept or drops:
        yield collate(kept, pad_id, position, drops)


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
