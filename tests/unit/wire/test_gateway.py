"""The path of a request through the gateway, without HTTP."""

import msgspec
import pytest
import structlog

from wherry.model.errors import ClusterNotFoundException
from wherry.wire.gateway import Gateway, dispatch
from wherry.wire.message import Request
from wherry.wire.trust import Trust

ACCOUNT = "123456789012"
REQUEST_ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def anyio_backend():
    return "trio"


async def list_clusters(call):
    return {"clusterArns": [call.principal.arn, call.region, call.request_id]}


async def delete_cluster(_call):
    raise ClusterNotFoundException


async def list_tasks(_call):
    raise KeyError("a secret detail")


async def list_services(_call):
    return {"serviceArns": 5}


async def caller(call):
    return {"Account": call.principal.account_id, "Arn": call.principal.arn, "UserId": call.principal.access_key_id}


async def zones(call):
    return {"AvailabilityZones": [{"ZoneName": name} for name in call.params.get("ZoneNames", [])]}


SERVICES = {
    "ecs": {
        "ListClusters": list_clusters,
        "DeleteCluster": delete_cluster,
        "ListTasks": list_tasks,
        "ListServices": list_services,
    },
    "sts": {"GetCallerIdentity": caller},
    "ec2": {"DescribeAvailabilityZones": zones},
}


async def nobody(_key, _token):
    return None


def gateway(trust=None):
    return Gateway(
        services=SERVICES,
        region="eu-west-1",
        account_id=ACCOUNT,
        trust=trust or Trust(listen="localhost"),
        clock=lambda: 0.0,
        entropy=bytes,
    )


def json_request(operation, body=b"{}", **headers):
    named = {
        "host": "localhost:4566",
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Request(method="POST", path="/", headers=tuple(named.items()), body=body)


def form_request(text, **headers):
    named = {"host": "localhost", "content-type": "application/x-www-form-urlencoded", **headers}
    return Request(method="POST", path="/", headers=tuple(named.items()), body=text.encode())


async def answered(request, **options):
    response = await gateway(**options).answer(request)
    assert dict(response.headers)["x-amzn-requestid"] == REQUEST_ID
    return response


async def error_of(request, **options):
    response = await answered(request, **options)
    return response.status, msgspec.json.decode(response.body)["__type"]


@pytest.mark.anyio
async def test_a_believing_listener_takes_everyone_for_the_administrator_of_its_own_region():
    for authorization in ("", "garbage", "AWS4-HMAC-SHA256 Credential=AK/20200101/us-east-1/ecs/aws4_request"):
        response = await answered(json_request("ListClusters", authorization=authorization))
        assert response.status == 200
        expected = [f"arn:aws:iam::{ACCOUNT}:root", "eu-west-1", REQUEST_ID]
        assert msgspec.json.decode(response.body) == {"clusterArns": expected}


@pytest.mark.anyio
async def test_errors_of_handlers_are_answers():
    assert await error_of(json_request("DeleteCluster", b'{"cluster":"a"}')) == (400, "ClusterNotFoundException")


@pytest.mark.anyio
@pytest.mark.parametrize("operation", ["ListTasks", "ListServices"])
async def test_an_unexpected_exception_is_logged_once_and_tells_the_caller_nothing(operation):
    with structlog.testing.capture_logs() as logs:
        response = await answered(json_request(operation))
    assert response.status == 500
    assert msgspec.json.decode(response.body)["__type"] == "ServerException"
    assert b"secret" not in response.body
    assert [(entry["request_id"], entry["operation"]) for entry in logs] == [(REQUEST_ID, operation)]


@pytest.mark.anyio
async def test_unknown_and_unimplemented_operations_are_told_apart():
    assert await error_of(json_request("ListDreams")) == (400, "UnknownOperationException")
    assert await error_of(json_request("ListAttributes", b'{"targetType":"x"}')) == (501, "NotImplementedException")
    assert await error_of(json_request("ListClusters", x_amz_target="Other.ListClusters")) == (
        400,
        "UnknownOperationException",
    )
    assert await error_of(json_request("ListClusters", x_amz_target="")) == (400, "UnknownOperationException")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
async def test_json_in_a_body_that_a_web_form_can_send_is_refused(content_type):
    assert await error_of(json_request("ListClusters", content_type=content_type)) == (400, "SerializationException")


@pytest.mark.anyio
async def test_browsers_are_refused_in_the_callers_protocol():
    assert await error_of(json_request("ListClusters", origin="null")) == (403, "AccessDeniedException")
    response = await answered(form_request("Action=GetCallerIdentity&Version=2011-06-15", origin="null"))
    assert response.status == 403
    assert b"<Code>AccessDeniedException</Code>" in response.body


@pytest.mark.anyio
async def test_a_verifying_listener_wants_a_signature():
    trust = Trust(listen="localhost", strict=True, credentials=nobody)
    assert await error_of(json_request("ListClusters"), trust=trust) == (400, "MissingAuthenticationTokenException")
    response = await answered(form_request("Action=GetCallerIdentity&Version=2011-06-15"), trust=trust)
    assert response.status == 403
    assert b"<Code>MissingAuthenticationToken</Code>" in response.body


@pytest.mark.anyio
async def test_forms_find_their_service_by_scope_or_version_or_action():
    scope = "AWS4-HMAC-SHA256 Credential=AK/20200101/r/ec2/aws4_request"
    for request in (
        form_request("Action=DescribeAvailabilityZones&ZoneName.1=a", authorization=scope),
        form_request("Action=DescribeAvailabilityZones&ZoneName.1=a&Version=2016-11-15"),
        form_request("Action=DescribeAvailabilityZones&ZoneName.1=a"),
    ):
        assert b"<zoneName>a</zoneName>" in (await answered(request)).body
    assert b"<UserId></UserId>" in (await answered(form_request("Action=GetCallerIdentity"))).body


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (form_request("Version=2011-06-15"), b"MissingAction"),
        (form_request("Action=Dream&Version=2011-06-15"), b"InvalidAction"),
        (form_request("Action=Dream"), b"InvalidAction"),
        (form_request("Action=x", **{"content-type": "multipart/form-data"}), b"MalformedInput"),
        (form_request("Action=DescribeVpcs&Version=2016-11-15"), b"NotImplementedException"),
        (Request(method="GET", path="/", headers=(("host", "localhost"),)), b"MissingAction"),
        (Request(method="PUT", path="/", headers=(("host", "localhost"),)), b"MethodNotAllowed"),
    ],
)
async def test_a_form_that_means_nothing_gets_an_xml_error(request_, code):
    response = await answered(request_)
    assert b"<Code>" + code + b"</Code>" in response.body
    assert response.status >= 400


@pytest.mark.anyio
async def test_a_get_request_carries_its_form_in_the_query():
    request = Request(
        method="GET", path="/", query="Action=GetCallerIdentity&Version=2011-06-15", headers=(("host", "localhost"),)
    )
    assert f"<Account>{ACCOUNT}</Account>".encode() in (await answered(request)).body


@pytest.mark.anyio
async def test_a_compressed_body_is_refused():
    assert await error_of(json_request("ListClusters", content_encoding="gzip")) == (400, "SerializationException")


@pytest.mark.anyio
async def test_dispatch_checks_both_sides_of_a_handler():
    found = await dispatch(SERVICES, "ecs", "ListClusters", {"nextToken": None})
    assert found["clusterArns"][0] == f"arn:aws:iam::{ACCOUNT}:root"
    with pytest.raises(ClusterNotFoundException):
        await dispatch(SERVICES, "ecs", "DeleteCluster", {"cluster": "a"})
    with pytest.raises(msgspec.ValidationError):
        await dispatch(SERVICES, "ecs", "ListServices")
