"""The schema of the first release, to upgrade from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_STATEMENTS = (
    "DROP TABLE iam_roles",
    "DROP TABLE iam_users",
    "DROP TABLE iam_groups",
    "DROP TABLE iam_instance_profiles",
    "DROP TABLE iam_policies",
    "DROP TABLE iam_memberships",
    "DROP TABLE iam_attachments",
    "DROP TABLE iam_access_keys",
    "DROP TABLE reserved",
    "DROP INDEX ix_tasks_cluster_arn_desired_status_task_arn",
    "DROP INDEX ix_tasks_service_arn_last_status_service_revision_arn",
    "CREATE INDEX ix_tasks_service_arn_last_status ON tasks (service_arn, last_status)",
    "DROP INDEX ix_services_cluster_arn_status_service_arn",
    "CREATE INDEX ix_tasks_cluster_arn_desired_status ON tasks (cluster_arn, desired_status)",
    "CREATE INDEX ix_services_cluster_arn_status ON services (cluster_arn, status)",
    "DROP TABLE secrets",
    "DROP TABLE secret_versions",
    "DROP TABLE parameters",
    "DROP TABLE parameter_versions",
    "DROP TABLE ecr_repositories",
    "DROP TABLE ecr_images",
    "DROP TABLE ecr_image_tags",
    "UPDATE alembic_version SET version_num = '0001'",
)


def go_back(execute: Callable[[str], Any]) -> None:
    """Make a database of today one of the first release, with everything that is in it."""
    for statement in _STATEMENTS:
        execute(statement)
