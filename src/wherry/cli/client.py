"""A client of the public API: the commands that look and ask see what any AWS tool sees."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wherry.cli.failure import CommandFailed
from wherry.cli.options import ClientOptions, decode
from wherry.settings import Settings

PLACEHOLDER = "wherry"
"""Any credentials will do on a loopback listener; AWS tools insist on having some."""


def exports(settings: Settings) -> dict[str, str]:
    """Return the variables that point AWS tools at the control plane."""
    return {
        "AWS_ENDPOINT_URL": settings.base_url,
        # Some operations put a prefix before the host, "stream-", which no resolver knows here.
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": settings.access_key_id or PLACEHOLDER,
        "AWS_SECRET_ACCESS_KEY": settings.secret_access_key or PLACEHOLDER,
    }


def env(*, client: ClientOptions | None = None) -> None:
    """Print the exports that point the AWS tools at Wherry: eval "$(wherry env)"."""
    for name, value in exports(decode(client)).items():
        print(f"export {name}={shlex.quote(value)}")


def connect(settings: Settings, service: str) -> Any:
    """Make a botocore client of a service for the control plane."""
    import botocore.session  # noqa: PLC0415 - `wherry env` needs no client and would wait a second for it
    from botocore.config import Config  # noqa: PLC0415 - the same

    return botocore.session.get_session().create_client(
        service,
        region_name=settings.region,
        endpoint_url=settings.base_url,
        aws_access_key_id=settings.access_key_id or PLACEHOLDER,
        aws_secret_access_key=settings.secret_access_key or PLACEHOLDER,
        aws_session_token=settings.session_token,
        config=Config(retries={"max_attempts": 1}, connect_timeout=3, read_timeout=10),
    )


@contextmanager
def asking(settings: Settings) -> Iterator[None]:
    """Say what botocore's errors mean for whoever has typed a command."""
    from botocore.exceptions import (  # noqa: PLC0415 - the same
        BotoCoreError,
        ClientError,
        EndpointConnectionError,
    )

    try:
        yield
    except EndpointConnectionError:
        raise CommandFailed(
            f"No control plane answers at {settings.base_url}.", "Start one with 'wherry up', or give its --port."
        ) from None
    except (BotoCoreError, ClientError) as error:
        raise CommandFailed(f"The control plane at {settings.base_url} refuses: {error}") from None
