"""Families of models, and which of them may not judge what.

A judge prefers words like its own (``evaluation.md`` 6.5, rules 4 and 8), so it may be of the family
neither of who wrote the training text nor of who answers, be that one hosted, served or local. How a
judge is asked is in ``judging/judge.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from benchmark.errors import BenchmarkError

FAMILIES: tuple[tuple[str, str], ...] = (
    (r"gpt|chatgpt|o[134](?:-|$)|davinci", "openai"),
    (r"gemini|gemma|medgemma|palm", "google"),
    (r"claude", "anthropic"),
    (r"qwen|qwq|qvq|cerebragloss|neuronarrator", "qwen"),
    (r"llama|llava|vicuna", "llama"),
    (r"mistral|mixtral|magistral|ministral|pixtral", "mistral"),
    (r"deepseek", "deepseek"),
    (r"phi-?\d", "phi"),
    (r"grok", "xai"),
    (r"glm|chatglm", "zhipu"),
    (r"kimi|moonshot", "moonshot"),
    (r"internlm|internvl", "internlm"),
    (r"command|aya", "cohere"),
    (r"nemotron", "nvidia"),
)
"""First words of a model's name, after any folder, and its family; a fine-tuned one is of its base's."""


def family_of(teacher_id: str, families: Mapping[str, str] | None = None) -> str:
    """Return the family of a writer or judge by its id in the ``teacher`` column.

    Parameters
    ----------
    teacher_id
        ``provider:model``, ``template@<version>``, or a model's bare name.
    families
        Families of models the table does not know, by id.

    Raises
    ------
    BenchmarkError
        If the family is not known: then nobody can say that it differs.
    """
    if families and teacher_id in families:
        return families[teacher_id]
    if teacher_id.startswith("template@"):
        return "template"
    provider, colon, named = teacher_id.partition(":")
    model = (named if colon else provider).lower().rpartition("/")[2]
    found = next((name for start, name in FAMILIES if re.match(start, model)), "")
    if not found:
        raise BenchmarkError(
            f"the family of {teacher_id!r} is not known; name it in families, such as "
            f"{{{teacher_id!r}: 'its-maker'}}"
        )
    return found


def assert_other_family(
    judge: str, writers: Iterable[str], families: Mapping[str, str] | None = None
) -> str:
    """Refuse a judge of the family of any writer.

    Parameters
    ----------
    judge
        The judge's teacher id.
    writers
        Values of the ``teacher`` column of the rows the model was trained on.
    families
        As in :func:`family_of`.

    Returns
    -------
    str
        The judge's family.

    Raises
    ------
    BenchmarkError
        If a family is shared or unknown, or no writer is named.
    """
    named = sorted(set(writers))
    if not named or not all(named):
        raise BenchmarkError(
            "rows without a teacher do not say who wrote them, so no judge can be cleared; take the "
            "teacher column of the rows the model was trained on"
        )
    family = family_of(judge, families)
    for writer in named:
        if family_of(writer, families) == family:
            raise BenchmarkError(
                f"judge {judge!r} is of family {family!r}, which wrote the training text "
                f"({writer!r}); take a judge of another family"
            )
    return family


def assert_not_its_own(
    judge: str, model: str, answerer: str, families: Mapping[str, str] | None = None
) -> str:
    """Refuse a judge of the family whose answers it would judge.

    Parameters
    ----------
    judge
        The judge's teacher id.
    model
        Name of the model under test, for the message.
    answerer
        Id of that model, or of the one it was trained from; ``""`` for one built from random weights,
        which is of no family.
    families
        As in :func:`family_of`.

    Returns
    -------
    str
        The family of the answers, ``""`` for none.

    Raises
    ------
    BenchmarkError
        If the family is the same or not known.
    """
    if not answerer:
        return ""
    family = family_of(answerer, families)
    if family_of(judge, families) == family:
        raise BenchmarkError(
            f"judge {judge!r} is of family {family!r}, as is {model!r} ({answerer}), whose answers "
            "it would judge; take a judge of another family"
        )
    return family
