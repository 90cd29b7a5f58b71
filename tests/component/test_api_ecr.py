"""ECR on real tables, repositories, images and tags; and the registry's front before a content in memory."""

from __future__ import annotations

import base64

import httpx
import msgspec
import pytest
from tests.aws import Aws
from tests.builders import SCOPE
from tests.registries import LAYER, MemoryContent, a_manifest, an_index, digest_of

from wherry.api.registry import tokens
from wherry.api.registry.front import Front
from wherry.model.call import Principal
from wherry.model.ecr.manifest import DOCKER
from wherry.model.errors import ClientException
from wherry.settings import Settings
from wherry.store import Store

pytestmark = pytest.mark.anyio

ACCOUNT = SCOPE.account_id
ARN = f"arn:aws:ecr:{SCOPE.region}:{ACCOUNT}:repository/team/web"
WHERE = f"in the registry with id '{ACCOUNT}'"


class Ecr:
    """ECR, its content and its front, as an administrator has them."""

    def __init__(self, store: Store) -> None:
        self.aws = Aws(store)
        self.content = MemoryContent()
        self.aws.ctx = msgspec.structs.replace(self.aws.ctx, registry=self.content)

    async def __call__(self, operation, **params):
        return await self.aws(operation, of="ecr", **params)

    async def refusal(self, operation, **params):
        return await self.aws.refusal(operation, of="ecr", **params)

    async def put(self, text, tag=None, name="team/web"):
        params = {"imageTag": tag} if tag else {}
        return await self("PutImage", repositoryName=name, imageManifest=text.decode(), **params)

    async def password(self) -> str:
        [data] = (await self("GetAuthorizationToken"))["authorizationData"]
        return base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]

    async def http(self, method, path, *, password=None, headers=None, **options) -> httpx.Response:
        def admit(scope):
            if any(name == b"origin" for name, _ in scope["headers"]):
                raise ClientException("no browsers")

        transport = httpx.ASGITransport(app=Front(self.aws.ctx, admit=admit))
        auth = ("AWS", password if password is not None else await self.password())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4566", auth=auth) as client:
            return await client.request(method, path, headers=headers, **options)


@pytest.fixture
async def ecr(memory_store: Store) -> Ecr:
    ecr = Ecr(memory_store)
    await ecr("CreateRepository", repositoryName="team/web", tags=[{"Key": "team", "Value": "blue"}])
    return ecr


async def test_a_repository_is_created_described_and_deleted(ecr):
    [found] = (await ecr("DescribeRepositories", repositoryNames=["team/web"]))["repositories"]
    assert found["repositoryArn"] == ARN
    assert (found["registryId"], found["imageTagMutability"]) == (ACCOUNT, "MUTABLE")
    assert found["repositoryUri"] == "127.0.0.1:4566/team/web"
    assert (await ecr("DeleteRepository", repositoryName="team/web"))["repository"]["repositoryArn"] == ARN
    assert (await ecr("DescribeRepositories"))["repositories"] == []


async def test_errors_of_repositories_are_those_of_ecr(ecr):
    assert await ecr.refusal("CreateRepository", repositoryName="team/web") == (
        "RepositoryAlreadyExistsException",
        f"The repository with name 'team/web' already exists {WHERE}",
    )
    for operation in ("DeleteRepository", "ListImages", "DescribeImages", "GetLifecyclePolicy"):
        assert await ecr.refusal(operation, repositoryName="none") == (
            "RepositoryNotFoundException",
            f"The repository with name 'none' does not exist {WHERE}",
        )
    assert (await ecr.refusal("CreateRepository", repositoryName="Team"))[0] == "InvalidParameterException"
    await ecr.put(a_manifest(), "1")
    code, text = await ecr.refusal("DeleteRepository", repositoryName="team/web")
    assert code == "RepositoryNotEmptyException"
    assert text.endswith("cannot be deleted because it still contains images")
    code, text = await ecr.refusal("DescribeImages", repositoryName="team/web", imageIds=[{"imageTag": "2"}])
    assert code == "ImageNotFoundException"
    assert text.startswith("The image with imageId {imageDigest:'null', imageTag:'2'} does not exist within the repo")


@pytest.mark.parametrize(
    "params",
    [
        {"imageScanningConfiguration": {"scanOnPush": True}},
        {"encryptionConfiguration": {"encryptionType": "KMS"}},
        {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"},
        {"registryId": "999999999999"},
    ],
)
async def test_what_is_not_honoured_is_refused(ecr, params):
    assert (await ecr.refusal("CreateRepository", repositoryName="new", **params))[0] == "InvalidParameterException"
    assert len((await ecr("DescribeRepositories"))["repositories"]) == 1


async def test_repositories_come_in_pages(ecr):
    for name in ("aa", "bb", "zz"):
        await ecr("CreateRepository", repositoryName=name)
    found, token = [], {}
    while True:
        page = await ecr("DescribeRepositories", maxResults=3, **token)
        found += [one["repositoryName"] for one in page["repositories"]]
        if page["nextToken"] is None:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == ["aa", "bb", "team/web", "zz"]
    assert (await ecr.refusal("DescribeRepositories", nextToken="x"))[0] == "InvalidParameterException"


async def test_tags_of_a_repository_are_added_and_taken_off(ecr):
    await ecr("TagResource", resourceArn=ARN, tags=[{"Key": "team", "Value": "red"}, {"Key": "a", "Value": "b"}])
    await ecr("UntagResource", resourceArn=ARN, tagKeys=["a", "none"])
    assert await ecr("ListTagsForResource", resourceArn=ARN) == {"tags": [{"Key": "team", "Value": "red"}]}
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    assert (await ecr.refusal("TagResource", resourceArn=ARN, tags=many))[0] == "TooManyTagsException"


async def test_an_image_is_put_listed_and_read(ecr):
    text = a_manifest()
    put = (await ecr.put(text, "1"))["image"]
    assert put["imageId"] == {"imageDigest": digest_of(text), "imageTag": "1"}
    await ecr.put(text, "2")
    listed = (await ecr("ListImages", repositoryName="team/web"))["imageIds"]
    assert listed == [{"imageDigest": digest_of(text), "imageTag": tag} for tag in ("1", "2")]
    [detail] = (await ecr("DescribeImages", repositoryName="team/web"))["imageDetails"]
    assert (detail["imageTags"], detail["imageSizeInBytes"]) == (["1", "2"], len(LAYER) + 2)
    assert detail["imageManifestMediaType"] == DOCKER
    got = await ecr("BatchGetImage", repositoryName="team/web", imageIds=[{"imageTag": "2"}, {"imageTag": "3"}])
    assert [one["imageManifest"] for one in got["images"]] == [text.decode()]
    assert [one["failureCode"] for one in got["failures"]] == ["ImageNotFound"]
    assert (await ecr.refusal("PutImage", repositoryName="team/web", imageManifest=text.decode(), imageTag="1"))[0] == (
        "ImageAlreadyExistsException"
    )


async def test_an_image_without_its_layers_or_its_parts_is_refused(ecr):
    ecr.content.missing = {digest_of(LAYER)}
    text = a_manifest()
    refused = await ecr.refusal("PutImage", repositoryName="team/web", imageManifest=text.decode())
    assert refused[0] == "LayersNotFoundException"
    refused = await ecr.refusal("PutImage", repositoryName="team/web", imageManifest=an_index(text).decode())
    assert refused[0] == "LayersNotFoundException"
    assert (await ecr("ListImages", repositoryName="team/web"))["imageIds"] == []


async def test_a_tag_moves_unless_the_repository_is_immutable(ecr):
    first, second = a_manifest(b"1"), a_manifest(b"2")
    await ecr.put(first, "latest")
    await ecr.put(second, "latest")
    untagged = await ecr("ListImages", repositoryName="team/web", filter={"tagStatus": "UNTAGGED"})
    assert untagged["imageIds"] == [{"imageDigest": digest_of(first), "imageTag": None}]
    exclusions = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    await ecr(
        "PutImageTagMutability",
        repositoryName="team/web",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=exclusions,
    )
    refused = await ecr.refusal("PutImage", repositoryName="team/web", imageManifest=first.decode(), imageTag="latest")
    assert refused[0] == "ImageTagAlreadyExistsException"
    assert refused[1].startswith("The image tag 'latest' already exists in the 'team/web' repository and cannot be")
    await ecr.put(first, "dev-1")
    await ecr.put(second, "dev-1")


async def test_images_go_by_digest_or_with_their_last_tag(ecr):
    one, two = a_manifest(b"1"), a_manifest(b"2")
    for tag in ("a", "b"):
        await ecr.put(one, tag)
    await ecr.put(two)
    gone = await ecr("BatchDeleteImage", repositoryName="team/web", imageIds=[{"imageTag": "a"}])
    assert gone["imageIds"] == [{"imageDigest": digest_of(one), "imageTag": "a"}]
    assert set(ecr.content.manifests) == {("team/web", digest_of(one)), ("team/web", digest_of(two))}
    asked = [{"imageTag": "b"}, {"imageDigest": digest_of(two)}, {"imageTag": "c"}, {"imageDigest": "no"}, {}]
    gone = await ecr("BatchDeleteImage", repositoryName="team/web", imageIds=asked)
    assert len(gone["imageIds"]) == 2
    codes = {one["failureCode"] for one in gone["failures"]}
    assert codes == {"ImageNotFound", "InvalidImageDigest", "MissingDigestAndTag"}
    assert ecr.content.manifests == {}


async def test_an_image_of_a_list_goes_only_with_the_list(ecr):
    child = a_manifest()
    listed = an_index(child)
    await ecr.put(child)
    await ecr.put(listed, "1")
    only = [{"imageDigest": digest_of(child)}]
    refused = await ecr("BatchDeleteImage", repositoryName="team/web", imageIds=only)
    assert [one["failureCode"] for one in refused["failures"]] == ["ImageReferencedByManifestList"]
    gone = await ecr("BatchDeleteImage", repositoryName="team/web", imageIds=[*only, {"imageTag": "1"}])
    assert (len(gone["imageIds"]), gone["failures"]) == (2, [])


async def test_content_that_cannot_be_removed_does_not_keep_the_rows(ecr):
    await ecr.put(a_manifest(), "1")
    ecr.content.away = True
    await ecr("DeleteRepository", repositoryName="team/web", force=True)
    assert (await ecr("DescribeRepositories"))["repositories"] == []


async def test_without_a_registry_images_are_refused_with_what_to_do(memory_store):
    aws = Aws(memory_store)
    code, text = await aws.refusal("GetAuthorizationToken", of="ecr")
    assert (code, text.endswith("Start it with WHERRY_REGISTRY=on.")) == ("InvalidParameterException", True)


async def test_a_token_says_who_it_was_given_to_until_it_expires(ecr):
    keyring, now = ecr.aws.ctx.keyring, ecr.aws.now
    [data] = (await ecr("GetAuthorizationToken"))["authorizationData"]
    assert data["expiresAt"] == now + 12 * 3600
    basic = f"Basic {data['authorizationToken']}"
    assert tokens.read(keyring, basic, now=now).is_administrator
    assert tokens.read(keyring, f"Bearer {await ecr.password()}", now=now).is_administrator
    other = base64.b64encode(b"root:" + (await ecr.password()).encode()).decode()
    for wrong in ("", "Basic !", "Basic é", "Bearer é", "Basic QVdTOng=", "Digest x", f"Basic {other}", "Bearer x.y"):
        with pytest.raises(tokens.WrongTokenError):
            tokens.read(keyring, wrong, now=now)
    with pytest.raises(tokens.WrongTokenError, match="has expired"):
        tokens.read(keyring, basic, now=now + 12 * 3600)


async def test_the_front_asks_for_a_token_and_takes_no_other(ecr):
    refused = await ecr.http("GET", "/v2/", password="wrong")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Basic realm="http://localhost:4566/",service="ecr.amazonaws.com"'
    assert refused.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert (await ecr.http("GET", "/v2/")).status_code == 200
    assert (await ecr.http("GET", "/v2/", headers={"origin": "http://evil.test"})).status_code == 400


async def test_manifests_are_pushed_and_pulled_by_tag_and_digest(ecr):
    text = a_manifest()
    path, headers = "/v2/team/web/manifests", {"content-type": DOCKER}
    pushed = await ecr.http("PUT", f"{path}/1", content=text, headers=headers)
    assert (pushed.status_code, pushed.headers["docker-content-digest"]) == (201, digest_of(text))
    for reference in ("1", digest_of(text)):
        pulled = await ecr.http("GET", f"{path}/{reference}")
        assert (pulled.content, pulled.headers["content-type"]) == (text, DOCKER)
        head = await ecr.http("HEAD", f"{path}/{reference}")
        assert head.headers["content-length"] == str(len(text))
    assert (await ecr.http("PUT", f"{path}/1", content=text, headers=headers)).status_code == 201
    assert (await ecr.http("GET", "/v2/team/web/tags/list")).json() == {"name": "team/web", "tags": ["1"]}
    missing = await ecr.http("GET", f"{path}/2")
    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize(
    ("reference", "content", "code"),
    [
        ("1", b"not json", "MANIFEST_INVALID"),
        ("1", b'{"schemaVersion": 1}', "MANIFEST_INVALID"),
        (digest_of(b"other"), a_manifest(), "DIGEST_INVALID"),
        ("-x", a_manifest(), "NAME_INVALID"),
        ("1", b" " * (4 * 1024 * 1024 + 1), "MANIFEST_INVALID"),
    ],
)
async def test_a_manifest_that_is_none_is_refused(ecr, reference, content, code):
    headers = {"content-type": DOCKER}
    refused = await ecr.http("PUT", f"/v2/team/web/manifests/{reference}", content=content, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, code)
    assert ecr.content.manifests == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/v2/team/web/manifests/1", 405),
        ("DELETE", f"/v2/team/web/blobs/{digest_of(LAYER)}", 405),
        ("GET", "/v2/_catalog", 405),
        ("GET", "/v2/none/tags/list", 404),
        ("GET", "/v2/team%2F..%2Fweb/tags/list", 400),
        ("GET", f"/v2/team%2Fweb/blobs/..%2F..%2F{digest_of(LAYER)}", 405),
        ("GET", "/v2/team/web/manifests/%00", 400),
        ("HEAD", "/v2/team/web/manifests/sha256:0a", 400),
        ("GET", f"/v2/team/web/tags/list?n={'9' * 5000}", 400),
        ("GET", "/v2/team/web/tags/list?n=-1", 400),
    ],
)
async def test_the_front_does_no_more_than_it_should(ecr, method, path, status):
    assert (await ecr.http(method, path)).status_code == status


async def test_layers_pass_through_with_nothing_but_what_the_specification_knows(ecr):
    answer = await ecr.http("PATCH", "/v2/team/web/blobs/uploads/u?_state=s", content=b"12345")
    assert answer.text == "PATCH /v2/team/web/blobs/uploads/u?_state=s 5"
    assert "x-hidden" not in answer.headers
    ecr.content.away = True
    assert (await ecr.http("HEAD", f"/v2/team/web/blobs/{digest_of(LAYER)}")).status_code == 503


async def test_a_push_creates_the_repository_only_where_the_settings_say_so(ecr):
    path = "/v2/new/blobs/uploads/"
    assert (await ecr.http("POST", path)).json()["errors"][0]["code"] == "NAME_UNKNOWN"
    ecr.aws.ctx = msgspec.structs.replace(ecr.aws.ctx, settings=Settings(registry="create-on-push"))
    assert (await ecr.http("GET", "/v2/new/tags/list")).status_code == 404
    assert (await ecr.http("POST", path)).status_code == 200
    assert (await ecr.http("GET", "/v2/new/tags/list")).json() == {"name": "new", "tags": []}


async def test_a_caller_may_do_what_its_policies_say(ecr):
    user = (await ecr.aws("CreateUser", of="iam", UserName="ada"))["User"]
    document = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ecr:GetDownloadUrlForLayer",'
        f'"ecr:InitiateLayerUpload"], "Resource": "{ARN}"}}]}}'
    )
    await ecr.aws("PutUserPolicy", of="iam", UserName="ada", PolicyName="p", PolicyDocument=document)
    ada = Principal(
        account_id=ACCOUNT,
        arn=user["Arn"],
        access_key_id="AKIAADA",
        user_id=user["UserId"],
        identity_arn=user["Arn"],
        identity_id=user["UserId"],
    )
    await ecr("CreateRepository", repositoryName="other")
    password = tokens.make(ecr.aws.ctx.keyring, ada, expires_at=ecr.aws.now + 60)
    layer = digest_of(LAYER)
    assert (await ecr.http("GET", f"/v2/team/web/blobs/{layer}", password=password)).status_code == 200
    refused = await ecr.http("GET", f"/v2/other/blobs/{layer}", password=password)
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["message"].startswith(
        f"User: {ada.arn} is not authorized to perform: ecr:GetDownloadUrlForLayer on resource: {ARN[:-8]}other"
    )
    assert (await ecr.http("PUT", "/v2/team/web/manifests/1", password=password)).status_code == 403
    # What may not be pulled from there may not be taken over from there.
    taken = await ecr.http("POST", f"/v2/team/web/blobs/uploads/?mount={layer}&from=other", password=password)
    assert taken.text == "POST /v2/team/web/blobs/uploads/ 0"
    own = await ecr.http("POST", f"/v2/team/web/blobs/uploads/?mount={layer}&from=team/web", password=password)
    assert own.text.endswith(f"?mount={layer}&from=team/web 0")


@pytest.mark.parametrize(
    ("query", "passed"),
    [
        ("mount=sha256:0a&from=team/web&digest=x", "?mount=sha256:0a&from=team/web"),
        ("mount=sha256:0a&from=team/web&from=other&mount=x", "?mount=sha256:0a&from=team/web"),
        ("mount=sha256:0a%26from%3Dother&from=team/web", "?mount=sha256:0a%26from%3Dother&from=team/web"),
        ("mount=sha256:0a", ""),
        ("from=team/web", ""),
    ],
)
async def test_the_registry_is_told_no_other_source_of_a_layer_than_was_checked(ecr, query, passed):
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await ecr.http("POST", f"/v2/team/web/blobs/uploads/?{query}", content=b"from=other", headers=form)
    assert answer.text == f"POST /v2/team/web/blobs/uploads/{passed} 10"
    assert ecr.content.media_type == "application/octet-stream"


@pytest.mark.parametrize("source", ["team/web;", "..", "team/web%zz", "%00"])
async def test_a_layer_is_taken_over_from_a_repository_only(ecr, source):
    refused = await ecr.http("POST", f"/v2/team/web/blobs/uploads/?mount=sha256:0a&from={source}")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "NAME_INVALID")
