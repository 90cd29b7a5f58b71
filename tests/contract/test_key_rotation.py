"""Keys are changed under everything that is sealed, and whatever interrupts that, every secret can be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.aws import Aws

from wherry import claim
from wherry.app.keys import BATCH, SEALED, rotate_keys
from wherry.app.start import StartError
from wherry.keyring import add_key, keep_only, open_keyring
from wherry.model.iam.identity import AccessKey
from wherry.settings import Settings
from wherry.store import Store, Tx
from wherry.store.tables import SCHEMA

ROTATING = Path(__file__).with_name("rotating_process.py")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path, store_url: str) -> Settings:
    return Settings(data_dir=tmp_path, database_url=store_url)


def keys_in(settings: Settings) -> list[str]:
    return [line.partition(" ")[0] for line in settings.resolved_key_file.read_text().splitlines()]


async def fill(settings: Settings, *, number: int) -> None:
    """Store secrets, secure strings, plain strings and an access key."""
    keyring = open_keyring(settings.resolved_key_file, entropy=os.urandom)
    async with Store.open(settings.resolved_database_url) as store:
        aws = Aws(store, keyring=keyring)
        for i in range(number):
            token = {"ClientRequestToken": f"{i:032}"}
            await aws("CreateSecret", of="secretsmanager", Name=f"s{i}", SecretString=f"secret {i}", **token)
            await aws("PutParameter", of="ssm", Name=f"/p{i}", Value=f"value {i}", Type="SecureString")
        await aws("PutParameter", of="ssm", Name="/plain", Value="plain", Type="String")
        sealed = keyring.seal("an access key's secret", owner="AKIAEXAMPLE")
        key = AccessKey(access_key_id="AKIAEXAMPLE", user_name="alice", sealed_secret=sealed, created_at=0)
        await store.write(lambda tx: tx.put(key))


async def check(settings: Settings, *, number: int) -> None:
    """Read all of it back with the keys that are in the file now."""
    keyring = open_keyring(settings.resolved_key_file, entropy=os.urandom)
    async with Store.open(settings.resolved_database_url) as store:
        aws = Aws(store, keyring=keyring)
        for i in range(number):
            found = await aws("GetSecretValue", of="secretsmanager", SecretId=f"s{i}")
            assert found["SecretString"] == f"secret {i}"
            assert await parameter(aws, f"/p{i}") == f"value {i}"
        assert await parameter(aws, "/plain") == "plain"
        [key] = await store.read(lambda tx: tx.find(AccessKey))
        assert keyring.open(key.sealed_secret, owner="AKIAEXAMPLE") == "an access key's secret"


async def parameter(aws: Aws, name: str) -> str:
    found = await aws("GetParameter", of="ssm", Name=name, WithDecryption=True)
    return str(found["Parameter"]["Value"])


def sealed_texts(tx: Tx) -> list[str]:
    found: list[Any] = []
    for place in SEALED:
        found += [getattr(row, place.attribute) for row in tx.find(place.type) if place.holds(row)]
    return found


@pytest.mark.anyio
async def test_everything_is_sealed_under_one_new_key(settings: Settings) -> None:
    number = BATCH + 1
    await fill(settings, number=number)
    [old] = keys_in(settings)

    assert await rotate_keys(settings) == 2 * number + 1

    [new] = keys_in(settings)
    assert new != old
    async with Store.open(settings.resolved_database_url) as store:
        texts = await store.read(sealed_texts)
        everything = await store.read(lambda tx: [msgspec.json.encode(tx.find(type_)) for type_ in SCHEMA.tables])
    assert not any(f"{old}.".encode() in rows for rows in everything)
    assert len(texts) == 2 * number + 1
    assert all(text.startswith(f"{new}.") for text in texts)
    await check(settings, number=number)


def test_every_place_of_sealed_texts_is_known() -> None:
    named = {(type_, name) for type_ in SCHEMA.tables for name in type_.__struct_fields__ if name.startswith("sealed")}
    assert named
    assert named <= {(place.type, place.attribute) for place in SEALED}


@pytest.mark.anyio
async def test_an_interrupted_change_is_finished_by_the_next(settings: Settings) -> None:
    await fill(settings, number=2)
    add_key(settings.resolved_key_file, entropy=os.urandom)
    await check(settings, number=2)
    assert await rotate_keys(settings) == 5
    assert len(keys_in(settings)) == 1
    await check(settings, number=2)


@pytest.mark.anyio
async def test_no_key_is_forgotten_while_something_cannot_be_opened(settings: Settings) -> None:
    await fill(settings, number=1)
    [lost] = keys_in(settings)
    add_key(settings.resolved_key_file, entropy=os.urandom)
    newest = keys_in(settings)[0]
    keep_only(settings.resolved_key_file, newest)
    with pytest.raises(StartError, match=f"{lost}.*is not in the key file"):
        await rotate_keys(settings)
    assert keys_in(settings)[-1] == newest


@pytest.mark.anyio
async def test_a_running_control_plane_stands_in_the_way(settings: Settings) -> None:
    await fill(settings, number=1)
    before = keys_in(settings)
    with claim.claim(settings.data_dir, "server"), pytest.raises(StartError, match="Another wherry server"):
        await rotate_keys(settings)
    assert keys_in(settings) == before


@pytest.mark.anyio
async def test_kill_9_at_any_line_loses_no_secret(settings: Settings) -> None:
    await fill(settings, number=2)
    done = run([sys.executable, str(ROTATING), str(settings.data_dir), settings.resolved_database_url, "13"])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 4
    assert len(keys_in(settings)) == 1
    await check(settings, number=2)


@pytest.mark.anyio
async def test_the_command_says_what_it_did_and_what_stands_in_its_way(settings: Settings) -> None:
    await fill(settings, number=1)
    wherry = [str(Path(sys.executable).with_name("wherry")), "rotate-keys", "--data-dir", str(settings.data_dir)]
    command = [*wherry, "--database-url", settings.resolved_database_url]
    assert run(command).stdout.startswith("Sealed 3 texts under a new key.")
    with claim.claim(settings.data_dir, "server"):
        refused = run(command)
    assert refused.returncode == 1
    assert "Another wherry server" in refused.stderr
    await check(settings, number=1)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
