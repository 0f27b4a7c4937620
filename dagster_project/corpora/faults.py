"""What is wrong with a catalogue entry, in one sentence: what, where, what is allowed, what to do.

The checks themselves are pydantic's on the models of ``spec.py`` and of the readers' parameters;
:mod:`dagster_project.corpora.registry` raises what is said here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

HINTS = {
    "key": "lower-case words joined by '-', such as our-clinic",
    "line_freq_hz": "50 or 60, the mains where the data were recorded",
    "values": "a mapping of the file's words to yours, such as {eyes_open: open}",
    "kind": "bids or folder",
}
"""What to write for keys that people leave out."""


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the keys allowed in the mapping at a place of an entry."""
    models = [model]
    for step in place:
        fields = {f.alias or n: f for m in models for n, f in m.model_fields.items()}
        if isinstance(step, str) and step in fields:
            models = list(_models_in(fields[step].annotation))
    return tuple(sorted({f.alias or n for m in models for n, f in m.model_fields.items()}))


def _near(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def first_fault(
    error: ValidationError,
    model: type[BaseModel],
    root: str = "",
    also: tuple[str, ...] = (),
) -> str:
    """Return one sentence about the first fault of an entry, a misspelt key before all others.

    Parameters
    ----------
    error
        What pydantic raised.
    model
        The model it was checked against.
    root
        Key of the entry under which the model's keys stand, empty for the entry itself.
    also
        Keys allowed at the top beside the model's.
    """
    faults = error.errors(include_url=False, include_input=False)
    unknown = (f for f in faults if f["type"] == "extra_forbidden")
    fault = next(unknown, faults[0])  # a misspelt key also makes the right one missing
    place = tuple(fault["loc"])
    steps = [root, *map(str, place)] if root else [str(step) for step in place]
    where = ".".join(steps) or "the entry"
    if fault["type"] == "extra_forbidden":
        known, wrong = _keys_at(model, place[:-1]), str(place[-1])
        if len(place) == 1:
            known = tuple(sorted((*known, *also)))
        inside = ".".join(steps[:-1]) or "the entry"
        return f"{inside} has no key {wrong!r}{_near(wrong, known)}; use {', '.join(known)}"
    if fault["type"] == "missing":
        hint = HINTS.get(steps[-1], "")
        return f"{where} is missing; add it{hint and f': {hint}'}"
    if fault["type"] == "string_type":
        return f"{where} must be text; put it in quotation marks"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"


def unquoted_key(content: Any, place: str = "") -> str:
    """Return where YAML read a key such as ``on``, ``no`` or ``~`` as no text, empty if nowhere."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key is None or isinstance(key, bool):
                return place or "the entry"
            found = unquoted_key(value, f"{place}.{key}".lstrip("."))
            if found:
                return found
    if isinstance(content, list):
        return next(
            filter(None, (unquoted_key(v, f"{place}.{i}") for i, v in enumerate(content))), ""
        )
    return ""
