"""Tags of every kind of resource that has some."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws import Aws
from tests.builders import SCOPE, a_service, a_task, a_task_definition, an_instance

from wherry.api.ecs.tags import check
from wherry.model.base import Entity, Tag
from wherry.model.errors import InvalidParameterException
from wherry.model.service import ServiceStatus
from wherry.model.task import TaskStatus
from wherry.model.taskdef import TaskDefinitionStatus
from wherry.store import Store, Tx

TASK = SCOPE.task("default", f"{1:032x}")
TAGGABLE: list[tuple[Entity | None, str]] = [
    (None, SCOPE.cluster("default")),
    (a_service(), SCOPE.service("default", "web")),
    (a_task(), TASK),
    (a_task_definition(), SCOPE.task_definition("web", 1)),
    (
        an_instance(container_instance_arn=SCOPE.container_instance("default", "a" * 32), fargate=False),
        SCOPE.container_instance("default", "a" * 32),
    ),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(memory_store: Store) -> Aws:
    return await Aws(memory_store).seed()


async def put(aws: Aws, entity: Entity) -> None:
    def write(tx: Tx) -> None:
        tx.put(entity)

    await aws.store.write(write)


def tags(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


async def tags_of(aws: Aws, arn: str) -> list[dict[str, str]]:
    return list((await aws("ListTagsForResource", resourceArn=arn))["tags"])


@pytest.mark.parametrize(("entity", "arn"), TAGGABLE)
@pytest.mark.anyio
async def test_every_resource_can_be_tagged_retagged_and_untagged(aws: Aws, entity: Entity | None, arn: str) -> None:
    if entity is not None:
        await put(aws, entity)
    assert await tags_of(aws, arn) == []
    await aws("TagResource", resourceArn=arn, tags=tags(team="a", stage="dev"))
    await aws("TagResource", resourceArn=arn, tags=tags(team="b", cost="1"))
    assert await tags_of(aws, arn) == tags(team="b", stage="dev", cost="1")
    await aws("UntagResource", resourceArn=arn, tagKeys=["team", "never"])
    assert await tags_of(aws, arn) == tags(stage="dev", cost="1")


@pytest.mark.anyio
async def test_a_resource_has_fifty_tags_and_those_of_the_system_besides(aws: Aws) -> None:
    system = Tag(key="aws:ecs:clusterName", value="default")
    await put(aws, a_task(tags=(system, *(Tag(key=f"k{n}") for n in range(49)))))
    await aws("TagResource", resourceArn=TASK, tags=tags(k49=""))
    await aws("TagResource", resourceArn=TASK, tags=tags(k49="again"))
    code, _ = await aws.refusal("TagResource", resourceArn=TASK, tags=tags(k50=""))
    assert code == "LimitExceededException"


@pytest.mark.parametrize(
    ("key", "value"),
    [("aws:x", ""), ("Aws:x", ""), ("", ""), ("k" * 129, ""), ("k", "v" * 257), ("k!", ""), ("k", "\n")],
)
def test_bad_tags_are_refused(key: str, value: str) -> None:
    with pytest.raises(InvalidParameterException):
        check([{"key": key, "value": value}])


@pytest.mark.parametrize("key", ["größe", "a b", "a_.:/=+-@1"])
@pytest.mark.anyio
async def test_letters_of_any_script_and_these_signs_are_fine(aws: Aws, key: str) -> None:
    arn = SCOPE.cluster("default")
    await aws("TagResource", resourceArn=arn, tags=[{"key": key}])
    assert await tags_of(aws, arn) == [{"key": key, "value": ""}]


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("nonsense", "The ARN provided is invalid."),
        ("arn:aws:s3:::bucket", "The ARN provided is invalid."),
        (SCOPE.cluster("default").replace("000000000000", "111111111111"), "The ARN provided is invalid."),
        (SCOPE.arn("capacity-provider/FARGATE"), "The ARN provided is invalid."),
        (SCOPE.arn("service/web"), "Long arn format must be used for tagging operations."),
    ],
)
@pytest.mark.anyio
async def test_an_arn_that_cannot_be_ours_is_refused_as_ecs_does(aws: Aws, arn: str, message: str) -> None:
    for operation, params in _operations():
        assert await aws.refusal(operation, resourceArn=arn, **params) == ("InvalidParameterException", message)


@pytest.mark.anyio
async def test_what_does_not_exist_has_no_tags(aws: Aws) -> None:
    pool = an_instance()
    await put(aws, pool)
    for arn in (TASK, pool.container_instance_arn):
        assert (await aws.refusal("TagResource", resourceArn=arn, tags=tags(a="1")))[0] == "ResourceNotFoundException"
        assert (await aws.refusal("ListTagsForResource", resourceArn=arn))[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    "entity",
    [
        a_task(last_status=TaskStatus.STOPPED),
        a_service(status=ServiceStatus.INACTIVE),
        a_task_definition(status=TaskDefinitionStatus.DELETE_IN_PROGRESS),
    ],
)
@pytest.mark.anyio
async def test_what_is_over_is_not_tagged_any_more(aws: Aws, entity: Any) -> None:
    await put(aws, entity)
    arn = next(getattr(entity, f) for f in ("task_arn", "service_arn", "task_definition_arn") if hasattr(entity, f))
    for operation, params in _operations():
        if operation != "ListTagsForResource":
            assert (await aws.refusal(operation, resourceArn=arn, **params))[0] == "InvalidParameterException"
    assert await tags_of(aws, arn) == []


def _operations() -> list[tuple[str, dict[str, Any]]]:
    return [("TagResource", {"tags": tags(a="1")}), ("UntagResource", {"tagKeys": ["a"]}), ("ListTagsForResource", {})]
