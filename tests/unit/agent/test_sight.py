"""What is known of a task's containers without asking the engine again."""

from __future__ import annotations

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
    assert await sight.renewed(look) == [seen()]
    assert await sight.renewed(look) == [seen()]
    sight.forget()
    assert await sight.renewed(look) == []


async def test_of_a_new_task_it_is_known_that_nothing_is_there() -> None:
    assert await Sight(()).renewed(Looks()) == []


@pytest.mark.parametrize("happening", [Sight.forget, lambda sight: sight.add_created("arn", "web", "id-web")])
async def test_a_look_during_which_something_happens_is_not_kept(happening) -> None:
    sight, look = Sight(), Looks([], [seen()])
    look.during = lambda: happening(sight)
    assert await sight.renewed(look) == []
    look.during = lambda: None
    assert await sight.renewed(look) == [seen()]


async def test_a_created_container_is_known_and_takes_the_place_of_a_former_one() -> None:
    sight = Sight(())
    await sight.renewed(Looks())
    sight.add_created("arn", "log", "id-log")
    sight.add_created("arn", "web", "former")
    sight.add_created("arn", "web", "id-web")
    created = ContainerState.CREATED
    assert await sight.renewed(Looks()) == [seen("log", created), seen("web", created)]
    assert sight.has("web")
    assert not sight.has("web", started=True)


async def test_what_has_been_started_is_told_from_what_is_only_there() -> None:
    sight = Sight([seen("web"), seen("job", ContainerState.EXITED)])
    assert [sight.has(name, started=True) for name in ("web", "job", "other")] == [True, True, False]
    sight.forget()
    assert not sight.has("web")
