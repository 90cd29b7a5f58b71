"""What is known of a task's containers without asking the engine again."""

from __future__ import annotations

import anyio
import pytest

from wherry.agent.runtime.base import ContainerState, Observed
from wherry.agent.sight import Sight

pytestmark = pytest.mark.anyio


def seen(name: str = "web", state: ContainerState = ContainerState.RUNNING) -> Observed:
    return Observed(runtime_id=f"id-{name}", task_arn="arn", name=name, state=state)


class Looks:
    """An engine's answers, one after the other; `during` is called while it answers."""

    def __init__(self, *answers: list[Observed]) -> None:
        self.answers = list(answers)
        self.during = lambda: None

    async def __call__(self) -> list[Observed]:
        self.during()
        return self.answers.pop(0)


async def test_a_look_is_kept_until_something_happens() -> None:
    sight, look = Sight(), Looks([seen()], [])
    assert await sight.renewed(look, sweep=30) == [seen()]
    assert await sight.renewed(look, sweep=30) == [seen()]
    sight.forget()
    assert await sight.renewed(look, sweep=30) == []


async def test_a_look_is_not_kept_for_longer_than_from_one_sweep_to_the_next(monkeypatch) -> None:
    now = 1000.0
    monkeypatch.setattr(anyio, "current_time", lambda: now)
    sight, look = Sight(()), Looks([seen()], [])
    assert await sight.renewed(look, sweep=30) == []
    now += 29.9
    assert await sight.renewed(look, sweep=30) == []
    now += 0.1
    assert await sight.renewed(look, sweep=30) == [seen()]
    now += 30
    assert await sight.renewed(look, sweep=30) == []


async def test_of_a_new_task_it_is_known_that_nothing_is_there() -> None:
    assert await Sight(()).renewed(Looks(), sweep=30) == []


@pytest.mark.parametrize("happening", [Sight.forget, lambda sight: sight.add_created("arn", "web", "id-web")])
async def test_a_look_during_which_something_happens_is_not_kept(happening) -> None:
    sight, look = Sight(), Looks([], [seen()])
    look.during = lambda: happening(sight)
    assert await sight.renewed(look, sweep=30) == []
    look.during = lambda: None
    assert await sight.renewed(look, sweep=30) == [seen()]


async def test_a_created_container_is_known_and_takes_the_place_of_a_former_one() -> None:
    sight = Sight(())
    await sight.renewed(Looks(), sweep=30)
    sight.add_created("arn", "log", "id-log")
    sight.add_created("arn", "web", "former")
    sight.add_created("arn", "web", "id-web")
    created = ContainerState.CREATED
    assert await sight.renewed(Looks(), sweep=30) == [seen("log", created), seen("web", created)]
    assert sight.has("web")
    assert not sight.has("web", started=True)


async def test_what_has_been_started_is_told_from_what_is_only_there() -> None:
    sight = Sight([seen("web"), seen("job", ContainerState.EXITED)])
    assert [sight.has(name, started=True) for name in ("web", "job", "other")] == [True, True, False]
    sight.forget()
    assert not sight.has("web")
