"""What every operation is given besides the call."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from wherry.api.exec.sessions import Sessions
from wherry.api.registry.content import Content
from wherry.keyring import Keyring
from wherry.model.arn import Scope
from wherry.model.ids import Entropy
from wherry.settings import Settings
from wherry.store.logs import LogStore
from wherry.store.store import Store


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The store, that of logs, the keys of secrets, and the sources of everything else. `clock` tells epoch seconds.

    `exec_sessions` are those of ECS Exec; `registry` is what the registry of images holds, None where none is run.
    """

    store: Store
    logs: LogStore
    settings: Settings
    scope: Scope
    clock: Callable[[], float]
    entropy: Entropy
    keyring: Keyring
    exec_sessions: Sessions = msgspec.field(default_factory=Sessions)
    registry: Content | None = None
