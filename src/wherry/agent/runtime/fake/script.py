"""What a container of the fake machine does: looked up by its image, or read out of the image's own name.

The name is like "fake/web?run_for=5&exit_code=3".
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What a container does. Times in seconds; `run_for` None: until it is stopped.

    `healthy_after` and `unhealthy_after` count from the start and matter only if the container has a health check.
    `writes` is how many bytes it writes to its disk.
    """

    run_for: float | None = None
    exit_code: int = 0
    oom: bool = False
    pull_error: str = ""
    pull_seconds: float = 0
    create_error: str = ""
    start_error: str = ""
    start_seconds: float = 0
    ignore_stop: bool = False
    stop_exit_code: int = 0
    healthy_after: float | None = 0
    unhealthy_after: float | None = None
    writes: int = 0
    digest: str | None = None


def script_of(image: str) -> Script:
    """Read the script out of an image's name; ValueError (msgspec.ValidationError) if it says what no script knows."""
    said = image.partition("?")[2]
    wanted = dict(parse_qsl(said, keep_blank_values=True, strict_parsing=bool(said)))
    unknown = wanted.keys() - set(Script.__struct_fields__)
    if unknown:
        raise ValueError(f"{image}: no such part of a script: {', '.join(sorted(unknown))}")
    return msgspec.convert(wanted, Script, strict=False)
