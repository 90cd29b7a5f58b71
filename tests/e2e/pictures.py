"""The images of the end-to-end tests, imported from the machine's busybox: no registry is asked."""

from __future__ import annotations

import subprocess

from tests.images import root_archive

WEB = "wherry-e2e/web:1"
BARE = "wherry-e2e/bare:1"
USR1 = "wherry-e2e/usr1:1"
EXITS = "wherry-e2e/exits:1"
MISSING = "wherry-e2e/never-built:1"

_SERVER = """#!/bin/sh
# Serves $PAGE on $PORT and ends with 0 on TERM. `exec` would hand PID 1 to httpd, which TERM does not reach there.
trap 'kill $child; exit 0' TERM
echo "${PAGE:-web}" > /www/index.html
httpd -f -p "${PORT:-8080}" -h /www &
child=$!
wait
"""

_DUMP = """#!/bin/sh
# What a container knows of itself, over HTTP.
echo "Content-Type: text/plain"
echo
env
"""

_USR1 = """#!/bin/sh
# Ends with 17 on the signal that its image names, and takes no notice of TERM.
trap 'exit 17' USR1
trap '' TERM
echo up > /tmp/up
while true; do sleep 1 & wait $!; done
"""


def build() -> None:
    """Import them all."""
    served = {"server": _SERVER, "www/cgi-bin/env": _DUMP}
    _import(WEB, served, 'ENTRYPOINT ["/server"]', "ENV FROM_IMAGE=yes", "EXPOSE 8080")
    _import(BARE, {}, 'CMD ["sleep", "3600"]')
    _import(USR1, {"usr1": _USR1}, 'CMD ["/usr1"]')
    _stop_by(USR1, "SIGUSR1")
    _import(EXITS, {}, 'CMD ["sh", "-c", "exit 3"]')


def _import(name: str, files: dict[str, str], *changes: str) -> None:
    options = [word for change in changes for word in ("--change", change)]
    subprocess.run(
        ["docker", "import", *options, "-", name], input=root_archive(files), check=True, capture_output=True
    )


def _stop_by(image: str, signal: str) -> None:
    """Give an image a STOPSIGNAL, which an import cannot."""
    created = ["docker", "create", "--stop-signal", signal, image]
    container = subprocess.run(created, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["docker", "commit", container, image], check=True, capture_output=True)
    subprocess.run(["docker", "rm", container], check=True, capture_output=True)


def web(name: str = "web", *, page: str = "web", port: int = 8080, **members: object) -> dict[str, object]:
    """Define a container that serves `page`."""
    environment = [{"name": "PAGE", "value": page}, {"name": "PORT", "value": str(port)}]
    ports = [{"containerPort": port}]
    return {"name": name, "image": WEB, "environment": environment, "portMappings": ports} | members


def bare(name: str, *command: str, **members: object) -> dict[str, object]:
    """Define a container that runs `command`, by default one that sleeps."""
    return {"name": name, "image": BARE, **({"command": list(command)} if command else {}), **members}


def script(name: str, text: str, **members: object) -> dict[str, object]:
    """Define a container that runs a line of shell."""
    return bare(name, "sh", "-c", text, **members)
