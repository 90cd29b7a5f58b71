"""Roles: the operations, and what other services ask about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import documents, paging, tags
from wherry.api.iam.entities import arn_of, boundary_view, check_changeable, check_free, encoded, new_name, new_path
from wherry.api.iam.entities import role as named
from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.iam.aws_managed import EXECUTION_ROLE_POLICY
from wherry.model.iam.document import parse_trust_policy
from wherry.model.iam.errors import DeleteConflictException
from wherry.model.iam.evaluate import Request, trusts
from wherry.model.iam.identity import Attachment, InstanceProfile, Role
from wherry.model.iam.ids import unique_id
from wherry.model.ids import Entropy
from wherry.store import Tx

TASKS = "ecs-tasks.amazonaws.com"
"""The service that assumes the roles of tasks."""

ECS = "ecs.amazonaws.com"
"""The service that assumes the roles of infrastructure, such as that of volumes."""

_TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
    '"Principal": {"Service": "%s"}, "Action": "sts:AssumeRole"}]}'
)
_NAMED_BY = {TASKS: "task definition", ECS: "volume configuration"}


def find_role(tx: Tx, ref: str, scope: Scope) -> Role | None:
    """Return the role that an ARN or a name refers to."""
    role = tx.get(Role, arn.last(ref))
    if role is None or (ref.startswith("arn:") and role.arn != ref) or arn.account_of(role.arn) != scope.account_id:
        return None
    return role


def may_be_assumed_by(role: Role, service: str = TASKS) -> bool:
    """Tell whether a role trusts a service of AWS."""
    request = Request(action="sts:AssumeRole", resource=role.arn, keys={})
    trust = parse_trust_policy(role.assume_role_policy_document)
    return trusts(trust, request, [("Service", service)]) == "yes"


def create_default_role(
    tx: Tx, ref: str, *, scope: Scope, execution: bool, entropy: Entropy, now: float, service: str = TASKS
) -> Role:
    """Make the role that a task definition or a launch names and nobody has made: `service` may assume it.

    An `execution` role may write logs and pull images; a task role may do nothing until it is given a policy.
    """
    path = f"/{arn.resource(ref).partition('/')[2]}" if ref.startswith("arn:") else f"/{ref}"
    path, _, name = path.rpartition("/")
    role = tx.put(
        Role(
            arn=arn_of(scope, "role", f"{path}/", name),
            path=f"{path}/",
            role_name=name,
            role_id=unique_id("AROA", entropy),
            assume_role_policy_document=_TRUST % service,
            description=f"Made by Wherry for a {_NAMED_BY[service]} that names it.",
            created_at=now,
        )
    )
    if execution:
        tx.put(Attachment(identity_arn=role.arn, policy_arn=EXECUTION_ROLE_POLICY))
    return role


async def create_role(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateRole: make a role with its trust policy."""
    params, name, path = call.params, new_name(call, "RoleName"), new_path(call)
    role = Role(
        arn=arn_of(ctx.scope, "role", path, name),
        path=path,
        role_name=name,
        role_id=unique_id("AROA", ctx.entropy),
        assume_role_policy_document=params["AssumeRolePolicyDocument"],
        description=params.get("Description"),
        max_session_duration=params.get("MaxSessionDuration", 3600),
        permissions_boundary=params.get("PermissionsBoundary"),
        tags=tags.check(params.get("Tags")),
        created_at=ctx.clock(),
    )
    return {"Role": view(await ctx.store.write(_create, role=role, scope=ctx.scope))}


async def get_role(ctx: Context, call: Call) -> dict[str, Any]:
    """GetRole: show a role."""
    return {"Role": view(await ctx.store.read(named, call.params["RoleName"]))}


async def list_roles(ctx: Context, call: Call) -> dict[str, Any]:
    """ListRoles: the roles below a path, without their tags and boundaries."""
    window = paging.window(call)
    found = await ctx.store.read(
        lambda tx: tx.find(Role, limit=window.limit, after=window.after, path=paging.below(call))
    )
    return paging.page(found, window, member="Roles", key=lambda role: role.role_name, view=_brief)


async def update_role(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateRole: change the description and the longest session; the description goes if it is not given."""
    changes = {
        "description": call.params.get("Description") or "",
        "max_session_duration": call.params.get("MaxSessionDuration", 3600),
    }
    await ctx.store.write(_change, call.params["RoleName"], changes)
    return {}


async def update_role_description(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateRoleDescription: change the description alone."""
    changes = {"description": call.params["Description"]}
    return {"Role": view(await ctx.store.write(_change, call.params["RoleName"], changes))}


async def update_assume_role_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateAssumeRolePolicy: replace the trust policy."""
    name, document = call.params["RoleName"], call.params["PolicyDocument"]
    await ctx.store.write(_trust, name, document=document, scope=ctx.scope)
    return {}


async def put_role_permissions_boundary(ctx: Context, call: Call) -> dict[str, Any]:
    """PutRolePermissionsBoundary: set the policy beyond which no other policy of the role goes."""
    await ctx.store.write(_bound, call.params["RoleName"], call.params["PermissionsBoundary"])
    return {}


async def delete_role_permissions_boundary(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteRolePermissionsBoundary: take it away."""
    await ctx.store.write(_bound, call.params["RoleName"], None)
    return {}


async def delete_role(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteRole: remove a role that has no policies and is in no instance profile."""
    await ctx.store.write(_delete, call.params["RoleName"])
    return {}


def view(role: Role) -> dict[str, Any]:
    """Show a role."""
    return _brief(role) | {
        "PermissionsBoundary": boundary_view(role.permissions_boundary),
        "Tags": tags.view(role.tags) or None,
    }


def _brief(role: Role) -> dict[str, Any]:
    return {
        "Path": role.path,
        "RoleName": role.role_name,
        "RoleId": role.role_id,
        "Arn": role.arn,
        "CreateDate": role.created_at,
        "AssumeRolePolicyDocument": encoded(role.assume_role_policy_document),
        "Description": role.description,
        "MaxSessionDuration": role.max_session_duration,
    }


def _create(tx: Tx, *, role: Role, scope: Scope) -> Role:
    documents.check_trust(tx, role.assume_role_policy_document, scope=scope)
    if role.permissions_boundary is not None:
        documents.check_boundary(tx, role.permissions_boundary)
    check_free(tx, Role, role.role_name, f"Role with name {role.role_name} already exists.")
    return tx.put(role)


def _change(tx: Tx, name: str, changes: Mapping[str, str | int]) -> Role:
    role = named(tx, name)
    check_changeable(role)
    return tx.put(structs.replace(role, **changes))


def _bound(tx: Tx, name: str, boundary: str | None) -> None:
    role = named(tx, name)
    check_changeable(role)
    if boundary is not None:
        documents.check_boundary(tx, boundary)
    tx.put(structs.replace(role, permissions_boundary=boundary))


def _trust(tx: Tx, name: str, *, document: str, scope: Scope) -> None:
    role = named(tx, name)
    check_changeable(role)
    documents.check_trust(tx, document, scope=scope)
    tx.put(structs.replace(role, assume_role_policy_document=document))


def _delete(tx: Tx, name: str) -> None:
    role = named(tx, name)
    check_changeable(role)
    if tx.count(InstanceProfile, role_name=name):
        raise DeleteConflictException("Cannot delete entity, must remove roles from instance profile first.")
    if role.inline_policies:
        raise DeleteConflictException("Cannot delete entity, must delete policies first.")
    if tx.count(Attachment, identity_arn=role.arn):
        raise DeleteConflictException("Cannot delete entity, must detach all policies first.")
    tx.delete(role)
