"""Words that say something about a finding: number, doubt, denial, change, rank, comparison.

Also the words that make a sentence no claim at all (rules, instructions, technique, history). Each
table maps a meaning to phrases in lower case, without hyphens. What is seen is named in
``prompts.reading.finding_words``.
"""

from __future__ import annotations

NUMBERS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "single": 1,
    "solitary": 1,
    "isolated": 1,
    "pair": 2,
    "dozen": 12,
}
ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "2nd": 2,
    "3rd": 3,
    "1st": 1,
    "4th": 4,
}
UNITS: dict[str, tuple[str, float]] = {
    "hz": ("Hz", 1.0),
    "hertz": ("Hz", 1.0),
    "cps": ("Hz", 1.0),
    "cycles per second": ("Hz", 1.0),
    "per second": ("Hz", 1.0),
    "per sec": ("Hz", 1.0),
    "a second": ("Hz", 1.0),
    "times per second": ("Hz", 1.0),
    "times a second": ("Hz", 1.0),
    "times per minute": ("Hz", 1 / 60),
    "per minute": ("Hz", 1 / 60),
    "a minute": ("Hz", 1 / 60),
    "bpm": ("Hz", 1 / 60),
    "c per second": ("Hz", 1.0),
    "each second": ("Hz", 1.0),
    "every second": ("Hz", 1.0),
    "uv": ("uV", 1.0),
    "µv": ("uV", 1.0),
    "μv": ("uV", 1.0),
    "mcv": ("uV", 1.0),
    "microv": ("uV", 1.0),
    "microvolt": ("uV", 1.0),
    "microvolts": ("uV", 1.0),
    "mv": ("uV", 1000.0),
    "millivolt": ("uV", 1000.0),
    "millivolts": ("uV", 1000.0),
    "micro volts": ("uV", 1.0),
    "s": ("s", 1.0),
    "sec": ("s", 1.0),
    "secs": ("s", 1.0),
    "second": ("s", 1.0),
    "seconds": ("s", 1.0),
    "ms": ("ms", 0.001),
    "msec": ("ms", 0.001),
    "millisecond": ("ms", 0.001),
    "milliseconds": ("ms", 0.001),
    "%": ("percent", 1.0),
    "percent": ("percent", 1.0),
    "per cent": ("percent", 1.0),
    "pct": ("percent", 1.0),
    "percentage points": ("percent", 1.0),
}
ABOUT = (
    "about; roughly; around; approximately; approx; some; close to; near; circa; ca; nearly; "
    "almost; just; only; exactly; mostly; c; an estimated; in the order of; on the order of; "
    "averaging; an average of; generally; again; typically; usually; now; precisely"
)
UP_TO = (
    "below; under; less than; up to; not exceeding; no more than; at most; maximum of; not "
    "above; nothing above; nothing over; never above; fewer than; not more than; not exceed; "
    "does not exceed; do not exceed; never exceeds; never exceed; never exceeding; lower "
    "than; not over; within; smaller than; without exceeding; nowhere above; shorter than; "
    "falls below; fall below; drops below; drop below; stays below; stay below; remains "
    "below; remain below; not reach; does not reach; no greater than; nowhere exceeds; not "
    "higher than; no higher than; nowhere exceeding; as much as; nowhere over"
)
FROM_UP = (
    "above; over; more than; at least; exceeding; exceeds; exceed; no fewer than; no less "
    "than; greater than; not less than; not below; never below; in excess of; not fewer "
    "than; higher than; larger than; longer than; not under; upwards of; well over; beyond"
)
NEGATIONS = (
    "no; not; none; without; neither; nor; free of; free from; nil; negative for; neg for; "
    "neg; denies; absent; absence of; lack of; lacking; lacks; lack; hardly any; hardly; "
    "cannot be found; could not be identified; absence; no longer; never; rule out; rules "
    "out; ruled out; nothing; excluded; excludes; devoid of; missing; dropped out; vanished; "
    "disappeared; blocked; abolished; lost; loss of; scarcely any; barely any; no sign of; "
    "no evidence of; no trace of; fails to show; fail to show; not a single; nothing like; "
    "nothing similar; nothing comparable; nothing of this kind; does not show; gone; no "
    "evidence for; not seen; not present; isn't; aren't; wasn't; doesn't; don't; nowhere; "
    "zero; unlikely; cannot; can not; undetectable; no such; nothing of that kind; nothing "
    "of the kind; nothing of the sort; none of that; clear of; not any; without any; "
    "attenuated completely"
)
POSSIBLE = (
    "possible; possibly; poss; may; might; could; doubtful; cannot be excluded; can not be "
    "excluded; whether; perhaps; questionable; maybe; equivocal; uncertain; conceivably; "
    "conceivable; suspected; not be excluded; suspicious for; not excluded; suspicion of; "
    "suspicious of; cannot be ruled out; not be ruled out; not certain"
)
PROBABLE = (
    "is suggested by; are suggested by; suggested by; is supported by; probable; probably; "
    "prob; likely; seems; seem; appears; appear; appears to be; consistent with; compatible "
    "with; in keeping with; suggests; suggest; suggesting; suggestive of; points to; point "
    "to; pointing to; best explained as; looks like; look like; has the looks of; most "
    "likely; presumably; presumed; seemingly; apparently; in line with; supports; support; "
    "in accordance with; have the looks of; favours; favour; seemed; appeared; suggested; "
    "argues for; argue for; speaks for; speak for; best explained by; in agreement with; "
    "fits; fit; looks; resembles; resemble; typical of; likeliest; most probably; most "
    "probable; fits with; fit with; fitting with"
)
CERTAIN = (
    "definite; definitely; def; certain; certainly; unequivocal; unequivocally; clear cut; "
    "proves; prove; proven; undoubted; undoubtedly; unmistakable; without doubt; "
    "unquestionable; no doubt; unambiguous; unambiguously; beyond doubt; unmistakably; "
    "proving; indisputable; for certain; for sure; proof of; definitively"
)
UPWARD = (
    "↑; more than doubled; more than doubles; increase; increases; increased; increasing; "
    "rise; rises; rose; rising; risen; grow; grows; grew; growing; climb; climbs; climbed; "
    "up; upward; gain; gains; build up; builds up; doubles; doubled; upward trend; rising "
    "trend; increasing trend; goes up; going up; gone up; went up; picks up; ascends; "
    "upwards; augments; intensifies; strengthens; elevated"
)
DOWNWARD = (
    "↓; decrease; decreases; decreased; decreasing; fall; falls; fell; falling; fallen; "
    "drop; drops; dropped; dropping; decline; declines; declined; declining; down; downward; "
    "reduced; reduces; reduction; diminish; diminishes; diminished; shrinks; wane; wanes; "
    "suppressed; weakens; fades; dip; dips; halves; halved; lessens; downward trend; falling "
    "trend; decreasing trend; goes down; going down; gone down; went down; loses power; "
    "tapers; recedes; subsides; shrink; downwards"
)
STEADY = (
    "stable; steady; flat; little change; hardly any change; not much change; unchanged; no "
    "change; constant; does not change; do not change; holds steady; hold steady; flat "
    "trend; without change; remains the same; remain the same; no changes; level; static; "
    "unaltered; does not vary; stays the same; stay the same; did not change; not changed; "
    "has not changed; have not changed; stability; steadily maintained; stationary; changes "
    "little; hardly changes; not change; no real change"
)
LASTING_LOW = (
    "consistently low; persistently low; constantly low; low throughout; uniformly low; "
    "always low; consistently small"
)
GRADES = {
    "slight": (
        "slight; slightly; mild; mildly; a little; little; small; minor; minimal; minimally; "
        "somewhat; a bit; modest; modestly; gently; marginally; marginal; weakly; gradual; "
        "gradually; gentle"
    ),
    "moderate": "moderate; moderately; noticeable; noticeably; appreciable; appreciably; visible",
    "marked": (
        "marked; markedly; significant; significantly; strong; strongly; sharply; considerable; "
        "pronounced; steep; steeply; considerably; more than doubled; more than doubles; "
        "substantial; substantially; clearly; large; dramatic; dramatically; steep; more than "
        "doubling; prominent; greatly; prominently; massively; massive; doubled; doubles; by far"
    ),
}
TREND_NOUNS = (
    "trend; change; changes; changing; tendency; drift; vary; varies; variation; evolution; "
    "course; trending"
)
HIGHEST = (
    "highest; dominant; dominates; dominate; dominated; dominating; leading; leads; lead; "
    "led; first; strongest; prevails; prevail; prevailing; predominates; predominate; "
    "predominant; predominantly; main; largest; most; greatest; top; maximal; maximum; "
    "peaks; peak; most powerful; most prominent; ranks first; rank first; max; comes first; "
    "ahead; preponderates; preponderant; principal; tops; in front; in the lead; takes the "
    "lead; takes first place; major; heads"
)
LOWEST = (
    "lowest; least; weakest; negligible; smallest; last place; minimal power; ranks last; "
    "comes last; minimum; faintest; at the bottom; insignificant; is last"
)
FOLLOW = (
    "follows; follow; comes next; followed by; then; ahead of; before; next; next is; next "
    "comes; behind it; close behind; in front of; followed closely by; closely followed by"
)
BEHIND = "behind; after; following; runner up to"
GREATER = (
    "larger; higher; greater; more; more than; higher than; larger than; greater than; "
    "stronger; faster; exceeds; exceed; above; bigger; more numerous; exceeding; surpasses; "
    "outweighs; better developed; predominant; increased; taller; quicker; preponderance; "
    "more prominent; more pronounced; more abundant; better formed; predominance; richer; "
    "outnumber; outnumbers; more marked; outranks; outstrips; dominance; preponderates; more "
    "frequent"
)
LESSER = (
    "lower; smaller; less; less than; lower than; smaller than; fewer than; weaker; slower; "
    "reduced; below; diminished; fewer; attenuated; depressed; suppressed; less prominent; "
    "decreased; poorer; less numerous; less well developed; falls short of; less pronounced; "
    "less abundant; poorly developed; less developed; trails; lags; less well formed"
)
SYMMETRIC = (
    "symmetric; symmetrical; sym; symm; symmetry; symmetrically; equal; even; same on both "
    "sides; equal on both sides; evenly; side difference; alike; no lateralisation; "
    "balanced; equally; lateralisation; side to side difference; matched; the same on both "
    "sides; interhemispheric difference; the same on the two sides; left right difference; "
    "difference between the sides; difference between sides; side differences; difference "
    "between the two sides; difference between the hemispheres; hemispheric difference; the "
    "same; difference between left and right; comparable on both sides; similar on both "
    "sides; identical on both sides; comparable; similar; identical"
)
ASYMMETRIC = (
    "assymetry; assymmetry; asymmetric; asymmetrical; asymmetry; asymmetries; "
    "asymmetrically; asymm; side preference; unequal; uneven"
)
