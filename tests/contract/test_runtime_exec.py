"""What every runtime must do with commands executed in a container: the fake, and Docker."""

from __future__ import annotations

import anyio
import pytest
from tests.contract.runtime_lab import docker_lab, fake_lab, task

from wherry.agent.runtime.base import ExecRequest, RuntimeFault

pytestmark = pytest.mark.anyio

LARGE = 3_000_000


@pytest.fixture(params=["fake-asyncio", "fake-trio", pytest.param("namespace", marks=pytest.mark.docker)])
def kind(request):
    return request.param


@pytest.fixture
def anyio_backend(kind):
    return "trio" if kind == "fake-trio" else "asyncio"


@pytest.fixture
async def lab(kind, tmp_path):
    async with fake_lab() if kind.startswith("fake") else docker_lab(kind, tmp_path) as opened:
        yield opened


def a_request(*command: str, tty: bool = False, **fields: object) -> ExecRequest:
    return ExecRequest(session_id="ecs-execute-command-test", command=command, tty=tty, **fields)


async def started(lab) -> str:
    [runtime_id] = await lab.started(task(lab.container()))
    return runtime_id


async def all_of(execution) -> tuple[bytes, bytes]:
    """Read to the end: standard output and standard error."""
    out, error = b"", b""
    with anyio.fail_after(30):
        while (output := await execution.read()) is not None:
            if output.error:
                error += output.data
            else:
                out += output.data
    return out, error


async def until(execution, wanted: bytes) -> bytes:
    seen = b""
    with anyio.fail_after(30):
        while wanted not in seen:
            output = await execution.read()
            assert output is not None, seen
            seen += output.data
    return seen


async def test_output_error_and_exit_code_come_apart(lab):
    request = a_request("sh", "-c", "echo out; echo wrong >&2; exit 3")
    async with lab.runtime.execute(await started(lab), request) as execution:
        assert await all_of(execution) == (b"out\n", b"wrong\n")
        assert await execution.exit_code() == 3


async def test_a_terminal_has_one_output_and_ends_lines_its_way(lab):
    request = a_request("sh", "-c", "echo out; echo wrong >&2; exit 4", tty=True)
    async with lab.runtime.execute(await started(lab), request) as execution:
        assert await all_of(execution) == (b"out\r\nwrong\r\n", b"")
        assert await execution.exit_code() == 4


async def test_input_reaches_the_command_and_may_end(lab):
    async with lab.runtime.execute(await started(lab), a_request("cat")) as execution:
        await execution.write(b"one ")
        await execution.write(b"two")
        await execution.end_input()
        assert await all_of(execution) == (b"one two", b"")
        assert await execution.exit_code() == 0


async def test_a_terminal_hears_the_keys_of_its_user(lab):
    async with lab.runtime.execute(await started(lab), a_request("cat", tty=True)) as execution:
        await execution.write(b"hello\r")
        await until(execution, b"hello\r\nhello\r\n")
        await execution.write(b"\x03")
        await all_of(execution)
        assert await execution.exit_code() == 130


async def test_a_terminal_has_the_size_it_was_given_last(lab):
    request = a_request("sh", tty=True, columns=100, rows=40)
    async with lab.runtime.execute(await started(lab), request) as execution:
        await execution.write(b"busybox stty size\r")
        await until(execution, b"40 100")
        await execution.resize(columns=132, rows=50)
        await execution.write(b"busybox stty size\r")
        await until(execution, b"50 132")


async def test_much_output_is_all_there(lab):
    request = a_request("busybox", "head", "-c", str(LARGE), "/dev/zero")
    async with lab.runtime.execute(await started(lab), request) as execution:
        out, _ = await all_of(execution)
        assert out == bytes(LARGE)


async def test_a_program_that_is_not_there_says_so_and_ends_as_in_a_shell(lab):
    async with lab.runtime.execute(await started(lab), a_request("no-such-program")) as execution:
        out, _ = await all_of(execution)
        assert b"executable file not found" in out
        assert await execution.exit_code() in {126, 127}


async def test_a_container_that_does_not_run_executes_nothing(lab):
    runtime_id = await started(lab)
    await lab.runtime.stop(runtime_id, timeout=1)
    with pytest.raises(RuntimeFault, match="ExecuteCommandError"):
        async with lab.runtime.execute(runtime_id, a_request("true")):
            pass


async def test_a_command_ends_with_its_container(lab):
    runtime_id = await started(lab)
    async with lab.runtime.execute(runtime_id, a_request("sleep", "1000", tty=True)) as execution:
        await lab.runtime.stop(runtime_id, timeout=1)
        await all_of(execution)


@pytest.mark.parametrize("tty", [True, False])
async def test_leaving_ends_the_command_and_what_it_began(lab, tty):
    runtime_id = await started(lab)
    command = ("sh", "-c", "sleep 4242; true")
    async with lab.runtime.execute(runtime_id, a_request(*command, tty=tty)):
        pass
    assert "4242" not in await processes(lab, runtime_id)


async def test_input_for_a_command_that_has_ended_is_let_go(lab):
    async with lab.runtime.execute(await started(lab), a_request("true")) as execution:
        await all_of(execution)
        await execution.write(b"anybody there?")
        await execution.end_input()
        await execution.resize(columns=1, rows=1)


async def test_many_commands_run_at_once(lab):
    runtime_id = await started(lab)
    seen = []

    async def one(number: int) -> None:
        async with lab.runtime.execute(runtime_id, a_request("cat")) as execution:
            await execution.write(str(number).encode())
            await execution.end_input()
            out, _ = await all_of(execution)
            seen.append(int(out))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    assert sorted(seen) == list(range(20))


async def processes(lab, runtime_id: str) -> str:
    """List the commands of a container; the fake has none that outlive their context."""
    if not hasattr(lab.runtime, "_state_dir"):
        return ""
    done = await anyio.run_process(["docker", "top", runtime_id, "-o", "pid,args"])
    return done.stdout.decode()
