"""What the fault server does wrong, when, and what it charges: seeded, so that runs can be compared.

The faults of one request depend on the seed, on the request itself and on how often it came, never
on the order of arrival or on time: a run that was killed meets the same world as one that was not.
HTTP is in ``fault_server``; the two providers' formats are in ``fault_protocols``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TRANSPORT = (
    "429",  # too many requests, without a hint
    "429_after",  # with the provider's own hint how long to wait
    "429_date",  # with a hint in HTTP's other format, a date
    "500",
    "503",
    "502_html",  # a proxy's page instead of JSON
    "reset",  # half of the body, then a TCP reset; charged
    "lost",  # closed before the first byte, though answered; charged
    "drop",  # closed before the first byte and not answered; not charged
    "drip",  # the whole body, slowly
    "stall",  # half of the body, then silence; charged
)
CONTENT = (
    "refusal",  # the model declines
    "filter",  # the provider blocks
    "truncated",  # ends at the token limit
    "invalid_json",
    "other_schema",
    "empty",  # no choice at all
    "unsupported",  # fits the schema, but says what no fact says (``UNSUPPORTED`` in its text)
)
LINES = ("missing", "error", "duplicate")
BATCHES = ("reorder", "expired", "failed", "cut")

ALL_FAULTS: dict[str, dict[str, float]] = {
    "transport": {name: 0.02 for name in TRANSPORT if name not in {"drip", "stall"}}
    | {"drip": 0.004, "stall": 0.002},
    "content": dict.fromkeys(CONTENT, 0.02),
    "lines": dict.fromkeys(LINES, 0.03),
    "batches": {"reorder": 0.5, "expired": 0.15, "failed": 0.05, "cut": 0.15},
}


@dataclass(frozen=True)
class FaultPlan:
    """Rates (0..1) by fault, and the server's constants; money in US dollars per million tokens.

    ``max_faults`` bounds the transport faults of one request and the line faults of one line.
    Above ``max_concurrent`` it says 429; arrivals with a number inside ``outage`` meet a 503.
    """

    seed: int = 0
    transport: Mapping[str, float] = field(default_factory=dict)
    content: Mapping[str, float] = field(default_factory=dict)
    lines: Mapping[str, float] = field(default_factory=dict)
    batches: Mapping[str, float] = field(default_factory=dict)
    max_faults: int = 3
    latency_s: float = 0.0
    retry_after_s: float = 0.05
    drip_s: float = 0.5
    stall_s: float = 60.0
    batch_s: float = 0.0
    hold_create_s: float = 0.0
    max_concurrent: int = 10**9
    outage: tuple[int, int] = (0, 0)
    input_usd_per_mtok: float = 1.0
    output_usd_per_mtok: float = 4.0
    cached_share: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (
            ("transport", TRANSPORT), ("content", CONTENT), ("lines", LINES), ("batches", BATCHES)
        ):  # fmt: skip
            unknown = set(getattr(self, name)) - set(known)
            if unknown:
                raise ValueError(f"unknown {name} faults {sorted(unknown)}; there are {known}")

    def transport_fault(self, body: str, attempt: int) -> str:
        """Return the fault of the n-th arrival (from 0) of a request."""
        return "" if attempt >= self.max_faults else _draw(self.transport, self.seed, body, attempt)

    def content_fault(self, body: str, n_before: int) -> str:
        """Return what is wrong with the content of the n-th reply (from 0) written to a request."""
        return _draw(self.content, self.seed, body, "content", n_before)

    def line_fault(self, body: str, attempt: int) -> str:
        """Return the fault of a batch line sent for the n-th time."""
        return "" if attempt >= self.max_faults else _draw(self.lines, self.seed, body, attempt)

    def batch_faults(self, text: str, attempt: int) -> set[str]:
        """Return the faults of a whole batch, each drawn by itself."""
        return {
            name
            for name, rate in self.batches.items()
            if attempt < self.max_faults and _draw({name: rate}, self.seed, text, name)
        }


def _draw(rates: Mapping[str, float], *key: object) -> str:
    """Return one fault by its rate, or "" for none."""
    point = _hash(*key) / 2**64
    for name, rate in rates.items():
        point -= rate
        if point < 0:
            return name
    return ""


def _hash(*key: object) -> int:
    text = "|".join(map(str, key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


PICTURE_TOKENS = 1000


def picture(encoded: str) -> bytes:
    """Return a PNG from base64, refusing anything else as the providers do."""
    data = base64.b64decode(encoded, validate=True)
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or not data.endswith(b"IEND\xaeB`\x82"):
        raise ValueError("no PNG")
    return data


def digest(value: Any) -> str:
    """Return a short hash of JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Asked:
    """What both protocols ask for: texts, schema, limit, pictures, candidates of the first token."""

    texts: tuple[str, ...]
    schema: Mapping[str, Any]
    max_output_tokens: int
    body: str
    pictures: tuple[bytes, ...] = ()
    top_logprobs: int = 0

    @property
    def input_tokens(self) -> int:
        """Tokens as the server counts them: 4 characters each, 1000 a picture."""
        words = sum(map(len, self.texts)) // 4 + len(json.dumps(self.schema)) // 4 + 3
        return words + PICTURE_TOKENS * len(self.pictures)


@dataclass(frozen=True)
class Written:
    """A reply before it is put into a protocol's format."""

    fault: str
    text: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    top_logprobs: tuple[tuple[str, float], ...] = ()


def write_plain(asked: Asked, plan: FaultPlan, n_before: int) -> Written:
    """Answer a question without a schema: one of the letters it shows, or a few words."""
    fault = plan.content_fault(asked.body, n_before)
    shown = hashlib.sha256(b"".join(asked.pictures)).hexdigest()
    rng = random.Random(_hash(plan.seed, shown, *asked.texts))
    letters = re.findall(r"^([A-H])\. ", "\n".join(asked.texts), re.MULTILINE)
    words = rng.choice(letters) if letters else " ".join(rng.choices(_WORDS, k=8)) + "."
    text = "" if fault in {"refusal", "filter", "empty"} else words
    others = [(letter, -3.0 - i) for i, letter in enumerate(letters) if letter != words]
    top = ((words.split()[0], -0.2), *others)[: asked.top_logprobs]
    n_in = asked.input_tokens
    return Written(fault, text, n_in, int(n_in * plan.cached_share), -(-len(text) // 4), top)


def write(asked: Asked, plan: FaultPlan, n_before: int) -> Written:
    """Write the n-th reply (from 0) to a request, right or wrong by the plan."""
    if not asked.schema:
        return write_plain(asked, plan, n_before)
    fault = plan.content_fault(asked.body, n_before)
    rng = random.Random(_hash(plan.seed, asked.body, "words"))
    keys = [k for text in asked.texts for k in re.findall(r'"key"\s*:\s*"(\w+)"', text)] or ["page"]
    data = _fill(asked.schema, "", keys, rng, "UNSUPPORTED" if fault == "unsupported" else "")
    text = json.dumps(data)
    text = {
        "refusal": "",
        "filter": "",
        "empty": "",
        "truncated": text[: len(text) // 2],
        "invalid_json": text[:-2] + ",,",
        "other_schema": json.dumps({"verse": [text[:20]], "n": 3}),
    }.get(fault, text)
    limit = asked.max_output_tokens
    n_out = limit if fault == "truncated" else min(limit, -(-len(text) // 4))
    n_in = asked.input_tokens
    return Written(fault, text, n_in, int(n_in * plan.cached_share), n_out)


_WORDS = (
    "page",
    "rhythm",
    "background",
    "channels",
    "recorded",
    "seen",
    "activity",
    "ten",
    "seconds",
)


def _fill(schema: Any, name: str, keys: list[str], rng: random.Random, mark: str) -> Any:
    """Return a value that fits a JSON schema, with the payload's keys where facts are asked for."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "anyOf" in schema:
        return _fill(schema["anyOf"][0], name, keys, rng, mark)
    kind = schema.get("type", "object")
    if kind == "object":
        return {k: _fill(s, k, keys, rng, mark) for k, s in schema.get("properties", {}).items()}
    if kind == "array":
        low = schema.get("minItems", 1)
        n = rng.randint(low, max(low, min(schema.get("maxItems", 3), 3)))
        return [_fill(schema.get("items", {}), name, keys, rng, mark) for _ in range(n)]
    if kind == "string":
        if name == "facts":
            return rng.choice(keys)
        return f"{mark} {' '.join(rng.choices(_WORDS, k=8))}.".strip().capitalize()
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}[kind]


@dataclass
class Account:
    """What the server counted; the truth a client's ledger is held against."""

    plan: FaultPlan
    n_arrived: int = 0
    n_charged: int = 0
    n_unkeyed: int = 0
    n_replayed: int = 0
    n_conflicts: int = 0
    n_early: int = 0
    max_in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[str] = field(default_factory=Counter)
    charged_bodies: Counter[str] = field(default_factory=Counter)
    charged_lines: Counter[str] = field(default_factory=Counter)
    n_charged_twice: int = 0
    _last_faults: dict[str, str] = field(default_factory=dict)
    batches: list[dict[str, Any]] = field(default_factory=list)

    def charge(self, body: str, reply: Written, *, share: float = 1.0, line: str = "") -> None:
        """Charge one reply; ``share`` is 0.5 for a batch."""
        self.n_charged += 1
        # only a reply without any content may be asked for again in the same words
        self.n_charged_twice += self._last_faults.get(body, "empty") != "empty"
        self._last_faults[body] = reply.fault
        self.charged_bodies[body] += 1
        if line:
            self.charged_lines[line] += 1
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens
        plan = self.plan
        self.usd += share * (
            reply.input_tokens * plan.input_usd_per_mtok
            + reply.output_tokens * plan.output_usd_per_mtok
        ) / 1e6  # fmt: skip

    def counts(self) -> dict[str, Any]:
        """Return everything as plain JSON; bodies only by how often they were charged."""
        return {
            "arrived": self.n_arrived,
            "charged": self.n_charged,
            "unkeyed": self.n_unkeyed,
            "replayed": self.n_replayed,
            "conflicts": self.n_conflicts,
            "early": self.n_early,
            "max_in_flight": self.max_in_flight,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "usd": self.usd,
            "faults": dict(self.faults),
            "charged_twice": self.n_charged_twice,
            "lines_charged_twice": sum(n > 1 for n in self.charged_lines.values()),
            "batches": [dict(b) for b in self.batches],
        }
