"""Pauses that grow while something fails."""

from __future__ import annotations

from wherry.model.ids import Entropy


class Backoff:
    """A row of pauses in seconds: each `factor` times the last, up to `maximum`, less up to a fifth by chance."""

    def __init__(self, initial: float, maximum: float, factor: float, entropy: Entropy) -> None:
        """Begin with `initial`."""
        self._initial = initial
        self._maximum = maximum
        self._factor = factor
        self._entropy = entropy
        self._next = initial

    def pause(self) -> float:
        """Return how long to wait before the next attempt."""
        pause, self._next = self._next, min(self._maximum, self._next * self._factor)
        return pause * (1 - fraction(self._entropy) / 5)

    def reset(self) -> None:
        """Begin again: something succeeded."""
        self._next = self._initial


def fraction(entropy: Entropy) -> float:
    """A number from 0 up to, but not including, 1."""
    return int.from_bytes(entropy(4), "big") / 2**32
