"""Every operation of the ECS model in one table: done, or refused with a sentence that says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from wherry.api.context import Context
from wherry.api.ecs import clusters, settings, tags
from wherry.model.call import Call

Operation = Callable[[Context, Call], Awaitable[dict[str, Any]]]


class Refused(msgspec.Struct, frozen=True):
    """An operation that Wherry does not carry out; `sentence` says what to do instead."""

    sentence: str


OPERATIONS: Mapping[str, Operation | Refused] = {
    "CreateCluster": clusters.create_cluster,
    "DeleteAccountSetting": settings.delete_account_setting,
    "DeleteCluster": clusters.delete_cluster,
    "DescribeClusters": clusters.describe_clusters,
    "ListAccountSettings": settings.list_account_settings,
    "ListClusters": clusters.list_clusters,
    "ListTagsForResource": tags.list_tags_for_resource,
    "PutAccountSetting": settings.put_account_setting,
    "PutAccountSettingDefault": settings.put_account_setting_default,
    "PutClusterCapacityProviders": clusters.put_cluster_capacity_providers,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateCluster": clusters.update_cluster,
    "UpdateClusterSettings": clusters.update_cluster_settings,
}
