"""How a payload fails to be understood."""

from __future__ import annotations


class MalformedTaskError(ValueError):
    """A part of a payload that cannot be understood; the text names it."""
