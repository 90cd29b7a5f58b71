"""The VPC: subnets, security groups and the elastic network interfaces of tasks.

Addresses are strings; the arithmetic is the standard library's `ipaddress`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from wherry.model.base import Entity, Tag, Value

RESERVED_ADDRESSES = 4
"""The first addresses of a subnet are network, router, DNS and one for the future; the last is reserved too."""


class Vpc(Entity, frozen=True):
    """A VPC. Key: `vpc_id`."""

    vpc_id: str
    cidr_block: str
    is_default: bool = False
    tags: tuple[Tag, ...] = ()


class Subnet(Entity, frozen=True):
    """A subnet in one availability zone. Key: `subnet_id`.

    `next_address` is where the search for a free address begins, so that one that was given back rests for a round.
    """

    subnet_id: str
    vpc_id: str
    cidr_block: str
    availability_zone: str
    default_for_az: bool = False
    next_address: int = 0
    tags: tuple[Tag, ...] = ()

    @property
    def gateway_cidr(self) -> str:
        """The router's address with the prefix length, "172.31.0.1/20"."""
        network = _network(self.cidr_block)
        return f"{network[1]}/{network.prefixlen}"


class IpPermission(Value, frozen=True):
    """One rule of a security group."""

    ip_protocol: str
    from_port: int | None = None
    to_port: int | None = None
    cidr_ips: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()


class SecurityGroup(Entity, frozen=True):
    """A security group. Key: `group_id`."""

    group_id: str
    group_name: str
    description: str
    vpc_id: str
    ingress: tuple[IpPermission, ...] = ()
    egress: tuple[IpPermission, ...] = ()
    tags: tuple[Tag, ...] = ()


class NetworkInterface(Entity, frozen=True):
    """The interface of one task. Key: `network_interface_id`; (subnet, address) is unique while the row is there.

    `public` is `assignPublicIp`: addresses are routed, not translated, so that the public address is the private one.
    """

    network_interface_id: str
    subnet_id: str
    vpc_id: str
    availability_zone: str
    private_ip_address: str
    mac_address: str
    security_group_ids: tuple[str, ...]
    task_arn: str
    attachment_id: str
    public: bool = False
    status: str = "in-use"
    description: str = ""
    created_at: float = 0


_network = lru_cache(maxsize=1024)(IPv4Network)
"""Subnets are few and asked about with every task."""


@lru_cache(maxsize=1024)
def usable_addresses(cidr_block: str) -> int:
    """Count the addresses of a subnet that interfaces can have."""
    return max(_network(cidr_block).num_addresses - RESERVED_ADDRESSES - 1, 0)


def address_after(cidr_block: str, address: str) -> int:
    """Tell where the search for the next free address begins once `address` has been given out."""
    return int(IPv4Address(address)) - int(_network(cidr_block).network_address) - RESERVED_ADDRESSES + 1


def private_dns_name(address: str, region: str) -> str:
    """Name an address as EC2 does: "ip-172-31-0-4.ec2.internal", with the region in it outside us-east-1."""
    suffix = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{suffix}"


def public_dns_name(address: str, region: str) -> str:
    """Name a public address as EC2 does: "ec2-172-31-0-4.compute-1.amazonaws.com"."""
    zone = "compute-1" if region == "us-east-1" else f"{region}.compute"
    return f"ec2-{address.replace('.', '-')}.{zone}.amazonaws.com"


def free_address(cidr_block: str, is_taken: Callable[[str], bool], *, start: int = 0) -> str | None:
    """Find a free host address of a subnet, or None when it is full: asks of one after the other whether it is taken.

    The search begins `start` addresses into the subnet and wraps, so that an address that was just given back rests
    before it is used again.
    """
    network = _network(cidr_block)
    usable = usable_addresses(cidr_block)
    base = int(network.network_address) + RESERVED_ADDRESSES
    for offset in range(usable):
        candidate = str(IPv4Address(base + (start + offset) % usable))
        if not is_taken(candidate):
            return candidate
    return None
