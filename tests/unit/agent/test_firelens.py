"""A task's log router: what its configuration says, and how the containers around it are wired."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.firelens import config
from wherry.agent.firelens.routers import Routers
from wherry.agent.spec import ContainerSpec, Firelens, LogConfiguration, Secret, SecretTarget, TaskSpec

TASK_ID = "0" * 32
APP_OPTIONS = {"Name": "http", "Host": "logs.example", "exclude-pattern": "^debug", "log-driver-buffer-limit": "2048"}


def a_router(kind: str = "fluentbit", **options: str) -> ContainerSpec:
    return a_container(
        "router", firelens=Firelens(type=kind, options={k.replace("_", "-"): v for k, v in options.items()})
    )


def an_app(options: dict[str, str] = APP_OPTIONS, **members: object) -> ContainerSpec:
    return a_container("app", logs=LogConfiguration(driver="awsfirelens", options=options), **members)


def a_task_of(*containers: ContainerSpec) -> TaskSpec:
    return a_task(*containers)


def test_fluent_bit_is_told_where_lines_come_from_what_they_are_and_where_they_go() -> None:
    text = config.fluent_bit(a_task_of(a_router(), an_app()), {})
    assert (
        text
        == f"""[INPUT]
    Name forward
    unix_path /var/run/fluent.sock

[INPUT]
    Name forward
    Listen 127.0.0.1
    Port 24224

[FILTER]
    Name grep
    Match app-firelens-{TASK_ID}*
    Exclude log ^debug

[FILTER]
    Name record_modifier
    Match *
    Record ecs_cluster default
    Record ecs_task_arn arn:aws:ecs:us-east-1:000000000000:task/default/{TASK_ID}
    Record ecs_task_definition web:1

[OUTPUT]
    Match app-firelens-{TASK_ID}*
    Name http
    Host logs.example
"""
    )


def test_fluentd_is_told_the_same_in_its_own_words() -> None:
    options = {"@type": "http", "include-pattern": "error", "endpoint": "https://logs.example"}
    text = config.fluentd(a_task_of(a_router("fluentd"), an_app(options)), {"enable-ecs-log-metadata": "false"})
    assert (
        text
        == f"""<source>
    @type unix
    path /var/run/fluent.sock
</source>

<source>
    @type forward
    bind 127.0.0.1
    port 24224
</source>

<filter app-firelens-{TASK_ID}**>
    @type grep
    <regexp>
        key log
        pattern error
    </regexp>
</filter>

<match app-firelens-{TASK_ID}**>
    @type http
    endpoint https://logs.example
</match>
"""
    )


@pytest.mark.parametrize(
    ("write", "included"), [(config.fluent_bit, "@INCLUDE /own.conf\n"), (config.fluentd, "@include /own.conf\n")]
)
def test_a_file_of_the_image_is_included_and_containers_without_options_have_no_output(write, included) -> None:
    text = write(a_task_of(a_router(), an_app({})), {"config-file-type": "file", "config-file-value": "/own.conf"})
    assert included in text
    assert "OUTPUT" not in text
    assert "<match" not in text


def test_a_secret_option_is_a_variable_of_the_router_and_in_no_file(tmp_path: Path) -> None:
    secret = Secret(name="token", value_from="/token", target=SecretTarget.LOG_DRIVER)
    task = a_task_of(a_router(), an_app(secrets=(secret,)))
    routers = Routers(tmp_path)
    router = routers.equipped(task, task.containers[0], {"/token": "very secret"})
    assert router.environment["token_1"] == "very secret"
    text = (tmp_path / TASK_ID / "fluent.conf").read_text()
    assert "    token ${token_1}\n" in text
    assert "very secret" not in text
    assert "\"#{ENV['token_1']}\"" in config.fluentd(task, {})


def test_the_router_finds_its_file_and_makes_its_socket_where_the_engine_dials(tmp_path: Path) -> None:
    task = a_task_of(a_router("fluentd"), an_app())
    routers = Routers(tmp_path)
    router = routers.equipped(task, task.containers[0], {})
    place = tmp_path / TASK_ID
    assert router.host_binds == (f"{place}/socket:/var/run", f"{place}/fluent.conf:/fluentd/etc/fluent.conf:ro")
    assert router.environment["FLUENT_UID"] == "0"
    app = routers.equipped(task, task.containers[1], {})
    assert app.logs == LogConfiguration(
        driver="fluentd",
        options={
            "fluentd-address": f"unix://{place}/socket/fluent.sock",
            "fluentd-async": "true",
            "fluentd-sub-second-precision": "true",
            "tag": f"app-firelens-{TASK_ID}",
            "fluentd-buffer-limit": "2048",
        },
    )
    assert (app.environment["FLUENT_HOST"], app.environment["FLUENT_PORT"]) == ("127.0.0.1", "24224")


def test_containers_that_have_nothing_to_do_with_it_are_left_as_they_are(tmp_path: Path) -> None:
    task = a_task_of(a_router(), an_app(), a_container("plain"))
    assert not config.concerns(task.containers[2])
    assert Routers(tmp_path).equipped(task, task.containers[2], {}) is task.containers[2]


def test_what_is_there_of_a_task_goes_with_it_and_what_a_former_life_left_is_found(tmp_path: Path) -> None:
    routers = Routers(tmp_path / "own")
    task = a_task_of(a_router(), an_app())
    routers.equipped(task, task.containers[0], {})
    (tmp_path / "own" / "another").mkdir()
    routers.restore({TASK_ID})
    assert [path.name for path in (tmp_path / "own").iterdir()] == [TASK_ID]
    routers.remove(TASK_ID)
    routers.remove(TASK_ID)
    assert list((tmp_path / "own").iterdir()) == []
