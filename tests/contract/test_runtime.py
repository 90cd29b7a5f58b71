"""What every runtime must do: the fake, and Docker with either sandbox."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from tests.contract.runtime_lab import docker_lab, fake_lab, task

from wherry.agent.faults.base import BlackholePort, FaultUnavailableError, Impairment, Kind
from wherry.agent.runtime.base import (
    ContainerState,
    Health,
    PullBehavior,
    RuntimeFault,
)
from wherry.agent.spec import HealthCheck, ManagedVolume, Mount, Volume

pytestmark = pytest.mark.anyio

EXITED, RUNNING, CREATED = ContainerState.EXITED, ContainerState.RUNNING, ContainerState.CREATED


@pytest.fixture(
    params=[
        "fake-asyncio",
        "fake-trio",
        pytest.param("namespace", marks=pytest.mark.docker),
        pytest.param("pause", marks=pytest.mark.docker),
    ]
)
def kind(request):
    return request.param


@pytest.fixture
def anyio_backend(kind):
    return "trio" if kind == "fake-trio" else "asyncio"


@pytest.fixture
async def lab(kind, tmp_path):
    context = fake_lab() if kind.startswith("fake") else docker_lab(kind, tmp_path)
    async with context as opened:
        yield opened


async def test_capacity_is_in_cpu_units_and_mib(lab):
    capacity = await lab.runtime.capacity()
    assert capacity.cpu >= 1024
    assert capacity.cpu % 1024 == 0
    assert capacity.memory_mib >= 256
    assert capacity.engine_version


async def test_a_started_container_runs_and_is_known_by_task_and_name(lab):
    spec = task(lab.container())
    [runtime_id] = await lab.started(spec)
    [found] = await lab.runtime.containers_of(spec)
    assert (found.runtime_id, found.task_arn, found.name) == (runtime_id, spec.arn, "web")
    assert found.state is RUNNING
    assert found.exit_code is None
    assert found.finished_at is None
    assert found.created_at <= found.started_at
    assert await lab.runtime.containers() == [found]


async def test_every_step_of_bringing_a_task_up_may_be_repeated(lab):
    spec = task(lab.container(), lab.container(name="side"))
    first = await lab.started(spec)
    assert await lab.started(spec) == first
    assert [one.state for one in await lab.runtime.containers_of(spec)] == [RUNNING, RUNNING]


async def test_a_container_created_twice_at_once_is_one_container(lab):
    spec = task(lab.container())
    await lab.runtime.ensure_sandbox(spec)
    await lab.runtime.pull(spec.containers[0].image, PullBehavior.PREFER_CACHED)
    made = []

    async def create():
        made.append(await lab.runtime.create(spec, spec.containers[0]))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(create)
    assert len(set(made)) == 1
    [found] = await lab.runtime.containers()
    assert found.state is CREATED
    assert found.started_at is None


async def test_an_exit_tells_its_code(lab):
    spec = task(lab.container("exit-3"))
    await lab.started(spec)
    found = await lab.until(spec, lambda one: one.state is EXITED)
    assert found.exit_code == 3
    assert not found.oom_killed
    assert found.started_at <= found.finished_at


async def test_a_container_that_has_run_is_not_run_again(lab):
    spec = task(lab.container("exit-3"))
    [runtime_id] = await lab.started(spec)
    ended = await lab.until(spec, lambda one: one.state is EXITED)
    await lab.runtime.start(runtime_id)
    assert await lab.runtime.containers_of(spec) == [ended]


async def test_an_out_of_memory_kill_is_told_apart(lab):
    spec = task(lab.container("hungry"))
    await lab.started(spec)
    found = await lab.until(spec, lambda one: one.state is EXITED)
    assert found.oom_killed
    assert found.exit_code == 137


async def test_stop_is_a_signal_that_a_container_may_heed(lab):
    spec = task(lab.container())
    [runtime_id] = await lab.started(spec)
    with anyio.fail_after(20):
        await lab.runtime.stop(runtime_id, timeout=60)
    [found] = await lab.runtime.containers_of(spec)
    assert (found.state, found.exit_code) == (EXITED, 0)


async def test_whoever_ignores_the_signal_is_killed_after_the_timeout(lab):
    spec = task(lab.container("deaf"))
    [runtime_id] = await lab.started(spec)
    await lab.runtime.stop(runtime_id, timeout=0.1)
    [found] = await lab.runtime.containers_of(spec)
    assert (found.state, found.exit_code) == (EXITED, 137)


async def test_stop_and_remove_of_what_is_gone_are_no_errors(lab):
    spec = task(lab.container())
    [runtime_id] = await lab.started(spec)
    for _ in range(2):
        await lab.runtime.stop(runtime_id, timeout=1)
    for _ in range(2):
        await lab.runtime.remove(runtime_id)
        await lab.runtime.stop(runtime_id, timeout=1)
    assert await lab.runtime.containers_of(spec) == []
    assert await lab.runtime.usage(runtime_id) is None


async def test_a_failed_start_is_a_fault_and_stays_visible(lab):
    spec = task(lab.container("unstartable"))
    with pytest.raises(RuntimeFault, match=r"^CannotStartContainerError: .*no such file") as raised:
        await lab.started(spec)
    assert raised.value.name == "CannotStartContainerError"
    [found] = await lab.runtime.containers_of(spec)
    assert found.state is CREATED
    assert "no such file" in found.error
    with pytest.raises(RuntimeFault, match="CannotStartContainerError"):
        await lab.runtime.start(found.runtime_id)


async def test_an_image_that_cannot_be_had_is_a_pull_fault(lab):
    for behavior in PullBehavior:
        with pytest.raises(RuntimeFault) as raised:
            await lab.runtime.pull(lab.container("missing").image, behavior)
        assert raised.value.name == "CannotPullContainerError"


async def test_a_cached_image_is_as_good_unless_pulling_is_a_must(lab):
    image = lab.container().image
    cached = await lab.runtime.pull(image, PullBehavior.PREFER_CACHED)
    assert cached.id.startswith("sha256:")
    assert await lab.runtime.pull(image, PullBehavior.DEFAULT) == cached


@pytest.mark.parametrize(("does", "health"), [("forever", Health.HEALTHY), ("sick", Health.UNHEALTHY)])
async def test_a_health_check_decides_the_health(lab, does, health):
    command = ("CMD", "/bin/false" if does == "sick" else "/bin/true")
    check = HealthCheck(command=command, interval=0.05, timeout=2, retries=1)
    spec = task(lab.container(does, health_check=check))
    await lab.started(spec)
    found = await lab.until(spec, lambda one: one.health is not Health.UNKNOWN)
    assert found.health is health
    assert found.health_since >= found.started_at


async def test_without_a_health_check_health_is_unknown(lab):
    spec = task(lab.container())
    await lab.started(spec)
    [found] = await lab.runtime.containers_of(spec)
    assert (found.health, found.health_since) == (Health.UNKNOWN, None)


async def test_events_name_the_task_that_something_happened_to(lab):
    spec = task(lab.container("exit-3"))
    heard = []

    async def listen():
        async for arn in lab.runtime.events():
            heard.append(arn)
            if len(heard) == 2:
                group.cancel_scope.cancel()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            for _ in range(3):
                await checkpoint()
            await lab.started(spec)
            await anyio.sleep_forever()
    assert set(heard) == {spec.arn}


async def test_usage_samples_what_runs(lab):
    spec = task(lab.container(memory=64 * 2**20))
    [runtime_id] = await lab.started(spec)
    sample = await lab.runtime.usage(runtime_id)
    assert sample.memory_limit == 64 * 2**20
    assert 0 < sample.memory < sample.memory_limit
    assert sample.cpu_seconds >= 0
    await lab.runtime.stop(runtime_id, timeout=1)
    assert await lab.runtime.usage(runtime_id) is None


async def test_a_container_is_inspected_in_dockers_words(lab):
    spec = task(lab.container(labels={"team": "red"}))
    [runtime_id] = await lab.started(spec)
    found = await lab.runtime.inspect(runtime_id)
    assert (found["Id"], found["State"]["Running"]) == (runtime_id, True)
    assert found["State"]["StartedAt"] >= found["Created"]
    assert found["State"]["FinishedAt"].startswith("0001-")
    assert found["Image"].startswith("sha256:")
    assert found["Config"]["Labels"]["team"] == "red"
    assert {"Name", "Mounts"} <= found.keys()
    assert found["HostConfig"]["LogConfig"]["Type"]
    await lab.runtime.remove(runtime_id)
    assert await lab.runtime.inspect(runtime_id) is None


async def test_statistics_are_those_of_the_engine_with_the_tasks_network(lab):
    spec = task(lab.container(memory=64 * 2**20))
    [runtime_id] = await lab.started(spec)
    sample = await lab.runtime.stats(runtime_id)
    assert sample["id"] == runtime_id
    assert 0 < sample["memory_stats"]["usage"] < sample["memory_stats"]["limit"] == 64 * 2**20
    assert sample["cpu_stats"]["cpu_usage"]["total_usage"] >= 0
    assert {"rx_bytes", "tx_bytes"} <= sample["networks"]["eth0"].keys()
    await lab.runtime.stop(runtime_id, timeout=1)
    assert await lab.runtime.stats(runtime_id) is None


async def test_storage_is_a_file_system_that_is_not_full(lab):
    storage = await lab.runtime.storage()
    assert 0 < storage.utilized < storage.reserved


async def test_a_sandbox_is_listed_until_it_is_removed(lab):
    spec = task(lab.container())
    await lab.runtime.ensure_sandbox(spec)
    assert await lab.runtime.sandboxes() == {spec.task_id}
    for _ in range(2):
        await lab.runtime.remove_sandbox(spec.arn, spec.eni)
    assert await lab.runtime.sandboxes() == frozenset()


async def test_a_removed_task_may_come_again_and_leaves_nothing(lab):
    spec = task(lab.container())
    for _ in range(2):
        [runtime_id] = await lab.started(spec)
        await lab.runtime.remove(runtime_id)
        await lab.runtime.remove_sandbox(spec.arn, spec.eni)
        assert await lab.runtime.containers() == []
        assert await lab.runtime.sandboxes() == frozenset()


def a_disk(number: int = 1, **members: Any) -> dict[str, Any]:
    """Describe a task's one volume, and what is to mount it."""
    source = ManagedVolume(**{"id": f"vol-{number:017x}", "size_gib": 1, "file_system": "ext4"} | members)
    return {"volumes": (Volume(name="data", source=source),)}


async def test_a_disk_is_there_from_the_sandbox_on_and_goes_with_it_before_the_container_does(lab):
    spec = task(lab.container(mounts=(Mount(volume="data", path="/data"),)), **a_disk())
    for _ in range(2):
        await lab.runtime.ensure_sandbox(spec)
    [runtime_id] = await lab.started(spec)
    assert await lab.runtime.volumes() == {spec.arn}
    await lab.runtime.stop(runtime_id, timeout=5)
    for _ in range(2):
        await lab.runtime.remove_sandbox(spec.arn, spec.eni)
        assert await lab.runtime.sandboxes() == frozenset()
    await lab.runtime.remove(runtime_id)
    for _ in range(2):
        await lab.runtime.remove_volumes(spec.arn)
        assert await lab.runtime.volumes() == frozenset()


async def test_a_disk_that_no_container_ever_mounted_goes_as_well(lab):
    spec = task(lab.container(), **a_disk(keep=True))
    await lab.runtime.ensure_sandbox(spec)
    assert await lab.other.sandboxes() == frozenset()
    await lab.other.remove_sandbox(spec.arn, spec.eni)
    assert await lab.runtime.sandboxes() == {spec.task_id}
    await lab.runtime.remove_sandbox(spec.arn, spec.eni)
    assert await lab.runtime.sandboxes() == frozenset()


async def test_a_disk_that_is_larger_than_the_host_fails_the_task(lab):
    spec = task(lab.container(), **a_disk(size_gib=16384))
    with pytest.raises(RuntimeFault, match=f"volume vol-{1:017x} cannot be made: .*no room for 16384 GiB") as caught:
        await lab.runtime.ensure_sandbox(spec)
    assert caught.value.name == "ResourceInitializationError"
    await lab.runtime.remove_sandbox(spec.arn, spec.eni)
    assert await lab.runtime.sandboxes() == frozenset()


async def test_another_agents_containers_and_sandboxes_are_not_seen(lab):
    spec = task(lab.container())
    await lab.started(spec)
    assert await lab.other.containers() == []
    assert await lab.other.containers_of(spec) == []
    assert await lab.other.sandboxes() == frozenset()
    assert await lab.other.remove_everything() == 0
    assert [one.state for one in await lab.runtime.containers()] == [RUNNING]


async def test_an_address_belongs_to_one_task_of_the_host(lab):
    first, second = task(lab.container(), number=2), task(lab.container())
    await lab.runtime.ensure_sandbox(first)
    taken = task(lab.container(), number=2)
    with pytest.raises(RuntimeFault, match=f"ResourceInitializationError: address {first.eni.ipv4_address} cannot be"):
        await lab.other.ensure_sandbox(taken)
    await lab.other.ensure_sandbox(second)
    await lab.other.remove_sandbox(taken.arn, taken.eni)
    await lab.runtime.ensure_sandbox(first)


async def test_remove_everything_counts_the_containers(lab):
    spec = task(lab.container(), lab.container("exit-3", name="side"))
    await lab.started(spec)
    assert await lab.runtime.remove_everything() == 2
    assert await lab.runtime.containers() == []
    assert await lab.runtime.sandboxes() == frozenset()


async def test_faults_are_told_of_from_their_beginning_to_their_end_by_whoever_asks(lab):
    spec, other = task(lab.container()), task(lab.container())
    await lab.started(spec)
    await lab.started(other)
    faults = await lab.runtime.faults(spec)
    assert await faults.running() == frozenset()
    spared = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    hole = BlackholePort(traffic="ingress", protocol="tcp", port=8080, spared=spared)
    back = msgspec.structs.replace(hole, traffic="egress", protocol="udp")
    await faults.start(hole)
    await faults.start(back)
    # Nothing of it is in the memory of who started it, and nothing in the network of another task.
    assert await (await lab.runtime.faults(spec)).running() == {"ingress-tcp-8080", "egress-udp-8080"}
    assert await (await lab.runtime.faults(other)).running() == frozenset()
    await faults.stop(hole.name)
    assert await faults.running() == {back.name}
    await faults.stop(back.name)
    assert await faults.running() == frozenset()


async def test_faults_end_with_the_sandbox(lab):
    spec = task(lab.container())
    [runtime_id] = await lab.started(spec)
    await (await lab.runtime.faults(spec)).start(BlackholePort(traffic="ingress", protocol="tcp", port=8080))
    await lab.runtime.remove(runtime_id)
    await lab.runtime.remove_sandbox(spec.arn, spec.eni)
    await lab.started(spec)
    assert await (await lab.runtime.faults(spec)).running() == frozenset()


async def test_packets_are_late_or_lost_one_fault_at_a_time_or_it_is_said_what_the_host_lacks(lab):
    spec = task(lab.container())
    await lab.started(spec)
    faults = await lab.runtime.faults(spec)
    everybody = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    for kind, effect in ((Kind.LATENCY, {"delay": 300, "jitter": 10}), (Kind.PACKET_LOSS, {"loss": 30, "flows": 50})):
        fault = Impairment(kind=kind, targets=everybody, spared=(ip_network("169.254.170.2"),), **effect)
        lacking = ""
        try:
            await faults.start(fault)
        except FaultUnavailableError as error:
            lacking = str(error)
        assert "sch_netem" in lacking or await faults.running() == {kind}
        if not lacking:
            await faults.stop(kind)
        assert await faults.running() == frozenset()
