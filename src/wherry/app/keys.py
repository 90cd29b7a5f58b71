"""A new key for everything that is sealed, while no control plane runs.

The old keys stay in the file until nothing is sealed under them any more: whatever interrupts this, every secret can be
read, and doing it again finishes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import structs

from wherry.app.start import StartError, claimed
from wherry.keyring import Keyring, KeyringError, SealError, add_key, keep_only, open_keyring
from wherry.model.base import Entity
from wherry.model.iam.identity import AccessKey
from wherry.model.secretsmanager.secret import SecretVersion
from wherry.model.ssm.parameter import ParameterVersion
from wherry.settings import Settings
from wherry.store import Store, Tx

BATCH = 100
"""Rows sealed anew in one transaction."""


class Sealed(NamedTuple):
    """Where sealed texts are: the attribute of an entity, and the attribute with what it is sealed for, its key."""

    type: type[Entity]
    attribute: str
    owner: str
    holds: Callable[[Any], bool] = lambda _: True


SEALED = (
    Sealed(SecretVersion, "sealed", "key"),
    Sealed(ParameterVersion, "value", "key", lambda version: version.is_secure),
    Sealed(AccessKey, "sealed_secret", "access_key_id"),
)
"""Everything in the database that the key file opens."""


async def rotate_keys(settings: Settings) -> int:
    """Seal everything under a new key and forget the others; returns how many texts were sealed anew.

    Raises `StartError` and `StoreError`, and then leaves every key that is needed in the file.
    """
    path = settings.resolved_key_file
    with claimed(settings.data_dir, "server"):
        try:
            open_keyring(path, entropy=os.urandom)
            add_key(path, entropy=os.urandom)
            keyring = open_keyring(path, entropy=os.urandom)
            async with Store.open(settings.resolved_database_url) as store:
                resealed = sum([await _reseal(store, keyring, place) for place in SEALED])
            keep_only(path, keyring.newest)
        except (KeyringError, OSError) as error:
            raise StartError(
                str(error), "No key that is needed was forgotten. Mend this, then run it again."
            ) from error
    return resealed


async def _reseal(store: Store, keyring: Keyring, place: Sealed) -> int:
    after: str | None = None
    resealed = 0
    while True:
        number, after = await store.write(_reseal_batch, place, keyring=keyring, after=after)
        resealed += number
        if after is None:
            return resealed


def _reseal_batch(tx: Tx, place: Sealed, *, keyring: Keyring, after: str | None) -> tuple[int, str | None]:
    """Seal a batch of rows anew; returns how many, and the key after which to go on, None at the end."""
    rows = tx.find(place.type, limit=BATCH, after=after)
    old = [row for row in rows if place.holds(row) and not keyring.is_current(getattr(row, place.attribute))]
    for row in old:
        owner = getattr(row, place.owner)
        try:
            text = keyring.open(getattr(row, place.attribute), owner=owner)
        except SealError as error:
            raise StartError(
                f"{owner} cannot be opened. {error}", "Restore its key, or delete it, then run this again."
            ) from error
        tx.put(structs.replace(row, **{place.attribute: keyring.seal(text, owner=owner)}))
    return len(old), getattr(rows[-1], place.owner) if len(rows) == BATCH else None
