"""What a container's start says of its log driver, in the words of ECS, and whose fault that is. Pure."""

from __future__ import annotations

import re

from wherry.agent.memory import Fault

_DRIVER = "failed to initialize logging driver: "

_UNANSWERED = re.compile(
    re.escape(_DRIVER)
    + r".*http://169\.254\.170\.2/logs/.*(connection refused|connection reset|EOF|unreachable|ServiceUnavailable)"
    r"|" + re.escape(_DRIVER) + r".*ServiceUnavailableException: No container that is known here has this token",
    re.DOTALL,
)


def misdirected(fault: Fault, *, launch_type: str) -> Fault | None:
    """Word the refusal of a log driver as Fargate does, which has it fail the task; None for any other fault."""
    _, found, why = fault.message.partition(_DRIVER)
    if not found or launch_type != "FARGATE":
        return None
    what = " ".join(why.split())
    message = f"failed to validate logger args: create stream has been retried 1 times: {what} : exit status 1"
    return Fault(name="ResourceInitializationError", message=message)


def unanswered(error: str) -> bool:
    """Tell whether a container could not start because no agent answered its log driver: then it may, once one does."""
    return _UNANSWERED.search(error) is not None
