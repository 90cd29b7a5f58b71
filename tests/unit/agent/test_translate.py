"""Container definitions into Docker's words, and Docker's answers into ours."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.runtime_lab import task

from wherry.agent.runtime.base import ContainerState, Health
from wherry.agent.runtime.docker import pause, translate
from wherry.agent.spec import ContainerSpec, HealthCheck

NEVER = "0001-01-01T00:00:00Z"
PLACE = translate.Place(network_mode="none", cgroup_parent="/wherry/a/1")


def body(**fields):
    container = ContainerSpec(name="web", image="web:1", **fields)
    return translate.create_body(task(container), container, PLACE, instance="a")


def inspected(**state):
    full = {
        "Status": "running", "ExitCode": 0, "OOMKilled": False, "Error": "",
        "StartedAt": "2026-01-02T03:04:05.123456789Z", "FinishedAt": NEVER, **state,
    }  # fmt: skip
    labels = {translate.LABEL_TASK: "arn", translate.LABEL_CONTAINER: "web"}
    return {"Id": "1", "Created": "2026-01-02T03:04:04Z", "Config": {"Labels": labels}, "State": full}


def test_what_is_not_said_is_left_to_the_image():
    config = body()
    assert config.keys().isdisjoint({"Entrypoint", "Cmd", "WorkingDir", "User", "Hostname"})
    assert config["HostConfig"].keys().isdisjoint({"Memory", "MemoryReservation", "MemorySwap", "ShmSize", "Runtime"})


def test_the_images_own_health_check_is_switched_off():
    assert body()["Healthcheck"] == {"Test": ["NONE"]}


def test_health_check_times_are_nanoseconds():
    check = HealthCheck(command=("CMD-SHELL", "true"), interval=5, timeout=2, retries=1, start_period=0.5)
    assert body(health_check=check)["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000, "Timeout": 2_000_000_000,
        "Retries": 1, "StartPeriod": 500_000_000,
    }  # fmt: skip


def test_our_labels_win_over_the_users():
    labels = body(labels={translate.LABEL_TASK: "forged", "team": "blue"})["Labels"]
    assert labels[translate.LABEL_TASK].startswith("arn:aws:ecs:")
    assert labels["team"] == "blue"


@given(memory=st.integers(1, 2**40), shares=st.integers(0, 2**20))
def test_limits_are_never_outside_of_what_the_engine_takes(memory, shares):
    config = body(memory=memory, cpu_shares=shares)["HostConfig"]
    assert config["Memory"] == max(6 * 2**20, memory)
    assert 2 <= config["CpuShares"] <= 262_144


def test_zero_is_a_value():
    assert body(memory=2**24, memory_swap=0, memory_swappiness=0)["HostConfig"]["MemorySwappiness"] == 0


@given(name=st.from_regex(r"[A-Za-z0-9_-]{1,255}", fullmatch=True))
def test_the_engine_takes_every_container_name(name):
    spec = task(number=9)
    found = translate.container_name(spec, name, instance="a")
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", found)
    assert found == translate.container_name(spec, name, instance="a")
    assert found != translate.container_name(spec, name, instance="b")
    assert found != translate.container_name(spec, name + "_", instance="a")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("created", ContainerState.CREATED),
        ("running", ContainerState.RUNNING),
        ("paused", ContainerState.RUNNING),
        ("exited", ContainerState.EXITED),
        ("removing", ContainerState.EXITED),
        ("dead", ContainerState.EXITED),
    ],
)
def test_an_exit_code_is_only_told_of_what_has_exited(status, state):
    found = translate.observed(inspected(Status=status, ExitCode=7), digest=None)
    assert found.state is state
    assert found.exit_code == (7 if state is ContainerState.EXITED else None)


@pytest.mark.parametrize("status", ["removing", "dead"])
def test_what_is_removed_before_it_was_started_counts_as_gone(status):
    never = {"StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    once = {"StartedAt": "2026-01-02T03:04:05.1Z", "FinishedAt": "2026-01-02T03:04:05.2Z"}
    assert translate.vanishes(inspected(Status=status, **never))
    assert not translate.vanishes(inspected(Status=status, **once))
    assert not translate.vanishes(inspected(Status="created", **never))


def test_a_life_shorter_than_the_engines_bookkeeping_does_not_end_before_it_began():
    state = {"Status": "exited", "StartedAt": "2026-01-02T03:04:05.2Z", "FinishedAt": "2026-01-02T03:04:05.1Z"}
    found = translate.observed(inspected(**state), digest=None)
    assert found.started_at == found.finished_at


def result(second, code):
    return {"End": f"2026-01-02T03:05:0{second}Z", "ExitCode": code, "Output": f"said {second}\n"}


def test_health_is_as_old_as_the_first_of_the_results_that_agree():
    log = [result(1, 0), result(2, 1), result(3, 0), result(4, 0)]
    found = translate.observed(inspected(Health={"Status": "healthy", "Log": log}), digest=None)
    assert found.health is Health.HEALTHY
    assert found.health_since == translate.epoch("2026-01-02T03:05:03Z")
    assert found.health_output == "said 4"


@pytest.mark.parametrize("section", [None, {"Status": "starting", "Log": None}, {"Status": "none"}])
def test_health_that_nobody_knows_is_unknown(section):
    found = translate.observed(inspected(Health=section), digest=None)
    assert (found.health, found.health_since) == (Health.UNKNOWN, None)


@pytest.mark.parametrize("cache", ["total_inactive_file", "inactive_file"])
def test_page_cache_does_not_count_as_memory_in_use(cache):
    stats = {
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "memory_stats": {"usage": 100, "limit": 200, "stats": {cache: 30}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5}, {"op": "write", "value": 6}]},
    }
    found = translate.usage(stats, network=(1, 2))
    assert (found.cpu_seconds, found.memory, found.memory_limit) == (2.5, 70, 200)
    assert (found.network_rx, found.network_tx, found.block_read, found.block_written) == (1, 2, 5, 6)
    assert translate.usage({"memory_stats": {}}, network=(0, 0)) is None
    assert translate.usage(None, network=(0, 0)) is None


@pytest.mark.parametrize("architecture", sorted(pause.ARCHITECTURES))
def test_the_pause_program_is_one_loadable_segment(architecture):
    built = pause.program(architecture)
    assert built[:4] == b"\x7fELF"
    assert int.from_bytes(built[24:32], "little") == 0x400000 + 120
    assert int.from_bytes(built[96:104], "little") == len(built)
    assert pause.image_archive(architecture) == pause.image_archive(architecture)
