"""The one error family of the corpus border and its closed vocabulary of causes.

Every file or stretch that is set aside carries one of :data:`CAUSES`; nothing is dropped without
one. Who raises which is in the readers and in the inventory beside this module.
"""

from __future__ import annotations

import errno
import logging
import traceback
from dataclasses import dataclass
from typing import Any

from dagster_project.corpora.identity import short_hash

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cause:
    """What went wrong and whether reading again may succeed."""

    meaning: str
    is_retryable: bool = False


CAUSES: dict[str, Cause] = {
    "data_root": Cause("the data root or the corpus folder cannot be listed", is_retryable=True),
    "unreadable": Cause("the operating system could not read the file", is_retryable=True),
    "worker_died": Cause("the process reading it ended without an answer", is_retryable=True),
    "too_slow": Cause("it was not read within the time a file of its size gets", is_retryable=True),
    "too_large": Cause("reading it takes more memory than a file of its size gets"),
    "file_name": Cause("the file name carries no subject in the corpus' layout"),
    "not_edf": Cause("the file does not begin as its format does"),
    "empty": Cause("no bytes or no data records"),
    "truncated": Cause("fewer bytes than the header declares"),
    "bad_header": Cause("header fields contradict each other, the format or the file size"),
    "no_eeg_channels": Cause("no channel of the corpus' montage is in the file"),
    "wrong_montage": Cause("recorded in another montage than the corpus' schema"),
    "wrong_unit": Cause("the physical unit is not a voltage, or off by a power of a thousand"),
    "implausible_amplitude": Cause("amplitudes no scalp EEG has"),
    "sampling_rate": Cause("rate implausible, or not the same on the channels used"),
    "too_short": Cause("no contiguous stretch of one segment's length"),
    "duplicate": Cause("the same samples are already there under another name"),
    "bad_labels": Cause("the label sidecar is unreadable or contradicts the recording"),
    "nan": Cause("samples that are not numbers"),
    "unexpected": Cause("reading it failed in a way no check foresaw"),
    "epoched": Cause("cut into epochs already; the continuous recording is needed"),
    "flat": Cause("every recorded channel is constant"),
}


class CorpusError(Exception):
    """A file, folder or stretch that cannot be used.

    Parameters
    ----------
    cause
        A key of :data:`CAUSES`.
    detail
        Numbers and what to do; never header text, a name or a path.
    """

    def __init__(self, cause: str, detail: str) -> None:
        if cause not in CAUSES:
            raise ValueError(f"cause {cause!r} is not known; use one of {', '.join(CAUSES)}")
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"

    @property
    def is_retryable(self) -> bool:
        """Whether reading again may succeed."""
        return CAUSES[self.cause].is_retryable


def unread(error: OSError) -> CorpusError:
    """Turn an operating-system error into a cause; libraries raise them for void bytes as well.

    What they say has no number, or that of a seek to before the beginning.
    """
    name = type(error).__name__
    if error.errno in (None, errno.EINVAL):
        return CorpusError("bad_header", f"a library found it damaged ({name})")
    return CorpusError("unreadable", f"{name} (errno {error.errno})")


def unexpected(error: Exception, recording_id: str) -> CorpusError:
    """Turn an error no check foresaw into a cause, logging where it arose and nothing it says.

    What an exception says may quote the file, and files name people.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "nowhere"
    name = type(error).__name__
    if isinstance(error, MemoryError):
        return CorpusError("too_large", f"{name} in {place}")
    logger.error("recording %s: %s in %s", recording_id, name, place)
    return CorpusError("unexpected", f"{name} in {place}")


def reject_row(
    error: CorpusError, recording_id: str, stage: str, start_s: float | None = None
) -> dict[str, Any]:
    """Return the table row that says what was set aside and why.

    Parameters
    ----------
    error
        Why.
    recording_id
        The file, or the file a part of which was set aside.
    stage
        ``recordings`` or ``segments``.
    start_s
        Start of the part, None for the whole file.
    """
    return {
        "reject_id": short_hash("x", f"{recording_id}|{stage}|{start_s}|{error.cause}"),
        "recording_id": recording_id,
        "stage": stage,
        "start_s": start_s,
        "cause": error.cause,
        "detail": error.detail,
        "is_retryable": error.is_retryable,
    }
