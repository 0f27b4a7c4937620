"""A user's own events as they stand in tables beside the recordings: CSV, BIDS words and HED tags.

Two kinds of tables are looked for, in corpora that a user's own entry describes:

``events.csv`` or ``events.tsv`` in the corpus folder
    Columns ``recording`` (path below the corpus folder), ``channel``, ``label``, ``onset_s`` and
    ``duration_s``, as ``neurogloss bench detectors`` takes them.
``*_events.tsv`` of a BIDS recording
    ``onset`` and ``duration``, with HED tags in a column ``HED`` or in ``*_events.json``, else the
    words of ``trial_type``; electrodes in ``channel``, ``channels`` or the tag ``Sensor-list/``.

Words and tags are mapped by closed tables; others are counted and never copied. What an entry maps
itself (``timed_events``) is in the segments already, see ``labels/timed.py``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_project.corpora.annotations.boxes import BOXED_KINDS
from dagster_project.corpora.bids import SUBJECT_PREFIX, merged_json, nearest_table
from dagster_project.corpora.crosswalk import EVENTS
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number, table
from dagster_project.corpora.labels.timed import clean, places
from dagster_project.corpora.labels.tuh_codes import KIND_OF_CODE
from dagster_project.corpora.registry import CATALOGUE
from dagster_project.corpora.shards import corpus_folder
from dagster_project.corpora.spec import CorpusSpec
from detectors._rule_common import Limit
from detectors.types import ExpertEvent, Measure
from detectors.vocabulary import KINDS, WAVEFORMS

COLUMNS = ("recording", "channel", "label", "onset_s", "duration_s")
TABLES: Mapping[str, str] = {"events.csv": ",", "events.tsv": "\t"}
"""Tables of a whole corpus and what separates their cells."""
SOURCE = "own"

LIMITS: dict[str, Limit] = {
    "spike_point_s": Limit(0.07, "s", "IFCN 2017: longest spike"),
    "sharp_point_s": Limit(0.2, "s", "IFCN 2017: longest sharp wave"),
    "spsw_point_s": Limit(0.4, "s", "systems.md 6.3: middle of 0.25-0.6 s"),
}
"""Length given to point marks, around the point; other kinds' point marks are refused."""

WORDS: Mapping[str, str] = {
    **{code: kind for code, kind in KIND_OF_CODE.items() if code not in {"null", "bckg"}},
    **{kind.replace("_", " "): kind for kind in EVENTS},
    **{kind: kind for kind in EVENTS},
    **{spec.noun: kind for kind, spec in KINDS.items() if spec.family != "background"},
    **{spec.plural: kind for kind, spec in KINDS.items() if spec.family != "background"},
    **{name.lower(): waveform.kind for name, waveform in WAVEFORMS.items()},
    "k-complex": "kcomplex", "k complex": "kcomplex", "kc": "kcomplex", "spindles": "spindle",
    "ied": "spike", "spikes": "spike", "sharp waves": "sharp", "spike and wave": "spsw",
    "spike-wave": "spsw", "spike-and-wave": "spsw", "blinks": "blink", "emg": "muscle",
    "muscle artifact": "muscle", "muscle artefact": "muscle", "eye movement": "eye_movement",
    "horizontal eye movement": "lateral_eye", "saccade": "lateral_eye", "pop": "electrode_pop",
}  # fmt: skip
"""Words, lower case, and the kind of event they mean; ``eyem`` is the detector's class here."""

SIGNS: Mapping[str, float] = {"eyer+": 1.0, "eyer-": -1.0}
"""Words that say the sign of the deflection too."""


def _own_tags() -> dict[str, str]:
    """Return HED tags, lower case, to kinds: a kind's most specific tag is its last."""
    found: dict[str, str] = {}
    for kind, meaning in sorted(EVENTS.items(), key=lambda item: item[0] not in BOXED_KINDS):
        tag = meaning.hed.rpartition(",")[2].strip().lower()
        if tag:
            found.setdefault(tag, kind)
    return found


TAGS: Mapping[str, str] = _own_tags()
_SENSORS = "sensor-list/"
_TAG = re.compile(r"[^(),{}]+")


@dataclass(slots=True)
class OwnEvents:
    """What a user's own tables say.

    Parameters
    ----------
    events
        By recording, as in column ``path`` of table ``recordings``; times of the recording.
    refused
        Rows that became no event: kind (empty where unknown) and cause.
    faults
        Tables that could not be used, one sentence each.
    """

    events: dict[str, list[ExpertEvent]] = field(default_factory=dict)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def is_own(spec: CorpusSpec) -> bool:
    """Whether a corpus is a user's own: described by an entry outside the catalogue."""
    return not (CATALOGUE / f"{spec.key}.yaml").is_file()


def own_events(spec: CorpusSpec, root: Path, paths: Sequence[str]) -> OwnEvents:
    """Read the tables beside a user's own recordings.

    Parameters
    ----------
    spec, root
        Corpus and data root.
    paths
        Accepted recordings of the corpus, relative to the data root.

    Returns
    -------
    OwnEvents
        Empty for corpora of the catalogue: their labels have readers of their own.
    """
    found = OwnEvents()
    folder = corpus_folder(spec, root)
    if folder is None or not is_own(spec):
        return found
    prefix = folder.relative_to(root).as_posix()
    _read_corpus_tables(folder, prefix, set(paths), found)
    for path in paths:
        if any(part.startswith(SUBJECT_PREFIX) for part in Path(path).parent.parts):
            _read_bids(root / path, path, found)
    return found


def hed_kinds(hed: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the kinds of event a HED string names, and the electrodes of its sensor list.

    Kinds the detector has a class for stand alone: ``Epileptiform-interictal-activity, Spike`` is a
    spike. Library prefixes and the path before a tag do not count.
    """
    kinds: list[str] = []
    sensors: tuple[str, ...] = ()
    for raw in _TAG.findall(hed):
        tag = raw.strip().rpartition(":")[2].lower()
        at = tag.find(_SENSORS)
        if at >= 0:
            said = raw.strip().rpartition(":")[2][at + len(_SENSORS) :]
            sensors = places(re.sub(r"[\s;]+", ",", said))
            continue
        kind = TAGS.get(tag.rpartition("/")[2])
        if kind:
            kinds.append(kind)
    boxed = [kind for kind in kinds if kind in BOXED_KINDS]
    return tuple(dict.fromkeys(boxed or kinds)), sensors


def _read_corpus_tables(folder: Path, prefix: str, paths: set[str], found: OwnEvents) -> None:
    for name, delimiter in TABLES.items():
        try:
            rows = table(folder / name, delimiter)
        except CorpusError as error:
            found.faults.append(f"{name}: {error}")
            continue
        if not rows:
            continue
        missing = [column for column in COLUMNS if column not in rows[0]]
        if missing:
            found.faults.append(f"{name} has no column {', '.join(missing)}")
            continue
        for row in rows:
            path = f"{prefix}/{row.get('recording', '').lstrip('./')}"
            if path in paths:
                word = clean(row.get("label", ""))
                _add(found, path, (WORDS.get(word, ""),), row, places(row.get("channel", "")),
                     SIGNS.get(word))  # fmt: skip
            else:
                found.refused["", "unknown_recording"] += 1


def _read_bids(place: Path, path: str, found: OwnEvents) -> None:
    try:
        rows = nearest_table(place, "events.tsv") or []
        said = merged_json(place, "events.json")
    except CorpusError as error:
        found.faults.append(f"events of a recording: {error}")
        return
    for row in rows:
        times = {**row, "onset_s": row.get("onset", ""), "duration_s": row.get("duration", "")}
        channels = places(row.get("channel", "") or row.get("channels", ""))
        tags = ", ".join(_hed_of(row, said))
        if tags:
            kinds, sensors = hed_kinds(tags)
            _add(found, path, kinds or ("",), times, channels or sensors)
        else:
            word = clean(row.get("trial_type", ""))
            _add(found, path, (WORDS.get(word, ""),), times, channels, SIGNS.get(word))


def _hed_of(row: Mapping[str, str], said: Mapping[str, Any]) -> Iterator[str]:
    """Yield the HED strings of a row: its own, and those its words have in the JSON sidecar."""
    own = row.get("HED", "")
    if own.lower() not in {"", "n/a"}:
        yield own
    for column, content in said.items():
        tags = content.get("HED") if isinstance(content, dict) else None
        cell = row.get(column, "")
        if isinstance(tags, dict) and isinstance(tags.get(cell), str):
            yield tags[cell]


def _add(
    found: OwnEvents,
    path: str,
    kinds: Sequence[str],
    row: Mapping[str, str],
    channels: tuple[str, ...],
    sign: float | None = None,
) -> None:
    """Add one event per kind, or count why there is none."""
    onset_s, length_s = number(row.get("onset_s")), number(row.get("duration_s")) or 0.0
    for kind in kinds:
        point = LIMITS.get(f"{kind}_point_s")
        if not kind:
            found.refused["", "unknown_word"] += 1
        elif onset_s is None or not math.isfinite(onset_s) or onset_s < 0:
            found.refused[kind, "outside"] += 1
        elif not (math.isfinite(length_s) and length_s > 0) and point is None:
            found.refused[kind, "no_duration"] += 1
        else:
            is_point = not (math.isfinite(length_s) and length_s > 0)
            start_s = max(onset_s - point.value / 2, 0.0) if is_point and point else onset_s
            stop_s = start_s + (point.value if is_point and point else length_s)
            signs = tuple(Measure(f"sign:{c}", sign, "1") for c in channels if sign is not None)
            event = ExpertEvent(kind, channels, start_s, stop_s, SOURCE, signs)
            found.events.setdefault(path, []).append(event)
