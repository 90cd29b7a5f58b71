"""Every operation of the ECS model in one table: done, or refused with a sentence that says so.

A test holds it against the model, and `docs/reference/operations.md` is made of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from wherry.api.context import Context
from wherry.api.ecs import (
    agent,
    capacity_providers,
    clusters,
    execute_command,
    instances,
    launches,
    protection,
    service_deployments,
    services,
    settings,
    tags,
    taskdefs,
    tasks,
)
from wherry.api.ecs.refused import REFUSED, Refused
from wherry.model.call import Call

__all__ = ["OPERATIONS", "Operation", "Refused"]

Operation = Callable[[Context, Call], Awaitable[dict[str, Any]]]


OPERATIONS: Mapping[str, Operation | Refused] = {
    "CreateCluster": clusters.create_cluster,
    "CreateService": services.create_service,
    "DeleteAccountSetting": settings.delete_account_setting,
    "DeleteCluster": clusters.delete_cluster,
    "DeleteService": services.delete_service,
    "DeleteTaskDefinitions": taskdefs.delete_task_definitions,
    "DeregisterTaskDefinition": taskdefs.deregister_task_definition,
    "DescribeCapacityProviders": capacity_providers.describe_capacity_providers,
    "DescribeClusters": clusters.describe_clusters,
    "DescribeContainerInstances": instances.describe_container_instances,
    "DescribeServiceDeployments": service_deployments.describe_service_deployments,
    "DescribeServiceRevisions": service_deployments.describe_service_revisions,
    "DescribeServices": services.describe_services,
    "DescribeTaskDefinition": taskdefs.describe_task_definition,
    "DescribeTasks": tasks.describe_tasks,
    "DiscoverPollEndpoint": agent.discover_poll_endpoint,
    "ExecuteCommand": execute_command.execute_command,
    "GetTaskProtection": protection.get_task_protection,
    "ListAccountSettings": settings.list_account_settings,
    "ListAttributes": instances.list_attributes,
    "ListClusters": clusters.list_clusters,
    "ListContainerInstances": instances.list_container_instances,
    "ListServiceDeployments": service_deployments.list_service_deployments,
    "ListServices": services.list_services,
    "ListServicesByNamespace": services.list_services_by_namespace,
    "ListTagsForResource": tags.list_tags_for_resource,
    "ListTaskDefinitionFamilies": taskdefs.list_task_definition_families,
    "ListTaskDefinitions": taskdefs.list_task_definitions,
    "ListTasks": tasks.list_tasks,
    "PutAccountSetting": settings.put_account_setting,
    "PutAccountSettingDefault": settings.put_account_setting_default,
    "PutClusterCapacityProviders": clusters.put_cluster_capacity_providers,
    "RegisterContainerInstance": agent.register_container_instance,
    "RegisterTaskDefinition": taskdefs.register_task_definition,
    "RunTask": launches.run_task,
    "StartTask": launches.start_task,
    "StopServiceDeployment": service_deployments.stop_service_deployment,
    "StopTask": tasks.stop_task,
    "SubmitAttachmentStateChanges": agent.submit_attachment_state_changes,
    "SubmitContainerStateChange": agent.submit_container_state_change,
    "SubmitTaskStateChange": agent.submit_task_state_change,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateCluster": clusters.update_cluster,
    "UpdateClusterSettings": clusters.update_cluster_settings,
    "UpdateService": services.update_service,
    "UpdateTaskProtection": protection.update_task_protection,
    **REFUSED,
}
