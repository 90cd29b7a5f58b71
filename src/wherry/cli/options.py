"""The options that commands share, each also a WHERRY_… variable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from wherry import settings
from wherry.settings import Settings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What `up` and `server` take."""

    listen: Annotated[
        str | None,
        Parameter(env_var="WHERRY_LISTEN", help="Address to listen on; anything but loopback needs credentials."),
    ] = None
    port: Annotated[int | None, Parameter(env_var="WHERRY_PORT", help="Port of the AWS API (default 4566).")] = None
    data_dir: Annotated[
        Path | None,
        Parameter(env_var="WHERRY_DATA_DIR", help="Where everything is kept (default /var/lib/wherry)."),
    ] = None
    database_url: Annotated[
        str | None,
        Parameter(env_var="WHERRY_DATABASE_URL", help="postgresql://… instead of SQLite in the data directory."),
    ] = None
    region: Annotated[str | None, Parameter(env_var="WHERRY_REGION", help="Region in ARNs (default us-east-1).")] = None
    account_id: Annotated[
        str | None, Parameter(env_var="WHERRY_ACCOUNT_ID", help="Account in ARNs (default 000000000000).")
    ] = None
    auth: Annotated[
        str | None,
        Parameter(env_var="WHERRY_AUTH", help="trust: loopback callers are believed; strict: signatures are verified."),
    ] = None
    vpc_cidr: Annotated[
        str | None,
        Parameter(env_var="WHERRY_VPC_CIDR", help="Addresses of the default VPC, a /16 to /24; fixed at first start."),
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class HostOptions:
    """What `up` and `agent` take: the host's side."""

    image_pull_behavior: Annotated[
        str | None,
        Parameter(
            env_var="WHERRY_IMAGE_PULL_BEHAVIOR",
            help="default (pull, else the cached image), always, once or prefer-cached.",
        ),
    ] = None
    sandbox: Annotated[
        str | None,
        Parameter(env_var="WHERRY_SANDBOX", help="auto, namespace (fastest) or pause (any engine)."),
    ] = None
    cpu: Annotated[
        int | None, Parameter(env_var="WHERRY_CPU", help="CPU units for tasks (1024 a core; default: all cores).")
    ] = None
    memory: Annotated[
        int | None, Parameter(env_var="WHERRY_MEMORY", help="MiB of memory for tasks (default: all of it).")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """What only `agent` takes."""

    server_url: Annotated[
        str | None,
        Parameter(
            name=["--server", "--server-url"],
            env_var="WHERRY_SERVER_URL",
            help="The control plane (default http://127.0.0.1:4566).",
        ),
    ] = None
    data_dir: Annotated[
        Path | None,
        Parameter(env_var="WHERRY_DATA_DIR", help="Where the agent keeps its journal (default /var/lib/wherry)."),
    ] = None
    region: Annotated[
        str | None, Parameter(env_var="WHERRY_REGION", help="Region of the control plane (default us-east-1).")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """Where a running control plane is found."""

    port: Annotated[int | None, Parameter(env_var="WHERRY_PORT", help="Port of the control plane.")] = None
    listen: Annotated[str | None, Parameter(env_var="WHERRY_LISTEN", help="Address of the control plane.")] = None
    region: Annotated[str | None, Parameter(env_var="WHERRY_REGION", help="Its region.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DirectoryOptions:
    """Which Wherry of this machine is meant."""

    data_dir: Annotated[
        Path | None, Parameter(env_var="WHERRY_DATA_DIR", help="Its data directory (default /var/lib/wherry).")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DatabaseOptions:
    """Which database is meant, and where its keys are."""

    data_dir: Annotated[
        Path | None, Parameter(env_var="WHERRY_DATA_DIR", help="Its data directory (default /var/lib/wherry).")
    ] = None
    database_url: Annotated[
        str | None,
        Parameter(env_var="WHERRY_DATABASE_URL", help="postgresql://… instead of SQLite in the data directory."),
    ] = None
    key_file: Annotated[
        Path | None,
        Parameter(env_var="WHERRY_KEY_FILE", help="The key file (default secrets.key in the data directory)."),
    ] = None


Options = ServerOptions | HostOptions | AgentOptions | ClientOptions | DirectoryOptions | DatabaseOptions


def decode(*groups: Options | None) -> Settings:
    """Decode what was given on the command line over the environment; raises `SettingsError`."""
    given: dict[str, object] = {}
    for group in groups:
        if group is not None:
            given |= asdict(group)
    return settings.load(None, **given)
