"""boto3, Terraform's calls and a client of the distribution specification against a control plane with its registry."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import boto3
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from tests.contract.conftest import ONCE, refusal
from tests.contract.whole import ACCOUNT, REGION
from tests.registries import CONFIG, LAYER, a_manifest, an_index, digest_of

from wherry.app.control_plane import run_control_plane
from wherry.model.ecr.manifest import DOCKER, OCI_INDEX
from wherry.settings import Settings

MIB = 1024 * 1024


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[str]:
    settings = Settings(port=0, data_dir=directory, region=REGION, account_id=ACCOUNT, registry="on")
    async with anyio.create_task_group() as group:
        port = await group.start(partial(run_control_plane, settings))
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(_running(directory)) as url:
        yield url


def client(service: str, endpoint: str, key: str = "any", secret: str = "any") -> Any:
    return boto3.Session(key, secret, region_name=REGION).client(service, endpoint_url=endpoint, config=ONCE)


@pytest.fixture(scope="module")
def ecr(endpoint: str) -> Iterator[Any]:
    with closing(client("ecr", endpoint)) as made:
        yield made


def registry(ecr: Any) -> httpx.Client:
    """Speak to the registry with the caller's token, where the token says that it is."""
    [data] = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return httpx.Client(base_url=data["proxyEndpoint"], auth=(user, password), timeout=60)


@pytest.fixture(scope="module")
def http(ecr: Any) -> Iterator[httpx.Client]:
    with registry(ecr) as made:
        yield made


def upload(http: httpx.Client, repository: str, content: bytes) -> str:
    """Upload a layer in two pieces; returns its digest."""
    begun = http.post(f"/v2/{repository}/blobs/uploads/")
    assert begun.status_code == 202, begun.text
    half = len(content) // 2
    sent = http.patch(begun.headers["location"], content=content[:half])
    assert sent.status_code == 202, sent.text
    digest = digest_of(content)
    done = http.put(f"{sent.headers['location']}&digest={digest}", content=content[half:])
    assert done.status_code == 201, done.text
    return digest


def push(http: httpx.Client, repository: str, tag: str, *layers: bytes) -> str:
    for content in (CONFIG, *(layers or (LAYER,))):
        upload(http, repository, content)
    text = a_manifest(*layers)
    headers = {"content-type": DOCKER}
    done = http.put(f"/v2/{repository}/manifests/{tag}", content=text, headers=headers)
    assert done.status_code == 201, done.text
    return digest_of(text)


def test_what_is_pushed_is_described_and_pulled(ecr: Any, http: httpx.Client) -> None:
    ecr.create_repository(repositoryName="pushed")
    digest = push(http, "pushed", "1")
    [detail] = ecr.describe_images(repositoryName="pushed")["imageDetails"]
    assert (detail["imageDigest"], detail["imageTags"]) == (digest, ["1"])
    [image] = ecr.batch_get_image(repositoryName="pushed", imageIds=[{"imageTag": "1"}])["images"]
    assert image["imageManifest"].encode() == a_manifest()
    assert http.get(f"/v2/pushed/blobs/{digest_of(LAYER)}").content == LAYER
    part = http.get(f"/v2/pushed/blobs/{digest_of(LAYER)}", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, LAYER[2:5])


def test_a_list_for_two_platforms_is_kept_with_its_images(ecr: Any, http: httpx.Client) -> None:
    ecr.create_repository(repositoryName="several")
    for tag in ("amd", "arm"):
        push(http, "several", tag, tag.encode())
    text = an_index(a_manifest(b"amd"), a_manifest(b"arm"))
    done = http.put("/v2/several/manifests/all", content=text, headers={"content-type": OCI_INDEX})
    assert done.status_code == 201, done.text
    assert http.get("/v2/several/manifests/all").content == text


def test_a_manifest_without_its_layers_is_refused_by_the_registry(ecr: Any, http: httpx.Client) -> None:
    ecr.create_repository(repositoryName="hollow")
    text = a_manifest(b"never uploaded")
    refused = http.put("/v2/hollow/manifests/1", content=text, headers={"content-type": DOCKER})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "MANIFEST_BLOB_UNKNOWN")
    code, _ = refusal(ecr.put_image, repositoryName="hollow", imageManifest=text.decode())
    assert code == "LayersNotFoundException"


def test_an_image_gets_another_tag_by_put_image(ecr: Any, http: httpx.Client) -> None:
    ecr.create_repository(repositoryName="retagged")
    digest = push(http, "retagged", "1")
    ecr.put_image(repositoryName="retagged", imageManifest=a_manifest().decode(), imageTag="stable")
    assert http.head("/v2/retagged/manifests/stable").headers["docker-content-digest"] == digest
    assert http.get("/v2/retagged/tags/list").json()["tags"] == ["1", "stable"]
    first = http.get("/v2/retagged/tags/list", params={"n": 1})
    assert first.json()["tags"] == ["1"]
    following = first.headers["link"].partition(">")[0].removeprefix("<")
    assert http.get(following).json()["tags"] == ["stable"]
    ecr.batch_delete_image(repositoryName="retagged", imageIds=[{"imageDigest": digest}])
    assert http.get("/v2/retagged/manifests/1").status_code == 404


def test_a_layer_is_never_whole_in_memory(ecr: Any, http: httpx.Client) -> None:
    ecr.create_repository(repositoryName="large")
    piece, pieces = os.urandom(MIB), 256
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(piece)
    name = f"sha256:{digest.hexdigest()}"
    begun = http.post("/v2/large/blobs/uploads/").headers["location"]
    done = http.put(f"{begun}&digest={name}", content=(piece for _ in range(pieces)))
    assert done.status_code == 201, done.text
    again, size = hashlib.sha256(), 0
    with http.stream("GET", f"/v2/large/blobs/{name}") as answer:
        assert answer.headers["content-length"] == str(pieces * MIB)
        for part in answer.iter_bytes():
            again.update(part)
            size += len(part)
    assert (size, again.hexdigest()) == (pieces * MIB, digest.hexdigest())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < pieces * 1024 // 2, f"{grown} KiB more than before"


def test_a_user_may_do_in_a_repository_what_its_policies_say(ecr: Any, endpoint: str, http: httpx.Client) -> None:
    iam = client("iam", endpoint)
    mine = ecr.create_repository(repositoryName="mine")["repository"]["repositoryArn"]
    ecr.create_repository(repositoryName="theirs")
    push(http, "mine", "1")
    push(http, "theirs", "1")
    iam.create_user(UserName="puller")
    reading = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
    statements = [
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": reading, "Resource": mine},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="puller", PolicyName="pull", PolicyDocument=document)
    key = iam.create_access_key(UserName="puller")["AccessKey"]
    with registry(client("ecr", endpoint, key["AccessKeyId"], key["SecretAccessKey"])) as puller:
        assert puller.get("/v2/mine/manifests/1").status_code == 200
        assert puller.get(f"/v2/mine/blobs/{digest_of(LAYER)}").status_code == 200
        for refused in (puller.get("/v2/theirs/manifests/1"), puller.post("/v2/mine/blobs/uploads/")):
            assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "DENIED")
        iam.delete_user_policy(UserName="puller", PolicyName="pull")
        assert puller.get("/v2/mine/manifests/1").status_code == 403


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("mount={layer}&from=hidden", {}),
        ("", {"mount": "{layer}", "from": "hidden"}),
        ("mount={layer}&from=shown", {"mount": "{layer}", "from": "hidden"}),
        ("mount={layer}&from=shown;&from=hidden", {}),
        ("mount={layer}&from=shown%zz&from=hidden", {}),
    ],
)
def test_a_layer_is_taken_over_from_where_it_may_be_read_only(
    ecr: Any, endpoint: str, http: httpx.Client, query: str, form: dict[str, str]
) -> None:
    iam, name = client("iam", endpoint), f"taker-{os.urandom(4).hex()}"
    for repository in ("hidden", "shown", name):
        with suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=repository)
    layer = upload(http, "hidden", b"a secret")
    iam.create_user(UserName=name)
    arns = [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{one}" for one in ("shown", name)]
    statements = [{"Effect": "Allow", "Action": "ecr:*", "Resource": arns}]
    statements.append({"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"})
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="push", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    with registry(client("ecr", endpoint, key["AccessKeyId"], key["SecretAccessKey"])) as taker:
        data = {member: value.format(layer=layer) for member, value in form.items()}
        begun = taker.post(f"/v2/{name}/blobs/uploads/?{query.format(layer=layer)}", data=data)
        assert begun.status_code in (202, 400), begun.text
        assert taker.get(f"/v2/{name}/blobs/{layer}").status_code == 404


def test_terraform_creates_refreshes_updates_and_destroys_a_repository(ecr: Any) -> None:
    name = "from-terraform"
    made = ecr.create_repository(
        repositoryName=name,
        imageTagMutability="MUTABLE",
        imageScanningConfiguration={"scanOnPush": False},
        encryptionConfiguration={"encryptionType": "AES256"},
        tags=[{"Key": "team", "Value": "blue"}],
    )["repository"]
    [read] = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert read == made
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [{"Key": "team", "Value": "blue"}]
    ecr.put_image_tag_mutability(repositoryName=name, registryId=made["registryId"], imageTagMutability="IMMUTABLE")
    ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": False})
    ecr.tag_resource(resourceArn=made["repositoryArn"], tags=[{"Key": "team", "Value": "red"}])
    [read] = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert read["imageTagMutability"] == "IMMUTABLE"
    for operation, code in (
        (ecr.get_repository_policy, "RepositoryPolicyNotFoundException"),
        (ecr.get_lifecycle_policy, "LifecyclePolicyNotFoundException"),
    ):
        assert refusal(operation, repositoryName=name)[0] == code
    ecr.delete_repository(repositoryName=name, registryId=made["registryId"], force=True)
    assert refusal(ecr.describe_repositories, repositoryNames=[name])[0] == "RepositoryNotFoundException"
