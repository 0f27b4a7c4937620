"""What assets are given: where data lies, where tables go, and which teacher may be asked.

Values come from the environment or the launchpad; secrets only from the environment, read by the
teacher itself at the moment of the call.
"""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from dagster_project.corpora.registry import CORPORA, CorpusSpec
from dagster_project.failures import PermanentFailure
from dagster_project.tables.store import TableStore

HOME_VARIABLE = "NEUROGLOSS_HOME"
DATA_VARIABLE = "NEUROGLOSS_DATA"
SALT_VARIABLE = "NEUROGLOSS_SALT"
DEFAULT_HOME = "neurogloss_home"
OPEN_SALT = "neurogloss-open-corpora"
"""Salt of subject hashes where none is set: fine for open corpora, whose ids are public anyway."""


class Workspace(dg.ConfigurableResource):
    """The storage root, the data root and the salt of subject hashes."""

    storage_root: str = Field(
        default="",
        description=f"Folder or fsspec URL for everything made; default ${HOME_VARIABLE}, "
        f"else ./{DEFAULT_HOME}.",
    )
    data_root: str = Field(
        default="",
        description=f"Folder that holds the corpora in their own layout; default ${DATA_VARIABLE}. "
        "Without it only the simulated corpus is seen.",
    )

    def home(self) -> str:
        """Return the storage root."""
        return self.storage_root or os.environ.get(HOME_VARIABLE, "") or DEFAULT_HOME

    def store(self) -> TableStore:
        """Return the table store under the storage root."""
        return TableStore(f"{self.home().rstrip('/')}/tables")

    def folder(self, *parts: str) -> Path:
        """Return a local folder under the storage root, for models, releases and reports.

        Raises
        ------
        PermanentFailure
            If the storage root is a URL: programs such as trainers need a local disk.
        """
        if "://" in self.home():
            raise PermanentFailure(
                f"storage root {self.home()!r} is a URL; models and releases are written to a local "
                f"disk first, so set {HOME_VARIABLE} to a folder for this asset"
            )
        return Path(self.home()).joinpath(*parts)

    def corpora_roots(self) -> tuple[Path, ...]:
        """Return the folders searched for corpora: the data root, then the simulated ones.

        Raises
        ------
        PermanentFailure
            If the data root is set and is not a folder.
        """
        roots = [self.folder("corpora")]
        value = self.data_root or os.environ.get(DATA_VARIABLE, "")
        if value:
            if not Path(value).is_dir():
                raise PermanentFailure(
                    f"data root {value!r} is not a folder; set {DATA_VARIABLE} to the folder that "
                    "holds the corpora, or leave it unset to use the simulated corpus alone"
                )
            roots.insert(0, Path(value))
        return tuple(roots)

    def salt(self) -> str:
        """Return the salt of subject hashes; set it once per installation for gated corpora."""
        return os.environ.get(SALT_VARIABLE, "") or OPEN_SALT

    def corpus_root(self, spec: CorpusSpec) -> Path | None:
        """Return the folder a corpus lies in, or None where it is not present.

        A simulated corpus is only looked for under the storage root, so nobody's folder of the same
        name is taken for simulated data.
        """
        roots = [self.folder("corpora")] if spec.is_simulated else self.corpora_roots()
        for root in roots:
            for name in spec.folders:
                if (root / name).is_dir():
                    return root / name
        return None


def corpus_of(shard: str) -> CorpusSpec:
    """Return the corpus a shard key belongs to.

    Raises
    ------
    PermanentFailure
        If no registered corpus has such a shard.
    """
    for spec in CORPORA.values():
        if shard.startswith(f"{spec.key}-") and shard.count("-of-"):
            if shard.removeprefix(f"{spec.key}-").split("-of-")[0].isdigit():
                return spec
    raise PermanentFailure(f"shard {shard!r} belongs to no registered corpus: {', '.join(CORPORA)}")
