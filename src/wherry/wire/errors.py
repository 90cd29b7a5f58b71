"""Errors that only the wire knows: their codes differ from protocol to protocol, so they are values, not classes."""

from __future__ import annotations

from wherry.model.errors import ApiError


class WireError(ApiError):
    """The request was refused before an operation saw it."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        """Answer `code` and `message` with the HTTP `status`."""
        super().__init__(message)
        self._code = code
        self.status = status

    @property
    def code(self) -> str:
        """The error code of the wire."""
        return self._code
