"""The network file systems of a host: what an EFS file system id or access point id means here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wherry.model.base import Value

_ID = re.compile(r"(?:fs|fsap)-[0-9a-f]{8,40}")
_NFS = re.compile(r"nfs://(?P<server>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?P<path>/.*)?")


class FileSystem(Value, frozen=True):
    """A directory of this host, or, if there is a `server`, an export of that NFS server."""

    path: str
    server: str | None = None


FileSystems = Mapping[str, FileSystem]
"""By file system id, fs-…, and by access point id, fsap-…."""


def parse(text: str) -> FileSystems:
    """Read "fs-12345678=/srv/efs,fs-0123abcd=nfs://server/export"; ValueError says what is wrong."""
    found: dict[str, FileSystem] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        identity, equals, place = (word.strip() for word in entry.partition("="))
        if not equals or not _ID.fullmatch(identity):
            raise ValueError(f"{entry!r} is not FILE-SYSTEM-ID=PATH: an id begins with fs- or fsap-")
        found[identity] = _place(place)
    return found


def _place(place: str) -> FileSystem:
    if (nfs := _NFS.fullmatch(place)) is not None:
        return FileSystem(server=nfs["server"].strip("[]"), path=(nfs["path"] or "/").rstrip("/") or "/")
    if not place.startswith("/") or ".." in place.split("/") or ":" in place:
        raise ValueError(f"{place!r} is neither an absolute path nor nfs://SERVER/PATH")
    return FileSystem(path=place.rstrip("/") or "/")
