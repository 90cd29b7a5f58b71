"""Account settings: whose choice holds."""

from __future__ import annotations

import pytest
from tests.aws import ROOT, Aws, operation_model

from wherry.api.ecs.settings import RULES
from wherry.store import Store

pytestmark = pytest.mark.anyio

ALICE = "arn:aws:iam::000000000000:user/alice"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(memory_store: Store) -> Aws:
    return await Aws(memory_store).seed()


async def effective(aws: Aws, name: str, principal: str) -> tuple[str, str]:
    answer = await aws("ListAccountSettings", name=name, principalArn=principal, effectiveSettings=True)
    [setting] = answer["settings"]
    return setting["value"], setting["principalArn"]


def test_every_name_of_the_model_has_a_rule() -> None:
    assert list(RULES) == operation_model("ecs", "PutAccountSetting").input_shape.members["name"].enum


async def test_a_principals_own_choice_wins_over_the_accounts_and_that_over_the_default(aws: Aws) -> None:
    name = "awsvpcTrunking"
    assert await effective(aws, name, ALICE) == ("disabled", ROOT)
    await aws("PutAccountSettingDefault", name=name, value="enabled")
    assert await effective(aws, name, ALICE) == ("enabled", ROOT)
    await aws("PutAccountSetting", name=name, value="disabled", principalArn=ALICE)
    assert await effective(aws, name, ALICE) == ("disabled", ALICE)
    answer = await aws("DeleteAccountSetting", name=name, principalArn=ALICE)
    assert answer["setting"]["value"] == "disabled"
    assert await effective(aws, name, ALICE) == ("enabled", ROOT)


async def test_what_the_root_chooses_holds_for_everybody(aws: Aws) -> None:
    await aws("PutAccountSetting", name="fargateTaskRetirementWaitPeriod", value="14")
    assert await effective(aws, "fargateTaskRetirementWaitPeriod", ALICE) == ("14", ROOT)


async def test_only_choices_are_listed_unless_what_holds_is_asked_for(aws: Aws) -> None:
    aws.principal = ALICE
    assert (await aws("ListAccountSettings"))["settings"] == []
    await aws("PutAccountSetting", name="awsvpcTrunking", value="enabled")
    chosen = {"name": "awsvpcTrunking", "value": "enabled", "principalArn": ALICE, "type": "user"}
    assert (await aws("ListAccountSettings"))["settings"] == [chosen]
    first = await aws("ListAccountSettings", effectiveSettings=True)
    rest = await aws("ListAccountSettings", effectiveSettings=True, nextToken=first["nextToken"])
    assert len(first["settings"]) == 10
    assert {s["name"] for s in first["settings"] + rest["settings"]} == set(RULES)


async def test_listing_can_be_narrowed_to_a_value_of_a_name(aws: Aws) -> None:
    await aws("PutAccountSetting", name="awsvpcTrunking", value="enabled")
    for value, count in (("enabled", 1), ("disabled", 0)):
        answer = await aws("ListAccountSettings", name="awsvpcTrunking", value=value)
        assert len(answer["settings"]) == count
    assert (await aws.refusal("ListAccountSettings", value="enabled"))[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("unknown", "enabled", "unknown should be one of [serviceLongArnFormat,taskLongArnFormat,"),
        ("awsvpcTrunking", "maybe", "maybe should be one of [disabled,enabled]"),
        ("taskLongArnFormat", "disabled", "taskLongArnFormat cannot be disabled here"),
        ("containerInsights", "enhanced", "containerInsights cannot be enhanced here"),
        ("guardDutyActivate", "on", "guardDutyActivate is managed"),
    ],
)
async def test_what_cannot_be_is_refused(aws: Aws, name: str, value: str, sentence: str) -> None:
    code, message = await aws.refusal("PutAccountSetting", name=name, value=value)
    assert code == "InvalidParameterException"
    assert message.startswith(sentence)
    assert (await aws("ListAccountSettings"))["settings"] == []
