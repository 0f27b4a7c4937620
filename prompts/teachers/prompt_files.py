"""Prompts as versioned files: a Markdown template, the JSON schema of the reply, and examples.

A prompt is ``templates/<name>.md``, one worked example out of ``templates/<name>.examples.json`` and
``templates/<name>.schema.json``. Its hash covers all that is sent, so a row says exactly which words
and which schema it was made with. User-facing phrasings of the released dataset live in
``templates/user_prompts.yaml`` and are hashed alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

TOPICS = ("sleep", "epileptiform", "artifact", "normal")
"""What an example is about; a page gets the one that is like it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Parameters
    ----------
    name
        File stem; its version is the number at its end.
    system
        The instruction sent before the payload, with its example.
    schema_text
        The JSON schema of the reply, as stored; "" where a model under test answers in plain words.
    prompt_hash
        Hash of all three.
    """

    name: str
    system: str
    schema_text: str
    prompt_hash: str

    @property
    def is_plain(self) -> bool:
        """Whether the reply is free text: then ``system`` is the user's turn and all that is sent."""
        return not self.schema_text

    @property
    def schema(self) -> dict[str, Any]:
        """The reply schema."""
        return json.loads(self.schema_text)


@dataclass(frozen=True, slots=True)
class Example:
    """One worked example of a prompt: facts as a payload has them, and a reply that fits them."""

    facts: Mapping[str, Any]
    answer: Mapping[str, Any]


@cache
def load_prompt(name: str, topic: str = "normal") -> Prompt:
    """Load a prompt by file stem, with the example of one topic.

    Raises
    ------
    FileNotFoundError
        If there is no such prompt; the message lists those that exist.
    KeyError
        If there is no such topic.
    """
    example = load_examples(name)[topic]
    folder = resources.files("prompts") / "templates"
    written = (folder / f"{name}.md").read_text(encoding="utf-8").rstrip()
    system = (
        f"{written}\n\nAn example, of another page. Facts:\n{_compact(example.facts)}\n"
        f"Answer:\n{_compact(example.answer)}\n"
    )
    schema_text = (folder / f"{name}.schema.json").read_text(encoding="utf-8")
    return Prompt(name, system, schema_text, _hash(name, system, schema_text))


@cache
def load_examples(name: str) -> Mapping[str, Example]:
    """Return the worked examples of a prompt by topic.

    Raises
    ------
    FileNotFoundError
        If there is no such prompt; the message lists those that exist.
    """
    folder = resources.files("prompts") / "templates"
    known = sorted(
        f.name.removesuffix(".schema.json")
        for f in folder.iterdir()
        if f.name.endswith(".schema.json")
    )
    if name not in known:
        raise FileNotFoundError(f"prompt {name!r} does not exist; there are: {', '.join(known)}")
    entries = json.loads((folder / f"{name}.examples.json").read_text(encoding="utf-8"))
    return {topic: Example(**entries[topic]) for topic in TOPICS}


@cache
def user_prompts() -> tuple[dict[str, tuple[str, ...]], str]:
    """Return the user phrasings per kind of sample, and the hash of their file."""
    path = resources.files("prompts") / "templates" / "user_prompts.yaml"
    text = path.read_text(encoding="utf-8")
    phrasings = {kind: tuple(options) for kind, options in yaml.safe_load(text).items()}
    return phrasings, _hash("user_prompts", text)


def _compact(data: Mapping[str, Any]) -> str:
    """Write JSON in the form payloads are sent in."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
