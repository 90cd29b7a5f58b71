"""Calls operations on the real tables as the gateway does, and holds requests and answers against the models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator
from tests.builders import KEYRING, NO_LOGS, NOW, SCOPE, Counter

from wherry.api.context import Context
from wherry.api.ec2 import defaults
from wherry.api.table import TABLES
from wherry.keyring import Keyring
from wherry.model.call import Call, Principal
from wherry.model.errors import ApiError
from wherry.settings import Settings
from wherry.store import Store
from wherry.store.logs import LogStore

ROOT = "arn:aws:iam::000000000000:root"

JSON_TYPES = {
    "string": str,
    "integer": int,
    "long": int,
    "double": float | int,
    "float": float | int,
    "boolean": bool,
    "timestamp": float | int,
    "blob": bytes,
}


class Aws:
    """A control plane without its gateway: `await aws("CreateCluster", clusterName="web")`."""

    def __init__(self, store: Store, logs: LogStore = NO_LOGS, *, keyring: Keyring = KEYRING) -> None:
        self.store = store
        self.now = NOW
        self.principal = ROOT
        self.caller: Principal | None = None
        self.ctx = Context(
            store=store,
            logs=logs,
            settings=Settings(),
            scope=SCOPE,
            clock=lambda: self.now,
            entropy=Counter(),
            keyring=keyring,
        )

    async def seed(self) -> Aws:
        """Make the default VPC and cluster."""
        await self.store.write(defaults.seed, scope=SCOPE, vpc_cidr=None, entropy=self.ctx.entropy, now=self.now)
        return self

    async def __call__(self, operation: str, *, of: str = "ecs", **params: Any) -> dict[str, Any]:
        model = operation_model(of, operation)
        if model.input_shape is not None:
            report = ParamValidator().validate(params, model.input_shape)
            assert not report.has_errors(), report.generate_report()
        call = Call(
            service=of,
            operation=operation,
            params=params,
            principal=self.caller
            or Principal(account_id=SCOPE.account_id, arn=self.principal, access_key_id="AKIATEST"),
            region=SCOPE.region,
            request_id="00000000-0000-4000-8000-000000000000",
        )
        answer = await TABLES[of][operation](self.ctx, call)
        if model.output_shape is not None:
            check(answer, model.output_shape, operation)
        return answer

    async def ec2(self, operation: str, **params: Any) -> dict[str, Any]:
        return await self(operation, of="ec2", **params)

    async def refusal(self, operation: str, *, of: str = "ecs", **params: Any) -> tuple[str, str]:
        """Return the code and message of the error that the operation must end with."""
        with pytest.raises(ApiError) as caught:
            await self(operation, of=of, **params)
        return caught.value.code, caught.value.message


@cache
def operation_model(service: str, operation: str) -> OperationModel:
    return service_model(service).operation_model(operation)


@cache
def service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def check(value: Any, shape: Shape, where: str) -> None:
    """Assert that an answer has the shape that the model gives it; None stands for an absent member."""
    if value is None:
        return
    match shape.type_name:
        case "structure":
            assert isinstance(value, Mapping), where
            assert not set(value) - set(shape.members), f"{where}: {set(value) - set(shape.members)}"
            for name, item in value.items():
                check(item, shape.members[name], f"{where}.{name}")
        case "list":
            assert isinstance(value, list), where
            for position, item in enumerate(value):
                check(item, shape.member, f"{where}[{position}]")
        case "map":
            for key, item in value.items():
                check(item, shape.value, f"{where}[{key}]")
        case kind:
            assert isinstance(value, JSON_TYPES[kind]), f"{where}: {value!r} is no {kind}"
            if shape.metadata.get("enum"):
                assert value in shape.enum, f"{where}: {value!r} is none of {shape.enum}"


__all__ = ["ROOT", "Aws", "check", "operation_model", "service_model"]
