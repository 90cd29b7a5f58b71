"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create everything."""
    _clusters()
    _task_definitions()
    _tasks()
    _services()
    _network()
    _account()


def _clusters() -> None:
    op.create_table(
        "clusters",
        sa.Column("cluster_arn", TEXT, primary_key=True, nullable=False),
        sa.Column("cluster_name", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_clusters_cluster_name", "clusters", ["cluster_name"])
    op.create_table(
        "container_instances",
        sa.Column("container_instance_arn", TEXT, primary_key=True, nullable=False),
        sa.Column("cluster_arn", TEXT, nullable=False),
        sa.Column("fargate", sa.Boolean(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("agent_connected", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_container_instances_cluster_arn_status", "container_instances", ["cluster_arn", "status"])


def _task_definitions() -> None:
    op.create_table(
        "families",
        sa.Column("family", TEXT, primary_key=True, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "task_definitions",
        sa.Column("task_definition_arn", TEXT, primary_key=True, nullable=False),
        sa.Column("family", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_task_definitions_status_family_revision", "task_definitions", ["status", "family", "revision"])
    op.create_index("ux_task_definitions_family_revision", "task_definitions", ["family", "revision"], unique=True)


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("task_arn", TEXT, primary_key=True, nullable=False),
        sa.Column("cluster_arn", TEXT, nullable=False),
        sa.Column("task_definition_arn", TEXT, nullable=False),
        sa.Column("family", TEXT, nullable=False),
        sa.Column("group", TEXT, nullable=False),
        sa.Column("service_arn", TEXT, nullable=True),
        sa.Column("service_revision_arn", TEXT, nullable=True),
        sa.Column("started_by", TEXT, nullable=True),
        sa.Column("container_instance_arn", TEXT, nullable=True),
        sa.Column("launch_type", TEXT, nullable=False),
        sa.Column("last_status", TEXT, nullable=False),
        sa.Column("desired_status", TEXT, nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("stopped_at", sa.Double(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_tasks_cluster_arn_desired_status", "tasks", ["cluster_arn", "desired_status"])
    op.create_index("ix_tasks_service_arn_last_status", "tasks", ["service_arn", "last_status"])
    op.create_index("ix_tasks_service_arn_counted", "tasks", ["service_arn", "counted"])
    op.create_index("ix_tasks_container_instance_arn_last_status", "tasks", ["container_instance_arn", "last_status"])
    op.create_index("ix_tasks_started_by", "tasks", ["started_by"])
    op.create_index("ix_tasks_task_definition_arn_last_status", "tasks", ["task_definition_arn", "last_status"])
    op.create_index("ix_tasks_last_status_stopped_at", "tasks", ["last_status", "stopped_at"])


def _services() -> None:
    op.create_table(
        "services",
        sa.Column("service_arn", TEXT, primary_key=True, nullable=False),
        sa.Column("cluster_arn", TEXT, nullable=False),
        sa.Column("service_name", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("launch_type", TEXT, nullable=True),
        sa.Column("scheduling_strategy", TEXT, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_services_cluster_arn_status", "services", ["cluster_arn", "status"])
    op.create_index("ix_services_status_deleted_at", "services", ["status", "deleted_at"])
    op.create_table(
        "service_revisions",
        sa.Column("service_revision_arn", TEXT, primary_key=True, nullable=False),
        sa.Column("service_arn", TEXT, nullable=False),
        sa.Column("task_definition", TEXT, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_service_revisions_service_arn_created_at", "service_revisions", ["service_arn", "created_at"])
    op.create_index("ix_service_revisions_task_definition", "service_revisions", ["task_definition"])
    op.create_table(
        "deployments",
        sa.Column("deployment_id", TEXT, primary_key=True, nullable=False),
        sa.Column("service_deployment_arn", TEXT, nullable=False),
        sa.Column("service_arn", TEXT, nullable=False),
        sa.Column("cluster_arn", TEXT, nullable=False),
        sa.Column("service_revision_arn", TEXT, nullable=False),
        sa.Column("task_definition", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("rollout_state", TEXT, nullable=False),
        sa.Column("service_deployment_status", TEXT, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_deployments_service_arn_created_at", "deployments", ["service_arn", "created_at"])
    op.create_index("ix_deployments_service_deployment_arn", "deployments", ["service_deployment_arn"])
    op.create_index("ix_deployments_task_definition_status", "deployments", ["task_definition", "status"])
    op.create_table(
        "service_events",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("service_arn", TEXT, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index(
        "ix_service_events_service_arn_created_at_sequence", "service_events", ["service_arn", "created_at", "sequence"]
    )


def _network() -> None:
    op.create_table(
        "vpcs",
        sa.Column("vpc_id", TEXT, primary_key=True, nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "subnets",
        sa.Column("subnet_id", TEXT, primary_key=True, nullable=False),
        sa.Column("vpc_id", TEXT, nullable=False),
        sa.Column("availability_zone", TEXT, nullable=False),
        sa.Column("default_for_az", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_subnets_vpc_id", "subnets", ["vpc_id"])
    op.create_table(
        "security_groups",
        sa.Column("group_id", TEXT, primary_key=True, nullable=False),
        sa.Column("vpc_id", TEXT, nullable=False),
        sa.Column("group_name", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ux_security_groups_vpc_id_group_name", "security_groups", ["vpc_id", "group_name"], unique=True)
    op.create_table(
        "network_interfaces",
        sa.Column("network_interface_id", TEXT, primary_key=True, nullable=False),
        sa.Column("subnet_id", TEXT, nullable=False),
        sa.Column("private_ip_address", TEXT, nullable=False),
        sa.Column("vpc_id", TEXT, nullable=False),
        sa.Column("task_arn", TEXT, nullable=False),
        sa.Column("attachment_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_network_interfaces_task_arn", "network_interfaces", ["task_arn"])
    op.create_index("ix_network_interfaces_attachment_id", "network_interfaces", ["attachment_id"])
    op.create_index(
        "ux_network_interfaces_subnet_id_private_ip_address",
        "network_interfaces",
        ["subnet_id", "private_ip_address"],
        unique=True,
    )


def _account() -> None:
    op.create_table(
        "account_settings",
        sa.Column("key", TEXT, primary_key=True, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("principal_arn", TEXT, nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_account_settings_name", "account_settings", ["name"])
    op.create_table(
        "idempotency_tokens",
        sa.Column("key", TEXT, primary_key=True, nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_idempotency_tokens_expires_at", "idempotency_tokens", ["expires_at"])
    op.create_table(
        "meta",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
