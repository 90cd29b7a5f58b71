"""Requests that no client of AWS would send: each gets a 400 that says what is wrong, and none a 500."""

from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.model.errors import ApiError, InvalidParameterException, SerializationException
from wherry.wire.errors import WireError
from wherry.wire.form import MAX_PARAMETERS
from wherry.wire.message import Request
from wherry.wire.models import load
from wherry.wire.protocols import parse


def json_params(body, operation="CreateService", service="ecs"):
    return parse(load(service).operation(operation), "json", Request(method="POST", path="/", body=body))


def form_params(body, operation="DescribeVpcs", service="ec2"):
    compiled = load(service).operation(operation)
    (protocol,) = load(service).protocols
    text = body if isinstance(body, str) else urlencode(body)
    return parse(compiled, protocol, Request(method="POST", path="/", body=text.encode()))


def test_unknown_members_are_ignored_and_null_is_absence():
    body = b'{"serviceName":"a","cluster":null,"new":{"deep":[1]},"networkConfiguration":{"other":1}}'
    assert json_params(body) == {"serviceName": "a", "networkConfiguration": {}}


def test_an_empty_body_has_no_members():
    assert json_params(b"", "ListClusters") == {}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"serviceName":5}', "serviceName"),
        (b'{"serviceName":"a","desiredCount":"2"}', "desiredCount"),
        (b'{"serviceName":"a","desiredCount":1.5}', "desiredCount"),
        (b'{"serviceName":"a","desiredCount":2147483648}', "desiredCount"),
        (b'{"serviceName":"a","desiredCount":true}', "desiredCount"),
        (b'{"serviceName":"a","enableECSManagedTags":"true"}', "enableECSManagedTags"),
        (b'{"serviceName":"a","tags":{}}', "tags"),
        (b'{"serviceName":"a","tags":[{"key":"a"},{"key":[]}]}', "tags[1].key"),
        (b'{"serviceName":"a","tags":[null]}', "tags[0]"),
        (
            b'{"serviceName":"a","networkConfiguration":{"awsvpcConfiguration":{"subnets":[1]}}}',
            "networkConfiguration.awsvpcConfiguration.subnets[0]",
        ),
    ],
)
def test_a_wrong_type_is_named_by_its_path(body, path):
    with pytest.raises(SerializationException) as caught:
        json_params(body)
    assert caught.value.status == 400
    assert caught.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"{}x",
        b'{"serviceName":"a",}',
        b'{"serviceName":"a","desiredCount":NaN}',
        b'{"serviceName":"a","desiredCount":1e999}',
        b'{"serviceName":"a","desiredCount":' + b"9" * 5000 + b"}",
        b'{"serviceName":"\xff"}',
        b'{"serviceName":"\\ud800"}',
        b'{"serviceName":"\\\\\\u0000"}',
        b'{"serviceName":"a","serviceName":"b"}',
        b'{"serviceName":"a","new":{"x":1,"x":2}}',
        b"\xef\xbb\xbf{}",
        b'{"serviceName":"a","deep":' + b"[" * 100_000,
        b'{"serviceName":"a","deep":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"serviceName":"a","deep":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    ],
)
def test_what_is_no_plain_json_object_is_a_serialization_exception(body):
    with pytest.raises(SerializationException):
        json_params(body)


def test_a_backslash_before_u0000_is_no_nul():
    assert json_params(b'{"serviceName":"\\\\u0000"}') == {"serviceName": "\\u0000"}


def test_nesting_has_a_limit_where_the_model_sets_none():
    def body(depth):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        return b'{"serviceName":"a","deploymentConfiguration":{"lifecycleHooks":[{"hookDetails":%s}]}}' % nested

    assert json_params(body(50))["serviceName"] == "a"
    with pytest.raises(SerializationException, match="nests deeper"):
        json_params(body(70))


@pytest.mark.parametrize(
    ("operation", "body", "sentence"),
    [
        ("CreateService", b"{}", "ServiceName should not be null."),
        ("CreateService", b'{"serviceName":null}', "ServiceName should not be null."),
        ("DescribeTasks", b"{}", "Tasks cannot be empty."),
        ("StartTask", b'{"taskDefinition":"a"}', "Container Instances cannot be empty."),
        (
            "RegisterTaskDefinition",
            b'{"family":"a","containerDefinitions":[{},{"logConfiguration":{}}]}',
            "containerDefinitions[1].logConfiguration.logDriver should not be null.",
        ),
    ],
)
def test_a_missing_required_member_is_the_services_own_error(operation, body, sentence):
    with pytest.raises(InvalidParameterException) as caught:
        json_params(body, operation)
    assert caught.value.message == sentence


def test_a_service_without_that_error_has_a_validation_exception():
    with pytest.raises(WireError) as caught:
        json_params(b"{}", "CreateGrant", "kms")
    assert (caught.value.code, caught.value.message) == ("ValidationException", "KeyId should not be null.")


def test_a_form_without_a_required_parameter_names_it():
    with pytest.raises(WireError) as caught:
        form_params({"Action": "AssumeRole"}, "AssumeRole", "sts")
    assert caught.value.code == "MissingParameter"
    assert "RoleArn" in caught.value.message


def test_a_union_has_exactly_one_member():
    operation = "CreateGateway"
    shape = load("ecs").operation(operation).input_shape.members["configuration"]
    assert shape.is_tagged_union
    with pytest.raises(SerializationException, match="configuration: exactly one"):
        json_params(b'{"name":"a","infrastructureRoleArn":"b","configuration":{}}', operation)


def test_list_items_of_a_form_may_have_gaps_and_any_order():
    found = form_params(
        {"VpcId.10": "c", "VpcId.2": "b", "VpcId.1": "a", "Filter.3.Name": "x", "Filter.3.Value.7": "y"}
    )
    assert found == {"VpcIds": ["a", "b", "c"], "Filters": [{"Name": "x", "Values": ["y"]}]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"MaxResults": "many"}, "InvalidParameterValue"),
        ({"MaxResults": "9" * 5000}, "InvalidParameterValue"),
        ({"MaxResults": "2147483648"}, "InvalidParameterValue"),
        ({"DryRun": "maybe"}, "InvalidParameterValue"),
        ({"VpcId": "a"}, "InvalidParameterValue"),
        ({"VpcId.x": "a"}, "InvalidParameterValue"),
        ({"VpcId." + "9" * 5000: "a"}, "InvalidParameterValue"),
        ({"VpcId.1.b": "a"}, "InvalidParameterValue"),
        ({"Filter.1": "a"}, "InvalidParameterValue"),
        ({"NextToken.a": "a"}, "InvalidParameterValue"),
        ({"A": "1", "A.b": "2"}, "MalformedQueryString"),
        ({"A.b": "1", "A": "2"}, "MalformedQueryString"),
        ({"A.b": "1", "A.b.c": "2"}, "MalformedQueryString"),
        ({".".join("a" * 100): "1"}, "MalformedQueryString"),
        ("A=1&A=2", "MalformedQueryString"),
        ("A=%00", "MalformedQueryString"),
        ("A=%FF", "MalformedQueryString"),
        ("&".join(f"A.{number}=1" for number in range(MAX_PARAMETERS + 1)), "MalformedQueryString"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(body, code):
    with pytest.raises(WireError) as caught:
        form_params(body)
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize("text", ["never", "2024-13-01", "1e400", "-1", "9" * 5000, "", "999999999999"])
def test_a_timestamp_of_a_form_is_iso_8601_or_epoch_seconds_of_this_calendar(text):
    operation = load("ec2").operation("DescribeSpotPriceHistory")
    name = "StartTime"
    with pytest.raises(WireError):
        operation.reader({name: text}, "")
    assert operation.reader({name: "2024-01-02T03:04:05.5Z"}, "") == {name: 1704164645.5}
    assert operation.reader({name: "1704164645.5"}, "") == {name: 1704164645.5}


def status_of(read, *arguments):
    """The HTTP status of reading; anything but an `ApiError` would come through."""
    try:
        read(*arguments)
    except ApiError as error:
        return error.status
    return 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["serviceName", "tags", "key", "networkConfiguration", "loadBalancers", "deploymentConfiguration"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(value=JSON)
def test_any_json_is_read_or_refused(value):
    assert status_of(json_params, msgspec.json.encode(value)) in (200, 400)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60) | st.text('{}[]":,\\u0ed8serviceName', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(body):
    for operation in ("CreateService", "ListClusters"):
        assert status_of(json_params, body, operation) in (200, 400)


@settings(max_examples=300, deadline=None)
@given(text=st.text("Filter.VpcId123Name=&%+Vlu", max_size=60))
def test_any_form_is_read_or_refused(text):
    assert status_of(form_params, text) in (200, 400)
