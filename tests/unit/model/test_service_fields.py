"""The members of CreateService and UpdateService against the service model: nothing is accepted and ignored."""

from __future__ import annotations

from collections.abc import Iterator

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from wherry.model.service_fields import CREATE, FIELDS, UPDATE
from wherry.model.taskdef_fields import Honoured, Refused, refusals

MODEL = botocore.session.get_session().get_service_model("ecs")
OPERATIONS = {CREATE: "CreateService", UPDATE: "UpdateService"}


def honoured_structures(shape: Shape, name: str) -> Iterator[tuple[str, StructureShape]]:
    """Walk the model from a request down every member that is honoured."""
    if isinstance(shape, ListShape):
        yield from honoured_structures(shape.member, name)
    elif isinstance(shape, StructureShape):
        yield name, shape
        for member, below in shape.members.items():
            verdict = FIELDS[name].get(member)
            if isinstance(verdict, Honoured):
                assert (verdict.shape is not None) == (_structure(below) is not None), f"{name}.{member}"
                if verdict.shape is not None:
                    yield from honoured_structures(below, verdict.shape)


def _structure(shape: Shape) -> StructureShape | None:
    if isinstance(shape, ListShape):
        return _structure(shape.member)
    return shape if isinstance(shape, StructureShape) else None


WALKED = [
    pytest.param(name, shape, id=f"{operation}-{name}")
    for root, operation in OPERATIONS.items()
    for name, shape in honoured_structures(MODEL.operation_model(operation).input_shape, root)
]


@pytest.mark.parametrize(("name", "shape"), WALKED)
def test_every_member_of_the_model_has_a_verdict_and_none_is_made_up(name: str, shape: StructureShape) -> None:
    assert set(FIELDS[name]) == set(shape.members)


def test_every_structure_of_the_table_is_reached() -> None:
    assert {parameter.values[0] for parameter in WALKED} == set(FIELDS)


@pytest.mark.parametrize(
    ("root", "member"),
    [(root, name) for root in OPERATIONS for name, verdict in FIELDS[root].items() if isinstance(verdict, Refused)],
)
def test_a_refused_member_is_named_with_what_to_do_about_it(root: str, member: str) -> None:
    [problem] = refusals({member: {"enabled": True, "metricConfigurations": [{}]}}, root, fields=FIELDS)
    assert problem.message.startswith(f"{member} is not supported: ")
    assert f"Remove {member}" in problem.message
    assert not list(refusals({member: []}, root, fields=FIELDS))


def test_a_refused_member_deep_inside_is_named_by_its_path() -> None:
    configuration = {"alarms": {"enable": True, "rollback": False, "alarmNames": ["a"]}}
    [problem] = refusals({"deploymentConfiguration": configuration}, UPDATE, fields=FIELDS)
    assert problem.message.startswith("deploymentConfiguration.alarms is not supported: ")
