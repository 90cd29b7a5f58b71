"""The relay between the engine's log driver and a control plane that comes, goes and refuses; time runs fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import trio
from tests.component.agent_lab import clock
from trio.testing import MockClock

from wherry.agent.link.base import RefusedError, UnreachableError
from wherry.agent.logs.forward import Forwarder
from wherry.agent.logs.relay import HOPELESS, LINGER, Relay, UnknownStreamError
from wherry.agent.logs.spool import Spool, SpoolError
from wherry.agent.logs.stream import Event, Line
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.spec import ContainerSpec, LogConfiguration, TaskSpec
from wherry.app.host import _spool
from wherry.app.start import StartError

RATE = 1000
"""Seconds of the relay in one of ours."""
GROUP = "/web"
ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "a" * 32
STREAM = "app/main/" + "a" * 32
TOKEN = "token-main"
MISSING = RefusedError("ResourceNotFoundException", "The specified log group does not exist.")


def task(launch_type: str = "FARGATE", **options: str) -> TaskSpec:
    own = {
        "awslogs-group": GROUP,
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "app",
        "mode": "non-blocking",
    }
    logs = LogConfiguration(driver="awslogs", options=own | {n.replace("_", "-"): v for n, v in options.items()})
    container = ContainerSpec(name="main", image="web", logs=logs)
    return TaskSpec(
        arn=ARN, cluster="default", family="web", version="1", containers=(container,), launch_type=launch_type
    )


class CloudWatch:
    """Log groups and streams as CloudWatch Logs has them."""

    def __init__(self, *groups: str) -> None:
        self.reachable = True
        self.groups = set(groups)
        self.streams: dict[tuple[str, str], list[str]] = {}
        self.refuse: RefusedError | None = None
        self.calls: list[str] = []

    async def call(self, operation: str, parameters: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        if not self.reachable:
            raise UnreachableError("away")
        self.calls.append(operation)
        if self.refuse is not None:
            raise self.refuse
        sent = msgspec.json.decode(msgspec.json.encode(parameters))
        key = sent["logGroupName"], sent.get("logStreamName", "")
        if operation == "CreateLogGroup":
            self.groups.add(key[0])
            return {}
        if key[0] not in self.groups:
            raise MISSING
        if operation == "CreateLogStream":
            if key in self.streams:
                raise RefusedError("ResourceAlreadyExistsException", "The specified log stream already exists")
            self.streams[key] = []
            return {}
        if key not in self.streams:
            raise RefusedError("ResourceNotFoundException", "The specified log stream does not exist.")
        self.streams[key] += [event["message"] for event in sent["logEvents"]]
        return {}

    async def connect(self, endpoint: str, query: Mapping[str, str]) -> Any:
        raise NotImplementedError

    @property
    def lines(self) -> list[str]:
        return self.streams.get((GROUP, STREAM), [])


class Copies:
    """The engine's copy of the one container."""

    def __init__(self) -> None:
        self.lines: list[Line] | None = []
        self.fault: RuntimeFault | None = None

    async def logged(self, task_arn: str, name: str, *, since: float) -> list[Line] | None:
        await anyio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault
        assert (task_arn, name) == (ARN, "main")
        return None if self.lines is None else [line for line in self.lines if line.at >= since * 1e9]


class Scene:
    """A relay on a spool that outlives it."""

    def __init__(self, path: Path, *groups: str, room: int = 1_000_000) -> None:
        self.path = path
        self.room = room
        self.cloud = CloudWatch(*groups)
        self.copies = Copies()
        self.now = 0
        self.lived = 0.0

    def clock(self) -> float:
        return clock() + self.lived

    def written(self, *messages: str) -> list[Event]:
        """Have the container write lines; returns the driver's events of them."""
        made = []
        for message in messages:
            self.now += 1
            at = int(self.clock() * 1000) + self.now
            made.append(Event(at, message))
            if self.copies.lines is not None:
                self.copies.lines.append(Line(at=at * 1_000_000, text=message))
        return made

    def play(self, act: Callable[[Relay], Awaitable[None]]) -> None:
        """Run one life of an agent, which dies at the end of the act."""

        async def life() -> None:
            with closing(Spool.open(self.path)) as spool:
                relay = Relay(
                    spool,
                    Forwarder(self.cloud, lambda _: None),
                    self.copies,
                    token=lambda _, name: f"token-{name}",
                    endpoint="http://agent",
                    room=self.room,
                    clock=self.clock,
                    entropy=lambda size: b"\0" * size,
                )
                async with anyio.create_task_group() as group:
                    group.start_soon(relay.run)
                    await anyio.lowlevel.checkpoint()
                    await act(relay)
                    group.cancel_scope.cancel()
            self.lived += anyio.current_time()

        # Not by leaps: what is in a thread of its own would be leapt over.
        trio.run(life, clock=MockClock(rate=RATE))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "logs.db", GROUP)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come soon: in ten minutes of the relay."""
    with anyio.fail_after(600):
        while not condition():  # noqa: ASYNC110 - the stub has many ends, and time is cheap here
            await anyio.sleep(0.1)


async def put(relay: Relay, events: list[Event]) -> None:
    await relay.put(TOKEN, GROUP, STREAM, events)


def test_options_tell_the_driver_where_the_relay_is_and_drop_what_it_does_not_know(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        equipped = await relay.equipped(task(), task().containers[0])
        assert equipped.logs is not None
        assert equipped.logs.options == {
            "awslogs-group": GROUP,
            "awslogs-region": "us-east-1",
            "awslogs-stream": STREAM,
            "awslogs-endpoint": "http://agent/logs/token-main",
            "awslogs-credentials-endpoint": "/logs/token-main/credentials",
            "awslogs-force-flush-interval-seconds": "1",
            "mode": "non-blocking",
            "max-buffer-size": "10m",
        }

    scene.play(act)


def test_other_drivers_are_left_alone(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        gelf = LogConfiguration(driver="gelf", options={"gelf-address": "udp://x", "mode": "blocking"})
        container = ContainerSpec(name="main", image="web", logs=gelf)
        assert await relay.equipped(task(), container) == container
        silent = ContainerSpec(name="main", image="web")
        assert await relay.equipped(task(), silent) is silent
        assert not relay.knows(TOKEN)

    scene.play(act)


def test_what_is_put_while_the_control_plane_is_away_arrives_in_its_order(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        scene.cloud.reachable = False
        await relay.equipped(task(), task().containers[0])
        await relay.create_stream(TOKEN, GROUP, STREAM)
        for number in range(3):
            await put(relay, scene.written(f"{number}a", f"{number}b"))
        await anyio.sleep(100)
        assert scene.cloud.streams == {}
        scene.cloud.reachable = True
        await until(lambda: len(scene.cloud.lines) == 6)
        assert scene.cloud.lines == ["0a", "0b", "1a", "1b", "2a", "2b"]

    scene.play(act)


def test_an_agent_that_dies_forwards_in_its_next_life(scene: Scene) -> None:
    async def dies(relay: Relay) -> None:
        scene.cloud.reachable = False
        await relay.equipped(task(), task().containers[0])
        await put(relay, scene.written("one"))

    async def lives(_: Relay) -> None:
        scene.cloud.reachable = True
        await until(lambda: scene.cloud.lines == ["one"])

    scene.play(dies)
    scene.play(lives)


def test_lines_that_the_driver_threw_away_are_put_before_those_that_it_sends_next(scene: Scene) -> None:
    async def before(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        await put(relay, scene.written("one", "two"))
        await until(lambda: len(scene.cloud.lines) == 2)
        scene.written("lost", "lost too")

    async def after(relay: Relay) -> None:
        await put(relay, scene.written("three"))
        await put(relay, scene.written("four"))
        await until(lambda: len(scene.cloud.lines) == 6)
        assert scene.cloud.lines == ["one", "two", "lost", "lost too", "three", "four"]

    scene.play(before)
    scene.play(after)


def test_a_batch_whose_answer_was_lost_with_the_agent_counts_once(scene: Scene) -> None:
    async def before(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        await put(relay, batch)

    async def after(relay: Relay) -> None:
        await put(relay, batch)
        await put(relay, batch)
        await put(relay, scene.written("next"))
        await until(lambda: "next" in scene.cloud.lines)
        assert scene.cloud.lines == ["same", "same", "next"]

    batch = [Event(1_700_000_000_001, "same"), Event(1_700_000_000_001, "same")]
    scene.copies.lines = [Line(at=event.timestamp * 1_000_000, text=event.message) for event in batch]
    scene.now = 5
    scene.play(before)
    scene.play(after)


def test_a_driver_that_stays_silent_after_a_loss_is_not_waited_for(scene: Scene) -> None:
    async def before(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        await put(relay, scene.written("one"))
        scene.written("lost")
        await anyio.sleep(10)

    async def after(_: Relay) -> None:
        await until(lambda: scene.cloud.lines == ["one", "lost"])

    scene.play(before)
    scene.play(after)


def test_a_copy_that_cannot_be_read_has_nothing_to_recover_and_ends_nobody(scene: Scene) -> None:
    async def before(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        await put(relay, scene.written("one"))
        scene.copies.fault = RuntimeFault("CannotReadLogsError", "configured logging driver does not support reading")

    async def after(relay: Relay) -> None:
        await anyio.sleep(60)
        await put(relay, scene.written("two"))
        await until(lambda: scene.cloud.lines == ["one", "two"])

    scene.play(before)
    scene.play(after)


def test_the_last_lines_of_a_container_are_taken_before_it_is_removed(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        await put(relay, scene.written("one"))
        late = scene.written("last")
        await relay.finish(ARN, "main")
        scene.copies.lines = None
        await put(relay, late)
        await until(lambda: len(scene.cloud.lines) == 2)
        await anyio.sleep(2 * LINGER)
        assert scene.cloud.lines == ["one", "last"]
        assert not relay.knows(TOKEN)

    scene.play(act)


def test_a_refused_stream_keeps_a_fargate_container_from_being_made(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        scene.cloud.groups.clear()
        with pytest.raises(RuntimeFault) as raised:
            await relay.equipped(task(), task().containers[0])
        assert str(raised.value) == (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
            "failed to create Cloudwatch log stream: ResourceNotFoundException: "
            "The specified log group does not exist. : exit status 1"
        )

    scene.play(act)


def test_on_ec2_the_driver_is_told_of_the_refusal(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        scene.cloud.groups.clear()
        await relay.equipped(task("EC2"), task().containers[0])
        with pytest.raises(RefusedError, match="log group does not exist"):
            await relay.create_stream(TOKEN, GROUP, STREAM)

    scene.play(act)


def test_a_group_is_made_only_where_the_options_say_so(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        scene.cloud.groups.clear()
        making = task(awslogs_create_group="true")
        await relay.equipped(making, making.containers[0])
        assert scene.cloud.groups == {GROUP}
        await put(relay, scene.written("one"))
        await until(lambda: scene.cloud.lines == ["one"])

    scene.play(act)


def test_a_token_is_good_for_its_own_stream_alone(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        events = scene.written("one")
        with pytest.raises(UnknownStreamError):
            await relay.put("another", GROUP, STREAM, events)
        for group, stream in (("/other", STREAM), (GROUP, "app/other/1")):
            with pytest.raises(RefusedError, match="AccessDeniedException"):
                await relay.put(TOKEN, group, stream, events)
        with pytest.raises(RefusedError, match="AccessDeniedException"):
            await relay.create_group(TOKEN, GROUP)
        await anyio.sleep(10)
        assert scene.cloud.lines == []

    scene.play(act)


def test_a_driver_that_names_its_stream_itself_is_held_to_it(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        own = task("EC2", awslogs_stream_prefix="")
        await relay.equipped(own, own.containers[0])
        await relay.create_stream(TOKEN, GROUP, "f" * 64)
        with pytest.raises(RefusedError, match="AccessDeniedException"):
            await relay.create_stream(TOKEN, GROUP, "e" * 64)

    scene.play(act)


def test_a_full_spool_holds_the_driver_up_until_there_is_room(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "logs.db", GROUP, room=4000)
    taken: list[int] = []

    async def act(relay: Relay) -> None:
        async def drive() -> None:
            for number in range(4):
                await put(relay, scene.written(str(number) * 600))
                taken.append(number)

        scene.cloud.reachable = False
        await relay.equipped(task(), task().containers[0])
        async with anyio.create_task_group() as group:
            group.start_soon(drive)
            await anyio.sleep(300)
            assert taken == [0]
            scene.cloud.reachable = True
        await until(lambda: len(scene.cloud.lines) == 4)
        assert [line[0] for line in scene.cloud.lines] == ["0", "1", "2", "3"]

    scene.play(act)


def test_lines_that_are_refused_wait_for_a_remedy_and_hold_nobody_up(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "logs.db", GROUP, room=4000)

    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        scene.cloud.refuse = RefusedError("AccessDeniedException", "not authorized")
        await put(relay, scene.written("a" * 600))
        await until(lambda: "PutLogEvents" in scene.cloud.calls)
        await anyio.sleep(10)
        with pytest.raises(RefusedError, match="not authorized"):
            await put(relay, scene.written("b" * 600))
        scene.cloud.refuse = None
        await until(lambda: len(scene.cloud.lines) == 1)

    scene.play(act)


def test_last_lines_that_are_refused_do_not_keep_a_container(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "logs.db", GROUP, room=4000)

    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        scene.cloud.refuse = RefusedError("AccessDeniedException", "not authorized")
        await put(relay, scene.written("a" * 600))
        await until(lambda: "PutLogEvents" in scene.cloud.calls)
        await anyio.sleep(10)
        scene.written("b" * 600)
        await relay.finish(ARN, "main")
        await anyio.sleep(HOPELESS + 3 * LINGER)
        assert not relay.knows(TOKEN)

    scene.play(act)


def test_a_task_that_is_over_leaves_no_stream_of_a_container_that_never_came_up(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        await relay.end("arn:of-another-task")
        await anyio.sleep(3 * LINGER)
        assert relay.knows(TOKEN)
        await relay.end(ARN)
        await anyio.sleep(3 * LINGER)
        assert not relay.knows(TOKEN)

    scene.play(act)


def test_lines_that_nobody_will_ever_take_do_not_stay_for_ever(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        scene.cloud.refuse = RefusedError("AccessDeniedException", "not authorized")
        await put(relay, scene.written("one"))
        await relay.finish(ARN, "main")
        await anyio.sleep(HOPELESS + 3 * LINGER)
        assert not relay.knows(TOKEN)

    scene.play(act)


def test_a_batch_that_is_refused_for_good_does_not_keep_the_next_one_back(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        scene.cloud.refuse = RefusedError("InvalidParameterException", "no")
        await put(relay, scene.written("bad"))
        await until(lambda: "PutLogEvents" in scene.cloud.calls)
        scene.cloud.refuse = None
        await put(relay, scene.written("good"))
        await until(lambda: scene.cloud.lines == ["good"])

    scene.play(act)


def test_a_stream_that_somebody_deleted_is_made_again(scene: Scene) -> None:
    async def act(relay: Relay) -> None:
        await relay.equipped(task(), task().containers[0])
        scene.cloud.streams.clear()
        await put(relay, scene.written("one"))
        await until(lambda: scene.cloud.lines == ["one"])

    scene.play(act)


def test_a_damaged_spool_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    path.write_bytes(b"no database at all" * 100)
    with closing(Spool.open(path)) as spool:
        assert spool.streams() == []
    assert path.with_suffix(".damaged").exists()


def test_a_spool_of_a_newer_wherry_is_told_as_that_and_one_that_cannot_be_written_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"make it writable, or free some space\.$"):
        _spool(tmp_path / "file")
    with closing(sqlite3.connect(tmp_path / "logs.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(StartError, match=r"run that version, or newer\.$") as caught:
        _spool(tmp_path)
    assert caught.value.hint == ""


class Failing:
    """A connection whose next commit fails, as on a full disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.fails = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement == "COMMIT" and self.fails:
            self.fails = False
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(statement, *parameters)


def test_what_could_not_be_committed_does_not_count_as_waiting(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    Spool.open(path).close()
    failing = Failing(sqlite3.connect(path, isolation_level=None))
    with closing(Spool(failing, path)) as spool:
        with pytest.raises(SpoolError, match="disk is full"):
            spool.append(TOKEN, [Event(1, "one")])
        assert spool.waiting[TOKEN] == 0
        spool.append(TOKEN, [Event(1, "one")])
        batch = spool.next(TOKEN)
        assert batch is not None
        failing.fails = True
        with pytest.raises(SpoolError, match="disk is full"):
            spool.done(batch)
        assert spool.waiting[TOKEN] == len(batch.events)
