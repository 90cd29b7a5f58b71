"""Network configurations: their shape, and whether they fit the task definition and the VPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.model.errors import InvalidParameterException
from wherry.model.network import SecurityGroup, Subnet
from wherry.model.task import AwsvpcConfiguration, NetworkConfiguration
from wherry.store import Tx


def read(raw: Mapping[str, Any] | None) -> NetworkConfiguration | None:
    """Read the `networkConfiguration` member of a request; raises InvalidParameterException for what it cannot be."""
    awsvpc = (raw or {}).get("awsvpcConfiguration")
    if awsvpc is None:
        return None
    subnets = tuple(dict.fromkeys(awsvpc.get("subnets") or ()))
    groups = tuple(dict.fromkeys(awsvpc.get("securityGroups") or ()))
    if not subnets:
        raise InvalidParameterException("subnets can not be empty.")
    if len(subnets) > 16:
        raise InvalidParameterException("subnets can have at most 16 items.")
    if len(groups) > 5:
        raise InvalidParameterException("securityGroups can have at most 5 items.")
    public = awsvpc.get("assignPublicIp") or "DISABLED"
    if public not in ("ENABLED", "DISABLED"):
        raise InvalidParameterException("assignPublicIp should be one of [ENABLED,DISABLED]")
    return NetworkConfiguration(
        awsvpc_configuration=AwsvpcConfiguration(subnets=subnets, security_groups=groups, assign_public_ip=public)
    )


def check(tx: Tx, network_mode: str | None, network: NetworkConfiguration | None) -> None:
    """Check that `network` fits the network mode of the task definition, and that what it names is in one VPC."""
    if network_mode == "awsvpc" and network is None:
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if network is None:
        return
    if network_mode != "awsvpc":
        raise InvalidParameterException(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )
    vpcs = {_subnet(tx, subnet_id).vpc_id for subnet_id in network.awsvpc_configuration.subnets}
    if len(vpcs) > 1:
        raise InvalidParameterException("The subnets do not belong to the same VPC.")
    for group_id in network.awsvpc_configuration.security_groups:
        if _group(tx, group_id).vpc_id not in vpcs:
            raise InvalidParameterException(
                f"Security group {group_id} does not appear to belong to the same VPC as the input subnets."
            )


def view(network: NetworkConfiguration | None) -> dict[str, Any] | None:
    """Show a network configuration as ECS does."""
    if network is None:
        return None
    awsvpc = network.awsvpc_configuration
    return {
        "awsvpcConfiguration": {
            "subnets": list(awsvpc.subnets),
            "securityGroups": list(awsvpc.security_groups),
            "assignPublicIp": awsvpc.assign_public_ip,
        }
    }


def _subnet(tx: Tx, subnet_id: str) -> Subnet:
    subnet = tx.get(Subnet, subnet_id)
    if subnet is None:
        raise InvalidParameterException(
            f"Error retrieving subnet information for [{subnet_id}]: The subnet ID '{subnet_id}' does not exist "
            "(ErrorCode: InvalidSubnetID.NotFound)"
        )
    return subnet


def _group(tx: Tx, group_id: str) -> SecurityGroup:
    group = tx.get(SecurityGroup, group_id)
    if group is None:
        raise InvalidParameterException(
            f"Error retrieving security group information for [{group_id}]: The security group '{group_id}' does not "
            "exist (ErrorCode: InvalidGroup.NotFound)"
        )
    return group
