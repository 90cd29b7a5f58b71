"""The demands of ECS, of its agents too.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wherry.api.authorization.demand import ANY, Demand, action_of, request_tags, resource_tags
from wherry.api.ecs import taskdefs
from wherry.api.iam.entities import arn_of
from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.cluster import Cluster
from wherry.model.errors import InvalidParameterException
from wherry.model.iam.identity import Role
from wherry.model.instance import ContainerInstance
from wherry.model.network import NetworkInterface
from wherry.model.service import Service
from wherry.model.task import Task
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx

Params = Mapping[str, Any]
Keys = dict[str, str | tuple[str, ...]]
Resources = Callable[[Scope, Params], Iterable[str]]
"""Names the resources that an operation acts on."""

_TYPES: Mapping[str, type[Cluster | Service | Task | TaskDefinition | ContainerInstance]] = {
    "cluster": Cluster,
    "service": Service,
    "task": Task,
    "task-definition": TaskDefinition,
    "container-instance": ContainerInstance,
}
_TASKS, _ECS = "ecs-tasks.amazonaws.com", "ecs.amazonaws.com"


def demands(tx: Tx, scope: Scope, call: Call) -> Iterator[Demand]:
    """Tell what a call demands: its action on all that it names, and to pass the roles that it gives to tasks."""
    for resource in _resources(tx, scope, call) or [ANY]:
        yield Demand(action=action_of(call), resource=resource, keys=_keys(tx, scope, call, resource))
    for role in _passed(tx, scope, call):
        yield Demand(action="iam:PassRole", resource=role, keys={"iam:PassedToService": _TASKS})
    for role in _infrastructure(tx, scope, call):
        yield Demand(action="iam:PassRole", resource=role, keys={"iam:PassedToService": _ECS})


def _resources(tx: Tx, scope: Scope, call: Call) -> list[str]:
    """Name what a call acts on, each by the ARN that the operation itself would make of what the caller wrote."""
    if call.operation in _LAUNCHES:
        return [_revision(tx, scope, call.params["taskDefinition"])]
    if call.operation == "DeleteTaskDefinitions":
        return [_revision(tx, scope, ref) for ref in call.params["taskDefinitions"]]
    if call.operation == "SubmitAttachmentStateChanges":
        return _clusters_of_attachments(tx, scope, call.params)
    named = _RESOURCES.get(call.operation)
    return [] if named is None else list(named(scope, call.params))


def _keys(tx: Tx, scope: Scope, call: Call, resource: str) -> Keys:
    keys = request_tags(call.params)
    if call.operation in _IN_CLUSTER or call.params.get("cluster"):
        keys["ecs:cluster"] = _cluster(scope, call.params)
    if call.operation == "ExecuteCommand" and call.params.get("container"):
        keys["ecs:container-name"] = call.params["container"]
    type_ = _TYPES.get(arn.resource(resource).partition("/")[0])
    found = None if type_ is None else tx.get(type_, resource)
    if found is None:
        return keys
    tags = resource_tags(found.tags)
    return keys | tags | {name.replace("aws:", "ecs:"): value for name, value in tags.items()}


def _cluster(scope: Scope, params: Params) -> str:
    ref: str = params.get("cluster") or "default"
    return ref if ref.startswith("arn:") else scope.cluster(ref)


def _below(kind: str, member: str) -> Resources:
    """Name the things of a kind in the cluster, which `member` refers to by names, ids or ARNs."""

    def resources(scope: Scope, params: Params) -> list[str]:
        given = params.get(member) or ()
        refs = [given] if isinstance(given, str) else given
        cluster = arn.last(_cluster(scope, params))
        return [ref if _is_long(ref) else scope.arn(f"{kind}/{cluster}/{arn.last(ref)}") for ref in refs]

    return resources


def _is_long(ref: str) -> bool:
    """Tell whether an ARN names its cluster; of the old form, which does not, only the end counts."""
    return ref.startswith("arn:") and arn.resource(ref).count("/") > 1


def _arns(member: str) -> Resources:
    return lambda _, params: params.get(member) or ()


def _one(member: str) -> Resources:
    return lambda _, params: [params[member]] if params.get(member) else []


def _the_cluster(scope: Scope, params: Params) -> list[str]:
    return [_cluster(scope, params)]


def _clusters(scope: Scope, params: Params) -> list[str]:
    return [_cluster(scope, {"cluster": ref}) for ref in params.get("clusters") or ["default"]]


def _reported_cluster(scope: Scope, params: Params) -> list[str]:
    """A report is about the cluster of its task."""
    task = params.get("task") or ""
    return [scope.cluster(arn.cluster_name_of(task) if _is_long(task) else arn.last(_cluster(scope, params)))]


def _instances_of_tasks(scope: Scope, params: Params) -> list[str]:
    """ListTasks is about the instance that it names, or about all of the cluster."""
    named = list(_below("container-instance", "containerInstance")(scope, params))
    return named or [scope.arn(f"container-instance/{arn.last(_cluster(scope, params))}/*")]


_TASK, _SERVICE = _below("task", "task"), _below("service", "service")
_INSTANCE = _below("container-instance", "containerInstance")

_LAUNCHES = frozenset({"RunTask", "StartTask"})
_IN_CLUSTER = frozenset(
    {
        *_LAUNCHES,
        "CreateService",
        "DeleteService",
        "DescribeContainerInstances",
        "DescribeServices",
        "DescribeTasks",
        "ExecuteCommand",
        "GetTaskProtection",
        "ListServices",
        "ListTasks",
        "Poll",
        "StartTelemetrySession",
        "StopTask",
        "UpdateService",
        "UpdateTaskProtection",
    }
)
"""The operations with the condition key ecs:cluster even where they mean the default cluster."""

_RESOURCES: Mapping[str, Resources] = {
    "CreateService": _below("service", "serviceName"),
    "DeleteCluster": _the_cluster,
    "DeleteService": _SERVICE,
    "DescribeClusters": _clusters,
    "DescribeContainerInstances": _below("container-instance", "containerInstances"),
    "DescribeServiceDeployments": _arns("serviceDeploymentArns"),
    "DescribeServiceRevisions": _arns("serviceRevisionArns"),
    "DescribeServices": _below("service", "services"),
    "DescribeTasks": _below("task", "tasks"),
    "ExecuteCommand": lambda scope, params: [_cluster(scope, params), *_TASK(scope, params)],
    "GetTaskProtection": _below("task", "tasks"),
    "ListAttributes": _the_cluster,
    "ListContainerInstances": _the_cluster,
    "ListServiceDeployments": _SERVICE,
    "ListTagsForResource": _one("resourceArn"),
    "ListTasks": _instances_of_tasks,
    "Poll": _INSTANCE,
    "PutClusterCapacityProviders": _the_cluster,
    "RegisterContainerInstance": _the_cluster,
    "StartTelemetrySession": _INSTANCE,
    "StopServiceDeployment": _one("serviceDeploymentArn"),
    "StopTask": _TASK,
    "SubmitContainerStateChange": _reported_cluster,
    "SubmitTaskStateChange": _reported_cluster,
    "TagResource": _one("resourceArn"),
    "UntagResource": _one("resourceArn"),
    "UpdateCluster": _the_cluster,
    "UpdateClusterSettings": _the_cluster,
    "UpdateService": _SERVICE,
    "UpdateTaskProtection": _below("task", "tasks"),
}
"""Operation -> the resources that it acts on; every other one knows none.

Poll and StartTelemetrySession are what the upgrades of agents demand.
"""


def _clusters_of_attachments(tx: Tx, scope: Scope, params: Params) -> list[str]:
    """Name the clusters of the tasks whose attachments are meant: an agent names its own, whatever runs there."""
    ids = {arn.last(change["attachmentArn"]) for change in params["attachments"]}
    tasks = {interface.task_arn for interface in tx.find(NetworkInterface, attachment_id=ids)}
    clusters = {scope.cluster(arn.cluster_name_of(task)) for task in tasks}
    return sorted(clusters) or _the_cluster(scope, params)


def _revision(tx: Tx, scope: Scope, ref: str) -> str:
    """Name the revision that is meant; where there is none, the one that would be first."""
    definition = _definition(tx, scope, ref)
    if definition is not None:
        return definition.task_definition_arn
    name = arn.last(ref)
    return scope.arn(f"task-definition/{name if ':' in name else f'{name}:1'}")


def _definition(tx: Tx, scope: Scope, ref: str) -> TaskDefinition | None:
    try:
        return taskdefs.find(tx, scope, ref)
    except InvalidParameterException:
        return None  # the operation itself will say what is wrong with it


def _passed(tx: Tx, scope: Scope, call: Call) -> list[str]:
    """Name the roles that tasks are given by a call."""
    params = call.params
    if call.operation == "RegisterTaskDefinition":
        refs = [params.get("taskRoleArn"), params.get("executionRoleArn")]
    elif call.operation in _LAUNCHES:
        override = params.get("overrides") or {}
        definition = _definition(tx, scope, params["taskDefinition"])
        refs = [
            override.get("taskRoleArn") or (definition and definition.task_role_arn),
            override.get("executionRoleArn") or (definition and definition.execution_role_arn),
        ]
    else:
        refs = []
    return [_role(tx, scope, ref) for ref in refs if ref]


def _infrastructure(tx: Tx, scope: Scope, call: Call) -> list[str]:
    """Name the roles by which ECS is to make the volumes of tasks."""
    volumes = (item.get("managedEBSVolume") or {} for item in call.params.get("volumeConfigurations") or ())
    return [_role(tx, scope, volume["roleArn"]) for volume in volumes if volume.get("roleArn")]


def _role(tx: Tx, scope: Scope, ref: str) -> str:
    """Name the role that a task would get: names are unique in an account, whatever path or account is written."""
    role = tx.get(Role, arn.last(ref))
    if role is not None:
        return role.arn
    path = f"/{arn.resource(ref).partition('/')[2]}".rpartition("/")[0] if ref.startswith("arn:") else ""
    return arn_of(scope, "role", f"{path}/", arn.last(ref))
