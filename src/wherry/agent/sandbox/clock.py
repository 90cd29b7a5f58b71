"""How far the host's clock may be off, as its kernel says: adjtimex(2)."""

from __future__ import annotations

import ctypes
import time

from wherry.agent.spec import Struct

_TIME_ERROR = 5
"""What adjtimex returns where nobody keeps the clock in time."""
_ROOM = 512

_libc = ctypes.CDLL(None, use_errno=True)


class _Timex(ctypes.Structure):
    """struct timex as far as it is read; the kernel fills all of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * _ROOM),
    )


class ClockDrift(Struct, frozen=True):
    """The clock is at most `error_bound` milliseconds off at `at` (epoch seconds), or nobody keeps it in time."""

    error_bound: float
    synchronized: bool
    at: float


def drift() -> ClockDrift | None:
    """Ask the kernel; None where it does not tell."""
    found = _Timex()
    state = _libc.adjtimex(ctypes.byref(found))
    if state < 0:
        return None
    return ClockDrift(error_bound=found.maxerror / 1000, synchronized=state != _TIME_ERROR, at=time.time())
