"""What assets are given: where data lies, where tables go, and which teacher may be asked.

Values come from the environment or the launchpad; secrets only from the environment, read by the
teacher itself at the moment of the call.
"""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from dagster_project.corpora.registry import corpora
from dagster_project.corpora.shards import corpus_folder, corpus_of_shard
from dagster_project.corpora.spec import CorpusSpec
from dagster_project.failures import PermanentFailure
from dagster_project.tables.store import TableStore
from prompts.leaving import Walls

HOME_VARIABLE = "NEUROGLOSS_HOME"
DATA_VARIABLE = "NEUROGLOSS_DATA"
SALT_VARIABLE = "NEUROGLOSS_SALT"
DEFAULT_HOME = "neurogloss_home"
OPEN_SALT = "neurogloss-open-corpora"
"""Salt of subject hashes where none is set: fine for open corpora, whose ids are public anyway."""


class Workspace(dg.ConfigurableResource[None]):
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
        roots = [self.simulated_root()]
        value = self.data_root or os.environ.get(DATA_VARIABLE, "")
        if value:
            if not Path(value).is_dir():
                raise PermanentFailure(
                    f"data root {value!r} is not a folder; set {DATA_VARIABLE} to the folder that "
                    "holds the corpora, or leave it unset to use the simulated corpus alone"
                )
            roots.insert(0, Path(value))
        return tuple(roots)

    def simulated_root(self) -> Path:
        """Return the folder simulated corpora are written under."""
        return self.folder("corpora")

    def walls(self) -> Walls:
        """Return the storage root and the gated corpora that may not leave it."""
        gated = {s.key: s.licence.id for s in corpora().values() if s.licence.is_gated}
        return Walls(self.folder(), gated, frozenset(corpora()))

    def salt(self) -> str:
        """Return the salt of subject hashes; set it once per installation for gated corpora."""
        return os.environ.get(SALT_VARIABLE, "") or OPEN_SALT

    def root_of(self, spec: CorpusSpec) -> Path | None:
        """Return the data root a corpus' folder lies under, or None where it is not present.

        A simulated corpus is only looked for under the storage root, so nobody's folder of the same
        name is taken for simulated data, and a recorded one only under the data root.
        """
        roots = [
            r for r in self.corpora_roots() if (r == self.simulated_root()) == spec.is_simulated
        ]
        return next((r for r in roots if r.is_dir() and corpus_folder(spec, r)), None)


def corpus_of(shard: str) -> CorpusSpec:
    """Return the corpus a shard key belongs to.

    Raises
    ------
    PermanentFailure
        If no registered corpus has such a shard.
    """
    try:
        return corpus_of_shard(shard)
    except KeyError as error:
        raise PermanentFailure(str(error.args[0])) from error
