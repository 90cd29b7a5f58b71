"""What may be used of a host, and by whose word."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.model.host_rules import NOTHING, Demand, HostRules, Kind, demands, is_below, objection, read
from wherry.model.taskdef_draft import draft


def definition(*, linux: dict[str, Any] | None = None, container: dict[str, Any] | None = None, **members: Any) -> Any:
    app = {"name": "app", "image": "app", "linuxParameters": linux or {}} | (container or {})
    return draft({"family": "web", "containerDefinitions": [app]} | members)


def asked(**members: Any) -> list[tuple[Kind, str]]:
    return [(demand.kind, demand.what) for demand in demands(definition(**members))]


def test_an_ordinary_definition_asks_for_nothing() -> None:
    volumes = [
        {"name": "own"},
        {"name": "engine", "dockerVolumeConfiguration": {"driverOpts": {"type": "tmpfs", "device": "tmpfs"}}},
        {"name": "nfs", "dockerVolumeConfiguration": {"driverOpts": {"type": "nfs", "o": "addr=nas", "device": ":/x"}}},
        {"name": "files", "efsVolumeConfiguration": {"fileSystemId": "fs-12345678"}},
    ]
    linux = {"capabilities": {"add": ["CHOWN"], "drop": ["ALL"]}}
    container = {"dockerSecurityOptions": ["no-new-privileges"], "privileged": False}
    assert asked(linux=linux, container=container, volumes=volumes, pidMode="task", ipcMode="none") == []


@pytest.mark.parametrize(
    ("members", "kind", "what"),
    [
        ({"container": {"privileged": True}}, Kind.PRIVILEGED, "A privileged container"),
        (
            {"container": {"dockerSecurityOptions": ["label:disable"]}},
            Kind.PRIVILEGED,
            "The security option label:disable",
        ),
        ({"linux": {"capabilities": {"add": ["CAP_net_admin"]}}}, Kind.CAPABILITY, "NET_ADMIN"),
        ({"linux": {"devices": [{"hostPath": "/dev/fuse"}]}}, Kind.DEVICE, "/dev/fuse"),
        ({"networkMode": "host"}, Kind.NAMESPACE, "networkMode host"),
        ({"pidMode": "host"}, Kind.NAMESPACE, "pidMode host"),
        ({"ipcMode": "host"}, Kind.NAMESPACE, "ipcMode host"),
        ({"volumes": [{"name": "v", "host": {"sourcePath": "/srv"}}]}, Kind.PATH, "/srv"),
    ],
)
def test_what_a_definition_asks_of_the_host(members: dict[str, Any], kind: Kind, what: str) -> None:
    assert asked(**members) == [(kind, what)]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"type": "none", "o": "bind", "device": "/srv/x"}, "/srv/x"),
        ({"type": "nfs", "o": "addr=1.2.3.4, rbind", "device": "/etc"}, "/etc"),
        ({"type": "ext4", "device": "/dev/sda1"}, "/"),
        ({"type": "overlay", "device": "overlay", "o": "lowerdir=/etc,upperdir=/u,workdir=/w"}, "/"),
        ({"type": "tmpfs", "device": "tmpfs", "o": "remount"}, "/"),
        ({"device": "/dev/sda1"}, "/"),
    ],
)
def test_driver_options_that_mount_the_host_ask_for_the_path(options: dict[str, str], path: str) -> None:
    volumes = [{"name": "v", "dockerVolumeConfiguration": {"driverOpts": options}}]
    assert asked(volumes=volumes) == [(Kind.PATH, path)]


def test_rules_are_read_from_settings() -> None:
    rules = read(
        paths="/srv, /data/", privileged=True, namespaces=False, devices="/dev/snd", capabilities="cap_sys_time"
    )
    assert rules == HostRules(
        paths=("/srv", "/data/"), privileged=True, devices=("/dev/snd",), capabilities=("SYS_TIME",)
    )
    for kind, what, allowed in [
        (Kind.PATH, "/srv", True),
        (Kind.PATH, "/data/below/it", True),
        (Kind.PATH, "/srvother", False),
        (Kind.PATH, "/srv/../etc", False),
        (Kind.PRIVILEGED, "A privileged container", True),
        (Kind.NAMESPACE, "pidMode host", False),
        (Kind.DEVICE, "/dev/snd/timer", True),
        (Kind.DEVICE, "/dev/sda", False),
        (Kind.CAPABILITY, "SYS_TIME", True),
        (Kind.CAPABILITY, "ALL", False),
    ]:
        assert rules.allow(Demand(kind=kind, what=what)) is allowed


@pytest.mark.parametrize("text", ["srv", "/srv/../etc"])
def test_a_rule_that_is_no_path_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"WHERRY_HOST_PATHS: .* is not an absolute path"):
        read(paths=text, privileged=False, namespaces=False, devices="", capabilities="")


def test_an_objection_names_the_setting() -> None:
    asks = list(demands(definition(volumes=[{"name": "v", "host": {"sourcePath": "/etc"}}])))
    assert objection(asks, NOTHING) == (
        "The path /etc of the host is not allowed by the host rules: the setting WHERRY_HOST_PATHS decides."
    )
    assert objection(asks, HostRules(paths=("/",))) is None


def test_root_allows_everything_below_it() -> None:
    assert is_below("/anything", ("/",))
    assert not is_below("/anything", ())
