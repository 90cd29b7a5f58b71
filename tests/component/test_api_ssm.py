"""SSM Parameter Store on real tables: values, versions, labels, paths."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.aws import ROOT, Aws
from tests.builders import KEYRING

from wherry.model.ssm.parameter import Parameter, ParameterVersion
from wherry.store import Store

pytestmark = pytest.mark.anyio

ARN = "arn:aws:ssm:us-east-1:000000000000:parameter"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ssm:
    """Calls SSM."""

    def __init__(self, store: Store) -> None:
        self.aws = Aws(store)

    async def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        self.aws.now += 1
        return await self.aws(operation, of="ssm", **params)

    async def refusal(self, operation: str, **params: Any) -> tuple[str, str]:
        return await self.aws.refusal(operation, of="ssm", **params)

    async def put(self, name: str, value: str, **more: Any) -> dict[str, Any]:
        return await self("PutParameter", **{"Name": name, "Value": value, "Type": "String"} | more)

    async def value(self, name: str, **more: Any) -> str:
        return (await self("GetParameter", Name=name, WithDecryption=True, **more))["Parameter"]["Value"]


@pytest.fixture
def ssm(store: Store) -> Ssm:
    return Ssm(store)


async def test_a_parameter_is_found_by_its_name_and_its_arn(ssm: Ssm) -> None:
    assert await ssm.put("/app/db", "one") == {"Version": 1, "Tier": "Standard"}
    by_name = (await ssm("GetParameter", Name="/app/db"))["Parameter"]
    assert by_name == (await ssm("GetParameter", Name=f"{ARN}/app/db"))["Parameter"]
    assert by_name == {
        "Name": "/app/db",
        "Type": "String",
        "Value": "one",
        "Version": 1,
        "Selector": None,
        "LastModifiedDate": ssm.aws.now - 2,
        "ARN": f"{ARN}/app/db",
        "DataType": "text",
    }
    for name in ("app/db", "/app", "/app/db/", "/nothing", f"{ARN}/nothing", f"{ARN}/app/db".replace("us-", "eu-")):
        assert await ssm.refusal("GetParameter", Name=name) == ("ParameterNotFound", "")


async def test_a_name_without_a_slash_and_one_with_share_an_arn_and_so_only_one_can_be(ssm: Ssm) -> None:
    await ssm.put("db", "one")
    assert (await ssm("GetParameter", Name=f"{ARN}/db"))["Parameter"]["Name"] == "db"
    assert await ssm.refusal("GetParameter", Name="/db") == ("ParameterNotFound", "")
    code, message = await ssm.refusal("PutParameter", Name="/db", Value="x", Type="String", Overwrite=True)
    assert code == "ValidationException"
    assert "has the ARN that /db would have" in message


async def test_a_secure_string_is_sealed_and_shown_only_decrypted(ssm: Ssm) -> None:
    await ssm.put("/app/password", "hunter2", Type="SecureString")
    [version] = await ssm.aws.store.read(lambda tx: tx.find(ParameterVersion))
    assert "hunter2" not in version.value
    assert version.value not in repr(version)
    assert KEYRING.open(version.value, owner=f"{ARN}/app/password:1") == "hunter2"
    assert await ssm.value("/app/password") == "hunter2"
    for operation, params in (
        ("GetParameter", {"Name": "/app/password"}),
        ("GetParameters", {"Names": ["/app/password"]}),
        ("GetParametersByPath", {"Path": "/app"}),
        ("GetParameterHistory", {"Name": "/app/password"}),
        ("DescribeParameters", {}),
    ):
        assert "hunter2" not in json.dumps(await ssm(operation, **params))
        if operation != "DescribeParameters":
            assert "hunter2" not in str(await ssm(operation, WithDecryption=False, **params))
            assert "hunter2" in str(await ssm(operation, WithDecryption=True, **params))


async def test_a_new_version_needs_overwrite_and_keeps_what_is_not_said(ssm: Ssm) -> None:
    await ssm.put("/a", "1", Description="first", AllowedPattern=r"^\d+$")
    code, message = await ssm.refusal("PutParameter", Name="/a", Value="2", Type="String")
    assert code == "ParameterAlreadyExists"
    assert message == (
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
    )
    assert await ssm("PutParameter", Name="/a", Value="2", Overwrite=True) == {"Version": 2, "Tier": "Standard"}
    [described] = (await ssm("DescribeParameters"))["Parameters"]
    assert (described["Description"], described["Version"], described["LastModifiedUser"]) == ("first", 2, ROOT)
    code, _ = await ssm.refusal("PutParameter", Name="/a", Value="x", Overwrite=True)
    assert code == "ParameterPatternMismatchException"
    assert (await ssm.value("/a:1"), await ssm.value("/a")) == ("1", "2")


async def test_versions_are_selected_by_number_and_label(ssm: Ssm) -> None:
    for value in ("1", "2", "3"):
        await ssm.put("/a", value, Overwrite=True)
    labelled = await ssm("LabelParameterVersion", Name="/a", ParameterVersion=2, Labels=["live", "1bad", "aws-x"])
    assert labelled == {"InvalidLabels": ["1bad", "aws-x"], "ParameterVersion": 2}
    found = (await ssm("GetParameter", Name="/a:live"))["Parameter"]
    assert (found["Value"], found["Version"], found["Selector"], found["Name"]) == ("2", 2, ":live", "/a")
    assert await ssm.value(f"{ARN}/a:1") == "1"
    await ssm("LabelParameterVersion", Name="/a", Labels=["live"])
    assert await ssm.value("/a:live") == "3"
    history = (await ssm("GetParameterHistory", Name="/a"))["Parameters"]
    assert [(v["Version"], v["Value"], v["Labels"]) for v in history] == [
        (1, "1", []),
        (2, "2", []),
        (3, "3", ["live"]),
    ]
    gone = await ssm("UnlabelParameterVersion", Name="/a", ParameterVersion=3, Labels=["live", "other"])
    assert gone == {"RemovedLabels": ["live"], "InvalidLabels": ["other"]}
    for selector in ("live", "4", "0"):
        assert await ssm.refusal("GetParameter", Name=f"/a:{selector}") == (
            "ParameterVersionNotFound",
            f"Systems Manager could not find version {selector} of /a. Verify the version and try again.",
        )


async def test_the_hundred_and_first_version_drops_the_first_unless_it_has_a_label(ssm: Ssm) -> None:
    for number in range(100):
        await ssm.put("/a", str(number), Overwrite=True)
    await ssm("LabelParameterVersion", Name="/a", ParameterVersion=2, Labels=["kept"])
    await ssm.put("/a", "101", Overwrite=True)
    assert (await ssm.refusal("GetParameter", Name="/a:1"))[0] == "ParameterVersionNotFound"
    refusal = await ssm.refusal("PutParameter", Name="/a", Value="102", Overwrite=True)
    assert refusal[0] == "ParameterMaxVersionLimitExceeded"
    assert "Version 2, the oldest version, can't be deleted because it has a label" in refusal[1]
    assert await ssm.aws.store.read(lambda tx: tx.count(ParameterVersion)) == 100
    more = await ssm("GetParameterHistory", Name="/a", MaxResults=50)
    rest = await ssm("GetParameterHistory", Name="/a", MaxResults=50, NextToken=more["NextToken"])
    assert [v["Version"] for v in more["Parameters"] + rest["Parameters"]] == list(range(2, 102))
    assert rest["NextToken"] is None


async def test_a_version_has_at_most_ten_labels(ssm: Ssm) -> None:
    await ssm.put("/a", "1")
    await ssm("LabelParameterVersion", Name="/a", Labels=[f"l{n}" for n in range(10)])
    code, _ = await ssm.refusal("LabelParameterVersion", Name="/a", Labels=["one-more"])
    assert code == "ParameterVersionLabelLimitExceeded"


async def test_several_are_got_at_once_and_those_that_are_not_there_are_named(ssm: Ssm) -> None:
    await ssm.put("/a", "1")
    await ssm.put("b", "2")
    found = await ssm("GetParameters", Names=["b", "/a:1", "/nothing", "/a:7"])
    assert [(p["Name"], p["Value"]) for p in found["Parameters"]] == [("b", "2"), ("/a", "1")]
    assert found["InvalidParameters"] == ["/nothing", "/a:7"]


@pytest.mark.parametrize(
    ("path", "more", "names"),
    [
        ("/app", {}, ["/app/db", "/app/url"]),
        ("/app/", {}, ["/app/db", "/app/url"]),
        ("/app", {"Recursive": True}, ["/app/db", "/app/db/password", "/app/url"]),
        ("/", {}, ["root"]),
        ("/", {"Recursive": True}, ["/app/db", "/app/db/password", "/app/url", "/app2/x", "root"]),
        ("/app/db/password", {"Recursive": True}, []),
        ("/app", {"ParameterFilters": [{"Key": "Type", "Values": ["StringList"]}]}, ["/app/url"]),
        ("/app", {"ParameterFilters": [{"Key": "Label", "Values": ["live"]}]}, ["/app/db"]),
    ],
)
async def test_a_path_has_what_lies_below_it(ssm: Ssm, path: str, more: dict[str, Any], names: list[str]) -> None:
    for name in ("/app/db", "/app/db/password", "/app2/x", "root"):
        await ssm.put(name, "1")
    await ssm.put("/app/url", "a,b", Type="StringList")
    await ssm("LabelParameterVersion", Name="/app/db", Labels=["live"])
    await ssm.put("/app/db", "2", Overwrite=True)
    found = await ssm("GetParametersByPath", Path=path, **more)
    assert [parameter["Name"] for parameter in found["Parameters"]] == names
    if "Label" in str(more):
        assert found["Parameters"][0]["Value"] == "1"


async def test_a_path_comes_in_pages(ssm: Ssm) -> None:
    names = [f"/p/{number:02}" for number in range(25)]
    for name in names:
        await ssm.put(name, "x")
    seen: list[str] = []
    more: dict[str, str] = {}
    while len(seen) <= len(names):
        page = await ssm("GetParametersByPath", Path="/p", **more)
        seen += [parameter["Name"] for parameter in page["Parameters"]]
        if page["NextToken"] is None:
            break
        more = {"NextToken": page["NextToken"]}
    assert seen == names
    described = await ssm("DescribeParameters", MaxResults=20)
    rest = await ssm("DescribeParameters", MaxResults=20, NextToken=described["NextToken"])
    assert [p["Name"] for p in described["Parameters"] + rest["Parameters"]] == names


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([{"Key": "Name", "Values": ["/app/db"]}], ["/app/db"]),
        ([{"Key": "Name", "Option": "BeginsWith", "Values": ["/app"]}], ["/app/db", "/app/key"]),
        ([{"Key": "Name", "Option": "Contains", "Values": ["d"]}], ["/app/db", "/old/db"]),
        ([{"Key": "Path", "Option": "Recursive", "Values": ["/"]}], ["/app/db", "/app/key", "/old/db"]),
        ([{"Key": "Path", "Values": ["/app"]}], ["/app/db", "/app/key"]),
        ([{"Key": "tag:team", "Values": ["blue"]}], ["/old/db"]),
        ([{"Key": "tag:team"}], ["/old/db"]),
        ([{"Key": "KeyId", "Values": ["alias/aws/ssm"]}], ["/app/key"]),
        ([{"Key": "Tier", "Values": ["Advanced"]}], ["/old/db"]),
        ([{"Key": "Type", "Values": ["String", "SecureString"]}, {"Key": "Path", "Values": ["/old"]}], ["/old/db"]),
        ([{"Key": "DataType", "Values": ["aws:ec2:image"]}], []),
    ],
)
async def test_parameters_are_described_by_filters(ssm: Ssm, wanted: list[dict[str, Any]], names: list[str]) -> None:
    await ssm.put("/app/db", "1")
    await ssm.put("/app/key", "1", Type="SecureString")
    await ssm.put("/old/db", "1", Tier="Advanced", Tags=[{"Key": "team", "Value": "blue"}])
    found = await ssm("DescribeParameters", ParameterFilters=wanted)
    assert [parameter["Name"] for parameter in found["Parameters"]] == names


@pytest.mark.parametrize(
    ("operation", "params", "code", "sentence"),
    [
        ("PutParameter", {"Name": "/aws/x"}, "ValidationException", 'can\'t be prefixed with "aws" or "ssm"'),
        ("PutParameter", {"Name": "SSMx"}, "ValidationException", 'can\'t be prefixed with "aws" or "ssm"'),
        ("PutParameter", {"Name": "a/b"}, "ValidationException", "Parameter name must be a fully qualified name"),
        ("PutParameter", {"Name": "/a b"}, "ValidationException", "mix of letters, numbers"),
        ("PutParameter", {"Name": "/a/"}, "ValidationException", "mix of letters, numbers"),
        ("PutParameter", {"Name": "/a" * 16}, "HierarchyLevelLimitExceededException", "maximum of 15 levels"),
        ("PutParameter", {"Value": ""}, "ValidationException", "length greater than or equal to 1"),
        ("PutParameter", {"Value": "x" * 4097}, "ValidationException", "maximum parameter value of 4096 characters"),
        (
            "PutParameter",
            {"Value": "x" * 8193, "Tier": "Advanced"},
            "ValidationException",
            "maximum parameter value of 8192",
        ),
        ("PutParameter", {"Type": "StringList", "Value": "a,,b"}, "ValidationException", "no empty items"),
        ("PutParameter", {"AllowedPattern": "("}, "InvalidAllowedPatternException", "no regular expression"),
        ("PutParameter", {"AllowedPattern": "^b"}, "ParameterPatternMismatchException", "against allowedPattern: ^b"),
        ("PutParameter", {"AllowedPattern": "(?=v)"}, "InvalidAllowedPatternException", "no lookaround"),
        ("PutParameter", {"Tier": "Intelligent-Tiering"}, "ValidationException", "Set Tier to Standard"),
        ("PutParameter", {"DataType": "aws:ec2:image"}, "ValidationException", "Set DataType to text"),
        ("PutParameter", {"Policies": "[{}]"}, "ValidationException", "Leave Policies out"),
        ("PutParameter", {"KeyId": "alias/aws/ssm"}, "ValidationException", "SecureString type parameter only"),
        ("PutParameter", {"Type": "SecureString", "KeyId": "alias/mine"}, "InvalidKeyId", "Leave KeyId out"),
        ("PutParameter", {"Type": "Number"}, "ValidationException", "[String, StringList, SecureString]"),
        ("PutParameter", {"Type": None}, "ValidationException", "A parameter type is required"),
        (
            "PutParameter",
            {"Overwrite": True, "Tags": [{"Key": "a", "Value": "b"}]},
            "ValidationException",
            "tags and overwrite can't be used together",
        ),
        ("GetParameter", {"Name": "/a:1:2"}, "ValidationException", "Invalid parameter selector"),
        ("GetParametersByPath", {"Path": "app"}, "ValidationException", "must begin with a forward slash"),
        (
            "GetParametersByPath",
            {"Path": "/", "ParameterFilters": [{"Key": "Name", "Values": ["x"]}]},
            "InvalidFilterKey",
            "filter key is not valid: Name",
        ),
        (
            "DescribeParameters",
            {"ParameterFilters": [{"Key": "Type", "Option": "BeginsWith", "Values": ["x"]}]},
            "InvalidFilterOption",
            "Valid options include: [Equals]",
        ),
        ("DescribeParameters", {"ParameterFilters": [{"Key": "Name"}]}, "InvalidFilterValue", "missing"),
        ("DescribeParameters", {"Filters": [{"Key": "Name", "Values": ["x"]}]}, "ValidationException", "deprecated"),
        ("DescribeParameters", {"NextToken": "nonsense"}, "InvalidNextToken", "Invalid token"),
        ("DeleteParameter", {"Name": "/nothing"}, "ParameterNotFound", ""),
        ("GetParameterHistory", {"Name": "/nothing"}, "ParameterNotFound", ""),
        ("LabelParameterVersion", {"Name": "/nothing", "Labels": ["a"]}, "ParameterNotFound", ""),
        ("ListTagsForResource", {"ResourceType": "Parameter", "ResourceId": "/nothing"}, "InvalidResourceId", ""),
        ("ListTagsForResource", {"ResourceType": "Document", "ResourceId": "x"}, "InvalidResourceType", "Parameter"),
    ],
)
async def test_what_cannot_be_is_refused(
    ssm: Ssm, operation: str, params: dict[str, Any], code: str, sentence: str
) -> None:
    if operation == "PutParameter":
        whole = {"Name": "/a", "Value": "v", "Type": "String"} | params
        params = {name: value for name, value in whole.items() if value is not None}
    refusal = await ssm.refusal(operation, **params)
    assert refusal[0] == code
    assert sentence in refusal[1]
    assert await ssm.aws.store.read(lambda tx: tx.count(Parameter)) == 0


async def test_an_advanced_parameter_does_not_become_a_standard_one(ssm: Ssm) -> None:
    await ssm.put("/a", "x" * 8192, Tier="Advanced")
    code, message = await ssm.refusal("PutParameter", Name="/a", Value="x", Tier="Standard", Overwrite=True)
    assert code == "ValidationException"
    assert "You can't downgrade" in message
    assert (await ssm.put("/a", "x", Overwrite=True))["Tier"] == "Advanced"


async def test_deletion_takes_every_version_along(ssm: Ssm) -> None:
    for name in ("/a", "/b", "/c"):
        await ssm.put(name, "1")
        await ssm.put(name, "2", Overwrite=True)
    await ssm("DeleteParameter", Name="/a")
    gone = await ssm("DeleteParameters", Names=["/b", "/nothing"])
    assert gone == {"DeletedParameters": ["/b"], "InvalidParameters": ["/nothing"]}
    left = await ssm.aws.store.read(lambda tx: tx.find(ParameterVersion))
    assert {version.parameter_arn for version in left} == {f"{ARN}/c"}
    assert await ssm.put("/a", "new") == {"Version": 1, "Tier": "Standard"}


async def test_tags_are_added_and_taken_off(ssm: Ssm) -> None:
    await ssm.put("/a", "1", Tags=[{"Key": "a", "Value": "1"}])
    where = {"ResourceType": "Parameter", "ResourceId": "/a"}
    await ssm("AddTagsToResource", **where, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    await ssm("RemoveTagsFromResource", **where, TagKeys=["b"])
    assert (await ssm("ListTagsForResource", **where))["TagList"] == [{"Key": "a", "Value": "2"}]
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    assert (await ssm.refusal("AddTagsToResource", **where, Tags=many))[0] == "TooManyTagsError"


async def test_a_secret_is_a_parameter_by_reference(ssm: Ssm) -> None:
    made = await ssm.aws(
        "CreateSecret", of="secretsmanager", Name="prod/db", SecretString="hunter2", ClientRequestToken="0" * 32
    )
    name = "/aws/reference/secretsmanager/prod/db"
    found = (await ssm("GetParameter", Name=name, WithDecryption=True))["Parameter"]
    assert (found["Name"], found["Type"], found["Value"], found["Version"]) == (name, "SecureString", "hunter2", 0)
    assert found["ARN"] == made["ARN"]
    assert "hunter2" not in found["SourceResult"]
    assert await ssm.value(f"{name}:AWSCURRENT") == await ssm.value(f"{name}:{'0' * 32}") == "hunter2"
    refusal = await ssm.refusal("GetParameter", Name=name)
    assert refusal == (
        "ValidationException",
        "WithDecryption flag must be True for retrieving a Secret Manager secret.",
    )
    code, _ = await ssm.refusal("GetParameter", Name=f"{name}2", WithDecryption=True)
    assert code == "ParameterNotFound"
    await ssm.aws("DeleteSecret", of="secretsmanager", SecretId="prod/db")
    code, message = await ssm.refusal("GetParameter", Name=name, WithDecryption=True)
    assert code == "ValidationException"
    assert "was marked for deletion" in message
