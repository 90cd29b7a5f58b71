"""The roles that task definitions and overrides name: found, or made, or refused; and whether tasks may assume them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import roles as iam
from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.base import Value
from wherry.model.errors import ClientException
from wherry.model.iam.identity import InlinePolicy, Role
from wherry.model.ids import Entropy
from wherry.model.task import TaskOverride
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx

_SECRETS = InlinePolicy(
    name="secrets-of-task-definitions",
    document=(
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ssm:GetParameters", '
        '"secretsmanager:GetSecretValue", "s3:GetObject", "s3:GetBucketLocation"], "Resource": "*"}]}'
    ),
)
"""What AmazonECSTaskExecutionRolePolicy leaves out, and AWS has everybody add by hand."""


class Named(Value, frozen=True):
    """The roles of a task as they are named, by an ARN or a name; None where there is none."""

    task: str | None = None
    execution: str | None = None

    def __iter__(self) -> Iterator[tuple[str, bool]]:
        """Go through those that are named; true with the execution role."""
        yield from ((ref, execution) for ref, execution in ((self.task, False), (self.execution, True)) if ref)


class Custom(Value, frozen=True):
    """How a control plane goes about roles that are named and are not there."""

    scope: Scope
    creates: bool


def custom(ctx: Context) -> Custom:
    """Read it out of the settings."""
    return Custom(scope=ctx.scope, creates=ctx.settings.missing_roles == "create")


def named(definition: TaskDefinition, overrides: TaskOverride) -> Named:
    """Tell which roles a task has: those of the override before those of the definition."""
    return Named(
        task=overrides.task_role_arn or definition.task_role_arn,
        execution=overrides.execution_role_arn or definition.execution_role_arn,
    )


def find(tx: Tx, ref: str, custom: Custom) -> Role | None:
    """Find the role that is named.

    Where missing roles are created, one of another account means the role of that name here: task definitions that
    were written for an account at AWS carry its number.
    """
    if custom.creates and ref.startswith("arn:"):
        ref = f"arn:aws:iam::{custom.scope.account_id}:{arn.resource(ref)}"
    return iam.find_role(tx, ref, custom.scope)


def settle(tx: Tx, roles: Named, custom: Custom, *, entropy: Entropy, now: float) -> None:
    """See that the roles are there; raises ClientException for one that is neither there nor to be created."""
    for ref, execution in roles:
        if find(tx, ref, custom) is not None:
            continue
        _check_creatable(tx, ref, custom)
        role = iam.create_default_role(tx, ref, scope=custom.scope, execution=execution, entropy=entropy, now=now)
        if execution:
            tx.put(structs.replace(role, inline_policies=(*role.inline_policies, _SECRETS)))


def settle_infrastructure(tx: Tx, refs: Iterable[str], custom: Custom, *, entropy: Entropy, now: float) -> None:
    """See that the roles by which ECS makes volumes are there; raises ClientException for one that cannot be."""
    for ref in refs:
        if find(tx, ref, custom) is None:
            _check_creatable(tx, ref, custom)
            iam.create_default_role(
                tx, ref, scope=custom.scope, execution=False, entropy=entropy, now=now, service=iam.ECS
            )


def _check_creatable(tx: Tx, ref: str, custom: Custom) -> None:
    if not custom.creates or tx.get(Role, arn.last(ref)) is not None:
        raise ClientException("Role is not valid")


def check_assumable(tx: Tx, roles: Named, custom: Custom) -> None:
    """Raise ClientException for a role that tasks cannot have."""
    _check_assumable_by(iam.TASKS, tx, (ref for ref, _ in roles), custom)


def check_infrastructure(tx: Tx, refs: Iterable[str], custom: Custom) -> None:
    """Raise ClientException for a role that ECS cannot assume to make volumes."""
    _check_assumable_by(iam.ECS, tx, refs, custom)


def _check_assumable_by(service: str, tx: Tx, refs: Iterable[str], custom: Custom) -> None:
    for ref in refs:
        role = find(tx, ref, custom)
        if role is None or not iam.may_be_assumed_by(role, service):
            raise ClientException(not_assumed(ref))


def not_assumed(ref: str) -> str:
    """Say it as ECS does."""
    return (
        f"ECS was unable to assume the role '{ref}' that was provided for this task. Please verify that the role being "
        "passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this "
        "role."
    )
