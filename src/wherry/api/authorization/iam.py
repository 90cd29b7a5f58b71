"""The demands of IAM: each operation acts on the entity that it names first.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherry.api.authorization.demand import ANY, Demand, action_of, request_tags, resource_tags
from wherry.api.iam.entities import arn_of
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.iam.identity import Group, InstanceProfile, Role, User
from wherry.store import Tx

_TYPES: Mapping[str, tuple[type[Role | User | Group | InstanceProfile], str]] = {
    "InstanceProfileName": (InstanceProfile, "instance-profile"),
    "RoleName": (Role, "role"),
    "GroupName": (Group, "group"),
    "UserName": (User, "user"),
}
"""Member -> what it names, in the order in which an operation that has several is about them."""

_OF_THE_CALLER = frozenset(
    {"CreateAccessKey", "DeleteAccessKey", "GetUser", "ListAccessKeys", "UpdateAccessKey"},
)
_BOUND = frozenset(
    {
        "DeleteRolePermissionsBoundary",
        "DeleteUserPermissionsBoundary",
        *(f"{verb}{kind}Policy" for verb in ("Attach", "Delete", "Detach", "Put") for kind in ("Role", "User")),
    }
)
"""The operations with the condition key iam:PermissionsBoundary that name none: the present one is meant."""
_LISTS = {"ListRoles": "role", "ListUsers": "user", "ListGroups": "group", "ListInstanceProfiles": "instance-profile"}


def demands(tx: Tx, scope: Scope, call: Call) -> Iterator[Demand]:
    """Tell what a call demands; adding a role to an instance profile passes it to EC2."""
    params = call.params
    keys = request_tags(params)
    boundary = params.get("PermissionsBoundary") or _boundary(tx, call)
    if boundary:
        keys["iam:PermissionsBoundary"] = boundary
    if "PolicyArn" in params and not call.operation.endswith("PolicyVersion"):
        keys["iam:PolicyARN"] = params["PolicyArn"]
    if "AWSServiceName" in params:
        keys["iam:AWSServiceName"] = params["AWSServiceName"]
    resource, tags = _resource(tx, scope, call)
    yield Demand(action=action_of(call), resource=resource, keys=keys | tags)
    if call.operation == "UpdateUser":
        yield Demand(action=action_of(call), resource=_updated(tx, scope, call))
    if call.operation == "AddRoleToInstanceProfile":
        role, _ = _named(tx, scope, "RoleName", params["RoleName"], "/")
        yield Demand(action="iam:PassRole", resource=role, keys={"iam:PassedToService": "ec2.amazonaws.com"})


def _boundary(tx: Tx, call: Call) -> str | None:
    """Tell the boundary of the role or user whose policies a call changes."""
    if call.operation not in _BOUND:
        return None
    name = call.params.get("RoleName")
    found = tx.get(User, call.params["UserName"]) if name is None else tx.get(Role, name)
    return None if found is None else found.permissions_boundary


def _updated(tx: Tx, scope: Scope, call: Call) -> str:
    """Name the user as it will be: what UpdateUser does not change stays."""
    params = call.params
    user = tx.get(User, params["UserName"])
    path = params.get("NewPath") or (user.path if user is not None else "/")
    return arn_of(scope, "user", path, params.get("NewUserName") or params["UserName"])


def _resource(tx: Tx, scope: Scope, call: Call) -> tuple[str, dict[str, str | tuple[str, ...]]]:
    """Name what a call acts on, and the condition keys of its tags."""
    params, operation = call.params, call.operation
    for member in _TYPES:
        if params.get(member):
            return _named(tx, scope, member, params[member], params.get("Path") or "/")
    if operation in _OF_THE_CALLER and call.principal.user_name is not None:
        return _named(tx, scope, "UserName", call.principal.user_name, "/")
    if operation in _LISTS:
        return arn_of(scope, _LISTS[operation], params.get("PathPrefix") or "/", ""), {}
    if operation == "CreatePolicy":
        return arn_of(scope, "policy", params.get("Path") or "/", params["PolicyName"]), {}
    if operation == "CreateServiceLinkedRole":
        return arn_of(scope, "role", f"/aws-service-role/{params['AWSServiceName']}/", "*"), {}
    named = params.get("PolicyArn") or params.get("PolicySourceArn")
    return (named or ANY), {}


def _named(tx: Tx, scope: Scope, member: str, name: str, path: str) -> tuple[str, dict[str, str | tuple[str, ...]]]:
    type_, kind = _TYPES[member]
    found = tx.get(type_, name)
    if found is None:
        return arn_of(scope, kind, path, name), {}
    return found.arn, {} if isinstance(found, Group) else resource_tags(found.tags)
