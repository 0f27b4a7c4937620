"""The folders of a run: who may write to them, what it is known by, which checkpoints it takes up.

A run is known by a hash of all that shapes its result but for the trainer's own code. That is looked
at apart, so that a checkpoint of an older trainer is found and spoken of instead of passed over in
silence:

- of another **format** (:data:`training.vlm.checkpoint.STATE_VERSION`): refused. Either what is
  stored or what a step does has changed, and the two halves would be of different runs.
- of the same format and other **code**, as after a patch release: taken up, and the model card names
  both codes. A step means the same; its last bits may differ.
- of another **run**, after a change of recipe, data, base, or of what a recipe can say: not taken up,
  and it is said what differs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.vlm.checkpoint import (
    STATE_VERSION,
    CheckpointStore,
    clear_leftovers,
    codes_of,
    write_text,
)
from training.vlm.errors import Busy, MachineError
from training.vlm.output import PROVENANCE_FILE

RUN_FILE = "run.json"
"""What a run's key is the hash of; beside its checkpoints."""
N_TOLD = 6
"""Differences from another run that are named."""


def beside(out: Path, suffix: str) -> Path:
    """Return a hidden sibling of the output folder."""
    return out.with_name(f".{out.name}.{suffix}")


def run_key(parts: Mapping[str, Any]) -> str:
    """Return the name of a run: a hash of all that shapes its result."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def enter(work: Path, parts: Mapping[str, Any], code: str) -> str:
    """Take hold of a run's work folder and return what the user must know; mostly nothing.

    Parameters
    ----------
    work
        The folder.
    parts
        What the run's key is the hash of.
    code
        Hash of the trainer's source.

    Raises
    ------
    MachineError
        If its newest checkpoint is of another format.
    OSError
        If it cannot be written to.
    """
    clear_leftovers(work)
    newest = CheckpointStore(work, 1).latest()
    if newest is None:
        text = _passed_over(work, parts)
        write_text(work / RUN_FILE, json.dumps(parts, indent=1, sort_keys=True) + "\n")
        return text
    codes = codes_of(newest)
    if not codes or codes[-1] == code:
        return ""
    return (
        f"{newest.name} was written by code {codes[-1]} and is taken up by code {code}: both are of "
        f"format {STATE_VERSION}, so a step means the same, and numbers agree to rounding; the model "
        "card names both. To train with one code alone, begin anew with --fresh"
    )


def _passed_over(work: Path, parts: Mapping[str, Any]) -> str:
    """Say that another run's checkpoints lie beside, and what is different about it."""
    others = [p for p in work.parent.glob("*") if CheckpointStore(p, 1).latest() and p != work]
    if not others:
        return ""
    newest = max(others, key=lambda p: p.stat().st_mtime)
    try:
        known = _flat(json.loads((newest / RUN_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        detail = "an older trainer left them, whose recipes could say other things"
    else:
        own = _flat(parts)
        keys = [k for k in sorted(known.keys() | own.keys()) if known.get(k) != own.get(k)]
        named = ", ".join(f"{k} {known.get(k)} there, {own.get(k)} here" for k in keys[:N_TOLD])
        detail = f"{named}{', ...' if len(keys) > N_TOLD else ''}"
    return (
        f"checkpoints of another run lie in {newest.name} and are not taken up ({detail}); they go "
        "when this run has finished. To carry that run on, stop this one and give its settings again"
    )


def _flat(parts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def unwritable(out: Path, error: OSError) -> MachineError:
    """Return the error of an output folder that cannot be written."""
    return MachineError(f"output {str(out)!r} cannot be written: {error}")


def check_replaceable(out: Path) -> None:
    """Refuse to replace a folder this trainer did not write."""
    if not out.exists() or (out / PROVENANCE_FILE).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise MachineError(
            f"output {str(out)!r} exists and holds no model of this trainer; name another folder"
        )


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a second run out of the same folder."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = beside(out, "lock").open("w")
    except OSError as error:
        raise unwritable(out, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"another run is writing to {str(out)!r}; wait for it") from error
        except OSError as error:
            raise unwritable(out, error) from error
        yield
