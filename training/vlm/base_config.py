"""What a stage may begin from: a model built small from a config, or a published checkpoint.

Only settings; how a model is built or loaded is in :mod:`training.vlm.model`, the rest of a recipe
in :mod:`training.vlm.config`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PATCH_PX = 14
"""Side of a vision patch of Qwen2.5-VL, pixels."""
PATCH_VALUES = 3 * 2 * PATCH_PX**2
"""Numbers of a patch: three colours, two frames."""
TOKEN_PX = 2 * PATCH_PX
"""Side of the square one image token stands for: 2 x 2 patches are merged."""

# YAML 1.1 reads 1e-5 as text; numbers are therefore parsed, not only checked
Number = Annotated[float, Field(strict=False)]


class Strict(BaseModel):
    """What every block of a recipe is: frozen, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TextShape(Strict):
    """Shape of a language model built from nothing.

    Parameters
    ----------
    hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads
        As in ``transformers.Qwen2_5_VLTextConfig``.
    """

    hidden_size: int = Field(default=64, ge=8)
    intermediate_size: int = Field(default=128, ge=8)
    num_hidden_layers: int = Field(default=2, ge=1)
    num_attention_heads: int = Field(default=4, ge=1)
    num_key_value_heads: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _check_heads(self) -> TextShape:
        width, rest = divmod(self.hidden_size, self.num_attention_heads)
        if rest or width % 16:
            raise ValueError(
                f"hidden_size {self.hidden_size} over {self.num_attention_heads} heads must give a "
                "head width that is a multiple of 16, so that the three rotary sections fit"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        return self

    @property
    def mrope_section(self) -> list[int]:
        """Rotary pairs for time, height and width: 1/4, 3/8, 3/8, as 16, 24, 24 of the real 64."""
        pairs = self.hidden_size // self.num_attention_heads // 2
        return [pairs // 4, 3 * pairs // 8, 3 * pairs // 8]


class VisionShape(Strict):
    """Shape of a vision tower built from nothing; as in ``Qwen2_5_VLVisionConfig``."""

    depth: int = Field(default=2, ge=1)
    hidden_size: int = Field(default=32, ge=8)
    intermediate_size: int = Field(default=64, ge=8)
    num_heads: int = Field(default=2, ge=1)
    window_size: int = Field(default=112, ge=TOKEN_PX)
    fullatt_block_indexes: list[int] = Field(default_factory=lambda: [1])


class BuiltModel(Strict):
    """A small Qwen2.5-VL built from a config, with a vocabulary trained on the dataset's text.

    Parameters
    ----------
    vocab_size
        Tokens of the trained byte-level BPE, Qwen's 22 added tokens included.
    is_head_tied
        Whether the head shares the input embeddings, as in 3B; 7B does not.
    initialisation
        Of the random weights. ``fixed``: one spread of 0.02, as transformers draws them, made for
        widths of thousands. ``fan_in``: 1/sqrt(inputs) of each matrix, half of it where a block
        ends, and 0.2 for embeddings; a width of 64 does not begin to attend without it.
    seed
        Seed of the random weights.
    """

    source: Literal["built"]
    licence: str = "apache-2.0"
    text: TextShape = TextShape()
    vision: VisionShape = VisionShape()
    vocab_size: int = Field(default=768, ge=300)
    is_head_tied: bool = True
    initialisation: Literal["fixed", "fan_in"] = "fixed"
    seed: int = Field(default=0, ge=0)


class CheckpointModel(Strict):
    """A published Qwen2.5-VL checkpoint.

    Parameters
    ----------
    name
        Local folder or hub id.
    revision
        Commit of the hub repository, 40 hex digits: a branch name would let the weights change
        under the recipe. Not used for a local folder.
    licence
        Licence id of the weights, repeated on the model card.
    """

    source: Literal["checkpoint"]
    name: str
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    licence: str

    @property
    def shown_name(self) -> str:
        """Hub id, or a folder's own name: where it lies is nobody else's business."""
        folder = Path(self.name).expanduser()
        return folder.name if folder.is_dir() else self.name


class ImageConfig(Strict):
    """Limits of a picture after rescaling, in pixels; 28 x 28 pixels are one token."""

    min_pixels: int = Field(default=4 * TOKEN_PX**2, ge=TOKEN_PX**2)
    max_pixels: int = Field(default=1288 * 896, ge=TOKEN_PX**2)

    @model_validator(mode="after")
    def _check_order(self) -> ImageConfig:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")
        return self
