"""The availability zones of the region, and the region."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.api.ec2 import listing
from wherry.api.ec2.errors import invalid_value
from wherry.api.ec2.listing import Texts
from wherry.model.base import Value
from wherry.model.call import Call

LETTERS = "abc"
"""The zones that a default VPC has subnets in."""


class Zone(Value, frozen=True):
    """An availability zone: "us-east-1a", of which the id is "use1-az1"."""

    region: str
    letter: str

    @property
    def name(self) -> str:
        """The region and a letter."""
        return f"{self.region}{self.letter}"

    @property
    def id(self) -> str:
        """The short name of the region and a number, counted as the letters are."""
        area, *words = self.region.split("-")
        short = "".join(word if word.isdigit() else _initials(word) for word in words)
        return f"{area}{short}-az{ord(self.letter) - ord('a') + 1}"


def _initials(word: str) -> str:
    """Shorten a direction: "northeast" is "ne", "east" is "e"."""
    return word[0] + (word[5:6] if word.startswith(("north", "south")) else "")


def zones_of(region: str) -> list[Zone]:
    """Return the zones of a region."""
    return [Zone(region=region, letter=letter) for letter in LETTERS]


_ZONE_FILTERS: dict[str, Texts[Zone]] = {
    "region-name": lambda zone: [zone.region],
    "group-name": lambda zone: [f"{zone.region}-zg-1"],
    "opt-in-status": lambda _: ["opt-in-not-required"],
    "state": lambda _: ["available"],
    "zone-id": lambda zone: [zone.id],
    "zone-name": lambda zone: [zone.name],
    "zone-type": lambda _: ["availability-zone"],
}

_REGION_FILTERS: dict[str, Texts[str]] = {
    "region-name": lambda region: [region],
    "opt-in-status": lambda _: ["opt-in-not-required"],
}


async def describe_availability_zones(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeAvailabilityZones: the three zones of the region; all are always available."""
    listing.check_dry_run(call.params)
    zones = zones_of(ctx.scope.region)
    names, ids = call.params.get("ZoneNames") or (), call.params.get("ZoneIds") or ()
    if strange := set(names) - {zone.name for zone in zones} or set(ids) - {zone.id for zone in zones}:
        raise invalid_value(f"Invalid availability zone: [{min(strange)}]")
    named = [zone for zone in zones if (not names or zone.name in names) and (not ids or zone.id in ids)]
    return {"AvailabilityZones": [_view(zone) for zone in listing.select(named, call.params, _ZONE_FILTERS)]}


async def describe_regions(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeRegions: the one region that this control plane speaks for."""
    listing.check_dry_run(call.params)
    region = ctx.scope.region
    if strange := set(call.params.get("RegionNames") or ()) - {region}:
        raise invalid_value(f"Invalid region name: [{min(strange)}]")
    shown = listing.select([region], call.params, _REGION_FILTERS)
    return {
        "Regions": [
            {"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": "opt-in-not-required"}
            for name in shown
        ]
    }


def _view(zone: Zone) -> dict[str, Any]:
    return {
        "ZoneName": zone.name,
        "ZoneId": zone.id,
        "RegionName": zone.region,
        "GroupName": f"{zone.region}-zg-1",
        "NetworkBorderGroup": zone.region,
        "ZoneType": "availability-zone",
        "OptInStatus": "opt-in-not-required",
        "State": "available",
        "Messages": [],
    }
