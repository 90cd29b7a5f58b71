"""The demands of ECR, whose resources are repositories; what Docker asks for at /v2/ is the same calls.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wherry.api.authorization.demand import Demand, action_of, request_tags, resource_tags
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.ecr import names
from wherry.model.ecr.repository import Repository
from wherry.store import Tx


def demands(tx: Tx, scope: Scope, call: Call) -> Iterator[Demand]:
    """Tell what a call demands; to describe several repositories is to describe each."""
    params, keys = call.params, request_tags(call.params)
    if "repositoryName" in params:
        yield _on(tx, scope, call, params["repositoryName"], keys)
    elif "resourceArn" in params:
        name = params["resourceArn"].partition(":repository/")[2]
        own = _on(tx, scope, call, name, keys)
        yield Demand(action=own.action, resource=params["resourceArn"], keys=own.keys)
    elif call.operation == "DescribeRepositories":
        for name in params.get("repositoryNames") or ("*",):
            yield _on(tx, scope, call, name, keys)
    else:
        yield Demand(action=action_of(call))


def _on(tx: Tx, scope: Scope, call: Call, name: str, keys: dict[str, str | tuple[str, ...]]) -> Demand:
    found = tx.get(Repository, name) if names.is_repository(name) else None
    tags = resource_tags(found.tags) if found is not None else {}
    own = {key.replace("aws:", "ecr:"): value for key, value in tags.items()}
    return Demand(action=action_of(call), resource=names.repository_arn(scope, name), keys=keys | tags | own)
