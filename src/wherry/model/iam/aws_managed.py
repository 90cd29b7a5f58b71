"""The policies of AWS that users of ECS attach, with the documents that AWS publishes for them.

Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from wherry.model.iam.managed import ManagedPolicy, PolicyVersion

_CREATED_AT = 1_423_180_800.0  # 6 February 2015, when most of them were made

_LOGS = ["logs:CreateLogStream", "logs:PutLogEvents"]


def _allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"} | more


_VOLUMES = "arn:aws:ec2:*:*:volume/*"


def _managed_by_ecs(side: str) -> dict[str, Any]:
    """Write the condition on the tags of a volume: of the `side` Request or Resource."""
    return {
        "ArnLike": {f"aws:{side}Tag/AmazonECSCreated": "arn:aws:ecs:*:*:task/*"},
        "StringEquals": {f"aws:{side}Tag/AmazonECSManaged": "true"},
    }


def _tagging_volumes() -> dict[str, Any]:
    condition = _managed_by_ecs("Request")
    return condition | {"StringEquals": {"ec2:CreateAction": "CreateVolume"} | condition["StringEquals"]}


_STATEMENTS: Mapping[str, list[dict[str, Any]]] = {
    "AdministratorAccess": [_allow("*")],
    "PowerUserAccess": [
        {
            "Effect": "Allow",
            "NotAction": ["iam:*", "organizations:*", "account:*"],
            "Resource": "*",
        },
        _allow(
            "account:GetAccountInformation",
            "account:GetGovCloudAccountInformation",
            "account:GetPrimaryEmail",
            "account:ListRegions",
            "iam:CreateServiceLinkedRole",
            "iam:DeleteServiceLinkedRole",
            "iam:ListRoles",
            "organizations:DescribeEffectivePolicy",
            "organizations:DescribeOrganization",
        ),
    ],
    "IAMFullAccess": [
        _allow(
            "iam:*",
            "organizations:DescribeAccount",
            "organizations:DescribeOrganization",
            "organizations:DescribeOrganizationalUnit",
            "organizations:DescribePolicy",
            "organizations:ListChildren",
            "organizations:ListParents",
            "organizations:ListPoliciesForTarget",
            "organizations:ListRoots",
            "organizations:ListPolicies",
            "organizations:ListTargetsForPolicy",
        )
    ],
    "IAMReadOnlyAccess": [
        _allow(
            "iam:GenerateCredentialReport",
            "iam:GenerateServiceLastAccessedDetails",
            "iam:Get*",
            "iam:List*",
            "iam:SimulateCustomPolicy",
            "iam:SimulatePrincipalPolicy",
        )
    ],
    "CloudWatchLogsFullAccess": [
        _allow("logs:*", "cloudwatch:GenerateQuery", "cloudwatch:GenerateQueryResultsSummary")
    ],
    "CloudWatchLogsReadOnlyAccess": [
        _allow(
            "logs:Describe*",
            "logs:Get*",
            "logs:List*",
            "logs:StartQuery",
            "logs:StopQuery",
            "logs:TestMetricFilter",
            "logs:FilterLogEvents",
            "logs:StartLiveTail",
            "logs:StopLiveTail",
            "cloudwatch:GenerateQuery",
            "cloudwatch:GenerateQueryResultsSummary",
        )
    ],
    "AmazonSSMReadOnlyAccess": [_allow("ssm:Describe*", "ssm:Get*", "ssm:List*")],
    "AmazonSSMFullAccess": [
        _allow(
            "cloudwatch:PutMetricData",
            "ds:CreateComputer",
            "ds:DescribeDirectories",
            "ec2:DescribeInstanceStatus",
            "logs:*",
            "ssm:*",
            "ec2messages:*",
        ),
        {
            "Effect": "Allow",
            "Action": "iam:CreateServiceLinkedRole",
            "Resource": "arn:aws:iam::*:role/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForAmazonSSM*",
            "Condition": {"StringLike": {"iam:AWSServiceName": "ssm.amazonaws.com"}},
        },
        {
            "Effect": "Allow",
            "Action": ["iam:DeleteServiceLinkedRole", "iam:GetServiceLinkedRoleDeletionStatus"],
            "Resource": "arn:aws:iam::*:role/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForAmazonSSM*",
        },
        _allow(
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ),
    ],
    "SecretsManagerReadWrite": [
        _allow(
            "secretsmanager:*",
            "cloudformation:CreateChangeSet",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeStackResource",
            "cloudformation:DescribeStacks",
            "cloudformation:ExecuteChangeSet",
            "docdb-elastic:GetCluster",
            "docdb-elastic:ListClusters",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "kms:DescribeKey",
            "kms:ListAliases",
            "kms:ListKeys",
            "lambda:ListFunctions",
            "rds:DescribeDBClusters",
            "rds:DescribeDBInstances",
            "redshift:DescribeClusters",
            "redshift-serverless:ListWorkgroups",
            "redshift-serverless:GetNamespace",
            "tag:GetResources",
            Sid="BasePermissions",
        ),
        {
            "Sid": "LambdaPermissions",
            "Effect": "Allow",
            "Action": [
                "lambda:AddPermission",
                "lambda:CreateFunction",
                "lambda:GetFunction",
                "lambda:InvokeFunction",
                "lambda:UpdateFunctionConfiguration",
            ],
            "Resource": "arn:aws:lambda:*:*:function:SecretsManager*",
        },
        {
            "Sid": "SARPermissions",
            "Effect": "Allow",
            "Action": [
                "serverlessrepo:CreateCloudFormationChangeSet",
                "serverlessrepo:GetApplication",
            ],
            "Resource": "arn:aws:serverlessrepo:*:*:applications/SecretsManager*",
        },
        {
            "Sid": "S3Permissions",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": [
                "arn:aws:s3:::awsserverlessrepo-changesets*",
                "arn:aws:s3:::secrets-manager-rotation-apps-*/*",
            ],
        },
    ],
    "service-role/AmazonECSTaskExecutionRolePolicy": [
        _allow(
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchGetImage",
            *_LOGS,
        )
    ],
    "service-role/AmazonECSInfrastructureRolePolicyForVolumes": [
        _allow(
            "ec2:CreateVolume",
            Sid="CreateEBSManagedVolume",
            Resource=_VOLUMES,
            Condition=_managed_by_ecs("Request"),
        ),
        _allow(
            "ec2:CreateVolume",
            Sid="CreateEBSManagedVolumeFromSnapshot",
            Resource="arn:aws:ec2:*:*:snapshot/*",
        ),
        _allow("ec2:CreateTags", Sid="TagOnCreateVolume", Resource=_VOLUMES, Condition=_tagging_volumes()),
        _allow("ec2:DescribeVolumes", "ec2:DescribeAvailabilityZones", Sid="DescribeVolumesForLifecycle"),
        _allow("ec2:DescribeInstances", Sid="DescribeInstancesForAttachingVolume"),
        _allow(
            "ec2:AttachVolume",
            "ec2:DetachVolume",
            Sid="ManageEBSVolumeLifecycle",
            Resource=_VOLUMES,
            Condition={"StringEquals": {"aws:ResourceTag/AmazonECSManaged": "true"}},
        ),
        _allow(
            "ec2:AttachVolume",
            "ec2:DetachVolume",
            Sid="ManageVolumeAttachmentsForEC2",
            Resource="arn:aws:ec2:*:*:instance/*",
        ),
        _allow(
            "ec2:DeleteVolume",
            Sid="DeleteEBSManagedVolume",
            Resource=_VOLUMES,
            Condition=_managed_by_ecs("Resource"),
        ),
    ],
    "service-role/AmazonEC2ContainerServiceforEC2Role": [
        _allow(
            "ec2:DescribeTags",
            "ecs:CreateCluster",
            "ecs:DeregisterContainerInstance",
            "ecs:DiscoverPollEndpoint",
            "ecs:Poll",
            "ecs:RegisterContainerInstance",
            "ecs:StartTelemetrySession",
            "ecs:UpdateContainerInstancesState",
            "ecs:Submit*",
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchGetImage",
            *_LOGS,
        ),
        {
            "Effect": "Allow",
            "Action": "ecs:TagResource",
            "Resource": "*",
            "Condition": {
                "StringEquals": {"ecs:CreateAction": ["CreateCluster", "RegisterContainerInstance"]},
            },
        },
    ],
    "service-role/AmazonEC2ContainerServiceEventsRole": [
        _allow("ecs:RunTask"),
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": ["*"],
            "Condition": {"StringLike": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        },
        {
            "Effect": "Allow",
            "Action": "ecs:TagResource",
            "Resource": "*",
            "Condition": {"StringEquals": {"ecs:CreateAction": ["RunTask"]}},
        },
    ],
}


def _policy(relative: str, statements: list[dict[str, Any]]) -> ManagedPolicy:
    document = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=4)
    path, _, name = f"/{relative}".rpartition("/")
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()
    return ManagedPolicy(
        arn=f"arn:aws:iam::aws:policy/{relative}",
        policy_name=name,
        policy_id=f"ANPA{digest[:17]}",
        path=f"{path}/",
        created_at=_CREATED_AT,
        updated_at=_CREATED_AT,
        versions=(PolicyVersion(number=1, document=document, created_at=_CREATED_AT),),
    )


AWS_MANAGED: Mapping[str, ManagedPolicy] = {
    policy.arn: policy for policy in (_policy(relative, statements) for relative, statements in _STATEMENTS.items())
}
"""ARN -> policy. Their ids and dates are made up; their documents are AWS's."""

EXECUTION_ROLE_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
