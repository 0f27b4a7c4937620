"""Small closed sets of words that the grammar looks for, by the part they play in it.

Words of findings are in ``finding_words``, words that say something of them in ``saying_words`` and
``statement_words``; all of those become the lexicon. The sets here are only looked up: a name says
what its members do in a sentence ("away": the places that follow are not part of the finding).
"""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    """Return the words between the bars."""
    return frozenset(text.split("|"))


ACCOMPANIED = _set("followed by|with|accompanied|precedes|preceded|followed|after")
AFTER_BARE = _set("|,||)|uv|and")
AFTER_COUNT = _set(
    "|,|at|of|over|in|are|x|(|times|is|on|altogether|both|maximal|and|with|can|were|occur"
    "|were seen|all|from|near"
)
AFTER_IS = _set("a|an|the|defined|any|called|one|what|usually|always|typically")
AFTER_WAVE = _set("after|follow|them|trailing| it|accompan")
ALIKE = _set("comparable|similar|same|the same|identical|alike|level|matched")
ANCHORS = _set("L|B|oc|sleep|lim|nj|asym|low_band|all_bands|excess")
ANSWERING = _set(
    "a|teacher|tutor|assistant|answer|doctor|expert|consultant|reader|supervisor|neurologist"
    "|model|senior|registrar|instructor|mentor|ai|technician|professor|trainer|colleague"
    "|examiner|bot"
)
ARTICLES = _set("a|an|single|brief|one")
ASKING = _set(
    "q|student|user|trainee|question|resident|junior|learner|pupil|human|patient|intern|novice"
)
AS_IDENTITY = _set(
    "as|is|are|best explained as|has the looks of|looks like|look like|resembles|resemble"
)
AS_WORDS = _set(
    "best explained as|best explained by|has the looks of|looks like|look like|resembles"
    "|resemble|consistent with|compatible with|suggestive of|suggests|suggest|typical of"
    "|in keeping with"
)
AUXILIARIES = _set("is|are|was|were|could|can|does|do|should|has|have|may|did|or|if|would|be")
AWAY = _set(
    "does not reach|do not reach|does not extend to|do not extend to|does not spread"
    "|do not spread|not involving|does not involve|do not involve|without involvement of"
    "|not extending to|towards|toward|fades|referenced|spares|sparing|unlike"
)
BACK_CHANNELS = _set("O1|O2|P3|P4|Pz")
BANDED_LABELS = _set("focal_slowing|generalised_slowing|posterior_rhythm|beta_excess|slow_wave")
BARE_NEG = _set("not|no|cannot|never|can not")
BE = _set("is|are|was|were|be")
BEFORE_CORRECTION = _set(",|(|—|–|-|or|;|...")
BEFORE_ONE = _set("the|no|second|last|which|this")
BEFORE_PERCEIVED = _set("be|been|have|clearly|really")
BEFORE_SECONDS = _set(",|(|=|:|the|of|s")
BEFORE_SLEEP = _set("in|during|after|no|of")
BETWEEN_HEADS = _set("and|or|S|such|other|true|obvious|definite")
BOTH_BANDS = _set("both bands|the two bands|these bands|these two bands|both of them")
CHANNEL_NOUNS = _set("channels|leads|region|regions|electrodes")
CORRECTS = _set(
    "sorry|correction|i mean|rather|or rather|no|i meant|pardon|make that|actually|scratch that"
    "|no wait|wait|or better|better|excuse me|my mistake|apologies|oops"
)
CYCLES = _set("c/s|c/sec|/s|/sec|/second|/ s|/ sec|/ second")
DEFINING = _set("lasts|must|should|needs|lasting|consists|has")
DEFINITE = _set("the|these|its|their|this|each|those|such")
DEFINITIONS = _set(
    "by definition|is defined|are defined|means|the rule|remember that|lasts less than"
    "|are called|is called|stands for|criteria require|must last|in general|definition"
    "|as a rule|remember|may appear in|may occur in|can occur|can appear|can be seen in"
    "|may be seen in|often occur|usually last"
)
EXCEEDS = _set("exceeds|exceed|surpasses|outweighs|>|above|outranks|outstrips|exceeding")
EXCEPT = _set("except|apart from|other than|except for|with the exception of|save for|aside from")
FILL = _set(",|)|—|–|-|sorry|rather|no|i mean|at|the|on|is|it|in|from|actually|wait|over")
FOLLOWED = _set("followed by|followed|accompanied|precedes|preceded")
IFS = _set("if|unless|when|assuming|provided|supposing|in case|had|only if|even if|were")
IN_GENERAL = _set(
    "may appear in|may occur in|can occur|can appear|can be seen in|may be seen in|often occur"
    "|usually last"
)
IN_LENGTH = _set("long|duration|wide|in duration|dur|durations|apart|broad|in length|in width")
KEEPS_AWAY = _set("and|/|to|the|right|left")
LASTING = _set(
    "for|duration|dur|lasting|lasts|last for|lasted|persists|each lasting|length|continues|wide"
    "|width|of duration|measures|durations|measured|measuring|takes|spans"
)
LISTED_BY = _set(",|and|or|/|&")
LISTING = _set(
    "and|or|nor|any|other|of|a|an|the|clear|definite|obvious|true|such|rhythm|activity|even"
    "|also|sleep|further|in|for|typical|clearly|kind"
)
LIST_SIGNS = _set(",|and|or|nor|/|&")
LOOSE_RANKS = _set(
    "peak|max|maximal|maximum|first|peaks|most|major|minimum|principal|predominant"
    "|predominantly|main|ahead"
)
MARKS = frozenset('*•#`"“”')
MAXIMAL = _set("max|maximal|maximum|mainly|predominantly")
MISTAKEN = _set("mistaken|confused|mistaken for|confused for|taken|taken as|read|read as")
NEG_STOP = _set("but|only|except|apart from|beyond|other than|besides|apart")
NO = _set("no|none|nope|not at all|not really|nothing|certainly not|neither|no not")
NONE = _set(
    "nothing similar|nothing comparable|nothing of this kind|none|not a single"
    "|nothing of that kind|nothing of the kind|none of that|nothing of the sort|neither"
)
NONE_THERE = _set(
    "nothing similar|nothing comparable|nothing of this kind|none|not a single"
    "|nothing of that kind|nothing of the kind|none of that|no such"
)
NOT_COUNTED = _set("age|aged|x|×|page|part|of|figure|option")
NOUN_KINDS = _set("L|G|C|B|R")
NOW = _set("present|today|now|here|current|this page|currently")
NO_TREND_OF_EVENTS = _set("reduced|lost|suppressed|up|down|increased|drop|level")
OCCURS_WHERE = _set("in|at|over|on|from|between|during|and|to the|within|near|with|here")
OF_WHOLE_SIDE = _set("hemisphere|overall|background|side|hemispheres|record|voltage|amplitudes")
ONE_OF_THEM = _set("second|last|first|third|latter|fourth|largest|next|other")
ON_PAGE = _set("here|page|present|segment|seen")
OTHER_COUNTS = _set("/|channels|electrodes|bands|derivations|sides")
PARTS = _set("half|second|one|third|part|seconds")
PART_SIGNS = _set("while|whereas|,|and|;|/|:")
PASSING = _set(
    "the|a|an|any|some|more|further|other|clear|obvious|definite|true|typical|small|brief|well"
    "|formed|frequent|occasional|rare|of|also|two|three|both|either|even|each|on|at|in|over|for"
    "|several|few|many|repeated|repetitive|scattered|visible|isolated|single|intermittent"
    "|continuous|such"
)
PAUSES = _set(",|;|—|–|-|:")
PAUSES_AND = _set(",|;|—|–|-|:|and")
PERCEIVED = _set(
    "seen|present|visible|found|identified|detected|evident|observed|recorded|noted|there"
    "|recognised|recognized|made|read|confirmed|discerned|shown|apparent|demonstrated"
    "|encountered|discernible|be seen|appreciated|measured|distinguished|any|a|marked|on|in"
    "|here|detectable|recognisable|recognizable|find|see"
)
PERHAPS = _set("possibly|probably|perhaps|maybe|definitely|certainly|likely")
POST_NEG = _set(
    "absent|none|nil|not seen|not present|missing|not|lost|blocked|abolished|gone|dropped out"
    "|vanished|disappeared|excluded|ruled out|cannot be found|could not be identified|lacking"
    "|no longer|cannot|never|zero|nowhere|isn't|aren't|wasn't|hardly|undetectable"
    "|attenuated completely|cannot be ruled out|neither|no|unlikely|can not"
)
PRENOMINAL = _set(
    "a|an|the|some|any|brief|clear|typical|low|high|small|large|irregular|polymorphic"
    "|intermittent|continuous|rhythmic|sharp|slow|slower|short|long|few|several|more|many"
    "|occasional|frequent|mild|moderate|severe|voltage|amplitude|positive|negative|sleep"
    "|repeated|clear|of|run|runs|burst|bursts|train|trains"
)
PRENOMINAL_KINDS = _set("S|P|hedge|N|num|neg|V")
RANGE_SIGNS = _set("-|–|—|to|through|until|till")
RANKING = _set("ranks|rank|band|place|comes|contributor|is|component|are")
RECHECKS = _set(
    "recheck|let me correct|on second look|scratch that|strike that|correct that|my mistake"
    "|correcting"
)
RECORD_NOUNS = _set("eeg|record|recording|tracing|study|page|it|this|overall|clearly")
RHYTHMIC = _set("rhythmic|contoured|rhythmically|rhythmicity|sharply contoured|monomorphic")
SAME_TIME = _set("same|the same|this|correspondingly|accordingly|simultaneously|meanwhile")
SPECTRAL = _set(
    "activity|spectrum|frequency|brain activity|component|content|frequencies|background|waves"
    "|record|tracing|recording|background activity|cerebral activity"
)
STATES = _set("of|is|to|suggests|suggest|indicates|indicate|suggesting")
STRONG = _set(
    ";|:|but|while|whereas|although|however|yet|though|—|–|•|*|because|since|hence|except"
    "|beyond|besides|where|unlike|apart from|other than|except for|with the exception of"
    "|save for|aside from|(|{|[|||otherwise|also|+|-|plus|as"
)
SUBJECTS = _set(
    "background|everything|tracing|record|recording|voltage|voltages|overall|page|trace"
    "|activity|amplitude|amplitudes|leads|it|eeg|channel|channels"
)
SUPPRESSED = _set("suppressed|suppression|isoelectric|isoelectrical|attenuated|attenuation")
TAKES_BACK = _set("no|correction|sorry|wait|actually|no wait")
THAN = _set("compared|exceeds|exceed|surpasses|exceeding|outweighs|versus")
TRANSIENT_LABELS = _set(
    "spike|sharp|spsw|polyspike|polyspike+slow_wave|vertex_wave|blink|electrode_pop|kcomplex"
)
TURNS = _set(";|but|while|whereas|however|although")
UNTIL = _set("until|till|to|before|up to")
VERBS = _set("has|have|had|is|are|was|were|of|at|reaches|reaching|shows|runs|whose|an|a|repeating")
WEAK = _set(",|and|or|nor|/|&|)|}|]|with|which|that|including|namely|not|rather than")
WITHOUT_RATE = _set("muscle|flat|electrode_pop|movement|sweat|ecg|blink")
WOULD_CALL = _set(
    "call|describe|say|not|describe it as|call it|meet|classify|call this|call them"
    "|what one would expect"
)
YES = _set("yes|yeah|correct|indeed|right|exactly|true|that is correct")
LISTED_KINDS = _set("L|B|asym|R|G")
ABBREVIATIONS = _set(
    "gen|temp|occ|amp|neg|max|approx|ca|vs|dur|ampl|e.g|i.e|front|par|cent|resp|intermitt|bilat"
    "|post|ant|lat|sec|freq|fig|est|min|hemi|bg|backgr|symm|asymm|abs|pres|poss|prob|dep|seg|ch"
    "|chan|incl|inc|dx|pt"
)
NO_TYPO = _set(
    "share|shape|shaped|light|might|night|there|three|these|those|where|which|while|lighter"
    "|weight|height|theme|other|their|after|later|latter|wages|waves|waved|slowly|slower|spiked"
    "|peaked|shapes|larger|filed|field|fields|sharper|short|shorter|small|table|cable|sable"
    "|music|musical|likely|lively|bring|least|lease|lower|tower|power|powers|wider|evens|event"
    "|events|seven|level|fever|never|fewer|newer|early|nearly|early|steady|ready|study|studied"
    "|begin|reach|beach|peach|bleak|break|sleep|sleet|steep|sheep|blind|blend|bling|brink|drink"
    "|rapid|stage|stake|state|rates|rated|range|ranges|orange|grange|strange|trend|trends"
    "|friend|right|eight|rightly|lights|mains|maint|mail|paint|point|points|joint|spite|slide"
    "|slides|sides|sited|sites|sight|given|giving|voice|choice|cents|front|fronts|from|form"
    "|forms|former|formal|normal"
)
"""Words one letter away from a finding that are themselves."""
HEAD_KINDS = _set("L|B|asym")
