"""The AWS CLI as its users type it, with the variables that `wherry env` prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.contract.conftest import completed
from tests.contract.whole import REGION

AWS = Path(sys.executable).with_name("aws")

DEFINITION = {
    "family": "typed",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "app", "image": "fake/web:1"}],
}


class Cli:
    """Runs `aws` in a home of its own."""

    def __init__(self, endpoint: str, home: Path) -> None:
        self.home = home
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "wherry",
            "AWS_SECRET_ACCESS_KEY": "wherry",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AWS, *words], env=self.env, cwd=self.home, capture_output=True, text=True, timeout=60, check=False
        )

    def __call__(self, *words: str) -> Any:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def aws(endpoint: str, tmp_path: Path) -> Cli:
    (tmp_path / "definition.json").write_text(json.dumps(DEFINITION))
    return Cli(endpoint, tmp_path)


def test_a_typical_session(aws: Cli, ecs: Any, network: dict[str, Any]) -> None:
    subnets = ",".join(network["awsvpcConfiguration"]["subnets"])
    chosen = f"awsvpcConfiguration={{subnets=[{subnets}],assignPublicIp=ENABLED}}"
    where = ("--cluster", "typed")
    ecs.create_cluster(clusterName="typed")
    registered = aws("ecs", "register-task-definition", "--cli-input-json", "file://definition.json")
    assert registered["taskDefinition"]["revision"] == 1
    service = ("--service-name", "web", "--task-definition", "typed", "--desired-count", "1")
    aws("ecs", "create-service", *where, *service, "--launch-type", "FARGATE", "--network-configuration", chosen)
    # The CLI looks every 15 seconds; once this one has seen it, the first look is enough.
    completed(ecs, "typed", "web")
    aws("ecs", "wait", "services-stable", *where, "--services", "web")
    query = ("--query", "services[0].[status, runningCount, deployments[0].rolloutState]")
    assert aws("ecs", "describe-services", *where, "--services", "web", *query) == ["ACTIVE", 1, "COMPLETED"]


def test_a_waiter_that_waits_for_nothing_ends_with_255(aws: Cli) -> None:
    done = aws.run("ecs", "wait", "services-stable", "--services", "nothing")
    assert done.returncode == 255
    assert "MISSING" in done.stderr


def test_an_error_is_printed_as_that_of_aws(aws: Cli) -> None:
    done = aws.run("ecs", "describe-services", "--cluster", "nowhere", "--services", "web")
    assert (done.returncode, done.stdout) == (255, "")
    assert "(ClusterNotFoundException) when calling the DescribeServices operation: Cluster not found." in done.stderr


def test_deploy_is_told_that_there_is_no_codedeploy(aws: Cli, ecs: Any, network: dict[str, Any]) -> None:
    ecs.register_task_definition(**DEFINITION)
    ecs.create_service(
        serviceName="deployed",
        taskDefinition="typed",
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    (aws.home / "appspec.json").write_text(json.dumps({"version": 0.0, "Resources": []}))
    files = ("--task-definition", "definition.json", "--codedeploy-appspec", "appspec.json")
    done = aws.run("ecs", "deploy", "--service", "deployed", *files)
    assert done.returncode == 255
    assert "No service here knows the operation 'CodeDeploy_20141006.GetApplication'" in done.stderr
