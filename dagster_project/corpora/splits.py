"""Published splits: what others trained and tested on, as labels of scope ``split``.

They stand beside our own split (:mod:`dagster_project.corpora.identity`), which alone keeps people
apart; a published one may not. A corpus entry names rows of :data:`SPLIT_PROTOCOLS`. Rules that
count files or draw people hold for the whole corpus only: with a copy that is not whole the label
says ``unknown``, because one missing file would move everyone after it. Nothing depends on the
order in which files are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from dagster_project.corpora.identity import fraction
from dagster_project.corpora.labels.types import Interval, Label
from dagster_project.corpora.order import natural_key
from dagster_project.corpora.spec import CorpusSpec, Entry

UNKNOWN = "unknown"
TRIAL = "trial"
"""Name of the interval label that numbers trials."""
WHOLE = 1e-9
"""Shares of a split must add up to one this closely."""

Part = Literal["train", "validation", "test"]


class SplitParams(Entry):
    """What every published split says.

    Parameters
    ----------
    protocol
        Name of the label: ``official``, or whose split it is.
    """

    protocol: str


class PathParams(SplitParams):
    """A folder or name says the part.

    Parameters
    ----------
    group
        Named group of ``files.pattern``.
    parts
        What it holds to the part it means.
    validation_share
        So much of the people of part ``train`` is validation.
    validation_by
        ``hash``: a person is validation by a hash of the identity. ``draw``: so many are drawn from
        the sorted people of part ``train`` by NumPy's ``RandomState(seed).choice`` without
        replacement, which needs the whole corpus.
    seed
        Seed of the draw.
    """

    group: str
    parts: dict[str, Part]
    validation_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    validation_by: Literal["hash", "draw"] = "hash"
    seed: int = Field(default=0, ge=0, lt=2**32)


class OrderParams(SplitParams):
    """The sorted recordings of the whole corpus, so many to each part in the order written.

    Parameters
    ----------
    counts
        Part to number of files; their sum must be ``expected.n_recordings``.
    sort
        ``plain`` compares names character by character, ``natural`` puts 2 before 10.
    """

    counts: dict[Part, int]
    sort: Literal["natural", "plain"]


class TrialParams(SplitParams):
    """Numbered trials inside every recording; ``trials`` maps a part to its numbers."""

    trials: dict[Part, tuple[int, ...]]

    @model_validator(mode="after")
    def _once(self) -> TrialParams:
        _each_once([n for numbers in self.trials.values() for n in numbers])
        return self


class SubjectParams(SplitParams):
    """Listed subjects, as the files name them, in lower case; all others are of part ``rest``."""

    subjects: dict[Part, tuple[str, ...]]
    rest: Part | None = None

    @model_validator(mode="after")
    def _once(self) -> SubjectParams:
        _each_once([s for names in self.subjects.values() for s in names])
        return self


class HashParams(SplitParams):
    """People fall into parts by a hash of their identity, in these shares."""

    shares: dict[Part, float]

    @model_validator(mode="after")
    def _whole(self) -> HashParams:
        if abs(sum(self.shares.values()) - 1) > WHOLE or min(self.shares.values()) < 0:
            raise ValueError("shares do not add up to 1")
        return self


def _each_once(listed: Sequence[object]) -> None:
    if len(set(listed)) != len(listed):
        raise ValueError("something is listed twice")


@dataclass(frozen=True, slots=True)
class SplitFile:
    """What a protocol may know of a recording.

    Parameters
    ----------
    path
        Path below the corpus' folder.
    groups
        What the named groups of ``files.pattern`` hold.
    identity
        Leakage-group identity.
    """

    path: str
    groups: Mapping[str, str | None]
    identity: str

    @property
    def subject(self) -> str:
        """Subject as the file names it, lower case."""
        return (self.groups.get("subject") or "").lower()


Rule = Callable[[CorpusSpec, Sequence[SplitFile], Any], tuple[dict[str, str], str]]
"""From all recordings of a corpus to path -> value, and how it was found."""


def _is_whole(spec: CorpusSpec, files: Sequence[SplitFile]) -> bool:
    return 0 < spec.expected.n_recordings == len(files)


def _by_hash(file: SplitFile, protocol: str, shares: Sequence[tuple[str, float]]) -> str:
    at = fraction(f"{protocol}|{file.identity}")
    for part, share in shares:
        at -= share
        if at < 0:
            return part
    return shares[-1][0]


def _path(
    spec: CorpusSpec, files: Sequence[SplitFile], params: PathParams
) -> tuple[dict[str, str], str]:
    parts = {f.path: params.parts.get(f.groups.get(params.group) or "", UNKNOWN) for f in files}
    source = f"path group {params.group}"
    train = [f for f in files if parts[f.path] == "train"]
    if not params.validation_share:
        return dict(parts), source
    if params.validation_by == "hash":
        shares = [("validation", params.validation_share), ("train", 1 - params.validation_share)]
        by_hash = {f.path: _by_hash(f, params.protocol, shares) for f in train}
        return parts | by_hash, f"{source}; hash of the person"
    people = sorted({f.subject for f in train})
    source += f"; draw of {params.validation_share:g} of {len(people)} sorted people"
    if not _is_whole(spec, files):
        return parts | {f.path: UNKNOWN for f in train}, _partial(source, spec, files)
    n_drawn = int(len(people) * params.validation_share)
    drawn = set(
        np.random.RandomState(params.seed).choice(people, size=n_drawn, replace=False).tolist()
    )
    return parts | {f.path: "validation" for f in train if f.subject in drawn}, source


def _order(
    spec: CorpusSpec, files: Sequence[SplitFile], params: OrderParams
) -> tuple[dict[str, str], str]:
    source = f"{params.sort} order of {len(files)} files"
    if not _is_whole(spec, files) or sum(params.counts.values()) != len(files):
        return {f.path: UNKNOWN for f in files}, _partial(source, spec, files)

    def key(file: SplitFile) -> tuple[Any, str]:
        name = PurePosixPath(file.path).name
        return natural_key(name) if params.sort == "natural" else name, file.path

    values = [part for part, n in params.counts.items() for _ in range(n)]
    ordered = (f.path for f in sorted(files, key=key))
    return dict(zip(ordered, values, strict=True)), source


def _partial(source: str, spec: CorpusSpec, files: Sequence[SplitFile]) -> str:
    return f"{source}; {len(files)} of {spec.expected.n_recordings} files are there"


def _subjects(
    _: CorpusSpec, files: Sequence[SplitFile], params: SubjectParams
) -> tuple[dict[str, str], str]:
    part_of = {s.lower(): part for part, names in params.subjects.items() for s in names}
    rest = params.rest or UNKNOWN
    return {f.path: part_of.get(f.subject, rest) for f in files}, "list of subjects"


def _hash(
    _: CorpusSpec, files: Sequence[SplitFile], params: HashParams
) -> tuple[dict[str, str], str]:
    shares = list(params.shares.items())
    return {f.path: _by_hash(f, params.protocol, shares) for f in files}, "hash of the person"


@dataclass(frozen=True, slots=True)
class Protocol:
    """One kind of published split.

    Parameters
    ----------
    params
        Model of what an entry may say to it.
    rule
        Gives every recording its part; None where parts of one recording differ.
    meaning
        How it decides, for the table users see.
    """

    params: type[SplitParams]
    rule: Rule | None
    meaning: str


SPLIT_PROTOCOLS: dict[str, Protocol] = {
    "path": Protocol(PathParams, _path, "a folder or name says the part"),
    "order": Protocol(OrderParams, _order, "sorted files of the whole corpus, by counts"),
    "subjects": Protocol(SubjectParams, _subjects, "listed subjects"),
    "hash": Protocol(HashParams, _hash, "people by a hash of their identity"),
    "trial": Protocol(TrialParams, None, "numbered trials inside every recording"),
}
"""Kinds of published splits by the name a corpus entry gives."""


def recording_splits(spec: CorpusSpec, files: Sequence[SplitFile]) -> dict[str, tuple[Label, ...]]:
    """Say to which part of each published split every recording belongs.

    Parameters
    ----------
    spec
        The corpus.
    files
        Every recording of the corpus that is there, in any order.

    Returns
    -------
    dict
        Path to labels, one per protocol that decides by recording.
    """
    labels: dict[str, tuple[Label, ...]] = {f.path: () for f in files}
    for choice in spec.splits:
        protocol = SPLIT_PROTOCOLS[choice.name]
        if protocol.rule is None:
            continue
        params = choice.parsed(protocol.params)
        values, source = protocol.rule(spec, files, params)
        for path, value in values.items():
            labels[path] += (Label("split", params.protocol, value, source),)
    return labels


def segment_splits(
    spec: CorpusSpec, intervals: Sequence[Interval], t0_s: float, t1_s: float
) -> tuple[Label, ...]:
    """Say to which part a stretch of a recording belongs where that goes by trials.

    A stretch that overlaps trials of two parts, or none that is listed, has no such label.

    Parameters
    ----------
    spec
        The corpus.
    intervals
        Interval labels of the recording; those named ``trial`` count.
    t0_s, t1_s
        The stretch.
    """
    inside = {i.label.value for i in intervals if i.label.name == TRIAL and i.overlaps(t0_s, t1_s)}
    labels = []
    for choice in spec.splits:
        if choice.name != TRIAL:
            continue
        params = choice.parsed(TrialParams)
        part_of = {str(n): part for part, numbers in params.trials.items() for n in numbers}
        parts = {part_of.get(value.lstrip("0")) for value in inside}
        part = parts.pop() if len(parts) == 1 else None
        if part is not None:
            labels.append(Label("split", params.protocol, part, "number of the trial"))
    return tuple(labels)


def split_fault(spec: CorpusSpec) -> str | None:
    """Return what is wrong with the splits of an entry beyond their parameters, None if nothing."""
    protocols = [str(choice.params.get("protocol")) for choice in spec.splits]
    if len(set(protocols)) != len(protocols):
        return f"splits: a protocol is named twice in {', '.join(protocols)}"
    for choice in spec.splits:
        group = choice.params.get("group")
        if group is not None and f"(?P<{group}>" not in spec.files.pattern:
            return f"splits: files.pattern has no group {group!r}"
        n = spec.expected.n_recordings
        if choice.name == "order":
            n_counted = sum(choice.parsed(OrderParams).counts.values())
            if n_counted != n:
                return f"splits: counts of {n_counted} files, expected.n_recordings is {n}"
        if choice.params.get("validation_by") == "draw" and not n:
            return "splits: a draw needs expected.n_recordings, to know that everybody is there"
    return None
