"""How long tasks take to start: `python bench/task_starts.py [tasks]`, as root, with the engine otherwise idle.

Brings up one-container tasks, all asked for at once, with either sandbox, until each answers HTTP at its own address.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import aiodocker
import anyio
from tests.contract.runtime_lab import docker_container, task
from tests.images import ensure_test_image

from wherry.agent.runtime.docker.engine import engine_url
from wherry.agent.runtime.docker.runtime import DockerRuntime
from wherry.agent.runtime.docker.sandboxes import SandboxChoice
from wherry.agent.spec import TaskSpec


async def bring_up(runtime: DockerRuntime, spec: TaskSpec) -> None:
    """Do what the agent does, and wait for the first answer."""
    await runtime.ensure_sandbox(spec)
    await runtime.start(await runtime.create(spec, spec.containers[0]))
    while True:
        try:
            async with await anyio.connect_tcp(spec.eni.ipv4_address, 80) as stream:
                await stream.send(b"GET / HTTP/1.0\r\n\r\n")
                assert b"200 OK" in await stream.receive()
                return
        except OSError:
            await anyio.sleep(0.005)


async def measure(sandbox: SandboxChoice, number: int) -> None:
    """Time one task alone, then `number` together, then taking all away."""
    with tempfile.TemporaryDirectory() as state:
        async with DockerRuntime(instance="bench", state_dir=Path(state), sandbox=sandbox) as runtime:
            await runtime.remove_everything()
            try:
                await bring_up(runtime, task(docker_container("web")))
                began = time.perf_counter()
                await bring_up(runtime, task(docker_container("web")))
                alone = time.perf_counter() - began
                began = time.perf_counter()
                async with anyio.create_task_group() as group:
                    for _ in range(number):
                        group.start_soon(bring_up, runtime, task(docker_container("web")))
                together = time.perf_counter() - began
            finally:
                began = time.perf_counter()
                await runtime.remove_everything()
            gone = time.perf_counter() - began
    print(f"{sandbox:>9}: one {alone * 1000:.0f} ms; {number} together {together:.1f} s; all removed {gone:.1f} s")


async def main() -> None:
    """Measure both."""
    async with aiodocker.Docker(engine_url()) as docker:
        await ensure_test_image(docker)
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for sandbox in ("namespace", "pause"):
        await measure(sandbox, number)


if __name__ == "__main__":
    anyio.run(main)
