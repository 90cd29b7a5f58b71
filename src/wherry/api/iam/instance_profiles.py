"""Instance profiles: each passes at most one role to container instances."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import paging, roles, tags
from wherry.api.iam.entities import arn_of, check_changeable, check_free, new_name, new_path
from wherry.api.iam.entities import instance_profile as named
from wherry.api.iam.entities import role as named_role
from wherry.model.call import Call
from wherry.model.errors import LimitExceededException
from wherry.model.iam.errors import DeleteConflictException, NoSuchEntityException
from wherry.model.iam.identity import InstanceProfile, Role
from wherry.model.iam.ids import unique_id
from wherry.store import Tx

Found = tuple[InstanceProfile, Role | None]
"""A profile and its role."""


async def create_instance_profile(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateInstanceProfile: make a profile, which has no role yet."""
    name, path = new_name(call, "InstanceProfileName"), new_path(call)
    profile = InstanceProfile(
        instance_profile_name=name,
        instance_profile_id=unique_id("AIPA", ctx.entropy),
        arn=arn_of(ctx.scope, "instance-profile", path, name),
        path=path,
        tags=tags.check(call.params.get("Tags")),
        created_at=ctx.clock(),
    )
    return {"InstanceProfile": _view((await ctx.store.write(_create, profile), None))}


async def get_instance_profile(ctx: Context, call: Call) -> dict[str, Any]:
    """GetInstanceProfile: show a profile with its role."""
    return {"InstanceProfile": _view(await ctx.store.read(_read, call.params["InstanceProfileName"]))}


async def list_instance_profiles(ctx: Context, call: Call) -> dict[str, Any]:
    """ListInstanceProfiles: the profiles below a path, without their tags."""
    window = paging.window(call)

    def read(tx: Tx) -> list[Found]:
        found = tx.find(InstanceProfile, limit=window.limit, after=window.after, path=paging.below(call))
        return [_with_role(tx, profile) for profile in found]

    return paging.page(await ctx.store.read(read), window, member="InstanceProfiles", key=_name, view=_brief)


async def list_instance_profiles_for_role(ctx: Context, call: Call) -> dict[str, Any]:
    """ListInstanceProfilesForRole: the profiles that a role is in."""
    name = call.params["RoleName"]

    def read(tx: Tx) -> list[Found]:
        role = named_role(tx, name)
        return [(profile, role) for profile in tx.find(InstanceProfile, role_name=name)]

    found = await ctx.store.read(read)
    return paging.cut(found, paging.window(call), member="InstanceProfiles", key=_name, view=_brief)


async def add_role_to_instance_profile(ctx: Context, call: Call) -> dict[str, Any]:
    """AddRoleToInstanceProfile: put the role into the profile."""
    await ctx.store.write(_add, call.params["InstanceProfileName"], call.params["RoleName"])
    return {}


async def remove_role_from_instance_profile(ctx: Context, call: Call) -> dict[str, Any]:
    """RemoveRoleFromInstanceProfile: take it out."""
    await ctx.store.write(_remove, call.params["InstanceProfileName"], call.params["RoleName"])
    return {}


async def delete_instance_profile(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteInstanceProfile: remove a profile without a role."""
    await ctx.store.write(_delete, call.params["InstanceProfileName"])
    return {}


def _name(found: Found) -> str:
    return found[0].instance_profile_name


def _view(found: Found) -> dict[str, Any]:
    return _brief(found) | {"Tags": tags.view(found[0].tags) or None}


def _brief(found: Found) -> dict[str, Any]:
    profile, role = found
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.instance_profile_name,
        "InstanceProfileId": profile.instance_profile_id,
        "Arn": profile.arn,
        "CreateDate": profile.created_at,
        "Roles": [] if role is None else [roles.view(role)],
    }


def _create(tx: Tx, profile: InstanceProfile) -> InstanceProfile:
    name = profile.instance_profile_name
    check_free(tx, InstanceProfile, name, f"Instance Profile {name} already exists.")
    return tx.put(profile)


def _read(tx: Tx, name: str) -> Found:
    return _with_role(tx, named(tx, name))


def _with_role(tx: Tx, profile: InstanceProfile) -> Found:
    return profile, None if profile.role_name is None else named_role(tx, profile.role_name)


def _add(tx: Tx, name: str, role_name: str) -> None:
    profile, role = named(tx, name), named_role(tx, role_name)
    check_changeable(role)
    if profile.role_name is not None:
        raise LimitExceededException("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    tx.put(structs.replace(profile, role_name=role_name))


def _remove(tx: Tx, name: str, role_name: str) -> None:
    profile, role = named(tx, name), named_role(tx, role_name)
    if profile.role_name != role.role_name:
        raise NoSuchEntityException(f"The role with name {role_name} cannot be found.")
    tx.put(structs.replace(profile, role_name=None))


def _delete(tx: Tx, name: str) -> None:
    profile = named(tx, name)
    if profile.role_name is not None:
        raise DeleteConflictException("Cannot delete entity, must remove roles from instance profile first.")
    tx.delete(profile)
