"""environmentFiles: variables out of objects in S3.

Semantics after aws/amazon-ecs-agent agent/taskresource/envFiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from wherry.agent.link.base import AccessKey
from wherry.agent.link.objects import ObjectError, ObjectStore
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.spec import ContainerSpec, TaskSpec

Files = Mapping[str, Mapping[str, str]]
"""What each file says, by its ARN."""

FAILED = "failed to download env files"


async def fetch(task: TaskSpec, store: ObjectStore | None, signer: AccessKey | None) -> Files:
    """Read every environment file of a task.

    Raises `RuntimeFault` (ResourceInitializationError) for one that cannot be had, and `UnreachableError`.
    """
    files: dict[str, Mapping[str, str]] = {}
    for arn in dict.fromkeys(arn for container in task.containers for arn in container.environment_files):
        if store is None:
            raise _fault(f"{arn}: this host knows no object storage: set WHERRY_S3_ENDPOINT_URL for its agent")
        try:
            files[arn] = variables(await store.read(arn, signer))
        except ObjectError as error:
            raise _fault(f"{arn}: {error}") from error
    return files


def given(container: ContainerSpec, files: Files) -> ContainerSpec:
    """Give a container the variables of its files: the first file wins, and `environment` over all of them."""
    environment: dict[str, str] = {}
    for arn in reversed(container.environment_files):
        environment |= files[arn]
    return msgspec.structs.replace(container, environment=environment | container.environment)


def variables(text: bytes) -> dict[str, str]:
    """Read a file: a variable a line, up to the first '=' its name; raises `ObjectError` if it is no text.

    Lines that begin with '#' are comments, and lines without a name or a value say nothing. Of a variable that is
    named twice the first is taken.
    """
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError as error:
        raise ObjectError("the file is not UTF-8 text") from error
    return dict(reversed(list(_pairs(lines))))


def _pairs(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in (line.removesuffix("\r") for line in lines):
        name, _, value = line.partition("=")
        if not line.startswith("#") and name and value and "\0" not in line:
            yield name, value


def _fault(why: str) -> RuntimeFault:
    return RuntimeFault("ResourceInitializationError", f"{FAILED}: {why}")
