"""Licences at the rim: who may be asked about a corpus, and that the graph stays inside its root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.assets.teacher_texts import (
    TeacherConfig,
    descriptions,
    dialogues,
    narratives,
    teacher_questions,
)
from dagster_project.corpora.registry import corpora
from dagster_project.failures import PermanentFailure
from dagster_project.resources import Workspace
from prompts.teachers.base import TeacherRefusedError
from prompts.teachers.registry import assert_may_read, is_inside, read_settings

LOCAL = {"provider": "openai_compatible", "model": "m", "base_url": "http://127.0.0.1:1/v1"}


@pytest.mark.parametrize(
    "asset",
    [narratives, descriptions, teacher_questions, dialogues],
    ids=["narratives", "descriptions", "teacher_questions", "dialogues"],
)
@pytest.mark.parametrize("provider", ["openai", "gemini", "openai_compatible"])
def test_a_gated_corpus_is_not_sent_to_a_hosted_teacher(
    asset: Any, provider: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = TeacherConfig(provider=provider, model="m", base_url="http://127.0.0.1:1/v1")
    # closed here: left to the garbage collector, its clean-up may run inside an import
    with (
        dg.build_asset_context(partition_key="tuab-01-of-24") as context,
        pytest.raises(
            PermanentFailure,
            match=rf"corpus 'tuab' \(licence LicenseRef-TUH-EEG-agreement\) may not be sent to hosted "
            rf"teacher '{provider}'; use provider 'template'",
        ) as caught,
    ):
        asset(context, config, workspace)
    assert caught.value.allow_retries is False


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"provider": "template"}, True),
        (LOCAL | {"is_local": True}, True),
        (LOCAL, False),
        ({"provider": "openai"}, False),
        ({"provider": "gemini"}, False),
    ],
    ids=["template", "local server", "other server", "openai", "gemini"],
)
def test_only_what_runs_here_may_read_what_must_stay(
    settings: dict[str, Any], expected: bool
) -> None:
    teacher = read_settings(settings)
    assert is_inside(teacher) is expected
    if expected:
        assert_may_read(teacher, "seed", "LicenseRef-BCMI-agreement")
    else:
        with pytest.raises(TeacherRefusedError, match="'seed'"):
            assert_may_read(teacher, "seed", "LicenseRef-BCMI-agreement")


def test_the_walls_hold_every_gated_corpus_of_the_registry(
    workspace: Workspace, tmp_path: Path
) -> None:
    walls = workspace.walls()
    assert {"tuab", "tusz", "seed", "grasp-and-lift"} <= set(walls.gated)
    assert set(walls.gated) == {s.key for s in corpora().values() if s.licence.is_gated}
    assert walls.is_inside(workspace.folder("answers", "x"))
    assert not walls.is_inside(tmp_path / "elsewhere")
