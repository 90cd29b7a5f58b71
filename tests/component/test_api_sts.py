"""STS: who may assume a role, for how long, within what; and who one then is."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.aws import Aws
from tests.builders import KEYRING, SCOPE

from wherry.api.authorization import decide, iam
from wherry.api.sts import sessions
from wherry.app.credentials import credentials_of
from wherry.model.call import Call
from wherry.model.errors import ApiError
from wherry.model.iam.ids import access_key_id
from wherry.store import Store
from wherry.wire.sigv4 import Reason, SignatureError

pytestmark = pytest.mark.anyio

ACCOUNT = SCOPE.account_id
IAM = f"arn:aws:iam::{ACCOUNT}"
ROLE = f"{IAM}:role/team/deploy"


@pytest.fixture
def aws(memory_store: Store) -> Aws:
    return Aws(memory_store)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})


async def a_role(aws, principal, allowed="ecs:*", **trust):
    trusted = {"Action": "sts:AssumeRole", "Principal": principal, **trust}
    await aws(
        "CreateRole",
        of="iam",
        RoleName="deploy",
        Path="/team/",
        AssumeRolePolicyDocument=document(trusted),
        MaxSessionDuration=7200,
    )
    policy = document({"Action": allowed, "Resource": "*"})
    await aws("PutRolePolicy", of="iam", RoleName="deploy", PolicyName="p", PolicyDocument=policy)


async def a_user(aws, *actions):
    await aws("CreateUser", of="iam", UserName="ada")
    if actions:
        policy = document({"Action": list(actions), "Resource": "*"})
        await aws("PutUserPolicy", of="iam", UserName="ada", PolicyName="p", PolicyDocument=policy)
    key = (await aws("CreateAccessKey", of="iam", UserName="ada"))["AccessKey"]
    return (await credentials_of(aws.ctx)(key["AccessKeyId"], None)).principal


async def assume(aws, **params):
    return await aws("AssumeRole", of="sts", **{"RoleArn": ROLE, "RoleSessionName": "ci"} | params)


async def refused(aws, **params):
    return await aws.refusal("AssumeRole", of="sts", **{"RoleArn": ROLE, "RoleSessionName": "ci"} | params)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("RoleSessionName", "x:user/root"),
        ("RoleSessionName", "a/b"),
        ("RoleSessionName", "ci\n"),
        ("RoleSessionName", "zoë"),
        ("ExternalId", "a b"),
    ],
)
async def test_names_of_sessions_are_no_more_than_names(aws, member, value):
    await a_role(aws, {"AWS": ACCOUNT})
    code, message = await refused(aws, **{member: value})
    assert code == "ValidationError"
    assert message.startswith(f"1 validation error detected: Value '{value}' at '{member[0].lower()}{member[1:]}'")
    assert "Member must satisfy regular expression pattern: [\\w+=,.@" in message


async def test_a_session_is_no_user_whatever_it_is_called(aws):
    ada = await a_user(aws)
    await a_role(aws, {"AWS": ACCOUNT}, allowed="*")
    session = (await assume(aws))["AssumedRoleUser"]["Arn"]
    role = (await aws("GetRole", of="iam", RoleName="deploy"))["Role"]
    aws.caller = msgspec.structs.replace(
        ada, arn=f"{session}:user/ada", identity_arn=role["Arn"], identity_id=role["RoleId"]
    )
    expected = ("ValidationError", "Must specify userName when calling with non-User credentials")
    for operation in ("GetUser", "CreateAccessKey", "ListAccessKeys"):
        assert await aws.refusal(operation, of="iam") == expected
    call = Call(service="iam", operation="GetUser", params={}, principal=aws.caller, region="", request_id="")
    asked = await aws.store.read(lambda tx: list(iam.demands(tx, SCOPE, call)))
    assert [demand.resource for demand in asked] == ["*"]


async def become(aws, answer):
    """Call with the credentials of an answer from now on."""
    given = answer["Credentials"]
    secret = await credentials_of(aws.ctx)(given["AccessKeyId"], given["SessionToken"])
    assert secret.secret_access_key == given["SecretAccessKey"]
    aws.caller = secret.principal


async def may(aws, service, operation, **params):
    call = Call(
        service=service, operation=operation, params=params, principal=aws.caller, region=SCOPE.region, request_id=""
    )
    try:
        await decide.authorize(aws.ctx, call)
    except ApiError:
        return False
    return True


async def test_the_administrator_assumes_a_role_that_trusts_the_account_and_is_it(aws):
    await a_role(aws, {"AWS": f"{IAM}:root"})
    answer = await assume(aws, DurationSeconds=900)
    assert answer["Credentials"]["Expiration"] == aws.now + 900
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci"
    await become(aws, answer)
    who = await aws("GetCallerIdentity", of="sts")
    role_id = (await aws("GetRole", of="iam", RoleName="deploy"))["Role"]["RoleId"]
    assert who == {
        "Account": ACCOUNT,
        "Arn": answer["AssumedRoleUser"]["Arn"],
        "UserId": f"{role_id}:ci",
    }
    assert answer["AssumedRoleUser"]["AssumedRoleId"] == who["UserId"]
    assert await may(aws, "ecs", "ListClusters")
    assert not await may(aws, "iam", "ListRoles")


async def test_a_role_for_tasks_is_for_nobody_else(aws):
    await a_role(aws, {"Service": "ecs-tasks.amazonaws.com"})
    code, message = await refused(aws)
    assert code == "AccessDenied"
    assert message == f"User: {IAM}:root is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    assert (await refused(aws, RoleArn=f"{IAM}:role/none"))[0] == "AccessDenied", "who may not learns no more"


@pytest.mark.parametrize(
    ("principal", "actions", "allowed"),
    [
        ({"AWS": f"{IAM}:root"}, (), False),
        ({"AWS": ACCOUNT}, ("sts:AssumeRole",), True),
        ({"AWS": f"{IAM}:user/ada"}, (), True),
        ({"AWS": "*"}, (), True),
        ({"AWS": f"{IAM}:user/eve"}, ("sts:*",), False),
        ({"Service": "ec2.amazonaws.com"}, ("*",), False),
    ],
)
async def test_a_user_assumes_what_trusts_them_or_what_trusts_the_account_and_they_may(
    aws, principal, actions, allowed
):
    aws.caller = None
    ada = await a_user(aws, *actions)
    await aws("CreateUser", of="iam", UserName="eve")
    await a_role(aws, principal)
    aws.caller = ada
    if allowed:
        await assume(aws)
    else:
        assert (await refused(aws))[0] == "AccessDenied"


async def test_the_external_id_is_a_condition(aws):
    await a_role(aws, {"AWS": ACCOUNT}, Condition={"StringEquals": {"sts:ExternalId": "ours"}})
    await assume(aws, ExternalId="ours")
    assert (await refused(aws, ExternalId="theirs"))[0] == "AccessDenied"
    assert (await refused(aws))[0] == "AccessDenied"


async def test_session_policies_limit_and_do_not_grant(aws):
    await a_role(aws, {"AWS": ACCOUNT})
    answer = await assume(aws, Policy=document({"Action": ["ecs:List*", "ssm:*"], "Resource": "*"}))
    assert 0 < answer["PackedPolicySize"] <= 100
    await become(aws, answer)
    assert await may(aws, "ecs", "ListClusters")
    assert not await may(aws, "ecs", "DeleteCluster", cluster="x")
    assert not await may(aws, "ssm", "DescribeParameters")
    aws.caller = None
    await become(aws, await assume(aws, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}]))
    assert not await may(aws, "ecs", "ListClusters")
    aws.caller = None
    assert (await refused(aws, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/none"}]))[0] == "ValidationError"
    assert (await refused(aws, Policy="{"))[0] == "MalformedPolicyDocumentException"
    long = document({"Action": "ecs:" + "x" * 2048, "Resource": "*"})
    assert (await refused(aws, Policy=long))[0] == "PackedPolicyTooLargeException"


async def test_a_session_lasts_as_long_as_the_role_lets_it_and_a_chained_one_an_hour(aws):
    await a_role(aws, {"AWS": ACCOUNT}, allowed="sts:AssumeRole")
    await assume(aws, DurationSeconds=7200)
    code, message = await refused(aws, DurationSeconds=7201)
    assert (code, message) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )
    await become(aws, await assume(aws))
    await assume(aws, DurationSeconds=3600)
    assert "role chaining" in (await refused(aws, DurationSeconds=3601))[1]


@pytest.mark.parametrize("member", [{"SerialNumber": "123456789"}, {"Tags": [{"Key": "a", "Value": "b"}]}])
async def test_what_sessions_do_not_have_is_refused(aws, member):
    await a_role(aws, {"AWS": ACCOUNT})
    code, message = await refused(aws, **member)
    assert (code, message.split(" ")[0]) == ("ValidationError", next(iter(member)))


async def test_credentials_end_with_their_time_and_with_their_role(aws):
    await a_role(aws, {"AWS": ACCOUNT})
    given = (await assume(aws))["Credentials"]
    look_up = credentials_of(aws.ctx)
    aws.now += 3600
    with pytest.raises(SignatureError, match="The security token included in the request is expired") as caught:
        await look_up(given["AccessKeyId"], given["SessionToken"])
    assert caught.value.reason is Reason.EXPIRED
    aws.now -= 3600
    await aws("DeleteRolePolicy", of="iam", RoleName="deploy", PolicyName="p")
    await aws("DeleteRole", of="iam", RoleName="deploy")
    await a_role(aws, {"AWS": ACCOUNT})
    with pytest.raises(SignatureError, match="is invalid") as caught:
        await look_up(given["AccessKeyId"], given["SessionToken"])
    assert caught.value.reason is Reason.UNKNOWN_KEY


async def test_a_users_key_is_refused_when_it_is_switched_off_or_gone(aws):
    ada = await a_user(aws)
    look_up = credentials_of(aws.ctx)
    for foreign in ("any", "wherry", "AKIAIOSFODNN7EXAMPLE", access_key_id("AKIA", "1" * 12, aws.ctx.entropy)):
        assert await look_up(foreign, None) is None
    change = {"UserName": "ada", "AccessKeyId": ada.access_key_id}
    await aws("UpdateAccessKey", of="iam", Status="Inactive", **change)
    with pytest.raises(SignatureError, match="is invalid"):
        await look_up(ada.access_key_id, None)
    await aws("DeleteAccessKey", of="iam", **change)
    with pytest.raises(SignatureError, match="is invalid") as caught:
        await look_up(ada.access_key_id, None)
    assert caught.value.reason is Reason.UNKNOWN_KEY


async def test_temporary_credentials_without_their_token_are_refused(aws):
    await a_role(aws, {"AWS": ACCOUNT})
    given = (await assume(aws))["Credentials"]
    with pytest.raises(SignatureError, match="is invalid") as caught:
        await credentials_of(aws.ctx)(given["AccessKeyId"], None)
    assert caught.value.reason is Reason.UNKNOWN_KEY


async def test_a_session_token_of_somebody_else_is_refused(aws):
    await a_role(aws, {"AWS": ACCOUNT})
    one, other = (await assume(aws))["Credentials"], (await assume(aws))["Credentials"]
    with pytest.raises(SignatureError, match="is invalid"):
        await credentials_of(aws.ctx)(one["AccessKeyId"], other["SessionToken"])


async def test_a_user_gets_a_session_that_is_the_user(aws):
    aws.caller = ada = await a_user(aws, "ecs:*")
    answer = await aws("GetSessionToken", of="sts")
    assert answer["Credentials"]["Expiration"] == aws.now + 43_200
    await become(aws, answer)
    assert (await aws("GetCallerIdentity", of="sts"))["Arn"] == ada.arn
    assert await may(aws, "ecs", "ListClusters")
    assert (await aws.refusal("GetSessionToken", of="sts"))[0] == "AccessDenied"


async def test_roots_session_is_root_for_an_hour(aws):
    answer = await aws("GetSessionToken", of="sts")
    assert answer["Credentials"]["Expiration"] == aws.now + 3600
    await become(aws, answer)
    assert aws.caller.is_administrator
    assert (await aws("GetCallerIdentity", of="sts"))["UserId"] == ACCOUNT


async def test_a_key_tells_its_account(aws):
    ada = await a_user(aws)
    assert await aws("GetAccessKeyInfo", of="sts", AccessKeyId=ada.access_key_id) == {"Account": ACCOUNT}
    assert (await aws.refusal("GetAccessKeyInfo", of="sts", AccessKeyId="1" * 20))[0] == "ValidationError"


async def test_what_a_task_is_given_is_such_a_session(aws):
    minted = sessions.mint(
        KEYRING,
        role_arn=ROLE,
        role_id=await _role_id(aws),
        session_name="0123",
        expires_at=aws.now + 60,
        entropy=aws.ctx.entropy,
    )
    secret = await credentials_of(aws.ctx)(minted.access_key_id, minted.session_token)
    assert secret.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/0123"


async def _role_id(aws):
    await a_role(aws, {"Service": "ecs-tasks.amazonaws.com"})
    return (await aws("GetRole", of="iam", RoleName="deploy"))["Role"]["RoleId"]
