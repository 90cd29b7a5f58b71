"""What a host must have to run tasks, checked one by one, each with its remedy: the substance of `wherry doctor`."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec

from wherry.agent import disks
from wherry.agent.runtime.base import RuntimeUnavailableError
from wherry.agent.runtime.docker.engine import Engine, EngineError, is_local
from wherry.agent.runtime.docker.pause import ARCHITECTURES
from wherry.agent.runtime.docker.registration import RUNTIME
from wherry.agent.sandbox import files, names

MIN_API = (1, 41)

_IP_FREEBIND = 15
"""The socket option of Linux, which Python has no name for."""


class Check(msgspec.Struct, frozen=True):
    """One finding. `remedy` says what to do if it is not `ok`; `needed` false: tasks run without it, only less well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


async def check_host(*, url: str, ports: Iterable[tuple[str, int]] = (), proc: Path = Path("/proc")) -> list[Check]:
    """Check this host and the engine at `url`; `ports` (host, port) are those that Wherry wants to listen on."""
    checks = [
        *await check_engine(url),
        check_root(os.geteuid()),
        *(check_program(name, package) for name, package in (("nft", "nftables"), ("iptables-restore", "iptables"))),
        *(check_program(f"mkfs.{system}", disks.PACKAGES[system], needed=False) for system in ("xfs", "ext4")),
        await anyio.to_thread.run_sync(check_forwarding, proc),
        await anyio.to_thread.run_sync(check_resolvers),
        await anyio.to_thread.run_sync(check_veth),
        check_endpoints(),
    ]
    return checks + [check_port(host, port) for host, port in ports]


async def check_engine(url: str) -> list[Check]:
    """Ask the engine at `url` who it is."""
    engine = Engine(url)
    try:
        version = await engine.call("GET", "version")
        info = await engine.call("GET", "info")
    except (RuntimeUnavailableError, EngineError) as error:
        remedy = "Start Docker (systemctl start docker) or install it (apt-get install docker.io), or set DOCKER_HOST."
        return [Check("engine", ok=False, detail=f"{url}: {error}", remedy=remedy)]
    finally:
        await engine.close()
    return judge_engine(url, version, info)


def judge_engine(url: str, version: dict[str, Any], info: dict[str, Any]) -> list[Check]:
    """Judge what GET /version and GET /info said."""
    api = tuple(int(part) for part in version["ApiVersion"].split("."))
    driver, registered = info["CgroupDriver"], RUNTIME in info["Runtimes"]
    pauses = info["Architecture"] in ARCHITECTURES
    return [
        Check(
            "engine",
            ok=api >= MIN_API,
            detail=f"Docker Engine {version['Version']}, API {version['ApiVersion']}, at {url}",
            remedy="Upgrade Docker Engine to 20.10 or later.",
        ),
        Check(
            "engine is local",
            ok=is_local(url),
            detail=url,
            remedy="Run the agent on the engine's own machine: it gives tasks their network there.",
        ),
        Check(
            "cgroups",
            ok=driver in {"cgroupfs", "systemd"} and (driver != "systemd" or shutil.which("busctl") is not None),
            detail=f"version {info['CgroupVersion']}, driver {driver}",
            remedy="The systemd driver needs busctl (package systemd); driver none is a rootless engine: use root's.",
        ),
        Check(
            "OCI runtime",
            ok=registered,
            detail=f'the engine knows "{RUNTIME}"' if registered else "not registered: tasks use pause containers",
            remedy="Run 'wherry doctor --fix' as root: tasks start faster and need no pause container.",
            needed=not pauses,
        ),
    ]


def check_root(user_id: int) -> Check:
    """Namespaces, routes and cgroups are root's to make."""
    return Check(
        "root", ok=user_id == 0, detail=f"user id {user_id}", remedy="Run Wherry as root, for example by sudo."
    )


def check_program(name: str, package: str, *, needed: bool = True) -> Check:
    """Look for a program that the agent runs; those not `needed` format volumes that are configured at launch."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    return Check(
        name, ok=path is not None, detail=path or "not found", remedy=f"apt-get install {package}", needed=needed
    )


def check_forwarding(proc: Path) -> Check:
    """Tell whether the host forwards; the agent switches it on when it can, so this is about those who cannot."""
    switch = proc / "sys/net/ipv4/ip_forward"
    on = switch.read_text().strip() == "1"
    return Check(
        "ip_forward",
        ok=on or os.access(switch, os.W_OK),
        detail="on" if on else "off; the agent switches it on",
        remedy="sysctl -w net.ipv4.ip_forward=1",
    )


def check_resolvers() -> Check:
    """Tell which DNS servers tasks will have."""
    servers = files.host_resolvers()
    return Check(
        "DNS servers",
        ok=bool(servers),
        detail=", ".join(servers) or "none but on loopback, where tasks cannot reach them",
        remedy="Name a DNS server that other machines can reach in /etc/resolv.conf, or give containers dnsServers.",
        needed=False,
    )


def check_veth() -> Check:
    """Tell whether the kernel has what ENIs are made of, loaded or to be loaded."""
    missing = [name for name in ("veth", "nf_tables", "nft_nat") if not _kernel_has(name)]
    return Check(
        "kernel",
        ok=not missing and Path("/proc/self/ns/net").exists(),
        detail=f"missing: {', '.join(missing)}" if missing else f"Linux {os.uname().release}",
        remedy=f"modprobe {' '.join(missing)}, or use a kernel that has them."
        if missing
        else "Use a kernel with namespaces.",
    )


def check_endpoints(address: str = names.ENDPOINTS_ADDRESS, port: int = names.ENDPOINTS_PORT) -> Check:
    """Try to listen where the firewall leads tasks that ask for metadata and credentials, beside agents that do."""
    with socket.socket(socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # The address may not be there yet: an agent puts it there.
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        try:
            listener.bind((address, port))
            listener.listen()
        except OSError as error:
            remedy = "Let what listens on that port of all addresses listen on others: tasks ask for credentials there."
            detail = f"{address} port {port}: {error.strerror}"
            return Check("task endpoints", ok=False, detail=detail, remedy=remedy, needed=False)
    return Check("task endpoints", ok=True, detail=f"{address} port {port}", needed=False)


def check_port(host: str, port: int) -> Check:
    """Try to listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            remedy = "Stop what listens there, or choose another port."
            return Check(f"port {port}", ok=False, detail=f"{host}: {error.strerror}", remedy=remedy)
    return Check(f"port {port}", ok=True, detail=f"free on {host}")


def _kernel_has(name: str) -> bool:
    if Path("/sys/module", name).exists():
        return True
    release = Path("/lib/modules", os.uname().release)
    for listing in ("modules.builtin", "modules.dep"):
        path = release / listing
        if path.exists() and f"/{name}.ko" in path.read_text():
            return True
    # Kernels without modules, as in small virtual machines, list nothing: their symbols tell.
    symbols = {"veth": "veth_newlink", "nf_tables": "nf_tables_newtable", "nft_nat": "nft_nat_validate"}
    return symbols[name] in Path("/proc/kallsyms").read_text()
