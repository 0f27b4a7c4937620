"""What the corpora's labels and expert events mean in HED-SCORE, and which of them are pathological.

The crosswalk of ``clinical.md`` 13.4 as two closed tables. A corpus' own word stays what it is in
the tables; here it is only mapped. HED strings are of schema ``score_2.1.0`` (which brings base
8.4.0) and validated with hedtools in the tests. Kinds that the rules and the detector find have
their tags in :mod:`detectors.vocabulary`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from detectors.vocabulary import KINDS

HED_VERSION = "score_2.1.0"

PAGE, RECORDING, NONE = 2, 1, 0
"""Pathology of a page: labelled itself, only by its recording, or not at all."""
PAGE_SCOPES = frozenset({"segment", "interval", "epoch"})
"""Scopes of labels that say something of the page itself."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word of a corpus stands for.

    Parameters
    ----------
    hed
        HED string; empty where HED has no tag for it, or where it says nothing about a page.
    is_pathological
        Whether clinicians would call what it names abnormal.
    """

    hed: str = ""
    is_pathological: bool = False


EVENTS: dict[str, Meaning] = {
    **{
        name: Meaning(kind.hed, kind.family == "epileptiform")
        for name, kind in KINDS.items()
        if kind.family != "background"
    },
    "spsw": Meaning(KINDS["spsw"].hed, True),
    "gpd": Meaning("Critically-ill-patient-periodic-discharges", True),
    "lpd": Meaning("Critically-ill-patient-periodic-discharges", True),
    "triphasic": Meaning("Triphasic-morphology", True),
    "interictal_pattern": Meaning("Epileptiform-interictal-activity", True),
    "slowing": Meaning("Delta-activity", True),
    "seizure": Meaning("Epileptic-seizure", True),
    "nonepileptic_seizure": Meaning("", True),
    "hypnagogic_hypersynchrony": Meaning("Hypnagogic-hypersynchrony"),
    "background": Meaning(),
    "null": Meaning(),
    "artifact": Meaning("Data-artifact"),
    "artifact_any": Meaning("Data-artifact"),
    "eye_movement": Meaning("Eye-movement-artifact"),
    "chewing": Meaning("Chewing-artifact"),
    "shivering": Meaning("Movement-artifact"),
    "electrostatic": Meaning("Induction-artifact"),
    "electrode": Meaning("Electrode-movement-artifact"),
    "calibration": Meaning(),
    "ripple": Meaning(),
    "cap_a1": Meaning(),
    "cap_a2": Meaning(),
    "cap_a3": Meaning(),
}
"""Kinds of expert events."""

LABELS: dict[tuple[str, str], Meaning] = {
    ("stage", "W"): Meaning("Awake"),
    ("stage", "N1"): Meaning("Sleep-stage-N1"),
    ("stage", "N2"): Meaning("Sleep-stage-N2"),
    ("stage", "N3"): Meaning("Sleep-stage-N3"),
    ("stage", "REM"): Meaning("Sleep-stage-REM"),
    ("seizure", "present"): Meaning("Epileptic-seizure", True),
    ("event_class", "spsw"): EVENTS["spsw"],
    ("event_class", "gped"): EVENTS["gpd"],
    ("event_class", "pled"): EVENTS["lpd"],
    ("event_class", "seiz"): EVENTS["seizure"],
    ("event_class", "slow"): EVENTS["slowing"],
    ("event_class", "eyem"): EVENTS["eye_movement"],
    ("event_class", "artf"): EVENTS["artifact_any"],
    ("event_class", "bckg"): EVENTS["background"],
    ("artifact", "eyem"): EVENTS["eye_movement"],
    ("artifact", "musc"): EVENTS["muscle"],
    ("artifact", "chew"): EVENTS["chewing"],
    ("artifact", "shiv"): EVENTS["shivering"],
    ("artifact", "elec"): EVENTS["electrode"],
    ("artifact", "elpp"): EVENTS["electrode_pop"],
    ("artifact", "elst"): EVENTS["electrostatic"],
    **{
        ("seizure_type", code): Meaning("Epileptic-seizure", True)
        for code in (
            "seiz", "fnsz", "gnsz", "spsz", "cpsz", "absz", "tnsz", "cnsz", "tcsz", "atsz", "mysz"
        )
    },
    ("eyes", "open"): Meaning("Eyes-open"),
    ("eyes", "closed"): Meaning("Eyes-closed"),
    ("abnormality", "abnormal"): Meaning("", True),
    ("depression", "depressed"): Meaning("", True),
    **{
        ("diagnosis", word): Meaning("", True)
        for word in (
            "adhd", "alzheimer", "frontotemporal_dementia", "major_depression", "parkinson",
            "schizophrenia", "epilepsy", "nocturnal_frontal_lobe_epilepsy", "rem_behaviour_disorder",
            "periodic_leg_movements", "insomnia", "narcolepsy", "bruxism",
            "sleep_disordered_breathing",
        )
    },
}  # fmt: skip
"""Label name and value; a diagnosis or an abnormal recording is never a finding of a page."""


def pathology(labels: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> int:
    """Return how pathological the corpus says a page is.

    Parameters
    ----------
    labels, events
        Cells of table ``segments``.

    Returns
    -------
    int
        :data:`PAGE`, :data:`RECORDING` or :data:`NONE`.
    """
    if any(event["kind"] in EVENTS and EVENTS[event["kind"]].is_pathological for event in events):
        return PAGE
    found = [
        label["scope"]
        for label in labels
        if LABELS.get((label["name"], label["value"]), _UNMAPPED).is_pathological
    ]
    if any(scope in PAGE_SCOPES for scope in found):
        return PAGE
    return RECORDING if found else NONE


_UNMAPPED = Meaning()
