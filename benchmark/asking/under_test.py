"""Models under test that were not trained here: one YAML file each, strict.

A file says how the model is asked and what it is known to have seen. The shipped ones lie in
``benchmark/models_under_test``; more come from a folder of the user's. Models trained by a recipe of
this project need no file: the recipe is it. Which API is asked how is in ``asking/hosted.py``, a
model in a folder in ``asking/vlm.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from benchmark.asking.exposure import UNKNOWN, Exposure, published
from benchmark.errors import BenchmarkError
from prompts.teachers.base import TeacherConfigError
from prompts.teachers.registry import is_inside, read_settings

SHIPPED = Path(__file__).parents[1] / "models_under_test"
FOLDER_VARIABLE = "NEUROGLOSS_MODELS"
"""Names a folder with further files."""
MAX_MODELS = 40
"""Most models under test besides recipes: they are partitions, which stay few."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._]*(?:-[a-z0-9._]+)*")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(min_length=1, description="one sentence for the report")
    seen: Exposure | str = Field(
        default="",
        description="what it was trained on; a string names a published model of the table",
    )

    def _stated(self, otherwise: Exposure) -> Exposure:
        if isinstance(self.seen, Exposure):
            return self.seen
        return published(self.seen) if self.seen else otherwise


class FolderModel(_Strict):
    """Any vision-language model that plain transformers loads."""

    kind: Literal["folder"]
    folder: str = Field(min_length=1, description="path, or a folder under the storage root")

    @property
    def exposure(self) -> Exposure:
        """What it is known to have seen; by the folder's name where the file says nothing."""
        return self._stated(published(Path(self.folder).name))

    def path(self, root: Path) -> Path:
        """Return where it lies, given the storage root."""
        return root / Path(self.folder).expanduser()


class ServedModel(_Strict):
    """A model behind a server."""

    kind: Literal["server"]
    teacher: dict[str, Any] = Field(description="settings of the teachers' gateway")
    pages_may_leave: bool = Field(
        default=False, description="pages of open corpora may be sent to it"
    )

    @property
    def exposure(self) -> Exposure:
        """What it is known to have seen: nothing is known of a hosted one."""
        return self._stated(UNKNOWN)

    @property
    def is_within(self) -> bool:
        """Whether it runs inside the storage root's walls, so that every row may be sent."""
        return is_inside(read_settings(self.teacher))


UnderTest = Annotated[FolderModel | ServedModel, Field(discriminator="kind")]


def read_model(path: Path) -> FolderModel | ServedModel:
    """Read one file.

    Raises
    ------
    BenchmarkError
        If it is missing, no YAML, or says anything but what a model under test is.
    """
    if not path.is_file():
        raise BenchmarkError(f"model file {str(path)!r} does not exist; write it, or name another")
    if not _NAME.fullmatch(path.stem):
        raise BenchmarkError(
            f"model file {path.name!r}: a model's name has small letters, digits, dots, "
            "underscores and single dashes; rename the file"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        model: FolderModel | ServedModel = TypeAdapter(UnderTest).validate_python(raw)
    except yaml.YAMLError as error:
        raise BenchmarkError(f"model file {path.name!r} is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BenchmarkError(f"model file {path.name!r}: {where}: {first['msg']}") from error
    if isinstance(model, ServedModel):
        try:
            settings = read_settings(model.teacher)
        except TeacherConfigError as error:
            raise BenchmarkError(f"model file {path.name!r}: {error}") from error
        if settings.provider == "template":
            raise BenchmarkError(
                f"model file {path.name!r}: provider 'template' writes training text and answers "
                "nothing; name openai, gemini or openai_compatible"
            )
    return model


def models_under_test(folder: Path | None = None) -> Mapping[str, FolderModel | ServedModel]:
    """Return the shipped models under test and those of a folder, by name.

    Parameters
    ----------
    folder
        Further files; that named by :data:`FOLDER_VARIABLE` where None.

    Raises
    ------
    BenchmarkError
        If a file is wrong, a name comes twice, or there are too many.
    """
    named = os.environ.get(FOLDER_VARIABLE, "")
    extra = folder or (Path(named) if named else None)
    found: dict[str, FolderModel | ServedModel] = {}
    for place in (SHIPPED, extra):
        if place is None:
            continue
        if not place.is_dir():
            raise BenchmarkError(
                f"{FOLDER_VARIABLE} names {str(place)!r}, which is no folder; make it or unset it"
            )
        for path in sorted(place.glob("*.yaml")):
            if path.stem in found:
                raise BenchmarkError(
                    f"model {path.stem!r} is shipped and in your folder; rename yours"
                )
            found[path.stem] = read_model(path)
    if len(found) > MAX_MODELS:
        raise BenchmarkError(f"{len(found)} models under test; name at most {MAX_MODELS}")
    return found
