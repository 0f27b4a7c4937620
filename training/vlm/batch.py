"""Samples to batches, decoded ahead of the model by threads, with the state to take up again.

A :class:`Batch` carries the position after its last row and the rows dropped on the way, so what
was read ahead but not trained on is read again after a resume. A batch is samples padded side by
side, or samples packed into one sequence (:mod:`training.vlm.packing`); either way the batches up
to one that ends a step hold the same samples.

Of several processes each encodes the rows whose number is its own modulo their number, and all tell
each other which ones they could use before any is trained on. So a step holds the samples it holds
with one process, each of them once, and every process knows the same position.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.vlm.base_config import PATCH_VALUES
from training.vlm.config import StageConfig
from training.vlm.data import Position
from training.vlm.encode import IGNORED, Drop, Sample
from training.vlm.packing import MERGE, PACK_WINDOW, pack, packed_arrays
from training.vlm.parallel import Team
from training.vlm.signals import StopFlag

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
    filler_lengths
        Tokens of what was added to keep processes in step; in no count but ``n_slots``.
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
    filler_lengths: tuple[int, ...] = ()

    @property
    def n_slots(self) -> int:
        """Token places computed, padding included: ``B x L``."""
        return int(self.labels.numel())


@dataclass(frozen=True, slots=True)
class Fillers:
    """Samples without an answer, for processes that have nothing to add to a pass.

    Parameters
    ----------
    text
        Text alone.
    picture
        One picture of one token.
    """

    text: Sample
    picture: Sample

    @classmethod
    def of(cls, pad_id: int, image_id: int) -> Fillers:
        """Make them from the ids of the padding and of the image token."""
        pixels = np.zeros((MERGE**2, PATCH_VALUES), dtype=np.float32)
        grid = np.array([[1, MERGE, MERGE]], dtype=np.int64)
        return cls(
            text=_filler([pad_id, pad_id], image_id),
            picture=_filler([image_id, pad_id], image_id, pixels, grid),
        )


def _filler(
    ids: list[int],
    image_id: int,
    pixels: NDArray[np.float32] | None = None,
    grid: NDArray[np.int64] | None = None,
) -> Sample:
    input_ids = np.array(ids, dtype=np.int64)
    labels = np.full(len(ids), IGNORED, dtype=np.int64)
    return Sample("", input_ids, labels, input_ids == image_id, pixels, grid)


@dataclass(slots=True)
class _Round:
    """What was read since the last passes.

    Parameters
    ----------
    position
        Where reading goes on.
    kept
        Samples of this process.
    drops
        Rows dropped by any process, in the order of the rows.
    n_kept
        Samples of all processes.
    """

    position: Position
    kept: list[Sample] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    n_kept: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Samples of one forward pass, and what fills it up."""

    samples: list[Sample] = field(default_factory=list)
    filler: Sample | None = None

    @property
    def has_picture(self) -> bool:
        return any(s.pixel_values is not None for s in self.samples)


def collate(
    samples: Sequence[Sample],
    pad_id: int,
    position: Position,
    drops: Sequence[Drop] = (),
    filler: Sample | None = None,
) -> Batch:
    """Pad samples on the right to their longest and join their patches."""
    rows = [*samples, *_given(filler)]
    shape = (len(rows), max((len(s.input_ids) for s in rows), default=0))
    ids = np.full(shape, pad_id, dtype=np.int64)
    labels = np.full(shape, IGNORED, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    is_image = np.zeros(shape, dtype=np.int64)
    for i, sample in enumerate(rows):
        length = len(sample.input_ids)
        ids[i, :length] = sample.input_ids
        labels[i, :length] = sample.labels
        mask[i, :length] = 1
        is_image[i, :length] = sample.is_image
    inputs = {"input_ids": ids, "attention_mask": mask, "mm_token_type_ids": is_image}
    return _batch(samples, inputs, labels, position, drops, filler)


def collate_packed(
    samples: Sequence[Sample],
    position: Position,
    drops: Sequence[Drop] = (),
    filler: Sample | None = None,
) -> Batch:
    """Lay samples end to end in one row, each with the positions it has alone."""
    inputs = packed_arrays([*samples, *_given(filler)])
    labels = inputs.pop("labels")
    made = _batch(samples, inputs, labels, position, drops, filler)
    return replace(made, is_packed=True)


def _given(filler: Sample | None) -> list[Sample]:
    return [] if filler is None else [filler]


def _batch(
    samples: Sequence[Sample],
    inputs: dict[str, NDArray[Any]],
    labels: NDArray[np.int64],
    position: Position,
    drops: Sequence[Drop],
    filler: Sample | None,
) -> Batch:
    import torch

    held = [*samples, *_given(filler)]
    pixels = [s.pixel_values for s in held if s.pixel_values is not None]
    grids = [s.image_grid_thw for s in held if s.image_grid_thw is not None]
    if pixels:
        inputs |= {"pixel_values": np.concatenate(pixels), "image_grid_thw": np.concatenate(grids)}
    own_grids = [s.image_grid_thw for s in samples if s.image_grid_thw is not None]
    return Batch(
        inputs={name: torch.from_numpy(array) for name, array in inputs.items()},
        labels=torch.from_numpy(labels),
        lengths=tuple(len(s.input_ids) for s in samples),
        grids=tuple((t, h, w) for grid in own_grids for t, h, w in grid.tolist()),
        n_tokens=sum(len(s.input_ids) for s in samples),
        n_label_tokens=sum(s.n_label_tokens for s in samples),
        n_image_tokens=sum(int(s.is_image.sum()) for s in samples),
        sample_ids=tuple(s.sample_id for s in samples),
        position=position,
        drops=tuple(drops),
        filler_lengths=tuple(len(s.input_ids) for s in _given(filler)),
    )


def batches(
    rows: Iterable[tuple[Position, dict[str, Any] | None]],
    encode: Callable[[dict[str, Any]], Sample | Drop],
    config: StageConfig,
    pad_id: int,
    n_workers: int,
    team: Team | None = None,
    fillers: Fillers | None = None,
) -> Iterator[Batch]:
    """Encode rows in order and yield this process's batches, one optimiser step after another.

    A step holds ``config.effective_batch`` samples over all processes, the last one what is left
    over. The last batch may hold no sample at all but the drops of the end. Closing the generator
    stops the threads.

    Parameters
    ----------
    rows
        The same positions on every process; ``None`` for a row that another one encodes.
    encode, config, pad_id, n_workers
        How rows become samples and samples batches, and the threads that do it.
    team
        The processes of the run; ``None`` for one that is alone.
    fillers
        Give every process as many passes as the others, with pictures where one has them; ``None``
        where no process waits for another within a pass.
    """
    team = team or Team(StopFlag())
    ahead = n_workers * READ_AHEAD_PER_WORKER * team.size
    n_together = team.size * (PACK_WINDOW if config.packing else config.micro_batch)
    n_left = config.effective_batch
    found = _Round(Position())
    with contextlib.closing(_encoded(rows, encode, n_workers, ahead)) as stream:
        # a block never holds more rows than can be used, so reading goes on where it ends
        while block := list(islice(stream, min(n_left, n_together - found.n_kept))):
            n_left -= _take(found, block, team)
            if n_left == 0 or found.n_kept == n_together:
                yield from _passes(found, config, pad_id, team, fillers, n_left == 0)
                found = _Round(found.position)
                n_left = n_left or config.effective_batch
        if found.n_kept or found.drops:
            yield from _passes(found, config, pad_id, team, fillers, True)


def _take(found: _Round, block: Sequence[tuple[Position, Sample | Drop | None]], team: Team) -> int:
    """Add a block of rows to a round and return how many of them can be used by anybody."""
    results = [result for _, result in block]
    samples = [r for r in results if isinstance(r, Sample)]
    drops = [(i, r) for i, r in enumerate(results) if isinstance(r, Drop)]
    told = team.gather((len(samples), drops))
    n_usable = sum(n for n, _ in told)
    found.position = block[-1][0]
    found.kept += samples
    found.n_kept += n_usable
    in_order = sorted((d for _, drops in told for d in drops), key=lambda numbered: numbered[0])
    found.drops += [drop for _, drop in in_order]
    return n_usable


def _passes(
    found: _Round,
    config: StageConfig,
    pad_id: int,
    team: Team,
    fillers: Fillers | None,
    is_step_end: bool,
) -> Iterator[Batch]:
    """Yield the forward passes of a round; only after the last is its position reached."""
    groups = _groups(found.kept, config)
    if fillers is not None:
        groups = _filled(groups, team, fillers)
    for number, group in enumerate(groups):
        is_last = number == len(groups) - 1
        drops = found.drops if is_last else ()
        made = (
            collate_packed(group.samples, found.position, drops, group.filler)
            if config.packing and (group.samples or group.filler)
            else collate(group.samples, pad_id, found.position, drops, group.filler)
        )
        yield replace(made, is_step_end=is_step_end and is_last)


def _groups(samples: Sequence[Sample], config: StageConfig) -> list[_Group]:
    """Share samples out to passes; one without any still tells where the step ends."""
    if config.packing:
        bins = pack([len(s.input_ids) for s in samples], config.packing)
    else:
        starts = range(0, len(samples), config.micro_batch)
        bins = [list(range(len(samples)))[i : i + config.micro_batch] for i in starts]
    return [_Group([samples[i] for i in items]) for items in bins] or [_Group()]


def _filled(groups: list[_Group], team: Team, fillers: Fillers) -> list[_Group]:
    """Fill up passes so that all processes run the same parts of the model, equally often."""
    told = team.gather([group.has_picture for group in groups])
    filled = []
    for number in range(max(len(flags) for flags in told)):
        group = groups[number] if number < len(groups) else _Group()
        is_seeing = any(flags[number] for flags in told if number < len(flags))
        if is_seeing and not group.has_picture:
            group = replace(group, filler=fillers.picture)
        elif not group.samples:
            group = replace(group, filler=fillers.text)
        filled.append(group)
    return filled


def _encoded(
    rows: Iterable[tuple[Position, dict[str, Any] | None]],
    encode: Callable[[dict[str, Any]], Sample | Drop],
    n_workers: int,
    n_ahead: int,
) -> Generator[tuple[Position, Sample | Drop | None]]:
    if n_workers == 0:
        for position, row in rows:
            yield position, None if row is None else encode(row)
        return
    ahead: deque[tuple[Position, Future[Sample | Drop] | None]] = deque()
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="encode")
    try:
        for position, row in rows:
            ahead.append((position, None if row is None else pool.submit(encode, row)))
            if len(ahead) > n_ahead:
                yield _waited(*ahead.popleft())
        while ahead:
            yield _waited(*ahead.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _waited(
    position: Position, future: Future[Sample | Drop] | None
) -> tuple[Position, Sample | Drop | None]:
    return position, None if future is None else future.result()
