"""Frames that nobody should send, on either channel and in either direction: a seed gives the same ones. Pure."""

from __future__ import annotations

from random import Random
from typing import Any

NASTY: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    int("9" * 4299),
    1e308,
    -0.5,
    "",
    "\x00",
    "..",
    "../../../../etc",
    "a/../../b",
    "\u202egnp.exe",
    "x" * 70_000,
    "NaN",
    "'; DROP TABLE tasks; --",
    "arn:aws:ecs:::task/",
    "arn:aws:ecs:us-east-1:000000000000:task/default/..",
    "arn:aws:ecs:us-east-1:000000000000:task/default/../../../etc",
    [],
    [[]],
    [None],
    {},
    {"": {}},
    {"type": "PayloadMessage"},
)


def mangled(frame: dict[str, Any], random: Random) -> Any:
    """Change a proper frame in one to three places: a value, a missing member, something twice, too deep."""
    for _ in range(random.randint(1, 3)):
        frame = _mangled(frame, random)
    return frame


def _mangled(value: Any, random: Random) -> Any:
    further = random.random() < 0.9
    if isinstance(value, dict) and value and further:
        return _with_a_mangled_member(value, random)
    if isinstance(value, list | tuple) and value and further:
        index = random.randrange(len(value))
        if random.random() < 0.15:
            return [*value, *value]
        return [*value[:index], _mangled(value[index], random), *value[index + 1 :]]
    return _deep(random.randint(1, 900)) if random.random() < 0.05 else random.choice(NASTY)


def _with_a_mangled_member(value: dict[str, Any], random: Random) -> dict[str, Any]:
    name = random.choice(sorted(value))
    match random.randrange(12):
        case 0:
            return {key: one for key, one in value.items() if key != name}
        case 1:
            return value | {random.choice(("extra", "\x00", "")): random.choice(NASTY)}
    return value | {name: _mangled(value[name], random)}


def _deep(depth: int) -> Any:
    nested: Any = "bottom"
    for _ in range(depth):
        nested = {"a": nested}
    return nested
