"""Identifiers in the forms of ECS, minted from entropy that the caller brings."""

from __future__ import annotations

from collections.abc import Callable

Entropy = Callable[[int], bytes]
"""Returns that many random bytes (`os.urandom` in production)."""

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def hex32(entropy: Entropy) -> str:
    """32 hexadecimal digits: ids of tasks and container instances."""
    return entropy(16).hex()


def uuid(entropy: Entropy) -> str:
    """A random (version 4) uuid."""
    octets = bytearray(entropy(16))
    octets[6] = octets[6] & 0x0F | 0x40  # version 4
    octets[8] = octets[8] & 0x3F | 0x80  # the variant of RFC 9562
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def digits19(entropy: Entropy) -> str:
    """19 decimal digits: ids of deployments and service revisions."""
    return str(10**18 + int.from_bytes(entropy(16), "big") % (9 * 10**18))


def base62(entropy: Entropy, length: int = 21) -> str:
    """Letters and digits: ids of service deployments."""
    number = int.from_bytes(entropy(length), "big")
    out = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        out.append(_BASE62[digit])
    return "".join(out)


def hex17(entropy: Entropy) -> str:
    """17 hexadecimal digits, as in `eni-0123456789abcdef0`."""
    return entropy(9).hex()[1:]


def mac_address(entropy: Entropy) -> str:
    """A locally administered unicast MAC address."""
    octets = bytearray(entropy(6))
    octets[0] = (octets[0] & 0b11111100) | 0b00000010
    return ":".join(f"{octet:02x}" for octet in octets)
