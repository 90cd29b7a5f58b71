"""How one deployment takes over from another."""

from __future__ import annotations

import re

import pytest
from msgspec import structs
from tests.builders import NOW, SCOPE, Counter, a_deployment, a_service

from wherry.model import rollout
from wherry.model.service import DeploymentStatus, RolloutState, ServiceDeploymentStatus

DONE = {"rollout_state": RolloutState.COMPLETED, "service_deployment_status": ServiceDeploymentStatus.SUCCESSFUL}


@pytest.fixture
def given():
    return {"scope": SCOPE, "entropy": Counter(), "now": NOW}


def test_names_have_the_forms_of_ecs(given):
    service = a_service()
    revision = rollout.new_revision(service, **given)
    made = rollout.new_deployment(service, revision, previous=[], **given)
    assert re.fullmatch(r"ecs-svc/\d{19}", made.deployment_id)
    assert re.fullmatch(r"arn:.*:service-deployment/default/web/[0-9A-Za-z]{21}", made.service_deployment_arn)
    assert re.fullmatch(r"arn:.*:service-revision/default/web/\d{19}", revision.service_revision_arn)
    assert made.rollout_state_reason == f"ECS deployment {made.deployment_id} in progress."


def test_what_ran_when_it_began_are_its_sources(given):
    service = a_service()
    over = a_deployment(number=1, status=DeploymentStatus.INACTIVE)
    shown = [a_deployment(number=2, status=DeploymentStatus.ACTIVE), a_deployment(number=3)]
    made = rollout.new_deployment(service, rollout.new_revision(service, **given), previous=[over, *shown], **given)
    assert made.source_revision_arns == tuple(d.service_revision_arn for d in shown)


def test_an_overtaken_deployment_is_active_and_its_service_deployment_stopped():
    (old,) = rollout.supersede([a_deployment()], NOW + 5)
    assert (old.status, old.rollout_state) == (DeploymentStatus.ACTIVE, RolloutState.IN_PROGRESS)
    assert (old.service_deployment_status, old.finished_at) == (ServiceDeploymentStatus.STOPPED, NOW + 5)


def test_what_succeeded_is_not_rewritten_and_what_is_over_not_touched():
    finished = a_deployment(number=2, **DONE)
    over = a_deployment(number=1, status=DeploymentStatus.INACTIVE, **DONE)
    (changed,) = rollout.supersede([over, finished], NOW)
    assert changed == structs.replace(finished, status=DeploymentStatus.ACTIVE, updated_at=NOW)


def test_the_newest_deployment_of_a_revision_owns_its_tasks():
    first = a_deployment(number=1, status=DeploymentStatus.ACTIVE)
    again = a_deployment(number=2, service_revision_arn=first.service_revision_arn, created_at=NOW + 1)
    assert rollout.owners([again, first]) == {first.service_revision_arn: again.deployment_id}


def test_a_rollback_goes_to_what_completed_last_and_takes_the_service_back(given):
    service = a_service(task_definition=SCOPE.task_definition("web", 3))
    oldest, older = (a_deployment(number=n, created_at=NOW + n, **DONE) for n in (1, 2))
    revision = structs.replace(
        rollout.new_revision(service, **given),
        service_revision_arn=older.service_revision_arn,
        task_definition=older.task_definition,
    )
    failed = rollout.fail(a_deployment(number=3, created_at=NOW + 3), reason="r", status_reason="s", now=NOW + 4)
    back = rollout.roll_back(
        service,
        failed,
        deployments=[failed, older, oldest],
        revisions={older.service_revision_arn: revision},
        reason="why",
        **given,
    )
    assert back.target == older
    assert back.service.task_definition == older.task_definition
    assert back.deployment.service_deployment_arn == failed.service_deployment_arn
    assert back.deployment.rollback_of == failed.deployment_id
    undone = next(d for d in back.changed if d.deployment_id == failed.deployment_id)
    assert undone.rollout_state is RolloutState.FAILED
    assert undone.service_deployment_status is ServiceDeploymentStatus.ROLLBACK_IN_PROGRESS
    assert (undone.rollback_reason, undone.rollback_revision_arn) == ("why", older.service_revision_arn)


def test_there_is_no_rollback_without_anything_that_completed(given):
    failed = rollout.fail(a_deployment(), reason="r", status_reason="s", now=NOW)
    assert rollout.roll_back(a_service(), failed, deployments=[failed], revisions={}, reason="why", **given) is None
