"""A client of the public API for the commands that only look: `ps` sees what any AWS tool sees."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config

from wherry.settings import Settings

PLACEHOLDER = "wherry"
"""Any credentials will do on a loopback listener; AWS tools insist on having some."""


def endpoint(settings: Settings) -> str:
    """Return the URL under which this machine reaches the control plane."""
    host = "127.0.0.1" if settings.listen in ("0.0.0.0", "::") else settings.listen  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def exports(settings: Settings) -> dict[str, str]:
    """Return the variables that point AWS tools at the control plane."""
    return {
        "AWS_ENDPOINT_URL": endpoint(settings),
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": settings.access_key_id or PLACEHOLDER,
        "AWS_SECRET_ACCESS_KEY": settings.secret_access_key or PLACEHOLDER,
    }


def ecs(settings: Settings) -> Any:
    """Make a botocore client of ECS for the control plane."""
    return botocore.session.get_session().create_client(
        "ecs",
        region_name=settings.region,
        endpoint_url=endpoint(settings),
        aws_access_key_id=settings.access_key_id or PLACEHOLDER,
        aws_secret_access_key=settings.secret_access_key or PLACEHOLDER,
        aws_session_token=settings.session_token,
        config=Config(retries={"max_attempts": 1}, connect_timeout=3, read_timeout=10),
    )
