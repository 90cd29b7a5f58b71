"""Secrets: made, described, changed, deleted and brought back."""

from __future__ import annotations

import re
from typing import Any

from msgspec import structs

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.secretsmanager import lookup, tags, versions
from wherry.api.secretsmanager.lookup import Plain
from wherry.keyring import Keyring
from wherry.model import ids
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException, ResourceNotFoundException, ValidationException
from wherry.model.secretsmanager import stages
from wherry.model.secretsmanager.errors import InvalidRequestException, ResourceExistsException
from wherry.model.secretsmanager.secret import Secret, SecretVersion, version_key
from wherry.store import Tx

DAY = 24 * 3600.0
RECOVERY_DAYS = 30
DEFAULT_KEY = "alias/aws/secretsmanager"

_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]+")


async def create_secret(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateSecret: a secret, with a first version if a value is given; again with the same token is the same."""
    constraints.check(call)
    params = call.params
    name, value, version_id = params["Name"], lookup.plain(params), params.get("ClientRequestToken")
    if not _NAME.fullmatch(name):
        raise ValidationException(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
        )
    _refuse_unsupported(params)
    now = ctx.clock()
    wanted = Secret(
        arn=f"{lookup.arn_prefix(ctx.scope)}{name}-{ids.base62(ctx.entropy, 6)}",
        name=name,
        created_date=now,
        last_changed_date=now,
        description=params.get("Description"),
        kms_key_id=_key(ctx.scope, params.get("KmsKeyId")),
        tags=tags.check(params.get("Tags")),
    )
    secret = await ctx.store.write(_create, wanted, value=value, version_id=version_id or "", keyring=ctx.keyring)
    return {"ARN": secret.arn, "Name": secret.name, "VersionId": version_id if value is not None else None}


async def update_secret(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateSecret: another description, and a new version that is AWSCURRENT if a value is given."""
    constraints.check(call)
    params = call.params
    value, version_id = lookup.plain(params), params.get("ClientRequestToken")
    _refuse_unsupported(params)
    changes = {
        name: params[member]
        for member, name in (("Description", "description"), ("KmsKeyId", "kms_key_id"))
        if params.get(member) is not None
    }
    _key(ctx.scope, params.get("KmsKeyId"))
    secret = await ctx.store.write(
        _update,
        scope=ctx.scope,
        secret_id=params["SecretId"],
        changes=changes,
        value=value,
        version_id=version_id or "",
        keyring=ctx.keyring,
        now=ctx.clock(),
    )
    return {"ARN": secret.arn, "Name": secret.name, "VersionId": version_id if value is not None else None}


async def describe_secret(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeSecret: everything but the values."""
    constraints.check(call)
    secret = await ctx.store.read(lookup.find, ctx.scope, call.params["SecretId"])
    return {**view(secret), "DeletedDate": secret.deletion_date, "VersionIdsToStages": _labels(secret)}


async def delete_secret(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteSecret: hide a secret now and remove it after 7 to 30 days, or remove it now."""
    constraints.check(call)
    params, now = call.params, ctx.clock()
    days, forced = params.get("RecoveryWindowInDays"), bool(params.get("ForceDeleteWithoutRecovery"))
    if forced and days is not None:
        raise InvalidParameterException(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        )
    if days is not None and not 7 <= days <= 30:
        raise InvalidParameterException("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
    secret_id = params["SecretId"]
    if forced:
        gone = await ctx.store.write(_remove, scope=ctx.scope, secret_id=secret_id)
        # As on AWS, what is not there is as good as removed.
        arn, name = (gone.arn, gone.name) if gone is not None else (None, secret_id)
        return {"ARN": arn, "Name": name, "DeletionDate": now}
    window = (days or RECOVERY_DAYS) * DAY
    secret = await ctx.store.write(_schedule, scope=ctx.scope, secret_id=secret_id, now=now, window=window)
    return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": secret.deletion_date}


async def restore_secret(ctx: Context, call: Call) -> dict[str, Any]:
    """RestoreSecret: bring a secret back that was deleted and has not gone yet."""
    constraints.check(call)
    secret = await ctx.store.write(_restore, scope=ctx.scope, secret_id=call.params["SecretId"])
    return {"ARN": secret.arn, "Name": secret.name}


def view(secret: Secret) -> dict[str, Any]:
    """Show what DescribeSecret and ListSecrets have in common."""
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "Description": secret.description,
        "KmsKeyId": secret.kms_key_id,
        "LastChangedDate": secret.last_changed_date,
        "CreatedDate": secret.created_date,
        "Tags": tags.view(secret.tags) or None,
    }


def _labels(secret: Secret) -> dict[str, list[str]] | None:
    return stages.by_version(secret.stages) or None


def _create(tx: Tx, wanted: Secret, *, value: Plain | None, version_id: str, keyring: Keyring) -> Secret:
    taken = tx.find(Secret, name=wanted.name, limit=1)
    if taken:
        return _repeated(tx, taken[0], value, version_id=version_id, keyring=keyring)
    secret = tx.put(wanted)
    if value is None:
        return secret
    now = wanted.created_date
    return versions.added(tx, secret, value, version_id=version_id, labels=[stages.CURRENT], keyring=keyring, now=now)


def _repeated(tx: Tx, secret: Secret, value: Plain | None, *, version_id: str, keyring: Keyring) -> Secret:
    """Take a request that was carried out before for done; raises if this is another one."""
    if secret.is_deleted:
        raise InvalidRequestException(
            "You can't create this secret because a secret with this name is already scheduled for deletion."
        )
    version = tx.get(SecretVersion, version_key(secret.arn, version_id)) if version_id else None
    if value is None or version is None:
        raise ResourceExistsException(f"The operation failed because the secret {secret.name} already exists.")
    if not value.is_value_of(version, keyring):
        raise versions.token_in_use(secret, version_id)
    return secret


def _update(
    tx: Tx,
    *,
    scope: Scope,
    secret_id: str,
    changes: dict[str, Any],
    value: Plain | None,
    version_id: str,
    keyring: Keyring,
    now: float,
) -> Secret:
    secret = lookup.find_living(tx, scope, secret_id)
    if changes:
        secret = tx.put(structs.replace(secret, last_changed_date=now, **changes))
    if value is None:
        return secret
    return versions.added(tx, secret, value, version_id=version_id, labels=[stages.CURRENT], keyring=keyring, now=now)


def _schedule(tx: Tx, *, scope: Scope, secret_id: str, now: float, window: float) -> Secret:
    secret = lookup.find(tx, scope, secret_id)
    if secret.is_deleted:
        raise InvalidRequestException(
            "You can't perform this operation on the secret because it was already scheduled for deletion."
        )
    return tx.put(structs.replace(secret, deleted_date=now, deletion_date=now + window))


def _remove(tx: Tx, *, scope: Scope, secret_id: str) -> Secret | None:
    try:
        secret = lookup.find(tx, scope, secret_id)
    except ResourceNotFoundException:
        return None
    lookup.remove(tx, secret)
    return secret


def _restore(tx: Tx, *, scope: Scope, secret_id: str) -> Secret:
    secret = lookup.find(tx, scope, secret_id)
    if not secret.is_deleted:
        return secret
    return tx.put(structs.replace(secret, deleted_date=None, deletion_date=None))


def _key(scope: Scope, key_id: str | None) -> str | None:
    """Return the KMS key as it is shown; raises InvalidParameterException for any but the service's own."""
    if not key_id:
        return None
    if key_id not in (DEFAULT_KEY, f"arn:aws:kms:{scope.region}:{scope.account_id}:{DEFAULT_KEY}"):
        raise InvalidParameterException(
            "Wherry seals secrets under a key file of its own and has no KMS keys. "
            f"Leave KmsKeyId out, or set it to {DEFAULT_KEY}."
        )
    return key_id


def _refuse_unsupported(params: dict[str, Any]) -> None:
    if params.get("AddReplicaRegions") or params.get("ForceOverwriteReplicaSecret"):
        raise InvalidParameterException(
            "Wherry is one region: secrets are not replicated. Leave AddReplicaRegions and "
            "ForceOverwriteReplicaSecret out."
        )
    for member in ("Type", "CrossAccountPrimaryARN"):
        if params.get(member):
            raise InvalidParameterException(
                f"Wherry has no secrets that others manage or replicate. Leave {member} out."
            )
