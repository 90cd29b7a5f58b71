"""Secrets Manager on real tables: values, versions, labels, deletion."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws import Aws, operation_model
from tests.builders import KEYRING

from wherry.api.secretsmanager.table import OPERATIONS
from wherry.control.reaper import SWEEPERS
from wherry.model.secretsmanager.secret import Secret, SecretVersion
from wherry.settings import Timing
from wherry.store import Store

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0
NOT_FOUND = ("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
MARKED = (
    "InvalidRequestException",
    "You can't perform this operation on the secret because it was marked for deletion.",
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Secrets:
    """Calls Secrets Manager; mints a token where an SDK would."""

    def __init__(self, store: Store) -> None:
        self.aws = Aws(store)
        self.tokens = 0

    async def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        self.aws.now += 1
        return await self.aws(operation, of="secretsmanager", **self._with_token(operation, params))

    async def refusal(self, operation: str, **params: Any) -> tuple[str, str]:
        return await self.aws.refusal(operation, of="secretsmanager", **self._with_token(operation, params))

    async def value(self, secret_id: str, **which: str) -> str:
        return (await self("GetSecretValue", SecretId=secret_id, **which))["SecretString"]

    async def labels(self, secret_id: str) -> dict[str, list[str]]:
        return (await self("DescribeSecret", SecretId=secret_id))["VersionIdsToStages"]

    def _with_token(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        if "ClientRequestToken" not in operation_model("secretsmanager", operation).input_shape.members:
            return params
        self.tokens += 1
        return {"ClientRequestToken": token(self.tokens)} | params


def token(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def secrets(store: Store) -> Secrets:
    return Secrets(store)


@pytest.fixture
async def db(secrets: Secrets) -> str:
    """Make a secret with one value; names it."""
    await secrets("CreateSecret", Name="prod/db", SecretString="one")
    return "prod/db"


def test_every_operation_of_the_model_is_done_or_refused() -> None:
    assert set(OPERATIONS) == set(operation_model("secretsmanager", "CreateSecret").service_model.operation_names)


async def test_a_secret_is_found_by_its_name_its_arn_and_its_partial_arn(secrets: Secrets) -> None:
    made = await secrets("CreateSecret", Name="prod/db", SecretString="one", Tags=[{"Key": "a", "Value": "b"}])
    arn = made["ARN"]
    assert arn.startswith("arn:aws:secretsmanager:us-east-1:000000000000:secret:prod/db-")
    assert len(arn.rsplit("-", 1)[1]) == 6
    for secret_id in ("prod/db", arn, arn[:-7]):
        found = await secrets("GetSecretValue", SecretId=secret_id)
        assert (found["SecretString"], found["VersionId"], found["VersionStages"]) == ("one", token(1), ["AWSCURRENT"])
    for secret_id in ("prod", arn[:-1], arn[:-6], arn.replace("us-east-1", "eu-west-1"), "prod/db-", ""):
        if secret_id:
            assert await secrets.refusal("GetSecretValue", SecretId=secret_id) == NOT_FOUND


async def test_bytes_come_back_as_bytes(secrets: Secrets) -> None:
    await secrets("CreateSecret", Name="key", SecretBinary=b"\x00\xff")
    found = await secrets("GetSecretValue", SecretId="key")
    assert found["SecretBinary"] == b"\x00\xff"
    assert "SecretString" not in found


@pytest.mark.usefixtures("db")
async def test_what_is_stored_is_sealed_for_one_version(secrets: Secrets) -> None:
    [version] = await secrets.aws.store.read(lambda tx: tx.find(SecretVersion))
    assert "one" not in version.sealed
    assert KEYRING.open(version.sealed, owner=f"{version.secret_arn}/{token(1)}") == "one"
    assert version.sealed not in repr(version)


async def test_current_and_previous_move_with_each_new_value(secrets: Secrets, db: str) -> None:
    put = await secrets("PutSecretValue", SecretId=db, SecretString="two")
    assert put["VersionStages"] == ["AWSCURRENT"]
    assert await secrets.labels(db) == {token(1): ["AWSPREVIOUS"], token(2): ["AWSCURRENT"]}
    updated = await secrets("UpdateSecret", SecretId=db, SecretString="three", Description="a database")
    assert await secrets.labels(db) == {token(2): ["AWSPREVIOUS"], updated["VersionId"]: ["AWSCURRENT"]}
    assert await secrets.value(db) == "three"
    assert await secrets.value(db, VersionStage="AWSPREVIOUS") == "two"
    assert await secrets.value(db, VersionId=token(1)) == "one"
    described = await secrets("DescribeSecret", SecretId=db)
    assert described["Description"] == "a database"
    assert described["LastChangedDate"] > described["CreatedDate"]


async def test_a_pending_value_becomes_current_when_its_label_says_so(secrets: Secrets, db: str) -> None:
    await secrets("PutSecretValue", SecretId=db, SecretString="two", VersionStages=["AWSPENDING", "mine"])
    assert await secrets.value(db) == "one"
    assert await secrets.value(db, VersionStage="AWSPENDING") == "two"
    move = {"SecretId": db, "VersionStage": "AWSCURRENT", "MoveToVersionId": token(2)}
    code, message = await secrets.refusal("UpdateSecretVersionStage", **move)
    assert code == "InvalidParameterException"
    assert f"currently attached to version {token(1)}, so you must explicitly reference" in message
    await secrets("UpdateSecretVersionStage", **move, RemoveFromVersionId=token(1))
    assert await secrets.labels(db) == {token(1): ["AWSPREVIOUS"], token(2): ["AWSCURRENT", "AWSPENDING", "mine"]}
    await secrets("UpdateSecretVersionStage", SecretId=db, VersionStage="mine", RemoveFromVersionId=token(2))
    assert await secrets.labels(db) == {token(1): ["AWSPREVIOUS"], token(2): ["AWSCURRENT", "AWSPENDING"]}


async def test_the_first_value_is_current_whatever_its_labels(secrets: Secrets) -> None:
    made = await secrets("CreateSecret", Name="empty")
    assert made.get("VersionId") is None
    code, message = await secrets.refusal("GetSecretValue", SecretId="empty")
    assert code == "ResourceNotFoundException"
    assert message == "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
    put = await secrets("PutSecretValue", SecretId="empty", SecretString="a", VersionStages=["AWSPENDING"])
    assert put["VersionStages"] == ["AWSCURRENT", "AWSPENDING"]


@pytest.mark.parametrize(
    ("which", "code", "sentence"),
    [
        ({"VersionId": token(9)}, "ResourceNotFoundException", f"value for VersionId: {token(9)}"),
        ({"VersionStage": "nope"}, "ResourceNotFoundException", "value for staging label: nope"),
        (
            {"VersionId": token(1), "VersionStage": "AWSPREVIOUS"},
            "InvalidRequestException",
            "You provided a VersionStage that is not associated to the provided VersionId.",
        ),
    ],
)
async def test_a_version_that_is_not_there_is_said_to_be(
    secrets: Secrets, db: str, which: dict[str, str], code: str, sentence: str
) -> None:
    refusal = await secrets.refusal("GetSecretValue", SecretId=db, **which)
    assert refusal[0] == code
    assert sentence in refusal[1]


async def test_the_same_token_does_the_same_once(secrets: Secrets, db: str) -> None:
    again = {"ClientRequestToken": token(1)}
    made = await secrets("CreateSecret", Name=db, SecretString="one", **again)
    assert made["VersionId"] == token(1)
    await secrets("PutSecretValue", SecretId=db, SecretString="one", **again)
    await secrets("UpdateSecret", SecretId=db, SecretString="one", **again)
    assert await secrets.labels(db) == {token(1): ["AWSCURRENT"]}
    for operation, name in (("CreateSecret", "Name"), ("PutSecretValue", "SecretId"), ("UpdateSecret", "SecretId")):
        code, message = await secrets.refusal(operation, **{name: db}, SecretString="other", **again)
        assert code == "ResourceExistsException"
        assert message.startswith(f"You can't use ClientRequestToken {token(1)} because that value is already in use")
    refusal = await secrets.refusal("CreateSecret", Name=db, SecretString="one")
    assert refusal == ("ResourceExistsException", "The operation failed because the secret prod/db already exists.")


async def test_a_deleted_secret_hides_until_it_is_restored_or_gone(secrets: Secrets, db: str) -> None:
    gone = await secrets("DeleteSecret", SecretId=db, RecoveryWindowInDays=7)
    assert gone["DeletionDate"] == secrets.aws.now + 7 * DAY
    for operation in ("GetSecretValue", "GetResourcePolicy"):
        assert await secrets.refusal(operation, SecretId=db) == MARKED
    for operation in ("PutSecretValue", "UpdateSecret"):
        assert await secrets.refusal(operation, SecretId=db, SecretString="x") == MARKED
    assert (await secrets.refusal("DeleteSecret", SecretId=db))[0] == "InvalidRequestException"
    code, message = await secrets.refusal("CreateSecret", Name=db, SecretString="x")
    assert code == "InvalidRequestException"
    assert message.endswith("because a secret with this name is already scheduled for deletion.")
    assert (await secrets("DescribeSecret", SecretId=db))["DeletedDate"] == gone["DeletionDate"]
    assert (await secrets("ListSecrets"))["SecretList"] == []
    listed = await secrets("ListSecrets", IncludePlannedDeletion=True)
    assert [secret["Name"] for secret in listed["SecretList"]] == [db]
    await secrets("RestoreSecret", SecretId=db)
    assert await secrets.value(db) == "one"


async def test_a_deleted_secret_goes_for_good_after_its_window(secrets: Secrets, db: str) -> None:
    store, sweep = secrets.aws.store, SWEEPERS["secrets"]
    await secrets("CreateSecret", Name="other", SecretString="stays")
    gone = await secrets("DeleteSecret", SecretId=db)
    assert gone["DeletionDate"] == secrets.aws.now + 30 * DAY
    assert await store.write(sweep, gone["DeletionDate"], Timing()) == 0
    assert await store.write(sweep, gone["DeletionDate"] + 1, Timing()) == 2
    assert [secret.name for secret in await store.read(lambda tx: tx.find(Secret))] == ["other"]
    assert len(await store.read(lambda tx: tx.find(SecretVersion))) == 1
    await secrets("CreateSecret", Name=db, SecretString="a new one")


async def test_a_secret_can_go_at_once_and_one_that_is_not_there_as_well(secrets: Secrets, db: str) -> None:
    await secrets("DeleteSecret", SecretId=db)
    await secrets("DeleteSecret", SecretId=db, ForceDeleteWithoutRecovery=True)
    assert await secrets.aws.store.read(lambda tx: tx.find(SecretVersion)) == []
    assert (await secrets("DeleteSecret", SecretId=db, ForceDeleteWithoutRecovery=True))["Name"] == db
    assert await secrets.refusal("DeleteSecret", SecretId=db) == NOT_FOUND


@pytest.mark.parametrize(
    ("operation", "params", "code", "sentence"),
    [
        ("CreateSecret", {"Name": "a b", "SecretString": "x"}, "ValidationException", "Invalid name. Must be"),
        ("CreateSecret", {"Name": "a", "SecretString": "x" * 65537}, "ValidationException", "Value at 'secretString'"),
        ("CreateSecret", {"Name": "a", "SecretString": "é" * 40000}, "InvalidParameterException", "has 80000 bytes"),
        ("CreateSecret", {"Name": "a", "KmsKeyId": "alias/mine"}, "InvalidParameterException", "Leave KmsKeyId out"),
        ("CreateSecret", {"Name": "a", "Type": "x"}, "InvalidParameterException", "Leave Type out"),
        (
            "CreateSecret",
            {"Name": "a", "AddReplicaRegions": [{"Region": "eu-west-1"}]},
            "InvalidParameterException",
            "secrets are not replicated",
        ),
        ("CreateSecret", {"Name": "a", "SecretString": "x", "SecretBinary": b"x"}, "InvalidParameterException", "both"),
        ("PutSecretValue", {"SecretId": "prod/db"}, "InvalidRequestException", "You must provide either SecretString"),
        ("DeleteSecret", {"SecretId": "prod/db", "RecoveryWindowInDays": 6}, "InvalidParameterException", "7 and 30"),
        (
            "DeleteSecret",
            {"SecretId": "prod/db", "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True},
            "InvalidParameterException",
            "in conjunction with",
        ),
        (
            "UpdateSecretVersionStage",
            {"SecretId": "prod/db", "VersionStage": "AWSCURRENT", "RemoveFromVersionId": token(1)},
            "InvalidParameterException",
            "You can only move staging label AWSCURRENT",
        ),
        ("ListSecrets", {"SortBy": "last-accessed-date"}, "InvalidRequestException", "does not record"),
        ("ListSecrets", {"NextToken": "nonsense"}, "InvalidNextTokenException", "Invalid token"),
        ("TagResource", {"SecretId": "prod/db", "Tags": [{"Key": "aws:x"}]}, "InvalidParameterException", "reserved"),
        ("BatchGetSecretValue", {}, "InvalidParameterException", "either SecretIdList or Filters"),
    ],
)
@pytest.mark.usefixtures("db")
async def test_what_cannot_be_is_refused_and_shows_no_value(
    secrets: Secrets, operation: str, params: dict[str, Any], code: str, sentence: str
) -> None:
    refusal = await secrets.refusal(operation, **params)
    assert refusal[0] == code
    assert sentence in refusal[1]
    assert "x" * 100 not in refusal[1]


async def test_a_version_has_at_most_twenty_labels(secrets: Secrets, db: str) -> None:
    labels = [f"label-{number}" for number in range(20)]
    await secrets("PutSecretValue", SecretId=db, SecretString="two", VersionStages=labels)
    move = {"SecretId": db, "VersionStage": "one-more", "MoveToVersionId": token(2)}
    assert (await secrets.refusal("UpdateSecretVersionStage", **move))[0] == "LimitExceededException"


async def test_old_versions_without_a_label_go_and_labelled_ones_stay(secrets: Secrets, db: str) -> None:
    await secrets("PutSecretValue", SecretId=db, SecretString="kept", VersionStages=["mine"])
    for number in range(101):
        await secrets("PutSecretValue", SecretId=db, SecretString=str(number))
    versions = await secrets.aws.store.read(lambda tx: tx.find(SecretVersion))
    assert len(versions) == 100
    assert await secrets.value(db, VersionStage="mine") == "kept"
    assert await secrets.value(db, VersionStage="AWSPREVIOUS") == "99"
    assert (await secrets.refusal("GetSecretValue", SecretId=db, VersionId=token(1)))[0] == "ResourceNotFoundException"


async def test_versions_are_listed_with_their_labels_and_without_them_on_demand(secrets: Secrets, db: str) -> None:
    for text in ("two", "three"):
        await secrets("PutSecretValue", SecretId=db, SecretString=text)
    listed = await secrets("ListSecretVersionIds", SecretId=db)
    assert [v["VersionId"] for v in listed["Versions"]] == [token(2), token(3)]
    first = await secrets("ListSecretVersionIds", SecretId=db, IncludeDeprecated=True, MaxResults=2)
    rest = await secrets(
        "ListSecretVersionIds", SecretId=db, IncludeDeprecated=True, MaxResults=2, NextToken=first["NextToken"]
    )
    shown = first["Versions"] + rest["Versions"]
    assert [(v["VersionId"], v["VersionStages"]) for v in shown] == [
        (token(1), None),
        (token(2), ["AWSPREVIOUS"]),
        (token(3), ["AWSCURRENT"]),
    ]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([("name", ["prod/"])], ["prod/api", "prod/db"]),
        ([("name", ["!prod/"])], ["test/db"]),
        ([("name", ["prod/", "test/"]), ("name", ["!prod/a"])], ["prod/db", "test/db"]),
        ([("description", ["THE"])], ["prod/db"]),
        ([("tag-key", ["team"]), ("tag-value", ["blue"])], ["prod/api"]),
        ([("all", ["DB data"])], ["prod/db"]),
        ([("owning-service", ["rds"])], []),
    ],
)
async def test_secrets_are_found_by_filters(
    secrets: Secrets, filters: list[tuple[str, list[str]]], names: list[str]
) -> None:
    await secrets("CreateSecret", Name="prod/db", Description="The database's password", SecretString="1")
    await secrets("CreateSecret", Name="prod/api", SecretString="2", Tags=[{"Key": "team", "Value": "blue"}])
    await secrets("CreateSecret", Name="test/db", SecretString="3", Tags=[{"Key": "team", "Value": "red"}])
    wanted = [{"Key": key, "Values": values} for key, values in filters]
    listed = await secrets("ListSecrets", Filters=wanted, SortBy="name")
    assert [secret["Name"] for secret in listed["SecretList"]] == names
    batch = await secrets("BatchGetSecretValue", Filters=wanted)
    assert sorted(value["Name"] for value in batch["SecretValues"]) == names


@pytest.mark.parametrize("sort", ["name", "created-date", "last-changed-date"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_lists_come_sorted_and_in_pages(secrets: Secrets, sort: str, order: str) -> None:
    names = [f"s{number}" for number in range(5)]
    for name in names:
        await secrets("CreateSecret", Name=name)
    seen: list[str] = []
    more: dict[str, str] = {}
    while len(seen) < 6:
        page = await secrets("ListSecrets", SortBy=sort, SortOrder=order, MaxResults=2, **more)
        seen += [secret["Name"] for secret in page["SecretList"]]
        if page["NextToken"] is None:
            break
        more = {"NextToken": page["NextToken"]}
    assert seen == (names if order == "asc" else names[::-1])


async def test_a_batch_tells_each_secret_that_it_cannot_give(secrets: Secrets, db: str) -> None:
    await secrets("CreateSecret", Name="gone", SecretString="x")
    await secrets("DeleteSecret", SecretId="gone")
    batch = await secrets("BatchGetSecretValue", SecretIdList=[db, "gone", "nothing"])
    assert [value["SecretString"] for value in batch["SecretValues"]] == ["one"]
    assert [(error["SecretId"], error["ErrorCode"]) for error in batch["Errors"]] == [
        ("gone", "InvalidRequestException"),
        ("nothing", "ResourceNotFoundException"),
    ]


async def test_tags_are_added_and_taken_off(secrets: Secrets, db: str) -> None:
    await secrets("TagResource", SecretId=db, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    await secrets("TagResource", SecretId=db, Tags=[{"Key": "a", "Value": "3"}])
    await secrets("UntagResource", SecretId=db, TagKeys=["b", "c"])
    assert (await secrets("DescribeSecret", SecretId=db))["Tags"] == [{"Key": "a", "Value": "3"}]


async def test_no_secret_has_a_policy_of_its_own(secrets: Secrets, db: str) -> None:
    assert "ResourcePolicy" not in await secrets("GetResourcePolicy", SecretId=db)
    assert (await secrets("ListResourcePolicies", SecretId=db))["ResourcePolicies"] == []


async def test_a_value_whose_key_is_gone_is_a_decryption_failure(secrets: Secrets, db: str) -> None:
    def spoil(tx: Any) -> None:
        [version] = tx.find(SecretVersion)
        tx.put(type(version)(**{f: getattr(version, f) for f in version.__struct_fields__} | {"sealed": "ffffffff.x"}))

    await secrets.aws.store.write(spoil)
    code, message = await secrets.refusal("GetSecretValue", SecretId=db)
    assert code == "DecryptionFailure"
    assert "restore the file that has it" in message


async def test_a_random_password_has_every_type_that_is_not_excluded(secrets: Secrets) -> None:
    password = (await secrets("GetRandomPassword"))["RandomPassword"]
    assert len(password) == 32
    digits = await secrets(
        "GetRandomPassword",
        PasswordLength=6,
        ExcludePunctuation=True,
        ExcludeUppercase=True,
        ExcludeLowercase=True,
        ExcludeCharacters="01234",
    )
    assert set(digits["RandomPassword"]) <= set("56789")
    assert (await secrets.refusal("GetRandomPassword", PasswordLength=3))[0] == "InvalidParameterException"
