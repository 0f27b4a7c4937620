"""The waveform detector at work: segments in, boxes out, through onnxruntime alone.

Weights are a folder with ``card.json`` and the ONNX file it names; those of the package lie in
``weights`` beside this module. How they were trained is told by the card; training itself is
``training.waveform``. Every page is read the way round that ``orientation`` chooses. onnxruntime is
imported when a detector is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19, SegmentBatch, WaveformEvent
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import CARD_NAME, DetectorCard, WeightsError, read_card
from detectors.waveform.nms import Boxes, decode, suppress
from detectors.waveform.orientation import oriented, turned_back
from detectors.waveform.raster import raster_rows, require_referential

SHIPPED_WEIGHTS = Path(__file__).parent / "weights"
MAP_THRESHOLD = 0.001
"""Confidence from which boxes enter average precision (``systems.md`` 6.3)."""

MIN_SCORE = 1e-5
"""Scores of the network below this are never looked at."""

PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".bin")
"""Suffixes of files that run code when they are loaded."""

Precision = Literal["auto", "float32", "int8"]
"""``auto`` is the variant the card was calibrated on, on a CPU, and float32 elsewhere."""
Device = Literal["cpu", "cuda"]
_PROVIDERS: Mapping[Device, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""onnxruntime's execution providers by device, the one that must be there first."""

_CLASS_NAMES = tuple(WAVEFORMS)
_FORWARD_BATCH: Mapping[Device, int] = {"cpu": 1, "cuda": 8}
"""Segments per forward pass by device. On a CPU single ones are the fastest, because their activations
stay in its cache (float32 17.3 ms a segment against 18.9 in eights, int8 13.0 against 15.6; medians of
one core), and what a segment gives cannot depend on its neighbours."""


class WaveformDetector:
    """A loaded detector.

    Parameters
    ----------
    card
        What the weights say about themselves.
    session
        An ``onnxruntime.InferenceSession``.
    precision
        Variant of the card that the session runs.
    n_together
        Segments per forward pass.
    """

    def __init__(
        self, card: DetectorCard, session: Any, precision: Precision, n_together: int
    ) -> None:
        self._card = card
        self._session = session
        self._precision: Precision = precision
        self._n_together = n_together
        self._input = session.get_inputs()[0].name
        self._curves = [
            tuple(np.array(column) for column in zip(*card.calibration[name], strict=True))
            for name in _CLASS_NAMES
        ]

    @property
    def card(self) -> DetectorCard:
        """The card of the weights."""
        return self._card

    @property
    def weights_id(self) -> str:
        """Pinned id of the weights; findings name it."""
        return self._card.weights_id

    @property
    def precision(self) -> Precision:
        """Variant of the card that runs."""
        return self._precision

    def card_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        return self._card.model_dump(mode="json")

    def detect(
        self, batch: SegmentBatch, thresholds: Mapping[str, float] | float | None = None
    ) -> list[WaveformEvent]:
        """Find waveforms.

        Parameters
        ----------
        batch
            Segments of schema ``referential19``; on those not recorded to their end nothing is found.
        thresholds
            Smallest confidence by class, or one for all; the card's calibrated ones where not
            given. :data:`MAP_THRESHOLD` gives everything average precision needs.

        Returns
        -------
        list of WaveformEvent
            By segment, channel, onset and class.

        Raises
        ------
        ValueError
            If the segments have another schema or a threshold is of an unknown class.
        """
        limits = self._limits(thresholds)
        events: list[WaveformEvent] = []
        for segment_id, boxes in zip(
            batch.segment_ids, self.detect_boxes(batch, limits), strict=True
        ):
            order = np.lexsort((boxes.classes, boxes.t0_s, boxes.rows))
            events += [
                WaveformEvent(
                    segment_id=segment_id,
                    waveform=_CLASS_NAMES[boxes.classes[i]],
                    channel=CANONICAL19[boxes.rows[i]],
                    t0_s=float(boxes.t0_s[i]),
                    t1_s=float(boxes.t1_s[i]),
                    confidence=float(boxes.scores[i]),
                )
                for i in order
            ]
        return events

    def detect_boxes(self, batch: SegmentBatch, limits: NDArray[np.float32]) -> list[Boxes]:
        """Return the suppressed boxes of every segment as columns, best first.

        Parameters
        ----------
        batch
            As for :meth:`detect`.
        limits
            Smallest confidence by class, shape (9,).
        """
        require_referential(batch)
        # a score below this gives a confidence below the limit, since calibration rises strictly
        scores = np.array(
            [
                max(float(np.interp(limit, probability, score)), MIN_SCORE)
                for limit, (score, probability) in zip(limits, self._curves, strict=True)
            ],
            dtype=np.float32,
        )
        is_whole = batch.is_whole
        found: list[Boxes] = []
        for start in range(0, len(batch), self._n_together):
            part = slice(start, start + self._n_together)
            data_uv, masks, is_turned = oriented(batch.data_uv[part], batch.mask[part])
            (outputs,) = self._session.run(None, {self._input: raster_rows(data_uv, masks)})
            masks = masks & is_whole[part, np.newaxis]
            for output, mask, turned in zip(outputs, masks, is_turned, strict=True):
                boxes = suppress(decode(output, scores, mask), self._card.nms_iou)
                found.append(self._calibrated(turned_back(boxes, turned)))
        return found

    def _calibrated(self, boxes: Boxes) -> Boxes:
        confidence = np.zeros(len(boxes), dtype=np.float32)
        for index, (score, probability) in enumerate(self._curves):
            is_class = boxes.classes == index
            confidence[is_class] = np.interp(boxes.scores[is_class], score, probability)
        boxes = replace(boxes, scores=confidence)
        return boxes.take(np.argsort(-confidence, kind="stable"))

    def _limits(self, thresholds: Mapping[str, float] | float | None) -> NDArray[np.float32]:
        if isinstance(thresholds, float | int):
            return np.full(len(_CLASS_NAMES), thresholds, dtype=np.float32)
        unknown = set(thresholds or {}) - set(_CLASS_NAMES)
        if unknown:
            raise ValueError(
                f"thresholds name {sorted(unknown)}; the classes are {', '.join(_CLASS_NAMES)}"
            )
        wanted = {**self._card.thresholds, **(thresholds or {})}
        return np.array([wanted[name] for name in _CLASS_NAMES], dtype=np.float32)


def load_detector(
    weights_dir: Path | None = None,
    *,
    n_threads: int = 1,
    precision: Precision = "auto",
    device: Device = "cpu",
) -> WaveformDetector:
    """Load a detector.

    Parameters
    ----------
    weights_dir
        Folder with ``card.json`` and the weights it names; the shipped ones where not given.
    n_threads
        Threads of one forward pass. One is the default because the graph runs one worker per core.
    precision
        Which of the card's variants. Thresholds and calibration are those of the card's default one.
    device
        ``cuda`` needs onnxruntime's GPU build and a GPU; int8 is made for the CPU.

    Raises
    ------
    WeightsError
        If a file is missing or a pickle, the weights are not those the card names, or they were
        trained for other classes or another raster; or the device is not there.
    """
    providers = _providers(device)
    folder = weights_dir or SHIPPED_WEIGHTS
    _refuse_pickle(folder)
    card = read_card(folder / CARD_NAME)
    if precision == "auto":
        precision = card.default_precision if device == "cpu" else "float32"
    variant = card.variants.get(precision)
    if variant is None:
        raise WeightsError(
            f"weights {card.weights_id} have no variant {precision}; there is "
            f"{', '.join(card.variants)}"
        )
    path = folder / variant.file
    if not path.is_file():
        raise WeightsError(
            f"{folder} holds a card but not the weights {variant.file}; copy both files"
        )
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != variant.sha256:
        raise WeightsError(
            f"{path.name} has sha256 {digest[:12]}..., its card says {variant.sha256[:12]}...; "
            "copy card and weights from the same run"
        )
    session = _session(content, n_threads, providers)
    return WaveformDetector(card, session, precision, _FORWARD_BATCH[device])


def _refuse_pickle(folder: Path) -> None:
    """Refuse foreign checkpoints before anything of them is read."""
    files = [folder] if folder.is_file() else []
    if folder.is_dir() and not (folder / CARD_NAME).is_file():
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICKLES)
    if files and files[0].suffix.lower() in PICKLES:
        raise WeightsError(
            f"{files[0].name} is a pickled checkpoint, which can run code and is never loaded; name "
            "a folder with card.json and ONNX weights written by 'python -m training.waveform train'"
        )
    if folder.is_file():
        raise WeightsError(
            f"{folder.name} is a file; name the folder with card.json and the weights it names"
        )


def _providers(device: Device) -> list[str]:
    import onnxruntime

    wanted = _PROVIDERS[device]
    there = onnxruntime.get_available_providers()
    if wanted[0] not in there:
        raise WeightsError(
            f"device {device!r} needs onnxruntime's {wanted[0]}; this installation has "
            f"{', '.join(there)}: install onnxruntime-gpu on a machine with a GPU, or use 'cpu'"
        )
    return list(wanted)


def _session(content: bytes, n_threads: int, providers: list[str]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=providers)
