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

    def of_token(self, token: str, who: Caller) -> Resident | None:
        """Find the container that asks about itself: by its token, and only from its task's own address."""
        found = self._find(token)
        eni = None if found is None else found.assignment.spec.eni
        return found if eni is not None and eni.ipv4_address == who.address else None

    def assignment(self, task_arn: str) -> Assignment | None:
        """Find what is assigned under an ARN."""
        return next((one for one in self._roster.assignments() if one.arn == task_arn), None)

    def assignments(self) -> list[Assignment]:
        """List all that this agent has."""
        return self._roster.assignments()

    def _find(self, token: str) -> Resident | None:
        if token not in self._by_token:
            self._index()
        task_arn, name = self._by_token.get(token, ("", ""))
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
        for arn in known.keys() - self._indexed.keys():
            names = [container.name for container in known[arn].spec.containers]
            self._indexed[arn] = [self._tokens.container(arn, name) for name in names]
            self._by_token |= {token: (arn, name) for token, name in zip(self._indexed[arn], names, strict=True)}
