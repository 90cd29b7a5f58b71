"""What only a real engine can show: networks, limits, files, and that nobody else's things are touched."""

from __future__ import annotations

import re
import signal
import socket
import struct
from contextlib import asynccontextmanager
from pathlib import Path

import aiodocker
import anyio
import httpx
import pytest
from tests.contract.runtime_lab import docker_container, docker_lab, task
from tests.hierarchies import cgroups
from tests.images import TEST_IMAGE

from wherry.agent.runtime.base import ContainerState, RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.docker.engine import engine_url
from wherry.agent.runtime.docker.owners import ADMITTED
from wherry.agent.runtime.docker.runtime import DockerRuntime
from wherry.agent.sandbox import namespaces
from wherry.agent.spec import Tmpfs, Ulimit

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

EXITED, RUNNING = ContainerState.EXITED, ContainerState.RUNNING


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["namespace", "pause"])
def sandbox(request):
    return request.param


@pytest.fixture
async def lab(sandbox, tmp_path):
    async with docker_lab(sandbox, tmp_path) as opened:
        yield opened


@pytest.fixture
async def docker():
    async with aiodocker.Docker(engine_url()) as client:
        yield client


async def inside(docker, runtime_id: str, command: str) -> str:
    """Run a shell command in a container; return what it says."""
    session = await docker.containers.container(runtime_id).exec(["/bin/sh", "-c", command])
    said = b""
    async with session.start(detach=False) as stream:
        while (message := await stream.read_out()) is not None:
            said += message.data
    return said.decode()


async def fetch(address: str, port: int = 80) -> str:
    """Get the page of a server that may still be starting."""
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as client:
        return (await client.get(f"http://{address}:{port}/", timeout=5)).text


async def test_a_task_is_reached_at_its_own_address_from_the_host_and_from_another_task(lab, docker):
    server, client = task(docker_container("web")), task(docker_container())
    await lab.started(server)
    [client_id] = await lab.started(client)
    assert await fetch(server.eni.ipv4_address) == "hello\n"
    assert await inside(docker, client_id, f"timeout 5 wget -q -O - http://{server.eni.ipv4_address}/") == "hello\n"


async def test_containers_of_a_task_meet_on_localhost_and_share_one_address(lab, docker):
    spec = task(docker_container("web"), docker_container(name="side"))
    _, side = await lab.started(spec)
    assert await inside(docker, side, "timeout 5 wget -q -O - http://127.0.0.1/") == "hello\n"
    assert await fetch(spec.eni.ipv4_address) == "hello\n"


async def test_an_address_without_a_task_is_unreachable_at_once(lab, docker):
    spec = task(docker_container())
    [runtime_id] = await lab.started(spec)
    with pytest.raises(OSError, match="No route to host"):
        socket.create_connection(("10.213.255.250", 80), timeout=5)
    said = await inside(docker, runtime_id, "timeout 5 wget -O - http://10.213.255.250/ 2>&1")
    assert "No route to host" in said


async def test_a_task_cannot_speak_in_the_name_of_another(lab, docker):
    victim, liar = task(docker_container()), task(docker_container())
    await lab.started(victim)
    [runtime_id] = await lab.started(liar)
    state = (await (await docker.containers.get(runtime_id)).show())["State"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        # Connecting sends nothing; it tells which of its addresses the host has towards tasks.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
            towards.connect((liar.eni.ipv4_address, 9))
            host.bind((towards.getsockname()[0], 0))
        host.settimeout(5)

        def speak() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
                for source in (victim, liar):
                    raw.sendto(datagram(source.eni.ipv4_address, *host.getsockname()), host.getsockname())

        await namespaces.within(Path(f"/proc/{state['Pid']}/ns/net"), speak)
        assert host.recvfrom(100) == (b"hello", (liar.eni.ipv4_address, 9))


def datagram(source: str, destination: str, port: int) -> bytes:
    """Write an IPv4 packet with a UDP datagram from port 9; the kernel fills in the IP checksum."""
    payload = b"hello"
    udp = struct.pack("!HHHH", 9, port, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses + udp


@pytest.mark.shows("ContainerDefinition.extraHosts", "HostEntry")
async def test_a_task_knows_its_names_and_servers(lab, docker):
    spec = task(docker_container(dns_servers=("10.0.0.2",), dns_search=("corp.test",), extra_hosts={"db": "10.9.9.9"}))
    [runtime_id] = await lab.started(spec)
    assert (await inside(docker, runtime_id, "hostname")).strip() == spec.eni.private_dns_name
    assert await inside(docker, runtime_id, "cat /etc/resolv.conf") == "search corp.test\nnameserver 10.0.0.2\n"
    assert await inside(docker, runtime_id, "cat /etc/hosts") == (
        f"127.0.0.1 localhost\n{spec.eni.ipv4_address} {spec.eni.private_dns_name}\n10.9.9.9 db\n"
    )


async def test_a_user_who_is_not_root_may_listen_on_a_low_port(lab):
    spec = task(docker_container("web", user="1000:1000"))
    await lab.started(spec)
    assert await fetch(spec.eni.ipv4_address) == "hello\n"


async def test_plain_fields_reach_the_container(lab, docker):
    spec = task(
        docker_container(
            environment={"COLOUR": "blue = green"},
            working_directory="/tmp",
            user="1234:99",
            read_only_root=True,
            init_process=True,
            tmpfs=(Tmpfs(container_path="/scratch", size_mib=5, options=("noexec",)),),
            ulimits=(Ulimit(name="nofile", soft=1024, hard=4096),),
            sysctls={"net.ipv4.tcp_keepalive_time": "555"},
            cap_drop=("ALL",),
            labels={"team": "blue", "wherry.instance": "forged"},
            shm_size=33 * 2**20,
            cpu_shares=512,
        )
    )
    [runtime_id] = await lab.started(spec)
    said = await inside(
        docker, runtime_id, "echo $COLOUR; id -u; cat /proc/sys/net/ipv4/tcp_keepalive_time; cat /proc/1/comm"
    )
    assert said.splitlines() == ["blue = green", "1234", "555", "docker-init"]
    # Of the container's own process: runc sometimes gives one that joins it the hard limit for the soft one.
    limits = await inside(docker, runtime_id, "cat /proc/1/limits")
    assert re.search(r"^Max open files +1024 +4096 ", limits, re.MULTILINE)
    mounts = await inside(docker, runtime_id, "cat /proc/mounts")
    assert re.search(r"^\S+ /scratch tmpfs \S*noexec\S*size=5120k", mounts, re.MULTILINE)
    assert re.search(r"^\S+ /dev/shm tmpfs \S*size=33792k", mounts, re.MULTILINE)
    assert re.search(r"^overlay / overlay ro", mounts, re.MULTILINE)
    assert "CapEff:\t0000000000000000" in await inside(docker, runtime_id, "cat /proc/self/status")
    config = (await docker.containers.container(runtime_id).show())["Config"]
    assert config["WorkingDir"] == "/tmp"
    assert config["Labels"]["team"] == "blue"
    assert config["Labels"]["com.amazonaws.ecs.task-arn"] == spec.arn
    assert config["Labels"]["com.amazonaws.ecs.task-definition-family"] == "suite"
    assert config["Labels"]["wherry.instance"] == lab.runtime.instance


async def test_containers_are_named_like_the_stock_agents(lab, docker):
    spec = task(docker_container(name="my_web"))
    [runtime_id] = await lab.started(spec)
    name = (await docker.containers.container(runtime_id).show())["Name"]
    assert re.fullmatch(r"/ecs-suite-7-myweb-[0-9a-f]{24}", name)


async def test_the_tasks_limits_hold_all_its_containers(lab):
    spec = task(docker_container(), docker_container(name="side"), cpu=0.25, memory_mib=64)
    await lab.started(spec)
    memory, quota, group = cgroup_limits(spec.task_id)
    assert memory == str(64 * 2**20)
    assert quota == "25000"
    assert len([child for child in group.iterdir() if child.is_dir()]) >= 2


async def test_the_quota_holds_after_containers_have_started_together(lab):
    spec = task(docker_container(), docker_container(name="side"), cpu=0.25)
    await lab.runtime.ensure_sandbox(spec)
    made = [await lab.runtime.create(spec, container) for container in spec.containers]
    async with anyio.create_task_group() as group:
        for runtime_id in made:
            group.start_soon(lab.runtime.start, runtime_id)
    assert cgroup_limits(spec.task_id)[1] == "25000"


async def test_a_quota_that_a_killed_agent_had_lifted_is_in_force_again(lab):
    spec = task(docker_container(), cpu=0.25)
    await lab.runtime.ensure_sandbox(spec)
    await lab.runtime.start(await lab.runtime.create(spec, spec.containers[0]))
    lift_quota(spec.task_id)
    await lab.runtime.hold_limits(spec)
    assert cgroup_limits(spec.task_id)[1] == "25000"


def lift_quota(task_id: str) -> None:
    """Leave a task's quota as an agent does that is killed while the first container starts; v1 and v2."""
    for group in cgroups(task_id):
        for name, none in (("cpu.cfs_quota_us", "-1"), ("cpu.max", "max")):
            if (group / name).exists():
                (group / name).write_text(none)
    assert cgroup_limits(task_id)[1] in ("-1", "max")


def cgroup_limits(task_id: str) -> tuple[str, str, Path]:
    """Read a task's memory limit in bytes and its CPU quota in microseconds, and find its memory cgroup; v1 and v2."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        group = next(path for path in root.rglob(f"*{task_id}*") if path.is_dir())
        return (group / "memory.max").read_text().strip(), (group / "cpu.max").read_text().split()[0], group
    group = next((root / "memory").rglob(f"*{task_id}*"))
    cpu = next((root / "cpu").rglob(f"*{task_id}*"))
    limit, quota = (group / "memory.limit_in_bytes").read_text(), (cpu / "cpu.cfs_quota_us").read_text()
    return limit.strip(), quota.strip(), group


async def test_running_into_the_tasks_memory_limit_is_an_out_of_memory_kill(lab):
    hungry = docker_container("hungry", memory=None)
    spec = task(hungry, cpu=0.25, memory_mib=16)
    await lab.started(spec)
    found = await lab.until(spec, lambda one: one.state is EXITED)
    assert (found.exit_code, found.oom_killed) == (137, True)


async def test_a_container_may_not_have_more_memory_than_its_task(lab):
    spec = task(docker_container(memory=128 * 2**20), memory_mib=64)
    expected = r"container memory limit\(128\) greater than task memory limit\(64\)"
    with pytest.raises(RuntimeFault, match=expected):
        await lab.runtime.ensure_sandbox(spec)


async def test_an_agent_that_starts_anew_finds_its_containers_and_carries_on(sandbox, lab, tmp_path):
    spec = task(docker_container(), docker_container(name="late"))
    await lab.runtime.ensure_sandbox(spec)
    first = await lab.runtime.create(spec, spec.containers[0])
    async with DockerRuntime(instance=lab.runtime.instance, state_dir=tmp_path / "own", sandbox=sandbox) as reborn:
        assert await reborn.create(spec, spec.containers[0]) == first
        await reborn.ensure_sandbox(spec)
        late = await reborn.create(spec, spec.containers[1])
        for runtime_id in (first, late):
            await reborn.start(runtime_id)
        assert [(one.name, one.state) for one in await reborn.containers()] == [("late", RUNNING), ("web", RUNNING)]


async def test_containers_of_other_people_are_left_alone(lab, docker):
    config = {"Image": TEST_IMAGE, "Cmd": ["/bin/sleep", "600"], "HostConfig": {"NetworkMode": "none"}}
    mine = await docker.containers.create(config)
    try:
        await mine.start()
        await lab.started(task(docker_container()))
        assert await lab.runtime.remove_everything() == 1
        assert (await mine.show())["State"]["Running"]
    finally:
        await mine.delete(force=True)


async def test_two_agents_run_tasks_side_by_side(lab):
    one, two = task(docker_container("web")), task(docker_container("web"))
    await lab.started(one)
    await lab.other.ensure_sandbox(two)
    await lab.other.start(await lab.other.create(two, two.containers[0]))
    assert await fetch(one.eni.ipv4_address) == "hello\n"
    assert await fetch(two.eni.ipv4_address) == "hello\n"
    await lab.other.remove_everything()
    assert await fetch(one.eni.ipv4_address) == "hello\n"


async def test_the_runtime_starts_nothing_that_the_agent_has_not_admitted(docker, tmp_path):
    async with docker_lab("namespace", tmp_path):
        body = {"Image": TEST_IMAGE, "Cmd": ["/bin/true"], "HostConfig": {"NetworkMode": "host", "Runtime": "wherry"}}
        stray = await docker.containers.create(body)
        try:
            with pytest.raises(aiodocker.DockerError, match="wherry: no network namespace is set for container"):
                await stray.start()
            ADMITTED.mkdir(parents=True, exist_ok=True)
            (ADMITTED / stray.id).write_text("/proc/1/ns/net\n")
            with pytest.raises(aiodocker.DockerError, match="wherry: not a namespace of Wherry: /proc/1/ns/net"):
                await stray.start()
        finally:
            (ADMITTED / stray.id).unlink(missing_ok=True)
            await stray.delete(force=True)


async def test_what_a_user_writes_cannot_choose_the_namespace(docker, tmp_path):
    forged = '"namespaces":[{"type":"network","path":"/proc/1/ns/net"}]'
    async with docker_lab("namespace", tmp_path) as lab:
        spec = task(docker_container("web", environment={"FORGED": forged, "X": '{"type":"network","path":"/x"}'}))
        [runtime_id] = await lab.started(spec)
        assert (await inside(docker, runtime_id, 'echo "$FORGED"')).strip() == forged
        own = await inside(docker, runtime_id, "cat /proc/net/fib_trie")
        assert spec.eni.ipv4_address in own
        assert await fetch(spec.eni.ipv4_address) == "hello\n"


@asynccontextmanager
async def engine_over_tcp():
    """Offer the engine at a TCP port; yields its URL and how to make it go away."""
    gone = anyio.CancelScope()

    async def copy(source, target):
        async for data in source:
            await target.send(data)

    async def relay(client):
        engine = await anyio.connect_unix(engine_url().removeprefix("unix://"))
        async with client, engine, anyio.create_task_group() as group:
            group.start_soon(copy, client, engine)
            await copy(engine, client)
            group.cancel_scope.cancel()

    async def serve():
        with gone:
            async with listener:
                await listener.serve(relay)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        yield f"tcp://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}", gone.cancel
        gone.cancel()


async def test_a_process_that_the_engine_lost_track_of_does_not_keep_the_cgroup(lab):
    wanted = task(docker_container())
    await lab.runtime.ensure_sandbox(wanted)
    groups = cgroups(wanted.task_id)
    assert groups
    async with await anyio.open_process(["sleep", "3600"]) as orphan:
        for group in groups:
            (group / "cgroup.procs").write_text(str(orphan.pid))
        await lab.runtime.remove_sandbox(wanted.arn, wanted.eni)
        assert await orphan.wait() == -signal.SIGKILL
    assert not [group for group in groups if group.exists()]


async def test_an_engine_behind_tcp_is_honoured_and_its_going_away_is_noticed(tmp_path):
    async with (
        engine_over_tcp() as (url, leave),
        DockerRuntime(instance="suite-tcp", state_dir=tmp_path, url=url) as runtime,
    ):
        assert (await runtime.capacity()).engine_version
        assert await runtime.containers() == []
        with pytest.raises(RuntimeFault, match="CannotStartContainerError: No such container"):
            await runtime.start("c0ffee")
        async with anyio.create_task_group() as group:
            listening = anyio.Event()

            async def listen():
                events = runtime.events()
                listening.set()
                assert [arn async for arn in events] == []

            group.start_soon(listen)
            await listening.wait()
            leave()
        with pytest.raises(RuntimeUnavailableError):
            await runtime.containers()


async def test_a_pause_container_that_died_is_replaced_although_containers_hold_its_namespace(docker, tmp_path):
    async with docker_lab("pause", tmp_path) as lab:
        spec = task(docker_container(), docker_container("web", name="late"))
        await lab.runtime.ensure_sandbox(spec)
        await lab.runtime.start(await lab.runtime.create(spec, spec.containers[0]))
        wanted = {"label": [f"wherry.instance={lab.runtime.instance}", "wherry.role=pause"]}
        [pause] = await docker.containers.list(filters=wanted)
        await pause.kill()
        await pause.wait()
        await lab.runtime.ensure_sandbox(spec)
        await lab.runtime.start(await lab.runtime.create(spec, spec.containers[1]))
        assert await fetch(spec.eni.ipv4_address) == "hello\n"


async def test_an_engine_that_does_not_answer_is_unavailable(tmp_path):
    async with DockerRuntime(instance="suite-gone", state_dir=tmp_path, url=f"unix://{tmp_path}/none.sock") as runtime:
        with pytest.raises(RuntimeUnavailableError):
            await runtime.capacity()
        with pytest.raises(RuntimeUnavailableError):
            await runtime.containers()
        assert [arn async for arn in runtime.events()] == []
