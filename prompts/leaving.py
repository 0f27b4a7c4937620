"""What may leave the storage root: the one guard in front of every way out.

Signals, pictures and text of gated corpora are built and used inside the storage root and never
copied out of it. Who copies is ``releases.export`` here, and ``benchmark.asking.exchange`` and the command
line above; which corpora are gated is the caller's to say, from the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prompts.releases.recipe import ExportRefusedError

UNKNOWN = "unknown"
"""Licence of a corpus that no entry describes."""


@dataclass(frozen=True, slots=True)
class Walls:
    """The storage root and the corpora that may not leave it.

    Parameters
    ----------
    root
        The storage root.
    gated
        Licence id of every gated corpus, by corpus key.
    known
        Every corpus whose terms are known: one that is not among them is held as gated, such as
        one whose entry was taken away. None: all are known.
    """

    root: Path
    gated: Mapping[str, str]
    known: frozenset[str] | None = None

    def is_inside(self, target: Path) -> bool:
        """Whether a path lies under the storage root, links followed."""
        return target.resolve().is_relative_to(self.root.resolve())

    def assert_may_hold(self, target: Path, what: str, corpora: Iterable[str]) -> None:
        """Refuse to write something made from gated corpora outside the storage root.

        Parameters
        ----------
        target
            File or folder about to be written.
        what
            What would be written, for the message.
        corpora
            Keys of the corpora it is made from.

        Raises
        ------
        ExportRefusedError
            Naming every gated corpus and its licence.
        """
        wanted = set(corpora)
        held = {key: self.gated[key] for key in wanted & self.gated.keys()}
        if self.known is not None:
            held |= dict.fromkeys(wanted - self.known - held.keys(), UNKNOWN)
        if held and not self.is_inside(target):
            raise ExportRefusedError(refusal(what, held))


def refusal(what: str, gated: Mapping[str, str]) -> str:
    """Say why something stays, with each corpus and its licence."""
    named = ", ".join(f"{corpus} (licence {licence})" for corpus, licence in sorted(gated.items()))
    return (
        f"{what} holds rows of gated corpora: {named}; these may be used inside the storage root "
        "and not leave it, so export it without them or publish the recipe and the code"
    )
