"""What a release is: a strict recipe file with a frozen shard list, an exact mixture and caps.

Reading shards and writing files is in ``release``; the card is in ``release_card``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Kind = Literal["captions", "questions", "narratives", "dialogues"]
Split = Literal["train", "validation", "test"]
KINDS: tuple[Kind, ...] = ("captions", "questions", "narratives", "dialogues")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class ReleaseError(RuntimeError):
    """A release that cannot be built as its recipe says.

    ``is_retryable`` is False: the recipe or its sources have to change first.
    """

    is_retryable = False


class ExportRefusedError(ReleaseError):
    """A release that holds rows of a gated corpus and may not leave the storage root."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mixture(_Strict):
    """Exact numbers of samples per kind."""

    captions: int = Field(default=0, ge=0)
    questions: int = Field(default=0, ge=0)
    narratives: int = Field(default=0, ge=0)
    dialogues: int = Field(default=0, ge=0)


class Caps(_Strict):
    """Upper bounds per split and kind; None is no bound."""

    per_segment: int | None = Field(
        default=None, ge=1, description="Samples of one kind about one page."
    )
    per_subject: int | None = Field(
        default=None, ge=1, description="Samples of one kind from one subject."
    )
    per_corpus: int | None = Field(
        default=None, ge=1, description="Samples of one kind from one corpus."
    )


class Windows(_Strict):
    """Most pages per corpus that a split draws on, and which come first; None is no bound."""

    train: int | None = Field(default=None, ge=1)
    validation: int | None = Field(default=None, ge=1)
    test: int | None = Field(default=None, ge=1)
    order: Literal["pathological_first", "seeded"] = "pathological_first"

    def cap(self, split: Split) -> int | None:
        """Return the cap of one split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


class Recipe(_Strict):
    """One release.

    Parameters
    ----------
    name, version
        Together the release id.
    seed
        Draws samples and user phrasings.
    shards
        The frozen list; shards without data are skipped and counted.
    mixture
        Exact counts per split and kind.
    caps
        Upper bounds.
    windows
        Most pages per corpus, chosen before samples are drawn.
    caption_variant
        Which captions are used.
    image
        What is shown; this version knows the clinical page.
    is_shortfall_allowed
        Whether a kind may have fewer samples than asked; the card then says so.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    description: str = ""
    seed: int = Field(default=0, ge=0)
    shards: tuple[str, ...] = Field(min_length=1)
    mixture: dict[Split, Mixture]
    caps: Caps = Caps()
    windows: Windows | None = None
    caption_variant: Literal["label_free", "label_aware"] = "label_free"
    image: Literal["page"] = "page"
    is_shortfall_allowed: bool = False

    @property
    def release_id(self) -> str:
        """``<name>-<version>``."""
        return f"{self.name}-{self.version}"

    def wanted(self, split: str, kind: str) -> int:
        """Return how many samples a split wants of a kind."""
        mixture = next((m for s, m in self.mixture.items() if s == split), Mixture())
        return int(getattr(mixture, kind))


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises
    ------
    ReleaseError
        If the file is missing or not a valid recipe; the message names each field.
    """
    if not path.is_file():
        raise ReleaseError(f"recipe {path.name!r} does not exist; give the path of a recipe YAML")
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ReleaseError(f"recipe {path.name!r} is not valid: {wrong}") from None
    except yaml.YAMLError:
        raise ReleaseError(f"recipe {path.name!r} is no YAML; fix its syntax") from None
