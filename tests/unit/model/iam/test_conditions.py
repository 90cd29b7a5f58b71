"""Conditions: each operator against a request that has, and has not, the key."""

from __future__ import annotations

import pytest

from wherry.model.iam.conditions import OPERATORS, holds, read_conditions
from wherry.model.iam.errors import MalformedPolicyDocumentException

KEYS = {
    "aws:username": ("Ada",),
    "aws:sourceip": ("10.1.2.3",),
    "aws:securetransport": ("false",),
    "aws:currenttime": ("2026-11-26T12:00:00Z",),
    "aws:principalarn": ("arn:aws:iam::123456789012:role/team/web",),
    "aws:tagkeys": ("team", "cost"),
    "s3:max-keys": ("10",),
}


def met(operator, key, value, keys=None, *, literal=False):
    conditions = read_conditions({operator: {key: value}}, literal=literal)
    return all(holds(condition, KEYS if keys is None else keys) for condition in conditions)


@pytest.mark.parametrize(
    ("operator", "key", "value", "expected"),
    [
        ("StringEquals", "aws:username", "Ada", True),
        ("StringEquals", "AWS:UserName", ["Bob", "Ada"], True),
        ("StringEquals", "aws:username", "A*", False),
        ("StringNotEquals", "aws:username", ["Bob", "Ada"], False),
        ("StringNotEquals", "aws:username", ["Bob", "Eve"], True),
        ("StringEqualsIgnoreCase", "aws:username", "ADA", True),
        ("StringNotEqualsIgnoreCase", "aws:username", "ADA", False),
        ("StringLike", "aws:username", "A?a", True),
        ("StringLike", "aws:username", "a*", False),
        ("StringNotLike", "aws:username", "B*", True),
        ("NumericEquals", "s3:max-keys", 10, True),
        ("NumericNotEquals", "s3:max-keys", "10.0", False),
        ("NumericLessThan", "s3:max-keys", "9", False),
        ("NumericLessThanEquals", "s3:max-keys", "10", True),
        ("NumericGreaterThan", "s3:max-keys", "9", True),
        ("NumericGreaterThanEquals", "s3:max-keys", "11", False),
        ("NumericEquals", "aws:username", "10", False),
        ("DateLessThan", "aws:CurrentTime", "2026-11-27T00:00:00Z", True),
        ("DateGreaterThan", "aws:CurrentTime", "2026-11-26", True),
        ("DateGreaterThanEquals", "aws:CurrentTime", "1800000000", False),
        ("DateLessThanEquals", "aws:CurrentTime", "2026-11-26T12:00:00+00:00", True),
        ("DateEquals", "aws:CurrentTime", "2026-11-26T13:00:00+01:00", True),
        ("DateNotEquals", "aws:CurrentTime", "2026-11-26T13:00:00+01:00", False),
        ("Bool", "aws:SecureTransport", False, True),
        ("Bool", "aws:SecureTransport", "true", False),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8", True),
        ("IpAddress", "aws:SourceIp", ["192.168.0.0/16", "10.1.2.3"], True),
        ("IpAddress", "aws:SourceIp", "::/0", False),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/team/*", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:*:role/team/web", False),
        ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/team/w?b", True),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", True),
        ("ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::*:role/*", False),
        ("BinaryEquals", "aws:username", "Ada", True),
        ("Null", "aws:username", "true", False),
        ("Null", "aws:username", "false", True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["team", "cost", "env"], True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["team"], False),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["team"], True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["env"], False),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", ["env"], True),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", ["team"], True),
    ],
)  # fmt: skip
def test_a_key_that_is_there_is_compared(operator, key, value, expected):
    assert met(operator, key, value) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", True),
    ],
)
def test_a_key_that_is_not_there(operator, expected):
    assert met(operator, "aws:username", "Ada", {}) is expected
    assert met("Null", "aws:username", "true", {})
    assert not met("Null", "aws:username", False, {})


def test_values_may_have_variables_and_wildcards_of_their_own():
    own = {"aws:username": ("A*",), "aws:principaltag/owner": ("A*",)}
    assert met("StringEquals", "aws:PrincipalTag/owner", "${aws:username}", own)
    assert met("StringLike", "aws:username", "A${*}", own)
    assert not met("StringLike", "aws:username", "A${*}", {"aws:username": ("Abc",)})
    assert not met("StringEquals", "aws:username", "${aws:PrincipalTag/none}", own)
    assert met("StringNotEquals", "aws:username", "${aws:PrincipalTag/none}", own)
    assert met("StringEquals", "aws:username", "${aws:username}", {"aws:username": ("${aws:username}",)}, literal=True)


def test_every_operator_of_aws_is_known():
    assert len(OPERATORS) == 27
    for operator in OPERATORS - {"Null"}:
        value = {"Num": "1", "Dat": "2026-01-01", "Boo": "true", "IpA": "10.0.0.1", "Not": "10.0.0.1"}.get(
            operator[:3], "x"
        )
        assert met(f"{operator}IfExists", "a:b", value, {})


@pytest.mark.parametrize(
    "raw",
    [
        {"StringEqualz": {"a:b": "c"}},
        {"NullIfExists": {"a:b": "true"}},
        {"ForSomeValues:StringEquals": {"a:b": "c"}},
        {"StringEquals": {"b": "c"}},
        {"StringEquals": {"a:b": {}}},
        {"StringEquals": "c"},
        [],
        {"IpAddress": {"aws:SourceIp": "10.0.0.256"}},
        {"NumericEquals": {"a:b": "ten"}},
        {"DateLessThan": {"a:b": "tomorrow"}},
        {"Bool": {"a:b": "maybe"}},
    ],
)
def test_what_is_no_condition_is_refused(raw):
    with pytest.raises(MalformedPolicyDocumentException):
        read_conditions(raw, literal=False)
