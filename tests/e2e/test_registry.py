"""Images come from a registry: pushed by `docker push`, pulled by what task definitions say, refused to strangers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.lab import (
    BIN,
    REGION,
    Cluster,
    Wherry,
    a_wherry,
    address,
    container,
    eventually,
    free_port,
    inspected,
    reach,
    run,
)
from tests.e2e.pictures import WEB, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

ACCOUNT = "000000000000"
ECR = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
ROLE = "ecsTaskExecutionRole"
PASSWORD = "pass-of-the-registry"
HTPASSWD = "robot:$2b$05$abcdefghijklmnopqrstuueakZwMHfS9QuOyg3RI.tRGeAbu9FHSy\n"
"""PASSWORD as bcrypt."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class Docker:
    """The command `docker`, with logins of its own."""

    def __init__(self, home: Path) -> None:
        self.env = {**os.environ, "DOCKER_CONFIG": str(home)}

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("docker", *arguments, check=check, env=self.env)

    def login(self, registry: str, user: str, password: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "login", "-u", user, "--password-stdin", registry],
            input=password,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def push(self, source: str, target: str) -> str:
        """Push an image under another name and forget it here; returns its digest."""
        self("tag", source, target)
        said = self("push", target).stdout
        self.forget(target)
        return next(word for word in said.split() if word.startswith("sha256:"))

    def forget(self, *names: str) -> None:
        for name in names:
            self("rmi", name, check=False)


@pytest.fixture(scope="module")
def wherry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wherry]:
    settings = {"WHERRY_REGISTRY": "on", "WHERRY_IMAGE_PULL_BEHAVIOR": "always"}
    with a_wherry(tmp_path_factory.mktemp("wherry"), **settings) as wherry:
        wherry.up()
        yield wherry
    listed = run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    for image in listed:
        if image.startswith(ECR) or f":{wherry.port}/" in image:
            run("docker", "rmi", image, check=False)


@pytest.fixture(scope="module")
def cluster(wherry: Wherry) -> Cluster:
    return Cluster(wherry)


@pytest.fixture(scope="module")
def host(wherry: Wherry) -> str:
    """Name the registry as people call it."""
    return f"localhost:{wherry.port}"


def password_of(wherry: Wherry) -> str:
    """Get a token as the documentation says."""
    env = {**wherry.env, "AWS_ENDPOINT_URL": wherry.url, "AWS_DEFAULT_REGION": REGION}
    env |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    return run(BIN / "aws", "ecr", "get-login-password", env=env).stdout.strip()


@pytest.fixture(scope="module")
def docker(wherry: Wherry, host: str, tmp_path_factory: pytest.TempPathFactory) -> Docker:
    """Have somebody who is logged in."""
    docker = Docker(tmp_path_factory.mktemp("docker"))
    said = docker.login(host, "AWS", password_of(wherry))
    assert "Login Succeeded" in said.stdout, said.stderr
    return docker


@pytest.fixture(scope="module")
def digest(wherry: Wherry, docker: Docker, host: str) -> str:
    """Push the image that the tests run."""
    wherry.client("ecr").create_repository(repositoryName="team/backend")
    return docker.push(WEB, f"{host}/team/backend:1")


def register(cluster: Cluster, family: str, image: str, *, role: str | None = ROLE, **members: object) -> str:
    named = {"executionRoleArn": role} if role else {}
    return str(
        cluster.ecs.register_task_definition(
            family=family,
            containerDefinitions=[web(page=family, image=image, **members)],
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            **named,
        )["taskDefinition"]["taskDefinitionArn"]
    )


@pytest.mark.parametrize("family", ["by-tag", "by-digest"])
def test_a_service_runs_what_was_pushed(
    cluster: Cluster, wherry: Wherry, docker: Docker, digest: str, family: str
) -> None:
    within = "team/backend:1" if family == "by-tag" else f"team/backend@{digest}"
    image = f"{ECR}/{within}"
    cluster.serve(family, register(cluster, family, image), 1)
    cluster.stable(family)
    [task] = cluster.tasks_of(family)
    reach(address(task), family)
    found = container(task, "web")
    assert found["image"] == image
    assert found["imageDigest"] == digest
    cluster.remove(family)
    eventually("nothing to be left", lambda: wherry.remains().keys() <= {"cgroups"})
    docker.forget(image, f"127.0.0.1:{wherry.port}/{within}")


def test_a_task_may_name_the_registry_as_people_do(cluster: Cluster, host: str, digest: str) -> None:
    arn = cluster.run(register(cluster, "plain", f"{host}/team/backend:1", role=None))
    found = container(cluster.running(arn), "web")
    assert found["imageDigest"] == digest
    assert inspected(found["runtimeId"])["Config"]["Image"] == f"{host}/team/backend:1"
    cluster.stop(arn)


@pytest.mark.usefixtures("digest")
def test_an_image_that_was_not_pushed_fails_the_task_as_on_ecs(cluster: Cluster) -> None:
    task = cluster.stopped(cluster.run(register(cluster, "absent", f"{ECR}/team/backend:2")))
    assert task["stopCode"] == "TaskFailedToStart"
    reason = container(task, "web")["reason"]
    assert reason.startswith("CannotPullContainerError: The task can’t pull the image. Check whether the image exists.")  # noqa: RUF001
    assert f"manifest for {ECR}/team/backend:2 not found" in reason


@pytest.mark.usefixtures("digest")
def test_an_execution_role_that_may_not_pull_is_refused(cluster: Cluster, wherry: Wherry) -> None:
    iam = wherry.client("iam")
    iam.create_role(RoleName="nobody", AssumeRolePolicyDocument=json.dumps(TRUST))
    definition = register(cluster, "forbidden", f"{ECR}/team/backend:1", role="nobody")
    task = cluster.stopped(cluster.run(definition))
    assert task["stoppedReason"].startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve ecr registry auth: AccessDeniedException: User: arn:aws:sts::"
    )
    token = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [token]})
    iam.put_role_policy(RoleName="nobody", PolicyName="login", PolicyDocument=document)
    task = cluster.stopped(cluster.run(definition))
    assert "not authorized to perform: ecr:BatchGetImage" in container(task, "web")["reason"]


@pytest.mark.usefixtures("digest")
def test_a_wrong_token_is_refused(host: str, tmp_path: Path) -> None:
    stranger = Docker(tmp_path)
    assert "401" in stranger.login(host, "AWS", "wrong").stderr
    assert "no basic auth credentials" in stranger("pull", f"{host}/team/backend:1", check=False).stderr
    stranger("tag", WEB, f"{host}/team/backend:evil")
    refused = stranger("push", f"{host}/team/backend:evil", check=False)
    assert "no basic auth credentials" in refused.stderr
    stranger.forget(f"{host}/team/backend:evil")


def test_a_tag_that_is_immutable_is_not_overwritten(wherry: Wherry, docker: Docker, host: str) -> None:
    wherry.client("ecr").create_repository(repositoryName="fixed", imageTagMutability="IMMUTABLE")
    docker.push(WEB, f"{host}/fixed:1")
    docker("tag", "wherry-e2e/bare:1", f"{host}/fixed:1")
    refused = docker("push", f"{host}/fixed:1", check=False)
    assert "The image tag '1' already exists in the 'fixed' repository and cannot be overwritten" in refused.stderr
    docker.forget(f"{host}/fixed:1")


def test_a_repository_that_is_not_there_takes_no_push(docker: Docker, host: str) -> None:
    docker("tag", WEB, f"{host}/nowhere:1")
    refused = docker("push", f"{host}/nowhere:1", check=False)
    assert "The repository with name 'nowhere' does not exist in the registry with id" in refused.stderr
    docker.forget(f"{host}/nowhere:1")


@pytest.fixture
def private(tmp_path: Path) -> Iterator[str]:
    """Run a registry of somebody else's, which wants a user and a password; names its host."""
    port = free_port()
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "images")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "private", "path": str(tmp_path / "htpasswd")}},
    }
    (tmp_path / "settings.yml").write_text(json.dumps(settings))
    with subprocess.Popen(
        ["docker-registry", "serve", tmp_path / "settings.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        docker = Docker(tmp_path / "docker")
        eventually("the registry", lambda: docker.login(f"127.0.0.1:{port}", "robot", PASSWORD).returncode == 0)
        docker.push(WEB, f"127.0.0.1:{port}/private:1")
        yield f"127.0.0.1:{port}"
        process.terminate()


@pytest.mark.shows("ContainerDefinition.repositoryCredentials", "RepositoryCredentials")
def test_a_private_registry_is_pulled_from_by_what_is_in_a_secret(
    cluster: Cluster, wherry: Wherry, docker: Docker, private: str
) -> None:
    secrets = wherry.client("secretsmanager")
    text = json.dumps({"username": "robot", "password": PASSWORD})
    secret = secrets.create_secret(Name="registry", SecretString=text)["ARN"]

    def run_with(family: str, parameter: str) -> str:
        credentials = {"credentialsParameter": parameter}
        return cluster.run(register(cluster, family, f"{private}/private:1", repositoryCredentials=credentials))

    for parameter in (secret, "registry"):
        arn = run_with("private", parameter)
        reach(address(cluster.running(arn)), "private")
        cluster.stop(arn)
        docker.forget(f"{private}/private:1")

    secrets.put_secret_value(SecretId="registry", SecretString=json.dumps({"username": "robot", "password": "wrong"}))
    task = cluster.stopped(run_with("wrong", secret))
    assert container(task, "web")["reason"].startswith("CannotPullContainerError: ")

    secrets.put_secret_value(SecretId="registry", SecretString="no JSON")
    failure = (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed"
    )
    assert cluster.stopped(run_with("unreadable", secret))["stoppedReason"].startswith(failure)
    assert (
        "Secrets Manager can't find the specified secret"
        in (cluster.stopped(run_with("missing", "no-such-secret"))["stoppedReason"])
    )
    for path in wherry.home.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def registry_of(wherry: Wherry) -> int | None:
    """Find the process of a Wherry's registry."""
    wanted = str(wherry.data / "registry" / "settings.yml").encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in command:
            return int(path.parent.name)
    return None


def test_the_registry_is_started_again_and_dies_with_wherry(own: Wherry, tmp_path: Path) -> None:
    own.env["WHERRY_REGISTRY"] = "create-on-push"
    server = own.server()
    docker, host = Docker(tmp_path / "docker"), f"localhost:{own.port}"
    docker.login(host, "AWS", password_of(own))
    docker.push(WEB, f"{host}/kept:1")

    first = registry_of(own)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually("the registry to be there again", lambda: registry_of(own) not in (None, first))
    eventually("an image", lambda: docker("pull", f"{host}/kept:1", check=False).returncode == 0)
    docker.forget(f"{host}/kept:1")

    server.kill()
    eventually("the registry to be gone", lambda: registry_of(own) is None)
    server = own.server()
    assert docker("pull", f"{host}/kept:1").returncode == 0
    docker.forget(f"{host}/kept:1")
    own.client("ecr").delete_repository(repositoryName="kept", force=True)
    assert layers(own)
    assert server.terminate() == 0
    assert registry_of(own) is None
    own.server()
    assert not layers(own)


def layers(wherry: Wherry) -> list[Path]:
    """List what lies on the disk for images."""
    return [path for path in (wherry.data / "registry").glob("docker/registry/v2/blobs/**/data") if path.is_file()]


def test_without_the_setting_there_is_no_registry(own: Wherry) -> None:
    own.server()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{own.url}/v2/", timeout=5)
    with refused.value as answer:
        assert (answer.code, "Start it with WHERRY_REGISTRY=on." in answer.read().decode()) == (404, True)
    assert registry_of(own) is None
