"""What is wrong with a request: said as a value, so that one caller raises the first and another lists them all."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wherry.model.errors import ApiError, ClientException, InvalidParameterException

Path = tuple[str | int, ...]
"""Where in the parameters: member names and list positions, from the outside in."""


class Source(StrEnum):
    """Who objects."""

    ECS = "ECS"
    WHERRY = "Wherry"


class Problem(msgspec.Struct, frozen=True):
    """A sentence about the value at `path`. `invalid` tells InvalidParameterException from ClientException."""

    path: Path
    message: str
    source: Source = Source.ECS
    invalid: bool = False

    def error(self) -> ApiError:
        """Make the AWS error of it."""
        return (InvalidParameterException if self.invalid else ClientException)(self.message)


def written(path: Path) -> str:
    """Write a path as AWS does: `containerDefinitions[0].image`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
