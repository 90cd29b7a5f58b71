"""What the agent does for a task's log router: a configuration file, a socket, and the engine's fluentd driver.

All of it is in /run, which is memory: the driver dials a path of at most 107 bytes, and nothing need outlive the host.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec.structs import replace

from wherry.agent.firelens import config
from wherry.agent.firelens.config import DRIVER, PORT, variable
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.spec import ContainerSpec, Firelens, LogConfiguration, SecretTarget, TaskSpec

DIRECTORY = Path("/run/wherry/firelens")
_CONFIGURATIONS = {
    "fluentbit": (config.fluent_bit, "/fluent-bit/etc/fluent-bit.conf"),
    "fluentd": (config.fluentd, "/fluentd/etc/fluent.conf"),
}


class Routers:
    """The log routers of one agent's tasks; `directory` is the agent's own."""

    def __init__(self, directory: Path) -> None:
        """Keep what routers need under `directory`; no I/O happens yet."""
        self._directory = directory

    def equipped(self, task: TaskSpec, container: ContainerSpec, secrets: Mapping[str, str]) -> ContainerSpec:
        """Wire a container that is to be created, as a router or as one whose lines go to it.

        `secrets` has the values by `valueFrom`. Raises `RuntimeFault` (ResourceInitializationError).
        """
        if container.firelens is not None:
            container = self._router(task, container, container.firelens, secrets)
        if container.logs is not None and container.logs.driver == DRIVER:
            container = self._source(task, container, container.logs.options)
        return container

    def remove(self, task_id: str) -> None:
        """Remove what is there of a task."""
        shutil.rmtree(self._directory / task_id, ignore_errors=True)

    def restore(self, task_ids: Collection[str]) -> None:
        """Remove what is there of other tasks than these."""
        if self._directory.exists():
            for path in self._directory.iterdir():
                if path.name not in task_ids:
                    self.remove(path.name)

    def _router(
        self, task: TaskSpec, container: ContainerSpec, firelens: Firelens, secrets: Mapping[str, str]
    ) -> ContainerSpec:
        if task.network_mode == "bridge":
            # Its containers would have to be told the router's address, which is not known before it runs.
            raise RuntimeFault("ResourceInitializationError", "log routers are wired in awsvpc tasks: set networkMode")
        write, target = _CONFIGURATIONS[firelens.type]
        place = self._directory / task.task_id
        file = place / "fluent.conf"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (place / "socket").mkdir(parents=True, exist_ok=True)
            # Whoever the router runs as makes its socket there; of the host's users none but root comes this far.
            (place / "socket").chmod(0o777)
            file.write_text(write(task, firelens.options))
            file.chmod(0o644)
        except OSError as error:
            raise RuntimeFault(
                "ResourceInitializationError", f"unable to configure the log router {container.name}: {error}"
            ) from error
        values = {
            variable(s.name, task, one): secrets[s.value_from]
            for one in task.containers
            if one.logs is not None and one.logs.driver == DRIVER
            for s in one.secrets
            if s.target is SecretTarget.LOG_DRIVER
        }
        own = {"FLUENT_UID": "0"} if firelens.type == "fluentd" else {}
        return replace(
            container,
            environment={**container.environment, **own, **values},
            host_binds=(*container.host_binds, f"{place / 'socket'}:/var/run", f"{file}:{target}:ro"),
        )

    def _source(self, task: TaskSpec, container: ContainerSpec, given: Mapping[str, str]) -> ContainerSpec:
        options = {
            "fluentd-address": f"unix://{self._directory / task.task_id / 'socket' / 'fluent.sock'}",
            "fluentd-async": "true",
            "fluentd-sub-second-precision": "true",
            "tag": config.tag(container.name, task),
        }
        options |= {name: given[name] for name in ("mode", "max-buffer-size") if name in given}
        if limit := given.get("log-driver-buffer-limit"):
            options["fluentd-buffer-limit"] = limit
        environment = {**container.environment, "FLUENT_HOST": "127.0.0.1", "FLUENT_PORT": str(PORT)}
        return replace(container, environment=environment, logs=LogConfiguration(driver="fluentd", options=options))
