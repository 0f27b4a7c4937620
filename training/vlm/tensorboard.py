"""A run as TensorBoard shows it: one scalar per number of a step, in an event file.

Written with ``tensorboardX``, which needs neither TensorBoard nor TensorFlow; read with
``tensorboard --logdir FOLDER``. The other listeners are in :mod:`training.vlm.report`, and its JSON
lines stay the record that losses are read from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from training.vlm.errors import MachineError
from training.vlm.report import StepReport

TAGS: Mapping[str, str] = {
    "loss": "train/loss_nats",
    "lr": "train/learning_rate",
    "grad_norm": "train/gradient_norm",
    "epoch": "train/epoch",
    "tokens_per_s": "speed/tokens_per_s",
    "label_tokens_per_s": "speed/answer_tokens_per_s",
    "tflops_per_s": "speed/tflops_per_s",
    "mfu": "speed/mfu",
    "step_s": "speed/step_s",
    "data_wait_share": "data/wait_share",
    "padded_share": "data/padded_share",
    "n_samples": "data/samples",
    "n_tokens": "data/tokens",
    "n_label_tokens": "data/answer_tokens",
    "n_image_tokens": "data/image_tokens",
    "memory_mb": "machine/peak_memory_mb",
}
"""Tag of each number of :class:`~training.vlm.report.StepReport`; a number that is ``None`` is left out."""


class TensorBoardReporter:
    """Writes an event file; use as a context.

    A run that is taken up again says which steps are repeated, so TensorBoard drops what the broken
    run had written beyond its checkpoint. A run that takes no step leaves no file.

    Parameters
    ----------
    folder
        Home of the event files of this run and of its earlier launches.

    Raises
    ------
    MachineError
        If ``tensorboardX`` is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MachineError(
                "TensorBoard files need the package 'tensorboardX'; install the extra 'train', or "
                "give --tensorboard none"
            ) from error
        self._folder = folder
        self._open: Callable[..., Any] = SummaryWriter
        self._writer: Any = None
        self._texts: list[str] = []

    def __enter__(self) -> TensorBoardReporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def message(self, text: str) -> None:
        """Keep a line of prose; it is shown under *Text* once there is a step to show it with."""
        self._texts.append(text)

    def step(self, report: StepReport) -> None:
        """Write the numbers of a step, and let a running TensorBoard see them."""
        if self._writer is None:
            self._begin(report.step)
        for name, value in asdict(report).items():
            if name in TAGS and value is not None:
                self._writer.add_scalar(TAGS[name], value, report.step)
        self._writer.flush()

    def _begin(self, step: int) -> None:
        try:
            self._writer = self._open(
                str(self._folder),
                purge_step=step,
                # launches of one second would else share a file and the later one replace it
                filename_suffix=f".from-{step:08d}",
            )
        except OSError as error:
            raise MachineError(
                f"TensorBoard folder {str(self._folder)!r} cannot be written: {error}"
            ) from error
        for text in self._texts:
            self._writer.add_text("run", text, step)
