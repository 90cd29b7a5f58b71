import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.runtime_lab import task

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import cgroups, names
from wherry.agent.spec import ContainerSpec


def container(**fields):
    return ContainerSpec(name="web", image="web", **fields)


@given(units=st.integers(128, 196608))
def test_a_task_cpu_is_a_quota_of_its_part_of_a_core(units):
    found = cgroups.limits(task(container(), cpu=units / 1024))
    assert found.quota_us == round(100_000 * units / 1024)
    assert found.shares is None


@given(shares=st.lists(st.integers(0, 200_000), min_size=1, max_size=10))
def test_without_a_task_cpu_the_containers_shares_add_up(shares):
    found = cgroups.limits(task(*(container(cpu_shares=one) for one in shares)))
    assert found.quota_us is None
    assert found.shares == min(262_144, sum(max(2, one) for one in shares))
    assert 1 <= cgroups.weight(found.shares) <= 10_000


def test_memory_is_in_bytes_and_no_container_may_have_more():
    assert cgroups.limits(task(container(memory=512 * 2**20), memory_mib=512)).memory == 512 * 2**20
    with pytest.raises(RuntimeFault, match=r"container memory limit\(513\) greater than task memory limit\(512\)"):
        cgroups.limits(task(container(memory=513 * 2**20), memory_mib=512))


LIMITS = cgroups.Limits(quota_us=25_000, memory=64)


def test_each_version_has_its_own_files():
    assert cgroups.settings_v1(LIMITS) == {
        "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "25000"},
        "memory": {"memory.limit_in_bytes": "64"},
    }
    assert cgroups.settings_v2(LIMITS) == {"cpu.max": "25000 100000", "memory.max": "64"}
    assert cgroups.settings_v2(cgroups.Limits(shares=2)) == {"cpu.weight": "1"}
    assert cgroups.settings_v1(cgroups.Limits(shares=2)) == {"cpu": {"cpu.shares": "2"}, "memory": {}}


def test_systemd_is_told_the_same_in_its_own_units():
    call = cgroups.systemd_call("wherry-a-1.slice", LIMITS)
    assert call[-13:] == [
        "wherry-a-1.slice", "fail", "3",
        "Description", "s", "wherry-a-1.slice",
        "CPUQuotaPerSecUSec", "t", "250000",
        "MemoryMax", "t", "64",
        "0",
    ]  # fmt: skip


def test_the_parent_is_named_as_the_driver_wants_it():
    v1 = cgroups.Hierarchy(version=1, driver="cgroupfs")
    systemd = cgroups.Hierarchy(version=2, driver="systemd")
    assert cgroups.parent(v1, "a-b", "f00") == "/wherry/a-b/f00"
    assert cgroups.parent(systemd, "a-b", "f00") == "wherry-a_b-f00.slice"
    assert names.slice_levels("wherry-a_b-f00.slice") == ("wherry.slice", "wherry-a_b.slice", "wherry-a_b-f00.slice")


def test_version_2_enables_the_controllers_on_every_level(tmp_path):
    hierarchy = cgroups.Hierarchy(version=2, driver="cgroupfs", root=tmp_path)
    spec = task(container(), cpu=0.5, memory_mib=128)
    anyio.run(cgroups.ensure, hierarchy, "a", spec)
    leaf = tmp_path / "wherry" / "a" / spec.task_id
    assert (leaf / "cpu.max").read_text() == "50000 100000"
    assert (leaf / "memory.max").read_text() == str(128 * 2**20)
    for above in (tmp_path, tmp_path / "wherry", tmp_path / "wherry" / "a"):
        assert (above / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert cgroups.listed(hierarchy, "a") == {spec.task_id}
    assert cgroups.listed(hierarchy, "b") == set()


@given(
    instance=st.from_regex(r"[a-z0-9]{1,10}(-[a-z0-9]{1,10})?", fullmatch=True),
    other=st.from_regex(r"[a-z0-9]{1,10}", fullmatch=True),
)
def test_no_agent_takes_anothers_names_for_its_own(instance, other):
    task_id = "0123456789abcdef" * 2
    assert names.task_of_namespace(instance, names.namespace(instance, task_id)) == task_id
    assert names.task_of_alias(instance, names.link_alias(instance, task_id)) == task_id
    assert len(names.link(instance, task_id)) == 15
    if other != instance:
        assert names.task_of_namespace(other, names.namespace(instance, task_id)) is None
        assert names.task_of_alias(other, names.link_alias(instance, task_id)) is None
        assert names.link(other, task_id) != names.link(instance, task_id)


@pytest.mark.parametrize("instance", ["", "-a", "a-", "A", "a/b", "a" * 41, "a..b"])
def test_an_instance_id_is_fit_for_every_name_that_it_becomes_part_of(instance):
    with pytest.raises(ValueError, match="instance id"):
        names.checked_instance(instance)
