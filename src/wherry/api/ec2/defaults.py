"""What a new installation begins with: a default VPC like every AWS account's, and the cluster `default`.

The region, the account and the VPC's addresses are pinned at the first start: they are in every ARN and every
interface, so that a later start with others would find nothing of what it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from itertools import islice

from wherry.api.ec2.zones import zones_of
from wherry.model.account import Meta
from wherry.model.arn import Scope
from wherry.model.cluster import Cluster, ClusterSetting
from wherry.model.ids import Entropy, hex17
from wherry.model.network import IpPermission, SecurityGroup, Subnet, Vpc
from wherry.store import Tx

VPC_CIDR = "172.31.0.0/16"
"""The addresses of every default VPC of AWS."""

_OPTIONS: Mapping[str, str] = {"region": "--region", "account_id": "--account-id", "vpc_cidr": "WHERRY_VPC_CIDR"}


class InstallationError(ValueError):
    """This database cannot be started so; the sentence says with what it can."""


def seed(tx: Tx, *, scope: Scope, vpc_cidr: str | None, entropy: Entropy, now: float) -> None:
    """Make what a new installation begins with; a later start finds it made and changes nothing.

    Raises `InstallationError` for a region, account or `vpc_cidr` other than at the first start; None is as before.
    """
    pinned = {"region": scope.region, "account_id": scope.account_id}
    if vpc_cidr is not None:
        pinned["vpc_cidr"] = str(_vpc_network(vpc_cidr))
    if tx.get(Meta, "vpc_cidr") is not None:
        _check_pinned(tx, pinned)
        return
    pinned.setdefault("vpc_cidr", VPC_CIDR)
    for name, value in pinned.items():
        tx.put(Meta(name=name, value=value))
    _seed_vpc(tx, IPv4Network(pinned["vpc_cidr"]), region=scope.region, entropy=entropy)
    _seed_cluster(tx, scope=scope, now=now)


def vpc_cidr(tx: Tx) -> str | None:
    """Read the addresses of the default VPC; None before the first start."""
    row = tx.get(Meta, "vpc_cidr")
    return None if row is None else row.value


def _check_pinned(tx: Tx, given: Mapping[str, str]) -> None:
    for name, value in given.items():
        row = tx.get(Meta, name)
        if row is not None and row.value != value:
            raise InstallationError(
                f"This database belongs to {name.replace('_', ' ')} {row.value}, not {value}. "
                f"Start with {_OPTIONS[name]} {row.value}, or with another data directory."
            )


def _seed_vpc(tx: Tx, network: IPv4Network, *, region: str, entropy: Entropy) -> None:
    vpc = tx.put(Vpc(vpc_id=f"vpc-{hex17(entropy)}", cidr_block=str(network), is_default=True))
    zones = zones_of(region)
    for zone, block in zip(zones, _subnets(network, len(zones)), strict=True):
        subnet_id = f"subnet-{hex17(entropy)}"
        tx.put(
            Subnet(
                subnet_id=subnet_id,
                vpc_id=vpc.vpc_id,
                cidr_block=str(block),
                availability_zone=zone.name,
                default_for_az=True,
            )
        )
    group_id = f"sg-{hex17(entropy)}"
    tx.put(
        SecurityGroup(
            group_id=group_id,
            group_name="default",
            description="default VPC security group",
            vpc_id=vpc.vpc_id,
            ingress=(IpPermission(ip_protocol="-1", group_ids=(group_id,)),),
            egress=(IpPermission(ip_protocol="-1", cidr_ips=("0.0.0.0/0",)),),
        )
    )


def _seed_cluster(tx: Tx, *, scope: Scope, now: float) -> None:
    settings = (ClusterSetting(name="containerInsights", value="disabled"),)
    tx.put(Cluster(cluster_arn=scope.cluster("default"), cluster_name="default", settings=settings, created_at=now))


def _vpc_network(text: str) -> IPv4Network:
    """Read the addresses of a VPC: a network of /16 to /24, so that its subnets are /20 to /28 as in AWS."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise InstallationError(
            f"The VPC's addresses {text!r} are no IPv4 network ({error}). Example: {VPC_CIDR}."
        ) from error
    if not 16 <= network.prefixlen <= 24:
        raise InstallationError(
            f"The VPC's addresses {network} are no network of size /16 to /24. Example: {VPC_CIDR}."
        )
    return network


def _subnets(network: IPv4Network, count: int) -> Iterable[IPv4Network]:
    """Cut the first sixteenths off a VPC: 172.31.0.0/20, 172.31.16.0/20, 172.31.32.0/20."""
    return islice(network.subnets(prefixlen_diff=4), count)
