"""All that is fetched for a task before its first container is created, at once and once.

It lives in the memory of the task's runner alone: neither the journal nor any log has it.
"""

from __future__ import annotations

from typing import Any

from wherry.agent.link.base import AccessKey, ControlPlane
from wherry.agent.link.objects import ObjectStore
from wherry.agent.spec import AsmAuth, ContainerSpec, Struct, TaskSpec
from wherry.agent.supplies import environment_files, registries, secrets


class Supplies(Struct, frozen=True):
    """The values of a task's secrets, what its environment files say, and its logins at private registries."""

    secrets: secrets.Values = {}
    files: environment_files.Files = {}
    logins: registries.Logins = {}

    def __repr__(self) -> str:
        return f"Supplies({len(self.secrets)} secrets, {len(self.files)} files, {len(self.logins)} logins)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("secrets", len(self.secrets)), ("files", len(self.files)), ("logins", len(self.logins))]

    def given(self, container: ContainerSpec) -> ContainerSpec:
        """Give a container its variables and options: secrets win over `environment`, and that over files."""
        return secrets.given(environment_files.given(container, self.files), self.secrets)


def needed(task: TaskSpec) -> bool:
    """Say whether anything is to be fetched for a task."""
    return any(
        one.secrets or one.environment_files or isinstance(one.registry_auth, AsmAuth) for one in task.containers
    )


async def fetch(
    task: TaskSpec, control_plane: ControlPlane, objects: ObjectStore | None, signer: AccessKey | None
) -> Supplies:
    """Fetch it in the name of the task's execution role, or of the agent where it has none.

    Raises `RuntimeFault` (ResourceInitializationError) for what cannot be had, and `UnreachableError`.
    """
    files = await environment_files.fetch(task, objects, signer)
    logins = await registries.fetch(task, control_plane, signer)
    return Supplies(files=files, logins=logins, secrets=await secrets.fetch(task, control_plane, signer))
