"""Words of the closed phrasing: names of kinds, units, regions, and what else its templates use.

The names follow ``detectors.vocabulary`` and the claim-extraction set; how they are found in a
clause is in ``phrases``.
"""

from __future__ import annotations

import re

from detectors.types import CANONICAL19
from detectors.vocabulary import KINDS, region_of

_ALIASES: dict[str, tuple[str, ...]] = {
    "blink": ("blinks?",),
    "spsw": ("spike[- ]and[- ](?:slow[- ])?waves?(?: complex(?:es)?)?", "spike[- ]waves?"),
    "sharp": ("sharp[- ]waves?",),
    "spindle": ("spindles?",),
    "kcomplex": ("k[- ]complex(?:es)?",),
    "slow_wave": ("high[- ]amplitude slow waves?", "sleep slow waves?"),
    "muscle": ("muscle(?: activity| artifacts?)?", "emg"),
    "mains": ("mains(?: interference)?", "line noise"),
    "lateral_eye": ("lateral eye movements?", "horizontal eye movements?"),
    "movement": ("movement artifacts?",),
    "posterior_rhythm": ("posterior (?:dominant )?rhythms?", "occipital rhythms?"),
    "asymmetry": ("asymmetr(?:y|ies)", "asymmetric(?:al)?"),
    "dominant_rhythm": ("rhythm that stands out most",),
    "ecg": ("(?:ecg|ekg|cardiac)(?: artifacts?)?",),
    "slow_drift": ("slow drifts?",),
    "chewing": ("chewing(?: artifacts?)?",),
    "vertex_wave": ("vertex (?:sharp )?waves?", "vertex sharp transients?"),
    "sawtooth": ("saw-?tooth waves?",),
    "posts": ("positive occipital sharp (?:transients?|waves?)(?: of sleep)?", "posts"),
    "periodic_discharges": (r"periodic (?:epileptiform )?discharges?", r"(?:[gl]|bi)?pds?(?:\+[frs]+)?"),
    "rhythmic_delta": ("rhythmic delta(?: activity)?", r"[gl]?rda(?:\+[frs]+)?"),
    "rhythmic_spike_wave": (
        r"[gl]?sw(?:\+[frs]+)?", "rhythmic spike[- ]and[- ](?:slow[- ])?waves?",
    ),
    "focal_slowing": ("focal slowing",),
    "generalised_slowing": ("(?:generali[sz]ed|diffuse) slowing",),
    "attenuation": ("low[- ]voltage intervals?", "attenuations?"),
}  # fmt: skip
KIND_FORMS: tuple[tuple[str, str], ...] = tuple(
    sorted(
        (
            (form, kind)
            for kind, spec in KINDS.items()
            for form in dict.fromkeys(
                (re.escape(spec.plural), re.escape(spec.noun), *_ALIASES.get(kind, ()))
            )
        ),
        key=lambda f: (-len(f[0]), f),
    )
)
"""Patterns of kinds' names, longest first."""

UNITS = {"hz": "Hz", "µv": "uV", "μv": "uV", "uv": "uV", "s": "s", "ms": "ms", "%": "percent",
         "percent": "percent", "µv²": "uV2", "μv²": "uV2", "uv2": "uV2", "1": "1",
         "seconds": "s", "second": "s", "microvolts": "uV", "milliseconds": "ms"}  # fmt: skip
MODERN = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
REGION_WORDS = tuple(sorted({region_of(name) for name in CANONICAL19}, key=lambda r: (-len(r), r)))

_OTHER_WORDS = """
a above activity after against all alpha an and anterior are around as aside at background band
be being beta between bilateral bipolar both but by can candidate candidates cannot central
channel channels compared consistently corpus could decrease delta derivations dipole dominant
electrodes energy epoch equivocal evolution f field fills first for frequency from frontal frontopolar
gamma gives has have hemispheres high high-gamma highest hz in increase interval is it its
judged label labels larger largest left level lies longitudinal low low-voltage marked maximum
mean measured medium microvolts mid-temporal midline milliseconds moderate montage morphology
most ms negative no not nothing occipital of on once or out over overlapped page pages parietal pattern
peak-to-peak positive possible posterior power previous probable radial raw read recorded recording removal
removed rhythm right rms s scalp scored second seconds seen segment set show shows side sides slight
spread stable stands step suppressed tangential temporal that the their there theta this throughout tier to
trend triphasic unmeasured usable uv v voltage was were where with without
"""
CLOSED_WORDS = frozenset(_OTHER_WORDS.split())
"""Every other word that a template of captions or of the offline teacher uses."""
