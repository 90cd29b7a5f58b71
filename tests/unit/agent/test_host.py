import socket

import pytest

from wherry.agent.host import check_endpoints, check_forwarding, check_port, check_program, check_root, judge_engine
from wherry.agent.runtime.docker.engine import engine_url, is_local

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41"}
INFO = {
    "CgroupVersion": "2",
    "CgroupDriver": "cgroupfs",
    "Runtimes": {"runc": {}, "wherry": {}},
    "Architecture": "x86_64",
}


def failing(version=VERSION, info=INFO, url="unix:///run/docker.sock"):
    return [check.name for check in judge_engine(url, version, info) if not check.ok]


def test_a_fit_engine_passes():
    assert failing() == []


@pytest.mark.parametrize(("api", "names"), [("1.40", ["engine"]), ("1.41", []), ("1.100", []), ("2.0", [])])
def test_versions_are_numbers(api, names):
    assert failing(version={**VERSION, "ApiVersion": api}) == names


def test_an_engine_elsewhere_and_a_rootless_one_will_not_do():
    assert failing(url="tcp://192.0.2.1:2375") == ["engine is local"]
    assert failing(info={**INFO, "CgroupDriver": "none"}) == ["cgroups"]


@pytest.mark.parametrize(("architecture", "needed"), [("x86_64", False), ("aarch64", False), ("s390x", True)])
def test_the_oci_runtime_is_needed_where_there_is_no_pause_program(architecture, needed):
    info = {**INFO, "Runtimes": {"runc": {}}, "Architecture": architecture}
    [check] = [check for check in judge_engine("unix:///x", VERSION, info) if check.name == "OCI runtime"]
    assert (check.ok, check.needed) == (False, needed)
    assert "wherry doctor --fix" in check.remedy


def test_a_port_in_use_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not check_port("127.0.0.1", port).ok
    assert check_port("127.0.0.1", port).ok


def test_root_and_programs(tmp_path):
    assert check_root(0).ok
    assert not check_root(1000).ok
    assert check_program("sh", "dash").ok
    assert check_program("no-such-program", "nowhere").remedy == "apt-get install nowhere"
    assert check_program("no-such-program", "nowhere").needed
    assert not check_program("mkfs.no-such-system", "nowhere", needed=False).needed
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/ip_forward").write_text("1\n")
    assert check_forwarding(tmp_path).detail == "on"


def test_the_engine_is_found_as_docker_finds_it():
    assert engine_url({}) == "unix:///var/run/docker.sock"
    assert engine_url({"DOCKER_HOST": "tcp://10.0.0.1:2375"}) == "tcp://10.0.0.1:2375"
    assert [is_local(url) for url in ("unix:///x", "tcp://127.0.0.1:1", "tcp://[::1]:1", "tcp://10.0.0.1:1")] == [
        True,
        True,
        True,
        False,
    ]


def test_task_endpoints_stand_beside_those_of_another_agent_and_nobody_else():
    with socket.socket() as agent:
        agent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        agent.bind(("127.0.0.1", 0))
        agent.listen()
        assert check_endpoints("127.0.0.1", agent.getsockname()[1]).ok
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        check = check_endpoints("127.0.0.1", stranger.getsockname()[1])
        assert (check.ok, check.needed) == (False, False)
