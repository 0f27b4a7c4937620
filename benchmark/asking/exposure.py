"""Which corpora a model under test has seen, and how that is said beside a score.

A score on a corpus that a checkpoint was trained on is not the same number as one on a corpus it
never met, even where the subjects differ. For our models it is read from the releases they were
trained on; for published ones it stands in the table below; for a model behind an API nobody outside
can know. What was seen is a note: it changes no score and leaves no item out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Exposure(BaseModel):
    """What is known of the data behind one model.

    ``known`` means that all of it is listed, as for a model built from random weights; ``partly``
    that more was seen than is listed, as before a published model's fine-tuning; ``unknown`` that
    nothing is said.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    status: Literal["known", "partly", "unknown"]
    corpora: dict[str, str] = Field(
        default_factory=dict, description="corpus key to the part that was seen"
    )
    source: str = Field(description="where this is known from")


UNKNOWN = Exposure(status="unknown", source="the provider lists no training data")
"""Of every model behind an API."""

_PRETRAINING = (
    "its report describes web pictures, documents and video and lists no recordings by corpus"
)
_TUH = ("tuab", "tuev", "tusz", "tuar", "tuep", "tusl")
_DREAMS = tuple(
    f"dreams-{part}" for part in ("artifacts", "kcomplexes", "patients", "spindles", "subjects")
)
_NARRATOR = (
    *_TUH, "hmc", "seed", "eegmat", "grasp-and-lift", "eegmmidb", "ad65", "adhd-child", "mdd-64",
    "pd31", "schizophrenia-28",
)  # fmt: skip
_TRAIN = "training part as published"
_SIGNALS = "signals without labels, in pre-training, parts not said"

PUBLISHED: Mapping[str, Exposure] = {
    "qwen2.5-vl": Exposure(status="partly", source=f"Qwen2.5-VL: {_PRETRAINING}"),
    "cerebragloss": Exposure(
        status="partly",
        corpora=dict.fromkeys((*_TUH, *_DREAMS, "hmc"), "parts not said"),
        source="secondary notes on the CerebraGloss paper (ICLR 2026); hospital data besides",
    ),
    "neuronarrator": Exposure(
        status="partly",
        corpora=dict.fromkeys(_NARRATOR, _TRAIN),
        source="NeuroNarrator paper, table of 16 sets; its Workload set is eegmat",
    ),
    "neurolm": Exposure(
        status="partly",
        corpora={
            **dict.fromkeys(("tuab", "tuev", "tusl", "seed", "hmc", "eegmat"), _TRAIN),
            **dict.fromkeys(("seed-iv", "siena", "grasp-and-lift"), _SIGNALS),
        },
        source="NeuroLM paper: instruction tuning, its Workload set is eegmat; pre-training by "
        "secondary notes: the TUH corpus, the SEED series, Siena, Grasp-and-Lift, motor-imagery sets "
        "not named; the list itself was not read",
    ),
}
"""Published models by the beginning of their name, from ``systems.md`` 1-3; data of theirs that the
papers do not list by corpus is why none is ``known``."""


def published(name: str) -> Exposure:
    """Return what is published of a base model, by its name or hub id; ``UNKNOWN`` for others."""
    plain = name.rpartition("/")[2].lower().replace("_", "-").replace("qwen2-5", "qwen2.5")
    found = (e for start, e in PUBLISHED.items() if plain.startswith(start))
    return next(found, Exposure(status="unknown", source=f"nothing is recorded of {plain!r}"))


def trained(base: Exposure | None, seen: Mapping[str, str], source: str) -> Exposure:
    """Return the exposure of a model trained here.

    Parameters
    ----------
    base
        Of the model it began from; None for random weights.
    seen
        Corpora of its releases and which part.
    source
        The releases, in words.
    """
    if base is None:
        return Exposure(status="known", corpora=dict(sorted(seen.items())), source=source)
    return Exposure(
        status="partly",
        corpora=dict(sorted({**base.corpora, **seen}.items())),
        source=f"{source}; begun from: {base.source}",
    )


def seen_of(exposure: Exposure | None, corpora: Iterable[str]) -> tuple[str, ...]:
    """Return those of the corpora that a model is known to have seen."""
    return tuple(sorted(set(corpora) & set(exposure.corpora))) if exposure else ()


def mark(exposure: Exposure | None, corpora: Iterable[str]) -> str:
    """Return what stands beside a score: the corpora of its items that were trained on.

    Parameters
    ----------
    exposure
        Of the model; None where nobody said.
    corpora
        Corpora of the items scored.
    """
    if exposure is None or exposure.status == "unknown":
        return "not known"
    found = seen_of(exposure, corpora)
    if found:
        return f"trained on {', '.join(found)}"
    return "none of these" if exposure.status == "known" else "none of these, as far as listed"
