"""The closed vocabulary: every kind of finding, its family, its words and its HED-SCORE tag.

A kind that is not in :data:`KINDS` cannot be found, stored, said or asked. Definitions and
thresholds live with the rules; this module only names things. HED tags follow ``clinical.md``
13.3 (schema ``score_2.1.0`` with base 8.4.0); an empty tag means the schema has none.
"""

from __future__ import annotations

from dataclasses import dataclass

from detectors.types import Family


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    Parameters
    ----------
    family
        The section of a page description it belongs to.
    noun, plural
        Words for text.
    hed
        HED string, or ``""``.
    priority
        Masking strength, larger hides smaller (``systems.md`` 6.6: technical fault, movement and
        muscle, eye, epileptiform, sleep, background). What lasts for the whole page beside everything
        else - heartbeats, drift - stands below all and hides nothing.
    """

    family: Family
    noun: str
    plural: str
    hed: str
    priority: int


KINDS: dict[str, Kind] = {
    "flat": Kind("artifact", "flat channel", "flat channels", "Nonbiological-artifact", 60),
    "saturation": Kind("artifact", "clipped channel", "clipped channels", "Nonbiological-artifact", 60),
    "electrode_pop": Kind("artifact", "electrode pop", "electrode pops", "Electrode-pops-artifact", 60),
    "mains": Kind("artifact", "mains interference", "mains interference", "Line-noise-artifact", 55),
    "movement": Kind("artifact", "movement artifact", "movement artifacts", "Movement-artifact", 50),
    "muscle": Kind("artifact", "muscle activity", "muscle activity", "EMG-artifact", 50),
    "blink": Kind("artifact", "eye blink", "eye blinks", "Eye-blink-artifact", 40),
    "lateral_eye": Kind(
        "artifact", "lateral eye movement", "lateral eye movements", "Horizontal-eye-movement-artifact", 40
    ),
    "chewing": Kind("artifact", "chewing artifact", "chewing artifacts", "Chewing-artifact", 50),
    "ecg": Kind("artifact", "ECG artifact", "ECG artifact", "ECG-artifact", 5),
    "slow_drift": Kind("artifact", "slow drift", "slow drift", "", 5),
    "spike": Kind("epileptiform", "spike", "spikes", "Epileptiform-interictal-activity, Spike", 31),
    "sharp": Kind("epileptiform", "sharp wave", "sharp waves", "Epileptiform-interictal-activity, Sharp-wave", 30),
    "spsw": Kind(
        "epileptiform", "spike-and-slow-wave complex", "spike-and-slow-wave complexes",
        "Epileptiform-interictal-activity, Spike-and-slow-wave", 33,
    ),
    "periodic_discharges": Kind(
        "epileptiform", "periodic discharges", "periodic discharges",
        "Critically-ill-patient-periodic-discharges", 29,
    ),
    "rhythmic_delta": Kind(
        "epileptiform", "rhythmic delta activity", "rhythmic delta activity",
        "Rhythmic-delta-activity", 28,
    ),
    "rhythmic_spike_wave": Kind(
        "epileptiform", "rhythmic spike-and-wave", "rhythmic spike-and-wave",
        "Epileptiform-interictal-activity, Spike-and-slow-wave", 29,
    ),
    "spindle": Kind("sleep", "sleep spindle", "sleep spindles", "Sleep-spindles", 20),
    "kcomplex": Kind("sleep", "K-complex", "K-complexes", "K-complex", 21),
    "slow_wave": Kind("sleep", "high-amplitude slow wave", "high-amplitude slow waves", "Delta-activity", 19),
    "vertex_wave": Kind("sleep", "vertex wave", "vertex waves", "Vertex-wave", 20),
    "sawtooth": Kind("sleep", "sawtooth waves", "sawtooth waves", "Saw-tooth-waves", 18),
    "posts": Kind(
        "sleep", "positive occipital sharp transient", "positive occipital sharp transients", "POSTS", 18
    ),
    "posterior_rhythm": Kind(
        "background", "posterior rhythm", "posterior rhythms", "Posterior-dominant-rhythm", 10
    ),
    "dominant_rhythm": Kind("background", "dominant rhythm", "dominant rhythms", "", 9),
    "voltage": Kind("background", "background voltage", "background voltages", "Background-activity", 8),
    "asymmetry": Kind("background", "asymmetry", "asymmetries", "Background-activity, Asymmetrical", 8),
    "focal_slowing": Kind("background", "focal slowing", "focal slowing", "Irregular-delta-or-theta-activity", 8),
    "generalised_slowing": Kind("background", "generalised slowing", "generalised slowing", "Irregular-delta-or-theta-activity", 8),
    "attenuation": Kind("background", "low-voltage interval", "low-voltage intervals", "Background-activity", 8),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Waveform:
    """One class of the waveform detector and the kind it becomes."""

    index: int
    kind: str
    meaning: str


WAVEFORMS: dict[str, Waveform] = {
    "sharp": Waveform(0, "sharp", "sharp wave, 70-200 ms"),
    "spike": Waveform(1, "spike", "spike, 20 to under 70 ms"),
    "spsw": Waveform(2, "spsw", "spike- or sharp-and-slow-wave complex"),
    "spindle": Waveform(3, "spindle", "sleep spindle"),
    "Kcomplex": Waveform(4, "kcomplex", "K-complex"),
    "eyem": Waveform(5, "blink", "blink or vertical eye movement"),
    "eyer+": Waveform(6, "lateral_eye", "lateral eye movement, positive deflection"),
    "eyer-": Waveform(7, "lateral_eye", "lateral eye movement, negative deflection"),
    "hfnoise": Waveform(8, "muscle", "high-frequency, muscle-like noise"),
}
"""The nine classes in their published order (``systems.md`` 1.4)."""

CLINICAL_BANDS: dict[str, tuple[float, float]] = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 70.0),
}
"""Bands for reading, Hz (``clinical.md`` 1.2, ``systems.md`` 6.4)."""

NARRATOR_BANDS: dict[str, tuple[float, float]] = {
    "delta": (0.1, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 12.0),
    "beta": (12.0, 30.0),
    "gamma": (30.0, 50.0),
    "high_gamma": (50.0, 75.0),
}
"""NeuroNarrator's bands, Hz; first edge read as 0.1 (``systems.md`` 6.4)."""

BAND_SCHEMES = {"clinical": CLINICAL_BANDS, "narrator": NARRATOR_BANDS}

_REGION_OF_LETTER = {"Fp": "frontopolar", "F": "frontal", "T": "temporal", "C": "central", "P": "parietal", "O": "occipital"}  # fmt: skip
_REGION_OF_SITE = {
    "F7": "anterior temporal", "F8": "anterior temporal",
    "T7": "mid-temporal", "T8": "mid-temporal",
    "P7": "posterior temporal", "P8": "posterior temporal",
}  # fmt: skip


def side_of(ch_name: str) -> str:
    """Return ``left``, ``right`` or ``midline`` from an electrode's number (``clinical.md`` 9)."""
    if ch_name.endswith("z"):
        return "midline"
    digits = "".join(c for c in ch_name if c.isdigit())
    if not digits:
        raise ValueError(f"electrode {ch_name!r} carries neither a number nor a 'z'")
    return "left" if int(digits) % 2 else "right"


def side_of_channels(ch_names: tuple[str, ...]) -> str:
    """Return the side of a set of electrodes; ``bilateral`` where both hemispheres take part."""
    sides = {side_of(name) for name in ch_names} - {"midline"}
    if len(sides) == 2:
        return "bilateral"
    if sides:
        return sides.pop()
    return "midline" if ch_names else ""


def region_of(ch_name: str) -> str:
    """Return the region word of one electrode of the 19 (``clinical.md`` 9)."""
    if ch_name in _REGION_OF_SITE:
        return _REGION_OF_SITE[ch_name]
    letters = ch_name.rstrip("0123456789z")
    if letters not in _REGION_OF_LETTER:
        raise ValueError(f"electrode {ch_name!r} is not one of the 10-20 system's regions")
    return _REGION_OF_LETTER[letters]
