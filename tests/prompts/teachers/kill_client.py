"""A program that asks the gateway for planted tasks, made to be killed at any moment.

``python -m tests.prompts.teachers.kill_client FILE``: the JSON file holds ``settings``, ``cache``,
``n``, ``seed`` and ``out``. The outcomes are written to ``out``, only when all are there. The tests
use the same planted tasks in their own process.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prompts.teachers.base import Outcome, Task, TeacherRequest
from prompts.teachers.cache import TeacherCache
from prompts.teachers.prompt_files import Prompt
from prompts.teachers.registry import make_gateway

KEY_ENV = "NEUROGLOSS_TEST_KEY"
PRICES = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}
UNSUPPORTED = "unsupported: planted"
NO_FIT = "reply does not fit the schema"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["sentences"],
    "properties": {
        "sentences": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["text", "facts"],
                "properties": {
                    "text": {"type": "string"},
                    "facts": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}


def settings_of(provider: str, base_url: str, **changes: Any) -> dict[str, Any]:
    """Return teacher settings with short waits."""
    settings: dict[str, Any] = {
        "provider": provider,
        "model": "planted-model",
        "base_url": base_url,
        "api_key_env": KEY_ENV,
        "timeout_s": 2.0,
        "max_output_tokens": 256,
        "max_usd": 1000.0,
        "backoff_s": 0.02,
        "max_backoff_s": 0.2,
        **PRICES,
    }
    if provider == "gemini":
        settings["api_version"] = "v1beta"
    return settings | changes


def check(data: Mapping[str, Any]) -> str:
    """Return the cause that keeps a reply from standing, or ""."""
    sentences = data.get("sentences")
    if set(data) != {"sentences"} or not isinstance(sentences, list):
        return NO_FIT
    is_marked = any(s["text"].startswith("Unsupported ") for s in sentences)
    return UNSUPPORTED if is_marked else ""


def planted_tasks(n: int, seed: int) -> Iterator[Task]:
    """Yield tasks that differ in what they ask and in nothing else."""
    text = json.dumps(SCHEMA)
    prompt = Prompt("planted-v1", "Write sentences about the facts.", text, "planted-v1")
    for i in range(n):
        findings = [{"key": f"f{i % 9 + 1}", "kind": "spindle", "t0_s": i % 1000 / 100,
                     "count": i // 1000 % 1000}]  # fmt: skip
        payload = {"page": {"key": "page", "n_rows": 19}, "findings": findings}
        yield Task(TeacherRequest(prompt, payload, False, seed), check, f"sample-{i}")


def summary(outcome: Outcome) -> list[Any]:
    """Return what must be the same however often a run was killed."""
    reply = outcome.reply
    data = "" if reply is None else json.dumps(dict(reply.data), sort_keys=True)
    digest = hashlib.sha256(data.encode()).hexdigest()[:16] if data else ""
    cost = round(outcome.cost_usd, 9)
    return [outcome.task.tag, outcome.cause, digest, outcome.n_requests, cost]


def assert_ledger_is(cache: Path, counts: dict[str, Any]) -> None:
    """Hold the one ledger row of a cache against what the server counted."""
    store = TeacherCache(cache)
    (row,) = store.ledger_rows()
    store.close()
    assert (row.n_possibly_paid, row.possibly_paid_usd) == (0, 0.0)
    assert row.n_requests == counts["charged"]
    assert (row.input_tokens, row.output_tokens) == (
        counts["input_tokens"],
        counts["output_tokens"],
    )
    assert math.isclose(row.usd, counts["usd"], rel_tol=1e-9)
    assert counts["charged_twice"] == counts["conflicts"] == counts["unkeyed"] == 0


def main() -> None:
    """Run to the end."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with make_gateway(asked["settings"], Path(asked["cache"])) as gateway:
        tasks = planted_tasks(asked["n"], asked["seed"])
        rows = [summary(outcome) for outcome in gateway.outcomes(tasks)]
    Path(asked["out"]).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
