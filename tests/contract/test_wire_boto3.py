"""boto3 over HTTP against the gateway as it is served, with a toy table of handlers."""

import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from functools import partial

import anyio
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from wherry.model.call import Principal
from wherry.model.errors import ConflictException
from wherry.wire import server
from wherry.wire.gateway import Gateway
from wherry.wire.sigv4 import Secret
from wherry.wire.trust import Trust

ACCOUNT, REGION, MAX_BODY = "123456789012", "eu-west-1", 64 * 1024


def a_secret(key, secret, arn, **more):
    principal = Principal(account_id=ACCOUNT, arn=arn, access_key_id=key)
    return Secret(secret_access_key=secret, principal=principal, **more)


ANN = a_secret("AKIAANN", "ann's secret", f"arn:aws:iam::{ACCOUNT}:user/ann")
BOB = a_secret("ASIABOB", "bob's", f"arn:aws:sts::{ACCOUNT}:assumed-role/b/b", session_token="token")
KEYS = {"AKIAANN": ANN, "ASIABOB": BOB}


async def credentials(key, _token):
    return KEYS.get(key)


async def allow_all(_call):
    return None


async def create_service(call):
    if call.params["serviceName"] == "taken":
        raise ConflictException("Taken.", resourceIds=["arn:x"])
    return {"service": {**{name: call.params[name] for name in ("serviceName", "tags")}, "createdAt": 1_700_000_000.25}}


async def get_caller_identity(call):
    return {"Account": call.principal.account_id, "Arn": call.principal.arn, "UserId": call.principal.access_key_id}


async def describe_subnets(call):
    return {"Subnets": [{"SubnetId": name, "DefaultForAz": True} for name in call.params["SubnetIds"]]}


SERVICES = {
    "ecs": {"CreateService": create_service},
    "sts": {"GetCallerIdentity": get_caller_identity},
    "ec2": {"DescribeSubnets": describe_subnets},
}


def serve(trust):
    gateway = Gateway(
        services=SERVICES,
        region=REGION,
        account_id=ACCOUNT,
        trust=trust,
        clock=time.time,
        entropy=os.urandom,
        authorize=allow_all,
        max_body=MAX_BODY,
    )
    listening, leave = threading.Event(), anyio.Event()

    async def run():
        async with anyio.create_task_group() as group:
            await group.start(server.serve, gateway, gateway, bound)
            loop.append(anyio.lowlevel.current_token())
            listening.set()
            await leave.wait()
            group.cancel_scope.cancel()

    loop = []
    with closing(server.listen("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=partial(anyio.run, run))
        thread.start()
        assert listening.wait(30)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        anyio.from_thread.run_sync(leave.set, token=loop[0])
        thread.join(30)


@pytest.fixture(scope="module")
def believing():
    yield from serve(Trust(listen="127.0.0.1", credentials=credentials))


@pytest.fixture(scope="module")
def strict():
    yield from serve(Trust(listen="127.0.0.1", strict=True, credentials=credentials))


@pytest.fixture
def client():
    made = []

    def make(service, url, *, key="AKIAANN", secret=ANN.secret_access_key, token=None, region=REGION):
        session = boto3.Session(key, secret, token, region_name=region)
        made.append(session.client(service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1})))
        return made[-1]

    yield make
    for each in made:
        each.close()


def code_of(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


@pytest.fixture(params=["believing", "strict"])
def url(request):
    return request.getfixturevalue(request.param)


def test_the_three_protocols_work(client, url):
    tags = [{"key": "a", "value": "ü"}]
    service = client("ecs", url).create_service(serviceName="web", tags=tags)["service"]
    assert (service["serviceName"], service["tags"]) == ("web", tags)
    assert service["createdAt"].timestamp() == 1_700_000_000.25
    assert client("sts", url).get_caller_identity()["UserId"] == "AKIAANN"
    subnets = client("ec2", url).describe_subnets(SubnetIds=["subnet-a", "subnet-b"])["Subnets"]
    assert subnets == [{"SubnetId": name, "DefaultForAz": True} for name in ("subnet-a", "subnet-b")]


def test_modelled_errors_are_the_clients_exceptions(client, url):
    ecs = client("ecs", url)
    with pytest.raises(ecs.exceptions.ConflictException) as caught:
        ecs.create_service(serviceName="taken")
    assert caught.value.response["resourceIds"] == ["arn:x"]
    assert caught.value.response["ResponseMetadata"]["RequestId"]


def test_what_is_not_there_says_so(client, url):
    assert code_of(client("ecs", url).list_tasks) == "NotImplementedException"
    assert code_of(client("sts", url).get_session_token) == "NotImplementedException"
    assert code_of(client("ec2", url).describe_vpcs) == "NotImplementedException"


def test_principals_are_the_proven_ones(client, believing, strict):
    assert client("sts", strict).get_caller_identity()["Arn"] == ANN.principal.arn
    bob = {"key": "ASIABOB", "secret": BOB.secret_access_key, "token": BOB.session_token}
    assert client("sts", strict, **bob).get_caller_identity()["Arn"] == BOB.principal.arn
    root = f"arn:aws:iam::{ACCOUNT}:root"
    assert client("sts", believing, key="x", secret="y", region="us-east-1").get_caller_identity()["Arn"] == root
    assert client("sts", believing, **bob).get_caller_identity()["Arn"] == BOB.principal.arn, "a key that is known"
    assert code_of(client("sts", believing, **bob | {"secret": "y"}).get_caller_identity) == "SignatureDoesNotMatch"


def test_calls_of_global_services_may_be_signed_for_their_region(client, strict):
    assert client("sts", strict, region="us-east-1").get_caller_identity()["Arn"] == ANN.principal.arn
    assert code_of(client("ecs", strict, region="us-east-1").list_clusters) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({"secret": "wrong"}, ("InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure")),
        ({"region": "eu-central-1"}, ("InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure")),
        ({"key": "NOBODY"}, ("UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure")),
        ({"token": "wrong"}, ("UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure")),
    ],
)
def test_each_protocol_has_its_words_for_a_signature_that_proves_nothing(client, strict, options, codes):
    assert (
        code_of(client("ecs", strict, **options).list_clusters),
        code_of(client("sts", strict, **options).get_caller_identity),
        code_of(client("ec2", strict, **options).describe_vpcs),
    ) == codes


def test_a_presigned_url_works_until_it_is_changed(client, strict):
    url = client("sts", strict).generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    with urllib.request.urlopen(url) as response:
        assert ANN.principal.arn.encode() in response.read()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
    with caught.value as refusal:
        assert (refusal.code, b"SignatureDoesNotMatch" in refusal.read()) == (403, True)


def test_a_body_over_the_limit_is_refused_and_the_client_reads_why(client, url):
    name = "x" * (2 * MAX_BODY)
    with pytest.raises(ClientError) as caught:
        client("ecs", url).create_service(serviceName=name)
    assert caught.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
        ({}, 200),
    ],
)
def test_browsers_and_foreign_names_are_refused_on_the_socket(believing, headers, status):
    connection = http.client.HTTPConnection(believing.removeprefix("http://"))
    try:
        connection.request("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", headers=headers)
        response = connection.getresponse()
        assert (response.status, "access-control-allow-origin" in response.headers) == (status, False)
        assert response.headers["x-amzn-requestid"]
        response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE"])
def test_other_methods_are_refused_in_form(believing, method):
    connection = http.client.HTTPConnection(believing.removeprefix("http://"))
    try:
        connection.request(method, "/")
        response = connection.getresponse()
        body = response.read()
        assert (response.status, bool(response.headers["x-amzn-requestid"])) == (405, True)
        assert (b"MethodNotAllowed" in body) == (method != "HEAD")
    finally:
        connection.close()
