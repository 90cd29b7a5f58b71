from __future__ import annotations

import msgspec
import pytest

from wherry.agent.credentials import RoleCredentialsStore, RoleType
from wherry.agent.link.base import UnreachableError
from wherry.model.protocol.task import PayloadTask, RoleCredentials

ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/"
FIRST, SECOND = ARN + "1" * 32, ARN + "2" * 32


def credentials(name: str = "1", **members) -> RoleCredentials:
    return RoleCredentials(
        **{
            "credentials_id": f"id-{name}",
            "access_key_id": f"ASIA{name}",
            "secret_access_key": f"secret-{name}",
            "session_token": f"token-{name}",
            "expiration": "2026-11-26T12:00:00Z",
            "role_arn": "arn:aws:iam::000000000000:role/app",
            **members,
        }
    )


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "wherry" / "credentials" / "instance"


def test_what_is_held_is_found_by_its_id_and_by_its_task(directory):
    store = RoleCredentialsStore(directory)
    task = PayloadTask(
        arn=FIRST,
        desired_status="RUNNING",
        overrides="{}",
        role_credentials=credentials("1"),
        execution_role_credentials=credentials("2"),
    )
    assert store.take_all(task) == [credentials("1"), credentials("2")]
    assert store.find("id-1") == store.of(FIRST, RoleType.APPLICATION)
    assert store.find("id-2") == store.of(FIRST, RoleType.EXECUTION)
    assert store.find("id-3") is None
    assert store.signer(FIRST, RoleType.EXECUTION).secret_access_key == "secret-2"
    assert store.signer(SECOND, RoleType.EXECUTION) is None


def test_fresh_credentials_replace_the_old_ones_under_any_id_that_they_had(directory):
    store = RoleCredentialsStore(directory)
    store.take(FIRST, RoleType.APPLICATION, credentials("1"))
    store.take(FIRST, RoleType.APPLICATION, credentials("2"))
    assert store.find("id-1") == store.find("id-2")
    assert store.find("id-1").credentials.access_key_id == "ASIA2"


def test_a_restart_finds_those_of_tasks_that_are_still_there(directory):
    store = RoleCredentialsStore(directory)
    store.take(FIRST, RoleType.APPLICATION, credentials("1"))
    store.take(SECOND, RoleType.EXECUTION, credentials("2"))
    (directory / "torn.json").write_text('{"task_arn": "')
    again = RoleCredentialsStore(directory)
    again.restore({FIRST})
    assert again.find("id-1").credentials == credentials("1")
    assert again.find("id-2") is None
    assert [path.name for path in directory.iterdir()] == ["1" * 32 + ".json"]


def test_nobody_else_may_read_the_files_and_nothing_stays_of_a_task_that_is_over(directory):
    store = RoleCredentialsStore(directory)
    store.take(FIRST, RoleType.APPLICATION, credentials())
    [file] = directory.iterdir()
    modes = [path.stat().st_mode & 0o777 for path in (file, directory, directory.parent)]
    assert modes == [0o600, 0o700, 0o700]
    store.forget(FIRST)
    assert (store.find("id-1"), list(directory.iterdir())) == (None, [])


def test_nobody_acts_for_an_execution_role_whose_credentials_are_still_to_come(directory):
    store = RoleCredentialsStore(directory)
    store.await_execution_role(FIRST)
    with pytest.raises(UnreachableError):
        store.signer(FIRST, RoleType.EXECUTION)
    assert store.signer(FIRST, RoleType.APPLICATION) is None
    store.take(FIRST, RoleType.EXECUTION, credentials("1"))
    assert store.signer(FIRST, RoleType.EXECUTION).access_key_id == "ASIA1"
    store.forget(FIRST)
    assert store.signer(FIRST, RoleType.EXECUTION) is None


def test_what_is_over_waits_for_no_credentials(directory):
    store = RoleCredentialsStore(directory)
    store.await_execution_role(FIRST)
    store.await_nothing(FIRST)
    assert store.signer(FIRST, RoleType.EXECUTION) is None


def test_a_directory_that_cannot_be_written_costs_only_the_copy(tmp_path):
    (tmp_path / "file").write_text("")
    store = RoleCredentialsStore(tmp_path / "file" / "credentials" / "instance")
    store.take(FIRST, RoleType.APPLICATION, credentials())
    assert store.find("id-1") is not None
    store.forget(FIRST)


def test_no_text_shows_what_is_secret(directory):
    store = RoleCredentialsStore(directory)
    store.take(FIRST, RoleType.APPLICATION, credentials())
    for shown in (store, store.find("id-1"), store.signer(FIRST, RoleType.APPLICATION), credentials()):
        assert "secret-1" not in repr(shown)
        assert "token-1" not in repr(shown)


def test_credentials_have_the_names_of_the_wire():
    assert msgspec.to_builtins(credentials(role_type="TaskApplication")).keys() == {
        "credentialsId",
        "accessKeyId",
        "secretAccessKey",
        "sessionToken",
        "expiration",
        "roleArn",
        "roleType",
    }
