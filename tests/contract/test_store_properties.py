"""Any interleaving of writers keeps the versions of the entities consistent with the history of commits."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from wherry.model.account import Meta
from wherry.store import Conflict, Key, Store, Tx

NAMES = ("a", "b", "c")

steps = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(NAMES)),
    st.tuples(st.just("update"), st.sampled_from(NAMES)),
    st.tuples(st.just("stale"), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("fail"), st.just("")),
)
functions = st.lists(steps, min_size=1, max_size=4)


class Model:
    """What the store must hold: the versions, changed only by functions that came through."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.rung: set[Key] = set()

    def run(self, function: list[tuple[str, str]], mark: Key) -> bool:
        after = dict(self.versions)
        for step, name in function:
            exists = name in after
            if step in {"fail", "stale"} or (step == "create") is exists:
                return False
            if step == "delete":
                del after[name]
            else:
                after[name] = after.get(name, 0) + 1
        self.versions = after
        self.rung.add(mark)
        return True


def run(tx: Tx, function: list[tuple[str, str]], mark: Key, began: Callable[[], None]) -> None:
    began()
    tx.ring(mark)
    for step, name in function:
        found = tx.get(Meta, name)
        if step == "create":
            tx.put(Meta(name=name, value=""))
        elif step == "fail" or found is None:
            raise LookupError
        elif step == "delete":
            tx.delete(found)
        else:
            tx.put(replace(found, version=found.version + (7 if step == "stale" else 0)))


async def interleave(store: Store, groups: list[list[list[tuple[str, str]]]]) -> None:
    model, heard, expected, outcomes = Model(), set[Key](), dict[int, bool](), dict[int, bool]()
    n = 0

    async def one(number: int, function: list[tuple[str, str]]) -> None:
        mark = ("function", str(number))

        def began() -> None:
            # Functions run one after the other in an order that only the writer knows: the model follows it.
            expected[number] = model.run(function, mark)

        try:
            await store.write(run, function, mark, began)
        except (Conflict, LookupError):
            outcomes[number] = False
        else:
            outcomes[number] = True

    with store.bell.subscribe(heard.update):
        for group in groups:
            async with anyio.create_task_group() as together:
                for function in group:
                    together.start_soon(one, n, function)
                    n += 1
            found = await store.read(Tx.find, Meta)
            assert {row.name: row.version for row in found} == model.versions
        await anyio.lowlevel.checkpoint()
    assert outcomes == expected
    assert heard == model.rung
    await store.write(lambda tx: [tx.delete(row) for row in tx.find(Meta)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(functions, min_size=1, max_size=6), min_size=1, max_size=5))
def test_versions_count_the_writes_that_came_through_and_nothing_else(store_url, groups):
    async def scenario() -> None:
        async with Store.open(store_url) as store:
            await interleave(store, groups)

    anyio.run(scenario)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_model_itself_tells_success_from_failure(store_url, backend):
    async def scenario() -> None:
        async with Store.open(store_url) as store:
            await interleave(
                store,
                [[[("create", "a")]], [[("create", "a")], [("update", "a"), ("fail", "")], [("delete", "a")]]],
            )

    anyio.run(scenario, backend=backend)
