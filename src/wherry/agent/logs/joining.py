"""Which lines the engine's awslogs driver joins into one event, done again for lines that it threw away. Pure.

After daemon/logger/awslogs of moby: a line that matches begins an event, and each line of it keeps its line break.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator

from wherry.agent.logs.stream import Event, Line, Stream

LONGEST_EVENT = 262_144 - 26
"""Bytes of a message; longer ones are cut."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONG_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_DIRECTIVES = {
    "a": f"(?:{'|'.join(_DAYS)})",
    "A": f"(?:{'|'.join(_LONG_DAYS)})",
    "w": "[0-6]",
    "d": "(?:0[1-9]|[12][0-9]|3[01])",
    "b": f"(?:{'|'.join(_MONTHS)})",
    "B": f"(?:{'|'.join(_LONG_MONTHS)})",
    "m": "(?:0[1-9]|1[0-2])",
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "H": "(?:[01][0-9]|2[0-3])",
    "I": "(?:0[1-9]|1[0-2])",
    "p": "[AP]M",
    "M": "[0-5][0-9]",
    "S": "[0-5][0-9]",
    "L": r"\.[0-9]{3}",
    "f": "[0-9]{6}",
    "z": r"[+-][0-9]{4}",
    "Z": "[A-Z]{1,4}T",
    "j": "(?:0[0-9][1-9]|[12][0-9][0-9]|3[0-5][0-9]|36[0-6])",
    "%": "%",
}


def events(lines: Iterable[Line], stream: Stream) -> Iterator[Event]:
    """Make of lines the events that the driver would have made."""
    if not stream.joins:
        for line in lines:
            yield from _cut(line.event)
        return
    begins = begins_event(stream)
    held: list[Line] = []
    size = 0
    for line in lines:
        more = len(line.text.encode(errors="replace"))
        if held and (begins(line.text) or size + more > LONGEST_EVENT):
            yield from _cut(_joined(held))
            held, size = [], 0
        held.append(line)
        size += more + 1
    if held:
        yield from _cut(_joined(held))


def begins_event(stream: Stream) -> Callable[[str], bool]:
    """Tell of a line whether it begins an event; where the pattern is none that we can read, every line does."""
    pattern = stream.pattern or expression(stream.datetime_format or "")
    try:
        with warnings.catch_warnings():
            # The engine's patterns are RE2's: what means something else here is not to be guessed at.
            warnings.simplefilter("error")
            compiled = re.compile(pattern)
    except (re.error, FutureWarning, DeprecationWarning):
        return lambda _: True
    return lambda text: compiled.search(text) is not None


def expression(datetime_format: str) -> str:
    """Turn awslogs-datetime-format into a regular expression: its directives are replaced, the rest stays."""
    return re.sub(r"%(.)", lambda found: _DIRECTIVES.get(found[1], found[0]), datetime_format)


def _joined(lines: list[Line]) -> Event:
    return Event(lines[0].event.timestamp, "".join(f"{line.text}\n" for line in lines))


def _cut(event: Event) -> Iterator[Event]:
    message = event.message
    if len(message) * 4 <= LONGEST_EVENT or len(message.encode(errors="replace")) <= LONGEST_EVENT:
        if message:
            yield event
        return
    start, size = 0, 0
    for position, character in enumerate(message):
        width = len(character.encode(errors="replace"))
        if size + width > LONGEST_EVENT:
            yield Event(event.timestamp, message[start:position])
            start, size = position, 0
        size += width
    yield Event(event.timestamp, message[start:])
