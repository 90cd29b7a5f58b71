"""The pause image: one program that does nothing for ever, made here since there may be neither registry nor compiler.

The program is a static ELF of two instructions for the engine's architecture: wait for a signal, again and again.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile

_BASE = 0x400000
_HEADERS = 64 + 56
_CODE = {
    # mov eax, 34 (pause); syscall; jmp back
    "x86_64": (62, bytes.fromhex("b8220000000f05ebf7")),
    # x0..x3 = 0; x8 = 73 (ppoll); svc 0; b back
    "aarch64": (
        183,
        struct.pack("<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA),
    ),
}
ARCHITECTURES = frozenset(_CODE)


def program(architecture: str) -> bytes:
    """Build the executable for an architecture as GET /info names it; KeyError for any other than `ARCHITECTURES`."""
    machine, code = _CODE[architecture]
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = _HEADERS + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + code


def image_archive(architecture: str) -> bytes:
    """Pack the image's only layer as a tar archive, the same bytes each time."""
    content = program(architecture)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def image_name(architecture: str) -> tuple[str, str]:
    """Name the image, repository and tag; another program gets another tag."""
    return "wherry/pause", hashlib.sha256(program(architecture)).hexdigest()[:12]
