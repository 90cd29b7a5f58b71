"""Every member of CreateService's and UpdateService's input: honoured, or refused with a sentence that says what to do.

The table is checked against the service model by a test. What lies below a refused member is refused with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.model.taskdef_fields import Honoured, Refused, Verdict
from wherry.model.volume_configuration import SERVICE_FIELDS

CREATE = "CreateServiceRequest"
UPDATE = "UpdateServiceRequest"

_NO_BALANCER = "Wherry does not have load balancers yet. "
_NO_INSTANCES = "Wherry does not have container instances yet, and Fargate takes none. "
_ROLLING = "Wherry rolls services out, and does not shift traffic yet. "


def _says(*words: Any) -> Any:
    return lambda value: value in words


_COMMON: Mapping[str, Verdict] = {
    "cluster": Honoured(),
    "desiredCount": Honoured(),
    "taskDefinition": Honoured(),
    "availabilityZoneRebalancing": Refused(
        "Tasks are spread over the zones of their subnets when they start, and running ones are not moved yet. "
        "Remove availabilityZoneRebalancing or set it to DISABLED.",
        neutral=_says("DISABLED"),
    ),
    "loadBalancers": Refused(_NO_BALANCER + "Remove loadBalancers and reach tasks by their own addresses."),
    "serviceRegistries": Refused("Wherry does not have service discovery yet. Remove serviceRegistries."),
    "capacityProviderStrategy": Honoured("CapacityProviderStrategyItem"),
    "platformVersion": Honoured(note="LATEST or 1.4.0."),
    "deploymentConfiguration": Honoured("DeploymentConfiguration"),
    "placementConstraints": Refused(_NO_INSTANCES + "Remove placementConstraints."),
    "placementStrategy": Refused(_NO_INSTANCES + "Remove placementStrategy."),
    "networkConfiguration": Honoured("NetworkConfiguration"),
    "healthCheckGracePeriodSeconds": Honoured(),
    "deploymentController": Refused(
        "Wherry has the deployment controller ECS. Remove deploymentController or set its type to ECS.",
        neutral=lambda value: value.get("type") == "ECS",
    ),
    "enableECSManagedTags": Honoured(),
    "propagateTags": Honoured(),
    "enableExecuteCommand": Honoured(note="For tasks that start from then on."),
    "serviceConnectConfiguration": Refused(
        "Wherry does not have Service Connect yet. Remove serviceConnectConfiguration or set enabled to false.",
        neutral=lambda value: not value.get("enabled"),
    ),
    "volumeConfigurations": Honoured("ServiceVolumeConfiguration", note="An empty list takes them away."),
    "vpcLatticeConfigurations": Refused("VPC Lattice is not part of Wherry. Remove vpcLatticeConfigurations."),
    "gatewayConnectors": Refused(_NO_BALANCER + "Remove gatewayConnectors."),
    "monitoring": Refused(
        "Wherry does not publish metrics yet. Remove monitoring.",
        neutral=lambda value: not value.get("metricConfigurations"),
    ),
}

FIELDS: Mapping[str, Mapping[str, Verdict]] = {
    CREATE: {
        **_COMMON,
        "serviceName": Honoured(),
        "clientToken": Honoured(),
        "launchType": Honoured(
            note="FARGATE and EC2; EC2 services wait for container instances, which are not there yet."
        ),
        "role": Refused(_NO_BALANCER + "Remove role: it is for registering targets."),
        "schedulingStrategy": Refused(
            "Daemons belong to container instances, which Wherry does not have yet. "
            "Remove schedulingStrategy or set it to REPLICA.",
            neutral=_says("REPLICA"),
        ),
        "tags": Honoured("Tag"),
    },
    UPDATE: {**_COMMON, "service": Honoured(), "forceNewDeployment": Honoured()},
    **SERVICE_FIELDS,
    "Tag": {"key": Honoured(), "value": Honoured()},
    "CapacityProviderStrategyItem": {"capacityProvider": Honoured(), "weight": Honoured(), "base": Honoured()},
    "NetworkConfiguration": {"awsvpcConfiguration": Honoured("AwsVpcConfiguration")},
    "AwsVpcConfiguration": {
        "subnets": Honoured(),
        "securityGroups": Honoured(
            note="Checked and shown; their rules are **not enforced yet**: every task reaches every task."
        ),
        "assignPublicIp": Honoured(
            note="ENABLED: EC2 shows the task's own, routed address as public. Outbound access is always there."
        ),
    },
    "DeploymentConfiguration": {
        "deploymentCircuitBreaker": Honoured("DeploymentCircuitBreaker"),
        "maximumPercent": Honoured(),
        "minimumHealthyPercent": Honoured(),
        "alarms": Refused(
            "Wherry does not have CloudWatch alarms. Remove alarms or set enable to false.",
            neutral=lambda value: not value.get("enable"),
        ),
        "strategy": Refused(_ROLLING + "Remove strategy or set it to ROLLING.", neutral=_says("ROLLING")),
        "bakeTimeInMinutes": Honoured(),
        "lifecycleHooks": Refused(_ROLLING + "Remove lifecycleHooks."),
        "linearConfiguration": Refused(_ROLLING + "Remove linearConfiguration."),
        "canaryConfiguration": Refused(_ROLLING + "Remove canaryConfiguration."),
        "earlySuccessCriteria": Refused(
            "A deployment is successful here when all of its tasks are healthy. Remove earlySuccessCriteria or set "
            "enable to false.",
            neutral=lambda value: not value.get("enable"),
        ),
    },
    "DeploymentCircuitBreaker": {
        "enable": Honoured(),
        "rollback": Honoured(),
        "resetOnHealthyTask": Honoured(),
        "thresholdConfiguration": Honoured("ThresholdConfiguration"),
    },
    "ThresholdConfiguration": {"type": Honoured(), "value": Honoured()},
}
