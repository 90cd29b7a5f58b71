"""Policy documents: what IAM takes, and its words for what it does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.iam.aws_managed import AWS_MANAGED
from wherry.model.iam.document import parse_identity_policy, parse_trust_policy, size_of
from wherry.model.iam.errors import MalformedPolicyDocumentException
from wherry.model.iam.wildcards import literal, matches

GOOD = {"Effect": "Allow", "Action": "ecs:RunTask", "Resource": "*"}


def parsed(*statements, **more):
    return parse_identity_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | more))


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


def test_a_statement_may_stand_alone_and_lists_too():
    alone = parse_identity_policy(json.dumps({"Statement": GOOD}))
    assert alone == parsed(GOOD) == parsed(GOOD | {"Action": ["ecs:RunTask"], "Resource": ["*"]}, Id="x")


@pytest.mark.parametrize(
    ("statements", "more", "sentence"),
    [
        ([], {}, "Syntax errors in policy."),
        ([GOOD], {"Version": "2020-01-01"}, "Syntax errors in policy."),
        ([GOOD], {"Extra": 1}, "Syntax errors in policy."),
        ([GOOD | {"Extra": 1}], {}, "Syntax errors in policy."),
        ([GOOD | {"Effect": "allow"}], {}, "Syntax errors in policy."),
        ([GOOD | {"NotAction": "ecs:*"}], {}, "Syntax errors in policy."),
        ([GOOD | {"Action": 1}], {}, "Syntax errors in policy."),
        ([without("Action")], {}, "Policy statement must contain actions."),
        ([GOOD | {"Action": []}], {}, "Policy statement must contain actions."),
        ([without("Resource")], {}, "Policy statement must contain resources."),
        ([GOOD | {"Action": "RunTask"}], {}, "Actions/Conditions must be prefaced by a vendor"),
        ([GOOD | {"Resource": "prod"}], {}, 'Resource prod must be in ARN format or "*".'),
        ([GOOD | {"Principal": "*"}], {}, "Policy document should not specify a principal."),
        ([GOOD | {"Sid": "a"}, GOOD | {"Sid": "a"}], {}, "Statement IDs (SID) in a single policy must be unique."),
        ([GOOD | {"Sid": "a b"}], {}, "Statement IDs (SID) must be alpha-numeric."),
    ],
)  # fmt: skip
def test_an_identity_policy_that_iam_does_not_take(statements, more, sentence):
    with pytest.raises(MalformedPolicyDocumentException) as caught:
        parsed(*statements, **more)
    assert caught.value.message.startswith(sentence)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"Statement": [], "Statement": []}', "[" * 100_000])
def test_what_is_no_document_is_refused(text):
    for parse in (parse_identity_policy, parse_trust_policy):
        with pytest.raises(MalformedPolicyDocumentException):
            parse(text)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"Resource": "*"}, "Has prohibited field Resource"),
        ({"Principal": {}}, "Missing required field Principal"),
        ({"Principal": {"Robot": "x"}}, "Syntax errors in policy."),
        ({"Action": "ecs:RunTask"}, "AssumeRole policy may only specify STS AssumeRole actions."),
        ({"NotPrincipal": {"AWS": "*"}}, "AssumeRolepolicy contained an invalid principal: NotPrincipal."),
    ],
)
def test_a_trust_policy_that_iam_does_not_take(change, sentence):
    good = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}
    parse_trust_policy(json.dumps({"Statement": good}))
    with pytest.raises(MalformedPolicyDocumentException) as caught:
        parse_trust_policy(json.dumps({"Statement": good | change}))
    assert caught.value.message == sentence


def test_white_space_does_not_count():
    assert size_of('{ "a":\n\t1 }') == len('{"a":1}')


def test_the_policies_of_aws_are_policies():
    for policy in AWS_MANAGED.values():
        assert parse_identity_policy(policy.document).statements
        assert policy.arn.endswith(f"{policy.path}{policy.policy_name}")
        assert len(policy.policy_id) == 21


@given(st.text(max_size=20))
def test_a_literal_matches_itself_alone(text):
    assert matches(literal(text), text)
    assert not matches(literal(text), f"{text}x")


@given(st.lists(st.text(st.characters(exclude_characters="*?$"), max_size=4), max_size=4), st.text(max_size=3))
def test_a_star_takes_any_text(parts, between):
    assert matches("*".join(parts), between.join(parts))


def test_no_pattern_goes_back_for_every_star():
    # One that did would be at it until the end of the world.
    assert not matches("*a" * 200 + "*b", "a" * 2_000)
