"""boto3 and clusters, capacity providers, tags and account settings."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.conftest import refusal
from tests.contract.whole import ACCOUNT, REGION

PREFIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


def test_a_cluster_from_its_creation_to_its_end(ecs: Any) -> None:
    created = ecs.create_cluster(
        clusterName="life",
        tags=[{"key": "team", "value": "a"}],
        settings=[{"name": "containerInsights", "value": "disabled"}],
        capacityProviders=["FARGATE"],
    )["cluster"]
    assert created["clusterArn"] == f"{PREFIX}:cluster/life"
    include = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
    [seen] = ecs.describe_clusters(clusters=["life"], include=include)["clusters"]
    assert seen == created
    assert ecs.create_cluster(clusterName="life")["cluster"] == created
    updated = ecs.update_cluster_settings(
        cluster="life", settings=[{"name": "containerInsights", "value": "disabled"}]
    )["cluster"]
    assert updated["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert ecs.update_cluster(cluster=created["clusterArn"])["cluster"]["clusterName"] == "life"
    assert ecs.delete_cluster(cluster="life")["cluster"]["status"] == "INACTIVE"
    assert ecs.delete_cluster(cluster="life")["cluster"]["status"] == "INACTIVE"
    assert ecs.describe_clusters(clusters=["life"])["clusters"][0]["status"] == "INACTIVE"
    assert created["clusterArn"] not in ecs.list_clusters()["clusterArns"]


def test_members_that_are_not_asked_for_are_empty(ecs: Any, cluster: str) -> None:
    ecs.tag_resource(resourceArn=f"{PREFIX}:cluster/{cluster}", tags=[{"key": "team", "value": "a"}])
    [seen] = ecs.describe_clusters(clusters=[cluster])["clusters"]
    assert (seen["tags"], seen["settings"], seen["statistics"]) == ([], [], [])
    [seen] = ecs.describe_clusters(clusters=[cluster], include=["TAGS", "SETTINGS", "STATISTICS"])["clusters"]
    assert seen["tags"] == [{"key": "team", "value": "a"}]
    assert seen["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert {"name": "runningFargateTasksCount", "value": "0"} in seen["statistics"]


def test_a_cluster_that_is_not_there_is_missing_or_not_found(ecs: Any) -> None:
    answer = ecs.describe_clusters(clusters=["nowhere"])
    assert answer["clusters"] == []
    assert answer["failures"] == [{"arn": f"{PREFIX}:cluster/nowhere", "reason": "MISSING"}]
    for call, params in (
        (ecs.list_tasks, {}),
        (ecs.list_services, {}),
        (ecs.delete_cluster, {}),
        (ecs.update_cluster, {}),
        (ecs.describe_tasks, {"tasks": ["x"]}),
        (ecs.list_container_instances, {}),
    ):
        with pytest.raises(ecs.exceptions.ClusterNotFoundException, match=r"Cluster not found\."):
            call(cluster="nowhere", **params)


def test_clusters_come_in_pages(ecs: Any) -> None:
    made = {ecs.create_cluster(clusterName=f"page-{number}")["cluster"]["clusterArn"] for number in range(5)}
    pages = list(ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(page["clusterArns"]) <= 2 for page in pages)
    found = [arn for page in pages for arn in page["clusterArns"]]
    assert made <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("size", [0, 101, -1])
def test_pages_have_limits(ecs: Any, size: int) -> None:
    for call in (ecs.list_clusters, ecs.list_services, ecs.list_tasks, ecs.list_task_definitions):
        with pytest.raises(ecs.exceptions.InvalidParameterException):
            call(maxResults=size)
        with pytest.raises(ecs.exceptions.InvalidParameterException):
            call(nextToken="invented")


def test_capacity_providers_belong_to_clusters(ecs: Any, cluster: str) -> None:
    strategy = [{"capacityProvider": "FARGATE", "weight": 1, "base": 1}]
    changed = ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=strategy
    )["cluster"]
    assert changed["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert changed["defaultCapacityProviderStrategy"] == strategy
    described = ecs.describe_capacity_providers(cluster=cluster)["capacityProviders"]
    assert [provider["name"] for provider in described] == ["FARGATE", "FARGATE_SPOT"]
    with pytest.raises(ecs.exceptions.UnsupportedFeatureException):
        ecs.create_capacity_provider(name="mine")


def test_there_are_no_container_instances(ecs: Any, cluster: str) -> None:
    pages = ecs.get_paginator("list_container_instances").paginate(cluster=cluster)
    assert [arn for page in pages for arn in page["containerInstanceArns"]] == []
    answer = ecs.describe_container_instances(cluster=cluster, containerInstances=["x"])
    missing = f"{PREFIX}:container-instance/{cluster}/x"
    assert answer["failures"] == [{"arn": missing, "reason": "MISSING"}]
    pages = ecs.get_paginator("list_attributes").paginate(cluster=cluster, targetType="container-instance")
    assert [attribute for page in pages for attribute in page["attributes"]] == []


def test_tags_are_put_replaced_listed_and_taken_away(ecs: Any, cluster: str) -> None:
    arn = f"{PREFIX}:cluster/{cluster}"
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "3"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a", "never there"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "3"}]
    many = [{"key": str(number), "value": ""} for number in range(50)]
    assert refusal(ecs.tag_resource, resourceArn=arn, tags=many)[0] == "LimitExceededException"
    aws = [{"key": "aws:mine", "value": ""}]
    assert refusal(ecs.tag_resource, resourceArn=arn, tags=aws)[0] == "InvalidParameterException"
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "3"}]


def test_account_settings_of_a_principal_hide_the_defaults(ecs: Any) -> None:
    def effective(name: str) -> str:
        [setting] = ecs.list_account_settings(name=name, effectiveSettings=True)["settings"]
        return str(setting["value"])

    ecs.put_account_setting_default(name="fargateTaskRetirementWaitPeriod", value="14")
    assert effective("fargateTaskRetirementWaitPeriod") == "14"
    ecs.put_account_setting(name="fargateTaskRetirementWaitPeriod", value="0")
    assert effective("fargateTaskRetirementWaitPeriod") == "0"
    ecs.delete_account_setting(name="fargateTaskRetirementWaitPeriod")
    pages = ecs.get_paginator("list_account_settings").paginate(
        effectiveSettings=True, PaginationConfig={"PageSize": 3}
    )
    settings = {setting["name"]: setting["value"] for page in pages for setting in page["settings"]}
    assert settings["taskLongArnFormat"] == "enabled"
