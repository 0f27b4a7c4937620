"""What becomes of a teacher's replies is counted as the server counted it, cause by cause."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.text.bench import TextReport, report_tables
from benchmark.text.teachers import OUT_OF_TIME, TeacherAsked, bench_teacher
from prompts.teachers.base import TeacherConfigError
from prompts.texts.kinds import TEXT_KINDS
from tests.prompts.teachers.fault_plan import FaultPlan
from tests.prompts.teachers.fault_server import FaultServer

N_PAGES = 4


def settings_file(folder: Path, **values: object) -> Path:
    path = folder / "teacher.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_offline_teacher_is_accepted_at_once_and_costs_nothing(tmp_path: Path) -> None:
    asked = TeacherAsked.read(settings_file(tmp_path, provider="template"), N_PAGES)
    figures = bench_teacher(asked)
    assert (figures.n_planted, figures.n_real) == (N_PAGES, 0)
    assert set(figures.kinds) == set(TEXT_KINDS)
    for kind in figures.kinds.values():
        assert kind.n_accepted + kind.n_skipped == kind.n_pages == N_PAGES
        assert (kind.n_repaired, kind.dropped, kind.input_tokens, kind.usd) == (0, {}, 0, 0.0)
    assert not figures.misses()


def test_counts_and_tokens_are_the_servers(tmp_path: Path) -> None:
    with FaultServer(FaultPlan(content={"refusal": 0.3, "invalid_json": 0.3})) as server:
        path = settings_file(
            tmp_path, provider="openai_compatible", model="m", base_url=server.openai_url,
            is_local=True,
        )  # fmt: skip
        figures = bench_teacher(TeacherAsked.read(path, N_PAGES))
        counts = server.counts()
    kinds = figures.kinds.values()
    assert sum(k.n_requests for k in kinds) == counts["charged"]
    assert sum(k.input_tokens for k in kinds) == counts["input_tokens"]
    assert sum(k.output_tokens for k in kinds) == counts["output_tokens"]
    dropped = {cause for kind in kinds for cause in kind.dropped}
    assert "refused" in dropped
    for kind in kinds:
        ended = kind.n_accepted + kind.n_repaired + sum(kind.dropped.values()) + kind.n_skipped
        assert ended == kind.n_pages == N_PAGES
    (table,) = report_tables(TextReport(teacher=figures))
    assert table.row_count == len(TEXT_KINDS)
    assert TextReport(teacher=figures).to_json()["parts"]["teacher"]


def test_after_its_time_nothing_more_is_asked(tmp_path: Path) -> None:
    path = settings_file(tmp_path, provider="template")
    figures = bench_teacher(TeacherAsked.read(path, N_PAGES, minutes=1e-9))
    assert {k.ended_by for k in figures.kinds.values()} == {OUT_OF_TIME}
    assert all(k.n_pages < N_PAGES for k in figures.kinds.values())
    assert len(TextReport(teacher=figures).misses()) == len(TEXT_KINDS)


def test_half_of_the_pages_come_from_recordings(tmp_path: Path, data_root: Path) -> None:
    path = settings_file(tmp_path, provider="template")
    figures = bench_teacher(TeacherAsked.read(path, 2 * N_PAGES, data_root))
    assert (figures.n_planted, figures.n_real) == (N_PAGES, N_PAGES)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (None, BenchmarkError, "does not exist"),
        ("- a list\n", BenchmarkError, "holds no settings"),
        ("provider: gemini\nmodle: x\n", TeacherConfigError, "modle"),
    ],
)
def test_settings_that_are_none_are_told_apart(
    tmp_path: Path, text: str | None, error: type[Exception], said: str
) -> None:
    path = tmp_path / "teacher.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=said):
        TeacherAsked.read(path, 1)
