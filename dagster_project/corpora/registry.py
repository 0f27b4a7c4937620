"""The corpora we know: the entries of ``catalogue/`` and those a user adds.

Adding a corpus is adding a YAML file and, where its files or labels are of a new kind, a reader in
``readers/`` or ``labels/``. Nothing in this package branches on a corpus' key. What an entry may
say is :mod:`dagster_project.corpora.spec`. Shard counts are frozen, changing one is a migration.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from dagster_project.corpora.channels import PICKERS
from dagster_project.corpora.identity import SPLIT_RULES
from dagster_project.corpora.labels.table import LABEL_READERS
from dagster_project.corpora.readers.table import READERS
from dagster_project.corpora.spec import Choice, CorpusSpec

CATALOGUE = Path(__file__).parent / "catalogue"
USER_ENTRIES = "NEUROGLOSS_CORPORA"
"""Variable that names a YAML file, or a folder of them, with a user's own corpora."""


class CatalogueError(ValueError):
    """A catalogue entry that cannot be used; permanent until the file is mended."""

    is_retryable = False


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc'])) or 'the entry'}: {fault['msg']}"


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
    checked: list[tuple[Choice, type]] = [(spec.reader, READERS[spec.reader.name].params)]
    checked += [(choice, LABEL_READERS[choice.name].params) for choice in spec.labels]
    for choice, model in checked:
        try:
            choice.parsed(model)
        except ValidationError as error:
            raise CatalogueError(f"{choice.name}: {_first_fault(error)}") from error


def load_entry(path: Path) -> CorpusSpec:
    """Read one catalogue file.

    Raises
    ------
    CatalogueError
        If it is no YAML mapping, has an unknown or missing key, a value of the wrong type, or
        names a reader, policy or rule that does not exist.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        spec = CorpusSpec.model_validate_json(json.dumps(content))
        _check_names(spec)
    except ValidationError as error:
        raise CatalogueError(f"corpus entry {path.name}: {_first_fault(error)}") from error
    except (CatalogueError, yaml.YAMLError, OSError, TypeError) as error:
        raise CatalogueError(f"corpus entry {path.name}: {error}") from error
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
