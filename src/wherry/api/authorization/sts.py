"""The demands of STS: AssumeRole decides together with the trust policy, the others are for everybody."""

from __future__ import annotations

from wherry.api.authorization.demand import Demand, action_of
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.store import Tx

_FREE = frozenset({"AssumeRole", "GetCallerIdentity", "GetSessionToken"})


def demands(_: Tx, __: Scope, call: Call) -> tuple[Demand, ...]:
    """Tell what a call demands."""
    return () if call.operation in _FREE else (Demand(action=action_of(call)),)
