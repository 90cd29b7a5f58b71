import json

import pytest

from wherry.agent.runtime.docker.registration import RegistrationError, refresh_wrapper, register_runtime, with_runtime

PATH = "/usr/local/lib/wherry/oci-runtime"


def merged(current):
    return with_runtime(current, path=PATH, source="daemon.json")


@pytest.mark.parametrize("current", ["", "  \n", "{}"])
def test_an_engine_without_settings_gets_only_ours(current):
    assert json.loads(merged(current)) == {"runtimes": {"wherry": {"path": PATH}}}


def test_the_users_settings_stay():
    settings = {"log-driver": "journald", "runtimes": {"crun": {"path": "/usr/bin/crun"}}}
    assert json.loads(merged(json.dumps(settings))) == {
        "log-driver": "journald",
        "runtimes": {"crun": {"path": "/usr/bin/crun"}, "wherry": {"path": PATH}},
    }


def test_registering_again_changes_nothing():
    assert merged(merged('{"debug": true}')) is None


@pytest.mark.parametrize("current", ["{", "[]", '{"runtimes": []}'])
def test_settings_that_cannot_be_read_are_not_overwritten(current):
    with pytest.raises(RegistrationError, match="mend it first"):
        merged(current)


def test_without_a_running_engine_it_is_said_how_to_reload(tmp_path):
    with pytest.raises(RegistrationError, match="reload the engine yourself"):
        register_runtime(
            daemon_json=tmp_path / "daemon.json", wrapper=tmp_path / "lib/oci-runtime", pid_file=tmp_path / "docker.pid"
        )
    assert "@RUNC@" not in (tmp_path / "lib/oci-runtime").read_text()
    assert (tmp_path / "lib/oci-runtime").stat().st_mode & 0o777 == 0o755


def test_a_wrapper_of_another_version_is_replaced_and_none_is_put_where_none_is(tmp_path):
    wrapper = tmp_path / "oci-runtime"
    refresh_wrapper(wrapper=wrapper)
    assert not wrapper.exists()
    wrapper.write_text("of another version")
    refresh_wrapper(wrapper=wrapper)
    assert "of another version" not in wrapper.read_text()
    assert "@RUNC@" not in wrapper.read_text()
    assert wrapper.stat().st_mode & 0o777 == 0o755
