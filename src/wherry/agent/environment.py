"""The environment that the agent gives to containers (reference 14.1). Pure.

What ECS sets wins over the definition's own variables of these names: a container that is told of another place would
ask the wrong one.
"""

from __future__ import annotations

from wherry.agent.sandbox import names
from wherry.agent.spec import TaskSpec

ENDPOINT = f"http://{names.ENDPOINTS_ADDRESS}"


def injected(task: TaskSpec, *, token: str) -> dict[str, str]:
    """List the variables of the container that `token` names."""
    variables = {
        "ECS_CONTAINER_METADATA_URI": f"{ENDPOINT}/v3/{token}",
        "ECS_CONTAINER_METADATA_URI_V4": f"{ENDPOINT}/v4/{token}",
        "ECS_AGENT_URI": f"{ENDPOINT}/api/{token}",
    }
    if task.task_credentials_id is not None:
        variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{task.task_credentials_id}"
    return variables
