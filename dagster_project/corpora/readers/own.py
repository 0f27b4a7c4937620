"""A reader of the user's own, named in the catalogue entry as ``module:callable``.

For formats nobody else has: the callable takes the path and a mapping of options and returns what
:class:`~dagster_project.corpora.readers.types.Recording` asks for. It runs in a child process with
limits, as every reader that is not on the fast path. Only an entry names it, never a file.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from pydantic import Field, field_validator

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.types import Recording
from dagster_project.corpora.spec import Entry


class OwnParams(Entry):
    """What an entry says about a reader of its own.

    Parameters
    ----------
    target
        ``module:callable`` that Python can import where the graph runs.
    options
        Handed to it as they are.
    """

    target: str
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @field_validator("target")
    @classmethod
    def _is_target(cls, target: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", target):
            raise ValueError(f"target {target!r} is not module:callable")
        return target


def open_own(path: Path, params: OwnParams) -> Recording:
    """Open one file with the user's own reader.

    Raises
    ------
    CorpusError
        ``unreadable`` if the module or the callable is not there; else what the reader raises.
    """
    module, _, name = params.target.partition(":")
    try:
        opener = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CorpusError("unreadable", f"reader {params.target!r} cannot be imported") from error
    recording: Recording = opener(path, dict(params.options))
    return recording
