"""What a comparison of encodings found, as records, as JSON and as a table for people.

How it is measured is in ``compare``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detectors.vocabulary import WAVEFORMS


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Scores of one class.

    Parameters
    ----------
    n_truth
        Boxes in the validation segments.
    ap50
        Average precision at an overlap in time of 0.5 on the same channel; None without truth.
    event_ap
        The same by the event rules of :data:`detectors.waveform.scoring.EVENT_RULES`.
    recall_at_p80
        Share of events found at the lowest threshold with a precision of the recipe's target (0.8);
        0 where it is not reached.
    """

    n_truth: int
    ap50: float | None
    event_ap: float | None
    recall_at_p80: float | None


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What one arm cost and reached.

    Parameters
    ----------
    arm, version
        The encoding.
    n_parameters, gflop_per_segment
        Size of the network and of one forward pass; a multiply-add is two operations.
    train_wall_s, train_cpu_s
        Seconds of training, encoding included.
    losses
        Mean loss per segment by epoch.
    map50, event_map
        Means over the classes that occur.
    scores
        By class.
    """

    arm: str
    version: str
    n_parameters: int
    gflop_per_segment: float
    train_wall_s: float
    train_cpu_s: float
    losses: list[float]
    map50: float
    event_map: float
    scores: dict[str, ClassScore]


@dataclass(frozen=True, slots=True)
class Speed:
    """Median milliseconds per segment on one thread of onnxruntime, segments one at a time."""

    encode_ms: float
    network_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both arms, the budget they shared, and the one with the higher mAP@0.5."""

    recipe: dict[str, Any]
    recipe_hash: str
    data: dict[str, Any]
    arms: list[ArmResult]
    speed: dict[str, Speed]
    better: str

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_result(path: Path) -> ArmResult:
    """Read what a finished arm left."""
    values = json.loads(path.read_text(encoding="utf-8"))
    scores = {name: ClassScore(**score) for name, score in values.pop("scores").items()}
    return ArmResult(**values, scores=scores)


def table_text(comparison: Comparison) -> str:
    """Return the comparison as a table for people."""
    names = [result.arm for result in comparison.arms]
    width = 12 * len(names)
    head = ("AP@0.5", "event AP", "recall at P 0.8")
    lines = [
        f"{comparison.data['n_train']} training and {comparison.data['n_validation']} validation "
        f"segments, {len(comparison.arms[0].losses)} epochs, recipe {comparison.recipe_hash}",
        f"{'':10}{'boxes':>7}" + "".join(f"{title:>{width}}" for title in head),
        f"{'':17}" + "".join(f"{name:>12}" for name in names * len(head)),
    ]
    for name in WAVEFORMS:
        scores = [result.scores[name] for result in comparison.arms]
        columns = [getattr(s, c) for c in ("ap50", "event_ap", "recall_at_p80") for s in scores]
        lines.append(f"{name:10}{scores[0].n_truth:7d}" + "".join(map(_cell, columns)))
    means = [r.map50 for r in comparison.arms] + [r.event_map for r in comparison.arms]
    lines.append(f"{'mean':17}" + "".join(map(_cell, means)))
    speeds = [comparison.speed[name] for name in names]
    costs: dict[str, list[float]] = {
        "parameters": [r.n_parameters for r in comparison.arms],
        "GFLOP per segment": [r.gflop_per_segment for r in comparison.arms],
        "training, wall s": [r.train_wall_s for r in comparison.arms],
        "training, CPU s": [r.train_cpu_s for r in comparison.arms],
        "last loss": [r.losses[-1] for r in comparison.arms],
        "encoding, ms per segment": [s.encode_ms for s in speeds],
        "network, ms per segment": [s.network_ms for s in speeds],
    }
    lines += ["", f"{'':26}" + "".join(f"{name:>12}" for name in names)]
    lines += [f"{n:26}" + "".join(f"{v:>12}" for v in values) for n, values in costs.items()]
    return "\n".join([*lines, "", f"better by mAP@0.5: {comparison.better}", ""])


def _cell(value: float | None) -> str:
    return f"{'-':>12}" if value is None else f"{value:12.3f}"
