"""The fake's own gifts: virtual time, crashes, scripts. What it shares with Docker is in the contract suite."""

import anyio
import pytest
import trio
from tests.contract.runtime_lab import fake_container, task
from trio.testing import MockClock

from wherry.agent.runtime.base import ContainerState, Health, PullBehavior, RuntimeUnavailableError
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.agent.runtime.fake.script import Script, script_of
from wherry.agent.spec import ContainerSpec, HealthCheck


def in_virtual_time(function):
    return trio.run(function, clock=MockClock(autojump_threshold=0))


async def start(runtime, spec):
    await runtime.ensure_sandbox(spec)
    for container in spec.containers:
        await runtime.pull(container.image, PullBehavior.DEFAULT)
        await runtime.start(await runtime.create(spec, container))


def test_an_hour_passes_in_no_time():
    async def main():
        async with Engine(clock=anyio.current_time) as engine:
            runtime = FakeRuntime(engine)
            check = HealthCheck(command=("CMD", "true"))
            spec = task(
                ContainerSpec(name="web", image="web?run_for=3600&exit_code=4&unhealthy_after=1800", health_check=check)
            )
            await start(runtime, spec)
            heard = [arn async for arn in first(runtime.events(), 3)]
            [found] = await runtime.containers_of(spec)
            assert heard == [spec.arn] * 3
            assert (found.state, found.exit_code) == (ContainerState.EXITED, 4)
            assert found.finished_at - found.started_at == pytest.approx(3600)
            assert (found.health, found.health_since - found.started_at) == (Health.UNHEALTHY, pytest.approx(1800))

    in_virtual_time(main)


async def first(items, number):
    async for item in items:
        yield item
        number -= 1
        if number == 0:
            await items.aclose()
            return


def test_a_crashed_engine_says_nothing_and_forgets_nothing():
    async def main():
        async with Engine() as engine:
            spec = task(fake_container())
            await start(FakeRuntime(engine), spec)
            listening = FakeRuntime(engine).events()
            async with anyio.create_task_group() as group:
                ended = anyio.Event()

                async def listen():
                    assert [arn async for arn in listening] == []
                    ended.set()

                group.start_soon(listen)
                await anyio.wait_all_tasks_blocked()
                engine.crash()
                await ended.wait()
            with pytest.raises(RuntimeUnavailableError):
                await FakeRuntime(engine).containers()
            engine.restart()
            [found] = await FakeRuntime(engine).containers()
            assert found.state is ContainerState.RUNNING

    trio.run(main)


def test_a_container_can_be_killed_from_outside():
    async def main():
        async with Engine() as engine:
            runtime, spec = FakeRuntime(engine), task(fake_container())
            await start(runtime, spec)
            [found] = await runtime.containers()
            engine.kill(found.runtime_id)
            assert (await runtime.containers())[0].exit_code == 137

    trio.run(main)


def test_a_script_is_found_by_the_images_name_or_in_it():
    engine = Engine(scripts={"web": Script(exit_code=9)})
    assert engine.script("web").exit_code == 9
    assert engine.script("plain/image:tag") == Script()
    assert script_of("x?run_for=1.5&oom=true") == Script(run_for=1.5, oom=True)


def test_a_script_that_says_nonsense_is_an_error():
    with pytest.raises(ValueError, match="no such part of a script: exitcode"):
        script_of("x?exitcode=1")
