"""Whether a caller who is no administrator may make a call: all that it demands must be allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wherry.api.authorization import ecr, ecs, iam, logs, secretsmanager, ssm, sts
from wherry.api.authorization.demand import Demand, Demands, action_of
from wherry.api.context import Context
from wherry.api.iam.permissions import keys_of, permissions_of, with_keys
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import ApiError
from wherry.model.iam.evaluate import Request
from wherry.store import Tx

DEMANDS: Mapping[str, Demands] = {
    "ecr": ecr.demands,
    "ecs": ecs.demands,
    "iam": iam.demands,
    "logs": logs.demands,
    "secretsmanager": secretsmanager.demands,
    "ssm": ssm.demands,
    "sts": sts.demands,
}
"""Service -> what tells the demands of its calls; those of every other service, EC2's too, know no resources."""

_CODES = {"ec2": ("UnauthorizedOperation", 403), "iam": ("AccessDenied", 403), "sts": ("AccessDenied", 403)}
_EC2 = "You are not authorized to perform this operation. "


class DeniedError(ApiError):
    """The caller's policies do not allow the call."""

    def __init__(self, service: str, message: str) -> None:
        """Speak as the `service` does."""
        super().__init__(f"{_EC2 if service == 'ec2' else ''}{message}")
        self._code, self.status = _CODES.get(service, ("AccessDeniedException", 400))

    @property
    def code(self) -> str:
        """The error code of the wire."""
        return self._code


async def authorize(ctx: Context, call: Call) -> None:
    """Let the call pass if the caller's policies allow all that it demands; raises `DeniedError`.

    They are read from the store each time: a policy that is changed counts from the next call on.
    """
    if call.principal.is_administrator:
        return
    denial = await ctx.store.read(_denial, ctx, call)
    if denial is not None:
        raise DeniedError(call.service, denial)


def _denial(tx: Tx, ctx: Context, call: Call) -> str | None:
    """Say why the call is denied."""
    permissions = permissions_of(tx, call.principal)
    keys = keys_of(tx, call, ctx.clock())
    for demand in _demands(tx, ctx.scope, call):
        request = Request(action=demand.action, resource=demand.resource, keys=with_keys(keys, demand.keys))
        decision = permissions.decide(request)
        if not decision.is_allowed:
            return decision.sentence(call.principal.arn, request)
    return None


def _demands(tx: Tx, scope: Scope, call: Call) -> Iterable[Demand]:
    demands = DEMANDS.get(call.service)
    return (Demand(action=action_of(call)),) if demands is None else demands(tx, scope, call)
