"""The keys under which secrets lie in the database: AES-256-GCM, in a file of its own beside it.

Whoever has the database alone, as from a backup, reads no secret in it. The newest key seals; older ones still open
what they have sealed. The file has a line per key, the newest first: an id, a space, the key in base64.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wherry.model.ids import Entropy

KEY_BYTES = 32
NONCE_BYTES = 12
_ID = re.compile(r"[0-9a-f]{8}")


class KeyringError(Exception):
    """The key file cannot be used; the text says what to do."""


class SealError(Exception):
    """A sealed text cannot be opened: it was changed, belongs to something else, or its key is gone."""


class Keyring:
    """Seals texts and opens them again; `keys` maps ids to keys of 32 bytes, the newest first."""

    def __init__(self, keys: Mapping[str, bytes], *, entropy: Entropy) -> None:
        if not keys:
            raise KeyringError("A key file needs at least one key.")
        self._keys = dict(keys)
        self._entropy = entropy
        self.newest = next(iter(self._keys))

    def __repr__(self) -> str:
        """Show the ids alone."""
        return f"Keyring({', '.join(self._keys)})"

    def seal(self, text: str, *, owner: str) -> str:
        """Seal a text for `owner`, the ARN or id of what it belongs to: nothing else can open it as its own."""
        nonce = self._entropy(NONCE_BYTES)
        sealed = AESGCM(self._keys[self.newest]).encrypt(nonce, text.encode(), owner.encode())
        return f"{self.newest}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, owner: str) -> str:
        """Open what was sealed for `owner`; raises `SealError`."""
        key_id, _, text = sealed.partition(".")
        key = self._keys.get(key_id)
        if key is None:
            raise SealError(f"The key {key_id[:8]!r} is not in the key file: restore the file that has it.")
        try:
            raw = base64.urlsafe_b64decode(text.encode())
            return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise SealError("A sealed text cannot be opened: it was changed, or belongs to something else.") from error

    def is_current(self, sealed: str) -> bool:
        """Tell whether a text is sealed under the newest key."""
        return sealed.startswith(f"{self.newest}.")

    def derived(self, purpose: str) -> list[bytes]:
        """Derive a key of 32 bytes for a purpose from every key, the newest first."""
        return [
            HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(key)
            for key in self._keys.values()
        ]


def open_keyring(path: Path, *, entropy: Entropy) -> Keyring:
    """Read the key file, or make it with a first key, readable by its owner alone; raises `KeyringError`."""
    try:
        text = path.read_text(encoding="ascii") if path.exists() else add_key(path, entropy=entropy)
    except (OSError, UnicodeDecodeError) as error:
        raise KeyringError(f"The key file {path} cannot be read or made ({error}).") from error
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key_id, _, encoded = line.partition(" ")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not _ID.fullmatch(key_id) or len(key) != KEY_BYTES:
            raise KeyringError(f"Line {number} of the key file {path} is no key. Restore the file from a backup.")
        keys[key_id] = key
    if not keys:
        raise KeyringError(f"The key file {path} is empty. Restore it from a backup.")
    return Keyring(keys, entropy=entropy)


def add_key(path: Path, *, entropy: Entropy) -> str:
    """Put a new key before those of the file, durably and whole or not at all; returns the file's new text."""
    before = path.read_text(encoding="ascii") if path.exists() else ""
    text = f"{entropy(4).hex()} {base64.b64encode(entropy(KEY_BYTES)).decode()}\n{before}"
    _replace(path, text)
    return text


def keep_only(path: Path, key_id: str) -> None:
    """Forget every key but one, once nothing is sealed under the others any more."""
    kept = [line for line in path.read_text(encoding="ascii").splitlines() if line.startswith(f"{key_id} ")]
    _replace(path, "\n".join(kept) + "\n")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
