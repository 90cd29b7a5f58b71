"""Tags of secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.secretsmanager import lookup
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException
from wherry.store import Tx

LIMIT = 50


async def tag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """TagResource: add tags to a secret, or change their values."""
    constraints.check(call)
    tags = check(call.params["Tags"])
    await ctx.store.write(_tag, scope=ctx.scope, secret_id=call.params["SecretId"], tags=tags)
    return {}


async def untag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagResource: take tags off; keys that are not there change nothing."""
    constraints.check(call)
    keys = frozenset(call.params["TagKeys"])
    await ctx.store.write(_untag, scope=ctx.scope, secret_id=call.params["SecretId"], keys=keys)
    return {}


def check(raw: Sequence[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    """Read the `Tags` of a request; raises InvalidParameterException."""
    tags = tuple(Tag(key=item.get("Key") or "", value=item.get("Value") or "") for item in raw or ())
    for tag in tags:
        if not tag.key:
            raise InvalidParameterException("You must specify the key of every tag.")
        if tag.key.lower().startswith("aws:"):
            raise InvalidParameterException(f"The tag key {tag.key} is reserved: keys may not begin with aws:.")
    if len({tag.key for tag in tags}) < len(tags):
        raise InvalidParameterException("Duplicate tag keys found. Specify each tag key once.")
    _check_number(tags)
    return tags


def view(tags: Iterable[Tag]) -> list[dict[str, str]]:
    """Show tags as Secrets Manager and SSM do."""
    return [{"Key": tag.key, "Value": tag.value} for tag in tags]


def _tag(tx: Tx, *, scope: Scope, secret_id: str, tags: tuple[Tag, ...]) -> None:
    secret = lookup.find_living(tx, scope, secret_id)
    merged = tuple(({tag.key: tag for tag in secret.tags} | {tag.key: tag for tag in tags}).values())
    _check_number(merged)
    tx.put(structs.replace(secret, tags=merged))


def _untag(tx: Tx, *, scope: Scope, secret_id: str, keys: frozenset[str]) -> None:
    secret = lookup.find_living(tx, scope, secret_id)
    tx.put(structs.replace(secret, tags=tuple(tag for tag in secret.tags if tag.key not in keys)))


def _check_number(tags: Sequence[Tag]) -> None:
    if len(tags) > LIMIT:
        raise InvalidParameterException(f"A secret has at most {LIMIT} tags. Remove some with UntagResource first.")
