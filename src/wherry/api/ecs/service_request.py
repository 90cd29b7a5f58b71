"""CreateService and UpdateService as they are asked for: checked as far as that needs no state."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import structs

from wherry.api.ecs import networking, volume_configurations
from wherry.model.container_rules import one_of
from wherry.model.errors import ClientException, InvalidParameterException
from wherry.model.service import CircuitBreaker, DeploymentConfiguration, ThresholdConfiguration
from wherry.model.service_fields import CREATE, FIELDS, UPDATE
from wherry.model.taskdef_fields import refusals

MAX_TASKS = 5000
"""Tasks that one service may have (ECS quota)."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,36}")
_LONGEST_GRACE = 2**31 - 1
_LONGEST_BAKE = 1440


def check_create(params: Mapping[str, Any]) -> None:
    """Check a CreateService request; raises the first thing that is wrong with it."""
    if not _NAME.fullmatch(params["serviceName"]):
        raise InvalidParameterException(
            f"The service name '{params['serviceName']}' is invalid. "
            "A name has up to 255 letters, numbers, hyphens and underscores."
        )
    if (token := params.get("clientToken")) and not _TOKEN.fullmatch(token):
        raise InvalidParameterException("clientToken should have up to 36 ASCII characters in the range 33-126.")
    _check(params, CREATE)
    if not params.get("taskDefinition"):
        raise ClientException("TaskDefinition can not be blank.")
    if params.get("desiredCount") is None:
        raise InvalidParameterException("desiredCount is required when the scheduling strategy is REPLICA.")


def check_update(params: Mapping[str, Any]) -> None:
    """Check an UpdateService request; raises the first thing that is wrong with it."""
    _check(params, UPDATE)


def changes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the service that a request sets as they stand; what it leaves out stays out."""
    changed = {field: params[member] for member, field in _PLAIN.items() if params.get(member) is not None}
    if params.get("networkConfiguration") is not None:
        changed["network_configuration"] = networking.read(params["networkConfiguration"])
    if params.get("volumeConfigurations") is not None:
        changed["volume_configurations"] = volume_configurations.read(params["volumeConfigurations"])
    return changed


def deployment_configuration(raw: Mapping[str, Any] | None, before: DeploymentConfiguration) -> DeploymentConfiguration:
    """Return the deployment configuration `before` with what a request sets over it, checked as a whole."""
    raw = raw or {}
    changed = {field: raw[member] for member, field in _PERCENTAGES.items() if raw.get(member) is not None}
    if (breaker := raw.get("deploymentCircuitBreaker")) is not None:
        changed["deployment_circuit_breaker"] = _circuit_breaker(breaker)
    after = structs.replace(before, **changed)
    if not 0 <= after.minimum_healthy_percent <= 100:
        raise InvalidParameterException("minimumHealthyPercent should be between 0 and 100.")
    if after.maximum_percent < 100:
        raise InvalidParameterException("maximumPercent should be at least 100.")
    if after.maximum_percent == after.minimum_healthy_percent:
        raise InvalidParameterException(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )
    if not 0 <= after.bake_time_in_minutes <= _LONGEST_BAKE:
        raise InvalidParameterException(f"bakeTimeInMinutes should be between 0 and {_LONGEST_BAKE}.")
    return after


def fingerprint(params: Mapping[str, Any]) -> str:
    """Return a digest of a request, the same for the same members and values."""
    return hashlib.sha256(msgspec.json.encode(params, order="deterministic")).hexdigest()


_PLAIN = {
    "desiredCount": "desired_count",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "enableExecuteCommand": "enable_execute_command",
    "propagateTags": "propagate_tags",
}

_PERCENTAGES = {
    "maximumPercent": "maximum_percent",
    "minimumHealthyPercent": "minimum_healthy_percent",
    "bakeTimeInMinutes": "bake_time_in_minutes",
}


def _check(params: Mapping[str, Any], shape: str) -> None:
    for problem in refusals(params, shape, fields=FIELDS):
        raise InvalidParameterException(problem.message)
    for problem in one_of(params.get("propagateTags"), ("TASK_DEFINITION", "SERVICE", "NONE"), ("propagateTags",)):
        raise problem.error()
    desired = params.get("desiredCount")
    if desired is not None and not 0 <= desired <= MAX_TASKS:
        raise InvalidParameterException(f"desiredCount should be between 0 and {MAX_TASKS}.")
    grace = params.get("healthCheckGracePeriodSeconds")
    if grace is not None and not 0 <= grace <= _LONGEST_GRACE:
        raise InvalidParameterException(f"healthCheckGracePeriodSeconds should be between 0 and {_LONGEST_GRACE}.")


def _circuit_breaker(raw: Mapping[str, Any]) -> CircuitBreaker:
    threshold = raw.get("thresholdConfiguration")
    reset = raw.get("resetOnHealthyTask")
    return CircuitBreaker(
        enable=raw["enable"],
        rollback=raw["rollback"],
        threshold_configuration=None if threshold is None else _threshold(threshold),
        reset_on_healthy_task=reset if reset is not None else True,
    )


def _threshold(raw: Mapping[str, Any]) -> ThresholdConfiguration:
    types = ("COUNT", "BOUNDED_PERCENT", "UNBOUNDED_PERCENT")
    for problem in one_of(raw["type"], types, ("thresholdConfiguration", "type")):
        raise problem.error()
    if raw["value"] < 1:
        raise InvalidParameterException("thresholdConfiguration.value should be at least 1.")
    return ThresholdConfiguration(type=raw["type"], value=raw["value"])
