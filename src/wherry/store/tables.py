"""Which entities are stored, by what they can be found, and whom a change of one concerns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wherry.model.account import AccountSetting, IdempotencyToken, Meta
from wherry.model.arn import FARGATE_POOL
from wherry.model.cluster import Cluster
from wherry.model.ecr.repository import Image, ImageTag, Repository
from wherry.model.iam.identity import AccessKey, Attachment, Group, InstanceProfile, Membership, Role, User
from wherry.model.iam.managed import ManagedPolicy
from wherry.model.instance import ContainerInstance
from wherry.model.network import NetworkInterface, SecurityGroup, Subnet, Vpc
from wherry.model.reserved import Reserved, interface_shares, task_shares
from wherry.model.secretsmanager.secret import Secret, SecretVersion
from wherry.model.service import Deployment, Service, ServiceEvent, ServiceRevision
from wherry.model.ssm.parameter import Parameter, ParameterVersion
from wherry.model.task import Task
from wherry.model.taskdef import Family, TaskDefinition
from wherry.store.schema import Key, Schema, Table, flag, integer, number, text


def pool_arn(cluster_arn: str) -> str:
    """Name the Fargate pool that lies beside a cluster, in the same account and region."""
    return f"{cluster_arn.rsplit('/', 1)[0]}/{FARGATE_POOL}"


def task_marks(task: Task) -> Iterator[Key]:
    """Ring for the task, its service, its instance, and for placement while it waits or when it gives capacity back."""
    yield ("task", task.task_arn)
    if task.service_arn is not None:
        yield ("service", task.service_arn)
    if task.container_instance_arn is not None:
        yield ("instance", task.container_instance_arn)
    if task.is_stopped or task.container_instance_arn is None:
        yield ("placement", task.cluster_arn)
    if task.is_stopped and task.launch_type == "FARGATE":
        # Any cluster's task may have waited for this room: the pool is shared.
        yield ("placement", pool_arn(task.cluster_arn))


def instance_marks(instance: ContainerInstance) -> Iterator[Key]:
    """Ring for the instance, and for placement: there may be more room."""
    yield ("instance", instance.container_instance_arn)
    yield ("placement", instance.cluster_arn)


TABLES: tuple[Table[Any], ...] = (
    Table(
        name="clusters",
        type=Cluster,
        key="cluster_arn",
        columns=(text("cluster_name"), text("status")),
        indexes=(("cluster_name",),),
        marks=lambda cluster: [("cluster", cluster.cluster_arn)],
    ),
    Table(name="families", type=Family, key="family"),
    Table(
        name="task_definitions",
        type=TaskDefinition,
        key="task_definition_arn",
        columns=(text("family"), integer("revision"), text("status")),
        indexes=(("status", "family", "revision"),),
        unique=(("family", "revision"),),
        marks=lambda definition: [("task_definition", definition.task_definition_arn)],
    ),
    Table(
        name="tasks",
        type=Task,
        key="task_arn",
        columns=(
            text("cluster_arn"),
            text("task_definition_arn"),
            text("family"),
            text("group"),
            text("service_arn", null=True),
            text("service_revision_arn", null=True),
            text("started_by", null=True),
            text("container_instance_arn", null=True),
            text("launch_type"),
            text("last_status"),
            text("desired_status"),
            flag("counted"),
            number("created_at"),
            number("stopped_at", null=True),
        ),
        indexes=(
            ("cluster_arn", "desired_status", "task_arn"),
            ("service_arn", "last_status", "service_revision_arn"),
            ("service_arn", "counted"),
            ("container_instance_arn", "last_status"),
            ("started_by",),
            ("task_definition_arn", "last_status"),
            ("last_status", "stopped_at"),
        ),
        marks=task_marks,
        shares=task_shares,
    ),
    Table(
        name="services",
        type=Service,
        key="service_arn",
        columns=(
            text("cluster_arn"),
            text("service_name"),
            text("status"),
            text("launch_type", null=True),
            text("scheduling_strategy"),
            number("created_at"),
            number("deleted_at", null=True),
        ),
        indexes=(("cluster_arn", "status", "service_arn"), ("status", "deleted_at")),
        marks=lambda service: [("service", service.service_arn)],
    ),
    Table(
        name="service_revisions",
        type=ServiceRevision,
        key="service_revision_arn",
        columns=(text("service_arn"), text("task_definition"), number("created_at")),
        indexes=(("service_arn", "created_at"), ("task_definition",)),
        marks=lambda revision: [("service", revision.service_arn)],
    ),
    Table(
        name="deployments",
        type=Deployment,
        key="deployment_id",
        columns=(
            text("service_deployment_arn"),
            text("service_arn"),
            text("cluster_arn"),
            text("service_revision_arn"),
            text("task_definition"),
            text("status"),
            text("rollout_state"),
            text("service_deployment_status"),
            number("created_at"),
        ),
        indexes=(("service_arn", "created_at"), ("service_deployment_arn",), ("task_definition", "status")),
        marks=lambda deployment: [("service", deployment.service_arn)],
    ),
    Table(
        name="service_events",
        type=ServiceEvent,
        key="id",
        columns=(text("service_arn"), number("created_at"), integer("sequence")),
        indexes=(("service_arn", "created_at", "sequence"),),
    ),
    Table(
        name="container_instances",
        type=ContainerInstance,
        key="container_instance_arn",
        columns=(text("cluster_arn"), flag("fargate"), text("status"), flag("agent_connected")),
        indexes=(("cluster_arn", "status"),),
        marks=instance_marks,
    ),
    Table(
        name="vpcs",
        type=Vpc,
        key="vpc_id",
        columns=(flag("is_default"),),
    ),
    Table(
        name="subnets",
        type=Subnet,
        key="subnet_id",
        columns=(text("vpc_id"), text("availability_zone"), flag("default_for_az")),
        indexes=(("vpc_id",),),
    ),
    Table(
        name="security_groups",
        type=SecurityGroup,
        key="group_id",
        columns=(text("vpc_id"), text("group_name")),
        unique=(("vpc_id", "group_name"),),
    ),
    Table(
        name="network_interfaces",
        type=NetworkInterface,
        key="network_interface_id",
        columns=(
            text("subnet_id"),
            text("private_ip_address"),
            text("vpc_id"),
            text("task_arn"),
            text("attachment_id"),
        ),
        indexes=(("task_arn",), ("attachment_id",)),
        unique=(("subnet_id", "private_ip_address"),),
        marks=lambda interface: [("task", interface.task_arn)],
        shares=interface_shares,
    ),
    Table(name="reserved", type=Reserved, key="place"),
    Table(
        name="account_settings",
        type=AccountSetting,
        key="key",
        columns=(text("name"), text("principal_arn", null=True)),
        indexes=(("name",),),
    ),
    Table(
        name="idempotency_tokens",
        type=IdempotencyToken,
        key="key",
        columns=(number("expires_at"),),
        indexes=(("expires_at",),),
    ),
    Table(
        name="secrets",
        type=Secret,
        key="arn",
        columns=(
            text("name"),
            number("created_date"),
            number("last_changed_date"),
            number("deletion_date", null=True),
        ),
        indexes=(("created_date",), ("last_changed_date",), ("deletion_date",)),
        unique=(("name",),),
    ),
    Table(
        name="secret_versions",
        type=SecretVersion,
        key="key",
        columns=(text("secret_arn"), number("created_date")),
        indexes=(("secret_arn", "created_date"),),
    ),
    Table(name="parameters", type=Parameter, key="arn", columns=(text("parent"),), indexes=(("parent", "arn"),)),
    Table(
        name="parameter_versions",
        type=ParameterVersion,
        key="key",
        columns=(text("parameter_arn"), integer("number")),
        indexes=(("parameter_arn", "number"),),
    ),
    Table(name="ecr_repositories", type=Repository, key="repository_name"),
    Table(
        name="ecr_images",
        type=Image,
        key="key",
        columns=(text("repository_name"), text("image_digest")),
        indexes=(("repository_name", "image_digest"),),
    ),
    Table(
        name="ecr_image_tags",
        type=ImageTag,
        key="key",
        columns=(text("repository_name"), text("tag"), text("image_digest")),
        indexes=(("repository_name", "tag"), ("repository_name", "image_digest")),
    ),
    Table(name="meta", type=Meta, key="name"),
    Table(
        name="iam_roles",
        type=Role,
        key="role_name",
        columns=(text("folded_name"), text("path"), text("permissions_boundary", null=True)),
        indexes=(("permissions_boundary",),),
        unique=(("folded_name",),),
    ),
    Table(
        name="iam_users",
        type=User,
        key="user_name",
        columns=(text("folded_name"), text("path"), text("permissions_boundary", null=True)),
        indexes=(("permissions_boundary",),),
        unique=(("folded_name",),),
    ),
    Table(
        name="iam_groups",
        type=Group,
        key="group_name",
        columns=(text("folded_name"), text("path")),
        unique=(("folded_name",),),
    ),
    Table(
        name="iam_instance_profiles",
        type=InstanceProfile,
        key="instance_profile_name",
        columns=(text("folded_name"), text("path"), text("role_name", null=True)),
        indexes=(("role_name",),),
        unique=(("folded_name",),),
    ),
    Table(
        name="iam_policies",
        type=ManagedPolicy,
        key="arn",
        columns=(text("folded_name"), text("path")),
        unique=(("folded_name",),),
    ),
    Table(
        name="iam_memberships",
        type=Membership,
        key="key",
        columns=(text("group_name"), text("user_name")),
        indexes=(("group_name",), ("user_name",)),
    ),
    Table(
        name="iam_attachments",
        type=Attachment,
        key="key",
        columns=(text("identity_arn"), text("policy_arn")),
        indexes=(("identity_arn",), ("policy_arn",)),
    ),
    Table(
        name="iam_access_keys",
        type=AccessKey,
        key="access_key_id",
        columns=(text("user_name"),),
        indexes=(("user_name",),),
    ),
)

SCHEMA = Schema(TABLES)
