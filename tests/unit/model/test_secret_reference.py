"""What `valueFrom` can name, and what is no name at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.secret_reference import ParameterReference, SecretReference, parse

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbC123"
PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter"


@pytest.mark.parametrize("name", ["db", "/app/db", "app.db-password_1", "/app/db:3", "db:label"])
def test_a_bare_name_is_a_parameter_of_the_tasks_region(name: str) -> None:
    assert parse(name) == ParameterReference(parameter=name)


@pytest.mark.parametrize("resource", ["/db", "/app/db", "/app/db:3", "/db:live"])
def test_the_arn_of_a_parameter_names_its_region(resource: str) -> None:
    arn = f"{PARAMETER}{resource}"
    assert parse(arn) == ParameterReference(parameter=arn, region="eu-west-1")


@pytest.mark.parametrize(
    ("suffix", "chosen"),
    [
        ("", {}),
        (":::", {}),
        (":password::", {"json_key": "password"}),
        ("::AWSPREVIOUS:", {"version_stage": "AWSPREVIOUS"}),
        (":::9d4cb84b", {"version_id": "9d4cb84b"}),
        (":user:live:9d4cb84b", {"json_key": "user", "version_stage": "live", "version_id": "9d4cb84b"}),
    ],
)
def test_a_secret_is_named_by_its_arn_and_what_is_chosen_of_it(suffix: str, chosen: dict[str, str]) -> None:
    assert parse(SECRET + suffix) == SecretReference(secret_arn=SECRET, region="eu-west-1", **chosen)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "db:1:2",
        "arn:aws:ssm",
        "arn:aws:s3:::bucket/file",
        "arn:aws:ssm:eu-west-1:12:parameter/db",
        "arn:aws:ssm:eu-west-1:123456789012:document/db",
        f"{PARAMETER}/",
        f"{SECRET}:password",
        f"{SECRET}:password:",
        f"{SECRET}:password:::",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret",
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^The secret '.*\.$"):
        parse(text)


@given(st.text() | st.from_regex(r"arn:aws:(ssm|secretsmanager):[a-z]{1,9}:\d{12}:[a-z:/-]{0,30}"))
def test_every_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert text.startswith(found.secret_arn if isinstance(found, SecretReference) else found.parameter)
