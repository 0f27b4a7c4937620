"""Findings as a BIDS derivative: events with HED-SCORE tags that other tools read.

One ``events.tsv`` with its sidecar per recording under ``derivatives/neurogloss``, times of the whole
recording, subjects by their salted hash. Written beside its place and renamed. Which recordings and
findings there are is the caller's to say, and so is which corpora are gated; the wall in front of
the export is :mod:`prompts.leaving`. Reading such files back is the corpora room's business.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.vocabulary import KINDS
from prompts.leaving import Walls
from prompts.releases.files import write_text
from prompts.releases.recipe import ReleaseError

BIDS_VERSION = "1.10.0"
HED_VERSION = "score_2.1.0"
"""The library schema every tag of the vocabulary validates against; it brings base 8.4.0."""
PIPELINE = "neurogloss"
PLACE = Path("derivatives") / PIPELINE
COLUMNS = (
    "onset", "duration", "trial_type", "channel", "HED", "confidence", "source", "rule_version",
)  # fmt: skip
ABSENT = "n/a"
WHAT = "this export of findings"
NOTICE = "Research only. Not a medical device. Nothing here may be used for the care of a person."

_README = """\
# Findings of {pipeline} as a BIDS derivative

{notice}

`events.tsv` of each recording lists what rules and detector found on its 10-second pages: background,
artifacts, sleep, epileptiform transients. Masked and pruned candidates are left out. Subjects are
salted hashes (`sub-`), recordings hashes of corpus and file (`acq-`), tasks the corpus. Times are
seconds from the start of the source recording; `confidence` is a detector's calibrated probability
or a rule's margin. What is not there was not found; that does not make it absent. {hidden}

## Sources

{sources}
"""


@dataclass(frozen=True, slots=True)
class FoundRecording:
    """One recording and what was found in it.

    Parameters
    ----------
    recording_id, corpus, subject_id
        As in table ``recordings``.
    licence, is_gated
        Of the corpus, as stored with the recording.
    findings
        Rows of table ``findings``, each with ``start_s`` of its segment.
    """

    recording_id: str
    corpus: str
    subject_id: str
    licence: str
    is_gated: bool
    findings: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class FoundExport:
    """What left: where it lies, recordings and events in it, recordings of each corpus left out."""

    folder: Path
    n_recordings: int
    n_events: int
    left_out: Mapping[str, int]


def export_bids(
    recordings: Iterable[FoundRecording],
    target: Path,
    walls: Walls,
    *,
    corpora: Mapping[str, str],
    version: str,
    is_without_gated: bool = False,
) -> FoundExport:
    """Write findings under ``target/derivatives/neurogloss``.

    Parameters
    ----------
    recordings
        Read once; their corpora must all be in ``corpora``.
    target
        A BIDS data set or any folder; the derivative must not be there yet.
    walls
        The storage root and the corpora that may not leave it.
    corpora
        Every corpus that will come, and how it is cited.
    version
        Of the rules, for ``GeneratedBy``.
    is_without_gated
        Leave gated corpora out, and say so.

    Raises
    ------
    ExportRefusedError
        If a gated corpus is among them, the target is outside the root, and it is not to be left out.
    ReleaseError
        If the derivative is there already or there is nothing to write.
    """
    folder = target / PLACE
    if folder.exists():
        raise ReleaseError(f"{str(folder)!r} exists already; name another folder")
    if not is_without_gated:
        walls.assert_may_hold(target, WHAT, corpora)
    draft = folder.with_name(f".{PIPELINE}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    subjects: set[str] = set()
    licences: set[str] = set()
    left_out: Counter[str] = Counter()
    n_recordings = n_events = 0
    try:
        for recording in recordings:
            if is_without_gated and _must_stay(recording, walls):
                left_out[recording.corpus] += 1
                continue
            _assert_may_leave(recording, target, walls)
            n_events += _write_recording(recording, draft)
            n_recordings += 1
            subjects.add(f"sub-{label(recording.subject_id)}")
            licences.add(recording.licence)
        if not n_recordings:
            raise ReleaseError(
                "there is no recording to export; materialise findings of an open corpus first"
            )
        sources = {c: cited for c, cited in corpora.items() if c not in left_out}
        _write_root(draft, sorted(subjects), sorted(licences), sources, left_out, version)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return FoundExport(folder, n_recordings, n_events, dict(sorted(left_out.items())))


def label(text: str) -> str:
    """Return a BIDS label, letters and digits only."""
    return re.sub(r"[^0-9A-Za-z]", "", text)


def stem(recording: FoundRecording) -> str:
    """Return the entities of a recording: subject, task (the corpus) and acquisition (its hash)."""
    return (
        f"sub-{label(recording.subject_id)}_task-{label(recording.corpus)}"
        f"_acq-{label(recording.recording_id)}"
    )


def event_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of one finding, in the order of :data:`COLUMNS`."""
    parts = [part.partition("@") for part in row["source"].split("+") if part]
    # a detector's weights are its version
    names = [name if at else name.partition(":")[0] for name, at, _ in parts]
    versions = [said if at else name.partition(":")[2] for name, at, said in parts]
    return (
        _seconds(row["start_s"] + row["t0_s"]),
        _seconds(row["t1_s"] - row["t0_s"]),
        row["kind"],
        ",".join(row["channels"]) or ABSENT,
        row["hed"] or ABSENT,
        f"{row['confidence']:.4f}",
        "+".join(names) or ABSENT,
        "+".join(versions) or ABSENT,
    )


def sidecar() -> dict[str, Any]:
    """Return the JSON sidecar of every events file."""
    return {
        "onset": {"Description": "Start, from the start of the source recording", "Units": "s"},
        "duration": {"Description": "Length", "Units": "s"},
        "trial_type": {
            "Description": "Kind of finding, a closed vocabulary",
            "Levels": {kind: entry.noun for kind, entry in KINDS.items()},
        },
        "channel": {
            "Description": "Electrodes or derivations it was seen on, with commas, the largest first "
            "where an order means something; n/a for the page as a whole"
        },
        "HED": {"Description": f"HED tags, schema {HED_VERSION}; n/a where the schema has none"},
        "confidence": {
            "Description": "Calibrated probability of a detector, or margin of a rule, 0 to 1"
        },
        "source": {"Description": "Rules and detectors that found it"},
        "rule_version": {"Description": "Version of each source, in the same order"},
    }


def _must_stay(recording: FoundRecording, walls: Walls) -> bool:
    """Whether a recording says it is gated, or its corpus is today, or nobody knows its terms."""
    is_known = walls.known is None or recording.corpus in walls.known
    return recording.is_gated or recording.corpus in walls.gated or not is_known


def _assert_may_leave(recording: FoundRecording, target: Path, walls: Walls) -> None:
    if _must_stay(recording, walls):
        one = Walls(walls.root, {recording.corpus: recording.licence})
        one.assert_may_hold(target, WHAT, [recording.corpus])


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _write_recording(recording: FoundRecording, draft: Path) -> int:
    folder = draft / f"sub-{label(recording.subject_id)}" / "eeg"
    folder.mkdir(parents=True, exist_ok=True)
    said = [row for row in recording.findings if not row["is_masked"]]
    order = {kind: i for i, kind in enumerate(KINDS)}
    said.sort(key=lambda r: (r["start_s"] + r["t0_s"], order[r["kind"]], r["finding_id"]))
    lines = ["\t".join(COLUMNS), *("\t".join(event_cells(row)) for row in said)]
    write_text(folder / f"{stem(recording)}_events.tsv", "\n".join(lines) + "\n")
    write_text(folder / f"{stem(recording)}_events.json", _json(sidecar()))
    return len(said)


def _write_root(
    draft: Path,
    subjects: Sequence[str],
    licences: Sequence[str],
    sources: Mapping[str, str],
    left_out: Mapping[str, int],
    version: str,
) -> None:
    description = {
        "Name": "EEG findings of rules and detectors",
        "BIDSVersion": BIDS_VERSION,
        "HEDVersion": HED_VERSION,
        "DatasetType": "derivative",
        "License": ", ".join(licences),
        "Acknowledgements": NOTICE,
        "GeneratedBy": [
            {
                "Name": PIPELINE,
                "Version": version,
                "Description": "Rules and a waveform detector over 10-second pages at 200 Hz.",
            }
        ],
    }
    hidden = (
        f"Left out, because their terms do not let them leave: {', '.join(sorted(left_out))}."
        if left_out
        else ""
    )
    write_text(draft / "dataset_description.json", _json(description))
    write_text(
        draft / "README.md",
        _README.format(
            pipeline=PIPELINE,
            notice=NOTICE,
            hidden=hidden,
            sources="\n".join(f"- `{label(c)}`: {cited}" for c, cited in sorted(sources.items())),
        ),
    )
    write_text(draft / "participants.tsv", "\n".join(["participant_id", *subjects]) + "\n")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
