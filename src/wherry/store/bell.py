"""The bell: after a commit it says which keys are dirty, never what happened to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wherry.store.schema import Key

Listener = Callable[[frozenset[Key]], None]
"""Hears the dirty keys of one commit, on the event loop's thread; must neither block nor raise."""


class Bell:
    """Passes dirty keys on to whoever listens at that moment. Nothing is kept: who was not there asks the database."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    @contextmanager
    def subscribe(self, listener: Listener) -> Iterator[None]:
        """Have `listener` called with the keys of every commit until the context ends."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def ring(self, keys: frozenset[Key]) -> None:
        """Tell every listener; no keys, no sound."""
        if keys:
            for listener in tuple(self._listeners):
                listener(keys)
