"""The base model with its processor: built small from a config, or loaded from a checkpoint.

One code path follows either: a :class:`Vlm` holds the model, the processor and where they came
from, whatever that was. Which of its tensors are trained is in :mod:`training.vlm.freeze`; how a
finished model is written, in :mod:`training.vlm.output`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.vlm.base_config import PATCH_PX, BuiltModel, CheckpointModel, ImageConfig
from training.vlm.errors import ModelError
from training.vlm.lora import ADAPTER_CONFIG, merge_adapters
from training.vlm.tokenizer import END_OF_TURN, IMAGE_PAD, PAD, chat_template, train_tokenizer

ARCHITECTURE = "qwen2_5_vl"
"""``model_type`` of the only architecture this trainer knows the parts of."""

TEMPLATE_WORDS = "system\nYou are a helpful assistant.\nuser\nassistant\n"
"""What Qwen2.5-VL's chat template writes around the turns of a conversation."""

UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Pickled weight files: never opened, since opening one runs its code."""

_IDENTITY_FILES = (
    "*.safetensors", "config.json", ADAPTER_CONFIG, "tokenizer.json", "chat_template*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vlm:
    """A model and all that is needed to feed it.

    Parameters
    ----------
    model
        ``Qwen2_5_VLForConditionalGeneration``, weights in float32.
    processor
        ``Qwen2_5_VLProcessor`` with the PIL image processor.
    dtype
        Name of the type the weights were stored in, and are stored in again.
    base
        What it was made from, for the model card.
    """

    model: Any
    processor: Any
    dtype: str
    base: str


def build_model(spec: BuiltModel, image: ImageConfig, texts: Iterable[str]) -> Vlm:
    """Build a small Qwen2.5-VL with random weights and a vocabulary trained on ``texts``.

    The same arguments give the same weights.
    """
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    # the template's own words frame every turn and would else be spelt letter by letter
    tokenizer = train_tokenizer((f"{TEMPLATE_WORDS}{t}" for t in texts), spec.vocab_size)
    config = _config(spec, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
        if spec.initialisation == "fan_in":
            _spread_by_inputs(model)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.convert_tokens_to_ids([END_OF_TURN, PAD]),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
    )
    base = f"built from a config, {model.num_parameters():,} weights, seed {spec.seed}"
    return Vlm(model, _processor(tokenizer, image, chat_template()), "float32", base)


def _spread_by_inputs(model: Any) -> None:
    """Draw every matrix anew with a spread of 1/sqrt(inputs); see ``BuiltModel.initialisation``."""
    import torch

    ends_of_blocks = ("o_proj.weight", "down_proj.weight", "attn.proj.weight")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                continue
            spread = 0.2 if "embed_tokens" in name else parameter[0].numel() ** -0.5
            parameter.normal_(0.0, spread * (0.5 if name.endswith(ends_of_blocks) else 1.0))


def find_checkpoint(spec: CheckpointModel) -> Path:
    """Return the local folder of a checkpoint, fetching it from the hub where it is not one.

    Raises
    ------
    ModelError
        If the folder does not exist, the hub id carries no pinned revision, or it cannot be
        fetched.
    """
    folder = Path(spec.name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or spec.name.startswith((".", "~")) or spec.name.count("/") != 1:
        raise ModelError(
            f"model {spec.name!r} is neither a folder nor a hub id "
            "such as Qwen/Qwen2.5-VL-3B-Instruct"
        )
    if spec.revision is None:
        raise ModelError(
            f"hub model {spec.name!r} needs model.revision, the 40-digit commit to pin it to"
        )
    from huggingface_hub import snapshot_download

    allowed = ["*.safetensors", "*.json", "*.txt", "*.jinja"]
    try:
        found = snapshot_download(spec.name, revision=spec.revision, allow_patterns=allowed)
    except Exception as error:  # the hub client's errors share no base below Exception
        raise ModelError(
            f"hub model {spec.name!r} at {spec.revision} cannot be fetched "
            f"({type(error).__name__}); give a local folder as model.name instead"
        ) from error
    return Path(found)


def check_checkpoint(folder: Path) -> None:
    """Check that a folder holds a Qwen2.5-VL in safetensors, reading no weights.

    Raises
    ------
    ModelError
        If it does not.
    """
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ModelError(f"model folder {str(folder)!r} holds no config.json")
    try:
        found = json.loads(config_file.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{str(config_file)!r} is not a model's config: {error}") from error
    if found != ARCHITECTURE:
        raise ModelError(
            f"model folder {str(folder)!r} holds a {found!r}; only {ARCHITECTURE!r} can be trained"
        )
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in UNSAFE_SUFFIXES)
    detail = (
        f"only pickled weights ({', '.join(pickled)}), which are never opened"
        if pickled
        else ("no weights")
    )
    raise ModelError(f"model folder {str(folder)!r} holds {detail}; convert them to safetensors")


def load_model(folder: Path, image: ImageConfig, base: str) -> Vlm:
    """Load a Qwen2.5-VL and its processor from a local folder.

    Parameters
    ----------
    folder
        Checked with :func:`check_checkpoint`.
    image
        Limits of a picture; they replace those of the checkpoint.
    base
        What to call it on the model card.

    Raises
    ------
    ModelError
        If weights are missing, or the folder cannot be loaded.
    """
    import torch
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    check_checkpoint(folder)
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        model, info = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder,
            dtype="auto",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"model folder {str(folder)!r} cannot be loaded: {error}") from error
    if info["missing_keys"] or info["mismatched_keys"]:
        wrong = [*info["missing_keys"], *info["mismatched_keys"]]
        raise ModelError(f"model folder {str(folder)!r} lacks {len(wrong)} tensors: {wrong[:3]}")
    dtype = str(model.dtype).removeprefix("torch.")
    model = model.to(torch.float32)
    if (folder / ADAPTER_CONFIG).is_file():
        merge_adapters(model)  # what an earlier stage kept apart is the base of this one
    template = processor.chat_template or processor.tokenizer.chat_template
    if not template:
        raise ModelError(f"model folder {str(folder)!r} holds no chat template")
    processor = _processor(processor.tokenizer, image, template, processor.video_processor)
    return Vlm(model, processor, dtype, base)


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the weights, config, vocabulary and template of a model folder."""
    digest = hashlib.sha256()
    for path in sorted({p for pattern in _IDENTITY_FILES for p in folder.glob(pattern)}):
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name} {inner}\n".encode())
    return digest.hexdigest()


def _config(spec: BuiltModel, tokenizer: Any) -> Any:
    from transformers import Qwen2_5_VLConfig

    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    text = spec.text.model_dump() | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 32768,
        "tie_word_embeddings": spec.is_head_tied,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": spec.text.mrope_section,
        },
        "bos_token_id": tokenizer.convert_tokens_to_ids(PAD),
        "eos_token_id": tokenizer.convert_tokens_to_ids(END_OF_TURN),
    }
    vision = spec.vision.model_dump() | {
        "out_hidden_size": spec.text.hidden_size,
        "patch_size": PATCH_PX,
        "spatial_merge_size": 2,
        "in_channels": 3,
    }
    return Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=spec.is_head_tied, **ids
    )


def _processor(tokenizer: Any, image: ImageConfig, template: str, video: Any = None) -> Any:
    """Assemble the real processor; the PIL backend gives the same pixels on every machine."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLVideoProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    if tokenizer.convert_tokens_to_ids(IMAGE_PAD) is None:
        raise ModelError(f"the vocabulary has no {IMAGE_PAD} token")
    tokenizer.padding_side = "right"
    tokenizer.chat_template = None  # the processor holds it; two copies could come to differ
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessorPil(
            min_pixels=image.min_pixels, max_pixels=image.max_pixels
        ),
        tokenizer=tokenizer,
        video_processor=video or Qwen2VLVideoProcessor(),
        chat_template=template,
    )
