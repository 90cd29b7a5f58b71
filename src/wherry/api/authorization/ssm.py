"""The demands of the Parameter Store.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wherry.api.authorization import secretsmanager
from wherry.api.authorization.demand import ANY, Demand, action_of, request_tags, resource_tags
from wherry.model import arn as arns
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import ValidationException
from wherry.model.ssm import names
from wherry.model.ssm.parameter import Parameter
from wherry.store import Tx


def demands(tx: Tx, scope: Scope, call: Call) -> Iterator[Demand]:
    """Tell what a call demands; a name that stands for a secret demands to read that secret besides."""
    params = call.params
    keys = request_tags(params)
    texts = params.get("Names") or [params.get("Name") or params.get("Path") or params.get("ResourceId") or ""]
    for text in texts:
        name = _without_selector(text)
        resource = names.arn(scope, name) if name else ANY
        parameter = tx.get(Parameter, resource)
        tags = {} if parameter is None else resource_tags(parameter.tags)
        recursive = {"ssm:Recursive": str(params.get("Recursive", False)).lower()} if "Path" in params else {}
        yield Demand(action=action_of(call), resource=resource, keys=keys | tags | recursive)
        secret = f"/{arns.resource(resource).partition('/')[2]}"
        if secret.startswith(names.SECRETS):
            yield secretsmanager.reading(tx, scope, secret.removeprefix(names.SECRETS))


def _without_selector(text: str) -> str:
    try:
        return names.split(text).name
    except ValidationException:
        return text  # the operation itself will say what is wrong with it
