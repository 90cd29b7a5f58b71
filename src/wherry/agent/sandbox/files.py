"""The files that tell a task its names: /etc/resolv.conf and /etc/hosts, bind-mounted into its containers.

Made by the agent since neither sandbox has a network that the engine knows of.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path

from wherry.agent.spec import ContainerSpec, Eni

RESOLV_CONF = "/etc/resolv.conf"
HOSTS = "/etc/hosts"

# systemd-resolved lists the real servers here when /etc/resolv.conf only names its stub on loopback.
_RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def resolv_conf(servers: Iterable[str], search: Iterable[str]) -> str:
    """Write a resolv.conf."""
    domains = tuple(search)
    lines = [f"search {' '.join(domains)}"] if domains else []
    lines += [f"nameserver {server}" for server in servers]
    return "".join(f"{line}\n" for line in lines)


def hosts(eni: Eni, hostname: str, extra: Mapping[str, str]) -> str:
    """Write a hosts file: localhost, the task itself, and what the container adds (name to address)."""
    lines = ["127.0.0.1 localhost", f"{eni.ipv4_address} {hostname}"]
    lines += [f"{address} {name}" for name, address in extra.items()]
    return "".join(f"{line}\n" for line in lines)


def usable_servers(text: str) -> tuple[str, ...]:
    """Pick the servers of a resolv.conf that a task can reach: IPv4, and not on the host's loopback."""
    servers = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_] if _reachable(address):
                servers.append(address)
    return tuple(servers)


def host_resolvers(files: Iterable[Path] = _RESOLVER_FILES) -> tuple[str, ...]:
    """Find the host's real DNS servers; none if all that it has is a resolver of its own on loopback."""
    for path in files:
        try:
            servers = usable_servers(path.read_text())
        except OSError:
            continue
        if servers:
            return servers
    return ()


def hostname_of(eni: Eni) -> str:
    """Name the task's host as EC2 does: ip-172-31-0-4 unless the ENI has a name."""
    return eni.private_dns_name or f"ip-{eni.ipv4_address.replace('.', '-')}"


def write_for(container: ContainerSpec, eni: Eni, directory: Path) -> list[str]:
    """Write both files of one container under `directory`; return its binds.

    Files are changed in place and only if they differ: a running container holds them by their inode.
    """
    directory.mkdir(parents=True, exist_ok=True)
    servers = container.dns_servers or eni.dns_servers or host_resolvers()
    contents = {
        RESOLV_CONF: resolv_conf(servers, container.dns_search or eni.dns_search),
        HOSTS: hosts(eni, hostname_of(eni), container.extra_hosts),
    }
    binds = []
    for target, text in contents.items():
        path = directory / Path(target).name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        path.chmod(0o644)  # Whoever the container runs as has to read it, whatever the umask here.
        binds.append(f"{path}:{target}")
    return binds


def _reachable(address: str) -> bool:
    try:
        return not ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False
