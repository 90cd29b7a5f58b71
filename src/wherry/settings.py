"""Every setting, decoded once from the environment and the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from wherry.model import host_rules
from wherry.model.host_rules import HostRules

PREFIX = "WHERRY_"
TASKS_ADDRESS = "169.254.170.2"
"""Where a task finds what its host serves: an address of the host's loopback interface, which the agent puts there."""

Seconds = Annotated[float, Meta(ge=0)]


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the text names the variable."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The waiting times of ECS, each as ECS has it, in seconds. All are variables, so that CI can run faster."""

    healthy_after: Seconds = 40
    """How long a task without any health check must be RUNNING before it counts as healthy."""
    start_backoff_initial: Seconds = 10
    """First pause after a start that never reached RUNNING; doubled each time."""
    start_backoff_maximum: Seconds = 900
    """Longest such pause: ECS says 15 minutes."""
    event_repeat: Seconds = 6 * 3600
    """How long an identical service event is held back while its cause lasts."""
    stopped_task_retention: Seconds = 24 * 3600
    """How long stopped tasks stay visible."""
    inactive_retention: Seconds = 24 * 3600
    """How long deleted clusters and services stay describable."""
    deployment_retention: Seconds = 90 * 24 * 3600
    """How long finished service deployments and unused revisions are kept."""
    idempotency: Seconds = 24 * 3600
    """How long a client token is remembered."""
    heartbeat: Seconds = 20
    """Between two heartbeats to an agent."""
    instance_lost_after: Seconds = 600
    """How long a host may be without its agent's connection until its tasks are given up and replaced elsewhere.
    Agents try again every two minutes at the latest: less would lose hosts whenever the control plane restarts."""
    telemetry: Seconds = 20
    """Between two telemetry publications of an agent; container health goes out at once when it changes."""
    role_session: Annotated[float, Meta(ge=60, le=12 * 3600)] = 6 * 3600
    """How long credentials of a task's role are good; fresh ones come when half of it is over."""
    stop_timeout: Seconds = 30
    """Between the stop signal and SIGKILL where a container names no stopTimeout."""
    cleanup_wait: Seconds = 0
    """How long a stopped task's containers are kept for `docker logs`; the stock agent keeps them for three hours."""
    exec_idle: Seconds = 1200
    """How long a session of ECS Exec may be without input and output: ECS says 20 minutes. 0: for ever."""
    sweep: Seconds = 30
    """Between two sweeps that find whatever nobody was told of."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a control plane and an agent are told."""

    listen: str = "127.0.0.1"
    """Address to listen on. Anything but loopback verifies signatures and needs credentials."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 4566
    """Port of the AWS API, for agents too."""
    data_dir: Path = Path("/var/lib/wherry")
    """Directory of the database and of the agent's journal."""
    database_url: str | None = None
    """`postgresql://…`; without it SQLite in the data directory."""
    logs_database_url: str | None = None
    """Database of the logs, `postgresql://…`; without it SQLite in the data directory, in a file of its own."""
    key_file: Path | None = None
    """File with the keys that secrets are encrypted under; without it `secrets.key` in the data directory."""
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$")] = "us-east-1"
    """Region in ARNs; fixed at the first start."""
    account_id: Annotated[str, Meta(pattern=r"^\d{12}$")] = "000000000000"
    """Account in ARNs; fixed at the first start."""
    auth: Annotated[str, Meta(pattern="^(trust|strict)$")] = "trust"
    """`trust`: a loopback listener believes its callers; `strict`: it verifies signatures as any other does."""
    access_key_id: str | None = None
    """Access key of the account's administrator, for listeners that verify and for agents."""
    secret_access_key: str | None = None
    """Its secret. Never logged, never stored."""
    session_token: str | None = None
    """Session token that goes with them, if any."""
    vpc_cidr: str | None = None
    """Addresses of the default VPC, /16 to /24; fixed at the first start. `wherry up` finds a free range itself."""
    max_body: Annotated[int, Meta(ge=1024)] = 4 * 1024 * 1024
    """Largest request body in bytes."""
    forward: str = ""
    """Services that others carry out, `secretsmanager=https://…,ssm=http://…`: calls that are allowed here go there."""
    forward_access_key_id: str | None = None
    """Access key that forwarded calls are signed with."""
    forward_secret_access_key: str | None = None
    """Its secret. Never logged, never stored."""
    forward_session_token: str | None = None
    """Session token that goes with them, if any."""
    forward_region: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$")] | None = None
    """Region that forwarded calls are signed for; without it that of the ARNs."""
    image_pull_behavior: Annotated[str, Meta(pattern="^(default|always|once|prefer-cached)$")] = "default"
    """`default` (pull, else the cached image), `always`, `once` or `prefer-cached`."""
    sandbox: Annotated[str, Meta(pattern="^(auto|namespace|pause)$")] = "auto"
    """`namespace` (fastest; needs the OCI runtime), `pause` (any engine) or `auto`."""
    advertise_url: Annotated[str, Meta(pattern="^https?://")] | None = None
    """URL by which agents of other hosts reach this control plane."""
    task_endpoint_url: Annotated[str, Meta(pattern="^(https?://.*|off)$")] | None = None
    """What tasks are told as AWS_ENDPOINT_URL; without it this control plane. `off`: nothing, their SDKs call AWS."""
    missing_roles: Annotated[str, Meta(pattern="^(create|refuse)$")] = "create"
    """A task definition names a role that does not exist: `create` it (an execution role may read secrets and write
    logs, a task role nothing until policies say so) or `refuse` the task definition."""
    server_url: Annotated[str, Meta(pattern="^https?://")] | None = None
    """The control plane that `wherry agent` works for; without it the one of this machine."""
    availability_zones: str = ""
    """Zones that the agent's host offers, separated by commas; without it all of the region."""
    reserved_memory: Annotated[int, Meta(ge=0)] = 0
    """MiB of memory that are not for tasks."""
    cpu: Annotated[int, Meta(ge=128)] | None = None
    """CPU units for tasks, 1024 a core; without it all cores."""
    memory: Annotated[int, Meta(ge=4)] | None = None
    """MiB of memory for tasks; without it all of it."""
    host_paths: str = ""
    """Paths of the host, separated by commas, at and below which tasks on EC2 capacity may mount; none by default.
    Trust whoever may run such tasks with all that is there."""
    host_privileged: bool = False
    """Whether tasks on EC2 capacity may be privileged, or lift their confinement by dockerSecurityOptions."""
    host_namespaces: bool = False
    """Whether tasks on EC2 capacity may be in the host's namespaces: networkMode, pidMode and ipcMode host."""
    host_devices: str = ""
    """Devices of the host, separated by commas, that tasks on EC2 capacity may use: `/dev/fuse,/dev/snd`."""
    host_capabilities: str = ""
    """Linux capabilities, separated by commas, that tasks on EC2 capacity may add, such as `NET_ADMIN`; or `ALL`."""
    host_users: Annotated[str, Meta(pattern="^(administrator|everybody)$")] = "administrator"
    """Who may register task definitions that use what the host rules allow: the account's `administrator`, or
    `everybody` whose policies allow RegisterTaskDefinition."""
    s3_endpoint_url: Annotated[str, Meta(pattern="^https?://")] | None = None
    """Where the agent reads environmentFiles: S3, or an object store that speaks its language."""
    s3_access_key_id: str | None = None
    """Access key that they are read with; without it each task's execution role reads its own."""
    s3_secret_access_key: str | None = None
    """Its secret. Never logged, never stored."""
    efs: str = ""
    """What EFS volumes are on the agent's host: `fs-12345678=/srv/efs,fs-0123abcd=nfs://server/export`. Access points,
    `fsap-…`, are named in the same way, each with the directory that it means."""
    log_spool: Annotated[int, Meta(ge=4)] = 1024
    """MiB of containers' log lines that the agent keeps on disk while the control plane is away; when they are full,
    containers wait, or their own buffers drop, by the `mode` of their logConfiguration. One container may take a
    quarter."""
    registry: Annotated[str, Meta(pattern="^(off|on|create-on-push)$")] = "off"
    """`on`: run a registry of images, ECR's, at /v2/ of the API's port; needs the program docker-registry.
    `create-on-push`: the same, and a push makes the repository if there is none."""
    timing: Timing = Timing()

    @property
    def resolved_database_url(self) -> str:
        """The database: the one named, or SQLite in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir / 'wherry.db'}"

    @property
    def resolved_logs_database_url(self) -> str:
        """The database of the logs: the one named, or SQLite in the data directory."""
        return self.logs_database_url or f"sqlite:///{self.data_dir / 'logs.db'}"

    @property
    def resolved_key_file(self) -> Path:
        """The key file: the one named, or the one in the data directory."""
        return self.key_file or self.data_dir / "secrets.key"

    @property
    def listens_for_tasks(self) -> bool:
        """Whether tasks, which do not reach this machine's loopback, are served at an address of their own."""
        return self.listen.startswith("127.") or self.listen in {"localhost", "::1"}

    @property
    def endpoint_for_tasks(self) -> str | None:
        """What tasks are told as AWS_ENDPOINT_URL; None: nothing."""
        if self.task_endpoint_url is not None:
            return None if self.task_endpoint_url == "off" else self.task_endpoint_url
        if self.advertise_url is None and (self.listens_for_tasks or self.listen in {"0.0.0.0", "::", ""}):  # noqa: S104 - read, not bound
            return f"http://{TASKS_ADDRESS}:{self.port}"
        return self.base_url

    @property
    def host_rules(self) -> HostRules:
        """What tasks may take of the hosts; raises `SettingsError`."""
        try:
            return host_rules.read(
                paths=self.host_paths,
                privileged=self.host_privileged,
                namespaces=self.host_namespaces,
                devices=self.host_devices,
                capabilities=self.host_capabilities,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None

    @property
    def base_url(self) -> str:
        """Where agents reach this control plane: what is advertised, or where it listens.

        A control plane that listens on every address and advertises none is reached on loopback: agents of other hosts
        need `advertise_url`.
        """
        if self.advertise_url is not None:
            return self.advertise_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.listen, self.listen)  # noqa: S104 - read, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def __repr__(self) -> str:
        """Show where it listens and nothing secret."""
        return f"Settings(listen={self.listen!r}, port={self.port}, data_dir={str(self.data_dir)!r})"


def load(environ: Mapping[str, str] | None = None, **given: object) -> Settings:
    """Decode the settings: what is `given` and not None wins over WHERRY_… variables, those over the defaults.

    Raises `SettingsError` with a sentence that names the variable.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    timing: dict[str, Any] = {}
    for field in Settings.__struct_fields__:
        if field != "timing" and (text := environ.get(PREFIX + field.upper())):
            values[field] = text
    for field in Timing.__struct_fields__:
        if text := environ.get(PREFIX + field.upper()):
            timing[field] = text
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        decoded_timing = msgspec.convert(timing, Timing, strict=False)
        return msgspec.convert(values | {"timing": decoded_timing}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error))) from None


def _explain(text: str) -> str:
    """Turn msgspec's "... - at `$.port`" into a sentence with the variable's name."""
    what, _, where = text.partition(" - at `$.")
    name = where.rstrip("`")
    return f"{PREFIX}{name.upper()}: {what}" if name else text
