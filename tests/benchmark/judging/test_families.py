"""Families of models: who wrote the training text and who answers may not judge."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.judging.families import assert_not_its_own, assert_other_family, family_of

WRITERS = ("gemini:gemini-2.5-flash", "template@3")


@pytest.mark.parametrize(
    ("teacher", "family"),
    [
        ("openai:gpt-4.1", "openai"),
        ("openai:o3-mini", "openai"),
        ("gemini:gemini-2.5-flash", "google"),
        ("openai_compatible:google/gemma-3-27b", "google"),
        ("openai_compatible:Qwen/Qwen2.5-VL-7B", "qwen"),
        ("openai_compatible:openai/gpt-oss-120b", "openai"),
        ("openai_compatible:qwen/qwen2.5-vl-7b:free", "qwen"),
        ("Qwen2.5-VL-3B-Instruct", "qwen"),
        ("CerebraGloss-3B", "qwen"),
        ("template@3", "template"),
    ],
)
def test_families(teacher: str, family: str) -> None:
    assert family_of(teacher) == family


@pytest.mark.parametrize(
    ("judge_id", "writers", "message"),
    [
        ("openai:gpt-5", ["template@3", "openai:gpt-4.1"], "'openai', which wrote the training"),
        ("gemini:gemini-2.5-pro", ["openai_compatible:google/gemma-3-4b"], "'google'"),
        ("openai:gpt-5", [], "without a teacher"),
        ("openai:gpt-5", ["template@3", ""], "without a teacher"),
        ("openai_compatible:mymodel", ["template@3"], "family of 'openai_compatible:mymodel'"),
        ("openai:gpt-5", ["openai_compatible:mymodel"], "is not known"),
    ],
    ids=["same", "same maker", "no rows", "no teacher", "unknown judge", "unknown writer"],
)
def test_a_judge_of_the_writers_family_is_refused(
    judge_id: str, writers: list[str], message: str
) -> None:
    with pytest.raises(BenchmarkError, match=message):
        assert_other_family(judge_id, writers)


def test_an_unknown_family_can_be_named() -> None:
    named = {"openai_compatible:mymodel": "us"}
    assert assert_other_family("openai_compatible:mymodel", WRITERS, named) == "us"
    with pytest.raises(BenchmarkError, match="'us'"):
        assert_other_family(
            "openai_compatible:mymodel", ["openai_compatible:other"],
            {**named, "openai_compatible:other": "us"},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("judge", "answerer", "expected"),
    [
        ("openai:gpt-5", "Qwen/Qwen2.5-VL-3B-Instruct", "qwen"),
        ("openai:gpt-5", "gemini:gemini-2.5-pro", "google"),
        ("openai:gpt-5", "", ""),
        ("openai:gpt-5", "openai:gpt-4.1", "is of family 'openai', as is 'm'"),
        ("openai_compatible:qwen3-32b", "Qwen/Qwen2.5-VL-3B-Instruct", "is of family 'qwen'"),
        ("openai_compatible:gemma-3-27b", "gemini:gemini-2.5-pro", "is of family 'google'"),
        ("openai:gpt-5", "my-checkpoint", "family of 'my-checkpoint' is not known"),
    ],
    ids=["local", "hosted", "random", "own", "served base", "same maker", "unknown"],
)
def test_a_judge_of_the_answering_family_is_refused(
    judge: str, answerer: str, expected: str
) -> None:
    if "family" not in expected:
        assert assert_not_its_own(judge, "m", answerer) == expected
        return
    with pytest.raises(BenchmarkError, match=expected):
        assert_not_its_own(judge, "m", answerer)
    named = {answerer: "elsewhere"}
    assert assert_not_its_own(judge, "m", answerer, named) == "elsewhere"
