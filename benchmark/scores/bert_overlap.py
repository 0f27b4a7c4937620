"""BERTScore with an encoder from a local folder, which is named with every value.

Greedy cosine matching of contextual embeddings (Zhang et al. 2020), without idf weights and without
baseline rescaling; markers at the ends of a text do not count. It is secondary, like word overlap:
it knows no side and no number. Whoever makes one has torch importable (the torchvision shim of the
trainer is installed where it is needed). Without a folder the score is left out, and the table says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError

NO_ENCODER = "skipped: no encoder folder was given, so BERTScore was not computed"
BATCH = 32


class BertOverlap:
    """BERTScore of one encoder layer.

    Parameters
    ----------
    folder
        Local folder of an encoder with its tokenizer, safetensors only.
    layer
        Hidden layer whose embeddings are compared, counted from 1; the last where None.

    Raises
    ------
    BenchmarkError
        If the folder holds no encoder, or has fewer layers.
    """

    def __init__(self, folder: Path, layer: int | None = None) -> None:
        if not (folder / "config.json").is_file():
            raise BenchmarkError(
                f"{folder.name!r} is no encoder folder: it has no config.json; give a folder saved "
                "by transformers, or none to leave BERTScore out"
            )
        from transformers import AutoModel, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            ).eval()
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"{folder.name!r} cannot be loaded: {error}") from error
        n_layers = int(self._model.config.num_hidden_layers)
        self.layer = n_layers if layer is None else layer
        if not 1 <= self.layer <= n_layers:
            raise BenchmarkError(f"layer {layer} of {n_layers}; give one from 1 to {n_layers}")
        digest = hashlib.sha256()
        for weights in sorted(folder.glob("*.safetensors")):
            digest.update(weights.read_bytes())
        self.name = f"{folder.name} ({digest.hexdigest()[:12]}), layer {self.layer}"
        self._kept: dict[str, Any] = {}

    @property
    def note(self) -> str:
        """What a reader must know beside the value."""
        return f"BERTScore F1, encoder {self.name}, no idf, no rescaling; rewards style, not truth"

    def scores(self, references: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Return F1 x100 of each pair; 0 where a text has no token.

        Raises
        ------
        ValueError
            If there is not one answer per reference.
        """
        if len(references) != len(answers):
            raise ValueError(f"{len(answers)} answers to {len(references)} references")
        self._embed([*references, *answers])
        return [self._f1(r, a) for r, a in zip(references, answers, strict=True)]

    def _embed(self, texts: Sequence[str]) -> None:
        import torch

        todo = sorted({t for t in texts if t not in self._kept}, key=lambda t: (len(t), t))
        longest = min(int(self._tokenizer.model_max_length), 512)
        for start in range(0, len(todo), BATCH):
            part = todo[start : start + BATCH]
            read = self._tokenizer(
                part, padding=True, truncation=True, max_length=longest, return_tensors="pt",
                return_special_tokens_mask=True,
            )  # fmt: skip
            is_marker = read.pop("special_tokens_mask").bool()
            with torch.inference_mode():
                out = self._model(**read, output_hidden_states=True).hidden_states[self.layer]
            unit = torch.nn.functional.normalize(out, dim=-1)
            for text, vectors, left_out in zip(part, unit, is_marker, strict=True):
                self._kept[text] = vectors[~left_out]

    def _f1(self, reference: str, answer: str) -> float:
        true, said = self._kept[reference], self._kept[answer]
        if not len(true) or not len(said):
            return 0.0
        likeness = (said @ true.T).clamp(min=0.0)  # as the packages do: unlike all counts nothing
        precision = float(likeness.max(dim=1).values.mean())
        recall = float(likeness.max(dim=0).values.mean())
        return 100 * 2 * precision * recall / (precision + recall) if precision + recall else 0.0
