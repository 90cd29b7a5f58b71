"""Versions of a secret: values put, values read, and the labels that move between them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import structs

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.secretsmanager import lookup, pages
from wherry.api.secretsmanager.lookup import Plain
from wherry.keyring import Keyring
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException, ResourceNotFoundException
from wherry.model.secretsmanager import stages
from wherry.model.secretsmanager.errors import InvalidRequestException, ResourceExistsException
from wherry.model.secretsmanager.secret import Secret, SecretVersion, version_key
from wherry.store import Tx


async def put_secret_value(ctx: Context, call: Call) -> dict[str, Any]:
    """PutSecretValue: a new version, AWSCURRENT unless other labels are given; again with the same token is nothing."""
    constraints.check(call)
    params = call.params
    value = lookup.plain(params)
    if value is None:
        raise InvalidRequestException("You must provide either SecretString or SecretBinary.")
    if params.get("RotationToken"):
        raise InvalidParameterException("Wherry does not rotate secrets. Leave RotationToken out.")
    version_id = params["ClientRequestToken"]
    secret = await ctx.store.write(
        put,
        secret_id=params["SecretId"],
        value=value,
        version_id=version_id,
        labels=params.get("VersionStages") or [stages.CURRENT],
        scope=ctx.scope,
        keyring=ctx.keyring,
        now=ctx.clock(),
    )
    labels = stages.of_version(secret.stages, version_id)
    return {"ARN": secret.arn, "Name": secret.name, "VersionId": version_id, "VersionStages": labels or None}


async def get_secret_value(ctx: Context, call: Call) -> dict[str, Any]:
    """GetSecretValue: the value that is AWSCURRENT, or that of another version by its id or label."""
    constraints.check(call)
    params = call.params
    return await read_value(
        ctx, params["SecretId"], version_id=params.get("VersionId"), stage=params.get("VersionStage")
    )


async def list_secret_version_ids(ctx: Context, call: Call) -> dict[str, Any]:
    """ListSecretVersionIds: the versions with a label; those without as well if `IncludeDeprecated`."""
    constraints.check(call)
    params = call.params
    secret, versions = await ctx.store.read(_with_versions, scope=ctx.scope, secret_id=params["SecretId"])
    every = params.get("IncludeDeprecated")
    shown = [v for v in versions if every or v.version_id in secret.stages.values()]
    window = pages.window(params, order=tuple[float, str])
    page, token = window.cut(
        [v for v in shown if window.after is None or (v.created_date, v.key) > window.after][: window.limit],
        lambda v: (v.created_date, v.key),
    )
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "Versions": [
            {
                "VersionId": version.version_id,
                "VersionStages": stages.of_version(secret.stages, version.version_id) or None,
                "CreatedDate": version.created_date,
                "KmsKeyIds": ["DefaultEncryptionKey"],
            }
            for version in page
        ],
        "NextToken": token,
    }


async def update_secret_version_stage(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateSecretVersionStage: attach a label to a version, move it there, or take it off."""
    constraints.check(call)
    params = call.params
    secret = await ctx.store.write(
        _move,
        scope=ctx.scope,
        secret_id=params["SecretId"],
        label=params["VersionStage"],
        remove_from=params.get("RemoveFromVersionId"),
        move_to=params.get("MoveToVersionId"),
        now=ctx.clock(),
    )
    return {"ARN": secret.arn, "Name": secret.name}


async def read_value(
    ctx: Context, secret_id: str, *, version_id: str | None = None, stage: str | None = None
) -> dict[str, Any]:
    """Show a value as GetSecretValue does; raises what GetSecretValue raises."""
    secret, version = await ctx.store.read(
        _chosen, scope=ctx.scope, secret_id=secret_id, version_id=version_id, stage=stage
    )
    return view(secret, version, ctx.keyring)


def view(secret: Secret, version: SecretVersion, keyring: Keyring) -> dict[str, Any]:
    """Show a version with its value; raises DecryptionFailure."""
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.version_id,
        "VersionStages": stages.of_version(secret.stages, version.version_id) or None,
        "CreatedDate": version.created_date,
        **lookup.value_members(version, keyring),
    }


def put(
    tx: Tx,
    *,
    secret_id: str,
    value: Plain,
    version_id: str,
    labels: Collection[str],
    scope: Scope,
    keyring: Keyring,
    now: float,
) -> Secret:
    """Add a version to a secret and move labels to it; raises ResourceExistsException for a token of another value."""
    secret = lookup.find_living(tx, scope, secret_id)
    return added(tx, secret, value, version_id=version_id, labels=labels, keyring=keyring, now=now)


def added(
    tx: Tx,
    secret: Secret,
    value: Plain,
    *,
    version_id: str,
    labels: Collection[str],
    keyring: Keyring,
    now: float,
) -> Secret:
    """Add a version to a secret that is at hand, and drop versions beyond what is kept; returns the secret."""
    existing = tx.get(SecretVersion, version_key(secret.arn, version_id))
    if existing is not None:
        if not value.is_value_of(existing, keyring):
            raise token_in_use(secret, version_id)
        return secret
    tx.put(value.sealed(keyring, secret_arn=secret.arn, version_id=version_id, now=now))
    moved = stages.attached(secret.stages, version_id, labels)
    if tx.count(SecretVersion, secret_arn=secret.arn) > stages.VERSIONS:
        versions = {version.version_id: version for version in lookup.versions_of(tx, secret)}
        for outdated in stages.outdated(moved, list(versions)):
            tx.delete(versions[outdated])
    return tx.put(structs.replace(secret, stages=moved, last_changed_date=now))


def token_in_use(secret: Secret, version_id: str) -> ResourceExistsException:
    """Say that a client token was used for another value."""
    return ResourceExistsException(
        f"You can't use ClientRequestToken {version_id} because that value is already in use for a version of secret "
        f"{secret.arn}."
    )


def _chosen(
    tx: Tx, *, scope: Scope, secret_id: str, version_id: str | None, stage: str | None
) -> tuple[Secret, SecretVersion]:
    secret = lookup.find_living(tx, scope, secret_id)
    wanted = version_id or secret.stages.get(stage or stages.CURRENT)
    version = tx.get(SecretVersion, version_key(secret.arn, wanted)) if wanted else None
    if version is None:
        which = f"VersionId: {version_id}" if version_id else f"staging label: {stage or stages.CURRENT}"
        raise ResourceNotFoundException(f"Secrets Manager can't find the specified secret value for {which}")
    if stage is not None and secret.stages.get(stage) != version.version_id:
        raise InvalidRequestException("You provided a VersionStage that is not associated to the provided VersionId.")
    return secret, version


def _with_versions(tx: Tx, *, scope: Scope, secret_id: str) -> tuple[Secret, list[SecretVersion]]:
    secret = lookup.find(tx, scope, secret_id)
    return secret, lookup.versions_of(tx, secret)


def _move(
    tx: Tx, *, scope: Scope, secret_id: str, label: str, remove_from: str | None, move_to: str | None, now: float
) -> Secret:
    secret = lookup.find_living(tx, scope, secret_id)
    named = {version_id for version_id in (remove_from, move_to) if version_id is not None}
    there = {version_id for version_id in named if tx.get(SecretVersion, version_key(secret.arn, version_id))}
    moved = stages.updated(secret.stages, label, there, remove_from=remove_from, move_to=move_to)
    if moved == secret.stages:
        return secret
    return tx.put(structs.replace(secret, stages=moved, last_changed_date=now))
