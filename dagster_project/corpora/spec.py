"""What an entry of the corpus catalogue may say, as strict frozen models.

An entry is a YAML file: ours lie in ``catalogue/``, a user's where ``NEUROGLOSS_CORPORA`` points.
This module holds the shape of an entry and the questions it answers by itself. Loading entries is
:mod:`dagster_project.corpora.registry`; what the named readers and rules do is in ``readers/``,
``labels/``, ``channels.py``, ``splits.py`` and ``fetch/``.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from detectors.types import SEGMENT_S

_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class Entry(BaseModel):
    """Base of everything a catalogue file holds: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Params = TypeVar("Params", bound=Entry)


class NoParams(Entry):
    """Parameters of a row that takes none."""


class Licence(Entry):
    """Under what terms a corpus comes.

    Parameters
    ----------
    id, url
        SPDX id where there is one, and where the text is.
    is_gated
        Rows, pictures and text made from it may not leave the storage root: an agreement or a
        no-derivatives licence forbids it.
    allows_hosted_teachers
        Whether derived numbers may be sent to a hosted language model.
    """

    id: str
    url: str
    is_gated: bool = False
    allows_hosted_teachers: bool = True

    @model_validator(mode="after")
    def _says_whether_it_is_gated(self) -> Licence:
        if self.id.startswith("LicenseRef-") and "is_gated" not in self.model_fields_set:
            raise ValueError(f"licence {self.id!r} is no public one; write is_gated: true or false")
        return self


class Access(Entry):
    """How one gets the files.

    Parameters
    ----------
    kind
        ``open`` needs no login, ``login`` a free account, ``agreement`` a signed form; ``none`` is
        written by this project or lies on the user's own disk.
    source
        Key of :data:`dagster_project.corpora.fetch.table.SOURCES` for open corpora, else empty.
    locator
        What the source needs to find it, such as data set id and version.
    n_bytes
        Size of the download as its host states it; 0 where no host says.
    instructions
        What a person does where no program may: exact steps, in order.
    """

    kind: Literal["open", "login", "agreement", "none"] = "none"
    source: str = ""
    locator: dict[str, str] = Field(default_factory=dict)
    n_bytes: int = Field(default=0, ge=0)
    instructions: tuple[str, ...] = ()


class Pinned(Entry):
    """Identities whose side is fixed, because nothing maps them to the people they may be."""

    pattern: str
    split: Literal["train", "validation", "test"]


class IdentityRule(Entry):
    """How a file name says who was recorded.

    Parameters
    ----------
    family
        Name shared by all corpora with the same people.
    renames
        Pattern of a whole subject name, lower case, to what it becomes (``re`` replacement), such
        as numbers that are no ids of the family; before ``aliases``.
    aliases
        Second name to first name of subjects who are one person.
    alias_table
        ``file:key_column:value_column`` of a table in the corpus folder that gives every subject's
        person, empty if there is none (BOAS: two nights of one ``pid``).
    split_rule
        Key of :data:`dagster_project.corpora.identity.SPLIT_RULES`.
    pinned
        Identities whose split is fixed.
    """

    family: str
    renames: dict[str, str] = Field(default_factory=dict)
    aliases: dict[str, str] = Field(default_factory=dict)
    alias_table: str = ""
    split_rule: str = "hash"
    pinned: tuple[Pinned, ...] = ()


class Files(Entry):
    """How the files of a corpus are named.

    Parameters
    ----------
    suffixes
        Ends of recordings' file names, lower case; every such file is accounted for.
    pattern
        Regular expression searched in the path below the corpus folder, with group ``subject``
        and, where the corpus numbers them, ``session``; label readers may use further groups.
    ignored
        Patterns of files with such a suffix that are no recordings, such as hypnograms.
    companions
        Files that inform recordings: with a group ``subject`` those of one subject, without it all.
    folders_ignored
        Folder names not walked into.
    """

    suffixes: tuple[str, ...]
    pattern: str
    ignored: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    folders_ignored: tuple[str, ...] = ("derivatives", "sourcedata", "code", "stimuli")

    @field_validator("pattern")
    @classmethod
    def _has_subject(cls, pattern: str) -> str:
        if "subject" not in re.compile(pattern).groupindex:
            raise ValueError(f"pattern {pattern!r} has no group (?P<subject>...)")
        return pattern


class Choice(Entry):
    """A named row of a table of ours with its parameters, which the row's own model checks."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    def parsed(self, model: type[Params]) -> Params:
        """Return the parameters as the row's own model."""
        return model.model_validate_json(json.dumps(self.params))


class Channels(Entry):
    """Which channels of a file become rows.

    Parameters
    ----------
    policy
        Key of :data:`dagster_project.corpora.channels.PICKERS`.
    aliases
        Name in the file to name we know, after the clean-up of labels (``E22: Fp1``).
    reference
        ``average`` where the source is stored unreferenced: the mean of all its scalp channels is
        taken off before anything else. Empty: as recorded.
    """

    policy: str = "referential19"
    aliases: dict[str, str] = Field(default_factory=dict)
    reference: Literal["", "average"] = ""


class Cut(Entry):
    """How runs become segments.

    Parameters
    ----------
    pad_runs_from_s
        A run shorter than a segment, but at least this long, becomes one segment whose rest is zero
        and whose column ``recorded_s`` says so; nothing is judged on it. None: such runs give no
        segment.
    """

    pad_runs_from_s: float | None = Field(default=None, ge=0.5, le=SEGMENT_S)

    def pads(self, duration_s: float) -> bool:
        """Whether a run of this length becomes one padded segment."""
        least = self.pad_runs_from_s
        return least is not None and least <= duration_s < SEGMENT_S


class Expected(Entry):
    """What the whole corpus holds, for ``corpora verify``; 0 or empty where nobody says.

    Parameters
    ----------
    n_subjects, n_recordings
        Counts of people and of recording files.
    hours
        Least and most recorded time of files that hold the corpus' montage.
    rates
        Native rate in Hz, as text, to the number of such files; an empty mapping allows any.
    labels
        Label name to value to number of recordings, duplicates included; values left out may occur.
    """

    n_subjects: int = 0
    n_recordings: int = 0
    hours: tuple[float, float] | None = None
    rates: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, dict[str, int]] = Field(default_factory=dict)


class PublishedWindows(Entry):
    """Ten-second windows NeuroNarrator reports, and why ours may differ."""

    train: int
    test: int
    remark: str = ""


class Doubt(Entry):
    """A fact nobody could confirm, and what guards against it being wrong."""

    fact: str
    guard: str


class CorpusSpec(Entry):
    """One corpus.

    Parameters
    ----------
    key, title, citation
        Registry key, full name, and what to cite.
    licence, access
        Terms, and how to get it.
    folders
        Folders looked for under the data root, the first present wins.
    files
        How its files are named.
    identity
        Leakage group rule.
    n_shards
        Frozen number of shards.
    line_freq_hz
        Mains frequency of the site.
    source_band_hz
        Pass band the source was filtered to, null where it was not.
    reader
        Row of ``readers.table.READERS``.
    channels
        Which channels are taken.
    cut
        How runs become segments.
    labels
        Rows of ``labels.table.LABEL_READERS``; what they say is put together.
    splits
        Rows of ``splits.SPLIT_PROTOCOLS``: published splits beside our own.
    is_simulated
        Not recorded from people.
    expected, published_windows
        What to compare a copy with.
    doubts
        Facts marked unverified and how the loader guards each.
    notes
        What a user must know.
    """

    key: str
    title: str
    citation: str
    licence: Licence
    access: Access = Access()
    folders: tuple[str, ...]
    files: Files
    identity: IdentityRule
    n_shards: int = Field(ge=1, le=99)
    line_freq_hz: float
    source_band_hz: tuple[float | None, float | None] = (None, None)
    reader: Choice
    channels: Channels = Channels()
    cut: Cut = Cut()
    labels: tuple[Choice, ...] = ()
    splits: tuple[Choice, ...] = ()
    is_simulated: bool = False
    expected: Expected = Expected()
    published_windows: PublishedWindows | None = None
    doubts: tuple[Doubt, ...] = ()
    notes: str = ""

    @field_validator("key")
    @classmethod
    def _is_key(cls, key: str) -> str:
        if not _KEY.match(key):
            raise ValueError(f"key {key!r} is not lower-case words joined by '-'")
        return key

    @field_validator("line_freq_hz")
    @classmethod
    def _is_mains(cls, line_freq_hz: float) -> float:
        if line_freq_hz not in (50.0, 60.0):
            raise ValueError(f"line_freq_hz={line_freq_hz:g} is not a mains frequency: 50 or 60")
        return line_freq_hz

    @cached_property
    def _ignored(self) -> tuple[re.Pattern[str], ...]:
        return tuple(map(re.compile, self.files.ignored))

    @property
    def digest(self) -> str:
        """Hash of all that shapes rows: what is only told to people does not count."""
        shown = {"title", "citation", "access", "expected", "published_windows", "doubts", "notes"}
        text = self.model_dump_json(exclude=shown)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def is_recording_name(self, path: str) -> bool:
        """Whether a path below the corpus folder must be accounted for as a recording."""
        has_suffix = path.lower().endswith(self.files.suffixes)
        return has_suffix and not any(pattern.search(path) for pattern in self._ignored)

    def match_file(self, path: str) -> re.Match[str] | None:
        """Match a path below the corpus folder against the layout of recordings."""
        return re.search(self.files.pattern, path)

    def match_companion(self, path: str) -> re.Match[str] | None:
        """Match a path below the corpus folder against the sidecars."""
        found = (re.search(pattern, path) for pattern in self.files.companions)
        return next((match for match in found if match), None)

    def identity_of(self, subject: str) -> str:
        """Return the leakage-group identity of a subject as the files name it."""
        subject = subject.lower()
        for pattern, name in self.identity.renames.items():
            subject = re.sub(rf"\A(?:{pattern})\Z", name, subject)
        return f"{self.identity.family}:{self.identity.aliases.get(subject, subject)}"
