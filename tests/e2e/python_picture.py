"""An image with Python, boto3 and msgspec, made of what runs the tests: no registry, no package index."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore
import dateutil
import jmespath
import msgspec
import s3transfer
import six
import urllib3
from tests.images import root_archive

PYTHON = "wherry-e2e/python:1"
SERVICES = ("ecs", "logs", "secretsmanager", "ssm", "sts")
"""Whose models the image has: all of them would be most of it."""

_SITE = "app"
_LEFT_OUT = re.compile(r"/(__pycache__|test|tests|idlelib|ensurepip|site-packages|lib2to3|tkinter|turtledemo)(/|$)")


def build() -> str:
    """Import the image unless it is there; return its name."""
    if subprocess.run(["docker", "image", "inspect", PYTHON], capture_output=True, check=False).returncode:
        changes = ("--change", f"ENV PYTHONPATH=/{_SITE} PYTHONDONTWRITEBYTECODE=1 HOME=/tmp")
        subprocess.run(["docker", "import", *changes, "-", PYTHON], input=_archive(), check=True, capture_output=True)
    return PYTHON


def _archive() -> bytes:
    buffer = io.BytesIO(root_archive())
    # The archive of busybox goes on: its end is written over.
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for source, target in _files():
            archive.add(source, target, recursive=False)
        link = tarfile.TarInfo("bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, str(_interpreter())
        archive.addfile(link)
    return buffer.getvalue()


def _files() -> Iterator[tuple[Path, str]]:
    stdlib = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
    programs = {_interpreter(), *stdlib.glob("lib-dynload/*.so"), *Path(msgspec.__file__).parent.glob("*.so")}
    libraries = {library for program in programs for library in _libraries(program)}
    for path in (_interpreter(), *sorted(libraries)):
        yield path.resolve(), str(path)
    yield from ((path, str(path)) for path in _tree(stdlib))
    for package in (boto3, botocore, dateutil, jmespath, msgspec, s3transfer, urllib3):
        root = Path(package.__file__).parent
        for path in _tree(root):
            if _is_wanted(path.relative_to(root)):
                yield path, f"{_SITE}/{root.name}/{path.relative_to(root)}"
    yield Path(six.__file__), f"{_SITE}/six.py"


def _interpreter() -> Path:
    return Path(sys.executable).resolve()


def _tree(root: Path) -> Iterator[Path]:
    yield from (
        path for path in root.rglob("*") if path.is_file() and not _LEFT_OUT.search(str(path)[len(str(root)) :])
    )


def _is_wanted(path: Path) -> bool:
    return path.parts[0] != "data" or len(path.parts) == 2 or path.parts[1] in SERVICES


def _libraries(program: Path) -> Iterator[Path]:
    """Find the shared libraries of a program, by the names under which the loader looks for them."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    yield from (Path(found) for found in re.findall(r"(/\S+) \(0x", listed))
