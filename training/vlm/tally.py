"""What one optimiser step came to: counted by each process, then summed over all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from training.vlm.batch import Batch
from training.vlm.data import Position
from training.vlm.encode import Drop
from training.vlm.parallel import Team


@dataclass(slots=True)
class Tally:
    """Counts of one optimiser step; positions and drops are those of all processes from the start.

    Parameters
    ----------
    position
        Where reading goes on.
    loss_sum
        Nats over all loss-bearing tokens.
    n_samples, n_tokens, n_label_tokens, n_image_tokens, n_slots
        As in :class:`training.vlm.batch.Batch`.
    flops
        As of :class:`training.vlm.flops.FlopCounter`.
    wait_s, memory_mb
        Seconds spent waiting for data; peak memory so far.
    drops
        Rows dropped.
    """

    position: Position
    loss_sum: float = 0.0
    n_samples: int = 0
    n_tokens: int = 0
    n_label_tokens: int = 0
    n_image_tokens: int = 0
    n_slots: int = 0
    flops: float = 0.0
    wait_s: float = 0.0
    memory_mb: float = 0.0
    drops: list[Drop] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.position = batch.position
        self.n_samples += len(batch.sample_ids)
        self.n_tokens += batch.n_tokens
        self.n_label_tokens += batch.n_label_tokens
        self.n_image_tokens += batch.n_image_tokens
        self.n_slots += batch.n_slots
        self.drops += batch.drops

    def over_all(self, team: Team) -> Tally:
        """Return the sums over all processes; of the wait and the memory, the largest."""
        told = team.gather([getattr(self, name) for name in (*_SUMMED, *_LARGEST)])
        columns = dict(zip((*_SUMMED, *_LARGEST), zip(*told, strict=True), strict=True))
        sums = {name: sum(columns[name]) for name in _SUMMED}
        return replace(self, **sums, **{name: max(columns[name]) for name in _LARGEST})


_SUMMED = (
    "loss_sum", "n_samples", "n_tokens", "n_label_tokens", "n_image_tokens", "n_slots", "flops",
)  # fmt: skip
_LARGEST = ("wait_s", "memory_mb")
