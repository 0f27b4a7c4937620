"""The corpora we know: the entries of ``catalogue/`` and those a user adds.

Adding a corpus is adding a YAML file and, where its files or labels are of a new kind, a reader in
``readers/`` or ``labels/``. Nothing in this package branches on a corpus' key. What an entry may
say is :mod:`dagster_project.corpora.spec`. Shard counts are frozen, changing one is a migration.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dagster_project.corpora.channels import PICKERS
from dagster_project.corpora.faults import first_fault, unquoted_key
from dagster_project.corpora.identity import SPLIT_RULES
from dagster_project.corpora.labels.table import LABEL_READERS
from dagster_project.corpora.layouts import written_out
from dagster_project.corpora.readers.table import READERS
from dagster_project.corpora.spec import Choice, CorpusSpec
from dagster_project.corpora.splits import SPLIT_PROTOCOLS, split_fault

CATALOGUE = Path(__file__).parent / "catalogue"
USER_ENTRIES = "NEUROGLOSS_CORPORA"
"""Variable that names a YAML file, or a folder of them, with a user's own corpora."""


class CatalogueError(ValueError):
    """A catalogue entry that cannot be used; permanent until the file is mended."""

    is_retryable = False


def _check_choice(what: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise CatalogueError(f"{what} {name!r} is not known; use one of {', '.join(sorted(known))}")


def _check_names(spec: CorpusSpec) -> None:
    """Refuse an entry that names what no table has, or gives it parameters it does not take."""
    _check_choice("channel policy", spec.channels.policy, PICKERS)
    _check_choice("split rule", spec.identity.split_rule, SPLIT_RULES)
    _check_choice("reader", spec.reader.name, READERS)
    for choice in spec.labels:
        _check_choice("label reader", choice.name, LABEL_READERS)
    for choice in spec.splits:
        _check_choice("split protocol", choice.name, SPLIT_PROTOCOLS)
    checked: list[tuple[Choice, type]] = [(spec.reader, READERS[spec.reader.name].params)]
    checked += [(choice, LABEL_READERS[choice.name].params) for choice in spec.labels]
    checked += [(choice, SPLIT_PROTOCOLS[choice.name].params) for choice in spec.splits]
    for choice, model in checked:
        try:
            choice.parsed(model)
        except ValidationError as error:
            raise CatalogueError(f"{choice.name}: {first_fault(error, model)}") from error
    fault = split_fault(spec)
    if fault:
        raise CatalogueError(fault)


def _content(path: Path) -> Mapping[str, Any]:
    """Return what a file says, short entries written out.

    Raises
    ------
    CatalogueError
        If it is no mapping of text to plain values.
    """
    content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise CatalogueError("no mapping; begin with lines such as 'key: my-corpus'")
    place = unquoted_key(content)
    if place:
        raise CatalogueError(
            f"{place}: YAML reads a key as no text; put on, off, yes, no in quotes"
        )
    try:
        json.dumps(content)
    except TypeError as error:
        raise CatalogueError("a date or other special value; put it in quotes") from error
    return written_out(content) if "layout" in content else content


def _check_patterns(spec: CorpusSpec) -> None:
    for pattern in (*spec.files.ignored, *spec.files.companions):
        re.compile(pattern)


def load_entry(path: Path) -> CorpusSpec:
    """Read one catalogue file.

    Raises
    ------
    CatalogueError
        If it is no YAML mapping, has an unknown or missing key, a value of the wrong type, or
        names a reader, policy or rule that does not exist.
    """
    try:
        spec = CorpusSpec.model_validate_json(json.dumps(_content(path)))
        _check_patterns(spec)
        _check_names(spec)
    except ValidationError as error:
        fault = first_fault(error, CorpusSpec, also=("layout",))
        raise CatalogueError(f"corpus entry {path.name}: {fault}") from error
    except (ValueError, yaml.YAMLError, OSError, RecursionError, re.error) as error:
        said = " ".join(str(error).split())
        if isinstance(error, re.error):
            said = f"pattern {error.pattern!r} is no regular expression: {said}"
        raise CatalogueError(f"corpus entry {path.name}: {said}") from error
    return spec


def _entry_files() -> Iterator[Path]:
    yield from sorted(CATALOGUE.glob("*.yaml"))
    mine = os.environ.get(USER_ENTRIES)
    if mine:
        path = Path(mine)
        if not path.exists():
            raise CatalogueError(f"{USER_ENTRIES}={mine!r} does not exist; name a file or folder")
        yield from sorted(path.glob("*.yaml")) if path.is_dir() else [path]


@cache
def corpora() -> Mapping[str, CorpusSpec]:
    """Return every corpus by key: the catalogue's in order of key, then the user's own.

    Raises
    ------
    CatalogueError
        If an entry cannot be used or two have one key.
    """
    found: dict[str, CorpusSpec] = {}
    for path in _entry_files():
        spec = load_entry(path)
        if spec.key in found:
            raise CatalogueError(f"corpus entry {path.name}: key {spec.key!r} is taken already")
        found[spec.key] = spec
    return found


def corpus(key: str) -> CorpusSpec:
    """Return one corpus.

    Raises
    ------
    KeyError
        If no such corpus is registered; the message lists those that are.
    """
    known = corpora()
    if key not in known:
        raise KeyError(f"corpus {key!r} is not registered; known corpora: {', '.join(known)}")
    return known[key]
