"""Whether a deployment goes on: the circuit breaker, and StopServiceDeployment."""

from __future__ import annotations

from wherry.control.plan import actions as do
from wherry.control.plan import texts
from wherry.control.plan.actions import Action, ServiceSnapshot
from wherry.model import rollout
from wherry.model.service import Deployment, RolloutState, Service, ServiceDeploymentStatus


def judge(service: Service, primary: Deployment, snapshot: ServiceSnapshot) -> list[Action]:
    """Return what ends the PRIMARY deployment, which has its counters up to date; nothing while it may go on."""
    if primary.rollout_state is not RolloutState.IN_PROGRESS:
        return []
    match _request(primary, snapshot):
        case ServiceDeploymentStatus.STOP_REQUESTED:
            return [_fail(primary, texts.stopped_by_user(primary), texts.USER_STOPPED)]
        case ServiceDeploymentStatus.ROLLBACK_REQUESTED if primary.rollback_of is None:
            failed = _fail(primary, texts.stopped_by_user(primary), texts.USER_ROLLBACK)
            return [failed, *_roll_back(service, primary, snapshot, texts.USER_ROLLBACK)]
        case _:
            return _breaker(service, primary, snapshot)


def _breaker(service: Service, primary: Deployment, snapshot: ServiceSnapshot) -> list[Action]:
    breaker = service.deployment_configuration.deployment_circuit_breaker
    if breaker is None or not breaker.enable:
        return []
    if primary.failed_tasks < breaker.threshold(service.desired_count):
        return []
    failed = _fail(primary, texts.BREAKER_OPEN, texts.BREAKER_STOPPED)
    event = do.Event(message=texts.failed(service, primary))
    if primary.rollback_of is not None:
        return [failed, event, do.AbandonRollback(deployment_id=primary.deployment_id)]
    if not breaker.rollback:
        return [failed, event]
    return [failed, event, *_roll_back(service, primary, snapshot, texts.BREAKER_ROLLBACK)]


def _request(primary: Deployment, snapshot: ServiceSnapshot) -> ServiceDeploymentStatus:
    """Return the state of the service deployment, on whichever of its two records a request was written."""
    requests = (ServiceDeploymentStatus.STOP_REQUESTED, ServiceDeploymentStatus.ROLLBACK_REQUESTED)
    for deployment in snapshot.deployments:
        same = deployment.service_deployment_arn == primary.service_deployment_arn
        if same and deployment.service_deployment_status in requests:
            return deployment.service_deployment_status
    return primary.service_deployment_status


def _fail(primary: Deployment, reason: str, status_reason: str) -> Action:
    return do.FailDeployment(deployment_id=primary.deployment_id, reason=reason, status_reason=status_reason)


def _roll_back(service: Service, primary: Deployment, snapshot: ServiceSnapshot, reason: str) -> list[Action]:
    """Go back to what completed last; where there is nothing to go back to the deployment stays as it failed."""
    target = rollout.last_completed(snapshot.deployments, before=primary)
    if target is None:
        return [do.AbandonRollback(deployment_id=primary.deployment_id)]
    return [
        do.Event(message=texts.rolling_back(service, target)),
        do.RollBack(deployment_id=primary.deployment_id, reason=reason),
    ]
