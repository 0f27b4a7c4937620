"""A vision-language model in a folder, asked through plain transformers.

Any architecture that ``AutoModelForImageTextToText`` and ``AutoProcessor`` know; local safetensors
only, nothing is fetched and no code of the folder is run. Torch and transformers are imported
inside. On a machine with a CPU torch beside a CUDA torchvision the *caller* must first install the
project's torchvision shim (``training.torchvision_shim.install``): the shim lives on this floor,
which may not import its siblings, so the program takes it by name (``__main__.py``).
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from benchmark.asking.answers import Item, Reply, letters
from benchmark.errors import BenchmarkError

_log = logging.getLogger(__name__)

BATCH_SIZE = 16
"""Items per generation call; answers are decoded greedily, so it changes speed only (up to
rounding)."""

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


class TransformersVlm:
    """A model folder under test.

    Greedy decoding, no sampling, no penalties; the prompt is the folder's own chat template with
    the page before the text. The log-probability of each option letter is read from the same
    forward pass that starts the answer.

    Parameters
    ----------
    folder
        ``config.json``, safetensors, processor files.
    name
        Name in tables; the folder's name where None.
    max_new_tokens
        Longest answer.
    batch_size
        Items per call.
    device
        ``auto`` takes a GPU where there is one; weights are float32 on a CPU, as stored on a GPU.

    Raises
    ------
    BenchmarkError
        If the folder holds no loadable model, or some of its weights are missing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        max_new_tokens: int = 32,
        batch_size: int = BATCH_SIZE,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> None:
        self._name = name or folder.name
        self._max_new_tokens = max_new_tokens
        self._batch_size = batch_size
        check_folder(folder)
        self._model, self._processor = _load(folder, _device(device))

    @property
    def name(self) -> str:
        """Name in tables."""
        return self._name

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        """Answer items, one reply each in order; a page of None means text only.

        Raises
        ------
        BenchmarkError
            If a page is no picture.
        """
        replies: dict[int, Reply] = {}
        for batch in self._batches(pages):
            part = [items[i] for i in batch]
            said = self._answer_batch(part, [pages[i] for i in batch])
            replies |= dict(zip(batch, said, strict=True))
            _log.info("%s: %d of %d items", self._name, len(replies), len(items))
        return [replies[i] for i in range(len(items))]

    def _batches(self, pages: Sequence[bytes | None]) -> Iterator[list[int]]:
        """Yield positions, those with a page apart from those without."""
        for has_page in (True, False):
            chosen = [i for i, page in enumerate(pages) if (page is not None) == has_page]
            for start in range(0, len(chosen), self._batch_size):
                yield chosen[start : start + self._batch_size]

    def _answer_batch(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        import torch
        from transformers import GenerationConfig

        inputs = self._inputs(items, pages).to(self._model.device)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        first = _first_step()
        base = self._model.generation_config
        config = GenerationConfig(
            max_new_tokens=self._max_new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            eos_token_id=base.eos_token_id,
            pad_token_id=base.pad_token_id,
            bos_token_id=base.bos_token_id,
        )
        with torch.inference_mode():
            out = self._model.generate(**inputs, generation_config=config, logits_processor=[first])
        new_ids = out[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(new_ids, skip_special_tokens=True)
        logprobs = first.scores.float().log_softmax(dim=-1).cpu()
        return [
            Reply(text, self._option_logprobs(item, row))
            for text, item, row in zip(texts, items, logprobs, strict=True)
        ]

    def _inputs(
        self,
        items: Sequence[Item],
        pages: Sequence[bytes | None],
        answers: Sequence[str] | None = None,
    ) -> Any:
        """Return what the model is given, padded on the left; ``answers`` follow the prompts."""
        texts = [
            self._processor.apply_chat_template(
                _turns(item.prompt, has_page=page is not None),
                tokenize=False,
                add_generation_prompt=True,
            )
            + answer
            for item, page, answer in zip(items, pages, answers or [""] * len(items), strict=True)
        ]
        pictures = [_open(page) for page in pages if page is not None]
        return self._processor(
            text=texts,
            images=pictures or None,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )

    def _option_logprobs(self, item: Item, row: Any) -> tuple[float, ...]:
        if not item.options:
            return ()
        return tuple(float(row[self._letter_id(letter)]) for letter in letters(len(item.options)))

    def _letter_id(self, letter: str) -> int:
        ids = self._processor.tokenizer.encode(letter, add_special_tokens=False)
        if len(ids) != 1:
            raise BenchmarkError(
                f"model {self._name!r} writes the letter {letter!r} in {len(ids)} tokens; "
                "option log-probabilities need one"
            )
        return int(ids[0])


def check_folder(folder: Path) -> None:
    """Check that a folder can hold a model, reading no weights.

    Raises
    ------
    BenchmarkError
        If it does not exist, has no config, or no safetensors.
    """
    if not folder.is_dir():
        raise BenchmarkError(f"model {str(folder)!r} is not a folder; train a model first")
    if not (folder / "config.json").is_file():
        raise BenchmarkError(f"model folder {str(folder)!r} holds no config.json")
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    found = f"only pickled weights ({', '.join(pickled)})" if pickled else "no weights"
    raise BenchmarkError(
        f"model folder {str(folder)!r} holds {found}; only safetensors are read, convert them"
    )


def _load(folder: Path, device: str) -> tuple[Any, Any]:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        model, info = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=torch.float32 if device == "cpu" else "auto",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BenchmarkError(f"model folder {str(folder)!r} cannot be loaded: {reason}") from error
    wrong = sorted(str(key) for key in (*info["missing_keys"], *info["mismatched_keys"]))
    if wrong:
        raise BenchmarkError(
            f"model folder {str(folder)!r} lacks {len(wrong)} tensors, such as {wrong[0]}; "
            "a model with random parts is not scored"
        )
    return model.to(device).eval(), processor


def _device(wanted: str) -> str:
    import torch

    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise BenchmarkError("device is 'cuda' but torch sees no GPU; use 'auto' or 'cpu'")
    return "cuda" if has_gpu and wanted != "cpu" else "cpu"


def _turns(prompt: str, *, has_page: bool) -> list[dict[str, Any]]:
    text = {"type": "text", "text": prompt}
    return [{"role": "user", "content": [{"type": "image"}, text] if has_page else [text]}]


def _open(page: bytes) -> Any:
    from PIL import Image

    try:
        return Image.open(io.BytesIO(page)).convert("RGB")
    except (OSError, SyntaxError) as error:
        raise BenchmarkError(f"a page of {len(page)} bytes is no picture: {error}") from error


def _first_step() -> Any:
    """Return a logits processor that changes nothing and keeps the first step's scores."""
    from transformers import LogitsProcessor

    class FirstStep(LogitsProcessor):
        scores: Any = None

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if self.scores is None:
                self.scores = scores.clone()
            return scores

    return FirstStep()
