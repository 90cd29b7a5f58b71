"""The decision: any deny wins, every layer needs an allow, and whom a trust policy lets in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.iam.document import parse_identity_policy, parse_trust_policy
from wherry.model.iam.evaluate import Request, Source, evaluate, trusts

TASK = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0123"


def statement(effect="Allow", action="ecs:*", resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def source(*statements, version="2012-10-17"):
    return Source(policy=parse_identity_policy(json.dumps({"Version": version, "Statement": list(statements)})))


def asked(action="ecs:StopTask", resource=TASK, **keys):
    return Request(action=action, resource=resource, keys={name.lower(): value for name, value in keys.items()})


def verdict(*sources, request=None, **layers):
    return evaluate(request or asked(), identity=sources, **layers).verdict


def test_nothing_is_allowed_by_nothing():
    assert verdict() == "implicitDeny"
    assert verdict(source(statement(action="ec2:*"))) == "implicitDeny"


def test_one_allow_is_enough_and_one_deny_is_too():
    assert verdict(source(statement())) == "allowed"
    assert verdict(source(statement()), source(statement("Deny", "ecs:Stop*"))) == "explicitDeny"
    assert verdict(source(statement(), statement("Deny", "ecs:StopTask", TASK))) == "explicitDeny"


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("ecs:stoptask", TASK, "allowed"),
        ("ECS:S?opTask", TASK, "allowed"),
        ("*", "*", "allowed"),
        ("ecs:StopTas", TASK, "implicitDeny"),
        ("ecs:*", "arn:aws:ecs:*:*:task/prod/*", "allowed"),
        ("ecs:*", "arn:aws:ecs:*:*:task/Prod/*", "implicitDeny"),
        ("ecs:*", "arn:aws:ecs:eu-west-1:123456789012:task/prod/012?", "allowed"),
        ("ecs:*", ["arn:aws:ecs:*:*:service/*", "arn:aws:ecs:*:*:task/*"], "allowed"),
    ],
)
def test_actions_match_without_case_and_resources_with_it(action, resource, expected):
    assert verdict(source(statement(action=action, resource=resource))) == expected


def test_what_is_not_named():
    but_iam = {"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*"}
    assert verdict(source(but_iam)) == "allowed"
    assert verdict(source(but_iam), request=asked("iam:PassRole")) == "implicitDeny"
    but_prod = {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:ecs:*:*:task/test/*"}
    assert verdict(source(statement()), source(but_prod)) == "explicitDeny"


def test_variables_stand_for_what_the_request_has():
    own = source(statement(resource="arn:aws:ecs:*:*:task/${aws:username}/*"))
    assert verdict(own, request=asked(**{"aws:username": ("prod",)})) == "allowed"
    assert verdict(own, request=asked(**{"aws:username": ("*",)})) == "implicitDeny", "values are no patterns"
    assert verdict(own) == "implicitDeny"
    default = source(statement(resource="arn:aws:ecs:*:*:task/${aws:PrincipalTag/env, 'prod'}/*"))
    assert verdict(default) == "allowed"
    assert verdict(default, request=asked(**{"aws:principaltag/env": ("test",)})) == "implicitDeny"
    literal = source(statement(resource="arn:aws:ecs:*:*:task/${aws:username}/*"), version="2008-10-17")
    assert verdict(literal, request=asked(**{"aws:username": ("prod",)})) == "implicitDeny"
    assert verdict(literal, request=asked(resource="arn:aws:ecs:a:b:task/${aws:username}/x")) == "allowed"


def test_a_variable_without_value_denies_but_does_not_allow_by_what_it_is_not():
    for effect, expected in (("Allow", "implicitDeny"), ("Deny", "explicitDeny")):
        negated = {"Effect": effect, "Action": "*", "NotResource": "arn:aws:ecs:*:*:task/${aws:username}/*"}
        layers = [source(statement())] if effect == "Deny" else []
        assert verdict(source(negated), *layers) == expected


def test_boundary_and_session_limit_and_do_not_grant():
    allow, other = (source(statement()),), (source(statement(action="ssm:*")),)
    assert verdict(*allow, boundary=allow, session=allow) == "allowed"
    for layer in ("boundary", "session"):
        assert verdict(*allow, **{layer: other}) == "implicitDeny"
        assert verdict(*other, **{layer: allow}) == "implicitDeny"
        assert verdict(*allow, **{layer: ()}) == "implicitDeny"


@pytest.mark.parametrize(
    ("layers", "end"),
    [
        ({}, "on resource: R because no identity-based policy allows the ecs:StopTask action"),
        ({"boundary": ()}, "on resource: R because no permissions boundary allows the ecs:StopTask action"),
        ({"session": ()}, "on resource: R because no session policy allows the ecs:StopTask action"),
    ],
)
def test_a_denial_says_which_layer_did_not_allow(layers, end):
    identity = (source(statement()),) if layers else ()
    request = asked(resource="R")
    said = evaluate(request, identity=identity, **layers).sentence("arn:aws:iam::1:user/ada", request)
    assert said == f"User: arn:aws:iam::1:user/ada is not authorized to perform: ecs:StopTask {end}"


def test_a_denial_says_which_layer_denied():
    deny, request = (source(statement("Deny")),), asked(resource="*")
    decision = evaluate(request, identity=deny)
    assert decision.sentence("A", request) == (
        "User: A is not authorized to perform: ecs:StopTask with an explicit deny in an identity-based policy"
    )
    decision = evaluate(request, identity=(source(statement()),), session=deny)
    assert decision.sentence("A", request).endswith("with an explicit deny in a session policy")


ACTIONS = st.sampled_from(["*", "ecs:*", "ecs:Stop*", "ecs:RunTask", "ssm:*"])
RESOURCES = st.sampled_from(["*", TASK, "arn:aws:ecs:*:*:task/*", "arn:aws:ecs:*:*:service/*"])
STATEMENTS = st.builds(statement, st.sampled_from(["Allow", "Deny"]), ACTIONS, RESOURCES)
SOURCES = st.lists(st.lists(STATEMENTS, min_size=1, max_size=3).map(lambda each: source(*each)), max_size=3)
LAYERS = st.none() | SOURCES
REQUESTS = st.builds(asked, st.sampled_from(["ecs:StopTask", "ecs:RunTask", "ssm:GetParameter"]))


@given(SOURCES, LAYERS, LAYERS, REQUESTS, STATEMENTS)
def test_adding_an_allow_never_takes_one_away(identity, boundary, session, request, more):
    before = evaluate(request, identity=identity, boundary=boundary, session=session)
    added = [*identity, source(more | {"Effect": "Allow"})]
    after = evaluate(request, identity=added, boundary=boundary, session=session)
    assert after.is_allowed or not before.is_allowed


@given(SOURCES, LAYERS, LAYERS, REQUESTS, STATEMENTS)
def test_adding_a_deny_never_allows(identity, boundary, session, request, more):
    before = evaluate(request, identity=identity, boundary=boundary, session=session)
    added = [*identity, source(more | {"Effect": "Deny"})]
    after = evaluate(request, identity=added, boundary=boundary, session=session)
    assert before.is_allowed or not after.is_allowed


@given(SOURCES, LAYERS, LAYERS, REQUESTS)
def test_a_deny_of_everything_wins_wherever_it_stands(identity, boundary, session, request):
    deny = source(statement("Deny", "*", "*"))
    for layers in ([deny, *identity], boundary, session), (identity, [deny], session), (identity, boundary, [deny]):
        decision = evaluate(request, identity=layers[0], boundary=layers[1], session=layers[2])
        assert decision.verdict == "explicitDeny"


@given(SOURCES, LAYERS, LAYERS, REQUESTS, st.randoms())
def test_the_order_of_policies_decides_nothing(identity, boundary, session, request, random):
    before = evaluate(request, identity=identity, boundary=boundary, session=session)
    shuffled = random.sample(identity, len(identity))
    assert evaluate(request, identity=shuffled, boundary=boundary, session=session).verdict == before.verdict


def trust(*statements):
    full = [{"Effect": "Allow", "Action": "sts:AssumeRole"} | each for each in statements]
    return parse_trust_policy(json.dumps({"Version": "2012-10-17", "Statement": full}))


ASSUME = Request(action="sts:AssumeRole", resource="arn:aws:iam::1:role/r", keys={"sts:externalid": ("x",)})
ADA = [("AWS", "arn:aws:iam::123456789012:user/ada")]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([{"Principal": {"AWS": ADA[0][1]}}], "yes"),
        ([{"Principal": "*"}], "yes"),
        ([{"Principal": {"AWS": "*"}}], "yes"),
        ([{"Principal": {"Service": "ecs-tasks.amazonaws.com"}}], "no"),
        ([{"Principal": {"AWS": ADA[0][1]}, "Condition": {"StringEquals": {"sts:ExternalId": "x"}}}], "yes"),
        ([{"Principal": {"AWS": ADA[0][1]}, "Condition": {"StringEquals": {"sts:ExternalId": "y"}}}], "no"),
        ([{"Principal": {"AWS": ADA[0][1]}, "Action": "sts:TagSession"}], "no"),
        ([{"Principal": "*"}, {"Effect": "Deny", "Principal": {"AWS": ADA[0][1]}}], "denied"),
    ],
)
def test_a_trust_policy_lets_in_whom_it_names(statements, expected):
    assert trusts(trust(*statements), ASSUME, ADA) == expected


def test_a_service_is_let_in_by_its_name_alone():
    service = [("Service", "ecs-tasks.amazonaws.com")]
    assert trusts(trust({"Principal": {"Service": ["ec2.amazonaws.com", service[0][1]]}}), ASSUME, service) == "yes"
    assert trusts(trust({"Principal": "*"}), ASSUME, service) == "no"
