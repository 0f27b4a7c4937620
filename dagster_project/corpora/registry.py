"""The table of corpora: what each is, how its files are named, read, labelled, sharded and split.

Adding a corpus is adding a row here and, where its labels are of a new kind, a function in
:mod:`dagster_project.corpora.labels`. Nothing in this package branches on a corpus' key. Facts are
from the corpora's own pages and sidecars; shard counts are frozen, changing one is a migration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Licence:
    """Under what terms a corpus comes; ``is_gated`` means its rows may not leave the root."""

    id: str
    url: str
    is_gated: bool = False


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """How a file name says who was recorded.

    Parameters
    ----------
    family
        Name shared by all corpora with the same people.
    aliases
        Pairs (second name, first name) of subjects who are one person.
    split_rule
        Key of :data:`dagster_project.corpora.identity.SPLIT_RULES`.
    """

    family: str
    aliases: tuple[tuple[str, str], ...] = ()
    split_rule: str = "hash"


@dataclass(frozen=True, slots=True)
class CorpusSpec:
    """One corpus.

    Parameters
    ----------
    key, title, citation
        Registry key, full name, and what to cite.
    licence
        Terms.
    folders
        Folders looked for under the data root, the first present wins.
    suffix
        End of a recording's file name; every such file is accounted for.
    file_pattern
        Regular expression searched in the path below the corpus folder, with group ``subject`` and,
        where the corpus numbers sessions or runs, ``session``.
    companion_patterns
        Files that inform recordings: with a group ``subject`` those of one subject, without it all.
    identity
        Leakage group rule.
    n_shards
        Frozen number of shards.
    line_freq_hz
        Mains frequency of the site.
    source_band_hz
        Pass band the source was filtered to, None where it was not.
    channel_policy, reader, label_reader
        Keys of ``channels.PICKERS``, ``readers.READERS`` and ``labels.LABEL_READERS``.
    is_simulated
        Not recorded from people.
    n_subjects, n_recordings
        Full corpus, 0 where it has no fixed size; a data root may hold part of it.
    notes
        What a user must know.
    """

    key: str
    title: str
    citation: str
    licence: Licence
    folders: tuple[str, ...]
    suffix: str
    file_pattern: str
    companion_patterns: tuple[str, ...]
    identity: IdentityRule
    n_shards: int
    line_freq_hz: float
    source_band_hz: tuple[float | None, float | None]
    channel_policy: str
    reader: str
    label_reader: str
    is_simulated: bool
    n_subjects: int
    n_recordings: int
    notes: str

    def match_file(self, path: str) -> re.Match[str] | None:
        """Match a path below the corpus folder against the layout of recordings."""
        return re.search(self.file_pattern, path)

    def match_companion(self, path: str) -> re.Match[str] | None:
        """Match a path below the corpus folder against the sidecars."""
        found = (re.search(pattern, path) for pattern in self.companion_patterns)
        return next((match for match in found if match), None)

    def identity_of(self, subject: str) -> str:
        """Return the leakage-group identity of a subject as the files name it."""
        subject = subject.lower()
        return f"{self.identity.family}:{dict(self.identity.aliases).get(subject, subject)}"


_ODC_BY = Licence("ODC-BY-1.0", "https://opendatacommons.org/licenses/by/1-0/")
_PHYSIONET = "Goldberger et al. 2000, Circulation 101(23):e215."

_ALL = (
    CorpusSpec(
        key="eegmat",
        title="EEG During Mental Arithmetic Tasks 1.0.0 (Workload)",
        citation=f"Zyma et al. 2019, Data 4(1):14, doi:10.3390/data4010014; {_PHYSIONET}",
        licence=_ODC_BY,
        folders=("workload-eegmat", "eegmat", "physionet.org/files/eegmat"),
        suffix=".edf",
        file_pattern=r"(?:^|/)(?P<subject>Subject\d{2})_(?P<session>[12])\.edf$",
        companion_patterns=(r"(?:^|/)subject-info\.csv$",),
        identity=IdentityRule("eegmat"),
        n_shards=1,
        line_freq_hz=50.0,
        source_band_hz=(0.5, 45.0),
        channel_policy="referential19",
        reader="edf",
        label_reader="eegmat",
        is_simulated=False,
        n_subjects=36,
        n_recordings=72,
        notes="Filtered 0.5-45 Hz and notched at the source: nothing above 45 Hz means anything.",
    ),
    CorpusSpec(
        key="eegmmidb",
        title="EEG Motor Movement/Imagery Dataset 1.0.0",
        citation=f"Schalk et al. 2004, IEEE TBME 51(6):1034, doi:10.13026/C28G6P; {_PHYSIONET}",
        licence=_ODC_BY,
        folders=("eegmmidb", "physionet.org/files/eegmmidb"),
        suffix=".edf",
        file_pattern=r"(?:^|/)(?P<subject>S\d{3})R(?P<session>\d{2})\.edf$",
        companion_patterns=(r"(?:^|/)(?P<subject>S\d{3})R\d{2}\.edf\.event$",),
        identity=IdentityRule("eegmmidb"),
        n_shards=4,
        line_freq_hz=60.0,
        source_band_hz=(None, None),
        channel_policy="referential19",
        reader="edf",
        label_reader="eegmmidb",
        is_simulated=False,
        n_subjects=109,
        n_recordings=1526,
        notes="What T1 and T2 mean depends on the run. 36 files are at 128 Hz, the rest at 160 Hz.",
    ),
    CorpusSpec(
        key="chb-mit",
        title="CHB-MIT Scalp EEG Database 1.0.0",
        citation=f"Shoeb 2009, PhD thesis, MIT; Guttag 2010, doi:10.13026/C2K01R; {_PHYSIONET}",
        licence=_ODC_BY,
        folders=("chb-mit", "chbmit", "physionet.org/files/chbmit"),
        suffix=".edf",
        file_pattern=r"(?:^|/)(?P<subject>chb\d{2})(?P<session>[a-z]?_[\w+]+)\.edf$",
        companion_patterns=(
            r"(?:^|/)(?P<subject>chb\d{2})-summary\.txt$",
            r"(?:^|/)SUBJECT-INFO$",
        ),
        identity=IdentityRule("chb-mit", (("chb21", "chb01"),)),
        n_shards=8,
        line_freq_hz=60.0,
        source_band_hz=(None, None),
        channel_policy="bipolar",
        reader="edf",
        label_reader="chb-mit",
        is_simulated=False,
        n_subjects=23,
        n_recordings=686,
        notes="Bipolar; chb12_27-29 are not and are set aside. chb21 is chb01 at another age.",
    ),
    CorpusSpec(
        key="sleep-edfx",
        title="Sleep-EDF Database Expanded 1.0.0",
        citation=f"Kemp et al. 2000, IEEE TBME 47(9):1185, doi:10.13026/C2X676; {_PHYSIONET}",
        licence=_ODC_BY,
        folders=("sleep-edfx", "sleep-edf", "physionet.org/files/sleep-edfx"),
        suffix=".edf",
        file_pattern=r"(?:^|/)(?P<subject>S[CT][47]\d{2})(?P<session>\d)\w\d-PSG\.edf$",
        companion_patterns=(r"(?:^|/)(?P<subject>S[CT][47]\d{2})\d\w{2}-Hypnogram\.edf$",),
        identity=IdentityRule("sleep-edfx"),
        n_shards=16,
        line_freq_hz=50.0,
        source_band_hz=(0.5, 100.0),
        channel_policy="bipolar",
        reader="edf",
        label_reader="sleep-edfx",
        is_simulated=False,
        n_subjects=100,
        n_recordings=197,
        notes="Two derivations at 100 Hz. Rechtschaffen & Kales stages; 3 and 4 become N3.",
    ),
    CorpusSpec(
        key="simulated",
        title="Simulated recordings with known ground truth",
        citation="Made by this project's simulator; no person was recorded.",
        licence=Licence("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        folders=("simulated",),
        suffix=".edf",
        file_pattern=r"(?:^|/)(?P<subject>sub-\d+)_(?P<session>[a-z0-9-]+)\.edf$",
        companion_patterns=(r"(?:^|/)(?P<subject>sub-\d+)_[a-z0-9-]+_truth\.json$",),
        identity=IdentityRule("simulated", split_rule="number"),
        n_shards=2,
        line_freq_hz=50.0,
        source_band_hz=(None, None),
        channel_policy="referential19",
        reader="edf",
        label_reader="simulated",
        is_simulated=True,
        n_subjects=0,
        n_recordings=0,
        notes="Subject numbers decide the split: n % 4 = 0 test, 3 validation, else train.",
    ),
)

CORPORA: dict[str, CorpusSpec] = {spec.key: spec for spec in _ALL}
"""Every corpus by key."""


def corpus(key: str) -> CorpusSpec:
    """Return one corpus.

    Raises
    ------
    KeyError
        If no such corpus is registered; the message lists those that are.
    """
    if key not in CORPORA:
        raise KeyError(f"corpus {key!r} is not registered; known corpora: {', '.join(CORPORA)}")
    return CORPORA[key]
