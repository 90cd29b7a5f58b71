"""Ids and keys of IAM: an access key id tells its account, as those of AWS do."""

from __future__ import annotations

import base64
import binascii

from wherry.model.ids import Entropy

_HAS_ACCOUNT = 1 << 47
_ACCOUNT_SHIFT = 7
_ACCOUNT_MASK = (1 << 40) - 1


def unique_id(prefix: str, entropy: Entropy) -> str:
    """Make an id of 21 characters; `prefix` tells the kind: "AROA" a role, "AIDA" a user."""
    return prefix + base64.b32encode(entropy(11)).decode()[1:18]


def access_key_id(prefix: str, account_id: str, entropy: Entropy) -> str:
    """Make an access key id of 20 characters; "AKIA" is a user's own, "ASIA" a temporary one."""
    head = _HAS_ACCOUNT | int(account_id) << _ACCOUNT_SHIFT | entropy(1)[0] & 0x7F
    return prefix + base64.b32encode(head.to_bytes(6, "big") + entropy(4)).decode()


def account_of(key_id: str) -> str | None:
    """Tell the account in an access key id; None when it has none, as ids of AWS's older form and made-up ones."""
    try:
        head = base64.b32decode(key_id[4:])[:6]
    except (binascii.Error, ValueError):
        return None
    number = int.from_bytes(head, "big")
    account = number >> _ACCOUNT_SHIFT & _ACCOUNT_MASK
    return f"{account:012}" if number & _HAS_ACCOUNT and account < 10**12 else None


def secret_access_key(entropy: Entropy) -> str:
    """Make a secret access key: 40 characters."""
    return base64.b64encode(entropy(30)).decode()
