"""The sentences of the service scheduler, word for word those of ECS (tools parse them)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wherry.model.service import Deployment, Service

FAILED_HEALTH_CHECKS = "Task failed container health checks"
"""stoppedReason of a task that is replaced because it is UNHEALTHY; the circuit breaker counts these."""

BREAKER_OPEN = "ECS deployment circuit breaker: tasks failed to start."
BREAKER_ROLLBACK = "Service deployment rolled back because the circuit breaker threshold was exceeded."
BREAKER_STOPPED = "Service deployment stopped because the circuit breaker threshold was exceeded."
USER_ROLLBACK = "Service deployment rolled back because of a StopServiceDeployment request."
USER_STOPPED = "Service deployment stopped because of a StopServiceDeployment request."

_TROUBLESHOOTING = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_BATCH = 10


def stop_reason(deployment: Deployment) -> str:
    """Why a task is stopped that is not wanted any more; also in its stoppedReason."""
    return f"Scaling activity initiated by (deployment {deployment.deployment_id})"


def stopped_by_user(deployment: Deployment) -> str:
    """Why a deployment that StopServiceDeployment ended is FAILED."""
    return f"ECS deployment {deployment.deployment_id} stopped by user."


def started(service: Service, task_ids: Sequence[str], unhealthy: int) -> list[str]:
    """Announce started tasks, ten in a sentence; `unhealthy` of them replace unhealthy ones."""
    sentences = []
    for batch in _batches(task_ids):
        replaced = min(unhealthy, len(batch))
        unhealthy -= replaced
        suffix = f" Amazon ECS replaced {replaced} tasks due to an unhealthy status." if replaced else ""
        sentences.append(f"{_of(service)} has started {len(batch)} tasks: {_list(batch)}.{suffix}")
    return sentences


def stopped(service: Service, task_ids: Sequence[str]) -> list[str]:
    """Announce tasks that are being stopped, ten in a sentence."""
    return [f"{_of(service)} has stopped {len(ids)} running tasks: {_list(ids)}." for ids in _batches(task_ids)]


def failed_health_checks(service: Service, task_id: str) -> str:
    """Name a task that is replaced because it is UNHEALTHY."""
    return f"{_of(service)} (task {task_id}) failed container health checks."


def steady(service: Service) -> str:
    """Everything is as desired."""
    return f"{_of(service)} has reached a steady state."


def completed(service: Service, deployment: Deployment) -> str:
    """A deployment is through."""
    return f"{_of(service)} (deployment {deployment.deployment_id}) deployment completed."


def failed(service: Service, deployment: Deployment) -> str:
    """The circuit breaker opened."""
    return f"{_of(service)} (deployment {deployment.deployment_id}) deployment failed: tasks failed to start."


def rolling_back(service: Service, target: Deployment) -> str:
    """A rollback begins; `target` is the deployment that had completed."""
    return f"{_of(service)} rolling back to deployment {target.deployment_id}."


def throttled(service: Service) -> str:
    """Tasks keep failing before they are RUNNING."""
    return f"{_of(service)} is unable to consistently start tasks successfully. {_TROUBLESHOOTING}"


def deadlocked(service: Service) -> str:
    """The floor forbids stopping and the ceiling forbids starting."""
    return (
        f"{_of(service)} was unable to stop or start tasks during a deployment because of the service deployment "
        "configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    )


def protected(service: Service, deployment: Deployment) -> str:
    """Scale-in protection keeps tasks that should go."""
    return (
        f"{_of(service)} was unable to reach steady state because task set ({deployment.deployment_id}) was unable to "
        "scale in. Reason: The number of protected tasks are more than the desired count of tasks."
    )


def _of(service: Service) -> str:
    return f"(service {service.service_name})"


def _list(task_ids: Iterable[str]) -> str:
    return " ".join(f"(task {task_id})" for task_id in task_ids)


def _batches(task_ids: Sequence[str]) -> list[Sequence[str]]:
    return [task_ids[at : at + _BATCH] for at in range(0, len(task_ids), _BATCH)]
