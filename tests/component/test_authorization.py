"""What calls demand of their callers' policies, and what is said when these do not allow it."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.aws import Aws
from tests.builders import NOW, SCOPE, a_service, a_task, a_task_definition, an_interface

from wherry.api.authorization import decide
from wherry.api.iam.roles import create_default_role
from wherry.api.table import TABLES
from wherry.model.base import Tag
from wherry.model.call import Call, Principal
from wherry.model.errors import ApiError
from wherry.store import Store
from wherry.wire.models import load

pytestmark = pytest.mark.anyio

ACCOUNT, REGION = SCOPE.account_id, SCOPE.region
ECS = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"
SSM = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"
IAM = f"arn:aws:iam::{ACCOUNT}"
ADA = f"{IAM}:user/ada"


@pytest.fixture
def aws(memory_store: Store) -> Aws:
    return Aws(memory_store)


def allow(action, resource="*", effect="Allow", **condition):
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


async def a_user(aws, *statements):
    user = (await aws("CreateUser", of="iam", UserName="ada"))["User"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        await aws("PutUserPolicy", of="iam", UserName="ada", PolicyName="p", PolicyDocument=document)
    return Principal(
        account_id=ACCOUNT,
        arn=user["Arn"],
        access_key_id="AKIAADA",
        user_id=user["UserId"],
        identity_arn=user["Arn"],
        identity_id=user["UserId"],
    )


def a_call(principal, service, operation, **params):
    return Call(
        service=service,
        operation=operation,
        params=params,
        principal=principal,
        region=REGION,
        request_id="",
        source_ip="10.0.0.9",
    )


async def ask(aws, principal, service, operation, **params):
    """Return None if the call is allowed, else code, status and message of the denial."""
    try:
        await decide.authorize(aws.ctx, a_call(principal, service, operation, **params))
    except ApiError as error:
        return error.code, error.status, error.message
    return None


async def put(aws, *entities):
    await aws.store.write(lambda tx: [tx.put(entity) for entity in entities])


async def test_whoever_has_no_policy_may_do_nothing_but_ask_who_they_are(aws):
    ada = await a_user(aws)
    for service, table in TABLES.items():
        for operation in table:
            if service != "sts":
                with pytest.raises((ApiError, KeyError)):
                    await decide.authorize(aws.ctx, a_call(ada, service, operation))
    assert await ask(aws, ada, "sts", "GetCallerIdentity") is None


async def test_the_administrator_may_do_everything(aws):
    root = Principal(account_id=ACCOUNT, arn=f"{IAM}:root", access_key_id="x")
    assert await ask(aws, root, "ecs", "DeleteCluster", cluster="prod") is None


@pytest.mark.parametrize(
    ("service", "operation", "params", "error", "on"),
    [
        ("ecs", "StopTask", {"task": "0123"}, ("AccessDeniedException", 400), f" on resource: {ECS}:task/default/0123"),
        ("iam", "GetRole", {"RoleName": "task"}, ("AccessDenied", 403), f" on resource: {IAM}:role/task"),
        ("ec2", "DescribeVpcs", {}, ("UnauthorizedOperation", 403), ""),
        ("ssm", "PutParameter", {"Name": "/a/b"}, ("AccessDeniedException", 400), f" on resource: {SSM}/a/b"),
    ],
)
async def test_each_service_denies_in_its_own_words(aws, service, operation, params, error, on):  # noqa: PLR0917 - a table
    action = f"{service}:{operation}"
    sentence = (
        f"User: {ADA} is not authorized to perform: {action}{on} because no identity-based policy allows the {action} "
        "action"
    )
    if service == "ec2":
        sentence = f"You are not authorized to perform this operation. {sentence}"
    assert await ask(aws, await a_user(aws), service, operation, **params) == (*error, sentence)


@pytest.mark.parametrize(
    ("service", "operation", "params", "resource"),
    [
        ("ecs", "DescribeClusters", {}, f"{ECS}:cluster/default"),
        ("ecs", "DeleteCluster", {"cluster": f"{ECS}:cluster/prod"}, f"{ECS}:cluster/prod"),
        ("ecs", "CreateService", {"cluster": "prod", "serviceName": "web"}, f"{ECS}:service/prod/web"),
        ("ecs", "DescribeServices", {"services": [f"{ECS}:service/prod/web"]}, f"{ECS}:service/prod/web"),
        ("ecs", "DescribeServices", {"cluster": "prod", "services": [f"{ECS}:service/web"]}, f"{ECS}:service/prod/web"),
        ("ecs", "DescribeTasks", {"cluster": "prod", "tasks": [f"{ECS}:task/0123"]}, f"{ECS}:task/prod/0123"),
        ("ecs", "ListTasks", {"cluster": "prod"}, f"{ECS}:container-instance/prod/*"),
        ("ecs", "Poll", {"containerInstance": f"{ECS}:container-instance/prod/01"},
         f"{ECS}:container-instance/prod/01"),
        ("ecs", "SubmitTaskStateChange", {"task": f"{ECS}:task/prod/01"}, f"{ECS}:cluster/prod"),
        ("ecs", "RunTask", {"taskDefinition": "web"}, f"{ECS}:task-definition/web:2"),
        ("ecs", "RunTask", {"taskDefinition": "web:01"}, f"{ECS}:task-definition/web:1"),
        ("ecs", "RunTask", {"taskDefinition": "none"}, f"{ECS}:task-definition/none:1"),
        ("ecs", "DeleteTaskDefinitions", {"taskDefinitions": ["web:01"]}, f"{ECS}:task-definition/web:1"),
        ("ecs", "TagResource", {"resourceArn": f"{ECS}:cluster/a", "tags": []}, f"{ECS}:cluster/a"),
        ("logs", "CreateLogGroup", {"logGroupName": "/ecs/web"}, f"{LOGS}:/ecs/web:log-stream:"),
        ("logs", "PutLogEvents", {"logGroupName": "g", "logStreamName": "s"}, f"{LOGS}:g:log-stream:s"),
        ("logs", "GetLogEvents", {"logGroupIdentifier": f"{LOGS}:g:*", "logStreamName": "s"}, f"{LOGS}:g:log-stream:s"),
        ("logs", "DescribeLogGroups", {}, f"{LOGS}::log-stream:"),
        ("logs", "TagResource", {"resourceArn": f"{LOGS}:g:*", "tags": {}}, f"{LOGS}:g"),
        ("ssm", "GetParameters", {"Names": ["/a/b:3"]}, f"{SSM}/a/b"),
        ("ssm", "GetParameter", {"Name": "flat:label"}, f"{SSM}/flat"),
        ("ssm", "GetParameter", {"Name": f"{SSM}/a/b:3"}, f"{SSM}/a/b"),
        ("ssm", "GetParametersByPath", {"Path": "/a"}, f"{SSM}/a"),
        ("secretsmanager", "CreateSecret", {"Name": "new"}, f"{SECRET}:new"),
        ("secretsmanager", "GetSecretValue", {"SecretId": "nobody"}, f"{SECRET}:nobody"),
        ("iam", "CreatePolicy", {"PolicyName": "p", "Path": "/team/"}, f"{IAM}:policy/team/p"),
        ("iam", "AttachRolePolicy", {"RoleName": "task", "PolicyArn": "arn:aws:iam::aws:policy/x"}, f"{IAM}:role/task"),
        ("iam", "CreateAccessKey", {}, ADA),
        ("iam", "ListRoles", {}, f"{IAM}:role/"),
        ("iam", "AddUserToGroup", {"GroupName": "crew", "UserName": "ada"}, f"{IAM}:group/crew"),
    ],
)  # fmt: skip
async def test_a_call_demands_its_action_on_what_it_names(aws, service, operation, params, resource):
    await put(aws, a_task_definition(revision=1), a_task_definition(revision=2))
    ada = await a_user(aws, allow(f"{service}:{operation}", resource.replace("*", "${*}")))
    assert await ask(aws, ada, service, operation, **params) is None
    denying = allow(f"{service}:*", resource.replace("*", "${*}"), effect="Deny")
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("*"), denying]})
    await aws("PutUserPolicy", of="iam", UserName="ada", PolicyName="p", PolicyDocument=document)
    code, _, message = await ask(aws, ada, service, operation, **params)
    assert code in ("AccessDeniedException", "AccessDenied")
    assert message.endswith("with an explicit deny in an identity-based policy")


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("stepfunctions", "StartExecution", "states:StartExecution"),
        ("dynamodbstreams", "GetRecords", "dynamodb:GetRecords"),
        ("elbv2", "DescribeRules", "elasticloadbalancing:DescribeRules"),
        ("cloudwatch", "PutMetricData", "cloudwatch:PutMetricData"),
        ("resourcegroupstaggingapi", "GetResources", "tag:GetResources"),
        ("sqs", "ListQueues", "sqs:ListQueues"),
    ],
)
async def test_policies_call_services_what_they_do_on_aws(aws, service, operation, action):
    ada = await a_user(aws, allow(action))
    call = msgspec.structs.replace(a_call(ada, service, operation), signing_name=load(service).signing_name)
    await decide.authorize(aws.ctx, call)
    await aws("DeleteUserPolicy", of="iam", UserName="ada", PolicyName="p")
    with pytest.raises(ApiError, match=f"is not authorized to perform: {action}"):
        await decide.authorize(aws.ctx, call)


async def test_all_that_a_call_names_must_be_allowed(aws):
    ada = await a_user(aws, allow("ecs:DescribeTasks", f"{ECS}:task/prod/*"))
    assert await ask(aws, ada, "ecs", "DescribeTasks", cluster="prod", tasks=["1", "2"]) is None
    assert await ask(aws, ada, "ecs", "DescribeTasks", cluster="prod", tasks=["1", f"{ECS}:task/test/2"]) is not None
    assert await ask(aws, ada, "ecs", "DescribeTasks", cluster="prod", tasks=[]) is not None, "nothing named is all"


async def test_a_report_is_about_the_clusters_that_it_changes_whatever_it_names(aws):
    for number, cluster in enumerate(("prod", "test"), 1):
        task = a_task(number=number, cluster=cluster)
        interface = an_interface(task, number=number)
        await put(aws, task, interface)
    prod, test = (
        {"attachmentArn": SCOPE.attachment(a_task(number=number).attachment.id), "status": "DETACHED"}
        for number in (1, 2)
    )
    ada = await a_user(aws, allow("ecs:Submit*", f"{ECS}:cluster/test"), allow("ecs:Submit*", f"{ECS}:cluster/x/*"))

    async def may(operation, **params):
        return await ask(aws, ada, "ecs", operation, **params) is None

    attachments = "SubmitAttachmentStateChanges"
    assert await may(attachments, cluster="test", attachments=[test])
    assert await may(attachments, cluster="agents", attachments=[test]), "the agent's own cluster plays no part"
    assert not await may(attachments, cluster="test", attachments=[prod])
    assert not await may(attachments, cluster="test", attachments=[test, prod])
    assert await may(attachments, cluster="test", attachments=[])
    assert not await may(attachments, cluster="agents", attachments=[{"attachmentArn": "x/y", "status": "DETACHED"}])
    assert await may("SubmitTaskStateChange", cluster="test", task="0123")
    assert not await may("SubmitTaskStateChange", cluster="x/prod", task="0123")


async def test_conditions_see_the_cluster_and_the_tags(aws):
    tags = (Tag(key="team", value="a"),)
    await put(aws, a_task(cluster="prod", tags=tags), a_service(cluster="prod", tags=tags))
    in_prod = allow("ecs:*", ArnEquals={"ecs:cluster": SCOPE.cluster("prod")})
    ada = await a_user(aws, in_prod)
    assert await ask(aws, ada, "ecs", "ListServices", cluster="prod") is None
    assert await ask(aws, ada, "ecs", "ListServices") is not None
    tagged = allow("ecs:*", StringEquals={"aws:ResourceTag/team": "a", "ecs:ResourceTag/team": "a"})
    document = json.dumps({"Version": "2012-10-17", "Statement": [tagged]})
    await aws("PutUserPolicy", of="iam", UserName="ada", PolicyName="p", PolicyDocument=document)
    assert await ask(aws, ada, "ecs", "DescribeServices", cluster="prod", services=["web"]) is None
    assert await ask(aws, ada, "ecs", "StopTask", cluster="prod", task=f"{1:032x}") is None
    assert await ask(aws, ada, "ecs", "StopTask", cluster="prod", task=f"{2:032x}") is not None


async def test_conditions_see_who_calls_from_where_and_what_it_tags(aws):
    conditions = {
        "StringEquals": {"aws:username": "ada", "aws:RequestedRegion": REGION, "aws:RequestTag/team": "a"},
        "ArnLike": {"aws:PrincipalArn": f"{IAM}:user/*"},
        "IpAddress": {"aws:SourceIp": "10.0.0.0/24"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]},
        "Null": {"aws:MultiFactorAuthPresent": "true"},
    }
    ada = await a_user(aws, allow("ecs:CreateCluster", **conditions))
    team = {"key": "team", "value": "a"}
    assert await ask(aws, ada, "ecs", "CreateCluster", tags=[team]) is None
    assert await ask(aws, ada, "ecs", "CreateCluster", tags=[team, {"key": "other", "value": "a"}]) is not None
    assert await ask(aws, ada, "ecs", "CreateCluster") is not None


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("ecr", "UntagResource", {"resourceArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/web", "tagKeys": "*"}),
        ("ecs", "UntagResource", {"resourceArn": f"{ECS}:cluster/prod", "tagKeys": "*"}),
        ("iam", "UntagRole", {"RoleName": "web", "TagKeys": "*"}),
        ("logs", "UntagResource", {"resourceArn": f"{LOGS}:g", "tagKeys": "*"}),
        ("logs", "UntagLogGroup", {"logGroupName": "g", "tags": "*"}),
        ("secretsmanager", "UntagResource", {"SecretId": "db", "TagKeys": "*"}),
        ("ssm", "RemoveTagsFromResource", {"ResourceType": "Parameter", "ResourceId": "/a", "TagKeys": "*"}),
    ],
)
async def test_conditions_see_which_tags_are_taken_away(aws, service, operation, params):
    none_of_owner = {"ForAnyValue:StringEquals": {"aws:TagKeys": ["owner"]}}
    ada = await a_user(aws, allow("*"), allow("*", effect="Deny", **none_of_owner))
    for keys, is_allowed in ((["team"], True), (["team", "owner"], False)):
        given = {name: keys if value == "*" else value for name, value in params.items()}
        assert (await ask(aws, ada, service, operation, **given) is None) is is_allowed


async def test_roles_are_passed_to_tasks_only_by_whom_policies_let(aws):
    await put(aws, a_task_definition(task_role_arn=f"{IAM}:role/web"))
    passing = allow("iam:PassRole", f"{IAM}:role/web", StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"})
    ada = await a_user(aws, allow("ecs:*"), passing)
    register = {"family": "x", "containerDefinitions": []}
    assert await ask(aws, ada, "ecs", "RegisterTaskDefinition", **register) is None
    assert await ask(aws, ada, "ecs", "RegisterTaskDefinition", taskRoleArn="web", **register) is None
    _, _, message = await ask(aws, ada, "ecs", "RegisterTaskDefinition", executionRoleArn="admin", **register)
    assert f"iam:PassRole on resource: {IAM}:role/admin because" in message
    assert await ask(aws, ada, "ecs", "RunTask", taskDefinition="web") is None
    override = {"taskRoleArn": f"{IAM}:role/admin"}
    assert await ask(aws, ada, "ecs", "RunTask", taskDefinition="web", overrides=override) is not None
    await put(aws, a_task_definition(revision=2, task_role_arn=f"{IAM}:role/admin"))
    assert await ask(aws, ada, "ecs", "RunTask", taskDefinition="web") is not None, "the definition's role counts too"


async def test_roles_that_make_volumes_are_passed_to_ecs_itself(aws):
    to_ecs = allow("iam:PassRole", f"{IAM}:role/ebs", StringEquals={"iam:PassedToService": "ecs.amazonaws.com"})
    ada = await a_user(aws, allow("ecs:*"), to_ecs)
    for operation, params in (
        ("RunTask", {"taskDefinition": "web"}),
        ("StartTask", {"taskDefinition": "web", "containerInstances": ["one"]}),
        ("CreateService", {"serviceName": "web"}),
    ):
        for role, is_allowed in (("ebs", True), ("admin", False)):
            volumes = [{"name": "data", "managedEBSVolume": {"roleArn": f"{IAM}:role/{role}"}}]
            answer = await ask(aws, ada, "ecs", operation, volumeConfigurations=volumes, **params)
            assert (answer is None) is is_allowed, operation
    register = {"family": "x", "containerDefinitions": [], "taskRoleArn": "ebs"}
    assert await ask(aws, ada, "ecs", "RegisterTaskDefinition", **register) is not None


async def test_a_role_is_passed_by_the_arn_that_it_has_whatever_is_written(aws):
    made = {"scope": aws.ctx.scope, "execution": False, "entropy": aws.ctx.entropy, "now": NOW}
    await aws.store.write(lambda tx: create_default_role(tx, f"{IAM}:role/admins/deploy", **made))
    alice = await a_user(
        aws, allow("ecs:*"), allow("iam:PassRole"), allow("iam:PassRole", f"{IAM}:role/admins/*", effect="Deny")
    )
    register = {"family": "x", "containerDefinitions": []}
    for written in ("deploy", f"{IAM}:role/admins/deploy", "arn:aws:iam::999999999999:role/deploy"):
        _, _, message = await ask(aws, alice, "ecs", "RegisterTaskDefinition", taskRoleArn=written, **register)
        assert f"iam:PassRole on resource: {IAM}:role/admins/deploy with an explicit deny" in message
    new = "arn:aws:iam::999999999999:role/admins/new"
    _, _, message = await ask(aws, alice, "ecs", "RegisterTaskDefinition", taskRoleArn=new, **register)
    assert f"{IAM}:role/admins/new with an explicit deny" in message


async def test_secrets_are_told_apart_by_their_whole_arn(aws):
    made = await aws("CreateSecret", of="secretsmanager", Name="db", SecretString="x", ClientRequestToken="0" * 32)
    ada = await a_user(aws, allow("secretsmanager:*", made["ARN"]), allow("ssm:*"))
    for secret_id in ("db", made["ARN"], made["ARN"][:-7]):
        assert await ask(aws, ada, "secretsmanager", "GetSecretValue", SecretId=secret_id) is None
    assert await ask(aws, ada, "secretsmanager", "GetSecretValue", SecretId="other") is not None
    name = "/aws/reference/secretsmanager/"
    assert await ask(aws, ada, "ssm", "GetParameter", Name=f"{name}db", WithDecryption=True) is None
    assert await ask(aws, ada, "ssm", "GetParameter", Name=f"{name}other", WithDecryption=True) is not None


async def test_secrets_that_filters_choose_are_for_those_who_may_read_all(aws):
    ada = await a_user(aws, allow(["secretsmanager:BatchGetSecretValue", "secretsmanager:ListSecrets"]))
    batch = "BatchGetSecretValue"
    assert await ask(aws, ada, "secretsmanager", batch, Filters=[{"Key": "name", "Values": ["db"]}]) is not None
    assert await ask(aws, ada, "secretsmanager", batch, SecretIdList=["db"]) is not None


async def test_groups_boundaries_and_changes_count_at_once(aws):
    ada = await a_user(aws)
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("ecs:*")]})
    await aws("CreateGroup", of="iam", GroupName="crew")
    await aws("PutGroupPolicy", of="iam", GroupName="crew", PolicyName="p", PolicyDocument=document)
    assert await ask(aws, ada, "ecs", "ListClusters") is not None
    await aws("AddUserToGroup", of="iam", GroupName="crew", UserName="ada")
    assert await ask(aws, ada, "ecs", "ListClusters") is None
    nothing = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"
    await aws("PutUserPermissionsBoundary", of="iam", UserName="ada", PermissionsBoundary=nothing)
    _, _, message = await ask(aws, ada, "ecs", "ListClusters")
    assert message.endswith("because no permissions boundary allows the ecs:ListClusters action")


BOUNDARY = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"


@pytest.mark.parametrize("kind", ["Role", "User"])
@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("Attach{}Policy", {"PolicyArn": BOUNDARY}),
        ("Detach{}Policy", {"PolicyArn": BOUNDARY}),
        ("Put{}Policy", {"PolicyName": "p", "PolicyDocument": "{}"}),
        ("Delete{}Policy", {"PolicyName": "p"}),
        ("Delete{}PermissionsBoundary", {}),
    ],
)
async def test_conditions_see_the_boundary_of_whose_policies_are_changed(aws, kind, operation, params):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
    trust = {"AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    for name, boundary in (("bound", {"PermissionsBoundary": BOUNDARY}), ("free", {})):
        made = {f"{kind}Name": name} | boundary | (trust if kind == "Role" else {})
        await aws(f"Create{kind}", of="iam", **made)
    ada = await a_user(aws, allow("iam:*", StringEquals={"iam:PermissionsBoundary": BOUNDARY}))
    operation = operation.format(kind)
    assert await ask(aws, ada, "iam", operation, **{f"{kind}Name": "bound"}, **params) is None
    for other in ("free", "nobody"):
        assert await ask(aws, ada, "iam", operation, **{f"{kind}Name": other}, **params) is not None


async def test_a_user_who_is_renamed_keeps_the_path_that_policies_are_asked_about(aws):
    await aws("CreateUser", of="iam", UserName="bob", Path="/team/")
    ada = await a_user(aws, allow("iam:UpdateUser", f"{IAM}:user/team/*"))
    assert await ask(aws, ada, "iam", "UpdateUser", UserName="bob", NewUserName="rob") is None
    assert await ask(aws, ada, "iam", "UpdateUser", UserName="bob", NewPath="/boss/") is not None


async def test_another_of_the_same_name_is_another_one(aws):
    ada = await a_user(aws, allow("ecs:*"))
    await aws("DeleteUserPolicy", of="iam", UserName="ada", PolicyName="p")
    await aws("DeleteUser", of="iam", UserName="ada")
    again = await a_user(aws, allow("ecs:*"))
    assert await ask(aws, again, "ecs", "ListClusters") is None
    assert await ask(aws, ada, "ecs", "ListClusters") is not None
