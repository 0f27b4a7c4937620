"""Prompts as versioned files: a Markdown template and the JSON schema of the reply.

A prompt is ``templates/<name>.md`` (its system text) with ``templates/<name>.schema.json``. Its
hash covers both, so a row says exactly which words and which schema it was made with. User-facing
phrasings of the released dataset live in ``templates/user_prompts.yaml`` and are hashed alike.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Parameters
    ----------
    name
        File stem; its version is the number at its end.
    system
        The instruction sent before the payload.
    schema_text
        The JSON schema of the reply, as stored.
    prompt_hash
        Hash of both.
    """

    name: str
    system: str
    schema_text: str
    prompt_hash: str

    @property
    def schema(self) -> dict[str, Any]:
        """The reply schema."""
        return json.loads(self.schema_text)


@cache
def load_prompt(name: str) -> Prompt:
    """Load a prompt by file stem.

    Raises
    ------
    FileNotFoundError
        If there is no such prompt; the message lists those that exist.
    """
    folder = resources.files("prompts") / "templates"
    known = sorted(
        f.name.removesuffix(".schema.json") for f in folder.iterdir() if f.name.endswith(".json")
    )
    if name not in known:
        raise FileNotFoundError(f"prompt {name!r} does not exist; there are: {', '.join(known)}")
    system = (folder / f"{name}.md").read_text(encoding="utf-8")
    schema_text = (folder / f"{name}.schema.json").read_text(encoding="utf-8")
    return Prompt(name, system, schema_text, _hash(name, system, schema_text))


@cache
def user_prompts() -> tuple[dict[str, tuple[str, ...]], str]:
    """Return the user phrasings per kind of sample, and the hash of their file."""
    path = resources.files("prompts") / "templates" / "user_prompts.yaml"
    text = path.read_text(encoding="utf-8")
    phrasings = {kind: tuple(options) for kind, options in yaml.safe_load(text).items()}
    return phrasings, _hash("user_prompts", text)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
