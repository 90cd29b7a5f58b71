"""The demo's two images: busybox's HTTP server, tagged as the task definition names them. No registry is asked."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

REGISTRY = "xxxxx.dkr.ecr.ap-northeast-1.amazonaws.com"
OWN_BUSYBOX = Path("/usr/local/lib/wherry/busybox")  # fetched by the scripts where the machine has no static one
BUSYBOX = OWN_BUSYBOX if OWN_BUSYBOX.exists() else Path("/bin/busybox")

SERVER = """#!/bin/sh
# Serve /www as {name}; `run` is accepted because that is what the task definition passes.
trap 'kill $child; exit 0' TERM
mkdir -p /www
echo "{name} revision ${{REVISION:-1}} on $(hostname)" > /www/index.html
echo "{name} revision ${{REVISION:-1}} listens on {port}; its secret has ${{#GREETING}} letters"
httpd -f -p {port} -h /www &
child=$!
wait
"""

PEER = """#!/bin/sh
# What the other container of the task answers on localhost.
echo "Content-Type: text/plain"
echo
wget -q -O - http://127.0.0.1:{peer}/
"""


def build_images() -> list[str]:
    """Import both images into the engine; returns their tags."""
    return [
        _import("backend", port=8080, peer=8000),
        _import("frontend", port=8000, peer=8080),
    ]


def _import(name: str, *, port: int, peer: int) -> str:
    tag = f"{REGISTRY}/{name}:latest"
    subprocess.run(
        ["docker", "import", "--change", 'ENTRYPOINT ["/server"]', "--change", f"EXPOSE {port}", "-", tag],
        input=_root(name, port=port, peer=peer),
        check=True,
        capture_output=True,
    )
    return tag


def _root(name: str, *, port: int, peer: int) -> bytes:
    """Make the root file system: one static program under several names, and two scripts."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "tmp", "etc", "www", "www/cgi-bin"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        _file(tar, "bin/busybox", BUSYBOX.read_bytes())
        for applet in ("sh", "httpd", "wget", "cat", "echo", "hostname", "kill", "mkdir"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _file(tar, "server", SERVER.format(name=name, port=port).encode())
        _file(tar, "www/cgi-bin/peer", PEER.format(peer=peer).encode())
    return buffer.getvalue()


def _file(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))
