"""IAM and STS with boto3, as users, roles and Terraform call them; and ECS for callers whom policies limit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.contract.conftest import ONCE, PATIENCE, refusal
from tests.contract.whole import ACCOUNT, REGION

Session = Callable[..., Any]
TASKS = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
BY_ACCOUNT = TASKS | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
EXECUTION = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"


@pytest.fixture
def client(endpoint: str) -> Iterator[Session]:
    """Make clients of any service with any credentials, the administrator's if none are given."""
    with ExitStack() as stack:

        def make(service: str, credentials: dict[str, Any] | None = None) -> Any:
            given = credentials or {"AccessKeyId": "any", "SecretAccessKey": "any"}
            session = boto3.Session(
                given["AccessKeyId"], given["SecretAccessKey"], given.get("SessionToken"), region_name=REGION
            )
            return stack.enter_context(closing(session.client(service, endpoint_url=endpoint, config=ONCE)))

        yield make


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def test_terraform_creates_refreshes_and_destroys_a_role_with_its_policies(client: Session) -> None:
    iam = client("iam")
    tags = [{"Key": "Name", "Value": "web"}]
    made = iam.create_role(RoleName="tf", AssumeRolePolicyDocument=document(TASKS), Path="/", Tags=tags)["Role"]
    iam.get_waiter("role_exists").wait(RoleName="tf", WaiterConfig=PATIENCE)
    policy = iam.create_policy(PolicyName="tf", PolicyDocument=document(allow("ecs:*")), Path="/", Tags=tags)["Policy"]
    iam.get_waiter("policy_exists").wait(PolicyArn=policy["Arn"], WaiterConfig=PATIENCE)
    iam.attach_role_policy(RoleName="tf", PolicyArn=policy["Arn"])
    iam.attach_role_policy(RoleName="tf", PolicyArn=EXECUTION)
    iam.put_role_policy(RoleName="tf", PolicyName="inline", PolicyDocument=document(allow("logs:*")))
    iam.create_instance_profile(InstanceProfileName="tf", Path="/", Tags=tags)
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="tf", WaiterConfig=PATIENCE)
    iam.add_role_to_instance_profile(InstanceProfileName="tf", RoleName="tf")

    seen = iam.get_role(RoleName="tf")["Role"]
    assert (seen["Arn"], seen["Tags"], seen["MaxSessionDuration"]) == (made["Arn"], tags, 3600)
    assert seen["AssumeRolePolicyDocument"] == json.loads(document(TASKS)), "boto3 decodes it"
    assert iam.get_role_policy(RoleName="tf", PolicyName="inline")["PolicyDocument"]["Statement"] == [allow("logs:*")]
    assert iam.list_role_policies(RoleName="tf")["PolicyNames"] == ["inline"]
    attached = iam.get_paginator("list_attached_role_policies").paginate(
        RoleName="tf", PaginationConfig={"PageSize": 1}
    )
    assert [each["PolicyArn"] for page in attached for each in page["AttachedPolicies"]] == [EXECUTION, policy["Arn"]]
    version = iam.get_policy(PolicyArn=policy["Arn"])["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=version)["PolicyVersion"]
    assert (found["VersionId"], found["Document"]["Statement"]) == ("v1", [allow("ecs:*")])
    assert iam.get_instance_profile(InstanceProfileName="tf")["InstanceProfile"]["Roles"][0]["Arn"] == made["Arn"]

    iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=document(allow("ecs:List*")), SetAsDefault=True)
    iam.update_assume_role_policy(RoleName="tf", PolicyDocument=document(BY_ACCOUNT))
    iam.tag_role(RoleName="tf", Tags=[{"Key": "Name", "Value": "other"}])
    iam.untag_role(RoleName="tf", TagKeys=["Name"])
    assert "Tags" not in iam.get_role(RoleName="tf")["Role"]

    for profile in iam.list_instance_profiles_for_role(RoleName="tf")["InstanceProfiles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=profile["InstanceProfileName"], RoleName="tf")
    iam.delete_instance_profile(InstanceProfileName="tf")
    iam.delete_role_policy(RoleName="tf", PolicyName="inline")
    code, message = refusal(iam.delete_role, RoleName="tf")
    assert (code, message) == ("DeleteConflict", "Cannot delete entity, must detach all policies first.")
    iam.detach_role_policy(RoleName="tf", PolicyArn=EXECUTION)
    iam.detach_role_policy(RoleName="tf", PolicyArn=policy["Arn"])
    iam.delete_role(RoleName="tf")
    iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId="v1")
    iam.delete_policy(PolicyArn=policy["Arn"])
    with pytest.raises(iam.exceptions.NoSuchEntityException, match="The role with name tf cannot be found") as caught:
        iam.get_role(RoleName="tf")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_terraform_creates_refreshes_and_destroys_a_user_with_a_key(client: Session) -> None:
    iam = client("iam")
    iam.create_user(UserName="tf", Path="/", Tags=[])
    iam.get_waiter("user_exists").wait(UserName="tf", WaiterConfig=PATIENCE)
    key = iam.create_access_key(UserName="tf")["AccessKey"]
    assert iam.list_access_keys(UserName="tf")["AccessKeyMetadata"][0]["Status"] == "Active"
    iam.update_access_key(UserName="tf", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert iam.list_groups_for_user(UserName="tf")["Groups"] == []
    iam.delete_access_key(UserName="tf", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="tf")
    assert refusal(iam.get_user, UserName="tf") == ("NoSuchEntity", "The user with name tf cannot be found.")


def test_a_users_key_acts_as_the_user_and_policies_decide(client: Session) -> None:
    iam = client("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    assert client("sts", key).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    ecs = client("ecs", key)
    code, message = refusal(ecs.list_clusters)
    assert code == "AccessDeniedException"
    assert message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/ada is not authorized to perform: ecs:ListClusters because no "
        "identity-based policy allows the ecs:ListClusters action"
    )
    prod = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod"
    statements = [allow("ecs:ListClusters"), allow("ecs:DescribeClusters", resource=prod), allow("iam:Get*")]
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=document(*statements))
    ecs.list_clusters()
    ecs.describe_clusters(clusters=["prod"])
    assert refusal(ecs.describe_clusters, clusters=["prod", "test"])[0] == "AccessDeniedException"
    assert refusal(client("ec2", key).describe_vpcs)[0] == "UnauthorizedOperation"
    own = client("iam", key)
    assert own.get_user()["User"]["UserName"] == "ada"
    code, message = refusal(own.delete_user, UserName="ada")
    assert (code, "iam:DeleteUser on resource" in message) == ("AccessDenied", True)

    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refusal(ecs.list_clusters)[0] == "UnrecognizedClientException"
    assert refusal(own.get_user)[0] == "InvalidClientTokenId"
    iam.delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"])
    assert refusal(ecs.list_clusters)[0] == "UnrecognizedClientException"
    assert refusal(own.get_user)[0] == "InvalidClientTokenId"


def test_temporary_credentials_without_their_token_are_no_administrators(client: Session) -> None:
    given = client("sts").get_session_token()["Credentials"]
    ecs = client("ecs", {**given, "SessionToken": None})
    assert refusal(ecs.list_clusters)[0] == "UnrecognizedClientException"


def test_a_wrong_secret_of_a_known_key_is_no_administrator(client: Session) -> None:
    iam = client("iam")
    iam.create_user(UserName="eve")
    key = iam.create_access_key(UserName="eve")["AccessKey"]
    ecs = client("ecs", key | {"SecretAccessKey": "guessed"})
    assert refusal(ecs.list_clusters)[0] == "InvalidSignatureException"


def test_a_role_is_assumed_and_limits_what_is_done(client: Session) -> None:
    iam, sts = client("iam"), client("sts")
    iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=document(BY_ACCOUNT))
    iam.put_role_policy(RoleName="deploy", PolicyName="p", PolicyDocument=document(allow("ecs:*")))
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    answer = sts.assume_role(RoleArn=role, RoleSessionName="ci", DurationSeconds=900)
    assert client("sts", answer["Credentials"]).get_caller_identity() | {"ResponseMetadata": None} == {
        "Account": ACCOUNT,
        "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci",
        "UserId": answer["AssumedRoleUser"]["AssumedRoleId"],
        "ResponseMetadata": None,
    }
    client("ecs", answer["Credentials"]).list_clusters()
    assert refusal(client("iam", answer["Credentials"]).list_roles)[0] == "AccessDenied"
    narrow = sts.assume_role(RoleArn=role, RoleSessionName="ci", Policy=document(allow("ecs:ListClusters")))
    ecs = client("ecs", narrow["Credentials"])
    ecs.list_clusters()
    _, message = refusal(ecs.list_task_definitions)
    assert message.endswith("because no session policy allows the ecs:ListTaskDefinitions action")
    mixed = answer["Credentials"] | {"SessionToken": narrow["Credentials"]["SessionToken"]}
    assert refusal(client("ecs", mixed).list_clusters)[0] == "UnrecognizedClientException"
    code, _ = refusal(sts.decode_authorization_message, EncodedMessage="x")
    assert code == "InvalidAuthorizationMessageException"


def test_roles_are_passed_by_whom_policies_let(client: Session) -> None:
    iam = client("iam")
    iam.create_user(UserName="dev")
    key = iam.create_access_key(UserName="dev")["AccessKey"]
    iam.create_role(RoleName="passed", AssumeRolePolicyDocument=document(TASKS))
    iam.put_user_policy(UserName="dev", PolicyName="p", PolicyDocument=document(allow("ecs:*")))
    register: dict[str, Any] = {"family": "passing", "containerDefinitions": [{"name": "a", "image": "a", "memory": 6}]}
    ecs = client("ecs", key)
    ecs.register_task_definition(**register)
    role = f"arn:aws:iam::{ACCOUNT}:role/passed"
    code, message = refusal(ecs.register_task_definition, taskRoleArn=role, **register)
    assert (code, f"iam:PassRole on resource: {role}" in message) == ("AccessDeniedException", True)
    more = document(allow("ecs:*"), allow("iam:PassRole", resource=role))
    iam.put_user_policy(UserName="dev", PolicyName="p", PolicyDocument=more)
    ecs.register_task_definition(taskRoleArn=role, **register)


def test_the_simulator(client: Session) -> None:
    iam = client("iam")
    answer = iam.simulate_custom_policy(
        PolicyInputList=[document(allow("ecs:List*"))], ActionNames=["ecs:ListTasks", "ecs:RunTask"]
    )
    assert [each["EvalDecision"] for each in answer["EvaluationResults"]] == ["allowed", "implicitDeny"]


def test_a_policy_that_is_none_is_refused_in_the_words_of_aws(client: Session) -> None:
    iam = client("iam")
    with pytest.raises(ClientError) as caught:
        iam.create_policy(PolicyName="bad", PolicyDocument=document({"Effect": "Allow", "Action": "ecs:*"}))
    assert caught.value.response["Error"] == {
        "Type": "Sender",
        "Code": "MalformedPolicyDocument",
        "Message": "Policy statement must contain resources.",
    }
