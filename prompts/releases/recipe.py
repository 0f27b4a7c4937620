"""What a release is: a strict recipe file with a frozen shard list, an exact mixture and caps.

Reading shards and writing files is in ``build``; the card is in ``card``. Which recipes
there are, shipped and a user's own, is in ``build``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Kind = Literal[
    "captions",
    "questions",
    "narratives",
    "dialogues",
    "descriptions",
    "teacher_questions",
    "general",
]
Split = Literal["train", "validation", "test"]
Picture = Literal["page", "topomap"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SPLITS: tuple[Split, ...] = get_args(Split)
GENERAL: Kind = "general"
"""The kind that is about pictures of the world, not about EEG pages: see ``general_pairs``."""
TEXTS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != GENERAL)
"""Kinds about a page, each named like the table it is drawn from."""


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
    descriptions: int = Field(default=0, ge=0)
    teacher_questions: int = Field(default=0, ge=0)
    general: int = Field(default=0, ge=0)


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
    normal_share: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="Share of the samples of one kind that are about pages of plain background.",
    )


class Windows(_Strict):
    """Most pages per corpus that a split draws on, and which come first; None is no bound."""

    train: int | None = Field(default=None, ge=1)
    validation: int | None = Field(default=None, ge=1)
    test: int | None = Field(default=None, ge=1)
    train_of: dict[str, int] = Field(
        default_factory=dict, description="Caps of single corpora in train, by corpus key."
    )
    order: Literal["pathological_first", "seeded"] = "pathological_first"

    def cap(self, split: Split, corpus: str) -> int | None:
        """Return the cap of one corpus in one split."""
        if split == "train" and corpus in self.train_of:
            return self.train_of[corpus]
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


class Duplicates(_Strict):
    """Texts of one kind that say almost the same are drawn once."""

    threshold: float = Field(
        ge=0.5, le=1.0, description="Jaccard similarity of word shingles from which texts are one."
    )
    kinds: tuple[Kind, ...] = Field(
        min_length=1, description="Kinds looked through, each by itself and over all splits."
    )
    shingle_words: int = Field(default=3, ge=1, le=10)
    n_permutations: int = Field(default=128, ge=16, le=512)

    @model_validator(mode="after")
    def _no_rule_questions(self) -> Duplicates:
        if "questions" in self.kinds:
            raise ValueError(
                "rule questions repeat their wording by design, in blocks that balance each other: "
                "leave 'questions' out of duplicates.kinds"
            )
        return self


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
    scale
        ``exact`` draws the counts as written. ``to_present`` multiplies all counts of a split by the
        largest common factor, at most 1, for which every kind suffices, and rounds down: the ratio
        is kept, the size is not.
    balance
        ``corpus`` draws from the corpora in turn, so that a large one does not crowd out the others;
        ``corpus_and_class`` also from what was found on the pages (:mod:`prompts.releases.classes`).
    general
        Sources of general pairs with their weights; needed where ``general`` is in the mixture.
    duplicates
        Near-duplicate texts to leave out before drawing.
    caption_variant
        Which captions are used.
    images
        Pictures of each page, in order; one that cannot be drawn is left out of its rows.
    is_shortfall_allowed
        Whether a kind may have fewer samples than asked, with ``to_present`` none at all; the card
        then says so.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    description: str = ""
    seed: int = Field(default=0, ge=0)
    shards: tuple[str, ...] = Field(min_length=1)
    mixture: dict[Split, Mixture]
    caps: Caps = Caps()
    windows: Windows | None = None
    scale: Literal["exact", "to_present"] = "exact"
    balance: Literal["none", "corpus", "corpus_and_class"] = "none"
    general: dict[str, int] = Field(default_factory=dict)
    duplicates: Duplicates | None = None
    caption_variant: Literal["label_free", "label_aware"] = "label_free"
    images: tuple[Picture, ...] = ("page",)
    is_shortfall_allowed: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Recipe:
        if self.images[:1] != ("page",) or len(set(self.images)) < len(self.images):
            raise ValueError(
                f"images {list(self.images)} must begin with 'page' and name each once"
            )
        wants_general = any(m.general for m in self.mixture.values())
        if wants_general != bool(self.general):
            raise ValueError(
                "'general' sources and their counts in the mixture belong together: give both or none"
            )
        if any(weight < 1 for weight in self.general.values()):
            raise ValueError("weights of general sources must be 1 or more")
        return self

    @property
    def release_id(self) -> str:
        """``<name>-<version>``."""
        return f"{self.name}-{self.version}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The shards, and after them the general pairs where they are asked for."""
        return (*self.shards, GENERAL) if self.general else self.shards

    def wanted(self, split: str, kind: str) -> int:
        """Return how many samples a split wants of a kind."""
        mixture = next((m for s, m in self.mixture.items() if s == split), Mixture())
        return int(getattr(mixture, kind))

    def asked(self) -> Mapping[str, Mapping[str, int]]:
        """Return the mixture as ``split -> kind -> samples``, before scaling."""
        return {split: {kind: self.wanted(split, kind) for kind in KINDS} for split in SPLITS}


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
        return Recipe.model_validate(_settings(path))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ReleaseError(f"recipe {path.name!r} is not valid: {wrong}") from None
    except yaml.YAMLError:
        raise ReleaseError(f"recipe {path.name!r} is no YAML; fix its syntax") from None


def _settings(path: Path, seen: tuple[str, ...] = ()) -> Any:
    """Return what a recipe says, over what the recipe beside it that it ``extends`` says.

    Blocks are taken over key by key, anything else is replaced; ``null`` takes a key away.
    """
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict) or "extends" not in said:
        return said
    parent = path.with_name(f"{said.pop('extends')}.yaml")
    if not parent.is_file() or parent.stem in (path.stem, *seen):
        why = "does not exist beside it" if not parent.is_file() else "extends it in turn"
        raise ReleaseError(
            f"recipe {path.name!r} extends {parent.stem!r}, which {why}; name another recipe"
        )
    return _over(_settings(parent, (*seen, path.stem)), said)


def _over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _over(merged[key], value)
        else:
            merged[key] = value
    return merged
