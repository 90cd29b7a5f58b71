"""The demands of Secrets Manager, whose resources are always whole ARNs, however the caller names the secret.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wherry.api.authorization.demand import ANY, Demand, action_of, request_tags, resource_tags
from wherry.api.secretsmanager import lookup
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import ApiError
from wherry.model.secretsmanager.secret import Secret
from wherry.store import Tx

_READ = "secretsmanager:GetSecretValue"


def demands(tx: Tx, scope: Scope, call: Call) -> Iterator[Demand]:
    """Tell what a call demands; to read several secrets is to read each, or any where filters choose them."""
    params = call.params
    keys = request_tags(params)
    if call.operation == "BatchGetSecretValue":
        yield Demand(action=action_of(call))
        yield from (reading(tx, scope, secret_id) for secret_id in params.get("SecretIdList") or ())
        if params.get("Filters"):
            yield Demand(action="secretsmanager:ListSecrets")
            yield Demand(action=_READ, resource=f"{lookup.arn_prefix(scope)}*")
    elif call.operation == "CreateSecret":
        keys["secretsmanager:Name"] = params["Name"]
        yield Demand(action=action_of(call), resource=f"{lookup.arn_prefix(scope)}{params['Name']}", keys=keys)
    elif "SecretId" in params:
        resource, tags = _resource(tx, scope, params["SecretId"])
        if "VersionStage" in params:
            keys["secretsmanager:VersionStage"] = params["VersionStage"]
        yield Demand(action=action_of(call), resource=resource, keys=keys | tags)
    else:
        yield Demand(action=action_of(call), resource=ANY)


def reading(tx: Tx, scope: Scope, secret_id: str) -> Demand:
    """Demand to read a secret."""
    resource, tags = _resource(tx, scope, secret_id)
    return Demand(action=_READ, resource=resource, keys=tags)


def _resource(tx: Tx, scope: Scope, secret_id: str) -> tuple[str, dict[str, str | tuple[str, ...]]]:
    secret = _find(tx, scope, secret_id)
    if secret is None:
        return (secret_id if secret_id.startswith("arn:") else f"{lookup.arn_prefix(scope)}{secret_id}"), {}
    tags = resource_tags(secret.tags)
    own = {name.replace("aws:", "secretsmanager:"): value for name, value in tags.items()}
    return secret.arn, tags | own | {"secretsmanager:SecretId": secret.arn}


def _find(tx: Tx, scope: Scope, secret_id: str) -> Secret | None:
    try:
        return lookup.find(tx, scope, secret_id)
    except ApiError:
        return None  # the operation itself will say that it is not there
