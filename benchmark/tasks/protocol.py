"""What a classification task may say: strict models of the files in ``protocols/``.

One file is one task: its corpora, how a page gets its label, the closed options, how pages are
drawn, the published protocols it stands beside, and what is done otherwise here. How items are made
of it is in ``tasks/classification.py``, how they are scored in ``scores/classification.py``; what a
corpus' labels are is said by its own entry in ``dagster_project.corpora.catalogue``.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.asking.answers import LETTERS
from benchmark.errors import BenchmarkError
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import PROTOCOL_NAMES, PROTOCOLS

UNCOVERED = Path(__file__).with_name("uncovered.yaml")

Scope = Literal["recording", "segment", "interval", "epoch"]
Vote = Literal["", "epoch", "recording"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LabelRule(_Strict):
    """How a page gets its class from what its corpus says.

    Parameters
    ----------
    name, scopes
        Name of the label and the scopes it counts in; others say something else of the page.
    values
        The corpus' value to the option it means; a page with any other value is no item.
    yields
        Values that give way where the page carries another one too, such as rest between trials.
    is_vote
        Sources that disagree are outvoted by more than half of them; else a page they disagree on
        is no item.
    events
        Kinds of expert events whose joined time decides instead of the label: the page has the
        class of :attr:`present` where they cover at least :attr:`covered_from` of it, that of
        :attr:`absent` where there is none and the label says so, and is no item in between.
    present, absent
        Values of :attr:`values` with and without these events.
    covered_from
        Share of the page.
    only
        Further labels a page must carry, name to value.
    """

    name: str
    scopes: tuple[Scope, ...] = Field(min_length=1)
    values: dict[str, str] = Field(min_length=2)
    yields: tuple[str, ...] = ()
    is_vote: bool = False
    events: tuple[str, ...] = ()
    present: str = ""
    absent: str = ""
    covered_from: float = Field(default=0.5, gt=0, le=1)
    only: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> LabelRule:
        edges = {self.present, self.absent}
        if self.events and (not edges <= set(self.values) or len(edges) != 2):
            raise ValueError("events need present and absent, two of the values")
        return self


class PublishedPart(_Strict):
    """The part of a published split that was tested on, as the corpus entry names it."""

    protocol: str
    part: Literal["train", "validation", "test"]


class Published(_Strict):
    """One published way to test on these data, as far as it is stated.

    Parameters
    ----------
    by, source
        Who, and where it is written.
    people
        Split by files or people.
    windows
        Window length and how a window gets its label.
    metric
        What was reported.
    split
        Where the corpus entry knows that split: items of that part are scored apart as well.
    reported
        Values reported under it, per cent, by system; of other people and windows than ours.
    """

    by: str
    source: str
    people: str
    windows: str
    metric: str
    split: PublishedPart | None = None
    reported: dict[str, float] = Field(default_factory=dict)


class Protocol(_Strict):
    """One classification task.

    Parameters
    ----------
    name, version
        Task id, and a number raised when the items or how they are asked change.
    score_version
        Raised when the same answers may score otherwise; the items stay.
    title, meaning
        Words for the report.
    corpora
        Registry keys of the corpora its pages come from.
    question, options
        What is asked, and the closed list of answers; the order shown is drawn per item.
    positive
        Of two options the one whose average precision is scored; empty for none.
    label
        How a page gets its class.
    draw
        ``pages``: single pages, in turn over subjects and classes. ``stretches``: up to an hour of
        a recording whole, so that events can be scored on a time line.
    vote
        Answers of one epoch of 30 s, or of one recording, are also scored together.
    has_event_scores
        Answers :attr:`LabelRule.present` are also scored as events; needs ``stretches``.
    is_zero_shot
        NeuroNarrator never trained on this corpus; others may have seen its signals.
    cap
        Pages asked when the caller names no other number.
    option_seed
        Of the order of options.
    published, ours
        The published protocols, and what is done otherwise here.
    caution
        What a reader must know beside the score, empty where nothing special.
    """

    name: str = Field(pattern="^[a-z0-9]+(_[a-z0-9]+)*$")
    version: str
    score_version: str = "1"
    title: str
    meaning: str
    corpora: tuple[str, ...] = Field(min_length=1)
    question: str = Field(pattern=r"\?$")
    options: tuple[str, ...] = Field(min_length=2, max_length=len(LETTERS))
    positive: str = ""
    label: LabelRule
    draw: Literal["pages", "stretches"] = "pages"
    vote: Vote = ""
    has_event_scores: bool = False
    is_zero_shot: bool = False
    cap: int = Field(default=1000, ge=1, le=100_000)
    option_seed: int = Field(default=0, ge=0)
    published: tuple[Published, ...] = ()
    ours: str
    caution: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Protocol:
        if set(self.label.values.values()) != set(self.options):
            raise ValueError("label.values must lead to every option and to no other")
        if len(set(self.options)) != len(self.options):
            raise ValueError("two options read the same")
        if self.positive and (self.positive not in self.options or len(self.options) != 2):
            raise ValueError("positive must be one of two options")
        if self.has_event_scores and (self.draw != "stretches" or not self.label.events):
            raise ValueError("event scores need draw 'stretches' and label.events")
        return self

    @property
    def digest(self) -> str:
        """Hash of all that decides an item: what is only told or only scored does not count."""
        told = {
            "title",
            "meaning",
            "ours",
            "caution",
            "published",
            "cap",
            "positive",
            "score_version",
        }
        parts = sorted(f"{s.protocol}:{s.part}" for s in self.parts)
        said = json.dumps([self.model_dump(exclude=told), parts], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def parts(self) -> tuple[PublishedPart, ...]:
        """Published test parts the corpora know, each once."""
        return tuple(dict.fromkeys(p.split for p in self.published if p.split is not None))

    def option_of(self, value: str) -> str | None:
        """Return the option a value of the label means, None where it is not asked about."""
        return self.label.values.get(value)

    def lines(self) -> tuple[str, ...]:
        """Return the protocol in words, for reports."""
        told = []
        for p in self.published:
            reported = ", ".join(f"{who} {value:g}" for who, value in p.reported.items())
            told.append(
                f"Published, {p.by}: {p.people}; {p.windows}; {p.metric}"
                + (f"; reported {reported}" if reported else "")
                + f" ({p.source})."
            )
        shown = [*told, f"Here: {self.ours}"]
        if self.is_zero_shot:
            shown.append(
                "Zero-shot for NeuroNarrator, not for every published system: see which corpora a "
                "model has seen."
            )
        return (*shown, self.caution) if self.caution else tuple(shown)


@cache
def protocol(name: str) -> Protocol:
    """Return one protocol.

    Raises
    ------
    BenchmarkError
        If there is no such file, or it is not what :class:`Protocol` allows.
    """
    if name not in PROTOCOL_NAMES:
        raise BenchmarkError(unknown("classification task", name, PROTOCOL_NAMES))
    return load_protocol(PROTOCOLS / f"{name}.yaml")


def load_protocol(path: Path) -> Protocol:
    """Read one protocol file; as :func:`protocol`."""
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
        found = Protocol.model_validate_json(json.dumps({"name": path.stem, **dict(content)}))
    except (ValidationError, yaml.YAMLError, OSError, ValueError, TypeError) as error:
        raise BenchmarkError(f"protocol {path.name!r} cannot be read: {_short(error)}") from error
    if found.name != path.stem:
        raise BenchmarkError(
            f"protocol {path.name!r} names itself {found.name!r}; name the file so"
        )
    return found


def uncovered() -> dict[str, str]:
    """Return the corpora no classification task asks about, with the reason."""
    import yaml

    content: dict[str, str] = yaml.safe_load(UNCOVERED.read_text("utf-8"))
    return content


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    return " ".join(str(error).split())[:300]
