"""The table of label readers, and what they say about one recording put together.

A corpus entry names one or more of these. What they return is
:mod:`dagster_project.corpora.labels.types`; each lives in the module named after its corpus or its
kind of sidecar.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.dreams import DreamsParams
from dagster_project.corpora.labels.flat_channel import FlatChannelParams
from dagster_project.corpora.labels.grasp_and_lift import EventColumnsParams
from dagster_project.corpora.labels.path import PathParams
from dagster_project.corpora.labels.seed import TrialCodesParams
from dagster_project.corpora.labels.subject_table import SubjectTableParams
from dagster_project.corpora.labels.timed import TimedParams
from dagster_project.corpora.labels.tuh_events import EventParams, SeizureParams
from dagster_project.corpora.labels.tuh_header import ListedParams
from dagster_project.corpora.labels.types import LabelRequest, RecordingLabels
from dagster_project.corpora.labels.zuco import ZucoLabelParams
from dagster_project.corpora.readers.types import Recording
from dagster_project.corpora.spec import CorpusSpec, Entry, NoParams

LabelReader = Callable[[LabelRequest, Any], RecordingLabels]


@dataclass(frozen=True, slots=True)
class LabelKind:
    """One label reader: ``module:callable`` in this folder, and what an entry may say to it."""

    target: str
    params: type[Entry] = NoParams

    def read(self, request: LabelRequest, params: Entry) -> RecordingLabels:
        """Read what this kind of sidecar says."""
        module, _, name = self.target.partition(":")
        reader: LabelReader = getattr(
            import_module(f"dagster_project.corpora.labels.{module}"), name
        )
        return reader(request, params)


LABEL_READERS: dict[str, LabelKind] = {
    "physionet-2018": LabelKind("physionet_2018:read_physionet_2018"),
    "hmc": LabelKind("hmc:read_hmc"),
    "hfo": LabelKind("hfo:read_hfo"),
    "dreams": LabelKind("dreams:read_dreams", DreamsParams),
    "cap": LabelKind("cap:read_cap"),
    "boas": LabelKind("boas:read_boas"),
    "annotations": LabelKind("annotations:read_annotations", TimedParams),
    "bids-channels": LabelKind("bids_channels:read_bids_channels"),
    "bids-events": LabelKind("bids_events:read_bids_events", TimedParams),
    "bids-recording": LabelKind("bids_recording:read_bids_recording"),
    "calibration": LabelKind("calibration:read_calibration"),
    "depression-122": LabelKind("depression_122:read_depression_122"),
    "ds004902": LabelKind("ds004902:read_ds004902"),
    "ds006036": LabelKind("ds006036:read_ds006036"),
    "flat-channel": LabelKind("flat_channel:read_flat_channel", FlatChannelParams),
    "lemon": LabelKind("lemon:read_lemon"),
    "event-columns": LabelKind("grasp_and_lift:read_event_columns", EventColumnsParams),
    "eegmat": LabelKind("eegmat:read_eegmat"),
    "eegmmidb": LabelKind("eegmmidb:read_eegmmidb"),
    "chb-mit": LabelKind("chb_mit:read_chb_mit"),
    "helsinki": LabelKind("helsinki:read_helsinki"),
    "path": LabelKind("path:read_path", PathParams),
    "siena": LabelKind("siena:read_siena"),
    "sleep-edfx": LabelKind("sleep_edfx:read_sleep_edfx"),
    "simulated": LabelKind("simulated:read_simulated"),
    "subject-table": LabelKind("subject_table:read_subject_table", SubjectTableParams),
    "trial-codes": LabelKind("seed:read_trial_codes", TrialCodesParams),
    "tuh-events": LabelKind("tuh_events:read_tuh_events", EventParams),
    "tuh-header": LabelKind("tuh_header:read_tuh_header"),
    "tuh-listed": LabelKind("tuh_header:read_tuh_listed", ListedParams),
    "tuh-seizures": LabelKind("tuh_events:read_tuh_seizures", SeizureParams),
    "zuco": LabelKind("zuco:read_zuco", ZucoLabelParams),
}
"""Label readers by the name a corpus entry gives."""


def _together(a: RecordingLabels, b: RecordingLabels) -> RecordingLabels:
    """Put two answers together; of what can be said once, the first says it."""
    return RecordingLabels(
        labels=a.labels + b.labels,
        intervals=a.intervals + b.intervals,
        defaults=a.defaults + b.defaults,
        stages=a.stages + b.stages,
        events=a.events + b.events,
        grid_s=a.grid_s if a.grid_s is not None else b.grid_s,
        keep=a.keep if a.keep is not None else b.keep,
        age_band=a.age_band or b.age_band,
        sex=a.sex or b.sex,
    )


def read_labels(
    spec: CorpusSpec, root: Path, relative_path: str, recording: Recording, duration_s: float
) -> RecordingLabels:
    """Read everything a corpus says about one recording.

    Parameters
    ----------
    spec, root
        Corpus and data root.
    relative_path
        Path of the recording below the data root.
    recording
        The open file.
    duration_s
        Its length on its own clock.

    Raises
    ------
    CorpusError
        ``file_name`` if the name does not fit the corpus' layout, ``bad_labels`` if a sidecar is
        void or contradicts the recording, ``unreadable`` if it cannot be read.
    """
    name = next((f for f in spec.folders if relative_path.startswith(f"{f}/")), "")
    below = relative_path.removeprefix(f"{name}/")
    match = spec.match_file(below)
    if not match:
        raise CorpusError("file_name", "the file name carries no subject in the corpus' layout")
    request = LabelRequest(
        spec, root / name, root / relative_path, below, match, recording, duration_s
    )
    try:
        found = [
            LABEL_READERS[choice.name].read(
                request, choice.parsed(LABEL_READERS[choice.name].params)
            )
            for choice in spec.labels
        ]
    except OSError as error:
        raise CorpusError("unreadable", f"a sidecar: errno {error.errno}") from error
    except csv.Error as error:
        raise CorpusError("bad_labels", "a table sidecar is not a table") from error
    return reduce(_together, found, RecordingLabels())
