"""A program in a task finds region, role, secrets, log group and metadata by itself, and may do what its role may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.e2e import python_picture
from tests.e2e.lab import REGION, Cluster, Wherry, eventually, run

pytestmark = pytest.mark.docker

GROUP, PREFIX = "/apps/identity", "app"
PASSWORD, TOKEN, PORT = "correct horse battery staple", "t0ken-of-the-api", "5432"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

PROGRAM = """
import json, os, sys, time, urllib.error, urllib.request
import boto3
from botocore.exceptions import ClientError

def refused(call, *arguments, **parameters):
    try:
        call(*arguments, **parameters)
    except ClientError as error:
        return error.response["Error"]["Code"] + ": " + error.response["Error"]["Message"]
    return "ALLOWED"

def fetched(url):
    try:
        return json.load(urllib.request.urlopen(url, timeout=5))
    except urllib.error.HTTPError as error:
        return error.code

task = fetched(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task")
container = fetched(os.environ["ECS_CONTAINER_METADATA_URI_V4"])
ecs = boto3.client("ecs")
described = ecs.describe_tasks(cluster=task["Cluster"], tasks=[task["TaskARN"]])["tasks"][0]
others = [arn for arn in ecs.list_tasks(cluster=task["Cluster"])["taskArns"] if arn != task["TaskARN"]]
print(json.dumps({
    "region": boto3.Session().region_name,
    "who": boto3.client("sts").get_caller_identity()["Arn"],
    "environment": {name: os.environ.get(name) for name in os.environ["SHOWN"].split()},
    "task": task["TaskARN"],
    "family": task["Family"],
    "container": container["Name"],
    "logs": [container["LogDriver"], container["LogOptions"]["awslogs-group"]],
    "status": described["lastStatus"],
    "stop": refused(ecs.stop_task, cluster=task["Cluster"], task=task["TaskARN"]),
    "secret": refused(boto3.client("secretsmanager").list_secrets),
    "nobody": refused(boto3.client("ecs", aws_access_key_id="any", aws_secret_access_key="any").list_clusters),
    "foreign": fetched("http://169.254.170.2" + os.environ.get("FOREIGN_CREDENTIALS", "/v2/credentials/none")),
}), flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture(scope="module")
def app(cluster: Cluster, shared: Wherry) -> str:
    """Have the roles, the secrets, the log group and a task definition; give its ARN."""
    image = python_picture.build()
    iam, ssm, secrets = (shared.client(service) for service in ("iam", "ssm", "secretsmanager"))
    allowed = {"Effect": "Allow", "Action": ["ecs:DescribeTasks", "ecs:ListTasks"], "Resource": "*"}
    iam.create_role(RoleName="app", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(
        RoleName="app",
        PolicyName="look",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    secret = secrets.create_secret(Name="db", SecretString=json.dumps({"user": "app", "password": PASSWORD}))["ARN"]
    ssm.put_parameter(Name="/api/token", Value=TOKEN, Type="SecureString")
    ssm.put_parameter(Name="/db/port", Value=PORT, Type="String")
    shared.client("logs").create_log_group(logGroupName=GROUP)
    registered = cluster.ecs.register_task_definition(
        family="identity",
        taskRoleArn="app",
        executionRoleArn="ecsTaskExecutionRole",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="512",
        memory="1024",
        containerDefinitions=[
            {
                "name": "app",
                "image": image,
                "command": ["python", "-c", PROGRAM],
                "environment": [{"name": "SHOWN", "value": "DB_PASSWORD API_TOKEN DB_PORT AWS_EXECUTION_ENV"}],
                "secrets": [
                    {"name": "DB_PASSWORD", "valueFrom": f"{secret}:password::"},
                    {"name": "API_TOKEN", "valueFrom": "/api/token"},
                    {"name": "DB_PORT", "valueFrom": f"arn:aws:ssm:{REGION}:000000000000:parameter/db/port"},
                ],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": GROUP,
                        "awslogs-region": REGION,
                        "awslogs-stream-prefix": PREFIX,
                    },
                },
            }
        ],
    )
    return str(registered["taskDefinition"]["taskDefinitionArn"])


def said(wherry: Wherry, arn: str) -> dict[str, Any]:
    """Wait for what the program has to say, in the log group where it belongs."""
    logs = wherry.client("logs")
    stream = f"{PREFIX}/app/{arn.rsplit('/', 1)[-1]}"

    def look() -> str | None:
        streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]
        events = logs.get_log_events(logGroupName=GROUP, logStreamName=stream)["events"] if streams else []
        return "\n".join(event["message"] for event in events) or None

    text = eventually(f"{stream} to have something", look) or ""
    assert text.startswith("{"), text
    found: dict[str, Any] = json.loads(text)
    return found


def credentials_uri(arn: str) -> str:
    """Read the path of a task's credentials out of its container, as only root on the host can."""
    [container] = run("docker", "ps", "-q", "--filter", f"label=com.amazonaws.ecs.task-arn={arn}").stdout.split()
    environment = json.loads(run("docker", "inspect", "--format={{json .Config.Env}}", container).stdout)
    return str(dict(one.split("=", 1) for one in environment)["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])


@pytest.mark.shows("RegisterTaskDefinition.taskRoleArn", "RegisterTaskDefinition.executionRoleArn")
def test_a_program_finds_everything_by_itself_and_may_do_what_its_role_may(
    app: str, cluster: Cluster, shared: Wherry
) -> None:
    first = cluster.run(app)
    cluster.running(first)
    overrides = {
        "containerOverrides": [
            {"name": "app", "environment": [{"name": "FOREIGN_CREDENTIALS", "value": credentials_uri(first)}]}
        ]
    }
    second = cluster.run(app, overrides=overrides)
    for arn in (first, second):
        found = said(shared, arn)
        task_id = arn.rsplit("/", 1)[-1]
        assert found["region"] == REGION
        assert found["who"] == f"arn:aws:sts::000000000000:assumed-role/app/{task_id}"
        assert found["environment"] == {
            "DB_PASSWORD": PASSWORD,
            "API_TOKEN": TOKEN,
            "DB_PORT": PORT,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        }
        assert (found["task"], found["family"], found["container"]) == (arn, "identity", "app")
        assert found["logs"] == ["awslogs", GROUP]
        assert found["stop"].startswith(
            f"AccessDeniedException: User: {found['who']} is not authorized to perform: ecs:StopTask on resource: {arn}"
        )
        assert "because no identity-based policy allows the ecs:StopTask action" in found["stop"]
        assert found["secret"].startswith("AccessDeniedException")
        # A task is not believed: whoever it says it is, it proves.
        assert found["nobody"].startswith("UnrecognizedClientException")
    assert said(shared, second)["foreign"] == 400
    for arn in (first, second):
        cluster.stop(arn)


@pytest.mark.shows("ContainerDefinition.secrets", "Secret")
def test_secrets_are_nowhere_but_in_the_container(app: str, cluster: Cluster, shared: Wherry) -> None:
    arn = cluster.run(app)
    said(shared, arn)
    cluster.stop(arn)
    for path in shared.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert PASSWORD.encode() not in content or path.name.startswith("logs.db"), path
            assert TOKEN.encode() not in content or path.name.startswith("logs.db"), path
    shown = json.dumps(cluster.ecs.describe_task_definition(taskDefinition=app), default=str)
    assert PASSWORD not in shown


def test_a_secret_that_is_not_there_fails_the_task_as_ecs_does(app: str, cluster: Cluster) -> None:
    definition = cluster.ecs.describe_task_definition(taskDefinition=app)["taskDefinition"]
    container = definition["containerDefinitions"][0] | {"secrets": [{"name": "X", "valueFrom": "/no/such"}]}
    changed = cluster.ecs.register_task_definition(
        family="no-secret",
        executionRoleArn="ecsTaskExecutionRole",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[container],
    )["taskDefinition"]["taskDefinitionArn"]
    task = cluster.stopped(cluster.run(changed))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secrets from ssm: invalid parameters: /no/such"
    )
