"""The table of sources: where open corpora lie and what an entry's ``access.locator`` must say.

A corpus entry names one of these. Each lives in the module of its name, imported when something is
listed. What they return is :mod:`dagster_project.corpora.fetch.types`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import Field, ValidationError

from dagster_project.corpora.fetch.types import FetchError, Listing
from dagster_project.corpora.spec import Access, Entry


class Locator(Entry):
    """What every locator may say.

    Parameters
    ----------
    include
        Globs of the files that belong to the corpus, separated by commas; all where empty.
    """

    include: str = ""


class PhysioNetLocator(Locator):
    """A PhysioNet project: its slug and version."""

    dataset: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]*$")


class OpenNeuroLocator(Locator):
    """An OpenNeuro data set: its accession number and snapshot tag."""

    dataset: str = Field(pattern=r"^ds\d{6}$")
    tag: str = Field(pattern=r"^[0-9][0-9A-Za-z.-]*$")


class ZenodoLocator(Locator):
    """A Zenodo record: its number."""

    record: str = Field(pattern=r"^\d+$")


class FigshareLocator(Locator):
    """A figshare article: its number and, where it matters, its version."""

    article: str = Field(pattern=r"^\d+$")
    version: str = Field(default="", pattern=r"^\d*$")


class DataverseLocator(Locator):
    """A Dataverse data set: server and DOI (``doi:10.18150/...``)."""

    server: str = Field(pattern=r"^https://[\w.-]+$")
    doi: str = Field(pattern=r"^(doi:)?10\.\d{4,}/\S+$")
    version: str = Field(default=":latest-published", pattern=r"^[\w:.-]+$")


class OsfLocator(Locator):
    """An OSF project: its five letters."""

    project: str = Field(pattern=r"^[a-z0-9]{5}$")


@dataclass(frozen=True, slots=True)
class Source:
    """One way to an open corpus.

    Parameters
    ----------
    locator
        Model of what an entry must say.
    url
        Its public address; the variable ``NEUROGLOSS_<NAME>_URL`` replaces it, for mirrors.
    is_unpacked
        Whether archives are unpacked where they land: hosts of deposits, which pack folders.
    meaning
        What it is, for the table users see.
    """

    locator: type[Locator]
    url: str
    is_unpacked: bool
    meaning: str


SOURCES: dict[str, Source] = {
    "dataverse": Source(DataverseLocator, "", True, "a Dataverse installation, over HTTPS"),
    "figshare": Source(FigshareLocator, "https://api.figshare.com/v2", True, "figshare, HTTPS"),
    "openneuro": Source(
        OpenNeuroLocator, "https://openneuro.org/crn/graphql", False, "OpenNeuro, openneuro-py"
    ),
    "osf": Source(OsfLocator, "https://api.osf.io/v2", True, "Open Science Framework, HTTPS"),
    "physionet": Source(
        PhysioNetLocator, "https://s3.amazonaws.com", False, "PhysioNet's open bucket, boto3"
    ),
    "zenodo": Source(ZenodoLocator, "https://zenodo.org/api", True, "Zenodo, HTTPS"),
}
"""Sources by the name a corpus entry gives."""


def endpoint_of(name: str) -> str:
    """Return the address of a source: the environment's, else the public one."""
    return os.environ.get(f"NEUROGLOSS_{name.upper()}_URL", "").rstrip("/") or SOURCES[name].url


def locator_of(access: Access) -> Locator:
    """Return the locator of an entry as its source's own model.

    Raises
    ------
    FetchError
        If the source is not in the table or the locator lacks what it needs.
    """
    if access.source not in SOURCES:
        raise FetchError(f"source {access.source!r} is not known; use one of {', '.join(SOURCES)}")
    try:
        return SOURCES[access.source].locator.model_validate(access.locator)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}"
            for e in error.errors(include_url=False, include_input=False)
        )
        raise FetchError(f"locator of source {access.source!r}: {wrong}") from None


def list_files(access: Access) -> Listing:
    """Ask a source what it has.

    Raises
    ------
    FetchError
        If it does not answer, answers nonsense, or lists a file that would leave its folder.
    """
    locator = locator_of(access)
    module = import_module(f"dagster_project.corpora.fetch.{access.source}")
    ask: Callable[[Any, str], Listing] = module.listing
    return ask(locator, endpoint_of(access.source))


def require(module: str) -> Any:
    """Import a package of the extra ``fetch``.

    Raises
    ------
    FetchError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise FetchError(
            f"package {module!r} is not installed; install neurogloss with the extra 'fetch'"
        ) from None


def text_of(record: Mapping[str, Any], name: str) -> str:
    """Return a text of a host's record, empty where it is absent or of another type."""
    value = record.get(name)
    return value if isinstance(value, str) else ""
