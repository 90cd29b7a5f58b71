"""Whose request it is: from an id and an address to a container of this agent."""

from __future__ import annotations

from wherry.agent.endpoints.callers import Caller
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.memory import Assignment
from wherry.agent.progress import View, look
from wherry.agent.roster import Roster
from wherry.agent.spec import ContainerSpec, Struct


class Resident(Struct, frozen=True):
    """A container of a task that this agent has; `view` is the last look at the task."""

    assignment: Assignment
    view: View
    container: ContainerSpec


class Residents:
    """The containers of one agent, by their tokens."""

    def __init__(self, roster: Roster, tokens: Tokens) -> None:
        """Know those that are in `roster`."""
        self._roster = roster
        self._tokens = tokens
        self._indexed: dict[str, list[str]] = {}
        self._by_token: dict[str, tuple[str, str]] = {}
        self._by_logs_token: dict[str, tuple[str, str]] = {}

    def of_token(self, token: str, who: Caller) -> Resident | None:
        """Find the container that asks about itself: by its token, and only from its task's own address."""
        found = self._find(self._by_token, token)
        eni = None if found is None else found.assignment.spec.eni
        return found if eni is not None and eni.ipv4_address == who.address else None

    def of_logs_token(self, token: str, who: Caller) -> Resident | None:
        """Find the container whose log driver asks: that is the engine, from the host."""
        return self._find(self._by_logs_token, token) if who.is_host else None

    def assignment(self, task_arn: str) -> Assignment | None:
        """Find what is assigned under an ARN."""
        return next((one for one in self._roster.assignments() if one.arn == task_arn), None)

    def assignments(self) -> list[Assignment]:
        """List all that this agent has."""
        return self._roster.assignments()

    def _find(self, index: dict[str, tuple[str, str]], token: str) -> Resident | None:
        if token not in index:
            self._index()
        if token not in index:
            return None
        task_arn, name = index[token]
        assignment = self.assignment(task_arn)
        if assignment is None:
            return None
        view = self._roster.view(task_arn) or look(assignment, ())
        return Resident(assignment=assignment, view=view, container=assignment.spec.container(name))

    def _index(self) -> None:
        """Derive the tokens of tasks that have come, and drop those of tasks that have gone."""
        known = {one.arn: one for one in self._roster.assignments()}
        for arn in self._indexed.keys() - known.keys():
            for token in self._indexed.pop(arn):
                self._by_token.pop(token, None)
                self._by_logs_token.pop(token, None)
        for arn in known.keys() - self._indexed.keys():
            names = [container.name for container in known[arn].spec.containers]
            tokens = {self._tokens.container(arn, name): (arn, name) for name in names}
            logs = {self._tokens.logs(arn, name): (arn, name) for name in names}
            self._by_token |= tokens
            self._by_logs_token |= logs
            self._indexed[arn] = [*tokens, *logs]
