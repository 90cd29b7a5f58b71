"""One Wherry passes services on to another by the settings, as it would to AWS or to an emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import boto3
import pytest
from anyio.from_thread import start_blocking_portal
from tests.contract.conftest import ONCE, refusal

from wherry.app.control_plane import run_control_plane
from wherry.app.forwards import forwards_of
from wherry.app.start import StartError
from wherry.settings import Settings

HERE, THERE = ("eu-west-1", "111111111111"), ("us-west-2", "222222222222")
CREDENTIALS = {"forward_access_key_id": "AKIATHERE", "forward_secret_access_key": "there-secret"}


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    async with anyio.create_task_group() as group:
        port = await group.start(partial(run_control_plane, settings))
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()


def a_wherry(directory: Path, place: tuple[str, str], **more: Any) -> Settings:
    return Settings(port=0, data_dir=directory, region=place[0], account_id=place[1], auth="strict", **more)


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run two: the first passes Secrets Manager and KMS on to the second, which verifies signatures."""
    there = a_wherry(
        tmp_path_factory.mktemp("there"), THERE, access_key_id="AKIATHERE", secret_access_key="there-secret"
    )
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(running(there)) as there_url,
    ):
        here = a_wherry(
            tmp_path_factory.mktemp("here"),
            HERE,
            access_key_id="AKIAHERE",
            secret_access_key="here-secret",
            forward=f"secretsmanager={there_url},kms={there_url},sqs=http://127.0.0.1:1,stepfunctions=http://127.0.0.1:1",
            forward_region=THERE[0],
            **CREDENTIALS,
        )
        with portal.wrap_async_context_manager(running(here)) as here_url:
            yield here_url, there_url


def client(service: str, endpoint: str, place: tuple[str, str], secret: str) -> Any:
    name = "AKIAHERE" if place is HERE else "AKIATHERE"
    session = boto3.Session(name, secret, region_name=place[0])
    return closing(session.client(service, endpoint_url=endpoint, config=ONCE))


def test_a_forwarded_service_answers_from_there(endpoints: tuple[str, str]) -> None:
    with (
        client("secretsmanager", endpoints[0], HERE, "here-secret") as here,
        client("secretsmanager", endpoints[1], THERE, "there-secret") as there,
        client("ssm", endpoints[0], HERE, "here-secret") as ssm,
    ):
        made = here.create_secret(Name="far", SecretString="away")
        assert made["ARN"].startswith("arn:aws:secretsmanager:us-west-2:222222222222:secret:far-")
        assert there.get_secret_value(SecretId="far")["SecretString"] == "away"
        assert refusal(here.get_secret_value, SecretId="nothing") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )
        ssm.put_parameter(Name="near", Value="by", Type="String")
        assert ssm.get_parameter(Name="near")["Parameter"]["ARN"] == "arn:aws:ssm:eu-west-1:111111111111:parameter/near"


def test_only_callers_who_are_known_here_are_passed_on(endpoints: tuple[str, str]) -> None:
    with client("secretsmanager", endpoints[0], HERE, "another secret") as here:
        assert refusal(here.list_secrets)[0] == "InvalidSignatureException"


def test_a_service_that_is_not_here_can_be_forwarded_and_says_what_is_wrong_there(endpoints: tuple[str, str]) -> None:
    with client("kms", endpoints[0], HERE, "here-secret") as kms:
        code, message = refusal(kms.list_keys)
        assert code == "UnknownOperationException"
        assert "TrentService.ListKeys" in message


def test_a_dead_endpoint_is_a_502_in_the_shape_of_the_service(endpoints: tuple[str, str]) -> None:
    with client("sqs", endpoints[0], HERE, "here-secret") as sqs:
        code, message = refusal(sqs.list_queues)
    assert code == "ServiceUnavailable"
    assert message == "The endpoint http://127.0.0.1:1 that sqs is forwarded to does not answer."


def test_a_user_is_passed_on_only_as_far_as_its_policies_allow(endpoints: tuple[str, str]) -> None:
    with client("iam", endpoints[0], HERE, "here-secret") as iam:
        iam.create_user(UserName="alice")
        iam.put_user_policy(
            UserName="alice",
            PolicyName="read",
            PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
            '"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}',
        )
        key = iam.create_access_key(UserName="alice")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=HERE[0])
    with (
        client("secretsmanager", endpoints[1], THERE, "there-secret") as there,
        closing(session.client("secretsmanager", endpoint_url=endpoints[0], config=ONCE)) as alice,
    ):
        there.create_secret(Name="shared", SecretString="seen")
        assert alice.get_secret_value(SecretId="shared")["SecretString"] == "seen"
        code, message = refusal(alice.delete_secret, SecretId="shared")
        assert code == "AccessDeniedException"
        assert "is not authorized to perform: secretsmanager:DeleteSecret" in message


def test_policies_name_a_forwarded_service_as_on_aws(endpoints: tuple[str, str]) -> None:
    with client("iam", endpoints[0], HERE, "here-secret") as iam:
        iam.create_user(UserName="stepper")
        document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"states:List*","Resource":"*"}]}'
        iam.put_user_policy(UserName="stepper", PolicyName="list", PolicyDocument=document)
        key = iam.create_access_key(UserName="stepper")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=HERE[0])
    with closing(session.client("stepfunctions", endpoint_url=endpoints[0], config=ONCE)) as steps:
        assert refusal(steps.list_activities)[0] == "ServiceUnavailable"
        _, message = refusal(steps.create_activity, name="a")
        assert "is not authorized to perform: states:CreateActivity" in message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ecs=http://127.0.0.1:1", "Wherry is this service"),
        ("lambda=http://127.0.0.1:1", "lambda cannot be forwarded"),
        ("ssm=https://ssm.eu-west-1.amazonaws.com", "wants credentials"),
    ],
)
def test_what_cannot_be_forwarded_is_said_at_the_start(text: str, sentence: str) -> None:
    with pytest.raises(StartError, match=sentence):
        forwards_of(Settings(forward=text))
