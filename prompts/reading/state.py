"""What was read so far of one text.

Findings are kept until the end of the text, because later clauses still add to them; claims of
other kinds are final when read. Order of emission is the order of reading. How a later clause
refers to what is kept is in ``references``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prompts.reading.findings import Finding, settle
from prompts.reading.records import Claim, Number


@dataclass(slots=True)
class State:
    """Everything read of one text so far."""

    text: str
    out: list[Finding | Claim] = field(default_factory=list)
    topic: list[Finding] = field(default_factory=list)
    asked: list[Finding] = field(default_factory=list)
    is_asking: bool = False
    is_hypothetical: bool = False
    forced_hedge: str = ""
    is_in_sleep: bool = False
    is_answer: bool = False
    had_question: bool = False
    new_sentence: bool = True
    asked_type: tuple[str, str | None, str | None] | None = None
    asked_place: Finding | None = None
    answered: list[Claim] = field(default_factory=list)
    asked_claims: list[Claim] = field(default_factory=list)
    corrects_from: int | None = None
    sentence_start: int = 0
    band_topic: str = ""
    band_list: list[str] = field(default_factory=list)
    band_rank: int = 0
    band_max: bool = False
    energy_topic: bool = False
    last_time: tuple[Number | None, Number | None] = (None, None)

    def topic_is_voltage(self) -> bool:
        """Whether the last thing told was voltages or energies of channels."""
        return self.energy_topic or bool(self.topic and self.topic[0].type == "voltage")

    def rhythm_topic(self) -> tuple[str | None, str | None] | None:
        """Return label and band of the last finding if it is a rhythm that can differ by side."""
        if not self.topic:
            return None
        topic = replace(self.topic[0], regions=list(self.topic[0].regions))
        settle(topic)
        if topic.type == "rhythm" and not topic.is_absent:
            return topic.label, topic.band
        return None

    def add(self, finding: Finding) -> None:
        """Keep a finding; what is only asked or supposed makes no claim."""
        finding.is_in_sleep = self.is_in_sleep
        if self.is_hypothetical or self.is_asking:
            finding.is_asked = True
        if self.is_asking:
            self.asked.append(finding)
        if self.forced_hedge:
            finding.hedge = self.forced_hedge
        if not finding.is_asked:
            self._drop_generic(finding)
            if self.is_answer and not finding.is_absent:
                self._take_asked_place(finding)
        self.out.append(finding)

    def _take_asked_place(self, finding: Finding) -> None:
        """Let an answer stand where and when it was asked for."""
        for old in self.asked:
            if old.type == finding.type and not old.label:
                finding.copy_place(old)
        if self.asked_place is not None:
            finding.copy_place(self.asked_place)
            self.asked_place = None

    def _drop_generic(self, new: Finding) -> None:
        """Drop a generic present statement that this one makes specific (rule 6)."""
        if new.is_absent or not new.label or new.type not in ("event", "artifact"):
            return
        for old in self.out:
            if not isinstance(old, Finding) or old.type != new.type or old.label or old.is_absent:
                continue
            is_bare = not (old.is_generic or old.has_place or old.hedge != "none")
            if is_bare and old.word in (None, "epileptiform"):
                old.is_asked = True

    def claim(self, claim: Claim) -> None:
        """Keep a claim of another kind; one that is asked waits for its answer."""
        if self.is_asking:
            self.asked_claims.append(claim)
        if self.is_asking or self.is_hypothetical:
            return
        same = next((c for c in self.answered if c.type == claim.type and c in self.out), None)
        if same is not None:
            if same.polarity == claim.polarity and not claim.attribute and same.attribute:
                return
            if same.polarity == claim.polarity and same.attribute in (None, claim.attribute):
                self.out.remove(same)
        if self.corrects_from is not None:
            kept = [
                c
                for k, c in enumerate(self.out)
                if k < self.corrects_from or not isinstance(c, Claim) or c.type != claim.type
            ]
            self.out[:] = kept
            self.corrects_from = None
        self.out.append(claim)
        self.asked_claims = [c for c in self.asked_claims if c.type != claim.type]
