"""The operations of EC2 that are done; every other one is refused as unknown."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.api.ec2 import network, zones
from wherry.api.ecs.table import Operation, Refused

OPERATIONS: Mapping[str, Operation | Refused] = {
    "DescribeAvailabilityZones": zones.describe_availability_zones,
    "DescribeNetworkInterfaces": network.describe_network_interfaces,
    "DescribeRegions": zones.describe_regions,
    "DescribeSecurityGroups": network.describe_security_groups,
    "DescribeSubnets": network.describe_subnets,
    "DescribeVpcAttribute": network.describe_vpc_attribute,
    "DescribeVpcs": network.describe_vpcs,
}
