"""Words for what is seen: events, artifacts, rhythms, bands, places, as phrases in lower case.

A phrase is written without hyphens, in the singular; plurals are made by ``prompts.reading.lexicon``.
Sources: ``clinical.md`` 3-7 (labels, synonyms, look-alikes, ACNS abbreviations), the label and value
words of the claim-extraction set. Words that say something about a finding (numbers, change,
doubt, denial) are in ``prompts.reading.saying_words``.
"""

from __future__ import annotations

EVENTS = {
    "spike": (
        "spike; spike discharge; interictal spike; epileptic spike; epileptiform spike; spiky "
        "discharge"
    ),
    "sharp": (
        "sharp wave; sharp wave discharge; sharpwave; epileptiform sharp wave; sharps; sharp "
        "discharge"
    ),
    "spsw": (
        "spike wave; spike and wave; spike slow wave; spike and slow wave; spikewave; sharp and "
        "slow wave; sharp slow wave; sharp and wave; spike wave complex; spike and wave complex; "
        "spike slow wave complex; spike and slow wave complex; sharp and slow wave complex; "
        "spike wave discharge; spike and wave discharge; spike and slow wave discharge; spike "
        "wave burst; swd; swc; sw; gsw"
    ),
    "polyspike": (
        "polyspike; poly spike; multispike; multiple spike complex; polyspike discharge; "
        "polyspike burst"
    ),
    "spindle": "spindle; sleep spindle; spindle burst",
    "kcomplex": "k complex; kcomplex; kc; k komplex",
    "vertex_wave": (
        "vertex wave; vertex sharp wave; vertex sharp transient; v wave; vertex sharp; vertex "
        "transient; vertex potential"
    ),
    "slow_wave": (
        "slow wave; sleep slow wave; after going slow wave; aftergoing slow wave; after coming "
        "slow wave; following slow wave; trailing slow wave; slow after wave; slow oscillation; "
        "aftergoing wave; after going wave"
    ),
    "posts": (
        "posts; positive occipital sharp transient; positive occipital sharp transients of "
        "sleep; positive occipital sharp wave; occipital sharp transient of sleep"
    ),
    "focal_slowing": (
        "focal slowing; focal slow activity; focal delta slowing; focal theta slowing; regional "
        "slowing; localised slowing"
    ),
    "generalised_slowing": (
        "generalised slowing; diffuse slowing; global slowing; generalised slow activity; "
        "diffuse slow activity; background slowing; slowing of the background; widespread "
        "slowing; generalised theta slowing; generalised delta slowing; diffuse theta slowing; "
        "diffuse delta slowing"
    ),
    "beta_excess": (
        "excess beta; excessive beta; beta excess; excess of beta; excess fast activity; "
        "excessive fast activity; excess beta activity; excessive beta activity; excess of fast "
        "activity; too much beta"
    ),
}
POLYSPIKE_WAVES = (
    "polyspike wave; polyspike and wave; polyspike slow wave; polyspike and slow wave; poly "
    "spike wave; poly spike and wave; polyspike wave complex; polyspike and wave complex; "
    "polyspike and slow wave complex"
)
ARTIFACTS = {
    "blink": (
        "blink; eye blink; eyeblink; blink artifact; eye blink artifact; blinking; eye closure "
        "artifact; blink deflection; blink potential; eyelid artifact"
    ),
    "lateral_eye": (
        "lateral eye movement; horizontal eye movement; rapid eye movement; slow rolling eye "
        "movement; rolling eye movement; slow eye movement; slow lateral eye movement; saccade; "
        "lateral gaze; lateral eye artifact; horizontal gaze; lateral eyes; lateral saccade; "
        "slow roving eye movement; roving eye movement; lem; lateral eye movement artifact; "
        "lateral eye mvt; horizontal eye mvt; rem artifact; saccadic eye movement; side to side "
        "eye movement"
    ),
    "muscle": (
        "muscle; muscle artifact; muscle activity; muscle tension; muscle potential; muscular "
        "artifact; myogenic artifact; myogenic activity; emg; emg artifact; emg activity; "
        "electromyographic activity; muscle contamination; muscle interference; muscle noise; "
        "temporalis activity; scalp muscle"
    ),
    "ecg": (
        "ecg; ekg; ecg artifact; ekg artifact; cardiac artifact; heart beat artifact; heartbeat "
        "artifact; pulse artifact; cardiac contamination; qrs artifact; electrocardiographic "
        "artifact; ecg contamination; qrs complex"
    ),
    "electrode_pop": (
        "electrode pop; pop; electrode artifact; electrode popping; popping; electrode pop "
        "artifact; pop artifact; electrode discontinuity; electrode transient"
    ),
    "flat": (
        "flat channel; flat line; flatline; dead channel; disconnected electrode; flat "
        "electrode; flat trace; flat signal; flat derivation; flat lead"
    ),
    "mains": (
        "mains; mains interference; mains artifact; mains hum; mains noise; line noise; line "
        "interference; power line interference; power line noise; powerline interference; "
        "powerline noise; mains contamination; line frequency interference; ac interference; "
        "line hum; line artifact; power line artifact; notch residue; electrical interference; "
        "mains pickup; line frequency artifact; mains line noise; hum"
    ),
    "chewing": (
        "chewing; chewing artifact; mastication; chewing burst; chewing movement; chewing "
        "muscle; chewing activity; masticatory artifact; chewing muscle artifact"
    ),
    "sweat": (
        "sweat; sweating; sweat artifact; sweat sway; perspiration; perspiration artifact; sweat "
        "potential; sweat drift; sway artifact; sweating artifact"
    ),
    "movement": (
        "movement artifact; motion artifact; movement; body movement; head movement; gross "
        "movement; slow movement; movement interference; patient movement; limb movement; "
        "movement contamination"
    ),
}
ARTIFACT_WORDS = {
    "eye_movement": (
        "eye movement; eye movement artifact; vertical eye movement; ocular artifact; eye "
        "artifact; ocular movement"
    ),
    "clipping": (
        "clipped channel; clipping; saturation; amplifier saturation; saturated channel; "
        "amplifier clipping"
    ),
    "slow_drift": (
        "slow drift; baseline drift; drift; electrode drift; drifting; slow baseline drift; "
        "baseline sway; baseline wander"
    ),
}
"""Artifacts without a label of their own. ``clipping`` and ``slow_drift`` are words of our captions."""
LOW_INTERVALS = (
    "low voltage interval; attenuation; voltage attenuation; attenuated interval; low "
    "voltage period; suppression interval; attenuation of the background"
)
EVENT_WORDS = {
    "epileptiform": (
        "epileptiform discharge; epileptiform activity; epileptiform transient; epileptiform; "
        "epileptiform abnormality; epileptiform potential; epileptiform pattern; epileptiform "
        "element; epileptiform feature; epileptiform event; epileptiform wave; epileptiform "
        "finding; epileptic discharge; epileptic activity; epileptic potential; interictal "
        "discharge; interictal epileptiform discharge; ied; epileptiform graphoelement; "
        "epileptogenic discharge; interictal activity; interictal epileptiform activity"
    ),
    "slowing": "slowing; slow activity; slowness",
    "rhythmic_delta": "rhythmic delta; rhythmic delta activity; rhythmic delta wave; rhythmic delta pattern",
    "periodic_discharges": (
        "periodic discharge; periodic pattern; periodic epileptiform discharge; periodic "
        "complex; pled; gped; periodic sharp complex; periodic activity; bipd; bipled"
    ),
    "wicket_spikes": "wicket spike; wicket; wicket wave; wicket rhythm; wicket complex; wicket pattern",
    "lambda": "lambda; lambda wave; lambda activity",
    "sawtooth": "sawtooth; sawtooth wave; saw tooth wave; saw toothed wave; sawtooth activity",
    "sleep_transient": (
        "sleep transient; sleep figure; sleep element; sleep potential; sleep feature; sleep "
        "structure; sleep graphoelement; sleep pattern; sleep waveform; sign of sleep; sleep "
        "specific transient; sleep wave; sleep phenomenon; sleep architecture"
    ),
    "arousal_shift": (
        "arousal; arousal shift; arousal pattern; arousal reaction; microarousal; arousal response"
    ),
    "sharp_transient": (
        "sharp transient; sharply contoured transient; sharp deflection; sharp potential; sharp "
        "element; sharply contoured wave; small sharp spike; sharply contoured waveform; sharp "
        "event; sharp looking wave; single electrode transient; pointed transient; pointed wave"
    ),
    "transient": "transient; brief transient; unclassified transient; transient wave",
}
ACNS = {
    "grda": ("rhythmic_delta", ("generalised",)),
    "lrda": ("rhythmic_delta", ()),
    "firda": ("rhythmic_delta", ("frontal",)),
    "oirda": ("rhythmic_delta", ("occipital",)),
    "tirda": ("rhythmic_delta", ("temporal",)),
    "gpd": ("periodic_discharges", ("generalised",)),
    "lpd": ("periodic_discharges", ()),
}
POSTERIOR = {
    "": "pdr; alpha rhythm; dominant rhythm; posterior dominant rhythm pdr; dominant alpha rhythm",
    "posterior": (
        "posterior rhythm; posterior dominant rhythm; dominant posterior rhythm; posterior "
        "alpha; posterior alpha rhythm; posterior background rhythm; posterior alpha activity; "
        "posterior background; posterior basic rhythm; posterior activity; posterior dominant "
        "alpha; posterior dominant alpha rhythm; posterior dominant activity"
    ),
    "occipital": (
        "occipital rhythm; occipital alpha; occipital alpha rhythm; occipital dominant rhythm; "
        "occipital alpha activity; occipital basic rhythm; occipital activity; dominant "
        "occipital rhythm"
    ),
}
BANDS = {
    "delta": "delta; delta band; delta range; delta frequency; slow delta",
    "theta": "theta; theta band; theta range; theta frequency",
    "alpha": "alpha; alpha band; alpha range; alpha frequency",
    "beta": (
        "beta; beta band; beta range; beta frequency; fast activity; sigma; fast frequency; low "
        "voltage fast activity; fast beta"
    ),
    "gamma": (
        "gamma; gamma band; gamma range; gamma frequency; low gamma; fast activity above 30 hz; "
        "activity above 30 hz"
    ),
    "high_gamma": "high gamma; high gamma band; highgamma; high gamma range; high gamma frequency",
}
CHANNEL_WORDS = "channel; lead; electrode; derivation; site; contact; location"
SIDES = {
    "left": (
        "left; l; lt; left sided; left hemisphere; left hemispheric; left side; lefthand; left "
        "hand side; leftward"
    ),
    "right": (
        "right; r; rt; right sided; right hemisphere; right hemispheric; right side; right hand "
        "side; rightward"
    ),
    "bilateral": (
        "bilateral; bilaterally; both sides; both hemispheres; bihemispheric; either side; both "
        "hemisphere; bisynchronous; bilateral synchronous; on both sides; over both sides; both; "
        "bi"
    ),
    "midline": "midline",
}
REGIONS: dict[str, tuple[str, ...]] = {
    (
        "frontal; frontally; frontopolar; fronto polar; frontal pole; prefrontal; frontals; "
        "front; frontal lobe"
    ): ("frontal",),
    "central; centrally; centre; rolandic; centrals": ("central",),
    "temporal; temporally; temporals; temp; temporal lobe; midtemporal; mid temporal; temple": (
        "temporal",
    ),
    "parietal; parietally; parietals; parietal lobe": ("parietal",),
    "occipital; occipitally; occipitals; occ; occipital lobe; occipital pole; occip": (
        "occipital",
    ),
    (
        "posterior; post; posteriorly; back of the head; back; behind; rear; posterior head; "
        "back of head; posterior half; at the back"
    ): ("posterior",),
    "anterior; ant; anteriorly; anterior head; front of the head; anterior half": ("anterior",),
    (
        "generalised; generally distributed; diffuse; diffusely; gen; whole head; all leads; all "
        "channel; all electrode; all derivation; every channel; every lead; everywhere; "
        "widespread; global; globally; entire head; entire scalp; whole scalp; all region; "
        "nearly all channel; almost all channel; most channel; all the lead; all over the head; "
        "everything; scalp wide; every derivation; all over the scalp; throughout the head; all "
        "scalp region; across the scalp; generalisation; all head region; over the head"
    ): ("generalised",),
    "frontocentral; fronto central; frontocentrally": ("frontal", "central"),
    "frontotemporal; fronto temporal; frontotemporally": ("frontal", "temporal"),
    "centroparietal; centro parietal": ("central", "parietal"),
    "centrotemporal; centro temporal": ("central", "temporal"),
    "temporoparietal; temporo parietal": ("temporal", "parietal"),
    "parietooccipital; parieto occipital": ("parietal", "occipital"),
    "temporooccipital; temporo occipital; occipitotemporal": ("temporal", "occipital"),
    "temporoparietooccipital": ("temporal", "parietal", "occipital"),
    "parietotemporal; parieto temporal": ("parietal", "temporal"),
}
GENERIC = (
    "deflection; event; step; discharge; burst; waveform; run; complex; pattern; potential; "
    "excursion; oscillation; feature; train; graphoelement; finding; element; bump"
)
"""Nouns for something whose kind is said elsewhere, or nowhere."""
RHYTHM = (
    "rhythm; activity; frequency; wave; background; rhythmic activity; background activity; "
    "background rhythm; oscillatory activity; dominant frequency; component; brain activity; "
    "spectrum; spectral peak; peak frequency; peak; tracing; record; recording; trace; "
    "rhythmicity; content; cerebral activity; basic rhythm"
)
