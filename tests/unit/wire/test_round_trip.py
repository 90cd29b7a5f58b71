"""What botocore's client writes is what we read, and what we write is what it reads, for values made from shapes."""

import datetime as dt
import math
from urllib.parse import urlsplit

import msgspec
import pytest
from botocore.awsrequest import AWSRequest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.model.errors import ApiError, ConflictException
from wherry.wire.errors import WireError
from wherry.wire.message import Request
from wherry.wire.models import load
from wherry.wire.protocols import fail, parse, serialize
from wherry.wire.xml import compile_writer

REQUEST_ID = "6f1ed002-ab5d-4c2c-bbd2-9b3c0f3f2a10"
OPERATIONS = [
    *(("ecs", name) for name in sorted(load("ecs").operation_names)),
    *(
        ("ec2", name)
        for name in (
            "AuthorizeSecurityGroupIngress",
            "CreateNetworkInterface",
            "CreateTags",
            "DescribeAvailabilityZones",
            "DescribeNetworkInterfaces",
            "DescribeSecurityGroups",
            "DescribeSubnets",
            "DescribeVpcs",
        )
    ),
    *(("sts", name) for name in sorted(load("sts").operation_names)),
    *(("elbv2", name) for name in ("CreateListener", "CreateTargetGroup", "DescribeRules", "DescribeTargetHealth")),
    *(("iam", name) for name in ("CreateRole", "GetContextKeysForCustomPolicy", "SimulateCustomPolicy")),
    *(("logs", name) for name in ("PutLogEvents", "FilterLogEvents", "GetLogFields")),
    *(("rds", name) for name in ("CreateDBInstance", "DescribeDBInstances")),
    *(("sdb", name) for name in ("BatchPutAttributes", "PutAttributes", "Select")),  # flattened lists
    *(("kms", name) for name in ("Encrypt", "Decrypt", "CreateGrant")),
]

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")), max_size=8)
MILLISECONDS = st.integers(0, 4_000_000_000_000).map(lambda number: number / 1000)
SCALARS = {
    "string": TEXT,
    "character": TEXT,
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "blob": st.binary(max_size=8),
    "timestamp": MILLISECONDS,
}


@st.composite
def values(draw, shape, *, least=0, depth=0):
    """A value of `shape`; no list, map or structure has fewer than `least` items: a form cannot say "empty"."""
    match shape.type_name:
        case "structure" if shape.is_document_type:
            return draw(st.dictionaries(TEXT, st.integers(-9, 9) | TEXT, max_size=2))
        case "structure":
            return draw(structures(shape, least=least, depth=depth))
        case "list":
            item = values(shape.member, least=least, depth=depth + 1)
            return draw(st.lists(item, min_size=least, max_size=2))
        case "map":
            item = values(shape.value, least=least, depth=depth + 1)
            return draw(st.dictionaries(TEXT.filter(bool), item, min_size=least, max_size=2))
        case name:
            return draw(SCALARS[name])


@st.composite
def structures(draw, shape, *, least, depth):
    names = list(shape.members)
    if shape.is_tagged_union:
        chosen = {draw(st.sampled_from(names))}
    else:
        few = draw(st.sets(st.sampled_from(names), max_size=3 if depth < 4 else 0)) if names else set()
        chosen = few | set(shape.required_members)
        if least and names and not chosen:
            chosen = {next((name for name in names if shape.members[name].type_name in SCALARS), names[0])}
    return {name: draw(values(shape.members[name], least=least, depth=depth + 1)) for name in names if name in chosen}


def to_botocore(value, shape):
    """The value as a Python user would give it to boto3: timestamps are datetimes."""
    match shape.type_name:
        case "structure" if not shape.is_document_type:
            return {name: to_botocore(item, shape.members[name]) for name, item in value.items()}
        case "list":
            return [to_botocore(item, shape.member) for item in value]
        case "map":
            return {key: to_botocore(item, shape.value) for key, item in value.items()}
        case "timestamp":
            return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=round(value * 1000))
        case _:
            return value


def request_of(model, protocol, params):
    """The request that botocore's client would send."""
    parts = create_serializer(protocol, include_validation=False).serialize_to_request(params, model)
    prepared = AWSRequest(
        method=parts["method"], url="http://localhost/", headers=parts["headers"], data=parts["body"]
    ).prepare()
    body = prepared.body or b""
    return Request(
        method=prepared.method,
        path="/",
        query=urlsplit(prepared.url).query,
        headers=tuple((name.lower(), str(value)) for name, value in prepared.headers.items()),
        body=body.encode() if isinstance(body, str) else body,
    )


def understood(response, shape, protocol):
    """What botocore's client makes of an answer."""
    headers = dict(response.headers)
    raw = {"status_code": response.status, "headers": headers, "body": response.body}
    parsed = create_parser(protocol).parse(raw, shape)
    metadata = parsed.pop("ResponseMetadata")
    assert metadata["RequestId"] == REQUEST_ID
    return parsed


def compiled(service_id, name):
    service = load(service_id)
    (protocol,) = service.protocols
    return service.operation(name), protocol


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_a_request_of_the_client_is_read_as_it_was_meant(service, name):
    operation, protocol = compiled(service, name)
    model = operation.service.model.operation_model(name)
    least = 0 if protocol == "json" else 1

    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def holds(data):
        if operation.input_shape is None:
            assert parse(operation, protocol, request_of(model, protocol, {})) == {}
            return
        params = data.draw(values(operation.input_shape, least=least))
        sent = to_botocore(params, operation.input_shape)
        assert parse(operation, protocol, request_of(model, protocol, sent)) == params

    holds()


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_answer_is_understood_by_the_client(service, name):
    operation, protocol = compiled(service, name)
    shape = operation.output_shape

    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def holds(data):
        least = 1 if service == "sdb" else 0  # a flattened list cannot say "empty"
        result = {} if shape is None else data.draw(values(shape, least=least))
        answer = serialize(operation, protocol, result, REQUEST_ID)
        expected = {} if shape is None else to_botocore(result, shape)
        assert understood(answer, shape, protocol) == expected

    holds()


@pytest.mark.parametrize("service", ["ecs", "sts", "ec2", "elbv2", "logs"])
@given(message=TEXT)
def test_every_modelled_error_is_understood_by_the_client(service, message):
    known = load(service)
    (protocol,) = known.protocols
    for shape in known.model.error_shapes:
        error = WireError(shape.name, message)
        parsed = understood(fail(known, protocol, error, REQUEST_ID), None, protocol)
        assert parsed["Error"]["Code"] == shape.metadata.get("error", {}).get("code", shape.name)
        assert (parsed["Error"]["Message"] or "") == message


def test_modelled_members_of_an_error_travel_and_others_do_not():
    error = ConflictException("Taken.", resourceIds=["arn:a", "arn:b"], secret="no")
    response = fail(load("ecs"), "json", error, REQUEST_ID)
    assert msgspec.json.decode(response.body) == {
        "__type": "ConflictException",
        "message": "Taken.",
        "resourceIds": ["arn:a", "arn:b"],
    }
    assert dict(response.headers)["x-amzn-errortype"] == "ConflictException"


@pytest.mark.parametrize("protocol", ["json", "query", "ec2"])
@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_error_without_a_known_service_is_still_well_formed(protocol, status):
    response = fail(None, protocol, WireError("Sorry", "<&>\x00\udcff", status=status), REQUEST_ID)
    parsed = understood(response, None, protocol)
    assert response.status == status
    assert parsed["Error"]["Code"] == "Sorry"
    assert parsed["Error"]["Message"].startswith("<&>")


def test_recursive_shapes_are_read_and_written():
    operation, protocol = compiled("logs", "GetLogFields")
    leaf = {"logFieldName": "leaf", "logFieldType": {"type": "string"}}
    result = {"logFields": [{"logFieldName": "a", "logFieldType": {"type": "x", "fields": [leaf]}}]}
    assert understood(serialize(operation, protocol, result, REQUEST_ID), operation.output_shape, protocol) == result


def test_members_that_are_none_are_left_out():
    operation, protocol = compiled("ecs", "DescribeTasks")
    answer = serialize(operation, protocol, {"tasks": [{"taskArn": "a", "group": None}], "failures": None}, REQUEST_ID)
    assert msgspec.json.decode(answer.body) == {"tasks": [{"taskArn": "a"}]}


@pytest.mark.parametrize(
    "result",
    [
        {"tasks": [{"taskArn": 5}]},
        {"tasks": [{"nonsense": "x"}]},
        {"tasks": {"taskArn": "x"}},
        {"tasks": [{"createdAt": "2020-01-01T00:00:00Z"}]},
    ],
)
def test_a_result_that_is_not_of_the_output_shape_is_not_sent(result):
    operation, protocol = compiled("ecs", "DescribeTasks")
    with pytest.raises(msgspec.ValidationError):
        serialize(operation, protocol, result, REQUEST_ID)


def test_infinite_floats_are_written_as_aws_writes_them():
    model = load("ec2").model
    shape = next(model.shape_for(name) for name in model.shape_names if model.shape_for(name).type_name == "double")
    for number, text in ((math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN"), (0.5, "0.5")):
        parts = []
        compile_writer(shape)("x", number, parts)
        assert "".join(parts) == f"<x>{text}</x>"


def test_errors_keep_their_own_status_unless_the_model_has_one():
    assert fail(load("sts"), "query", WireError("ExpiredTokenException", "x", status=500), REQUEST_ID).status == 400
    assert fail(load("ecs"), "json", ApiError("x"), REQUEST_ID).status == 400
