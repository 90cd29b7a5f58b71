"""What was last seen of a task's containers, for as long as nothing is known to have happened since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio

from wherry.agent.runtime.base import ContainerState, Observed


class Sight:
    """The last look at the containers of one task."""

    def __init__(self, known: Iterable[Observed] | None = None) -> None:
        """Begin with what is known without a look, if that is anything."""
        self._known = None if known is None else tuple(known)
        self._looked_at: float | None = None
        self._changes = 0

    def forget(self) -> None:
        """Have the next use look anew: something has happened, or may have."""
        self._known = None
        self._changes += 1

    async def renewed(self, look: Callable[[], Awaitable[list[Observed]]], *, sweep: float) -> list[Observed]:
        """Tell what there is, by a look if the last one is `sweep` seconds old: hints of what happens may be lost.

        A look during which something happened is used, and not kept.
        """
        now = anyio.current_time()
        if self._looked_at is None:
            self._looked_at = now
        if self._known is not None and now - self._looked_at < sweep:
            return list(self._known)
        changes = self._changes
        observed = await look()
        if changes == self._changes:
            self._known, self._looked_at = tuple(observed), now
        return observed

    def add_created(self, task_arn: str, name: str, runtime_id: str) -> None:
        """Take in a container that the engine says it has created."""
        self._changes += 1
        if self._known is not None:
            others = (one for one in self._known if one.name != name)
            created = Observed(runtime_id=runtime_id, task_arn=task_arn, name=name, state=ContainerState.CREATED)
            self._known = (*others, created)

    def has(self, name: str, *, started: bool = False) -> bool:
        """Say whether a container was seen, or with `started` whether one was that has been started."""
        return any(
            one.name == name and not (started and one.state is ContainerState.CREATED) for one in self._known or ()
        )
