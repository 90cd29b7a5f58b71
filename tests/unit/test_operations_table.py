"""The table of operations against the model, so that none is forgotten and none invented."""

from __future__ import annotations

import inspect

import botocore.session
import pytest

from wherry.api.ecs.refused import REFUSED, Refused
from wherry.api.table import TABLES, services
from wherry.model.call import Call, Principal

MODELS = {service: botocore.session.get_session().get_service_model(service) for service in TABLES}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_every_operation_of_ecs_is_done_or_refused() -> None:
    assert set(TABLES["ecs"]) == set(MODELS["ecs"].operation_names)
    assert len(TABLES["ecs"]) == 88


@pytest.mark.parametrize("service", TABLES)
def test_no_operation_is_invented(service: str) -> None:
    assert set(TABLES[service]) <= set(MODELS[service].operation_names)


@pytest.mark.parametrize("service", TABLES)
def test_an_operation_is_done_by_the_function_of_its_name(service: str) -> None:
    for name, operation in TABLES[service].items():
        if not isinstance(operation, Refused):
            assert inspect.iscoroutinefunction(operation)
            assert operation.__name__.replace("_", "") == name.lower()


def test_what_is_refused_is_refused_by_the_table() -> None:
    assert {name: TABLES["ecs"][name] for name in REFUSED} == REFUSED


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_uses_the_error_that_the_model_declares(name: str) -> None:
    declared = {shape.name for shape in MODELS["ecs"].operation_model(name).error_shapes}
    expected = "UnsupportedFeatureException" if "UnsupportedFeatureException" in declared else "ClientException"
    assert REFUSED[name].error.__name__ == expected
    assert expected in declared


@pytest.mark.anyio
async def test_a_refused_operation_answers_with_its_name_and_what_to_do() -> None:
    handler = services(None)["ecs"]["CreateTaskSet"]  # type: ignore[arg-type] # a refusal needs no context
    call = Call(
        service="ecs",
        operation="CreateTaskSet",
        params={},
        principal=Principal(account_id="", arn="", access_key_id=""),
        region="",
        request_id="",
    )
    with pytest.raises(REFUSED["CreateTaskSet"].error, match=r"CreateTaskSet is not supported: .*UpdateService"):
        await handler(call)
