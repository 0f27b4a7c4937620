"""A typed, lazy, freezable registry: names now, objects when first asked for.

Listing names imports nothing, so a graph may be partitioned by task without loading what scores
one. What is registered is said in ``tasks/task.py``; this module knows no task.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to objects given as ``"module:attribute"`` and loaded on first use.

    Parameters
    ----------
    noun
        What the entries are, for messages.
    kind
        Type every entry must have once loaded.
    targets
        Name to ``"module:attribute"``; an attribute that is a function is called with the name.
    """

    def __init__(self, noun: str, kind: type[T], targets: Mapping[str, str]) -> None:
        self._noun = noun
        self._kind = kind
        self._targets: dict[str, str] = {}
        self._loaded: dict[str, T] = {}
        self._is_frozen = False
        for name, target in targets.items():
            self.register(name, target)

    def register(self, name: str, target: str) -> None:
        """Add an entry.

        Raises
        ------
        ValueError
            If the registry is frozen, the name is taken, or the target is no ``module:attribute``.
        """
        if self._is_frozen:
            raise ValueError(f"the {self._noun} registry is frozen; {name!r} came too late")
        if name in self._targets:
            raise ValueError(f"{self._noun} {name!r} is registered twice; names are unique")
        module, _, attribute = target.partition(":")
        if not module or not attribute:
            raise ValueError(f"{self._noun} {name!r}: target {target!r} is not 'module:attribute'")
        self._targets[name] = target

    def freeze(self) -> Registry[T]:
        """Refuse further entries and return the registry."""
        self._is_frozen = True
        return self

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def _load(self, name: str) -> T:
        if name not in self._targets:
            raise KeyError(unknown(self._noun, name, tuple(self._targets)))
        module, _, attribute = self._targets[name].partition(":")
        entry = getattr(importlib.import_module(module), attribute)
        if isinstance(entry, FunctionType):
            entry = entry(name)
        if not isinstance(entry, self._kind):
            raise TypeError(
                f"{self._noun} {name!r}: {self._targets[name]} is a {type(entry).__name__}; "
                f"expected {self._kind.__name__}"
            )
        return entry


def unknown(noun: str, name: str, known: tuple[str, ...]) -> str:
    """Return one sentence for a name that is not known: near names first, then all of them."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    return f"{noun} {name!r} is not known; {hint}known: {', '.join(sorted(known))}"
