"""Every service and its operations, bound to one context: what the gateway calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from wherry.api.context import Context
from wherry.api.ec2.table import OPERATIONS as EC2
from wherry.api.ecr.table import OPERATIONS as ECR
from wherry.api.ecs.table import OPERATIONS as ECS
from wherry.api.ecs.table import Operation, Refused
from wherry.api.iam.table import OPERATIONS as IAM
from wherry.api.logs.table import OPERATIONS as LOGS
from wherry.api.secretsmanager.table import OPERATIONS as SECRETS_MANAGER
from wherry.api.ssm.table import OPERATIONS as SSM
from wherry.api.sts.table import OPERATIONS as STS
from wherry.model.call import Call, Handler

TABLES: Mapping[str, Mapping[str, Operation | Refused]] = {
    "ecs": ECS,
    "ec2": EC2,
    "ecr": ECR,
    "logs": LOGS,
    "iam": IAM,
    "sts": STS,
    "secretsmanager": SECRETS_MANAGER,
    "ssm": SSM,
}
"""Service id, as botocore has it -> operation name -> what is done about it."""


def services(ctx: Context) -> dict[str, dict[str, Handler]]:
    """Bind the tables to a context: service id -> operation name -> handler. That of a refused operation raises."""
    return {
        service: {name: _handler(ctx, operation) for name, operation in table.items()}
        for service, table in TABLES.items()
    }


def _handler(ctx: Context, operation: Operation | Refused) -> Handler:
    if not isinstance(operation, Refused):
        return partial(operation, ctx)

    async def refuse(call: Call) -> NoReturn:
        raise operation.error(f"{call.operation} is not supported: {operation.sentence}")

    return refuse
