"""boto3 and as much of EC2 and STS as tools ask about before they use ECS."""

from __future__ import annotations

from typing import Any

from tests.contract.conftest import refusal
from tests.contract.whole import ACCOUNT, REGION


def test_the_caller_is_the_accounts_root(sts: Any) -> None:
    identity = sts.get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")


def test_the_default_vpc_can_be_found_as_tools_find_it(ec2: Any) -> None:
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=attribute)
        assert answer[attribute[0].upper() + attribute[1:]] == {"Value": True}
    filters = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=filters, PaginationConfig={"PageSize": 5})
    zones = [subnet["AvailabilityZone"] for page in pages for subnet in page["Subnets"]]
    names = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]
    assert sorted(zones) == sorted(names) == [f"{REGION}{letter}" for letter in "abc"]
    group_name = {"Name": "group-name", "Values": ["default"]}
    [group] = ec2.describe_security_groups(Filters=[*filters, group_name])["SecurityGroups"]
    assert group["VpcId"] == vpc["VpcId"]
    assert REGION in {region["RegionName"] for region in ec2.describe_regions()["Regions"]}


def test_what_is_not_there_has_the_errors_of_ec2(ec2: Any) -> None:
    assert refusal(ec2.describe_subnets, SubnetIds=["subnet-x"]) == (
        "InvalidSubnetID.NotFound",
        "The subnet ID 'subnet-x' does not exist",
    )
    assert refusal(ec2.describe_instances)[0] == "NotImplementedException"
