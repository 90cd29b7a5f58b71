"""Managed policies and their versions."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import documents, paging, tags
from wherry.api.iam.entities import arn_of, check_free, customer_policy, encoded, new_name, new_path
from wherry.api.iam.entities import policy as named
from wherry.model.call import Call
from wherry.model.errors import LimitExceededException
from wherry.model.iam.aws_managed import AWS_MANAGED
from wherry.model.iam.errors import DeleteConflictException, NoSuchEntityException
from wherry.model.iam.identity import Attachment, Role, User
from wherry.model.iam.ids import unique_id
from wherry.model.iam.managed import ManagedPolicy, PolicyVersion
from wherry.store import Tx

_SIZE = 6_144
_VERSIONS = 5

Counted = tuple[ManagedPolicy, int, int]
"""A policy, how many identities it is attached to, and of how many it is the permissions boundary."""


async def create_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """CreatePolicy: make a managed policy with its first version."""
    params, name, path = call.params, new_name(call, "PolicyName"), new_path(call)
    documents.check_policy(params["PolicyDocument"], limit=_SIZE, quota="PolicySize")
    now = ctx.clock()
    policy = ManagedPolicy(
        arn=arn_of(ctx.scope, "policy", path, name),
        policy_name=name,
        policy_id=unique_id("ANPA", ctx.entropy),
        path=path,
        description=params.get("Description"),
        tags=tags.check(params.get("Tags")),
        created_at=now,
        updated_at=now,
        versions=(PolicyVersion(number=1, document=params["PolicyDocument"], created_at=now),),
    )
    return {"Policy": _view((await ctx.store.write(_create, policy), 0, 0))}


async def get_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """GetPolicy: show a managed policy; its document is that of a version."""
    return {"Policy": _view(await ctx.store.read(_read, call.params["PolicyArn"]))}


async def list_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListPolicies: AWS's policies and the account's, below a path, those in use or all."""
    found = await ctx.store.read(
        _all,
        scope=call.params.get("Scope", "All"),
        prefix=call.params.get("PathPrefix", "/"),
        usage=call.params.get("PolicyUsageFilter"),
        only_attached=call.params.get("OnlyAttached", False),
    )
    return paging.cut(found, paging.window(call), member="Policies", key=lambda counted: counted[0].arn, view=_brief)


async def delete_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DeletePolicy: remove a policy that is attached nowhere and has no version but the default one."""
    await ctx.store.write(_delete, call.params["PolicyArn"])
    return {}


async def create_policy_version(ctx: Context, call: Call) -> dict[str, Any]:
    """CreatePolicyVersion: add a version, as the default one if so asked."""
    document = call.params["PolicyDocument"]
    documents.check_policy(document, limit=_SIZE, quota="PolicySize")
    policy = await ctx.store.write(
        _add_version,
        call.params["PolicyArn"],
        document=document,
        default=call.params.get("SetAsDefault", False),
        now=ctx.clock(),
    )
    return {"PolicyVersion": _version_view(policy, policy.versions[-1])}


async def get_policy_version(ctx: Context, call: Call) -> dict[str, Any]:
    """GetPolicyVersion: show a version with its document."""
    arn, version_id = call.params["PolicyArn"], call.params["VersionId"]
    policy = await ctx.store.read(named, arn)
    version = _version(policy, version_id)
    return {"PolicyVersion": _version_view(policy, version) | {"Document": encoded(version.document)}}


async def list_policy_versions(ctx: Context, call: Call) -> dict[str, Any]:
    """ListPolicyVersions: the versions, the newest first, without their documents."""
    policy = await ctx.store.read(named, call.params["PolicyArn"])
    views = [_version_view(policy, version) for version in reversed(policy.versions)]
    return {"Versions": views, "IsTruncated": False}


async def set_default_policy_version(ctx: Context, call: Call) -> dict[str, Any]:
    """SetDefaultPolicyVersion: let another version count."""
    await ctx.store.write(_set_default, call.params["PolicyArn"], call.params["VersionId"], ctx.clock())
    return {}


async def delete_policy_version(ctx: Context, call: Call) -> dict[str, Any]:
    """DeletePolicyVersion: remove a version that is not the default one."""
    await ctx.store.write(_delete_version, call.params["PolicyArn"], call.params["VersionId"], ctx.clock())
    return {}


def _view(counted: Counted) -> dict[str, Any]:
    policy = counted[0]
    return _brief(counted) | {"Description": policy.description, "Tags": tags.view(policy.tags)}


def _brief(counted: Counted) -> dict[str, Any]:
    policy, attached, bounding = counted
    return {
        "PolicyName": policy.policy_name,
        "PolicyId": policy.policy_id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_number}",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounding,
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.updated_at,
    }


def _version_view(policy: ManagedPolicy, version: PolicyVersion) -> dict[str, Any]:
    return {
        "VersionId": version.version_id,
        "IsDefaultVersion": version.number == policy.default_number,
        "CreateDate": version.created_at,
    }


def _version(policy: ManagedPolicy, version_id: str) -> PolicyVersion:
    version = policy.find_version(version_id)
    if version is None:
        raise NoSuchEntityException(f"Policy {policy.arn} version {version_id} does not exist or is not attachable.")
    return version


def _counted(tx: Tx, policy: ManagedPolicy) -> Counted:
    bounding = sum(tx.count(type_, permissions_boundary=policy.arn) for type_ in (Role, User))
    return policy, tx.count(Attachment, policy_arn=policy.arn), bounding


def _create(tx: Tx, policy: ManagedPolicy) -> ManagedPolicy:
    name = policy.policy_name
    check_free(tx, ManagedPolicy, name, f"A policy called {name} already exists. Duplicate names are not allowed.")
    return tx.put(policy)


def _read(tx: Tx, arn: str) -> Counted:
    return _counted(tx, named(tx, arn))


def _all(tx: Tx, *, scope: str, prefix: str, usage: str | None, only_attached: bool) -> list[Counted]:
    policies: list[ManagedPolicy] = [] if scope == "Local" else list(AWS_MANAGED.values())
    if scope != "AWS":
        policies += tx.find(ManagedPolicy)
    counted = [_counted(tx, policy) for policy in policies if policy.path.startswith(prefix)]
    return [each for each in counted if _is_used(each, usage, only_attached=only_attached)]


def _is_used(counted: Counted, usage: str | None, *, only_attached: bool) -> bool:
    _, attached, bounding = counted
    match usage:
        case "PermissionsPolicy":
            return attached > 0
        case "PermissionsBoundary":
            return bounding > 0
        case _:
            return attached > 0 or not only_attached


def _delete(tx: Tx, arn: str) -> None:
    policy = customer_policy(tx, arn)
    _, attached, bounding = _counted(tx, policy)
    if attached or bounding:
        raise DeleteConflictException("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise DeleteConflictException(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy."
        )
    tx.delete(policy)


def _add_version(tx: Tx, arn: str, *, document: str, default: bool, now: float) -> ManagedPolicy:
    policy = customer_policy(tx, arn)
    if len(policy.versions) >= _VERSIONS:
        raise LimitExceededException(
            f"A managed policy can have up to {_VERSIONS} versions. Before you create a new version, you must delete "
            "an existing version."
        )
    number = policy.last_number + 1
    version = PolicyVersion(number=number, document=document, created_at=now)
    return tx.put(
        structs.replace(
            policy,
            versions=(*policy.versions, version),
            last_number=number,
            default_number=number if default else policy.default_number,
            updated_at=now,
        )
    )


def _set_default(tx: Tx, arn: str, version_id: str, now: float) -> None:
    policy = customer_policy(tx, arn)
    tx.put(structs.replace(policy, default_number=_version(policy, version_id).number, updated_at=now))


def _delete_version(tx: Tx, arn: str, version_id: str, now: float) -> None:
    policy = customer_policy(tx, arn)
    version = _version(policy, version_id)
    if version.number == policy.default_number:
        raise DeleteConflictException("Cannot delete the default version of a policy.")
    kept = tuple(each for each in policy.versions if each is not version)
    tx.put(structs.replace(policy, versions=kept, updated_at=now))
