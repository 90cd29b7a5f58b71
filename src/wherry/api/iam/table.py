"""The operations of IAM that are done; every other one is refused as unknown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.ecs.table import Operation, Refused
from wherry.api.iam import (
    access_keys,
    account,
    attachments,
    groups,
    inline_policies,
    instance_profiles,
    policies,
    roles,
    service_linked_roles,
    simulation,
    tags,
    users,
)
from wherry.model.call import Call
from wherry.model.errors import ValidationException
from wherry.model.iam.errors import ValidationError


def checked(operation: Operation) -> Operation:
    """Check the constraints of the model first, whose error has a name of its own in the services of identity."""

    @wraps(operation)
    async def check_first(ctx: Context, call: Call) -> dict[str, Any]:
        try:
            constraints.check(call)
        except ValidationException as error:
            raise ValidationError(error.message) from error
        return await operation(ctx, call)

    return check_first


_DONE: Mapping[str, Operation] = {
    "AddRoleToInstanceProfile": instance_profiles.add_role_to_instance_profile,
    "AddUserToGroup": groups.add_user_to_group,
    "AttachGroupPolicy": attachments.attach_group_policy,
    "AttachRolePolicy": attachments.attach_role_policy,
    "AttachUserPolicy": attachments.attach_user_policy,
    "CreateAccessKey": access_keys.create_access_key,
    "CreateGroup": groups.create_group,
    "CreateInstanceProfile": instance_profiles.create_instance_profile,
    "CreatePolicy": policies.create_policy,
    "CreatePolicyVersion": policies.create_policy_version,
    "CreateRole": roles.create_role,
    "CreateServiceLinkedRole": service_linked_roles.create_service_linked_role,
    "CreateUser": users.create_user,
    "DeleteAccessKey": access_keys.delete_access_key,
    "DeleteGroup": groups.delete_group,
    "DeleteGroupPolicy": inline_policies.delete_group_policy,
    "DeleteInstanceProfile": instance_profiles.delete_instance_profile,
    "DeletePolicy": policies.delete_policy,
    "DeletePolicyVersion": policies.delete_policy_version,
    "DeleteRole": roles.delete_role,
    "DeleteRolePermissionsBoundary": roles.delete_role_permissions_boundary,
    "DeleteRolePolicy": inline_policies.delete_role_policy,
    "DeleteUser": users.delete_user,
    "DeleteUserPermissionsBoundary": users.delete_user_permissions_boundary,
    "DeleteUserPolicy": inline_policies.delete_user_policy,
    "DetachGroupPolicy": attachments.detach_group_policy,
    "DetachRolePolicy": attachments.detach_role_policy,
    "DetachUserPolicy": attachments.detach_user_policy,
    "GetAccountSummary": account.get_account_summary,
    "GetGroup": groups.get_group,
    "GetGroupPolicy": inline_policies.get_group_policy,
    "GetInstanceProfile": instance_profiles.get_instance_profile,
    "GetPolicy": policies.get_policy,
    "GetPolicyVersion": policies.get_policy_version,
    "GetRole": roles.get_role,
    "GetRolePolicy": inline_policies.get_role_policy,
    "GetUser": users.get_user,
    "GetUserPolicy": inline_policies.get_user_policy,
    "ListAccessKeys": access_keys.list_access_keys,
    "ListAttachedGroupPolicies": attachments.list_attached_group_policies,
    "ListAttachedRolePolicies": attachments.list_attached_role_policies,
    "ListAttachedUserPolicies": attachments.list_attached_user_policies,
    "ListEntitiesForPolicy": attachments.list_entities_for_policy,
    "ListGroupPolicies": inline_policies.list_group_policies,
    "ListGroups": groups.list_groups,
    "ListGroupsForUser": groups.list_groups_for_user,
    "ListInstanceProfileTags": tags.list_instance_profile_tags,
    "ListInstanceProfiles": instance_profiles.list_instance_profiles,
    "ListInstanceProfilesForRole": instance_profiles.list_instance_profiles_for_role,
    "ListPolicies": policies.list_policies,
    "ListPolicyTags": tags.list_policy_tags,
    "ListPolicyVersions": policies.list_policy_versions,
    "ListRolePolicies": inline_policies.list_role_policies,
    "ListRoleTags": tags.list_role_tags,
    "ListRoles": roles.list_roles,
    "ListUserPolicies": inline_policies.list_user_policies,
    "ListUserTags": tags.list_user_tags,
    "ListUsers": users.list_users,
    "PutGroupPolicy": inline_policies.put_group_policy,
    "PutRolePermissionsBoundary": roles.put_role_permissions_boundary,
    "PutRolePolicy": inline_policies.put_role_policy,
    "PutUserPermissionsBoundary": users.put_user_permissions_boundary,
    "PutUserPolicy": inline_policies.put_user_policy,
    "RemoveRoleFromInstanceProfile": instance_profiles.remove_role_from_instance_profile,
    "RemoveUserFromGroup": groups.remove_user_from_group,
    "SetDefaultPolicyVersion": policies.set_default_policy_version,
    "SimulateCustomPolicy": simulation.simulate_custom_policy,
    "SimulatePrincipalPolicy": simulation.simulate_principal_policy,
    "TagInstanceProfile": tags.tag_instance_profile,
    "TagPolicy": tags.tag_policy,
    "TagRole": tags.tag_role,
    "TagUser": tags.tag_user,
    "UntagInstanceProfile": tags.untag_instance_profile,
    "UntagPolicy": tags.untag_policy,
    "UntagRole": tags.untag_role,
    "UntagUser": tags.untag_user,
    "UpdateAccessKey": access_keys.update_access_key,
    "UpdateAssumeRolePolicy": roles.update_assume_role_policy,
    "UpdateRole": roles.update_role,
    "UpdateRoleDescription": roles.update_role_description,
    "UpdateUser": users.update_user,
}

OPERATIONS: Mapping[str, Operation | Refused] = {name: checked(operation) for name, operation in _DONE.items()}
