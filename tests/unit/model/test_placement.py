"""Placement: never more than fits, never a refusal without need or without a word, zones in balance."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wherry.model.placement import CAPACITY_UNAVAILABLE, Host, Need, Placed, Site, Unplaced, plan, refusal

ZONES = ("a", "b", "c")
SIZES = st.sampled_from([256, 512, 1024, 2048])


def a_need(number: int = 0, **changes: object) -> Need:
    return Need(
        **{"task_arn": f"task-{number}", "cpu": 256, "memory": 512, "subnet_ids": ("s-a", "s-b", "s-c"), "group": "web"}
        | changes
    )


def a_host(number: int = 0, **changes: object) -> Host:
    size = {"cpu": 4096, "memory": 8192, "free_cpu": 4096, "free_memory": 8192}
    return Host(**{"instance_arn": f"host-{number}", "architecture": "x86_64"} | size | changes)


def sites(free: int = 100) -> list[Site]:
    return [Site(subnet_id=f"s-{zone}", zone=zone, free=free) for zone in ZONES]


needs = st.lists(
    st.builds(
        Need,
        task_arn=st.uuids().map(str),
        cpu=SIZES,
        memory=SIZES,
        subnet_ids=st.lists(st.sampled_from([f"s-{z}" for z in ZONES]), min_size=1, unique=True).map(tuple),
        group=st.sampled_from(["web", "api"]),
        architecture=st.sampled_from([None, "x86_64", "arm64"]),
    ),
    max_size=20,
    unique_by=lambda need: need.task_arn,
)
hosts = st.lists(
    st.builds(
        Host,
        instance_arn=st.uuids().map(str),
        cpu=st.just(4096),
        memory=st.just(4096),
        free_cpu=st.integers(-256, 4096),
        free_memory=st.integers(-256, 4096),
        architecture=st.sampled_from(["x86_64", "arm64"]),
        connected=st.booleans(),
        zones=st.lists(st.sampled_from(ZONES), unique=True).map(tuple),
    ),
    max_size=5,
    unique_by=lambda host: host.instance_arn,
)
places = st.lists(st.integers(0, 4), min_size=3, max_size=3).map(
    lambda free: [Site(subnet_id=f"s-{z}", zone=z, free=f) for z, f in zip(ZONES, free, strict=True)]
)


@given(needs, hosts, places)
def test_a_plan_keeps_every_bound_and_answers_every_task(
    needs: list[Need], hosts: list[Host], places: list[Site]
) -> None:
    decisions = plan(needs, hosts=hosts, sites=places, tasks_per_zone={})
    assert [d.task_arn for d in decisions] == [n.task_arn for n in needs]
    by_task, by_host = {n.task_arn: n for n in needs}, {h.instance_arn: h for h in hosts}
    by_subnet = {s.subnet_id: s for s in places}
    cpu, memory, taken = Counter[str](), Counter[str](), Counter[str]()
    for placed in (d for d in decisions if isinstance(d, Placed)):
        need, host, site = by_task[placed.task_arn], by_host[placed.instance_arn], by_subnet[placed.subnet_id]
        assert host.connected
        assert need.architecture in (None, host.architecture)
        assert placed.subnet_id in need.subnet_ids
        assert placed.zone == site.zone
        assert not host.zones or placed.zone in host.zones
        cpu[host.instance_arn] += need.cpu
        memory[host.instance_arn] += need.memory
        taken[site.subnet_id] += 1
    assert all(cpu[arn] <= host.free_cpu for arn, host in by_host.items() if cpu[arn])
    assert all(memory[arn] <= host.free_memory for arn, host in by_host.items() if memory[arn])
    assert all(taken[subnet_id] <= site.free for subnet_id, site in by_subnet.items())


@given(needs, hosts, places)
def test_a_task_waits_only_if_nothing_has_room_for_it(needs: list[Need], hosts: list[Host], places: list[Site]) -> None:
    decisions = plan(needs, hosts=hosts, sites=places, tasks_per_zone={})
    placed = [d for d in decisions if isinstance(d, Placed)]
    by_task = {n.task_arn: n for n in needs}

    def left(host: Host) -> Host:
        mine = [by_task[d.task_arn] for d in placed if d.instance_arn == host.instance_arn]
        return Host(
            instance_arn=host.instance_arn,
            cpu=host.cpu,
            memory=host.memory,
            free_cpu=host.free_cpu - sum(n.cpu for n in mine),
            free_memory=host.free_memory - sum(n.memory for n in mine),
            architecture=host.architecture,
            connected=host.connected,
            zones=host.zones,
        )

    used = Counter(d.subnet_id for d in placed)
    for unplaced in (d for d in decisions if isinstance(d, Unplaced)):
        need = by_task[unplaced.task_arn]
        assert unplaced.detail.endswith(".")
        # A plan only takes room away, so that whoever fits at its end has fitted all the time.
        for host in map(left, hosts):
            if refusal(need, host) is None:
                zones = {s.zone for s in places if s.subnet_id in need.subnet_ids and s.free > used[s.subnet_id]}
                assert not zones or (host.zones and not zones & set(host.zones))


@given(st.integers(1, 30), st.integers(1, 3))
def test_the_tasks_of_a_group_are_spread_over_the_zones(tasks: int, number_of_hosts: int) -> None:
    big = {"cpu": 65536, "memory": 65536, "free_cpu": 65536, "free_memory": 65536}
    hosts = [a_host(n, **big) for n in range(number_of_hosts)]
    decisions = plan([a_need(n) for n in range(tasks)], hosts=hosts, sites=sites(), tasks_per_zone={})
    per_zone = Counter(d.zone for d in decisions if isinstance(d, Placed))
    assert sum(per_zone.values()) == tasks
    assert max(per_zone.values()) - min(per_zone[zone] for zone in ZONES) <= 1


def test_what_runs_already_counts_for_the_balance() -> None:
    [decision] = plan(
        [a_need()], hosts=[a_host()], sites=sites(), tasks_per_zone={("web", "a"): 1, ("web", "b"): 1, ("api", "c"): 9}
    )
    assert isinstance(decision, Placed)
    assert decision.zone == "c"


def test_the_host_with_the_most_room_is_taken() -> None:
    hosts = [a_host(1, free_memory=1024), a_host(2, free_memory=4096), a_host(3, free_cpu=300)]
    [decision] = plan([a_need()], hosts=hosts, sites=sites(), tasks_per_zone={})
    assert isinstance(decision, Placed)
    assert decision.instance_arn == "host-2"


def test_each_refusal_has_its_words() -> None:
    def detail(*hosts: Host, **need: object) -> str:
        [decision] = plan([a_need(**need)], hosts=hosts, sites=sites(), tasks_per_zone={})
        assert isinstance(decision, Unplaced)
        assert decision.reason == CAPACITY_UNAVAILABLE
        return decision.detail

    assert detail() == "No host has joined the Fargate pool: start an agent with `wherry agent --fargate`."
    closest = "The closest matching host of the Fargate pool "
    assert detail(a_host(connected=False)) == f"{closest}doesn't have the agent connected."
    assert detail(a_host(), architecture="arm64") == f"{closest}has another CPU architecture."
    assert detail(a_host(free_cpu=255)) == f"{closest}has insufficient CPU units available."
    assert detail(a_host(free_memory=511)) == f"{closest}has insufficient memory available."
    assert detail(a_host(1, free_cpu=0), a_host(2, free_memory=0)).endswith("memory available.")
    assert "stands in a, b, c" in detail(a_host(zones=("d",)))


def test_a_full_subnet_is_a_refusal_of_its_own() -> None:
    [decision] = plan([a_need(subnet_ids=("s-a",))], hosts=[a_host()], sites=sites(0), tasks_per_zone={})
    assert isinstance(decision, Unplaced)
    assert (decision.reason, decision.detail) == ("RESOURCE:ENI", "No address is free in s-a.")
