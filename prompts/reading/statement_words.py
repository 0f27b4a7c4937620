"""Words of whole statements: sleep, overclaims, limits, unread parts, and what is no claim at all.

``clinical.md`` 10 lists what one page cannot carry; the words an overclaim is filed under are those
of the claim-extraction set. The tables are phrases in lower case, without hyphens.
"""

from __future__ import annotations

SLEEP = {
    "wake": (
        "awake; wake; wakefulness; wakeful; waking; stage w; alert; attentive; vigilant; awake "
        "state; waking state; stage wake"
    ),
    "drowsy": "drowsy; drowsiness; sleepy; somnolent; drowsing; falling asleep",
    "N1": "n1; stage 1; stage n1; n1 sleep; nrem 1; light sleep; stage i",
    "N2": "n2; stage 2; stage n2; n2 sleep; nrem 2; stage ii",
    "N3": "n3; stage 3; stage n3; n3 sleep; slow wave sleep; deep sleep; nrem 3; sws; stage iii",
    "REM": "rem; rem sleep; stage r; stage rem; paradoxical sleep",
    "sleep": "asleep; sleep; sleeping; nrem; nrem sleep; non rem sleep; sleeps",
    "eyes_open": (
        "eyes open; eyes are open; eyes were open; with open eyes; open eyes; eo; eyes opened; "
        "eyes being open"
    ),
    "eyes_closed": (
        "eyes closed; eyes are closed; eyes were closed; closed eyes; ec; eyes shut; eyes are "
        "shut; eyes being closed; with closed eyes"
    ),
}
OVERCLAIMS = {
    "diagnosis": (
        "epilepsy; epilepsies; encephalopathy; encephalitis; tumour; stroke; infarct; "
        "infarction; dementia; alzheimer; parkinson; brain death; brain dead; depression; "
        "schizophrenia; adhd; autism; structural lesion; lesion; haemorrhage; hemorrhage; "
        "migraine; creutzfeldt jakob disease; cjd; jme; meningitis; concussion; absence "
        "epilepsy; juvenile myoclonic epilepsy; metabolic encephalopathy; herpes encephalitis; "
        "hepatic encephalopathy; toxic encephalopathy; lennox gastaut; lennox gastaut syndrome; "
        "west syndrome; hypsarrhythmia syndrome; brain damage; brain injury; brain tumour; "
        "glioma; meningioma; narcolepsy; insomnia; temporal lobe epilepsy; generalised epilepsy; "
        "focal epilepsy; delirium; multiple sclerosis; alzheimer's disease; parkinson's disease; "
        "epileptic; anxiety disorder; ptsd; cortical lesion; focal lesion; hydrocephalus; "
        "cerebral lesion; abscess; ischaemia; ischemia; ischaemic stroke; hypoxic brain injury; "
        "hypoxia; anoxia; rolandic epilepsy; neurodegeneration; neurodegenerative disease; "
        "autism spectrum disorder; attention deficit; syndrome; disorder; frontal stroke; "
        "uraemia; hypoglycaemia; coma; comatose; sleep apnoea; sleep disorder; parasomnia; "
        "psychosis; bipolar disorder; cerebral oedema; brain abscess; intracranial hypertension"
    ),
    "normal_eeg": (
        "not normal; normal eeg; eeg normal; within normal limits; normal recording; normal "
        "tracing; normal record; wnl; eeg is normal; recording is normal; tracing is normal; "
        "unremarkable; normal study; normal findings; normal for age; entirely normal; "
        "completely normal; otherwise normal; perfectly normal; record is normal; normal wake "
        "eeg; normal sleep eeg; study is normal; normal awake eeg; normal adult eeg; normal "
        "page; page is normal; eeg was normal; normal waking eeg; normal for this age; healthy "
        "eeg; healthy brain; normal brain; eeg as normal; physiological eeg; normal "
        "electroencephalogram; normal examination; normal routine eeg"
    ),
    "abnormal_eeg": (
        "abnormal eeg; eeg abnormal; abnormal recording; abnormal record; abnormal tracing; eeg "
        "is abnormal; recording is abnormal; abnormal study; tracing is abnormal; record is "
        "abnormal; pathological eeg; abnormal for age; clearly abnormal; pathological; study is "
        "abnormal; abnormal; eeg is clearly abnormal; pathologic"
    ),
    "seizure": (
        "seizure; status epilepticus; ictal; nonconvulsive status epilepticus; non convulsive "
        "status epilepticus; ncse; convulsion; absence seizure; electrographic seizure; focal "
        "seizure; ictal pattern; ictal discharge; ictal rhythm; seizure onset; subclinical "
        "seizure; ictal activity; seizure activity; seizure pattern; electroclinical seizure; "
        "ictal onset; tonic clonic seizure; postictal; convulsive; post ictal; interictal state; "
        "preictal; convulsions"
    ),
    "medication": (
        "medication; benzodiazepine; levetiracetam; valproate; carbamazepine; lorazepam; "
        "antiepileptic; anticonvulsant; barbiturate; drug; sedation; propofol; acyclovir; "
        "lamotrigine; midazolam; sedative; phenytoin; diazepam; dose; antiseizure medication; "
        "drug effect; medication effect; clonazepam; ketamine; opioid; antiepileptic drug; "
        "anaesthetic; anesthetic; antidepressant; treatment; therapy; clozapine; aed; "
        "antipsychotic; phenobarbital; phenobarbitone; topiramate; lacosamide; lithium; "
        "aciclovir; thiopental; medicated; sedated; drugs; treated; ethosuximide; steroids; "
        "antibiotics"
    ),
    "prognosis": (
        "prognosis; outcome; recover; recovery; prognostic; will recover; poor prognosis; "
        "survival; chance of recovery; recover consciousness; will regain consciousness; will "
        "not survive; further seizures; high risk of seizures; risk of seizures; risk of "
        "recurrence; recurrence; life expectancy"
    ),
    "cause": (
        "caused by; due to; secondary to; result of; because of; owing to; induced by; "
        "attributable to; aetiology; etiology; resulting from; stems from; stem from; as a "
        "result of; related to; attributed to; arises from; arise from; provoked by; triggered "
        "by; origin is; reflects an underlying; consequence of; explained by"
    ),
    "reactivity": (
        "reactive; reactivity; reacts; unreactive; nonreactive; blocks with eye opening; react "
        "to; responsive to eye opening; non reactive; reacts to eye opening; blocks on eye "
        "opening; attenuates with eye opening; attenuates on eye opening; block with eye "
        "opening; disappears on eye opening; react; reacting; responds to; responsive to; "
        "blocked by eye opening; attenuated by eye opening; unresponsive"
    ),
    "mental_state": (
        "relaxed; anxious; calm; stressed; concentrating; happy; sad; bored; meditating; "
        "anxiety; stress; emotional; cooperative; nervous; tired; fatigue; tense; mental "
        "arithmetic; thinking; daydreaming; focused; concentration; in pain; distracted; "
        "meditation; fear; relaxation; confused; agitated; mood; unconscious; excited; dreaming; "
        "frightened; inattentive; meditative; worried; cognitive load; mental effort; fatigued; "
        "attention; cognitive effort; conscious; frustration; frustrated; imagining"
    ),
}
LIMITS = (
    "cannot be said; cannot say; cannot be known; cannot be answered; cannot be decided; "
    "cannot be told; cannot tell; cannot answer; cannot be given; cannot be determined; "
    "cannot be judged from; cannot show; does not tell; not possible to say; impossible to "
    "say; too short; cannot decide; cannot be concluded; cannot be assessed from; cannot be "
    "inferred; cannot be established; cannot be derived; cannot be stated; does not allow; "
    "cannot know; not enough to; can not be said; cannot be made; cannot exclude; not be "
    "given; not be determined; cannot be diagnosed; cannot diagnose; cannot confirm; not be "
    "said; not be answered; cannot settle; cannot support; insufficient to; not sufficient "
    "to; not be decided; cannot be settled; not be known; cannot be deduced; not be "
    "inferred; cannot be tested; cannot determine; does not permit; cannot prove; not be "
    "told; cannot conclude; not possible to decide; not possible to tell; not possible to "
    "judge; unable to say; unable to tell; does not say; not be established; is not enough; "
    "does not suffice; cannot be estimated; cannot be shown; cannot establish; nothing can "
    "be said; not show whether; do not know; not known; unknown; no statement; cannot be "
    "evaluated from; cannot reveal; cannot be commented on; cannot be ascertained; not be "
    "tested; cannot be confirmed from; need more than; needs more than; would need a longer; "
    "requires a longer; not be concluded; cannot speak to; beyond what; cannot judge from; "
    "cannot be recognised; cannot be defined; cannot be staged; cannot be computed; is not "
    "available; cannot comment; cannot be calculated"
)
NOT_JUDGED = (
    "impossible; hides; masks; obscures; conceals; hide; mask; obscure; not judged; cannot "
    "be judged; could not be judged; unreadable; not readable; not interpretable; cannot be "
    "read; could not be read; not assessed; cannot be assessed; not interpreted; "
    "uninterpretable; cannot be evaluated; not evaluable; could not be assessed; not "
    "assessable; may have been missed; could not be evaluated; cannot be interpreted; not "
    "analysed; not analyzed; unjudged; obscured; hidden; not judgeable; impossible to judge; "
    "could be missed; may be missed; masked; could not be interpreted; not scored; may be "
    "hidden; be judged; be assessed; excluded from analysis; not evaluated; cannot be "
    "distinguished; could be hidden; is hidden; are hidden; be interpreted; be evaluated; "
    "unassessable; not analysable; illegible; unevaluable; impossible to read; impossible to "
    "assess; might be missed; might have been missed; not reliable; unreliable; not usable; "
    "unusable; n/j; cannot be made out; not legible; could not be analysed; left out; cannot "
    "be measured; could not be measured; cannot be seen because; buried; drowned"
)
HIDES = (
    "obscures; obscure; hides; hide; masks; mask; covers; buries; obscured by; hidden by; "
    "masked by; hidden under; obscuring; masking; hiding; covering; makes; make; making; "
    "covered by; buried in; hidden behind; buried under; contaminated by; drowned by; "
    "drowned in; because of; due to; under; by; prevents; prevent; render; renders; lost in; "
    "lost under; swamped by; impossible because of"
)
QUESTION_STARTS = [
    "is",
    "are",
    "was",
    "were",
    "do",
    "does",
    "did",
    "can",
    "could",
    "would",
    "should",
    "has",
    "have",
    "had",
    "what",
    "which",
    "where",
    "when",
    "how",
    "why",
    "who",
    "whose",
    "any",
    "will",
    "shall",
    "may",
    "might",
]
INSTRUCTIONS = (
    "please; compare; describe; write; check; measure; repeat; remember that; recall that; "
    "note that a; consider; list; mark; state; explain; first describe; try; make sure; "
    "report; before you answer; never forget; keep in mind; tell; give; answer; thank you; "
    "thanks; identify; ensure; avoid; use; read; do not; always; see whether; mention; name; "
    "estimate; find; decide; ask yourself; be careful; imagine; suppose; assume; draw; go "
    "through; focus on; learn; discuss; summarise; summarize; begin with; examine; hello; "
    "welcome; good morning; good question; let us; well done"
)
RECOMMENDATIONS = (
    "recommend; recommended; recommends; advise; advised; should be repeated; would be "
    "useful; might be useful; may be useful; could be useful; is useful; advisable; clinical "
    "correlation; follow up; suggest a; suggest repeating; is suggested; are suggested; "
    "repeat recording; would help; is needed; is indicated; are indicated; would be helpful; "
    "should be considered; should be performed; should be obtained; correlate clinically; is "
    "requested; is warranted; needs to be repeated; is desirable; propose; refer; be "
    "repeated; should be done; please correlate; worth repeating; will be needed; should "
    "follow; further recording; may be helpful; might be helpful; might help; may help; "
    "would be needed; suggested; to be repeated; for follow up"
)
OTHER_RECORDINGS = (
    "previous recording; earlier recording; previous eeg; earlier eeg; last year; prior eeg; "
    "prior recording; previous page; previous study; earlier study; former recording; "
    "previous record; yesterday; last eeg; last recording; other recording; another "
    "recording; in the past; prior study; earlier page; preceding page; last month; last "
    "week; old recording; outside eeg; first eeg; first recording; in 2019; two years ago; "
    "years ago; months ago; weeks ago; days ago; earlier record; another page; another "
    "patient; the other patient; a different patient; next page; preceding recording; the "
    "day before; last time; earlier tracing; previous tracing; prior tracing; former eeg; "
    "previously; on admission; earlier in the night; page before; before treatment; previous "
    "report; earlier report; initial recording; initial eeg; baseline recording; baseline "
    "eeg; at the last visit; at the first visit; earlier today; previous night; former "
    "study; last page; page after; following page; other pages; old report; old eeg; another "
    "hospital; historically"
)
ATTRIBUTED = (
    "reports; reported; according to; is said to; are said to; referring doctor; referring "
    "physician; technician noted; technician wrote; technologist noted; tempting to; may be "
    "misled; might be misled; a colleague; claims that; was told; the request asks; the "
    "request mentions; request form; the form says; referral; someone; the resident; a "
    "resident; some readers; one reader; a student might; supposedly; allegedly; a beginner; "
    "the family; was described as; were described; automatic detector; the software; the "
    "algorithm; the detector; the letter; the mother; it was said; the nurse; a reader; "
    "other readers; the label says; has been called; have been called; colleagues; were "
    "reported; were suspected; computer marked; the referral; was queried; were queried; "
    "mentions; wondered; the technologist; the technician; the history; reporter; the "
    "request; it is easy to; one might think; you might think; one may think; tempted; "
    "textbook; textbooks; the student; might mistake; may mistake; easily mistaken; easily "
    "taken; the neurologist; the gp; the computer; the report of; notes say; the notes; the "
    "chart"
)
TECHNIQUE = (
    "usable band; usable from; bipolar page; longitudinal bipolar; bipolar montage; bipolar "
    "recording; scalp electrodes; was not recorded; were not recorded; bipolar derivations "
    "as recorded; filter; filters; sampling rate; sampled; sensitivity; lff; hff; notch; "
    "bandpass; high pass; low pass; year old; years old; aged; age; year; electrode cap; "
    "sampling frequency; hypnogram scored; mm/s; paper speed; impedance; impedances; "
    "resampled; months old; month old; weeks old; gain; sampling; montage; amplifier; "
    "ground; page length; display; epoch length; window length; years; samples; born; "
    "recorded at; time constant; impedance; kohm; calibration; minutes; hours; timebase; "
    "screen; mm; high cut; low cut; highpass; lowpass; digitised; digitized; bits; bit"
)
DEFINITIONS = (
    "by definition; is defined; are defined; means; the rule; a rule; rules say; definition; "
    "as the rule says; criterion says; remember; is called; are called; in general; in "
    "adults; in children; criteria require; must last; must be; should last; refers to; has "
    "to last; have to last; guideline; guidelines; stands for; textbook; textbooks; we call; "
    "ranges from; covers; in healthy; criterion; definition of; lies between; handbook; "
    "counts as; count as; denotes; describes; is a burst; the term; convention; qualifies "
    "as; are expected; is expected; one calls; needs to; must have; required; requires; is a "
    "description; the manual; manual says; normally; per definition; asks for; ask for; is "
    "scored when; are scored when; would be called; reserved for; conventionally; as a rule; "
    "recall; by convention; are usually; is usually; rule of thumb; the limit; the "
    "threshold; cut off; cutoff; threshold"
)
CONDITIONALS = (
    "if; unless; when; would; should; provided; were it; had it; in case; assuming; "
    "otherwise; supposing; in that case; as long as; were; only if; even if; whenever; had; "
    "once"
)
CORRECTIONS = (
    "no; sorry; correction; i mean; rather; scratch that; or rather; pardon; actually; i "
    "meant; make that; better; correct that; no wait; wait; strike that; excuse me; to be "
    "precise; apologies; my mistake; oops; correcting; i should say; not; or better; "
    "recheck; let me correct; amend; read; on second look"
)
IDENTIFY = (
    "is; are; represent; represents; represents a; amounts to; amount to; taken as; describe "
    "it as; call it; call this; call them; read as; reflect; reflects; considered; "
    "interpreted as; classified as; constitute; constitutes; correspond to; corresponds to; "
    "be; was; were; regarded as; identified as; turned out to be; turns out to be; mistaken "
    "for; confused with; described as; seen as; counted as; labelled as; labelled; qualifies "
    "as; qualify as; meets; meet; expression of; called; taken for; recognised as; "
    "recognisable as; recognizable as; identifies; has the form of; have the form of; proved "
    "to be; confused for; read; equals; diagnosed as; rated as; understood as; marks; form; "
    "forms; an expression of; means; misread as; misinterpreted as; named; due to; from; "
    "misnamed; a sign of; signs of; sign of; stem from; stems from; make up; makes up"
)
PRONOUNS = (
    "it; its; they; their; them; these; this; those; that; each; both; which; all of them; "
    "the latter; former; of which; such; one of them; the one; each one; none of them; ones; "
    "one; either; themselves; itself; whose"
)
