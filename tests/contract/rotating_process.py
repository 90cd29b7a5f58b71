"""Changes the keys again and again, killed each time at a later line of the code that does it, until it is through.

Usage: rotating_process.py DATA_DIR DATABASE_URL STEP. After each death every sealed text must open. Prints how many
times it was killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import anyio

from wherry import keyring
from wherry.app import keys
from wherry.settings import Settings
from wherry.store import Store, Tx

WRITERS = {keyring.add_key.__code__, keyring.keep_only.__code__, keyring._replace.__code__}
"""What writes the key file; reading it takes more lines with every death, each of which leaves a key behind."""


def main(data_dir: str, database_url: str, step: str) -> None:
    settings = Settings(data_dir=Path(data_dir), database_url=database_url)
    for deaths in count():
        through = in_child(lambda line=1 + deaths * int(step): rotate(settings, last_line=line))
        if not in_child(lambda: anyio.run(check, settings)):
            sys.exit(f"After line {1 + deaths * int(step)} something cannot be read.")
        if through:
            print(deaths)  # noqa: T201 - what the test reads
            return


def in_child(work: Callable[[], Any]) -> bool:
    """Do it in a process of its own, which has all modules loaded; tells whether that went well."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - this process ends here in any case
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def rotate(settings: Settings, *, last_line: int) -> None:
    """Change the keys, and die without warning before the code runs that many lines."""
    lines = count(1)

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != keys.__file__ and frame.f_code not in WRITERS:
            return None
        if event == "line" and next(lines) == last_line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    anyio.run(keys.rotate_keys, settings)


async def check(settings: Settings) -> None:
    """Open everything that is sealed."""
    ring = keyring.open_keyring(settings.resolved_key_file, entropy=os.urandom)

    def open_all(tx: Tx) -> None:
        for place in keys.SEALED:
            for row in filter(place.holds, tx.find(place.type)):
                ring.open(getattr(row, place.attribute), owner=getattr(row, place.owner))

    async with Store.open(settings.resolved_database_url) as store:
        await store.read(open_all)


if __name__ == "__main__":
    main(*sys.argv[1:])
