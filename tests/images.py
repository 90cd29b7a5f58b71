"""Images for tests, built from the machine's static busybox: no registry, no network."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import aiodocker

OWN_BUSYBOX = Path("/usr/local/lib/wherry/busybox")  # fetched by the scripts where the machine has no static one
BUSYBOX = OWN_BUSYBOX if OWN_BUSYBOX.exists() else Path("/bin/busybox")
TOOLS = ("sh", "httpd", "wget", "nslookup", "sleep", "cat", "tail", "hostname", "env", "true", "false", "timeout", "id")
TEST_IMAGE = "wherry-test/busybox:1"


def root_archive(files: dict[str, str] | None = None) -> bytes:
    """Pack a root file system: busybox, a link per tool, and `files` by their paths (text)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory in ("bin", "etc", "tmp", "www"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            archive.addfile(entry)
        archive.add(BUSYBOX.resolve(), "bin/busybox")
        for tool in TOOLS:
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for path, text in (files or {}).items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text.encode()), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


async def import_image(
    docker: aiodocker.Docker, name: str, *, files: dict[str, str] | None = None, changes: tuple[str, ...] = ()
) -> None:
    """Import an image under `name` (repository:tag); `changes` are Dockerfile lines such as CMD."""
    repository, _, tag = name.rpartition(":")
    params = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": "\n".join(changes)}
    headers = {"Content-Type": "application/x-tar"}
    request = docker._query(
        "images/create", "POST", params=params, data=io.BytesIO(root_archive(files)), headers=headers
    )
    async with request as response:
        for line in (await response.text()).splitlines():
            assert "error" not in json.loads(line), line


async def ensure_test_image(docker: aiodocker.Docker) -> str:
    """Have the image that the suites use; return its name."""
    try:
        await docker.images.inspect(TEST_IMAGE)
    except aiodocker.DockerError:
        await import_image(docker, TEST_IMAGE, files={"www/index.html": "hello\n"}, changes=('CMD ["/bin/sh"]',))
    return TEST_IMAGE
