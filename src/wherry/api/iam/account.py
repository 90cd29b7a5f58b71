"""The account as a whole."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.model.call import Call
from wherry.model.iam.identity import Group, InstanceProfile, Role, User
from wherry.model.iam.managed import ManagedPolicy
from wherry.store import Tx

_QUOTAS = {
    "AccessKeysPerUserQuota": 2,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "AttachedPoliciesPerUserQuota": 10,
    "AssumeRolePolicySizeQuota": 2_048,
    "GroupPolicySizeQuota": 5_120,
    "PolicySizeQuota": 6_144,
    "RolePolicySizeQuota": 10_240,
    "UserPolicySizeQuota": 2_048,
    "VersionsPerPolicyQuota": 5,
}


async def get_account_summary(ctx: Context, _: Call) -> dict[str, Any]:
    """GetAccountSummary: how many there are of each kind, and the limits that are kept."""
    return {"SummaryMap": await ctx.store.read(_counts) | _QUOTAS}


def _counts(tx: Tx) -> dict[str, int]:
    return {
        "Users": tx.count(User),
        "Groups": tx.count(Group),
        "Roles": tx.count(Role),
        "Policies": tx.count(ManagedPolicy),
        "InstanceProfiles": tx.count(InstanceProfile),
    }
