"""What one export does on the validation subjects, as the card tells it.

Isotonic curves are fitted on one half of the subjects and checked on the other, thresholds and scores
are of both. The measures themselves are in ``evaluate``; which export a card is about is ``run``'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import ClassScore, Curve, ReliabilityBin, SizeScore
from training.waveform.dataset import SegmentSet
from training.waveform.evaluate import (
    Forward,
    apply_curves,
    calibrate,
    detect_set,
    fit_curves,
    halves,
    mean_ap,
    reliability,
    score_set,
    score_sizes,
)
from training.waveform.recipe import DetectorRecipe


@dataclass(frozen=True, slots=True)
class Judged:
    """What one export does on the validation subjects."""

    curves: dict[str, Curve]
    thresholds: dict[str, float]
    scores: dict[str, dict[str, float]]
    by_size: dict[str, list[dict[str, float]]]
    reliability: dict[str, list[dict[str, float]]]
    map50: float


def judge(content: bytes, data: SegmentSet, recipe: DetectorRecipe) -> Judged:
    """Calibrate on one half of the subjects, check on the other, set thresholds on both."""
    raw = detect_set(onnx_forward(content), data, recipe.nms_iou)
    fitted, held_out = halves(data)
    if not len(held_out):
        held_out = fitted
    curves = fit_curves([raw[i] for i in fitted], data.take(fitted))
    found = apply_curves(raw, curves)
    targets = dict.fromkeys(WAVEFORMS, recipe.target_precision) | recipe.target_precision_of
    thresholds = calibrate(found, data, targets)
    scores = score_set(found, data, thresholds)
    return Judged(
        curves,
        thresholds,
        scores,
        score_sizes(found, data, thresholds),
        reliability([found[i] for i in held_out], data.take(held_out)),
        mean_ap(scores),
    )


def card_fields(judged: Judged) -> dict[str, Any]:
    """Return the fields of a card that come from judging."""
    return {
        "calibration": judged.curves,
        "thresholds": judged.thresholds,
        "map50": round(judged.map50, 4),
        "scores": {name: _score(values) for name, values in judged.scores.items()},
        "scores_by_size": {
            name: tuple(SizeScore.model_validate(_known(row)) for row in rows)
            for name, rows in judged.by_size.items()
        },
        "reliability": {
            name: tuple(ReliabilityBin.model_validate(row) for row in rows)
            for name, rows in judged.reliability.items()
        },
    }


def onnx_forward(content: bytes) -> Forward:
    """Return a forward function over exported weights."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def forward(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"rows": rows})[0])

    return forward


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else v for k, v in values.items()}


def _score(values: dict[str, float]) -> ClassScore:
    return ClassScore.model_validate({**_known(values), "n_truth": int(values["n_truth"])})
