import os

from tests.contract.runtime_lab import task

from wherry.agent.sandbox import files
from wherry.agent.spec import ContainerSpec

STUB = "# made by systemd-resolved\nnameserver 127.0.0.53\noptions edns0\n"
UPSTREAM = "nameserver 10.0.0.2\nnameserver fd00::1\nnameserver 10.0.0.3 # second\n"


def test_a_resolver_on_the_hosts_loopback_is_none_for_a_task():
    assert files.usable_servers(STUB) == ()
    assert files.usable_servers(UPSTREAM) == ("10.0.0.2", "10.0.0.3")
    assert files.usable_servers("nameserver\nnameserver nonsense\n; nameserver 1.2.3.4\n") == ()


def test_behind_a_stub_the_real_servers_are_found(tmp_path):
    stub, upstream = tmp_path / "stub", tmp_path / "upstream"
    stub.write_text(STUB)
    assert files.host_resolvers((stub, upstream)) == ()
    upstream.write_text(UPSTREAM)
    assert files.host_resolvers((stub, upstream)) == ("10.0.0.2", "10.0.0.3")


def test_a_file_is_rewritten_only_if_it_changes_and_then_in_place(tmp_path):
    spec = task(ContainerSpec(name="web", image="web", dns_servers=("10.0.0.2",)))
    binds = files.write_for(spec.containers[0], spec.eni, tmp_path)
    assert binds == [f"{tmp_path}/resolv.conf:/etc/resolv.conf", f"{tmp_path}/hosts:/etc/hosts"]
    before = {path: path.stat() for path in tmp_path.iterdir()}
    files.write_for(spec.containers[0], spec.eni, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == {
        path: one.st_mtime_ns for path, one in before.items()
    }
    changed = ContainerSpec(name="web", image="web", dns_servers=("10.0.0.9",))
    files.write_for(changed, spec.eni, tmp_path)
    assert (tmp_path / "resolv.conf").read_text() == "nameserver 10.0.0.9\n"
    assert (tmp_path / "resolv.conf").stat().st_ino == before[tmp_path / "resolv.conf"].st_ino


def test_every_user_of_a_container_can_read_them_whatever_the_agents_umask(tmp_path):
    spec = task(ContainerSpec(name="web", image="web"))
    before = os.umask(0o077)
    try:
        files.write_for(spec.containers[0], spec.eni, tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}
