"""What a stage came to: counts, speed and fingerprints, as a record beside the finished model.

Unlike everything else in that folder it holds timings. Who makes it is :mod:`training.vlm.run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.vlm.checkpoint import TrainState
from training.vlm.output import code_version

RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage came to.

    Parameters
    ----------
    run, code_version
        Hash of settings, data and base; hash of the trainer's source.
    model
        Folder of the finished model; the record that lies in it holds its name alone.
    model_fingerprint
        SHA-256 over its weights, config and vocabulary.
    dataset_fingerprint, base_fingerprint
        What it was made from.
    n_steps, n_samples, n_tokens, n_label_tokens, n_dropped
        What was trained on.
    losses
        Of every step, nats per answer token.
    tokens_per_s, label_tokens_per_s, data_wait_share
        Over all steps but the first, which warms up.
    wall_s
        Time of this launch, loading included.
    memory_mb
        Peak.
    padded_share, tflops_per_s, mfu
        As in :class:`training.vlm.report.StepReport`, over all steps but the first.
    n_processes
        That trained together.
    """

    run: str
    code_version: str
    model: str
    model_fingerprint: str
    dataset_fingerprint: str
    base_fingerprint: str
    n_steps: int
    n_samples: int
    n_tokens: int
    n_label_tokens: int
    n_dropped: Mapping[str, int]
    losses: Sequence[float]
    tokens_per_s: float
    label_tokens_per_s: float
    data_wait_share: float
    wall_s: float
    memory_mb: float
    padded_share: float = 0.0
    tflops_per_s: float = 0.0
    mfu: float | None = None
    n_processes: int = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What a result is of: the first fields of :class:`StageResult`."""

    run: str
    model: str
    model_fingerprint: str
    dataset_fingerprint: str
    base_fingerprint: str


def stage_result(
    origin: Origin, state: TrainState, entries: Sequence[Mapping[str, Any]], wall_s: float
) -> StageResult:
    """Sum up a finished run.

    Parameters
    ----------
    origin, state
        What was trained from what, and how far.
    entries
        The recorded steps (:meth:`training.vlm.report.StepLog.entries`).
    wall_s
        Time of the launch.
    """
    timed = entries[1:] or entries
    seconds = sum(e["step_s"] for e in timed)
    waited = sum(e["data_wait_share"] * e["step_s"] for e in timed)
    tokens = sum(e["n_tokens"] for e in timed)
    shares = [e["mfu"] and e["mfu"] * e["step_s"] for e in timed]
    return StageResult(
        **asdict(origin),
        code_version=code_version(),
        n_steps=state.step,
        n_samples=state.n_samples,
        n_tokens=state.n_tokens,
        n_label_tokens=state.n_label_tokens,
        n_dropped=dict(state.n_dropped),
        losses=[e["loss"] for e in entries],
        tokens_per_s=tokens / seconds,
        label_tokens_per_s=sum(e["n_label_tokens"] for e in timed) / seconds,
        data_wait_share=waited / seconds,
        wall_s=wall_s,
        memory_mb=max(e["memory_mb"] for e in entries),
        padded_share=1 - tokens / sum(e["n_tokens"] / (1 - e["padded_share"]) for e in timed),
        tflops_per_s=sum(e["tflops_per_s"] * e["step_s"] for e in timed) / seconds,
        mfu=None if None in shares else sum(shares) / seconds,
        n_processes=state.n_processes,
    )
