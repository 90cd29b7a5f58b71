"""Values read: of one parameter, of several, of a path, of every version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.ecs.paging import Window
from wherry.api.ssm import lookup, pages, secrets
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.ssm import filters, names, rules
from wherry.model.ssm.errors import ParameterNotFound, ParameterVersionNotFound
from wherry.model.ssm.filters import Filter
from wherry.model.ssm.parameter import Parameter, ParameterVersion, version_key
from wherry.store import Range, Tx

CHUNK = 200
"""Rows read at a time while a page is filled with those that pass the filters."""


async def get_parameter(ctx: Context, call: Call) -> dict[str, Any]:
    """GetParameter: the newest version, or the one that a number or a label behind the name selects."""
    constraints.check(call)
    return {"Parameter": await _get(ctx, call, call.params["Name"])}


async def get_parameters(ctx: Context, call: Call) -> dict[str, Any]:
    """GetParameters: up to ten; those that are not there are named."""
    constraints.check(call)
    found: list[dict[str, Any]] = []
    invalid: list[str] = []
    for name in dict.fromkeys(call.params["Names"]):
        try:
            found.append(await _get(ctx, call, name))
        except (ParameterNotFound, ParameterVersionNotFound):
            invalid.append(name)
    return {"Parameters": found, "InvalidParameters": invalid}


async def get_parameters_by_path(ctx: Context, call: Call) -> dict[str, Any]:
    """GetParametersByPath: what lies right below a path, or with `Recursive` anywhere below it."""
    constraints.check(call)
    params = call.params
    path = names.check_path(params["Path"])
    wanted = msgspec.convert(params.get("ParameterFilters") or [], list[Filter])
    filters.check(wanted, filters.BY_PATH, tags=False)
    window = pages.window(params, default=10)
    found = await ctx.store.read(
        _below, window, path=path, recursive=bool(params.get("Recursive")), wanted=wanted, scope=ctx.scope
    )
    page, token = window.cut(found, lambda pair: (pair[0].arn,))
    decrypted = bool(params.get("WithDecryption"))
    shown = [lookup.view(parameter, version, ctx.keyring, decrypted=decrypted) for parameter, version in page]
    return {"Parameters": shown, "NextToken": token}


async def get_parameter_history(ctx: Context, call: Call) -> dict[str, Any]:
    """GetParameterHistory: every version that is kept, the oldest first."""
    constraints.check(call)
    params = call.params
    window = pages.window(params, default=50, order=tuple[int, str])
    parameter, found = await ctx.store.read(_history, window, scope=ctx.scope, name=params["Name"])
    page, token = window.cut(found, lambda version: (version.number, version.key))
    decrypted = bool(params.get("WithDecryption"))
    shown = [
        {
            **state_view(parameter, version),
            "Value": lookup.value(version, ctx.keyring, decrypted=decrypted),
            "Labels": rules.labels_of(parameter, version.number),
        }
        for version in page
    ]
    return {"Parameters": shown, "NextToken": token}


def state_view(parameter: Parameter, version: ParameterVersion | None = None) -> dict[str, Any]:
    """Show what DescribeParameters and GetParameterHistory have in common, of the newest version unless given."""
    state = version.state if version is not None else parameter.latest
    return {
        "Name": parameter.name,
        "Type": state.type,
        "KeyId": state.key_id,
        "LastModifiedDate": state.last_modified_date,
        "LastModifiedUser": state.last_modified_user,
        "Description": state.description,
        "AllowedPattern": state.allowed_pattern,
        "Version": state.number,
        "Tier": state.tier,
        "Policies": [],
        "DataType": state.data_type,
    }


async def _get(ctx: Context, call: Call, name: str) -> dict[str, Any]:
    wanted = names.split(name)
    decrypted = bool(call.params.get("WithDecryption"))
    if wanted.name.startswith(names.SECRETS):
        return await secrets.get(ctx, wanted, decrypted=decrypted)
    parameter, version = await ctx.store.read(lookup.selected, ctx.scope, wanted)
    return lookup.view(parameter, version, ctx.keyring, decrypted=decrypted, selector=wanted.selector)


def _below(
    tx: Tx, window: Window, *, path: str, recursive: bool, wanted: Sequence[Filter], scope: Scope
) -> list[tuple[Parameter, ParameterVersion]]:
    label = next((one.values for one in wanted if one.key == "Label"), ())
    found: list[tuple[Parameter, ParameterVersion]] = []
    for parameter in matching(tx, window, path=path, recursive=recursive, wanted=wanted, scope=scope):
        number = next((parameter.labels[text] for text in label if text in parameter.labels), parameter.latest.number)
        version = tx.get(ParameterVersion, version_key(parameter.arn, number))
        if version is not None:
            found.append((parameter, version))
    return found


def matching(
    tx: Tx, window: Window, *, path: str, recursive: bool, wanted: Sequence[Filter], scope: Scope
) -> list[Parameter]:
    """Read a page of the parameters below a path ("" is the root) that pass the filters, in the order of ARNs."""
    beginning = f"{names.arn_prefix(scope)}{path[1:]}{'/' if path else ''}"
    place: dict[str, Any] = {"arn": Range(beginning, f"{beginning[:-1]}0")} if recursive else {"parent": path}
    found: list[Parameter] = []
    after = window.after
    while len(found) < window.limit:
        rows = tx.find(Parameter, limit=CHUNK, after=after, **place)
        found += [row for row in rows if filters.matches(row, wanted)]
        if len(rows) < CHUNK:
            break
        after = (rows[-1].arn,)
    return found[: window.limit]


def _history(tx: Tx, window: Window, *, scope: Scope, name: str) -> tuple[Parameter, list[ParameterVersion]]:
    parameter = lookup.find(tx, scope, name)
    versions = tx.find(
        ParameterVersion, parameter_arn=parameter.arn, order="number", limit=window.limit, after=window.after
    )
    return parameter, versions
