"""Task sizes: the ways to write CPU and memory, and the combinations that Fargate has."""

from __future__ import annotations

import re
from decimal import Decimal

_VCPU = re.compile(r"\s*(\d*\.?\d+)\s*vcpu\s*", re.IGNORECASE)
_GB = re.compile(r"\s*(\d*\.?\d+)\s*gb\s*", re.IGNORECASE)
_DIGITS = 9
"""Of the largest number that is read."""


def _mib(first: int, last: int, step: int = 1024) -> tuple[int, ...]:
    return tuple(range(first, last + 1, step))


FARGATE_SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: _mib(1024, 4096),
    1024: _mib(2048, 8192),
    2048: _mib(4096, 16384),
    4096: _mib(8192, 30720),
    8192: _mib(16384, 61440, 4096),
    16384: _mib(32768, 122880, 8192),
}
"""CPU units -> MiB that may go with them (ECS API reference, RegisterTaskDefinition)."""

EC2_CPU = range(128, 196_608 + 1)
"""CPU units that a task outside Fargate may ask for."""


def cpu_units(text: str) -> int | None:
    """Read "256", ".25 vCPU" or "1vcpu" as CPU units; None if it is none of these."""
    return _read(text, _VCPU)


def memory_mib(text: str) -> int | None:
    """Read "512", "0.5 GB" or "1gb" as MiB; None if it is none of these."""
    return _read(text, _GB)


def _read(text: str, large_unit: re.Pattern[str]) -> int | None:
    number = text.strip()
    if number.isdecimal() and len(number) <= _DIGITS:
        return int(number)
    if large := large_unit.fullmatch(text):
        units = Decimal(large[1]) * 1024
        return int(units) if units == units.to_integral_value() and units < 10**9 else None
    return None
