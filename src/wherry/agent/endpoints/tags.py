"""The tags of a task and of its instance, which only the control plane knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from wherry.agent.endpoints.documents import Document
from wherry.agent.link.base import ControlPlane, RefusedError, UnreachableError
from wherry.agent.spec import TaskSpec

log = structlog.get_logger()


class Tags:
    """Asks the control plane, in the agent's own name, whenever a task asks."""

    def __init__(self, control_plane: ControlPlane, instance_arn: Callable[[], str | None]) -> None:
        """`instance_arn` tells the agent's own instance; its tags are shown to tasks that are placed on instances."""
        self._control_plane = control_plane
        self._instance_arn = instance_arn

    async def of(self, task: TaskSpec, *, version: int) -> Document:
        """List the tags; what cannot be had is told in `Errors` (version 4), and missing otherwise."""
        wanted = {"TaskTags": task.arn}
        instance = self._instance_arn()
        if task.launch_type != "FARGATE" and instance is not None:
            wanted["ContainerInstanceTags"] = instance
        document: Document = {}
        errors: list[Document] = []
        for field, arn in wanted.items():
            try:
                document[field] = await self._tags(arn)
            except (RefusedError, UnreachableError) as error:
                log.warning("tags_unavailable", resource=arn, error=str(error))
                errors.append(_error(field, arn, error))
        found = {name: tags for name, tags in document.items() if tags}
        return found | ({"Errors": errors} if errors and version >= 4 else {})

    async def _tags(self, arn: str) -> dict[str, str]:
        answer = await self._control_plane.call("ListTagsForResource", {"resourceArn": arn})
        tags: list[dict[str, Any]] = answer.get("tags") or []
        return {str(tag.get("key", "")): str(tag.get("value", "")) for tag in tags}


def _error(field: str, arn: str, error: RefusedError | UnreachableError) -> Document:
    known: Document = {"ErrorField": field}
    if isinstance(error, RefusedError):
        known |= {"ErrorCode": error.code, "ErrorMessage": error.message, "StatusCode": error.status}
        known |= {"RequestId": error.request_id} if error.request_id else {}
    else:
        known |= {"ErrorMessage": str(error)}
    return known | {"ResourceARN": arn}
