"""Many secrets at once: lists of them, and batches of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.ecs.paging import Window
from wherry.api.secretsmanager import pages, secrets, versions
from wherry.model.call import Call
from wherry.model.errors import ApiError, InvalidParameterException
from wherry.model.secretsmanager import stages
from wherry.model.secretsmanager.errors import InvalidRequestException
from wherry.model.secretsmanager.filters import Filter, matches
from wherry.model.secretsmanager.secret import Secret
from wherry.store import Tx

CHUNK = 500
"""Rows read at a time while a page is filled with those that pass the filters."""

_ORDERS = {
    "created-date": ("created_date", tuple[float, str]),
    "last-changed-date": ("last_changed_date", tuple[float, str]),
    "name": ("name", tuple[str, str]),
}


async def list_secrets(ctx: Context, call: Call) -> dict[str, Any]:
    """ListSecrets: those that pass the filters; deleted ones only with `IncludePlannedDeletion`."""
    constraints.check(call)
    params = call.params
    sort = params.get("SortBy") or "created-date"
    if sort not in _ORDERS:
        raise InvalidRequestException(
            f"Wherry does not record when secrets are read. Set SortBy to one of {', '.join(_ORDERS)}."
        )
    column, order = _ORDERS[sort]
    window = pages.window(params, order=order)
    found = await ctx.store.read(
        _matching,
        _filters(params),
        window,
        column=column,
        descending=params.get("SortOrder") == "desc",
        deleted=bool(params.get("IncludePlannedDeletion")),
    )
    page, token = window.cut(found, lambda secret: (getattr(secret, column), secret.arn))
    return {"SecretList": [_view(secret) for secret in page], "NextToken": token}


async def batch_get_secret_value(ctx: Context, call: Call) -> dict[str, Any]:
    """BatchGetSecretValue: the current values of secrets that are named, or that pass filters."""
    constraints.check(call)
    params = call.params
    named, filters = params.get("SecretIdList") or [], _filters(params)
    if bool(named) == bool(filters):
        raise InvalidParameterException("You must specify either SecretIdList or Filters, and not both.")
    if named and (params.get("MaxResults") or params.get("NextToken")):
        raise InvalidParameterException("MaxResults and NextToken go with Filters only.")
    if named:
        return await _values(ctx, named)
    window = pages.window(params, default=20, order=tuple[float, str])
    found = await ctx.store.read(_matching, filters, window, column="created_date", descending=False, deleted=False)
    page, token = window.cut(found, lambda secret: (secret.created_date, secret.arn))
    return {**await _values(ctx, [secret.arn for secret in page]), "NextToken": token}


async def _values(ctx: Context, secret_ids: Sequence[str]) -> dict[str, Any]:
    values: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for secret_id in dict.fromkeys(secret_ids):
        try:
            values.append(await versions.read_value(ctx, secret_id))
        except ApiError as error:
            errors.append({"SecretId": secret_id, "ErrorCode": error.code, "Message": error.message})
    return {"SecretValues": values, "Errors": errors}


def _filters(params: dict[str, Any]) -> list[Filter]:
    filters = msgspec.convert(params.get("Filters") or [], list[Filter])
    for one in filters:
        if not one.key or not one.values:
            raise InvalidParameterException("Each filter needs a Key and Values.")
    return filters


def _matching(
    tx: Tx, filters: Sequence[Filter], window: Window, *, column: str, descending: bool, deleted: bool
) -> list[Secret]:
    found: list[Secret] = []
    after = window.after
    while len(found) < window.limit:
        rows = tx.find(Secret, order=column, descending=descending, limit=CHUNK, after=after)
        found += [row for row in rows if (deleted or not row.is_deleted) and matches(row, filters)]
        if len(rows) < CHUNK:
            break
        after = (getattr(rows[-1], column), rows[-1].arn)
    return found[: window.limit]


def _view(secret: Secret) -> dict[str, Any]:
    labels = stages.by_version(secret.stages) or None
    return {**secrets.view(secret), "DeletedDate": secret.deleted_date, "SecretVersionsToStages": labels}
