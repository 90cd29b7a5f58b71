"""The default VPC as EC2 describes it, the first start of an installation, and who calls."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws import ROOT, Aws
from tests.builders import NOW, SCOPE, Counter

from wherry.api.ec2.defaults import InstallationError, seed
from wherry.api.ec2.zones import Zone
from wherry.model.arn import Scope
from wherry.model.call import Principal
from wherry.model.network import NetworkInterface, Subnet
from wherry.store import Store, Tx


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(memory_store: Store) -> Aws:
    return await Aws(memory_store).seed()


def an_interface(subnet: Subnet, number: int, **changes: Any) -> NetworkInterface:
    return NetworkInterface(
        **{
            "network_interface_id": f"eni-{number:017x}",
            "subnet_id": subnet.subnet_id,
            "vpc_id": subnet.vpc_id,
            "availability_zone": subnet.availability_zone,
            "private_ip_address": f"172.31.0.{number}",
            "mac_address": f"02:00:00:00:00:{number:02x}",
            "security_group_ids": (),
            "task_arn": SCOPE.task("default", f"{number:032x}"),
            "attachment_id": f"00000000-0000-4000-8000-{number:012x}",
            "created_at": NOW,
        }
        | changes
    )


@pytest.mark.anyio
async def test_there_is_a_default_vpc_with_a_subnet_in_each_of_three_zones(aws: Aws) -> None:
    [vpc] = (await aws.ec2("DescribeVpcs", Filters=[{"Name": "isDefault", "Values": ["true"]}]))["Vpcs"]
    assert (vpc["CidrBlock"], vpc["IsDefault"], vpc["State"]) == ("172.31.0.0/16", True, "available")
    subnets = (await aws.ec2("DescribeSubnets", Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]))["Subnets"]
    assert sorted((s["AvailabilityZone"], s["CidrBlock"]) for s in subnets) == [
        ("us-east-1a", "172.31.0.0/20"),
        ("us-east-1b", "172.31.16.0/20"),
        ("us-east-1c", "172.31.32.0/20"),
    ]
    assert {s["AvailableIpAddressCount"] for s in subnets} == {4091}
    zones = (await aws.ec2("DescribeAvailabilityZones"))["AvailabilityZones"]
    assert [z["ZoneName"] for z in zones] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    [group] = (await aws.ec2("DescribeSecurityGroups"))["SecurityGroups"]
    assert (group["GroupName"], group["VpcId"]) == ("default", vpc["VpcId"])
    assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]


@pytest.mark.anyio
async def test_the_vpc_has_the_attributes_of_a_default_one(aws: Aws) -> None:
    [vpc] = (await aws.ec2("DescribeVpcs"))["Vpcs"]

    async def attribute(name: str) -> Any:
        return await aws.ec2("DescribeVpcAttribute", VpcId=vpc["VpcId"], Attribute=name)

    assert await attribute("enableDnsSupport") == {"VpcId": vpc["VpcId"], "EnableDnsSupport": {"Value": True}}
    assert (await attribute("enableDnsHostnames"))["EnableDnsHostnames"] == {"Value": True}
    assert (await attribute("enableNetworkAddressUsageMetrics"))["EnableNetworkAddressUsageMetrics"] == {"Value": False}


@pytest.mark.anyio
async def test_a_later_start_changes_nothing(aws: Aws) -> None:
    before = await aws.ec2("DescribeSubnets"), await aws("DescribeClusters")
    await aws("DeleteCluster", cluster="default")
    await aws("CreateCluster", clusterName="default")
    await aws.seed()
    assert (await aws.ec2("DescribeSubnets"), await aws("DescribeClusters")) == before


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("scope", "vpc_cidr", "option"),
    [
        (Scope(region="eu-west-1", account_id=SCOPE.account_id), None, "--region us-east-1"),
        (Scope(region=SCOPE.region, account_id="111111111111"), None, "--account-id 000000000000"),
        (SCOPE, "10.0.0.0/16", "WHERRY_VPC_CIDR 172.31.0.0/16"),
    ],
)
async def test_a_later_start_as_somebody_else_is_refused(aws: Aws, scope: Scope, vpc_cidr: str, option: str) -> None:
    with pytest.raises(InstallationError, match=option):
        await aws.store.write(seed, scope=scope, vpc_cidr=vpc_cidr, entropy=Counter(), now=NOW)


@pytest.mark.anyio
async def test_the_vpcs_addresses_can_be_chosen_at_the_first_start(memory_store: Store) -> None:
    await memory_store.write(seed, scope=SCOPE, vpc_cidr="10.7.0.0/24", entropy=Counter(), now=NOW)
    subnets = (await Aws(memory_store).ec2("DescribeSubnets"))["Subnets"]
    assert sorted(s["CidrBlock"] for s in subnets) == ["10.7.0.0/28", "10.7.0.16/28", "10.7.0.32/28"]


@pytest.mark.anyio
@pytest.mark.parametrize("cidr", ["10.0.0.0/15", "10.0.0.0/25", "10.0.0.1/16", "nonsense"])
async def test_addresses_that_make_no_vpc_are_refused(memory_store: Store, cidr: str) -> None:
    with pytest.raises(InstallationError, match=r"Example: 172\.31\.0\.0/16\."):
        await memory_store.write(seed, scope=SCOPE, vpc_cidr=cidr, entropy=Counter(), now=NOW)


@pytest.mark.anyio
async def test_filters_must_all_match_and_take_wildcards(aws: Aws) -> None:
    async def zones(**filters: list[str]) -> set[str]:
        wanted = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
        found = (await aws.ec2("DescribeSubnets", Filters=wanted))["Subnets"]
        return {subnet["AvailabilityZone"][-1] for subnet in found}

    assert await zones(availability_zone=["us-east-1a", "us-east-1c"]) == {"a", "c"}
    assert await zones(availability_zone=["us-*"], cidr_block=["172.31.1?.0/20"]) == {"b"}
    assert await zones(default_for_az=["false"]) == set()
    assert await zones(availability_zone=["us.east.1a"]) == set()
    assert await aws.refusal("DescribeSubnets", of="ec2", Filters=[{"Name": "colour", "Values": ["red"]}]) == (
        "InvalidParameterValue",
        "The filter 'colour' is invalid",
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "params", "error"),
    [
        ("DescribeVpcs", {"VpcIds": ["vpc-x"]}, ("InvalidVpcID.NotFound", "The vpc ID 'vpc-x' does not exist")),
        (
            "DescribeVpcAttribute",
            {"VpcId": "vpc-x", "Attribute": "enableDnsSupport"},
            ("InvalidVpcID.NotFound", "The vpc ID 'vpc-x' does not exist"),
        ),
        (
            "DescribeVpcAttribute",
            {"VpcId": "vpc-x", "Attribute": "colour"},
            ("InvalidParameterValue", "Value (colour) for parameter attribute is invalid. Unknown VPC attribute."),
        ),
        (
            "DescribeSubnets",
            {"SubnetIds": ["subnet-x", "subnet-y"]},
            ("InvalidSubnetID.NotFound", "The subnet IDs 'subnet-x, subnet-y' do not exist"),
        ),
        (
            "DescribeSecurityGroups",
            {"GroupIds": ["sg-x"]},
            ("InvalidGroup.NotFound", "The security group 'sg-x' does not exist"),
        ),
        (
            "DescribeNetworkInterfaces",
            {"NetworkInterfaceIds": ["eni-x"]},
            ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-x' does not exist"),
        ),
        (
            "DescribeVpcs",
            {"DryRun": True},
            ("DryRunOperation", "Request would have succeeded, but DryRun flag is set."),
        ),
    ],
)
async def test_errors_are_those_of_ec2(
    aws: Aws, operation: str, params: dict[str, Any], error: tuple[str, str]
) -> None:
    assert await aws.refusal(operation, of="ec2", **params) == error


@pytest.mark.anyio
async def test_interfaces_of_tasks_are_described_page_by_page(aws: Aws) -> None:
    def write(tx: Tx) -> None:
        subnet = tx.find(Subnet, availability_zone="us-east-1a")[0]
        for number in range(4, 11):
            tx.put(an_interface(subnet, number))

    await aws.store.write(write)
    first = await aws.ec2("DescribeNetworkInterfaces", MaxResults=5)
    rest = await aws.ec2("DescribeNetworkInterfaces", MaxResults=5, NextToken=first["NextToken"])
    found = first["NetworkInterfaces"] + rest["NetworkInterfaces"]
    assert [eni["PrivateIpAddress"] for eni in found] == [f"172.31.0.{n}" for n in range(4, 11)]
    assert rest["NextToken"] is None
    assert found[0]["PrivateDnsName"] == "ip-172-31-0-4.ec2.internal"
    assert found[0]["Description"] == SCOPE.attachment("00000000-0000-4000-8000-000000000004")
    counts = {
        s["AvailabilityZone"]: s["AvailableIpAddressCount"] for s in (await aws.ec2("DescribeSubnets"))["Subnets"]
    }
    assert counts["us-east-1a"] == 4091 - 7
    assert (await aws.refusal("DescribeVpcs", of="ec2", NextToken="?"))[0] == "InvalidNextToken"


@pytest.mark.anyio
async def test_a_public_interface_has_its_own_address_as_its_public_one(aws: Aws) -> None:
    def write(tx: Tx) -> None:
        subnet = tx.find(Subnet, availability_zone="us-east-1a")[0]
        tx.put(an_interface(subnet, 4, public=True))
        tx.put(an_interface(subnet, 5))

    await aws.store.write(write)
    public, private = (await aws.ec2("DescribeNetworkInterfaces"))["NetworkInterfaces"]
    assert public["Association"] == {
        "IpOwnerId": "amazon",
        "PublicIp": "172.31.0.4",
        "PublicDnsName": "ec2-172-31-0-4.compute-1.amazonaws.com",
    }
    assert public["PrivateIpAddresses"][0]["Association"] == public["Association"]
    assert private["Association"] is None
    for name, value in (("association.public-ip", "172.31.0.4"), ("association.public-dns-name", "ec2-*")):
        found = await aws.ec2("DescribeNetworkInterfaces", Filters=[{"Name": name, "Values": [value]}])
        assert [eni["PrivateIpAddress"] for eni in found["NetworkInterfaces"]] == ["172.31.0.4"]


@pytest.mark.parametrize(
    ("region", "zone_id"),
    [
        ("us-east-1", "use1-az1"),
        ("eu-central-1", "euc1-az1"),
        ("ap-southeast-2", "apse2-az1"),
        ("ap-northeast-1", "apne1-az1"),
        ("us-gov-west-1", "usgw1-az1"),
        ("local", "local-az1"),
    ],
)
def test_zone_ids_shorten_the_region_as_aws_does(region: str, zone_id: str) -> None:
    assert Zone(region=region, letter="a").id == zone_id


@pytest.mark.anyio
async def test_the_caller_is_told_who_it_is(aws: Aws) -> None:
    identity = await aws("GetCallerIdentity", of="sts")
    assert identity == {"Account": "000000000000", "Arn": ROOT, "UserId": "000000000000"}
    alice = "arn:aws:iam::000000000000:user/alice"
    aws.caller = Principal(account_id="000000000000", arn=alice, access_key_id="AKIATEST", user_id="AIDAALICE")
    assert (await aws("GetCallerIdentity", of="sts"))["UserId"] == "AIDAALICE"
