"""IAM on real tables: what is made is found again, and what AWS refuses is refused in its words."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from tests.aws import Aws
from tests.builders import KEYRING, SCOPE, Counter

from wherry.api.iam import roles
from wherry.model.iam.identity import AccessKey, Attachment
from wherry.store import Store

pytestmark = pytest.mark.anyio

ACCOUNT = SCOPE.account_id
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
ALLOW = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}]}, indent=2
)
EXECUTION = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"


@pytest.fixture
def aws(memory_store: Store) -> Aws:
    return Aws(memory_store)


async def iam(aws, operation, **params):
    return await aws(operation, of="iam", **params)


async def refused(aws, operation, **params):
    return await aws.refusal(operation, of="iam", **params)


async def a_role(aws, name="task", **changes):
    return (await iam(aws, "CreateRole", **{"RoleName": name, "AssumeRolePolicyDocument": TRUST} | changes))["Role"]


async def a_policy(aws, name="everything", **changes):
    return (await iam(aws, "CreatePolicy", **{"PolicyName": name, "PolicyDocument": ALLOW} | changes))["Policy"]


async def test_a_role_lives_from_create_to_delete(aws):
    tags = [{"Key": "team", "Value": "a"}]
    made = await a_role(aws, Path="/team/", Description="for tasks", MaxSessionDuration=7200, Tags=tags)
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/team/task"
    assert made["RoleId"].startswith("AROA")
    assert unquote(made["AssumeRolePolicyDocument"]) == TRUST
    assert (await iam(aws, "GetRole", RoleName="task"))["Role"] == made
    [listed] = (await iam(aws, "ListRoles", PathPrefix="/team/"))["Roles"]
    assert (listed["RoleName"], listed.get("Tags")) == ("task", None)
    assert (await iam(aws, "ListRoles", PathPrefix="/other/"))["Roles"] == []
    await iam(aws, "UpdateRole", RoleName="task", MaxSessionDuration=3600)
    role = (await iam(aws, "GetRole", RoleName="task"))["Role"]
    assert (role["MaxSessionDuration"], role["Description"]) == (3600, "")
    await iam(aws, "DeleteRole", RoleName="task")
    assert await refused(aws, "GetRole", RoleName="task") == (
        "NoSuchEntityException",
        "The role with name task cannot be found.",
    )


async def test_names_are_told_apart_without_case(aws):
    await a_role(aws, "Task")
    code, message = await refused(aws, "CreateRole", RoleName="task", AssumeRolePolicyDocument=TRUST)
    assert (code, message) == ("EntityAlreadyExistsException", "Role with name task already exists.")


async def test_a_role_in_use_is_not_deleted(aws):
    await a_role(aws)
    await iam(aws, "AttachRolePolicy", RoleName="task", PolicyArn=EXECUTION)
    await iam(aws, "PutRolePolicy", RoleName="task", PolicyName="inline", PolicyDocument=ALLOW)
    await iam(aws, "CreateInstanceProfile", InstanceProfileName="host")
    await iam(aws, "AddRoleToInstanceProfile", InstanceProfileName="host", RoleName="task")
    for sentence, operation, more in (
        ("remove roles from instance profile", "RemoveRoleFromInstanceProfile", {"InstanceProfileName": "host"}),
        ("delete policies", "DeleteRolePolicy", {"PolicyName": "inline"}),
        ("detach all policies", "DetachRolePolicy", {"PolicyArn": EXECUTION}),
    ):
        assert await refused(aws, "DeleteRole", RoleName="task") == (
            "DeleteConflictException",
            f"Cannot delete entity, must {sentence} first.",
        )
        await iam(aws, operation, RoleName="task", **more)
    await iam(aws, "DeleteRole", RoleName="task")


async def test_pages_hold_what_is_asked_for_and_go_on_at_the_marker(aws):
    for name in "abc":
        await a_role(aws, name)
    first = await iam(aws, "ListRoles", MaxItems=2)
    assert ([role["RoleName"] for role in first["Roles"]], first["IsTruncated"]) == (["a", "b"], True)
    rest = await iam(aws, "ListRoles", MaxItems=2, Marker=first["Marker"])
    assert ([role["RoleName"] for role in rest["Roles"]], rest["IsTruncated"]) == (["c"], False)
    assert (await refused(aws, "ListRoles", Marker="made up"))[0] == "ValidationError"


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"RoleName": "no spaces"}, "The specified value for roleName is invalid."),
        ({"RoleName": "x" * 65}, "Value 'x+' at 'roleName' failed to satisfy constraint: Member must have length less"),
        ({"Path": "team"}, "The specified value for path is invalid."),
        ({"MaxSessionDuration": 50_000}, "at 'maxSessionDuration' failed to satisfy constraint"),
    ],
)
async def test_what_a_role_cannot_be_is_a_validation_error(aws, params, sentence):
    with pytest.raises(Exception, match=sentence) as caught:
        await a_role(aws, **{"RoleName": "task"} | params)
    assert caught.value.code == "ValidationError"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", "Syntax errors in policy."),
        ("[]", "This policy contains invalid Json"),
        (TRUST.replace("sts:", "ecs:"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (TRUST.replace('{"Service": "ecs-tasks.amazonaws.com"}', '{"AWS": "arn:aws:iam::000000000000:user/nobody"}'),
         'Invalid principal in policy: "AWS":"arn:aws:iam::000000000000:user/nobody"'),
    ],
)  # fmt: skip
async def test_a_bad_trust_policy_is_refused(aws, document, sentence):
    code, message = await refused(aws, "CreateRole", RoleName="task", AssumeRolePolicyDocument=document)
    assert code == "MalformedPolicyDocumentException"
    assert message == sentence or document == "[]"


async def test_a_trust_policy_is_replaced_as_a_whole(aws):
    await a_role(aws)
    await iam(aws, "CreateUser", UserName="ada")
    trusted = TRUST.replace('"Service": "ecs-tasks.amazonaws.com"', f'"AWS": "arn:aws:iam::{ACCOUNT}:user/ada"')
    await iam(aws, "UpdateAssumeRolePolicy", RoleName="task", PolicyDocument=trusted)
    role = (await iam(aws, "GetRole", RoleName="task"))["Role"]
    assert unquote(role["AssumeRolePolicyDocument"]) == trusted


async def test_versions_of_a_policy_come_and_go(aws):
    arn = (await a_policy(aws))["Arn"]
    for number in range(2, 6):
        made = await iam(aws, "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=ALLOW, SetAsDefault=number == 3)
        assert made["PolicyVersion"]["VersionId"] == f"v{number}"
    assert (await refused(aws, "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=ALLOW))[0] == (
        "LimitExceededException"
    )
    versions = (await iam(aws, "ListPolicyVersions", PolicyArn=arn))["Versions"]
    assert [(each["VersionId"], each["IsDefaultVersion"]) for each in versions] == [
        ("v5", False),
        ("v4", False),
        ("v3", True),
        ("v2", False),
        ("v1", False),
    ]
    assert await refused(aws, "DeletePolicyVersion", PolicyArn=arn, VersionId="v3") == (
        "DeleteConflictException",
        "Cannot delete the default version of a policy.",
    )
    assert (await refused(aws, "DeletePolicy", PolicyArn=arn))[0] == "DeleteConflictException"
    for version in ("v1", "v2", "v4", "v5"):
        await iam(aws, "DeletePolicyVersion", PolicyArn=arn, VersionId=version)
    made = await iam(aws, "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=ALLOW)
    assert made["PolicyVersion"]["VersionId"] == "v6", "numbers are not used again"
    await iam(aws, "SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v6")
    await iam(aws, "DeletePolicyVersion", PolicyArn=arn, VersionId="v3")
    found = (await iam(aws, "GetPolicyVersion", PolicyArn=arn, VersionId="v6"))["PolicyVersion"]
    assert unquote(found["Document"]) == ALLOW
    await iam(aws, "DeletePolicy", PolicyArn=arn)
    assert await refused(aws, "GetPolicy", PolicyArn=arn) == (
        "NoSuchEntityException",
        f"Policy {arn} was not found.",
    )


async def test_an_attached_policy_tells_to_whom_and_is_not_deleted(aws):
    arn = (await a_policy(aws))["Arn"]
    await a_role(aws)
    await iam(aws, "CreateUser", UserName="ada")
    await iam(aws, "CreateGroup", GroupName="crew")
    for noun, name in (("Role", "task"), ("User", "ada"), ("Group", "crew")):
        await iam(aws, f"Attach{noun}Policy", PolicyArn=arn, **{f"{noun}Name": name})
        await iam(aws, f"Attach{noun}Policy", PolicyArn=arn, **{f"{noun}Name": name})
        listed = await iam(aws, f"ListAttached{noun}Policies", **{f"{noun}Name": name})
        assert listed["AttachedPolicies"] == [{"PolicyName": "everything", "PolicyArn": arn}]
    assert (await iam(aws, "GetPolicy", PolicyArn=arn))["Policy"]["AttachmentCount"] == 3
    entities = await iam(aws, "ListEntitiesForPolicy", PolicyArn=arn)
    assert [len(entities[f"Policy{noun}s"]) for noun in ("Role", "User", "Group")] == [1, 1, 1]
    only = await iam(aws, "ListEntitiesForPolicy", PolicyArn=arn, EntityFilter="User")
    assert (only["PolicyRoles"], only["PolicyUsers"][0]["UserName"]) == ([], "ada")
    assert (await refused(aws, "DeletePolicy", PolicyArn=arn))[1] == "Cannot delete a policy attached to entities."
    await iam(aws, "DetachUserPolicy", UserName="ada", PolicyArn=arn)
    assert (await refused(aws, "DetachUserPolicy", UserName="ada", PolicyArn=arn))[0] == "NoSuchEntityException"


async def test_only_ten_policies_are_attached(aws):
    await a_role(aws)
    for number in range(11):
        arn = (await a_policy(aws, f"p{number}"))["Arn"]
        if number < 10:
            await iam(aws, "AttachRolePolicy", RoleName="task", PolicyArn=arn)
    assert await refused(aws, "AttachRolePolicy", RoleName="task", PolicyArn=arn) == (
        "LimitExceededException",
        "Cannot exceed quota for PoliciesPerRole: 10",
    )


async def test_the_policies_of_aws_are_there_and_nobody_changes_them(aws):
    found = (await iam(aws, "GetPolicy", PolicyArn=EXECUTION))["Policy"]
    assert (found["PolicyName"], found["Path"]) == ("AmazonECSTaskExecutionRolePolicy", "/service-role/")
    listed = await iam(aws, "ListPolicies", Scope="AWS")
    assert EXECUTION in [policy["Arn"] for policy in listed["Policies"]]
    assert (await refused(aws, "DeletePolicy", PolicyArn=EXECUTION))[0] == "AccessDenied"
    await a_policy(aws)
    assert [policy["PolicyName"] for policy in (await iam(aws, "ListPolicies", Scope="Local"))["Policies"]] == [
        "everything"
    ]
    assert (await iam(aws, "ListPolicies", OnlyAttached=True))["Policies"] == []


@pytest.mark.parametrize(("noun", "name"), [("Role", "task"), ("User", "ada"), ("Group", "crew")])
async def test_inline_policies(aws, noun, name):
    await a_role(aws)
    await iam(aws, "CreateUser", UserName="ada")
    await iam(aws, "CreateGroup", GroupName="crew")
    who = {f"{noun}Name": name}
    await iam(aws, f"Put{noun}Policy", PolicyName="b", PolicyDocument=ALLOW, **who)
    await iam(aws, f"Put{noun}Policy", PolicyName="a", PolicyDocument=ALLOW, **who)
    assert (await iam(aws, f"List{noun}Policies", **who))["PolicyNames"] == ["a", "b"]
    found = await iam(aws, f"Get{noun}Policy", PolicyName="a", **who)
    assert (unquote(found["PolicyDocument"]), found[f"{noun}Name"]) == (ALLOW, name)
    await iam(aws, f"Delete{noun}Policy", PolicyName="a", **who)
    assert await refused(aws, f"Get{noun}Policy", PolicyName="a", **who) == (
        "NoSuchEntityException",
        f"The {noun.lower()} policy with name a cannot be found.",
    )
    long = ALLOW.replace("ecs:*", "ecs:" + "x" * 11_000)
    assert (await refused(aws, f"Put{noun}Policy", PolicyName="a", PolicyDocument=long, **who))[0] == (
        "LimitExceededException"
    )


async def test_access_keys_are_sealed_and_at_most_two(aws):
    await iam(aws, "CreateUser", UserName="ada")
    made = (await iam(aws, "CreateAccessKey", UserName="ada"))["AccessKey"]
    stored = await aws.store.read(lambda tx: tx.get(AccessKey, made["AccessKeyId"]))
    assert made["AccessKeyId"].startswith("AKIA")
    assert made["SecretAccessKey"] not in repr(stored) + stored.sealed_secret
    assert KEYRING.open(stored.sealed_secret, owner=made["AccessKeyId"]) == made["SecretAccessKey"]
    await iam(aws, "CreateAccessKey", UserName="ada")
    assert await refused(aws, "CreateAccessKey", UserName="ada") == (
        "LimitExceededException",
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )
    await iam(aws, "UpdateAccessKey", UserName="ada", AccessKeyId=made["AccessKeyId"], Status="Inactive")
    keys = (await iam(aws, "ListAccessKeys", UserName="ada"))["AccessKeyMetadata"]
    assert {key["AccessKeyId"]: key["Status"] for key in keys}[made["AccessKeyId"]] == "Inactive"
    assert "must delete access keys first" in (await refused(aws, "DeleteUser", UserName="ada"))[1]
    for key in keys:
        await iam(aws, "DeleteAccessKey", UserName="ada", AccessKeyId=key["AccessKeyId"])
    await iam(aws, "DeleteUser", UserName="ada")
    assert (await refused(aws, "CreateAccessKey"))[1] == "Must specify userName when calling with non-User credentials"


async def test_a_renamed_user_keeps_what_is_theirs(aws):
    await iam(aws, "CreateUser", UserName="ada")
    await iam(aws, "CreateGroup", GroupName="crew")
    await iam(aws, "AddUserToGroup", GroupName="crew", UserName="ada")
    await iam(aws, "AttachUserPolicy", UserName="ada", PolicyArn=EXECUTION)
    key = (await iam(aws, "CreateAccessKey", UserName="ada"))["AccessKey"]["AccessKeyId"]
    await iam(aws, "UpdateUser", UserName="ada", NewUserName="Ada", NewPath="/team/")
    assert (await iam(aws, "GetUser", UserName="Ada"))["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/Ada"
    assert [group["GroupName"] for group in (await iam(aws, "ListGroupsForUser", UserName="Ada"))["Groups"]] == ["crew"]
    assert len((await iam(aws, "ListAttachedUserPolicies", UserName="Ada"))["AttachedPolicies"]) == 1
    [listed] = (await iam(aws, "ListAccessKeys", UserName="Ada"))["AccessKeyMetadata"]
    assert listed["AccessKeyId"] == key
    assert (await refused(aws, "GetUser", UserName="ada"))[0] == "NoSuchEntityException"


async def test_groups_hold_users(aws):
    await iam(aws, "CreateUser", UserName="ada")
    await iam(aws, "CreateGroup", GroupName="crew")
    await iam(aws, "AddUserToGroup", GroupName="crew", UserName="ada")
    await iam(aws, "AddUserToGroup", GroupName="crew", UserName="ada")
    assert [user["UserName"] for user in (await iam(aws, "GetGroup", GroupName="crew"))["Users"]] == ["ada"]
    assert [group["GroupName"] for group in (await iam(aws, "ListGroups"))["Groups"]] == ["crew"]
    assert (await refused(aws, "DeleteGroup", GroupName="crew"))[1].endswith("must remove users from group first.")
    assert (await refused(aws, "DeleteUser", UserName="ada"))[1].endswith("must remove users from group first.")
    await iam(aws, "RemoveUserFromGroup", GroupName="crew", UserName="ada")
    await iam(aws, "DeleteGroup", GroupName="crew")


async def test_an_instance_profile_has_at_most_one_role(aws):
    await a_role(aws)
    made = (await iam(aws, "CreateInstanceProfile", InstanceProfileName="host", Path="/fleet/"))["InstanceProfile"]
    assert (made["Arn"], made["Roles"]) == (f"arn:aws:iam::{ACCOUNT}:instance-profile/fleet/host", [])
    await iam(aws, "AddRoleToInstanceProfile", InstanceProfileName="host", RoleName="task")
    assert (await refused(aws, "AddRoleToInstanceProfile", InstanceProfileName="host", RoleName="task"))[0] == (
        "LimitExceededException"
    )
    [found] = (await iam(aws, "ListInstanceProfilesForRole", RoleName="task"))["InstanceProfiles"]
    assert found["Roles"][0]["RoleName"] == "task"
    assert [each["InstanceProfileName"] for each in (await iam(aws, "ListInstanceProfiles"))["InstanceProfiles"]] == [
        "host"
    ]
    assert (await refused(aws, "DeleteInstanceProfile", InstanceProfileName="host"))[0] == "DeleteConflictException"
    await iam(aws, "RemoveRoleFromInstanceProfile", InstanceProfileName="host", RoleName="task")
    await iam(aws, "DeleteInstanceProfile", InstanceProfileName="host")
    assert await refused(aws, "GetInstanceProfile", InstanceProfileName="host") == (
        "NoSuchEntityException",
        "Instance Profile host cannot be found.",
    )


async def test_tags_are_told_apart_without_case(aws):
    arn = (await a_policy(aws))["Arn"]
    await a_role(aws, Tags=[{"Key": "Team", "Value": "a"}])
    await iam(aws, "CreateUser", UserName="ada")
    await iam(aws, "CreateInstanceProfile", InstanceProfileName="host")
    for noun, who in (
        ("Role", {"RoleName": "task"}),
        ("User", {"UserName": "ada"}),
        ("Policy", {"PolicyArn": arn}),
        ("InstanceProfile", {"InstanceProfileName": "host"}),
    ):
        await iam(aws, f"Tag{noun}", Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}], **who)
        assert (await iam(aws, f"List{noun}Tags", **who))["Tags"] == [
            {"Key": "team", "Value": "b"},
            {"Key": "x", "Value": ""},
        ]
        await iam(aws, f"Untag{noun}", TagKeys=["TEAM"], **who)
        assert (await iam(aws, f"List{noun}Tags", **who))["Tags"] == [{"Key": "x", "Value": ""}]
    code, _ = await refused(aws, "TagRole", RoleName="task", Tags=[{"Key": "aws:x", "Value": ""}])
    assert code == "InvalidInputException"


async def test_a_boundary_must_exist_and_is_counted(aws):
    arn = (await a_policy(aws))["Arn"]
    await a_role(aws, PermissionsBoundary=arn)
    role = (await iam(aws, "GetRole", RoleName="task"))["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    policy = (await iam(aws, "GetPolicy", PolicyArn=arn))["Policy"]
    assert (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"]) == (0, 1)
    bounded = await iam(aws, "ListEntitiesForPolicy", PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")
    assert [each["RoleName"] for each in bounded["PolicyRoles"]] == ["task"]
    assert (await refused(aws, "DeletePolicy", PolicyArn=arn))[0] == "DeleteConflictException"
    await iam(aws, "DeleteRolePermissionsBoundary", RoleName="task")
    await iam(aws, "DeletePolicy", PolicyArn=arn)
    assert (await refused(aws, "PutRolePermissionsBoundary", RoleName="task", PermissionsBoundary=arn))[0] == (
        "NoSuchEntityException"
    )


async def test_the_service_linked_role_of_ecs_is_made_once_and_changed_by_nobody(aws):
    role = (await iam(aws, "CreateServiceLinkedRole", AWSServiceName="ecs.amazonaws.com"))["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    code, message = await refused(aws, "CreateServiceLinkedRole", AWSServiceName="ecs.amazonaws.com")
    assert (code, message[:40]) == ("InvalidInputException", "Service role name AWSServiceRoleForECS h")
    assert (await refused(aws, "CreateServiceLinkedRole", AWSServiceName="x.amazonaws.com"))[0] == (
        "InvalidInputException"
    )
    for operation, more in (("DeleteRole", {}), ("AttachRolePolicy", {"PolicyArn": EXECUTION})):
        code, _ = await refused(aws, operation, RoleName="AWSServiceRoleForECS", **more)
        assert code == "UnmodifiableEntityException"


async def test_root_is_a_user_of_its_own_and_the_account_counts(aws):
    assert (await iam(aws, "GetUser"))["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    await a_role(aws)
    summary = (await iam(aws, "GetAccountSummary"))["SummaryMap"]
    assert (summary["Roles"], summary["Users"], summary["VersionsPerPolicyQuota"]) == (1, 0, 5)


async def test_the_simulator_decides_as_calls_are_decided(aws):
    arn = (await a_policy(aws))["Arn"]
    role = await a_role(aws)
    await iam(aws, "AttachRolePolicy", RoleName="task", PolicyArn=arn)
    deny = ALLOW.replace("Allow", "Deny").replace("ecs:*", "ecs:Delete*")
    await iam(aws, "PutRolePolicy", RoleName="task", PolicyName="no", PolicyDocument=deny)
    actions = ["ecs:RunTask", "ecs:DeleteCluster", "ssm:GetParameter"]
    answer = await iam(aws, "SimulatePrincipalPolicy", PolicySourceArn=role["Arn"], ActionNames=actions)
    assert [result["EvalDecision"] for result in answer["EvaluationResults"]] == [
        "allowed",
        "explicitDeny",
        "implicitDeny",
    ]
    assert answer["EvaluationResults"][0]["MatchedStatements"] == [
        {"SourcePolicyId": "everything", "SourcePolicyType": "user-managed"}
    ]
    conditional = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Action": "ecs:*",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:username": "ada"}},
            },
        }
    )
    asked = {"PolicyInputList": [conditional], "ActionNames": ["ecs:RunTask"]}
    [result] = (await iam(aws, "SimulateCustomPolicy", **asked))["EvaluationResults"]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("implicitDeny", ["aws:username"])
    entry = {"ContextKeyName": "aws:username", "ContextKeyValues": ["ada"], "ContextKeyType": "string"}
    [result] = (await iam(aws, "SimulateCustomPolicy", ContextEntries=[entry], **asked))["EvaluationResults"]
    assert result["EvalDecision"] == "allowed"
    bounded = await iam(aws, "SimulateCustomPolicy", PermissionsBoundaryPolicyInputList=[deny], **asked)
    assert bounded["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"
    code, _ = await refused(aws, "SimulateCustomPolicy", ResourcePolicy=ALLOW, **asked)
    assert code == "InvalidInputException"


@pytest.mark.parametrize("ref", ["late", f"arn:aws:iam::{ACCOUNT}:role/team/late"])
async def test_a_role_that_a_task_definition_names_is_made_as_tasks_need_it(aws, ref):
    options = {"scope": SCOPE, "execution": True, "entropy": Counter(), "now": aws.now}
    made = await aws.store.write(lambda tx: roles.create_default_role(tx, ref, **options))
    assert await aws.store.read(lambda tx: roles.find_role(tx, ref, SCOPE)) == made
    assert await aws.store.read(lambda tx: roles.find_role(tx, "arn:aws:iam::000000000000:role/late2", SCOPE)) is None
    assert await aws.store.read(lambda tx: tx.count(Attachment, identity_arn=made.arn, policy_arn=EXECUTION)) == 1
    assert roles.may_be_assumed_by(made)
    assert not roles.may_be_assumed_by(made, "ec2.amazonaws.com")
    assert (await iam(aws, "GetRole", RoleName="late"))["Role"]["Path"] == ("/team/" if "team" in ref else "/")
