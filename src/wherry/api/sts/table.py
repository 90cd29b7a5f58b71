"""The operations of STS that are done; every other one is refused as unknown."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.api.ecs.table import Operation, Refused
from wherry.api.sts import identity

OPERATIONS: Mapping[str, Operation | Refused] = {"GetCallerIdentity": identity.get_caller_identity}
