"""Parameters: put, and deleted."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.ssm import lookup, patterns, tags
from wherry.keyring import Keyring
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.model.errors import ValidationException
from wherry.model.ssm import names, rules
from wherry.model.ssm.errors import InvalidKeyId, ParameterAlreadyExists, ParameterNotFound
from wherry.model.ssm.parameter import (
    Parameter,
    ParameterState,
    ParameterType,
    ParameterVersion,
    Tier,
    version_key,
)
from wherry.store import Tx

DEFAULT_KEY = "alias/aws/ssm"


async def put_parameter(ctx: Context, call: Call) -> dict[str, Any]:
    """PutParameter: a parameter, or with `Overwrite` a new version of one; what is not said stays as it was."""
    constraints.check(call)
    params = call.params
    _refuse_unsupported(params)
    name = _name(ctx.scope, params["Name"])
    overwrite, given_tags = bool(params.get("Overwrite")), tags.check(params.get("Tags"))
    if overwrite and given_tags:
        raise ValidationException(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource."
        )
    state = await ctx.store.write(
        _put,
        name=name,
        params=params,
        overwrite=overwrite,
        new_tags=given_tags,
        user=call.principal.arn,
        scope=ctx.scope,
        keyring=ctx.keyring,
        now=ctx.clock(),
    )
    return {"Version": state.number, "Tier": state.tier}


async def delete_parameter(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteParameter: a parameter and all of its versions."""
    constraints.check(call)
    await ctx.store.write(_delete, scope=ctx.scope, name=call.params["Name"])
    return {}


async def delete_parameters(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteParameters: up to ten; those that are not there are named."""
    constraints.check(call)
    deleted, invalid = await ctx.store.write(_delete_all, scope=ctx.scope, wanted=call.params["Names"])
    return {"DeletedParameters": deleted, "InvalidParameters": invalid}


def _put(
    tx: Tx,
    *,
    name: str,
    params: dict[str, Any],
    overwrite: bool,
    new_tags: tuple[Tag, ...],
    user: str,
    scope: Scope,
    keyring: Keyring,
    now: float,
) -> ParameterState:
    arn = names.arn(scope, name)
    old = tx.get(Parameter, arn)
    if old is not None and old.name != name:
        raise ValidationException(f"The parameter {old.name} has the ARN that {name} would have. Choose another name.")
    if old is not None and not overwrite:
        raise ParameterAlreadyExists
    state = _state(params, old, user=user, scope=scope, now=now)
    rules.check_value(state, params["Value"])
    patterns.check(state, params["Value"])
    if old is None:
        tx.put(Parameter(arn=arn, name=name, parent=names.parent(name), latest=state, tags=new_tags))
    else:
        rules.check_change(old.latest, state)
        _drop_oldest(tx, old)
        tx.put(structs.replace(old, latest=state))
    tx.put(_version(arn, state, params["Value"], keyring))
    return state


def _state(params: dict[str, Any], old: Parameter | None, *, user: str, scope: Scope, now: float) -> ParameterState:
    """Make the next state of a parameter: what the request says over what was there."""
    before = old.latest if old is not None else None
    type_ = params.get("Type") or (before.type if before else None)
    if type_ is None:
        raise ValidationException("A parameter type is required when you create a parameter.")
    state = ParameterState(
        number=before.number + 1 if before else 1,
        type=ParameterType(type_),
        last_modified_date=now,
        last_modified_user=user,
        tier=Tier(params.get("Tier") or (before.tier if before else Tier.STANDARD)),
        description=_kept(params.get("Description"), before.description if before else None),
        allowed_pattern=_kept(params.get("AllowedPattern"), before.allowed_pattern if before else None),
    )
    return structs.replace(state, key_id=_key(scope, params.get("KeyId"), state.type))


def _kept(given: str | None, before: str | None) -> str | None:
    return before if given is None else given or None


def _version(arn: str, state: ParameterState, value: str, keyring: Keyring) -> ParameterVersion:
    key = version_key(arn, state.number)
    stored = keyring.seal(value, owner=key) if state.type is ParameterType.SECURE_STRING else value
    return ParameterVersion(key=key, parameter_arn=arn, state=state, value=stored)


def _drop_oldest(tx: Tx, parameter: Parameter) -> None:
    number = rules.dropped(parameter)
    oldest = tx.get(ParameterVersion, version_key(parameter.arn, number)) if number is not None else None
    if oldest is not None:
        tx.delete(oldest)


def _delete(tx: Tx, *, scope: Scope, name: str) -> None:
    parameter = lookup.find(tx, scope, name)
    for version in tx.find(ParameterVersion, parameter_arn=parameter.arn):
        tx.delete(version)
    tx.delete(parameter)


def _delete_all(tx: Tx, *, scope: Scope, wanted: list[str]) -> tuple[list[str], list[str]]:
    deleted: list[str] = []
    invalid: list[str] = []
    for name in dict.fromkeys(wanted):
        try:
            _delete(tx, scope=scope, name=name)
        except ParameterNotFound:
            invalid.append(name)
        else:
            deleted.append(name)
    return deleted, invalid


def _name(scope: Scope, text: str) -> str:
    """Read the name of a parameter to put; an ARN of this account stands for the name with a leading slash."""
    name = f"/{text.removeprefix(prefix)}" if text.startswith(prefix := names.arn_prefix(scope)) else text
    names.check(name)
    return name


def _key(scope: Scope, key_id: str | None, type_: ParameterType) -> str | None:
    """Return the KMS key as it is shown; raises InvalidKeyId for any but the service's own."""
    if type_ is not ParameterType.SECURE_STRING:
        if key_id:
            raise ValidationException("KeyId is required for SecureString type parameter only.")
        return None
    if key_id not in (None, DEFAULT_KEY, f"arn:aws:kms:{scope.region}:{scope.account_id}:{DEFAULT_KEY}"):
        raise InvalidKeyId(
            "Wherry seals secure strings under a key file of its own and has no KMS keys. "
            f"Leave KeyId out, or set it to {DEFAULT_KEY}."
        )
    return DEFAULT_KEY


def _refuse_unsupported(params: dict[str, Any]) -> None:
    if params.get("Policies"):
        raise ValidationException(
            "Wherry does not carry out parameter policies (expiration and notifications). Leave Policies out."
        )
    if params.get("Tier") == "Intelligent-Tiering":
        raise ValidationException("Wherry does not choose tiers. Set Tier to Standard (4 KB) or Advanced (8 KB).")
    if params.get("DataType") not in (None, "", "text"):
        raise ValidationException(
            f"Wherry does not validate values of the data type {params['DataType']}. Set DataType to text."
        )
