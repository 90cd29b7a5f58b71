"""VPCs, subnets, security groups and network interfaces, described; there is one VPC, the default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any, TypeVar

from wherry.api.context import Context
from wherry.api.ec2 import listing
from wherry.api.ec2.errors import Ec2Error, invalid_value, not_found
from wherry.api.ec2.listing import Texts
from wherry.api.ec2.zones import Zone
from wherry.model.arn import Scope
from wherry.model.base import Entity
from wherry.model.call import Call
from wherry.model.network import (
    RESERVED_ADDRESSES,
    IpPermission,
    NetworkInterface,
    SecurityGroup,
    Subnet,
    Vpc,
    private_dns_name,
    public_dns_name,
)
from wherry.store import Tx

E = TypeVar("E", bound=Entity)

_VPC_FILTERS: dict[str, Texts[Vpc]] = {
    "cidr": lambda vpc: [vpc.cidr_block],
    "cidr-block-association.cidr-block": lambda vpc: [vpc.cidr_block],
    "is-default": lambda vpc: _truth(vpc.is_default),
    "isDefault": lambda vpc: _truth(vpc.is_default),
    "state": lambda _: ["available"],
    "vpc-id": lambda vpc: [vpc.vpc_id],
}

_VPC_ATTRIBUTES = {"enableDnsHostnames": True, "enableDnsSupport": True, "enableNetworkAddressUsageMetrics": False}

_SUBNET_FILTERS: dict[str, Texts[Subnet]] = {
    "availability-zone": lambda subnet: [subnet.availability_zone],
    "availabilityZone": lambda subnet: [subnet.availability_zone],
    "availability-zone-id": lambda subnet: [_zone(subnet.availability_zone).id],
    "availabilityZoneId": lambda subnet: [_zone(subnet.availability_zone).id],
    "cidr": lambda subnet: [subnet.cidr_block],
    "cidr-block": lambda subnet: [subnet.cidr_block],
    "cidrBlock": lambda subnet: [subnet.cidr_block],
    "default-for-az": lambda subnet: _truth(subnet.default_for_az),
    "defaultForAz": lambda subnet: _truth(subnet.default_for_az),
    "map-public-ip-on-launch": lambda _: ["false"],
    "state": lambda _: ["available"],
    "subnet-id": lambda subnet: [subnet.subnet_id],
    "vpc-id": lambda subnet: [subnet.vpc_id],
}

_GROUP_FILTERS: dict[str, Texts[SecurityGroup]] = {
    "description": lambda group: [group.description],
    "group-id": lambda group: [group.group_id],
    "group-name": lambda group: [group.group_name],
    "vpc-id": lambda group: [group.vpc_id],
}


def _public(eni: NetworkInterface) -> list[str]:
    return [eni.private_ip_address] if eni.public else []


_INTERFACE_FILTERS: dict[str, Texts[NetworkInterface]] = {
    "addresses.association.public-ip": _public,
    "addresses.private-ip-address": lambda eni: [eni.private_ip_address],
    "association.public-dns-name": lambda eni: [public_dns_name(ip, _region(eni)) for ip in _public(eni)],
    "association.public-ip": _public,
    "availability-zone": lambda eni: [eni.availability_zone],
    "availability-zone-id": lambda eni: [_zone(eni.availability_zone).id],
    "description": lambda eni: [eni.description],
    "group-id": lambda eni: eni.security_group_ids,
    "interface-type": lambda _: ["interface"],
    "mac-address": lambda eni: [eni.mac_address],
    "network-interface-id": lambda eni: [eni.network_interface_id],
    "private-dns-name": lambda eni: [_dns_name(eni)],
    "private-ip-address": lambda eni: [eni.private_ip_address],
    "requester-managed": lambda _: ["true"],
    "status": lambda eni: [eni.status],
    "subnet-id": lambda eni: [eni.subnet_id],
    "vpc-id": lambda eni: [eni.vpc_id],
}


async def describe_vpcs(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeVpcs."""
    named = await _named(ctx, call, Vpc, "VpcIds", lambda *ids: not_found("InvalidVpcID", "vpc ID", *ids))
    found = listing.select(named, call.params, _VPC_FILTERS)
    page, token = listing.page(found, call.params, key=lambda vpc: vpc.vpc_id)
    return {"Vpcs": [_view_vpc(vpc, ctx.scope) for vpc in page], "NextToken": token}


async def describe_vpc_attribute(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeVpcAttribute: tasks resolve names, and their interfaces have some, as in a default VPC of AWS."""
    listing.check_dry_run(call.params)
    vpc_id, asked = call.params["VpcId"], call.params["Attribute"]
    if asked not in _VPC_ATTRIBUTES:
        raise invalid_value(f"Value ({asked}) for parameter attribute is invalid. Unknown VPC attribute.")
    if await ctx.store.read(lambda tx: tx.get(Vpc, vpc_id)) is None:
        raise not_found("InvalidVpcID", "vpc ID", vpc_id)
    member = asked[0].upper() + asked[1:]
    return {"VpcId": vpc_id, member: {"Value": _VPC_ATTRIBUTES[asked]}}


async def describe_subnets(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeSubnets."""
    named = await _named(ctx, call, Subnet, "SubnetIds", lambda *ids: not_found("InvalidSubnetID", "subnet ID", *ids))
    found = listing.select(named, call.params, _SUBNET_FILTERS)
    page, token = listing.page(found, call.params, key=lambda subnet: subnet.subnet_id)
    taken = await ctx.store.read(_taken, page)
    return {
        "Subnets": [_view_subnet(subnet, taken[subnet.subnet_id], ctx.scope) for subnet in page],
        "NextToken": token,
    }


async def describe_security_groups(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeSecurityGroups."""
    named = await _named(
        ctx, call, SecurityGroup, "GroupIds", lambda *ids: not_found("InvalidGroup", "security group", *ids)
    )
    if names := call.params.get("GroupNames"):
        if missing := [name for name in names if name not in {group.group_name for group in named}]:
            raise not_found("InvalidGroup", "security group", *missing)
        named = [group for group in named if group.group_name in names]
    found = listing.select(named, call.params, _GROUP_FILTERS)
    page, token = listing.page(found, call.params, key=lambda group: group.group_id)
    return {"SecurityGroups": [_view_group(group, ctx.scope) for group in page], "NextToken": token}


async def describe_network_interfaces(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeNetworkInterfaces: those of the tasks."""
    named = await _named(
        ctx,
        call,
        NetworkInterface,
        "NetworkInterfaceIds",
        lambda *ids: not_found("InvalidNetworkInterfaceID", "networkInterface ID", *ids),
    )
    found = listing.select(named, call.params, _INTERFACE_FILTERS)
    page, token = listing.page(found, call.params, key=lambda eni: eni.network_interface_id)
    groups = await ctx.store.read(_group_names)
    return {"NetworkInterfaces": [_view_interface(eni, groups, ctx.scope) for eni in page], "NextToken": token}


async def _named(ctx: Context, call: Call, type_: type[E], member: str, missing: Callable[..., Ec2Error]) -> list[E]:
    """Read the entities whose ids a request names, all if it names none; raises `missing` with the ids of nothing."""
    listing.check_dry_run(call.params)
    ids = call.params.get(member)
    if ids and call.params.get("MaxResults") is not None:
        raise Ec2Error(
            "InvalidParameterCombination", f"The parameter {member} cannot be used with the parameter maxResults"
        )
    found = await ctx.store.read(_read, type_, ids)
    if strange := [id_ for id_ in ids or () if id_ not in found]:
        raise missing(*strange)
    return list(found.values())


def _read(tx: Tx, type_: type[E], ids: Iterable[str] | None) -> dict[str, E]:
    if not ids:
        return {str(index): entity for index, entity in enumerate(tx.find(type_))}
    return {id_: entity for id_ in dict.fromkeys(ids) if (entity := tx.get(type_, id_))}


def _taken(tx: Tx, subnets: Iterable[Subnet]) -> dict[str, int]:
    return {subnet.subnet_id: tx.count(NetworkInterface, subnet_id=subnet.subnet_id) for subnet in subnets}


def _group_names(tx: Tx) -> dict[str, str]:
    return {group.group_id: group.group_name for group in tx.find(SecurityGroup)}


def _view_vpc(vpc: Vpc, scope: Scope) -> dict[str, Any]:
    return {
        "VpcId": vpc.vpc_id,
        "CidrBlock": vpc.cidr_block,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": vpc.vpc_id.replace("vpc-", "vpc-cidr-assoc-"),
                "CidrBlock": vpc.cidr_block,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "IsDefault": vpc.is_default,
        "InstanceTenancy": "default",
        "OwnerId": scope.account_id,
        "State": "available",
        "Tags": listing.view_tags(vpc.tags),
    }


def _view_subnet(subnet: Subnet, taken: int, scope: Scope) -> dict[str, Any]:
    usable = IPv4Network(subnet.cidr_block).num_addresses - RESERVED_ADDRESSES - 1
    return {
        "SubnetId": subnet.subnet_id,
        "SubnetArn": f"arn:aws:ec2:{scope.region}:{scope.account_id}:subnet/{subnet.subnet_id}",
        "VpcId": subnet.vpc_id,
        "CidrBlock": subnet.cidr_block,
        "AvailabilityZone": subnet.availability_zone,
        "AvailabilityZoneId": _zone(subnet.availability_zone).id,
        "AvailableIpAddressCount": usable - taken,
        "DefaultForAz": subnet.default_for_az,
        "MapPublicIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "EnableDns64": False,
        "OwnerId": scope.account_id,
        "State": "available",
        "Tags": listing.view_tags(subnet.tags),
    }


def _view_group(group: SecurityGroup, scope: Scope) -> dict[str, Any]:
    return {
        "GroupId": group.group_id,
        "SecurityGroupArn": f"arn:aws:ec2:{scope.region}:{scope.account_id}:security-group/{group.group_id}",
        "GroupName": group.group_name,
        "Description": group.description,
        "VpcId": group.vpc_id,
        "OwnerId": scope.account_id,
        "IpPermissions": [_view_permission(permission, scope) for permission in group.ingress],
        "IpPermissionsEgress": [_view_permission(permission, scope) for permission in group.egress],
        "Tags": listing.view_tags(group.tags),
    }


def _view_permission(permission: IpPermission, scope: Scope) -> dict[str, Any]:
    return {
        "IpProtocol": permission.ip_protocol,
        "FromPort": permission.from_port,
        "ToPort": permission.to_port,
        "IpRanges": [{"CidrIp": cidr} for cidr in permission.cidr_ips],
        "Ipv6Ranges": [],
        "PrefixListIds": [],
        "UserIdGroupPairs": [{"GroupId": group, "UserId": scope.account_id} for group in permission.group_ids],
    }


def _view_interface(eni: NetworkInterface, groups: Mapping[str, str], scope: Scope) -> dict[str, Any]:
    association = _view_association(eni)
    return {
        "Association": association,
        "NetworkInterfaceId": eni.network_interface_id,
        "SubnetId": eni.subnet_id,
        "VpcId": eni.vpc_id,
        "AvailabilityZone": eni.availability_zone,
        "AvailabilityZoneId": _zone(eni.availability_zone).id,
        "PrivateIpAddress": eni.private_ip_address,
        "PrivateDnsName": _dns_name(eni),
        "PrivateIpAddresses": [
            {
                "Association": association,
                "Primary": True,
                "PrivateIpAddress": eni.private_ip_address,
                "PrivateDnsName": _dns_name(eni),
            }
        ],
        "MacAddress": eni.mac_address,
        "Groups": [{"GroupId": group, "GroupName": groups.get(group)} for group in eni.security_group_ids],
        "Description": eni.description or scope.attachment(eni.attachment_id),
        "Status": eni.status,
        "InterfaceType": "interface",
        "Attachment": {
            "AttachTime": eni.created_at,
            "DeleteOnTermination": True,
            "DeviceIndex": 1,
            "InstanceOwnerId": scope.account_id,
            "Status": "attached",
        },
        "Ipv6Addresses": [],
        "OwnerId": scope.account_id,
        "RequesterManaged": True,
        "SourceDestCheck": True,
        "TagSet": [],
    }


def _view_association(eni: NetworkInterface) -> dict[str, Any] | None:
    """Show the public address of an interface that was asked to have one: its own, which is routed."""
    if not eni.public:
        return None
    address = eni.private_ip_address
    return {"IpOwnerId": "amazon", "PublicIp": address, "PublicDnsName": public_dns_name(address, _region(eni))}


def _dns_name(eni: NetworkInterface) -> str:
    return private_dns_name(eni.private_ip_address, _region(eni))


def _region(eni: NetworkInterface) -> str:
    return _zone(eni.availability_zone).region


def _zone(name: str) -> Zone:
    return Zone(region=name[:-1], letter=name[-1])


def _truth(value: bool) -> list[str]:  # noqa: FBT001 - the value that is written, not a switch
    return ["true" if value else "false"]
