"""Account settings: what a principal chose, what the account chose for everybody, and what holds in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecs import paging
from wherry.model.account import AccountSetting
from wherry.model.arn import Scope
from wherry.model.base import Value
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException
from wherry.store import Tx


class Rule(Value, frozen=True):
    """What a setting can be: the value that holds where nobody chose, the others, and why some are refused."""

    default: str
    others: tuple[str, ...] = ()
    refused: Mapping[str, str] = {}
    managed: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """Every value that AWS knows."""
        return (self.default, *self.others, *self.refused)


_LONG_ONLY = {"disabled": "Every ARN has the long format, in Amazon ECS as well."}
_NO_INSIGHTS = "Wherry publishes no CloudWatch metrics."

RULES: Mapping[str, Rule] = {
    "serviceLongArnFormat": Rule(default="enabled", refused=_LONG_ONLY),
    "taskLongArnFormat": Rule(default="enabled", refused=_LONG_ONLY),
    "containerInstanceLongArnFormat": Rule(default="enabled", refused=_LONG_ONLY),
    # Trunking lifts the limit of interfaces that an instance has; a host of ours has no such limit to begin with.
    "awsvpcTrunking": Rule(default="disabled", others=("enabled",)),
    "containerInsights": Rule(default="disabled", refused={"enabled": _NO_INSIGHTS, "enhanced": _NO_INSIGHTS}),
    "fargateFIPSMode": Rule(default="disabled", refused={"enabled": "Wherry has no FIPS-140 validated cryptography."}),
    # Whoever may call at all may tag: permissions are not told apart yet, so that "on" asks for nothing more.
    "tagResourceAuthorization": Rule(default="off", others=("on",)),
    # Tasks are never retired for maintenance, so that any waiting time is kept.
    "fargateTaskRetirementWaitPeriod": Rule(default="7", others=("0", "14")),
    "guardDutyActivate": Rule(default="off", others=("on",), managed=True),
    "defaultLogDriverMode": Rule(default="non-blocking", others=("blocking",)),
    "fargateEventWindows": Rule(
        default="disabled",
        refused={"enabled": "Tasks are never retired for maintenance: there is nothing to schedule."},
    ),
}
"""Every name of the model, in its order."""


async def list_account_settings(ctx: Context, call: Call) -> dict[str, Any]:
    """ListAccountSettings: what the principal chose; with `effectiveSettings` what holds for it."""
    params = call.params
    name, value = params.get("name"), params.get("value")
    if name is not None:
        _check_name(name)
    elif value is not None:
        raise InvalidParameterException("To filter by value, specify the name of the account setting as well.")
    window = paging.window(params.get("nextToken"), params.get("maxResults"), default=10, maximum=10)
    principal = _chooser(ctx.scope, params.get("principalArn") or call.principal.arn)
    rows = await ctx.store.read(AccountSettings.of, principal)
    owner = principal or root_arn(ctx.scope)
    shown = rows.effective(owner, root_arn(ctx.scope)) if params.get("effectiveSettings") else rows.chosen(owner)
    after = window.after[0] if window.after else ""
    matching = sorted(
        (s for s in shown if s["name"] > str(after) and name in (None, s["name"]) and value in (None, s["value"])),
        key=lambda s: s["name"],
    )
    page, token = window.cut(matching[: window.limit], lambda s: (s["name"],))
    return {"settings": page, "nextToken": token}


async def put_account_setting(ctx: Context, call: Call) -> dict[str, Any]:
    """PutAccountSetting: choose for one principal, the caller unless another is named; the root's is everybody's."""
    return await _put(ctx, call, call.params.get("principalArn") or call.principal.arn)


async def put_account_setting_default(ctx: Context, call: Call) -> dict[str, Any]:
    """PutAccountSettingDefault: choose for every principal that does not choose for itself."""
    return await _put(ctx, call, root_arn(ctx.scope))


async def delete_account_setting(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteAccountSetting: take a principal's choice back; a choice never made is as good."""
    name = call.params["name"]
    _check_name(name)
    principal_arn = call.params.get("principalArn") or call.principal.arn
    chosen = await ctx.store.write(_delete, key=_key(name, _chooser(ctx.scope, principal_arn)))
    value = chosen.value if chosen else RULES[name].default
    return {"setting": _view(name, value, principal_arn)}


def effective(tx: Tx, name: str, *, principal: str, scope: Scope) -> str:
    """Return the value of a setting that holds for a principal, given by its ARN."""
    for chooser in dict.fromkeys((_chooser(scope, principal), None)):
        if row := tx.get(AccountSetting, _key(name, chooser)):
            return row.value
    return RULES[name].default


def account_default(tx: Tx, name: str) -> str:
    """Return the value of a setting that the account chose for everybody."""
    row = tx.get(AccountSetting, _key(name, None))
    return row.value if row else RULES[name].default


def check_value(name: str, value: str) -> None:
    """Raise InvalidParameterException unless the setting `name`, which exists, can have the `value` here."""
    rule = RULES[name]
    if value not in rule.values:
        raise InvalidParameterException(f"{value} should be one of [{','.join(rule.values)}]")
    if value in rule.refused:
        raise InvalidParameterException(f"{name} cannot be {value} here: {rule.refused[value]} Use {rule.default}.")


def root_arn(scope: Scope) -> str:
    """Name the account's root, whose choices are the account's defaults."""
    return f"arn:aws:iam::{scope.account_id}:root"


class AccountSettings(Value, frozen=True):
    """What a principal chose and what the account chose, name -> value."""

    own: Mapping[str, str]
    account: Mapping[str, str]

    @classmethod
    def of(cls, tx: Tx, principal: str | None) -> AccountSettings:
        """Read the choices of a principal; None is the account itself."""
        account = {row.name: row.value for row in tx.find(AccountSetting, principal_arn=None)}
        if principal is None:
            return cls(own=account, account=account)
        return cls(
            own={row.name: row.value for row in tx.find(AccountSetting, principal_arn=principal)}, account=account
        )

    def chosen(self, owner: str) -> Iterable[dict[str, str]]:
        """Show what the principal itself chose."""
        return (_view(name, value, owner) for name, value in self.own.items())

    def effective(self, owner: str, root: str) -> Iterable[dict[str, str]]:
        """Show what holds, and whose choice it is."""
        for name, rule in RULES.items():
            if name in self.own:
                yield _view(name, self.own[name], owner)
            else:
                yield _view(name, self.account.get(name, rule.default), root)


async def _put(ctx: Context, call: Call, principal_arn: str) -> dict[str, Any]:
    name, value = call.params["name"], call.params["value"]
    _check_name(name)
    if RULES[name].managed:
        raise InvalidParameterException(f"{name} is managed by AWS and cannot be changed.")
    check_value(name, value)
    principal = _chooser(ctx.scope, principal_arn)
    wanted = AccountSetting(key=_key(name, principal), name=name, value=value, principal_arn=principal)
    await ctx.store.write(_write, wanted=wanted)
    return {"setting": _view(name, value, principal_arn)}


def _write(tx: Tx, *, wanted: AccountSetting) -> None:
    old = tx.get(AccountSetting, wanted.key)
    tx.put(structs.replace(wanted, version=old.version if old else 0))


def _delete(tx: Tx, *, key: str) -> AccountSetting | None:
    chosen = tx.get(AccountSetting, key)
    if chosen:
        tx.delete(chosen)
    return chosen


def _chooser(scope: Scope, principal_arn: str) -> str | None:
    """Return under whom a choice is kept: None for the root, whose choices are the account's."""
    return None if principal_arn == root_arn(scope) else principal_arn


def _key(name: str, principal: str | None) -> str:
    return f"{principal or 'default'}/{name}"


def _view(name: str, value: str, principal_arn: str) -> dict[str, str]:
    kind = "aws_managed" if RULES[name].managed else "user"
    return {"name": name, "value": value, "principalArn": principal_arn, "type": kind}


def _check_name(name: str) -> None:
    if name not in RULES:
        raise InvalidParameterException(f"{name} should be one of [{','.join(RULES)}]")
