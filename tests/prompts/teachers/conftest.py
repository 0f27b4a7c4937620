"""One request of a planted page, and a key in the environment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prompts.facts.page import PageFacts
from prompts.teachers.base import TeacherRequest
from prompts.teachers.prompt_files import load_prompt
from prompts.texts.narrative_template import narrative_template
from prompts.texts.narratives import NARRATIVES
from tests.prompts.teachers.wire import KEY, KEY_ENV


@pytest.fixture
def test_key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(KEY_ENV, KEY)
    return KEY


@pytest.fixture
def request_(plant: Callable[..., PageFacts], test_key: str) -> TeacherRequest:
    """A real narrative request; the key of :func:`tests.prompts.teachers.wire.make` is set."""
    template = narrative_template(plant())
    prompt = load_prompt(NARRATIVES.prompt)
    return TeacherRequest(prompt, template.payload, is_gated=False, seed=7)
