"""The operations of the ECS model that Wherry does not carry out, each with a sentence: what it is for, what to do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wherry.model.errors import ApiError, ClientException, UnsupportedFeatureException


class Refused(msgspec.Struct, frozen=True):
    """An operation that Wherry does not carry out; `sentence` says what to do instead.

    `error` is UnsupportedFeatureException where the model declares it for the operation, else ClientException.
    """

    sentence: str
    error: type[ApiError] = ClientException


def _unsupported(sentence: str) -> Refused:
    return Refused(sentence, UnsupportedFeatureException)


_FARGATE_ONLY = "Run tasks on Fargate, whose capacity is the hosts of the pool."
_INSTANCES = Refused(f"Wherry does not have container instances yet. {_FARGATE_ONLY}")
_ATTRIBUTES = Refused("Wherry does not have attributes of container instances yet. Leave placement to the scheduler.")
_PROVIDERS = _unsupported(
    "Wherry has the capacity providers FARGATE and FARGATE_SPOT, and cannot make others yet. "
    "Use launchType FARGATE, or name these two in capacityProviderStrategy."
)
_TASK_SETS = _unsupported(
    "Task sets belong to the EXTERNAL deployment controller, which Wherry does not have. "
    "Use the ECS deployment controller and UpdateService."
)
_EXPRESS = _unsupported(
    "Express services need a load balancer, which Wherry does not have yet. Use CreateService and its siblings."
)
_GATEWAYS = _unsupported(
    "Gateways need a load balancer, which Wherry does not have yet. "
    "Reach tasks by their own addresses, from DescribeTasks."
)
_DAEMONS = _unsupported(
    "Managed daemons belong to Managed Instances, which Wherry does not have. "
    "Run the daemon as a container of the task."
)
_DAEMON_TASK_DEFINITIONS = Refused(_DAEMONS.sentence)

REFUSED: Mapping[str, Refused] = {
    "AssociateGatewayWithCluster": _GATEWAYS,
    "ContinueServiceDeployment": _unsupported(
        "A deployment pauses only at lifecycle hooks of blue/green deployments, which Wherry does not have yet. "
        "StopServiceDeployment ends a rolling deployment."
    ),
    "CreateCapacityProvider": _PROVIDERS,
    "CreateDaemon": _DAEMONS,
    "CreateExpressGatewayService": _EXPRESS,
    "CreateGateway": _GATEWAYS,
    "CreateTaskSet": _TASK_SETS,
    "DeleteAttributes": _ATTRIBUTES,
    "DeleteCapacityProvider": _PROVIDERS,
    "DeleteDaemon": _DAEMONS,
    "DeleteDaemonTaskDefinition": _DAEMON_TASK_DEFINITIONS,
    "DeleteExpressGatewayService": _EXPRESS,
    "DeleteGateway": _GATEWAYS,
    "DeleteTaskSet": _TASK_SETS,
    "DeregisterContainerInstance": _INSTANCES,
    "DescribeDaemon": _DAEMONS,
    "DescribeDaemonDeployments": _DAEMONS,
    "DescribeDaemonRevisions": _DAEMONS,
    "DescribeDaemonTaskDefinition": _DAEMON_TASK_DEFINITIONS,
    "DescribeExpressGatewayService": _EXPRESS,
    "DescribeGateway": _GATEWAYS,
    "DescribeGatewayResources": _GATEWAYS,
    "DescribeGatewayRoute": _GATEWAYS,
    "DescribeTaskSets": _TASK_SETS,
    "DisassociateGatewayFromCluster": _GATEWAYS,
    "ListDaemonDeployments": _DAEMONS,
    "ListDaemonTaskDefinitions": _DAEMON_TASK_DEFINITIONS,
    "ListDaemons": _DAEMONS,
    "ListGatewayClusterAssociations": _GATEWAYS,
    "ListGatewayRoutes": _GATEWAYS,
    "ListGateways": _GATEWAYS,
    "PutAttributes": _ATTRIBUTES,
    "RegisterDaemonTaskDefinition": _DAEMON_TASK_DEFINITIONS,
    "UpdateCapacityProvider": _PROVIDERS,
    "UpdateContainerAgent": _INSTANCES,
    "UpdateContainerInstancesState": _INSTANCES,
    "UpdateDaemon": _DAEMONS,
    "UpdateExpressGatewayService": _EXPRESS,
    "UpdateGateway": _GATEWAYS,
    "UpdateServicePrimaryTaskSet": _TASK_SETS,
    "UpdateTaskSet": _TASK_SETS,
}
