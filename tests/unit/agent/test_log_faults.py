"""Whose fault it is that a log driver keeps a container from starting; texts as Docker Engine 20.10 gives them."""

from __future__ import annotations

import pytest

from wherry.agent.link.base import RefusedError
from wherry.agent.logs.faults import not_validated, unanswered

DRIVER = "failed to initialize logging driver: failed to create Cloudwatch log stream: "
URL = "http://169.254.170.2/logs/0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "why",
    [
        (
            "CredentialsEndpointError: failed to load credentials\ncaused by: RequestError: send request failed\n"
            f'caused by: Get "{URL}/credentials": dial tcp 169.254.170.2:80: connect: connection refused'
        ),
        (
            f'RequestError: send request failed\ncaused by: Post "{URL}/": dial tcp 169.254.170.2:80: connect: '
            "connection refused"
        ),
        f'RequestError: send request failed\ncaused by: Post "{URL}/": EOF',
        "ServiceUnavailableException: No container that is known here has this token.",
    ],
)
def test_that_no_agent_answered_is_no_fault_of_the_container(why: str) -> None:
    assert unanswered(DRIVER + why)


@pytest.mark.parametrize(
    "error",
    [
        "",
        DRIVER + "ResourceNotFoundException: The specified log group does not exist.",
        DRIVER + "AccessDeniedException: not authorized",
        "failed to initialize logging driver: dial tcp 10.0.0.9:24224: connect: connection refused",
        'OCI runtime create failed: exec: "x": executable file not found in $PATH',
    ],
)
def test_what_an_agent_or_another_driver_said_stays_a_fault(error: str) -> None:
    assert not unanswered(error)


def test_a_refusal_is_worded_as_fargate_words_it() -> None:
    fault = not_validated(RefusedError("ResourceNotFoundException", "The specified log group does not exist."))

    assert str(fault) == (
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
        "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. "
        ": exit status 1"
    )
