"""What is said of a log driver that keeps a container from starting, and whose fault that is. Pure."""

from __future__ import annotations

import re

from wherry.agent.link.base import RefusedError
from wherry.agent.runtime.base import RuntimeFault

_DRIVER = "failed to initialize logging driver: "

_UNANSWERED = re.compile(
    re.escape(_DRIVER)
    + r".*http://169\.254\.170\.2/logs/.*(connection refused|connection reset|EOF|unreachable|ServiceUnavailable)"
    r"|" + re.escape(_DRIVER) + r".*ServiceUnavailableException: No container that is known here has this token",
    re.DOTALL,
)


def not_validated(refusal: RefusedError) -> RuntimeFault:
    """Word a refused log stream as Fargate does, which asks for it before it starts a container."""
    why = f"failed to create Cloudwatch log stream: {refusal.code}: {refusal.message}"
    text = f"failed to validate logger args: create stream has been retried 1 times: {why} : exit status 1"
    return RuntimeFault("ResourceInitializationError", text)


def unanswered(error: str) -> bool:
    """Tell whether a container could not start because no agent answered its log driver: then it may, once one does."""
    return _UNANSWERED.search(error) is not None
