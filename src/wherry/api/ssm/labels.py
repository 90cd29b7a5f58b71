"""Labels of versions."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.ssm import lookup
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.ssm import rules
from wherry.store import Tx


async def label_parameter_version(ctx: Context, call: Call) -> dict[str, Any]:
    """LabelParameterVersion: move labels to a version, the newest unless told; those that cannot be are named."""
    constraints.check(call)
    params = call.params
    number, invalid = await ctx.store.write(
        _label, scope=ctx.scope, name=params["Name"], number=params.get("ParameterVersion"), labels=params["Labels"]
    )
    return {"InvalidLabels": invalid, "ParameterVersion": number}


async def unlabel_parameter_version(ctx: Context, call: Call) -> dict[str, Any]:
    """UnlabelParameterVersion: take labels off a version; those that it does not have are named."""
    constraints.check(call)
    params = call.params
    removed, invalid = await ctx.store.write(
        _unlabel, scope=ctx.scope, name=params["Name"], number=params["ParameterVersion"], labels=params["Labels"]
    )
    return {"RemovedLabels": removed, "InvalidLabels": invalid}


def _label(tx: Tx, *, scope: Scope, name: str, number: int | None, labels: list[str]) -> tuple[int, list[str]]:
    parameter = lookup.find(tx, scope, name)
    version = lookup.version(tx, parameter, None if number is None else str(number))
    moved, invalid = rules.labelled(parameter, version.number, labels)
    if moved != parameter.labels:
        tx.put(structs.replace(parameter, labels=moved))
    return version.number, invalid


def _unlabel(tx: Tx, *, scope: Scope, name: str, number: int, labels: list[str]) -> tuple[list[str], list[str]]:
    parameter = lookup.find(tx, scope, name)
    version = lookup.version(tx, parameter, str(number))
    left, removed, invalid = rules.unlabelled(parameter, version.number, labels)
    if removed:
        tx.put(structs.replace(parameter, labels=left))
    return removed, invalid
